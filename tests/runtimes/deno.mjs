// The endpoint in Deno's own server, as docs/signaling-server.md shows it.
import crossws from 'crossws/adapters/deno'
import { createSignalingServer } from 'peerbridge/server'

const signaling = createSignalingServer({ metrics: true })
const sockets = crossws({ hooks: signaling.hooks })
const server = Deno.serve({ port: Number(Deno.env.get('PORT')) }, (request, info) => request.headers.get('upgrade') === 'websocket'
  ? sockets.handleUpgrade(request, info)
  : signaling.fetch(request, { remoteAddress: info.remoteAddr.hostname }))

Deno.addSignalListener('SIGTERM', async () => {
  await signaling.close()
  await server.shutdown()
  Deno.exit(0)
})
