// The same conversation with the npm package `peer` and with ours. What comes back is the same, except where it says so; what
// it says is also in docs/peerjs.md.
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo, Socket as TcpSocket } from 'node:net'
import { PeerServer as TheirPeerServer } from 'peer'
import { afterEach, describe, expect, it } from 'vitest'
import { PeerServer as OurPeerServer } from '../../js/server/index.js'
import type { PeerServerOptions } from '../../js/server/index.js'
import { Socket, peerjsUrl } from './socket.js'

const servers: { server: Server, sockets: Set<TcpSocket> }[] = []
const clients: Socket[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate()
  for (const { server, sockets } of servers.splice(0)) {
    server.close()
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  }
})

/** What is compared of an answer. */
interface Answer { status: number, type: string | null, body: string, cors: string | null, vary: string | null }

/** One running server, and what a script does with it. */
class Stage {
  constructor(readonly http: string) {}

  get ws(): string {
    return this.http.replace(/^http/, 'ws')
  }

  /** A WebSocket that was opened, whatever the server says then. */
  async client(id: string, options?: { key?: string, token?: string }): Promise<Socket> {
    return this.raw(peerjsUrl(this.ws, id, options))
  }

  async raw(url: string): Promise<Socket> {
    const socket = new Socket(url)
    clients.push(socket)
    await socket.upgraded()
    return socket
  }

  /** A client that has its OPEN. */
  async open(id: string, options?: { key?: string, token?: string }): Promise<Socket> {
    const socket = await this.client(id, options)
    expect(await socket.next()).toEqual({ type: 'OPEN' })
    return socket
  }

  async get(path: string, init?: RequestInit): Promise<Answer> {
    const response = await fetch(this.http + path, init)
    const { headers } = response
    return {
      status: response.status, type: headers.get('content-type'), body: await response.text(),
      cors: headers.get('access-control-allow-origin'), vary: headers.get('vary'),
    }
  }
}

type Options = Omit<PeerServerOptions, 'createWebSocketServer' | 'corsOptions'>

