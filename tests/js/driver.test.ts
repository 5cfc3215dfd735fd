import { afterEach, beforeEach, describe, expect, it, vi, type Mocked } from 'vitest'
import type { CoreEvent, CoreOutput, Delivery } from '../../js/core/types.js'
import { type ConnectionHooks, Driver, type Runtime, type ValueCodec } from '../../js/driver/driver.js'
import { deferred } from '../../js/events.js'
import { codec as encoding, FakeChannel, FakeCore, FakePeerConnection, FakeTransport, runtime, settled } from './fakes.js'

let core: FakeCore
let transport: FakeTransport
let events: CoreEvent[]
let hooks: Mocked<ConnectionHooks>
let failed: ReturnType<typeof vi.fn>
let unavailable: ReturnType<typeof vi.fn>

function make(load: () => Promise<Runtime> = () => Promise.resolve(runtime(core)), onEvent?: (event: CoreEvent) => void): Driver {
  return new Driver({
    config: { seed: 1 }, rtc: {}, transport, load,
    event: (event) => { events.push(event); onEvent?.(event) },
    hooks: () => hooks, unavailable: unavailable as never, failed: failed as never,
  })
}

/** A driver whose core answers the next input with these. */
async function after(...outputs: CoreOutput[]): Promise<Driver> {
  const driver = make()
  await settled()
  tell(driver, ...outputs)
  return driver
}

function tell(driver: Driver, ...outputs: CoreOutput[]): void {
  core.outputs.push(...outputs)
  driver.feed({ type: 'timeout' })
}

/** One connection (2) with link 4 and an open channel 6 bound to it. */
async function connected(): Promise<{ driver: Driver, pc: FakePeerConnection, channel: FakeChannel }> {
  const driver = await after(
    { type: 'link-create', link: 4, connection: 2 },
    { type: 'channel-create', link: 4, channel: 6, label: 'chat', ordered: true, lowThreshold: 100 },
  )
  const pc = FakePeerConnection.made[0]!
  const channel = pc.channels[0]!
  channel.open()
  tell(driver, { type: 'channel-bind', channel: 6, connection: 2, lowThreshold: 200 })
  return { driver, pc, channel }
}

