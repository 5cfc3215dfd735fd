// What users of PeerJS complain about, thread by thread, with the real core, the real hub and a network that can be cut.
// B1 to B7 are bugs of PeerJS 1.5 that were confirmed by running it.
//
// Threads that belong elsewhere:
// - values, large messages, order: peers/peerjs#134, #289, #291, #234, #746, #1254, binaryjs/js-binarypack#10
// - progress and completion of transfers: peers/peerjs#47, #815, PR#1143, peerjs-server#428
// - several channels on one connection: peers/peerjs#25, #162
// - peers in Node: peers/peerjs#606, #1066, PR#928
// - reach and its diagnostics (TURN): peers/peerjs#1193, #379, #824; that such a connection ends at all is tested here
// - identity, tokens and admission at the server: peers/peerjs#23, #26, peerjs-server#240, #15
// - several instances of the server: peerjs-server#176, #257, #34, #281, PR#195
// - frames that crash the server: peerjs-server#112, #290 (tests/server/hub.test.ts, "bad input"); the client's side is here
// - bundlers and server rendering: peers/peerjs#866, #819, #641, PR#1202, #1271 (tests/package, tests/nuxt, tests/js/vue/ssr.test.ts)
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type DataConnection, type MediaConnection, Peer, type PeerError, type PeerOptions } from '../../js/index.js'
import type { Emitter } from '../../js/events.js'
import type { Hub } from '../../js/server/hub.js'
import type { RoughPeerConnection} from './network.js'
import { hub, Network, StockServer } from './network.js'

let net: Network
let peers: Peer[]

beforeAll(() => Network.prepare())

beforeEach(() => {
  peers = []
  net = new Network()
})

