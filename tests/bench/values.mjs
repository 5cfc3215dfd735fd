/** Encoding and decoding 25 KB of nested objects: ours and PeerJS's BinaryPack, in Node and in Chromium. No network. */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { launchChromium, launchFirefox } from '../reach/lab/browser.mjs'
import { load, options } from '../reach/lab/lab.mjs'
import { serve } from '../reach/lab/server.mjs'
import { markdownTable, median, medianRatio, table } from '../reach/statistics.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const names = { peerbridge: 'peerbridge', peerjs: 'BinaryPack (PeerJS)', json: 'JSON and UTF-8' }
const launch = { chromium: launchChromium, firefox: launchFirefox }

export async function main(args) {
  const given = options(args, { rounds: 21, /** Values a round. */ times: 200, browsers: ['chromium'], write: 1 })
  const before = load()
  const outfile = join(root, 'build/bench/values-page.js')
  await build({
    entryPoints: [fileURLToPath(new URL('values-page.js', import.meta.url))], bundle: true, format: 'esm', outfile, logLevel: 'error',
    nodePaths: [join(root, 'node_modules')],
  })
  const places = new Map([['Node', (await import(pathToFileURL(outfile).href)).measure(given.rounds, given.times)]])
  const server = await serve()
  try {
    for (const name of given.browsers) {
      const origin = `http://127.0.0.1:${server.ports.files}`
      const browser = await launch[name]({ origin })
      try {
        const page = await browser.open(`${origin}/tests/bench/values.html`)
        places.set(browser.name, await page.call('measure', given.rounds, given.times))
      }
      finally {
        await browser.close()
      }
    }
  }
  finally {
    await server.close()
  }
  const head = ['', 'encode, µs', 'times as fast as BinaryPack (95 %)', 'decode, µs', 'times as fast as BinaryPack (95 %)', 'bytes']
  const raw = {}
  const rows = [...places].flatMap(([place, { results }]) => Object.entries(results).map(([name, result]) => {
    const cells = ['encode', 'decode'].flatMap((what) => {
      raw[`${place}, ${names[name]}, ${what}`] = result[what].map(us => us.toFixed(1))
      const { ratio, low, high } = medianRatio(results.peerjs[what], result[what])
      return [median(result[what]).toFixed(1), name === 'peerjs' ? '1' : `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`]
    })
    return [`${place}, ${names[name]}`, ...cells, result.size]
  }))
  console.log(table(head, rows))
  if (!given.write) return
  const { json } = places.get('Node')
  return {
    title: 'Values to bytes and back',
    text: `One value of nested objects, lists, strings and numbers, ${(json / 1000).toFixed(1)} KB as JSON; the codecs take turns. Medians of ${given.rounds} rounds of ${given.times} values.`,
    table: markdownTable(head, rows), about: `load ${before} before and ${load()} after`, raw, unit: 'µs',
  }
}
