import type { Hub } from './hub.js'
import type { ResolvedOptions } from './options.js'

/** A request, as far as the endpoint looks at it. */
export interface SignalingRequest {
  readonly method: string
  /** With or without query. */
  readonly path: string
  readonly headers: Pick<Headers, 'get'>
}

/** What `GET {path}` answers; the members are PeerServer's. */
export const about = {
  name: 'peerbridge',
  description: 'Brings WebRTC peers together: signaling for peerbridge and PeerJS clients.',
  website: 'https://peerjs.com/',
}

/**
 * PeerServer's HTTP endpoints, relative to the path of the hub:
 * `GET /` → who is this, `GET /{key}/id` → an unused id, `GET /{key}/peers` → everybody, where discovery is allowed.
 */
export function respond(hub: Hub, request: SignalingRequest): Response {
  const cors = corsHeaders(hub.options, request.headers)
  const answer = (status: number, body: string | object | null, headers: Record<string, string> = {}): Response => {
    const json = typeof body === 'object' && body !== null
    return new Response(request.method === 'HEAD' || body === null ? null : json ? JSON.stringify(body) : body, {
      status,
      headers: {
        'content-type': json ? 'application/json; charset=utf-8' : 'text/plain; charset=utf-8',
        // An id out of a cache would be given to two clients.
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        ...cors,
        ...headers,
      },
    })
  }

  const below = subPath(hub.options.path, request.path)
  if (below === null) return answer(404, 'Not found')

  if (request.method === 'OPTIONS') {
    return answer(204, null, {
      'access-control-allow-methods': 'GET, HEAD, OPTIONS',
      'access-control-allow-headers': request.headers.get('access-control-request-headers') ?? '*',
      'access-control-max-age': '86400',
    })
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'Method not allowed', { allow: 'GET, HEAD, OPTIONS' })

  const [key, resource, ...rest] = below
  if (key === undefined) return answer(200, about)
  if (rest.length > 0) return answer(404, 'Not found')
  // The WebSocket address. Somebody opened it as a page, or a proxy in between took the upgrade away.
  if (resource === undefined && key === 'peerjs') return answer(426, 'Upgrade required: this is the address of a WebSocket', { upgrade: 'websocket' })
  if (resource === 'id') return answer(200, hub.generateId())
  if (resource === 'peers') {
    // Unlike PeerServer: who names another key is another application.
    return hub.options.allow_discovery && key === hub.options.key
      ? answer(200, hub.ids())
      : answer(401, 'Unauthorized')
  }
  return answer(404, 'Not found')
}

/** Whether a page of this origin may use the server; programs that send no Origin may. */
export function isAllowedOrigin(options: ResolvedOptions, headers: Pick<Headers, 'get'> | undefined): boolean {
  const { origin: allowed } = options.corsOptions
  const origin = headers?.get('origin')
  if (allowed === true || !origin) return true
  if (allowed === false) {
    const host = (options.proxied && headers?.get('x-forwarded-host')) || headers?.get('host')
    return !!host && origin.replace(/^[a-z]+:\/\//i, '').toLowerCase() === host.toLowerCase()
  }
  return typeof allowed === 'string' ? allowed === '*' || allowed === origin : allowed.includes(origin) || allowed.includes('*')
}

function corsHeaders(options: ResolvedOptions, headers: Pick<Headers, 'get'>): Record<string, string> {
  const origin = headers.get('origin')
  if (options.corsOptions.origin === false || !origin || !isAllowedOrigin(options, headers)) return { vary: 'origin' }
  return { 'access-control-allow-origin': origin, 'vary': 'origin' }
}

/** The segments below the mount point; null for a path that is not below it. */
function subPath(mount: string, path: string): string[] | null {
  const pathname = `${path.replace(/[?#].*$/s, '').replace(/\/+$/, '')}/`
  return pathname.startsWith(mount) ? pathname.slice(mount.length).split('/').filter(Boolean) : null
}
