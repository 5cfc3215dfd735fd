import type { HoldLimits } from './options.js'

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

/**
 * What waits for ids that are not there: bounded, in order, each message expiring by its own age.
 *
 * Sans-IO: the caller supplies the time and sends what comes out. All messages live equally long, so the order of arrival
 * is the order of expiry, and nothing ever has to be searched.
 */
export class Hold {
  readonly #ttl: number
  readonly #limits: Required<HoldLimits>
  readonly #order = new Set<HeldMessage>()
  readonly #destinations = new Map<string, Destination>()
  #bytes = 0

  constructor(ttl: number, limits: Required<HoldLimits>) {
    this.#ttl = ttl
    this.#limits = limits
  }

  /** Messages that wait, for everybody together. */
  get size(): number {
    return this.#order.size
  }

  /** UTF-16 units that wait; for the ASCII of session descriptions, bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** When `expire()` has something to do; null when nothing waits. */
  deadline(): number | null {
    for (const oldest of this.#order) return oldest.at + this.#ttl
    return null
  }

  /**
   * Keeps a message. `full` is what the sender has to be told with an EXPIRE, and `covered` likewise, but an EXPIRE for
   * this pair left so recently that it covers this message too.
   */
  add(src: string, dst: string, text: string, now: number): 'held' | 'full' | 'covered' {
    const limits = this.#limits
    const bytes = text.length
    const destination = this.#destinations.get(dst)
    const pair = destination?.pairs.get(src)
    if (
      this.#bytes + bytes > limits.total_bytes
      || (destination?.messages.length ?? 0) + 1 > limits.destination_messages
      || (destination?.bytes ?? 0) + bytes > limits.destination_bytes
      || (pair?.messages ?? 0) + 1 > limits.pair_messages
      || (pair?.bytes ?? 0) + bytes > limits.pair_bytes
    ) {
      if (!pair) return 'full'
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
    this.#order.add(message)
    this.#bytes += bytes
    return 'held'
  }

  /** Everything that waits for `dst`, in the order it came; afterwards nothing waits for it. */
  take(dst: string): readonly HeldMessage[] {
    const destination = this.#destinations.get(dst)
    if (!destination) return []
    this.#destinations.delete(dst)
    this.#bytes -= destination.bytes
    for (const message of destination.messages) this.#order.delete(message)
    return destination.messages
  }

  /** Drops what is too old and says whom to tell: once for all that a sender had queued for that id up to now. */
  expire(now: number): Expired[] {
    const expired: Expired[] = []
    for (const message of this.#order) {
      if (message.at + this.#ttl > now) break
      this.#order.delete(message)
      const { src, dst } = message
      const destination = this.#destinations.get(dst)
      const pair = destination?.pairs.get(src)
      if (!destination || !pair) continue
      destination.messages.shift()
      destination.bytes -= message.text.length
      this.#bytes -= message.text.length
      pair.messages -= 1
      pair.bytes -= message.text.length
      if (message.at > pair.expiredAt) {
        pair.expiredAt = now
        expired.push({ src, dst })
      }
      if (pair.messages === 0) destination.pairs.delete(src)
      if (destination.messages.length === 0) this.#destinations.delete(dst)
    }
    return expired
  }
}
