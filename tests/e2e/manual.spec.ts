/** Signaling without a server in a real browser: two codes, a BroadcastChannel, a bus of the application's own. */
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import type { BrowserContext, Page } from '@playwright/test'
import { build } from 'esbuild'
import type * as Peerbridge from '../../js/index.js'

const root = join(import.meta.dirname, '../..')

declare global {
  interface Window {
    pb: typeof Peerbridge
    by: Peerbridge.ManualTransport
    mine: Peerbridge.Peer
    /** The first connection. */
    conn: Peerbridge.DataConnection
    call: Peerbridge.MediaConnection
    said: unknown[]
    descriptions: string[]
  }
}

/** The package as an application's bundler makes it, and nothing else: no other request gets anywhere. */
async function alone(context: BrowserContext): Promise<string[]> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'dist/index.js')], bundle: true, splitting: true, format: 'esm', write: false, outdir: '/', target: 'es2022', external: ['vue'],
  })
  const files = new Map(outputFiles.map(({ path, text }) => [path, text]))
  const strangers: string[] = []
  await context.route('**/*', (route) => {
    const { host, pathname, href } = new URL(route.request().url())
    const body = files.get(pathname)
    if (host === 'page.test' && body !== undefined) return route.fulfill({ contentType: 'text/javascript', body })
    if (host === 'page.test' && pathname === '/') {
      return route.fulfill({ contentType: 'text/html', body: '<!doctype html><script type="module">import * as pb from "/index.js"; window.pb = pb</script>' })
    }
    if (!pathname.endsWith('favicon.ico')) strangers.push(href)
    return route.abort()
  })
  context.on('page', page => page.on('websocket', socket => strangers.push(socket.url())))
  return strangers
}

async function open(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  await page.goto('https://page.test/')
  await page.waitForFunction(() => !!window.pb)
  return page
}

/** A peer whose signals people carry. */
async function person(context: BrowserContext): Promise<Page> {
  const page = await open(context)
  await page.evaluate(() => {
    window.by = window.pb.manual()
    window.said = []
    window.descriptions = []
    const Native = RTCPeerConnection
    window.RTCPeerConnection = class extends Native {
      override setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
        window.descriptions.push(description.sdp!)
        return super.setRemoteDescription(description)
      }
    }
    const peer = window.mine = new window.pb.Peer({ signaling: window.by, config: { iceServers: [] } })
    peer.on('connection', (conn) => {
      window.conn ??= conn
      conn.on('data', data => window.said.push(data))
    })
  })
  return page
}

const invite = (page: Page): Promise<string> => page.evaluate(() => window.by.invite())
const answer = (page: Page, code: string): Promise<string> => page.evaluate(code => window.by.answer(code), code)
const accept = (page: Page, code: string): Promise<void> => page.evaluate(async (code) => { await window.by.accept(code) }, code)
const candidates = (sdp: string): number => sdp.match(/^a=candidate:/gm)?.length ?? 0

async function talk(from: Page, to: Page, text: string): Promise<void> {
  await from.evaluate(async (text) => {
    await window.conn.send(text)
    await window.conn.delivered()
  }, text)
  await to.waitForFunction(text => window.said.includes(text), text)
}

/** Waits until the other side's picture and sound of the call are here: frames that were decoded, and samples that are not silent. */
async function seenAndHeard(page: Page): Promise<void> {
  await page.waitForFunction(() => window.call.remoteStream?.getTracks().length === 2)
  await page.evaluate(async () => {
    // Only what is played is decoded.
    const video = document.body.appendChild(document.createElement('video'))
    video.srcObject = window.call.remoteStream
    await video.play()
  })
  await page.waitForFunction(async () => {
    const { report } = await window.call.stats()
    const inbound = [...report!.values()].filter(({ type }) => type === 'inbound-rtp')
    return inbound.some(({ framesDecoded }) => framesDecoded > 5) && inbound.some(({ totalAudioEnergy }) => totalAudioEnergy > 0)
  })
}

async function connect(ada: Page, bob: Page): Promise<{ invitation: string, answered: string }> {
  const invitation = await invite(ada)
  const answered = await answer(bob, invitation)
  await accept(ada, answered)
  await bob.waitForFunction(() => window.conn.open)
  return { invitation, answered }
}

test('two pages connect by two codes, with no server, in at most 180 characters for two candidates', async ({ browser }) => {
  const contexts = [await browser.newContext(), await browser.newContext()] as const
  const strangers = (await Promise.all(contexts.map(alone))).flat()
  const [ada, bob] = [await person(contexts[0]), await person(contexts[1])]
  const { invitation, answered } = await connect(ada, bob)
  await talk(ada, bob, 'hello bob')
  await talk(bob, ada, 'hello ada')

  const [offer, reply] = [await bob.evaluate(() => window.descriptions[0]!), await ada.evaluate(() => window.descriptions[0]!)]
  for (const [code, sdp] of [[invitation, offer], [answered, reply]] as const) {
    test.info().annotations.push({ type: 'code', description: `${code.length} characters, ${candidates(sdp)} candidates: ${code}` })
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]+$/)
    expect(candidates(sdp)).toBeGreaterThan(0)
    // Machines with more addresses than two have longer codes: an address is at most 32 characters.
    expect(code.length).toBeLessThanOrEqual(180 + 32 * Math.max(0, candidates(sdp) - 2))
  }
  expect(strangers).toEqual([])
  for (const context of contexts) await context.close()
})

