import type { Grant } from './authorize.js'
import { expire } from './backplane/backplane.js'
import type { Applicant, Backplane, Client, ClientSession, Host, Numbers, Parting } from './backplane/backplane.js'
import { MemoryBackplane } from './backplane/memory.js'
import { RedisBackplane } from './backplane/redis.js'
import type { Framed, Text } from './frame.js'
import { count, Counters, reasonOf } from './metrics.js'
import { resolveOptions } from './options.js'
import type { ResolvedOptions, SignalingServerOptions } from './options.js'
import { relayed } from './relay.js'
import type { Relayed } from './relay.js'
import { noRooms, Rooms } from './rooms.js'

/**
 * How the hub reaches one client: a WebSocket, an event stream or a mailbox that is polled. None of these may call back into
 * the hub synchronously.
 */
export interface Link {
  /** Hands over one JSON text, of a client that counts with its number. May throw when the client is gone. */
  send(text: string, number?: number): void
  close(code?: number, reason?: string): void
  /** As `send`, of one that can write frames as they are. */
  pass?(text: Framed): void
  /** What carries it, for whoever watches the hub: on Node the socket of `ws`. */
  readonly socket?: unknown
  /** The transport tells by itself what was received. */
  readonly confirms?: boolean
  /** Nobody takes anything at the moment: what is sent waits until the client asks. */
  stalled?(): boolean
  /** Asks for a sign of life below the protocol; answered by `session.heard()`. */
  ping?(): void
  /** Bytes that were sent and have not left. */
  buffered?(): number
}

/** What a client says about itself when it connects; anything may be missing or forged. */
export interface Registration {
  id?: string | null
  token?: string | null
  key?: string | null
  /** Where it comes from, as far as the transport knows; unlike the rest it is believed. */
  address?: string | undefined
  /** Of a client that counts messages; without, it is one of PeerJS. */
  progress?: Progress | null
  /** Whether its address may have one more connection; undefined: that is still to be asked. */
  paid?: boolean
  /** Why it may not connect; see js/server/authorize.ts. */
  refused?: { readonly type: string, readonly msg: string }
  /** What it may do, where somebody was asked. */
  grant?: Grant
}

/** How far a client is that counts messages, in both directions, when it connects. See docs/protocol.md. */
export interface Progress {
  /** The life of the client's page; another one has nothing to do with what an earlier one counted. */
  readonly session: string
  /** Its links, in the order in which it opened them: one that was opened earlier and arrives later is over. */
  readonly link: number
  /** The last message that it has. */
  readonly got: number
  /** The last message of its own that a server is known to have. */
  readonly sent: number
}

/** A client, as those see it who watch the hub. */
export interface HubClient {
  readonly id: string
  readonly token: string
  /** Whether and how it is reached; null while its id is only reserved. */
  readonly session: { readonly link: Link } | null
  /** What it may do; null: whatever the server allows. */
  readonly grant: Grant | null
  /** When anything was heard of it, in the hub's time. */
  readonly heardAt: number
}

/** What happens in the hub, told to whoever runs it. What these throw is theirs and stops nothing here. */
export interface HubObserver {
  /** A client got OPEN, on its first link or on another. */
  connection?(client: HubClient): void
  /** A client said goodbye, dropped or was given up. */
  disconnect?(client: HubClient): void
  /** A message, before it is relayed; its `src` is true, everything else the client's word. */
  message?(client: HubClient, message: Record<string, unknown>): void
  /** A client sent what cannot be taken. */
  error?(error: Error): void
}

/** Time, from outside, so that tests play a minute in a millisecond. Monotonic milliseconds. */
export interface Clock {
  now(): number
  /** Calls `fn` once, after `delay` milliseconds; answers how to prevent it. */
  schedule(fn: () => void, delay: number): () => void
}

