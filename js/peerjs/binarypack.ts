// BinaryPack, the bytes of PeerJS's `binary` connections: docs/peerjs.md, "Values", has the table.
//
// Loaded lazily, with the first connection that speaks it. What PeerJS's encoder writes is read, what is written here is what
// its decoder reads right: where its two halves disagree, or corrupt a value, another form of the same value is sent.

import { PeerError } from '../errors.js'

/** Containers inside one another. Both directions refuse more: neither the stack nor a cycle may be the limit. */
const depthLimit = 512

/** Binary of at least this many bytes is copied once, into the result; strings of as many units are encoded on their own. */
const apart = 4096
const longText = 1 << 18

const encoder = new TextEncoder()
// A byte order mark is part of the string. Not fatal: PeerJS sends UTF-8 only, and odd text is better shown than lost.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

// ---- pack

interface Part { at: number, source: Uint8Array | Blob, length: number }

/** Kept between values; one that had to grow beyond `keep` is not. */
const scratchSize = 64 * 1024
const keep = 1024 * 1024
let scratch: Uint8Array<ArrayBuffer> = new Uint8Array(0)

// The state of the pack() that is running. Variables of the module are what engines reach soonest.
let running = false
let out = scratch
let view = new DataView(out.buffer)
let end = 0
let parts: Part[] = []
let depth = 0
const ancestors: unknown[] = []

/**
 * The bytes of a value, in memory of their own; a promise only when a Blob or File is inside, which are read now.
 *
 * Carries what PeerJS carries, and loses what PeerJS loses: undefined and holes become null, a Date its toString(), a typed array
 * an ArrayBuffer, a Blob its content, -0 becomes 0; so do subnormal numbers, for which PeerJS has no bytes. NaN is NaN again in
 * peerbridge; PeerJS has no bytes for it either, and reads 1.1e-308.
 *
 * @throws {PeerError} 'data-clone' for what BinaryPack cannot carry: functions, symbols, BigInts, Map, Set, RegExp, plain Errors,
 * Promises, boxed primitives, shared buffers, cycles, more than 512 levels.
 */
export function pack(value: unknown): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
  // A getter in the value may send something itself.
  const outer = running ? { out, view, end, parts, depth, ancestors: ancestors.slice() } : null
  running = true
  out = outer || scratch.length === 0 ? new Uint8Array(scratchSize) : scratch
  if (!outer) scratch = out
  view = new DataView(out.buffer)
  end = 0
  depth = 0
  parts = []
  try {
    write(value)
    return assemble()
  }
  catch (error) {
    if (error instanceof PeerError) throw error
    if (error instanceof Refused) throw refusal(value, error)
    // A getter that throws, a detached buffer, a proxy that refuses.
    throw new PeerError('data-clone', `This value cannot be sent: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  finally {
    if (!outer && out.length <= keep) scratch = out
    if (outer) {
      ({ out, view, end, parts, depth } = outer)
      ancestors.splice(0, ancestors.length, ...outer.ancestors)
    }
    else {
      running = false
      parts = []
      ancestors.length = 0
    }
  }
}

/** Something that cannot be packed: what it is, for people, and the thing itself, to find where it was. */
class Refused {
  constructor(readonly what: string, readonly culprit: unknown) {}
}

function refusal(value: unknown, { what, culprit }: Refused): PeerError {
  const path = pathTo(value, culprit)
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
  const larger = new Uint8Array(Math.max(end + length, out.length * 2))
  larger.set(out.subarray(0, end))
  out = larger
  view = new DataView(larger.buffer)
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
  // PeerJS adds up a 64-bit integer in a double and takes 2^64 off a negative one: those it reads right only as float64. So
  // is 2^63 itself, whose int64 is negative.
  if (value > 0 && value < 2 ** 64 && value !== 2 ** 63 && Math.floor(value) === value) {
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
    throw new Refused(`${length} bytes in one piece`, undefined)
  }
}

function writeText(text: string): void {
  const { length } = text
  if (length < 64) {
    // Short and plain: quicker by hand than by TextEncoder.
    if (end + 80 > out.length) grow(80)
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
  if (length > longText) {
    const bytes = encoder.encode(text)
    writeHead(0xb0, 0xd8, bytes.length)
    parts.push({ at: end, source: bytes, length: bytes.length })
    return
  }
  // A unit takes up to three bytes. The head is as long as the longest text with these units may need, and moved if it is not.
  if (end + 16 + length * 3 > out.length) grow(16 + length * 3)
  const start = end
  const most = length * 3 < 0x10 ? 1 : length * 3 < 0x1_0000 ? 3 : 5
  const { written } = encoder.encodeInto(text, out.subarray(start + most))
  writeHead(0xb0, 0xd8, written)
  if (end - start < most) out.copyWithin(end, start + most, start + most + written)
  end += written
}

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
  if (depth >= depthLimit) throw new Refused(`more than ${depthLimit} levels`, undefined)
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
  depth--
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
  if (ArrayBuffer.isView(value)) return writeBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
  const brand = Object.prototype.toString.call(value).slice(8, -1)
  switch (brand) {
    case 'ArrayBuffer': return writeBytes(new Uint8Array(value as ArrayBuffer))
    case 'Date': return writeText(Date.prototype.toString.call(value))
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
  if (parts.length === 0) return out.slice(0, end)
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, end))
  const blobs: { blob: Blob, at: number }[] = []
  let from = 0
  let to = 0
  for (const { at, source, length } of parts) {
    result.set(out.subarray(from, at), to)
    to += at - from
    from = at
    if (source instanceof Uint8Array) {
      if (source.length !== length) throw new Error('a buffer in it changed its size while it was packed')
      result.set(source, to)
    }
    else {
      blobs.push({ blob: source, at: to })
    }
    to += length
  }
  result.set(out.subarray(from, end), to)
  return blobs.length > 0 ? fill(result, blobs) : result
}

async function fill(bytes: Uint8Array<ArrayBuffer>, blobs: { blob: Blob, at: number }[]): Promise<Uint8Array<ArrayBuffer>> {
  await Promise.all(blobs.map(async ({ blob, at }) => {
    let content: ArrayBuffer
    try {
      content = await blob.arrayBuffer()
    }
    catch (error) {
      // The file behind it was changed or removed since it was chosen.
      throw new PeerError('data-clone', `A file in this value could not be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    if (content.byteLength !== blob.size) throw new PeerError('data-clone', 'A file in this value changed while it was read.')
    bytes.set(new Uint8Array(content), at)
  }))
  return bytes
}

