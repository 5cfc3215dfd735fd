/** Files that are kept on disk while they come: two real pages, either of which is reloaded in the middle. */
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import type { BrowserContext, Page } from '@playwright/test'
import { build } from 'esbuild'
import type * as Library from '../../js/index.js'

const root = join(import.meta.dirname, '../..')
const size = 40_000_000

interface Received { from: number, type: string, size: number, sha256: string, checked: boolean }

declare global {
  interface Window {
    peer: Library.Peer
    transfer: Library.Transfer | undefined
    /** Sends the file of that seed to bob. */
    send(seed: number): Promise<Library.Transfer>
    sha256(blob: Blob): Promise<string>
    file(seed: number): File
    /** Accepts the next file, and pauses it when so many bytes came. */
    take(pauseAt?: number): Promise<Received>
    /** The parts on disk. */
    kept(): Promise<string[]>
  }
}

async function serve(context: BrowserContext): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'js/index.ts')], bundle: true, splitting: true, write: false, format: 'esm', outdir: '/',
    entryNames: 'library', target: 'es2022', absWorkingDir: root,
  })
  const files = new Map(outputFiles.map(({ path, text }) => [path.slice(path.lastIndexOf('/') + 1), text]))
  await context.route('https://page.test/**', (route) => {
    const script = files.get(new URL(route.request().url()).pathname.slice(1))
    return route.fulfill(script === undefined
      ? { contentType: 'text/html', body: '<!doctype html>' }
      : { contentType: 'text/javascript', body: script })
  })
}

/** The page of this peer, loaded for the first time or again. */
async function load(page: Page, id: string): Promise<void> {
  await page.goto('https://page.test/')
  await page.evaluate(async ({ id, size }) => {
    const library = await import('/library.js' as string) as typeof Library
    const wire = new BroadcastChannel('signaling')
    const signaling: Library.SignalingTransport = {
      name: 'pages',
      connect(id, _token, handlers) {
        wire.onmessage = ({ data }: MessageEvent<{ dst: string, text: string }>) => {
          if (data.dst === id) handlers.message(data.text)
        }
        setTimeout(() => {
          handlers.opened()
          handlers.message('{"type":"OPEN"}')
        })
        return {
          send(text) {
            const message = JSON.parse(text) as { dst?: string }
            if (message.dst) wire.postMessage({ dst: message.dst, text: JSON.stringify({ ...message, src: id }) })
          },
          close() {},
        }
      },
    }
    window.sha256 = async (blob) => {
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
      return [...hash].map(byte => byte.toString(16).padStart(2, '0')).join('')
    }
    window.file = (seed) => {
      const words = new Uint32Array(size / 4)
      let state = seed
      for (let i = 0; i < words.length; i++) words[i] = state = Math.imul(state, 1664525) + 1013904223
      return new File([words], `film ${seed}.bin`, { lastModified: 1_700_000_000_000, type: 'video/x-test' })
    }
    const peer = window.peer = new library.Peer(id, { signaling, config: { iceServers: [] } })
    await peer.ready
    window.send = async (seed) => {
      const connection = peer.connect('bob')!
      await new Promise<void>(resolve => connection.on('open', resolve))
      return window.transfer = connection.sendFile(window.file(seed))
    }
    window.take = pauseAt => new Promise<Received>((resolve) => {
      peer.once('connection', connection => connection.once('transfer', (transfer) => {
        window.transfer = transfer
        let from = -1
        transfer.on('state', (state) => { if (from < 0 && state === 'active') from = transfer.bytes })
        transfer.on('progress', () => { if (transfer.bytes >= pauseAt!) transfer.pause() })
        transfer.accept({ keep: true }).then(
          async (file) => {
            const { type, size } = file!
            resolve({ from, type, size, sha256: await window.sha256(file!), checked: !!transfer.digest })
          },
          (error: Library.PeerError) => resolve({ from, type: error.type, size: 0, sha256: '', checked: false }),
        )
      }))
    })
    window.kept = async () => {
      const names: string[] = []
      const top = await (await navigator.storage.getDirectory()).getDirectoryHandle('peerbridge', { create: true })
      for await (const directory of top.values() as AsyncIterable<FileSystemDirectoryHandle>) {
        try {
          for await (const name of directory.keys()) names.push(name)
        }
        catch { // it is being deleted
        }
      }
      return names
    }
  }, { id, size })
}

