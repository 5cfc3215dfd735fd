import { PeerError } from '../errors.js'
import { fill, type PendingBlob } from './blobs.js'
import * as Tag from './tags.js'

const text = new TextEncoder()
const brandOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)
/** What is sent as what it is, by the name that it gives itself. */
const brands = new Set(['Object', 'Date', 'RegExp', 'Map', 'Set', 'Error', 'DOMException', 'ArrayBuffer', 'Number', 'String', 'Boolean', 'BigInt', 'Blob', 'File'])

/**
 * What an object is. A class may name itself as it likes (Symbol.toStringTag), after one of these too: only where it is one, or
 * structuredClone makes one of it, it counts.
 */
function natureOf(value: object): string {
  const brand = brandOf(value)
  const known = brands.has(brand) && (globalThis as Record<string, unknown>)[brand]
  if (typeof known === 'function' && value instanceof known) return brand
  try {
    return brandOf(structuredClone(value))
  }
  catch { // what it refuses, we refuse
    return ''
  }
}

/** Keys in the order of an object; objects of one shape are written as its number and their values. */
class Shape {
  id = -1
  /** The key that came next last time, and where it led: records of one kind follow each other. */
  key = ''
  next: Shape | null = null
  more: Map<string, Shape> | null = null

  to(key: string): Shape {
    if (this.next !== null && this.key === key) return this.next
    let shape = this.more?.get(key)
    if (!shape) {
      shape = new Shape()
      this.more ??= new Map()
      this.more.set(key, shape)
    }
    this.key = key
    this.next = shape
    return shape
  }
}

/** Reused by every encoding, unless one starts inside another (a getter that sends); grows back from this size. */
const scratchSize = 64 * 1024
const largestScratch = 16 * scratchSize
let scratch: Uint8Array<ArrayBuffer> | null = null

export class Encoder {
  #bytes: Uint8Array<ArrayBuffer>
  #view: DataView
  #at = 0
  #depth = 0
  /** Objects that were met, by the order in which they were. */
  #seen = new Map<object, number>()
  #shapes: Shape | null = null
  #shapeCount = 0
  #blobs: PendingBlob[] = []
  /** Buffers that more than one thing in this value shows: only those are written whole. */
  #shared: Set<ArrayBufferLike>
  #shown = new Set<ArrayBufferLike>()
  #missed = false

  constructor(shared = new Set<ArrayBufferLike>()) {
    this.#shared = shared
    this.#bytes = scratch ?? new Uint8Array(scratchSize)
    this.#view = new DataView(this.#bytes.buffer)
    scratch = null
  }

