// The bytes of PeerJS's `MsgPack` connections: a stream of MessagePack values, whose frames end anywhere.
//
// Loaded lazily, with the first connection that speaks it. Values are @msgpack/msgpack's business, as in PeerJS; where each one
// ends in the stream is found here. The library's stream decoder copies what is left with every frame, keeps whatever comes,
// and a value that it cannot read ends it in the middle of a loop.

import { Decoder, Encoder } from '@msgpack/msgpack'
import { PeerError } from '../errors.js'

/** Containers inside one another, in both directions. */
const depthLimit = 256

/**
 * The bytes of a value, as PeerJS makes them, in memory of their own. A Uint8Array arrives as one, other views and ArrayBuffers as
 * Uint8Array (PeerJS sends {} for an ArrayBuffer), a Date as a Date, undefined as null.
 *
 * @throws {PeerError} 'data-clone' for what would not arrive: functions, symbols, BigInts, Map, Set, RegExp, Blobs, Promises, cycles,
 * more than 256 levels.
 */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  try {
    // One each time: a getter in the value may send something itself.
    return new Encoder(undefined, undefined, depthLimit + 1).encode(carried(value, [])) as Uint8Array<ArrayBuffer>
  }
  catch (error) {
    if (error instanceof PeerError) throw error
    // A getter that throws, a detached buffer, a proxy that refuses.
    throw new PeerError('data-clone', `This value cannot be sent: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

const refused = (what: string): PeerError =>
  new PeerError('data-clone', `This value holds ${what}, which the serialization MsgPack cannot carry.`)

/** The value, or a copy where something in it has to be told to the library in another way. */
function carried(value: unknown, ancestors: object[]): unknown {
  if (typeof value === 'bigint') throw refused('a BigInt')
  if (typeof value === 'function' || typeof value === 'symbol') throw refused(`a ${typeof value}`)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (ancestors.includes(value)) throw refused('itself')
  if (ancestors.length >= depthLimit) throw refused(`more than ${depthLimit} levels`)
  const brand = Object.prototype.toString.call(value).slice(8, -1)
  if (brand === 'ArrayBuffer') return new Uint8Array(value as ArrayBuffer)
  if (brand === 'Date') return value
  // The library would send what is enumerable of them, which is nothing.
  if (/^(Map|Set|WeakMap|WeakSet|WeakRef|Promise|RegExp|Blob|File|SharedArrayBuffer|Number|String|Boolean|BigInt|Symbol)$/.test(brand)) {
    throw refused(`an object of type ${brand}`)
  }
  ancestors.push(value)
  let copy: Record<string, unknown> | unknown[] = value as Record<string, unknown>
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value)
  for (const key of keys) {
    const before = (value as Record<string, unknown>)[key as string]
    const after = carried(before, ancestors)
    if (Object.is(after, before)) continue
    if (copy === value) copy = Array.isArray(value) ? value.slice() : { ...value }
    ;(copy as Record<string, unknown>)[key as string] = after
  }
  ancestors.pop()
  return copy
}

const violation = (what: string, cause?: unknown): PeerError =>
  new PeerError('protocol-violation', `A MessagePack stream that was received is not readable: ${what}.`, { cause })

/**
 * Reads a stream of MessagePack values from frames that end anywhere. Every byte is looked at once and copied a few times at
 * most, however the frames fall; a value that says that it is longer than `limit` is refused when it says so.
 */
export class MessagePackStream {
  readonly #limit: number
  readonly #decoder = new Decoder()
  /** What came of the value that is not whole yet: its first `#size` bytes. */
  #held = new Uint8Array(0)
  #size = 0
  /** How many values each open container waits for, and all of them together. */
  readonly #open: number[] = []
  #owed = 0
  /** Bytes of a text, a number or binary that are still to come. */
  #payload = 0
  /** Bytes of a length or count that are still to come, what it is so far, and the tag before it. */
  #digits = 0
  #number = 0
  #tag = 0
  #failed: PeerError | null = null

  /** `limit`: bytes of one value. @default 64 MiB */
  constructor(limit = 64 * 1024 * 1024) {
    this.#limit = limit
  }

  /** Why the stream ended, if it did. */
  get failed(): PeerError | null { return this.#failed }

  /**
   * The values that end in this frame; null is one as any other. They share no memory with it.
   *
   * A value that cannot be read ends the stream for good: nobody knows what follows it. Values before it in the same frame are
   * returned, and `failed` says why they are the last; the next frame throws it.
   *
   * @throws {PeerError} 'protocol-violation' for a stream that failed: no MessagePack, a value beyond the limit, more than 256 levels.
   */
  push(bytes: Uint8Array | ArrayBuffer): unknown[] {
    if (this.#failed) throw this.#failed
    const values: unknown[] = []
    try {
      this.#read(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes), values)
    }
    catch (error) {
      this.#held = new Uint8Array(0)
      this.#failed = error instanceof PeerError ? error : violation(error instanceof Error ? error.message : String(error), error)
      if (values.length === 0) throw this.#failed
    }
    return values
  }

  #read(bytes: Uint8Array, values: unknown[]): void {
    let start = 0
    let at = 0
    while (at < bytes.length) {
      let ended: boolean
      if (this.#payload > 0) {
        const length = Math.min(this.#payload, bytes.length - at)
        at += length
        this.#payload -= length
        ended = this.#payload === 0
      }
      else if (this.#digits > 0) {
        this.#number = this.#number * 0x100 + bytes[at++]!
        ended = --this.#digits === 0 && this.#measured(this.#tag, this.#number)
      }
      else {
        ended = this.#begin(bytes[at++]!)
      }
      // Every value that is still to come has a byte at least.
      const length = this.#size + at - start
      if (length + this.#payload + this.#owed > this.#limit) throw violation(`a value in it is longer than ${this.#limit} bytes`)
      if (!ended || !this.#outermost()) continue
      values.push(this.#decoder.decode(this.#take(bytes.subarray(start, at))))
      start = at
    }
    if (start < at) this.#hold(bytes.subarray(start, at))
  }

  /** The first byte of a value; true when there is no more of it. */
  #begin(tag: number): boolean {
    if (this.#open.length > 0) {
      this.#open[this.#open.length - 1]!--
      this.#owed--
    }
    if (tag < 0x80 || tag >= 0xe0) return true
    if (tag < 0x90) return this.#container(2 * (tag & 0xf))
    if (tag < 0xa0) return this.#container(tag & 0xf)
    if (tag < 0xc0) return this.#bytes(tag & 0x1f)
    switch (tag) {
      case 0xc0: case 0xc2: case 0xc3: return true
      case 0xcc: case 0xd0: return this.#bytes(1)
      case 0xcd: case 0xd1: return this.#bytes(2)
      case 0xca: case 0xce: case 0xd2: return this.#bytes(4)
      case 0xcb: case 0xcf: case 0xd3: return this.#bytes(8)
      // fixext: its type, and 1 to 16 bytes.
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.#bytes(1 + (1 << tag - 0xd4))
      case 0xc4: case 0xc5: case 0xc6: return this.#measure(tag, 1 << tag - 0xc4)
      case 0xc7: case 0xc8: case 0xc9: return this.#measure(tag, 1 << tag - 0xc7)
      case 0xd9: case 0xda: case 0xdb: return this.#measure(tag, 1 << tag - 0xd9)
      case 0xdc: case 0xdd: return this.#measure(tag, 2 << tag - 0xdc)
      case 0xde: case 0xdf: return this.#measure(tag, 2 << tag - 0xde)
      default: throw violation(`it holds an unknown kind of value (${tag})`)
    }
  }

  /** A length or count of so many bytes follows the tag. */
  #measure(tag: number, digits: number): boolean {
    this.#tag = tag
    this.#digits = digits
    this.#number = 0
    return false
  }

  #measured(tag: number, count: number): boolean {
    if (tag >= 0xde) return this.#container(2 * count)
    if (tag >= 0xdc) return this.#container(count)
    // ext: its type too.
    return this.#bytes(tag >= 0xc7 && tag <= 0xc9 ? count + 1 : count)
  }

  #bytes(length: number): boolean {
    this.#payload = length
    return length === 0
  }

  #container(values: number): boolean {
    if (this.#open.length >= depthLimit) throw violation(`it is nested more than ${depthLimit} levels deep`)
    if (values === 0) return true
    this.#open.push(values)
    this.#owed += values
    return false
  }

  /** A value ended; true when it was the outermost, or the last of all that was in it. */
  #outermost(): boolean {
    while (this.#open.length > 0) {
      if (this.#open.at(-1)! > 0) return false
      this.#open.pop()
    }
    return true
  }

  #hold(bytes: Uint8Array): void {
    const size = this.#size + bytes.length
    if (size > this.#held.length) {
      // Twice as much each time, so that what is held is not copied with every frame; never more than may come.
      const larger = new Uint8Array(Math.min(Math.max(size, this.#held.length * 2), this.#limit))
      larger.set(this.#held.subarray(0, this.#size))
      this.#held = larger
    }
    this.#held.set(bytes, this.#size)
    this.#size = size
  }

  /** The whole value, in memory of its own: binary in it will be a view of that. */
  #take(last: Uint8Array): Uint8Array {
    if (this.#size === 0) return new Uint8Array(last)
    const whole = new Uint8Array(this.#size + last.length)
    whole.set(this.#held.subarray(0, this.#size))
    whole.set(last, this.#size)
    this.#held = new Uint8Array(0)
    this.#size = 0
    return whole
  }
}
