import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CoreErrorCode, CoreInput } from '../../js/core/types.js'
import { PeerError } from '../../js/errors.js'
import { Digest, pieceSize } from '../../js/files/digest.js'
import { files } from '../../js/files/index.js'
import { Transfer, type TransferPort, type TransferSource } from '../../js/transfer.js'
import { settled } from './fakes.js'

let fed: CoreInput[]
let supplied: number[][]
const port: TransferPort = {
  peer: 'ada',
  files,
  feed: input => void fed.push(input),
  supply: (_transfer, bytes) => void supplied.push([...bytes]),
}
const types = (): string[] => fed.map(input => input.type)

beforeEach(() => {
  fed = []
  supplied = []
})

const send = (source: TransferSource, size?: number): Transfer =>
  new Transfer(port, 1, 3, { name: 'f', mime: 'a/b', key: '', ...(size !== undefined && { size }) }, source)
const receive = (size?: number): Transfer => new Transfer(port, 1, 4, { name: 'f', mime: 'text/plain', key: '', ...(size !== undefined && { size }) })
const state = (transfer: Transfer, state: Transfer['state'], reason = '', error: CoreErrorCode = state === 'rejected' ? 'rejected' : 'cancelled'): void =>
  transfer._event({ type: 'transfer-state', connection: 1, transfer: transfer.id, state, reason, error })
const ended = (transfer: Transfer, digest = ''): void => transfer._event({ type: 'transfer-ended', connection: 1, transfer: transfer.id, digest })
/** As docs/protocol.md has it. */
function digestOf(bytes: Uint8Array): string {
  const pieces = createHash('sha256')
  for (let at = 0; at < bytes.length; at += pieceSize) pieces.update(createHash('sha256').update(bytes.subarray(at, at + pieceSize)).digest())
  return pieces.digest('hex')
}
const data = (...bytes: number[]): Uint8Array<ArrayBuffer> => new Uint8Array(bytes)

const streamOf = (...chunks: (Uint8Array | string)[]): ReadableStream<Uint8Array | string> => new ReadableStream({
  start(controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  },
})

