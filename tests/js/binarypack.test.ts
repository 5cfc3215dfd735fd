// PeerJS reads what is packed here, what PeerJS packs is read here, and no bytes can do harm.
import { describe, expect, it } from 'vitest'
import { pack as theirPack, unpack as theirUnpack } from 'peerjs-js-binarypack'
import { PeerError } from '../../js/errors.js'
import { pack, unpack } from '../../js/peerjs/binarypack.js'
import vectors from '../vectors/binarypack.json' with { type: 'json' }

/** `peerjs`: what PeerJS sends where that is something else; null where it refuses. */
type Vector = (typeof vectors)[number] & { peerjs?: string | null }

const packed = (value: unknown): Uint8Array<ArrayBuffer> => {
  const result = pack(value)
  if (result instanceof Promise) throw new Error('this value should need no waiting')
  return result
}

const hex = (bytes: Uint8Array | ArrayBuffer): string => Buffer.from(bytes as Uint8Array).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const raw = (...bytes: number[]): unknown => unpack(new Uint8Array(bytes))
const there = (value: unknown): unknown => theirUnpack(packed(value).buffer)
const back = (value: unknown): unknown => unpack(theirPack(value as any) as ArrayBuffer)
const bytesOf = (value: unknown): number[] => {
  expect(value).toBeInstanceOf(ArrayBuffer)
  return [...new Uint8Array(value as ArrayBuffer)]
}

describe('golden bytes', () => {
  // As source text, since JSON has no NaN.
  for (const { value, bytes, peerjs } of vectors as Vector[]) {
    it(value, () => {
      const evaluated = (0, eval)(`(${value})`) as unknown // eslint-disable-line no-eval
      expect(hex(packed(evaluated))).toBe(bytes)
      expect(unpack(fromHex(bytes))).toStrictEqual(theirs(evaluated))
      // They are not only written down: PeerJS's own codec still makes them.
      if (peerjs === null) expect(() => theirPack(evaluated as any)).toThrow()
      else expect(hex(theirPack(evaluated as any) as ArrayBuffer)).toBe(peerjs ?? bytes)
    })
  }

  /** As it arrives in PeerJS, but for NaN, which does not. */
  const theirs = (value: unknown): unknown => (Number.isNaN(value) ? value : there(value))
})

