import { admit, isGuarded } from './authorize.js'
import { health } from './health.js'
import { isValidId } from './hub.js'
import type { Hub } from './hub.js'
import { Mailboxes } from './mailbox.js'
import { contentType, count, maySee, metrics } from './metrics.js'
import type { CorsOptions, OriginRule, ResolvedOptions } from './options.js'
import { addressOf, queryOf } from './request.js'
import type { SignalingRequest } from './request.js'
import { verifyToken } from './tokens.js'
import { createTurnCredentials } from './turn.js'

/** What `GET {path}` answers; the members are PeerServer's. */
export const about = {
  name: 'peerbridge',
  description: 'Brings WebRTC peers together: signaling for peerbridge and PeerJS clients.',
  website: 'https://peerjs.com/',
}

/** TURN credentials, in messages of the rate limit: one client may ask some times a minute. */
const CREDENTIALS_COST = 100

const mailboxes = new WeakMap<Hub, Mailboxes>()

/**
 * PeerServer's HTTP endpoints, relative to the path of the hub:
 * `GET /` → who is this, `GET /{key}/id` → an unused id, `GET /{key}/peers` → everybody, where discovery is allowed.
 * `GET /{key}/turn` → credentials of a TURN server, for clients that are connected.
 * For operators: `GET /health` (js/server/health.ts) and `GET /metrics` (js/server/metrics.ts).
 * And those of the transports over HTTP, GET and POST of `/{key}/sse` and `/{key}/poll`; these answer later, and
 * with Redis the first ones, too.
 */
export function respond(hub: Hub, request: SignalingRequest): Response | Promise<Response> {
  const cors = corsHeaders(hub.options, request.headers)
  type Content = string | object | ReadableStream<Uint8Array> | null
  const answer = (status: number, body: Content, headers: Record<string, string> = {}): Response => {
    count(hub.counters.answers, String(status))
    const raw = typeof body === 'string' || body === null || body instanceof ReadableStream
    return new Response(request.method === 'HEAD' ? null : raw ? body : JSON.stringify(body), {
      status,
      headers: {
        'content-type': !raw ? 'application/json; charset=utf-8' : 'text/plain; charset=utf-8',
        // An id out of a cache would be given to two clients.
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        ...cors,
        ...headers,
      },
    })
  }

  const later = <T>(what: T | Promise<T>, then: (what: T) => Response): Response | Promise<Response> => what instanceof Promise
    ? what.then(then, () => answer(503, 'Redis is away, try again', { 'retry-after': '1' }))
    : then(what)

  const below = subPath(hub.options.path, request.path)
  if (below === null) return answer(404, 'Not found')
  if (!hub.admits(addressOf(hub.options, request.address, request.headers))) {
    return answer(429, 'Too many requests from this address', { 'retry-after': '1' })
  }

  if (request.method === 'OPTIONS') {
    const { allowedHeaders, maxAge = 86_400 } = hub.options.corsOptions
    return answer(204, null, {
      'content-length': '0',
      'access-control-allow-methods': 'GET, HEAD, POST, OPTIONS',
      'access-control-allow-headers': list(allowedHeaders) ?? request.headers.get('access-control-request-headers') ?? '*',
      'access-control-max-age': String(maxAge),
    })
  }
  const [key, resource, ...rest] = below
  if ((resource === 'sse' || resource === 'poll') && key !== undefined && rest.length === 0 && (request.method === 'GET' || request.method === 'POST')) {
    if (!isAllowedOrigin(hub.options, request.headers)) return answer(403, 'Origin not allowed')
    let boxes = mailboxes.get(hub)
    if (!boxes) mailboxes.set(hub, boxes = new Mailboxes(hub))
    return boxes.answer(resource, key, request).then(({ status, body, headers }) => answer(status, status === 204 ? null : body, headers))
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'Method not allowed', { allow: 'GET, HEAD, OPTIONS' })

  if (key === undefined) return answer(200, about)
  if (key === 'health' && resource === undefined) {
    const now = health(hub)
    return answer(now.status === 'closing' ? 503 : 200, now)
  }
  // Where it is off nobody needs to know that there could be one.
  if (key === 'metrics' && resource === undefined && hub.options.metrics) {
    return maySee(hub.options.metrics, request.headers.get('authorization'))
      ? answer(200, metrics(hub), { 'content-type': contentType })
      : answer(401, 'Unauthorized', { 'www-authenticate': 'Bearer' })
  }
  if (rest.length > 0) return answer(404, 'Not found')
  // The WebSocket address. Somebody opened it as a page, or a proxy in between took the upgrade away.
  if (resource === undefined && key === 'peerjs') return answer(426, 'Upgrade required: this is the address of a WebSocket', { upgrade: 'websocket' })
  // PeerServer's type, for those who look at it; nothing in there is from a client.
  if (resource === 'id') return later(hub.unusedId(), id => answer(200, id, { 'content-type': 'text/html; charset=utf-8' }))
  if (resource === 'turn' && hub.options.turn) {
    if (!isAllowedOrigin(hub.options, request.headers)) return answer(403, 'Origin not allowed')
    const query = queryOf(request)
    const [id, auth] = [query.get('id') ?? '', query.get('auth')]
    const { turn, tokens } = hub.options
    // Not for everybody: a relay for strangers is found soon.
    const isClient = key === hub.options.key && hub.grants(id, query.get('token') ?? '', CREDENTIALS_COST)
    const claims = tokens && verifyToken(auth, tokens)
    if (!isClient && !(claims && typeof claims === 'object' && (claims.id ?? id) === id && (id === '' || isValidId(id)))) {
      return answer(401, 'Only for clients that are connected (id, token), or have a signed token (auth)')
    }
    const { urls, username, credential } = createTurnCredentials(id === '' ? turn : { ...turn, user: id })
    return answer(200, { iceServers: [{ urls, username, credential }], ttl: turn.ttl ?? 3600 })
  }
  if (resource === 'peers') {
    // Unlike PeerServer: who names another key is another application.
    if (!hub.options.allow_discovery || key !== hub.options.key) return answer(401, 'Unauthorized')
    if (!isGuarded(hub.options)) return later(hub.everybody(), ids => answer(200, ids))
    const auth = queryOf(request).get('auth')
    const who = { id: '', key, paid: true, address: addressOf(hub.options, request.address, request.headers) }
    return Promise.resolve(admit(hub, who, { auth, headers: request.headers }))
      .then(({ refused }) => refused ? answer(401, refused.msg) : later(hub.everybody(), ids => answer(200, ids)))
  }
  return answer(404, 'Not found')
}

