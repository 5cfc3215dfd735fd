/** What is taken at once for a message whose total says so. */
const trusted = 262_144
/** How many times more than what came is believed to come. */
const believed = 16

/**
 * Collects the pieces of one incoming message. Memory follows the bytes that came, at a distance: a total is believed up
 * to 256 KiB, and beyond that up to sixteen times of what is there. Then little is copied on the way, and the last buffer
 * is as long as the message, so that it can be handed on as it is.
 */
export class Assembly {
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0

  constructor(readonly format: number, readonly total: number) {
    this.#bytes = new Uint8Array(0)
  }

  add(piece: Uint8Array): void {
    const needed = this.#length + piece.length
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(this.total, Math.max(this.#length * believed, trusted))))
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.#length)
    this.#length = needed
  }

  /** Everything that came; the buffer belongs to the caller. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#length === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#length)
  }
}