describe('sending a file', () => {
  it('reads a Blob piece by piece, in order, and says where it ends', async () => {
    const transfer = send(new Blob([data(1, 2, 3, 4, 5)]), 5)
    state(transfer, 'active')
    transfer._read(0, 2)
    transfer._read(2, 2)
    transfer._read(4, 1)
    transfer._read(5, 0)
    await vi.waitFor(() => expect(fed).toEqual([{ type: 'transfer-end', connection: 1, transfer: 3, digest: digestOf(data(1, 2, 3, 4, 5)) }]))
    expect(supplied).toEqual([[1, 2], [3, 4], [5]])
  })

  it('ends an empty file', async () => {
    const transfer = send(new Blob([]), 0)
    transfer._read(0, 0)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-end']))
    expect(supplied).toEqual([])
  })

  it('hands the chunks of a stream on as they come, cut where the core wants it', async () => {
    const transfer = send(streamOf(data(1, 2, 3), 'A'))
    transfer._read(0, 2)
    transfer._read(2, 10)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-end']))
    expect(supplied).toEqual([[1, 2], [3], [65]])
  })

  it('takes the bytes of every kind of view, and the halves of a surrogate pair from two strings', async () => {
    const transfer = send(streamOf(new Uint16Array([0x201, 0x403]) as unknown as Uint8Array, new DataView(data(9, 8, 7).buffer, 1, 1) as unknown as Uint8Array, 'a\ud83d', '\ude00', '\ud83d', data(1), '\ud83d'))
    transfer._read(0, 100)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-end']))
    const lone = [0xef, 0xbf, 0xbd]
    expect(supplied.flat()).toEqual([1, 2, 3, 4, 8, 97, 0xf0, 0x9f, 0x98, 0x80, ...lone, 1, ...lone])
  })

  it.each([[5], [{ a: 1 }], [null], [new Blob(['x'])]])('fails where a stream gives something else, as %o', async (chunk) => {
    const transfer = send(new ReadableStream({ start: controller => controller.enqueue(chunk as unknown as string) }))
    transfer._read(0, 10)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-cancel']))
    state(transfer, 'cancelled')
    await expect(transfer.done).rejects.toMatchObject({ type: 'invalid-argument', message: expect.stringMatching(/neither bytes nor a string/) as string })
    expect(supplied).toEqual([])
  })

  it('lets the core know that a stream is longer than declared, or ends as declared', async () => {
    const long = send(streamOf(data(1, 2)), 1)
    long._read(0, 1)
    long._read(1, 0)
    await vi.waitFor(() => expect(supplied).toEqual([[1], [2]]))
    expect(fed).toEqual([])
    const exact = send(streamOf(data(1)), 1)
    exact._read(0, 1)
    exact._read(1, 0)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-end']))
  })

  it('cancels when the source breaks, and done says why', async () => {
    const transfer = send(new ReadableStream({ pull(controller) { controller.error(new Error('unplugged')) } }))
    transfer._read(0, 10)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-cancel']))
    state(transfer, 'cancelled')
    await expect(transfer.done).rejects.toMatchObject({ type: 'invalid-argument', message: expect.stringContaining('unplugged') as string })
  })

  it('knows progress, rate and what is left', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const transfer = send(new Blob([new Uint8Array(1000)]), 1000)
    const progress = vi.fn()
    transfer.on('progress', progress)
    state(transfer, 'active')
    expect(transfer).toMatchObject({ progress: 0, rate: 0, eta: undefined, bytes: 0 })
    vi.advanceTimersByTime(500)
    transfer._event({ type: 'transfer-progress', connection: 1, transfer: 3, bytes: 250 })
    expect(transfer).toMatchObject({ progress: 0.25, rate: 500, eta: 1.5 })
    transfer._event({ type: 'transfer-progress', connection: 1, transfer: 3, bytes: 251 })
    expect(progress).toHaveBeenCalledOnce()
    state(transfer, 'done')
    expect(transfer).toMatchObject({ progress: 1, rate: 0, eta: 0, bytes: 1000 })
    expect(progress).toHaveBeenCalledTimes(2)
    await expect(transfer.done).resolves.toBeUndefined()
    vi.useRealTimers()
  })

  it('asks the core to pause, resume and cancel only when that makes sense', () => {
    const transfer = send(new Blob(['x']), 1)
    transfer.pause()
    transfer.resume()
    state(transfer, 'active')
    transfer.pause()
    state(transfer, 'paused')
    transfer.pause() // the other side may have been the one
    transfer.resume()
    transfer.cancel('enough')
    state(transfer, 'cancelled', 'enough')
    transfer.cancel()
    transfer.pause()
    expect(types()).toEqual(['transfer-pause', 'transfer-pause', 'transfer-resume', 'transfer-cancel'])
  })

  it.each([
    ['rejected', 'rejected'], ['cancelled', 'cancelled'], ['cancelled', 'connection-closed'], ['failed', 'connection-lost'], ['failed', 'corrupted'],
  ] as const)('rejects done when it is %s with %s, and nobody has to look', async (final, type) => {
    const transfer = send(new Blob(['x']), 1)
    state(transfer, final, 'why', type)
    await settled()
    await expect(transfer.done).rejects.toBeInstanceOf(PeerError)
    await expect(transfer.done).rejects.toMatchObject({ type, message: expect.stringContaining('why') as string })
  })

  it('begins behind what the receiver has, and hashes that too', async () => {
    const bytes = new Uint8Array(2 * pieceSize + 5).map((_, i) => i * 7 >> 2)
    for (const source of [new Blob([bytes]), new Blob([bytes]).stream()]) {
      fed = []
      supplied = []
      const from = pieceSize + 3
      const transfer = send(source, bytes.length)
      transfer._read(from, pieceSize)
      transfer._read(from + pieceSize, 2)
      transfer._read(bytes.length, 0)
      await vi.waitFor(() => expect(types()).toEqual(['transfer-end']), 15_000)
      expect(Buffer.compare(Buffer.from(supplied.flat()), bytes.subarray(from))).toBe(0)
      expect(fed[0]).toMatchObject({ digest: digestOf(bytes) })
      expect(transfer.digest).toBe(digestOf(bytes))
    }
  })

  it('fails when a stream is shorter than what the receiver has of it', async () => {
    const transfer = send(streamOf(data(1, 2)))
    transfer._read(5, 10)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-cancel']))
    state(transfer, 'cancelled')
    await expect(transfer.done).rejects.toMatchObject({ type: 'invalid-argument', message: expect.stringContaining('after 2 bytes') as string })
  })

  it('reads the end of a file of ten gigabytes where it is', async () => {
    const size = 10_000_000_000
    const slices: [number, number][] = []
    // Nothing of it is anywhere; of what the receiver has only the last bytes are asked for here.
    class Vast extends Blob {
      override get size(): number { return size }
      override slice(from = 0, to = size): Blob {
        if (from === 0) return new Blob()
        slices.push([from, Math.min(to, size)])
        return new Blob([new Uint8Array(Math.min(to, size) - from)])
      }
    }
    const transfer = send(new Vast(), size)
    transfer._read(size - 300_000, 131_072)
    transfer._read(size - 168_928, 131_072)
    transfer._read(size - 37_856, 37_856)
    transfer._read(size, 0)
    await vi.waitFor(() => expect(types()).toEqual(['transfer-end']))
    expect(slices).toEqual([[size - 300_000, size - 168_928], [size - 168_928, size - 37_856], [size - 37_856, size]])
    expect(supplied.map(piece => piece.length)).toEqual([131_072, 131_072, 37_856])
  })
})

