// Who may connect: asked before anything is known of a client, on every transport alike.
import type { Hub, Registration } from './hub.js'
import type { ResolvedOptions } from './options.js'
import { verifyToken } from './tokens.js'
import type { TokenClaims } from './tokens.js'

/** Who wants to connect, as `authorize` is asked. All but `address` and `claims` is the client's word. */
export interface AuthorizationRequest {
  /** What it wants to be called; '' when it asks for the list of all ids. */
  readonly id: string
  /** Proves that a client which comes back is the same; not a secret of the application. */
  readonly token: string
  readonly key: string
  /** What the client was given as its option `auth`. */
  readonly auth: string | null
  /** What the signed token in `auth` says, where the server has `tokens`. */
  readonly claims: TokenClaims | null
  /** Where it comes from, as far as the server knows (`proxied`). */
  readonly address: string | undefined
  /** The page's. Programs send any, or none. */
  readonly origin: string | null
  /** Of the request, cookies among them where the server is of the page's own site. */
  readonly headers: Pick<Headers, 'get'>
}

/** What a client may do that is let in. */
export interface Grant {
  /**
   * The only id that it may have.
   *
   * @default any
   */
  readonly id?: string
  /**
   * The only rooms that it may join.
   *
   * @default any
   */
  readonly rooms?: readonly string[]
}

/**
 * Lets a client in with `true` or a `Grant`. Everything else refuses it, and so does an error: a text is what the client is
 * told, `false` and what is thrown says no more than that it may not.
 */
export type Authorize = (request: AuthorizationRequest) => Verdict | Promise<Verdict>
export type Verdict = boolean | string | Grant

/** What is said of a request beside what the hub wants to know. */
export interface Credentials {
  readonly auth: string | null
  readonly headers: Pick<Headers, 'get'> | undefined
}

/** An application that does not answer must not keep sockets for ever. */
const PATIENCE = 10_000
const REFUSED = 'Not authorized'
const noHeaders = { get: () => null }

export function isGuarded({ authorize, tokens }: ResolvedOptions): boolean {
  return authorize !== null || tokens !== null
}

/**
 * `who` as the hub may take it: with what it may do, or why it is refused. At once where nobody has to be asked, else a promise
 * that never rejects.
 */
export function admit(hub: Hub, who: Registration, credentials: Credentials): Registration | Promise<Registration> {
  const { options } = hub
  if (!isGuarded(options)) return who
  // Before the application is asked, which may cost it more than us.
  const paid = who.paid ?? hub.admits(who.address)
  who = { ...who, paid }
  if (!paid) return who
  const claims = options.tokens && verifyToken(credentials.auth, options.tokens)
  if (typeof claims === 'string') return refused(who, claims)
  const named = check(who, claims ?? {})
  if (named.refused !== undefined || !options.authorize) return named
  return ask(hub, options.authorize, {
    id: who.id ?? '', token: who.token ?? '', key: who.key ?? '', auth: credentials.auth, claims, address: who.address,
    origin: credentials.headers?.get('origin') ?? null, headers: credentials.headers ?? noHeaders,
  }).then(verdict => typeof verdict === 'string' ? refused(who, verdict) : check(who, { ...named.grant, ...verdict }))
}

function check(who: Registration, { id, rooms }: Grant): Registration {
  return id !== undefined && who.id !== id
    ? refused(who, 'Not authorized to have this id')
    : { ...who, ...(rooms && { grant: { rooms } }) }
}

function refused(who: Registration, msg: string): Registration {
  return { ...who, refused: { type: 'not-authorized', msg } }
}

/** A grant, or why there is none. */
function ask(hub: Hub, authorize: Authorize, request: AuthorizationRequest): Promise<Grant | string> {
  return new Promise((resolve) => {
    const cancel = hub.clock.schedule(() => resolve('Nobody said in time whether this client may connect'), PATIENCE)
    const done = (verdict: unknown): void => {
      cancel()
      if (verdict === true) resolve({})
      else if (typeof verdict === 'string') resolve(verdict || REFUSED)
      // Not undefined: a function that forgets to answer must not let everybody in.
      else resolve(typeof verdict === 'object' && verdict !== null ? verdict : REFUSED)
    }
    const failed = (error: unknown): void => {
      done(false)
      if (hub.observer.error) hub.observer.error(error instanceof Error ? error : new Error(String(error)))
      // eslint-disable-next-line no-console -- a mistake of the application, which cannot see it otherwise
      else console.error('peerbridge: authorize() failed, so a client was refused:', error)
    }
    try {
      Promise.resolve(authorize(request)).then(done, failed)
    }
    catch (error) {
      failed(error)
    }
  })
}
