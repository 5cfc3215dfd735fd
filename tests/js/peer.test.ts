import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CoreInput, CoreOutput } from '../../js/core/types.js'
import type { MediaConnection } from '../../js/index.js'
import { FakeCore, FakePeerConnection, FakeTransport, bytesOf, runtime, settled } from './fakes.js'

const loading = vi.hoisted(() => ({ load: null as unknown as () => Promise<unknown> }))
vi.mock('../../js/driver/runtime.js', () => ({ loadRuntime: () => loading.load() }))

const { Peer, PeerError, DataConnection, PeerErrorType, util, version } = await import('../../js/index.js')
type Peer = InstanceType<typeof Peer>
type DataConnection = InstanceType<typeof DataConnection>

let core: FakeCore
let transport: FakeTransport
/** A core that says yes to everything. */
const willing = (input: CoreInput): CoreOutput[] => {
  switch (input.type) {
    case 'start': return [{ type: 'peer-opened', id: input.id ?? 'given' }, { type: 'peer-state', state: 'open', reason: '' }]
    case 'disconnect': return [{ type: 'peer-state', state: 'idle', reason: '' }, { type: 'peer-disconnected', id: 'a' }]
    case 'reconnect': return [{ type: 'peer-opened', id: 'a' }, { type: 'peer-state', state: 'open', reason: '' }]
    case 'destroy': return [{ type: 'peer-disconnected', id: 'a' }, { type: 'peer-state', state: 'closed', reason: '' }, { type: 'peer-closed' }, { type: 'dispose' }]
    case 'close': return [
      { type: 'connection-state', connection: input.connection, state: 'closed', reason: '', protocol: 'native' },
      { type: 'connection-closed', connection: input.connection, reason: '' },
    ]
    default: return []
  }
}

const say = (...outputs: CoreOutput[]): void => {
  core.outputs.push(...outputs)
  // Any input makes the driver look.
  window.dispatchEvent(new Event('online'))
}

function make(options: object = {}, id: string | undefined = 'a'): Peer {
  return new Peer(id, { signaling: transport, ...options })
}

function record(peer: Peer): string[] {
  const log: string[] = []
  peer.on('open', id => log.push(`open ${id}`))
  peer.on('disconnected', id => log.push(`disconnected ${id}`))
  peer.on('close', () => log.push('close'))
  peer.on('error', error => log.push(`error ${error.type}`))
  peer.on('state', state => log.push(`state ${state}`))
  return log
}

async function opened(): Promise<{ peer: Peer, conn: DataConnection, handle: number }> {
  const peer = make()
  await settled()
  const conn = peer.connect('b', { label: 'chat' })!
  const handle = core.ofType('connect')[0]!.connection
  say({ type: 'link-create', link: 4, connection: handle },
    { type: 'connection-state', connection: handle, state: 'open', reason: '', protocol: 'native' },
    { type: 'connection-opened', connection: handle })
  return { peer, conn, handle }
}

beforeEach(() => {
  core = new FakeCore()
  core.answer = willing
  transport = new FakeTransport()
  loading.load = () => Promise.resolve(runtime(core))
  FakePeerConnection.made = []
  vi.stubGlobal('window', new EventTarget())
  vi.stubGlobal('location', { hostname: 'page.example', protocol: 'https:' })
  vi.stubGlobal('RTCPeerConnection', FakePeerConnection)
  vi.stubGlobal('MediaStream', class { id = 'made'; addTrack(): void {} })
})

afterEach(() => vi.unstubAllGlobals())

