// The seam of the server: hub.ts knows one connection at a time (its link, limits, signs of life, what is a frame), a backplane
// knows who is registered, what each has and has not, and where a message goes. memory.ts keeps all of it in this process,
// redis.ts in Redis.
import type { Grant } from '../authorize.js'
import type { Address, Bucket, HubClient, Link, Progress, Session } from '../hub.js'
import type { ResolvedOptions } from '../options.js'
import type { Text } from '../frame.js'
import type { Rooms } from '../rooms.js'
import type { Kept } from './kept.js'

/** A client, of which the hub and the backplane each keep what is theirs. */
export interface Client extends HubClient {
  /** The hub's. */
  grant: Grant | null
  /** The hub's. Null: not connected here; the backplane may still know it. */
  session: ClientSession | null
  /** The hub's. */
  heardAt: number
  /** The hub's. */
  address: Address | null
  /** The hub's. Belongs to the client and not to the link, so that coming back does not fill it. */
  readonly bucket: Bucket
  /** Messages that arrived from it and count: the hub counts on from what the backplane says at the start. */
  received: number
  /** The backplane's: whom it exchanged descriptions with. Most recent last. */
  contacts: Set<string> | null
  /** The backplane's: the most recent one of them. */
  contact: string
  /** The backplane's; null for a client that does not count messages. */
  numbers: Numbers | null
}

/** A client on one link, as far as a backplane looks at it. */
export interface ClientSession {
  readonly client: Client
  readonly link: Link
  /** As they were when it began. */
  readonly numbers: Numbers | null
  /** Which of the client's links it is. */
  readonly number: number
}

/** The state of a client that counts messages. */
export interface Numbers {
  readonly session: string
  link: number
  /** The last message to it. */
  sent: number
  /** Those that it has not confirmed: the last is `sent`, and none is missing between. Null before there was any. */
  kept: Kept | null
  /** What it was last told of the messages from it. */
  told: number
}

/** Somebody who wants to be let in, and may be as far as the hub can tell. */
export interface Applicant {
  readonly id: string
  readonly token: string
  readonly progress: Progress | null
  readonly address: Address | null
  readonly link: Link
  readonly grant: Grant | null
}

/** What is known of a message beside its text. */
export interface Envelope {
  readonly type: string
  readonly dst: string
  /** False: who is not there shall not be waited for. */
  readonly wait: boolean
}

/**
 * How a client parts. `drop`: its link broke. `silence`: nothing comes from it or reaches it, so its network is away, as far as
 * anybody can know. `leave`: it closed its link properly. `goodbye`: it said that it is gone for good.
 */
export type Parting = 'drop' | 'silence' | 'leave' | 'goodbye'

/** What a backplane asks of the hub. */
export interface Host {
  readonly options: ResolvedOptions
  now(): number
  /** Refuses an applicant; null, to be answered on. */
  refuse(link: Link, text: string | null, code?: number, reason?: string): null
  /** Why one more client cannot be taken, as text for it; null when it can. */
  full(address: Address | null): string | null
  /** A client that nobody knew. */
  make(who: Applicant): Client
  /**
   * Seats a client on the link of the applicant; the link that it had is closed.
   * @param renewed its page was loaded anew
   */
  seat(client: Client, who: Applicant, renewed: boolean): ClientSession & Session
  /** Puts a text on the link of a client that is connected here. False when the link is gone, and the client was parted. */
  hand(client: Client, text: Text, number: number | undefined, now: number): boolean
  /** The client takes nothing any more: it is parted by `silence`, and its link closed. */
  tooSlow(client: Client, now: number): void
  /** The client is parted by `drop`, and its link closed. */
  dismiss(client: Client, code: number, reason: string): void
  /** The client is ready: OPEN and what waited for it is on its link. */
  opened(client: Client): void
  /** `deadline()` may have changed. */
  arm(): void
}

/** Who is registered, what each client has, what waits for whom, and where a message goes. */
export interface Backplane {
  /** Messages that wait for ids that are not there. */
  readonly held: number
  /** Clients that are connected here. */
  present(): Iterable<Client>
  /** The client that is connected here by this id. */
  find(id: string): Client | undefined
  /** Whether this id is somebody's, also of one who may come back. */
  knows(id: string): boolean
  /**
   * Lets an applicant in and sends it OPEN and what waited for it, or refuses it with null. Where it cannot tell at once, it
   * answers a session that becomes `ready`.
   */
  enter(who: Applicant, now: number): Session | null
  /** A message of a client that is connected here. */
  relay(from: Client, envelope: Envelope, text: Text, now: number): void
  /** A message of the server's own; lost when the client is not there. `then` is called once it is on the link, or cannot be. */
  tell(to: Client, text: string, now: number, then?: () => void): void
  /** A HEARTBEAT of a client that counts: it has everything up to this number. */
  confirm(client: Client, got: number): void
  /** The same by a link that asks: answers OPEN, which says how far both are, and what the client has not. */
  since(session: ClientSession, got: number): readonly string[]
  /** The hub has unseated the client. */
  part(client: Client, how: Parting, now: number): void
  /** Does everything that is due. */
  advance(now: number): void
  /** When `advance()` has something to do; Infinity for nothing. */
  deadline(): number
  /** Everything ends here. Of one that has more to do, resolves when it has. */
  close(): void | Promise<void>
  /** Before `close()`: the clients are about to move over. Resolves when all that was accepted from them is elsewhere. */
  leave?(): Promise<void>

  // ---- of one that is not in this process

  /** Rejects where it cannot be used, with a SignalingServerError. */
  readonly ready?: Promise<void>
  /** Whether it can be reached now. */
  readonly isUp?: boolean
  /** Ids of all who are connected anywhere. Rejects when it is away. */
  everybody?(): Promise<string[]>
  /** As `knows`, anywhere. Rejects when it is away. */
  isKnown?(id: string): Promise<boolean>
  /** Makes these rooms reach over all instances. Once, before anything else. */
  share?(rooms: Rooms): void
  /** Whether all that arrived from this client is taken; false after a while in which it could not be. */
  settled?(client: Client): Promise<boolean>
}

/** OPEN to a client that does not count messages. */
export const OPEN = '{"type":"OPEN"}'

/**
 * OPEN to a client that counts.
 * @param got the last message of its own that the server has
 * @param n the number before the message that follows
 */
export function openAt(got: number, n: number): string {
  return `{"type":"OPEN","got":${got},"n":${n}}`
}

/** The number before the first message that a client has not confirmed. */
export function beforeKept({ sent, kept }: Numbers): number {
  return sent - (kept?.length ?? 0)
}

/** Tells a sender that there is nobody by this id. */
export function expire(missing: string, sender: string): string {
  return JSON.stringify({ type: 'EXPIRE', src: missing, dst: sender })
}