afterEach(async () => {
  for (const peer of peers) peer.destroy()
  await net.pass(10_000)
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

type Noisy = Peer | DataConnection | MediaConnection

/** A peer in a browser of that name. */
function make(name: string, options: PeerOptions = {}): Peer {
  const peer = new Peer(name, { signaling: net.transport(name), config: { owner: name } as RTCConfiguration, ...options })
  peers.push(peer)
  return peer
}

/** Everything that it emits, in order: the name, and the type of an error or the new state. */
function record(of: Noisy): string[] {
  const log: string[] = []
  const emitter = of as unknown as Emitter<Record<string, (value?: unknown) => void>>
  for (const name of ['open', 'close', 'disconnected', 'state', 'error', 'stream']) {
    emitter.on(name, (value) => {
      log.push(name === 'error' ? `error ${(value as PeerError).type}` : name === 'state' ? `state ${String(value)}` : name)
    })
  }
  return log
}

const incoming = (at: Peer): { connections: DataConnection[], calls: MediaConnection[] } => {
  const seen = { connections: [] as DataConnection[], calls: [] as MediaConnection[] }
  at.on('connection', connection => seen.connections.push(connection))
  at.on('call', call => seen.calls.push(call))
  return seen
}

const listed = (peer: Peer) => Object.values(peer.connections).flat()

/** Ada is connected to Bob. */
async function connected(options: PeerOptions = {}) {
  const [a, b] = [make('ada', options), make('bob', options)]
  const seen = incoming(b)
  await net.until(() => b.open && a.open)
  const ab = a.connect('bob')!
  await net.until(() => ab.open && seen.connections[0]?.open)
  return { a, b, ab, ba: seen.connections[0]! }
}

const track = (kind: string): MediaStreamTrack => ({ kind, enabled: true, id: `${kind}${Math.random()}` }) as MediaStreamTrack
const stream = (...tracks: MediaStreamTrack[]): MediaStream => ({ id: `s${Math.random()}`, getTracks: () => tracks }) as unknown as MediaStream

/** Ada calls Bob, who sees it ring. */
async function ringing() {
  const [a, b] = [make('ada'), make('bob')]
  const seen = incoming(b)
  await net.until(() => b.open && a.open)
  const [camera, microphone] = [track('video'), track('audio')]
  const call = a.call('bob', stream(camera, microphone))!
  const logs = { a: record(call), b: [] as string[] }
  await net.until(() => seen.calls[0])
  logs.b = record(seen.calls[0]!)
  return { a, b, call, theirs: seen.calls[0]!, camera, microphone, logs }
}

/** Bob took the call. */
async function talking() {
  const world = await ringing()
  world.theirs.answer(stream(track('video'), track('audio')))
  await net.until(() => world.call.open && world.theirs.open && world.logs.a.includes('stream') && world.logs.b.includes('stream'))
  // Its channel, through which either side notices that the other is gone.
  await net.until(() => net.pcs.every(pc => pc.channels[0]?.readyState === 'open'))
  return world
}

describe('connecting', () => {
  it.each(['ada', undefined])('peers/peerjs#652, #864, #55, B1: connect() before the peer is open waits for the server (id %s)', async (id) => {
    const b = make('bob')
    await net.until(() => b.open)
    const a = new Peer(id!, { signaling: net.transport('ada'), config: { owner: 'ada' } as RTCConfiguration })
    peers.push(a)
    const conn = a.connect('bob')!
    const call = a.call('bob', stream(track('audio')))!
    expect(a.open).toBe(false)
    b.on('call', call => call.answer())
    await net.until(() => conn.open && call.open, 2000)
  })

  it('peers/peerjs#652, B1: connect() while there is no server yet waits for it', async () => {
    net.serverUp = false
    const [a, b] = [make('ada'), make('bob')]
    const conn = a.connect('bob')!
    await net.pass(5000)
    net.serverUp = true
    await net.until(() => conn.open, 20_000)
    expect(b.open).toBe(true)
  })

  it('peers/peerjs#924, #566, #626, peerjs-server#467, B2: a peer that is not there is an error of the connection, which closes', async () => {
    const a = make('ada')
    await net.until(() => a.open)
    const onPeer = record(a)
    const conn = a.connect('nobody')!
    const log = record(conn)
    let message = ''
    conn.on('error', (error) => { message = error.message })
    await net.until(() => net.heard.some(({ text }) => text.includes('EXPIRE')))
    const took = await net.until(() => log.includes('close'))
    expect(took).toBeLessThan(1000)
    expect(log).toEqual(['error peer-unavailable', 'state closed', 'close'])
    expect(message).toContain('nobody')
    expect(onPeer).toContain('error peer-unavailable')
    expect(listed(a)).toEqual([])
    expect(net.pcs.every(pc => pc.closed)).toBe(true)
  })

  it('peers/peerjs#924: a call to a peer that is not there ends in the same way', async () => {
    const a = make('ada')
    await net.until(() => a.open)
    const log = record(a.call('nobody', stream(track('audio')))!)
    await net.until(() => log.includes('close'), 7000)
    expect(log).toEqual(['error peer-unavailable', 'state closed', 'close'])
  })

  it('peers/peerjs#1193, #379, #824: two peers between whom there is no path learn that, and what would help', async () => {
    net.pathless = true
    const [a, b] = [make('ada'), make('bob')]
    const seen = incoming(b)
    await net.until(() => a.open && b.open)
    const conn = a.connect('bob')!
    const logs = [record(conn)]
    let advice = ''
    conn.on('error', (error) => { advice = error.message })
    await net.until(() => seen.connections[0])
    logs.push(record(seen.connections[0]!))
    await net.until(() => logs.every(log => log.includes('close')), 40_000)
    for (const log of logs) expect(log[0]).toMatch(/^error (negotiation-failed|timeout)$/)
    expect(advice).toContain('TURN')
    expect(listed(a)).toEqual([])
    expect(listed(b)).toEqual([])
  })

  it('glare: two peers that connect to each other in the same moment get both connections', async () => {
    const [a, b] = [make('ada'), make('bob')]
    const [atA, atB] = [incoming(a), incoming(b)]
    await net.until(() => a.open && b.open)
    const [ab, ba] = [a.connect('bob')!, b.connect('ada')!]
    await net.until(() => ab.open && ba.open && atA.connections[0]?.open && atB.connections[0]?.open, 2000)
  })
})

describe('the signaling server', () => {
  /** The network of Ada is away for a while, and her sockets with it: nobody is told. */
  async function dropout(ms: number): Promise<void> {
    net.lose('ada')
    await net.pass(ms)
    net.find('ada')
  }

  it.each([
    ['PeerServer, which says nothing to a client that comes back', () => new StockServer()],
    ['our own server', hub],
  ])('peers/peerjs#1289, peerjs-server PR#462, B3: reconnect() after lost Wi-Fi always ends in open (%s)', async (_, server) => {
    net.server = server()
    const a = make('ada', { autoReconnect: false })
    await net.until(() => a.open)
    const log = record(a)
    await dropout(10_000)
    await net.until(() => log.includes('disconnected'), 30_000)
    expect(a.open).toBe(false)
    a.reconnect()
    await net.until(() => a.open, 5000)
    expect(log.slice(-1)).toEqual(['open'])
    expect(a).toMatchObject({ id: 'ada', disconnected: false })
  })

  it('peers/peerjs#1289: reconnect() to a server that is not there always ends in an error', async () => {
    const a = make('ada', { autoReconnect: false })
    await net.until(() => a.open)
    net.stopServer()
    await net.until(() => a.disconnected)
    for (let attempt = 0; attempt < 3; attempt++) {
      const log = record(a)
      a.reconnect()
      await net.until(() => log.includes('disconnected'), 20_000)
      expect(log).toContain('error network')
      a.removeAllListeners()
    }
  })

  it('peers/peerjs#1156, #1162, #650: a peer comes back by itself, under its id, as often as the server goes', async () => {
    const { a, b } = await connected()
    for (let time = 0; time < 3; time++) {
      const log = record(a)
      net.stopServer()
      await net.until(() => a.disconnected)
      expect(a.state).toBe('reconnecting')
      await net.pass(20_000)
      net.startServer()
      await net.until(() => a.open && b.open, 20_000)
      expect(a.id).toBe('ada')
      expect(log.filter(name => name === 'disconnected' || name === 'open')).toEqual(['disconnected', 'open'])
      a.removeAllListeners()
    }
    const conn = a.connect('bob')!
    await net.until(() => conn.open, 2000)
  })

  it.each([
    ['PeerServer', () => new StockServer()],
    ['our own server', hub],
  ])('peers/peerjs#224, #294: after the own network dropped the id is not taken (%s)', async (_, server) => {
    net.server = server()
    const a = make('ada')
    await net.until(() => a.open)
    const log = record(a)
    await dropout(10_000)
    await net.until(() => log.includes('open'), 30_000)
    expect(log).not.toContain('error unavailable-id')
    expect(a).toMatchObject({ id: 'ada', open: true })
  })

  it('peers/peerjs#704, #838: a hidden tab whose timers come once a minute stays registered', async () => {
    // As Chromium does after five minutes; workers are spared.
    const punctual = globalThis.setTimeout
    const page = Object.assign(new EventTarget(), { hidden: false })
    const minute = 60_000
    vi.stubGlobal('document', page)
    vi.stubGlobal('Worker', class {
      onmessage: ((event: { data: number }) => void) | null = null
      #timer: ReturnType<typeof setTimeout> | undefined
      postMessage([number, delay]: [number, number]): void {
        clearTimeout(this.#timer)
        if (delay >= 0) this.#timer = punctual(() => this.onmessage?.({ data: number }), delay)
      }

      terminate(): void { clearTimeout(this.#timer) }
    })
    const a = make('ada')
    await net.until(() => a.open)
    const log = record(a)
    page.hidden = true
    vi.stubGlobal('setTimeout', (call: () => void, delay = 0) =>
      punctual(call, delay < 1000 ? delay : Math.ceil((performance.now() + delay) / minute) * minute - performance.now()))
    page.dispatchEvent(new Event('visibilitychange'))
    await net.pass(15 * minute)
    expect(log).toEqual([])
    expect((net.server as Hub).has('ada')).toBe(true)
  })

  it('peerjs-server#112, #290: whatever a server says, a peer goes on', async () => {
    const { a, ab, ba } = await connected()
    const log = [...[a, ab].map(record)]
    const got: unknown[] = []
    ba.on('data', value => got.push(value))
    const link = [...(net.sockets.get('ada') ?? [])][0]!
    const say = (text: string): void => (link.session as unknown as { link: { send(text: string): void } }).link.send(text)
    for (const text of ['', 'null', '[]', '{', '{"type":"OFFER"}', '{"type":"OFFER","src":"bob","payload":{"connectionId":{},"sdp":1}}',
      '{"type":"CANDIDATE","src":"bob","payload":null}', '{"type":"ANSWER","src":"eve","payload":{"connectionId":"x","sdp":{"type":"answer","sdp":""}}}',
      `${'['.repeat(10_000)}`, '{"type":"WHO KNOWS","payload":7}']) say(text)
    await net.pass(1000)
    void ab.send('still here')
    await net.until(() => got.length)
    expect(got).toEqual(['still here'])
    expect(log.flat()).toEqual([])
  })
})

describe('a connection whose path breaks', () => {
  it.each([6, 12, 20, 45, 55])('peers/peerjs#1156, #1162, #650: comes back after %i s, with every message once and in order', async (seconds) => {
    const { a, ab, ba } = await connected()
    const logs = [record(ab), record(ba)]
    const got: [number[], number[]] = [[], []]
    ba.on('data', value => got[0].push(value as number))
    ab.on('data', value => got[1].push(value as number))
    const sent: number[] = []
    const speak = async (ms: number): Promise<void> => {
      for (; ms > 0; ms -= 500) {
        sent.push(sent.length)
        void ab.send(sent.length - 1)
        void ba.send(sent.length - 1)
        await net.pass(500)
      }
    }
    await speak(2000)
    net.lose('ada')
    await speak(seconds * 1000)
    expect([ab.state, ba.state]).toEqual(['recovering', 'recovering'])
    expect(ab.open).toBe(true)
    net.find('ada')
    await net.until(() => ab.state === 'open' && ba.state === 'open' && got.every(values => values.length === sent.length), 10_000)
    expect(got).toEqual([sent, sent])
    expect(a.connections.bob).toHaveLength(1)
    for (const log of logs) {
      expect(log.filter(name => !name.startsWith('state'))).toEqual([])
      expect(log.at(-1)).toBe('state open')
    }
  })

  it('peers/peerjs#769, #1313, #752, #723, #780, #636: a remote browser that is killed is noticed, and the connection closes with the server\'s word', async () => {
    const { ab } = await connected()
    const log = record(ab)
    net.kill('bob')
    expect(await net.until(() => ab.state === 'recovering')).toBeLessThan(5000)
    const from = net.heard.length
    await net.until(() => net.heard.slice(from).some(({ browser, text }) => browser === 'ada' && text.includes('EXPIRE')), 30_000)
    await net.until(() => log.includes('close'), 1000)
    expect(log).toEqual(['state recovering', 'error peer-unavailable', 'state closed', 'close'])
  })

  it('peers/peerjs#769: where no server can say that the other one is gone, the connection closes when its budget is used up', async () => {
    const { ab } = await connected()
    const log = record(ab)
    net.stopServer()
    net.kill('bob')
    const took = await net.until(() => log.includes('close'), 80_000)
    expect(took).toBeGreaterThan(60_000)
    expect(took).toBeLessThan(65_000)
    expect(log).toEqual(['state recovering', 'error connection-lost', 'state closed', 'close'])
  })

  it('peers/peerjs#752: a page that is closed in the ordinary way says so at once', async () => {
    const page = Object.assign(new EventTarget(), { document: new EventTarget() })
    const a = make('ada')
    const seen = incoming(a)
    await net.until(() => a.open)
    vi.stubGlobal('window', page)
    vi.stubGlobal('location', { protocol: 'https:', hostname: 'localhost' })
    const b = make('bob')
    await net.until(() => b.open)
    vi.stubGlobal('window', undefined)
    const ba = b.connect('ada')!
    await net.until(() => ba.open && seen.connections[0]?.open)
    const log = record(seen.connections[0]!)
    page.dispatchEvent(new Event('pagehide'))
    expect(await net.until(() => log.includes('close'), 2000)).toBeLessThan(1000)
    expect(log).toEqual(['state closed', 'close'])
  })

  it('B4: destroy() ends every connection, also four to the same peer, on both sides', async () => {
    const { a, b, ab } = await connected()
    const more = [1, 2, 3].map(() => a.connect('bob')!)
    await net.until(() => more.every(conn => conn.open) && b.connections.ada?.length === 4 && b.connections.ada.every(conn => conn.open))
    const theirs = [...b.connections.ada!]
    const logs = [ab, ...more, ...theirs].map(record)
    a.destroy()
    await net.until(() => logs.every(log => log.includes('close')), 10_000)
    expect(listed(b)).toEqual([])
    await net.until(() => net.pcs.every(pc => pc.closed), 10_000)
  })
})

describe('a call', () => {
  it('peers/peerjs#328, #391, #408, B5: is given up while it rings: both sides get close', async () => {
    const { call, logs, a, b } = await ringing()
    call.close()
    await net.until(() => logs.a.includes('close') && logs.b.includes('close'), 1000)
    expect(logs.b).toEqual(['state closed', 'close'])
    expect([...listed(a), ...listed(b)]).toEqual([])
  })

  it('peers/peerjs#328, #391, #408: is given up before the server knows the caller: nobody is called', async () => {
    const b = make('bob')
    const seen = incoming(b)
    await net.until(() => b.open)
    const a = make('ada')
    const log = record(a.call('bob', stream(track('audio')))!)
    for (const call of Object.values(a.connections).flat()) call.close()
    await net.until(() => log.includes('close'), 2000)
    await net.pass(5000)
    expect(seen.calls.filter(call => call.state !== 'closed')).toEqual([])
  })

  it('peers/peerjs#328, #391, #408: is declined: the caller learns that, by type', async () => {
    const { theirs, logs, a, b } = await ringing()
    theirs.reject()
    await net.until(() => logs.a.includes('close') && logs.b.includes('close'), 1000)
    expect(logs.a).toEqual(['error rejected', 'state closed', 'close'])
    expect([...listed(a), ...listed(b)]).toEqual([])
  })

  it('B7: is ended by the one who took it, at any time', async () => {
    const { theirs, logs } = await talking()
    theirs.close()
    await net.until(() => logs.a.includes('close') && logs.b.includes('close'), 10_000)
    expect(logs.a.filter(name => name.startsWith('error'))).toEqual([])
  })

  it('peers/peerjs#609, #639, #764, #781: shows a stream of sound and picture once', async () => {
    const { call, theirs, logs } = await talking()
    await net.pass(5000)
    for (const log of [logs.a, logs.b]) expect(log.filter(name => name === 'stream')).toHaveLength(1)
    expect(call.remoteStream).toBe(theirs.localStream)
    expect(theirs.remoteStream).toBe(call.localStream)
  })

  it('peers/peerjs#672, #853, #870: changes from camera to screen without negotiating', async () => {
    const { call, camera, logs } = await talking()
    const frames = net.heard.length
    const screen = track('video')
    await call.replaceTrack(camera, screen)
    await net.pass(1000)
    expect((call.peerConnection as unknown as RoughPeerConnection).senders.map(sender => sender.track)).toContain(screen)
    expect(net.heard.slice(frames).filter(({ text }) => text.includes('OFFER'))).toEqual([])
    expect(logs.b.filter(name => name === 'stream')).toHaveLength(1)
  })

  it('peers/peerjs#380, #495, B6: takes a second stream in the middle, whoever shows it, by itself', async () => {
    const { call, theirs, logs } = await talking()
    const screen = track('video')
    call.addTrack(screen, stream(screen))
    await net.until(() => logs.b.filter(name => name === 'stream').length === 2, 2000)
    const slides = track('video')
    theirs.addTrack(slides, stream(slides))
    await net.until(() => logs.a.filter(name => name === 'stream').length === 2, 2000)
    const both = track('audio')
    call.addTrack(both, stream(both))
    theirs.removeTrack(slides)
    await net.until(() => logs.b.filter(name => name === 'stream').length === 3, 2000)
    expect([call.state, theirs.state]).toEqual(['open', 'open'])
  })

  it('peers/peerjs#380, B6: takes a second stream although the application adds the track to the RTCPeerConnection itself', async () => {
    const { call, logs } = await talking()
    const screen = track('video')
    call.peerConnection!.addTrack(screen, stream(screen))
    await net.until(() => logs.b.filter(name => name === 'stream').length === 2, 2000)
  })

  it('peers/peerjs#650, #672: survives another network, with what is shown by then', async () => {
    const { call, theirs, camera, logs } = await talking()
    net.lose('bob')
    await net.until(() => call.state === 'recovering' && theirs.state === 'recovering', 10_000)
    const screen = track('video')
    await call.replaceTrack(camera, screen)
    await net.pass(20_000)
    net.find('bob')
    await net.until(() => call.state === 'open' && theirs.state === 'open', 10_000)
    const senders = (call.peerConnection as unknown as RoughPeerConnection).senders.map(sender => sender.track)
    expect(senders).toContain(screen)
    expect(senders).not.toContain(camera)
    expect(logs.a.concat(logs.b).filter(name => name.startsWith('error') || name === 'close')).toEqual([])
    const more = track('video')
    call.addTrack(more, stream(more))
    const before = logs.b.filter(name => name === 'stream').length
    await net.until(() => logs.b.filter(name => name === 'stream').length > before, 5000)
  })
})

describe('elsewhere', () => {
  it('peers/peerjs#866, #819, #641, #1271: on a server everything can be called and nothing happens', () => {
    vi.stubGlobal('RTCPeerConnection', undefined)
    const peer = new Peer('ada')
    expect(peer.connect('bob')).toBeUndefined()
    expect(peer.state).toBe('idle')
    peer.disconnect()
    peer.destroy()
  })

  it('vueuse/vueuse#4270, feross/simple-peer#537: peers and connections survive reactive state', async () => {
    const { reactive } = await import('vue')
    const { a, ab, ba } = await connected()
    const state = reactive({ peer: a, conn: ab, got: [] as unknown[] })
    ba.on('data', value => state.got.push(value))
    await state.conn.send({ hello: 1 })
    await net.until(() => state.got.length)
    expect(state.got).toEqual([{ hello: 1 }])
    expect(state.peer.connections.bob).toEqual([ab])
  })
})
