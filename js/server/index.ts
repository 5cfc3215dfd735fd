import { createHooks } from './crossws.js'
import type { SignalingHooks } from './crossws.js'
import { respond } from './http.js'
import { Hub } from './hub.js'
import type { ListenOptions, SignalingListener } from './node.js'
import type { SignalingServerOptions } from './options.js'
import { fromNode, toNode } from './write.js'
import type { NodeRequest, NodeResponse } from './write.js'

export type { AuthorizationRequest, Authorize, Grant, Verdict } from './authorize.js'
export { CloseCode, Hub } from './hub.js'
export type { Clock, HubClient, HubObserver, Link, Registration, Session } from './hub.js'
export type { Health } from './health.js'
export type { SignalingHooks } from './crossws.js'
export type { ListenOptions, SignalingListener } from './node.js'
export type { CorsOptions, HoldLimits, OriginFunction, OriginRule, RoomOptions, SignalingServerOptions, TurnOptions } from './options.js'
export { ExpressPeerServer, PeerServer } from './peer-server.js'
export type { PeerServerApp, PeerServerClient, PeerServerEvents, PeerServerMessage, PeerServerOptions } from './peer-server.js'
export { SignalingServerError } from './errors.js'
export type { SignalingServerErrorType } from './errors.js'
export { createToken } from './tokens.js'
export type { TokenClaims, TokenOptions, TokenVerification } from './tokens.js'
export { createTurnCredentials } from './turn.js'
export type { TurnCredentials, TurnCredentialsOptions } from './turn.js'

/** What is used of an h3 event (h3 1.x, Nitro 2). */
export interface HandlerEvent {
  readonly method: string
  readonly path: string
  readonly headers: Pick<Headers, 'get'>
  /** On Node, where an event stream is written without h3: it would not notice that its reader is gone. */
  readonly node?: { readonly req: NodeRequest, readonly res: NodeResponse }
}

/** An h3 handler for HTTP and WebSocket; marked as h3 marks its own, so that it needs no h3 to make one. */
export interface SignalingHandler {
  (event: HandlerEvent): Response | Promise<Response | undefined>
  readonly __is_handler__: true
  readonly __websocket__: SignalingHooks
}

export interface SignalingServer {
  /** Who is here and what waits. */
  readonly hub: Hub
  /** For crossws: `defineWebSocketHandler(hooks)`, or any of its adapters. */
  readonly hooks: SignalingHooks
  /** For h3 and Nitro: the default export of a catch-all route, e.g. `server/routes/signal/[...].ts`. */
  readonly handler: SignalingHandler
  /**
   * For servers that speak Request and Response (srvx, Bun, Deno, h3 2). The answer to an upgrade request carries the
   * WebSocket hooks as `crossws`, which is where crossws looks for them.
   *
   * @param from `remoteAddress`: the other end of the socket, which a Request does not tell (srvx's does, as `ip`). Without, and
   *   without `proxied`, nothing is bounded for each address over HTTP.
   */
  fetch(request: Request, from?: { readonly remoteAddress?: string | undefined }): Response | Promise<Response>
  /** A Node server of its own. */
  listen(options?: ListenOptions): Promise<SignalingListener>
  /**
   * Lets nobody in any more, waits until what was accepted has left (with Redis: is there), and says goodbye to every client. The
   * listeners go on.
   */
  drain(): Promise<void>
  /** The same, and ends every listener. */
  close(): Promise<void>
}

/**
 * A signaling server that peerbridge and PeerJS clients can use, ready for whatever is to carry it.
 *
 * @example
 * // on its own
 * await createSignalingServer({ path: '/signal' }).listen({ port: 9000 })
 *
 * @example
 * // server/routes/signal/[...].ts of a Nitro app with `experimental: { websocket: true }`
 * export default createSignalingServer({ path: '/signal' }).handler
 */
export function createSignalingServer(options: SignalingServerOptions = {}): SignalingServer {
  const hub = new Hub(options)
  const hooks = createHooks(hub)
  const listeners = new Set<SignalingListener>()

  const handler = Object.assign(
    (event: HandlerEvent) => handle(hub, event),
    { __is_handler__: true, __websocket__: hooks } as const,
  )

  const drain = async (): Promise<void> => {
    await hub.drain()
    // Polls that waited are answered within this turn; Bun would cut off what is not.
    await new Promise(resolve => setTimeout(resolve))
  }

  return {
    hub,
    hooks,
    handler,
    fetch(request, from) {
      const { method, headers, body, signal, url } = request
      const { pathname, search } = new URL(url)
      // Whatever a server hands over as its second argument.
      const told: unknown = from?.remoteAddress ?? (request as { ip?: unknown }).ip
      const address = typeof told === 'string' ? told : undefined
      const response = respond(hub, { method, path: pathname + search, headers, body, signal, address })
      return 'status' in response && response.status === 426 ? Object.assign(response, { crossws: hooks }) : response
    },
    async listen(listenOptions) {
      // Imported here: whoever brings a server of their own (Nitro, Bun) needs neither node:http nor `ws`.
      const { listen } = await import('./node.js')
      await hub.ready
      const listener = await listen(hub, listenOptions)
      listeners.add(listener)
      return listener
    },
    drain,
    async close() {
      await drain()
      await Promise.all([...listeners].map(listener => listener.close()))
      listeners.clear()
    },
  }
}

/** Options that the Nuxt module leaves to `server/peerbridge.ts`: all but those of listening, and those that the page has to know, too. */
export type PeerbridgeServerOptions = Omit<SignalingServerOptions, 'path' | 'key' | 'turn' | 'port' | 'host' | 'ssl'>

/**
 * What `server/peerbridge.ts` of a Nuxt application exports: options of its endpoint, functions among them, which
 * nuxt.config cannot carry. They win over those of nuxt.config. A function is asked once, when the endpoint is used for the first
 * time; it may call `useRuntimeConfig()`. Auto-imported there.
 *
 * @example
 * export default definePeerbridgeServer({
 *   authorize: async ({ headers }) => await userOf(headers.get('cookie')) ? true : 'Please log in',
 * })
 */
export function definePeerbridgeServer(
  options: PeerbridgeServerOptions | (() => PeerbridgeServerOptions),
): PeerbridgeServerOptions | (() => PeerbridgeServerOptions) {
  return options
}

function handle(hub: Hub, event: HandlerEvent): Response | Promise<Response | undefined> {
  const { method, path, headers, node } = event
  if (!node) return respond(hub, { method, path, headers })
  // Hosts of Nitro that speak Request and Response (Bun, Deno, …) collect an answer until it ends, which an event stream does not:
  // better none, and the client goes on to polls at once.
  if ('__unenv__' in node.res && /^[^?#]*\/sse\/*(?:[?#]|$)/.test(path)) return new Response('No event streams on this host', { status: 501 })
  const response = respond(hub, { ...fromNode(node.req, node.res, path), method })
  if ('status' in response) return response
  return response.then(async (answer) => {
    if (!answer.headers.get('content-type')?.startsWith('text/event-stream')) return answer
    await toNode(answer, node.res)
    return undefined
  })
}