describe('making a peer', () => {
  it('takes PeerJS\'s constructor forms', async () => {
    new Peer({ signaling: transport })
    new Peer('x', { signaling: transport })
    new Peer(undefined, { signaling: transport })
    await settled()
    expect(core.ofType('start').map(input => input.id)).toEqual([undefined, 'x', undefined])
    expect(core.ofType('start')[0]!.token).toMatch(/^[a-z0-9]{20,}$/)
  })

  it('fills in PeerJS\'s defaults', () => {
    expect(new Peer().options).toMatchObject({
      debug: 0, host: '0.peerjs.com', port: 443, path: '/', key: 'peerjs', secure: true, pingInterval: 5000,
      referrerPolicy: 'strict-origin-when-cross-origin', config: util.defaultConfig,
    })
    expect(new Peer('a', { host: '/', port: 9000, path: 'my/app', secure: undefined }).options)
      .toMatchObject({ host: 'page.example', port: 9000, path: '/my/app/', secure: true })
    expect(new Peer('a', { host: 'h', secure: false, token: 't' }).options).toMatchObject({ secure: false, token: 't' })
  })

  it('hands the options of the core on', async () => {
    make({ autoReconnect: { retries: 3, delay: 7 }, pingInterval: 9, protocol: 'native' })
    await settled()
    expect(core.config).toMatchObject({ autoReconnect: true, reconnectRetries: 3, reconnectDelay: 7, heartbeatInterval: 9, protocol: 'native' })
    expect(core.config!.seed).toBeTypeOf('number')
  })

  it('hands single timers on, which overrule what is said by other options', async () => {
    const timers = { heartbeatInterval: 4000, raceDelay: 3000, silenceLimit: undefined! }
    const peer = make({ autoReconnect: { delay: 7 }, pingInterval: 9, timers })
    await settled()
    expect(core.config).toMatchObject({ heartbeatInterval: 4000, raceDelay: 3000, reconnectDelay: 7 })
    expect(core.config).not.toHaveProperty('silenceLimit')
    expect(peer.options.timers).toEqual({ heartbeatInterval: 4000, raceDelay: 3000 })
  })

  it.each([
    [0, 'silenceLimit'], [-1, 'raceDelay'], [Number.NaN, 'raceDelay'], [Infinity, 'recoveryBudget'], ['5000', 'ringTimeout'], [null, 'ringTimeout'],
  ])('refuses %s as a timer, at once and with what to do', (ms, name) => {
    expect(() => new Peer({ signaling: transport, timers: { [name]: ms } })).toThrow(expect.objectContaining({
      name: 'PeerError', type: 'invalid-argument',
      message: `timers.${name} has to be a number of milliseconds, 1 or more, got ${ms}. Leave it out for its default.`,
    }))
    expect(FakePeerConnection.made).toEqual([])
  })

  it.each([
    [undefined, 'full'], ['full', 'full'], ['half', 'half'], ['none', 'none'], [true, 'full'], [false, 'none'],
  ] as const)('understands trickle: %s as %s', async (trickle, told) => {
    make({ trickle: trickle! })
    await settled()
    expect(core.config!.trickle).toBe(told)
  })

  it('refuses a trickle that it does not know', () => {
    expect(() => new Peer({ signaling: transport, trickle: 'slow' as never })).toThrow(expect.objectContaining({
      type: 'invalid-argument', message: expect.stringMatching(/'half'/) as string,
    }))
  })

  it('keeps an RTCPeerConnection ready where it shall be warm, and none otherwise', async () => {
    make()
    await settled()
    expect(FakePeerConnection.made).toHaveLength(0)
    const peer = make({ warm: true, config: { iceServers: [] } })
    await peer.ready
    await settled()
    expect(FakePeerConnection.made.map(pc => pc.config)).toEqual([{ iceServers: [], iceCandidatePoolSize: 1 }])
    peer.destroy()
    say({ type: 'dispose' })
    expect(FakePeerConnection.made[0]!.closed).toBe(true)
  })

  it('opens: id, open, ready, state', async () => {
    const peer = make()
    const log = record(peer)
    // As in PeerJS the name that was asked for is there at once.
    expect(peer).toMatchObject({ id: 'a', open: false, state: 'connecting', destroyed: false, disconnected: false })
    expect(make({}, '-a').id).toBeNull()
    await expect(peer.ready).resolves.toBe('a')
    expect(log).toEqual(['state open', 'open a'])
    expect(peer).toMatchObject({ id: 'a', open: true, state: 'open' })
  })

  it('is inert where there is no window: nothing is loaded, nothing throws', async () => {
    vi.unstubAllGlobals()
    const load = loading.load = vi.fn(loading.load)
    const peer = new Peer('a')
    const log = record(peer)
    expect(peer.state).toBe('idle')
    expect(peer.connect('b')).toBeUndefined()
    peer.disconnect()
    peer.reconnect()
    await settled()
    expect(load).not.toHaveBeenCalled()
    expect(log).toEqual([])
    peer.destroy()
    expect(log).toEqual(['disconnected null', 'state closed', 'close'])
  })

  it('tells a browser without WebRTC so, later, as PeerJS does', async () => {
    vi.stubGlobal('RTCPeerConnection', undefined)
    const peer = new Peer('a')
    const log = record(peer)
    expect(log).toEqual([])
    await settled()
    expect(log).toEqual(['error browser-incompatible', 'disconnected null', 'state closed', 'close'])
    expect(peer.destroyed).toBe(true)
    await expect(peer.ready).rejects.toMatchObject({ type: 'browser-incompatible' })
  })

  it('ends itself and its connections when the core cannot be loaded', async () => {
    loading.load = () => Promise.reject(new PeerError('core-unavailable', '404: deploy it'))
    const peer = make()
    const conn = peer.connect('b')!
    const closed = vi.fn()
    conn.on('close', closed)
    const log = record(peer)
    await settled()
    expect(log).toEqual(['error core-unavailable', 'disconnected a', 'state closed', 'close'])
    expect(closed).toHaveBeenCalledOnce()
    expect(conn.state).toBe('closed')
    expect(peer.connections).toEqual({})
  })
})

