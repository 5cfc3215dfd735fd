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
