// Several instances behind a real redis-server.
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createSignalingServer } from '../../js/server/index.js'
import type { SignalingServer, SignalingServerOptions } from '../../js/server/index.js'
import { CountedClient } from './counted.js'
import { RedisServer } from './redis.js'
import { Socket, connect, peerjsUrl } from './socket.js'

const redis = new RedisServer()
const servers: SignalingServer[] = []
const clients: CountedClient[] = []
/** Tests share a Redis and not what is in it. */
let key = 0

beforeAll(() => redis.start())
afterEach(async () => {
  for (const client of clients.splice(0)) client.end()
  await Promise.all(servers.splice(0).map(server => server.close()))
  key += 1
})
afterAll(() => redis.end())

interface Instance { server: SignalingServer, http: string, ws: string }

async function instance(options: SignalingServerOptions = {}): Promise<Instance> {
  const server = createSignalingServer({ redis: redis.url, key: `k${key}`, ...options })
  servers.push(server)
  const { url } = await server.listen({ port: 0, host: '127.0.0.1' })
  await vi.waitUntil(() => server.hub.redis === 'up', { interval: 1, timeout: 5000 })
  return { server, http: url, ws: url.replace(/^http/, 'ws') }
}

const instances = (count: number, options?: SignalingServerOptions) => Promise.all(Array.from({ length: count }, () => instance(options)))

const stock = (at: Instance, id: string, token?: string) => connect(at.ws, id, { key: `k${key}`, ...(token !== undefined && { token }) })
const url = (at: Instance, id: string, token: string) => peerjsUrl(at.ws, id, { key: `k${key}`, token })

function counted(id: string, at: Instance | Instance[], options?: ConstructorParameters<typeof CountedClient>[2]): CountedClient {
  const client = new CountedClient(id, [at].flat().map(({ ws }) => ws), { key: `k${key}`, ...options })
  clients.push(client)
  return client
}

const EXPIRE = (src: string, dst: string) => ({ type: 'EXPIRE', src, dst })

