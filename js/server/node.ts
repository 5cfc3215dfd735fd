import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { ServerOptions as TlsOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { attach, maxPayload } from './crossws.js'
import { isAllowedOrigin, respond } from './http.js'
import type { Hub } from './hub.js'
import { headersOf } from './request.js'
import type { NodeSocket } from './socket.js'
import { fromNode, toNode } from './write.js'

export interface ListenOptions {
  /**
   * 0 lets the system choose.
   *
   * @default that of the server's options, 9000
   */
  port?: number
  /**
   * The address to listen on; `::` is every one, of IPv4 too.
   *
   * @default that of the server's options, '::'
   */
  host?: string
  /** Options of `https.createServer`. With `key` and `cert` (PEM texts), or another, the server speaks https and wss. */
  ssl?: TlsOptions
}

export interface SignalingListener {
  readonly port: number
  readonly host: string
  /** What `GET` answers on: scheme, host, port and path. */
  readonly url: string
  /**
   * Stops listening, says goodbye to the clients and ends what is left.
   *
   * @param grace Milliseconds that clients have for their closing handshake. Default 1000.
   */
  close(grace?: number): Promise<void>
}

/** A Node server of its own. Resolves once it listens; rejects when it cannot (EADDRINUSE and the like). */
export async function listen(hub: Hub, options: ListenOptions = {}): Promise<SignalingListener> {
  const { port = hub.options.port, host = hub.options.host, ssl = hub.options.ssl } = options
  const tls = Object.keys(ssl).length > 0
  const listener: RequestListener = (request, response) => answer(hub, request, response)
  const server: Server = tls ? createTlsServer(ssl, listener) : createServer(listener)
  const sockets = createSockets(hub)
  server.on('upgrade', (request, socket, head) => {
    if (!upgrade(hub, sockets, request, socket, head)) refuse(socket, '404 Not Found')
  })
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    else socket.destroy()
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address() as AddressInfo
  const name = address.address === '::' || address.address === '0.0.0.0'
    ? 'localhost'
    : address.family === 'IPv6' ? `[${address.address}]` : address.address

  return {
    port: address.port,
    host: address.address,
    url: `${tls ? 'https' : 'http'}://${name}:${address.port}${hub.options.path}`,
    async close(grace = 1000) {
      const ended = new Promise<void>(resolve => server.close(() => resolve()))
      hub.close()
      server.closeIdleConnections()
      const impatience = setTimeout(() => {
        for (const socket of sockets.open) socket.terminate()
        server.closeAllConnections()
      }, grace)
      await ended
      clearTimeout(impatience)
    },
  }
}

/** What makes WebSockets of upgrade requests, and those that are open. */
export interface Sockets {
  readonly server: WebSocketServer
  readonly open: Set<NodeSocket>
}

/** WebSockets on Node. */
export function createSockets(hub: Hub): Sockets {
  const server = new WebSocketServer({
    noServer: true,
    // Its own costs a function for each.
    clientTracking: false,
    maxPayload: maxPayload(hub),
    // 300 KB a connection for messages that are sent once: memory is dearer than the bytes.
    perMessageDeflate: false,
    // As crossws: PeerJS names none.
    handleProtocols: () => false,
  })
  return { server, open: new Set() }
}

/** @param path where the request is for, when a framework has cut it */
export function answer(hub: Hub, request: IncomingMessage, response: ServerResponse, path = request.url ?? '/'): void {
  const asked = fromNode(request, response, path)
  Promise.resolve(respond(hub, asked)).then((result) => {
    // A body that nobody reads ends the connection, instead of being in the way of the next request.
    if (!request.complete && request.method !== 'GET' && request.method !== 'HEAD') response.setHeader('connection', 'close')
    return toNode(result, response)
  }).catch(() => response.destroy())
}

/** False when the address is somebody else's; then nothing happened. */
export function upgrade(hub: Hub, sockets: Sockets, request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
  const path = request.url?.replace(/\?.*$/s, '')
  if (path !== `${hub.options.path}peerjs`) return false
  // Node leaves the socket without a listener here; a reset before `ws` adds its own would end the process.
  socket.on('error', destroy)
  if (isAllowedOrigin(hub.options, headersOf(request))) sockets.server.handleUpgrade(request, socket, head, accept)
  else refuse(socket, '403 Forbidden', 'Origin not allowed')
  return true

  function accept(this: void, client: WebSocket): void {
    socket.off('error', destroy)
    // `ws` declares its listeners with its own class as `this`, which these only tag.
    const about = { url: request.url, headers: headersOf(request), address: request.socket.remoteAddress }
    attach(hub, client as unknown as NodeSocket, about, sockets.open)
  }
}

function destroy(this: Duplex): void {
  this.destroy()
}

function refuse(socket: Duplex, status: string, text = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
}