test('a connection that was made by hand signals calls, further connections and an ICE restart through itself', async ({ context }) => {
  const strangers = await alone(context)
  await context.grantPermissions(['camera', 'microphone'], { origin: 'https://page.test' })
  const [ada, bob] = [await person(context), await person(context)]
  await connect(ada, bob)
  await bob.evaluate(() => void window.mine.on('call', async (call) => {
    window.call = call
    call.answer(await navigator.mediaDevices.getUserMedia({ audio: true, video: true }))
  }))
  await ada.evaluate(async () => {
    const call = window.call = window.mine.call(window.conn.peer, await navigator.mediaDevices.getUserMedia({ audio: true, video: true }))
    await new Promise<void>((resolve, reject) => {
      call.on('error', reject)
      // What the event says holds for whoever looks.
      call.on('state', () => { if (call.open) resolve() })
    })
  })
  for (const page of [ada, bob]) await seenAndHeard(page)
  await bob.evaluate(async () => {
    const second = window.mine.connect(window.conn.peer)
    await new Promise<void>((resolve, reject) => {
      second.on('open', resolve)
      second.on('error', reject)
    })
  })
  // Its description of the other side is now a real one, in the place of what was made of a code.
  await ada.evaluate(() => window.conn.peerConnection.restartIce())
  await bob.waitForFunction(() => {
    const ufrags = window.descriptions.map(sdp => /a=ice-ufrag:(\S+)/.exec(sdp)![1])
    return /a=ice-ufrag:(\S+)/.exec(window.conn.peerConnection.remoteDescription?.sdp ?? '')?.[1] !== ufrags[0]
  })
  await talk(ada, bob, 'after the restart')
  expect(await ada.evaluate(() => window.conn.state)).toBe('open')
  expect(strangers).toEqual([])
})

test('a code with a mistake is refused with the place of it, and the right one is taken afterwards', async ({ context }) => {
  await alone(context)
  const [ada, bob] = [await person(context), await person(context)]
  const invitation = await invite(ada)
  const wrong = `${invitation.slice(0, 40)}${invitation[40] === '2' ? '3' : '2'}${invitation.slice(41)}`
  const error = await bob.evaluate(code => window.by.answer(code).then(
    () => null,
    ({ type, message }: Peerbridge.PeerError) => ({ type, message }),
  ), wrong)
  expect(error?.type).toBe('bad-signal')
  expect(error?.message).toContain('characters 33 to 48')
  await accept(ada, await answer(bob, invitation))
})

test('two tabs of one browser connect over a BroadcastChannel, and a tab that is closed leaves', async ({ context }) => {
  const strangers = await alone(context)
  const start = async (id: string): Promise<Page> => {
    const page = await open(context)
    await page.evaluate(async (id) => {
      window.said = []
      const peer = window.mine = new window.pb.Peer(id, { signaling: window.pb.broadcastChannel(), config: { iceServers: [] } })
      peer.on('connection', (conn) => {
        window.conn = conn
        conn.on('data', data => window.said.push(data))
      })
      await peer.ready
    }, id)
    return page
  }
  const [ada, bob] = [await start('ada'), await start('bob')]
  const taken = await open(context)
  const problem = await taken.evaluate(() => new Promise((resolve) => {
    const peer = new window.pb.Peer('ada', { signaling: window.pb.broadcastChannel() })
    peer.on('error', ({ type }) => resolve(type))
  }))
  expect(problem).toBe('unavailable-id')
  const connecting = (page: Page, to: string): Promise<string> => page.evaluate(to => new Promise<string>((resolve) => {
    const conn = window.conn = window.mine.connect(to)
    conn.on('open', () => resolve('open'))
    window.mine.once('error', ({ type }) => resolve(type))
  }), to)
  expect(await connecting(ada, 'bob')).toBe('open')
  await talk(ada, bob, 'hello bob')
  await Promise.all([bob.waitForEvent('close'), bob.close({ runBeforeUnload: true })])
  expect(await connecting(ada, 'bob')).toBe('peer-unavailable')
  // And the id is free again.
  await start('bob')
  expect(await connecting(ada, 'bob')).toBe('open')
  expect(strangers).toEqual([])
})

test('two peers connect over a bus of the application\'s own', async ({ context }) => {
  const strangers = await alone(context)
  const page = await open(context)
  expect(await page.evaluate(async () => {
    const bus = new EventTarget()
    const way = (): Peerbridge.SignalingTransport => window.pb.custom({
      send: (to, message) => void bus.dispatchEvent(new CustomEvent(to, { detail: JSON.stringify(message) })),
      onMessage: (id, receive) => {
        const listener = (event: Event): void => receive((event as CustomEvent<string>).detail)
        bus.addEventListener(id, listener)
        return () => bus.removeEventListener(id, listener)
      },
    })
    const [a, b] = ['ada', 'bob'].map(id => new window.pb.Peer(id, { signaling: way(), config: { iceServers: [] } })) as [Peerbridge.Peer, Peerbridge.Peer]
    await Promise.all([a.ready, b.ready])
    const heard = new Promise(resolve => b.on('connection', conn => conn.on('data', resolve)))
    const conn = a.connect('bob')
    conn.on('open', () => void conn.send('hello bob'))
    return heard
  })).toBe('hello bob')
  expect(strangers).toEqual([])
})
