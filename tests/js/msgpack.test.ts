// MessagePack as PeerJS streams it: frames end anywhere, values arrive whole, and no stream can fill the memory.
import { decode, decodeStream, encode as theirs } from '@msgpack/msgpack'
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../js/errors.js'
import { MessagePackStream, encode } from '../../js/peerjs/msgpack.js'

const values: unknown[] = [
  null, true, false, 0, -1, 127, 128, -32, -33, -128, -129, 255, 256, 65_535, 65_536, -32_769, 2 ** 31, 2 ** 32, -(2 ** 31) - 1, 2 ** 40,
  Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.5, NaN, Infinity, -0, 5e-324, '', 'hi', 'größer', '中文', '😀'.repeat(20), 'x'.repeat(31),
  'x'.repeat(32), 'x'.repeat(256), 'x'.repeat(70_000), [], [1, [2, []]], {}, { a: { b: [null, undefined] }, 1: 2 }, new Uint8Array([1, 2]),
  new Uint8Array(300), new Uint8Array(70_000), new Int32Array([-1, 2]), new Date('2024-02-01T01:01:01.001Z'), new Date('1901-01-01T00:00:00Z'), new Date(0),
  Array.from({ length: 70_000 }, (_, i) => i), Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key ${i}`, [i, { i }]])),
]

/** One byte sequence of several. */
const joined = (parts: Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0)
  return all
}

const cut = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))

const read = (frames: Uint8Array[], limit?: number): unknown[] => {
  const stream = new MessagePackStream(limit)
  return frames.flatMap(frame => stream.push(frame))
}

const violation = expect.objectContaining({ name: 'PeerError', type: 'protocol-violation' })

describe('what is sent', () => {
  it('is what PeerJS sends', () => {
    for (const value of values) expect(Buffer.compare(encode(value), theirs(value))).toBe(0)
    expect(Buffer.from(encode({ __peerData: { type: 'close' } })).toString('hex')).toBe('81aa5f5f7065657244617461' + '81a474797065a5636c6f7365')
  })

  it('keeps the bytes of ArrayBuffers, which PeerJS loses, wherever they are', () => {
    const data = new Uint8Array([1, 2, 3])
    const value = { n: NaN, list: [data.buffer, { deep: data.buffer }], same: data }
    expect(decode(encode(value))).toEqual({ n: NaN, list: [data, { deep: data }], same: data })
    expect(decode(encode(data.buffer))).toEqual(data)
    // What was given is left as it was.
    expect(value.list[0]).toBe(data.buffer)
  })

  it('is an error before anything leaves when it would not arrive', () => {
    const cycle: Record<string, unknown> = { big: 'x'.repeat(100_000) }
    cycle.list = [cycle]
    let deep: unknown = 1
    for (let i = 0; i < 20_000; i++) deep = [deep]
    const refused: unknown[] = [
      () => 1, Symbol('s'), 5n, new Map([[1, 2]]), new Set([1]), /x/, new Blob(['x']), Promise.resolve(), Object(1), cycle, deep,
      { get x() { throw new Error('no') } }, new Proxy({}, { ownKeys() { throw new Error('no') } }),
    ]
    for (const value of refused) {
      for (const wrapped of [value, [value], { a: [value] }]) {
        expect(() => encode(wrapped)).toThrow(expect.objectContaining({ name: 'PeerError', type: 'data-clone' }))
      }
    }
    expect(() => encode({ a: [5n] })).toThrow(/BigInt/)
    expect(() => encode(cycle)).toThrow(/itself/)
  })

  it('may nest 256 levels, as what is received', () => {
    const nested = (levels: number): unknown => {
      let value: unknown = 1
      for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { value }
      return value
    }
    expect(read([encode(nested(256))])).toEqual([nested(256)])
    expect(() => encode(nested(257))).toThrow(/256 levels/)
  })

  it('may ask for bytes of its own meanwhile', () => {
    const value = { get inner() { return encode({ a: 'x'.repeat(50) }).length }, after: 1 }
    expect(decode(encode(value))).toEqual({ inner: 55, after: 1 })
  })
})

describe('what is received', () => {
  const sent = values.map(value => theirs(value))
  const expected = sent.map(bytes => decode(bytes))

  it('arrives whole, however frames are cut', () => {
    const all = joined(sent)
    for (const size of [1000, 16_300, 32_768, all.length]) expect(read(cut(all, size))).toEqual(expected)
    const small = sent.filter(({ length }) => length < 1000)
    for (const size of [1, 2, 3, 5, 7, 64]) expect(read(cut(joined(small), size))).toEqual(small.map(bytes => decode(bytes)))
    expect(read(sent)).toEqual(expected)
    // Empty frames say nothing.
    expect(read(sent.flatMap(bytes => [new Uint8Array(0), bytes.subarray(0, 1), new Uint8Array(0), bytes.subarray(1)]))).toEqual(expected)
  })

  it('arrives with the frame in which it ends', () => {
    for (const [i, bytes] of sent.entries()) {
      const stream = new MessagePackStream()
      expect(stream.push(bytes.subarray(0, bytes.length - 1))).toEqual([])
      expect(stream.push(joined([bytes.subarray(bytes.length - 1), theirs('next')]))).toEqual([expected[i], 'next'])
    }
  })

  it('goes on after null, which ends the reader of PeerJS', async () => {
    expect(read([joined([theirs(null), theirs(1), theirs(undefined), theirs([null])])])).toEqual([null, 1, null, [null]])
    // The library itself is not at fault: PeerJS looks into the value.
    const stream = new ReadableStream<Uint8Array>({ start: controller => (controller.enqueue(theirs(null)), controller.close()) })
    for await (const value of decodeStream(stream)) expect(() => (value as any).__peerData).toThrow(TypeError)
  })

  it('agrees with the library about every first byte', () => {
    for (let tag = 0; tag < 0x100; tag++) {
      // Enough for any of them: a length or count of 1 in as many bytes as it takes, and ones for what it counts.
      const digits = tag >= 0xdc && tag < 0xe0 ? 2 << (tag & 1) : tag >= 0xd9 && tag < 0xdc ? 1 << tag - 0xd9
        : tag >= 0xc4 && tag < 0xc7 ? 1 << tag - 0xc4 : tag >= 0xc7 && tag < 0xca ? 1 << tag - 0xc7 : 1
      const bytes = new Uint8Array([tag, ...new Array(digits - 1).fill(0), ...new Array(60).fill(1)])
      let length = 1
      let known: unknown
      for (; length <= bytes.length; length++) {
        try {
          known = decode(bytes.subarray(0, length))
          break
        }
        catch {
          // not yet
        }
      }
      // c1 is never used.
      expect([tag, length <= bytes.length]).toEqual([tag, tag !== 0xc1])
      if (tag === 0xc1) continue
      expect([tag, read(cut(bytes.subarray(0, length), 1))]).toEqual([tag, [known]])
    }
  })

  it('shares no memory with the frame, nor one value with another', () => {
    const frame = joined([theirs(new Uint8Array([1, 2])), theirs(new Uint8Array([3, 4]))])
    const [first, second] = read([frame]) as [Uint8Array, Uint8Array]
    frame.fill(9)
    first.fill(7)
    expect([first, second]).toEqual([new Uint8Array([7, 7]), new Uint8Array([3, 4])])
    expect(first.buffer).not.toBe(second.buffer)
  })

  it('may be 16 MiB in frames of 256 bytes: what is held is not copied with each', () => {
    const data = Uint8Array.from({ length: 1 << 24 }, (_, i) => i * 31 >> 3)
    const stream = new MessagePackStream()
    let received: unknown[] = []
    for (const frame of cut(theirs({ data }), 256)) received = [...received, ...stream.push(frame)]
    expect(received).toHaveLength(1)
    expect(Buffer.compare((received[0] as { data: Uint8Array }).data, data)).toBe(0)
  })
})

describe('hostile streams', () => {
  it('are refused when they say how much they want, not when it came', () => {
    const claims = [
      [0xdb, 0xff, 0xff, 0xff, 0xff], [0xc6, 0xff, 0xff, 0xff, 0xff], [0xc9, 0xff, 0xff, 0xff, 0xff], [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff], [0xdd, 0x7f, 0xff, 0xff, 0xff, 1], [0xdd, 0, 0x80, 0, 0, 0xdd, 0x03, 0xff, 0xff, 0xff],
    ]
    for (const claim of claims) {
      expect(() => read([new Uint8Array(claim)])).toThrow(violation)
      expect(() => read(cut(new Uint8Array(claim), 1))).toThrow(violation)
    }
  })

  it('may reach the limit and not exceed it', () => {
    expect(read([theirs(new Uint8Array(998))], 1001)).toHaveLength(1)
    expect(() => read([theirs(new Uint8Array(999))], 1001)).toThrow(violation)
    const list = theirs(new Array(997).fill(1))
    expect(read(cut(list, 10), 1000)).toHaveLength(1)
    expect(() => read(cut(list, 10), 999)).toThrow(violation)
    // The limit is for each value: a stream may be as long as it likes.
    expect(read(Array.from({ length: 100 }, () => theirs(new Uint8Array(900))), 1000)).toHaveLength(100)
    // Many small ones in one count as well as one large one.
    const stream = new MessagePackStream(1000)
    expect(() => {
      stream.push(new Uint8Array([0xdc, 0x01, 0xf4])) // 500 values
      for (let i = 0; i < 500; i++) stream.push(theirs('abc'))
    }).toThrow(violation)
  })

  it('nest no deeper than what is sent', () => {
    for (const tags of [[0x91], [0x81, 0xa0]]) {
      const nested = (levels: number): Uint8Array => new Uint8Array([...Array.from({ length: levels }, () => tags).flat(), 0])
      expect(read([nested(256)])).toHaveLength(1)
      for (const levels of [257, 20_000]) expect(() => read([nested(levels)])).toThrow(/256 levels/)
    }
  })

  it('end with what cannot be read; what came before it arrives', () => {
    for (const bad of [[0xc1], [0x81, 0x90, 0x01], [0x81, 0xa9, ...Buffer.from('__proto__'), 0x01], [0xd4, 0xff, 0x00]]) {
      const stream = new MessagePackStream()
      expect(stream.push(joined([theirs(1), theirs('two'), new Uint8Array(bad), theirs(3)]))).toEqual([1, 'two'])
      expect(stream.failed).toEqual(violation)
      expect(() => stream.push(theirs(4))).toThrow(violation)
      expect(() => stream.push(theirs(5))).toThrow(PeerError)
      expect(() => read([new Uint8Array(bad)])).toThrow(violation)
    }
  })

  it('of any bytes answer with values or a PeerError', () => {
    let seed = 1
    const random = (): number => (seed = seed * 48_271 % 2_147_483_647) / 2_147_483_647
    for (let i = 0; i < 3000; i++) {
      const bytes = Uint8Array.from({ length: 1 + Math.floor(random() * 60) }, () => Math.floor(random() * 256))
      const whole = new MessagePackStream(10_000)
      const pieces = new MessagePackStream(10_000)
      const collect = (stream: MessagePackStream, frames: Uint8Array[]): unknown[] => {
        const all: unknown[] = []
        try {
          for (const frame of frames) all.push(...stream.push(frame))
        }
        catch (error) {
          expect(error).toEqual(violation)
        }
        return all
      }
      // The same, however it is cut.
      expect(collect(pieces, cut(bytes, 1 + i % 7))).toEqual(collect(whole, [bytes]))
      expect(pieces.failed?.message).toBe(whole.failed?.message)
    }
  })
})
