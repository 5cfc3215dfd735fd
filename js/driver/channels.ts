// Side channels of a data connection: RTCDataChannels beside the one that carries it, for what is worthless when it is late.
// Bytes: docs/protocol.md, "Side channels".
//
// Who calls: Messages. On which RTCPeerConnection they are, and when they are made again, the core decides; which of them are
// two ends of one PeerChannel, their labels and numbers say. That one is closed is said through the connection, so that it
// is not mistaken for a channel that was lost.

import { Format, Lane, type ConnectionState } from '../core/types.js'
import { Emitter, guard, noop } from '../events.js'
import type { Driver } from './driver.js'
import { carries } from './listen.js'
import type { Messages, MessagesOwner } from './messages.js'
import { frame, parse } from './requests.js'

export interface ChannelOptions {
  /** Messages that come out of order wait for those before them. @default false */
  ordered?: boolean
  /** How often a message that was lost is sent again, 0 to 65 535. @default 0, unless maxPacketLifeTime is given */
  maxRetransmits?: number
  /** For how many milliseconds a message is sent again, 0 to 65 535. Not together with maxRetransmits. */
  maxPacketLifeTime?: number
}

export interface PeerChannelEvents {
  message: (data: any) => void // eslint-disable-line @typescript-eslint/no-explicit-any -- like data
  /** It can be used for the first time. */
  open: () => void
  state: (state: ConnectionState) => void
  /** The last event. */
  close: () => void
}

/** Bytes of one message, its first included: more are many packets, of which one is lost. */
const largest = 16_384
/** More bytes than these waiting in the browser: what is sent now would be late. */
const mostBuffered = 65_536
/** Of each side's, for one connection; the core holds it too. */
const mostChannels = 32
const largestShort = 65_535
/** Milliseconds after which the core is told again that something came. */
const heardEvery = 500

/** First byte of a message that one is closed: one of its sender's, or one of its receiver's. */
const closedMine = 0
const closedYours = 1

/**
 * Messages that are lost rather than late. Each side has one object for a label; it stays the same when the connection comes
 * back over another RTCPeerConnection.
 */
export class PeerChannel extends Emitter<PeerChannelEvents> {
  /** Numbers on the wire of the RTCDataChannels that this side and the other side made; 0: none. @internal */
  readonly _numbers = { mine: 0, theirs: 0 }
  /** Those that carry: see listen.ts. */
  readonly #opened = new WeakSet<RTCDataChannel>()
  readonly #ends: { mine?: RTCDataChannel, theirs?: RTCDataChannel } = {}
  readonly #all: Channels
  #state: ConnectionState = 'connecting'

  /** @internal */
  constructor(
    all: Channels, readonly label: string, readonly ordered: boolean, readonly maxRetransmits: number | null,
    readonly maxPacketLifeTime: number | null,
  ) {
    super()
    this.#all = all
  }

  /** 'connecting' → 'open' ⇄ 'recovering' → 'closed'. Event 'state'. */
  get state(): ConnectionState {
    return this.#state
  }

  /** Bytes that wait in the browser. */
  get bufferedAmount(): number {
    return this.#end?.bufferedAmount ?? 0
  }

