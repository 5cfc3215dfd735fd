/** Bytes that wait in JavaScript until the core asks for a piece of them; see `queue` and `transferPut` of Core. */
export class Payload {
  #index = 0
  #base = 0

  constructor(readonly parts: readonly Uint8Array[], readonly length: number) {}

  /** Copies bytes from `offset` on until `target` is full. */
  fill(target: Uint8Array, offset: number): void {
    // The core asks front to back: the cursor makes a list of many parts linear.
    if (offset < this.#base) this.#index = this.#base = 0
    let done = 0
    for (;;) {
      const part = this.parts[this.#index]
      if (!part) throw new RangeError('fill beyond the end of a payload')
      const from = offset + done - this.#base
      if (from < part.length) {
        const piece = part.subarray(from, from + target.length - done)
        target.set(piece, done)
        done += piece.length
        if (done === target.length) return
      }
      this.#base += part.length
      this.#index++
    }
  }
}

/** Collects the pieces of one incoming message. Memory follows the bytes that came, never the total that was announced. */
export class Assembly {
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0

  constructor(readonly format: number, readonly total: number) {
    this.#bytes = new Uint8Array(0)
  }

  add(piece: Uint8Array): void {
    const needed = this.#length + piece.length
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(this.total, Math.max(needed * 2, 65_536))))
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.#length)
    this.#length = needed
  }

  /** Everything that came; the buffer belongs to the caller. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length)
  }
}
