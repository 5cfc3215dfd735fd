import { messageOf } from '../errors.js'
import { noop } from '../events.js'
import { randomToken } from '../util.js'
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'
import { expireMessage, openMessage, type SignalingMessage, toOthers } from './without-server.js'

/** A signaling message on its way: a plain object that JSON carries. Only `src` and `dst` need to be looked at, if anything. */
export interface CustomMessage extends SignalingMessage {
  /** Which life of a peer it is from, and its number there, from 1: what comes twice or out of order is put right by them. */
  from: string
  number: number
}

type Ended = (() => void) | { unsubscribe(): void } | void

export interface CustomOptions {
  /**
   * Brings a message to the peer that is called `to`.
   * @returns false, or a promise of it, where it is known that nobody is called that: then `connect()` fails at once with
   * `peer-unavailable`, and not after 30 s with `timeout`. A rejection, or an exception, means that the way is broken: the peer
   * is `disconnected`, and tries again.
   */
  send(to: string, message: CustomMessage): unknown
  /**
   * Calls `receive` with each message to `id`, as the object that `send` got, or as its JSON text.
   * @returns what ends that: a function, or an object with `unsubscribe`; or a promise of it, which is waited for before the
   * peer is `open`
   */
  onMessage(id: string, receive: (message: unknown) => void): Ended | Promise<Ended>
}

/** What is missing in between is waited for so long, ms; then it goes on without, and what comes late comes late. */
const gapWait = 300
/** So many messages behind a gap, so many that are missing, and so many other peers' lives are remembered. */
const mostHeld = 256
const mostSources = 256

/**
 * Signaling over whatever carries JSON to somebody's name: a database with live queries, a chat system, a queue.
 *
 * What is asked of it: a message that `send` took arrives, once or more often, in any order, within seconds; not one that an
 * earlier page was given already (delete it, or look only for newer ones); ids are not used twice; who writes `message.src` is
 * who they say, if that matters to you.
 */
export function custom(options: CustomOptions): SignalingTransport {
  return { name: 'custom', connect: (id, _token, handlers) => new CustomChannel(options, id, handlers) }
}

/** One life of another peer, as far as it was heard. */
interface Source {
  /** All up to this number were handed on, but for those that are missing. */
  last: number
  missing: Set<number>
  /** Behind a gap. */
  held: Map<number, string>
  timer: ReturnType<typeof setTimeout> | undefined
}

class CustomChannel implements SignalingChannel {
  readonly #send: CustomOptions['send']
  readonly #id: string
  #handlers: SignalingHandlers | null
  readonly #from = randomToken()
  readonly #numbers = new Map<string, number>()
  readonly #sources = new Map<string, Source>()
  #end = noop

  constructor({ send, onMessage }: CustomOptions, id: string, handlers: SignalingHandlers) {
    this.#send = send
    this.#id = id
    this.#handlers = handlers
    const ready = async (): Promise<void> => {
      const ended = await onMessage(id, message => this.#received(message))
      this.#end = typeof ended === 'function' ? ended : () => ended?.unsubscribe()
      if (!this.#handlers) return this.#end()
      handlers.opened()
      handlers.message(openMessage)
    }
    // Later: what is wrong at once is reported as if it came from far.
    Promise.resolve().then(ready).catch((error: unknown) => this.#broken(error))
  }

  send(text: string): void {
    const handlers = this.#handlers
    const message = handlers && toOthers(text, this.#id, handlers)
    if (!message) return
    const { dst } = message
    const number = (this.#numbers.get(dst) ?? 0) + 1
    this.#numbers.set(dst, number)
    const took = async (): Promise<void> => {
      const there = await this.#send(dst, { ...message, from: this.#from, number })
      if (there === false) this.#handlers?.message(expireMessage(dst))
    }
    took().catch((error: unknown) => this.#broken(error))
  }

  close(): void {
    if (!this.#handlers) return
    this.#handlers = null
    for (const { timer } of this.#sources.values()) clearTimeout(timer)
    this.#end()
  }

  #broken(error: unknown): void {
    const handlers = this.#handlers
    this.close()
    handlers?.closed(`The custom way of signaling failed: ${messageOf(error)}`)
  }

  #received(given: unknown): void {
    let message: Partial<CustomMessage>
    try {
      message = (typeof given === 'string' ? JSON.parse(given) : given) as Partial<CustomMessage>
    }
    catch { // somebody else's
      return
    }
    const { from, number, ...plain } = message ?? {}
    if (plain.dst !== this.#id || typeof from !== 'string' || !Number.isSafeInteger(number)) return
    const source = this.#source(from)
    const text = JSON.stringify(plain)
    if (source.missing.delete(number!)) return this.#handlers?.message(text)
    if (number! <= source.last || source.held.size >= mostHeld) return
    source.held.set(number!, text)
    this.#advance(source)
  }

  #source(from: string): Source {
    let source = this.#sources.get(from)
    if (source) return source
    this.#sources.set(from, source = { last: 0, missing: new Set(), held: new Map(), timer: undefined })
    if (this.#sources.size > mostSources) {
      const [oldest] = this.#sources.keys()
      clearTimeout(this.#sources.get(oldest!)!.timer)
      this.#sources.delete(oldest!)
    }
    return source
  }

  /** Hands on what is next, and waits for what is missing before the rest. */
  #advance(source: Source): void {
    clearTimeout(source.timer)
    for (let text = source.held.get(source.last + 1); text !== undefined; text = source.held.get(source.last + 1)) {
      source.held.delete(++source.last)
      this.#handlers?.message(text)
    }
    if (!this.#handlers || source.held.size === 0) return
    source.timer = setTimeout(() => {
      const next = Math.min(...source.held.keys())
      for (let number = Math.max(source.last + 1, next - mostHeld); number < next; number++) source.missing.add(number)
      for (const number of source.missing) {
        if (source.missing.size <= mostHeld) break
        source.missing.delete(number)
      }
      source.last = next - 1
      this.#advance(source)
    }, gapWait)
  }
}
