// What a data connection does with messages: values to bytes and back, in order, and who waits for room and delivery.
//
// Loaded with the core. Who calls: DataConnection, once it is open; before, there is nothing to send and nothing comes.

import { Format, Lane, type CoreEvent } from '../core/types.js'
import { PeerError, type PeerErrorCode } from '../errors.js'
import { type Deferred, deferred, rejected } from '../events.js'
import type { RequestHandler, RequestOptions, SendOptions } from '../data-connection.js'
import type { Driver, Encoded } from './driver.js'
import { Requests } from './requests.js'

/** The connection that messages belong to. */
export interface MessagesOwner {
  readonly handle: number
  readonly peer: string
  readonly handler: RequestHandler | null
  /** An error about this connection; not emitted. */
  error(type: PeerErrorCode, message: string, cause?: unknown): PeerError
  _error(type: 'protocol-violation', message: string, cause?: unknown): void
  emit(event: 'data', data: unknown): boolean
  emit(event: 'error', error: PeerError): boolean
}

/** What is handed to the core, by whom and how. */
export interface Post {
  lane: Lane
  signal?: AbortSignal | undefined
  /** Not of send(): who posted it tells what went wrong. */
  quiet?: boolean
  /** Of the core, once it waits there. */
  ticket?: number
  /** Nobody wants it any more. */
  withdrawn?: boolean
}

const done = Promise.resolve()

export class Messages {
  readonly #driver: Driver
  readonly #owner: MessagesOwner
  readonly #requests: Requests
  #room: Deferred<void> | null = null
  readonly #markers = new Map<number, Deferred<void>>()
  /** Values that wait for a Blob inside one of them. */
  #reading: Promise<unknown> | null = null
  #readingCount = 0

  constructor(driver: Driver, owner: MessagesOwner) {
    this.#driver = driver
    this.#owner = owner
    this.#requests = new Requests(this, owner)
  }

  /** How many messages wait for a Blob. */
  get waiting(): number {
    return this.#readingCount
  }

  /** Until what was sent is with the core; null when it is. */
  get reading(): Promise<unknown> | null {
    return this.#reading
  }

  // ---- sending

  send(data: unknown, { priority = 'normal', signal }: SendOptions): Promise<void> {
    if (signal?.aborted) return rejected(this.aborted(signal))
    const lane = Lane[priority]
    try {
      return this.#hand(this.encode(data), { lane, signal })
    }
    catch (error) {
      return this.#fail(error)
    }
  }

  request(data: unknown, options: RequestOptions): Promise<unknown> {
    return this.#requests.ask(data, options)
  }

  /** @throws {PeerError} 'data-clone' */
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
    this.#readingCount++
    const turn = (async () => {
      const [value] = await Promise.allSettled([encoded, before])
      if (post.signal?.aborted) throw this.aborted(post.signal)
      if (post.withdrawn) return { sent: done }
      if (value.status === 'rejected') return { sent: this.#fail(value.reason, post.quiet) }
      // In an object: the next one waits until this is handed over, not until there is room.
      return { sent: this.#post(value.value, post) }
    })()
    const tail: Promise<unknown> = turn.catch(() => {}).finally(() => {
      this.#readingCount--
      if (this.#reading === tail) this.#reading = null
    })
    this.#reading = tail
    const sent = turn.then(({ sent }) => sent)
    sent.catch(() => {})
    return sent
  }

  #post({ format, bytes }: Encoded, post: Post): Promise<void> {
    const { handle, peer } = this.#owner
    const ticket = this.#driver.send(handle, post.lane, format, bytes)
    if (ticket < 0) {
      const error = this.#owner.error('connection-closed', `The connection to ${peer} is closing and takes no more messages.`)
      return this.#fail(error, post.quiet)
    }
    post.ticket = ticket
    if (this.#driver.hasRoom(handle)) return done
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

  // ---- receiving

  message(format: number, bytes: Uint8Array<ArrayBuffer>, lane: Lane): void {
    if (format === Format.response) return this.#requests.answered(bytes)
    if (format === Format.request) return this.#requests.asked(bytes, lane)
    let data: unknown
    try {
      data = this.decode(format, bytes)
    }
    catch (error) {
      return this.#owner._error('protocol-violation', `A message from ${this.#owner.peer} could not be read and was dropped: ${String(error)}`, error)
    }
    this.#owner.emit('data', data)
  }

  // ---- what the core tells

  event(event: CoreEvent & { type: 'room' | 'delivered' }): void {
    if (event.type === 'room') {
      this.#room?.resolve()
      this.#room = null
      return
    }
    for (const [marker, waiting] of this.#markers) {
      if (marker > event.marker) continue
      this.#markers.delete(marker)
      waiting.resolve()
    }
  }

  /** It is over; `error` says why. */
  closed(error: PeerError): void {
    this.#room?.reject(error)
    this.#room = null
    for (const waiting of this.#markers.values()) waiting.reject(error)
    this.#markers.clear()
    this.#requests.closed(error)
  }
}
