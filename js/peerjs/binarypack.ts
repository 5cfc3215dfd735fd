// BinaryPack, the bytes of PeerJS's `binary` connections: docs/peerjs.md, "Values", has the table.
//
// Loaded lazily, with the first connection that speaks it. What PeerJS's encoder writes is read, what is written here is what
// its decoder reads right: where its two halves disagree, or corrupt a value, another form of the same value is sent.

import { PeerError } from '../errors.js'
import { fill, type PendingBlob } from '../values/blobs.js'

/** Containers inside one another. Both directions refuse more: neither the stack nor a cycle may be the limit. */
const depthLimit = 256

/** Binary of at least this many bytes is copied once, into the result. */
const apart = 4096

/** Text of up to so many units or bytes is done by hand: a call of TextEncoder or TextDecoder takes longer than that. */
const shortText = 48

const encoder = new TextEncoder()
// A byte order mark is part of the string. Not fatal: PeerJS sends UTF-8 only, and odd text is better shown than lost.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

// ---- pack

interface Part { at: number, source: Uint8Array | Blob, length: number }

/** What values are written to is kept for the next one, unless it had to grow beyond `keep`. */
const scratchSize = 64 * 1024
const keep = 2 * 1024 * 1024

// The state of the pack() that is running. Variables of the module are what engines reach soonest.
let running = false
let out = new Uint8Array(scratchSize)
let view = new DataView(out.buffer)
let end = 0
let parts: Part[] = []
let depth = 0
let ancestors: unknown[] = []

/**
 * The bytes of a value, in memory of their own; a promise only when a Blob or File is inside, which are read now.
 *
 * Carries what PeerJS carries, and loses what PeerJS loses: undefined and holes become null, a Date its toString(), a typed array
 * an ArrayBuffer, a Blob its content, -0 becomes 0; so do subnormal numbers, for which PeerJS has no bytes. NaN is NaN again in
 * peerbridge; PeerJS has no bytes for it either, and reads 1.1e-308.
 *
 * @throws {PeerError} 'data-clone' for what BinaryPack cannot carry: functions, symbols, BigInts, Map, Set, RegExp, plain Errors,
 * Promises, boxed primitives, shared buffers, cycles, more than 256 levels.
 */