describe('instances with one Redis', () => {
  it('carry messages to each other\'s clients, those of PeerJS too', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const [alice, bob] = [await stock(one, 'alice'), await stock(two, 'bob')]
    alice.offer('bob', 'hello')
    expect(await bob.next()).toEqual({ type: 'OFFER', src: 'alice', dst: 'bob', payload: 'hello' })
    bob.send({ type: 'ANSWER', dst: 'alice', payload: 'hi' })
    expect(await alice.next()).toEqual({ type: 'ANSWER', src: 'bob', dst: 'alice', payload: 'hi' })
    alice.offer('alice', 'echo')
    expect(await alice.next()).toMatchObject({ src: 'alice', payload: 'echo' })
  })

  it('let an id be one client\'s', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const alice = await stock(one, 'alice')
    const thief = new Socket(url(two, 'alice', 'another'))
    expect(await thief.next()).toEqual({ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } })
    expect(await thief.ended).toBe(1005)
    alice.offer('alice')
    expect(await alice.next()).toMatchObject({ type: 'OFFER' })
  })

  it('let a client with its token move from one to the other at once, and close its old link', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const before = await stock(one, 'alice')
    const after = await stock(two, 'alice')
    expect(await before.ended).toBe(4001)
    const bob = await stock(one, 'bob')
    bob.offer('alice', 'where are you?')
    expect(await after.next()).toMatchObject({ payload: 'where are you?' })
    expect(one.server.hub.ids()).toEqual(['bob'])
  })

  it('keep an id reserved for its token after a drop, and free after a goodbye', async () => {
    const [one, two] = await instances(2, { reserve_timeout: 300 }) as [Instance, Instance]
    const torn = await stock(one, 'torn')
    torn.ws.terminate()
    await vi.waitUntil(() => !one.server.hub.has('torn'), { interval: 1 })
    expect(await new Socket(url(two, 'torn', 'another')).next()).toMatchObject({ type: 'ID-TAKEN' })
    const first = async () => (await new Socket(url(two, 'torn', 'another')).next() as { type: string }).type
    await vi.waitUntil(async () => await first() === 'OPEN', { interval: 20, timeout: 5000 })

    await (await stock(one, 'gone')).close()
    await vi.waitUntil(() => !one.server.hub.has('gone'), { interval: 1 })
    await stock(two, 'gone', 'another')
  })

  it('tell who is at any of them, where discovery is allowed, and give out ids that are nobody\'s anywhere', async () => {
    const ids = ['alice', 'fresh', 'fresh 2']
    const generateClientId = () => ids.shift()!
    const [one, two] = [await instance({ allow_discovery: true }), await instance({ allow_discovery: true, generateClientId })]
    await stock(one, 'alice')
    await stock(two, 'bob')
    expect((await (await fetch(`${one.http}k${key}/peers`)).json() as string[]).sort()).toEqual(['alice', 'bob'])
    expect(await (await fetch(`${two.http}k${key}/id`)).text()).toBe('fresh')
  })

  it('announce a client that says LEAVE to those it talked with, wherever they are', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const [alice, bob, carol] = [await stock(one, 'alice'), await stock(two, 'bob'), await stock(two, 'carol')]
    alice.offer('bob')
    expect(await bob.next()).toMatchObject({ type: 'OFFER' })
    alice.send({ type: 'LEAVE' })
    expect(await bob.next()).toEqual({ type: 'LEAVE', src: 'alice', dst: 'bob' })
    expect(await alice.ended).toBe(1000)
    expect(carol.unread).toBe(0)
  })

  it('tell a client why it is shown the door, and keep its id its own', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const alice = await stock(one, 'alice')
    alice.offer('nobody', 'x'.repeat(300 * 1024))
    expect(await alice.next()).toMatchObject({ type: 'ERROR', payload: { type: 'message-too-big' } })
    expect(await alice.ended).toBe(1009)
    expect(await new Socket(url(two, 'alice', 'another')).next()).toMatchObject({ type: 'ID-TAKEN' })
  })

  it('are applications of their own under keys of their own', async () => {
    const [one, two] = [await instance(), await instance({ key: `other${key}` })]
    const alice = await stock(one, 'alice')
    const other = await connect(two.ws, 'alice', { key: `other${key}`, token: 'another' })
    alice.offer('alice', 'mine')
    expect(await alice.next()).toMatchObject({ payload: 'mine' })
    expect(other.unread).toBe(0)
  })
})

describe('a message to an id that is nowhere', () => {
  it('waits in Redis and is delivered in order at whichever instance the id appears', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const alice = await stock(one, 'alice')
    for (const i of [1, 2, 3]) alice.offer('bob', i)
    const bob = await stock(two, 'bob')
    for (const i of [1, 2, 3]) expect(await bob.next()).toMatchObject({ src: 'alice', payload: i })
    const carol = counted('carol', one)
    await carol.opened()
    for (const i of [1, 2, 3]) carol.send('dave', i)
    const dave = counted('dave', two)
    await dave.until(() => dave.payloads().length === 3)
    expect(dave.payloads()).toEqual([1, 2, 3])
  })

  it('expires by its age, and its sender gets one EXPIRE, wherever it is then', async () => {
    const [one, two] = await instances(2, { expire_timeout: 300 }) as [Instance, Instance]
    const alice = counted('alice', one)
    await alice.opened()
    alice.send('bob', 1)
    alice.send('bob', 2)
    await alice.until(() => alice.confirmed === 2)
    alice.move(two.ws)
    await alice.until(() => alice.inbox.some(({ type }) => type === 'EXPIRE'))
    const carol = await stock(one, 'carol')
    carol.send({ type: 'CANDIDATE', dst: 'alice', payload: 'last' })
    await alice.until(() => alice.payloads().includes('last'))
    expect(alice.inbox.filter(({ type }) => type === 'EXPIRE')).toEqual([EXPIRE('bob', 'alice')])
    const bob = await stock(two, 'bob')
    expect(bob.unread).toBe(0)
  })

  it('is answered by EXPIRE at once when nobody shall wait for it, or the id cannot be', async () => {
    const one = await instance()
    const alice = await stock(one, 'alice')
    alice.send({ type: 'OFFER', dst: 'bob', wait: false })
    expect(await alice.next()).toEqual(EXPIRE('bob', 'alice'))
    alice.offer('a.b')
    expect(await alice.next()).toEqual(EXPIRE('a.b', 'alice'))
  })

  it('finds room for so many from one sender; the next is answered with EXPIRE, once', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const alice = await stock(one, 'alice')
    for (let i = 0; i < 80; i++) alice.offer('bob', i)
    expect(await alice.next()).toEqual(EXPIRE('bob', 'alice'))
    alice.offer('alice', 'echo')
    expect(await alice.next()).toMatchObject({ payload: 'echo' })
    const bob = await stock(two, 'bob')
    for (let i = 0; i < 64; i++) expect(await bob.next()).toMatchObject({ payload: i })
    alice.offer('bob', 'next')
    expect(await bob.next()).toMatchObject({ payload: 'next' })
  })
})