beforeEach(() => {
  core = new FakeCore()
  transport = new FakeTransport()
  events = []
  failed = vi.fn()
  unavailable = vi.fn()
  hooks = {
    message: vi.fn(), transferData: vi.fn(), transferRead: vi.fn(), linked: vi.fn(), carried: vi.fn(), unlinked: vi.fn(),
    track: vi.fn(), iceState: vi.fn(), channelOpened: vi.fn(), side: vi.fn(), sdp: vi.fn((sdp: string) => sdp),
  }
  FakePeerConnection.made = []
  FakePeerConnection.fail = null
  vi.stubGlobal('RTCPeerConnection', FakePeerConnection)
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('the control border', () => {
  it('keeps inputs, in order, until the core is loaded', async () => {
    const driver = make()
    driver.feed({ type: 'start', token: 't' })
    driver.feed({ type: 'disconnect' })
    expect(core.inputs).toEqual([])
    await settled()
    expect(core.inputs.map(input => input.type)).toEqual(['start', 'disconnect'])
  })

  it('never re-enters the core from a listener, and does what the listener asked afterwards', async () => {
    const order: string[] = []
    const driver = make(undefined, (event) => {
      order.push(`event ${event.type}`)
      if (event.type === 'peer-opened') {
        driver.feed({ type: 'disconnect' })
        order.push('back in the listener')
      }
    })
    core.answer = (input) => {
      order.push(`input ${input.type}`)
      return input.type === 'start' ? [{ type: 'peer-opened', id: 'a' }, { type: 'peer-state', state: 'open', reason: '' }] : []
    }
    driver.feed({ type: 'start', token: 't' })
    await settled()
    expect(order).toEqual(['input start', 'event peer-opened', 'back in the listener', 'event peer-state', 'input disconnect'])
  })

  it('lets an exception of a listener surface and goes on', async () => {
    const surfaced = vi.fn()
    vi.stubGlobal('reportError', surfaced)
    const driver = make(undefined, () => { throw new Error('of the application') })
    await settled()
    tell(driver, { type: 'peer-opened', id: 'a' }, { type: 'peer-closed' })
    expect(events.map(event => event.type)).toEqual(['peer-opened', 'peer-closed'])
    expect(surfaced).toHaveBeenCalledTimes(2)
  })

  it('arms one timer for the deadline of the core', async () => {
    const driver = make()
    await settled()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    core.at = performance.now() + 50
    driver.feed({ type: 'network', change: 'online' })
    driver.feed({ type: 'network', change: 'online' })
    await Promise.resolve()
    expect(vi.getTimerCount()).toBe(1)
    core.answer = () => { core.at = null; return [] }
    vi.advanceTimersByTime(49)
    expect(core.ofType('timeout')).toHaveLength(0)
    vi.advanceTimersByTime(1)
    expect(core.ofType('timeout')).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('goes to the server and makes an RTCPeerConnection while the core is being loaded, which both find', async () => {
    const loaded = deferred<Runtime>()
    core.answer = input => input.type === 'start'
      ? [{ type: 'signaling-connect', transport: 8, id: 'ada', token: 't' }]
      : input.type === 'connect' ? [{ type: 'link-create', link: 4, connection: input.connection }] : []
    const driver = new Driver({
      config: { seed: 1 }, rtc: { iceServers: [] }, transport, load: () => loaded.promise, start: { id: 'ada', token: 't' },
      event: () => {}, hooks: () => hooks, unavailable: unavailable as never, failed: failed as never,
    })
    driver.feed({ type: 'connect', connection: 1, peer: 'bob', connectionId: 'c', kind: 'data', label: '', serialization: 'binary', reliable: true })
    driver.feed({ type: 'connect', connection: 3, peer: 'bob', connectionId: 'd', kind: 'data', label: '', serialization: 'binary', reliable: true })
    await settled()
    expect(FakePeerConnection.made).toMatchObject([{ config: { iceServers: [] } }])
    transport.channels[0]!.handlers.opened()
    loaded.resolve(runtime(core))
    await settled()
    expect(transport.channels).toHaveLength(1)
    expect(core.inputs.map(input => input.type)).toEqual(['start', 'connect', 'connect', 'signaling-opened'])
    expect(driver.peerConnection(1)).toBe(FakePeerConnection.made[0])
    expect(driver.peerConnection(3)).toBe(FakePeerConnection.made[1])
    expect(FakePeerConnection.made).toHaveLength(2)
  })

  it.each([
    ['the core wants none', (driver: Driver) => void driver],
    ['the peer ends before the core is there', (driver: Driver) => driver.dispose()],
  ])('closes the RTCPeerConnection that it made ahead when %s', async (_, then) => {
    const loaded = deferred<Runtime>()
    const driver = make(() => loaded.promise)
    driver.feed({ type: 'connect', connection: 1, peer: '/', connectionId: 'c', kind: 'data', label: '', serialization: 'binary', reliable: true })
    await settled()
    expect(FakePeerConnection.made).toMatchObject([{ closed: false }])
    then(driver)
    loaded.resolve(runtime(core))
    await settled()
    expect(FakePeerConnection.made).toMatchObject([{ closed: true }])
    tell(driver, { type: 'link-create', link: 4, connection: 2 })
    expect(driver.peerConnection(2)).not.toBe(FakePeerConnection.made[0])
  })

  it('holds what comes through a channel until the codec can read it, and holds nothing else', async () => {
    const codec = deferred<ValueCodec>()
    const driver = make(() => Promise.resolve({ ...runtime(core), values: codec.promise }))
    await settled()
    tell(driver, { type: 'link-create', link: 4, connection: 2 },
      { type: 'channel-create', link: 4, channel: 6, label: 'chat', ordered: true, lowThreshold: 100 })
    const channel = FakePeerConnection.made[0]!.channels[0]!
    const receive = vi.spyOn(core, 'receive')
    channel.open()
    channel.onmessage!({ data: new ArrayBuffer(3) })
    await settled()
    expect(core.ofType('channel-opened')).toHaveLength(0)
    expect(receive).not.toHaveBeenCalled()
    receive.mockImplementation(() => {
      expect(core.ofType('channel-opened')).toHaveLength(1)
      return []
    })
    codec.resolve(encoding)
    await settled()
    expect(receive).toHaveBeenCalledOnce()
    channel.close()
    expect(core.ofType('channel-closed')).toHaveLength(1)
  })

  it('reports that the codec could not be loaded', async () => {
    const error = new Error('404')
    make(() => Promise.resolve({ ...runtime(core), values: Promise.reject(error) }))
    await settled()
    expect(unavailable).toHaveBeenCalledWith(error)
  })

  it('reports that the runtime could not be loaded', async () => {
    const error = new Error('404')
    make(() => Promise.reject(error))
    await settled()
    expect(unavailable).toHaveBeenCalledWith(error)
  })

  it('closes everything when disposed, reports nothing more, and twice is harmless', async () => {
    const { driver, pc, channel } = await connected()
    tell(driver, { type: 'signaling-connect', transport: 8, id: 'a', token: 't' })
    const before = core.inputs.length
    driver.dispose()
    driver.dispose()
    driver.feed({ type: 'disconnect' })
    transport.channels[0]!.handlers.message('late')
    expect(pc.closed).toBe(true)
    expect(channel.onmessage).toBeNull()
    expect(transport.channels[0]!.closed).toBe(true)
    expect(core.disposed).toBe(true)
    expect(core.inputs).toHaveLength(before)
  })

  it('disposes the core only after the loop that is running', async () => {
    const driver = await after()
    const dispose = vi.spyOn(core, 'dispose').mockImplementation(() => expect(core.inside).toBe(false))
    tell(driver, { type: 'dispose' }, { type: 'peer-closed' })
    expect(dispose).toHaveBeenCalledOnce()
    expect(events).toEqual([])
  })
})

describe('signaling', () => {
  it('asks for an id and tells the core', async () => {
    await after({ type: 'request-id', op: 7 })
    await settled()
    expect(core.ofType('id-assigned')).toEqual([{ type: 'id-assigned', op: 7, id: 'given' }])
  })

  it('tells the core why there is no id', async () => {
    vi.spyOn(transport, 'requestId').mockImplementation(() => Promise.reject(new Error('503')))
    await after({ type: 'request-id', op: 7 })
    await settled()
    expect(core.ofType('id-failed')).toEqual([{ type: 'id-failed', op: 7, message: '503' }])
  })

  it('opens, carries messages both ways, and reports the end', async () => {
    const driver = await after({ type: 'signaling-connect', transport: 8, id: 'a', token: 't' })
    const channel = transport.channels[0]!
    channel.handlers.opened()
    channel.handlers.message('{"type":"OPEN"}')
    tell(driver, { type: 'signaling-send', transport: 8, text: 'x' })
    channel.handlers.closed('gone')
    channel.handlers.message('too late')
    expect(channel.sent).toEqual(['x'])
    expect(core.inputs.filter(input => input.type.startsWith('signaling'))).toEqual([
      { type: 'signaling-opened', transport: 8 },
      { type: 'signaling-message', transport: 8, text: '{"type":"OPEN"}' },
      { type: 'signaling-closed', transport: 8, message: 'gone' },
    ])
  })

  it('hears nothing more of a transport that the core closed', async () => {
    const driver = await after({ type: 'signaling-connect', transport: 8, id: 'a', token: 't' })
    tell(driver, { type: 'signaling-close', transport: 8 })
    transport.channels[0]!.handlers.closed('late')
    expect(core.ofType('signaling-closed')).toHaveLength(0)
  })

  it('stands a transport that reports from within connect(), and one that throws', async () => {
    vi.spyOn(transport, 'connect').mockImplementationOnce((_id, _token, handlers) => {
      handlers.opened()
      return { send: () => {}, close: () => {} }
    }).mockImplementationOnce(() => { throw new Error('no') })
    await after({ type: 'signaling-connect', transport: 8, id: 'a', token: 't' }, { type: 'signaling-connect', transport: 10, id: 'a', token: 't' })
    expect(core.ofType('signaling-opened')).toHaveLength(1)
    expect(core.ofType('signaling-closed')).toEqual([{ type: 'signaling-closed', transport: 10, message: 'no' }])
  })
})

describe('RTCPeerConnection', () => {
  it('reports the local description that came of an operation', async () => {
    hooks.sdp.mockImplementation((sdp: string) => `${sdp} transformed`)
    await after({ type: 'link-create', link: 4, connection: 2 }, { type: 'set-local-description', link: 4, op: 3 })
    await settled()
    expect(hooks.linked).toHaveBeenCalledWith(FakePeerConnection.made[0])
    expect(core.ofType('op-done')).toEqual([{ type: 'op-done', op: 3, sdpType: 'offer', sdp: 'v=0 local transformed' }])
  })

  it('reports an operation that failed, by the name of the exception', async () => {
    const driver = await after({ type: 'link-create', link: 4, connection: 2 })
    const error = new Error('bad sdp')
    error.name = 'OperationError'
    FakePeerConnection.made[0]!.rejectNext = error
    tell(driver, { type: 'set-remote-description', link: 4, op: 5, sdpType: 'answer', sdp: 'x' })
    await settled()
    expect(core.ofType('op-failed')).toEqual([{ type: 'op-failed', op: 5, name: 'OperationError', message: 'bad sdp' }])
  })

  it('does not report an operation of a link that was closed meanwhile', async () => {
    await after(
      { type: 'link-create', link: 4, connection: 2 }, { type: 'set-local-description', link: 4, op: 3 },
      { type: 'link-close', link: 4 },
    )
    await settled()
    expect(core.ofType('op-done')).toHaveLength(0)
  })

  it('tells candidates, the end of them, states and the need to negotiate', async () => {
    await after({ type: 'link-create', link: 4, connection: 2 })
    const pc = FakePeerConnection.made[0]!
    pc.onicecandidate!({ candidate: { candidate: 'c', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: null } })
    pc.onicecandidate!({ candidate: { candidate: '', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'u' } })
    pc.onicecandidate!({ candidate: null })
    pc.iceGatheringState = 'complete'
    pc.onicegatheringstatechange!()
    pc.onnegotiationneeded!()
    pc.connectionState = 'connected'
    pc.onconnectionstatechange!()
    pc.oniceconnectionstatechange!()
    expect(core.inputs.slice(1)).toEqual([
      { type: 'local-candidate', link: 4, candidate: 'c', sdpMid: '0', sdpMLineIndex: 0 },
      { type: 'local-candidate', link: 4, candidate: '', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'u' },
      { type: 'gathering-complete', link: 4 },
      { type: 'negotiation-needed', link: 4 },
      { type: 'link-state', link: 4, state: 'connected' },
    ])
    expect(hooks.iceState).toHaveBeenCalledWith('new')
  })

  it('lets nobody listen before it closes a link', async () => {
    const { driver, pc } = await connected()
    const before = core.inputs.length + 1
    tell(driver, { type: 'link-close', link: 4 })
    expect(pc.closed).toBe(true)
    expect(core.inputs).toHaveLength(before)
    expect(driver.peerConnection(2)).toBeNull()
    expect(driver.dataChannel(2)).toBeNull()
  })

  it('comes from the spare that is kept ready, where that was asked for, and closes it in the end', async () => {
    const driver = new Driver({
      config: { seed: 1 }, rtc: {}, warm: true, transport, load: () => Promise.resolve(runtime(core)),
      event: () => {}, hooks: () => hooks, unavailable: unavailable as never, failed: failed as never,
    })
    await settled()
    expect(FakePeerConnection.made).toHaveLength(1)
    tell(driver, { type: 'link-create', link: 4, connection: 2 })
    expect(hooks.linked).toHaveBeenCalledWith(FakePeerConnection.made[0])
    expect(FakePeerConnection.made).toHaveLength(1)
    expect(FakePeerConnection.made[0]!.onicecandidate).not.toBeNull()
    driver.dispose()
    expect(FakePeerConnection.made.every(pc => pc.closed)).toBe(true)
  })

  it('calls a link failed that the browser refuses to make', async () => {
    FakePeerConnection.fail = new Error('too many')
    await after({ type: 'link-create', link: 4, connection: 2 })
    expect(failed).toHaveBeenCalledWith(FakePeerConnection.fail, 2)
    expect(core.ofType('link-state')).toEqual([{ type: 'link-state', link: 4, state: 'failed' }])
  })
})

describe('two links of one connection', () => {
  /** Link 4 carries connection 2; link 8 with channel 10 races it. */
  async function racing() {
    const { driver, pc: old, channel: oldChannel } = await connected()
    tell(
      driver, { type: 'link-create', link: 8, connection: 2 },
      { type: 'channel-create', link: 8, channel: 10, label: 'chat', ordered: true, lowThreshold: 100 },
    )
    const fresh = FakePeerConnection.made[1]!
    const freshChannel = fresh.channels[0]!
    return { driver, old, oldChannel, fresh, freshChannel }
  }
  const shown = (): unknown[] => hooks.track.mock.calls.map(([event]) => event)

  it('are both told to the application\'s side, the first one carries', async () => {
    const { driver, old, fresh } = await racing()
    expect(hooks.linked.mock.calls).toEqual([[old], [fresh]])
    expect(hooks.carried.mock.calls).toEqual([[old]])
    expect(driver.peerConnection(2)).toBe(old)
  })

  it('change places when the channel of the second is bound', async () => {
    const { driver, oldChannel, fresh, freshChannel } = await racing()
    freshChannel.open()
    expect(driver.dataChannel(2)).toBe(oldChannel)
    tell(driver, { type: 'channel-bind', channel: 10, connection: 2, lowThreshold: 300 })
    expect(driver.peerConnection(2)).toBe(fresh)
    expect(driver.dataChannel(2)).toBe(freshChannel)
    expect(hooks.carried).toHaveBeenLastCalledWith(fresh)
    expect(oldChannel.onbufferedamountlow).toBeNull()
    expect(freshChannel.bufferedAmountLowThreshold).toBe(300)
    core.actions.push({ kind: 'send', frame: new Uint8Array([1]) })
    tell(driver, { type: 'transmit', connection: 2 })
    expect(freshChannel.sent).toHaveLength(1)
  })

  it('change places when the first is closed before the second is bound', async () => {
    const { driver, old, fresh, freshChannel } = await racing()
    freshChannel.open()
    tell(driver, { type: 'link-close', link: 4 }, { type: 'channel-bind', channel: 10, connection: 2, lowThreshold: 300 })
    expect(hooks.unlinked.mock.calls).toEqual([[old]])
    expect(hooks.carried.mock.calls).toEqual([[old], [fresh]])
    expect(driver.peerConnection(2)).toBe(fresh)
  })

  it('stay in their places when the second is given up', async () => {
    const { driver, old, oldChannel, fresh } = await racing()
    tell(driver, { type: 'link-close', link: 8 })
    expect(hooks.unlinked.mock.calls).toEqual([[fresh]])
    expect(hooks.carried.mock.calls).toEqual([[old]])
    expect(driver.peerConnection(2)).toBe(old)
    expect(driver.dataChannel(2)).toBe(oldChannel)
  })

  it('stay in their places when the channel of the first closes', async () => {
    const { driver, old, oldChannel } = await racing()
    oldChannel.close()
    tell(driver, { type: 'link-close', link: 8 }, { type: 'link-create', link: 12, connection: 2 })
    expect(driver.peerConnection(2)).toBe(old)
  })

  it('the newest carries as long as no channel is bound', async () => {
    const driver = await after({ type: 'link-create', link: 4, connection: 2 }, { type: 'link-create', link: 8, connection: 2 })
    expect(driver.peerConnection(2)).toBe(FakePeerConnection.made[1])
    expect(hooks.carried).toHaveBeenCalledTimes(2)
  })

  it('tell their ICE state and their channels only while they carry', async () => {
    const { driver, old, fresh, freshChannel } = await racing()
    hooks.channelOpened.mockClear()
    fresh.iceConnectionState = 'checking'
    fresh.oniceconnectionstatechange!()
    freshChannel.open()
    expect(hooks.iceState).not.toHaveBeenCalled()
    expect(hooks.channelOpened).not.toHaveBeenCalled()
    fresh.iceConnectionState = 'connected'
    tell(driver, { type: 'channel-bind', channel: 10, connection: 2, lowThreshold: 300 })
    expect(hooks.iceState.mock.calls).toEqual([['connected']])
    old.oniceconnectionstatechange!()
    expect(hooks.iceState).toHaveBeenCalledOnce()
  })

  it('show tracks at once on the first, before any channel is open', async () => {
    await after({ type: 'link-create', link: 4, connection: 2 })
    FakePeerConnection.made[0]!.ontrack!({ track: 'a' })
    expect(shown()).toEqual([{ track: 'a' }])
  })

  it('hold back the tracks of the second until it carries, and drop them with it', async () => {
    const { driver, fresh } = await racing()
    const order: string[] = []
    hooks.carried.mockImplementation(() => order.push('carried'))
    hooks.track.mockImplementation(({ track }) => order.push(String(track)))
    fresh.ontrack!({ track: 'dropped' })
    tell(driver, { type: 'link-close', link: 8 }, { type: 'link-create', link: 12, connection: 2 })
    const third = FakePeerConnection.made[2]!
    third.ontrack!({ track: 'a' })
    third.ontrack!({ track: 'b' })
    expect(order).toEqual([])
    tell(driver, { type: 'channel-create', link: 12, channel: 14, label: '', ordered: true, lowThreshold: 0 })
    third.channels[0]!.open()
    tell(driver, { type: 'channel-bind', channel: 14, connection: 2, lowThreshold: 0 })
    third.ontrack!({ track: 'c' })
    expect(order).toEqual(['carried', 'a', 'b', 'c'])
  })
})

describe('the path', () => {
  const transport = () => ({ iceTransport: { onselectedcandidatepairchange: null as (() => void) | null } })

  it('is told to change by every transport that a description brings, until the link closes', async () => {
    const driver = await after({ type: 'link-create', link: 4, connection: 2 })
    const pc = FakePeerConnection.made[0]!
    const [data, audio, video] = [transport(), transport(), transport()]
    pc.sctp!.transport = data
    tell(driver, { type: 'set-local-description', link: 4, op: 3 })
    await settled()
    data.iceTransport.onselectedcandidatepairchange!()
    expect(core.ofType('path-changed')).toEqual([{ type: 'path-changed', link: 4 }])
    pc.tracks = [{ track: 'a', transport: audio }]
    pc.receivers = [{ transport: audio }, { transport: video }, { transport: null }]
    tell(driver, { type: 'set-remote-description', link: 4, op: 5, sdpType: 'answer', sdp: 'x' })
    await settled()
    audio.iceTransport.onselectedcandidatepairchange!()
    video.iceTransport.onselectedcandidatepairchange!()
    expect(core.ofType('path-changed')).toHaveLength(3)
    tell(driver, { type: 'link-close', link: 4 })
    for (const { iceTransport } of [data, audio, video]) expect(iceTransport.onselectedcandidatepairchange).toBeNull()
  })

  it('is left to the frames where the browser does not tell', async () => {
    const driver = await after({ type: 'link-create', link: 4, connection: 2 })
    const silent = { iceTransport: {} }
    FakePeerConnection.made[0]!.sctp!.transport = silent
    tell(driver, { type: 'set-local-description', link: 4, op: 3 })
    await settled()
    expect(silent.iceTransport).toEqual({})
    expect(core.ofType('op-done')).toHaveLength(1)
  })

  it('is not listened to any more when the link closed while a description was set', async () => {
    const driver = await after({ type: 'link-create', link: 4, connection: 2 })
    const late = transport()
    FakePeerConnection.made[0]!.sctp!.transport = late
    tell(driver, { type: 'set-local-description', link: 4, op: 3 }, { type: 'link-close', link: 4 })
    await settled()
    expect(late.iceTransport.onselectedcandidatepairchange).toBeNull()
  })
})

describe('RTCDataChannel', () => {
  it('tells once that a channel is open, with the largest message that it takes', async () => {
    const { channel } = await connected()
    channel.open()
    expect(core.ofType('channel-opened')).toEqual([{ type: 'channel-opened', channel: 6, maxMessageSize: 262_144 }])
    expect(channel.binaryType).toBe('arraybuffer')
    expect(channel.bufferedAmountLowThreshold).toBe(200)
  })

  it.each([[Infinity, 1_073_741_823], [undefined, 65_536]])('understands a maxMessageSize of %s', async (size, told) => {
    await after({ type: 'link-create', link: 4, connection: 2 }, { type: 'channel-create', link: 4, channel: 6, label: '', ordered: true, lowThreshold: 0 })
    const pc = FakePeerConnection.made[0]!
    pc.sctp = size === undefined ? null : { maxMessageSize: size }
    pc.channels[0]!.open()
    expect(core.ofType('channel-opened')[0]!.maxMessageSize).toBe(told)
  })

  it('announces a channel that arrives before it says that it is open', async () => {
    await after({ type: 'link-create', link: 4, connection: 2 })
    const channel = new FakeChannel('theirs')
    channel.readyState = 'open'
    FakePeerConnection.made[0]!.ondatachannel!({ channel })
    channel.onopen!()
    await vi.waitFor(() => expect(core.inputs.slice(1)).toEqual([
      { type: 'channel-arrived', link: 4, channel: 1, label: 'theirs', subprotocol: '' },
      { type: 'channel-opened', channel: 1, maxMessageSize: 262_144 },
    ]))
  })

  it('believes a channel that arrives only once the browser\'s statistics say that it is open', async () => {
    await after({ type: 'link-create', link: 4, connection: 2 })
    const channel = Object.assign(new FakeChannel('theirs'), { id: 3, readyState: 'open' as const })
    const pc = FakePeerConnection.made[0]!
    let asked = 0
    pc.getStats = () => Promise.resolve(new Map([
      ['other', { type: 'data-channel', dataChannelIdentifier: 1, state: 'open' }],
      ['it', { type: 'data-channel', dataChannelIdentifier: 3, state: ++asked < 3 ? 'connecting' : 'open' }],
    ]))
    pc.ondatachannel!({ channel })
    channel.onopen!()
    await vi.waitFor(() => expect(core.ofType('channel-opened')).toHaveLength(1))
    expect(asked).toBe(3)
  })

  it('takes a message for the proof that a channel carries, and sends what waited once the browser says so too', async () => {
    await after({ type: 'link-create', link: 4, connection: 2 })
    core.answer = input => input.type === 'channel-opened'
      ? [{ type: 'channel-bind', connection: 2, channel: 1, lowThreshold: 0 }, { type: 'transmit', connection: 2 }]
      : []
    const channel = new FakeChannel('theirs')
    FakePeerConnection.made[0]!.ondatachannel!({ channel })
    channel.onmessage!({ data: new ArrayBuffer(3) })
    expect(core.ofType('channel-opened')).toHaveLength(1)
    expect([core.pumps, core.received]).toEqual([0, [3]])
    channel.open()
    await vi.waitFor(() => expect(core.pumped).toEqual([1]))
    expect(core.ofType('channel-opened')).toHaveLength(1)
  })

  it('does not open a channel that the core refused', async () => {
    await after({ type: 'link-create', link: 4, connection: 2 })
    core.answer = input => input.type === 'channel-arrived' ? [{ type: 'channel-close', channel: input.channel }] : []
    const channel = new FakeChannel('theirs')
    channel.readyState = 'open'
    FakePeerConnection.made[0]!.ondatachannel!({ channel })
    expect(channel.readyState).toBe('closed')
    expect(core.ofType('channel-opened')).toHaveLength(0)
    expect(core.ofType('channel-closed')).toHaveLength(1)
  })

  it('tells that a channel closed', async () => {
    const { channel } = await connected()
    channel.close()
    expect(core.ofType('channel-closed')).toEqual([{ type: 'channel-closed', channel: 6 }])
  })
})

describe('the data border', () => {
  const piece = (bytes: number[], more: Partial<Delivery>): Delivery => ({
    connection: 2, lane: 1, format: 1, first: true, last: true, total: bytes.length, bytes: new Uint8Array(bytes),
    transfer: 0, message: 0, piece: 0, ...more,
  })

  it('pumps once for everything that is sent in one turn', async () => {
    const { driver } = await connected()
    const before = core.pumps
    for (let i = 0; i < 5; i++) driver.send(2, 1, 1, new Uint8Array(3))
    expect(core.pumps).toBe(before)
    await settled()
    expect(core.pumps).toBe(before + 1)
    expect(core.puts).toHaveLength(5)
  })

  it('lets the messages of a loop that awaits each of them share frames', async () => {
    const { driver } = await connected()
    // No time passes.
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1000)
    driver.send(2, 1, 1, new Uint8Array(3))
    await Promise.resolve()
    const before = core.pumps
    for (let i = 0; i < 50; i++) {
      driver.send(2, 1, 1, new Uint8Array(3))
      await Promise.resolve()
    }
    expect(core.pumps).toBe(before)
    await vi.waitUntil(() => core.pumps > before)
    expect(core.pumps).toBe(before + 1)
    clock.mockRestore()
  })

  it('lets what a listener answers leave before the task is over that brought the message', async () => {
    const { driver, channel } = await connected()
    core.deliveries.push(piece([1], {}), piece([2], {}))
    hooks.message = vi.fn(() => { driver.send(2, 1, 1, new Uint8Array(3)) })
    core.actions.push({ kind: 'send', frame: new Uint8Array([7]) })
    channel.onmessage!({ data: new ArrayBuffer(2) })
    expect(core.puts).toHaveLength(2)
    expect(channel.sent).toEqual([new Uint8Array([7])])
  })

  it('asks the core for nothing behind the last frame', async () => {
    const { driver, channel } = await connected()
    core.actions.push({ kind: 'send', frame: new Uint8Array([1]) }, { kind: 'send', frame: new Uint8Array([2]), last: true })
    tell(driver, { type: 'transmit', connection: 2 })
    expect(channel.sent).toHaveLength(2)
    expect(core.pumps).toBe(2)
  })

  it('sets no timer for an acknowledgement that leaves with the answer', async () => {
    const { driver, channel } = await connected()
    const setTimer = vi.spyOn(globalThis, 'setTimeout')
    core.deliveries.push(piece([1], {}))
    hooks.message = vi.fn(() => {
      core.at = performance.now() + 20
      void Promise.resolve().then(() => driver.send(2, 0, 1, new Uint8Array(3)))
    })
    const pump = core.pump.bind(core)
    core.pump = (connection, handle) => {
      core.at = null
      return pump(connection, handle)
    }
    channel.onmessage!({ data: new ArrayBuffer(2) })
    await vi.waitUntil(() => core.pumps > 0)
    expect(setTimer).not.toHaveBeenCalled()
    core.deliveries.push(piece([1], {}))
    hooks.message = vi.fn(() => { core.at = performance.now() + 20 })
    channel.onmessage!({ data: new ArrayBuffer(2) })
    await Promise.resolve()
    expect(setTimer).toHaveBeenCalledOnce()
    setTimer.mockRestore()
  })

  it('does not let a high message wait for company, nor as many as fill a frame', async () => {
    const { driver } = await connected()
    driver.send(2, 1, 1, new Uint8Array(3))
    await settled()
    for (const send of [() => driver.send(2, 0, 1, new Uint8Array(3)), () => driver.send(2, 1, 1, new Uint8Array(70_000))]) {
      const before = core.pumps
      send()
      await Promise.resolve()
      await Promise.resolve()
      expect(core.pumps).toBe(before + 1)
    }
  })

  it('pumps the channel of the connection and its stripes, each with its own buffer', async () => {
    const { driver } = await connected()
    tell(driver,
      { type: 'link-create', link: 8, connection: 2, stripe: 1 },
      { type: 'channel-create', link: 8, channel: 10, label: 'chat', subprotocol: '', ordered: true, lowThreshold: 100 },
    )
    const stripe = FakePeerConnection.made[1]!.channels[0]!
    stripe.open()
    tell(driver, { type: 'stripe-bind', channel: 10, connection: 2, lowThreshold: 300 })
    expect(stripe.bufferedAmountLowThreshold).toBe(300)
    expect(driver.dataChannel(2)).not.toBe(stripe)
    expect(driver.peerConnection(2)).toBe(FakePeerConnection.made[0])
    core.pumped.length = 0
    tell(driver, { type: 'transmit', connection: 2 })
    expect(core.pumped).toEqual([6, 10])
    core.pumped.length = 0
    stripe.onbufferedamountlow!()
    expect(core.pumped).toEqual([10])
    tell(driver, { type: 'link-close', link: 8 })
    core.pumped.length = 0
    tell(driver, { type: 'transmit', connection: 2 })
    expect(core.pumped).toEqual([6])
  })

  it('lets the core say when the buffer is low', async () => {
    const { driver, channel } = await connected()
    core.actions.push({ kind: 'wait', low: 4321 })
    tell(driver, { type: 'transmit', connection: 2 })
    expect(channel.bufferedAmountLowThreshold).toBe(4321)
    tell(driver, { type: 'transmit', connection: 2 })
    expect(channel.bufferedAmountLowThreshold).toBe(4321)
  })

  it('keeps large messages and fills frames from them piece by piece', async () => {
    const { driver, channel } = await connected()
    const message = Uint8Array.from({ length: 20 }, (_, i) => i)
    const ticket = driver.send(2, 2, 3, message)
    expect(core.queued).toEqual([{ connection: 2, lane: 2, format: 3, length: 20 }])
    expect(driver.counters(2).waiting).toBe(1)
    const frame = new Uint8Array(22)
    core.actions.push(
      { kind: 'fill', ticket, offset: 0, target: frame.subarray(1, 13) },
      { kind: 'fill', ticket, offset: 12, target: frame.subarray(13, 21) },
      { kind: 'send', frame },
    )
    await settled()
    expect(channel.sent).toEqual([Uint8Array.from([0, ...message, 0])])
    expect(driver.counters(2).waiting).toBe(0)
  })

  it('gives a frame back that the channel does not take, and goes on when its buffer is low', async () => {
    const { driver, channel } = await connected()
    channel.full = true
    core.actions.push({ kind: 'send', frame: new Uint8Array([1]) })
    driver.send(2, 1, 1, new Uint8Array(1))
    await settled()
    expect(core.unsent).toBe(1)
    channel.full = false
    core.actions.push({ kind: 'send', frame: new Uint8Array([1]) })
    channel.onbufferedamountlow!()
    expect(channel.sent).toEqual([new Uint8Array([1])])
  })

  it('does not pump into a channel that is not open', async () => {
    const { driver, channel } = await connected()
    channel.readyState = 'closing'
    tell(driver, { type: 'transmit', connection: 2 })
    expect(core.pumps).toBe(0)
  })

  it('refuses a message when the connection takes no more', async () => {
    const { driver } = await connected()
    core.closing = true
    expect(driver.send(2, 1, 1, new Uint8Array(1))).toBe(-1)
  })

  it('hands a message in one piece on as it is, and collects others by lane', async () => {
    const { channel } = await connected()
    const whole = piece([9], {})
    core.deliveries.push(
      piece([1, 2], { last: false, total: 4, format: 5 }), whole,
      piece([7], { lane: 2, last: false, total: 2 }), piece([3, 4], { first: false, format: 0 }), piece([8], { lane: 2, first: false }),
    )
    channel.onmessage!({ data: new ArrayBuffer(4) })
    expect(hooks.message.mock.calls.map(([format, bytes]) => [format, [...bytes]]))
      .toEqual([[1, [9]], [5, [1, 2, 3, 4]], [1, [7, 8]]])
    expect(hooks.message.mock.calls[0]![1]).toBe(whole.bytes)
  })

  it('does not believe the announced length of a message', async () => {
    const { channel } = await connected()
    core.deliveries.push(piece([1], { last: false, total: 2 ** 40 }), piece([2], { first: false }))
    channel.onmessage!({ data: new ArrayBuffer(4) })
    const bytes = hooks.message.mock.calls[0]![1]
    expect([...bytes]).toEqual([1, 2])
    expect(bytes.buffer.byteLength).toBeLessThanOrEqual(262_144)
  })

  it('hands on the bytes of files by transfer', async () => {
    const { channel } = await connected()
    core.deliveries.push(piece([1], { transfer: 3, format: 9 }))
    channel.onmessage!({ data: 'text counts as UTF-8' })
    expect(hooks.transferData).toHaveBeenCalledWith(3, new Uint8Array([1]))
  })

  it('lets a listener send while pieces are handed on', async () => {
    const { driver, channel } = await connected()
    hooks.message.mockImplementation(() => void driver.send(2, 1, 1, new Uint8Array(1)))
    core.deliveries.push(piece([1], {}), piece([2], {}))
    channel.onmessage!({ data: new ArrayBuffer(2) })
    expect(core.puts).toHaveLength(2)
  })

  it('keeps what a destroyed peer still has to flush until its link closes', async () => {
    const { driver, channel } = await connected()
    const ticket = driver.send(2, 1, 1, new Uint8Array(20).fill(5))
    tell(driver, { type: 'connection-closed', connection: 2, reason: '' })
    const target = new Uint8Array(20)
    core.actions.push({ kind: 'fill', ticket, offset: 0, target }, { kind: 'send', frame: target })
    tell(driver, { type: 'transmit', connection: 2 })
    expect(channel.sent[0]).toEqual(new Uint8Array(20).fill(5))
  })
})

describe('the environment', () => {
  it('tells what happens around the page, until it is disposed', async () => {
    const window = new EventTarget() as EventTarget & { document?: EventTarget }
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    const connection = Object.assign(new EventTarget(), { type: 'wifi', rtt: 50 })
    window.document = document
    vi.stubGlobal('window', window)
    vi.stubGlobal('document', document)
    vi.stubGlobal('navigator', { connection })
    const driver = make()
    await settled()
    const happen = (): void => {
      window.dispatchEvent(new Event('offline'))
      window.dispatchEvent(new Event('online'))
      for (const type of ['wifi', 'cellular', 'cellular', 'none', 'cellular']) {
        connection.type = type
        connection.rtt *= 2
        connection.dispatchEvent(new Event('change'))
      }
      document.dispatchEvent(new Event('resume'))
      document.dispatchEvent(new Event('visibilitychange'))
      window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }))
      window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
      window.dispatchEvent(new Event('pagehide'))
    }
    happen()
    const network = (change: string): object => ({ type: 'network', change })
    expect(core.inputs).toEqual(['offline', 'online', 'changed', 'resumed', 'resumed', 'resumed'].map(network).concat({ type: 'page-hide' }))
    driver.dispose()
    happen()
    expect(core.inputs).toHaveLength(7)
  })

  it('does not take an estimate of speed for another network, where the browser tells no type', async () => {
    const window = Object.assign(new EventTarget(), { document: new EventTarget() })
    const connection = Object.assign(new EventTarget(), { effectiveType: '4g' })
    vi.stubGlobal('window', window)
    vi.stubGlobal('navigator', { connection })
    make()
    await settled()
    connection.effectiveType = '3g'
    connection.dispatchEvent(new Event('change'))
    expect(core.inputs).toEqual([])
  })
})
