import { PeerError } from '../errors.js'
import * as Tag from './tags.js'

// A byte order mark is part of the string; bytes that are no UTF-8 are a violation, not a question mark.
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const violation = (what: string, cause?: unknown): PeerError =>
  new PeerError('protocol-violation', `A value that was received is not readable: ${what}.`, { cause })

/**
 * Reads one value of format 0. The bytes come from another machine and may say anything: nothing is allocated because of
 * a number that they claim, only because of bytes that are there; nesting is limited; keys never reach a prototype.
 */
export class Decoder {
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView
  #at = 0
  #depth = 0
  /** In the order in which their tags came. Undefined while a view waits for its buffer. */
  readonly #objects: (object | undefined)[] = []
  readonly #shapes: string[][] = []

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  decode(): unknown {
    try {
      const value = this.#read()
      if (this.#at !== this.#bytes.length) throw violation('bytes follow its end')
      return value
    }
    catch (error) {
      // A RegExp that this browser cannot compile, a view that does not fit: the constructors know their rules best.
      throw error instanceof PeerError ? error : violation(error instanceof Error ? error.message : String(error), error)
    }
  }

  #need(length: number): void {
    if (length > this.#bytes.length - this.#at) throw violation('it ends too early')
  }

  #byte(): number {
    this.#need(1)
    return this.#bytes[this.#at++]!
  }

