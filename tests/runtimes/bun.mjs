// The endpoint in Bun's own server, as docs/signaling-server.md shows it.
import crossws from 'crossws/adapters/bun'
import { createSignalingServer } from 'peerbridge/server'

const signaling = createSignalingServer({ metrics: true })
const sockets = crossws({ hooks: signaling.hooks })
const server = Bun.serve({
  port: Number(process.env.PORT),
  websocket: sockets.websocket,
  fetch: (request, server) => request.headers.get('upgrade') === 'websocket'
    ? sockets.handleUpgrade(request, server)
    : signaling.fetch(request, { remoteAddress: server.requestIP(request)?.address }),
})
console.log(`Listening on ${server.url}`)

process.on('SIGTERM', async () => {
  await signaling.close()
  await server.stop()
})
