// A core that follows a script, and a browser that does nothing by itself.
import type { Core, CoreConfig, CoreInput, CoreOutput, Delivery, PumpAction } from '../../js/core/types.js'
import { Assemblies } from '../../js/driver/assembly.js'
import type { Encoded, Runtime, ValueCodec } from '../../js/driver/driver.js'
import { watchEnvironment } from '../../js/driver/environment.js'
import { iterate } from '../../js/driver/iterate.js'
import { listen } from '../../js/driver/listen.js'
import { loadSerializations } from '../../js/driver/late.js'
import { Messages } from '../../js/driver/messages.js'
import { Relays } from '../../js/driver/relays.js'
import { Spare } from '../../js/driver/spare.js'
import { PunctualTimer } from '../../js/driver/timer.js'
import { Turn } from '../../js/driver/turn.js'
import { PeerError } from '../../js/errors.js'
import { files } from '../../js/files/index.js'
import { readPath } from '../../js/stats.js'
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from '../../js/signaling/transport.js'

export class FakeCore implements Core {
  readonly inlineLimit = 8
  readonly inputs: CoreInput[] = []
  readonly outputs: CoreOutput[] = []
  readonly deliveries: Delivery[] = []
  readonly actions: Partial<PumpAction>[] = []
  /** The channel of each pump. */
  readonly pumped: number[] = []
  /** The length of each frame. */
  readonly received: number[] = []
  readonly puts: { connection: number, lane: number, format: number, bytes: Uint8Array }[] = []
  readonly queued: { connection: number, lane: number, format: number, length: number }[] = []
  readonly holds: [number, boolean][] = []
  readonly transferPuts: { transfer: number, length: number }[] = []
  config: CoreConfig | undefined
  at: number | null = null
  room = true
  closing = false
  disposed = false
  pumps = 0
  unsent = 0
  marker = 0
  withdrawable = true
  ticket = 0
  /** Answers an input with outputs. */
  answer: (input: CoreInput) => CoreOutput[] = () => []
  inside = false

  #guarded<T>(call: () => T): T {
    if (this.inside) throw new Error('the core was re-entered')
    this.inside = true
    try {
      return call()
    }
    finally {
      this.inside = false
    }
  }

  handle(input: CoreInput): void {
    this.#guarded(() => {
      this.inputs.push(input)
      this.outputs.push(...this.answer(input))
    })
  }

  poll(): CoreOutput | null { return this.outputs.shift() ?? null }
  deadline(): number { return this.at ?? Infinity }
  put(connection: number, lane: number, format: number, bytes: Uint8Array): boolean {
    if (this.closing) return false
    this.puts.push({ connection, lane, format, bytes: bytes.slice() })
    return true
  }

  queue(connection: number, lane: number, format: number, length: number): number {
    if (this.closing) return 0
    this.queued.push({ connection, lane, format, length })
    return ++this.ticket
  }

  withdraw(): boolean { return this.withdrawable }
  mark(): number { return ++this.marker }
  hold(connection: number, held: boolean): void { this.holds.push([connection, held]) }
  transferPut(_connection: number, transfer: number, length: number): number {
    this.transferPuts.push({ transfer, length })
    return ++this.ticket
  }

  pump(_connection: number, channel: number): PumpAction {
    this.pumps++
    this.pumped.push(channel)
    return this.#guarded(() => ({ kind: 'wait', low: -1, text: false, last: false, ticket: 0, offset: 0, target: new Uint8Array(), frame: new Uint8Array(), ...this.actions.shift() }))
  }

  unsend(): void { this.unsent++ }
  receive(_channel: number, frame: ArrayBuffer): Delivery[] {
    this.received.push(frame.byteLength)
    return this.deliveries.splice(0)
  }

  stats(): Record<string, number> { return { framesSent: 1 } }
  dispose(): void { this.disposed = true }

  ofType<T extends CoreInput['type']>(type: T): (CoreInput & { type: T })[] {
    return this.inputs.filter((input): input is CoreInput & { type: T } => input.type === type)
  }
}

/** JSON in UTF-8, format 1; a value that holds a Blob is encoded later. */
export const codec: ValueCodec = {
  encodeValue(value: unknown): Encoded | Promise<Encoded> {
    if (typeof value === 'function') throw new PeerError('data-clone', 'a function cannot be sent')
    if (value instanceof Blob) return value.text().then(text => codec.encodeValue(`blob ${text}`))
    return { format: 1, bytes: new TextEncoder().encode(JSON.stringify(value)) }
  },
  decodeValue(_format: number, bytes: Uint8Array): unknown {
    return JSON.parse(new TextDecoder().decode(bytes))
  },
}

export const runtime = (core: FakeCore): Runtime => ({
  create(config) {
    core.config = config
    return core
  },
  values: Promise.resolve(codec),
  serializations: loadSerializations,
  assemblies: () => new Assemblies(),
  files,
  transport: first => first,
  join: () => Promise.resolve(),
  relays: (options, links) => new Relays(options, links),
  watch: watchEnvironment,
  path: readPath,
  timer: fire => new PunctualTimer(fire),
  turn: (flush, soon) => new Turn(flush, soon),
  spare: rtc => new Spare(rtc),
  iterate, listen,
  messages: (driver, owner) => new Messages(driver, owner),
})

