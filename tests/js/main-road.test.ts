// The whole shim and the real core in one process.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type DataConnection, type MediaConnection, Peer, type PeerOptions, type Transfer } from '../../js/index.js'
import type { Emitter } from '../../js/events.js'
import { Digest, pieceSize } from '../../js/files/digest.js'
import { Hub, LoopPeerConnection } from './loopback.js'

let hub: Hub
let peers: Peer[]

beforeEach(() => {
  hub = new Hub()
  peers = []
  LoopPeerConnection.all = []
  vi.stubGlobal('RTCPeerConnection', LoopPeerConnection)
})

afterEach(() => {
  for (const peer of peers) peer.destroy()
  vi.unstubAllGlobals()
})

function make(id?: string, options: PeerOptions = {}): Peer {
  const peer = new Peer(id, { signaling: hub.transport(), autoReconnect: { delay: 20 }, ...options })
  peers.push(peer)
  return peer
}

/** The first argument of the next event of this name. */
const event = <T = void>(target: Peer | DataConnection | MediaConnection | Transfer, name: string): Promise<T> =>
  new Promise(resolve => (target as unknown as Emitter<Record<string, (value: T) => void>>).once(name, resolve))

async function pair(options?: PeerOptions): Promise<{ a: Peer, b: Peer, ab: DataConnection, ba: DataConnection }> {
  const a = make('a', options)
  const b = make('b', options)
  await b.ready
  const arrived = event<DataConnection>(b, 'connection')
  const ab = a.connect('b', { metadata: { hello: 1 } })!
  const ba = await arrived
  await Promise.all([ab.open || event(ab, 'open'), ba.open || event(ba, 'open')])
  return { a, b, ab, ba }
}

/** The next `count` messages. */
function collect(conn: DataConnection, count: number): Promise<unknown[]> {
  const values: unknown[] = []
  return new Promise((resolve) => {
    conn.on('data', (value) => {
      values.push(value)
      if (values.length === count) resolve(values)
    })
  })
}