describe('numbers', () => {
  const borders = [5, 7, 8, 15, 16, 31, 32, 52, 53, 62, 63, 64].flatMap(bits => [2 ** bits, -(2 ** bits)])
  const integers = [...borders, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER].flatMap(n => [n - 1, n, n + 1])

  it('arrives in PeerJS as it is, next to every border of an integer', () => {
    for (const n of integers) expect([n, there(n)]).toEqual([n, n])
  })

  it('is sent as PeerJS sends it where PeerJS sends it right', () => {
    const right = integers.filter(n => n >= -(2 ** 31) && n < 2 ** 64 && n !== 2 ** 63)
    for (const n of right) expect([n, hex(packed(n))]).toEqual([n, hex(theirPack(n) as ArrayBuffer)])
  })

  it('is read from PeerJS without rounding', () => {
    for (const n of integers.filter(n => Number.isSafeInteger(n))) expect([n, back(n)]).toEqual([n, n])
    expect(unpack(fromHex('d3ffffffff7fffffff'))).toBe(-(2 ** 31) - 1)
    // Beyond what a double holds: the nearest.
    expect(unpack(fromHex('d37fffffffffffffff'))).toBe(2 ** 63)
    expect(unpack(fromHex('cfffffffffffffffff'))).toBe(2 ** 64)
    expect(unpack(fromHex('d38000000000000001'))).toBe(-(2 ** 63))
  })

  it('arrives in PeerJS as it is, next to every power of two', () => {
    const view = new DataView(new ArrayBuffer(8))
    const near = (exponent: number): number[] => [-2n, -1n, 0n, 1n, 2n].flatMap((ulps) => {
      view.setFloat64(0, 2 ** exponent)
      view.setBigUint64(0, view.getBigUint64(0) + ulps)
      const n = view.getFloat64(0)
      return Math.abs(n) >= 2 ** -1022 && Number.isFinite(n) ? [n, -n] : []
    })
    for (let exponent = -1022; exponent <= 1023; exponent++) for (const n of near(exponent)) expect([n, there(n)]).toEqual([n, n])
  })

  it('is infinite in PeerJS too, which cannot send it', () => {
    expect([there(Infinity), there(-Infinity)]).toEqual([Infinity, -Infinity])
    expect(() => theirPack(Infinity)).toThrow()
  })

  it('keeps NaN between us and from PeerJS', () => {
    expect([unpack(packed(NaN)), back(NaN)]).toEqual([NaN, NaN])
    // No bytes are NaN in PeerJS: these are what it sends itself.
    expect(hex(packed(NaN))).toBe(hex(theirPack(NaN) as ArrayBuffer))
  })

  it('turns -0 and subnormal numbers into 0', () => {
    for (const n of [-0, 5e-324, -5e-324, 2 ** -1022 - 2 ** -1074]) expect([n, there(n)]).toEqual([n, 0])
    expect(there(2 ** -1022)).toBe(2 ** -1022)
  })

  it('reads IEEE 754 as it is', () => {
    const cases: [string, number][] = [
      ['cb7ff8000000000000', NaN], ['cb7ff0000000000000', Infinity], ['cbfff0000000000000', -Infinity],
      ['cb8000000000000000', -0], ['cb0000000000000001', 5e-324], ['cb000fffffffffffff', 2 ** -1022 - 2 ** -1074],
      ['ca00000000', 0], ['ca80000000', -0], ['ca3fc00000', 1.5], ['ca7f800000', Infinity], ['ca7fc00000', NaN], ['ca00000001', 2 ** -149],
    ]
    for (const [bytes, n] of cases) expect(unpack(fromHex(bytes))).toBe(n)
  })
})

describe('text', () => {
  const lengths = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 47, 48, 49, 64, 300,
    5461, 5462, 8191, 8192, 21_845, 21_846, 32_767, 32_768, 50_000, 65_535, 65_536, 100_000,
  ]

  it('is what PeerJS makes of it, at every length of its head', () => {
    for (const letter of ['x', 'é', '中', '😀']) {
      for (const length of lengths) {
        for (const text of [letter.repeat(length), `${letter.repeat(length)}x`, `x${letter.repeat(length)}`]) {
          const bytes = packed(text)
          expect(hex(bytes) === hex(theirPack(text) as ArrayBuffer)).toBe(true)
          expect(unpack(bytes) === text).toBe(true)
        }
      }
    }
  })

  it('keeps byte order marks, NUL and U+10FFFF, and shows half pairs as U+FFFD', () => {
    for (const text of ['\ufeff', '\ufeffmark', 'a\0b', '\u{10ffff}', '\ufffe\uffff', '\ud7ff\ue000', `\ufeff${'x'.repeat(100)}`]) {
      expect([unpack(packed(text)), there(text), back(text)]).toEqual([text, text, text])
    }
    expect(unpack(packed(['\ud800', 'a\udc00b', '\udc00\ud800', `${'\ud800'.repeat(9000)}x`]))).toEqual(['\ufffd', 'a\ufffdb', '\ufffd\ufffd', `${'\ufffd'.repeat(9000)}x`])
  })

  it('that is not UTF-8 is shown as TextDecoder shows it', () => {
    const lenient = new TextDecoder('utf-8', { ignoreBOM: true })
    const odd = ['80', 'bf', 'c0af', 'c1bf', 'c2', 'c241', 'e0a0', 'e08080', 'e09fbf', 'eda080', 'edbfbf', 'ee8080', 'f0808080', 'f08fbfbf', 'f0908080',
      'f09080', 'f48fbfbf', 'f4908080', 'f5808080', 'ff', 'fe80', '41c3', '41e282', '9f41']
    for (const bytes of odd) {
      for (const around of ['', 'x'.repeat(60)]) {
        const text = new Uint8Array([...Buffer.from(around), ...fromHex(bytes)])
        expect(raw(0xd8, 0, text.length, ...text)).toBe(lenient.decode(text))
      }
    }
  })
})

