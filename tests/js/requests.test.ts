/** request() and onRequest(), with the real core between them; and what hostile bytes do. */
import { describe, expect, it, vi } from 'vitest'
import { Format, Lane } from '../../js/core/types.js'
import { Messages, type MessagesOwner } from '../../js/driver/messages.js'
import type { Driver } from '../../js/driver/driver.js'
import { PeerError } from '../../js/errors.js'
import { encodeValue, decodeValue } from '../../js/values/index.js'
import vectors from '../vectors/requests.json' with { type: 'json' }
import { event, pair, usePeers } from './two-peers.js'

describe('a request', () => {
  usePeers()

  it('is answered by what the handler returns or resolves to, values as they were sent', async () => {
    const { ab, ba } = await pair()
    ba.onRequest((data: Map<string, number>) => new Map([...data].map(([key, value]) => [key, value * 2])))
    expect(await ab.request(new Map([['x', 4]]))).toEqual(new Map([['x', 8]]))
    ab.onRequest(async data => [data, await Promise.resolve(1n)])
    expect(await ba.request(undefined)).toEqual([undefined, 1n])
  })

  it('waits for nothing but its own answer', async () => {
    const { ab, ba } = await pair()
    const release = new Map<number, (value: string) => void>()
    ba.onRequest((n: number) => new Promise((resolve) => { release.set(n, resolve) }))
    const answers = [1, 2, 3].map(n => ab.request(n))
    await vi.waitFor(() => expect(release.size).toBe(3))
    for (const n of [3, 1, 2]) release.get(n)!(`answer ${n}`)
    expect(await Promise.all(answers)).toEqual(['answer 1', 'answer 2', 'answer 3'])
  })

  it('comes after what was sent before it', async () => {
    const { ab, ba } = await pair()
    const seen: unknown[] = []
    ba.on('data', data => seen.push(data))
    ba.onRequest(async (data) => {
      seen.push(data instanceof Blob ? await data.text() : data)
      return seen.length
    })
    void ab.send(new Blob(['first']))
    const second = ab.request('second')
    void ab.send('third')
    expect(await second).toBe(2)
    await ab.delivered()
    expect(seen.slice(1)).toEqual(['second', 'third'])
  })

  it('carries Blobs and megabytes, there and back', async () => {
    const { ab, ba } = await pair()
    ba.onRequest(async (data: { blob: Blob }) => new Uint8Array(await data.blob.arrayBuffer()).map(byte => byte + 1))
    const bytes = new Uint8Array(2_000_000).map((_, i) => i)
    const back = await ab.request({ blob: new Blob([bytes]) }) as Uint8Array
    expect(Buffer.compare(back, bytes.map(byte => byte + 1))).toBe(0)
  })

  it('rejects with the message of what the handler threw', async () => {
    const { ab, ba } = await pair()
    ba.onRequest(() => { throw new TypeError('no such room') })
    await expect(ab.request(1)).rejects.toMatchObject({ name: 'PeerError', type: 'request-failed', message: 'no such room', peer: 'b' })
    ba.onRequest(() => Promise.reject(new Error('x'.repeat(5000))))
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'request-failed', message: 'x'.repeat(1024) })
    ba.onRequest(() => { throw Object.create(null) as Error })
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'request-failed', message: 'It threw what cannot be read.' })
    ba.onRequest(() => () => 'a function')
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'request-failed', message: expect.stringMatching(/function/) as string })
  })

  it('is refused at once where nobody answers', async () => {
    const { ab, ba } = await pair()
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'request-unhandled' })
    const stop = ba.onRequest(() => 1)
    expect(await ab.request(1)).toBe(1)
    const stopOther = ba.onRequest(() => 2)
    stop()
    expect(await ab.request(1)).toBe(2)
    stopOther()
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'request-unhandled' })
  })

  it('may be answered from the listener of the connection on', async () => {
    const { ab } = await pair(ba => ba.onRequest(() => 'early'))
    expect(await ab.request(1)).toBe('early')
  })

  it('is given up after its timeout, and the handler learns it', async () => {
    const { ab, ba } = await pair()
    const aborted = new Promise(resolve => ba.onRequest((_, { signal }) => new Promise(() => signal.addEventListener('abort', resolve))))
    await expect(ab.request(1, { timeout: 30 })).rejects.toMatchObject({ type: 'timeout' })
    await aborted
  })

  it('is given up by its signal, and the handler learns it', async () => {
    const { ab, ba } = await pair()
    const controller = new AbortController()
    const aborted = new Promise(resolve => ba.onRequest((_, { signal }) => new Promise(() => {
      signal.addEventListener('abort', resolve)
      controller.abort('changed my mind')
    })))
    const asked = ab.request(1, { signal: controller.signal, timeout: 0 })
    await expect(asked).rejects.toMatchObject({ type: 'aborted', cause: 'changed my mind' })
    await aborted
    await expect(ab.request(1, { signal: controller.signal })).rejects.toMatchObject({ type: 'aborted' })
  })

  it('whose Blob is still being read is not sent when it is given up', async () => {
    const { ab, ba } = await pair()
    const handler = vi.fn()
    ba.onRequest(handler)
    const controller = new AbortController()
    const asked = ab.request(new Blob(['x']), { signal: controller.signal })
    controller.abort()
    await expect(asked).rejects.toMatchObject({ type: 'aborted' })
    await ab.delivered()
    expect(handler).not.toHaveBeenCalled()
  })

  it('ends with the connection, on both sides', async () => {
    const { ab, ba } = await pair()
    const aborted = new Promise(resolve => ba.onRequest((_, { signal }) => new Promise(() => {
      signal.addEventListener('abort', resolve)
      ba.close()
    })))
    await expect(ab.request(1, { timeout: Infinity })).rejects.toMatchObject({ type: 'connection-closed' })
    await aborted
    await expect(ab.request(1)).rejects.toMatchObject({ type: 'connection-closed' })
  })

  it('is refused before the connection is open, for what cannot be sent, and for a timeout that is none', async () => {
    const { a, ab } = await pair()
    await expect(a.connect('b')!.request(1)).rejects.toMatchObject({ type: 'not-open-yet' })
    await expect(ab.request(() => 1)).rejects.toMatchObject({ type: 'data-clone', connectionId: ab.connectionId })
    await expect(ab.request(1, { timeout: NaN })).rejects.toMatchObject({ type: 'invalid-argument' })
    await expect(ab.request(1, { priority: 'urgent' as 'high' })).rejects.toMatchObject({ type: 'invalid-argument' })
  })

  it('never makes an error event or an unhandled rejection', async () => {
    const { ab } = await pair()
    const failed = vi.fn()
    ab.on('error', failed)
    void ab.request(1)
    void ab.request(() => 1)
    void ab.request(1, { timeout: 1 })
    const closed = event(ab, 'close')
    void ab.request(1)
    ab.close()
    await closed
    expect(failed).not.toHaveBeenCalled()
  })

  it('is told that the other side is busy with 1024, which go on', async () => {
    const { ab, ba } = await pair()
    let release!: () => void
    const released = new Promise<void>((resolve) => { release = resolve })
    ba.onRequest(() => released.then(() => 'done'))
    const all = Array.from({ length: 1030 }, (_, i) => ab.request(i).catch((error: unknown) => (error as PeerError).type))
    expect(await Promise.all(all.slice(1024))).toEqual(Array(6).fill('request-busy'))
    release()
    expect(new Set(await Promise.all(all.slice(0, 1024)))).toEqual(new Set(['done']))
    expect(await ab.request(1)).toBe('done')
  })
})

