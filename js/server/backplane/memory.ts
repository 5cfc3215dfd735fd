import { CloseCode } from '../hub.js'
import type { Progress, Session } from '../hub.js'
import { Hold } from '../hold.js'
import type { Expired } from '../hold.js'
import type { Text } from '../frame.js'
import { beforeKept, expire, OPEN, openAt } from './backplane.js'
import type { Applicant, Backplane, Client, ClientSession, Envelope, Host, Numbers, Parting } from './backplane.js'
import { Kept } from './kept.js'

const MAX_CONTACTS = 256

/** Everybody is in this process. */
export class MemoryBackplane implements Backplane {
  readonly #host: Host
  readonly #hold: Hold
  readonly #clients = new Map<string, Client>()
  /** Dropped clients and when their reservation ends, the next to end first. */
  readonly #reserved = new Map<Client, number>()
  /** Clients that count and have not come back in time for their id, but still may for what they missed. The oldest first. */
  readonly #away = new Map<string, { readonly client: Client, readonly until: number }>()
  /** UTF-16 units that are kept until they are confirmed. */
  #keptBytes = 0

  constructor(host: Host) {
    this.#host = host
    this.#hold = new Hold(host.options)
  }

  get held(): number {
    return this.#hold.size
  }

  * present(): Iterable<Client> {
    for (const client of this.#clients.values()) if (client.session) yield client
  }

  find(id: string): Client | undefined {
    const client = this.#clients.get(id)
    return client?.session ? client : undefined
  }

  knows(id: string): boolean {
    return this.#clients.has(id)
  }

  enter(who: Applicant, now: number): Session | null {
    const { id, token, link, progress, address } = who
    const host = this.#host
    const away = this.#away.get(id)
    const known = this.#clients.get(id) ?? (away?.client.token === token ? away.client : undefined)
    if (known && known.token !== token) return host.refuse(link, '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}')
    const before = known?.numbers
    if (progress && before?.session === progress.session && before.link >= progress.link) {
      return host.refuse(link, null, CloseCode.replaced, 'Replaced by a newer connection of the same client')
    }
    const full = known?.session ? null : host.full(address)
    if (full !== null) return host.refuse(link, full)

    const client = known ?? host.make(who)
    if (away) {
      this.#away.delete(id)
      if (away.client !== client) this.#release(away.client)
    }
    this.#count(client, progress)
    this.#clients.set(id, client)
    this.#reserved.delete(client)
    const session = host.seat(client, who, !!before && before.session !== progress?.session)

    this.#expired(this.#hold.returned(id, token, now), now)
    this.#resume(client, session, now)
    for (const { src, text } of this.#hold.take(id)) {
      // The link died in the middle of this: the rest waits for the next one, and its senders are told if none comes.
      if (!this.#send(client, text, now)) this.#hold.add(src, id, text, now)
    }
    if (client.session === session) host.opened(client)
    return client.session === session ? session : null
  }

  part(client: Client, how: Parting, now: number): void {
    const { reserve_timeout: reserve, concurrent_limit: limit } = this.#host.options
    if (how === 'goodbye') {
      this.#announce(client, now)
      this.#release(client)
    }
    if (how === 'silence') this.#hold.await(client.id, client.token, now)
    if (how === 'leave' || how === 'goodbye' || reserve === 0) return this.#forget(client, now)
    // The client may come back: its id stays reserved.
    this.#reserved.set(client, now + reserve)
    if (this.#reserved.size <= limit) return
    // Somebody makes up ids and drops them: reservations are a courtesy, memory is not.
    for (const [oldest] of this.#reserved) {
      this.#forget(oldest)
      break
    }
  }

  close(): void {
    this.#clients.clear()
    this.#away.clear()
    this.#reserved.clear()
  }

  // ---- relay

  relay(from: Client, { type, dst, wait }: Envelope, text: Text, now: number): void {
    const to = this.#clients.get(dst)
    if (type === 'LEAVE') {
      forget(from, dst)
      if (to) forget(to, from.id)
    }
    else if (to && (type === 'OFFER' || type === 'ANSWER')) {
      remember(from, dst)
      remember(to, from.id)
    }
    if (to?.session && this.#send(to, text, now)) return
    if (type === 'LEAVE' || type === 'EXPIRE') return
    if (!wait || this.#hold.add(from.id, dst, String(text), now) === 'full') this.#send(from, expire(dst, from.id), now)
    this.#host.arm()
  }

  tell(to: Client, text: string, now: number, then?: () => void): void {
    if (this.#clients.get(to.id) === to) this.#send(to, text, now)
    then?.()
  }

  /** False when the message did not go out: the client is not there, or is not any more. */
  #send(client: Client, text: Text, now: number): boolean {
    const link = client.session?.link
    if (!link) return false
    const { numbers } = client
    if (!numbers) return this.#host.hand(client, text, undefined, now)
    if (link.stalled?.() && this.#isFull(numbers)) {
      // Nothing may fall out here that nobody has seen. What is held instead has its own bounds, and its senders are told.
      this.#host.tooSlow(client, now)
      return false
    }
    // Where the link is gone, what is kept is delivered when the client is back.
    this.#host.hand(client, text, this.#keep(numbers, text), now)
    return true
  }

  // ---- clients that count

  confirm(client: Client, got: number): void {
    const { numbers, session } = client
    if (!numbers || !session) return
    this.#confirm(numbers, got)
    if (session.link.confirms || numbers.told === client.received) return
    numbers.told = client.received
    try {
      session.link.send(openAt(client.received, numbers.sent))
    }
    catch {
      // The next message finds out.
    }
  }

  since({ client, numbers, number }: ClientSession, got: number): readonly string[] {
    // What another link may have meanwhile is not for this one.
    if (!numbers || client.numbers !== numbers || numbers.link !== number) return []
    this.#confirm(numbers, got)
    return [this.#open(client, numbers), ...numbers.kept?.texts() ?? []]
  }

  /** Takes up where the client was; or, when it is a new page, a stock client, or this server is new to it, begins. */
  #count(client: Client, progress: Progress | null): void {
    if (progress && client.numbers?.session === progress.session) {
      client.numbers.link = progress.link
      this.#confirm(client.numbers, progress.got)
      return
    }
    this.#release(client)
    client.received = progress?.sent ?? 0
    client.numbers = progress && {
      session: progress.session, link: progress.link, sent: progress.got, kept: null, told: progress.sent,
    }
  }

  #confirm(numbers: Numbers, got: number): void {
    const first = beforeKept(numbers) + 1
    const { kept } = numbers
    if (!kept) return
    this.#keptBytes -= kept.units
    kept.drop(Math.min(got, numbers.sent) - first + 1)
    this.#keptBytes += kept.units
  }

  #isFull(numbers: Numbers): boolean {
    const { destination_messages: messages, destination_bytes: bytes, total_bytes: total } = this.#host.options.hold_limits
    const { length = 0, units = 0 } = numbers.kept ?? {}
    return length >= messages || units >= bytes || this.#keptBytes >= total
  }

  /** What is on its way to a client that counts; the oldest gives way, and the client learns by the next OPEN that it missed it. */
  #keep(numbers: Numbers, text: Text): number {
    const { destination_messages: messages, destination_bytes: bytes, total_bytes: total } = this.#host.options.hold_limits
    const kept = numbers.kept ??= new Kept()
    numbers.sent += 1
    kept.push(text)
    this.#keptBytes += text.length
    while (kept.length > 0 && (kept.length > messages || kept.units > bytes || this.#keptBytes > total)) {
      this.#confirm(numbers, beforeKept(numbers) + 1)
    }
    return numbers.sent
  }

  #release(client: Client): void {
    if (client.numbers) this.#confirm(client.numbers, Infinity)
    client.numbers = null
  }

  #open(client: Client, numbers: Numbers): string {
    numbers.told = client.received
    return openAt(client.received, beforeKept(numbers))
  }

  /** OPEN, and what is kept. */
  #resume(client: Client, session: ClientSession, now: number): void {
    const { numbers } = client
    if (!numbers) return void this.#send(client, OPEN, now)
    let number = beforeKept(numbers)
    if (!this.#host.hand(client, this.#open(client, numbers), undefined, now)) return
    for (const text of numbers.kept?.texts() ?? []) {
      number += 1
      if (client.session !== session || !this.#host.hand(client, text, number, now)) return
    }
  }

  // ---- coming and going

  /** The client said that it is gone for good, so its peers need not find out by themselves. */
  #announce(client: Client, now: number): void {
    for (const id of client.contacts ?? []) {
      const peer = this.#clients.get(id)
      if (peer) forget(peer, client.id)
      if (peer) this.#send(peer, `{"type":"LEAVE","src":"${client.id}","dst":"${id}"}`, now)
    }
  }

  /** The client is gone. One that counts may come back for what it missed, also when it closed its link properly: to change it. */
  #forget(client: Client, now?: number): void {
    this.#reserved.delete(client)
    if (this.#clients.get(client.id) === client) this.#clients.delete(client.id)
    if (now === undefined || !client.numbers) return this.#release(client)
    this.#away.delete(client.id)
    this.#away.set(client.id, { client, until: now + this.#host.options.outage_timeout })
    if (this.#away.size <= this.#host.options.concurrent_limit) return
    for (const { client: oldest } of this.#away.values()) {
      this.#away.delete(oldest.id)
      this.#release(oldest)
      break
    }
  }

  // ---- time

  advance(now: number): void {
    this.#expired(this.#hold.expire(now), now)
    for (const [client, until] of this.#reserved) {
      if (until > now) break
      this.#forget(client, now)
    }
    for (const { client, until } of this.#away.values()) {
      if (until > now) break
      this.#away.delete(client.id)
      this.#release(client)
    }
  }

  deadline(): number {
    let at = this.#hold.deadline() ?? Infinity
    for (const until of this.#reserved.values()) {
      at = Math.min(at, until)
      break
    }
    for (const { until } of this.#away.values()) {
      at = Math.min(at, until)
      break
    }
    return at
  }

  #expired(expired: readonly Expired[], now: number): void {
    for (const { src, dst } of expired) {
      const sender = this.#clients.get(src)
      if (sender) this.#send(sender, expire(dst, src), now)
    }
  }
}

function remember(client: Client, id: string): void {
  if (client.id === id || client.contact === id) return
  client.contact = id
  const contacts = client.contacts ??= new Set()
  contacts.delete(id)
  contacts.add(id)
  if (contacts.size > MAX_CONTACTS) {
    for (const oldest of contacts) {
      contacts.delete(oldest)
      break
    }
  }
}

function forget(client: Client, id: string): void {
  client.contacts?.delete(id)
  if (client.contact === id) client.contact = ''
}
