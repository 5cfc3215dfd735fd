import { type Acknowledged, Connection, type ConnectionEvents } from './connection.js'
import type { CoreEvent, Lane } from './core/types.js'
import type { ChannelOptions, PeerChannel } from './driver/channels.js'
import type { Messages, MessagesOwner } from './driver/messages.js'
import type { PeerError } from './errors.js'
import { rejected } from './events.js'
import type { Peer } from './peer.js'
import { type Files, Transfer, type SendFileOptions, type TransferPort, type TransferSource } from './transfer.js'

export interface DataConnectionEvents extends ConnectionEvents {
  data: (data: any) => void // eslint-disable-line @typescript-eslint/no-explicit-any -- as in PeerJS
  /**
   * A message that was not delivered when the connection closed, once for each, in the order of send() within a priority,
   * right before 'close'. `data` is what send() was given. Not delivered is what the other side has not acknowledged: of the
   * last ones it may have got some. Files and requests fail by themselves and are not reported.
   */
  undelivered: (data: any, info: { priority: 'high' | 'normal' | 'bulk' }) => void // eslint-disable-line @typescript-eslint/no-explicit-any -- like data
  /** The other side made a channel with channel(); from here on, that with its label answers the same one. */
  channel: (channel: PeerChannel) => void
  /** The other side offers a file: `accept()` or `reject()` it. When nobody listens it is rejected. */
  transfer: (transfer: Transfer) => void
  /** As in PeerJS: an RTCDataChannel of it opened. */
  willCloseOnRemote: () => void
}

export interface SendOptions {
  /** 'high' goes before everything else; the others share what is left. Order holds within one. @default 'normal' */
  priority?: 'high' | 'normal' | 'bulk'
  /** Takes the message back as long as nothing of it has left. */
  signal?: AbortSignal
  /**
   * Buffers that are given away, as with structuredClone(): they are empty afterwards. A large ArrayBuffer or typed array is
   * then not copied, which takes about a millisecond for each megabyte and stops the page meanwhile. @default []
   */
  transfer?: readonly ArrayBuffer[]
}

export interface RequestOptions {
  /** Milliseconds to wait for the answer; 0 or Infinity: as long as the connection lives. @default 30_000 */
  timeout?: number
  /** Gives the request up: the other side's handler learns it by its own `signal`. */
  signal?: AbortSignal
  /** As with send(); the answer has the same. @default 'normal' */
  priority?: SendOptions['priority']
}

/**
 * Answers requests: what it returns, or its promise resolves to, is the answer. The message of what it throws is told to
 * who asked. `signal` aborts when the answer is not wanted any more.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- like data
export type RequestHandler = (data: any, context: { signal: AbortSignal }) => unknown

/** Messages and files to and from one peer: in order, each exactly once, over whatever path works. */
export class DataConnection extends Connection<DataConnectionEvents> implements TransferPort, MessagesOwner {
  readonly type = 'data'
  /** As given to `connect()`; kept for PeerJS: every connection is reliable and in order. */
  readonly reliable: boolean
  /**
   * What values are made of. Where `connect()` was given no name, this says 'binary', which is what PeerJS gets; between two
   * peerbridge peers values then arrive as they were sent.
   */
  readonly serialization: string
  /** Of the serialization 'json'; as in PeerJS, others can be put in their place. */
  stringify: (value: unknown) => string = JSON.stringify
  parse: (text: string) => unknown = JSON.parse
  /** @internal */
  readonly named: boolean

  /** @internal */
  handler: RequestHandler | null = null
  /** @internal */
  over = false
  #paused = false
  #stripes = 1
  /** There once it is open. */
  #messages: Messages | null = null
  #transfers = new Map<number, Transfer>()

  /** The other side made it, and the application does not know. */
  #unknown: boolean

