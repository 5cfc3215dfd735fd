import type { Text } from '../frame.js'

/** In front of each text, in words of four bytes: its bytes, how many of them are a frame's head, its UTF-16 units. */
const NOTES = 12
const SMALLEST = 2048

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * What a client has not confirmed, the oldest first: one piece of memory, and not an object or two for each text. Most texts are
 * confirmed seconds after they were made, when the garbage collector has moved them twice; that would cost as much as to relay them,
 * and stop the server for milliseconds.
 */
export class Kept {
  /** Null while there is nothing: most clients hear nothing most of the time. */
  #bytes: Uint8Array | null = null
  #words = none
  /** Where the oldest begins, and the next would. */
  #start = 0
  #end = 0
  length = 0
  /** UTF-16 units of all. */
  units = 0

  constructor(texts: readonly string[] = []) {
    for (const text of texts) this.push(text)
  }

  push(text: Text): void {
    const isText = typeof text === 'string'
    const bytes = isText ? encoder.encode(text) : text.frame
    const at = this.#room(NOTES + bytes.length)
    const notes = at >> 2
    this.#words[notes] = bytes.length
    this.#words[notes + 1] = isText ? 0 : text.head
    this.#words[notes + 2] = text.length
    this.#bytes!.set(bytes, at + NOTES)
    this.#end = at + sized(bytes.length)
    this.length += 1
    this.units += text.length
  }

  /** The oldest `count` go, or all. */
  drop(count: number): void {
    const gone = Math.min(Math.floor(count), this.length)
    for (let i = 0; i < gone; i++) {
      const notes = this.#start >> 2
      this.units -= this.#words[notes + 2]!
      this.#start += sized(this.#words[notes]!)
      this.length -= 1
    }
    if (!this.#bytes) return
    if (this.length === 0) {
      this.#bytes = null
      this.#words = none
      this.#start = this.#end = 0
    }
    else if (this.#bytes.length > SMALLEST && (this.#end - this.#start) * 4 < this.#bytes.length) {
      this.#move(this.#bytes.length >> 1)
    }
  }

  texts(): string[] {
    const texts: string[] = []
    for (let at = this.#start; at < this.#end;) {
      const length = this.#words[at >> 2]!
      const head = this.#words[(at >> 2) + 1]!
      texts.push(decoder.decode(this.#bytes!.subarray(at + NOTES + head, at + NOTES + length)))
      at += sized(length)
    }
    return texts
  }

  /** Where so many bytes more have room. */
  #room(bytes: number): number {
    const size = this.#bytes?.length ?? 0
    if (this.#end + bytes <= size) return this.#end
    const needed = this.#end - this.#start + bytes
    let wanted = Math.max(size, SMALLEST)
    // It moves to the front, and each move is paid by as much that came since the last one.
    while (wanted < needed * 2 && wanted < needed + 65_536) wanted *= 2
    this.#move(wanted)
    return this.#end
  }

  #move(size: number): void {
    const bytes = new Uint8Array(size)
    if (this.#bytes) bytes.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = bytes
    this.#words = new Uint32Array(bytes.buffer)
    this.#end -= this.#start
    this.#start = 0
  }
}

const none = new Uint32Array(0)

/** A text with its notes, up to where the next begins. */
function sized(bytes: number): number {
  return NOTES + bytes + 3 & ~3
}
