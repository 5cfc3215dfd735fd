import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import nodeAdapter from 'crossws/adapters/node'
import { createSignalingServer } from '../../js/server/index.js'
import type { SignalingServer } from '../../js/server/index.js'
import { connect, peerjsUrl, Socket } from './socket.js'

// A server of somebody else's that speaks crossws 0.4; h3.test.ts has 0.3.
let server: SignalingServer
let ws: string
let stop: () => void

beforeEach(async () => {
  server = createSignalingServer({ path: '/signal' })
  const adapter = nodeAdapter({ hooks: server.hooks as never })
  const http = createServer().on('upgrade', (request, socket, head) => void adapter.handleUpgrade(request, socket as never, head))
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  ws = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/signal/`
  stop = () => {
    adapter.closeAll(1001, undefined, true)
    http.close()
  }
})
afterEach(async () => {
  await server.close()
  stop()
})

it('clients talk through the hooks, in every alphabet and length', async () => {
  const alice = await connect(ws, 'alice')
  const bob = await connect(ws, 'bob')
  for (const payload of ['', 'short', 'é', '漢字', 'x'.repeat(124), 'x'.repeat(126), 'x'.repeat(65_400), 'x'.repeat(65_600), 'ü'.repeat(40_000)]) {
    alice.offer('bob', payload)
    expect(await bob.next()).toEqual({ type: 'OFFER', src: 'alice', dst: 'bob', payload })
    bob.offer('alice', payload)
    expect(await alice.next()).toMatchObject({ src: 'bob', payload })
  }
})

it('who says goodbye frees its id, and a frame that no server should take ends its socket', async () => {
  const alice = await connect(ws, 'alice')
  await alice.close()
  expect(server.hub.has('alice')).toBe(false)
  const flood = await connect(ws, 'alice', { token: 'another' })
  flood.send('x'.repeat(2 * 1024 * 1024))
  expect(await flood.ended).toBe(1009)
})

it('an address that is not the endpoint is refused before it is a WebSocket', async () => {
  expect(await new Socket(peerjsUrl(ws.replace('signal', 'elsewhere'), 'a')).upgraded()).toBe(404)
})

// Bun and Deno themselves: npm run runtimes.
describe('on a runtime that is not Node', () => {
  /** A peer as crossws's adapters for Bun and Deno make it. */
  const foreign = (id: string, ws: object = {}, more: object = {}) => ({
    request: { url: `http://host/signal/peerjs?key=peerjs&id=${id}&token=t`, headers: new Headers() },
    _internal: { ws }, send: vi.fn(), close: vi.fn(), ...more,
  })
  const text = (message: object) => ({ text: () => JSON.stringify(message) })

  it('a socket that has no code for its adapter tells the end itself', () => {
    const ends: ((event: { code: number }) => void)[] = []
    const [leaves, drops] = ['leaves', 'drops'].map(id => foreign(id, { addEventListener: (_: string, fn: typeof ends[number]) => ends.push(fn) }))
    for (const [i, peer] of [leaves!, drops!].entries()) {
      server.hooks.open(peer)
      expect(peer.send).toHaveBeenCalledExactlyOnceWith('{"type":"OPEN"}')
      server.hooks.close(peer, {})
      expect(server.hub.has(peer === leaves ? 'leaves' : 'drops')).toBe(true)
      ends[i]!({ code: peer === leaves ? 1000 : 1006 })
    }
    const other = ['leaves', 'drops'].map(id => foreign(id))
    for (const peer of other) {
      peer.request.url = peer.request.url.replace('token=t', 'token=another')
      server.hooks.open(peer)
    }
    expect(other.map(({ send }) => send.mock.calls[0]![0])).toEqual(['{"type":"OPEN"}', '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}'])
  })

  it('where the runtime pings by itself, who is connected is alive', () => {
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const here = foreign('here', { readyState: 1 })
      const gone = foreign('gone', { readyState: 3 })
      const ping = vi.fn()
      const asked = foreign('asked', { readyState: 1 }, { ping })
      for (const peer of [here, gone, asked]) server.hooks.open(peer)
      for (; now < 80_000; now += 1000) vi.advanceTimersByTime(1000)
      expect(server.hub.ids()).toEqual(['here'])
      expect(ping).toHaveBeenCalled()
    }
    finally {
      vi.useRealTimers()
      vi.restoreAllMocks()
    }
  })

  it.each([
    ['Bun with crossws 0.3', { getBufferedAmount: () => 5e6 }, {}], ['Deno with crossws 0.3', { bufferedAmount: 5e6 }, {}], ['0.4', {}, { bufferedAmount: 5e6 }],
  ])('who reads too slowly is closed (%s)', (_, ws, more) => {
    const slow = foreign('slow', ws, more)
    const ada = foreign('ada')
    server.hooks.open(slow)
    server.hooks.open(ada)
    server.hooks.message(ada, text({ type: 'OFFER', payload: 'x', dst: 'slow' }))
    expect(slow.close).toHaveBeenCalledWith(1013, 'Reading too slowly')
  })

  it('a request that cannot say its address any more is no error', () => {
    const peer = foreign('ada')
    Object.defineProperty(peer, 'remoteAddress', { get() { throw new TypeError('Request closed') } })
    server.hooks.open(peer)
    expect(server.hub.has('ada')).toBe(true)
  })
})

it('a web server tells where a request comes from, so that one address can be bounded', async () => {
  const bounded = createSignalingServer({ address_rate_limit: 1, address_rate_burst: 2 })
  const ask = async (from?: { remoteAddress?: string }, ip?: string) =>
    (await bounded.fetch(Object.assign(new Request('http://host/'), ip && { ip }), from)).status
  expect([await ask({ remoteAddress: '10.0.0.1' }), await ask({ remoteAddress: '10.0.0.1' }), await ask({ remoteAddress: '10.0.0.1' })]).toEqual([200, 200, 429])
  expect([await ask(undefined, '10.0.0.1'), await ask({ remoteAddress: '10.0.0.2' }), await ask()]).toEqual([429, 200, 200])
  await bounded.close()
})
