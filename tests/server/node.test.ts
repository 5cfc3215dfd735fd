import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket as NetSocket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type WebSocket from 'ws'
import { createSignalingServer } from '../../js/server/index.js'
import type { ListenOptions, SignalingListener, SignalingServer, SignalingServerOptions } from '../../js/server/index.js'
import { Socket, connect, peerjsUrl } from './socket.js'

let server: SignalingServer
let listener: SignalingListener
let http: string
let ws: string

async function start(options: SignalingServerOptions = {}, listen: ListenOptions = {}): Promise<void> {
  await server?.close()
  server = createSignalingServer(options)
  listener = await server.listen({ port: 0, host: '127.0.0.1', ...listen })
  http = listener.url
  ws = http.replace(/^http/, 'ws')
}

beforeEach(() => start({ path: '/myapp' }))
afterEach(() => server.close())

describe('a PeerJS client', () => {
  it('asks for an id, connects, finds its partner and talks', async () => {
    const response = await fetch(`${http}peerjs/id?ts=17000000000000.5&version=1.5.5`)
    expect(response.status).toBe(200)
    const id = await response.text()
    expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

    const alice = await connect(ws, id)
    const bob = await connect(ws, 'bob')
    alice.send({ type: 'HEARTBEAT' })
    alice.offer('bob', { sdp: { sdp: 'v=0…', type: 'offer' }, type: 'data', connectionId: 'dc_1' })
    expect(await bob.next()).toEqual({
      type: 'OFFER', src: id, dst: 'bob', payload: { sdp: { sdp: 'v=0…', type: 'offer' }, type: 'data', connectionId: 'dc_1' },
    })
    bob.send({ type: 'ANSWER', payload: { connectionId: 'dc_1' }, dst: id })
    expect(await alice.next()).toMatchObject({ type: 'ANSWER', src: 'bob' })
  })

  it('of version 1.3, which names no version, connects as well', async () => {
    const socket = new Socket(`${ws}peerjs?key=peerjs&id=old&token=t`)
    expect(await socket.next()).toEqual({ type: 'OPEN' })
  })

  it('may have an id with a space, which browsers encode', async () => {
    await connect(ws, 'a%20b')
    expect(server.hub.ids()).toEqual(['a b'])
  })

  it('whose socket died takes its id back with its token, and the old socket is closed', async () => {
    const before = await connect(ws, 'alice')
    const after = await connect(ws, 'alice')
    expect(await before.ended).toBe(4001)
    const bob = await connect(ws, 'bob')
    bob.offer('alice')
    expect(await after.next()).toMatchObject({ type: 'OFFER', src: 'bob' })
  })

  it('is told ID-TAKEN and its socket is closed without a code', async () => {
    await connect(ws, 'alice')
    const thief = new Socket(peerjsUrl(ws, 'alice', { token: 'another' }))
    expect(await thief.next()).toEqual({ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } })
    expect(await thief.ended).toBe(1005)
  })

  it('that is torn off leaves its id reserved', async () => {
    const alice = await connect(ws, 'alice')
    alice.ws.terminate()
    await vi.waitUntil(() => !server.hub.has('alice'), { interval: 1 })
    const thief = new Socket(peerjsUrl(ws, 'alice', { token: 'another' }))
    expect(await thief.next()).toMatchObject({ type: 'ID-TAKEN' })
    await connect(ws, 'alice')
  })

  it('answers a ping by itself and stays, however silent its page is', async () => {
    await start({ alive_timeout: 1500 })
    const quiet = await connect(ws, 'quiet')
    const deaf = new Socket(peerjsUrl(ws, 'deaf'), { autoPong: false })
    await deaf.next()
    expect(await deaf.ended).toBe(4002)
    for (let i = 0; i < 3; i++) await once(quiet.ws, 'ping')
    expect(quiet.ws.readyState).toBe(quiet.ws.OPEN)
  })
})

