// The sender's half of a transfer: reads the source, hashes what it reads, and hands it to the core.

import { messageOf, PeerError } from '../errors.js'
import { noop } from '../events.js'
import type { Carrier, Transfer, TransferSource } from '../transfer.js'
import { Digest } from './digest.js'

type Take = (bytes: Uint8Array) => Promise<void> | undefined

interface Reader {
  /** The receiver has the first `length` bytes already: they are hashed, and not sent. */
  skip(length: number, digest: Digest): Promise<void>
  /** Gives `take` the bytes from `offset` on, at most `length`; answers whether they were the last. Length 0 asks just that. */
  read(offset: number, length: number, take: Take): Promise<boolean>
  cancel(): void
}

export class Outgoing implements Carrier {
  readonly #transfer: Transfer
  readonly #reader: Reader
  readonly #digest: Digest
  #begun = false
  #ended = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(transfer: Transfer, source: TransferSource) {
    this.#transfer = transfer
    const { name, size } = transfer
    let wrong = size === undefined || (Number.isSafeInteger(size) && size >= 0) ? '' : `its size is a whole number of bytes, and not ${String(size)}`
    if (!(source instanceof Blob)) {
      if (typeof (source as Partial<ReadableStream> | null)?.getReader !== 'function') wrong = 'it is no File, Blob or ReadableStream'
      else if (source.locked) wrong = 'somebody reads this stream already (it is locked)'
    }
    this.#reader = wrong ? nothing : source instanceof Blob ? new BlobReader(source) : new StreamReader(source)
    this.#digest = new Digest(wrong ? 0 : size)
    if (wrong) transfer._end(new PeerError('invalid-argument', `${name} cannot be sent: ${wrong}.`))
  }

  read(offset: number, length: number): void {
    const transfer = this.#transfer
    // One after the other: the core may ask for the next piece before this one is here.
    this.#turn = this.#turn.then(async () => {
      if (this.#ended || transfer._over) return
      if (!this.#begun) {
        this.#begun = true
        if (offset) await this.#reader.skip(offset, this.#digest)
      }
      const end = await this.#reader.read(offset, length, (bytes) => {
        if (transfer._over) return
        const lagging = this.#digest.add(bytes)
        transfer._supply(bytes)
        return lagging
      })
      if (!end || transfer._over) return
      this.#ended = true
      const digest = await this.#digest.end()
      if (transfer._over) return
      transfer.digest = digest
      transfer._feed('transfer-end', { digest })
    }).catch((cause: unknown) => transfer._fail(new PeerError('invalid-argument', `${transfer.name} could not be read (${messageOf(cause)}). Was the file changed or moved after it was chosen?`, { cause })))
  }

  over(): void {
    this.#reader.cancel()
    this.#digest.stop()
  }
}

/** Of what is no source. */
const nothing: Reader = { skip: () => Promise.resolve(), read: () => Promise.resolve(true), cancel: noop }

/** What a stream gave, as bytes; without copying them. */
function bytesOf(chunk: unknown): Uint8Array {
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  if (Object.prototype.toString.call(chunk) === '[object ArrayBuffer]') return new Uint8Array(chunk as ArrayBuffer)
  throw new TypeError('the stream gave something that is neither bytes nor a string')
}

class BlobReader implements Reader {
  constructor(readonly blob: Blob) {}

  skip(length: number, digest: Digest): Promise<void> {
    return digest.begin(this.blob.slice(0, length))
  }

  async read(offset: number, length: number, take: Take): Promise<boolean> {
    const bytes = new Uint8Array(await this.blob.slice(offset, offset + length).arrayBuffer())
    if (bytes.length) await take(bytes)
    return offset + bytes.length >= this.blob.size
  }

  cancel(): void {}
}

class StreamReader implements Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array | ArrayBuffer | string>
  #rest: Uint8Array = new Uint8Array(0)
  /** The first half of a surrogate pair, at the end of a string. */
  #half = ''

  constructor(stream: ReadableStream<Uint8Array | ArrayBuffer | string>) {
    this.#reader = stream.getReader()
  }

  async skip(length: number, digest: Digest): Promise<void> {
    let skipped = 0
    const end = await this.read(0, length, (bytes) => {
      skipped += bytes.length
      return digest.add(bytes)
    })
    if (end && skipped < length) throw new Error(`it ended after ${skipped} bytes, and the other side has ${length} of it already`)
  }

  // Every chunk leaves as it comes: a stream may be live, and whole pieces long in coming.
  async read(_offset: number, length: number, take: Take): Promise<boolean> {
    for (let left = length; ;) {
      while (!this.#rest.length) {
        const { done, value } = await this.#reader.read()
        if (done && !this.#half) return true
        this.#rest = done ? this.#encode('', true) : typeof value === 'string' ? this.#encode(value, false) : this.#join(bytesOf(value))
      }
      // More than the size that was declared: the core has to learn it, and fails the transfer.
      const piece = this.#rest.subarray(0, left || 1)
      this.#rest = this.#rest.subarray(piece.length)
      await take(piece)
      left -= piece.length
      if (left <= 0) return false
    }
  }

  /** Half a surrogate pair before bytes will have no other half. */
  #join(bytes: Uint8Array): Uint8Array {
    if (!this.#half) return bytes
    const half = this.#encode('', true)
    const all = new Uint8Array(half.length + bytes.length)
    all.set(half)
    all.set(bytes, half.length)
    return all
  }

  #encode(text: string, last: boolean): Uint8Array {
    const all = this.#half + text
    this.#half = !last && /[\uD800-\uDBFF]$/.test(all) ? all.slice(-1) : ''
    return new TextEncoder().encode(all.slice(0, all.length - this.#half.length))
  }

  cancel(): void {
    this.#reader.cancel().catch(noop)
  }
}