describe('a client that counts', () => {
  it('has nothing lost or doubled, however often it goes from one instance to another', async () => {
    const all = await instances(3)
    const [alice, bob] = [counted('alice', all[0]!), counted('bob', all[1]!)]
    await Promise.all([alice.opened(), bob.opened()])
    for (let i = 0; i < 60; i++) {
      alice.send('bob', i)
      bob.send('alice', i)
      if (i % 10 === 5) alice.move(all[i % 3]!.ws)
      if (i % 10 === 8) bob.move(all[i % 3]!.ws)
      await new Promise(resolve => setImmediate(resolve))
    }
    const everything = Array.from({ length: 60 }, (_, i) => i)
    await Promise.all([alice, bob].map(client => client.until(() => client.payloads().length >= 60 && client.confirmed === 60)))
    expect(alice.payloads()).toEqual(everything)
    expect(bob.payloads()).toEqual(everything)
  })

  it('gets what it missed while it was away, up to its bounds, at another instance', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const alice = counted('alice', one)
    const bob = await stock(two, 'bob')
    await alice.opened()
    alice.move('ws://127.0.0.1:9/')
    await vi.waitUntil(() => !one.server.hub.has('alice'), { interval: 1 })
    for (let i = 0; i < 20; i++) bob.send({ type: 'CANDIDATE', dst: 'alice', payload: i })
    alice.move(two.ws)
    await alice.until(() => alice.payloads().length === 20)
    expect(alice.payloads()).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  it('is served over HTTP too: polls at one instance, then at another', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const bob = await stock(two, 'bob')
    const lines = async (response: Response) => (await response.text()).split('\n').filter(Boolean).map(line => JSON.parse(line) as unknown)
    const poll = (at: Instance, link: number, query: string, init?: RequestInit) =>
      fetch(`${at.http}k${key}/poll?id=alice&token=t&link=page.${link}&${query}`, init).then(lines)
    expect(await poll(one, 1, 'got=0&sent=0')).toEqual([{ type: 'OPEN', got: 0, n: 0 }])
    const waiting = poll(one, 1, 'got=0&sent=0')
    bob.offer('alice', 'hello')
    expect(await waiting).toMatchObject([{ type: 'OPEN', got: 0, n: 0 }, { src: 'bob', payload: 'hello' }])
    const post = { method: 'POST', body: '{"type":"ANSWER","dst":"bob","payload":1}\n{"type":"ANSWER","dst":"bob","payload":2}' }
    expect(await poll(one, 1, 'got=0&sent=0&from=1', post)).toMatchObject([{ type: 'OPEN', got: 2 }, { payload: 'hello' }])
    expect(await poll(two, 2, 'got=0&sent=0')).toMatchObject([{ type: 'OPEN', got: 2, n: 0 }, { payload: 'hello' }])
    const next = { method: 'POST', body: 'taken before\n{"type":"ANSWER","dst":"bob","payload":3}' }
    expect(await poll(two, 2, 'got=1&sent=0&from=2', next)).toEqual([{ type: 'OPEN', got: 3, n: 1 }])
    for (const payload of [1, 2, 3]) expect(await bob.next()).toMatchObject({ type: 'ANSWER', src: 'alice', payload })
    expect(await fetch(`${one.http}k${key}/poll?id=alice&token=t&link=page.1&got=1&sent=0`).then(response => response.status)).toBe(410)
  })

  it('that is behind is refused when it comes later than its next link', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const late = (at: Instance, link: number) => new Socket(`${url(at, 'alice', 't')}&link=page.${link}&got=0&sent=0`)
    const current = late(one, 5)
    expect(await current.next()).toEqual({ type: 'OPEN', got: 0, n: 0 })
    expect(await late(two, 4).ended).toBe(4001)
    current.offer('alice', 'still here')
    expect(await current.next()).toMatchObject({ payload: 'still here' })
  })
})

