import { Connection, type ConnectionEvents, type ConnectionInit } from './connection.js'
import { Lane, type CoreEvent } from './core/types.js'
import type { Driver, Encoded } from './driver/driver.js'
import { PeerError } from './errors.js'
import { type Deferred, deferred, rejected } from './events.js'
import type { Peer } from './peer.js'
import { type Files, Transfer, type SendFileOptions, type TransferPort, type TransferSource } from './transfer.js'

export interface DataConnectionEvents extends ConnectionEvents {
  data: (data: any) => void // eslint-disable-line @typescript-eslint/no-explicit-any -- as in PeerJS
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
}

const done = Promise.resolve()

/** Messages and files to and from one peer: in order, each exactly once, over whatever path works. */
export class DataConnection extends Connection<DataConnectionEvents> implements TransferPort {
  readonly type = 'data'
  /** As given to `connect()`; kept for PeerJS: every connection is reliable and in order. */
  readonly reliable: boolean
  readonly serialization: string

  #room: Deferred<void> | null = null
  #markers = new Map<number, Deferred<void>>()
  #transfers = new Map<number, Transfer>()
  /** Values that wait for a Blob inside one of them. */
  #encoding: Promise<unknown> | null = null
  #encodingCount = 0

  /** @internal */
  constructor(provider: Peer, driver: Driver, init: ConnectionInit) {
    super(provider, driver, init)
    this.reliable = init.reliable
    this.serialization = init.serialization
  }

  /** The channel that carries it; null before there is one. */
  get dataChannel(): RTCDataChannel | null {
    return this.driver.dataChannel(this.handle)
  }

  /** Messages that wait in JavaScript, as in PeerJS. */
  get bufferSize(): number {
    return this.driver.counters(this.handle).waiting + this.#encodingCount
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
   * 'connection-closed', 'data-clone'. An abort ('aborted') only rejects.
   *
   * @param options A boolean (PeerJS's `chunked`) is accepted and means nothing: large messages are always cut.
   */
  send(data: unknown, options?: SendOptions | boolean): Promise<void> {
    const { priority = 'normal', signal } = typeof options === 'object' ? options : {}
    if (signal?.aborted) return rejected(this.#aborted())
    const refused = this.#refused()
    if (refused) return this.#fail(refused)
    let encoded: Encoded | Promise<Encoded>
    try {
      encoded = this.driver.values.encodeValue(data)
    }
    catch (error) {
      return this.#fail(error)
    }
    if (this.#encoding || encoded instanceof Promise) return this.#queue(encoded, Lane[priority], signal)
    return this.#post(encoded, Lane[priority], signal)
  }

  /** Resolves when everything sent so far is in the other application's hands; rejects with 'connection-closed' if that will not be. */
  delivered(): Promise<void> {
    const refused = this.#refused()
    if (refused) return rejected(refused)
    if (this.#encoding) {
      const all = this.#encoding.then(() => this.delivered())
      all.catch(() => {})
      return all
    }
    const marker = this.driver.mark(this.handle)
    const waiting = this.#markers.get(marker) ?? deferred<void>()
    this.#markers.set(marker, waiting)
    return waiting.promise
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
      name: options.name ?? (source as Partial<File>).name ?? 'file',
      mime: options.type ?? blob?.type ?? '',
      key: options.key ?? this.files?.keyOf(source) ?? '',
      ...(size !== undefined && { size }),
    }, source)
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
    if (this.#encoding) void this.#encoding.then(() => super.finish())
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

  #fail(cause: unknown): Promise<never> {
    const error = cause instanceof PeerError
      ? this.error(cause.type, cause.message, cause.cause)
      : this.error('data-clone', `A value for ${this.peer} cannot be sent: ${String(cause)}`, cause)
    this.say('error', error)
    return rejected(error)
  }

  /** Keeps the order of send() calls when reading a Blob takes its time. */
  #queue(encoded: Encoded | Promise<Encoded>, lane: Lane, signal?: AbortSignal): Promise<void> {
    const before = this.#encoding
    this.#encodingCount++
    const turn = (async () => {
      const [value] = await Promise.allSettled([encoded, before])
      if (signal?.aborted) throw this.#aborted()
      if (value.status === 'rejected') return { sent: this.#fail(value.reason) }
      // In an object: the next one waits until this is handed over, not until there is room.
      return { sent: this.#post(value.value, lane, signal) }
    })()
    const tail: Promise<unknown> = turn.catch(() => {}).finally(() => {
      this.#encodingCount--
      if (this.#encoding === tail) this.#encoding = null
    })
    this.#encoding = tail
    const sent = turn.then(({ sent }) => sent)
    sent.catch(() => {})
    return sent
  }

  #post({ format, bytes }: Encoded, lane: Lane, signal?: AbortSignal): Promise<void> {
    const ticket = this.driver.send(this.handle, lane, format, bytes)
    if (ticket < 0) return this.#fail(this.error('connection-closed', `The connection to ${this.peer} is closing and takes no more messages.`))
    if (this.driver.hasRoom(this.handle)) return done
    this.#room ??= deferred()
    const { promise } = this.#room
    if (!signal || !ticket) return promise
    const aborted = deferred<never>()
    const abort = (): void => {
      if (this.driver.withdraw(this.handle, ticket)) aborted.reject(this.#aborted())
    }
    signal.addEventListener('abort', abort)
    const over = (): void => signal.removeEventListener('abort', abort)
    promise.then(over, over)
    const first = Promise.race([promise, aborted.promise])
    first.catch(() => {})
    return first
  }

  // ---- what the core tells

  /** @internal */
  override _event(event: CoreEvent): void {
    switch (event.type) {
      case 'room':
        this.#room?.resolve()
        this.#room = null
        return
      case 'delivered':
        for (const [marker, waiting] of this.#markers) {
          if (marker > event.marker) continue
          this.#markers.delete(marker)
          waiting.resolve()
        }
        return
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
      default: super._event(event)
    }
  }

  /** @internal */
  override _closed(reason: string): void {
    const error = this.error('connection-closed', `The connection to ${this.peer} closed${reason && ` (${reason})`} before everything was delivered.`)
    this.#room?.reject(error)
    this.#room = null
    for (const waiting of this.#markers.values()) waiting.reject(error)
    this.#markers.clear()
    for (const transfer of this.#transfers.values()) transfer._end(error)
    this.#transfers.clear()
    super._closed(reason)
  }

  /** @internal */
  override message(format: number, bytes: Uint8Array<ArrayBuffer>): void {
    let data: unknown
    try {
      data = this.driver.values.decodeValue(format, bytes)
    }
    catch (error) {
      return this._error('protocol-violation', `A message from ${this.peer} could not be read and was dropped: ${String(error)}`, error)
    }
    this.emit('data', data)
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
  override channelOpened(): void {
    this.emit('willCloseOnRemote')
  }
}

const isFinal = new Set(['done', 'rejected', 'cancelled', 'failed'])