async function stages(options: Options = {}): Promise<{ theirs: Stage, ours: Stage }> {
  const start = (make: (options: never, callback: (server: Server) => void) => { on(event: 'error', listener: () => void): unknown }) => new Promise<Stage>((resolve) => {
    // Theirs ends the process without one.
    make({ port: 0, host: '127.0.0.1', path: '/myapp', ...options } as never, (server) => {
      const sockets = new Set<TcpSocket>()
      server.on('connection', socket => sockets.add(socket))
      servers.push({ server, sockets })
      resolve(new Stage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/myapp/`))
    }).on('error', () => {})
  })
  return { theirs: await start(TheirPeerServer as never), ours: await start(OurPeerServer as never) }
}

/** Plays it at both. */
async function play<T>(script: (stage: Stage) => Promise<T>, options?: Options): Promise<{ theirs: T, ours: T }> {
  const { theirs, ours } = await stages(options)
  return { theirs: await script(theirs), ours: await script(ours) }
}

async function same<T>(script: (stage: Stage) => Promise<T>, options?: Options): Promise<T> {
  const { theirs, ours } = await play(script, options)
  expect(ours).toEqual(theirs)
  return theirs
}

/** Messages until the socket is asked for one that it sends to itself. */
async function untilEcho(socket: Socket, id: string): Promise<unknown[]> {
  const heard: unknown[] = []
  socket.send({ type: 'CANDIDATE', dst: id, payload: 'echo' })
  for (;;) {
    const message = await socket.next() as { payload?: unknown }
    if (message.payload === 'echo') return heard
    heard.push(message)
  }
}

describe('the same as PeerServer', () => {
  it.each([
    ['no id', 'peerjs?key=peerjs&token=t'], ['no token', 'peerjs?key=peerjs&id=a'], ['no key', 'peerjs?id=a&token=t'], ['nothing', 'peerjs'],
    ['an empty id', 'peerjs?key=peerjs&id=&token=t'], ['another key', 'peerjs?key=wrong&id=a&token=t'],
  ])('a client with %s is told what is wrong, and closed', async (_what, query) => {
    const heard = await same(async (stage) => {
      const socket = await stage.raw(stage.ws + query)
      return [await socket.next(), await socket.ended]
    })
    expect(heard).toEqual([{ type: 'ERROR', payload: { msg: expect.any(String) as string } }, 1005])
  })

  it('an id that somebody has, with another token', async () => {
    const heard = await same(async (stage) => {
      await stage.open('alice')
      const thief = await stage.client('alice', { token: 'another' })
      return [await thief.next(), await thief.ended]
    })
    expect(heard).toEqual([{ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } }, 1005])
  })

  it('one client too many', async () => {
    const heard = await same(async (stage) => {
      const alice = await stage.open('alice')
      const bob = await stage.client('bob')
      const first = [await bob.next(), await bob.ended]
      await alice.close()
      return first
    }, { concurrent_limit: 1 })
    expect(heard[0]).toMatchObject({ payload: { msg: 'Server has reached its concurrent user limit' } })
  })

  it('an id that was left is free again', () => same(async (stage) => {
    await (await stage.open('alice')).close()
    return (await stage.client('alice', { token: 'another' })).next()
  }))

  it('what is relayed: five types, with exactly four members, src as it is', async () => {
    const heard = await same(async (stage) => {
      const alice = await stage.open('alice')
      const bob = await stage.open('bob')
      for (const type of ['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE', 'HEARTBEAT', 'OPEN', 'ERROR', 'ID-TAKEN', 'UNKNOWN', '', 1, null]) {
        alice.send({ type, src: 'mallory', dst: 'bob', payload: { n: [1, 'ä', null] }, more: true })
      }
      alice.send({ type: 'OFFER', dst: 'bob' })
      alice.send({ type: 'OFFER', dst: 'bob', payload: null })
      alice.send('{"type":"OFFER","dst":"bob","payload":{"__proto__":{"a":1},"big":12345678901234567890}}')
      await untilEcho(alice, 'alice')
      return untilEcho(bob, 'bob')
    })
    expect(heard).toHaveLength(8)
    expect(heard[0]).toEqual({ type: 'OFFER', src: 'alice', dst: 'bob', payload: { n: [1, 'ä', null] } })
  })

  it('a message to oneself', () => same(async (stage) => {
    const alice = await stage.open('alice')
    alice.offer('alice', 'hello')
    return alice.next()
  }))

  it('messages for one who is not there yet, in order, right behind OPEN', async () => {
    const heard = await same(async (stage) => {
      const alice = await stage.open('alice')
      for (const [i, type] of ['OFFER', 'CANDIDATE', 'LEAVE', 'EXPIRE', 'ANSWER', 'CANDIDATE'].entries()) alice.send({ type, dst: 'late', payload: i })
      await untilEcho(alice, 'alice')
      const late = await stage.open('late')
      return untilEcho(late, 'late')
    })
    expect(heard.map(message => (message as { payload: number }).payload)).toEqual([0, 1, 4, 5])
  })

  it('one EXPIRE for each sender and each id that does not come', () => same(async (stage) => {
    const alice = await stage.open('alice')
    for (const type of ['OFFER', 'CANDIDATE', 'CANDIDATE']) alice.send({ type, dst: 'nobody', payload: 1 })
    alice.offer('nobody else')
    const heard = [await alice.next(), await alice.next()]
    return [...heard, ...await untilEcho(alice, 'alice')].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
  }, { expire_timeout: 40, cleanup_out_msgs: 10 }))

  it('LEAVE to nobody frees the id', () => same(async (stage) => {
    const alice = await stage.open('alice')
    alice.send({ type: 'LEAVE' })
    const heard: unknown[] = []
    // The first that finds it free says when the LEAVE was handled.
    for (let i = 0; ; i++) {
      const next = await stage.client('alice', { token: `t${i}` })
      const { type } = await next.next() as { type: string }
      if (type === 'OPEN') return [...heard, type]
      await next.ended
    }
  }))

  it('frames that are nothing leave the socket open', () => same(async (stage) => {
    const alice = await stage.open('alice')
    for (const frame of ['', 'hello', '{', '[]', '"text"', '5', 'null', 'true', '{"type":1}', '{"type":"OFFER"}', '{"type":"OFFER","dst":""}', '{"type":"OFFER","dst":null}']) alice.send(frame)
    return untilEcho(alice, 'alice')
  }))

  it('a client in silence is closed after alive_timeout, and its id is free after it', async () => {
    const heard = await play(async (stage) => {
      const alice = new Socket(peerjsUrl(stage.ws, 'alice'), { autoPong: false })
      clients.push(alice)
      await alice.next()
      await alice.ended
      return (await stage.client('alice')).next()
    }, { alive_timeout: 60 })
    expect(heard).toEqual({ theirs: { type: 'OPEN' }, ours: { type: 'OPEN' } })
  })

  it.each([
    ['GET', ''], ['GET', 'peerjs/peers'], ['GET', 'anything/peers'], ['HEAD', 'peerjs/id/'],
  ])('status and headers of %s %j', async (method, path) => {
    await same(async stage => ({ ...await stage.get(path, { method }), body: '' }))
  })

  it('an id: a new UUID, as text/html, whatever the key', async () => {
    const { theirs, ours } = await play(stage => stage.get('whatever/id?ts=17000000000000.5&version=1.5.5'))
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(theirs.body).toMatch(uuid)
    expect(ours.body).toMatch(uuid)
    expect({ ...ours, body: '' }).toEqual({ ...theirs, body: '' })
  })

  it('an id of one\'s own making', async () => {
    expect((await same(stage => stage.get('peerjs/id'), { generateClientId: () => 'mine' })).body).toBe('mine')
  })

  it('who is here, where discovery is allowed', async () => {
    expect(await same(async (stage) => {
      for (const id of ['alice', 'bob']) await stage.open(id)
      return stage.get('peerjs/peers')
    }, { allow_discovery: true })).toMatchObject({ status: 200, body: '["alice","bob"]', type: 'application/json; charset=utf-8' })
  })

  it('who is here, where it is not', async () => {
    expect(await same(stage => stage.get('peerjs/peers'))).toMatchObject({ status: 401, body: 'Unauthorized', type: 'text/plain; charset=utf-8' })
  })

  it('any page may ask: CORS, preflight included', async () => {
    const headers = { 'origin': 'https://app.example', 'access-control-request-method': 'GET', 'access-control-request-headers': 'x-requested-with' }
    expect(await same(stage => stage.get('peerjs/peers', { headers }))).toMatchObject({ cors: 'https://app.example', vary: 'Origin' })
    expect(await same(stage => stage.get('peerjs/id', { method: 'OPTIONS', headers }).then(({ status, body, cors }) => ({ status, body, cors }))))
      .toEqual({ status: 204, body: '', cors: 'https://app.example' })
  })

  it('below its path only', () => same(async stage => (await fetch(new URL('/', stage.http))).status))
})

describe('other than PeerServer, on purpose:', () => {
  it('a client that comes back with its token gets OPEN again, and its old socket is closed', async () => {
    const { theirs, ours } = await play(async (stage) => {
      const before = await stage.open('alice')
      const after = await stage.client('alice')
      const [first] = [...await untilEcho(after, 'alice')]
      return { first, before: before.ws.readyState }
    })
    expect(theirs).toEqual({ first: undefined, before: 1 })
    expect(ours.first).toEqual({ type: 'OPEN' })
    expect(ours.before).toBeGreaterThan(1)
  })

  it('an id stays its token\'s for a while when its socket drops', async () => {
    const { theirs, ours } = await play(async (stage) => {
      const alice = await stage.open('alice')
      alice.ws.terminate()
      await alice.ended
      let type = ''
      // The server may learn of the drop a little later; ours says no long after it did.
      for (let i = 0; i < 20 && type !== 'OPEN'; i++) type = (await (await stage.client('alice', { token: 'another' })).next() as { type: string }).type
      return type
    })
    expect({ theirs, ours }).toEqual({ theirs: 'OPEN', ours: 'ID-TAKEN' })
  })

  it('an id that PeerJS does not allow is refused', async () => {
    const { theirs, ours } = await play(async stage => (await stage.client('%3Cwe ird%3E')).next())
    expect(theirs).toEqual({ type: 'OPEN' })
    expect(ours).toMatchObject({ type: 'ERROR', payload: { type: 'invalid-id' } })
  })

  it('an id that nobody can have is answered with EXPIRE at once', async () => {
    const { ours } = await stages()
    const alice = await ours.open('alice')
    alice.offer('no such/id')
    expect(await alice.next()).toEqual({ type: 'EXPIRE', src: 'no such/id', dst: 'alice' })
  })

  it('a message of 300 KiB is refused, its sender closed; theirs relays up to 100 MiB', async () => {
    const { theirs, ours } = await play(async (stage) => {
      const bob = await stage.open('bob')
      const alice = await stage.open('alice')
      alice.offer('bob', 'x'.repeat(300 * 1024))
      const heard = await Promise.race([bob.next(), alice.next()]) as { type: string, payload: { type?: string } }
      return [heard.type, heard.payload.type]
    })
    expect(theirs).toEqual(['OFFER', undefined])
    expect(ours).toEqual(['ERROR', 'message-too-big'])
  })

  it('who left by LEAVE cannot take the id with its socket from whoever has it next', async () => {
    const { theirs, ours } = await play(async (stage) => {
      const bob = await stage.open('bob')
      const zombie = await stage.open('alice')
      zombie.send({ type: 'LEAVE' })
      let next = await stage.client('alice', { token: 'next' })
      while ((await next.next() as { type: string }).type !== 'OPEN') {
        await next.ended
        next = await stage.client('alice', { token: 'next' })
      }
      await zombie.close()
      await untilEcho(bob, 'bob')
      bob.offer('alice', 'hello')
      return (await Promise.race([next.next(), bob.next()]) as { type: string }).type
    }, { expire_timeout: 40, cleanup_out_msgs: 10 })
    expect({ theirs, ours }).toEqual({ theirs: 'EXPIRE', ours: 'OFFER' })
  })

  it('who lists peers has to know the key', async () => {
    const { theirs, ours } = await play(async stage => (await stage.get('wrong/peers')).status, { allow_discovery: true })
    expect({ theirs, ours }).toEqual({ theirs: 200, ours: 401 })
  })

  it.each([
    ['GET', 'nothing/here', 404, 404], ['POST', 'peerjs/id', 404, 405], ['GET', 'peerjs', 404, 426],
  ])('%s %s: %i there, %i here', async (method, path, their, our) => {
    expect(await play(async stage => (await stage.get(path, { method })).status)).toEqual({ theirs: their, ours: our })
  })

  it('who is this: the same members, another name', async () => {
    const { theirs, ours } = await play(async stage => JSON.parse((await stage.get('')).body) as Record<string, string>)
    expect(Object.keys(ours)).toEqual(Object.keys(theirs))
    expect([theirs.name, ours.name]).toEqual(['PeerJS Server', 'peerbridge'])
  })

  it('a page of any origin may connect there; here only those that may use HTTP', async () => {
    const upgrade = async (stage: Stage) => {
      const socket = new Socket(peerjsUrl(stage.ws, 'alice'), { origin: 'https://evil.example' })
      clients.push(socket)
      return socket.upgraded()
    }
    expect(await play(upgrade, { corsOptions: { origin: 'https://app.example' } } as Options)).toEqual({ theirs: 101, ours: 403 })
  })

  it('a flood ends with 1008; theirs takes all of it', async () => {
    const { theirs, ours } = await play(async (stage) => {
      const flood = await stage.open('flood')
      for (let i = 0; i < 1500; i++) flood.send({ type: 'CANDIDATE', dst: 'flood', payload: i })
      const heard: string[] = []
      for (let i = 0; i < 1500; i++) {
        const message = await flood.next() as { type: string, payload: { type?: string } }
        heard.push(message.type)
        if (message.type === 'ERROR') return message.payload.type
      }
      return heard.length
    })
    expect({ theirs, ours }).toEqual({ theirs: 1500, ours: 'rate-limited' })
  })
})