export function pack(value: unknown): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
  // A getter in the value may send something itself.
  const outer = running ? { out, view, end, parts, depth, ancestors } : null
  if (outer) {
    replaceScratch()
    parts = []
    ancestors = []
  }
  running = true
  end = 0
  depth = 0
  try {
    write(value)
    return parts.length > 0 ? assemble() : out.slice(0, end)
  }
  catch (error) {
    ancestors = []
    if (error instanceof PeerError) throw error
    if (error instanceof Refused) throw refusal(value, error)
    // A getter that throws, a detached buffer, a proxy that refuses.
    throw new PeerError('data-clone', `This value cannot be sent: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  finally {
    running = outer !== null
    if (parts.length > 0) parts = []
    if (outer) ({ out, view, end, parts, depth, ancestors } = outer)
    else if (out.length > keep) replaceScratch()
  }
}

function replaceScratch(size = scratchSize): void {
  out = new Uint8Array(size)
  view = new DataView(out.buffer)
}

/** Something that cannot be packed: what it is, for people, and the thing itself where that says where it was. */
class Refused {
  constructor(readonly what: string, readonly culprit?: unknown) {}
}

function refusal(value: unknown, { what, culprit }: Refused): PeerError {
  const path = culprit === undefined ? '' : pathTo(value, culprit)
  return new PeerError('data-clone', `This value holds ${what}${path ? ` at ${path}` : ''}, which PeerJS's binary serialization cannot carry.`)
}

/** Where something is in a value. Walks again, so that packing what can be packed costs nothing for it. */
function pathTo(root: unknown, culprit: unknown): string {
  const seen = new Set<unknown>()
  const levels: unknown[] = []
  const visit = (value: unknown, path: string): string | null => {
    if (value === culprit && (path !== '' || typeof value !== 'object') && (levels.includes(value) || !seen.has(value))) return path
    if (typeof value !== 'object' || value === null || seen.has(value) || ArrayBuffer.isView(value) || levels.length >= depthLimit) return null
    seen.add(value)
    levels.push(value)
    for (const key of Object.keys(value)) {
      const step = Array.isArray(value) ? `[${key}]` : /^[\p{L}_$][\p{L}\d_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
      const found = visit((value as Record<string, unknown>)[key], path + step)
      if (found !== null) return found
    }
    levels.pop()
    return null
  }
  try {
    return visit(root, '') ?? ''
  }
  catch {
    // A getter or a proxy again; the error is what matters.
    return ''
  }
}

function grow(length: number): void {
  const written = out.subarray(0, end)
  replaceScratch(Math.max(end + length, out.length * 2))
  out.set(written)
}

function write(value: unknown): void {
  if (end + 16 > out.length) grow(16)
  switch (typeof value) {
    case 'string': return writeText(value)
    case 'number': return writeNumber(value)
    case 'boolean':
      out[end++] = value ? 0xc3 : 0xc2
      return
    case 'undefined':
      // c1 would be undefined, but PeerJS never sends it.
      out[end++] = 0xc0
      return
    case 'object':
      if (value === null) out[end++] = 0xc0
      else writeObject(value)
      return
    default: throw new Refused(typeof value === 'bigint' ? 'a BigInt' : `a ${typeof value}`, value)
  }
}

/** The caller made room. */
function writeNumber(value: number): void {
  const whole = value | 0
  if (whole === value) {
    if (whole >= 0) {
      if (whole < 0x80) {
        out[end++] = whole
      }
      else if (whole < 0x100) {
        out[end++] = 0xcc
        out[end++] = whole
      }
      else if (whole < 0x1_0000) {
        out[end++] = 0xcd
        out[end++] = whole >> 8
        out[end++] = whole
      }
      else {
        out[end++] = 0xce
        view.setUint32(end, whole)
        end += 4
      }
    }
    else if (whole >= -0x20) {
      out[end++] = whole
    }
    else if (whole >= -0x80) {
      out[end++] = 0xd0
      out[end++] = whole
    }
    else if (whole >= -0x8000) {
      out[end++] = 0xd1
      out[end++] = whole >> 8
      out[end++] = whole
    }
    else {
      out[end++] = 0xd2
      view.setInt32(end, whole)
      end += 4
    }
    return
  }
  // PeerJS adds up a 64-bit integer in a double and takes 2^64 off a negative one: those it reads right only as float64.
  if (value > 0 && value < 2 ** 64 && Math.floor(value) === value) {
    if (value < 2 ** 32) {
      out[end++] = 0xce
    }
    else {
      out[end++] = value < 2 ** 63 ? 0xd3 : 0xcf
      view.setUint32(end, Math.floor(value / 2 ** 32))
      end += 4
    }
    view.setUint32(end, value % 2 ** 32)
    end += 4
    return
  }
  // It also reads an exponent of 0 as if there were a 1 before the point. Nothing that small has bytes that mean it.
  if (value > -smallestNormal && value < smallestNormal) {
    out[end++] = 0
    return
  }
  out[end++] = 0xcb
  // What PeerJS sends for NaN, and nothing else is: 0 is an integer. Of the NaN of IEEE 754 it makes Infinity.
  view.setFloat64(end, Number.isNaN(value) ? 0 : value)
  end += 8
}

const smallestNormal = 2 ** -1022

/** The head of something with a length: in the tag up to 15, 16 bits wide after `tag16`, 32 after the next. */
function writeHead(fix: number, tag16: number, length: number): void {
  if (length < 0x10) {
    out[end++] = fix | length
  }
  else if (length < 0x1_0000) {
    out[end++] = tag16
    out[end++] = length >> 8
    out[end++] = length
  }
  else if (length <= 0xffff_ffff) {
    out[end++] = tag16 + 1
    view.setUint32(end, length)
    end += 4
  }
  else {
    throw new Refused(`${length} bytes in one piece`)
  }
}

function writeText(text: string): void {
  const { length } = text
  if (length <= shortText) {
    // Short and plain: quicker by hand than by TextEncoder.
    if (end + 64 > out.length) grow(64)
    const start = end
    writeHead(0xb0, 0xd8, length)
    let at = end
    let i = 0
    for (; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) break
      out[at++] = unit
    }
    if (i === length) {
      end = at
      return
    }
    end = start
  }
  // A unit takes up to three bytes; where that would be much, an eighth more than one at first. The head is as long as most
  // texts of this length need, and moved if it is another.
  const guess = length < 0x2000 ? length * 3 : length + (length >> 3) + 16
  if (end + 16 + guess > out.length) grow(16 + guess)
  const start = end
  const from = start + headLength(guess)
  // Not to the very end: the head may turn out two bytes longer.
  let { read, written } = encoder.encodeInto(text, out.subarray(from, out.length - 2))
  while (read < length) {
    end = from + written
    grow((length - read) * 3 + 16)
    const more = encoder.encodeInto(text.slice(read), out.subarray(end))
    read += more.read
    written += more.written
  }
  const to = start + headLength(written)
  if (to !== from) out.copyWithin(to, from, from + written)
  end = start
  writeHead(0xb0, 0xd8, written)
  end += written
}

const headLength = (length: number): number => (length < 0x10 ? 1 : length < 0x1_0000 ? 3 : 5)

function writeBytes(bytes: Uint8Array): void {
  const { length } = bytes
  writeHead(0xa0, 0xda, length)
  if (length >= apart) {
    parts.push({ at: end, source: bytes, length })
    return
  }
  if (end + length > out.length) grow(length)
  out.set(bytes, end)
  end += length
}

function writeObject(value: object): void {
  for (let i = depth - 1; i >= 0; i--) if (ancestors[i] === value) throw new Refused('itself', value)
  if (depth >= depthLimit) throw new Refused(`more than ${depthLimit} levels`)
  ancestors[depth++] = value
  if (Array.isArray(value)) {
    const { length } = value
    writeHead(0x90, 0xdc, length)
    // The length was said: an array that a getter shortens or grows meanwhile ends as it began.
    for (let i = 0; i < length; i++) write(value[i])
  }
  else {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) writeRecord(value as Record<string, unknown>)
    else writeOther(value)
  }
  ancestors[--depth] = undefined
}

