/** Data connections that speak PeerJS's protocol, and named serializations: two peers with the real core. */
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { ConnectOptions, DataConnection, PeerError, PeerOptions } from '../../js/index.js'
import { pack, unpack } from '../../js/peerjs/binarypack.js'
import { LoopPeerConnection } from './loopback.js'
import { event, pair, usePeers, type Pair } from './two-peers.js'

usePeers()

/** Both ends of another connection between two peers. */
async function connect({ a, b }: Pair, options: ConnectOptions): Promise<[DataConnection, DataConnection]> {
  const incoming = event<[DataConnection]>(b, 'connection')
  const ab = a.connect('b', options)!
  const [ba] = await incoming
  await Promise.all([ab, ba].map(conn => conn.open || event(conn, 'open')))
  return [ab, ba]
}

const spoken = async (connectOptions: ConnectOptions = {}, options: PeerOptions = {}): Promise<[DataConnection, DataConnection]> => {
  const both = await pair(undefined, { protocol: 'peerjs', ...options })
  return connect(both, connectOptions)
}
const named = async (serialization: string): Promise<[DataConnection, DataConnection]> => connect(await pair(), { serialization })

/** The next values that come. */
const values = (conn: DataConnection, count: number): Promise<unknown[]> => new Promise((resolve) => {
  const got: unknown[] = []
  conn.on('data', (value: unknown) => {
    if (got.push(value) === count) resolve(got)
  })
})

const errorOf = (conn: DataConnection): Promise<PeerError> => event<[PeerError]>(conn, 'error').then(([error]) => error)
const bytes = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8))
/** What leaves a connection from now on. */
function wire(conn: DataConnection): (Uint8Array | string)[] {
  const frames: (Uint8Array | string)[] = []
  const channel = conn.dataChannel!
  const send = channel.send.bind(channel) as (frame: Uint8Array | string) => void
  channel.send = (frame: unknown) => {
    frames.push(typeof frame === 'string' ? frame : (frame as Uint8Array).slice())
    send(frame as Uint8Array)
  }
  return frames
}