describe('the HTTP endpoints', () => {
  it('say who this is', async () => {
    const response = await fetch(http.slice(0, -1))
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(await response.json()).toEqual({ name: 'peerbridge', description: expect.any(String), website: expect.any(String) })
  })

  it('give a new id each time, which no cache may keep', async () => {
    const [first, second] = await Promise.all([fetch(`${http}peerjs/id`), fetch(`${http}peerjs/id`)])
    expect(first.headers.get('cache-control')).toBe('no-store')
    expect(await first.text()).not.toBe(await second.text())
  })

  it('keep it to themselves who is here', async () => {
    expect((await fetch(`${http}peerjs/peers`)).status).toBe(401)
  })

  it('say who is here where discovery is allowed, to those who know the key', async () => {
    await start({ allow_discovery: true, key: 'mine' })
    await connect(ws, 'alice', { key: 'mine' })
    expect(await (await fetch(`${http}mine/peers`)).json()).toEqual(['alice'])
    expect((await fetch(`${http}peerjs/peers`)).status).toBe(401)
  })

  it.each([
    ['GET', 'elsewhere', 404], ['GET', 'peerjs/id/more', 404], ['GET', '../', 404], ['GET', '%2e%2e/%00', 404],
    ['POST', 'peerjs/id', 405], ['GET', 'peerjs', 426], ['HEAD', 'peerjs/id', 200],
  ])('answer %s %s with %i', async (method, path, status) => {
    expect((await fetch(http + path, { method, ...(method === 'POST' ? { body: 'x'.repeat(100_000) } : {}) })).status).toBe(status)
  })

  it('let pages of every origin in, and answer their preflight', async () => {
    const headers = { 'origin': 'https://app.example', 'access-control-request-headers': 'x-requested-with' }
    const response = await fetch(`${http}peerjs/id`, { headers })
    expect(response.headers.get('access-control-allow-origin')).toBe('https://app.example')
    const preflight = await fetch(`${http}peerjs/id`, { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-headers')).toBe('x-requested-with')
  })

  it('let only pages of the listed origins in, over WebSocket too', async () => {
    await start({ corsOptions: { origin: ['https://app.example'] } })
    const upgrade = (id: string, origin?: string) => new Socket(peerjsUrl(ws, id), origin ? { origin } : {}).upgraded()
    expect(await upgrade('a', 'https://app.example')).toBe(101)
    expect(await upgrade('b', 'https://evil.example')).toBe(403)
    expect(await upgrade('c')).toBe(101)
    const response = await fetch(`${http}peerjs/id`, { headers: { origin: 'https://evil.example' } })
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('let only pages of their own host in where no other origin is wanted', async () => {
    await start({ corsOptions: { origin: false } })
    expect(await new Socket(peerjsUrl(ws, 'a'), { origin: 'https://evil.example' }).upgraded()).toBe(403)
    expect(await new Socket(peerjsUrl(ws, 'b'), { origin: new URL(http).origin }).upgraded()).toBe(101)
  })
})

describe('behind a proxy', () => {
  const open = async (id: string, forwarded?: string) => {
    const socket = new Socket(peerjsUrl(ws, id), forwarded ? { headers: { 'x-forwarded-for': forwarded } } : {})
    return (await socket.next() as { type: string }).type
  }

  it('clients are told apart by what the proxy says, not by what they claim', async () => {
    await start({ proxied: true, address_limit: 1 })
    expect(await open('a', '192.0.2.1')).toBe('OPEN')
    expect(await open('b', '192.0.2.9, 192.0.2.1')).toBe('ERROR')
    expect(await open('c', '192.0.2.2')).toBe('OPEN')
  })

  it('there may be two of them', async () => {
    await start({ proxied: 2, address_limit: 1 })
    expect(await open('a', '192.0.2.7, 192.0.2.1, 10.0.0.1')).toBe('OPEN')
    expect(await open('b', '192.0.2.1:5000, 10.0.0.2')).toBe('ERROR')
  })

  it('that nobody told of, clients cannot talk themselves out of their address', async () => {
    await start({ address_limit: 1 })
    expect(await open('a', '192.0.2.1')).toBe('OPEN')
    expect(await open('b', '192.0.2.2')).toBe('ERROR')
  })

  it('too many requests from one address are answered with 429', async () => {
    await start({ address_rate_limit: 1, address_rate_burst: 2 })
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push((await fetch(`${http}peerjs/id`)).status)
    expect(statuses).toEqual([200, 200, 429])
  })

  it('pages may be allowed by patterns, and by a function that answers at once', async () => {
    const upgrade = (origin: string) => new Socket(peerjsUrl(ws, 'a'), { origin }).upgraded()
    await start({ corsOptions: { origin: [/\.example$/, 'https://other.test'], credentials: true, exposedHeaders: ['x-a', 'x-b'] } })
    expect([await upgrade('https://app.example'), await upgrade('https://other.test'), await upgrade('https://evil.test')]).toEqual([101, 101, 403])
    const { headers } = await fetch(`${http}peerjs/id`, { headers: { origin: 'https://app.example' } })
    expect([headers.get('access-control-allow-credentials'), headers.get('access-control-expose-headers')]).toEqual(['true', 'x-a,x-b'])
    await start({ corsOptions: { origin: (origin, callback) => callback(null, origin === 'https://app.example') } })
    expect([await upgrade('https://app.example'), await upgrade('https://evil.test')]).toEqual([101, 403])
  })
})

describe('bad input', () => {
  it.each([
    ['without id', 'peerjs?key=peerjs&token=t', 'No id, token, or key supplied to websocket server'],
    ['without anything', 'peerjs', 'No id, token, or key supplied to websocket server'],
    ['with a wrong key', 'peerjs?key=wrong&id=a&token=t', 'Invalid key provided'],
    ['with a broken escape', 'peerjs?key=peerjs&id=%E0%A4%A&token=t', expect.stringContaining('ID has to be')],
  ])('an upgrade %s is told what is wrong and closed', async (_what, query, msg) => {
    const socket = new Socket(ws + query)
    expect(await socket.next()).toMatchObject({ type: 'ERROR', payload: { msg } })
    expect(await socket.ended).toBe(1005)
  })

  it('an upgrade at another address is refused', async () => {
    expect(await new Socket(ws).ended).toBe(404)
    expect(await new Socket(`${ws}other?key=peerjs&id=a&token=t`).ended).toBe(404)
    expect(await new Socket(`${ws.replace('/myapp', '')}peerjs?key=peerjs&id=a&token=t`).ended).toBe(404)
  })

  it('of every kind on one socket leaves it and everybody else in peace', async () => {
    const alice = await connect(ws, 'alice')
    const bob = await connect(ws, 'bob')
    for (const frame of ['', 'hello', '{', 'null', '[]', '{"type":1}', '{"type":"OFFER","dst":{}}', `{"type":"OFFER","dst":"bob","payload":${'['.repeat(50_000)}`]) alice.send(frame)
    alice.send(Buffer.from([0, 159, 146, 150, 255]))
    alice.offer('bob', 'still here')
    expect(await bob.next()).toMatchObject({ payload: 'still here' })
    expect(bob.unread).toBe(0)
  })

  it('of 300 KiB is told by type and closed with 1009; of 2 MiB is closed while it arrives', async () => {
    const bob = await connect(ws, 'bob')
    const alice = await connect(ws, 'alice')
    alice.offer('bob', 'x'.repeat(300 * 1024))
    expect(await alice.next()).toMatchObject({ type: 'ERROR', payload: { type: 'message-too-big' } })
    expect(await alice.ended).toBe(1009)

    const carol = await connect(ws, 'carol')
    carol.offer('bob', 'x'.repeat(2 * 1024 * 1024))
    expect(await carol.ended).toBe(1009)

    const dave = await connect(ws, 'dave')
    dave.offer('bob', 'hello')
    expect(await bob.next()).toMatchObject({ src: 'dave', payload: 'hello' })
  })

  it('in a flood ends the flood and nothing else', async () => {
    await start({ rate_limit: 0.01, rate_burst: 100 })
    const alice = await connect(ws, 'alice')
    const flood = await connect(ws, 'flood')
    for (let i = 0; i < 5000; i++) flood.offer(`nobody ${i}`)
    expect(await flood.ended).toBe(1008)
    expect(server.hub.held).toBeLessThanOrEqual(100)
    alice.offer('alice', 'hello')
    expect(await alice.next()).toMatchObject({ payload: 'hello' })
  })

  it('below HTTP ends that connection and nothing else', async () => {
    for (const bytes of [
      'GARBAGE\r\n\r\n',
      'GET /myapp/peerjs?id=a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      'GET /myapp/peerjs?id=a HTTP/1.1\r\nHost: [[[\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n',
      'GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    ]) {
      const socket = connectTcp(listener.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      socket.write(bytes)
      await once(socket, 'close')
    }
    // A broken frame: reserved bits set, not masked.
    const alice = await connect(ws, 'alice')
    ;(alice.ws as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(Buffer.from([0xFF, 0x05, 1, 2, 3, 4, 5]))
    expect(await alice.ended).toBe(1002)
    await connect(ws, 'bob')
  })

  it('of a client that resets its connection during the upgrade does not end the process', async () => {
    for (let i = 0; i < 20; i++) {
      const socket = connectTcp(listener.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`GET /myapp/peerjs?key=peerjs&id=a${i}&token=t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`, () => socket.resetAndDestroy())
      await once(socket, 'close')
    }
    await connect(ws, 'bob')
  })
})

describe('messages between two clients', () => {
  /** Unmasked is as good as masked with zeros. */
  const frame = (text: string | Buffer, first = 0x81): Buffer => {
    const payload = Buffer.from(text)
    const { length } = payload
    const head = length < 126 ? [first, 128 | length] : [first, 254, length >> 8, length & 255]
    return Buffer.concat([Buffer.from(head), Buffer.alloc(4), payload])
  }
  const offer = (payload: unknown): string => JSON.stringify({ type: 'OFFER', payload, dst: 'bob' })
  const raw = (socket: Socket): NetSocket => (socket.ws as unknown as { _socket: NetSocket })._socket

  it('arrive in order, however their bytes are cut, and whatever is between them', async () => {
    const alice = await connect(ws, 'alice')
    const bob = await connect(ws, 'bob')
    const payloads = ['', 'a', 'x'.repeat(200), 'ü', { a: [1, { b: null }] }, 'y'.repeat(3000), [], 'z']
    const between = [frame('{"type":"HEARTBEAT"}'), frame('', 0x8a), frame('no JSON'), frame('{"type":"FUTURE"}')]
    const whole = Buffer.concat(payloads.flatMap((payload, i) => [frame(offer(payload)), between[i % between.length]!]))
    // One message in pieces.
    const cut = frame(offer('cut'))
    const pieces = Buffer.concat([frame(cut.subarray(6, 20), 0x01), frame('', 0x8a), frame(cut.subarray(20), 0x80)])
    for (const size of [1, 7, 64, 1000, 100_000]) {
      raw(alice).setNoDelay(true)
      for (let at = 0; at < whole.length; at += size) raw(alice).write(whole.subarray(at, at + size))
      raw(alice).write(pieces)
      for (const payload of [...payloads, 'cut']) expect(await bob.next()).toEqual({ type: 'OFFER', src: 'alice', dst: 'bob', payload })
    }
    expect(bob.unread).toBe(0)
  })

  it('arrive whole at one that reads slowly, while others go on', async () => {
    await start({ max_buffered: 64 * 1024 * 1024, rate_limit: 0 })
    const [alice, bob, carol] = [await connect(ws, 'alice'), await connect(ws, 'bob'), await connect(ws, 'carol')]
    raw(bob).pause()
    const count = 600
    for (let i = 0; i < count; i++) {
      alice.offer('bob', `${i} `.repeat(4000))
      alice.offer('carol', i)
      expect(await carol.next()).toMatchObject({ payload: i })
    }
    raw(bob).resume()
    for (let i = 0; i < count; i++) expect(await bob.next()).toMatchObject({ src: 'alice', payload: `${i} `.repeat(4000) })
  })

  it('may be heard at the socket by the application, too', async () => {
    const heard: string[] = []
    const { observer } = server.hub
    server.hub.observer = { ...observer, connection: ({ session }) => {
      (session?.link.socket as WebSocket).on('message', data => heard.push(String(data)))
    } }
    const alice = await connect(ws, 'alice')
    const bob = await connect(ws, 'bob')
    alice.offer('bob')
    expect(await bob.next()).toMatchObject({ type: 'OFFER' })
    expect(heard).toEqual(['{"type":"OFFER","payload":{"sdp":"v=0"},"dst":"bob"}'])
  })

  it('are told to who watches, as they are relayed', async () => {
    const told: unknown[] = []
    server.hub.observer = { message: (client, message) => told.push([client.id, message]) }
    const alice = await connect(ws, 'alice')
    const bob = await connect(ws, 'bob')
    alice.offer('bob')
    expect(await bob.next()).toMatchObject({ type: 'OFFER' })
    expect(told).toEqual([['alice', { type: 'OFFER', payload: { sdp: 'v=0' }, src: 'alice', dst: 'bob' }]])
  })

  it('after the goodbye of their sender are for nobody', async () => {
    const alice = await connect(ws, 'alice')
    const bob = await connect(ws, 'bob')
    raw(alice).write(Buffer.concat([frame(offer('before')), frame(Buffer.from([0x03, 0xe8]), 0x88), frame(offer('after'))]))
    expect(await alice.ended).toBe(1000)
    expect(await bob.next()).toMatchObject({ payload: 'before' })
    const carol = await connect(ws, 'carol')
    carol.offer('bob', 'end')
    expect(await bob.next()).toMatchObject({ payload: 'end' })
  })
})

describe('the server', () => {
  it('says goodbye when it closes and frees its port', async () => {
    const alice = await connect(ws, 'alice')
    await server.close()
    expect(await alice.ended).toBe(1001)
    const next = createSignalingServer()
    await next.listen({ port: listener.port, host: '127.0.0.1' })
    await next.close()
  })

  it('does not wait for ever for a client that does not answer its goodbye', async () => {
    const socket = connectTcp(listener.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /myapp/peerjs?key=peerjs&id=a&token=t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    await once(socket, 'data')
    await listener.close(50)
  })

  it('says so when its port is taken', async () => {
    await expect(createSignalingServer().listen({ port: listener.port, host: '127.0.0.1' })).rejects.toThrow('EADDRINUSE')
  })

  it('tells servers of Request and Response where the WebSocket hooks are', async () => {
    const id = await server.fetch(new Request('http://x/myapp/peerjs/id'))
    expect(await id.text()).toMatch(/^[0-9a-f-]{36}$/)
    const upgrade = await server.fetch(new Request('http://x/myapp/peerjs?id=a')) as Response & { crossws?: unknown }
    expect(upgrade.crossws).toBe(server.hooks)
  })
})

describe('a client over HTTP', () => {
  const lines = async (response: Response) => (await response.text()).split('\n').filter(Boolean).map(line => JSON.parse(line) as { type: string, payload?: unknown })
  const url = (kind: 'sse' | 'poll', id: string, query = '') => `${http}peerjs/${kind}?id=${id}&token=t&link=page.1&${query}`

  it('talks with one over WebSocket: polls', async () => {
    const bob = await connect(ws, 'bob')
    expect(await lines(await fetch(url('poll', 'alice')))).toEqual([{ type: 'OPEN', got: 0, n: 0 }])
    const waiting = fetch(url('poll', 'alice'))
    bob.offer('alice', 'hello')
    expect(await lines(await waiting)).toMatchObject([{ type: 'OPEN' }, { payload: 'hello', src: 'bob' }])
    const answer = await fetch(url('poll', 'alice', 'got=1&from=1'), { method: 'POST', body: '{"type":"ANSWER","dst":"bob","payload":"hi"}' })
    expect(await lines(answer)).toEqual([{ type: 'OPEN', got: 1, n: 1 }])
    expect(await bob.next()).toMatchObject({ type: 'ANSWER', src: 'alice', payload: 'hi' })
  })

  it('talks with one over WebSocket: an event stream, and the server notices when it is gone', async () => {
    await start({ path: '/myapp', absence_timeout: 20 })
    const bob = await connect(ws, 'bob')
    const cut = new AbortController()
    const response = await fetch(url('sse', 'alice'), { signal: cut.signal })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const until = async (what: string) => {
      while (!text.includes(what)) text += (await reader.read()).value
    }
    await until('OPEN')
    bob.offer('alice', 'hello')
    await until('hello')
    expect(server.hub.has('alice')).toBe(true)
    cut.abort()
    await vi.waitUntil(() => !server.hub.has('alice'), { interval: 1 })
  })

  it('is answered when the server closes', async () => {
    await fetch(url('poll', 'alice'))
    const waiting = fetch(url('poll', 'alice'))
    await vi.waitUntil(() => !!server.hub.has('alice'), { interval: 1 })
    const stream = await fetch(url('sse', 'bob'))
    await server.close()
    expect(await stream.text()).toContain('event: end\ndata: Server is going away')
    // Before or after it began to wait.
    await waiting.then(response => expect(response.status).toBe(410), (error: unknown) => expect(error).toBeInstanceOf(TypeError))
  })

  it('whose body is huge, slow or broken off hurts nobody', async () => {
    await fetch(url('poll', 'alice'))
    const post = new URL(url('poll', 'alice', 'from=1'))
    const head = `POST ${post.pathname}${post.search} HTTP/1.1\r\nHost: x\r\n`
    const huge = connectTcp(listener.port, '127.0.0.1')
    huge.on('error', () => {})
    huge.write(`${head}Content-Length: 1000000000\r\n\r\n`)
    const flood = setInterval(() => huge.write('x'.repeat(100_000)), 1)
    const [answer] = await once(huge, 'data') as [Buffer]
    clearInterval(flood)
    expect(String(answer)).toMatch(/^HTTP\/1.1 413 /)
    huge.destroy()

    const broken = connectTcp(listener.port, '127.0.0.1')
    broken.write(`${head}Content-Length: 1000\r\n\r\n{"type"`, () => broken.destroy())
    const slow = connectTcp(listener.port, '127.0.0.1')
    slow.on('error', () => {})
    slow.write(`${head}Content-Length: 1000\r\n\r\n{`)
    expect((await fetch(url('poll', 'alice', 'from=1'), { method: 'POST', body: 'not JSON at all\n' })).status).toBe(200)
    await connect(ws, 'bob')
    slow.destroy()
  })
})
