/** One signaling server in a process of its own: `node --expose-gc server.js <lane> <file of our server> [Redis]`. Tells its port. */
import process from 'node:process'
import { pathToFileURL } from 'node:url'

const [lane, file, redis] = process.argv.slice(2)
// No limit that the measurement would meet, but none switched off: looking at them is part of what a message costs.
const options = { path: '/', concurrent_limit: 50_000, alive_timeout: 600_000 }
const host = '127.0.0.1'

async function ours() {
  const { createSignalingServer } = await import(pathToFileURL(file).href)
  const generous = 1e9
  return createSignalingServer({
    ...options, rate_limit: generous, rate_burst: generous, address_rate_limit: generous, address_rate_burst: generous,
    ...(redis && { redis }),
  })
}

const start = {
  async peerbridge() {
    const server = await ours()
    const { port } = await server.listen({ port: 0, host })
    while (server.hub.redis === 'down') await new Promise(resolve => setTimeout(resolve, 20))
    return port
  },
  /** As an application that brings its own WebSockets. */
  async crossws() {
    const { default: nodeAdapter } = await import('crossws/adapters/node')
    const { createServer } = await import('node:http')
    const adapter = nodeAdapter({ hooks: (await ours()).hooks, idleTimeout: 0 })
    const server = createServer().on('upgrade', (request, socket, head) => void adapter.handleUpgrade(request, socket, head))
    await new Promise(resolve => server.listen(0, host, resolve))
    return server.address().port
  },
  async peer() {
    const { PeerServer } = await import('peer')
    return new Promise(resolve => PeerServer({ ...options, port: 0, host }, server => resolve(server.address().port)))
  },
  /** What there is no way around with `ws`: parse, look up, write again. No rule, no limit. */
  async ws() {
    const { WebSocketServer } = await import('ws')
    const clients = new Map()
    const server = new WebSocketServer({ port: 0, host })
    server.on('connection', (socket, request) => {
      const id = new URLSearchParams(request.url.split('?')[1]).get('id')
      clients.set(id, socket)
      socket.on('message', (data) => {
        const { type, dst, payload } = JSON.parse(data)
        clients.get(dst)?.send(JSON.stringify({ type, src: id, dst, payload }))
      })
      socket.on('close', () => clients.delete(id))
      socket.send('{"type":"OPEN"}')
    })
    await new Promise(resolve => server.on('listening', resolve))
    return server.address().port
  },
}

process.on('message', () => {
  // What a closed connection leaves behind is freed in more than one round.
  for (let i = 0; i < 4; i++) globalThis.gc()
  const { rss, heapUsed: heap, external } = process.memoryUsage()
  process.send({ memory: { rss, heap, external } })
})
// Whoever started it is gone: nobody needs it any more.
process.on('disconnect', () => process.exit(0))
process.send({ port: await start[lane]() })