function writeRecord(value: Record<string, unknown>): void {
  const keys = Object.keys(value)
  writeHead(0x80, 0xde, keys.length)
  for (const key of keys) {
    if (end + 16 > out.length) grow(16)
    writeText(key)
    write(value[key])
  }
}

function writeOther(value: object): void {
  if (ArrayBuffer.isView(value)) {
    return writeBytes(value instanceof Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
  }
  if (value instanceof Date) return writeText(Date.prototype.toString.call(value))
  const brand = Object.prototype.toString.call(value).slice(8, -1)
  switch (brand) {
    // Of another frame: instanceof says no.
    case 'Date': return writeText(Date.prototype.toString.call(value))
    case 'ArrayBuffer': return writeBytes(new Uint8Array(value as ArrayBuffer))
    case 'Blob':
    case 'File': {
      const { size } = value as Blob
      writeHead(0xa0, 0xda, size)
      if (size > 0) parts.push({ at: end, source: value as Blob, length: size })
      return
    }
    case 'Object': return writeRecord(value as Record<string, unknown>)
    default:
      // PeerJS takes any object of a class that was written in JavaScript, whatever it calls itself. Not those whose content
      // would stay behind without a word.
      if (!/^(Map|Set|WeakMap|WeakSet|Promise|RegExp|SharedArrayBuffer|Number|String|Boolean|BigInt|Symbol)$/.test(brand) && ofClass(value)) {
        return writeRecord(value as Record<string, unknown>)
      }
      throw new Refused(`an object of type ${brand}`, value)
  }
}

function ofClass({ constructor }: object): boolean {
  return typeof constructor === 'function' && Function.prototype.toString.call(constructor).startsWith('class')
}

/** Copies what was written, and what was left where it is, into one piece. */
function assemble(): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, end))
  const blobs: PendingBlob[] = []
  let from = 0
  let to = 0
  for (const { at, source, length } of parts) {
    while (from < at) result[to++] = out[from++]!
    if (source instanceof Uint8Array) {
      if (source.length !== length) throw new Error('a buffer in it changed its size while it was packed')
      result.set(source, to)
    }
    else {
      blobs.push({ blob: source, at: to })
    }
    to += length
  }
  if (from < end) result.set(out.subarray(from, end), to)
  return blobs.length > 0 ? fill(result, blobs) : result
}

// ---- unpack

const violation = (what: string): PeerError =>
  new PeerError('protocol-violation', `A value that was received is not readable: ${what}.`)

// The state of the unpack() that is running; nothing in it calls out.
const nothing = new Uint8Array(0)
let source: Uint8Array = nothing
/** Only made for fractions: a small message is read in less time than a DataView takes to make. */
let fractions: DataView | null = null
let at = 0
let level = 0

/**
 * The value of one BinaryPack message. It shares no memory with the bytes. Binary is an ArrayBuffer.
 *
 * The bytes come from another machine and may say anything: nothing is allocated because of a number that they claim, only
 * because of bytes that are there; nesting is limited; keys never reach a prototype. Text that is not UTF-8 shows U+FFFD.
 *
 * @throws {PeerError} 'protocol-violation' for bytes that are no value: cut short, followed by others, an empty frame, a tag that
 * PeerJS never sends, more than 256 levels.
 */
