import { admit } from './authorize.js'
import type { Hub } from './hub.js'
import { isAllowedOrigin } from './http.js'
import { addressOf, progressOf } from './request.js'
import type { SignalingRequest } from './request.js'
import { SocketLink, WebSocketLink } from './socket.js'
import type { NodeSocket } from './socket.js'

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
  /** 0.4. */
  readonly bufferedAmount?: number
  send(data: string): unknown
  close(code?: number, reason?: string): unknown
  ping?(): unknown
}

export interface SocketMessage {
  text(): string
}

const OPEN = 1
const isDeno = 'Deno' in globalThis

/**
 * A frame above this never reaches the hub: `ws` ends the socket with 1009 while the frame is still arriving. Between the
 * hub's own limit and this one, the client is told with an ERROR what it did.
 */
export function maxPayload(hub: Hub): number {
  return hub.options.max_message * 4
}

export function createHooks(hub: Hub): SignalingHooks {
  const links = new WeakMap<SocketPeer, WebSocketLink>()
  /** What requests said: Deno's cannot be asked any more once they have become a WebSocket. */
  const said = new WeakMap<UpgradeRequest, UpgradeRequest>()

  return {
    upgrade(request) {
      if (isDeno) said.set(request, { url: request.url ?? '', headers: new Headers(request.headers as Headers) })
      const [path = ''] = splitUrl(request.url)
      // By its end: a framework may have mounted the endpoint below a base URL that only the framework knows.
      if (!path.endsWith(`${hub.options.path}peerjs`)) return new Response('Not found', { status: 404 })
      if (!isAllowedOrigin(hub.options, request.headers)) return new Response('Origin not allowed', { status: 403 })
      return undefined
    },

    open(peer) {
      const socket = nodeSocket(peer)
      const link = socket ? new SocketLink(socket) : new PeerLink(peer)
      links.set(peer, link)
      if (socket) limitPayload(socket, maxPayload(hub))
      const { url, headers } = (peer.request && said.get(peer.request)) ?? peer.request ?? {}
      enter(hub, link, url, headers, remoteAddress(peer))
    },

    message(peer, message) {
      links.get(peer)?.receive(message.text())
    },

    pong(peer) {
      links.get(peer)?.heard()
    },

    close(peer, details) {
      const link = links.get(peer)
      // Deno's adapter does not say why; its socket does, in a moment.
      if (!(link instanceof PeerLink && link.hearsItsEnd)) link?.over(details?.code)
      links.delete(peer)
    },

    error(peer) {
      // A broken frame or one above maxPayload: the adapter closes the socket by itself, but not on every runtime in time
      // for its successor to find the id free.
      links.get(peer)?.over(1006)
    },
  }
}

/**
 * Makes a socket of `ws` a client, without an adapter between: that would cost as much as all the rest.
 * @param sockets where it is as long as it is open
 */
export function attach(
  hub: Hub, socket: NodeSocket, { url, headers, address }: Pick<SignalingRequest, 'headers' | 'address'> & { url?: string | undefined },
  sockets?: Set<NodeSocket>,
): void {
  limitPayload(socket, maxPayload(hub))
  const link = new SocketLink(socket)
  link.listen(sockets)
  enter(hub, link, url, headers, address)
}

function enter(hub: Hub, link: WebSocketLink, url: string | undefined, headers: Pick<Headers, 'get'> | undefined, socket: string | undefined): void {
  const query = new URLSearchParams(splitUrl(url)[1])
  const who = admit(hub, {
    id: query.get('id'), token: query.get('token'), key: query.get('key'),
    progress: progressOf(query),
    address: addressOf(hub.options, socket, headers),
  }, { auth: query.get('auth'), headers })
  if (who instanceof Promise) void who.then(who => link.begin(hub, who))
  else link.begin(hub, who)
}

/** What is used of the sockets of Bun (`ServerWebSocket`) and Deno (`WebSocket`). */
interface ForeignSocket {
  readonly readyState?: number
  readonly bufferedAmount?: number
  getBufferedAmount?(): number
  addEventListener?(event: 'close', listener: (event: { readonly code: number }) => void): void
}

/** On a runtime that is not Node. */
class PeerLink extends WebSocketLink {
  readonly #peer: SocketPeer
  readonly #socket: ForeignSocket
  readonly hearsItsEnd: boolean

  constructor(peer: SocketPeer) {
    super()
    this.#peer = peer
    // Not `peer.websocket`, a proxy, on which no method of theirs can be called.
    this.#socket = (peer as { _internal?: { ws?: ForeignSocket } })._internal?.ws ?? {}
    this.hearsItsEnd = typeof this.#socket.addEventListener === 'function'
    if (this.hearsItsEnd) this.#socket.addEventListener?.('close', ({ code }) => this.over(code))
  }

  send(text: string): void {
    this.#peer.send(text)
  }

  close(code?: number, reason?: string): void {
    // Passing undefined on as an argument would be code 0 to some adapters; without arguments it is 1005, as PeerServer's.
    if (code === undefined) this.#peer.close()
    else this.#peer.close(code, reason)
  }

  ping(): void {
    if (this.#peer.ping) this.#peer.ping()
    // Deno, and Bun with crossws 0.3, ping by themselves and end who does not answer: who is still there has.
    else if (this.#socket.readyState === OPEN) this.heard()
  }

  buffered(): number {
    return this.#peer.bufferedAmount ?? this.#socket.getBufferedAmount?.() ?? this.#socket.bufferedAmount ?? 0
  }
}

/** Undefined also where a socket's adapter asks a request that has ended (crossws 0.3 on Deno). */
function remoteAddress(peer: SocketPeer): string | undefined {
  try {
    return peer.remoteAddress
  }
  catch {
    return undefined
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
