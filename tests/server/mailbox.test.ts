// The transports over HTTP in virtual time, as requests and answers without a socket.
import { describe, expect, it } from 'vitest'
import { respond } from '../../js/server/http.js'
import type { Body } from '../../js/server/request.js'
import type { SignalingServerOptions } from '../../js/server/options.js'
import { Client, World } from './world.js'

interface Asked { method?: string, body?: Body, headers?: Record<string, string>, signal?: AbortSignal, address?: string }

/** A client over HTTP that is told exactly what to ask. */
class HttpClient {
  got = 0
  sent = 0
  link = 1
  constructor(readonly world: World, readonly id: string, readonly token = `token of ${id}`, readonly session = 'page') {}

  async ask(kind: 'sse' | 'poll', query: Record<string, string | number> = {}, { method = 'GET', body, headers, signal, address }: Asked = {}): Promise<Response> {
    const all = new URLSearchParams({ id: this.id, token: this.token, link: `${this.session}.${this.link}`, got: String(this.got), sent: '0' })
    for (const [name, value] of Object.entries(query)) all.set(name, String(value))
    return respond(this.world.hub, {
      method, path: `/peerjs/${kind}?${all.toString()}`, headers: new Headers(headers), body, signal, address,
    })
  }

  /** Everything that a poll answers, and what it says of it. */
  async poll(query?: Record<string, string | number>, asked?: Asked): Promise<unknown[]> {
    return read(await this.ask('poll', query, asked))
  }

  post(lines: unknown[], query: Record<string, string | number> = {}, kind: 'sse' | 'poll' = 'poll'): Promise<Response> {
    const body = lines.map(line => typeof line === 'string' ? line : JSON.stringify(line)).join('\n')
    return this.ask(kind, { from: this.sent + 1, ...query }, { method: 'POST', body })
  }

  async stream(query?: Record<string, string | number>, asked?: Asked): Promise<Events> {
    const response = await this.ask('sse', query, asked)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    return new Events(response.body!)
  }
}

async function read(response: Response): Promise<unknown[]> {
  expect(response.status).toBe(200)
  return (await response.text()).split('\n').filter(Boolean).map(line => JSON.parse(line) as unknown)
}

/** An event stream, block by block. */
class Events {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #text = ''
  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader()
  }

  /** The next block as it is; null at the end. */
  async raw(): Promise<string | null> {
    for (;;) {
      const at = this.#text.indexOf('\n\n')
      if (at >= 0) {
        const block = this.#text.slice(0, at)
        this.#text = this.#text.slice(at + 2)
        return block
      }
      const { done, value } = await this.#reader.read()
      if (done) return null
      this.#text += new TextDecoder().decode(value)
    }
  }

  /** The next message. */
  async next(): Promise<unknown> {
    for (;;) {
      const block = await this.raw()
      if (block === null) return null
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (data !== undefined && !block.includes('event:')) return JSON.parse(data) as unknown
    }
  }

  cut(): Promise<void> {
    return this.#reader.cancel()
  }
}

const open = (n: number, got = 0) => ({ type: 'OPEN', got, n })
const offer = (dst: string, payload: unknown) => ({ type: 'OFFER', dst, payload })
const make = (options?: SignalingServerOptions) => new World(options)

