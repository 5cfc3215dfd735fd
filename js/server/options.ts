import type { ServerOptions as TlsOptions } from 'node:https'
import type { Authorize } from './authorize.js'
import { checkSecret } from './tokens.js'
import type { TokenVerification } from './tokens.js'
import { createTurnCredentials } from './turn.js'
import type { TurnCredentialsOptions } from './turn.js'

/**
 * Every option of the signaling server. Names that PeerServer has are PeerServer's, so that a configuration moves over
 * unchanged; the others follow its spelling.
 */
export interface SignalingServerOptions {
  /**
   * Where the endpoint is mounted, below the host: HTTP at `{path}/…`, WebSocket at `{path}/peerjs`. The `path` of the
   * clients.
   *
   * @default '/'
   */
  path?: string

  /**
   * The key that clients have to name. Public (it is in every URL): it keeps applications apart, not attackers out.
   *
   * @default 'peerjs'
   */
  key?: string

  /**
   * How long a message waits for an id that is not there (yet), in milliseconds, counted for each message by itself.
   * Then it is dropped and its sender gets one EXPIRE. Long enough for a page that loads at the same moment as its
   * partner, short enough for a user who mistyped an id.
   *
   * @default 5000
   */
  expire_timeout?: number

  /**
   * How long messages wait for a client that was given up because nothing came from it, in milliseconds from then on:
   * more likely its network is away than that it ended, and an EXPIRE would end connections that the two sides still try
   * to recover. As long as peerbridge itself tries (`recoveryBudget`); what is sent in the last `expire_timeout` waits that
   * long. A client whose socket was closed from the other end (a killed browser) is not waited for like that. Not more
   * than `expire_timeout`: off.
   *
   * @default 60000
   */
  outage_timeout?: number

  /**
   * A client that said nothing for this long is gone, in milliseconds. Any message counts, and so does an answer to a
   * WebSocket ping, which the server sends from half of this time on: browsers throttle the heartbeats of a background
   * tab to one a minute, but answer pings without asking the page.
   *
   * @default 60000
   */
  alive_timeout?: number

  /**
   * How long a poll waits for messages, in milliseconds: shorter than any proxy in between does. 0 answers at once, for hosts
   * where a request that waits costs as much as one that works; clients then ask once a second.
   *
   * @default 25000; 8000 on Bun, whose HTTP server ends what is silent for 10 s
   */
  poll_timeout?: number

  /**
   * A client of the transports over HTTP that has neither an event stream nor a poll for this long fell silent, in
   * milliseconds.
   *
   * @default 15000
   */
  absence_timeout?: number

  /**
   * Clients connected at the same time; one more gets an ERROR. PeerServer's default: some 50 MB of sockets.
   *
   * @default 5000
   */
  concurrent_limit?: number

  /**
   * Whether `GET {path}/{key}/peers` (`peer.listAllPeers()`) tells the ids of everybody. Off, because whoever knows an
   * id can call it.
   *
   * @default false
   */
  allow_discovery?: boolean

  /**
   * The server stands behind so many reverse proxies (`true`: one) that set `X-Forwarded-For` and `X-Forwarded-Host`, and
   * only then believes them: where a client comes from (`address_limit`, `address_rate_limit`) and what the server is called
   * (`corsOptions.origin: false`). The last so many entries of `X-Forwarded-For` count, those before are the client's word.
   *
   * @default false
   */
  proxied?: boolean | number | 'true' | 'false'

  /**
   * Accepted, and without effect: PeerServer looks for messages that expired so often, in milliseconds; here each expires
   * at its own time.
   *
   * @default 1000
   */
  cleanup_out_msgs?: number

  /**
   * The port of `listen()`; 0 lets the system choose.
   *
   * @default 9000
   */
  port?: number

  /**
   * The address of `listen()`; `::` is every one, of IPv4 too.
   *
   * @default '::'
   */
  host?: string

  /**
   * Options of `https.createServer`, PEM texts `key` and `cert` among them. With any of them `listen()` speaks https and wss.
   *
   * @default {}
   */
  ssl?: TlsOptions

  /** Which web pages may use the server, over HTTP (CORS) and over WebSocket (Origin, which CORS does not cover). */
  corsOptions?: CorsOptions

  /**
   * Makes the id of a client that asks for one. Has to be unguessable: it is what others need in order to call.
   *
   * @default crypto.randomUUID
   */
  generateClientId?: () => string

