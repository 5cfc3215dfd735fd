// A server that was written for the npm package `peer`, with its import changed.
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import express from 'express'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { ExpressPeerServer, PeerServer } from '../../js/server/index.js'
import type { PeerServerApp, PeerServerClient, PeerServerOptions } from '../../js/server/index.js'
import { Socket as Client, connect, peerjsUrl } from './socket.js'

const servers = new Map<Server, Set<Socket>>()
afterEach(async () => {
  for (const [server, sockets] of servers) {
    server.close()
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  }
  servers.clear()
})

/** WebSockets outlive the end of their server, so a test has to know them. */
function tidy(server: Server): void {
  const sockets = new Set<Socket>()
  servers.set(server, sockets)
  server.on('connection', socket => sockets.add(socket))
}

async function listening(server: Server): Promise<string> {
  tidy(server)
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function start(options: PeerServerOptions = {}): Promise<{ app: PeerServerApp, http: string, ws: string }> {
  return new Promise((resolve) => {
    const app = PeerServer({ port: 0, host: '127.0.0.1', ...options }, (server) => {
      tidy(server as Server)
      const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}${app.hub.options.path}`
      resolve({ app, http, ws: http.replace(/^http/, 'ws') })
    })
  })
}

/** Everything that is told, in order. */
function record(app: PeerServerApp): { told: unknown[][], next(name: string): Promise<unknown[]> } {
  const told: unknown[][] = []
  const news = new EventEmitter()
  const note = (...what: unknown[]) => {
    told.push(what)
    news.emit('news')
  }
  app.on('connection', client => note('connection', client.getId()))
  app.on('disconnect', client => note('disconnect', client.getId()))
  app.on('message', (client, message) => note('message', client.getId(), message))
  app.on('error', error => note('error', error.message))
  return {
    told,
    async next(name) {
      for (;;) {
        const found = told.findIndex(([what]) => what === name)
        if (found >= 0) return told.splice(found, 1)[0]!
        await once(news, 'news')
      }
    },
  }
}

describe('PeerServer()', () => {
  it('calls back with its HTTP server and serves below its path', async () => {
    const { http, ws } = await start({ path: 'myapp', key: 'mine' })
    expect(http).toMatch(/\/myapp\/$/)
    expect((await fetch(http)).status).toBe(200)
    expect((await fetch(`${http}mine/id`)).status).toBe(200)
    await connect(ws, 'alice', { key: 'mine' })
  })

  it('has the defaults of PeerServer\'s library', async () => {
    const { app } = await start()
    expect(app.hub.options).toMatchObject({ alive_timeout: 90_000, expire_timeout: 5000, concurrent_limit: 5000, key: 'peerjs', path: '/', cleanup_out_msgs: 1000 })
  })

  it('tells who comes, what they say and that they go, always with the same client', async () => {
    const { app, ws } = await start()
    const { next } = record(app)
    const seen = new Set<PeerServerClient>()
    for (const name of ['connection', 'disconnect', 'message'] as const) app.on(name, (client: PeerServerClient) => seen.add(client))
    const before = Date.now()
    const alice = await connect(ws, 'alice')
    expect(await next('connection')).toEqual(['connection', 'alice'])
    alice.send({ type: 'OFFER', src: 'somebody else', dst: 'bob', payload: 1 })
    expect(await next('message')).toEqual(['message', 'alice', { type: 'OFFER', src: 'alice', dst: 'bob', payload: 1 }])
    alice.send({ type: 'HEARTBEAT' })
    expect(await next('message')).toEqual(['message', 'alice', { type: 'HEARTBEAT', src: 'alice' }])
    const [client] = seen
    expect(client).toMatchObject({ getToken: expect.any(Function) as unknown })
    expect(client!.getToken()).toBe('token-of-alice')
    expect(client!.getLastPing()).toBeGreaterThanOrEqual(Math.floor(before) - 1)
    expect((client!.getSocket() as { readyState: number }).readyState).toBe(1)
    client!.send({ type: 'ANSWER', src: 'the server', payload: 'hello' })
    expect(await alice.next()).toEqual({ type: 'ANSWER', src: 'the server', payload: 'hello' })
    await alice.close()
    expect(await next('disconnect')).toEqual(['disconnect', 'alice'])
    expect(seen.size).toBe(1)
    expect(client!.getSocket()).toBeNull()
    client!.send('nobody is there')
  })

  it('tells an error for what is no JSON, and goes on when nobody listens for errors', async () => {
    const { app, ws } = await start()
    const alice = await connect(ws, 'alice')
    alice.send('this is no JSON')
    alice.offer('alice', 'still here')
    expect(await alice.next()).toMatchObject({ payload: 'still here' })

    const { next } = record(app)
    alice.send('[1, 2')
    expect(await next('error')).toEqual(['error', expect.stringContaining('alice')])
  })

  it('lets an error of the application\'s own listener be the application\'s, and relays the message all the same', async () => {
    const { app, ws } = await start()
    app.once('message', () => { throw new Error('a mistake of the application') })
    const alice = await connect(ws, 'alice')
    // The runner would fail the test for it, as it should everywhere else.
    const runner = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const thrown = new Promise(resolve => process.once('uncaughtException', resolve))
    alice.offer('alice', 'hello')
    expect(await alice.next()).toMatchObject({ payload: 'hello' })
    expect(await thrown).toMatchObject({ message: 'a mistake of the application' })
    for (const listener of runner) process.on('uncaughtException', listener)
  })

  it('takes a WebSocketServer of the application', async () => {
    const made: string[] = []
    const { app, ws } = await start({
      path: '/myapp',
      corsOptions: { origin: ['https://app.example'] },
      createWebSocketServer(options) {
        made.push(options.path)
        return new WebSocketServer(options)
      },
    })
    const { next } = record(app)
    expect(made).toEqual(['/myapp/peerjs'])
    const alice = await connect(ws, 'alice')
    alice.offer('alice', 'hello')
    expect(await alice.next()).toMatchObject({ payload: 'hello' })
    await alice.close()
    expect(await next('disconnect')).toEqual(['disconnect', 'alice'])
    expect(await new Client(peerjsUrl(ws, 'bob'), { origin: 'https://evil.example' }).ended).toBe(1008)
  })
})

describe('ExpressPeerServer()', () => {
  it('serves below the mount path of Express and its own, and leaves everything else to the application', async () => {
    const app = express()
    const server = createServer(app)
    const peerServer = ExpressPeerServer(server, { path: '/myapp', allow_discovery: true })
    app.use('/peerjs', peerServer)
    app.get('/', (_request, response) => void response.send('Hello world!'))
    app.get('/peerjs/more', (_request, response) => void response.send('more'))
    const url = await listening(server)
    expect(await (await fetch(url)).text()).toBe('Hello world!')
    expect(await (await fetch(`${url}/peerjs/more`)).text()).toBe('more')
    expect((await fetch(`${url}/peerjs/other`)).status).toBe(404)
    expect(await (await fetch(`${url}/peerjs/myapp`)).json()).toMatchObject({ name: 'peerbridge' })
    expect(await (await fetch(`${url}/peerjs/myapp/peerjs/id?ts=1`)).text()).toMatch(/^[0-9a-f-]{36}$/)
    await connect(`${url.replace(/^http/, 'ws')}/peerjs/myapp/`, 'alice')
    expect(await (await fetch(`${url}/peerjs/myapp/peerjs/peers`)).json()).toEqual(['alice'])
    expect(peerServer.hub.has('alice')).toBe(true)
  })

  it('serves below an application within an application', async () => {
    const app = express()
    const inner = express()
    const server = createServer(app)
    app.use('/outer', inner)
    inner.use('/inner', ExpressPeerServer(server))
    const url = await listening(server)
    expect((await fetch(`${url}/outer/inner/peerjs/id`)).status).toBe(200)
    await connect(`${url.replace(/^http/, 'ws')}/outer/inner/`, 'alice')
  })

  it('leaves WebSockets of other paths to whom they belong', async () => {
    const app = express()
    const server = createServer(app)
    app.use('/peerjs', ExpressPeerServer(server))
    const other = new WebSocketServer({ noServer: true })
    const url = (await listening(server)).replace(/^http/, 'ws')
    expect(await new Client(`${url}/other`).ended).toBe(400)
    server.on('upgrade', (request, socket, head) => {
      if (request.url === '/other') other.handleUpgrade(request, socket, head, ws => ws.send('"theirs"'))
    })
    expect(await new Client(`${url}/other`).next()).toBe('theirs')
    await connect(`${url}/peerjs/`, 'alice')
  })

  it('says what it needs', () => {
    expect(() => express().use('/peerjs', ExpressPeerServer(undefined as never))).toThrow('HTTP server')
    expect(() => express().use('/peerjs', ExpressPeerServer(createServer(), { key: 'a/b' }))).toThrow('key has to be')
  })

  it('ends with its server', async () => {
    const app = express()
    const server = createServer(app)
    const peerServer = ExpressPeerServer(server)
    app.use('/peerjs', peerServer)
    const url = (await listening(server)).replace(/^http/, 'ws')
    const alice = await connect(`${url}/peerjs/`, 'alice')
    const gone = vi.fn()
    peerServer.on('disconnect', gone)
    await alice.close()
    await vi.waitUntil(() => gone.mock.calls.length === 1, { interval: 1 })
  })
})