describe('the main road', () => {
  it('asks the server for an id when none was given', async () => {
    await expect(make().ready).resolves.toBe('peer1')
  })

  it('sends what a value is at that moment, whatever is done to it afterwards, and wherever it has to wait', async () => {
    const { ab, ba } = await pair()
    const got = collect(ba, 4)
    const small = new Uint8Array([1, 2, 3])
    const large = new Uint8Array(100_000).fill(1)
    void ab.send(small)
    void ab.send(large)
    // A Blob is read first, and what comes behind it waits.
    void ab.send(new Blob(['x']))
    void ab.send(small)
    small.fill(9)
    large.fill(9)
    const [first, second, , last] = await got as Uint8Array[]
    expect([first, second, last]).toEqual([new Uint8Array([1, 2, 3]), new Uint8Array(100_000).fill(1), new Uint8Array([1, 2, 3])])
  })

  it('gives buffers away where it is told so, and what was not delivered still has them', async () => {
    const { ab, ba } = await pair()
    const arrived = collect(ba, 3)
    const buffer = new Uint8Array(300_000).fill(7).buffer
    const view = new Uint8Array(new Uint8Array(300_000).fill(8).buffer, 1000, 5000)
    const inside = { at: new Float32Array(60_000).fill(9) }
    void ab.send(buffer, { transfer: [buffer] })
    void ab.send(view, { transfer: [view.buffer] })
    void ab.send(inside, { transfer: [inside.at.buffer] })
    expect([buffer.byteLength, view.byteLength, inside.at.byteLength]).toEqual([0, 0, 0])
    expect(await arrived).toEqual([
      new Uint8Array(300_000).fill(7).buffer, new Uint8Array(5000).fill(8), { at: new Float32Array(60_000).fill(9) },
    ])
    await ab.delivered()

    ba.pause()
    const lost = new Uint8Array(2_000_000).fill(3).buffer
    const undelivered = event<unknown>(ab, 'undelivered')
    void ab.send(lost, { transfer: [lost] })
    ba.provider.destroy()
    expect(await undelivered).toEqual(new Uint8Array(2_000_000).fill(3).buffer)
  })

  it('gives nothing away that cannot be, and sends nothing then', async () => {
    const { ab } = await pair()
    const buffer = new ArrayBuffer(8)
    ab.on('error', () => {})
    await expect(ab.send(buffer, { transfer: [buffer, {} as ArrayBuffer] })).rejects.toMatchObject({ type: 'data-clone' })
    expect(buffer.byteLength).toBe(8)
  })

  it('connects before the peer is open, and tells the other side what was given', async () => {
    const { ab, ba } = await pair()
    expect(ba).toMatchObject({ peer: 'a', connectionId: ab.connectionId, label: ab.label, metadata: { hello: 1 }, protocol: 'native' })
  })

  it('carries values both ways, small and large, in order', async () => {
    const { ab, ba } = await pair()
    const large = new Uint8Array(3_000_000).map((_, i) => i * 7)
    const values = ['hello', { n: 1n, d: new Date(5), u: undefined }, large, new Map([[1, new Set(['x'])]]), '', large.subarray(5, 9)]
    const atB = collect(ba, values.length)
    const atA = collect(ab, 1)
    for (const value of values) void ab.send(value)
    await ba.send('back')
    const got = await atB
    // toEqual takes half a minute for so many elements.
    expect(Buffer.compare(got[2] as Uint8Array, large)).toBe(0)
    expect(got.toSpliced(2, 1)).toEqual(values.toSpliced(2, 1))
    expect(await atA).toEqual(['back'])
  })

  it('carries a hundred thousand small messages, in order, and knows that they arrived', async () => {
    const { ab, ba } = await pair()
    let next = 0
    let inOrder = true
    ba.on('data', (value) => { inOrder &&= value === next++ })
    for (let i = 0; i < 100_000; i++) await ab.send(i)
    await ab.delivered()
    expect(next).toBe(100_000)
    expect(inOrder).toBe(true)
  })

  it('knows at once that nothing is on its way', async () => {
    const { ab } = await pair()
    await ab.delivered()
    void ab.send(1)
    await ab.delivered()
    await ab.delivered()
  })

  it('reads a file in the pieces that are hashed', async () => {
    const { ab, ba } = await pair()
    ba.on('transfer', transfer => void transfer.accept())
    const blob = new Blob([new Uint8Array(3 * pieceSize)])
    const slice = vi.spyOn(blob, 'slice')
    await ab.sendFile(blob).done
    expect(slice.mock.calls.slice(0, 3)).toEqual([[0, pieceSize], [pieceSize, 2 * pieceSize], [2 * pieceSize, 3 * pieceSize]])
  })

  it('sends a file under its name, with progress, both into memory and into a sink', async () => {
    const { ab, ba } = await pair()
    const bytes = new Uint8Array(5_000_000).map((_, i) => (i * 31) >> 3)
    const offered = event<Transfer>(ba, 'transfer')
    const progress: number[] = []
    const sent = ab.sendFile(new File([bytes], 'picture.png', { type: 'image/png' }), { onProgress: value => progress.push(value) })
    const received = await offered
    expect(received).toMatchObject({ name: 'picture.png', type: 'image/png', size: 5_000_000, state: 'offered' })
    const file = await received.accept() as File
    await sent.done
    expect(file.name).toBe('picture.png')
    expect(Buffer.compare(Buffer.from(await file.arrayBuffer()), Buffer.from(bytes))).toBe(0)
    expect(progress.at(-1)).toBe(1)
    expect(sent.state).toBe('done')

    const again = event<Transfer>(ba, 'transfer')
    let length = 0
    const stream = ab.sendFile(new Blob([bytes]).stream(), { name: 'streamed' })
    await (await again).accept(new WritableStream({ write: (chunk) => { length += chunk.length } }))
    await stream.done
    expect(length).toBe(5_000_000)
  })

  it('gives a sink pieces that are its own, even when several files share frames', async () => {
    const { ab, ba } = await pair()
    const files = [3, 700_001, 1_200_000].map((length, n) => new Uint8Array(length).map((_, i) => i * (n + 3) >> 3))
    const got = files.map(() => [] as Uint8Array[])
    ba.on('transfer', (transfer) => {
      void transfer.accept(new WritableStream<Uint8Array<ArrayBuffer>>({
        write(piece) {
          // Little is kept that is not the file's.
          expect(piece.length * 2).toBeGreaterThanOrEqual(piece.buffer.byteLength)
          got[Number(transfer.name)]!.push(structuredClone(piece, { transfer: [piece.buffer] }))
          expect(piece).toHaveLength(0)
        },
      }))
    })
    const sizes = [1, 30_000, 65_536, 7, 200_000]
    const chunks = (bytes: Uint8Array<ArrayBuffer>) => new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!) {
          controller.enqueue(bytes.slice(at, at + sizes[i % sizes.length]!))
        }
        controller.close()
      },
    })
    await Promise.all(files.map((bytes, n) => ab.sendFile(chunks(bytes), { name: String(n) }).done))
    for (const [n, bytes] of files.entries()) expect(Buffer.concat(got[n]!).equals(bytes)).toBe(true)
  })

  it('sends an empty file', async () => {
    const { ab, ba } = await pair()
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(new File([], 'empty'))
    const file = await (await offered).accept() as File
    await sent.done
    expect(file.size).toBe(0)
  })

  it('lets the receiver decline, and rejects for one who does not listen', async () => {
    const { ab, ba } = await pair()
    await expect(ab.sendFile(new Blob(['x'])).done).rejects.toMatchObject({ type: 'rejected' })
    ba.on('transfer', transfer => transfer.reject('not now'))
    await expect(ab.sendFile(new Blob(['x'])).done).rejects.toMatchObject({ message: expect.stringContaining('not now') as string })
  })

  it('tells who listens right after connect() that it was refused at once', async () => {
    const a = make('a')
    await a.ready
    const log: string[] = []
    const listen = (name: string, conn: DataConnection): void => {
      conn.on('error', error => log.push(`${name} ${error.type}`))
      conn.on('close', () => log.push(`${name} close`))
    }
    listen('id', a.connect('')!)
    listen('metadata', a.connect('b', { metadata: 'm'.repeat(200_000) })!)
    const closed = a.connect('<b>')!
    listen('closed', closed)
    closed.close()
    expect(log).toEqual([])
    await Promise.resolve()
    expect(log).toEqual(['id invalid-id', 'id close', 'metadata signal-too-large', 'metadata close', 'closed invalid-id', 'closed close'])
  })

  it('refuses what is no file, and a size that is none, before anything leaves', async () => {
    const { ab, ba } = await pair()
    const offered: Transfer[] = []
    ba.on('transfer', transfer => offered.push(transfer))
    const stream = (): ReadableStream<Uint8Array> => new ReadableStream()
    const locked = stream()
    locked.getReader()
    for (const source of ['text', new Uint8Array(3), null, locked] as unknown as Blob[]) {
      const transfer = ab.sendFile(source)
      expect(transfer.state).toBe('failed')
      await expect(transfer.done).rejects.toMatchObject({ type: 'invalid-argument' })
    }
    for (const size of [-1, NaN, 1.5, Infinity, 2 ** 53, '5' as unknown as number]) {
      await expect(ab.sendFile(stream(), { size }).done).rejects.toMatchObject({ type: 'invalid-argument', message: expect.stringContaining('size') as string })
    }
    await ab.send('and messages go on')
    await ab.delivered()
    expect(offered).toEqual([])
  })

  it('stays paused until both sides that paused it go on', async () => {
    const { ab, ba } = await pair()
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(new Blob([new Uint8Array(20_000_000)]))
    const received = await offered
    void received.accept()
    await event(sent, 'progress')
    sent.pause()
    await vi.waitFor(() => expect(received.state).toBe('paused'))
    received.pause()
    sent.resume()
    await ab.request(0).catch(() => {})
    await ba.request(0).catch(() => {})
    expect([sent.state, received.state]).toEqual(['paused', 'paused'])
    received.resume()
    await sent.done
  })

  it('keeps nothing of a file that was cancelled', async () => {
    const { ab, ba } = await pair()
    ba.on('transfer', transfer => void transfer.accept(new WritableStream({ write: () => new Promise(() => {}) })))
    const sent = ab.sendFile(new Blob([new Uint8Array(20_000_000)]))
    await vi.waitFor(() => expect(ab.bufferSize).toBeGreaterThan(0))
    sent.cancel()
    await expect(sent.done).rejects.toMatchObject({ type: 'cancelled' })
    expect(ab.bufferSize).toBe(0)
  })

  it('refuses a priority that there is not, and sends nothing; what is no object means nothing', async () => {
    const { ab, ba } = await pair()
    const got: unknown[] = []
    ba.on('data', data => got.push(data))
    const errors: string[] = []
    ab.on('error', error => errors.push(error.type))
    await expect(ab.send(1, { priority: 'urgent' as 'high' })).rejects.toMatchObject({ type: 'invalid-argument' })
    await expect(ab.send(2, { priority: 'file' as 'high' })).rejects.toMatchObject({ type: 'invalid-argument' })
    await ab.send(3, null as unknown as boolean)
    await ab.delivered()
    expect(got).toEqual([3])
    expect(errors).toEqual(['invalid-argument', 'invalid-argument'])
  })

  it('says that a message is too long, and goes on', async () => {
    const { ab, ba } = await pair({ limits: { maxMessageBytes: 100_000 } })
    await expect(ab.send(new Uint8Array(100_001))).rejects.toMatchObject({ type: 'message-too-big', message: expect.stringContaining('sendFile') as string })
    const got = new Promise(resolve => ba.on('data', resolve))
    await ab.send('next')
    expect(await got).toBe('next')
  })

  it('cancels a file on its way', async () => {
    const { ab, ba } = await pair()
    const offered = event<Transfer>(ba, 'transfer')
    const abort = new AbortController()
    const sent = ab.sendFile(new Blob([new Uint8Array(50_000_000)]), { signal: abort.signal })
    const received = await offered
    received.once('progress', () => abort.abort())
    await expect(received.accept()).rejects.toMatchObject({ type: 'cancelled' })
    await expect(sent.done).rejects.toMatchObject({ type: 'aborted' })
  })

  it('checks a file at the end, and both sides say so', async () => {
    const { ab, ba } = await pair()
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(new File(['hello'], 'a.txt', { lastModified: 5 }))
    const received = await offered
    await received.accept()
    await sent.done
    expect(received.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(received.digest).toBe(sent.digest)
    expect([sent.key, received.key]).toEqual(['5-5-a.txt', '5-5-a.txt'])
  })

  it('fails a file on both sides when other bytes came than were sent', async () => {
    const { ab, ba } = await pair()
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(new Blob(['hello']))
    const received = await offered
    const end = vi.spyOn(Digest.prototype, 'end').mockResolvedValueOnce('0'.repeat(64))
    await expect(received.accept()).rejects.toMatchObject({ type: 'corrupted', message: expect.stringContaining('Send it again') as string })
    await expect(sent.done).rejects.toMatchObject({ type: 'corrupted' })
    expect([sent.state, received.state]).toEqual(['failed', 'failed'])
    end.mockRestore()
  })

  it('ends a file with the connection, and says that it was that', async () => {
    const { ab, ba } = await pair()
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(new Blob([new Uint8Array(50_000_000)]))
    const received = await offered
    received.once('progress', () => ba.close())
    await expect(received.accept()).rejects.toMatchObject({ type: 'connection-closed' })
    await expect(sent.done).rejects.toMatchObject({ type: 'connection-closed' })
  })

  it('goes on with a file over another connection when the first was lost for good', async () => {
    const options = { timers: { recoveryBudget: 200 } }
    const { a, b, ab, ba } = await pair(options)
    const bytes = new Uint8Array(5_000_000).map((_, i) => (i * 13) >> 3)
    const file = new File([bytes], 'film', { lastModified: 1 })
    const chunks: Uint8Array<ArrayBuffer>[] = []
    const length = (): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(file)
    const received = await offered
    // Nothing that would bring it back.
    const cut = (): void => {
      hub.kill()
      for (const pc of LoopPeerConnection.all) pc.close()
    }
    const lost = received.accept(new WritableStream({
      write(chunk) {
        chunks.push(chunk)
        if (length() > 1_000_000) cut()
      },
    }))
    await expect(lost).rejects.toMatchObject({ type: 'connection-lost' })
    await expect(sent.done).rejects.toMatchObject({ type: 'connection-lost' })

    const from = length()
    expect(from).toBeLessThan(bytes.length)
    hub.up = true
    await Promise.all([a, b].map(peer => peer.open || event(peer, 'open')))
    // The goodbyes to a peer that was not back yet expire, and an EXPIRE does not say what it is about.
    await hub.quiet()
    const arrived = event<DataConnection>(b, 'connection')
    const again = a.connect('b')!
    await event(again, 'open')
    const second = event<Transfer>(await arrived, 'transfer')
    const resent = again.sendFile(file)
    const resumed = await second
    expect(resumed.key).toBe(received.key)
    const done = resumed.accept(new WritableStream({ write: chunk => void chunks.push(chunk) }), { have: new Blob(chunks) })
    await Promise.all([done, resent.done])
    expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0)
    expect(resumed.digest).toBe(resent.digest)
  })

  // Forty thousand pieces are hashed on each side.
  it('carries the end of a file of ten gigabytes, of which the rest is there', { timeout: 60_000 }, async () => {
    const { ab, ba } = await pair()
    const size = 10_000_000_000
    const from = size - 3_000_000
    const read: number[] = []
    /** Nothing of it is anywhere: what both sides have is empty when it is read, the end is numbers. */
    class Vast extends Blob {
      constructor(readonly length: number) { super() }
      override get size(): number { return this.length }
      override slice(start = 0, end = this.length): Blob {
        const to = Math.min(end, this.length)
        if (to - start > 2_000_000) return new Vast(to - start)
        if (to <= from) return new Blob()
        read.push(start)
        return new Blob([new Uint8Array(to - start).map((_, i) => (start + i) % 251)])
      }
    }
    const offered = event<Transfer>(ba, 'transfer')
    const sent = ab.sendFile(new Vast(size))
    const received = await offered
    expect(received.size).toBe(size)
    const chunks: Uint8Array[] = []
    await received.accept(new WritableStream({ write: chunk => void chunks.push(chunk) }), { have: new Vast(from) })
    await sent.done
    const got = Buffer.concat(chunks)
    expect(got.length).toBe(3_000_000)
    expect(got.every((byte, i) => byte === (from + i) % 251)).toBe(true)
    expect(Math.min(...read)).toBe(from)
    expect([sent.bytes, received.bytes]).toEqual([size, size])
    expect(received.digest).toBe(sent.digest)
  })

  it('closes on both sides after everything was delivered', async () => {
    const { a, ab, ba } = await pair()
    const last = collect(ba, 2)
    const closed = Promise.all([event(ab, 'close'), event(ba, 'close')])
    void ab.send('last words')
    void ab.send(new Uint8Array(1_000_000))
    ab.close()
    expect(ab.open).toBe(false)
    await closed
    expect((await last)[0]).toBe('last words')
    expect(Object.values(a.connections).flat()).toEqual([])
  })

  it('tells when a peer is not there, on the connection and on the peer', async () => {
    const a = make('a')
    const onPeer = event<{ type: string }>(a, 'error')
    const conn = a.connect('nobody')!
    await expect(event(conn, 'error')).resolves.toMatchObject({ type: 'peer-unavailable' })
    await expect(onPeer).resolves.toMatchObject({ type: 'peer-unavailable' })
    expect(conn.state).toBe('closed')
  })

  it('ends a fresh peer whose id is invalid, as PeerJS does', async () => {
    const peer = make('-not-valid')
    const log: string[] = []
    for (const name of ['error', 'disconnected', 'close'] as const) peer.on(name, () => void log.push(name))
    await event(peer, 'close')
    expect(log).toEqual(['error', 'disconnected', 'close'])
  })

  it('calls, answers, shows both streams, and hangs up', async () => {
    const a = make('a')
    const b = make('b')
    await b.ready
    const stream = (id: string): MediaStream => {
      const track = { kind: 'audio', enabled: true, id: `t${id}` } as MediaStreamTrack
      return { id, getTracks: () => [track] } as unknown as MediaStream
    }
    b.on('call', call => call.answer(stream('of b')))
    const incoming = event<MediaConnection>(b, 'call')
    const call = a.call('b', stream('of a'))!
    const [there, here] = await Promise.all([incoming.then(mc => event<MediaStream>(mc, 'stream')), event<MediaStream>(call, 'stream')])
    expect([there.id, here.id]).toEqual(['of a', 'of b'])
    expect(call.open).toBe(true)
    const closed = event(await incoming, 'close')
    call.close()
    await closed
  })

  it('keeps talking when the server dies, says so, and finds it again', async () => {
    const { a, ab, ba } = await pair()
    const lost = event(a, 'disconnected')
    hub.kill()
    await lost
    expect(a.state).toBe('reconnecting')
    const got = collect(ba, 1)
    await ab.send('still here')
    expect(await got).toEqual(['still here'])
    const arrived = event<DataConnection>(ba.provider, 'connection')
    const second = a.connect('b')!
    await Promise.all([event(second, 'open'), arrived])
    hub.up = true
    await event(a, 'open')
    expect(a.id).toBe('a')
  })

  it('says goodbye to the others when it is destroyed', async () => {
    const { a, ba } = await pair()
    const closed = event(ba, 'close')
    a.destroy()
    await closed
    expect(a.destroyed).toBe(true)
  })
})