export function unpack(bytes: Uint8Array | ArrayBuffer): unknown {
  source = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)
  at = 0
  level = 0
  try {
    if (source.length === 0) throw violation('it is empty')
    const value = read(source.length)
    if (at !== source.length) throw violation('bytes follow its end')
    return value
  }
  finally {
    source = nothing
    fractions = null
  }
}

/**
 * `limit`: where the bytes end that this value may take; whatever comes after it needs one each at least. There is one here
 * then: who counts elements checks that there is one for each.
 */
function read(limit: number): unknown {
  const tag = source[at++]!
  if (tag < 0x80) return tag
  if (tag >= 0xe0) return tag - 0x100
  if (tag < 0xc0) {
    const length = tag & 0xf
    if (tag >= 0xb0) return readText(length, limit)
    if (tag < 0x90) return readRecord(length, limit)
    return tag < 0xa0 ? readList(length, limit) : readBytes(length, limit)
  }
  switch (tag) {
    case 0xc0: return null
    case 0xc1: return undefined
    case 0xc2: return false
    case 0xc3: return true
    case 0xca: return readFloat(limit)
    case 0xcb: return readDouble(limit)
    case 0xcc: return source[skip(1, limit)]!
    case 0xcd: return uint16(limit)
    case 0xce: return uint32(limit)
    case 0xcf: return uint32(limit) * 2 ** 32 + uint32(limit)
    case 0xd0: return source[skip(1, limit)]! << 24 >> 24
    case 0xd1: return uint16(limit) << 16 >> 16
    case 0xd2: return uint32(limit) | 0
    case 0xd3: return (uint32(limit) | 0) * 2 ** 32 + uint32(limit)
    case 0xd8: return readText(uint16(limit), limit)
    case 0xd9: return readText(uint32(limit), limit)
    case 0xda: return readBytes(uint16(limit), limit)
    case 0xdb: return readBytes(uint32(limit), limit)
    case 0xdc: return readList(uint16(limit), limit)
    case 0xdd: return readList(uint32(limit), limit)
    case 0xde: return readRecord(uint16(limit), limit)
    case 0xdf: return readRecord(uint32(limit), limit)
    default: throw violation(`it holds an unknown kind of value (${tag})`)
  }
}

/** Where the next bytes are, which are then behind. */
function skip(length: number, limit: number): number {
  if (length > limit - at) throw violation('it ends too early')
  const from = at
  at += length
  return from
}

function uint16(limit: number): number {
  const from = skip(2, limit)
  return source[from]! << 8 | source[from + 1]!
}

function uint32(limit: number): number {
  const from = skip(4, limit)
  return (source[from]! << 24 | source[from + 1]! << 16 | source[from + 2]! << 8 | source[from + 3]!) >>> 0
}

const viewOf = ({ buffer, byteOffset, length }: Uint8Array): DataView => new DataView(buffer, byteOffset, length)

function readFloat(limit: number): number {
  fractions ??= viewOf(source)
  return fractions.getFloat32(skip(4, limit))
}

function readDouble(limit: number): number {
  fractions ??= viewOf(source)
  const value = fractions.getFloat64(skip(8, limit))
  // PeerJS's NaN. It has no other use for these bytes: a 0 is an integer.
  return Object.is(value, 0) ? Number.NaN : value
}

function readBytes(length: number, limit: number): ArrayBuffer {
  if (length === 0) return new ArrayBuffer(0)
  const from = source.byteOffset + skip(length, limit)
  return source.buffer.slice(from, from + length) as ArrayBuffer
}

function readText(length: number, limit: number): string {
  const from = skip(length, limit)
  if (length <= shortText) {
    const text = ascii(from, at) ?? unicode(from, at)
    if (text !== null) return text
  }
  return decoder.decode(source.subarray(from, at))
}

const { fromCharCode } = String

