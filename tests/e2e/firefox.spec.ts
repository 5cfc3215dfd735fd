/** Firefox as Debian has it, which Playwright cannot drive: two pages of it, and one of it with one of Chromium. */
import type { DataConnection, MediaConnection } from '../../js/index.js'
import { launchFirefox } from '../reach/lab/browser.mjs'
import { expect, person, test as base, type Site } from './site.js'

declare global {
  interface Window { conn: DataConnection, call: MediaConnection, echoed: number, received: Promise<Blob | void> }
}

type Firefox = Awaited<ReturnType<typeof launchFirefox>>

/** A page of Firefox with a peer on it. */
class FirefoxPage {
  readonly #page: Awaited<ReturnType<Firefox['open']>>

  private constructor(page: Awaited<ReturnType<Firefox['open']>>) {
    this.#page = page
  }

  static async open(firefox: Firefox, site: Site, id: string): Promise<FirefoxPage> {
    const page = new FirefoxPage(await firefox.open(site.url))
    await page.evaluate(async (id) => {
      const { Peer } = await import(new URL('/index.js', location.href).href) as { Peer: typeof window.Peer }
      const peer = window.peer = new Peer(id, { host: location.hostname, port: Number(location.port), path: '/signal', config: { iceServers: [] } })
      window.arrived = []
      peer.on('connection', (conn) => {
        window.conn = conn
        conn.on('data', data => window.arrived.push(data))
        conn.on('transfer', (transfer) => { window.received = transfer.accept() })
        conn.onRequest(question => question)
      })
      peer.on('call', call => window.call = call)
      await peer.ready
    }, id)
    return page
  }

  /** Runs it in the page; what goes in and comes out is JSON. */
  evaluate<Args extends unknown[], Result>(what: (...args: Args) => Result, ...args: Args): Promise<Awaited<Result>> {
    return this.#page.evaluate(String(what), ...args) as Promise<Awaited<Result>>
  }
}

const test = base.extend<{ firefox: Firefox }>({
  firefox: async ({ site }, use) => {
    const firefox = await launchFirefox({ origin: site.url })
    await use(firefox)
    await firefox.close()
  },
})

test('two pages of Firefox send a file, messages and requests, each thousands of steps', async ({ firefox, site }) => {
  const ada = await FirefoxPage.open(firefox, site, 'ada')
  const bob = await FirefoxPage.open(firefox, site, 'bob')
  const size = 96 * 2 ** 20
  const messages = 3000
  const sent = await ada.evaluate(async (size, messages) => {
    const conn = window.conn = window.peer.connect('bob')!
    await new Promise<void>((resolve, reject) => {
      conn.on('open', resolve)
      conn.on('error', reject)
    })
    const transfer = conn.sendFile(new File([new Uint8Array(size).map((_, i) => i >> 8)], 'numbers'))
    for (let i = 0; i < messages; i++) await conn.send(i)
    for (let i = 0; i < messages; i++) if (await conn.request(i) !== i) throw new Error(`another answer than ${i}`)
    await transfer.done
    await conn.delivered()
    return transfer.digest
  }, size, messages)
  const [length, digest, arrived] = await bob.evaluate(async () => {
    const file = await window.received as File
    return [file.size, new Uint8Array(await file.arrayBuffer()).every((byte, i) => byte === ((i >> 8) & 255)), window.arrived] as const
  })
  expect([length, digest, sent?.length]).toEqual([size, true, 64])
  expect(arrived).toEqual(Array.from({ length: messages }, (_, i) => i))
})

test('Firefox and Chromium talk, and see and hear each other', async ({ browser, firefox, site }) => {
  const ada = await FirefoxPage.open(firefox, site, 'ada')
  const bob = await person(browser, site, 'bob')
  await ada.evaluate(async () => {
    const conn = window.conn = window.peer.connect('bob')!
    conn.on('data', data => window.arrived.push(data))
    await new Promise<void>((resolve, reject) => {
      conn.on('open', resolve)
      conn.on('error', reject)
    })
    await conn.send({ hello: new Date(0), from: 'Firefox' })
    await conn.delivered()
  })
  expect(await bob.evaluate(() => window.arrived)).toEqual([{ hello: new Date(0), from: 'Firefox' }])

  // Each shows itself, and gets what the other one shows.
  await bob.evaluate(async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true })
    window.peer.on('call', (call) => {
      window.call = call
      call.answer(stream)
    })
  })
  await ada.evaluate(async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true })
    window.call = window.peer.call('bob', stream)!
  })
  const shown = async (): Promise<boolean> => {
    const call = window.call as MediaConnection | undefined
    const kinds = new Set<string>()
    const { report } = await call?.stats() ?? {}
    report?.forEach((stat: { type: string, kind: string, framesDecoded?: number, packetsReceived?: number }) => {
      // Chromium decodes no sound that nobody plays.
      if (stat.type === 'inbound-rtp' && (stat.kind === 'video' ? stat.framesDecoded : stat.packetsReceived)) kinds.add(stat.kind)
    })
    return kinds.has('audio') && kinds.has('video')
  }
  const known = async (): Promise<object> => {
    const call = window.call as MediaConnection | undefined
    const { report } = await call?.stats() ?? {}
    const rtp: object[] = []
    report?.forEach((stat: { type: string }) => { if (/bound-rtp|media-source/.test(stat.type)) rtp.push(stat) })
    const tracks = call?.localStream?.getTracks().map(({ kind, readyState, muted }) => ({ kind, readyState, muted }))
    return { open: call?.open, state: call?.state, tracks, rtp }
  }
  for (const isShown of [() => bob.evaluate(shown), () => ada.evaluate(shown)]) {
    await expect.poll(isShown).toBe(true).catch(async (error: Error) => {
      throw new Error(`${error.message}\nada: ${JSON.stringify(await ada.evaluate(known))}\nbob: ${JSON.stringify(await bob.evaluate(known))}`)
    })
  }

  await bob.evaluate(() => window.call.close())
  await expect.poll(() => ada.evaluate(() => window.call.open)).toBe(false)})