describe('toward PeerJS', () => {
  it('speaks its protocol where that is asked for, and says so', async () => {
    const [ab, ba] = await spoken({ label: 'chat', metadata: { a: 1 }, serialization: 'json', reliable: true })
    for (const conn of [ab, ba]) {
      expect(conn).toMatchObject({ protocol: 'peerjs', label: 'chat', metadata: { a: 1 }, serialization: 'json', reliable: true, state: 'open' })
    }
  })

  it('carries values of every size as BinaryPack, in order, a Blob among them', async () => {
    const [ab, ba] = await spoken()
    expect(ab.serialization).toBe('binary')
    const got = values(ba, 6)
    const sent = ['a', bytes(50_000), new Blob([bytes(20_000)]), { deep: [1.5, null] }, 'x'.repeat(16_300), 7]
    for (const value of sent) void ab.send(value)
    expect(await got).toEqual(['a', bytes(50_000).buffer, bytes(20_000).buffer, { deep: [1.5, null] }, 'x'.repeat(16_300), 7])
  })

  it('puts pieces together in whatever order they come', async () => {
    const [ab, ba] = await spoken()
    const channel = LoopPeerConnection.all.flatMap(pc => pc.channels).find(channel => channel === ba.dataChannel as unknown)!
    const receive = channel.receive.bind(channel)
    const held: (ArrayBuffer | string)[] = []
    channel.receive = (data) => {
      if (held.push(data) < 4) return
      for (const one of held.splice(0).reverse()) receive(one)
    }
    const got = values(ba, 1)
    void ab.send(bytes(60_000))
    expect(await got).toEqual([bytes(60_000).buffer])
  })

  it('writes the envelopes of the vectors, which BinaryPack reads and writes alike', async () => {
    const { cut, pieces, close } = JSON.parse(readFileSync(new URL('../vectors/peerjs.json', import.meta.url), 'utf8')) as {
      cut: { name: string, length: number, before: number, frames: { head: string, from: number, to: number, tail: string }[] }[]
      pieces: { bytes: string, id: number, n: number, total: number, data: string }[]
      close: { binary: string }
    }
    const example = cut.find(({ name }) => name.includes('example of PeerJS'))!
    const [ab, ba] = await spoken()
    const frames = wire(ab)
    const got = values(ba, 1)
    void ab.send(bytes(40_000))
    await got
    const packed = pack(bytes(40_000)) as Uint8Array
    const expected = example.frames.map(({ head, from, to, tail }) =>
      new Uint8Array(Buffer.concat([Buffer.from(head, 'hex'), packed.subarray(from, to), Buffer.from(tail, 'hex')])))
    expect(frames).toEqual(expected)
    expected.forEach((frame, n) => {
      const { from, to } = example.frames[n]!
      const envelope = { __peerData: 1, n, data: packed.slice(from, to), total: 3 }
      expect(pack(envelope)).toEqual(frame)
      expect(unpack(frame)).toEqual({ ...envelope, data: envelope.data.buffer })
    })
    for (const { bytes, id, n, total, data } of pieces) {
      expect(unpack(Buffer.from(bytes, 'hex'))).toEqual({ __peerData: id, n, total, data: new Uint8Array(Buffer.from(data, 'hex')).buffer })
    }
    expect(pack({ __peerData: { type: 'close' } })).toEqual(new Uint8Array(Buffer.from(close.binary, 'hex')))
  })

  it('keeps for a paused connection what its limit allows, emits that, and closes with an error beyond', async () => {
    const [ab, ba] = await spoken({}, { limits: { maxUnfinishedBytes: 100_000 } })
    const log: unknown[] = []
    ba.on('data', (data: ArrayBuffer) => log.push(data.byteLength))
    ba.on('close', () => log.push('close'))
    ba.pause()
    const error = errorOf(ba)
    for (let i = 0; i < 100; i++) void ab.send(bytes(10_000))
    expect(await error).toMatchObject({ type: 'protocol-violation', message: expect.stringContaining('limits.maxUnfinishedBytes') as unknown })
    // What came between is lost, so nothing behind that is emitted.
    ba.resume()
    await event(ba, 'close')
    expect(log).toEqual([...Array.from({ length: 10 }, () => 10_000), 'close'])
  })

  it('takes any amount from a connection that is paused and resumed message by message', async () => {
    const [ab, ba] = await spoken({}, { limits: { maxUnfinishedBytes: 100_000 } })
    void (async () => {
      for (let i = 0; i < 100; i++) {
        await ab.send(bytes(10_000))
        await ab.delivered()
      }
      ab.close()
    })()
    let count = 0
    for await (const data of ba) {
      expect((data as ArrayBuffer).byteLength).toBe(10_000)
      count++
    }
    expect(count).toBe(100)
  })

  it('refuses JSON that PeerJS would not send, as an error of the connection, and sends nothing', async () => {
    const [ab, ba] = await spoken({ serialization: 'json' })
    const frames = wire(ab)
    const error = errorOf(ab)
    await expect(ab.send('x'.repeat(16_298))).rejects.toMatchObject({ type: 'message-too-big' })
    expect(await error).toMatchObject({ type: 'message-too-big', peer: 'b' })
    const got = values(ba, 1)
    void ab.send('x'.repeat(16_297))
    expect(await got).toEqual(['x'.repeat(16_297)])
    expect(frames).toHaveLength(1)
  })

  it('takes an application\'s own stringify and parse', async () => {
    const [ab, ba] = await spoken({ serialization: 'json' })
    ab.stringify = value => JSON.stringify({ wrapped: value })
    ba.parse = text => (JSON.parse(text) as { wrapped: unknown }).wrapped
    const got = values(ba, 1)
    void ab.send([1, 2])
    expect(await got).toEqual([[1, 2]])
  })

  it('sends raw text as text and raw bytes as bytes', async () => {
    const [ab, ba] = await spoken({ serialization: 'raw' })
    const frames = wire(ab)
    const got = values(ba, 4)
    for (const value of ['héllo', '', bytes(3), 5]) void ab.send(value)
    expect(await got).toEqual(['héllo', '', bytes(3).buffer, '5'])
    expect(frames.map(frame => typeof frame)).toEqual(['string', 'string', 'object', 'string'])
  })

  it('sends raw bytes of another realm as bytes, too', async () => {
    const [ab, ba] = await spoken({ serialization: 'raw' })
    const got = values(ba, 2)
    for (const source of ['new Uint8Array([1, 2]).buffer', 'new Uint8Array([1, 2])']) void ab.send(runInNewContext(source))
    expect(await got).toEqual([new Uint8Array([1, 2]).buffer, new Uint8Array([1, 2]).buffer])
  })

  it('carries MsgPack as a stream', async () => {
    const [ab, ba] = await spoken({ serialization: 'MsgPack' })
    const frames = wire(ab)
    const got = values(ba, 3)
    for (const value of [bytes(70_000), new Date(5), 'end']) void ab.send(value)
    expect(await got).toEqual([bytes(70_000), new Date(5), 'end'])
    expect(frames.map(frame => frame.length)).toEqual([32_768, 32_768, 70_005 - 65_536, expect.any(Number), 4])
  })

  it.each(['binary', 'json', 'MsgPack'])('does not send by %s what makes PeerJS throw, or vanishes there', async (serialization) => {
    const [ab] = await spoken({ serialization })
    const frames = wire(ab)
    const alsoNull = serialization === 'json' ? [NaN, -Infinity, new Date(NaN), { toJSON: () => null }] : []
    for (const value of [null, undefined, { __peerData: 1 }, ...alsoNull]) {
      await expect(ab.send(value)).rejects.toMatchObject({ type: 'data-clone' })
    }
    expect(frames).toEqual([])
  })

  it('knows no requests, channels and files', async () => {
    const [ab] = await spoken()
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'incompatible-peer' })
    expect(() => ab.channel('x')).toThrow(expect.objectContaining({ type: 'incompatible-peer' }) as Error)
    const transfer = ab.sendFile(new Blob(['x']))
    await expect(transfer.done).rejects.toMatchObject({ type: 'incompatible-peer' })
  })

  it('makes send() wait until there is room, counts what waits, and tells when all of it left', async () => {
    const [ab, ba] = await spoken()
    const got = values(ba, 40)
    let waited = false
    for (let i = 0; i < 40; i++) {
      const room = ab.send(bytes(100_000))
      waited ||= ab.bufferSize > 0 && await Promise.race([room.then(() => false), Promise.resolve(true)])
      await room
    }
    expect(waited).toBe(true)
    await ab.delivered()
    expect(ab.bufferSize).toBe(0)
    expect((await got).every(value => (value as ArrayBuffer).byteLength === 100_000)).toBe(true)
  })

  it.each(['binary', 'json', 'raw', 'MsgPack'])('close() sends what waits over %s, then both sides are closed', async (serialization) => {
    const [ab, ba] = await spoken({ serialization })
    const log: unknown[] = []
    ba.on('data', (value: unknown) => log.push(value))
    ba.on('close', () => log.push('close'))
    const closed = [event(ab, 'close'), event(ba, 'close')]
    void ab.send('one')
    void ab.send('two')
    ab.close({ flush: true })
    await Promise.all(closed)
    expect(log).toEqual(['one', 'two', 'close'])
    await expect(ab.send('late')).rejects.toMatchObject({ type: 'connection-closed' })
  })

  it('takes a goodbye that is written in another way', async () => {
    const [ab, ba] = await spoken({ serialization: 'json' })
    const closed = [event(ab, 'close'), event(ba, 'close')]
    ab.dataChannel!.send('{ "__peerData": { "type": "close" } }')
    await Promise.all(closed)
  })

  it('drops what cannot be read and tells it, and goes on', async () => {
    const [ab, ba] = await spoken()
    const error = errorOf(ba)
    ab.dataChannel!.send(new Uint8Array([0xdd, 0x00, 0xff, 0xff, 0xff]))
    expect(await error).toMatchObject({ type: 'protocol-violation' })
    const got = values(ba, 1)
    void ab.send('on')
    expect(await got).toEqual(['on'])
  })

  it('ends the connection of who lies in an envelope, and no other', async () => {
    const both = await pair(undefined, { protocol: 'peerjs' })
    const [ab, ba] = await connect(both, {})
    const failed = Promise.all([errorOf(ba), event(ba, 'close')])
    ab.dataChannel!.send(pack({ __peerData: 1, n: 3, data: bytes(1), total: 2 }) as Uint8Array<ArrayBuffer>)
    expect((await failed)[0]).toMatchObject({ type: 'protocol-violation' })
    const got = values(both.ba, 1)
    void both.ab.send('here')
    expect(await got).toEqual(['here'])
  })
})