// ---- unpack

const violation = (what: string): PeerError =>
  new PeerError('protocol-violation', `A value that was received is not readable: ${what}.`)

// The state of the unpack() that is running; nothing in it calls out.
let source: Uint8Array = scratch
let sourceView: DataView = view
let at = 0
let level = 0

/**
 * The value of one BinaryPack message. It shares no memory with the bytes. Binary is an ArrayBuffer.
 *
 * The bytes come from another machine and may say anything: nothing is allocated because of a number that they claim, only
 * because of bytes that are there; nesting is limited; keys never reach a prototype. Text that is not UTF-8 shows U+FFFD.
 *
 * @throws {PeerError} 'protocol-violation' for bytes that are no value: cut short, followed by others, an empty frame, a tag that
 * PeerJS never sends, more than 512 levels.
 */
export function unpack(bytes: Uint8Array | ArrayBuffer): unknown {
  source = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)
  sourceView = new DataView(source.buffer, source.byteOffset, source.byteLength)
  at = 0
  level = 0
  try {
    const value = read(source.length)
    if (at !== source.length) throw violation('bytes follow its end')
    return value
  }
  finally {
    source = scratch
    sourceView = view
  }
}

/** `limit`: where the bytes end that this value may take; whatever comes after it needs one each at least. */
function read(limit: number): unknown {
  if (at >= limit) throw violation('it ends too early')
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
    case 0xca: return sourceView.getFloat32(skip(4, limit))
    case 0xcb: return readDouble(limit)
    case 0xcc: return source[skip(1, limit)]
    case 0xcd: return sourceView.getUint16(skip(2, limit))
    case 0xce: return sourceView.getUint32(skip(4, limit))
    case 0xcf: {
      const from = skip(8, limit)
      return sourceView.getUint32(from) * 2 ** 32 + sourceView.getUint32(from + 4)
    }
    case 0xd0: return sourceView.getInt8(skip(1, limit))
    case 0xd1: return sourceView.getInt16(skip(2, limit))
    case 0xd2: return sourceView.getInt32(skip(4, limit))
    case 0xd3: {
      const from = skip(8, limit)
      return sourceView.getInt32(from) * 2 ** 32 + sourceView.getUint32(from + 4)
    }
    case 0xd8: return readText(sourceView.getUint16(skip(2, limit)), limit)
    case 0xd9: return readText(sourceView.getUint32(skip(4, limit)), limit)
    case 0xda: return readBytes(sourceView.getUint16(skip(2, limit)), limit)
    case 0xdb: return readBytes(sourceView.getUint32(skip(4, limit)), limit)
    case 0xdc: return readList(sourceView.getUint16(skip(2, limit)), limit)
    case 0xdd: return readList(sourceView.getUint32(skip(4, limit)), limit)
    case 0xde: return readRecord(sourceView.getUint16(skip(2, limit)), limit)
    case 0xdf: return readRecord(sourceView.getUint32(skip(4, limit)), limit)
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

function readDouble(limit: number): number {
  const from = skip(8, limit)
  const value = sourceView.getFloat64(from)
  // PeerJS's NaN. It has no other use for these bytes: a 0 is an integer.
  return Object.is(value, 0) ? Number.NaN : value
}

function readBytes(length: number, limit: number): ArrayBuffer {
  const from = source.byteOffset + skip(length, limit)
  return source.buffer.slice(from, from + length) as ArrayBuffer
}

function readText(length: number, limit: number): string {
  const from = skip(length, limit)
  if (length < 24) {
    // Short and plain: quicker by hand than by TextDecoder.
    let text = ''
    let i = from
    for (; i < at; i++) {
      const byte = source[i]!
      if (byte > 0x7f) break
      text += String.fromCharCode(byte)
    }
    if (i === at) return text
  }
  return decoder.decode(source.subarray(from, at))
}

function readList(count: number, limit: number): unknown[] {
  if (count > limit - at) throw violation('it ends too early')
  if (++level > depthLimit) throw violation(`it is nested more than ${depthLimit} levels deep`)
  const list: unknown[] = []
  for (let rest = count - 1; rest >= 0; rest--) list.push(read(limit - rest))
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

function readKey(limit: number): string {
  const key = read(limit)
  // PeerJS sends strings; its decoder takes whatever has a string.
  if (typeof key === 'object' && key !== null) throw violation('a key in it is not a string')
  return String(key)
}
