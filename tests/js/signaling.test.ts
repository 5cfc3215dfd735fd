import { afterEach, beforeEach, describe, expect, it, vi, type Mocked } from 'vitest'
import { peerServer, type SignalingHandlers } from '../../js/signaling/index.js'
import { version } from '../../js/version.js'

class FakeWebSocket {
  static made: FakeWebSocket[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number, reason: string }) => void) | null = null
  sent: string[] = []
  closed = false
  constructor(readonly url: string) {
    if (url.includes('forbidden')) throw new Error('mixed content')
    FakeWebSocket.made.push(this)
  }

  send(text: string): void { this.sent.push(text) }
  close(): void { this.closed = true }
}

const at = { host: 'h', port: 9000, path: '/my/app/', key: 'k', secure: true }
const handlers = (): Mocked<SignalingHandlers> => ({ opened: vi.fn(), message: vi.fn(), closed: vi.fn() })

beforeEach(() => {
  FakeWebSocket.made = []
  vi.stubGlobal('WebSocket', FakeWebSocket)
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('PeerServer', () => {
  it('is reached at PeerServer\'s URL, with id and token encoded', () => {
    const server = peerServer(at)
    server.connect('a b', 't&t', handlers())
    expect(FakeWebSocket.made[0]!.url)
      .toBe(`wss://h:9000/my/app/peerjs?key=k&id=a%20b&token=t%26t&version=${version}&link=${server.session}.1&got=0&sent=0`)
    server.connect('a', 't', handlers(), () => '&link=x.2&got=3&sent=4')
    expect(FakeWebSocket.made[1]!.url).toMatch(/&link=x\.2&got=3&sent=4$/)
  })

  it('carries text both ways, drops what is no text, and reports the end', () => {
    const heard = handlers()
    const channel = peerServer({ ...at, secure: false }).connect('a', 't', heard)
    const socket = FakeWebSocket.made[0]!
    expect(socket.url).toMatch(/^ws:/)
    socket.onopen!()
    socket.onmessage!({ data: 'hello' })
    socket.onmessage!({ data: new ArrayBuffer(1) })
    channel.send('there')
    socket.onclose!({ code: 1006, reason: '' })
    socket.onclose!({ code: 1006, reason: '' })
    expect(heard.opened).toHaveBeenCalledOnce()
    expect(heard.message.mock.calls).toEqual([['hello']])
    expect(socket.sent).toEqual(['there'])
    expect(heard.closed).toHaveBeenCalledOnce()
    expect(heard.closed.mock.calls[0]![0]).toContain('1006')
  })

  it('reports nothing after close()', () => {
    const heard = handlers()
    const channel = peerServer(at).connect('a', 't', heard)
    channel.close()
    channel.close()
    FakeWebSocket.made[0]!.onopen!()
    FakeWebSocket.made[0]!.onclose!({ code: 1000, reason: '' })
    expect(FakeWebSocket.made[0]!.closed).toBe(true)
    expect(heard.opened).not.toHaveBeenCalled()
    expect(heard.closed).not.toHaveBeenCalled()
  })

  it('reports a WebSocket that cannot even be made, later', () => {
    vi.useFakeTimers()
    const heard = handlers()
    peerServer({ ...at, host: 'forbidden' }).connect('a', 't', heard)
    expect(heard.closed).not.toHaveBeenCalled()
    vi.runAllTimers()
    expect(heard.closed.mock.calls[0]![0]).toContain('mixed content')
  })

  it('asks for an id where the key says', async () => {
    const get = vi.fn<typeof fetch>(() => Promise.resolve(new Response('an-id')))
    vi.stubGlobal('fetch', get)
    await expect(peerServer(at).requestId!(new AbortController().signal)).resolves.toBe('an-id')
    expect(get.mock.calls[0]![0]).toMatch(/^https:\/\/h:9000\/my\/app\/k\/id\?ts=\d/)
    expect(get.mock.calls[0]![1]).toMatchObject({ referrerPolicy: 'strict-origin-when-cross-origin' })
  })

  it.each([
    [() => Promise.resolve(new Response('', { status: 404 })), '404'],
    [() => Promise.reject(new TypeError('Failed to fetch')), 'Failed to fetch'],
  ])('says what was wrong with the answer', async (answer, text) => {
    vi.stubGlobal('fetch', answer)
    await expect(peerServer(at).requestId!(new AbortController().signal)).rejects.toMatchObject({ type: 'server-error', message: expect.stringContaining(text) as string })
  })

  it('lists peers, or says that the server does not allow it', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(Response.json(['a'])))
    await expect(peerServer(at).listPeers!()).resolves.toEqual(['a'])
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('', { status: 401 })))
    await expect(peerServer(at).listPeers!()).rejects.toThrow('allow_discovery')
  })
})
