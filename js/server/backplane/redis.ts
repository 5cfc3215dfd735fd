import { CloseCode } from '../hub.js'
import type { Clock, Session } from '../hub.js'
import { beforeKept, OPEN, openAt } from './backplane.js'
import type { Applicant, Backplane, Client, ClientSession, Envelope, Host, Numbers, Parting } from './backplane.js'
import type { Rooms } from '../rooms.js'
import type { Text } from '../frame.js'
import { Kept } from './kept.js'
import { SharedRooms } from './rooms.js'
import { beat, scriptsFor } from './scripts.js'
import type { ScriptName } from './scripts.js'
import { Wire } from './wire.js'

/** A beat that is not answered for so long, ms: Redis hangs. */
const patience = 3000
/** Messages that a client may send before it is let in; none of ours or PeerJS's sends any. */
const mostEarly = 64

/** A client that is connected here. */
interface Seat {
  readonly client: Client
  /** Names this connection among all of all instances. */
  readonly at: string
  /** The last message from it that Redis was asked to take, and the last that it has taken. */
  asked: number
  taken: number
  /** Renewals on their way, and what comes meanwhile. */
  renewing: number
  readonly stash: Delivery[]
  /** Its last words, after which something has to be done. */
  last: { readonly text: string, readonly then: () => void } | null
}

interface Delivery {
  readonly number: number
  readonly text: string
}

/**
 * Everybody is in Redis, which any number of instances share. Nothing is accepted that it has not: it numbers what goes to a
 * client, keeps it until the client has it, and counts what comes from a client, in one step with where that goes. What an
 * instance knows of its own clients is a copy, good enough to tell Redis what it forgot.
 */
export class RedisBackplane implements Backplane {
  readonly #host: Host
  readonly #clock: Clock
  #rooms: SharedRooms | null = null
  readonly #instance = crypto.randomUUID().replaceAll('-', '')
  readonly #wire: Wire<ScriptName>
  readonly #seats = new Map<string, Seat>()
  readonly #byId = new Map<string, Seat>()
  readonly #arriving = new Map<string, Arrival>()
  /** Connections that Redis may know and nobody has. */
  readonly #ghosts = new Map<string, string>()
  /** Clients that were here lately, for the sake of their rate limits. */
  readonly #former = new Map<string, Client>()
  #count = 0
  #held = 0
  #cancelBeat: (() => void) | null = null
  #wake: { at: number, cancel: () => void } | null = null
  #unanswered: number | null = null
  /** Redis has heard of this instance since it is there. */
  #beats = false
  #leaving = false

