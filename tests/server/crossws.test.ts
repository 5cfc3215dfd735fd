import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
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
