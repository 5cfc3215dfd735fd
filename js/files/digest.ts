// The SHA-256 of a file, piece by piece: docs/protocol.md, "The digest of a file". The browser hashes a whole piece at
// once, beside the page's thread, where it cannot hash a stream.

import { noop } from '../events.js'

/**
 * What comes in one of the longest frames, which then is hashed where it lies. Chromium takes nearly twice as long for a MiB in
 * one piece: above some 900 KiB it seems to ask the system for memory each time.
 */
export const pieceSize = 261_888
const hashSize = 32
/** More pieces than this are not being hashed at once: whoever adds has to wait then. */
const most = 16

/** Copies `bytes` before it returns. */
async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const { subtle } = crypto
  // No TypeScript type says it, but pages that are not served over https have none.
  if (subtle as SubtleCrypto | undefined) return new Uint8Array(await subtle.digest('SHA-256', bytes))
  const copy = bytes.slice()
  const { sha256 } = await import('@noble/hashes/sha2.js')
  return sha256(copy)
}

/** WebCrypto refuses what threads share. */
const isUnshared = (bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> => bytes.buffer instanceof ArrayBuffer

export class Digest {
  readonly #piece: Uint8Array<ArrayBuffer>
  #fill = 0
  #count = 0
  #hashes = new Uint8Array(64 * hashSize)
  #waiting = 0
  /** Everything that was begun. */
  #all: Promise<unknown> = Promise.resolve()
  #stopped = false

  /** @param size of the whole file, when it is known */
  constructor(size = pieceSize) {
    this.#piece = new Uint8Array(Math.min(size, pieceSize))
  }

  /**
   * The file begins with these bytes; nothing was added yet. Bytes may be added when the promise resolves; most of the
   * beginning is hashed meanwhile.
   */
  async begin(blob: Blob): Promise<void> {
    const whole = this.#count = Math.floor(blob.size / pieceSize)
    this.#track((async () => {
      for (let i = 0; i < whole && !this.#stopped; i++) {
        const piece = await blob.slice(i * pieceSize, (i + 1) * pieceSize).arrayBuffer()
        this.#put(i, await sha256(new Uint8Array(piece)))
      }
    })())
    await this.add(new Uint8Array(await blob.slice(whole * pieceSize).arrayBuffer()))
  }

  /** Copies what it needs of `bytes` later. Answers a promise when it cannot keep up: wait for it before adding more. */
  add(bytes: Uint8Array): Promise<void> | undefined {
    let newest: Promise<void> | undefined
    for (let at = 0; at < bytes.length;) {
      if (!this.#fill && bytes.length - at >= pieceSize && isUnshared(bytes)) {
        newest = this.#hash(bytes.subarray(at, at += pieceSize))
        continue
      }
      // A file that turns out longer than was said fails elsewhere, and needs no digest.
      if (this.#fill === this.#piece.length && this.#fill < pieceSize) return
      const part = bytes.subarray(at, at + this.#piece.length - this.#fill)
      this.#piece.set(part, this.#fill)
      this.#fill += part.length
      at += part.length
      if (this.#fill === pieceSize) newest = this.#hash()
    }
    return this.#waiting > most ? newest : undefined
  }

  /** In hexadecimal. Nothing may be added any more. */
  async end(): Promise<string> {
    if (this.#fill) void this.#hash()
    await this.#all
    const root = await sha256(this.#hashes.slice(0, this.#count * hashSize))
    return [...root].map(byte => byte.toString(16).padStart(2, '0')).join('')
  }

  /** Nobody wants to know any more. */
  stop(): void {
    this.#stopped = true
  }

  #hash(piece = this.#piece.subarray(0, this.#fill)): Promise<void> {
    const index = this.#count++
    this.#waiting++
    const hash = sha256(piece).then((hash) => {
      this.#waiting--
      this.#put(index, hash)
    })
    this.#fill = 0
    this.#track(hash)
    return hash
  }

  #track(what: Promise<unknown>): void {
    this.#all = Promise.all([this.#all, what]).then(noop)
    // Looked at in end(), if that comes.
    this.#all.catch(noop)
  }

  #put(index: number, hash: Uint8Array): void {
    const at = index * hashSize
    if (at >= this.#hashes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#hashes.length, at + hashSize))
      grown.set(this.#hashes)
      this.#hashes = grown
    }
    this.#hashes.set(hash, at)
  }
}