  constructor(host: Host, clock: Clock, url: string) {
    this.#host = host
    this.#clock = clock
    const prefix = `peerbridge:{${host.options.key}}:`
    const [mine, rooms] = [`${prefix}to:${this.#instance}`, `${prefix}rooms`]
    this.#wire = new Wire(url, host.options.rooms ? [mine, rooms] : [mine], scriptsFor(prefix, host.options), {
      message: (text, channel) => channel === rooms ? this.#rooms?.heard(text) : this.#heard(text),
      up: () => this.#up(),
      down: () => this.#down(),
    })
  }

  share(rooms: Rooms): void {
    const { reserve_timeout: reserve, outage_timeout: outage } = this.#host.options
    this.#rooms = rooms.elsewhere = new SharedRooms(rooms, this.#clock, this.#wire, this.#instance, Math.max(reserve, outage))
  }

  get ready(): Promise<void> {
    return this.#wire.ready
  }

  get isUp(): boolean {
    return this.#wire.isUp
  }

  /** In all instances, as of the last beat. */
  get held(): number {
    return this.#held
  }

  * present(): Iterable<Client> {
    for (const { client } of this.#byId.values()) yield client
  }

  find(id: string): Client | undefined {
    return this.#byId.get(id)?.client
  }

  knows(id: string): boolean {
    return this.#byId.has(id)
  }

  everybody(): Promise<string[]> {
    return this.#wire.ask('everybody', []) as Promise<string[]>
  }

  async isKnown(id: string): Promise<boolean> {
    return await this.#wire.ask('known', [id]) === 1
  }

  // ---- coming

  enter(who: Applicant): Session | null {
    const { id, token, link, progress, address } = who
    const here = this.#byId.get(id)?.client
    const full = here?.token === token ? null : this.#host.full(address)
    if (full !== null) return this.#host.refuse(link, full)
    if (!this.#wire.isUp) return this.#host.refuse(link, null, CloseCode.tooSlow, 'Redis is away, try again')

    const at = `${this.#instance}.${++this.#count}`
    const arrival = new Arrival(who, at)
    this.#arriving.set(at, arrival)
    this.#wire.run('enter', [
      id, at, token, progress?.session ?? '', progress?.link ?? 0, progress?.got ?? 0, progress?.sent ?? 0, link.stalled ? 1 : 0,
    ], reply => this.#admit(arrival, reply as Admission), () => {
      this.#arriving.delete(at)
      this.#ghosts.set(at, id)
      this.#host.refuse(link, null, CloseCode.tooSlow, 'Redis is away, try again')
      arrival.settle(null)
    }, false)
    return arrival
  }

  #admit(arrival: Arrival, reply: Admission): void {
    const { who, at } = arrival
    const { id, token, link, progress } = who
    this.#arriving.delete(at)
    if (reply[0] === 'taken') {
      this.#host.refuse(link, '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}')
      return arrival.settle(null)
    }
    if (reply[0] === 'stale') {
      this.#host.refuse(link, null, CloseCode.replaced, 'Replaced by a newer connection of the same client')
      return arrival.settle(null)
    }
    if (reply[0] !== 'in') return arrival.settle(null)
    const [, received, sent, kept, waited] = reply
    const now = this.#host.now()
    const before = this.#byId.get(id)
    const former = before?.client ?? this.#former.get(id)
    const client = former?.token === token ? former : this.#host.make(who)
    this.#former.delete(id)
    // Redis has forgotten one, and another came first.
    if (before && before.client.token !== token) this.#lost(before)
    if (before) this.#seats.delete(before.at)
    const renewed = !!client.numbers && client.numbers.session !== progress?.session
    client.received = received
    client.numbers = progress && {
      session: progress.session, link: progress.link, sent, kept: new Kept(kept), told: received,
    }
    const seat: Seat = { client, at, asked: received, taken: received, renewing: 0, stash: [], last: null }
    this.#byId.set(id, seat)
    this.#seats.set(at, seat)
    const session = this.#host.seat(client, who, renewed)
    if (client.numbers) this.#resend(seat, client.numbers, now)
    else this.#host.hand(client, OPEN, undefined, now)
    for (const text of waited) this.#deliver(seat, { number: 0, text })
    for (const delivery of arrival.stash) this.#deliver(seat, delivery)
    if (client.session === session) this.#host.opened(client)
    arrival.settle(client.session === session ? session : null)
  }

  /** OPEN, and what is kept. */
  #resend(seat: Seat, numbers: Numbers, now: number): void {
    const { client } = seat
    let number = beforeKept(numbers)
    if (!this.#host.hand(client, this.#open(seat, numbers), undefined, now)) return
    for (const text of numbers.kept?.texts() ?? []) {
      number += 1
      if (!this.#has(seat) || !this.#host.hand(client, text, number, now)) return
    }
  }

  #open(seat: Seat, numbers: Numbers): string {
    numbers.told = seat.taken
    return openAt(seat.taken, beforeKept(numbers))
  }

  #has(seat: Seat): boolean {
    return this.#seats.get(seat.at) === seat
  }

  #seatOf(client: Client): Seat | undefined {
    const seat = this.#byId.get(client.id)
    return seat?.client === client ? seat : undefined
  }

  // ---- from clients

  relay(from: Client, { type, dst, wait }: Envelope, text: Text): void {
    const kind = type === 'LEAVE' ? 'leave' : type === 'EXPIRE' ? 'expire' : type === 'OFFER' || type === 'ANSWER' ? 'description' : 'other'
    const seat = this.#seatOf(from)
    if (seat) this.#take(seat, dst, kind, wait, String(text))
  }

  /** Redis is asked to take everything that arrived, the last of it to `dst`. */
  #take(seat: Seat, dst: string, kind: string, wait: boolean, text: string): void {
    const { client } = seat
    // What waits for Redis is bounded like what waits for clients. What is not taken here its client sends again.
    if (this.#wire.waiting + text.length > this.#host.options.hold_limits.total_bytes) {
      return this.#host.dismiss(client, CloseCode.tooSlow, 'Redis is away, try again')
    }
    const before = seat.asked
    const number = seat.asked = client.received
    this.#wire.run('relay', [client.id, seat.at, before, number, dst, kind, wait ? 1 : 0, text], (reply) => {
      const [how, due] = reply as [number, number?]
      if (how < 0) return this.#lost(seat)
      seat.taken = Math.max(seat.taken, number)
      if (due !== undefined && due !== null) this.#wakeIn(due)
    }, () => this.#lost(seat))
  }

  /** Somebody else speaks for this client, or something it said was refused: it comes again and says what was not confirmed. */
  #lost(seat: Seat): void {
    if (this.#has(seat)) this.#host.dismiss(seat.client, CloseCode.replaced, 'Replaced by a newer connection of the same client')
  }

  confirm(client: Client, got: number): void {
    const seat = this.#seatOf(client)
    const { numbers, session } = client
    if (!seat || !numbers || !session) return
    // What needed no relay counts all the same.
    if (client.received > seat.asked) this.#take(seat, '', 'other', false, '')
    this.#confirm(seat, numbers, got)
    if (session.link.confirms || numbers.told === seat.taken || !this.#has(seat)) return
    numbers.told = seat.taken
    this.#host.hand(client, openAt(seat.taken, numbers.sent), undefined, this.#host.now())
  }

  #confirm(seat: Seat, numbers: Numbers, got: number): void {
    const count = Math.min(numbers.kept?.length ?? 0, got - beforeKept(numbers))
    if (count <= 0) return
    numbers.kept?.drop(count)
    this.#wire.run('confirm', [seat.client.id, seat.at, got])
  }

  since({ client, numbers, number }: ClientSession, got: number): readonly string[] {
    const seat = this.#seatOf(client)
    // What another link may have meanwhile is not for this one.
    if (!numbers || client.numbers !== numbers || numbers.link !== number) return []
    if (!seat) return [openAt(numbers.told, beforeKept(numbers)), ...numbers.kept?.texts() ?? []]
    this.#confirm(seat, numbers, got)
    return [this.#open(seat, numbers), ...numbers.kept?.texts() ?? []]
  }

  async settled(client: Client): Promise<boolean> {
    const seat = this.#seatOf(client)
    if (!seat) return false
    if (client.received > seat.asked) this.#take(seat, '', 'other', false, '')
    const number = seat.asked
    if (seat.taken >= number) return true
    await this.#inTime(this.#wire.settled())
    return seat.taken >= number
  }

  part(client: Client, how: Parting): void {
    const seat = this.#seatOf(client)
    if (!seat) return
    this.#byId.delete(client.id)
    this.#seats.delete(seat.at)
    seat.last?.then()
    if (how === 'drop' || how === 'silence') {
      this.#former.set(client.id, client)
      if (this.#former.size > this.#host.options.concurrent_limit) {
        for (const id of this.#former.keys()) {
          this.#former.delete(id)
          break
        }
      }
    }
    this.#wire.run('part', [client.id, seat.at, how])
  }

  // ---- to clients

  tell(to: Client, text: string, _now: number, then?: () => void): void {
    const seat = this.#seatOf(to)
    if (!seat) return then?.()
    if (then) {
      if (!this.#wire.isUp) return then()
      seat.last = { text, then: () => {
        seat.last = null
        then()
      } }
    }
    this.#wire.run('tell', [to.id, seat.at, text], (reply) => {
      if (reply !== 1) seat.last?.then()
    }, () => seat.last?.then())
  }

  /** What was published for this instance. */
  #heard(message: string): void {
    const end = message.indexOf(' ')
    const at = message.slice(0, end)
    const seat = this.#seats.get(at)
    if (message[end + 1] === '!') {
      if (!seat) return
      if (message.endsWith('!slow')) this.#host.tooSlow(seat.client, this.#host.now())
      else this.#lost(seat)
      return
    }
    const start = message.indexOf(' ', end + 1)
    const delivery = { number: Number(message.slice(end + 1, start)), text: message.slice(start + 1) }
    if (seat) {
      if (seat.renewing > 0) seat.stash.push(delivery)
      else this.#deliver(seat, delivery)
      return
    }
    const arrival = this.#arriving.get(at)
    if (arrival) arrival.stash.push(delivery)
    // What counts is kept. The rest was on its way while the client went.
    else if (delivery.number === 0) this.#again(delivery.text)
  }

  #deliver(seat: Seat, { number, text }: Delivery): void {
    const { client } = seat
    const { numbers } = client
    const now = this.#host.now()
    if (!this.#has(seat)) return number === 0 ? this.#again(text) : undefined
    if (!numbers || number === 0) {
      if (!this.#host.hand(client, text, undefined, now)) this.#again(text)
    }
    else if (number === numbers.sent + 1) {
      this.#keep(numbers, text)
      this.#host.hand(client, text, number, now)
    }
    else if (number > numbers.sent) {
      return this.#renew(seat)
    }
    if (seat.last?.text === text) seat.last.then()
  }

  #keep(numbers: Numbers, text: string): void {
    const { destination_messages: messages, destination_bytes: bytes } = this.#host.options.hold_limits
    const kept = numbers.kept ??= new Kept()
    numbers.sent += 1
    kept.push(text)
    while (kept.length > 0 && (kept.length > messages || kept.units > bytes)) kept.drop(1)
  }

  /** A message to a client that does not count came when it was gone: it waits, as if it had come a moment later. */
  #again(text: string): void {
    const { type, src, dst } = JSON.parse(text) as { type?: unknown, src?: unknown, dst?: unknown }
    if (typeof src !== 'string' || typeof dst !== 'string' || type === 'LEAVE' || type === 'EXPIRE') return
    this.#wire.run('again', [src, dst, text], due => this.#wakeIn(Number(due)))
  }

  // ---- Redis comes and goes

  #up(): void {
    this.#beats = false
    // Known before its clients are.
    this.#beat()
    for (const [at, id] of this.#ghosts) this.#wire.run('part', [id, at, 'drop'])
    this.#ghosts.clear()
    this.#renewAll()
  }

  #renewAll(): void {
    if (this.#leaving) return
    for (const seat of this.#seats.values()) this.#renew(seat)
    // Whose member somebody is, Redis tells by where the client is.
    this.#rooms?.up()
  }

  #down(): void {
    for (const seat of [...this.#seats.values()]) seat.last?.then()
  }

  /** Tells Redis of a client, in case it has forgotten, and asks what the client missed. */
  #renew(seat: Seat): void {
    const { client, at } = seat
    const { numbers, session } = client
    seat.renewing += 1
    this.#wire.run('renew', [
      client.id, at, client.token, numbers?.session ?? '', numbers?.link ?? 0, numbers?.sent ?? 0, seat.taken, session?.link.stalled ? 1 : 0,
      ...numbers?.kept?.texts() ?? [],
    ], (reply) => {
      seat.renewing -= 1
      if (!this.#has(seat)) return
      this.#renewed(seat, reply as Admission)
      if (seat.renewing === 0) for (const delivery of seat.stash.splice(0)) this.#deliver(seat, delivery)
    }, () => {
      seat.renewing -= 1
      this.#lost(seat)
    })
  }

  #renewed(seat: Seat, reply: Admission): void {
    if (reply[0] !== 'in') return this.#lost(seat)
    const [, , sent, kept, waited] = reply
    const { client } = seat
    const { numbers } = client
    for (const text of waited) this.#deliver(seat, { number: 0, text })
    if (!numbers) return
    const first = sent - kept.length
    if (first > numbers.sent && this.#has(seat)) {
      // More was on its way than is kept: the client is told, as it would be on a new link.
      numbers.kept?.drop(Infinity)
      numbers.sent = first
      this.#host.hand(client, this.#open(seat, numbers), undefined, this.#host.now())
    }
    for (const [i, text] of kept.entries()) {
      if (first + i + 1 > numbers.sent) this.#deliver(seat, { number: first + i + 1, text })
    }
  }

  // ---- time

  #beat(): void {
    this.#cancelBeat?.()
    if (!this.#wire.isUp) return
    const began = this.#clock.now()
    this.#unanswered ??= began
    this.#cancelBeat = this.#clock.schedule(() => {
      if (this.#unanswered !== null && this.#clock.now() - this.#unanswered > patience) {
        this.#unanswered = null
        this.#wire.reset()
      }
      else {
        this.#beat()
      }
    }, beat)
    this.#wire.ask('beat', [this.#instance]).then((reply) => {
      const [fresh, more, due, held] = reply as [number, number, number, number]
      this.#unanswered = null
      this.#held = held
      if (due >= 0) this.#wakeIn(due)
      // It was taken for dead, and its clients with it.
      if (fresh === 1 && this.#beats) this.#renewAll()
      this.#beats = true
      if (more === 1) this.#beat()
    }, () => {})
  }

  /** Something expires then. Any instance may see to it, this one knows when. */
  #wakeIn(ms: number): void {
    const at = this.#clock.now() + ms
    if (ms >= beat || (this.#wake && this.#wake.at <= at)) return
    this.#wake?.cancel()
    const cancel = this.#clock.schedule(() => {
      this.#wake = null
      this.#beat()
    }, ms + 1)
    this.#wake = { at, cancel }
  }

  advance(): void {
    // Redis has a clock of its own.
  }

  deadline(): number {
    return Infinity
  }

  async leave(): Promise<void> {
    this.#leaving = true
    // What is for them from now on waits for where they are next.
    for (const { client, at } of this.#seats.values()) this.#wire.run('part', [client.id, at, 'silence'])
    await this.#inTime(this.#wire.settled())
  }

  async close(): Promise<void> {
    this.#cancelBeat?.()
    this.#wake?.cancel()
    this.#rooms?.close()
    if (!this.#leaving) void this.leave()
    this.#seats.clear()
    this.#byId.clear()
    if (this.#wire.isUp) {
      await this.#inTime(this.#wire.settled())
      await this.#inTime(this.#wire.ask('end', [this.#instance]).catch(() => {}))
    }
    this.#wire.end()
  }

  /** Later than Redis could be asked to, it will not be done any more. */
  async #inTime(what: Promise<unknown>): Promise<void> {
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => { cancel = this.#clock.schedule(resolve, patience) })
    await Promise.race([what, late])
    cancel()
  }
}

type Admission = ['taken'] | ['stale'] | ['gone'] | ['in', received: number, sent: number, kept: string[], waited: string[]]

/** A client about which Redis was asked. */
class Arrival implements Session {
  readonly who: Applicant
  readonly at: string
  /** What Redis sent it before it said that it may come in. */
  readonly stash: Delivery[] = []
  readonly ready: Promise<boolean>
  #session: Session | null = null
  #early: string[] | null = []
  #end: { code: number | undefined } | null = null
  #settled: (isIn: boolean) => void = () => {}

  constructor(who: Applicant, at: string) {
    this.who = who
    this.at = at
    this.ready = new Promise((resolve) => { this.#settled = resolve })
  }

  settle(session: Session | null): void {
    this.#session = session
    const early = this.#early ?? []
    this.#early = null
    if (this.#end) session?.closed(this.#end.code)
    else for (const text of early) session?.receive(text)
    this.#settled(session !== null)
  }

  get id(): string {
    return this.who.id
  }

  get received(): number {
    return this.#session?.received ?? 0
  }

  receive(text: Text): void {
    if (!this.#early) return this.#session?.receive(text)
    if (this.#end) return
    if (this.#early.push(String(text)) <= mostEarly) return
    this.#end = { code: CloseCode.flood }
    this.who.link.close(CloseCode.flood, 'Too many messages before OPEN')
  }

  since(got: number): readonly string[] {
    return this.#session?.since(got) ?? []
  }

  settled(): Promise<boolean> {
    return this.#session?.settled?.() ?? Promise.resolve(false)
  }

  heard(): void {
    this.#session?.heard()
  }

  closed(code?: number): void {
    if (this.#early) this.#end ??= { code }
    else this.#session?.closed(code)
  }

  silent(): void {
    this.#session?.silent()
  }
}