describe('a serialization of one\'s own', () => {
  const reversed = {
    encode: (value: unknown) => [...JSON.stringify(value)].reverse().join(''),
    decode: (data: string | ArrayBuffer) => JSON.parse([...data as string].reverse().join('')) as unknown,
  }

  it.each(['peerjs', 'auto'] as const)('is found by its name on both sides (%s)', async (protocol) => {
    const [ab, ba] = await connect(await pair(undefined, { protocol, serializers: { reversed } }), { serialization: 'reversed' })
    const got = Promise.all([values(ba, 1), values(ab, 1)])
    void ab.send({ a: 1 })
    void ba.send([2])
    expect(await got).toEqual([[{ a: 1 }], [[2]]])
  })

  it('that the other side does not know is an error there, and the caller is not left waiting', async () => {
    const both = await pair(undefined, { protocol: 'peerjs' })
    both.a.options.serializers = { reversed }
    const incoming = event<[DataConnection]>(both.b, 'connection')
    const ab = both.a.connect('b', { serialization: 'reversed' })!
    const closed = event(ab, 'close')
    const [ba] = await incoming
    expect(await errorOf(ba)).toMatchObject({ type: 'incompatible-peer' })
    await closed
    expect(ba.open).toBe(false)
  })

  it('has to be known to who connects', async () => {
    const { a } = await pair()
    expect(() => a.connect('b', { serialization: 'reversed' })).toThrow(expect.objectContaining({ type: 'invalid-argument' }) as Error)
  })
})