describe('a client that polls', () => {
  it('gets OPEN at once, and is there', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    const response = await alice.ask('poll')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.text()).toBe('{"type":"OPEN","got":0,"n":0}\n')
    expect(world.hub.ids()).toEqual(['alice'])
  })

  it('gets messages in order, again until it confirms them, and then no more', async () => {
    const world = make({ poll_timeout: 0 })
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const bob = world.client('bob')
    for (const i of [1, 2]) bob.offer('alice', i)
    expect(await alice.poll()).toMatchObject([open(0), { payload: 1 }, { payload: 2 }])
    bob.offer('alice', 3)
    expect(await alice.poll()).toMatchObject([open(0), { payload: 1 }, { payload: 2 }, { payload: 3 }])
    alice.got = 2
    expect(await alice.poll()).toMatchObject([open(2), { payload: 3 }])
    alice.got = 3
    expect(await alice.poll()).toEqual([open(3)])
  })

  it('is held until there is something to say, and no longer than poll_timeout', async () => {
    const world = make({ poll_timeout: 25_000 })
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const held = alice.poll()
    const bob = world.client('bob')
    bob.offer('alice', 1)
    bob.offer('alice', 2)
    expect(await held).toMatchObject([open(0), { payload: 1 }, { payload: 2 }])
    alice.got = 2
    const empty = alice.poll()
    await Promise.resolve()
    world.pass(25_000)
    expect(await empty).toEqual([open(2)])
  })

  it('that asks twice at once has the first answer now, and the second when there is something', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const [first, second] = [alice.poll(), alice.poll()]
    expect(await first).toEqual([open(0)])
    world.client('bob').offer('alice', 1)
    expect(await second).toMatchObject([open(0), { payload: 1 }])
  })

  it('sends by POST, which answers what was taken and what there is', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const bob = world.client('bob')
    bob.read()
    bob.offer('alice', 'first')
    expect(await read(await alice.post([offer('bob', 1), offer('bob', 2), offer('alice', 'echo')]))).toMatchObject([open(0, 3), { payload: 'first' }, { payload: 'echo' }])
    expect(bob.read()).toMatchObject([{ src: 'alice', payload: 1 }, { src: 'alice', payload: 2 }])
  })

  it('is not taken twice at its word: a POST that is repeated delivers only what is new in it', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const bob = world.client('bob')
    bob.read()
    await alice.post([offer('bob', 1), offer('bob', 2)])
    await alice.post([offer('bob', 1), '{"type":"HEARTBEAT"}', offer('bob', 2), offer('bob', 3)])
    expect(bob.read()).toMatchObject([{ payload: 1 }, { payload: 2 }, { payload: 3 }])
    expect((await alice.post([offer('bob', 5)], { from: 5 })).status).toBe(409)
    expect(bob.read()).toEqual([])
  })

  it('is told ID-TAKEN, a wrong key and a full server', async () => {
    const world = make({ concurrent_limit: 1 })
    await new HttpClient(world, 'alice').poll()
    const thief = await new HttpClient(world, 'alice', 'another').ask('poll')
    expect(thief.status).toBe(410)
    expect(await thief.text()).toBe('{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}\n')
    expect(await (await new HttpClient(world, 'bob').ask('poll')).text()).toContain('concurrent user limit')
    const wrong = await respond(world.hub, { method: 'GET', path: '/wrong/poll?id=a&token=t&link=p.1', headers: new Headers() })
    expect(await wrong.text()).toContain('Invalid key')
  })

  it('that goes away without a word is silent after absence_timeout, and its messages wait for it', async () => {
    const world = make({ absence_timeout: 15_000 })
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const bob = world.client('bob')
    bob.read()
    bob.offer('alice', 1)
    world.pass(15_000)
    expect(world.hub.has('alice')).toBe(false)
    bob.offer('alice', 2)
    world.pass(50_000)
    expect(bob.read()).toEqual([])
    alice.link = 2
    expect(await alice.poll()).toMatchObject([open(0), { payload: 1 }, { payload: 2 }])
  })

  it('whose poll is cut off by its network gets the same messages with its next one', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const cut = new AbortController()
    const lost = alice.poll({}, { signal: cut.signal })
    await Promise.resolve()
    cut.abort()
    await lost
    world.client('bob').offer('alice', 1)
    expect(await alice.poll()).toMatchObject([open(0), { payload: 1 }])
  })

  it('says goodbye by POST and frees its id', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    expect((await alice.post([], { bye: 1 })).status).toBe(200)
    expect(world.client('alice', 'another').inbox).toEqual([{ type: 'OPEN' }])
    expect((await alice.ask('poll')).status).toBe(410)
  })

  it('that lets too much pile up is given up, and nobody\'s message is lost without a word', async () => {
    const world = make({ hold_limits: { destination_messages: 3, pair_messages: 2 }, reserve_timeout: 60_000 })
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const bob = world.client('bob')
    bob.read()
    for (let i = 1; i <= 6; i++) bob.offer('alice', i)
    expect(world.hub.has('alice')).toBe(false)
    world.pass(60_000)
    expect(bob.read()).toEqual([{ type: 'EXPIRE', src: 'alice', dst: 'bob' }])
    alice.link = 2
    expect(await alice.poll()).toMatchObject([open(0), { payload: 1 }, { payload: 2 }, { payload: 3 }])
  })
})