describe('receiving a file', () => {
  it('collects a file with its name and type', async () => {
    const transfer = receive(3)
    void transfer.accept()
    void transfer.accept()
    state(transfer, 'active')
    transfer._data(data(1, 2))
    transfer._data(data(3))
    ended(transfer)
    await vi.waitFor(() => expect(types().at(-1)).toBe('transfer-complete'))
    state(transfer, 'done')
    const file = await transfer.done as File
    expect(file).toBeInstanceOf(Blob)
    expect(file).toMatchObject({ name: 'f', type: 'text/plain', size: 3 })
    expect([...new Uint8Array(await file.arrayBuffer())]).toEqual([1, 2, 3])
    expect(types().filter(type => type === 'transfer-accept')).toHaveLength(1)
    const consumed = fed.filter(input => input.type === 'transfer-consumed').reduce((sum, input) => sum + input.length, 0)
    expect(consumed).toBe(3)
    expect(types().indexOf('transfer-consumed')).toBeLessThan(types().indexOf('transfer-complete'))
  })

  it('tells the sender that bytes are consumed only when the sink has written them, and closes the sink at the end', async () => {
    const writes: (() => void)[] = []
    const written: number[] = []
    const close = vi.fn()
    const sink = new WritableStream<Uint8Array<ArrayBuffer>>({
      write: chunk => new Promise<void>((resolve) => {
        written.push(...chunk)
        writes.push(resolve)
      }),
      close,
    })
    const transfer = receive(3)
    void transfer.accept(sink)
    state(transfer, 'active')
    transfer._data(data(1, 2))
    transfer._data(data(3))
    ended(transfer)
    await settled()
    expect(types()).toEqual(['transfer-accept'])
    writes.shift()!()
    await settled()
    writes.shift()!()
    await vi.waitFor(() => expect(types().at(-1)).toBe('transfer-complete'))
    expect(written).toEqual([1, 2, 3])
    expect(close).toHaveBeenCalledOnce()
    state(transfer, 'done')
    await expect(transfer.done).resolves.toBeUndefined()
  })

  it('cancels when the sink breaks, and aborts the sink when it is cancelled', async () => {
    const transfer = receive()
    void transfer.accept(new WritableStream({ write: () => Promise.reject(new Error('disk full')) })).catch(() => {})
    state(transfer, 'active')
    transfer._data(data(1))
    await vi.waitFor(() => expect(types()).toContain('transfer-cancel'))
    state(transfer, 'cancelled')
    await expect(transfer.done).rejects.toMatchObject({ message: expect.stringContaining('disk full') as string })

    const abort = vi.fn()
    const other = receive()
    void other.accept(new WritableStream({ abort }))
    state(other, 'active')
    state(other, 'cancelled')
    await settled()
    expect(abort).toHaveBeenCalledOnce()
  })

  it('can be declined, once', () => {
    const transfer = receive(1)
    transfer.reject('no room')
    transfer.reject()
    void transfer.accept()
    expect(fed).toEqual([{ type: 'transfer-reject', connection: 1, transfer: 4, reason: 'no room' }])
  })

  it('declines by itself when the sink is locked', async () => {
    const sink = new WritableStream()
    sink.getWriter()
    const transfer = receive(1)
    void transfer.accept(sink)
    expect(types()).toEqual(['transfer-reject'])
    state(transfer, 'rejected')
    await expect(transfer.done).rejects.toMatchObject({ type: 'invalid-argument' })
  })

  it('goes on behind what the application has, and gives the whole file', async () => {
    const transfer = receive(5)
    void transfer.accept({ have: new Blob([data(1, 2)]) })
    await vi.waitFor(() => expect(fed).toEqual([{ type: 'transfer-accept', connection: 1, transfer: 4, from: 2 }]))
    expect(transfer.bytes).toBe(2)
    state(transfer, 'active')
    transfer._data(data(3, 4, 5))
    ended(transfer, digestOf(data(1, 2, 3, 4, 5)))
    await vi.waitFor(() => expect(fed.at(-1)).toEqual({ type: 'transfer-complete', connection: 1, transfer: 4, digest: digestOf(data(1, 2, 3, 4, 5)) }))
    state(transfer, 'done')
    expect([...new Uint8Array(await (await transfer.done as File).arrayBuffer())]).toEqual([1, 2, 3, 4, 5])
    expect(transfer.digest).toBe(digestOf(data(1, 2, 3, 4, 5)))
  })

  it('writes only what follows into a sink that has the beginning', async () => {
    const written: number[] = []
    const transfer = receive(3)
    void transfer.accept(new WritableStream({ write: chunk => void written.push(...chunk) }), { have: new Blob([data(1)]) })
    await vi.waitFor(() => expect(types()).toEqual(['transfer-accept']))
    state(transfer, 'active')
    transfer._data(data(2, 3))
    ended(transfer)
    await vi.waitFor(() => expect(types().at(-1)).toBe('transfer-complete'))
    expect(fed.at(-1)).toMatchObject({ digest: digestOf(data(1, 2, 3)) })
    expect(written).toEqual([2, 3])
    expect(transfer.digest).toBeUndefined()
  })

  it('declines when the application has more than the file is long, and says so', async () => {
    const transfer = receive(1)
    const done = transfer.accept({ have: new Blob([data(1, 2)]) })
    expect(types()).toEqual(['transfer-reject'])
    state(transfer, 'rejected')
    await expect(done).rejects.toMatchObject({ type: 'invalid-argument', message: expect.stringContaining('2 bytes') as string })
  })

  it('does not close the sink of a file whose digest is another than the sender\'s', async () => {
    const close = vi.fn()
    const abort = vi.fn()
    const transfer = receive(1)
    void transfer.accept(new WritableStream({ close, abort })).catch(() => {})
    state(transfer, 'active')
    transfer._data(data(1))
    ended(transfer, digestOf(data(2)))
    await vi.waitFor(() => expect(fed.at(-1)).toMatchObject({ type: 'transfer-complete', digest: digestOf(data(1)) }))
    state(transfer, 'failed', 'other bytes', 'corrupted')
    await vi.waitFor(() => expect(abort).toHaveBeenCalledOnce())
    expect(close).not.toHaveBeenCalled()
    await expect(transfer.done).rejects.toMatchObject({ type: 'corrupted', message: expect.stringContaining('Send it again') as string })
  })

  it('says that there is no room when the sink says so', async () => {
    const transfer = receive()
    void transfer.accept(new WritableStream({ write: () => Promise.reject(new DOMException('full', 'QuotaExceededError')) })).catch(() => {})
    state(transfer, 'active')
    transfer._data(data(1))
    await vi.waitFor(() => expect(types()).toContain('transfer-cancel'))
    state(transfer, 'cancelled')
    await expect(transfer.done).rejects.toMatchObject({ type: 'quota-exceeded' })
  })

  it('takes a file that is to be kept into memory where there is no disk for it', async () => {
    const transfer = receive(1)
    void transfer.accept({ keep: true })
    await vi.waitFor(() => expect(types()).toEqual(['transfer-accept']))
    state(transfer, 'active')
    transfer._data(data(9))
    ended(transfer)
    await vi.waitFor(() => expect(types().at(-1)).toBe('transfer-complete'))
    state(transfer, 'done')
    expect((await transfer.done as File).size).toBe(1)
    transfer.forget()
  })
})

