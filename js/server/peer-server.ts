// The two functions that the npm package `peer` exports, with its events, so that a server written for it changes its import.
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { attach } from './crossws.js'
import { isAllowedOrigin } from './http.js'
import { Hub } from './hub.js'
import type { HubClient } from './hub.js'
import type { answer, createSockets, upgrade } from './node.js'
import { normalizePath } from './options.js'
import type { SignalingServerOptions } from './options.js'
import { headersOf } from './request.js'
import type { NodeSocket } from './socket.js'

/** Options of PeerServer, its own defaults among them, and those of `createSignalingServer`. */
export interface PeerServerOptions extends SignalingServerOptions {
  /**
   * As in `createSignalingServer`. PeerServer's library waits longer than its command line.
   *
   * @default 90000
   */
  alive_timeout?: number

  /**
   * Makes the WebSocketServer of `ws`, or one that behaves like it, on `server` at `path`; limits of frames are then its own.
   *
   * @default one that refuses frames over 4 × `max_message`
   */
  createWebSocketServer?: (options: { server: HttpServer | HttpsServer, path: string }) => {
    on(event: string, listener: (...args: never[]) => void): unknown
  }
}

/** A client of the server, as its events name it. */
export interface PeerServerClient {
  getId(): string
  getToken(): string
  /** The socket of `ws`, or null when there is none (any more). */
  getSocket(): unknown
  /** When anything was heard of it, in milliseconds since 1970. */
  getLastPing(): number
  /** One message, as JSON; lost when the client is not there. */
  send(data: unknown): void
}

/** What a client sent; `src` is true, everything else is the client's word. */
export interface PeerServerMessage {
  readonly type: string
  readonly src: string
  readonly dst: string
  readonly payload?: unknown
}

export interface PeerServerEvents {
  /** It got OPEN, for the first time or again. */
  connection: [client: PeerServerClient]
  /** It left, was lost or was given up. */
  disconnect: [client: PeerServerClient]
  /** Before it is relayed, HEARTBEATs too. */
  message: [client: PeerServerClient, message: PeerServerMessage]
  /** A client sent what cannot be taken. Unlike other 'error' events it may go unheard. */
  error: [error: Error]
}

type Next = (error?: unknown) => void

/** A request listener and Express (sub-)application in one, with PeerServer's events. */
export interface PeerServerApp extends EventEmitter<PeerServerEvents & { mount: [parent: unknown] }> {
  (request: IncomingMessage, response: ServerResponse, next?: Next): void
  /** Where Express mounted it, below its parent. */
  mountpath: string | string[]
  parent?: { path?(): string } | undefined
  /** Who is here and what waits. Below an Express path there from `app.use()` on. */
  readonly hub: Hub
}

/**
 * A signaling server below an application of Express, or any that mounts as it does: `app.use('/peerjs', ExpressPeerServer(server,
 * { path: '/myapp' }))` answers at `/peerjs/myapp`, and WebSockets at `/peerjs/myapp/peerjs`.
 *
 * @param server the server that the application listens with; its upgrade requests to that path are taken, no others
 * @throws TypeError for an option that cannot be meant, when it is mounted
 */