describe('a client with an event stream', () => {
  it('gets OPEN and then messages with their numbers', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    const events = await alice.stream()
    expect(await events.raw()).toBe('retry: 500')
    expect(await events.raw()).toBe('data: {"type":"OPEN","got":0,"n":0}')
    world.client('bob').offer('alice', 1)
    expect(await events.raw()).toBe('id: 1\ndata: {"type":"OFFER","payload":1,"src":"bob","dst":"alice"}')
  })

  it('sends by POST, which answers only what was taken', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    const events = await alice.stream()
    await events.next()
    expect(await (await alice.post([offer('alice', 1)], {}, 'sse')).text()).toBe('{"type":"OPEN","got":1}\n')
    expect(await events.next()).toMatchObject({ payload: 1 })
  })

  it('whose stream breaks off gets what it missed in the next one, once and in order', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    const events = await alice.stream()
    const bob = world.client('bob')
    bob.offer('alice', 1)
    bob.offer('alice', 2)
    for (let i = 0; i < 3; i++) await events.next()
    await events.cut()
    bob.offer('alice', 3)
    bob.offer('alice', 4)
    // As a browser comes back by itself: the address is the old one, the header says more.
    const again = await alice.stream({}, { headers: { 'last-event-id': '2' } })
    expect([await again.next(), await again.next(), await again.next()]).toMatchObject([open(2), { payload: 3 }, { payload: 4 }])
    bob.offer('alice', 5)
    expect(await again.raw()).toMatch(/^id: 5\n/)
  })

  it('has a comment in it every 15 seconds', async () => {
    const world = make()
    const events = await new HttpClient(world, 'alice').stream()
    await events.next()
    world.pass(15_000)
    expect(await events.raw()).toBe(':')
    world.pass(15_000)
    expect(await events.raw()).toBe(':')
  })

  it('that was refused is told why, and the stream ends with a reason', async () => {
    const world = make()
    world.client('alice')
    const events = await new HttpClient(world, 'alice', 'another').stream()
    await events.raw()
    expect(await events.raw()).toContain('ID-TAKEN')
    expect(await events.raw()).toMatch(/^event: end\ndata: ./)
    expect(await events.raw()).toBeNull()
  })

  it('is gone when nothing is heard: no stream for absence_timeout, or no message for alive_timeout', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await (await alice.stream()).cut()
    world.pass(15_000)
    expect(world.hub.size).toBe(0)
    const deaf = new HttpClient(world, 'deaf')
    const events = await deaf.stream()
    world.pass(70_000)
    expect(world.hub.size).toBe(0)
    for (;;) if (await events.raw() === null) break
  })

  it('that is not read is given up before it fills the memory', async () => {
    const world = make({ max_buffered: 100_000 })
    await new HttpClient(world, 'alice').stream()
    const bob = world.client('bob')
    for (let i = 0; i < 10; i++) bob.offer('alice', 'x'.repeat(20_000))
    expect(world.hub.has('alice')).toBe(false)
  })
})