  /**
   * How long the id of a client that dropped (no closing handshake: Wi-Fi lost, process killed, silence) stays reserved
   * for its token, in milliseconds. Long enough to come back on another network, short enough for a page that was
   * killed and starts again with its old id and a new token. A client that closes properly, as every page does that is
   * reloaded or left, frees its id at once. 0 switches reservation off, which is PeerServer's behaviour.
   *
   * @default 10000
   */
  reserve_timeout?: number

  /**
   * The largest message, in bytes of UTF-8; a client that sends a larger one gets an ERROR of type `message-too-big`
   * and close code 1009. A session description with every codec and a hundred candidates has 40 KiB.
   *
   * @default 262144
   */
  max_message?: number

  /**
   * Messages a second that one client may send in the long run; messages over 4 KiB count by their size, one for every
   * 4 KiB. A connection takes 2 to 10 messages. Above it: ERROR of type `rate-limited` and close code 1008. 0 is no limit.
   *
   * @default 100
   */
  rate_limit?: number

  /**
   * Messages that one client may send at once, counted like `rate_limit`: a page that joins a full room offers to
   * everybody in the same moment.
   *
   * @default 1000
   */
  rate_burst?: number

  /**
   * Clients connected at the same time from one address (of IPv6 one /64); one more gets an ERROR of type
   * `address-limit`. Set it where the server sees the addresses of clients, which behind a proxy needs `proxied`; a school
   * may have one for everybody.
   *
   * @default concurrent_limit, which is no further limit
   */
  address_limit?: number

  /**
   * Messages, connections and HTTP requests a second from one address in the long run, counted like `rate_limit`. Above
   * it: HTTP 429, an ERROR of type `rate-limited` for a connection and for a message, close code 1008. The default is what a
   * full server may use, so that one behind a proxy which it does not know of still works. 0 is no limit.
   *
   * @default 5000
   */
  address_rate_limit?: number

  /**
   * What one address may use at once, counted like `address_rate_limit`.
   *
   * @default 50000
   */
  address_rate_burst?: number

  /**
   * Decides who may connect, on every transport, before anything is known of the client; may take up to 10 s. `true` or an object
   * (`{ id, rooms }`: the only ones that it may have) lets it in; everything else refuses it, with an ERROR of type `not-authorized`,
   * which a text explains to the client. Asked for every link that a client opens, those of one that comes back among them, and
   * for the list of all ids (`allow_discovery`).
   *
   * @default null: everybody
   */
  authorize?: Authorize | null

  /**
   * Only clients with a token that was signed with this secret may connect (`createToken`, or any library for JSON Web Tokens with
   * HS256), which they are given as the option `auth` of Peer. A token is looked at when a client connects; who is connected stays
   * when it ends, and needs a new one in order to come back.
   *
   * @default null: no token is needed
   */
  tokens?: TokenVerification | null

  /**
   * A TURN server of coturn's `use-auth-secret` (`createTurnCredentials`). Clients that are connected, and who has a token of
   * `tokens`, get credentials for it at `GET {path}/{key}/turn`, which end after `ttl` seconds (3600); Peer with its option `turn` asks for
   * them before its first connection and anew before they end.
   *
   * @default null
   */
  turn?: TurnOptions | null

  /**
   * Whether `GET {path}/metrics` tells Prometheus how much there is to do: anybody (`true`; then keep the address from the public), or
   * who sends `Authorization: Bearer {token}`. Off, because it reveals how many use the application and when.
   *
   * @default false
   */
  metrics?: boolean | { token: string }

  /**
   * Makes any number of servers one: `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, or the path of a
   * Unix socket. Needs the package `ioredis`. All servers name the same Redis and the same `key`, and have the same limits; what a
   * limit bounds is then each server's, but for `hold_limits.total_bytes` of what waits. See docs/signaling-server.md.
   *
   * @default none: everything is in the memory of this process
   */
  redis?: string

  /** Bounds of what waits for ids that are not there. What does not fit is answered with EXPIRE at once. */
  hold_limits?: HoldLimits

  /**
   * Rooms and who is in them (`peer.join()`), and their bounds; `false` for none. Who is in a room is told to its members and to
   * nobody else, so its name is what others need to learn of them: make it unguessable where that matters.
   *
   * @default true
   */
  rooms?: boolean | RoomOptions

  /**
   * Bytes that may wait in the server for one client that reads too slowly; then it is dropped with close code 1013 and
   * may come back.
   *
   * @default 4194304
   */
  max_buffered?: number
}

/** Which TURN server, and its secret, which never leaves this one. */
export type TurnOptions = Pick<TurnCredentialsOptions, 'secret' | 'urls' | 'ttl'>

/** Its `Bun.serve()` ends an answer that is silent for 10 s, unless it is told otherwise (`idleTimeout`). */
export const isBun = 'Bun' in globalThis