/** One client on one link. The transport reports here what happens on it. */
export interface Session {
  readonly id: string
  /** A text frame arrived. Never throws, whatever the text. */
  receive(text: Text): void
  /** Of a client that counts: the last message of its own that was received. */
  readonly received: number
  /** The client has everything up to this number. Answers OPEN, which says how far both are, and what it has not. */
  since(got: number): readonly string[]
  /** The client showed that it is alive, without a message (a pong, a poll). */
  heard(): void
  /**
   * The link is gone. Codes 1000, 1001 and 1005 are a proper goodbye and free the id; everything else is a drop and
   * reserves it.
   */
  closed(code?: number): void
  /** Nothing comes from the client any more, and nobody knows why: it may come back. */
  silent(): void
  /** Where it is not known at once whether the client is let in: whether it was, after it was told. */
  readonly ready?: Promise<boolean>
  /**
   * Where messages are taken elsewhere, and not all that were received have been yet: whether they were, after a while at most.
   * What OPEN says of them is then true.
   */
  settled?(): Promise<boolean> | undefined
}

/** Close codes of this server beside the standard ones; 4000 to 4999 are for applications (RFC 6455, 7.4.2). */
export const CloseCode = {
  /** The same client (id and token) connected again; this link is the old one. */
  replaced: 4001,
  /** Nothing was heard for alive_timeout. */
  silent: 4002,
  goingAway: 1001,
  flood: 1008,
  tooBig: 1009,
  tooSlow: 1013,
} as const

/** A token bucket. */
export interface Bucket {
  allowance: number
  refilledAt: number
}

/** Where clients come from. */
export interface Address {
  readonly name: string
  readonly bucket: Bucket
  clients: number
}

/** Members of a frame from a client; all unchecked. */
interface Frame {
  type?: unknown
  room?: unknown
  dst?: unknown
  payload?: unknown
  /** False: who is not there shall not be waited for. */
  wait?: unknown
  /** In a HEARTBEAT of a client that counts. */
  got?: unknown
}

/** PeerJS's rule, which PeerServer leaves to the client. */
const ID = /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/
const MAX_ID = 256
const MAX_TOKEN = 256
/** A message costs one unit of the rate limit for every 4 KiB. */
const RATE_UNIT = 4096
/** A client that goes another way closes one link before it opens the next: so long it stays in its rooms, ms. */
const CHANGE_OF_LINK = 2000
/** Addresses that are remembered without clients; the ones beyond begin with a full allowance. */
const MAX_ADDRESSES = 65_536

/** Begins the one kind of message that is not counted. */
const HEARTBEAT = '{"type":"HEARTBEAT"'

export function isValidId(id: string): boolean {
  return id.length <= MAX_ID && ID.test(id)
}

/**
 * Who is here, who may talk to whom, and what waits for whom: PeerServer's rules, without a socket and without a clock. What is
 * about one connection is here; who is registered and where a message goes, the backplane knows.
 *
 * Differences from PeerServer, all of which its clients survive: a client that comes back with its token gets OPEN and its
 * old link is closed; messages expire each by its own age, those to a client that fell silent later (`outage_timeout`);
 * queues are bounded; an id stays reserved after a drop; frames that are no JSON, too large, or too many hurt nobody but
 * their sender.
 *
 * A peer that goes away is not announced: PeerJS ends its connections on LEAVE, and they outlive signaling. Only an
 * explicit LEAVE without destination, which stock PeerJS never sends, is passed on to those it recently talked to.
 */
export class Hub {
  readonly options: ResolvedOptions
  observer: HubObserver = {}
  readonly counters = new Counters()
  readonly #clock: Clock
  readonly #plane: Backplane
  /** Null where the options want none. */
  readonly rooms: Rooms | null
  readonly #addresses = new Map<string, Address>()
  readonly #encoder = new TextEncoder()
  #present = 0
  #nextSweep = Infinity
  #timer: { at: number, cancel: () => void } | null = null
  #closed = false
  #draining = false
  #ending: void | Promise<void> = undefined
  #drained: Promise<void> | undefined