/** As window.take(), which listens once this resolves. */
async function taking(page: Page, pauseAt?: number): Promise<() => Promise<Received>> {
  const taken = await page.evaluateHandle(at => ({ file: window.take(at) }), pauseAt)
  return () => taken.evaluate(({ file }) => file)
}

for (const who of ['receiver', 'sender'] as const) {
  test(`a kept file goes on where it stopped when the page of the ${who} is reloaded in the middle`, async ({ context }) => {
    await serve(context)
    const ada = await context.newPage()
    const bob = await context.newPage()
    await load(ada, 'ada')
    await load(bob, 'bob')
    const first = await taking(bob, 20_000_000)
    await ada.evaluate(async () => { await window.send(7) })
    await bob.waitForFunction(() => window.transfer?.state === 'paused')
    // A part is named after where it begins: all before it is safe.
    let safe = 0
    await expect.poll(async () => {
      const offsets = (await bob.evaluate(() => window.kept())).filter(name => /^\d+$/.test(name))
      return safe = Math.max(0, ...offsets.map(Number))
    }).toBeGreaterThan(0)
    if (who === 'receiver') {
      await load(bob, 'bob')
    }
    else {
      await load(ada, 'ada')
      expect(await first()).toMatchObject({ type: 'connection-closed' })
    }
    const again = await taking(bob)
    const sent = await ada.evaluate(async () => {
      const transfer = await window.send(7)
      await transfer.done
      return { sha256: await window.sha256(window.file(7)), digest: transfer.digest }
    })
    const received = await again()
    expect(received).toMatchObject({ type: 'video/x-test', size, sha256: sent.sha256, checked: true })
    expect(received.from).toBeGreaterThanOrEqual(safe)
    expect(sent.digest).toMatch(/^[0-9a-f]{64}$/)
    await bob.evaluate(() => window.transfer!.forget())
    await expect.poll(() => bob.evaluate(() => window.kept())).toEqual([])
  })
}

test('a kept file that is cancelled leaves nothing behind, and one for which there is no room goes on later', async ({ context }) => {
  await serve(context)
  const ada = await context.newPage()
  const bob = await context.newPage()
  await load(ada, 'ada')
  await load(bob, 'bob')
  const cancelled = await taking(bob, 20_000_000)
  await ada.evaluate(async () => { await window.send(1) })
  await bob.waitForFunction(() => window.transfer?.state === 'paused')
  await ada.evaluate(() => window.transfer!.cancel())
  expect(await cancelled()).toMatchObject({ type: 'cancelled' })
  await expect.poll(() => bob.evaluate(() => window.kept())).toEqual([])

  // Nobody told the first connection that its page is gone: it would not be.
  const left = await taking(bob, 20_000_000)
  await ada.evaluate(async () => { await window.send(3) })
  await bob.waitForFunction(() => window.transfer?.state === 'paused')
  const taken = await taking(bob)
  await ada.evaluate(async () => { await (await window.send(3)).done })
  expect(await left()).toMatchObject({ type: 'connection-lost' })
  expect((await taken()).from).toBeGreaterThan(15_000_000)
  await bob.evaluate(() => window.transfer!.forget())

  await load(ada, 'ada')
  // The disk takes a part and a bit.
  await bob.evaluate((most) => {
    const { write } = FileSystemWritableFileStream.prototype
    let written = 0
    FileSystemWritableFileStream.prototype.write = function (chunk) {
      written += (chunk as Blob).size
      if (written <= most) return write.call(this, chunk)
      FileSystemWritableFileStream.prototype.write = write
      return Promise.reject(new DOMException('full', 'QuotaExceededError'))
    }
  }, 20_000_000)
  const full = await taking(bob)
  const told = await ada.evaluate(async () => (await window.send(2)).done.catch((error: Library.PeerError) => error.message))
  expect(await full()).toMatchObject({ type: 'quota-exceeded' })
  expect(told).toContain('no room')
  await load(ada, 'ada')
  const again = await taking(bob)
  await ada.evaluate(async () => { await (await window.send(2)).done })
  const received = await again()
  expect(received).toMatchObject({ size, checked: true })
  expect(received.from).toBeGreaterThan(0)
})