export function ExpressPeerServer(server: HttpServer | HttpsServer, options: PeerServerOptions = {}): PeerServerApp {
  const { createWebSocketServer, ...rest } = options
  const clients = new WeakMap<HubClient, PeerServerClient>()
  let hub: Hub | undefined
  let node: Promise<{ answer: typeof answer, createSockets: typeof createSockets, upgrade: typeof upgrade }> | undefined

  const handle = (request: IncomingMessage, response: ServerResponse, next?: Next): void => {
    // Express cuts the mount path off; what it was is in originalUrl.
    const path = (request as { originalUrl?: string }).originalUrl ?? request.url ?? '/'
    const { path: mount } = mounted().options
    if (next && !`${path.replace(/[?#].*$/s, '').replace(/\/+$/, '')}/`.startsWith(mount)) return next()
    node ??= import('./node.js')
    node.then(({ answer }) => answer(mounted(), request, response, path)).catch((error: unknown) => {
      if (next) next(error)
      else response.destroy()
    })
  }

  const app = Object.assign(
    (request: IncomingMessage, response: ServerResponse, next?: Next) => handle(request, response, next),
    // What makes Express take it for an application.
    { handle, set: () => app, mountpath: '/' as string | string[] },
  ) as unknown as PeerServerApp
  const events = new EventEmitter()
  for (const name of ['on', 'once', 'off', 'emit', 'addListener', 'removeListener', 'removeAllListeners', 'prependListener',
    'prependOnceListener', 'listeners', 'rawListeners', 'listenerCount', 'eventNames', 'setMaxListeners', 'getMaxListeners'] as const) {
    const method = events[name] as (...args: unknown[]) => unknown
    Object.defineProperty(app, name, {
      value: (...args: unknown[]) => {
        const result = method.apply(events, args)
        return result === events ? app : result
      },
    })
  }
  Object.defineProperty(app, 'hub', { get: mounted })
  app.once('mount', mounted)

  function mounted(): Hub {
    return hub ??= mount()
  }

  function mount(): Hub {
    if (!server) throw new TypeError('ExpressPeerServer needs the HTTP server that the application listens with')
    const [below = '/'] = typeof app.mountpath === 'string' ? [app.mountpath] : app.mountpath
    const made = new Hub({ alive_timeout: 90_000, ...rest, path: normalizePath(`${app.parent?.path?.() ?? ''}/${below}/${rest.path ?? ''}`) })
    const client = (known: HubClient): PeerServerClient => {
      const seen = clients.get(known)
      if (seen) return seen
      const client = peerServerClient(made, known)
      clients.set(known, client)
      return client
    }
    made.observer = {
      connection: known => void app.emit('connection', client(known)),
      disconnect: known => void app.emit('disconnect', client(known)),
      message: (known, message) => void app.emit('message', client(known), message as unknown as PeerServerMessage),
      // An EventEmitter throws an error that nobody listens for. What clients send must not end the process.
      error: error => void (app.listenerCount('error') > 0 && app.emit('error', error)),
    }
    node ??= import('./node.js')
    if (createWebSocketServer) acceptWith(createWebSocketServer, made)
    else accept(made)
    server.once('close', () => made.close())
    return made
  }

  function accept(hub: Hub): void {
    let sockets: ReturnType<typeof createSockets> | undefined
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (request.url?.replace(/\?.*$/s, '') !== `${hub.options.path}peerjs`) {
        // Somebody else's, where somebody else listens.
        if (server.listenerCount('upgrade') === 1) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      socket.on('error', () => socket.destroy())
      node?.then(({ createSockets, upgrade }) => {
        sockets ??= createSockets(hub)
        upgrade(hub, sockets, request, socket, head)
      }).catch(() => socket.destroy())
    })
  }

  function acceptWith(create: NonNullable<PeerServerOptions['createWebSocketServer']>, hub: Hub): void {
    const sockets = create({ server, path: `${hub.options.path}peerjs` })
    const on = sockets.on.bind(sockets) as (event: string, listener: (...args: unknown[]) => void) => unknown
    on('connection', (socket, request) => adopt(hub, socket as NodeSocket, request as IncomingMessage))
    on('error', error => hub.observer.error?.(error as Error))
  }

  return app
}

/** Makes a socket that the application accepted a client. */
function adopt(hub: Hub, socket: NodeSocket, request: IncomingMessage): void {
  const details = { url: request.url ?? '/', headers: headersOf(request), address: request.socket.remoteAddress }
  if (isAllowedOrigin(hub.options, details.headers)) return attach(hub, socket, details)
  socket.on('error', () => {})
  socket.close(1008, 'Origin not allowed')
}

/**
 * A signaling server of its own.
 *
 * @param callback called with the HTTP server once it listens. That it cannot (EADDRINUSE and the like) ends the process, as
 *   with PeerServer; `createSignalingServer().listen()` rejects instead.
 */
export function PeerServer(options: PeerServerOptions = {}, callback?: (server: HttpServer | HttpsServer) => void): PeerServerApp {
  const { port = 9000, host = '::', ssl } = options
  const listener = (request: IncomingMessage, response: ServerResponse): void => app(request, response)
  // Not imported: whoever brings a server of their own, Nitro for one, needs neither.
  const server = ssl && Object.keys(ssl).length > 0
    ? process.getBuiltinModule('node:https').createServer(ssl, listener)
    : process.getBuiltinModule('node:http').createServer(listener)
  const app = ExpressPeerServer(server, options)
  app.emit('mount', undefined)
  server.listen(port, host, () => callback?.(server))
  return app
}

function peerServerClient(hub: Hub, client: HubClient): PeerServerClient {
  return {
    getId: () => client.id,
    getToken: () => client.token,
    getSocket: () => client.session?.link.socket ?? null,
    getLastPing: () => Date.now() - (hub.now() - client.heardAt),
    send: data => hub.tell(client, JSON.stringify(data)),
  }
}