  /** The bytes of a value, in memory of their own. A promise only when there are Blobs in it: those are read now. */
  encode(value: unknown): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
    let bytes: Uint8Array<ArrayBuffer>
    try {
      this.#write(value)
      // What is too large to be reused is given away; it is not much larger than what is in it.
      bytes = this.#bytes.length <= largestScratch ? this.#bytes.slice(0, this.#at) : this.#bytes.subarray(0, this.#at)
    }
    catch (error) {
      if (error instanceof PeerError) throw error
      // A getter that throws, a detached buffer, a proxy that refuses.
      throw new PeerError('data-clone', `This value cannot be sent: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    finally {
      if (this.#bytes.length <= largestScratch) scratch = this.#bytes
    }
    // Views were written as if each had its buffer for itself, and then another view of it came: once more, now knowing.
    if (this.#missed) return new Encoder(this.#shared).encode(value)
    return this.#blobs.length > 0 ? fill(bytes, this.#blobs) : bytes
  }

  #room(length: number): void {
    const needed = this.#at + length
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }

  #tag(tag: number): void {
    this.#room(16)
    this.#bytes[this.#at++] = tag
  }

  #varint(value: number): void {
    this.#room(8)
    while (value > 0x7f) {
      this.#bytes[this.#at++] = (value % 0x80) | 0x80
      value = Math.floor(value / 0x80)
    }
    this.#bytes[this.#at++] = value
  }

  #raw(bytes: Uint8Array): void {
    this.#varint(bytes.length)
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #float(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  #write(value: unknown): void {
    switch (typeof value) {
      case 'string': return this.#string(value)
      case 'number': return this.#number(value)
      case 'boolean': return this.#tag(value ? Tag.True : Tag.False)
      case 'undefined': return this.#tag(Tag.Undefined)
      case 'bigint': return this.#bigint(value)
      case 'object': return value === null ? this.#tag(Tag.Null) : this.#object(value)
      default: throw refused(typeof value === 'function' ? `the function ${value.name || '(anonymous)'}` : 'a symbol')
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= 0 && value <= 0x7f) return this.#tag(value)
      this.#tag(value < 0 ? Tag.Negative : Tag.Positive)
      return this.#varint(value < 0 ? -1 - value : value)
    }
    this.#tag(Tag.Float)
    this.#float(value)
  }

  #bigint(value: bigint): void {
    const hex = (value < 0n ? -value : value).toString(16)
    const length = (hex.length + 1) >> 1
    this.#tag(value < 0n ? Tag.BigNegative : Tag.BigPositive)
    this.#varint(length)
    this.#room(length)
    for (let end = hex.length; end > 0; end -= 2) {
      this.#bytes[this.#at++] = Number.parseInt(hex.slice(Math.max(0, end - 2), end), 16)
    }
  }

  #string(value: string): void {
    const { length } = value
    // A short plain string, as most keys and values are, is quicker by hand than by TextEncoder.
    if (length <= Tag.textLimit) {
      this.#room(length + 16)
      const bytes = this.#bytes
      let at = this.#at
      bytes[at++] = Tag.Text | length
      let i = 0
      for (; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 0x7f) break
        bytes[at++] = code
      }
      if (i === length) {
        this.#at = at
        return
      }
    }
    this.#room(length * 3 + 16)
    const guess = 1 + varintLength(length)
    const { written } = text.encodeInto(value, this.#bytes.subarray(this.#at + guess))
    // TextEncoder would quietly replace half a surrogate pair.
    if (written !== length && /\p{Surrogate}/u.test(value)) return this.#utf16(value)
    const head = written <= Tag.textLimit ? 1 : 1 + varintLength(written)
    if (head !== guess) this.#bytes.copyWithin(this.#at + head, this.#at + guess, this.#at + guess + written)
    if (head === 1) {
      this.#bytes[this.#at++] = Tag.Text | written
    }
    else {
      this.#bytes[this.#at++] = Tag.Utf8
      this.#varint(written)
    }
    this.#at += written
  }

  #utf16(value: string): void {
    this.#tag(Tag.Utf16)
    this.#varint(value.length)
    this.#room(value.length * 2)
    for (let i = 0; i < value.length; i++, this.#at += 2) this.#view.setUint16(this.#at, value.charCodeAt(i), true)
  }

  #object(value: object): void {
    const before = this.#seen.get(value)
    if (before !== undefined) {
      this.#tag(Tag.Again)
      return this.#varint(before)
    }
    if (++this.#depth > Tag.depthLimit) throw new PeerError('data-clone', `This value is nested more than ${Tag.depthLimit} levels deep.`)
    this.#seen.set(value, this.#seen.size)

    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) this.#record(value as Record<string, unknown>)
    else if (Array.isArray(value)) this.#array(value)
    else this.#other(value)
    this.#depth--
  }

  #record(value: Record<string, unknown>): void {
    const keys = Object.keys(value)
    if (keys.length > Tag.shapeLimit) {
      this.#tag(Tag.ObjectKeys)
      return this.#entries(value, keys)
    }
    let shape = this.#shapes ??= new Shape()
    for (const key of keys) shape = shape.to(key)
    if (shape.id < 0) {
      shape.id = this.#shapeCount++
      this.#tag(Tag.ObjectNew)
      this.#varint(keys.length)
      for (const key of keys) this.#string(key)
    }
    else {
      this.#tag(Tag.ObjectLike)
      this.#varint(shape.id)
    }
    for (const key of keys) this.#write(value[key])
  }

  #entries(value: Record<string, unknown>, keys: string[]): void {
    this.#varint(keys.length)
    for (const key of keys) {
      this.#string(key)
      this.#write(value[key])
    }
  }

  #array(value: unknown[]): void {
    const { length } = value
    let dense = true
    for (let i = 0; i < length && dense; i++) dense = value[i] !== undefined || i in value
    // Holes stay holes, and keys such as those of a RegExp match stay too.
    if (dense && !hasNamedKeys(value)) {
      this.#tag(Tag.List)
      this.#varint(length)
      for (let i = 0; i < length; i++) this.#write(value[i])
      return
    }
    this.#tag(Tag.Sparse)
    this.#varint(length)
    this.#entries(value as unknown as Record<string, unknown>, Object.keys(value))
  }

  #other(value: object): void {
    if (ArrayBuffer.isView(value)) return this.#arrayView(value)
    switch (natureOf(value)) {
      case 'Date':
        this.#tag(Tag.DateTime)
        return this.#float((value as Date).getTime())
      case 'RegExp':
        this.#tag(Tag.Pattern)
        this.#string((value as RegExp).source)
        return this.#string((value as RegExp).flags)
      case 'Map': {
        // A copy first: a getter further down could change it while it is being written.
        const entries = [...value as Map<unknown, unknown>]
        this.#tag(Tag.MapOf)
        this.#varint(entries.length)
        for (const [key, item] of entries) {
          this.#write(key)
          this.#write(item)
        }
        return
      }
      case 'Set': {
        const items = [...value as Set<unknown>]
        this.#tag(Tag.SetOf)
        this.#varint(items.length)
        for (const item of items) this.#write(item)
        return
      }
      case 'Error': return this.#error(value as Error)
      case 'DOMException':
        this.#tag(Tag.Exception)
        this.#string((value as DOMException).name)
        return this.#string((value as DOMException).message)
      case 'ArrayBuffer': return this.#buffer(value as ArrayBuffer)
      case 'Number':
      case 'String':
      case 'Boolean':
      case 'BigInt':
        this.#tag(Tag.Boxed)
        return this.#write(value.valueOf())
      case 'Blob': return this.#blob(value as Blob)
      case 'File': return this.#blob(value as File, value as File)
      // An object of some class is sent as its own properties, as structuredClone does. So is Vue's reactive(): a proxy.
      case 'Object': return this.#record(value as Record<string, unknown>)
      default: throw refused(`an object of type ${brandOf(value)}`)
    }
  }

  /** Name, message and cause. Not the stack, which tells about the sender's files and means nothing to the receiver. */
  #error(value: Error): void {
    const kind = Tag.errorNames.indexOf(value.name as (typeof Tag.errorNames)[number])
    const message = Object.getOwnPropertyDescriptor(value, 'message')
    const hasMessage = message !== undefined && 'value' in message
    const hasCause = Object.hasOwn(value, 'cause')
    this.#tag(Tag.Failure)
    this.#varint(Math.max(kind, 0) << 2 | (hasMessage ? 2 : 0) | (hasCause ? 1 : 0))
    if (hasMessage) this.#string(String(message.value))
    if (hasCause) this.#write(value.cause)
  }

  /** Notes that something shows this buffer; true when something else does so too. */
  #show(buffer: ArrayBufferLike): boolean {
    if (brandOf(buffer) !== 'ArrayBuffer') throw refused(`an object of type ${brandOf(buffer)}`)
    if (this.#shared.has(buffer)) return true
    if (this.#shown.has(buffer)) {
      this.#shared.add(buffer)
      this.#missed = true
    }
    this.#shown.add(buffer)
    return false
  }

  #buffer(value: ArrayBuffer): void {
    // Throws for a buffer that was transferred away.
    const bytes = new Uint8Array(value)
    this.#show(value)
    this.#tag(Tag.Buffer)
    this.#raw(bytes)
  }

  #arrayView(value: ArrayBufferView): void {
    const { buffer, byteOffset, byteLength } = value
    const kind = viewKind(value)
    // Throws for a buffer that was transferred away.
    const bytes = new Uint8Array(buffer, byteOffset, byteLength)
    if (this.#show(buffer)) {
      this.#tag(Tag.ViewOf)
      this.#varint(kind)
      this.#varint(byteOffset)
      this.#varint(byteLength)
      return this.#write(buffer)
    }
    // Only what it shows: a small view of a large buffer (Node's pooled Buffers, a slice of a file) stays small,
    // and bytes that nobody meant to send stay here.
    this.#tag(Tag.View)
    this.#varint(kind)
    this.#raw(bytes)
  }

  #blob(value: Blob, file?: File): void {
    this.#tag(file ? Tag.FileOf : Tag.BlobOf)
    if (file) {
      this.#string(file.name)
      this.#float(file.lastModified)
    }
    this.#string(value.type)
    this.#varint(value.size)
    this.#room(value.size)
    if (value.size > 0) this.#blobs.push({ blob: value, at: this.#at })
    this.#at += value.size
  }
}

function varintLength(value: number): number {
  let length = 1
  for (; value > 0x7f; value = Math.floor(value / 0x80)) length++
  return length
}

/**
 * Keys of its own besides the elements. Looking costs a string for each element, several times what writing it costs:
 * so in long lists nobody looks, and such keys (on a list of thousands, an oddity) stay behind.
 */
const hasNamedKeys = (value: unknown[]): boolean => value.length <= 4096 && Object.keys(value).length !== value.length

function viewKind(value: ArrayBufferView): number {
  const name = brandOf(value) as Tag.ViewName
  const kind = Tag.viewNames.indexOf(name)
  if (kind < 0) throw refused(`an object of type ${name}`)
  return kind
}

function refused(what: string): PeerError {
  return new PeerError('data-clone', `This value holds ${what}, which cannot be sent. Send what is in it, as objects, lists, buffers or Blobs.`)
}