describe('Redis that goes away', () => {
  it('and comes back is survived: clients stay connected, and what they send meanwhile is delivered once', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const [alice, bob] = [counted('alice', one), counted('bob', two)]
    const carol = await stock(one, 'carol')
    await Promise.all([alice.opened(), bob.opened()])
    alice.send('bob', 'before')
    await bob.until(() => bob.payloads().length === 1)
    await redis.kill()
    await vi.waitUntil(() => one.server.hub.redis === 'down' && two.server.hub.redis === 'down', { interval: 1 })
    for (let i = 0; i < 10; i++) alice.send('bob', i)
    carol.send({ type: 'CANDIDATE', dst: 'bob', payload: 'of carol' })
    expect((await fetch(`${one.http}k${key}/id`)).status).toBe(503)
    expect(await new Socket(url(one, 'dave', 't')).ended).toBe(1013)
    expect(alice.confirmed).toBeLessThanOrEqual(1)
    await redis.start()
    await bob.until(() => bob.payloads().length === 12)
    expect(bob.payloads().filter(payload => payload !== 'of carol')).toEqual(['before', ...Array.from({ length: 10 }, (_, i) => i)])
    await alice.until(() => alice.confirmed === 11)
    expect([alice.ends, bob.ends, carol.ws.readyState]).toEqual([[], [], carol.ws.OPEN])
    await stock(two, 'dave')
  })

  it('and comes back empty is told by the instances who is there, and what they have not', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const [alice, bob] = [counted('alice', one, { heartbeat: 60_000 }), counted('bob', two, { heartbeat: 60_000 })]
    const carol = await stock(two, 'carol')
    await Promise.all([alice.opened(), bob.opened()])
    alice.send('bob', 1)
    await bob.until(() => bob.payloads().length === 1)
    await redis.restartEmpty()
    alice.send('bob', 2)
    alice.send('carol', 'hello')
    await bob.until(() => bob.payloads().length === 2)
    expect(await carol.next()).toMatchObject({ src: 'alice', payload: 'hello' })
    bob.move(one.ws)
    alice.send('bob', 3)
    await bob.until(() => bob.payloads().length === 3)
    expect(bob.payloads()).toEqual([1, 2, 3])
    expect(alice.ends).toEqual([])
    expect(await new Socket(url(one, 'carol', 'another')).next()).toMatchObject({ type: 'ID-TAKEN' })
  })

  it('without a word is noticed, and left for another connection', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const [alice, bob] = [counted('alice', one), counted('bob', two)]
    await Promise.all([alice.opened(), bob.opened()])
    process.kill(redis.pid, 'SIGSTOP')
    try {
      alice.send('bob', 1)
      await vi.waitUntil(() => one.server.hub.redis === 'down', { interval: 5, timeout: 10_000 })
    }
    finally {
      process.kill(redis.pid, 'SIGCONT')
    }
    alice.send('bob', 2)
    await bob.until(() => bob.payloads().length === 2)
    expect(bob.payloads()).toEqual([1, 2])
    expect([alice.ends, bob.ends]).toEqual([[], []])
  })

  it('is held for within bounds: beyond, clients are closed and send again what was not confirmed', async () => {
    const [one, two] = await instances(2, { hold_limits: { total_bytes: 2000 } }) as [Instance, Instance]
    const [alice, bob] = [counted('alice', [one]), counted('bob', two)]
    await Promise.all([alice.opened(), bob.opened()])
    await redis.kill()
    await vi.waitUntil(() => one.server.hub.redis === 'down', { interval: 1 })
    for (let i = 0; i < 40; i++) alice.send('bob', `${i} ${'x'.repeat(100)}`)
    await alice.until(() => alice.ends.length > 0)
    expect(alice.ends[0]).toContain('1013')
    await redis.start()
    await bob.until(() => bob.payloads().length === 40)
    expect(bob.payloads().map(payload => parseInt(String(payload)))).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  it('at the start makes a server wait for it', async () => {
    await redis.kill()
    const server = createSignalingServer({ redis: redis.url, key: `k${key}` })
    servers.push(server)
    const { url: http } = await server.listen({ port: 0, host: '127.0.0.1' })
    expect(server.hub.redis).toBe('down')
    await redis.start()
    await vi.waitUntil(() => server.hub.redis === 'up', { interval: 1, timeout: 5000 })
    await connect(http.replace(/^http/, 'ws'), 'alice', { key: `k${key}` })
  })
})

