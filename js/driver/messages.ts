// What a data connection does with messages: values to bytes and back, in order; who waits for room and delivery; what comes
// while the application does not read; what was not delivered.
//
// Loaded with the core. Who calls: DataConnection, once it is open; before, there is nothing to send and nothing comes.

import { Format, type ConnectionState, type CoreEvent, type CoreLimits, type Lane, type WireProtocol } from '../core/types.js'
import { PeerError, type PeerErrorCode } from '../errors.js'
import { type Deferred, deferred, guard, rejected } from '../events.js'
import { Channels, type ChannelOptions, type PeerChannel } from './channels.js'
import type { Acknowledged } from '../connection.js'
import type { RequestHandler, RequestOptions, SendOptions } from '../data-connection.js'
import type { Serialization, SerializationOwner } from '../peerjs/serializations.js'
import type { Driver, Encoded } from './driver.js'
import { Requests } from './requests.js'
import { Unacknowledged } from './unacknowledged.js'

/** The connection that messages belong to. */
export interface MessagesOwner extends SerializationOwner {
  readonly provider: SerializationOwner['provider'] & { options: { limits?: CoreLimits } }
  readonly handle: number
  readonly peer: string
  readonly handler: RequestHandler | null
  readonly paused: boolean
  readonly state: ConnectionState
  readonly protocol: WireProtocol | undefined
  /** The application named the serialization. */
  readonly named: boolean
  /** An error about this connection; not emitted. */
  error(type: PeerErrorCode, message: string, cause?: unknown): PeerError
  _error(type: 'protocol-violation', message: string, cause?: unknown): void
  close(): void
  emit(event: 'data', data: unknown): boolean
  emit(event: 'error', error: PeerError): boolean
  emit(event: 'channel', channel: PeerChannel): boolean
  emit(event: 'undelivered', data: unknown, info: { priority: Priority }): boolean
}

type Priority = NonNullable<SendOptions['priority']>

/** What is handed to the core, by whom and how. */
export interface Post {
  lane: Lane
  /** What send() was given. */
  data?: unknown
  signal?: AbortSignal | undefined
  /** Not of send(): who posted it tells what went wrong. */
  quiet?: boolean
  /** Of the core, once it waits there; 0 when the core has its bytes. */
  ticket?: number
  /** How many messages its lane had before. */
  place?: number
  /** Nobody wants it any more. */
  withdrawn?: boolean
}

const done = Promise.resolve()
const none: SendOptions & RequestOptions & ChannelOptions & Acknowledged = {}
const priorities: readonly Priority[] = ['high', 'normal', 'bulk']

/** After so many bytes or messages the core is asked to tell when they are delivered, so that they can be forgotten. */
const markedBytes = 65_536
const markedMessages = 1024
/** A message that is kept takes so many bytes beside its own, at least. */
const keptCost = 64

export class Messages {
  readonly #driver: Driver
  readonly #owner: MessagesOwner
  readonly #requests: Requests
  readonly #channels: Channels
  #room: Deferred<void> | null = null
  readonly #markers = new Map<number, Deferred<void>>()
  /** Values that wait for a Blob inside one of them. */
  #reading: Promise<unknown> | null = null
  readonly #unread = new Set<Post>()
  #over = false
  /** Where values follow the rules of a name. */
  #serialization: Serialization | null = null
  /** Why this connection cannot be used. */
  broken: PeerError | null = null

  /** By lane. */
  readonly #sent = [new Unacknowledged(), new Unacknowledged(), new Unacknowledged()]
  /** By marker: how many messages each lane had. */
  readonly #marks = new Map<number, number[]>()
  #unmarkedBytes = 0
  #unmarkedMessages = 0

  /** What came while the application does not read: buffer, offset, length, format, lane of each. Views would cost thrice as much. */
  readonly #kept: (ArrayBuffer | number)[] = []
  /** Of #kept, so many places are handed over. */
  #taken = 0
  /** What is kept takes so many bytes, */
  #keptBytes = 0
  /** and may take so many; -1 once it was more: all that comes behind that is lost. */
  #maxKeptBytes: number
  #flushing = false

  constructor(driver: Driver, owner: MessagesOwner) {
    this.#driver = driver
    this.#owner = owner
    // What one of ours sends ends with its window.
    this.#maxKeptBytes = this.#isForeign ? owner.provider.options.limits?.maxUnfinishedBytes ?? 1_073_741_824 : Infinity
    this.#requests = new Requests(this, owner)
    this.#channels = new Channels(this, driver, owner)
    if (this.#isForeign || owner.named) this.#prepare()
    if (owner.paused) this.pause()
  }

  #prepare(): void {
    try {
      const { serializations } = this.#driver
      if (!serializations) throw this.#owner.error('core-unavailable', 'A part of peerbridge could not be loaded: check that all files of the build are served.')
      this.#serialization = serializations.serializationOf(this.#owner)
    }
    catch (error) {
      this.broken = this.wrap(error)
    }
  }