describe('leaving and coming back', () => {
  it('emits disconnected, then comes back by itself, and reconnect() meanwhile is harmless', async () => {
    const peer = make()
    await peer.ready
    const log = record(peer)
    say({ type: 'peer-error', error: 'network', message: '' }, { type: 'peer-state', state: 'reconnecting', reason: '' }, { type: 'peer-disconnected', id: 'a' })
    expect(log).toEqual(['error network', 'state reconnecting', 'disconnected a'])
    expect(peer).toMatchObject({ id: null, open: false, disconnected: true })
    expect(peer.connect('b')).toBeDefined()
    peer.reconnect()
    peer.reconnect()
    expect(peer).toMatchObject({ id: 'a', open: true, disconnected: false })
  })

  it('does nothing on reconnect() while open, and throws when destroyed', async () => {
    const peer = make()
    await peer.ready
    peer.reconnect()
    expect(core.ofType('reconnect')).toHaveLength(0)
    peer.destroy()
    expect(() => peer.reconnect()).toThrow(expect.objectContaining({ type: 'invalid-state' }))
  })

  it('refuses connect() and call() after disconnect() with an error and undefined', async () => {
    const peer = make()
    await peer.ready
    const log = record(peer)
    peer.disconnect()
    peer.disconnect()
    expect(core.ofType('disconnect')).toHaveLength(1)
    expect(peer.connect('b')).toBeUndefined()
    expect(peer.call('b', { getTracks: () => [] } as never)).toBeUndefined()
    expect(log).toEqual(['state idle', 'disconnected a', 'error disconnected', 'error disconnected'])
    peer.reconnect()
    expect(peer.connect('b')).toBeDefined()
  })

  it('tells when it gives up coming back', async () => {
    const onFailed = vi.fn()
    const peer = make({ autoReconnect: { retries: 1, onFailed } })
    await peer.ready
    say({ type: 'peer-state', state: 'reconnecting', reason: '' }, { type: 'peer-disconnected', id: 'a' }, { type: 'peer-state', state: 'idle', reason: '' })
    expect(onFailed).toHaveBeenCalledOnce()
    expect(peer.connect('b')).toBeUndefined()
  })

  it('destroys once: disconnected, then close; twice is harmless', async () => {
    const peer = make()
    await peer.ready
    const log = record(peer)
    peer.destroy()
    peer.destroy()
    expect(log).toEqual(['disconnected a', 'state closed', 'close'])
    expect(core.disposed).toBe(true)
    expect(peer.destroyed).toBe(true)
  })

  it('can be destroyed before the core is there', async () => {
    const peer = make()
    const log = record(peer)
    peer.destroy()
    expect(log).toEqual(['disconnected a', 'state closed', 'close'])
    await settled()
    expect(core.inputs).toEqual([])
    await expect(peer.ready).rejects.toMatchObject({ type: 'invalid-state' })
  })

  it('lists peers through the transport, and emits what goes wrong', async () => {
    const peer = make()
    const log = record(peer)
    await peer.ready
    log.length = 0
    peer.listAllPeers()
    await settled()
    expect(log).toEqual(['error server-error'])
    Object.assign(transport, { listPeers: () => Promise.resolve(['a', 'b']) })
    const ids = await new Promise(resolve => peer.listAllPeers(resolve))
    expect(ids).toEqual(['a', 'b'])
  })
})