// ---- bytes

interface Sent { lane: number, format: number, bytes: number[] }

/** One side alone: what it sends is noted, what comes is said by the test. */
function side(handler: MessagesOwner['handler'] = null): { messages: Messages, sent: Sent[], problems: string[] } {
  const sent: Sent[] = []
  const problems: string[] = []
  const owner: MessagesOwner = {
    handle: 1, peer: 'b', handler, paused: false, state: 'open', protocol: 'native', emit: () => true,
    named: false, serialization: 'binary', provider: { options: {} }, stringify: JSON.stringify, parse: JSON.parse, close: () => {},
    error: (type, message, cause) => new PeerError(type, message, { cause }),
    _error: type => void problems.push(type),
  }
  const driver = {
    values: { encodeValue, decodeValue }, room: true, withdraw: () => false, mark: () => 1,
    send: (_: number, lane: number, format: number, bytes: Uint8Array) => {
      sent.push({ lane, format, bytes: [...bytes] })
      return 0
    },
  } as unknown as Driver
  return { messages: new Messages(driver, owner), sent, problems }
}

const hex = (bytes: ArrayLike<number>): string => Buffer.from(Array.from(bytes)).toString('hex')
const come = (messages: Messages, format: number, text: string, lane: Lane = Lane.normal): void =>
  messages.message(format, new Uint8Array(Buffer.from(text, 'hex')), lane)

