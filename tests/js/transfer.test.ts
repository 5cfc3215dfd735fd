import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { CoreInput } from '../../js/core/types.js'
import { PeerError } from '../../js/errors.js'
import { Transfer, type TransferPort, type TransferSource } from '../../js/transfer.js'
import { settled } from './fakes.js'

let fed: CoreInput[]
let supplied: number[][]
const port: TransferPort = {
  feed: input => void fed.push(input),
  supply: (_transfer, bytes) => void supplied.push([...bytes]),
}
const types = (): string[] => fed.map(input => input.type)

beforeEach(() => {
  fed = []
  supplied = []
})

const send = (source: TransferSource, size?: number): Transfer =>
  new Transfer(port, 1, 3, { name: 'f', mime: 'a/b', ...(size !== undefined && { size }) }, source)
const receive = (size?: number): Transfer => new Transfer(port, 1, 4, { name: 'f', mime: 'text/plain', ...(size !== undefined && { size }) })
const state = (transfer: Transfer, state: Transfer['state'], reason = ''): void =>
  transfer._event({ type: 'transfer-state', connection: 1, transfer: transfer.id, state, reason })
const ended = (transfer: Transfer): void => transfer._event({ type: 'transfer-ended', connection: 1, transfer: transfer.id })
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
    await vi.waitFor(() => expect(fed).toEqual([{ type: 'transfer-end', connection: 1, transfer: 3 }]))
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
    transfer.resume()
    transfer.cancel('enough')
    state(transfer, 'cancelled', 'enough')
    transfer.cancel()
    transfer.pause()
    expect(types()).toEqual(['transfer-pause', 'transfer-resume', 'transfer-cancel'])
  })

  it.each([['rejected', 'rejected'], ['cancelled', 'cancelled'], ['failed', 'connection-lost']] as const)('rejects done when it is %s, and nobody has to look', async (final, type) => {
    const transfer = send(new Blob(['x']), 1)
    state(transfer, final, 'why')
    await settled()
    await expect(transfer.done).rejects.toBeInstanceOf(PeerError)
    await expect(transfer.done).rejects.toMatchObject({ type, message: expect.stringContaining('why') as string })
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

  it('reads views at once: what happens to the frame later does not matter', async () => {
    const transfer = receive(1)
    void transfer.accept()
    const view = data(7)
    transfer._data(view)
    view[0] = 0
    ended(transfer)
    await settled()
    state(transfer, 'done')
    expect([...new Uint8Array(await (await transfer.done as Blob).arrayBuffer())]).toEqual([7])
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
})