/** Whether a page of this origin may use the server; programs that send no Origin may. */
export function isAllowedOrigin(options: ResolvedOptions, headers: Pick<Headers, 'get'> | undefined): boolean {
  const origin = headers?.get('origin')
  return !origin || matches(options.corsOptions.origin, origin, () => {
    const host = (options.proxied > 0 && headers?.get('x-forwarded-host')) || headers?.get('host')
    return !!host && origin.replace(/^[a-z]+:\/\//i, '').toLowerCase() === host.toLowerCase()
  })
}

function matches(allowed: CorsOptions['origin'], origin: string, isOwn: () => boolean): boolean {
  if (allowed === undefined || allowed === true) return true
  if (allowed === false) return isOwn()
  if (typeof allowed === 'string') return allowed === '*' || allowed === origin
  // Not `test` of theirs: with the flag `g` a pattern remembers where it was.
  if (allowed instanceof RegExp) return origin.search(allowed) >= 0
  if (typeof allowed === 'function') {
    let answer: OriginRule | readonly OriginRule[] = false
    allowed(origin, (error, given) => { answer = error ? false : given ?? false })
    // A function that says `false` means nobody, not its own pages.
    return answer !== false && matches(answer, origin, isOwn)
  }
  return allowed.some(rule => matches(rule, origin, isOwn))
}

function corsHeaders(options: ResolvedOptions, headers: Pick<Headers, 'get'>): Record<string, string> {
  const { origin: allowed, credentials, exposedHeaders } = options.corsOptions
  const origin = headers.get('origin')
  if (allowed === false || !origin || !isAllowedOrigin(options, headers)) return { vary: 'Origin' }
  const exposed = list(exposedHeaders)
  return {
    'access-control-allow-origin': origin,
    'vary': 'Origin',
    ...(credentials ? { 'access-control-allow-credentials': 'true' } : {}),
    ...(exposed ? { 'access-control-expose-headers': exposed } : {}),
  }
}

function list(names: string | readonly string[] | undefined): string | undefined {
  return names === undefined || typeof names === 'string' ? names : names.join(',')
}

/** The segments below the mount point; null for a path that is not below it. */
function subPath(mount: string, path: string): string[] | null {
  const pathname = `${path.replace(/[?#].*$/s, '').replace(/\/+$/, '')}/`
  return pathname.startsWith(mount) ? pathname.slice(mount.length).split('/').filter(Boolean) : null
}
