/**
 * How long it takes from connect() to the open channel: two pages of one Chromium, our signaling server, all on this machine.
 * Hand-written, peerbridge and PeerJS take turns in the same two pages. `--trace 1` shows instead where the time goes.
 */
import { randomUUID } from 'node:crypto'
import { launchChromium } from '../reach/lab/browser.mjs'
import { far } from '../reach/lab/far.mjs'
import { load, options, sleep } from '../reach/lab/lab.mjs'
import { serve } from '../reach/lab/server.mjs'
import { markdownTable, median, medianRatio, quantile, table } from '../reach/statistics.mjs'

const names = { raw: 'hand-written', peerbridge: 'peerbridge', peerjs: 'PeerJS 1.5.5' }

export async function main(args) {
  const given = options(args, {
    /** Connections of each lane. */
    rounds: 60,
    /** Fresh pages of each lane, for each distance. */
    cold: 30,
    /** How far the servers are from those, there and back, ms. */
    away: [0, 50],
    lanes: ['raw', 'peerbridge', 'peerjs'],
    trace: 0,
  })
  const server = await serve()
  const browser = await launchChromium()
  const origin = `http://127.0.0.1:${server.ports.files}`
  const url = `${origin}/tests/bench/setup.html?host=127.0.0.1&port=${server.ports.peerbridge}${given.trace ? '&trace=1' : ''}`
  try {
    const b = await browser.open(url)
    const loadBefore = load()
    const warm = await interleaved(given.lanes, given.rounds, async (lane, a) => {
      const id = randomUUID()
      const to = await b.call('wait', lane, lane === 'raw' ? `b-${id}` : `b-${lane}`)
      await a.call('prepare', lane, lane === 'raw' ? `a-${id}` : `a-${lane}`)
      const ms = await a.call('connect', to)
      await b.call('opened')
      return finish(ms, a, b)
    }, { open: () => browser.open(url), once: true })
    const measured = { 'peer open': warm }
    for (const away of given.cold ? given.away : []) {
      const ports = [server.ports.files, server.ports.peerbridge]
      const distant = away ? await Promise.all(ports.map(port => far(port, away))) : []
      const [files, signaling] = away ? distant.map(({ port }) => port) : ports
      const there = `http://127.0.0.1:${files}/tests/bench/setup.html?host=127.0.0.1&port=${signaling}`
      const waiting = await browser.open(there)
      measured[away ? `from nothing, servers ${away} ms away` : 'from nothing'] = await interleaved(given.lanes, given.cold, async (lane, a) => {
        const to = await waiting.call('wait', lane, `b-${lane === 'raw' ? randomUUID() : `${lane}-${away}`}`)
        await a.call('load', lane)
        const ms = await a.call('cold', lane, randomUUID(), to)
        await waiting.call('opened')
        return finish(ms, a, waiting)
      }, { open: () => browser.open(there) })
      await waiting.close()
      for (const port of distant) port.close()
    }
    if (browser.problems.length) console.log(`the pages complain: ${[...new Set(browser.problems)].join('\n')}`)
    if (given.trace) return void traces(given.lanes, warm)
    return document(given, measured, `${browser.name}, load ${loadBefore} before and ${load()} after`)
  }
  finally {
    await browser.close()
    await server.close()
  }
}

/** Candidates may follow the open channel: a moment later everything has been sent. */
async function finish(ms, a, b) {
  await sleep(150)
  const [left, right] = await Promise.all([a.call('result'), b.call('result')])
  await Promise.all([a.call('end'), b.call('end')])
  return { ms, frames: left.frames + right.frames, a: left.trace, b: right.trace }
}

/** Rounds of all lanes, in an order that turns round with each; the first two of a page that stays count for nothing. */
async function interleaved(lanes, rounds, measure, { open, once }) {
  const results = Object.fromEntries(lanes.map(lane => [lane, []]))
  let page = once && await open()
  for (let round = once ? -2 : 0; round < rounds; round++) {
    const shift = Math.abs(round) % lanes.length
    const order = [...lanes.slice(shift), ...lanes.slice(0, shift)]
    if (round % 2) order.reverse()
    for (const lane of order) {
      if (!once) page = await open()
      const result = await measure(lane, page)
      if (round >= 0) results[lane].push(result)
      if (!once) await page.close()
    }
  }
  if (once) await page.close()
  return results
}

function document({ lanes }, measured, about) {
  const head = ['', 'n', 'median', 'p95', 'ratio to hand-written (95 %)', 'signaling frames']
  const rows = Object.entries(measured).flatMap(([kind, results]) => lanes.map((lane) => {
    const times = results[lane].map(({ ms }) => ms)
    const { ratio, low, high } = medianRatio(times, results.raw.map(({ ms }) => ms))
    const frames = results[lane].map(({ frames }) => frames)
    return [
      `${names[lane]}, ${kind}`, times.length,
      `${median(times).toFixed(1)} ms`, `${quantile(times, 0.95).toFixed(1)} ms`,
      `${ratio.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`, `${median(frames)} (${Math.min(...frames)} to ${Math.max(...frames)})`,
    ]
  }))
  console.log(table(head, rows))
  return {
    title: 'Set-up of a connection',
    text: [
      'From `connect()` to the open channel, two pages of one browser, the signaling server on the same machine, lanes in turn.',
      '"From nothing" begins at `new Peer()` (hand-written: `new WebSocket()`) in a fresh page whose scripts are loaded; the',
      'core\'s wasm is fetched, compiled and started within it. "Away" is the round trip to both servers, for files and for',
      'signaling; the browsers themselves stay near each other. Ratios are of medians, their interval by bootstrap over rounds.',
    ].join('\n'),
    table: markdownTable(head, rows), about,
    raw: Object.fromEntries(Object.entries(measured).flatMap(([kind, results]) =>
      lanes.map(lane => [`${kind}, ${names[lane]}`, results[lane].map(({ ms }) => ms.toFixed(1))]))),
  }
}

/** The moments of both pages, after connect(): the median of each mark's first time. */
function traces(lanes, warm) {
  for (const lane of lanes) {
    const marks = new Map()
    for (const { a, b, ms } of warm[lane]) {
      const began = a.find(([what]) => what === 'open')[1] - ms
      for (const [side, trace] of [['A', a], ['B', b]]) {
        const counted = new Map()
        for (const [what, at] of trace) {
          const nth = (counted.get(what) ?? 0) + 1
          counted.set(what, nth)
          const name = `${side} ${what}${nth > 1 ? ` (${nth})` : ''}`
          if (!marks.has(name)) marks.set(name, [])
          marks.get(name).push(at - began)
        }
      }
    }
    const rows = [...marks].map(([name, times]) => [name, times.length, median(times)]).filter(([, n]) => n > warm[lane].length / 2)
      .sort((x, y) => x[2] - y[2]).map(([name, n, at]) => [at.toFixed(2), name, n])
    console.log(`\n${names[lane]}\n${table(['ms', 'what', 'n'], rows)}`)
  }
}