describe('the bytes of a request', () => {
  const { requests, responses } = vectors as {
    requests: { name: string, bytes: string, id: number, value: unknown }[]
    responses: { name: string, bytes: string, value?: unknown, error?: string, message?: string }[]
  }

  it.each(requests)('are those of the vectors: $name', async ({ bytes, id, value }) => {
    const { messages, sent } = side(data => Promise.resolve(data))
    come(messages, Format.request, bytes)
    await vi.waitFor(() => expect(sent).toHaveLength(1))
    expect(sent[0]!.format).toBe(Format.response)
    // An echo: the answer has the same id and the same value.
    expect(hex(sent[0]!.bytes)).toBe(`00${bytes.slice(2)}`)
    const asker = side()
    for (let i = 1; i < id; i++) void asker.messages.request(0).catch(() => {})
    void asker.messages.request(value, { timeout: 0 })
    expect(hex(asker.sent.at(-1)!.bytes)).toBe(bytes)
    asker.messages.closed(new PeerError('connection-closed', 'end'))
  })

  it.each(responses)('are answered by those of the vectors: $name', async ({ bytes, value, error, message }) => {
    const { messages, problems } = side()
    const asked = messages.request('x', {})
    come(messages, Format.response, bytes)
    if (error) await expect(asked).rejects.toMatchObject({ type: error, ...(message !== undefined && { message }) })
    else expect(await asked).toEqual(value)
    expect(problems).toEqual([])
  })

  it('travel in the lane that was asked for, the answer too, and the end of it', async () => {
    const asker = side()
    const asked = asker.messages.request(1, { priority: 'high', timeout: 1 })
    await expect(asked).rejects.toMatchObject({ type: 'timeout' })
    expect(asker.sent.map(({ lane, format, bytes }) => [lane, format, hex(bytes)])).toEqual([[0, 10, '00010001'], [0, 10, '0101']])
    const { messages, sent } = side(() => 1)
    come(messages, Format.request, '00010001', Lane.bulk)
    await vi.waitFor(() => expect(sent).toEqual([{ lane: Lane.bulk, format: 11, bytes: [0, 1, 0, 1] }]))
  })

  it.each([
    ['an id that was used', '00010001'], ['a kind that there is not', '07020001'], ['nothing', ''], ['no id', '00'], ['id 0', '00000001'],
    ['an id that does not end', '0080808080808080808001'], ['an id that is not in its shortest form', '00828000'],
  ])('are dropped with an error when they hold %s', async (_, bytes) => {
    const { messages, sent, problems } = side(() => 'y')
    come(messages, Format.request, '00010001')
    await vi.waitFor(() => expect(sent).toHaveLength(1))
    come(messages, Format.request, bytes)
    expect(problems).toEqual(['protocol-violation'])
    expect(sent).toHaveLength(1)
  })

  it.each([['a value that is none', '000100ff'], ['no value', '0001'], ['a format that is none', '00010701']])(
    'are answered with the reason when they hold %s', async (_, bytes) => {
      const handler = vi.fn()
      const { messages, sent } = side(handler)
      come(messages, Format.request, bytes)
      await vi.waitFor(() => expect(sent).toHaveLength(1))
      expect(hex(sent[0]!.bytes)).toMatch(/^0101./)
      expect(handler).not.toHaveBeenCalled()
    })

  it('may have risen on another lane already', async () => {
    const { messages, sent, problems } = side(value => value)
    come(messages, Format.request, '00050005', Lane.high)
    come(messages, Format.request, '00040004', Lane.bulk)
    await vi.waitFor(() => expect(sent).toHaveLength(2))
    expect(problems).toEqual([])
  })

  it('that answer nothing that was asked are an error, those that come too late are none', async () => {
    const { messages, problems } = side()
    come(messages, Format.response, '00010001')
    expect(problems).toEqual(['protocol-violation'])
    await expect(messages.request(1, { timeout: 1 })).rejects.toMatchObject({ type: 'timeout' })
    come(messages, Format.response, '00010001')
    come(messages, Format.response, '00020001')
    come(messages, Format.response, '09010001')
    expect(problems).toHaveLength(3)
  })

  it('are not answered when the other side gave up, or twice', async () => {
    let finish!: (value: unknown) => void
    const { messages, sent, problems } = side((_, { signal }) => new Promise((resolve) => {
      finish = resolve
      signal.addEventListener('abort', () => resolve('aborted'))
    }))
    come(messages, Format.request, '00010001')
    await Promise.resolve()
    come(messages, Format.request, '0101')
    finish(2)
    come(messages, Format.request, '0101')
    come(messages, Format.request, '0109')
    await new Promise(resolve => setTimeout(resolve))
    expect(sent).toEqual([])
    expect(problems).toEqual([])
  })
})