  /**
   * Sends what structuredClone can carry, but no Blobs and Files. True: it is on its way, and may be lost there. False: it was
   * dropped, because the channel is not open now, or because 64 KiB wait for the network already.
   * @throws {PeerError} 'data-clone' for what cannot be sent, 'message-too-big' for more than 16 383 bytes
   */
  send(data: unknown): boolean {
    const bytes = this.#all.encode(data)
    const end = this.#end
    if (this.#state !== 'open' || !end || end.bufferedAmount + bytes.length > mostBuffered) return false
    try {
      end.send(bytes)
      return true
    }
    catch { // it is closing
      return false
    }
  }

  /** Ends it on both sides. Twice is harmless. The event 'close' follows before this returns. */
  close(): void {
    if (this.#state !== 'closed') this.#all.close(this)
  }

  /** Through our own, where there is one: its options are ours. */
  get #end(): RTCDataChannel | undefined {
    const { mine, theirs } = this.#ends
    return [mine, theirs].find(dc => dc?.readyState === 'open' && this.#opened.has(dc))
  }

  /** @internal */
  _bind(dc: RTCDataChannel, arrived: RTCPeerConnection | null): void {
    this.#ends[arrived ? 'theirs' : 'mine'] = dc
    dc.binaryType = 'arraybuffer'
    const opened = (): void => {
      this.#opened.add(dc)
      this._look()
    }
    dc.onopen = () => arrived ? void carries(arrived, dc, opened) : opened()
    dc.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (!this.#opened.has(dc)) opened()
      this.#all.received(this, data)
    }
    this._look()
  }

  /** Something may be different. @internal */
  _look(): void {
    const open = this.#all.open && this.#end
    const opened = this.#state !== 'connecting'
    this.#become(open ? 'open' : opened ? 'recovering' : 'connecting')
    if (!opened && this.#state === 'open') guard(() => this.emit('open'))
  }

  /** @internal */
  _end(): void {
    this.#ends.theirs?.close()
    for (const end of [this.#ends.mine, this.#ends.theirs]) if (end) end.onopen = end.onmessage = null
    this.#become('closed')
    guard(() => this.emit('close'))
  }

  #become(state: ConnectionState): void {
    if (state === this.#state || this.#state === 'closed') return
    this.#state = state
    guard(() => this.emit('state', state))
  }
}

export class Channels {
  readonly #messages: Messages
  readonly #driver: Driver
  readonly #owner: MessagesOwner
  readonly #byLabel = new Map<string, PeerChannel>()
  /** Came before the connection was open. */
  #early: PeerChannel[] | null = []
  /** Numbers of the other side's that were closed here, and may still come. */
  readonly #gone = new Set<number>()
  #last = 0
  #heardAt = -Infinity

  constructor(messages: Messages, driver: Driver, owner: MessagesOwner) {
    this.#messages = messages
    this.#driver = driver
    this.#owner = owner
  }

  get open(): boolean {
    return this.#owner.state === 'open'
  }

  /** The channel of this label, made now if there is none. */
  get(label: string, { ordered = false, maxRetransmits, maxPacketLifeTime }: ChannelOptions): PeerChannel {
    const known = this.#byLabel.get(label)
    if (known) return known
    const bad = (what: string): never => {
      throw this.#owner.error('invalid-argument', what)
    }
    if (new TextEncoder().encode(label).length > largestShort) bad('The label of a channel has at most 65 535 bytes.')
    for (const [name, value] of Object.entries({ maxRetransmits, maxPacketLifeTime })) {
      if (value !== undefined && !(Number.isInteger(value) && value >= 0 && value <= largestShort)) {
        bad(`${name} has to be a whole number from 0 to 65 535, got ${String(value)}.`)
      }
    }
    if (maxRetransmits !== undefined && maxPacketLifeTime !== undefined) bad('maxRetransmits and maxPacketLifeTime exclude each other: leave one out.')
    if (this.#count('mine') >= mostChannels) throw this.#owner.error('invalid-state', `A connection has at most ${mostChannels} channels. Close some.`)
    if (maxPacketLifeTime === undefined) maxRetransmits ??= 0
    const channel = new PeerChannel(this, label, ordered, maxRetransmits ?? null, maxPacketLifeTime ?? null)
    const side = channel._numbers.mine = ++this.#last
    this.#byLabel.set(label, channel)
    this.#driver.feed({
      type: 'side-open', connection: this.#owner.handle, side, label, ordered,
      ...(maxRetransmits !== undefined && { maxRetransmits }), ...(maxPacketLifeTime !== undefined && { maxPacketLifeTime }),
    })
    return channel
  }

  /** An RTCDataChannel was made for one of ours, or came on that RTCPeerConnection. */
  bind(dc: RTCDataChannel, arrived: RTCPeerConnection | null): void {
    const number = Number(/\.([1-9]\d{0,8})$/.exec(dc.protocol)?.[1])
    if (!arrived) {
      for (const channel of this.#byLabel.values()) if (channel._numbers.mine === number) channel._bind(dc, null)
      return
    }
    if (!number || this.#gone.has(number)) return dc.close()
    let channel = this.#byLabel.get(dc.label)
    if (channel && channel._numbers.theirs && channel._numbers.theirs !== number) {
      // Closed and made anew there; the word about it is still on its way.
      this.#end(channel, 'theirs')
      channel = undefined
    }
    if (!channel) {
      if (this.#count('theirs') >= mostChannels) return dc.close()
      channel = new PeerChannel(this, dc.label, dc.ordered, dc.maxRetransmits, dc.maxPacketLifeTime)
      this.#byLabel.set(dc.label, channel)
      if (this.#early) this.#early.push(channel)
      else this.#tell(channel)
    }
    channel._numbers.theirs = number
    channel._bind(dc, arrived)
  }

  #tell(channel: PeerChannel): void {
    guard(() => this.#owner.emit('channel', channel))
  }

  /** The connection is in another state. */
  look(): void {
    if (this.#owner.state === 'closed') return // they end with it
    for (const channel of this.#byLabel.values()) channel._look()
    if (!this.open || !this.#early) return
    const early = this.#early
    this.#early = null
    for (const channel of early) if (channel.state !== 'closed') this.#tell(channel)
  }

  /** @throws {PeerError} */
  encode(data: unknown): Uint8Array<ArrayBuffer> {
    let encoded
    try {
      encoded = this.#messages.encode(data)
    }
    catch (error) {
      throw this.#messages.wrap(error)
    }
    if (encoded instanceof Promise) {
      encoded.catch(noop)
      throw this.#owner.error('data-clone', 'A channel carries no Blobs and Files, which have to be read first: send() of the connection does.')
    }
    const { format, bytes } = encoded
    if (bytes.length >= largest) {
      throw this.#owner.error('message-too-big', `A message of a channel has at most ${largest - 1} bytes, this one has ${bytes.length}: use send() of the connection.`)
    }
    const framed = new Uint8Array(bytes.length + 1)
    framed[0] = format
    framed.set(bytes, 1)
    return framed
  }

  /** A message of the other side. */
  received(channel: PeerChannel, data: unknown): void {
    const now = performance.now()
    if (now - this.#heardAt >= heardEvery) {
      this.#heardAt = now
      this.#driver.feed({ type: 'side-heard', connection: this.#owner.handle })
    }
    let value: unknown
    try {
      if (!(data instanceof ArrayBuffer) || !data.byteLength || data.byteLength > largest) throw new Error('it has the wrong size or kind')
      value = this.#messages.decode(new Uint8Array(data)[0]!, new Uint8Array(data, 1))
    }
    catch (error) {
      return this.#owner._error('protocol-violation', `A message on channel "${channel.label}" could not be read and was dropped: ${String(error)}`, error)
    }
    guard(() => channel.emit('message', value))
  }

  // ---- the end

  /** The application closes it. */
  close(channel: PeerChannel): void {
    const { theirs } = channel._numbers
    this.#say(closedYours, theirs)
    if (theirs) this.#gone.add(theirs)
    this.#end(channel, 'theirs')
  }

  /** The other side closed one. */
  closedThere(bytes: Uint8Array<ArrayBuffer>): void {
    const { kind, id } = parse(bytes)
    if (!id || kind > closedYours) return this.#owner._error('protocol-violation', `A message of ${this.#owner.peer} about a channel could not be read and was dropped.`)
    const named = kind === closedMine ? 'theirs' : 'mine'
    for (const channel of this.#byLabel.values()) if (channel._numbers[named] === id) this.#end(channel, named)
  }

  /** It is over, and the other side knows that of the RTCDataChannel that is `named`. */
  #end(channel: PeerChannel, named: 'mine' | 'theirs'): void {
    const { mine } = channel._numbers
    this.#byLabel.delete(channel.label)
    if (named !== 'mine') this.#say(closedMine, mine)
    if (mine) this.#driver.feed({ type: 'side-close', connection: this.#owner.handle, side: mine })
    channel._end()
  }

  #say(kind: number, number: number): void {
    if (number) void this.#messages.hand(frame(Format.channel, kind, number), { lane: Lane.high })
  }

  #count(whose: 'mine' | 'theirs'): number {
    return [...this.#byLabel.values()].filter(({ _numbers }) => _numbers[whose]).length
  }

  /** The connection is over. */
  closed(): void {
    const all = [...this.#byLabel.values()]
    this.#byLabel.clear()
    for (const channel of all) channel._end()
  }
}