/** What an origin may be compared with. */
export type OriginRule = boolean | string | RegExp

/** Those of the npm package `cors`, which PeerServer hands its own to. */
export interface CorsOptions {
  /**
   * `true`: any page (PeerServer's default, and what a public endpoint needs). A string, pattern or list of these: pages of
   * these origins, e.g. `'https://app.example.org'`. `false`: only pages of the server's own host. A function is asked, and
   * has to call back at once. Programs that send no Origin are let in: the check protects users of browsers, not the server.
   *
   * @default true
   */
  origin?: OriginRule | readonly OriginRule[] | OriginFunction
  /**
   * Whether pages may send cookies, for what stands in front of the server.
   *
   * @default false
   */
  credentials?: boolean
  /** Headers of the answers that pages may read. @default [] */
  exposedHeaders?: string | readonly string[]
  /** Headers that pages may send. @default those that they ask for */
  allowedHeaders?: string | readonly string[]
  /** Seconds that browsers keep the answer to a preflight. @default 86400 */
  maxAge?: number
}

export type OriginFunction = (
  origin: string | undefined,
  callback: (error: Error | null, allowed?: OriginRule | readonly OriginRule[]) => void,
) => void

export interface HoldLimits {
  /**
   * Messages from one sender to one id: an offer and its candidates, several times over.
   *
   * @default 64
   */
  pair_messages?: number
  /**
   * Bytes from one sender to one id.
   *
   * @default 262144
   */
  pair_bytes?: number
  /**
   * Messages to one id, from everybody: the guests of a host who is late.
   *
   * @default 512
   */
  destination_messages?: number
  /**
   * Bytes to one id, from everybody.
   *
   * @default 1048576
   */
  destination_bytes?: number
  /**
   * Bytes in the whole server.
   *
   * @default 67108864
   */
  total_bytes?: number
}

/** What does not fit is refused, with an error that says so, and changes nothing. */
export interface RoomOptions {
  /**
   * Rooms that one client may be in.
   *
   * @default 16
   */
  rooms?: number
  /**
   * Members of one room.
   *
   * @default 1000
   */
  members?: number
  /**
   * Bytes of the metadata of one member, as JSON in UTF-8: a name, a colour, a picture of a few pixels.
   *
   * @default 4096
   */
  metadata?: number
  /**
   * Bytes of the ids and metadata of all members of a room, which is what somebody is sent who joins.
   *
   * @default 262144
   */
  bytes?: number
  /**
   * The same of all rooms of the server; a member of two rooms counts in both.
   *
   * @default 67108864
   */
  total_bytes?: number
  /**
   * Messages a second that one room may cause in the long run, each counted once for every 4 KiB. A change is told to every
   * member, at once where the room was quiet; in one that is not, changes wait until those before are paid, and travel
   * together: in a room of a thousand, five times a second.
   *
   * @default 5000
   */
  rate?: number
}

export type ResolvedRoomOptions = Required<RoomOptions>

/** All options, filled in. */
export type ResolvedOptions = Required<Omit<SignalingServerOptions, 'hold_limits' | 'rooms' | 'corsOptions' | 'proxied' | 'redis'>> & {
  redis: string | undefined
  hold_limits: Required<HoldLimits>
  /** Null: none. */
  rooms: ResolvedRoomOptions | null
  corsOptions: CorsOptions & { origin: NonNullable<CorsOptions['origin']> }
  /** How many proxies stand in front. */
  proxied: number
}

/**
 * Fills in the defaults and normalizes the path to the form `/` or `/a/b/`.
 *
 * @throws TypeError for a value that cannot be meant, naming the option: a typo in a limit must not switch it off.
 */
