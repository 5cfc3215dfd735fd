import { describe, expect, it, vi } from 'vitest'
import { early } from '../../js/signaling/early.js'
import { FakeTransport, settled } from './fakes.js'

const listener = () => {
  const heard: string[] = []
  return {
    heard,
    opened: () => { heard.push('opened') },
    message: (text: string) => { heard.push(text) },
    closed: (reason: string) => { heard.push(`closed: ${reason}`) },
  }
}

function begin(id: string | undefined, transport = new FakeTransport()) {
  const end = new AbortController()
  return { transport, end, ahead: early(transport, id, 't', end.signal) }
}

describe('the way to the server that is opened before the core is there', () => {
  it('goes there at the end of the turn, not within the constructor', async () => {
    const { transport } = begin('ada')
    expect(transport.channels).toEqual([])
    await Promise.resolve()
    expect(transport.channels).toMatchObject([{ id: 'ada', token: 't' }])
  })

  it('tells the first to ask for it what was heard, in order, and then what is heard', async () => {
    const { transport, ahead } = begin('ada')
    await settled()
    const { handlers, sent } = transport.channels[0]!
    handlers.opened()
    handlers.message('OPEN')
    const to = listener()
    const channel = ahead.connect('ada', 't', to)
    handlers.message('OFFER')
    channel.send('x')
    handlers.closed('gone')
    expect(to.heard).toEqual(['opened', 'OPEN', 'OFFER', 'closed: gone'])
    expect(sent).toEqual(['x'])
    expect(transport.channels).toHaveLength(1)
  })

  it('is used once: the second attempt is one of its own', async () => {
    const { transport, ahead } = begin('ada')
    await settled()
    ahead.connect('ada', 't', listener())
    ahead.connect('ada', 't', listener())
    expect(transport.channels).toHaveLength(2)
  })

  it.each([['bob', 't'], ['ada', 'u']])('is closed when something else is wanted: %s, %s', async (id, token) => {
    const { transport, ahead } = begin('ada')
    await settled()
    transport.channels[0]!.handlers.opened()
    const to = listener()
    ahead.connect(id, token, to)
    expect(transport.channels).toMatchObject([{ closed: true }, { id, token, closed: false }])
    expect(to.heard).toEqual([])
  })

  it('tells that the server cannot be reached, and is not tried twice for it', async () => {
    const { transport, ahead } = begin('ada')
    await settled()
    transport.channels[0]!.handlers.closed('no server')
    const to = listener()
    ahead.connect('ada', 't', to)
    expect(to.heard).toEqual(['closed: no server'])
    expect(transport.channels).toHaveLength(1)
  })

  it('is replaced when it was open and is gone before it was needed', async () => {
    const { transport, ahead } = begin('ada')
    await settled()
    const { handlers } = transport.channels[0]!
    handlers.opened()
    handlers.message('OPEN')
    handlers.closed('idle for too long')
    const to = listener()
    ahead.connect('ada', 't', to)
    expect(to.heard).toEqual([])
    expect(transport.channels).toHaveLength(2)
  })

  it('tells that the server refused, and is not tried twice for it', async () => {
    const { transport, ahead } = begin('ada')
    await settled()
    const { handlers } = transport.channels[0]!
    handlers.opened()
    handlers.message('{"type":"ID-TAKEN"}')
    handlers.closed('bye')
    const to = listener()
    ahead.connect('ada', 't', to)
    expect(to.heard).toEqual(['opened', '{"type":"ID-TAKEN"}', 'closed: bye'])
    expect(transport.channels).toHaveLength(1)
  })

  it('asks for an id when there is none, once, and goes on with it', async () => {
    const { transport, ahead } = begin(undefined)
    const requestId = vi.spyOn(transport, 'requestId')
    await settled()
    expect(transport.channels).toMatchObject([{ id: 'given' }])
    const { signal } = new AbortController()
    expect(await ahead.requestId!(signal)).toBe('given')
    expect(requestId).toHaveBeenCalledOnce()
    expect(await ahead.requestId!(signal)).toBe('given')
    expect(requestId).toHaveBeenCalledTimes(2)
  })

  it('makes an id up where the transport gives none', async () => {
    const { transport, ahead } = begin(undefined, Object.assign(new FakeTransport(), { requestId: undefined as never }))
    await settled()
    expect(await ahead.requestId!(new AbortController().signal)).toBe(transport.channels[0]!.id)
  })

  it('leaves it to the core to tell that there is no id', async () => {
    const transport = new FakeTransport()
    transport.id = Promise.reject(new Error('503'))
    const { ahead } = begin(undefined, transport)
    await settled()
    expect(transport.channels).toEqual([])
    await expect(ahead.requestId!(new AbortController().signal)).rejects.toThrow('503')
  })

  it.each(['', 'no/slashes', 'a'.repeat(257)])('is never opened for an id that the core refuses: %s', async (id) => {
    const { transport } = begin(id)
    await settled()
    expect(transport.channels).toEqual([])
  })

  it('is left alone when the peer ends within the same turn, and closed when it ends later', async () => {
    const first = begin('ada')
    first.end.abort()
    await settled()
    expect(first.transport.channels).toEqual([])
    const second = begin('ada')
    await settled()
    second.end.abort()
    expect(second.transport.channels).toMatchObject([{ closed: true }])
  })

  it('is not closed by it once it was taken: then it belongs to the driver', async () => {
    const { transport, ahead, end } = begin('ada')
    await settled()
    ahead.connect('ada', 't', listener())
    end.abort()
    expect(transport.channels).toMatchObject([{ closed: false }])
  })

  it('stands a transport that throws, and one that reports from within connect()', async () => {
    const transport = new FakeTransport()
    vi.spyOn(transport, 'connect').mockImplementationOnce(() => { throw new Error('no') })
    const { ahead } = begin('ada', transport)
    await settled()
    ahead.connect('ada', 't', listener())
    expect(transport.channels).toHaveLength(1)

    const hasty = new FakeTransport()
    vi.spyOn(hasty, 'connect').mockImplementationOnce((_id, _token, handlers) => {
      handlers.opened()
      return { send: () => {}, close: () => {} }
    })
    const other = begin('ada', hasty)
    await settled()
    const to = listener()
    other.ahead.connect('ada', 't', to)
    expect(to.heard).toEqual(['opened'])
  })
})