  #varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if ((byte === 0 && i > 0) || value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 0x80
    }
    throw violation('a number in it is malformed')
  }

  /** How many follow; each takes `least` bytes or more, so a lie shows before anything is allocated. */
  #count(least: number): number {
    const count = this.#varint()
    this.#need(count * least)
    return count
  }

  /** A copy: the value must not change with the buffer that it came in. */
  #copy(length: number): Uint8Array<ArrayBuffer> {
    this.#need(length)
    return this.#bytes.slice(this.#at, this.#at += length)
  }

  #float(): number {
    this.#need(8)
    const value = this.#view.getFloat64(this.#at, true)
    this.#at += 8
    return value
  }

  #read(): unknown {
    const tag = this.#byte()
    if (tag < Tag.Text) return tag
    if (tag < Tag.Undefined) return this.#utf8(tag & Tag.textLimit)
    switch (tag) {
      case Tag.Undefined: return undefined
      case Tag.Null: return null
      case Tag.False: return false
      case Tag.True: return true
      case Tag.Positive: return this.#varint()
      case Tag.Negative: return -1 - this.#varint()
      case Tag.Float: return this.#float()
      case Tag.BigPositive: return this.#bigint()
      case Tag.BigNegative: return -this.#bigint()
      case Tag.Utf8:
      case Tag.Utf16: return this.#string(tag)
      case Tag.Again: {
        const object = this.#objects[this.#varint()]
        if (object === undefined) throw violation('it refers to something that is not there')
        return object
      }
      default: {
        if (++this.#depth > Tag.depthLimit) throw violation(`it is nested more than ${Tag.depthLimit} levels deep`)
        const object = this.#object(tag)
        this.#depth--
        return object
      }
    }
  }

  #utf8(length: number): string {
    this.#need(length)
    const end = this.#at + length
    if (length < 24) {
      // Short and plain: quicker by hand than by TextDecoder.
      let result = ''
      let at = this.#at
      for (; at < end; at++) {
        const code = this.#bytes[at]!
        if (code > 0x7f) break
        result += String.fromCharCode(code)
      }
      if (at === end) {
        this.#at = end
        return result
      }
    }
    return text.decode(this.#bytes.subarray(this.#at, this.#at = end))
  }

  #string(tag = this.#byte()): string {
    if (tag >= Tag.Text && tag < Tag.Undefined) return this.#utf8(tag & Tag.textLimit)
    if (tag === Tag.Utf8) return this.#utf8(this.#varint())
    if (tag !== Tag.Utf16) throw violation('there is something else where a string should be')
    const length = this.#count(2)
    let result = ''
    // In pieces: fromCharCode takes its characters as arguments, and those live on the stack.
    for (let rest = length; rest > 0;) {
      const codes: number[] = []
      for (; rest > 0 && codes.length < 4096; rest--, this.#at += 2) codes.push(this.#view.getUint16(this.#at, true))
      result += String.fromCharCode(...codes)
    }
    return result
  }

  #bigint(): bigint {
    const bytes = this.#copy(this.#varint())
    let hex = ''
    for (let i = bytes.length - 1; i >= 0; i--) hex += bytes[i]!.toString(16).padStart(2, '0')
    return BigInt(`0x${hex || '0'}`)
  }

  #keep<T extends object>(object: T): T {
    this.#objects.push(object)
    return object
  }

  #object(tag: number): object {
    switch (tag) {
      case Tag.ObjectNew: {
        const count = this.#count(1)
        if (count > Tag.shapeLimit) throw violation('an object in it has too many keys for a shape')
        const shape: string[] = []
        for (let i = 0; i < count; i++) shape.push(this.#string())
        this.#shapes.push(shape)
        return this.#record(shape)
      }
      case Tag.ObjectLike: {
        const shape = this.#shapes[this.#varint()]
        if (!shape) throw violation('it refers to a shape that is not there')
        return this.#record(shape)
      }
      case Tag.ObjectKeys: return this.#entries(this.#keep({}), this.#count(2))
      case Tag.List: {
        const count = this.#count(1)
        const list: unknown[] = this.#keep([])
        for (let i = 0; i < count; i++) list.push(this.#read())
        return list
      }
      case Tag.Sparse: {
        const length = this.#varint()
        if (length > 0xffff_ffff) throw violation('an array in it is too long')
        const list: unknown[] = this.#keep([])
        // Engines reserve memory for a length that is set, unless the array is known to be full of holes.
        list[0xffff_fffe] = 0
        list.length = 0
        list.length = length
        this.#entries(list as unknown as Record<string, unknown>, this.#count(2))
        if (list.length !== length) throw violation('an array in it is longer than it says')
        return list
      }
      case Tag.DateTime: return this.#keep(new Date(this.#float()))
      case Tag.Pattern: return this.#keep(new RegExp(this.#string(), this.#string()))
      case Tag.MapOf: {
        const count = this.#count(2)
        const map = this.#keep(new Map<unknown, unknown>())
        for (let i = 0; i < count; i++) map.set(this.#read(), this.#read())
        return map
      }
      case Tag.SetOf: {
        const count = this.#count(1)
        const set = this.#keep(new Set<unknown>())
        for (let i = 0; i < count; i++) set.add(this.#read())
        return set
      }
      case Tag.Failure: return this.#error()
      case Tag.Exception: {
        const name = this.#string()
        return this.#keep(new DOMException(this.#string(), name))
      }
      case Tag.Buffer: return this.#keep(this.#copy(this.#varint()).buffer)
      case Tag.View: {
        const kind = this.#varint()
        return this.#keep(viewOf(kind, this.#copy(this.#varint()).buffer))
      }
      case Tag.ViewOf: {
        const slot = this.#objects.push(undefined) - 1
        const kind = this.#varint()
        const offset = this.#varint()
        const length = this.#varint()
        const buffer = this.#read()
        if (!(buffer instanceof ArrayBuffer)) throw violation('a view in it has no buffer')
        return this.#objects[slot] = viewOf(kind, buffer, offset, length)
      }
      case Tag.Boxed: {
        const value = this.#read()
        if (value === null || !/^(number|string|boolean|bigint)$/.test(typeof value)) throw violation('it boxes what has no box')
        return this.#keep(Object(value) as object)
      }
      case Tag.BlobOf: {
        const type = this.#string()
        return this.#keep(new Blob([this.#copy(this.#varint())], { type }))
      }
      case Tag.FileOf: {
        const name = this.#string()
        const lastModified = this.#float()
        const type = this.#string()
        return this.#keep(new File([this.#copy(this.#varint())], name, { type, lastModified }))
      }
      default: throw violation(`it holds an unknown kind of value (${tag})`)
    }
  }

  #record(shape: string[]): object {
    const object = this.#keep<Record<string, unknown>>({})
    for (const key of shape) {
      const value = this.#read()
      // The one key that an assignment does not set.
      if (key === '__proto__') define(object, key, value)
      else object[key] = value
    }
    return object
  }

  #entries(object: Record<string, unknown>, count: number): object {
    for (let i = 0; i < count; i++) {
      const key = this.#string()
      const value = this.#read()
      if (key === '__proto__') define(object, key, value)
      else object[key] = value
    }
    return object
  }

  #error(): Error {
    const head = this.#varint()
    const name = Tag.errorNames[head >> 2]
    if (!name) throw violation('it holds an unknown kind of error')
    const error = this.#keep(new errorTypes[name]())
    if (head & 2) define(error, 'message', this.#string(), false)
    // Where it was thrown is not known here; where it was decoded would only mislead.
    define(error, 'stack', String(error), false)
    if (head & 1) define(error, 'cause', this.#read(), false)
    return error
  }
}

const errorTypes = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }

function define(object: object, key: string, value: unknown, enumerable = true): void {
  Object.defineProperty(object, key, { value, enumerable, configurable: true, writable: true })
}

type ViewConstructor = new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView

function viewOf(kind: number, buffer: ArrayBuffer, offset = 0, length = buffer.byteLength): ArrayBufferView {
  const name = Tag.viewNames[kind]
  const size = Tag.elementSizes[kind]
  // By name, so that an engine without Float16Array can read everything else.
  const View = name && (globalThis as unknown as Record<string, ViewConstructor | undefined>)[name]
  if (!View || !size) throw violation(`it holds an array of a kind that is not known here (${name ?? kind})`)
  if (length % size !== 0) throw violation('an array in it has half an element')
  return new View(buffer, offset, length / size)
}