  /** @internal */
  constructor(peer: string, provider: Peer, options: object) {
    super(peer, provider, options)
    const { serialization, reliable, incoming } = this.init
    this.reliable = reliable
    this.named = !!serialization
    this.serialization = wireName(serialization) || 'binary'
    if (this.named) void this.driver.need(this.serialization)
    this.#unknown = !!incoming
  }

  /** Messages that wait in JavaScript, as in PeerJS. */
  get bufferSize(): number {
    return this.driver.counters(this.handle).waiting + (this.#messages?.waiting ?? 0)
  }

  /** @internal */
  get files(): Files | undefined {
    return this.driver.files
  }

  /** Files on their way. */
  get transfers(): Transfer[] {
    return [...this.#transfers.values()]
  }

  /**
   * Sends what structuredClone can carry. Resolves when there is room for more: await it and memory stays flat.
   *
   * What goes wrong is emitted as 'error' too, so nobody has to look at the promise: 'not-open-yet',
   * 'connection-closed', 'data-clone', 'message-too-big'. An abort ('aborted') only rejects.
   *
   * Toward PeerJS null and undefined by themselves, and objects with a member `__peerData`, are 'data-clone': it cannot
   * receive them. 'json' there ends below 16 300 bytes, 'raw' at what the channel takes: 'message-too-big'.
   *
   * @param options A boolean (PeerJS's `chunked`) is accepted and means nothing: large messages are always cut.
   */
  send(data: unknown, options?: SendOptions | boolean): Promise<void> {
    const refused = this.#refused()
    if (refused) this.say('error', refused)
    return refused ? rejected(refused) : this.#messages!.send(data, options)
  }

  /**
   * Resolves when everything sent so far is in the other application's hands; rejects with 'connection-closed' if that will not
   * be. PeerJS acknowledges nothing: toward it this resolves when everything has left the buffers of this browser.
   */
  delivered(): Promise<void> {
    return this.#do(messages => messages.delivered())
  }

  /**
   * Over how many RTCPeerConnections messages of priority 'bulk' and files are spread, 1 to 8: for long or lossy paths, where
   * one is slow. Each takes its share of the network from others, so ask for few. The side that asks for more decides; 8 is
   * the most, or what `limits.maxStripes` of either side says. Can be set at any time, also before 'open'.
   * @default 1
   * @throws {PeerError} 'invalid-argument'
   */
  get stripes(): number {
    return this.#stripes
  }

  set stripes(count: number) {
    if (!(Number.isInteger(count) && count >= 1 && count <= 8)) {
      throw this.error('invalid-argument', `stripes has to be a whole number from 1 to 8, got ${String(count)}.`)
    }
    if (count === this.#stripes) return
    this.#stripes = count
    this.feed({ type: 'stripes', connection: this.handle, count })
  }

  /** Did pause() stop it? */
  get paused(): boolean {
    return this.#paused
  }

  /**
   * No 'data' and no requests from now on, until resume(). What comes meanwhile is kept, and nothing is acknowledged: so the
   * other side stops once its window is full, its send() promises wait, and memory here stays flat. Files have windows of
   * their own. Answers to your own requests still come, where the window lets them. When the connection closes, what was kept
   * is emitted first. Twice is harmless; before 'open' it holds from the first message on. PeerJS cannot be asked to stop:
   * what it sends meanwhile is kept up to `limits.maxUnfinishedBytes`, and beyond that the connection is closed.
   */
  pause(): void {
    this.#paused = true
    this.#messages?.pause()
  }

  /** Goes on after pause(): emits what was kept, at once and in order, until a listener pauses again. */
  resume(): void {
    this.#paused = false
    this.#messages?.resume()
  }

  /**
   * `for await (const message of conn)`: the messages from now on, one by one, until the connection closes. While the loop is
   * busy with one, the connection is paused. A loop that is left leaves it paused, unless there are listeners of 'data': then
   * nothing is lost for the next loop.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- like data
  async* [Symbol.asyncIterator](): AsyncGenerator<any, void, undefined> {
    yield* (await this.driver.runtime).iterate(this)
  }

  /**
   * Asks the other side, and resolves to what its `onRequest()` handler answers. Exactly once, as with send(), also when the
   * path is lost meanwhile. Several may be under way; each is answered when its handler is done.
   *
   * Rejects with 'request-failed' (the handler threw; its message), 'request-unhandled' (there is none), 'request-busy' (more
   * than 1024 at once), 'timeout', 'aborted', 'not-open-yet', 'connection-closed', 'data-clone'. No 'error' is emitted, and a
   * promise that nobody looks at is no unhandled rejection.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- like data
  request(data: unknown, options?: RequestOptions): Promise<any> {
    return this.#do(messages => messages.request(data, options))
  }

  /**
   * Answers the other side's `request()`. There is one handler: another one takes its place. Requests that come while there is
   * none are refused at once, so set it in the listener of 'connection', or before 'open'.
   * @returns takes the handler away, unless another one took its place
   */
  onRequest(handler: RequestHandler): () => void {
    this.handler = handler
    return () => {
      if (this.handler === handler) this.handler = null
    }
  }

  /**
   * A channel for what is worthless when it is late: positions in a game, pointers, sensors. Its messages are not ordered and
   * sent once unless `options` say otherwise; they are lost with the path and never replayed, and wait for nothing that
   * send() sends. The other side gets the event 'channel', or the one that it made under the same label: both sides may call
   * this, and each label is one channel. Where there is one already, that is answered, whatever the options. It goes on when
   * the connection was recovered, and ends with it. At most 32 from each side.
   * @throws {PeerError} 'not-open-yet', 'connection-closed', 'invalid-argument', 'invalid-state', 'incompatible-peer' (PeerJS)
   */
  channel(label: string, options?: ChannelOptions): PeerChannel {
    const refused = this.#refused()
    if (refused) throw refused
    return this.#messages!.channel(label, options)
  }

  /**
   * Offers a file; its bytes are read as the other side takes them. The Transfer fails at once ('not-open-yet',
   * 'connection-closed', emitted as 'error' too) when the connection is not open. After a reload of either page, or a
   * connection that was lost, send the same file again: the other side can go on where it stopped, see
   * `accept({ keep: true })`.
   */
  sendFile(source: TransferSource, options: SendFileOptions = {}): Transfer {
    const blob = source instanceof Blob ? source : undefined
    const size = blob?.size ?? options.size
    const transfer = new Transfer(this, this.handle, this.driver.handle(), {
      name: options.name ?? (source as Partial<File> | null)?.name ?? 'file',
      mime: options.type ?? blob?.type ?? '',
      key: options.key ?? this.files?.keyOf(source) ?? '',
      ...(size !== undefined && { size }),
    }, source || {})
    if (transfer._over) return transfer
    if (options.onProgress) transfer.on('progress', options.onProgress)
    const { signal } = options
    const refused = signal?.aborted ? this.#aborted() : this.#refused()
    if (refused) {
      if (!signal?.aborted) this.say('error', refused)
      transfer._end(refused)
      return transfer
    }
    if (signal) {
      const abort = (): void => transfer._fail(this.#aborted())
      signal.addEventListener('abort', abort)
      // Both ends of the promise: a rejection is not this line's affair.
      const over = (): void => signal.removeEventListener('abort', abort)
      transfer.done.then(over, over)
    }
    this.#transfers.set(transfer.id, transfer)
    this.feed({
      type: 'transfer-offer', connection: this.handle, transfer: transfer.id,
      name: transfer.name, mime: transfer.type, key: transfer.key, ...(size !== undefined && { size }),
    })
    return transfer
  }

  /**
   * Sends what waits, then ends the connection; the event 'close' follows when the other side has everything, or
   * after some seconds. PeerJS's `{ flush: true }` is what always happens.
   */
  override close(_options?: { flush?: boolean }): void {
    super.close()
  }

  protected override finish(): void {
    // What was sent before close() goes first, even if a Blob inside is still being read.
    const reading = this.#messages?.reading
    if (reading) void reading.then(() => super.finish())
    else super.finish()
  }

  // ---- sending

  #aborted(): PeerError {
    return this.error('aborted', `Sending to ${this.peer} was aborted by its signal.`)
  }

  /** Why nothing can be sent now. */
  #refused(): PeerError | null {
    if (this.open) return null
    return this.ended
      ? this.error('connection-closed', `The connection to ${this.peer} is closed. Open a new one with connect().`)
      : this.error('not-open-yet', `The connection to ${this.peer} is not open yet. Wait for its 'open' event before sending.`)
  }

  #do<T>(what: (messages: Messages) => Promise<T>): Promise<T> {
    const refused = this.#refused()
    return refused ? rejected(refused) : what(this.#messages!)
  }

  protected override prepared(): boolean {
    const { broken } = this.#made()
    if (!broken) return true
    this.say('error', broken)
    this.close()
    return false
  }

  #made(): Messages {
    return this.#messages ??= this.driver.messages(this)
  }

  // ---- what the core tells

  /** @internal */
  override _event(event: CoreEvent): void {
    // It may end before it has an RTCPeerConnection.
    if (event.type === 'connection-error' || event.type === 'connection-closed') this.#announce()
    switch (event.type) {
      case 'transfer-offered': {
        const transfer = new Transfer(this, this.handle, event.transfer, event)
        this.#transfers.set(transfer.id, transfer)
        if (!this.emit('transfer', transfer)) transfer._refuse('nobody takes files here')
        return
      }
      case 'transfer-state':
      case 'transfer-progress':
      case 'transfer-ended': {
        const transfer = this.#transfers.get(event.transfer)
        if (event.type === 'transfer-state' && isFinal.has(event.state)) this.#transfers.delete(event.transfer)
        return transfer?._event(event)
      }
      default:
        if (event.type === 'connection-foreign') return void this.driver.need(this.serialization)
        super._event(event)
        this.#messages?.event(event)
    }
  }

  /** @internal */
  override _closed(reason: string, counts?: Acknowledged): void {
    const error = this.error('connection-closed', `The connection to ${this.peer} closed${reason && ` (${reason})`} before everything was delivered.`)
    this.#messages?.closed(error, counts)
    for (const transfer of this.#transfers.values()) transfer._end(error)
    this.#transfers.clear()
    this.over = true
    super._closed(reason)
  }

  #announce(): void {
    if (!this.#unknown) return
    this.#unknown = false
    this.provider.emit('connection', this)
  }

  /** @internal */
  override message(format: number, bytes: Uint8Array<ArrayBuffer>, lane: Lane): void {
    this.#messages?.message(format, bytes, lane)
  }

  /** @internal */
  override transferData(transfer: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#transfers.get(transfer)?._data(bytes)
  }

  /** @internal */
  override transferRead(transfer: number, offset: number, length: number): void {
    this.#transfers.get(transfer)?._read(offset, length)
  }

  /** @internal */
  supply(transfer: number, bytes: Uint8Array): void {
    this.driver.supply(this.handle, transfer, bytes)
  }

  /** @internal */
  override carried(pc: RTCPeerConnection): void {
    super.carried(pc)
    this.#announce()
  }

  /** @internal */
  override side(dc: RTCDataChannel, arrived: RTCPeerConnection | null): void {
    this.#made().side(dc, arrived)
  }

  /** @internal */
  override channelOpened(): void {
    this.emit('willCloseOnRemote')
  }
}

/** PeerJS's other names for 'binary' never travel. */
export const wireName = (name = ''): string => /^(default|binary-utf8)$/.test(name) ? 'binary' : name

const isFinal = new Set(['done', 'rejected', 'cancelled', 'failed'])