describe('between two peerbridge peers', () => {
  it('a named serialization has its rules, in both directions', async () => {
    const when = new Date(5)
    const [ab, ba] = await named('json')
    expect([ab.protocol, ba.protocol]).toEqual(['native', 'native'])
    const got = Promise.all([values(ba, 2), values(ab, 1)])
    void ab.send({ when, gone: undefined, not: NaN })
    void ab.send('x'.repeat(100_000))
    void ba.send(when)
    expect(await got).toEqual([[{ when: when.toJSON(), not: null }, 'x'.repeat(100_000)], [when.toJSON()]])
  })

  it.each([
    ['binary', bytes(50_000), bytes(50_000).buffer], ['binary-utf8', new Int16Array([1]), new Int16Array([1]).buffer],
    ['raw', bytes(5), bytes(5).buffer], ['MsgPack', bytes(5), bytes(5)],
  ])('%s makes of bytes what it makes of them at PeerJS', async (serialization, value, expected) => {
    const [ab, ba] = await named(serialization)
    const got = values(ba, 1)
    void ab.send(value)
    expect(await got).toEqual([expected])
  })

  it('without a name values arrive as they were sent, and a named connection still has requests', async () => {
    const { ab, ba, ...both } = await pair()
    const got = values(ba, 1)
    void ab.send(new Map([[1, undefined]]))
    expect(await got).toEqual([new Map([[1, undefined]])])
    expect([ab.serialization, ba.serialization]).toEqual(['binary', 'binary'])
    const [mine, other] = await connect({ ab, ba, ...both }, { serialization: 'json' })
    other.onRequest((value: unknown) => value)
    expect(await mine.request(new Map([[1, 2]]))).toEqual(new Map([[1, 2]]))
  })
})