describe('structures', () => {
  it('of 65,535 and more elements arrive, which PeerJS cannot send', () => {
    const list = new Array(65_535).fill(0)
    const object = Object.fromEntries(list.map((_, i) => [i, i]))
    for (const value of [list, object, new Array(65_536).fill('x'), Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))]) {
      expect(unpack(packed(value))).toEqual(value)
      expect(there(value)).toEqual(value)
    }
    expect(() => theirPack(new Array(65_535).fill(0))).toThrow(RangeError)
  })

  it('keep their kind at every length of their head', () => {
    for (const length of [0, 1, 15, 16, 255, 256, 8192, 8193]) {
      const list = Array.from({ length }, (_, i) => ({ i }))
      const object = Object.fromEntries(Array.from({ length }, (_, i) => [`key ${i}`, [i]]))
      for (const value of [list, object]) {
        expect(unpack(packed(value))).toStrictEqual(value)
        if (length < 8000) expect(hex(packed(value))).toBe(hex(theirPack(value) as ArrayBuffer))
      }
    }
  })

  it('turn holes and undefined into null', () => {
    expect(unpack(packed([1, , undefined, { a: undefined }]))).toStrictEqual([1, null, null, { a: null }])
    expect(unpack(packed(new Array(3)))).toStrictEqual([null, null, null])
    expect(unpack(packed(undefined))).toBe(null)
  })

  it('may hold the same thing twice, which arrives twice', () => {
    const shared = { a: 1 }
    expect(unpack(packed([shared, { shared }, shared]))).toEqual([{ a: 1 }, { shared: { a: 1 } }, { a: 1 }])
  })

  it('may be instances of a class, of a function, or without a prototype: their own enumerable properties are sent', () => {
    class Point {
      x = 1
      #hidden = 2
      get hidden(): number { return this.#hidden }
      get [Symbol.toStringTag](): string { return 'Point' }
      toJSON(): string { return 'ignored' }
    }
    class Failure extends Error { code = 7 }
    function Old(this: { y: number }): void { this.y = 2 }
    const old = new (Old as any)()
    const bare = Object.assign(Object.create(null), { z: 3 })
    expect(unpack(packed([new Point(), new Failure('text'), old, bare]))).toStrictEqual([{ x: 1 }, { code: 7 }, { y: 2 }, { z: 3 }])
    expect(hex(packed([new Point(), new Failure('text')]))).toBe(hex(theirPack([new Point(), new Failure('text')] as any) as ArrayBuffer))
    class List extends Array {}
    expect(unpack(packed(List.from([1, 2])))).toStrictEqual([1, 2])
  })

  it('may have keys named like members of Object', () => {
    const value = JSON.parse('{"__proto__":{"polluted":1},"constructor":1,"hasOwnProperty":2,"toString":3,"length":4,"":5,"BYTES_PER_ELEMENT":6,"valueOf":{"__proto__":null}}')
    const result = unpack(packed(value)) as object
    expect(JSON.stringify(result)).toBe(JSON.stringify(value))
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('may have keys of any length, and keys that differ in one letter', () => {
    const keys = Array.from({ length: 3000 }, (_, i) => `${'k'.repeat(i % 40)}${i}é${i % 7}`)
    const value = Object.fromEntries(keys.map((key, i) => [key, i]))
    for (let times = 0; times < 2; times++) expect(JSON.stringify(unpack(packed(value)))).toBe(JSON.stringify(value))
  })

  it('may have keys that are other primitives: PeerJS takes those too', () => {
    expect(raw(0x83, 0x07, 0x01, 0xc3, 0x02, 0xc0, 0x03)).toEqual({ 7: 1, true: 2, null: 3 })
  })
})

describe('binary', () => {
  it('arrives as an ArrayBuffer of what a view shows', () => {
    const buffer: ArrayBuffer = Uint8Array.from({ length: 20 }, (_, i) => i).buffer
    const views: (ArrayBuffer | ArrayBufferView)[] = [
      new Uint8Array(buffer, 4), new Uint8Array(buffer, 4, 3), new DataView(buffer, 2, 5), new Uint16Array(buffer, 2, 4),
      Buffer.from(buffer, 1, 2), buffer,
    ]
    for (const view of views) {
      const shown = [...view instanceof ArrayBuffer ? new Uint8Array(view) : new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]
      expect(bytesOf(unpack(packed(view)))).toEqual(shown)
      expect(bytesOf(there(view))).toEqual(shown)
    }
    for (const type of [Int8Array, Uint8ClampedArray, Int16Array, Int32Array, Uint32Array, Float32Array, Float64Array]) {
      const view = type.from([-1, 2, 3])
      expect(hex(packed(view))).toBe(hex(theirPack(view) as ArrayBuffer))
    }
  })

  it('of every length is what PeerJS makes of it, alone, nested and between other things', () => {
    for (const length of [0, 1, 7, 14, 15, 16, 28, 4095, 4096, 4097, 16_300, 65_535, 65_536, 1_000_000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => i)
      for (const value of [bytes, bytes.buffer, ['before', { bytes, twice: [bytes.subarray(1), bytes] }, 'after']]) {
        expect(Buffer.compare(packed(value), Buffer.from(theirPack(value as any) as ArrayBuffer))).toBe(0)
      }
      expect(Buffer.compare(Buffer.from(unpack(packed(bytes)) as ArrayBuffer), bytes)).toBe(0)
    }
  })

  it('shares no memory, neither with the value nor with the message', () => {
    const value = new Uint8Array(5000).fill(1)
    const message = packed(value)
    value.fill(2)
    const received = unpack(message) as ArrayBuffer
    message.fill(3)
    expect(new Set(new Uint8Array(received))).toEqual(new Set([1]))
  })

  it('is read from the middle of a buffer', () => {
    const message = packed({ data: new Uint8Array([1, 2, 3]), n: 0.5, text: 'größer' })
    const within = new Uint8Array(message.length + 20).fill(0xff)
    within.set(message, 7)
    expect(unpack(within.subarray(7, 7 + message.length))).toEqual({ data: new Uint8Array([1, 2, 3]).buffer, n: 0.5, text: 'größer' })
    expect(unpack(message.buffer)).toEqual(unpack(message))
  })

  it('comes from Blobs and Files, for which it waits', async () => {
    const value = { name: 'x', blob: new Blob(['größer']), list: [new File([new Uint8Array(9000).fill(7)], 'f.bin'), new Blob([])], after: 1 }
    const result = pack(value)
    expect(result).toBeInstanceOf(Promise)
    const received = unpack(await result) as { blob: ArrayBuffer, list: ArrayBuffer[], after: number }
    expect(new TextDecoder().decode(received.blob)).toBe('größer')
    expect(new Uint8Array(received.list[0]!)).toEqual(new Uint8Array(9000).fill(7))
    expect([received.list[1]!.byteLength, received.after]).toEqual([0, 1])
    expect(unpack(await pack(new Blob(['abc'])))).toEqual(new Uint8Array([97, 98, 99]).buffer)
    expect(hex(await result)).toBe(hex(await theirPack(value) as ArrayBuffer))
  })

  it('of a Blob that cannot be read any more is an error', async () => {
    class Gone extends Blob {
      override arrayBuffer(): Promise<ArrayBuffer> { return Promise.reject(new DOMException('gone', 'NotReadableError')) }
    }
    class Shrunk extends Blob {
      override arrayBuffer(): Promise<ArrayBuffer> { return Promise.resolve(new ArrayBuffer(1)) }
    }
    for (const type of [Gone, Shrunk]) await expect(pack([new type(['abc'])])).rejects.toMatchObject({ name: 'PeerError', type: 'data-clone' })
  })
})

describe('dates', () => {
  it('arrive as the text that PeerJS makes of them', () => {
    for (const date of [new Date('2024-02-01T01:01:01.001Z'), new Date(-2e12), new Date(NaN)]) {
      expect(unpack(packed(date))).toBe(date.toString())
      expect(back(date)).toBe(date.toString())
    }
  })
})

describe('what is refused', () => {
  const refusal = (value: unknown): PeerError => {
    try {
      void pack(value)
    }
    catch (error) {
      expect(error).toBeInstanceOf(PeerError)
      expect(error).toMatchObject({ type: 'data-clone' })
      return error as PeerError
    }
    throw new Error('it was packed')
  }
  const detached = new ArrayBuffer(8)
  structuredClone(detached, { transfer: [detached] })
  const kinds: Record<string, unknown> = {
    'a function': () => 1,
    'a class': class {},
    'a symbol': Symbol('s'),
    'a BigInt': 5n,
    'a Map': new Map([[1, 2]]),
    'a Set': new Set([1]),
    'a Map of a class of its own': new (class extends Map {})(),
    'a RegExp': /x/,
    'an Error': new TypeError('x'),
    'a Promise': Promise.resolve(),
    'a boxed number': Object(1),
    'a boxed string': Object('x'),
    'a SharedArrayBuffer': new SharedArrayBuffer(8),
    'a WeakMap': new WeakMap(),
    'an ArrayBuffer that was transferred': detached,
    'a proxy that refuses': new Proxy({}, { ownKeys() { throw new Error('no') } }),
    'a getter that throws': { get x() { throw new Error('no') } },
  }
  for (const [name, value] of Object.entries(kinds)) {
    it(name, () => {
      for (const wrapped of [value, [value], { a: [{ b: value }] }]) refusal(wrapped)
      // And nothing is left of it.
      expect(hex(packed([1, 'x']))).toBe('9201b178')
    })
  }

  it('says where it was', () => {
    expect(refusal({ items: [0, { 'on click': () => 1 }] }).message).toContain('a function at .items[1]["on click"],')
    expect(refusal([[1n]]).message).toContain('a BigInt at [0][0],')
    expect(refusal(1n).message).toContain('a BigInt, which')
    const cycle: Record<string, unknown> = { shared: {} }
    cycle.a = { b: [cycle.shared, cycle] }
    expect(refusal(cycle).message).toContain('itself at .a.b[1],')
  })

  it('cycles, before their content is written over and over', () => {
    const big = 'x'.repeat(100_000)
    const object: Record<string, unknown> = { big }
    object.self = object
    const list: unknown[] = [big]
    list.push({ list })
    let reads = 0
    const counted = { get big() { return ++reads, big }, self: undefined as unknown }
    counted.self = [counted]
    for (const value of [object, list, counted]) expect(refusal(value).message).toContain('itself')
    expect(reads).toBeLessThan(4)
  })

  it('more than 256 levels', () => {
    const nested = (levels: number, wrap: (inner: unknown) => unknown): unknown => {
      let value: unknown = 1
      for (let i = 0; i < levels; i++) value = wrap(value)
      return value
    }
    for (const wrap of [(inner: unknown) => [inner], (inner: unknown) => ({ inner })]) {
      expect(there(nested(256, wrap))).toEqual(nested(256, wrap))
      expect(unpack(packed(nested(256, wrap)))).toEqual(nested(256, wrap))
      for (const levels of [257, 20_000]) expect(refusal([undefined, nested(levels, wrap)]).message).toContain('more than 256 levels, which')
    }
  })

  it('is not in the way of what is packed meanwhile', () => {
    const value = {
      before: 'x',
      get inner() { return packed({ deep: 'y'.repeat(100), data: new Uint8Array(5000) }).length },
      get refused() { return refusal(() => 1).type },
      data: new Uint8Array(5000).fill(5),
      after: 'y',
    }
    expect(unpack(packed(value))).toEqual({ before: 'x', inner: value.inner, refused: 'data-clone', data: value.data.buffer, after: 'y' })
  })
})

describe('hostile bytes', () => {
  const rejected = (...bytes: number[]): void => {
    expect(() => raw(...bytes)).toThrow(expect.objectContaining({ name: 'PeerError', type: 'protocol-violation' }))
  }

  it('allocate nothing for a count that lies', () => {
    for (const tag of [0xd9, 0xdb, 0xdd, 0xdf]) {
      rejected(tag, 0xff, 0xff, 0xff, 0xff)
      rejected(tag, 0x00, 0xff, 0xff, 0xff)
      rejected(tag, 0x00, 0x00, 0x00, 0x05, 1, 2, 3, 4)
    }
    for (const tag of [0xd8, 0xda, 0xdc, 0xde]) rejected(tag, 0xff, 0xff, 1, 2)
    for (const tag of [0x81, 0x91, 0xa1, 0xb1, 0x8f, 0x9f, 0xaf, 0xbf]) rejected(tag)
    // Two that fit one by one and not together: what an outer one still needs is not there for the inner.
    rejected(0xdc, 0, 6, 0xdc, 0, 3, 1, 1, 1)
  })

  it('that claim more at every level allocate as much as there is, once', () => {
    // 250 lists, each of which says that it fills the rest: 250 times 32 KiB, if they were believed.
    const claims = Array.from({ length: 250 }, (_, i) => [0xdd, 0, 0, (7990 - i) >> 8, (7990 - i) & 0xff]).flat()
    const before = process.memoryUsage().heapUsed
    rejected(...claims, ...new Array(8000 - claims.length).fill(0xc1))
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1e6)
  })

  it('that end early or go on are no value', () => {
    const message = [...packed({ list: [1, 0.5, 'text', -70_000, 2 ** 40], data: new Uint8Array(20), more: { x: null, big: -(2 ** 40) } })]
    for (let length = 0; length < message.length; length++) rejected(...message.slice(0, length))
    rejected(...message, 0)
    rejected()
  })

  it('nest no deeper than what is sent', () => {
    for (const tags of [[0x91], [0x81, 0xb0]]) {
      const nested = (levels: number): Uint8Array => new Uint8Array([...Array.from({ length: levels }, () => tags).flat(), 0])
      expect(() => unpack(nested(256))).not.toThrow()
      expect(() => unpack(nested(257))).toThrow(expect.objectContaining({ type: 'protocol-violation', message: expect.stringContaining('256 levels') }))
      expect(() => unpack(nested(20_000))).toThrow(PeerError)
    }
    // As keys they nest too.
    expect(() => unpack(new Uint8Array(20_000).fill(0x81))).toThrow(PeerError)
  })

  it('with tags that PeerJS never sends, or keys that are no text, are refused', () => {
    for (const tag of [0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7]) {
      rejected(tag)
      rejected(tag, 1, 1, 1)
    }
    for (const key of [[0x90], [0x80], [0xa0]]) rejected(0x81, ...key, 1)
    expect(raw(0xc1)).toBeUndefined()
  })

  it('never reach a prototype', () => {
    const key = [0xb9, ...new TextEncoder().encode('__proto__')]
    const value = raw(0x81, ...key, 0x81, 0xb1, 0x78, 1) as Record<string, unknown>
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(value.x).toBeUndefined()
  })
})