export class FakeChannel extends EventTarget {
  binaryType = ''
  readyState: RTCDataChannelState = 'connecting'
  bufferedAmount = 0
  bufferedAmountLowThreshold = 0
  protocol = ''
  sent: Uint8Array[] = []
  full = false
  onopen: (() => void) | null = null
  onmessage: ((event: { data: ArrayBuffer | string }) => void) | null = null
  onclose: (() => void) | null = null
  onbufferedamountlow: (() => void) | null = null
  constructor(readonly label: string, readonly options: RTCDataChannelInit = {}) { super() }
  send(frame: Uint8Array): void {
    if (this.full) throw new Error('OperationError')
    this.sent.push(frame.slice())
  }

  open(): void {
    this.readyState = 'open'
    this.onopen?.()
  }

  close(): void {
    this.readyState = 'closed'
    this.onclose?.()
  }
}

/** What a sender, a receiver and sctp have; browsers that do not tell have no such member. */
export interface FakeDtlsTransport { iceTransport: { onselectedcandidatepairchange?: (() => void) | null } }

export class FakePeerConnection {
  static made: FakePeerConnection[] = []
  static fail: Error | null = null
  localDescription: RTCSessionDescriptionInit | null = null
  connectionState: RTCPeerConnectionState = 'new'
  iceConnectionState: RTCIceConnectionState = 'new'
  iceGatheringState: RTCIceGatheringState = 'new'
  sctp: { maxMessageSize: number, transport?: FakeDtlsTransport } | null = { maxMessageSize: 262_144 }
  channels: FakeChannel[] = []
  tracks: { track: unknown, transport?: FakeDtlsTransport }[] = []
  receivers: { transport: FakeDtlsTransport | null }[] = []
  calls: unknown[][] = []
  closed = false
  stats = new Map<string, object>()
  rejectNext: Error | null = null
  onicecandidate: ((event: object) => void) | null = null
  onicegatheringstatechange: (() => void) | null = null
  onnegotiationneeded: (() => void) | null = null
  onconnectionstatechange: (() => void) | null = null
  oniceconnectionstatechange: (() => void) | null = null
  ontrack: ((event: object) => void) | null = null
  ondatachannel: ((event: object) => void) | null = null

  constructor(readonly config: RTCConfiguration) {
    if (FakePeerConnection.fail) throw FakePeerConnection.fail
    FakePeerConnection.made.push(this)
  }

  async #call(...call: unknown[]): Promise<void> {
    this.calls.push(call)
    await Promise.resolve()
    const error = this.rejectNext
    this.rejectNext = null
    if (error) throw error
  }

  async setLocalDescription(): Promise<void> {
    await this.#call('setLocalDescription')
    this.localDescription = { type: 'offer', sdp: 'v=0 local' }
  }

  setRemoteDescription(description: object): Promise<void> { return this.#call('setRemoteDescription', description) }
  addIceCandidate(candidate: object): Promise<void> { return this.#call('addIceCandidate', candidate) }
  restartIce(): void { this.calls.push(['restartIce']) }
  createDataChannel(label: string, options: RTCDataChannelInit): FakeChannel {
    const channel = new FakeChannel(label, options)
    this.channels.push(channel)
    return channel
  }

  addTrack(track: unknown, ...streams: unknown[]): object {
    const sender = {
      track, streams,
      replaceTrack: async (next: unknown) => {
        await this.#call('replaceTrack', next)
        if (this.closed) throw new Error('InvalidStateError')
        sender.track = next
      },
    }
    this.tracks.push(sender)
    return sender
  }

  getSenders(): object[] { return this.tracks }
  getReceivers(): object[] { return this.receivers }
  removeTrack(sender: unknown): void { this.tracks = this.tracks.filter(other => other !== sender) }
  getStats(): Promise<Map<string, object>> { return Promise.resolve(this.stats) }
  close(): void {
    this.closed = true
    this.connectionState = 'closed'
    this.onconnectionstatechange?.()
    for (const channel of this.channels) channel.close()
  }
}

export class FakeTransport implements SignalingTransport {
  readonly name = 'fake'
  readonly channels: { id: string, token: string, handlers: SignalingHandlers, sent: string[], closed: boolean }[] = []
  id: Promise<string> = Promise.resolve('given')
  requestId(): Promise<string> { return this.id }
  connect(id: string, token: string, handlers: SignalingHandlers): SignalingChannel {
    const channel = { id, token, handlers, sent: [] as string[], closed: false }
    this.channels.push(channel)
    return { send: (text) => { channel.sent.push(text) }, close: () => { channel.closed = true } }
  }
}

/** Until everything that is due now has happened. */
export const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve))

export const bytesOf = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value))
