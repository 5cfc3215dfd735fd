/**
 * Everything at once for a long time: messages of all priorities and sizes, files, requests, both ways between two pages,
 * while channels are closed, ICE restarts and the signaling server dies. Every message has a number.
 *
 *     npm run bench -- soak --minutes 30
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { launchChromium } from '../reach/lab/browser.mjs'
import { keep, load, options, sleep } from '../reach/lab/lab.mjs'
import { serve } from '../reach/lab/server.mjs'
import { markdownTable, table } from '../reach/statistics.mjs'
import { memory, processOf, resident } from './data/inspect.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const mebi = 2 ** 20
const disturbances = ['channel of A', 'ICE of A', 'channel of B', 'signaling', 'ICE of B', 'signaling, and channel of A']

export async function main(args) {
  const given = options(args, {
    minutes: 30,
    /** Seconds between two disturbances. */
    every: 20,
    /** Minute from which growth counts. */
    from: 3,
    write: 1,
  })
  const { createSignalingServer } = await import(pathToFileURL(join(root, 'dist/server/index.js')).href)
  const files = await serve()
  // One that may die, on a port that stays.
  let signaling = createSignalingServer({ path: '/' })
  const { port } = await signaling.listen({ port: 0, host: '127.0.0.1' })
  const restartSignaling = async (pause) => {
    await signaling.close()
    await sleep(pause)
    signaling = createSignalingServer({ path: '/' })
    await signaling.listen({ port, host: '127.0.0.1' })
  }
  const browser = await launchChromium()
  const before = load()
  try {
    const [a, b] = await Promise.all(['127.0.0.1', 'localhost'].map(host => browser.open(`http://${host}:${files.ports.files}/tests/bench/soak.html`)))
    const sessions = await Promise.all([a, b].map(page => page.inspect()))
    const pids = [await processOf(a), await processOf(b)]
    const id = randomUUID()
    const server = { host: '127.0.0.1', port }
    await b.call('open', { ...server, id: `b-${id}` })
    await a.call('open', { ...server, id: `a-${id}` }, `b-${id}`)
    await Promise.all([a.call('opened'), b.call('opened')])
    await Promise.all([a.call('start'), b.call('start')])

    const began = Date.now()
    const minute = () => (Date.now() - began) / 60_000
    const samples = []
    const sample = async () => {
      const both = await Promise.all([a, b].map(async (page, i) => {
        // What is held, and not what lies about.
        await sessions[i].send('HeapProfiler.collectGarbage')
        return { ...await memory(page, sessions[i]), resident: resident(pids[i]) }
      }))
      samples.push({ minute: minute(), a: both[0], b: both[1] })
      const { bytes, open } = await b.call('read')
      const mib = number => (number / mebi).toFixed(1)
      console.log(`${minute().toFixed(1)} min: A holds ${mib(both[0].heap)} MiB, B ${mib(both[1].heap)}, wasm ${mib(both[0].wasm)} and ${mib(both[1].wasm)}; B heard ${mib(bytes)} MiB${open ? '' : '; the connection is closed'}`)
      return open
    }
    const counts = Object.fromEntries(disturbances.map(what => [what, 0]))
    let nextSample = 0
    for (let turn = 0; minute() < given.minutes; turn++) {
      // The last minute is left in peace, so that everything can arrive.
      if (turn && minute() < given.minutes - 1) {
        const what = disturbances[turn % disturbances.length]
        counts[what]++
        if (what.includes('signaling')) void restartSignaling(500 + Math.random() * 3000)
        for (const [side, page] of [['A', a], ['B', b]]) {
          if (what.includes(`channel of ${side}`)) await page.call('disturb', 'channel')
          if (what.includes(`ICE of ${side}`)) await page.call('disturb', 'ice')
        }
      }
      const until = Date.now() + given.every * 1000
      while (Date.now() < until && minute() < given.minutes) {
        if (minute() >= nextSample) {
          nextSample += Math.min(1, given.minutes / 10)
          if (!await sample()) break
        }
        await sleep(Math.max(0, Math.min(5000, until - Date.now(), began + given.minutes * 60_000 - Date.now())))
      }
      if (!samples.length || !(await b.call('read')).open) break
    }
    const patient = Promise.race([Promise.all([a.call('stop'), b.call('stop')]), sleep(120_000, 'late')])
    if (await patient === 'late') console.log('the traffic does not end')
    await sample()
    const [left, right] = await Promise.all([a.call('read'), b.call('read')])
    const raw = keep('soak', { given, samples, counts, left, right })
    return report(given, { left, right, samples, counts, raw, problems: browser.problems }, `${browser.name}, load ${before} before and ${load()} after`)
  }
  finally {
    await browser.close()
    await signaling.close()
    await files.close()
  }
}

function report(given, { left, right, samples, counts, raw, problems }, about) {
  const rows = []
  for (const [way, from, to] of [['A to B', left, right], ['B to A', right, left]]) {
    for (const kind of Object.keys(from.sent)) {
      if (kind === 'request' && !from.requests) continue
      rows.push([`${kind}, ${way}`, from.sent[kind], to.heard[kind], from.sent[kind] - to.heard[kind]])
    }
  }
  const both = what => left.trouble[what] + right.trouble[what]
  const from = samples.find(({ minute }) => minute >= given.from) ?? samples[0]
  const to = samples.at(-1)
  const mib = bytes => (bytes / mebi).toFixed(2)
  const kinds = { heap: 'held: JS heap, array buffers, wasm', wasm: 'of that wasm', resident: 'resident' }
  const growth = ['a', 'b'].flatMap(side => Object.entries(kinds).map(([what, said]) => [
    `${side.toUpperCase()}, ${said}`,
    mib(from[side][what]), mib(to[side][what]), mib(to[side][what] - from[side][what])]))
  const facts = [
    `Skipped numbers: ${both('lost')}, of which came later: ${both('disordered')}; doubled: ${both('doubled')}; damaged: ${both('damaged')}; requests without answer: ${both('unanswered')}.`,
    `Disturbed: ${Object.entries(counts).map(([what, n]) => `${what} ${n} times`).join(', ')}. 'recovering' ${left.states.recovering} times at A, longest ${(left.states.longest / 1000).toFixed(1)} s, and ${right.states.recovering} at B, ${(right.states.longest / 1000).toFixed(1)} s.`,
    `Heard: ${mib(right.bytes)} MiB at B, ${mib(left.bytes)} MiB at A.`,
  ]
  const complaints = [...left.complaints.map(text => `A, ${text}`), ...right.complaints.map(text => `B, ${text}`), ...new Set(problems)]
  const counted = ['', 'sent', 'heard', 'missing']
  const grown = ['MiB', `minute ${from.minute.toFixed(1)}`, `minute ${to.minute.toFixed(1)}`, 'growth']
  console.log(`${table(counted, rows)}\n\n${facts.join('\n')}\n\n${table(grown, growth)}\n\n${complaints.join('\n')}\nraw numbers: ${raw}`)
  if (!given.write) return
  return {
    title: `Soak, ${given.minutes} minutes`,
    text: 'Two pages send each other messages of all priorities (1 byte to 4 MB), files (to 8 MB) and requests, while the connection is\ndisturbed. Every message has a number; memory is what is held after a garbage collection, once a minute.',
    table: [markdownTable(counted, rows), facts.join('\n'), markdownTable(grown, growth)].join('\n\n'),
    about,
    unit: 'MiB held',
    raw: {
      minute: samples.map(({ minute }) => minute.toFixed(1)),
      A: samples.map(({ a }) => mib(a.heap)), B: samples.map(({ b }) => mib(b.heap)),
    },
  }
}