  /** How many messages wait for a Blob. */
  get waiting(): number {
    return this.#unread.size
  }

  /** Until what was sent is with the core; null when it is. */
  get reading(): Promise<unknown> | null {
    return this.#reading
  }

  // ---- sending

  send(data: unknown, options?: SendOptions | boolean): Promise<void> {
    const { priority = 'normal', signal, transfer } = (typeof options === 'object' && options) || none
    if (signal?.aborted) return rejected(this.aborted(signal))
    try {
      const lane = this.lane(priority)
      if (transfer?.length) return this.#give(data, [...transfer], { lane, signal, data })
      return this.#hand(this.#serialize(data), { lane, signal, data })
    }
    catch (error) {
      return this.#fail(error)
    }
  }

  #give(data: unknown, transfer: ArrayBuffer[], post: Post): Promise<void> {
    // Bytes and nothing else are not even copied: their memory is ours now.
    const buffer = data instanceof Uint8Array ? data.buffer : data
    if (!this.#serialization && transfer.includes(buffer as ArrayBuffer)) {
      post.data = structuredClone(data, { transfer })
      return this.#hand(this.#driver.values.encodeValue(post.data, true), post)
    }
    const encoded = this.#serialize(data)
    structuredClone(null, { transfer })
    return this.#hand(encoded, post)
  }

  /** @throws {PeerError} 'invalid-argument' */
  lane(priority: Priority): Lane {
    const lane = priorities.indexOf(priority)
    if (lane < 0) throw this.#owner.error('invalid-argument', `There is no priority ${String(priority)}. Use high, normal or bulk.`)
    return lane as Lane
  }

  request(data: unknown, options?: RequestOptions): Promise<unknown> {
    if (this.#isForeign) return rejected(this.#foreign('requests'))
    return this.#requests.ask(data, options ?? none)
  }

  /** @throws {PeerError} 'invalid-argument', 'invalid-state', 'incompatible-peer' */
  channel(label: string, options: ChannelOptions = none): PeerChannel {
    if (this.#isForeign) throw this.#foreign('channels')
    return this.#channels.get(label, options)
  }

  get #isForeign(): boolean {
    return this.#owner.protocol === 'peerjs'
  }

  #foreign(what: string): PeerError {
    return this.#owner.error('incompatible-peer', `${this.#owner.peer} uses PeerJS, which knows no ${what}.`)
  }

  #serialize(data: unknown): Encoded | Promise<Encoded> {
    const serialization = this.#serialization
    if (!serialization) return this.encode(data)
    // PeerJS looks for its own marks in what it gets: what has none to look into throws there, and what has one vanishes.
    if (this.#isForeign && serialization.looksInside) {
      if (data == null) throw this.#alone(data)
      if ((data as { __peerData?: unknown }).__peerData) {
        throw this.#owner.error('data-clone', `PeerJS, which ${this.#owner.peer} uses, would take an object with a member __peerData for one of its own messages. Call the member something else.`)
      }
      const encoded = serialization.encode(data)
      // JSON knows no NaN, no infinities and no invalid Dates.
      if (!(encoded instanceof Promise) && isNull(encoded.bytes)) throw this.#alone(data)
      return encoded
    }
    return serialization.encode(data)
  }

  #alone(data: unknown): PeerError {
    return this.#owner.error('data-clone', `PeerJS, which ${this.#owner.peer} uses, cannot receive ${String(data)} by itself. Put it into an array or object.`)
  }

  /** By the rules of no name: for what PeerJS has not. @throws {PeerError} 'data-clone' */
  encode(data: unknown): Encoded | Promise<Encoded> {
    return this.#driver.values.encodeValue(data)
  }

  /** @throws {PeerError} 'protocol-violation' */
  decode(format: number, bytes: Uint8Array<ArrayBuffer>): unknown {
    return this.#driver.values.decodeValue(format, bytes)
  }

  /** For what is no value of send(): resolves when there is room for more, and emits no error. */
  hand(encoded: Encoded | Promise<Encoded>, post: Post): Promise<void> {
    post.quiet = true
    return this.#hand(encoded, post)
  }

  /** Takes back what hand() was given; false when a part of it has left. */
  withdraw(post: Post): boolean {
    if (post.ticket === undefined) post.withdrawn = true
    else if (!post.ticket || !this.#driver.withdraw(this.#owner.handle, post.ticket)) return false
    else this.#sent[post.lane]!.drop(post.place!)
    return true
  }

  delivered(): Promise<void> {
    if (this.#reading) {
      const all = this.#reading.then(() => this.delivered())
      all.catch(() => {})
      return all
    }
    const marker = this.#driver.mark(this.#owner.handle)
    const waiting = this.#markers.get(marker) ?? deferred<void>()
    this.#markers.set(marker, waiting)
    return waiting.promise
  }

  aborted(signal: AbortSignal): PeerError {
    return this.#owner.error('aborted', `Sending to ${this.#owner.peer} was aborted by its signal.`, signal.reason)
  }

  /** What may have been thrown at us, as an error about this connection. */
  wrap(cause: unknown): PeerError {
    const { peer } = this.#owner
    return cause instanceof PeerError
      ? this.#owner.error(cause.type as PeerErrorCode, cause.message, cause.cause)
      : this.#owner.error('data-clone', `A value for ${peer} cannot be sent: ${String(cause)}`, cause)
  }

  #fail(cause: unknown, quiet?: boolean): Promise<never> {
    const error = this.wrap(cause)
    if (!quiet) this.#owner.emit('error', error)
    return rejected(error)
  }

  #hand(encoded: Encoded | Promise<Encoded>, post: Post): Promise<void> {
    return this.#reading || encoded instanceof Promise ? this.#queue(encoded, post) : this.#post(encoded, post)
  }

  /** Keeps the order of send() calls when reading a Blob takes its time. */
  #queue(encoded: Encoded | Promise<Encoded>, post: Post): Promise<void> {
    const before = this.#reading
    this.#unread.add(post)
    // It may be the application's own memory, and has to wait.
    if (!(encoded instanceof Promise)) encoded.bytes = encoded.bytes.slice()
    const turn = (async () => {
      const [value] = await Promise.allSettled([encoded, before])
      this.#unread.delete(post)
      if (post.signal?.aborted) throw this.aborted(post.signal)
      if (post.withdrawn) return { sent: done }
      if (value.status === 'rejected') return { sent: this.#fail(value.reason, post.quiet) }
      // In an object: the next one waits until this is handed over, not until there is room.
      return { sent: this.#post(value.value, post) }
    })()
    const tail: Promise<unknown> = turn.catch(() => {}).finally(() => {
      if (this.#reading === tail) this.#reading = null
    })
    this.#reading = tail
    const sent = turn.then(({ sent }) => sent)
    sent.catch(() => {})
    return sent
  }

  #post({ format, bytes }: Encoded, post: Post): Promise<void> {
    const { handle, peer } = this.#owner
    const ticket = this.#over ? -1 : this.#driver.send(handle, post.lane, format, bytes)
    if (ticket === -2) {
      return this.#fail(this.#owner.error('message-too-big', `A message of ${bytes.length} bytes is too long for ${this.#isForeign ? `${this.#owner.serialization} to ` : ''}${peer}. `
        + `Send less at once, or ${this.#isForeign ? 'choose the serialization binary' : 'a file (sendFile())'}.`), post.quiet)
    }
    if (ticket < 0) {
      const error = this.#owner.error('connection-closed', `The connection to ${peer} is closing and takes no more messages.`)
      // Who was told that it is not delivered needs no second word.
      return this.#fail(error, post.quiet || this.#over)
    }
    post.ticket = ticket
    const lane = this.#sent[post.lane]!
    post.place = lane.end
    if (post.quiet) lane.addNothing()
    else lane.add(post.data)
    this.#unmarkedBytes += bytes.length
    if (++this.#unmarkedMessages >= markedMessages || this.#unmarkedBytes >= markedBytes) this.#mark()
    if (this.#driver.room) return done
    this.#room ??= deferred()
    const { promise } = this.#room
    const { signal } = post
    if (!signal || !ticket) return promise
    const aborted = deferred<never>()
    const abort = (): void => {
      if (this.withdraw(post)) aborted.reject(this.aborted(signal))
    }
    signal.addEventListener('abort', abort)
    const over = (): void => signal.removeEventListener('abort', abort)
    promise.then(over, over)
    const first = Promise.race([promise, aborted.promise])
    first.catch(() => {})
    return first
  }

  #mark(): void {
    this.#unmarkedBytes = this.#unmarkedMessages = 0
    this.#marks.set(this.#driver.mark(this.#owner.handle), this.#sent.map(({ end }) => end))
  }

  // ---- receiving

  message(format: number, bytes: Uint8Array<ArrayBuffer>, lane: Lane): void {
    if (format === Format.response) return this.#requests.answered(bytes)
    if (format === Format.channel) return this.#channels.closedThere(bytes)
    if (this.#kept.length || this.#owner.paused || this.#maxKeptBytes < 0) return this.#keep(format, bytes, lane)
    this.#read(format, bytes, lane)
  }

  #keep(format: number, bytes: Uint8Array<ArrayBuffer>, lane: Lane): void {
    const most = this.#maxKeptBytes
    if (most < 0) return
    this.#kept.push(bytes.buffer, bytes.byteOffset, bytes.length, format, lane)
    this.#keptBytes += bytes.length + keptCost
    if (this.#keptBytes <= most) return
    this.#maxKeptBytes = -1
    this.#owner._error('protocol-violation', `${this.#owner.peer} uses PeerJS, which cannot be asked to stop, and sent more than ${most} bytes `
      + 'while this connection was paused: it is closed. Resume sooner, or raise limits.maxUnfinishedBytes.')
    this.#owner.close()
  }

  #read(format: number, bytes: Uint8Array<ArrayBuffer>, lane: Lane): void {
    if (format === Format.request) return this.#requests.asked(bytes, lane)
    const serialization = format === Format.bytes || format === Format.text ? this.#serialization : null
    let data: unknown
    let values: unknown[] | undefined
    try {
      if (serialization) values = serialization.decode(format, bytes)
      else data = this.decode(format, bytes)
    }
    catch (error) {
      this.#owner._error('protocol-violation', `A message from ${this.#owner.peer} could not be read and was dropped: ${String(error)}`, error)
      if (serialization?.isStream) this.#owner.close()
      return
    }
    if (values) this.#tell(values)
    else this.#owner.emit('data', data)
  }

  #tell(values: unknown[]): void {
    const looks = this.#isForeign && this.#serialization!.looksInside
    for (const value of values) {
      // The core sees it where it comes in one frame, and not in pieces, or written in another way than PeerJS's own.
      if (looks && (value as { __peerData?: { type?: unknown } } | null | undefined)?.__peerData?.type === 'close') return this.#owner.close()
      guard(() => this.#owner.emit('data', value))
    }
  }

  /** Nothing is acknowledged from now on. */
  pause(): void {
    this.#driver.hold(this.#owner.handle, true)
  }

  /** Hands over what was kept, until a listener pauses again. */
  resume(): void {
    this.#flush(false)
    if (!this.#owner.paused && !this.#kept.length) this.#driver.hold(this.#owner.handle, false)
  }

  #flush(all: boolean): void {
    if (this.#flushing) return
    this.#flushing = true
    const kept = this.#kept
    while (kept.length && (all || !this.#owner.paused)) {
      const next = kept.slice(this.#taken, this.#taken += 5)
      const [buffer, offset, length, format, lane] = next as [ArrayBuffer, number, number, number, Lane]
      if (this.#taken === kept.length || this.#taken > 20_000) {
        // In one go every now and then: what is left moves.
        kept.splice(0, this.#taken)
        this.#taken = 0
      }
      else kept[this.#taken - 5] = 0
      this.#keptBytes -= length + keptCost
      guard(() => this.#read(format, new Uint8Array(buffer, offset, length), lane))
    }
    this.#flushing = false
  }

  // ---- what the core tells

  /** A side channel was made, or came on that RTCPeerConnection. */
  side(dc: RTCDataChannel, arrived: RTCPeerConnection | null): void {
    this.#channels.bind(dc, arrived)
  }

  event(event: CoreEvent): void {
    if (event.type === 'connection-state' || event.type === 'connection-opened') return this.#channels.look()
    if (event.type === 'room') {
      this.#room?.resolve()
      this.#room = null
      return
    }
    if (event.type !== 'delivered') return
    for (const [marker, waiting] of this.#markers) {
      if (marker > event.marker) continue
      this.#markers.delete(marker)
      waiting.resolve()
    }
    const counts = this.#marks.get(event.marker)
    if (!counts) return
    this.#marks.delete(event.marker)
    this.#acknowledge(counts)
  }

  #acknowledge(counts: (number | undefined)[]): void {
    counts.forEach((count, lane) => this.#sent[lane]!.acknowledge(count ?? 0))
  }

  /** It is over, and `error` says why. So many messages of each lane were delivered or taken back. */
  closed(error: PeerError, { high, normal, bulk }: Acknowledged = none): void {
    if (this.#over) return
    this.#over = true
    this.#flush(true)
    this.#acknowledge([high, normal, bulk])
    const tell = (data: unknown, lane: number): void =>
      guard(() => this.#owner.emit('undelivered', data, { priority: priorities[lane]! }))
    this.#sent.forEach((sent, lane) => sent.take().forEach(data => tell(data, lane)))
    for (const { data, lane, quiet, signal } of this.#unread) if (!quiet && !signal?.aborted) tell(data, lane)
    this.#room?.reject(error)
    this.#room = null
    for (const waiting of this.#markers.values()) waiting.reject(error)
    this.#markers.clear()
    this.#requests.closed(error)
    this.#channels.closed()
  }
}

/** The JSON text null. */
function isNull(bytes: Uint8Array): boolean {
  return bytes.length === 4 && bytes[0] === 0x6e && bytes[1] === 0x75 && bytes[2] === 0x6c && bytes[3] === 0x6c
}