describe('connections', () => {
  it('can be made before the peer is open', async () => {
    const peer = make()
    const conn = peer.connect('b', { metadata: { m: 1 } })!
    expect(conn).toBeInstanceOf(DataConnection)
    expect(conn).toMatchObject({ peer: 'b', type: 'data', open: false, state: 'connecting', metadata: { m: 1 }, serialization: 'binary', reliable: false, provider: peer })
    expect(conn.connectionId).toMatch(/^dc_[a-z0-9]{20,}$/)
    expect(conn.label).toBe(conn.connectionId)
    expect(peer.connections.b).toEqual([conn])
    expect(peer.getConnection('b', conn.connectionId)).toBe(conn)
    expect(peer.getConnection('b', 'other')).toBeNull()
    await settled()
    expect(core.inputs.map(input => input.type)).toEqual(['start', 'connect'])
    expect(core.ofType('connect')[0]).toMatchObject({ peer: 'b', kind: 'data', metadata: '{"m":1}', connectionId: conn.connectionId })
  })

  it('refuses metadata that JSON cannot carry', async () => {
    const peer = make()
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(() => peer.connect('b', { metadata: cycle })).toThrow(expect.objectContaining({ type: 'invalid-argument' }))
    expect(peer.connections).toEqual({})
  })

  it('opens, and is forgotten before its close event', async () => {
    const { peer, conn, handle } = await opened()
    expect(conn).toMatchObject({ open: true, state: 'open', protocol: 'native' })
    const log: unknown[] = []
    conn.on('error', error => log.push([error.type, error.peer, error.connectionId]))
    conn.on('state', state => log.push(state))
    conn.on('close', () => log.push(peer.connections.b))
    say({ type: 'connection-error', connection: handle, error: 'connection-lost', message: '' },
      { type: 'connection-state', connection: handle, state: 'closed', reason: 'connection-lost', protocol: 'native' },
      { type: 'connection-closed', connection: handle, reason: 'connection-lost' })
    expect(log).toEqual([['connection-lost', 'b', conn.connectionId], 'closed', []])
    expect(conn.open).toBe(false)
  })

  it('leave an empty list, as in PeerJS, but not for ever', async () => {
    const { peer, handle } = await opened()
    say({ type: 'connection-closed', connection: handle, reason: '' })
    expect(peer.connections.b).toEqual([])
    const before = core.ofType('connect').length
    for (let at = 0; at < 150; at++) peer.connect(`p${at}`)
    const again = peer.connect('p0')
    for (const { connection, peer: to } of core.ofType('connect').slice(before)) {
      if (to !== 'p0') say({ type: 'connection-closed', connection, reason: '' })
    }
    expect(Object.keys(peer.connections).length).toBe(101)
    expect(peer.connections.b).toBeUndefined()
    expect(peer.connections.p0).toHaveLength(2)
    expect(peer.connections.p0).toContain(again)
  })

  it('are open in the eyes of whoever hears of their state, and closed likewise', async () => {
    const peer = make()
    const seen: unknown[] = []
    peer.on('state', state => seen.push([state, peer.open, peer.id]))
    await settled()
    const conn = peer.connect('b')!
    conn.on('state', state => seen.push([state, conn.open, conn.protocol]))
    conn.on('open', () => seen.push('open'))
    const { connection } = core.ofType('connect')[0]!
    say({ type: 'connection-state', connection, state: 'open', reason: '', protocol: 'native' }, { type: 'connection-opened', connection })
    say({ type: 'connection-state', connection, state: 'recovering', reason: '', protocol: 'native' }, { type: 'connection-state', connection, state: 'open', reason: '', protocol: 'native' })
    say({ type: 'connection-state', connection, state: 'closed', reason: '', protocol: 'native' })
    say({ type: 'peer-state', state: 'reconnecting', reason: '' })
    expect(seen).toEqual([
      ['open', true, 'a'],
      ['open', true, 'native'], 'open', ['recovering', true, 'native'], ['open', true, 'native'], ['closed', false, 'native'],
      ['reconnecting', false, 'a'],
    ])
  })

  it('stays open while the path is recovered', async () => {
    const { conn, handle } = await opened()
    say({ type: 'connection-state', connection: handle, state: 'recovering', reason: '', protocol: 'native' })
    expect(conn).toMatchObject({ open: true, state: 'recovering' })
  })

  it('arrive with what the other side gave, and metadata that is no JSON is undefined', async () => {
    const peer = make()
    await peer.ready
    const arrived: DataConnection[] = []
    peer.on('connection', conn => arrived.push(conn))
    const incoming = { type: 'connection-incoming', peer: 'b', kind: 'data', label: 'l', serialization: 'binary', reliable: true, protocol: 'native' } as const
    say({ ...incoming, connection: 2, connectionId: 'dc_1', metadata: '{"a":1}' }, { ...incoming, connection: 4, connectionId: 'dc_2', metadata: '{' })
    // Told when they have their RTCPeerConnection, as in PeerJS, or when they end before.
    expect(arrived).toEqual([])
    expect(peer.getConnection('b', 'dc_1')).toMatchObject({ connectionId: 'dc_1' })
    say({ type: 'link-create', link: 6, connection: 2 }, { type: 'connection-error', connection: 4, error: 'incompatible-peer', message: '' })
    expect(arrived.map(conn => conn.metadata)).toEqual([{ a: 1 }, undefined])
    expect(arrived[0]).toMatchObject({ connectionId: 'dc_1', label: 'l', reliable: true, peerConnection: FakePeerConnection.made[0] })
    expect(arrived[0]!.options).toEqual({ connectionId: 'dc_1', metadata: { a: 1 }, label: 'l', serialization: 'binary', reliable: true })
  })

  it('close once, and say so when it is over', async () => {
    const { conn } = await opened()
    const closed = vi.fn()
    conn.on('close', closed)
    conn.close()
    conn.close()
    expect(core.ofType('close')).toHaveLength(1)
    expect(closed).toHaveBeenCalledOnce()
  })

  it('tell the way of the bytes, and look again only when somebody does', async () => {
    const { conn } = await opened()
    const pc = FakePeerConnection.made[0]!
    pc.stats = new Map(Object.entries({
      t: { type: 'transport', id: 't', selectedCandidatePairId: 'p' },
      p: { type: 'candidate-pair', id: 'p', localCandidateId: 'l', remoteCandidateId: 'r', currentRoundTripTime: 0.0123 },
      l: { type: 'local-candidate', id: 'l', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' },
      r: { type: 'remote-candidate', id: 'r', candidateType: 'host', protocol: 'udp' },
    }))
    const get = vi.spyOn(pc, 'getStats')
    expect(conn.path).toBeNull()
    await settled()
    const path = { local: 'relay', remote: 'host', protocol: 'tls', relayed: true, rtt: 12 }
    expect(conn.path).toEqual(path)
    expect(get).toHaveBeenCalledOnce()
    await expect(conn.stats()).resolves.toMatchObject({ path, waiting: 0, bufferedAmount: 0, core: { framesSent: 1 } })
  })
})

describe('sending', () => {
  it('resolves when there is room', async () => {
    const { conn, handle } = await opened()
    await conn.send('x')
    core.room = false
    let room = false
    const waiting = conn.send('y').then(() => { room = true })
    await settled()
    expect(room).toBe(false)
    say({ type: 'room', connection: handle })
    await waiting
    expect(core.puts.map(put => put.lane)).toEqual([1, 1])
  })

  it('puts priorities into lanes, and takes PeerJS\'s second argument', async () => {
    const { conn } = await opened()
    void conn.send(1, { priority: 'high' })
    void conn.send(1, { priority: 'bulk' })
    void conn.send(1, true)
    expect(core.puts.map(put => put.lane)).toEqual([0, 2, 1])
  })

  it('emits an error and rejects, and nobody has to look at the promise', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const peer = make()
    await peer.ready
    const conn = peer.connect('b')!
    const errors: string[] = []
    conn.on('error', error => errors.push(error.type))
    void conn.send('too early')
    await expect(conn.send('too early')).rejects.toBeInstanceOf(PeerError)
    const { connection } = core.ofType('connect')[0]!
    say({ type: 'connection-state', connection, state: 'open', reason: '', protocol: 'native' }, { type: 'connection-opened', connection })
    void conn.send(() => {})
    core.closing = true
    void conn.send('x')
    conn.close()
    void conn.send('x')
    await settled()
    expect(errors).toEqual(['not-open-yet', 'not-open-yet', 'data-clone', 'connection-closed', 'connection-closed'])
    expect(core.puts).toEqual([])
    expect(unhandled).not.toHaveBeenCalled()
    process.off('unhandledRejection', unhandled)
  })

  it('keeps the order when a Blob has to be read first, and closes after it', async () => {
    const { conn } = await opened()
    void conn.send(1)
    void conn.send(new Blob(['b']))
    void conn.send(2)
    conn.close()
    expect(conn.open).toBe(false)
    expect(core.ofType('close')).toHaveLength(0)
    await settled()
    expect(core.puts.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual(['1', '"blob b"', '2'])
    expect(core.ofType('close')).toHaveLength(1)
  })

  it('takes a message back when its signal aborts in time', async () => {
    const { conn, handle } = await opened()
    core.room = false
    await expect(conn.send('x', { signal: AbortSignal.abort() })).rejects.toMatchObject({ type: 'aborted' })
    const abort = new AbortController()
    const sent = conn.send('a long message', { signal: abort.signal })
    abort.abort()
    await expect(sent).rejects.toMatchObject({ type: 'aborted' })
    core.withdrawable = false
    const late = new AbortController()
    const left = conn.send('a long message', { signal: late.signal })
    late.abort()
    say({ type: 'room', connection: handle })
    await left
  })

  it('knows when everything was delivered', async () => {
    const { conn, handle } = await opened()
    void conn.send(1)
    const first = conn.delivered()
    const second = conn.delivered()
    say({ type: 'delivered', connection: handle, marker: 2 })
    await Promise.all([first, second])
    const third = conn.delivered()
    conn.close()
    await expect(third).rejects.toMatchObject({ type: 'connection-closed' })
  })

  it('emits data, and an error for bytes that are no value', async () => {
    const { conn, handle } = await opened()
    const data = vi.fn()
    const errors: string[] = []
    conn.on('data', data)
    conn.on('error', error => errors.push(error.type))
    say({ type: 'channel-create', link: 4, channel: 6, label: '', ordered: true, lowThreshold: 0 })
    FakePeerConnection.made[0]!.channels[0]!.open()
    const deliver = (bytes: Uint8Array<ArrayBuffer>): void => {
      core.deliveries.push({
        connection: handle, lane: 1, format: 1, first: true, last: true, total: 0, bytes, transfer: 0, message: 0, piece: 0,
      })
      FakePeerConnection.made[0]!.channels[0]!.onmessage!({ data: new ArrayBuffer(1) })
    }
    deliver(bytesOf({ hello: 1 }))
    deliver(new Uint8Array([123]))
    expect(data.mock.calls).toEqual([[{ hello: 1 }]])
    expect(errors).toEqual(['protocol-violation'])
  })
})

describe('calls', () => {
  const track = (kind: string): MediaStreamTrack => ({ kind, enabled: true, id: kind }) as MediaStreamTrack
  const stream = (...tracks: MediaStreamTrack[]): MediaStream => ({ id: `s${tracks.length}`, getTracks: () => tracks }) as unknown as MediaStream

  async function call(tracks = [track('audio'), track('video')]): Promise<{ mc: MediaConnection, pc: FakePeerConnection, tracks: MediaStreamTrack[] }> {
    const peer = make()
    await peer.ready
    const mc = peer.call('b', stream(...tracks))!
    say({ type: 'link-create', link: 4, connection: core.ofType('connect')[0]!.connection })
    return { mc, pc: FakePeerConnection.made[0]!, tracks }
  }

  it('add the local tracks to the link that the core makes, and to every later one', async () => {
    const { mc, pc, tracks } = await call()
    expect(core.ofType('connect')[0]).toMatchObject({ kind: 'media', connectionId: expect.stringMatching(/^mc_/) as string })
    expect(pc.tracks).toHaveLength(2)
    expect(mc.localStream!.getTracks()).toEqual(tracks)
    say({ type: 'link-close', link: 4 }, { type: 'link-create', link: 8, connection: core.ofType('connect')[0]!.connection })
    expect(FakePeerConnection.made[1]!.tracks).toHaveLength(2)
  })

  it('emit every remote stream once', async () => {
    const { mc, pc } = await call()
    const streams = vi.fn()
    mc.on('stream', streams)
    const remote = { id: 'remote' }
    pc.ontrack!({ track: track('audio'), streams: [remote] })
    pc.ontrack!({ track: track('video'), streams: [remote] })
    expect(streams.mock.calls).toEqual([[remote]])
    expect(mc.remoteStream).toBe(remote)
  })

  it('are answered once, with or without a stream', async () => {
    const peer = make()
    await peer.ready
    const incoming: MediaConnection[] = []
    peer.on('call', mc => incoming.push(mc))
    say({ type: 'connection-incoming', connection: 2, peer: 'b', connectionId: 'mc_1', kind: 'media', label: '', serialization: '', reliable: false, protocol: 'native' })
    incoming[0]!.answer()
    incoming[0]!.answer(stream(track('audio')))
    expect(core.ofType('answer')).toEqual([{ type: 'answer', connection: 2 }])
    expect(incoming[0]!.localStream).toBeUndefined()
  })

  it('change their tracks', async () => {
    const { mc, pc, tracks } = await call()
    const screen = track('video')
    mc.addTrack(screen)
    expect(pc.tracks).toHaveLength(3)
    mc.removeTrack(screen)
    expect(pc.tracks).toHaveLength(2)
    mc.mute('video')
    expect(tracks.map(({ enabled }) => enabled)).toEqual([true, false])
    const other = track('video')
    await mc.replaceTrack(tracks[1]!, other)
    expect(other.enabled).toBe(false)
    expect((pc.tracks[1] as { track: unknown }).track).toBe(other)
    mc.mute(false)
    expect(other.enabled).toBe(true)
    mc.mute()
    expect(tracks[0]!.enabled).toBe(false)
    await expect(mc.replaceTrack(screen, other)).rejects.toMatchObject({ type: 'invalid-argument' })
  })

  describe('with two links', () => {
    async function racing() {
      const { mc, pc: old, tracks } = await call()
      const connection = core.ofType('connect')[0]!.connection
      say(
        { type: 'channel-create', link: 4, channel: 6, label: '', ordered: true, lowThreshold: 0 },
        { type: 'channel-bind', channel: 6, connection, lowThreshold: 0 },
        { type: 'link-create', link: 8, connection },
        { type: 'channel-create', link: 8, channel: 10, label: '', ordered: true, lowThreshold: 0 },
      )
      const fresh = FakePeerConnection.made[1]!
      const adopt = (): void => say({ type: 'link-close', link: 4 }, { type: 'channel-bind', channel: 10, connection, lowThreshold: 0 })
      return { mc, old, fresh, tracks, adopt }
    }
    const sent = (pc: FakePeerConnection): unknown[] => pc.tracks.map(({ track }) => track)

    it('show the same on both', async () => {
      const { mc, old, fresh, tracks } = await racing()
      expect(sent(fresh)).toEqual(tracks)
      const screen = track('video')
      expect(mc.addTrack(screen)).toBe(old.tracks[2])
      expect(sent(old)).toEqual([...tracks, screen])
      expect(sent(fresh)).toEqual([...tracks, screen])
      const other = track('video')
      await mc.replaceTrack(screen, other)
      expect(sent(old)).toEqual([...tracks, other])
      expect(sent(fresh)).toEqual([...tracks, other])
      mc.removeTrack(other)
      expect(sent(old)).toEqual(tracks)
      expect(sent(fresh)).toEqual(tracks)
    })

    it('forget the one that closed', async () => {
      const { mc, old, fresh, tracks, adopt } = await racing()
      adopt()
      const other = track('video')
      const calls = old.calls.length
      await mc.replaceTrack(tracks[1]!, other)
      mc.removeTrack(other)
      expect(mc.addTrack(other)).toBe(fresh.tracks.at(-1))
      expect(old.calls).toHaveLength(calls)
      expect(sent(old)).toEqual(tracks)
      expect(sent(fresh)).toEqual([tracks[0], other])
    })

    it('replace a track although one link closes meanwhile and another is made', async () => {
      const { mc, old, fresh, tracks } = await racing()
      const other = track('video')
      const replaced = mc.replaceTrack(tracks[1]!, other)
      say({ type: 'link-close', link: 8 }, { type: 'link-create', link: 12, connection: core.ofType('connect')[0]!.connection })
      await replaced
      expect(fresh.closed).toBe(true)
      expect(sent(old)).toEqual([tracks[0], other])
      expect(sent(FakePeerConnection.made[2]!)).toEqual([tracks[0], other])
    })

    it('end up with the track that was asked for last', async () => {
      const { mc, old, fresh, tracks } = await racing()
      const [one, two] = [track('video'), track('video')]
      await Promise.all([mc.replaceTrack(tracks[1]!, one), mc.replaceTrack(tracks[1]!, two)])
      expect(sent(old)).toEqual([tracks[0], two])
      expect(sent(fresh)).toEqual([tracks[0], two])
      mc.removeTrack(two)
      expect(sent(fresh)).toEqual([tracks[0]])
    })

    it('say so when the browser refuses', async () => {
      const { mc, fresh, tracks } = await racing()
      fresh.rejectNext = new Error('InvalidModificationError')
      await expect(mc.replaceTrack(tracks[1]!, track('video'))).rejects.toThrow('InvalidModificationError')
    })

    it('show the other side\'s stream anew once the second carries', async () => {
      const { mc, old, fresh, adopt } = await racing()
      const streams = vi.fn()
      mc.on('stream', streams)
      const [before, after] = [{ id: 'remote' }, { id: 'remote' }]
      old.ontrack!({ track: track('audio'), streams: [before] })
      fresh.ontrack!({ track: track('audio'), streams: [after] })
      fresh.ontrack!({ track: track('video'), streams: [after] })
      expect(streams.mock.calls).toEqual([[before]])
      adopt()
      expect(streams).toHaveBeenCalledTimes(2)
      expect(streams.mock.lastCall![0]).toBe(after)
      expect(mc.remoteStream).toBe(after)
    })
  })

  it('need a stream', async () => {
    const log = vi.fn()
    const peer = make({ debug: 1, logFunction: log })
    expect(peer.call('b', undefined as never)).toBeUndefined()
    expect(log).toHaveBeenCalledOnce()
  })
})

describe('the package', () => {
  it('knows its own version', () => {
    expect(version).toBe((JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version)
  })

  it('exports PeerJS\'s names', () => {
    expect(PeerErrorType.UnavailableID).toBe('unavailable-id')
    expect(util.validateId('a b-c_d')).toBe(true)
    expect(util.validateId('')).toBe(true)
    for (const bad of ['-a', 'a-', 'a--b', 'a.b', 'é']) expect(util.validateId(bad)).toBe(false)
    expect(util.supports).toMatchObject({ webRTC: true, data: true, audioVideo: true })
    expect(FakePeerConnection.made).toEqual([])
  })

  it('is left alone by Vue\'s reactivity', async () => {
    const { reactive } = await import('vue')
    const peer = make()
    expect(reactive({ peer }).peer).toBe(peer)
  })
})
