// What is sent arrives equal, what cannot be sent is refused before anything leaves, and no bytes can do harm.
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../js/errors.js'
import { decodeValue, encodeValue, type Encoded } from '../../js/values/index.js'
import vectors from '../vectors/values.json' with { type: 'json' }

async function roundTrip<T>(value: T): Promise<T> {
  const { format, bytes } = await encodeValue(value)
  return decodeValue(format, bytes.slice()) as T
}

const encoded = (value: unknown): Encoded => {
  const result = encodeValue(value)
  if (result instanceof Promise) throw new Error('this value should need no waiting')
  return result
}

const raw = (...bytes: number[]): unknown => decodeValue(0, new Uint8Array(bytes))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** toEqual() is lenient in places; this is not. */
function same(actual: unknown, expected: unknown): void {
  expect(actual).toStrictEqual(expected)
  expect(Object.prototype.toString.call(actual)).toBe(Object.prototype.toString.call(expected))
}

describe('what structuredClone carries', () => {
  const cases: Record<string, unknown> = {
    'undefined': undefined,
    'null': null,
    'booleans': [true, false],
    'undefined inside': { a: undefined, b: [undefined, null] },
    'NaN, infinities, -0': [NaN, Infinity, -Infinity, -0, 0],
    'integers at the borders': [
      0, 1, 127, 128, -1, -128, 2 ** 31, 2 ** 32, -(2 ** 32), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, 2 ** 53 + 2,
    ],
    'fractions': [0.1, -1.5, 1e308, 5e-324, Math.PI],
    'BigInt of any size': [0n, 5n, -5n, 255n, 256n, 2n ** 63n, 2n ** 64n, -(2n ** 63n) - 1n, 2n ** 4000n + 1n, -(2n ** 4000n)],
    'strings': ['', 'plain', 'é', '漢字', '😀', '\0', '\ufeffmark', 'x'.repeat(63), 'x'.repeat(64), 'é'.repeat(64), 'x'.repeat(70_000), '😀'.repeat(20_000)],
    'strings with half a surrogate pair': ['\ud800', 'a\udc00b', '\ud800'.repeat(9000), '😀\ud83d'],
    'Date': new Date(1_234_567_890_123),
    'Date before 1970, and invalid': [new Date(-1e14), new Date(Number.NaN)],
    'RegExp': [/a"\/b/giu, /(?:)/, /\n/my],
    'Map': new Map<unknown, unknown>([[{ a: 1 }, 1], [NaN, undefined], ['s', new Map()]]),
    'Set': new Set<unknown>([1, 'a', { b: 1 }, undefined, -1n]),
    'ArrayBuffer': { v: new Uint8Array([1, 2, 3]).buffer, empty: new ArrayBuffer(0) },
    'DataView': { v: new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2) },
    'boxed primitives': [Object(-0), Object('text'), Object(false), Object(5n)],
    'an array with holes': [1, , 3, , ],
    'an empty array of some length': new Array(5),
    'an array with keys of its own': Object.assign([1, 2], { index: 3, input: 'x' }),
    'a key named __proto__': JSON.parse('{"__proto__":{"polluted":1},"a":{"__proto__":null}}'),
    'keys named like members of Object': JSON.parse('{"constructor":1,"toString":2,"length":3,"hasOwnProperty":null,"":4}'),
    'keys that look like numbers': { 1: 'a', [-1]: 'b', 1.5: 'c', 4294967296: 'd' },
    'records of one shape': Array.from({ length: 300 }, (_, i) => ({ id: i, name: `n${i}`, at: { x: i / 2, y: -i } })),
    'records that share a beginning': [{ a: 1 }, { a: 1, b: 2 }, { a: 1, c: 3 }, { b: 1, a: 2 }, {}, { a: 9, b: 8 }],
    'dictionaries with many keys': Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key ${i}`, i])),
    'a long list': Array.from({ length: 20_000 }, (_, i) => i * 3),
  }
  const types = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array]
  for (const type of types) {
    cases[type.name] = { odd: 'x', v: new type([1, 2, 3]), none: new type(0) }
  }
  cases.BigInt64Array = { v: new BigInt64Array([-1n, 2n]) }
  cases.BigUint64Array = { v: new BigUint64Array([1n, 2n ** 64n - 1n]) }

  for (const [name, value] of Object.entries(cases)) {
    it(`carries ${name}`, async () => {
      same(await roundTrip(value), structuredClone(value))
      // Also where it is not at the top.
      same(await roundTrip([value, { value }]), structuredClone([value, { value }]))
    })
  }

  it('carries -0 as -0 and keeps holes as holes', async () => {
    expect(Object.is((await roundTrip([-0]))[0], -0)).toBe(true)
    const holes = await roundTrip([1, , 3])
    expect(1 in holes).toBe(false)
    expect((await roundTrip(Object.assign([], { 4_000_000_000: 'far' }))).length).toBe(4_000_000_001)
  })

  it('carries errors with name, message and cause, without the stack of the sender', async () => {
    const error = new TypeError('bad', { cause: { code: 7, inner: new RangeError('deep') } })
    const received = await roundTrip({ error })
    expect(received.error).toBeInstanceOf(TypeError)
    expect(received.error).toMatchObject({ name: 'TypeError', message: 'bad', cause: { code: 7, inner: { name: 'RangeError', message: 'deep' } } })
    expect(received.error.stack).toBe('TypeError: bad')
    expect(Object.keys(received.error)).toEqual([])

    class Custom extends Error { override name = 'Custom' }
    const custom = await roundTrip(new Custom('mine'))
    expect([custom.name, custom.message, custom.constructor]).toEqual(['Error', 'mine', Error])
    expect(Object.hasOwn(await roundTrip(new Error()), 'message')).toBe(Object.hasOwn(structuredClone(new Error()), 'message'))

    const self = new Error('self') as Error & { cause: unknown }
    self.cause = self
    const again = await roundTrip(self)
    expect(again.cause).toBe(again)
  })

  it('carries a DOMException', async () => {
    const received = await roundTrip(new DOMException('gone', 'AbortError'))
    expect(received).toBeInstanceOf(DOMException)
    expect(received).toMatchObject({ name: 'AbortError', message: 'gone', code: 20 })
  })

  it('carries cycles and shared references', async () => {
    const shared = { x: 1 }
    const value: Record<string, unknown> = { one: shared, two: shared, list: [shared], map: new Map(), set: new Set() }
    value.self = value
    ;(value.map as Map<unknown, unknown>).set(value.map, value)
    ;(value.set as Set<unknown>).add(value.set)
    const received = await roundTrip(value)
    expect(received.self).toBe(received)
    expect(received.one).toBe(received.two)
    expect((received.list as unknown[])[0]).toBe(received.one)
    expect((received.map as Map<unknown, unknown>).get(received.map)).toBe(received)
    expect((received.set as Set<unknown>).has(received.set)).toBe(true)
    const date = new Date(0)
    const [a, b] = await roundTrip([date, date])
    expect(a).toBe(b)
  })

  it('keeps views of one buffer on one buffer, and sends no byte that is not shown', async () => {
    const buffer = new Uint8Array(64).map((_, i) => i).buffer
    const alone = await roundTrip({ v: new Uint8Array(buffer, 8, 4) })
    expect(alone.v).toEqual(new Uint8Array([8, 9, 10, 11]))
    expect(alone.v.buffer.byteLength).toBe(4)

    const { low, high, whole, words } = await roundTrip({
      low: new Uint8Array(buffer, 0, 8), high: new Uint8Array(buffer, 8, 8), whole: buffer, words: new Uint16Array(buffer, 2, 3),
    })
    expect(low.buffer).toBe(whole)
    expect(high.buffer).toBe(whole)
    low[2] = 0xff
    expect(words[0]).toBe(0x03ff)
    expect(whole.byteLength).toBe(64)
  })

  it('carries Blob and File with bytes, name, type and time', async () => {
    const blob = new Blob(['hello ', new Uint8Array([0, 255])], { type: 'text/plain;charset=utf-8' })
    const file = new File(['file content'], 'naïve ☃.txt', { type: 'text/x-test', lastModified: 1_700_000_000_001 })
    const received = await roundTrip({ before: 1, blob, list: [file, file], empty: new Blob([]), after: 'end' })
    expect(received.blob).toBeInstanceOf(Blob)
    expect(received.blob).not.toBeInstanceOf(File)
    expect(received.blob.type).toBe(blob.type)
    expect(new Uint8Array(await received.blob.arrayBuffer())).toEqual(new Uint8Array(await blob.arrayBuffer()))
    expect(received.list[0]).toBeInstanceOf(File)
    expect(received.list[0]).toMatchObject({ name: file.name, type: file.type, lastModified: file.lastModified })
    expect(await received.list[0]!.text()).toBe('file content')
    expect(received.list[1]).toBe(received.list[0])
    expect(received.empty.size).toBe(0)
    expect(received.after).toBe('end')
    expect(encodeValue(blob)).toBeInstanceOf(Promise)
    expect(encodeValue({ blob: 1 })).not.toBeInstanceOf(Promise)
  })

  it('refuses a file that cannot be read any more', async () => {
    const blob = new Blob(['x'])
    Object.defineProperty(blob, 'arrayBuffer', { value: () => Promise.reject(new DOMException('The file changed.', 'NotReadableError')) })
    await expect(encodeValue({ blob })).rejects.toMatchObject({ name: 'PeerError', type: 'data-clone' })
  })

  it('carries objects of a class, and proxies, as what they hold', async () => {
    class Point {
      x = 1
      #hidden = 2
      get sum(): number { return this.x + this.#hidden }
    }
    same(await roundTrip({ p: new Point() }), { p: { x: 1 } })
    class Tagged {
      y = 2
      get [Symbol.toStringTag](): string { return 'Tagged' }
    }
    same(await roundTrip(new Tagged()), { y: 2 })
    same(await roundTrip(new Proxy({ a: [1] }, {})), { a: [1] })
    for (const name of ['Number', 'Boolean', 'Date', 'Map', 'Blob', 'Error', 'RegExp', 'ArrayBuffer', 'eval']) {
      same(await roundTrip([Object.defineProperty(new (class { z = 3 })(), Symbol.toStringTag, { value: name })]), [{ z: 3 }])
    }
    class Named extends Map<number, number> { override get [Symbol.toStringTag](): string { return 'Named' } }
    same(await roundTrip(new Named([[1, 2]])), new Map([[1, 2]]))
    same(await roundTrip(Object.defineProperty(new Date(5), Symbol.toStringTag, { value: 'Day' })), new Date(5))
    same(await roundTrip(Object.assign(Object.create(null), { a: 1 })), { a: 1 })
  })
})

describe('formats', () => {
  it('has short cuts for a string, an ArrayBuffer and a Uint8Array', () => {
    expect(encoded('grüße')).toEqual({ format: 1, bytes: new TextEncoder().encode('grüße') })
    expect(encoded(new Uint8Array([1, 2]).buffer)).toEqual({ format: 2, bytes: new Uint8Array([1, 2]) })
    expect(encoded(new Uint8Array([9, 1, 2, 9]).subarray(1, 3))).toEqual({ format: 3, bytes: new Uint8Array([1, 2]) })
    expect(encoded('\ud800').format).toBe(0)
    expect(encoded('').format).toBe(1)
  })

  it('gives back exactly the kind that was sent', async () => {
    expect(await roundTrip(new ArrayBuffer(3))).toBeInstanceOf(ArrayBuffer)
    expect(await roundTrip(new ArrayBuffer(0))).toBeInstanceOf(ArrayBuffer)
    expect((await roundTrip(Buffer.from('abc'))).constructor).toBe(Uint8Array)
    expect((await roundTrip(new Uint8Array(0))).constructor).toBe(Uint8Array)
    expect(await roundTrip('\ufeff')).toBe('\ufeff')
  })

  it('does not change with the value after the call', () => {
    const array = new Uint8Array([1, 2, 3])
    const large = new Uint8Array(5000)
    const first = encoded(large)
    const second = encoded(array.buffer)
    const third = encoded({ array })
    const before = hex(third.bytes)
    array.fill(9)
    large.fill(9)
    expect(first.bytes).toEqual(new Uint8Array(5000))
    expect([...second.bytes]).toEqual([1, 2, 3])
    expect(hex(third.bytes)).toBe(before)
    encoded({ other: 'x'.repeat(1000) })
    expect(hex(third.bytes)).toBe(before)
  })

  it('lends the memory of a small Uint8Array, for whoever copies it at once', () => {
    const array = new Uint8Array([1, 2, 3])
    expect(encoded(array).bytes).toBe(array)
  })

  it('shares no memory with the bytes it was decoded from, unless they are the whole buffer', () => {
    const { bytes } = encoded({ a: new Uint8Array([1, 2, 3]), b: new Uint8Array([4]).buffer })
    const value = decodeValue(0, bytes) as { a: Uint8Array, b: ArrayBuffer }
    const part = new Uint8Array([0, 7, 8, 0]).subarray(1, 3)
    const view = decodeValue(3, part) as Uint8Array
    const buffer = decodeValue(2, part) as ArrayBuffer
    bytes.fill(0)
    part.fill(0)
    expect(value).toEqual({ a: new Uint8Array([1, 2, 3]), b: new Uint8Array([4]).buffer })
    expect(view).toEqual(new Uint8Array([7, 8]))
    expect(buffer.byteLength).toBe(2)
    const whole = new Uint8Array([1, 2])
    expect(decodeValue(3, whole)).toBe(whole)
  })

  it('survives a getter that encodes too', async () => {
    const value = {
      get inner() { return encoded({ deep: 'x'.repeat(100) }).bytes.length },
      after: 'y',
    }
    expect(await roundTrip(value)).toEqual({ inner: value.inner, after: 'y' })
  })

  describe('golden bytes', () => {
    // As source text, since JSON has no NaN and no Map.
    for (const { value, format, bytes } of vectors) {
      it(value, () => {
        const evaluated = (0, eval)(`(${value})`) as unknown // eslint-disable-line no-eval
        const result = encoded(evaluated)
        expect([result.format, hex(result.bytes)]).toEqual([format, bytes])
        same(decodeValue(format, new Uint8Array(Buffer.from(bytes, 'hex'))), structuredClone(evaluated))
      })
    }
  })
})

describe('what is refused', () => {
  const detached = new ArrayBuffer(8)
  structuredClone(detached, { transfer: [detached] })
  const deep: { next?: unknown } = {}
  let end = deep
  for (let i = 0; i < 300; i++) end = end.next = {}

  const cases: Record<string, unknown> = {
    'a function': () => 1,
    'a method inside': { list: [{ go() {} }] },
    'a class': class {},
    'a symbol': Symbol('s'),
    'a boxed symbol': Object(Symbol('s')),
    'a WeakMap': new WeakMap(),
    'a WeakRef': new WeakRef({}),
    'a Promise': Promise.resolve(1),
    'a generator': (function* () {})(),
    'a shared buffer': new SharedArrayBuffer(4),
    'a view of a shared buffer': new Uint8Array(new SharedArrayBuffer(4)),
    'a detached buffer': detached,
    'an object of the platform': new MessageChannel().port1,
    'a getter that throws': { get bad(): never { throw new Error('no') } },
    'more than 256 levels': deep,
  }
  for (const [name, value] of Object.entries(cases)) {
    it(`refuses ${name}`, () => {
      for (const wrapped of [value, [value], new Map([['k', value]])]) {
        let error: unknown
        try {
          void encodeValue(wrapped)
        }
        catch (thrown) {
          error = thrown
        }
        expect(error).toBeInstanceOf(PeerError)
        expect((error as PeerError).type).toBe('data-clone')
      }
    })
  }

  it('works on after a refusal', async () => {
    expect(() => encodeValue({ a: 'x'.repeat(100), f() {} })).toThrow(PeerError)
    expect(await roundTrip({ a: [1] })).toEqual({ a: [1] })
  })
})

describe('hostile bytes', () => {
  const rejected = (...bytes: number[]): void => {
    expect(() => raw(...bytes)).toThrow(expect.objectContaining({ name: 'PeerError', type: 'protocol-violation' }))
  }
  const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]

  it('allocates nothing for a length that lies', () => {
    for (const tag of [0xc7, 0xc8, 0xc9, 0xca, 0xcc, 0xce, 0xcf, 0xd3, 0xd4, 0xd7]) rejected(tag, ...huge)
    for (const kind of [0, 1, 9, 12]) rejected(0xd8, kind, ...huge)
    rejected(0xdb, 0x80, ...huge)
    rejected(0xd9, 2, ...huge, ...huge, 0xd7, 1, 0)
  })

  it('reserves no memory for the length of an empty array', () => {
    const before = process.memoryUsage()
    const lists = Array.from({ length: 8 }, () => raw(0xd0, 0x80, 0x80, 0x80, 0x10, 0) as unknown[])
    const after = process.memoryUsage()
    expect(lists[0]!.length).toBe(2 ** 25)
    // 2^25 elements would be 256 MB each.
    expect(after.rss - before.rss).toBeLessThan(100e6)
    rejected(0xd0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0)
  })

  it('limits nesting', () => {
    const nested = (depth: number): Uint8Array<ArrayBuffer> =>
      Uint8Array.from({ length: depth * 2 + 1 }, (_, i) => i === depth * 2 ? 0 : i % 2 ? 1 : 0xcf)
    expect(decodeValue(0, nested(256))).toBeInstanceOf(Array)
    expect(() => decodeValue(0, nested(257))).toThrow(/levels deep/)
    expect(() => decodeValue(0, nested(1_000_000))).toThrow(PeerError)
    for (const tag of [0xcf, 0xd3, 0xd4]) expect(() => decodeValue(0, new Uint8Array(1e6).fill(tag))).toThrow(PeerError)
    expect(() => decodeValue(0, new Uint8Array(1e6).fill(0xda))).toThrow(PeerError)
  })

  it('never reaches a prototype', () => {
    const key = [0x89, ...new TextEncoder().encode('__proto__')]
    const shaped = raw(0xcc, 1, ...key, 0xcc, 1, 0x81, 0x78, 1) as Record<string, unknown>
    const listed = raw(0xce, 1, ...key, 0xcc, 1, 0x81, 0x78, 1) as Record<string, unknown>
    const array = raw(0xd0, 0, 1, ...key, 0xc1) as unknown[]
    for (const value of [shaped, listed]) {
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
      expect(Object.keys(value)).toEqual(['__proto__'])
      expect(value.x).toBeUndefined()
    }
    expect(Array.isArray(array) && Object.getPrototypeOf(array)).toBe(Array.prototype)
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })

  it('refuses what is malformed', () => {
    rejected()
    rejected(0, 0)
    rejected(0xdd)
    rejected(0xff)
    rejected(0xcb, 0)
    rejected(0xcd, 0)
    rejected(0xc4, 0x80, 0x00)
    rejected(0xc4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
    rejected(0x81, 0xff)
    rejected(0xc9, 2, 0xc3, 0x28)
    rejected(0xcc, 1, 0, 0)
    rejected(0xd2, 0x81, 0x28, 0x80)
    rejected(0xd2, 0x81, 0x61, 0x81, 0x7a)
    rejected(0xd5, 7 << 2)
    rejected(0xd8, 4, 3, 1, 2, 3)
    rejected(0xd8, 99, 0)
    rejected(0xd9, 2, 0, 1, 0xcb, 0)
    rejected(0xd9, 2, 0, 9, 0xd7, 1, 0)
    rejected(0xd9, 4, 1, 2, 0xd7, 4, 0, 0, 0, 0)
    rejected(0xda, 0xc1)
    rejected(0xda, 0xcc, 0)
    rejected(0xd0, 2, 1, 0x81, 0x35, 1)
    expect(() => decodeValue(1, new Uint8Array([0xff]))).toThrow(PeerError)
    expect(() => decodeValue(7, new Uint8Array())).toThrow(PeerError)
  })

  it('answers every broken variation of real bytes with a value or a PeerError', async () => {
    const random = generator(20_26)
    const samples = await Promise.all([
      { a: [1, 'two', { three: 3n }], b: new Map([[{ k: 1 }, new Set([1, undefined])]]) },
      [new Date(0), /x/g, new Error('e', { cause: [1] }), new Float64Array([1, 2]), Object('s'), [1, , 3]],
      { blob: new Blob(['b'], { type: 'a/b' }), file: new File(['f'], 'n') },
      (() => { const buffer = new ArrayBuffer(16); return [buffer, new Uint16Array(buffer, 2, 3), new DataView(buffer)] })(),
      Array.from({ length: 20 }, (_, i) => ({ id: i, name: `n${i}`, list: [i, -i, i / 3] })),
    ].map(async value => (await encodeValue(value)).bytes))
    for (let round = 0; round < 8000; round++) {
      const bytes = samples[random(samples.length)]!.slice()
      for (let i = 0, changes = 1 + random(4); i < changes; i++) bytes[random(bytes.length)] = random(256)
      const cut = random(4) === 0 ? bytes.slice(0, random(bytes.length)) : bytes
      try {
        decodeValue(0, cut)
      }
      catch (error) {
        if (!(error instanceof PeerError) || error.type !== 'protocol-violation') throw error
      }
    }
  })

  it('answers noise with a value or a PeerError', () => {
    const random = generator(7)
    for (let round = 0; round < 8000; round++) {
      const bytes = Uint8Array.from({ length: random(40) }, () => random(3) ? 0xc0 + random(0x20) : random(256))
      try {
        decodeValue(0, bytes)
      }
      catch (error) {
        if (!(error instanceof PeerError) || error.type !== 'protocol-violation') throw error
      }
    }
  })
})

describe('any value', () => {
  it('arrives as structuredClone would have copied it', async () => {
    const random = generator(42)
    for (let round = 0; round < 600; round++) {
      const value = anything(random, 4)
      same(await roundTrip(value), structuredClone(value))
    }
  })
})

/** A small deterministic generator of numbers below `limit` (mulberry32): a failure can be replayed. */
function generator(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * limit)
  }
}

function anything(random: (limit: number) => number, depth: number): unknown {
  const text = (): string => Array.from({ length: random(20) }, () => ['a', 'é', '漢', '😀', '\ud800', '\n'][random(6)]).join('')
  const list = (): unknown[] => Array.from({ length: random(6) }, () => anything(random, depth - 1))
  switch (random(depth > 0 ? 18 : 12)) {
    case 0: return undefined
    case 1: return null
    case 2: return random(2) === 0
    case 3: return random(1000) - 500
    case 4: return (random(2 ** 30) - 2 ** 29) * 2 ** random(40)
    case 5: return random(2 ** 30) / (random(1000) + 1)
    case 6: return [NaN, Infinity, -Infinity, -0][random(4)]
    case 7: return BigInt(random(2 ** 30)) ** BigInt(random(8)) * (random(2) ? 1n : -1n)
    case 8: return text()
    case 9: return new Date(random(2 ** 30) * 1000)
    case 10: return Uint16Array.from({ length: random(9) }, () => random(65536))
    case 11: return Uint8Array.from({ length: random(300) }, () => random(256)).buffer
    case 12:
    case 13: return list()
    case 14: return new Set(list())
    case 15: return new Map(list().map(item => [item, anything(random, depth - 1)]))
    default: return Object.fromEntries(list().map(item => [random(3) ? 'abcdef'[random(6)]! : text(), item]))
  }
}
