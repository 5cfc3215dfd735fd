// Who may connect, on every transport.
import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createSignalingServer, createToken } from '../../js/server/index.js'
import type { AuthorizationRequest, SignalingServer, SignalingServerOptions } from '../../js/server/index.js'
import { verifyToken } from '../../js/server/tokens.js'
import { Socket, peerjsUrl } from './socket.js'

const secret = 'a secret that only this test knows'
let server: SignalingServer
let base: string

async function start(options: SignalingServerOptions): Promise<void> {
  server = createSignalingServer(options)
  const { url } = await server.listen({ port: 0, host: '127.0.0.1' })
  base = url
}
afterEach(async () => {
  vi.restoreAllMocks()
  await server?.close()
})

const query = (id: string, auth: string): string => `id=${id}&token=t&link=page.1&got=0&sent=0&auth=${encodeURIComponent(auth)}`

/** What the server says first, on each transport. */
const transports: [string, (id: string, auth: string) => Promise<unknown>][] = [
  ['a WebSocket', (id, auth) =>
    new Socket(`${peerjsUrl(base.replace('http', 'ws'), id)}&auth=${encodeURIComponent(auth)}`, { origin: 'https://app.example' }).next()],
  ['polls', async (id, auth) => {
    const response = await fetch(`${base}peerjs/poll?${query(id, auth)}`, { headers: { origin: 'https://app.example' } })
    return JSON.parse((await response.text()).split('\n')[0] ?? '')
  }],
  ['an event stream', async (id, auth) => {
    const response = await fetch(`${base}peerjs/sse?${query(id, auth)}`, { headers: { origin: 'https://app.example' } })
    const reader = response.body!.getReader()
    for (let text = ''; ;) {
      const { done, value } = await reader.read()
      text += new TextDecoder().decode(value)
      const [, data] = /^data: (.*)$/m.exec(text) ?? []
      if (data) {
        void reader.cancel()
        return JSON.parse(data)
      }
      if (done) throw new Error('the stream ended')
    }
  }],
]

const refusal = (msg: unknown): unknown => ({ type: 'ERROR', payload: { type: 'not-authorized', msg } })

describe.each(transports)('authorize, over %s', (_, connect) => {
  it('sees who asks, and lets in who it says', async () => {
    const asked: AuthorizationRequest[] = []
    await start({ authorize: (request) => { asked.push(request); return true } })
    expect(await connect('alice', 'open sesame')).toMatchObject({ type: 'OPEN' })
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ id: 'alice', key: 'peerjs', auth: 'open sesame', address: '127.0.0.1', origin: 'https://app.example', claims: null })
    expect(asked[0]?.headers.get('host')).toContain('127.0.0.1')
    expect(server.hub.has('alice')).toBe(true)
  })

  it.each<[string, () => unknown, string]>([
    ['false', () => false, 'Not authorized'],
    ['nothing', () => undefined, 'Not authorized'],
    ['null, later', () => Promise.resolve(null), 'Not authorized'],
    ['a text', () => 'Come back tomorrow', 'Come back tomorrow'],
    ['another id', () => Promise.resolve({ id: 'bob' }), 'Not authorized to have this id'],
  ])('keeps out whom it answers with %s, before anything is known of the client', async (_, verdict, msg) => {
    await start({ authorize: verdict as () => boolean })
    const connection = vi.fn()
    server.hub.observer = { connection }
    expect(await connect('alice', '')).toEqual(refusal(msg))
    expect([server.hub.size, connection.mock.calls.length]).toEqual([0, 0])
    // Not even its id is reserved.
    server.hub.options.authorize = () => true
    expect(await connect('alice', '')).toMatchObject({ type: 'OPEN' })
  })

  it.each<[string, () => never | Promise<never>]>([
    ['throws', () => { throw new Error('the database of users is at 10.0.0.3') }],
    ['rejects', () => Promise.reject(new Error('the database of users is at 10.0.0.3'))],
  ])('that %s lets nobody in, tells the operator why and the client nothing', async (_, authorize) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    await start({ authorize })
    expect(await connect('alice', '')).toEqual(refusal('Not authorized'))
    expect(log).toHaveBeenCalledWith(expect.any(String), expect.objectContaining({ message: 'the database of users is at 10.0.0.3' }))
  })

  it('is not asked for a token that is none, and sees what a good one says', async () => {
    const authorize = vi.fn(({ claims }: AuthorizationRequest) => claims?.rooms?.includes('lobby') ?? false)
    await start({ tokens: { secret }, authorize })
    expect(await connect('alice', 'nonsense')).toEqual(refusal('The token is not one of this server'))
    expect(await connect('alice', '')).toEqual(refusal('A token is missing'))
    expect(authorize).not.toHaveBeenCalled()
    expect(await connect('alice', createToken({ secret, id: 'alice', rooms: ['lobby'] }))).toMatchObject({ type: 'OPEN' })
  })

  it('a token is for its id only, and until it ends', async () => {
    await start({ tokens: { secret } })
    expect(await connect('mallory', createToken({ secret, id: 'alice' }))).toEqual(refusal('Not authorized to have this id'))
    expect(await connect('alice', createToken({ secret, id: 'alice', now: Date.now() - 61_000 }))).toEqual(refusal('The token has expired'))
    expect(await connect('alice', createToken({ secret, id: 'alice' }))).toMatchObject({ type: 'OPEN' })
  })
})

