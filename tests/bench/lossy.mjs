/**
 * Bulk over long and lossy paths: two browsers in two network namespaces, a delay line between them. What is measured is
 * what arrives once the congestion control has found its speed: an endless file, counted from `warm` seconds on.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { load, options, sleep, withLab } from '../reach/lab/lab.mjs'
import { version } from '../reach/document.mjs'
import { markdownTable, median, medianRatio, table } from '../reach/statistics.mjs'

const kept = fileURLToPath(new URL('../../build/bench/', import.meta.url))
const mebi = 2 ** 20
/** ms there and back, packets of a thousand lost in each direction. */
const paths = {
  'lossy': { rtt: 20, loss: 10 },
  'long': { rtt: 100, loss: 0 },
  'long-lossy': { rtt: 100, loss: 10 },
}
const lanes = {
  'raw': { name: 'hand-written, one channel', kind: 'raw', options: { chunk: 65_536, high: 4 * mebi } },
  'one': { name: 'peerbridge, 1 stripe', kind: 'peerbridge', options: { stripes: 1 } },
  'four': { name: 'peerbridge, 4 stripes', kind: 'peerbridge', options: { stripes: 4 } },
  'eight': { name: 'peerbridge, 8 stripes', kind: 'peerbridge', options: { stripes: 8 } },
}

export async function main(args) {
  const given = options(args, {
    paths: ['lossy', 'long'], lanes: ['raw', 'one', 'four'], rounds: 3,
    /** Not counted, and counted, seconds. */
    warm: 10, seconds: 30, browser: ['chromium'], write: 1,
  })
  const results = {}
  for (const path of given.paths) {
    const { rtt, loss } = paths[path]
    const before = load()
    const speeds = Object.fromEntries(given.lanes.map(lane => [lane, []]))
    const missing = new Set()
    let about
    await withLab(given.browser, async ({ network, host, ports, start }) => {
      await network.lengthen({ delay: rtt / 2, loss })
      const [a, b] = await Promise.all([start('a'), start('b')])
      about = a.browser.name
      for (let round = 0; round < given.rounds; round++) {
        const order = [...given.lanes.slice(round % given.lanes.length), ...given.lanes.slice(0, round % given.lanes.length)]
        for (const lane of order) {
          const { speed, stripes } = await measure(lanes[lane], a, b, { host, port: ports.peerbridge }, given)
          if (stripes !== (lanes[lane].options.stripes ?? 1)) missing.add(lane)
          speeds[lane].push(speed)
          console.log(`${path}, ${lanes[lane].name}: ${speed.toFixed(2)} MiB/s`)
        }
      }
    }, 'tests/bench/data.html')
    results[path] = { speeds, missing: [...missing], version, date: new Date().toISOString().slice(0, 10), about: `${about}, load ${before} before and ${load()} after` }
    console.log(`\n${path}\n${table(...columns(results[path]))}\n`)
  }
  if (!given.write) return
  const file = join(kept, 'lossy.json')
  const all = { ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}), ...results }
  mkdirSync(kept, { recursive: true })
  writeFileSync(file, JSON.stringify(all))
  return document(all, given)
}

async function measure({ kind, options }, a, b, server, { warm, seconds }) {
  const [left, right] = await Promise.all([a.open(), b.open()])
  const id = randomUUID()
  await right.call('open', kind, { ...server, ...options, id: `b-${id}` })
  await left.call('open', kind, { ...server, ...options, id: `a-${id}`, to: `b-${id}` })
  const [{ stripes }] = await Promise.all([left.call('opened'), right.call('opened')])
  await right.call('expectFile', null)
  await left.call('sendForever')
  await sleep(warm * 1000)
  const from = await right.call('received')
  await sleep(seconds * 1000)
  const to = await right.call('received')
  await Promise.all([left.close(), right.close()])
  return { speed: (to.bytes - from.bytes) / mebi / ((to.at - from.at) / 1000), stripes }
}

function columns({ speeds, missing }) {
  return [['', 'n', 'median, MiB/s', 'from', 'to', 'ratio to hand-written (95 %)'], Object.entries(speeds).map(([lane, list]) => {
    const { ratio, low, high } = medianRatio(list, speeds.raw ?? [])
    return [
      lanes[lane].name + (missing.includes(lane) ? ' (there are none: one was used)' : ''), list.length, median(list).toFixed(2),
      Math.min(...list).toFixed(2), Math.max(...list).toFixed(2), lane === 'raw' ? '1' : `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
    ]
  })]
}

function document(all, { warm, seconds }) {
  return {
    title: 'Bulk over long and lossy paths',
    text: [
      'Two browsers in two network namespaces with a delay line in user space between them (`tests/reach/lab/delay-line.cpp`). An',
      `endless file is sent; ${seconds} s are counted after ${warm} s. Each turn is a new connection in new pages; the lanes take turns.`,
    ].join('\n'),
    table: Object.entries(all).map(([path, result]) => {
      const { rtt, loss } = paths[path]
      return [
        `### ${rtt} ms there and back, ${loss / 10} % lost each way`, '', markdownTable(...columns(result)), '',
        `${result.date}, version ${result.version}, ${result.about}.`,
      ].join('\n')
    }).join('\n\n'),
    about: 'one path after the other',
    unit: 'MiB/s',
    raw: Object.fromEntries(Object.entries(all).flatMap(([path, { speeds }]) =>
      Object.entries(speeds).map(([lane, list]) => [`${path}, ${lanes[lane].name}`, list.map(speed => speed.toFixed(2))]))),
  }
}