function ascii(from: number, to: number): string | null {
  let text = ''
  for (; to - from >= 8; from += 8) {
    const a = source[from]!, b = source[from + 1]!, c = source[from + 2]!, d = source[from + 3]!
    const e = source[from + 4]!, f = source[from + 5]!, g = source[from + 6]!, h = source[from + 7]!
    if ((a | b | c | d | e | f | g | h) > 0x7f) return null
    text += fromCharCode(a, b, c, d, e, f, g, h)
  }
  if (to - from >= 4) {
    const a = source[from]!, b = source[from + 1]!, c = source[from + 2]!, d = source[from + 3]!
    if ((a | b | c | d) > 0x7f) return null
    text += fromCharCode(a, b, c, d)
    from += 4
  }
  for (; from < to; from++) {
    const a = source[from]!
    if (a > 0x7f) return null
    text += fromCharCode(a)
  }
  return text
}

const units = new Uint16Array(shortText)

/** Null for what is not UTF-8 (RFC 3629, section 4): TextDecoder knows where U+FFFD goes. */
function unicode(from: number, to: number): string | null {
  let count = 0
  while (from < to) {
    const a = source[from++]!
    if (a < 0x80) {
      units[count++] = a
      continue
    }
    const more = a < 0xe0 ? 1 : a < 0xf0 ? 2 : 3
    if (a < 0xc2 || a > 0xf4 || to - from < more) return null
    let point = a & 0x3f >> more
    for (const last = from + more; from < last; from++) {
      const b = source[from]!
      if ((b & 0xc0) !== 0x80) return null
      point = point << 6 | b & 0x3f
    }
    if (more === 2 && (point < 0x800 || (point & 0xf800) === 0xd800)) return null
    if (more < 3) {
      units[count++] = point
      continue
    }
    if (point < 0x1_0000 || point > 0x10_ffff) return null
    units[count++] = 0xd7c0 + (point >> 10)
    units[count++] = 0xdc00 | point & 0x3ff
  }
  let text = ''
  let i = 0
  for (; count - i >= 8; i += 8) {
    text += fromCharCode(
      units[i]!, units[i + 1]!, units[i + 2]!, units[i + 3]!, units[i + 4]!, units[i + 5]!, units[i + 6]!, units[i + 7]!,
    )
  }
  for (; count - i >= 2; i += 2) text += fromCharCode(units[i]!, units[i + 1]!)
  if (i < count) text += fromCharCode(units[i]!)
  return text
}

function readList(count: number, limit: number): unknown[] {
  if (count > limit - at) throw violation('it ends too early')
  if (++level > depthLimit) throw violation(`it is nested more than ${depthLimit} levels deep`)
  // Every element has a byte at least, and all of those are there; still no more at once than a small page of memory.
  const list = new Array<unknown>(Math.min(count, 4096))
  const bytes = source
  for (let i = 0; i < count; i++) {
    const tag = bytes[at]!
    if (tag < 0x80) {
      at++
      list[i] = tag
    }
    else {
      list[i] = read(limit - count + i + 1)
    }
  }
  level--
  return list
}

function readRecord(count: number, limit: number): object {
  if (count * 2 > limit - at) throw violation('it ends too early')
  if (++level > depthLimit) throw violation(`it is nested more than ${depthLimit} levels deep`)
  const record: Record<string, unknown> = {}
  for (let rest = count * 2 - 1; rest > 0; rest -= 2) {
    const key = readKey(limit - rest)
    const value = read(limit - rest + 1)
    // The one key that an assignment does not set.
    if (key === '__proto__') Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true })
    else record[key] = value
  }
  level--
  return record
}

// Keys come again and again: the last ones, by a hash of their bytes.
const keySlots = 1024
const longestKey = 32
const keys: string[] = new Array<string>(keySlots).fill('')
const keyLengths = new Uint8Array(keySlots).fill(0xff)
const keyBytes = new Uint8Array(keySlots * longestKey)

function readKey(limit: number): string {
  const tag = source[at]!
  if (tag >= 0xb0 && tag < 0xc0) {
    at++
    const length = tag & 0xf
    const from = skip(length, limit)
    let hash = length
    for (let i = from; i < at; i++) hash = Math.imul(hash, 31) + source[i]! | 0
    const slot = (hash ^ hash >>> 10) & keySlots - 1
    const base = slot * longestKey
    if (keyLengths[slot] === length) {
      let i = 0
      while (i < length && keyBytes[base + i] === source[from + i]) i++
      if (i === length) return keys[slot]!
    }
    at = from
    const key = readText(length, limit)
    keyLengths[slot] = length
    for (let i = 0; i < length; i++) keyBytes[base + i] = source[from + i]!
    return keys[slot] = key
  }
  const key = read(limit)
  // PeerJS sends strings; its decoder takes whatever has a string.
  if (typeof key === 'object' && key !== null) throw violation('a key in it is not a string')
  return String(key)
}
