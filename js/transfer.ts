import type { CoreEvent, CoreInput, TransferState } from './core/types.js'
import { messageOf, PeerError } from './errors.js'
import { deferred, Emitter, noop } from './events.js'

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
  /** Cancels the transfer. */
  signal?: AbortSignal
  /** As the event 'progress'. */
  onProgress?: (progress: number, transfer: Transfer) => void
}

export interface TransferEvents {
  /** At most twenty times a second, and at the end. */
  progress: (progress: number, transfer: Transfer) => void
  state: (state: TransferState, reason: string) => void
}

/** What a transfer needs of its connection. @internal */
export interface TransferPort {
  feed(input: CoreInput): void
  supply(transfer: number, bytes: Uint8Array): void
}

type TransferEvent = CoreEvent & { type: 'transfer-state' | 'transfer-progress' | 'transfer-ended' }

/** Between two 'progress' events, ms. */
const progressInterval = 50
/** Received bytes are reported to the sender after so many, or after `progressInterval`. */
const consumedBatch = 65_536
/** Received pieces become one Blob part when they are so many bytes: the browser may keep Blobs on disk. */
const partSize = 1_048_576

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
  /**
   * Settles at the end. Sender: everything is in the hands of the receiving application. Receiver: the file, or
   * nothing when it went to a sink. Rejects with a PeerError `'rejected'`, `'cancelled'`, `'aborted'` or
   * `'connection-lost'`; nobody has to look.
   */
  readonly done: Promise<Blob | void>

  #port: TransferPort
  #connection: number
  #state: TransferState = 'offered'
  #bytes = 0
  #rate = 0
  #rateFrom = 0
  #rateBytes = 0
  #reported = 0
  #done = deferred<Blob | void>()
  #cause: PeerError | null = null
  // sender
  #reader: Reader | null = null
  #ended = false
  #turn: Promise<unknown> = Promise.resolve()
  // receiver
  #answered = false
  #sink: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | null = null
  #parts: Blob[] = []
  #pieces: Uint8Array<ArrayBuffer>[] = []
  #piecesLength = 0
  #written: Promise<unknown> = Promise.resolve()
  #consumed = 0
  #consumedAt = 0

  /** @internal Made by `sendFile()` and by the event 'transfer'. */
  constructor(
    port: TransferPort, connection: number, id: number, offer: { name: string, mime: string, size?: number },
    source?: TransferSource,
  ) {
    super()
    this.#port = port
    this.#connection = connection
    this.id = id
    this.name = offer.name
    this.type = offer.mime
    this.size = offer.size
    this.direction = source ? 'send' : 'receive'
    this.done = this.#done.promise
    if (source) this.#reader = source instanceof Blob ? new BlobReader(source) : new StreamReader(source)
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
    if (this.#over) return 0
    return rate && size !== undefined ? Math.max(size - this.#bytes, 0) / rate : undefined
  }

  get #over(): boolean {
    return this.#state === 'done' || this.#state === 'rejected' || this.#state === 'cancelled' || this.#state === 'failed'
  }

  /**
   * Takes an offered file: into memory (or wherever the browser keeps Blobs), or into `sink`, which is written no
   * faster than it takes, and closed at the end, or aborted. A no-op unless it is offered to us. Answers `done`.
   */
  accept(sink?: TransferSink): Promise<Blob | void> {
    if (this.direction === 'receive' && this.#state === 'offered' && !this.#answered) {
      this.#answered = true
      try {
        this.#sink = sink?.getWriter() ?? null
      }
      catch (cause) {
        this.#cause = new PeerError('invalid-argument', `The sink for ${this.name} cannot be written (${messageOf(cause)}). Give a WritableStream that is not locked.`, { cause })
        this.#feed('transfer-reject', 'no place to write it')
        return this.done
      }
      this.#feed('transfer-accept')
    }
    return this.done
  }

  /** Declines an offered file. A no-op unless it is offered to us. */
  reject(reason = ''): void {
    if (this.direction === 'receive' && this.#state === 'offered' && !this.#answered) {
      this.#answered = true
      this.#feed('transfer-reject', reason)
    }
  }

  /** Stops the bytes; either side may. A no-op unless active. */
  pause(): void {
    if (this.#state === 'active') this.#feed('transfer-pause')
  }

  /** Goes on; the side that paused has to. A no-op unless paused. */
  resume(): void {
    if (this.#state === 'paused') this.#feed('transfer-resume')
  }

  /** Ends it, from either side, before it is done. Afterwards a no-op. */
  cancel(reason = ''): void {
    if (!this.#over) this.#feed('transfer-cancel', reason)
  }

  /** @internal Cancels, and `done` rejects with this error. */
  _fail(error: PeerError): void {
    if (this.#over) return
    this.#cause ??= error
    this.cancel(error.message)
  }

  /** @internal It will never begin, or the connection is gone. */
  _end(error: PeerError): void {
    if (this.#over) return
    this.#cause ??= error
    this.#setState('failed', error.message)
  }

  /** @internal */
  _event(event: TransferEvent): void {
    switch (event.type) {
      case 'transfer-state': return this.#setState(event.state, event.reason)
      case 'transfer-progress': return this.#setBytes(event.bytes)
      case 'transfer-ended': void this.#finish()
    }
  }

  /** @internal The core wants bytes of the source. */
  _read(offset: number, length: number): void {
    const reader = this.#reader
    if (!reader || this.#ended) return
    // One after the other: the core may ask for the next piece before this one is here.
    this.#turn = this.#turn.then(async () => {
      if (this.#ended || this.#over) return
      const end = await reader.read(offset, length, (bytes) => {
        if (!this.#over) this.#port.supply(this.id, bytes)
      })
      if (!end || this.#over) return
      this.#ended = true
      this.#feed('transfer-end')
    }).catch((cause: unknown) => this._fail(new PeerError('invalid-argument', `${this.name} could not be read (${messageOf(cause)}). Was the file changed or moved after it was chosen?`, { cause })))
  }

  /** @internal Bytes came; a view to be read now. */
  _data(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#over) return
    // A copy: the frame around the view may be larger, and a sink may keep or transfer what it is given.
    const piece = bytes.slice()
    if (this.#sink) {
      // Told as consumed when it is written: this is what holds the sender back.
      this.#written = this.#sink.write(piece)
      this.#written.then(() => this.#consume(piece.length), (cause: unknown) => this.#sinkFailed(cause))
      return
    }
    this.#pieces.push(piece)
    this.#piecesLength += piece.length
    if (this.#piecesLength >= partSize) this.#pack()
    this.#consume(piece.length)
  }

  #pack(): void {
    this.#parts.push(new Blob(this.#pieces))
    this.#pieces = []
    this.#piecesLength = 0
  }

  #sinkFailed(cause: unknown): void {
    this._fail(new PeerError('invalid-argument', `${this.name} could not be written (${messageOf(cause)}). Is the disk full, or the stream closed?`, { cause }))
  }

  #consume(length: number): void {
    if (this.#over) return
    this.#consumed += length
    this.#setBytes(this.#bytes + length)
    const now = performance.now()
    if (this.#consumed >= consumedBatch || now - this.#consumedAt >= progressInterval) this.#flushConsumed(now)
  }

  #flushConsumed(now: number): void {
    const length = this.#consumed
    if (!length) return
    this.#consumed = 0
    this.#consumedAt = now
    this.#port.feed({ type: 'transfer-consumed', connection: this.#connection, transfer: this.id, length })
  }

  async #finish(): Promise<void> {
    try {
      await this.#written
      if (this.#over) return
      this.#flushConsumed(performance.now())
      await this.#sink?.close()
    }
    catch (cause) {
      return this.#sinkFailed(cause)
    }
    if (!this.#over) this.#feed('transfer-complete')
  }

  #feed(type: 'transfer-accept' | 'transfer-pause' | 'transfer-resume' | 'transfer-end' | 'transfer-complete'): void
  #feed(type: 'transfer-reject' | 'transfer-cancel', reason: string): void
  #feed(type: string, reason?: string): void {
    this.#port.feed({ type, connection: this.#connection, transfer: this.id, ...(reason !== undefined && { reason }) } as CoreInput)
  }

  #setBytes(bytes: number): void {
    this.#bytes = bytes
    const now = performance.now()
    const seconds = (now - this.#rateFrom) / 1000
    if (seconds >= 0.25) {
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

  #setState(state: TransferState, reason: string): void {
    if (this.#over || state === this.#state) return
    this.#state = state
    if (state === 'active') {
      // A pause must not count as slowness.
      this.#rateFrom = performance.now()
      this.#rateBytes = this.#bytes
    }
    if (state === 'done') {
      if (this.size !== undefined) this.#bytes = this.size
      this.#reader?.cancel()
      if (this.#pieces.length) this.#pack()
      this.#done.resolve(this.direction === 'receive' && !this.#sink
        ? new File(this.#parts, this.name, { type: this.type })
        : undefined)
      this.#report(performance.now())
    }
    else if (this.#over) {
      const type = state === 'failed' ? 'connection-lost' : state as 'rejected' | 'cancelled'
      const error = this.#cause ?? new PeerError(type, `${this.name} was ${state === 'failed' ? 'not transferred completely' : state}${reason && `: ${reason}`}.`)
      this.#reader?.cancel()
      this.#sink?.abort(error).catch(noop)
      this.#done.reject(error)
    }
    if (this.#over) {
      this.#pieces = []
      this.#parts = []
      this.#reader = null
    }
    this.emit('state', state, reason)
  }
}

interface Reader {
  /** Gives `take` the bytes from `offset` on, at most `length`; answers whether they were the last. Length 0 asks just that. */
  read(offset: number, length: number, take: (bytes: Uint8Array) => void): Promise<boolean>
  cancel(): void
}

class BlobReader implements Reader {
  constructor(readonly blob: Blob) {}

  async read(offset: number, length: number, take: (bytes: Uint8Array) => void): Promise<boolean> {
    const bytes = new Uint8Array(await this.blob.slice(offset, offset + length).arrayBuffer())
    if (bytes.length) take(bytes)
    return offset + bytes.length >= this.blob.size
  }

  cancel(): void {}
}

class StreamReader implements Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array | ArrayBuffer | string>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(stream: ReadableStream<Uint8Array | ArrayBuffer | string>) {
    this.#reader = stream.getReader()
  }

  // Every chunk leaves as it comes: a stream may be live, and whole pieces long in coming.
  async read(_offset: number, length: number, take: (bytes: Uint8Array) => void): Promise<boolean> {
    for (let left = length; ;) {
      while (!this.#rest.length) {
        const { done, value } = await this.#reader.read()
        if (done) return true
        this.#rest = typeof value === 'string' ? new TextEncoder().encode(value) : value instanceof Uint8Array ? value : new Uint8Array(value)
      }
      // More than the size that was declared: the core has to learn it, and fails the transfer.
      const piece = this.#rest.subarray(0, left || 1)
      this.#rest = this.#rest.subarray(piece.length)
      take(piece)
      left -= piece.length
      if (left <= 0) return false
    }
  }

  cancel(): void {
    this.#reader.cancel().catch(noop)
  }
}
