/** Data connections between peerbridge and the real PeerJS, in a real browser, through the real PeerServer. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test as base } from '@playwright/test'
import type { Page } from '@playwright/test'
import { build } from 'esbuild'
import { PeerServer } from 'peer'
import type { Library, Sides } from './page/wire.js'

interface Stage { page: Page, port: number }

const test = base.extend<object, { stage: Stage }>({
  stage: [async ({ browser }, use) => {
    const server = await new Promise<Server>((resolve) => {
      PeerServer({ host: '127.0.0.1', port: 0, path: '/' } as never, server => resolve(server as Server))
    })
    const { outputFiles } = await build({
      entryPoints: [join(import.meta.dirname, 'page/wire.ts')], bundle: true, format: 'esm', splitting: true, target: 'es2022', write: false,
      outdir: '/', logLevel: 'error',
    })
    const files = new Map(outputFiles.map(({ path, text }) => [path.replace(/^.*[\\/]/, ''), text]))
    const page = await (await browser.newContext()).newPage()
    page.on('pageerror', error => console.log(`  page: ${error.message}`))
    // Secure, as localhost is, and never asked: every request is answered here.
    await page.route('http://localhost:1/**', (route) => {
      const file = files.get(new URL(route.request().url()).pathname.slice(1))
      return route.fulfill(file === undefined
        ? { contentType: 'text/html', body: '<!doctype html><script type="module" src="/wire.js"></script>' }
        : { contentType: 'text/javascript', body: file })
    })
    await page.goto('http://localhost:1/')
    await page.waitForFunction(() => 'wire' in window)
    await use({ page, port: (server.address() as AddressInfo).port })
    await page.context().close()
    server.closeAllConnections()
    server.close()
  }, { scope: 'worker' }],
})

const pairs: [Library, Library, 'peerjs'?][] = [['peerbridge', 'PeerJS'], ['PeerJS', 'peerbridge'], ['peerbridge', 'peerbridge', 'peerjs']]
const titled = pairs.map(([from, to, protocol]) => ({ from, to, ...protocol && { protocol }, title: `${from} to ${to}${protocol ? ' in PeerJS\'s protocol' : ''}` }))

const carried = ['text', 'a number', 'an object', 'no text', 'long text']
/** As BinaryPack and raw tell them: bytes are an ArrayBuffer. */
const asBuffers = (sent: unknown[]): unknown[] => JSON.parse(JSON.stringify(sent).replaceAll('Uint8Array', 'ArrayBuffer')) as unknown[]
/** PeerJS's channels keep no order unless they are `reliable`: where a packet is lost, what follows it overtakes. */
const unordered = (values: unknown[]): unknown[] => values.toSorted((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)

for (const { title, ...pair } of titled) {
  const sides = ({ port }: Stage, options: object): Sides => ({ ...pair, port, options })

  test(`${title}: binary carries everything it knows, small and in pieces`, async ({ stage }) => {
    // PeerJS reads a Blob while what follows it overtakes it: it comes last.
    const kinds = [
      ...carried, 'bytes', 'no bytes', 'bytes at 16 300', 'bytes above it', 'many bytes', 'a long array', 'a Blob',
    ]
    for (const options of [{ reliable: false }, { serialization: 'binary', reliable: true }, { serialization: 'binary-utf8', reliable: false }]) {
      const asked = [sides(stage, options), kinds] as const
      const result = await stage.page.evaluate(([sides, kinds]) => window.wire.travel(sides, kinds), asked)
      const comparable = (values: unknown[]) => options.reliable ? values : unordered(values)
      const expected = comparable(asBuffers(result.sent))
      // Chunked binary inside PeerJS is a Uint8Array at the top, which is its own wart: bytes are what counts there.
      expect(comparable(asBuffers(result.there))).toEqual(expected)
      expect(comparable(asBuffers(result.back))).toEqual(expected)
      if (pair.to === 'peerbridge') expect(comparable(result.there)).toEqual(expected)
      expect(result.errors).toEqual([])
    }
  })

  test(`${title}: json carries what JSON carries`, async ({ stage }) => {
    const kinds = ['text', 'a number', 'an object', 'no text']
    const result = await stage.page.evaluate(([sides, kinds]) => window.wire.travel(sides, kinds), [sides(stage, { serialization: 'json' }), kinds] as const)
    expect(unordered(result.there)).toEqual(unordered(result.sent))
    expect(unordered(result.back)).toEqual(unordered(result.sent))
    expect(result.errors).toEqual([])
  })

  test(`${title}: raw carries strings and bytes as they are`, async ({ stage }) => {
    const kinds = ['text', 'no text', 'bytes', 'text of 200 KB', 'a Blob']
    const result = await stage.page.evaluate(([sides, kinds]) => window.wire.travel(sides, kinds), [sides(stage, { serialization: 'raw', reliable: true }), kinds] as const)
    expect(result.there).toEqual(asBuffers(result.sent))
    expect(result.back).toEqual(asBuffers(result.sent))
    expect(result.errors).toEqual([])
  })

  test(`${title}: MsgPack carries a stream of values`, async ({ stage }) => {
    const kinds = [...carried, 'bytes', 'many bytes', 'a long array']
    const result = await stage.page.evaluate(([sides, kinds]) => window.wire.travel(sides, kinds), [sides(stage, { serialization: 'MsgPack', reliable: true }), kinds] as const)
    expect(result.there).toEqual(result.sent)
    expect(result.back).toEqual(result.sent)
    expect(result.errors).toEqual([])
  })

  test(`${title}: many messages at once come in order`, async ({ stage }) => {
    const result = await stage.page.evaluate(sides => window.wire.flood(sides, 2000), sides(stage, { serialization: 'binary', reliable: true }))
    expect(result).toEqual({ inOrder: true, buffered: 0, errors: [] })
  })

  test(`${title}: both ends know label, metadata, serialization and reliable`, async ({ stage }) => {
    for (const options of [{ label: 'chat', metadata: { a: [1] }, serialization: 'json', reliable: true }, { label: 'x' }]) {
      const protocol = { protocol: 'peerjs' }
      const facts = { serialization: 'binary', reliable: false, open: true, ...options }
      expect(await stage.page.evaluate(sides => window.wire.know(sides), sides(stage, options))).toEqual([
        { ...facts, ...pair.from === 'peerbridge' && protocol }, { ...facts, ...pair.to === 'peerbridge' && protocol },
      ])
    }
  })

  if (pair.from === 'peerbridge') {
    test(`${title}: of a connection that closes right behind its first messages all come, every time`, async ({ stage }) => {
      for (const serialization of ['binary', 'json', 'MsgPack', 'raw']) {
        // Without last words each takes a second.
        for (let time = 0; time < (serialization === 'raw' ? 3 : 10); time++) {
          const log = await stage.page.evaluate(sides => window.wire.brief(sides), sides(stage, { serialization, reliable: true }))
          expect(log, serialization).toEqual(['data 0', 'data 1', 'data 2', 'data 3', 'data 4', 'close'])
        }
      }
    })
  }

  for (const serialization of ['binary', 'MsgPack', 'raw']) {
    for (const which of ['a', 'b'] as const) {
      test(`${title}: what was sent before ${which === 'a' ? 'the first' : 'the other'} one closes a ${serialization} connection comes, then both are closed`, async ({ stage }) => {
        // PeerJS flushes by a message of its own, which its raw connections would send as a string.
        const closer = which === 'a' ? pair.from : pair.to
        const flush = closer === 'peerbridge' || serialization === 'binary'
        const { log, errors } = await stage.page.evaluate(
          ([sides, which, flush]) => window.wire.close(sides, which, flush),
          [sides(stage, { serialization, reliable: true }), which, flush] as const)
        expect(log).toEqual(['data first', 'data 100000', 'data last', 'close'])
        expect(errors).toEqual([])
      })
    }
  }
}