  constructor(options: SignalingServerOptions = {}, clock: Clock = systemClock) {
    this.options = resolveOptions(options)
    this.#clock = clock
    this.#plane = this.options.redis ? new RedisBackplane(this.#host(), clock, this.options.redis) : new MemoryBackplane(this.#host())
    this.rooms = this.options.rooms && new Rooms(this.options.rooms, clock, {
      send: (client, text) => this.tell(client, text),
    })
    if (this.rooms) this.#plane.share?.(this.rooms)
  }

  /** Clients that are connected to this instance. */
  get size(): number {
    return this.#present
  }

  /** Goodbye was said to everybody, or is about to be. */
  get isClosed(): boolean {
    return this.#closed || this.#draining
  }

  /** Messages that wait for somebody. */
  get held(): number {
    return this.#plane.held
  }

  /** Ids of everybody who is connected to this instance. */
  ids(): string[] {
    return Array.from(this.#plane.present(), ({ id }) => id)
  }

  /** Ids of everybody who is connected to any instance. Rejects when Redis is away. */
  everybody(): string[] | Promise<string[]> {
    return this.#plane.everybody?.() ?? this.ids()
  }

  /** Whether Redis can be reached; undefined for a server that keeps everything in memory. */
  get redis(): 'up' | 'down' | undefined {
    return this.#plane.isUp === undefined ? undefined : this.#plane.isUp ? 'up' : 'down'
  }

  /** Rejects with a SignalingServerError where the server cannot work as it was set up. Not for Redis that is away: it may come. */
  get ready(): Promise<void> {
    return this.#plane.ready ?? Promise.resolve()
  }

  has(id: string): boolean {
    return this.#plane.find(id) !== undefined
  }

  get clock(): Clock {
    return this.#clock
  }

  /** The hub's time; what `heardAt` is measured in. */
  now(): number {
    return this.#clock.now()
  }

  /** One message of the server's own to a client; lost when it is not there. */
  tell(client: HubClient, text: string): void {
    this.#plane.tell(client as Client, text, this.#clock.now())
  }

  /** Whether this address may have one more request answered. */
  admits(address: string | undefined): boolean {
    const now = this.#clock.now()
    return this.#pays(this.#address(address, now), 1, now)
  }

  /** Whether a client of this id and token is connected, and may have something that costs it as much as so many messages. */
  grants(id: string, token: string, cost: number): boolean {
    const client = this.#plane.find(id)
    return !!client && client.token === token
      && pay(client.bucket, cost, this.options.rate_limit, this.options.rate_burst, this.#clock.now())
  }

  /** An id that nobody has, at any instance. Rejects when Redis is away and cannot say. */
  unusedId(): string | Promise<string> {
    return this.#plane.isKnown ? this.#unusedId() : this.generateId()
  }

  async #unusedId(): Promise<string> {
    for (let attempt = 0; attempt < 16; attempt++) {
      const id = this.generateId()
      if (!await this.#plane.isKnown?.(id)) return id
    }
    return crypto.randomUUID()
  }

  /** An id that nobody has at this instance. */
  generateId(): string {
    for (let attempt = 0; attempt < 16; attempt++) {
      const id = this.options.generateClientId()
      if (!this.#plane.knows(id)) return id
    }
    return crypto.randomUUID()
  }

  /**
   * A client has connected. Answers its session, after OPEN and everything that waited for it were sent; or null, after
   * the client was told why and its link was closed.
   */
  connect(who: Registration, link: Link): Session | null {
    const { id, token, key, progress = null } = who
    const { options } = this
    const now = this.#clock.now()
    this.#advance(now)

    if (this.#closed || this.#draining) return this.#refuse(link, null, CloseCode.goingAway, 'Server is going away')
    const address = this.#address(who.address, now)
    if (!(who.paid ?? this.#pays(address, 1, now))) {
      return this.#refuse(link, error('Too many connections from this address, slow down', 'rate-limited'), CloseCode.flood, 'Too many connections')
    }
    if (who.refused) return this.#refuse(link, error(who.refused.msg, who.refused.type))
    if (!id || !token || !key) return this.#refuse(link, error('No id, token, or key supplied to websocket server'))
    if (key !== options.key) return this.#refuse(link, error('Invalid key provided'))
    if (!isValidId(id)) {
      return this.#refuse(link, error('ID has to be letters and digits, with single spaces, dashes or underscores between', 'invalid-id'))
    }
    if (token.length > MAX_TOKEN) return this.#refuse(link, error('Invalid token provided', 'invalid-token'))

    const session = this.#plane.enter({ id: own(id), token: own(token), progress, address, link, grant: who.grant ?? null }, now)
    this.#arm()
    return session
  }

  /** Ends so that nothing is lost: lets nobody in any more, waits until what was accepted has left, and says goodbye to everybody. */
  drain(): Promise<void> {
    return this.#drained ??= this.#drain()
  }

  async #drain(): Promise<void> {
    this.#draining = true
    if (this.#plane.leave && !this.#closed) await this.#plane.leave()
    this.close()
    await this.#ending
  }

  /** Says goodbye to everybody; afterwards nobody is let in. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const client of this.#plane.present()) {
      // The last word on what was accepted: it sends the rest to wherever it is next, and nothing twice.
      this.#plane.confirm(client, 0)
      client.session?.link.close(CloseCode.goingAway, 'Server is going away')
      this.#tell('disconnect', client)
    }
    this.#ending = this.#plane.close()
    this.#addresses.clear()
    this.#present = 0
    this.rooms?.close()
    this.#timer?.cancel()
    this.#timer = null
  }

  // ---- called by sessions

  /** @internal */
  _receive(session: HubSession, text: Text): void {
    const { client } = session
    // The link was replaced or given up: what it still says comes too late.
    if (client.session !== session) return
    // Or it is sent again, to wherever the client is next.
    if (session.isOver || ((this.#draining || this.#closed) && client.numbers)) return
    const now = this.#clock.now()
    client.heardAt = now
    const isHeartbeat = typeof text === 'string' && text.startsWith(HEARTBEAT)
    // Whatever becomes of it: it arrived, and need not be sent again.
    if (!isHeartbeat) client.received += 1
    if (this.#isTooBig(text)) {
      return this.#expel(client, now, CloseCode.tooBig, 'message-too-big', `Message is larger than ${this.options.max_message} bytes`)
    }
    const size = typeof text === 'string' ? text.length : text.sent
    const cost = Math.max(1, size / RATE_UNIT)
    if (!pay(client.bucket, cost, this.options.rate_limit, this.options.rate_burst, now) || !this.#pays(client.address, cost, now)) {
      return this.#expel(client, now, CloseCode.flood, 'rate-limited', 'Too many messages, slow down')
    }
    if (typeof text !== 'string' && !this.observer.message) return this.#relay(client, text.type, text.dst, true, text, now)
    const frame = parse(String(text))
    if (!frame) {
      if (this.observer.error) this.#tell('error', new Error(`Client ${client.id} sent what is no JSON object`))
      return
    }
    if (this.observer.message) {
      this.#tell('message', client, { ...frame, src: client.id })
      // The application may have shown it the door.
      if (client.session !== session) return
    }
    if (isHeartbeat && typeof frame.got === 'number') this.#plane.confirm(client, frame.got)
    switch (frame.type) {
      case 'OFFER':
      case 'ANSWER':
      case 'CANDIDATE':
      case 'LEAVE':
      case 'EXPIRE':
        if (typeof frame.dst === 'string' && frame.dst) this.#relay(client, frame.type, frame.dst, frame.wait !== false, text, now, frame as Relayed)
        else if (frame.type === 'LEAVE' && !frame.dst) {
          this.#part(client, 'goodbye', now)
          session.link.close(1000, 'Goodbye')
        }
        return
      case 'JOIN':
      case 'PART':
        if (this.rooms) this.rooms.receive(client, frame)
        else if (frame.type === 'JOIN') this.#plane.tell(client, noRooms(frame.room), now)
    }
    // HEARTBEAT has done its work by arriving; every other type is from a future that this server does not know.
  }

  /** @internal */
  _heard(session: HubSession): void {
    if (session.client.session === session) session.client.heardAt = this.#clock.now()
  }

  /** @internal */
  _lost(session: HubSession, code: number | undefined): void {
    const { client } = session
    if (client.session !== session || this.#closed) return
    const how = code === 1000 || code === 1001 || code === 1005 ? 'leave' : 'drop'
    this.#part(client, how, this.#clock.now(), code === 1001 ? 0 : CHANGE_OF_LINK)
  }

  /** @internal */
  _silent(session: HubSession): void {
    if (session.client.session === session && !this.#closed) this.#part(session.client, 'silence', this.#clock.now())
  }

  /** @internal */
  _settled({ client }: HubSession): Promise<boolean> | undefined {
    return this.#plane.settled?.(client)
  }

  /** @internal */
  _since(session: HubSession, got: number): readonly string[] {
    return this.#plane.since(session, got)
  }

  // ---- relay

  /** @param frame what `original` says, if it is not ready to be relayed */
  #relay(from: Client, type: string, dst: string, wait: boolean, original: Text, now: number, frame?: Relayed): void {
    // Nobody can ever have this id, so nobody has to wait in order to learn it. Echoed only where it is harmless.
    if (!isValidId(dst)) {
      if (dst.length <= MAX_ID) this.#plane.tell(from, expire(dst, from.id), now)
      return
    }
    const text = typeof original === 'string' ? frame ? relayed(original, frame, from.id) : null : original
    if (text === null) return
    this.counters.messages += 1
    this.counters.units += text.length
    this.#plane.relay(from, { type, dst, wait }, text, now)
  }

  #isTooBig(text: Text): boolean {
    const limit = this.options.max_message
    if (typeof text !== 'string') return text.sent > limit
    if (text.length > limit) return true
    // A UTF-16 unit is at most 3 bytes of UTF-8: only what could be too large is measured.
    return text.length * 3 > limit && this.#encoder.encode(text).length > limit
  }

  #pays(address: Address | null, cost: number, now: number): boolean {
    return !address || pay(address.bucket, cost, this.options.address_rate_limit, this.options.address_rate_burst, now)
  }

  // ---- addresses

  #address(name: string | undefined, now: number): Address | null {
    if (!name) return null
    const key = network(name)
    const known = this.#addresses.get(key)
    if (known) return known
    const address = { name: key, bucket: { allowance: this.options.address_rate_burst, refilledAt: now }, clients: 0 }
    this.#addresses.set(key, address)
    if (this.#nextSweep === Infinity) this.#nextSweep = now + this.#sweepInterval
    if (this.#addresses.size > MAX_ADDRESSES + this.options.concurrent_limit) this.#forgetAddresses(now)
    this.#arm()
    return address
  }

  #forgetAddresses(now: number): void {
    const { address_rate_limit: rate, address_rate_burst: burst } = this.options
    for (const address of this.#addresses.values()) {
      refill(address.bucket, rate, burst, now)
      const full = rate === 0 || address.bucket.allowance >= burst
      if (address.clients === 0 && (full || this.#addresses.size > MAX_ADDRESSES)) this.#addresses.delete(address.name)
    }
  }

  /** The client is at this address now, or, when null, nowhere. */
  #moved(client: Client, address: Address | null): void {
    if (client.address) client.address.clients -= 1
    client.address = address
    if (address) address.clients += 1
  }

  // ---- coming and going

  /** The client broke a rule: it is told which one, and its id stays its own for a while. */
  #expel(client: Client, now: number, code: number, type: string, msg: string): void {
    count(this.counters.expelled, type)
    const { session } = client
    if (!session) return
    ;(session as HubSession).isOver = true
    this.#plane.tell(client, error(msg, type), now, () => {
      if (client.session === session) this.#part(client, 'drop', this.#clock.now())
      session.link.close(code, msg)
    })
  }

  /** @param lingers how long one that leaves stays in its rooms, ms */
  #part(client: Client, how: Parting, now: number, lingers = 0): void {
    if (!client.session) return
    const { reserve_timeout: reserve, outage_timeout: outage } = this.options
    if (how === 'leave' || how === 'goodbye') this.rooms?.away(client, 'gone', lingers)
    else this.rooms?.away(client, 'lost', how === 'silence' ? Math.max(reserve, outage) : reserve)
    client.session = null
    this.#present -= 1
    this.#moved(client, null)
    this.#plane.part(client, how, now)
    this.#arm()
    this.#tell('disconnect', client)
  }

  /** What the backplane may do here. */
  #host(): Host {
    return {
      options: this.options,
      now: () => this.#clock.now(),
      refuse: (link, text, code, reason) => this.#refuse(link, text, code, reason),
      full: address => this.#present >= this.options.concurrent_limit
        ? error('Server has reached its concurrent user limit')
        : address && address.clients >= this.options.address_limit ? error('Too many clients from this address', 'address-limit') : null,
      make: ({ id, token }) => {
        const now = this.#clock.now()
        return {
          id, token, session: null, heardAt: now, address: null, bucket: { allowance: this.options.rate_burst, refilledAt: now },
          received: 0, contacts: null, contact: '', numbers: null, grant: null,
        }
      },
      seat: (client, who, renewed) => this.#seat(client, who, renewed),
      hand: (client, text, number, now) => this.#hand(client, text, number, now),
      tooSlow: (client, now) => this.#tooSlow(client, now),
      dismiss: (client, code, reason) => {
        const link = client.session?.link
        this.#part(client, 'drop', this.#clock.now())
        link?.close(code, reason)
      },
      opened: client => this.#tell('connection', client),
      arm: () => this.#arm(),
    }
  }

  #refuse(link: Link, text: string | null, code?: number, reason?: string): null {
    count(this.counters.refused, reasonOf(text))
    return refuse(link, text, code, reason)
  }

  #seat(client: Client, { address, link, grant }: Applicant, renewed: boolean): HubSession {
    const now = this.#clock.now()
    this.rooms?.connected(client, renewed)
    const old = client.session
    const session = new HubSession(this, client, link)
    client.session = session
    client.grant = grant
    this.counters.links += 1
    client.heardAt = now
    this.#moved(client, address)
    if (old) old.link.close(CloseCode.replaced, 'Replaced by a newer connection of the same client')
    else this.#present += 1
    if (this.#nextSweep === Infinity) this.#nextSweep = now + this.#sweepInterval
    return session
  }

  #hand(client: Client, text: Text, number: number | undefined, now: number): boolean {
    const link = client.session?.link
    if (!link) return false
    try {
      if (typeof text === 'string') link.send(text, number)
      else if (link.pass) link.pass(text)
      else link.send(String(text), number)
    }
    catch {
      this.#part(client, 'drop', now)
      return false
    }
    // This message is in the socket's hands; the ones behind it will be held for when the client is back.
    if (link.buffered && link.buffered() > this.options.max_buffered) this.#tooSlow(client, now)
    return true
  }

  #tooSlow(client: Client, now: number): void {
    const link = client.session?.link
    this.#part(client, 'silence', now)
    link?.close(CloseCode.tooSlow, 'Reading too slowly')
  }

