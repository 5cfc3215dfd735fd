import type { CoreEvent, CoreInput, TransferState } from './core/types.js'
import { PeerError, type PeerErrorCode } from './errors.js'
import { deferred, Emitter } from './events.js'

/** What a file can come from. */
export type TransferSource = Blob | ReadableStream<Uint8Array | ArrayBuffer | string>

/** Where a file can go. A FileSystemWritableFileStream is one. */
export type TransferSink = WritableStream<Uint8Array<ArrayBuffer>>

export interface SendFileOptions {
  /** @default the name of the File, else 'file' */
  name?: string
  /** MIME type. @default the type of the Blob */
  type?: string
  /** Bytes; for a stream whose length is known. @default the size of the Blob */
  size?: number
  /**
   * Names this very file, today and after a reload, so that the other side can go on where it stopped; of its UTF-8 128
   * bytes travel. @default of a File: when it was modified, its size, its name; else none
   */
  key?: string
  /** Cancels the transfer. */
  signal?: AbortSignal
  /** As the event 'progress'. */
  onProgress?: (progress: number, transfer: Transfer) => void
}

export interface AcceptOptions {
  /**
   * The beginning of the file, which the application has already, in the sink or else here: only what follows is sent.
   * It is hashed, so that the check at the end covers the whole file.
   */
  have?: Blob
  /**
   * Keeps what comes on disk (in the origin private file system), so that memory stays flat, and goes on from there when
   * the same file (key, size) is offered by the same peer again after a reload or a lost connection. `done` resolves with
   * a File on that disk; `forget()` deletes it, and so does the next page that keeps a file when this one is gone. What is
   * not complete waits for 24 hours; to cancel or reject it deletes it. A string takes the place of the peer's id, for
   * peers that come back with another one. Where the browser has no such place the file comes into memory.
   * @default false
   */
  keep?: boolean | string
}

export interface TransferEvents {
  /** At most twenty times a second, and at the end. */
  progress: (progress: number, transfer: Transfer) => void
  state: (state: TransferState, reason: string) => void
}

/** The moving parts, loaded together with the core: js/files/. @internal */
export interface Files {
  keyOf(source: TransferSource): string
  send(transfer: Transfer, source: TransferSource): Carrier
  receive(transfer: Transfer, sink?: TransferSink | AcceptOptions, options?: AcceptOptions): Carrier
  /** Deletes what is kept of a file that is not wanted. */
  discard(transfer: Transfer): void
}

/** What carries the bytes of one transfer. @internal */
export interface Carrier {
  /** Sender: the core wants these bytes of the source. */
  read?(offset: number, length: number): void
  /** Receiver: bytes came, and are its own; their buffer may be a little longer. */
  take?(bytes: Uint8Array<ArrayBuffer>): void
  /** Receiver: all came; the digest is the sender's, or empty. */
  ended?(digest: string): void
  /** It is over, without an error when it is done. Answers what `done` resolves with. */
  over(error?: PeerError): Blob | void
  forget?(): void
}

/** What a transfer needs of its connection. @internal */
export interface TransferPort {
  readonly peer: string
  /** Undefined before the connection could be open. */
  readonly files: Files | undefined
  feed(input: CoreInput): void
  supply(transfer: number, bytes: Uint8Array): void
}

type TransferEvent = CoreEvent & { type: 'transfer-state' | 'transfer-progress' | 'transfer-ended' }

/** Between two 'progress' events, ms. */
const progressInterval = 50