describe('authorize', () => {
  it('may take its time: what the client says meanwhile is not lost', async () => {
    let decide = (_: boolean): void => {}
    await start({ authorize: ({ id }) => id === 'slow' ? new Promise<boolean>((resolve) => { decide = resolve }) : true })
    const ws = base.replace('http', 'ws')
    const bob = new Socket(peerjsUrl(ws, 'bob'))
    expect(await bob.next()).toEqual({ type: 'OPEN' })
    const slow = new Socket(peerjsUrl(ws, 'slow'))
    expect(await slow.upgraded()).toBe(101)
    slow.offer('bob', 'early')
    slow.ws.ping()
    await new Promise(resolve => slow.ws.once('pong', resolve))
    expect(server.hub.has('slow')).toBe(false)
    decide(true)
    expect(await slow.next()).toEqual({ type: 'OPEN' })
    expect(await bob.next()).toMatchObject({ src: 'slow', payload: 'early' })
  })

  it('answers too late for who has left', async () => {
    let decide = (_: boolean): void => {}
    server = createSignalingServer({ authorize: () => new Promise<boolean>((resolve) => { decide = resolve }) })
    const said: string[] = []
    const peer = { request: { url: '/peerjs?key=peerjs&id=left&token=t' }, send: (text: string) => said.push(text), close: () => {} }
    server.hooks.open(peer)
    server.hooks.close(peer, { code: 1006 })
    decide(true)
    await new Promise(resolve => setImmediate(resolve))
    expect([server.hub.size, said]).toEqual([0, []])
  })

  it('is not asked more often than one address may connect', async () => {
    const authorize = vi.fn(() => true)
    await start({ authorize, address_rate_limit: 0.001, address_rate_burst: 5 })
    const ws = base.replace('http', 'ws')
    const said = await Promise.all(Array.from({ length: 20 }, (_, i) => new Socket(peerjsUrl(ws, `c${i}`)).next()))
    // Each paid once for its connection, though it was looked at before and after it was asked for.
    expect(authorize.mock.calls.length).toBe(5)
    expect(said.filter(message => (message as { type?: string }).type === 'OPEN').length).toBe(5)
    const limited = { type: 'ERROR', payload: { msg: 'Too many connections from this address, slow down', type: 'rate-limited' } }
    expect(said.filter(message => (message as { payload?: { type?: string } }).payload?.type === 'rate-limited')).toEqual(Array(15).fill(limited))
  })

  it('also says who may see the list of all ids', async () => {
    await start({ tokens: { secret }, allow_discovery: true })
    expect((await fetch(`${base}peerjs/peers`)).status).toBe(401)
    const list = await fetch(`${base}peerjs/peers?auth=${createToken({ secret })}`)
    expect([list.status, await list.json()]).toEqual([200, []])
  })

  it('has to be a function, and a secret has to be one', () => {
    expect(() => createSignalingServer({ authorize: true as never })).toThrow(TypeError)
    expect(() => createSignalingServer({ tokens: { secret: 'short' } })).toThrow(/32 bytes/)
    expect(() => createSignalingServer({ tokens: { secret: [] } })).toThrow(TypeError)
    expect(() => createToken({ secret: 'short' })).toThrow(/32 bytes/)
    expect(() => createToken({ secret, ttl: 0 })).toThrow(/ttl/)
  })
})

describe('a token', () => {
  const jwt = (header: unknown, claims: unknown, key = secret): string => {
    const signed = [header, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
  }
  const exp = Math.ceil(Date.now() / 1000) + 60
  const good = { alg: 'HS256' }

  it('may come from any library for JSON Web Tokens', () => {
    expect(verifyToken(jwt({ typ: 'JWT', alg: 'HS256' }, { sub: 'alice', exp, iat: exp - 60 }), { secret })).toEqual({ id: 'alice', expires: exp * 1000 })
  })

  it('is taken with the old secret while there are two', () => {
    const old = 'the secret that was used until yesterday'
    expect(verifyToken(createToken({ secret: old }), { secret: [secret, old] })).toMatchObject({ expires: expect.any(Number) })
    expect(verifyToken(createToken({ secret: old }), { secret })).toBe('The token is not one of this server')
  })

  it.each([
    ['no signature', `${jwt(good, { exp }).split('.').slice(0, 2).join('.')}.`],
    ['no algorithm', `${jwt({ alg: 'none' }, { exp }).split('.').slice(0, 2).join('.')}.`],
    ['the algorithm none, signed', jwt({ alg: 'none' }, { exp })],
    ['another algorithm', jwt({ alg: 'HS512' }, { exp })],
    ['a part more', `${jwt(good, { exp })}.x`],
    ['another secret', jwt(good, { exp }, 'x'.repeat(32))],
    ['a changed body', jwt(good, { exp }).replace(/\.[^.]+\./, `.${Buffer.from(JSON.stringify({ exp: exp + 9999 })).toString('base64url')}.`)],
    ['no end', jwt(good, { sub: 'alice' })],
    ['an end that is no number', jwt(good, { exp: '9999999999' })],
    ['a beginning that is to come', jwt(good, { exp, nbf: exp - 30 })],
    ['an id that is none', jwt(good, { exp, sub: 5 })],
    ['rooms that are none', jwt(good, { exp, rooms: 'lobby' })],
    ['a body that is no object', jwt(good, [exp])],
    ['more than fits', jwt(good, { exp, x: 'x'.repeat(5000) })],
    ['nothing', ''], ['dots', '..'], ['bytes', '\0.\u{1F600}.\ud800'],
  ])('with %s is none', (_, token) => {
    expect(verifyToken(token, { secret })).toEqual(expect.any(String))
  })
})
