import type { Hub, Link, Session } from './hub.js'
import { isAllowedOrigin } from './http.js'
import { addressOf, progressOf } from './request.js'

/**
 * WebSocket hooks in the shape of crossws, for its adapters (Node, Bun, Deno, …) and for Nitro's `defineWebSocketHandler`.
 *
 * Described here by what is used of it, because two versions are in the field and have to work alike: Nitro 2 carries
 * crossws 0.3, this package 0.4. They differ in what a text frame arrives as (a Buffer, a string), and 0.3 has no `ping`.
 */
export interface SignalingHooks {
  upgrade(request: UpgradeRequest): Response | undefined
  open(peer: SocketPeer): void
  message(peer: SocketPeer, message: SocketMessage): void
  pong(peer: SocketPeer): void
  close(peer: SocketPeer, details?: { code?: number }): void
  error(peer: SocketPeer): void
}

export interface UpgradeRequest {
  readonly url?: string
  readonly headers?: Pick<Headers, 'get'>
}

export interface SocketPeer {
  readonly request?: UpgradeRequest | undefined
  readonly remoteAddress?: string | undefined
  send(data: string): unknown
  close(code?: number, reason?: string): unknown
  ping?(): unknown
}

export interface SocketMessage {
  text(): string
}

/** What is used of the `ws` socket behind a peer on Node. */
interface NodeSocket {
  readonly bufferedAmount: number
  on(event: 'pong', listener: () => void): unknown
  ping(): void
  readonly _receiver?: { _maxPayload?: unknown }
}

/**
 * A frame above this never reaches the hub: `ws` ends the socket with 1009 while the frame is still arriving. Between the
 * hub's own limit and this one, the client is told with an ERROR what it did.
 */
export function maxPayload(hub: Hub): number {
  return hub.options.max_message * 4
}

export function createHooks(hub: Hub): SignalingHooks {
  const sessions = new WeakMap<SocketPeer, Session>()

  return {
    upgrade(request) {
      const [path = ''] = splitUrl(request.url)
      // By its end: a framework may have mounted the endpoint below a base URL that only the framework knows.
      if (!path.endsWith(`${hub.options.path}peerjs`)) return new Response('Not found', { status: 404 })
      if (!isAllowedOrigin(hub.options, request.headers)) return new Response('Origin not allowed', { status: 403 })
      return undefined
    },

    open(peer) {
      const query = new URLSearchParams(splitUrl(peer.request?.url)[1])
      const socket = nodeSocket(peer)
      if (socket) limitPayload(socket, maxPayload(hub))
      const session = hub.connect(
        {
          id: query.get('id'), token: query.get('token'), key: query.get('key'),
          progress: progressOf(query),
          address: addressOf(hub.options, peer.remoteAddress, peer.request?.headers),
        },
        linkTo(peer, socket),
      )
      if (!session) return
      sessions.set(peer, session)
      socket?.on('pong', () => session.heard())
    },

    message(peer, message) {
      const session = sessions.get(peer)
      if (session) session.receive(message.text())
    },

    pong(peer) {
      sessions.get(peer)?.heard()
    },

    close(peer, details) {
      sessions.get(peer)?.closed(details?.code)
      sessions.delete(peer)
    },

    error(peer) {
      // A broken frame or one above maxPayload: the adapter closes the socket by itself, but not on every runtime in time
      // for its successor to find the id free.
      sessions.get(peer)?.closed(1006)
    },
  }
}

function linkTo(peer: SocketPeer, socket: NodeSocket | null): Link {
  return {
    send: text => void peer.send(text),
    // Passing undefined on as an argument would be code 0 to some adapters; without arguments it is 1005, as PeerServer's.
    close: (code, reason) => void (code === undefined ? peer.close() : peer.close(code, reason)),
    ...(socket
      ? { socket, ping: () => socket.ping(), buffered: () => socket.bufferedAmount }
      : { ping: () => void peer.ping?.() }),
  }
}

/** The socket of `ws`, which both versions of crossws keep in the same private place; null on other runtimes. */
function nodeSocket(peer: SocketPeer): NodeSocket | null {
  const socket = (peer as { _internal?: { ws?: Partial<NodeSocket> } })._internal?.ws
  return socket && typeof socket.ping === 'function' && typeof socket.on === 'function' && typeof socket.bufferedAmount === 'number'
    ? socket as NodeSocket
    : null
}

/**
 * Nitro opens its WebSocket server with the default of `ws`, 100 MiB a frame, for all routes of the application. The limit
 * belongs to this route only, so it is set on the socket; there is no public way. Where a future `ws` names it otherwise,
 * the hub's own limit still holds.
 */
function limitPayload(socket: NodeSocket, bytes: number): void {
  const receiver = socket._receiver
  if (receiver && typeof receiver._maxPayload === 'number') receiver._maxPayload = Math.min(receiver._maxPayload || bytes, bytes)
}

/** Path and query, also of what `new URL()` refuses: a forged Host header must not throw. */
function splitUrl(url = ''): [path: string, query: string] {
  const at = url.indexOf('?')
  const address = at < 0 ? url : url.slice(0, at)
  return [address.replace(/^[a-z]+:\/\/[^/]*/i, ''), at < 0 ? '' : url.slice(at + 1)]
}