export function resolveOptions(options: SignalingServerOptions = {}): ResolvedOptions {
  const number = (name: string, value: unknown, fallback: number, least: number): number => {
    if (value === undefined) return fallback
    if (typeof value !== 'number' || Number.isNaN(value) || value < least) {
      throw new TypeError(`${name} has to be a number of at least ${least}, got ${String(value)}`)
    }
    return value
  }
  const text = (name: string, value: unknown, fallback: string): string => {
    if (value === undefined) return fallback
    if (typeof value !== 'string') throw new TypeError(`${name} has to be a string, got ${typeof value}`)
    return value
  }
  const key = text('key', options.key, 'peerjs')
  if (!/^[\w.~-]+$/.test(key)) {
    throw new TypeError(`key has to be letters, digits, '-', '.', '_' or '~' (it is part of URLs), got '${key}'`)
  }
  const { proxied = false, authorize = null, tokens = null, turn = null, metrics = false } = options
  // Throws for what cannot be meant.
  if (turn) createTurnCredentials(turn)
  if (typeof metrics === 'object' && !metrics.token) throw new TypeError('metrics.token has to be a text that is not empty')
  if (authorize !== null && typeof authorize !== 'function') throw new TypeError(`authorize has to be a function, got ${typeof authorize}`)
  if (tokens !== null) {
    const secrets: unknown[] = typeof tokens.secret === 'string' ? [tokens.secret] : [...tokens.secret ?? []]
    if (secrets.length === 0) throw new TypeError('tokens.secret is missing')
    for (const secret of secrets) checkSecret('tokens.secret', secret)
  }
  const redis = text('redis', options.redis, '') || undefined
  if (redis !== undefined && !/^(?:rediss?:\/\/|\/)/.test(redis)) {
    throw new TypeError(`redis has to begin with redis://, rediss:// or, for a Unix socket, /, got '${redis.replace(/\/\/[^@/]*@/, '//…@')}'`)
  }
  const hold = options.hold_limits ?? {}
  const { rooms = true } = options
  const bounds = typeof rooms === 'object' ? rooms : {}
  const concurrent = number('concurrent_limit', options.concurrent_limit, 5000, 0)
  return {
    path: normalizePath(text('path', options.path, '/')),
    key,
    expire_timeout: number('expire_timeout', options.expire_timeout, 5000, 0),
    outage_timeout: number('outage_timeout', options.outage_timeout, 60_000, 0),
    alive_timeout: number('alive_timeout', options.alive_timeout, 60_000, 1),
    concurrent_limit: concurrent,
    poll_timeout: number('poll_timeout', options.poll_timeout, isBun ? 8000 : 25_000, 0),
    absence_timeout: number('absence_timeout', options.absence_timeout, 15_000, 1),
    allow_discovery: options.allow_discovery ?? false,
    proxied: typeof proxied === 'number' ? number('proxied', proxied, 0, 0) : Number(proxied === true || proxied === 'true'),
    cleanup_out_msgs: number('cleanup_out_msgs', options.cleanup_out_msgs, 1000, 0),
    port: number('port', options.port, 9000, 0),
    host: text('host', options.host, '::'),
    ssl: options.ssl ?? {},
    authorize,
    tokens,
    turn,
    metrics,
    corsOptions: { ...options.corsOptions, origin: options.corsOptions?.origin ?? true },
    redis,
    generateClientId: options.generateClientId ?? (() => crypto.randomUUID()),
    reserve_timeout: number('reserve_timeout', options.reserve_timeout, 10_000, 0),
    max_message: number('max_message', options.max_message, 256 * 1024, 1),
    rate_limit: number('rate_limit', options.rate_limit, 100, 0),
    rate_burst: number('rate_burst', options.rate_burst, 1000, 1),
    address_limit: number('address_limit', options.address_limit, concurrent, 1),
    address_rate_limit: number('address_rate_limit', options.address_rate_limit, 5000, 0),
    address_rate_burst: number('address_rate_burst', options.address_rate_burst, 50_000, 1),
    max_buffered: number('max_buffered', options.max_buffered, 4 * 1024 * 1024, 0),
    hold_limits: {
      pair_messages: number('hold_limits.pair_messages', hold.pair_messages, 64, 0),
      pair_bytes: number('hold_limits.pair_bytes', hold.pair_bytes, 256 * 1024, 0),
      destination_messages: number('hold_limits.destination_messages', hold.destination_messages, 512, 0),
      destination_bytes: number('hold_limits.destination_bytes', hold.destination_bytes, 1024 * 1024, 0),
      total_bytes: number('hold_limits.total_bytes', hold.total_bytes, 64 * 1024 * 1024, 0),
    },
    rooms: !rooms ? null : {
      rooms: number('rooms.rooms', bounds.rooms, 16, 0),
      members: number('rooms.members', bounds.members, 1000, 0),
      metadata: number('rooms.metadata', bounds.metadata, 4096, 0),
      bytes: number('rooms.bytes', bounds.bytes, 256 * 1024, 0),
      total_bytes: number('rooms.total_bytes', bounds.total_bytes, 64 * 1024 * 1024, 0),
      rate: number('rooms.rate', bounds.rate, 5000, 1),
    },
  }
}

/** `api/signal` → `/api/signal/`; PeerJS adds the same slashes to its `path`. */
export function normalizePath(path: string): string {
  const inner = path.split('/').filter(Boolean).join('/')
  return inner ? `/${inner}/` : '/'
}
