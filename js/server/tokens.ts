import { createHmac, timingSafeEqual } from 'node:crypto'

/** What a signed token says. */
export interface TokenClaims {
  /** The only id that it is for. */
  readonly id?: string
  /** The only rooms that it is for. */
  readonly rooms?: readonly string[]
  /** When it ends, in milliseconds since 1970. */
  readonly expires: number
}

export interface TokenOptions {
  /** What the server was given as `tokens.secret`; at least 32 bytes (RFC 7518, section 3.2). Never leaves the server. */
  secret: string
  /**
   * The only id that the token is for.
   *
   * @default any
   */
  id?: string
  /**
   * The only rooms that the token is for.
   *
   * @default any
   */
  rooms?: readonly string[]
  /**
   * How long a client may connect with it, in seconds. Short: a page can fetch another one each time (`auth` of Peer).
   *
   * @default 60
   */
  ttl?: number
  /**
   * Milliseconds since 1970.
   *
   * @default Date.now()
   */
  now?: number
}

/** How the server knows its tokens. */
export interface TokenVerification {
  /** Of `createToken`. Several while one is replaced by another. */
  secret: string | readonly string[]
}

const MIN_SECRET = 32
/** Longer than any that is meant: a URL carries it. */
const MAX_TOKEN = 4096

/** {"alg":"HS256","typ":"JWT"} in base64url. */
const header = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9'

/**
 * A token that lets a client connect to a server with `tokens: { secret }`, and ends by itself. It is a JSON Web Token (RFC 7519)
 * signed with HMAC-SHA-256, so every language has a library that makes one: `exp`, and, where it is meant, `sub` (the id) and
 * `rooms`. Make it where it is known who asks, and hand it to the page, which gives it to Peer as `auth`.
 *
 * @throws TypeError for a secret that is too short, or a `ttl` that is no time
 */
export function createToken(options: TokenOptions): string {
  const { secret, id, rooms, ttl = 60, now = Date.now() } = options
  checkSecret('createToken(): secret', secret)
  if (!(ttl > 0)) throw new TypeError(`ttl has to be a number of seconds above 0, got ${ttl}`)
  const claims = { exp: Math.ceil(now / 1000 + ttl), ...(id !== undefined && { sub: id }), ...(rooms && { rooms }) }
  const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  return `${signed}.${sign(secret, signed).toString('base64url')}`
}

/** What the token says, or what is wrong with it. */
export function verifyToken(token: string | null, { secret }: TokenVerification, now = Date.now()): TokenClaims | string {
  if (!token) return 'A token is missing'
  const [head = '', body = '', signature = '', ...rest] = token.length > MAX_TOKEN ? [] : token.split('.')
  if (rest.length > 0 || !signature || alg(head) !== 'HS256') return 'The token is not one of this server'
  const given = Buffer.from(signature, 'base64url')
  const secrets = typeof secret === 'string' ? [secret] : secret
  // All of them, and each in the same time whatever was given.
  const matches = secrets.filter((each) => {
    const right = sign(each, `${head}.${body}`)
    return given.length === right.length && timingSafeEqual(given, right)
  })
  if (matches.length === 0) return 'The token is not one of this server'
  const claims = parse(body)
  if (typeof claims?.exp !== 'number') return 'The token does not say when it ends (exp)'
  if (claims.exp * 1000 <= now) return 'The token has expired'
  if (typeof claims.nbf === 'number' && claims.nbf * 1000 > now) return 'The token is not valid yet'
  const { sub, rooms } = claims
  if (sub !== undefined && typeof sub !== 'string') return 'The token names an id that is none (sub)'
  if (rooms !== undefined && !(Array.isArray(rooms) && rooms.every(room => typeof room === 'string'))) return 'The token names rooms that are none'
  return { expires: claims.exp * 1000, ...(sub !== undefined && { id: sub }), ...(rooms && { rooms: rooms as string[] }) }
}

/** @throws TypeError */
export function checkSecret(name: string, secret: unknown): void {
  if (typeof secret === 'string' && Buffer.byteLength(secret) >= MIN_SECRET) return
  throw new TypeError(`${name} has to be a string of at least ${MIN_SECRET} bytes, for example of \`openssl rand -base64 32\``)
}

function sign(secret: string, text: string): Buffer {
  return createHmac('sha256', secret).update(text).digest()
}

/** Not 'none', and no other: what a token says of itself must not weaken it (RFC 8725, section 3.1). */
function alg(head: string): unknown {
  return parse(head)?.alg
}

function parse(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : null
  }
  catch {
    return null
  }
}