  // ---- time

  get #sweepInterval(): number {
    return Math.min(this.options.alive_timeout / 6, 10_000)
  }

  /** Everything that is due at `now`. */
  #advance(now: number): void {
    this.#plane.advance(now)
    if (now >= this.#nextSweep) this.#sweep(now)
  }

  /** One walk over everybody every few seconds costs less than a timer moved with every message. */
  #sweep(now: number): void {
    const { alive_timeout: alive } = this.options
    for (const client of this.#plane.present()) {
      const link = client.session?.link
      if (!link) continue
      const silence = now - client.heardAt
      if (silence >= alive) {
        this.#part(client, 'silence', now)
        link.close(CloseCode.silent, 'Nothing was heard for too long')
      }
      else if (silence >= alive / 2) {
        link.ping?.()
      }
    }
    this.#forgetAddresses(now)
    this.#nextSweep = this.#present > 0 || this.#addresses.size > 0 ? now + this.#sweepInterval : Infinity
  }

  /** What an observer throws is a mistake of the application: it shows as one, and not here. */
  #tell<K extends keyof HubObserver>(what: K, ...args: Parameters<NonNullable<HubObserver[K]>>): void {
    try {
      (this.observer[what] as ((...args: unknown[]) => void) | undefined)?.(...args)
    }
    catch (error) {
      queueMicrotask(() => { throw error })
    }
  }

  /** One timer, for whatever comes first. */
  #arm(): void {
    if (this.#closed) return
    const at = Math.min(this.#nextSweep, this.#plane.deadline())
    // A timer that is early is harmless and cheaper than moving it with every message.
    if (at === Infinity || (this.#timer && this.#timer.at <= at)) return
    this.#timer?.cancel()
    const cancel = this.#clock.schedule(() => {
      this.#timer = null
      this.#advance(this.#clock.now())
      this.#arm()
    }, Math.max(0, at - this.#clock.now()))
    this.#timer = { at, cancel }
  }
}

/** The handle that a transport holds; all knowledge is in the hub. */
class HubSession implements Session, ClientSession {
  readonly #hub: Hub
  readonly client: Client
  readonly link: Link
  readonly numbers: Numbers | null
  readonly number: number
  /** The client was shown the door: what it still says is not taken. */
  isOver = false

  constructor(hub: Hub, client: Client, link: Link) {
    this.#hub = hub
    this.client = client
    this.link = link
    this.numbers = client.numbers
    this.number = client.numbers?.link ?? 0
  }

  get id(): string {
    return this.client.id
  }

  get received(): number {
    return this.client.received
  }

  receive(text: Text): void {
    this.#hub._receive(this, text)
  }

  settled(): Promise<boolean> | undefined {
    return this.#hub._settled(this)
  }

  since(got: number): readonly string[] {
    return this.#hub._since(this, got)
  }

  silent(): void {
    this.#hub._silent(this)
  }

  heard(): void {
    this.#hub._heard(this)
  }

  closed(code?: number): void {
    this.#hub._lost(this, code)
  }
}

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(fn, delay) {
    const timer: unknown = setTimeout(fn, delay)
    // On Node a process that has nothing else to do may end; elsewhere timers are numbers.
    if (typeof timer === 'object' && timer && 'unref' in timer && typeof timer.unref === 'function') timer.unref()
    return () => clearTimeout(timer as Parameters<typeof clearTimeout>[0])
  },
}

function refill(bucket: Bucket, rate: number, burst: number, now: number): void {
  bucket.allowance = Math.min(burst, bucket.allowance + (now - bucket.refilledAt) * rate / 1000)
  bucket.refilledAt = now
}

/** `rate` 0 is no limit. */
function pay(bucket: Bucket, cost: number, rate: number, burst: number, now: number): boolean {
  if (rate === 0) return true
  refill(bucket, rate, burst, now)
  if (bucket.allowance < cost) return false
  bucket.allowance -= cost
  return true
}

/** What one household or host has: an IPv4 address, or a /64 of IPv6 (RFC 6177). */
function network(address: string): string {
  const [, four] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (four) return four
  const [head = '', tail] = address.toLowerCase().replace(/%.*$/s, '').split('::')
  const before = head.split(':').filter(Boolean)
  const after = tail === undefined ? [] : tail.split(':').filter(Boolean)
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after]
  return groups.slice(0, 4).map(group => group.replace(/^0+(?=.)/, '')).join(':')
}

function refuse(link: Link, text: string | null, code?: number, reason?: string): null {
  try {
    if (text !== null) link.send(text)
    link.close(code, reason)
  }
  catch {
    // It left before it could be told.
  }
  return null
}

/** `type` is for programs; PeerServer's own errors have none and stay byte-equal to its. */
function error(msg: string, type?: string): string {
  return JSON.stringify({ type: 'ERROR', payload: { msg, type } })
}

/** The same text in memory of its own: what is cut out of an address keeps the whole address. */
function own(text: string): string {
  return [...text].join('')
}

function parse(text: string): Frame | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value as Frame : null
  }
  catch {
    return null
  }
}
