import { createHmac } from 'node:crypto'

export interface TurnCredentialsOptions {
  /** coturn's `static-auth-secret`. Never leaves the server. */
  secret: string
  /** Addresses of the TURN server, e.g. `'turn:turn.example.org:3478'`. */
  urls: string | string[]
  /**
   * How long the credentials can be used to start an allocation, in seconds. An allocation that runs goes on, but a
   * restart of ICE needs valid ones.
   *
   * @default 3600
   */
  ttl?: number
  /** Whom they are for; shows up in the TURN server's log. Without `:`, which separates it from the time. */
  user?: string
  /**
   * Milliseconds since 1970.
   *
   * @default Date.now()
   */
  now?: number
}

/** An `RTCIceServer`, and when it ends. */
export interface TurnCredentials {
  urls: string | string[]
  username: string
  credential: string
  /** Milliseconds since 1970. */
  expires: number
}

/**
 * Credentials for a TURN server that end by themselves, so that a page can be given some: coturn's `use-auth-secret`
 * scheme (draft-uberti-behave-turn-rest-00, 2.2). The user name is the end in seconds since 1970 and whom it is for, the
 * password base64(HMAC-SHA1(secret, user name)). SHA-1 is what TURN servers check; as an HMAC it is sound.
 */
export function createTurnCredentials(options: TurnCredentialsOptions): TurnCredentials {
  const { secret, urls, ttl = 3600, user, now = Date.now() } = options
  if (!secret) throw new TypeError('createTurnCredentials() needs the secret of the TURN server (static-auth-secret)')
  if (!(ttl > 0)) throw new TypeError(`ttl has to be a number of seconds above 0, got ${ttl}`)
  if (user?.includes(':')) throw new TypeError(`user must not contain ':', got '${user}'`)
  const end = Math.floor(now / 1000) + Math.floor(ttl)
  const username = user ? `${end}:${user}` : String(end)
  return {
    urls,
    username,
    credential: createHmac('sha1', secret).update(username).digest('base64'),
    expires: end * 1000,
  }
}
