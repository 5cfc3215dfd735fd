/** Packing and unpacking PeerJS's BinaryPack: ours and its own, kind by kind, in Node and in Chromium. No network. */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { launchChromium, launchFirefox } from '../reach/lab/browser.mjs'
import { load, options } from '../reach/lab/lab.mjs'
import { serve } from '../reach/lab/server.mjs'
import { markdownTable, median, medianRatio, table } from '../reach/statistics.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const launch = { chromium: launchChromium, firefox: launchFirefox }

export async function main(args) {
  const given = options(args, { rounds: 15, /** Kinds whose name holds this. */ only: '', browsers: ['chromium'], write: 1 })
  const before = load()
  const outfile = join(root, 'build/bench/binarypack-page.js')
  await build({
    entryPoints: [fileURLToPath(new URL('binarypack-page.js', import.meta.url))], bundle: true, format: 'esm', outfile, logLevel: 'error',
    nodePaths: [join(root, 'node_modules')],
  })
  const here = await import(pathToFileURL(outfile).href)
  const places = new Map([['Node', here.measure(given.rounds, given.only)]])
  const refused = new Map([['Node', here.refuse(given.rounds)]])
  const server = await serve()
  try {
    for (const name of given.browsers) {
      const origin = `http://127.0.0.1:${server.ports.files}`
      const browser = await launch[name]({ origin })
      try {
        const page = await browser.open(`${origin}/tests/bench/binarypack.html`)
        places.set(browser.name, await page.call('measure', given.rounds, given.only))
        refused.set(browser.name, await page.call('refuse', given.rounds))
      }
      finally {
        await browser.close()
      }
    }
  }
  finally {
    await server.close()
  }
  const head = ['', 'pack, µs', 'PeerJS, µs', 'times as fast (95 %)', 'unpack, µs', 'PeerJS, µs', 'times as fast (95 %)', 'bytes']
  const raw = {}
  const digits = us => us.toFixed(us < 10 ? 2 : us < 1000 ? 1 : 0)
  const rows = [...places].flatMap(([place, results]) => Object.entries(results).map(([kind, { size, peerbridge, peerjs }]) => {
    const cells = ['pack', 'unpack'].flatMap((way) => {
      raw[`${place}, ${kind}, ${way}`] = peerbridge[way].map(digits)
      raw[`${place}, ${kind}, ${way}, PeerJS`] = peerjs[way].map(digits)
      const { ratio, low, high } = medianRatio(peerjs[way], peerbridge[way])
      return [digits(median(peerbridge[way])), digits(median(peerjs[way])), `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`]
    })
    return [`${place}, ${kind}`, ...cells, size]
  }))
  console.log(table(head, rows))
  const bombHead = ['refused', 'µs', 'allocated, KiB']
  const bombRows = [...refused].flatMap(([place, bombs]) => Object.entries(bombs).map(([name, { took, allocated }]) =>
    [`${place}, ${name}`, digits(median(took)), allocated === undefined ? '' : (allocated / 1024).toFixed(1)]))
  console.log(table(bombHead, bombRows))
  if (!given.write || given.only || given.rounds < 5) return
  return {
    title: 'BinaryPack',
    text: `PeerJS's bytes, made and read by ours and by peerjs-js-binarypack 2.1.0; the two take turns. Medians of ${given.rounds} rounds, each long enough for the clock. Both make the same bytes of each of these values. Reading bytes is one ArrayBuffer.slice() in both: there they differ by chance.`,
    table: `${markdownTable(head, rows)}\n\n${markdownTable(bombHead, bombRows)}`, about: `load ${before} before and ${load()} after`, raw, unit: 'µs',
  }
}