describe('an instance that drains', () => {
  it('has its clients move over without a message lost or doubled', async () => {
    const [one, two] = await instances(2) as [Instance, Instance]
    const alice = counted('alice', [one, two])
    const bob = counted('bob', two)
    await Promise.all([alice.opened(), bob.opened()])
    for (let i = 0; i < 30; i++) {
      alice.send('bob', i)
      bob.send('alice', i)
    }
    const drained = one.server.drain()
    for (let i = 30; i < 60; i++) {
      alice.send('bob', i)
      bob.send('alice', i)
      if (i % 10 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await drained
    expect(await new Socket(url(one, 'carol', 't')).ended).toBe(1001)
    await Promise.all([alice, bob].map(client => client.until(() => client.payloads().length >= 60 && client.confirmed === 60)))
    const everything = Array.from({ length: 60 }, (_, i) => i)
    expect(alice.payloads()).toEqual(everything)
    expect(bob.payloads()).toEqual(everything)
    expect(alice.ends[0]).toContain('1001')
    expect(alice.inbox.filter(({ type }) => type === 'EXPIRE')).toEqual([])
  })

  it('is gone for the others at once', async () => {
    const [one, two] = await instances(2, { allow_discovery: true }) as [Instance, Instance]
    const alice = await stock(one, 'alice')
    await one.server.close()
    await alice.ended
    expect(await (await fetch(`${two.http}k${key}/peers`)).json()).toEqual([])
    await stock(two, 'alice')
  })
})

describe('a server without the package ioredis', () => {
  it('says so by type when it is to listen, and lets nobody in', async () => {
    vi.doMock('ioredis', () => { throw new Error('Cannot find package \'ioredis\'') })
    vi.resetModules()
    try {
      const { createSignalingServer } = await import('../../js/server/index.js')
      const server = createSignalingServer({ redis: 'redis://127.0.0.1' })
      await expect(server.listen({ port: 0 })).rejects.toMatchObject({ name: 'SignalingServerError', type: 'redis-not-installed' })
      expect(server.hub.redis).toBe('down')
      await server.close()
    }
    finally {
      vi.doUnmock('ioredis')
      vi.resetModules()
    }
  })

  it('refuses an address that is none', () => {
    expect(() => createSignalingServer({ redis: 'localhost:6379' })).toThrow('redis has to begin with')
  })
})