describe('a client that moves between transports', () => {
  it('gets everything once and in order, from WebSocket to stream to polls and back', async () => {
    const world = make()
    const bob = world.client('bob')
    const progress = { session: 'page', link: 1, got: 0, sent: 0 }
    const ws = new Client(world.hub, 'alice', 'token of alice', 'peerjs', undefined, progress)
    bob.offer('alice', 1)
    bob.offer('alice', 2)
    expect(ws.texts[0]).toBe('{"type":"OPEN","got":0,"n":0}')
    ws.session?.receive('{"type":"HEARTBEAT","got":1}')
    ws.drop()
    bob.offer('alice', 3)

    const http = new HttpClient(world, 'alice')
    http.link = 2
    // The second got lost in the socket.
    http.got = 1
    const events = await http.stream()
    expect([await events.next(), await events.next(), await events.next()]).toMatchObject([open(1), { payload: 2 }, { payload: 3 }])
    http.got = 3
    http.link = 3
    const poll = http.poll()
    expect(await poll).toEqual([open(3)])
    for (;;) if (await events.raw() === null) break
    bob.offer('alice', 4)

    const back = new Client(world.hub, 'alice', 'token of alice', 'peerjs', undefined, { ...progress, link: 4, got: 3 })
    expect(back.inbox).toMatchObject([open(3), { payload: 4 }])
    expect((await http.ask('poll')).status).toBe(410)
    expect((await http.ask('sse', { link: 'page.2' })).status).toBe(204)
    expect(world.hub.has('alice')).toBe(true)
    expect(back.closedWith).toBeNull()
  })

  it('has its own messages counted across them', async () => {
    const world = make()
    const bob = world.client('bob')
    bob.read()
    const ws = new Client(world.hub, 'alice', 'token of alice', 'peerjs', undefined, { session: 'page', link: 1, got: 0, sent: 0 })
    ws.offer('bob', 1)
    ws.say('no JSON counts too')
    ws.say('{"type":"HEARTBEAT","got":0}')
    expect(ws.texts.at(-1)).toBe('{"type":"OPEN","got":2,"n":0}')
    ws.drop()
    const http = new HttpClient(world, 'alice')
    http.link = 2
    expect(await http.poll()).toEqual([open(0, 2)])
    await http.post([offer('bob', 1), '"x"', offer('bob', 3)], { from: 1 })
    expect(bob.read()).toMatchObject([{ payload: 1 }, { payload: 3 }])
  })

  it('is another one when its page was loaded anew, although its token is the same', async () => {
    const world = make()
    const bob = world.client('bob')
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    bob.offer('alice', 'for the old page')
    await alice.post([offer('bob', 1)])
    const again = new HttpClient(world, 'alice', alice.token, 'another-page')
    expect(await again.poll()).toEqual([open(0)])
  })

  it('is known to a server that was started anew by what it says', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    expect(await alice.poll({ got: 57, sent: 12 })).toEqual([open(57, 12)])
    world.client('bob').offer('alice', 'next')
    expect(await alice.poll({ got: 57, sent: 12 })).toMatchObject([open(57, 12), { payload: 'next' }])
  })

  it('gets what it missed within a minute, although its id was free for others meanwhile', async () => {
    const world = make({ reserve_timeout: 10_000, outage_timeout: 60_000 })
    const bob = world.client('bob')
    const ws = new Client(world.hub, 'alice', 'token of alice', 'peerjs', undefined, { session: 'page', link: 1, got: 0, sent: 0 })
    bob.offer('alice', 1)
    ws.drop()
    world.pass(55_000)
    bob.heartbeat()
    const http = new HttpClient(world, 'alice')
    http.link = 2
    expect(await http.poll()).toMatchObject([open(0), { payload: 1 }])
  })

  it('leaves nothing behind when it does not come back', async () => {
    const world = make()
    const bob = world.client('bob')
    new Client(world.hub, 'alice', 'token of alice', 'peerjs', undefined, { session: 'page', link: 1, got: 0, sent: 0 }).drop()
    const ws = new Client(world.hub, 'carol', 'token of carol', 'peerjs', undefined, { session: 'page', link: 1, got: 0, sent: 0 })
    bob.offer('carol', 1)
    ws.drop()
    bob.session?.closed(1001)
    world.pass(200_000)
    expect(world.timers).toBe(0)
    // Not for the next of that name, and not in memory.
    expect(new Client(world.hub, 'carol', 'token of carol', 'peerjs', undefined, { session: 'page', link: 2, got: 0, sent: 0 }).inbox).toEqual([open(0)])
  })
})

