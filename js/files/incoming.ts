// The receiver's half of a transfer: puts what comes where the application wants it, hashes it, and tells the core what
// is in safe hands.

import { messageOf, PeerError } from '../errors.js'
import { noop } from '../events.js'
import type { AcceptOptions, Carrier, Transfer, TransferSink } from '../transfer.js'
import { Digest } from './digest.js'

/** Where the bytes go. */
export interface Store {
  /** The bytes are its own. Answers a promise when they are consumed only later: that holds the sender back. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<unknown> | undefined
  /** Everything is written when it resolves. */
  close(): Promise<Blob | undefined>
  /** Not all of it came. */
  abort(error: PeerError): void
  /** Deletes what is kept. */
  forget?(): void
}

/** Received bytes are reported to the core, which tells the sender, after so many, or after `consumedTime` ms. */
const consumedBatch = 131_072
const consumedTime = 50

export class Incoming implements Carrier {
  readonly #transfer: Transfer
  readonly #digest: Digest
  #store: Store | null = null
  #result: Blob | undefined
  #error: PeerError | undefined
  /** The last piece that was not consumed at once. */
  #last: Promise<unknown> = Promise.resolve()
  #bytes = 0
  #consumed = 0
  #consumedAt = 0

  constructor(transfer: Transfer, sink: TransferSink | AcceptOptions = {}, options: AcceptOptions = {}) {
    this.#transfer = transfer
    this.#digest = new Digest(transfer.size)
    const stream = 'getWriter' in sink
    const { have, keep } = stream ? options : sink
    if (!stream && keep) {
      void this.#keep(keep, have)
      return
    }
    try {
      this.#store = stream ? new Stream(sink) : new Memory(transfer, have)
    }
    catch (cause) {
      transfer._refuse('no place to write it', new PeerError('invalid-argument', `The sink for ${transfer.name} cannot be written (${messageOf(cause)}). Give a WritableStream that is not locked.`, { cause }))
      return
    }
    void this.#accept(have)
  }

  async #keep(keep: boolean | string, given: Blob | undefined): Promise<void> {
    const transfer = this.#transfer
    try {
      const { Kept } = await import('./kept.js')
      const kept = await Kept.open(transfer, keep, cause => this.#failed(cause))
      const have = kept ? kept.have : given
      this.#store = kept ?? new Memory(transfer, have)
      // Meanwhile nobody could tell it.
      if (this.#error) return this.#store.abort(this.#error)
      await this.#accept(have)
    }
    catch (cause) {
      this.#failed(cause)
    }
  }

  async #accept(have: Blob | undefined): Promise<void> {
    const transfer = this.#transfer
    const from = have?.size ?? 0
    if (transfer.size !== undefined && from > transfer.size) {
      const error = new PeerError('invalid-argument', `${from} bytes of ${transfer.name} are said to be here, and it has ${transfer.size}. Accept it without them.`)
      return transfer._refuse('another file of that name is here', error)
    }
    if (have?.size) {
      try {
        await this.#digest.begin(have)
      }
      catch (cause) {
        const error = new PeerError('invalid-argument', `What is here of ${transfer.name} cannot be read (${messageOf(cause)}). Accept it without that.`, { cause })
        return transfer._refuse('the beginning of it is lost', error)
      }
    }
    if (transfer._over) return
    this.#bytes = from
    transfer._moved(from)
    transfer._feed('transfer-accept', { from })
  }

  take(bytes: Uint8Array<ArrayBuffer>): void {
    // A sink may transfer them.
    const { length } = bytes
    const hashing = this.#digest.add(bytes)
    const writing = this.#store!.write(bytes)
    const both = hashing && writing ? Promise.all([hashing, writing]) : hashing ?? writing
    if (!both) return this.#consume(length)
    this.#last = both.then(() => this.#consume(length), (cause: unknown) => this.#failed(cause))
  }

  async ended(told: string): Promise<void> {
    const transfer = this.#transfer
    try {
      await this.#last
      if (transfer._over) return
      this.#flush(performance.now())
      const digest = await this.#digest.end()
      if (transfer._over) return
      if (told) transfer.digest = digest
      // The core is about to fail it: a sink that is not closed can still be aborted.
      if (!told || told === digest) this.#result = await this.#store!.close()
      transfer._feed('transfer-complete', { digest })
    }
    catch (cause) {
      this.#failed(cause)
    }
  }

  over(error?: PeerError): Blob | undefined {
    this.#digest.stop()
    this.#error = error
    if (error) this.#store?.abort(error)
    return this.#result
  }

  forget(): void {
    this.#store?.forget?.()
  }

  #failed(cause: unknown): void {
    const { name } = this.#transfer
    this.#transfer._fail((cause as Error | undefined)?.name === 'QuotaExceededError'
      ? new PeerError('quota-exceeded', `There is no room for the rest of ${name}. Free some space and let it be sent again; with the option keep it goes on from there.`, { cause })
      : new PeerError('invalid-argument', `${name} could not be written (${messageOf(cause)}). Is the disk full, or the stream closed?`, { cause }))
  }

  #consume(length: number): void {
    if (this.#transfer._over) return
    this.#consumed += length
    this.#bytes += length
    this.#transfer._moved(this.#bytes)
    const now = performance.now()
    if (this.#consumed >= consumedBatch || now - this.#consumedAt >= consumedTime) this.#flush(now)
  }

  #flush(now: number): void {
    const length = this.#consumed
    if (!length) return
    this.#consumed = 0
    this.#consumedAt = now
    this.#transfer._feed('transfer-consumed', { length })
  }
}

/** Received pieces become one Blob part when they are so many bytes: the browser may keep Blobs on disk. */
const partSize = 1_048_576

class Memory implements Store {
  readonly #transfer: Transfer
  readonly #parts: Blob[]
  #pieces: Uint8Array<ArrayBuffer>[] = []
  #length = 0

  constructor(transfer: Transfer, have: Blob | undefined) {
    this.#transfer = transfer
    this.#parts = have ? [have] : []
  }

  write(bytes: Uint8Array<ArrayBuffer>): undefined {
    this.#pieces.push(bytes)
    this.#length += bytes.length
    if (this.#length >= partSize) this.#pack()
  }

  #pack(): void {
    this.#parts.push(new Blob(this.#pieces))
    this.#pieces = []
    this.#length = 0
  }

  close(): Promise<File> {
    if (this.#length) this.#pack()
    return Promise.resolve(new File(this.#parts, this.#transfer.name, { type: this.#transfer.type }))
  }

  abort(): void {
    this.#pieces = []
    this.#parts.length = 0
  }
}

class Stream implements Store {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>

  constructor(sink: TransferSink) {
    this.#writer = sink.getWriter()
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#writer.write(bytes)
  }

  async close(): Promise<undefined> {
    await this.#writer.close()
  }

  abort(error: PeerError): void {
    this.#writer.abort(error).catch(noop)
  }
}
