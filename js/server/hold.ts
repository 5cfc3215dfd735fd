import type { HoldLimits, ResolvedOptions } from './options.js'

/** A message that waits for its destination. */
export interface HeldMessage {
  readonly src: string
  readonly dst: string
  readonly text: string
  readonly at: number
}

interface Pair {
  messages: number
  bytes: number
  /** When the sender was last told; everything it queued up to then is covered by that EXPIRE. */
  expiredAt: number
}

interface Destination {
  readonly messages: HeldMessage[]
  readonly pairs: Map<string, Pair>
  bytes: number
}

export interface Expired {
  readonly src: string
  readonly dst: string
}

/** A client that is believed to come back. */
interface Outage {
  readonly token: string
  until: number
  /** What waits until then; the oldest of all that waits for this client. */
  readonly messages: HeldMessage[]
}

/**
 * What waits for ids that are not there: bounded, in order, each message expiring by its own age, or, when its
 * destination is in an outage, with the end of that.
 *
 * Sans-IO: the caller supplies the time and sends what comes out. All messages live equally long, and so do all outages:
 * in both, the order of arrival is the order of expiry, and nothing ever has to be searched.
 */
export class Hold {
  readonly #ttl: number
  readonly #outageTime: number
  readonly #maxOutages: number
  readonly #limits: Required<HoldLimits>
  /** Messages that expire by their age. */
  readonly #order = new Set<HeldMessage>()
  readonly #outages = new Map<string, Outage>()
  readonly #destinations = new Map<string, Destination>()
  #size = 0
  #bytes = 0

  constructor({ expire_timeout, outage_timeout, concurrent_limit, hold_limits }: ResolvedOptions) {
    this.#ttl = expire_timeout
    this.#outageTime = outage_timeout
    this.#maxOutages = concurrent_limit
    this.#limits = hold_limits
  }

  /** Messages that wait, for everybody together. */
  get size(): number {
    return this.#size
  }

  /** UTF-16 units that wait; for the ASCII of session descriptions, bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** When `expire()` has something to do; null when nothing waits. */
  deadline(): number | null {
    return this.#next()?.at ?? null
  }

  /** The client with this token was given up because nothing came from it: what is sent to it from now on waits longer. */
  await(dst: string, token: string, now: number): void {
    if (this.#outageTime <= this.#ttl) return
    this.#outages.delete(dst)
    this.#outages.set(dst, { token, until: now + this.#outageTime, messages: [] })
    if (this.#outages.size <= this.#maxOutages) return
    // Clients are bounded, and so is what is known about those that went away.
    for (const oldest of this.#outages.values()) {
      oldest.until = now
      break
    }
  }

  /**
   * Somebody is called `dst` now. When that is not the client whose return was awaited, what waited longer than a message
   * may is not for the new one; whom to tell is the answer.
   */
  returned(dst: string, token: string, now: number): Expired[] {
    const outage = this.#outages.get(dst)
    this.#outages.delete(dst)
    if (!outage || outage.token === token) return []
    return outage.messages.flatMap(message => this.#expire(message, now))
  }

  /**
   * Keeps a message. `full` is what the sender has to be told with an EXPIRE, and `covered` likewise, but an EXPIRE for
   * this pair left so recently that it covers this message too, or the one at the end of an outage will.
   */
  add(src: string, dst: string, text: string, now: number): 'held' | 'full' | 'covered' {
    const limits = this.#limits
    const bytes = text.length
    const destination = this.#destinations.get(dst)
    const pair = destination?.pairs.get(src)
    const outage = this.#outages.get(dst)
    if (
      this.#bytes + bytes > limits.total_bytes
      || (destination?.messages.length ?? 0) + 1 > limits.destination_messages
      || (destination?.bytes ?? 0) + bytes > limits.destination_bytes
      || (pair?.messages ?? 0) + 1 > limits.pair_messages
      || (pair?.bytes ?? 0) + bytes > limits.pair_bytes
    ) {
      if (!pair) return 'full'
      if (outage?.messages.some(message => message.src === src)) return 'covered'
      if (now - pair.expiredAt < this.#ttl) return 'covered'
      pair.expiredAt = now
      return 'full'
    }

    const message: HeldMessage = { src, dst, text, at: now }
    const queue = destination ?? { messages: [], pairs: new Map<string, Pair>(), bytes: 0 }
    const sender = pair ?? { messages: 0, bytes: 0, expiredAt: -Infinity }
    queue.messages.push(message)
    queue.pairs.set(src, sender)
    queue.bytes += bytes
    sender.messages += 1
    sender.bytes += bytes
    this.#destinations.set(dst, queue)
    if (outage && now + this.#ttl <= outage.until) outage.messages.push(message)
    else this.#order.add(message)
    this.#size += 1
    this.#bytes += bytes
    return 'held'
  }

  /** Everything that waits for `dst`, in the order it came; afterwards nothing waits for it. */
  take(dst: string): readonly HeldMessage[] {
    const destination = this.#destinations.get(dst)
    if (!destination) return []
    this.#destinations.delete(dst)
    const outage = this.#outages.get(dst)
    if (outage) outage.messages.length = 0
    this.#size -= destination.messages.length
    this.#bytes -= destination.bytes
    for (const message of destination.messages) this.#order.delete(message)
    return destination.messages
  }

  /** Drops what is too old and says whom to tell: once for all that a sender had queued for that id up to now. */
  expire(now: number): Expired[] {
    const expired: Expired[] = []
    for (let next = this.#next(); next && next.at <= now; next = this.#next()) {
      if ('dst' in next) {
        this.#outages.delete(next.dst)
        for (const message of next.outage.messages) expired.push(...this.#expire(message, now))
      }
      else {
        this.#order.delete(next.message)
        expired.push(...this.#expire(next.message, now))
      }
    }
    return expired
  }

  /** What ends first, and when. */
  #next(): { at: number, message: HeldMessage } | { at: number, dst: string, outage: Outage } | null {
    for (const [dst, outage] of this.#outages) {
      for (const message of this.#order) {
        const at = message.at + this.#ttl
        return at < outage.until ? { at, message } : { at: outage.until, dst, outage }
      }
      return { at: outage.until, dst, outage }
    }
    for (const message of this.#order) return { at: message.at + this.#ttl, message }
    return null
  }

  /** Takes out the oldest message of a destination. */
  #expire(message: HeldMessage, now: number): Expired[] {
    const { src, dst } = message
    const destination = this.#destinations.get(dst)
    const pair = destination?.pairs.get(src)
    if (!destination || !pair) return []
    destination.messages.shift()
    destination.bytes -= message.text.length
    this.#size -= 1
    this.#bytes -= message.text.length
    pair.messages -= 1
    pair.bytes -= message.text.length
    if (pair.messages === 0) destination.pairs.delete(src)
    if (destination.messages.length === 0) this.#destinations.delete(dst)
    if (message.at <= pair.expiredAt) return []
    pair.expiredAt = now
    return [{ src, dst }]
  }
}