describe('bad input over HTTP', () => {
  it.each([
    ['no link', 'id=a&token=t'], ['a link that is none', 'id=a&token=t&link=x'], ['a link without a page', 'id=a&token=t&link=.1'],
  ])('a request with %s is refused', async (_what, query) => {
    const world = make()
    for (const kind of ['sse', 'poll']) expect((await respond(world.hub, { method: 'GET', path: `/peerjs/${kind}?${query}`, headers: new Headers() })).status).toBe(400)
    expect(world.hub.size).toBe(0)
  })

  it('numbers that are none are 0', async () => {
    expect(await new HttpClient(make(), 'alice').poll({ got: 'x', sent: '-1' })).toEqual([open(0)])
    expect(await new HttpClient(make(), 'alice').poll({ got: '9'.repeat(40) })).toEqual([open(0)])
  })

  it('a POST of a client that is not there, of the wrong token, without a number, with too many lines', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    expect((await alice.post([offer('bob', 1)])).status).toBe(410)
    await alice.poll()
    expect((await new HttpClient(world, 'alice', 'another').post([offer('bob', 1)])).status).toBe(410)
    expect((await alice.post([offer('bob', 1)], { from: 'x' })).status).toBe(400)
    expect((await alice.post([offer('bob', 1)], { from: 0 })).status).toBe(400)
    expect((await alice.post(Array<string>(2000).fill('{}'))).status).toBe(400)
    expect(world.hub.has('alice')).toBe(true)
  })

  it('lines of every kind hurt nobody', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const lines = ['hello', '{', 'null', '[]', '{"type":1}', '{"type":"OFFER","dst":{}}', '['.repeat(50_000), '\u0000\ufffd']
    expect(await read(await alice.post([...lines, offer('alice', 'still here')]))).toMatchObject([open(0, 9), { payload: 'still here' }])
  })

  it('a body above four times max_message is not read to its end', async () => {
    const world = make({ max_message: 1000 })
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => {
      pulled += 1
      controller.enqueue(new Uint8Array(1000))
    } })
    expect((await alice.ask('poll', { from: 1 }, { method: 'POST', body: endless })).status).toBe(413)
    expect(pulled).toBeLessThan(10)
    expect((await alice.ask('poll', { from: 1 }, { method: 'POST', body: 'x'.repeat(5000) })).status).toBe(413)
  })

  it('a body that does not come to its end is given up after 10 seconds', async () => {
    const world = make()
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const slow = alice.ask('poll', { from: 1 }, { method: 'POST', body: new ReadableStream<Uint8Array>() })
    await Promise.resolve()
    world.pass(10_000)
    expect((await slow).status).toBe(408)
  })

  it('a message above max_message ends the link with its error', async () => {
    const world = make({ max_message: 1000 })
    const alice = new HttpClient(world, 'alice')
    await alice.poll()
    const response = await alice.post([offer('bob', 'x'.repeat(1000)), offer('bob', 1)])
    expect(response.status).toBe(410)
    expect(await response.text()).toContain('message-too-big')
    expect((await alice.ask('poll')).status).toBe(410)
  })

  it('a page of another origin is refused', async () => {
    const world = make({ corsOptions: { origin: 'https://app.example' } })
    const alice = new HttpClient(world, 'alice')
    expect((await alice.ask('poll', {}, { headers: { origin: 'https://evil.example' } })).status).toBe(403)
    expect((await alice.ask('poll', {}, { headers: { origin: 'https://app.example' } })).status).toBe(200)
  })

  it('too many requests from one address are refused', async () => {
    const world = make({ address_rate_limit: 1, address_rate_burst: 3, poll_timeout: 0 })
    const alice = new HttpClient(world, 'alice')
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await alice.ask('poll', {}, { address: '192.0.2.1' })).status)
    expect(statuses.slice(-1)).toEqual([429])
  })
})

describe('a caller that does not want to wait', () => {
  it('is told at once that an id is not there, and nothing is held', () => {
    const world = make()
    const alice = world.client('alice')
    alice.read()
    alice.say({ type: 'OFFER', dst: 'bob', payload: 1, wait: false })
    expect(alice.read()).toEqual([{ type: 'EXPIRE', src: 'bob', dst: 'alice' }])
    expect(world.client('bob').inbox).toEqual([{ type: 'OPEN' }])
    alice.say({ type: 'OFFER', dst: 'bob', payload: 1, wait: false })
    expect(alice.read()).toEqual([])
  })
})