/** One file on its way, in either direction. */
export class Transfer extends Emitter<TransferEvents> {
  /** Unique within this page. */
  readonly id: number
  readonly direction: 'send' | 'receive'
  readonly name: string
  /** MIME type; empty when unknown. */
  readonly type: string
  /** Bytes; undefined when the source does not know. */
  readonly size: number | undefined
  /** Names this file across reloads: see `sendFile()`. Empty when it has no such name. */
  readonly key: string
  /**
   * Settles at the end. Sender: everything is in the hands of the receiving application, and checked. Receiver: the
   * file, or nothing when it went to a sink. Rejects with a PeerError: `'rejected'`, `'cancelled'`, `'aborted'`,
   * `'corrupted'`, `'quota-exceeded'`, `'invalid-argument'` (source or sink failed), or `'connection-lost'` and
   * `'connection-closed'`, after which the file can be sent again and go on; nobody has to look.
   */
  readonly done: Promise<Blob | void>
  /**
   * SHA-256 of the whole file, over its pieces (docs/protocol.md), in hexadecimal; undefined until it is known. When the
   * transfer is done and this is there, it was compared.
   */
  digest: string | undefined

  #port: TransferPort
  #connection: number
  #state: TransferState = 'offered'
  #bytes = 0
  #rate = 0
  #rateFrom = 0
  #rateBytes = 0
  #reported = 0
  #done = deferred<Blob | void>()
  #cause: PeerError | undefined
  #carrier: Carrier | undefined
  #answered = false

  /** @internal Made by `sendFile()` and by the event 'transfer'. */
  constructor(
    port: TransferPort, connection: number, id: number, offer: { name: string, mime: string, key: string, size?: number },
    source?: TransferSource,
  ) {
    super()
    this.#port = port
    this.#connection = connection
    this.id = id
    this.name = offer.name
    this.type = offer.mime
    this.size = offer.size
    this.key = offer.key
    this.direction = source ? 'send' : 'receive'
    this.done = this.#done.promise
    if (source) this.#carrier = port.files?.send(this, source)
  }

  /** 'offered' → 'active' ⇄ 'paused' → 'done', 'rejected', 'cancelled' or 'failed'. Event 'state'. */
  get state(): TransferState {
    return this.#state
  }

  /** Bytes that are in the receiving application's hands. */
  get bytes(): number {
    return this.#bytes
  }