describe('the digest of a file', () => {
  afterEach(() => { vi.unstubAllGlobals() })
  const bytesOf = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(length).map((_, i) => i * 31 >> 3)

  it.each([0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 3 * pieceSize])('of %i bytes is the SHA-256 over that of each piece, however they come', async (length) => {
    const bytes = bytesOf(length)
    for (const step of [length || 1, 65_537, 300_000]) {
      const digest = new Digest(length)
      for (let at = 0; at < length; at += step) await digest.add(bytes.subarray(at, at + step))
      expect(await digest.end()).toBe(digestOf(bytes))
    }
  })

  it('is the same without Web Crypto, which pages without https do not have', async () => {
    vi.stubGlobal('crypto', {})
    const bytes = bytesOf(pieceSize + 5)
    const digest = new Digest()
    await digest.add(bytes)
    expect(await digest.end()).toBe(digestOf(bytes))
  })

  it('holds back who adds faster than it hashes', async () => {
    const waiting: (() => void)[] = []
    const digest = new Digest(20 * pieceSize)
    vi.stubGlobal('crypto', { subtle: { digest: () => new Promise<ArrayBuffer>((resolve) => { waiting.push(() => resolve(new ArrayBuffer(32))) }) } })
    const piece = new Uint8Array(pieceSize)
    for (let i = 0; i < 16; i++) expect(digest.add(piece)).toBeUndefined()
    const held = digest.add(piece)
    expect(held).toBeInstanceOf(Promise)
    for (const answer of waiting.splice(0)) answer()
    await held
    expect(digest.add(piece)).toBeUndefined()
  })

  it('does not mind bytes beyond the size that was said: the core fails that', async () => {
    const digest = new Digest(2)
    await digest.add(new Uint8Array(9))
    expect(await digest.end()).toHaveLength(64)
  })
})
