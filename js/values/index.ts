// Values to bytes and back: what structuredClone carries arrives equal at the other end.
//
// Loaded lazily, with the core. Who calls: the driver, for connections of the native protocol without a named
// serialization. Bytes: docs/protocol.md, "Values". Vue's reactive() objects are carried as what they hold.

import { PeerError } from '../errors.js'
import { Decoder } from './decoder.js'
import { Encoder } from './encoder.js'

/** Bytes of a value, and which format they are in. The memory may be the value's own: see encodeValue(). */
export interface Encoded { format: number, bytes: Uint8Array<ArrayBuffer> }

/** The formats of docs/protocol.md that belong to values. */
export const ValueFormat = { structured: 0, text: 1, buffer: 2, bytes: 3 } as const

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A value that is bytes, and no more than so many, is not copied here: who sends it copies it at once, or has to. */
const small = 4096

/**
 * The bytes of a value; a promise only when Blobs or Files are inside, which are read now. Later changes of the value
 * do not change the bytes, but for a Uint8Array of up to 4 KiB, whose memory they are: allocating a copy would take longer
 * than all the rest of sending it.
 *
 * @param owned nobody else has the memory of the value: an ArrayBuffer or Uint8Array need not be copied
 * @throws {PeerError} 'data-clone' for what cannot be sent: functions, symbols, DOM nodes, promises, more than 256 levels.
 */
export function encodeValue(value: unknown, owned = false): Encoded | Promise<Encoded> {
  if (typeof value === 'string') {
    const bytes = ascii(value) ?? utf8.encode(value)
    // Half a surrogate pair has no UTF-8: such a string goes the long way.
    if (bytes.length === value.length || !/\p{Surrogate}/u.test(value)) return { format: ValueFormat.text, bytes }
  }
  else if (value instanceof ArrayBuffer && value.byteLength > 0) {
    return { format: ValueFormat.buffer, bytes: new Uint8Array(owned ? value : value.slice(0)) }
  }
  else if (value instanceof Uint8Array && value.byteLength > 0 && value.buffer instanceof ArrayBuffer) {
    // A copy: applications read the next piece into the same array as soon as send() returns.
    const borrowed = (owned || value.byteLength <= small) && value.constructor === Uint8Array
    return { format: ValueFormat.bytes, bytes: borrowed ? value as Uint8Array<ArrayBuffer> : new Uint8Array(value) }
  }
  const bytes = new Encoder().encode(value)
  return bytes instanceof Promise
    ? bytes.then(bytes => ({ format: ValueFormat.structured, bytes }))
    : { format: ValueFormat.structured, bytes }
}

/**
 * The value of these bytes. It never shares memory with them, with one exception: when `bytes` are the whole of their
 * buffer, an ArrayBuffer or Uint8Array takes that buffer over instead of copying it.
 *
 * @throws {PeerError} 'protocol-violation' for bytes that are no value.
 */
export function decodeValue(format: number, bytes: Uint8Array<ArrayBuffer>): unknown {
  switch (format) {
    case ValueFormat.structured: return new Decoder(bytes).decode()
    case ValueFormat.text:
      try {
        return fromAscii(bytes) ?? fromUtf8.decode(bytes)
      }
      catch (error) {
        throw new PeerError('protocol-violation', 'A string that was received is not UTF-8.', { cause: error })
      }
    case ValueFormat.buffer: return own(bytes).buffer
    case ValueFormat.bytes: return own(bytes)
    default: throw new PeerError('protocol-violation', `A value came in format ${format}, which this version does not know.`)
  }
}

/** So short a string is written sooner here than by a call into the browser. */
const short = 24

function ascii(text: string): Uint8Array<ArrayBuffer> | null {
  const { length } = text
  if (length > short) return null
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return null
    bytes[i] = unit
  }
  return bytes
}

function fromAscii(bytes: Uint8Array): string | null {
  const { length } = bytes
  if (length > short) return null
  let text = ''
  for (let i = 0; i < length; i++) {
    const byte = bytes[i]!
    if (byte > 0x7f) return null
    text += String.fromCharCode(byte)
  }
  return text
}

function own(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength === bytes.buffer.byteLength) return bytes
  // slice() takes twice as long.
  const copy = new Uint8Array(bytes.byteLength)
  copy.set(bytes)
  return copy
}