  /** 0 to 1; 0 until the end when the size is unknown. */
  get progress(): number {
    if (this.#state === 'done') return 1
    return this.size ? Math.min(this.#bytes / this.size, 1) : 0
  }

  /** Bytes a second, smoothed over some seconds. */
  get rate(): number {
    return this.#state === 'active' ? this.#rate : 0
  }

  /** Seconds left at this rate; undefined while nobody can know. */
  get eta(): number | undefined {
    const { rate, size } = this
    if (this._over) return 0
    return rate && size !== undefined ? Math.max(size - this.#bytes, 0) / rate : undefined
  }

  /** @internal */
  get _over(): boolean {
    return this.#state === 'done' || this.#state === 'rejected' || this.#state === 'cancelled' || this.#state === 'failed'
  }

  /** @internal */
  get _port(): TransferPort {
    return this.#port
  }

  /**
   * Takes an offered file: into memory (or wherever the browser keeps Blobs), onto a disk of the page's own (`keep`), or
   * into `sink`, which is written no faster than it takes, and closed at the end, or aborted. A no-op unless it is
   * offered to us. Answers `done`.
   */
  accept(options?: AcceptOptions): Promise<Blob | void>
  accept(sink?: TransferSink, options?: Pick<AcceptOptions, 'have'>): Promise<Blob | void>
  accept(sink?: TransferSink | AcceptOptions, options?: AcceptOptions): Promise<Blob | void> {
    if (this.#answer()) this.#carrier = this.#port.files!.receive(this, sink, options)
    return this.done
  }

  /** Declines an offered file, and deletes what was kept of it. A no-op unless it is offered to us. */
  reject(reason = ''): void {
    if (!this.#answer()) return
    this.#port.files!.discard(this)
    this._feed('transfer-reject', { reason })
  }

  /** Once, and only for what is offered to us. */
  #answer(): boolean {
    return this.direction === 'receive' && this.#state === 'offered' && !this.#answered && (this.#answered = true)
  }

  /** Stops the bytes; either side may, and both, and then both have to resume. A no-op unless active or paused. */
  pause(): void {
    if (this.#state === 'active' || this.#state === 'paused') this._feed('transfer-pause')
  }

  /** Goes on; the side that paused has to. A no-op unless paused. */
  resume(): void {
    if (this.#state === 'paused') this._feed('transfer-resume')
  }

  /** Ends it, from either side, before it is done. Afterwards a no-op. */
  cancel(reason = ''): void {
    if (!this._over) this._feed('transfer-cancel', { reason })
  }

  /** Deletes what `keep` keeps: the File of `done` cannot be read any more. Cancels it when it is not over. */
  forget(): void {
    this.cancel()
    this.#carrier?.forget?.()
  }

  // ---- for the connection and the carrier

  /** @internal Cancels, and `done` rejects with this error. */
  _fail(error: PeerError): void {
    if (this._over) return
    this.#cause ??= error
    this.cancel(error.message)
  }

  /** @internal It cannot be accepted, and `done` rejects with this error. What was kept of it stays. */
  _refuse(reason: string, error?: PeerError): void {
    this.#cause ??= error
    this._feed('transfer-reject', { reason })
  }

  /** @internal It will never begin, or the connection is gone. */
  _end(error: PeerError): void {
    if (this._over) return
    this.#cause ??= error
    this.#setState('failed', error.message)
  }

  /** @internal */
  _event(event: TransferEvent): void {
    switch (event.type) {
      case 'transfer-state': return this.#setState(event.state, event.reason, event.error)
      case 'transfer-progress': return this._moved(event.bytes)
      case 'transfer-ended': this.#carrier?.ended?.(event.digest)
    }
  }

  /** @internal */
  _read(offset: number, length: number): void {
    this.#carrier?.read?.(offset, length)
  }

  /** @internal */
  _data(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this._over) this.#carrier?.take?.(bytes)
  }

  /** @internal */
  _supply(bytes: Uint8Array): void {
    this.#port.supply(this.id, bytes)
  }

  /** @internal */
  _feed(type: CoreInput['type'] & `transfer-${string}`, more?: { reason: string } | { digest: string } | { length: number } | { from: number }): void {
    this.#port.feed({ type, connection: this.#connection, transfer: this.id, ...more } as CoreInput)
  }

  /** @internal So many bytes are in the hands of the receiving application. */
  _moved(bytes: number): void {
    this.#bytes = bytes
    const now = performance.now()
    const seconds = (now - this.#rateFrom) / 1000
    if (seconds >= 0.25 && this.#state === 'active') {
      const rate = (bytes - this.#rateBytes) / seconds
      // Half of what is shown is forgotten every two measurements or so: calm, yet it follows.
      this.#rate = this.#rate ? this.#rate * 0.7 + rate * 0.3 : rate
      this.#rateFrom = now
      this.#rateBytes = bytes
    }
    if (now - this.#reported >= progressInterval) this.#report(now)
  }

  #report(now: number): void {
    this.#reported = now
    this.emit('progress', this.progress, this)
  }

  #setState(state: TransferState, reason: string, code: PeerErrorCode = 'connection-lost'): void {
    if (this._over || state === this.#state) return
    this.#state = state
    if (state === 'active') {
      // A pause must not count as slowness.
      this.#rateFrom = performance.now()
      this.#rateBytes = this.#bytes
    }
    if (state === 'done') {
      if (this.size !== undefined) this.#bytes = this.size
      this.#done.resolve(this.#carrier?.over())
      this.#report(performance.now())
    }
    else if (this._over) {
      const error = this.#cause ?? new PeerError(code, `${this.name} was ${state === 'failed' ? 'not transferred completely' : state}${reason && `: ${reason}`}.${code === 'corrupted' ? ' Send it again.' : ''}`)
      if (this.#carrier) this.#carrier.over(error)
      else if (code === 'cancelled') this.#port.files?.discard(this)
      this.#done.reject(error)
    }
    this.emit('state', state, reason)
  }
}
