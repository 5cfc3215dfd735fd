// Questions and answers: request() and onRequest() of a data connection. Bytes: docs/protocol.md, "Requests".
//
// Who calls: Messages. They travel as messages do, so each comes exactly once, whatever becomes of the path. What the other
// side may cost us is bounded: `atOnce` questions that are being answered, and a few bytes for each beyond.

import { Format, type Lane } from '../core/types.js'
import { messageOf, PeerError } from '../errors.js'
import { type Deferred, deferred, rejected } from '../events.js'
import type { RequestOptions } from '../data-connection.js'
import type { Encoded } from './driver.js'
import type { Messages, MessagesOwner, Post } from './messages.js'

/** First byte of a request message. */
const ask = 0
const cancel = 1

/** First byte of a response message. */
const answer = 0
const failed = 1
const unhandled = 2
const busy = 3

/** Of the other side's, so many are answered at once; more get `busy`. */
const atOnce = 1024
/** Longest text of an error that is told to the other side, UTF-16 units. */
const longestText = 1024
/** setTimeout() takes no more. */
const longestTimeout = 0x7fff_ffff

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

interface Asked extends Deferred<unknown> {
  post: Post
  over(): void
}

export class Requests {
  readonly #messages: Messages
  readonly #owner: MessagesOwner
  #last = 0
  /** Ours, without an answer yet. */
  readonly #asked = new Map<number, Asked>()
  /** Theirs, without an answer yet. */
  readonly #taken = new Map<number, AbortController>()
  /** Refusals that wait for room. */
  #refusing = 0
  /** The highest id of the other side, by lane: they rise. */
  readonly #highest = [0, 0, 0]

  constructor(messages: Messages, owner: MessagesOwner) {
    this.#messages = messages
    this.#owner = owner
  }

  ask(data: unknown, { timeout = 30_000, signal, priority = 'normal' }: RequestOptions): Promise<unknown> {
    const { peer } = this.#owner
    if (signal?.aborted) return rejected(this.#aborted(signal))
    if (!(timeout >= 0)) {
      return rejected(this.#owner.error('invalid-argument', `timeout has to be a number of milliseconds, 0 for none, got ${String(timeout)}.`))
    }
    const id = ++this.#last
    let post: Post
    let sent: Promise<void>
    try {
      post = { lane: this.#messages.lane(priority) }
      sent = this.#messages.hand(wrap(Format.request, ask, id, this.#messages.encode(data)), post)
    }
    catch (error) {
      return rejected(this.#messages.wrap(error))
    }
    const waiting = deferred<unknown>()
    const timer = timeout > 0 && timeout < Infinity
      ? setTimeout(() => this.#giveUp(id, this.#owner.error('timeout', `${peer} did not answer a request within ${timeout} ms.`)), Math.min(timeout, longestTimeout))
      : undefined
    const abort = (): void => this.#giveUp(id, this.#aborted(signal!))
    signal?.addEventListener('abort', abort)
    this.#asked.set(id, {
      ...waiting, post,
      over() {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      },
    })
    sent.catch((error: unknown) => this.#settle(id)?.reject(error))
    return waiting.promise
  }

  #aborted(signal: AbortSignal): PeerError {
    return this.#owner.error('aborted', `A request to ${this.#owner.peer} was aborted by its signal.`, signal.reason)
  }

  #settle(id: number): Asked | undefined {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    asked?.over()
    return asked
  }

  #giveUp(id: number, error: PeerError): void {
    const asked = this.#settle(id)
    if (!asked) return
    asked.reject(error)
    if (this.#messages.withdraw(asked.post)) return
    // On its lane, so that it comes behind what it is about.
    void this.#messages.hand(frame(Format.request, cancel, id), { lane: asked.post.lane })
  }

  // ---- what comes

  /** An answer to one of ours. */
  answered(bytes: Uint8Array<ArrayBuffer>): void {
    const { kind, id, rest } = parse(bytes)
    if (!id || id > this.#last || kind > busy) return this.#violation(`an answer to no request came (id ${id}, kind ${kind})`)
    const asked = this.#settle(id)
    if (!asked) return // given up meanwhile
    const { peer } = this.#owner
    if (kind === answer) {
      try {
        asked.resolve(this.#value(rest))
      }
      catch (error) {
        asked.reject(this.#owner.error('protocol-violation', `The answer of ${peer} could not be read: ${messageOf(error)}`, error))
      }
      return
    }
    asked.reject(kind === failed
      ? this.#owner.error('request-failed', fromUtf8.decode(rest.subarray(0, 4 * longestText)) || `${peer} failed to answer a request.`)
      : kind === unhandled
        ? this.#owner.error('request-unhandled', `${peer} answers no requests: it has to call onRequest() on its connection.`)
        : this.#owner.error('request-busy', `${peer} has ${atOnce} requests at work already. Wait for some answers.`))
  }

  /** A question, or that one is none any more. */
  asked(bytes: Uint8Array<ArrayBuffer>, lane: Lane): void {
    const { kind, id, rest } = parse(bytes)
    if (kind === cancel && id) {
      const taken = this.#taken.get(id)
      this.#taken.delete(id)
      taken?.abort(this.#owner.error('aborted', `${this.#owner.peer} gave up its request.`))
      return
    }
    if (kind !== ask || id <= this.#highest[lane]! || this.#taken.has(id)) {
      return this.#violation(`a request came that cannot be (id ${id}, kind ${kind})`)
    }
    this.#highest[lane] = id
    const { handler } = this.#owner
    if (!handler) return void this.#refuse(unhandled, id, lane)
    if (this.#taken.size >= atOnce) return void this.#refuse(busy, id, lane)
    const controller = new AbortController()
    this.#taken.set(id, controller)
    void this.#answer(id, lane, controller, async () => handler(this.#value(rest), { signal: controller.signal }))
  }

  async #answer(id: number, lane: Lane, controller: AbortController, work: () => Promise<unknown>): Promise<void> {
    const wanted = (): boolean => this.#taken.get(id) === controller
    let reply: Encoded
    try {
      reply = await wrap(Format.response, answer, id, this.#messages.encode(await work()))
    }
    catch (error) {
      reply = frame(Format.response, failed, id, utf8.encode(textOf(error).slice(0, longestText)))
    }
    if (!wanted()) return
    // It counts until there is room for more: who asks and does not read gets no more than this from us.
    await this.#reply(reply, lane)
    if (wanted()) this.#taken.delete(id)
  }

  async #refuse(kind: number, id: number, lane: Lane): Promise<void> {
    // Who asks without end and reads nothing hears nothing.
    if (this.#refusing >= atOnce) return
    this.#refusing++
    await this.#reply(frame(Format.response, kind, id), lane)
    this.#refusing--
  }

  async #reply(reply: Encoded, lane: Lane): Promise<void> {
    try {
      await this.#messages.hand(reply, { lane })
    }
    catch { // closing: nobody waits for it
    }
  }

  /** @throws {PeerError} 'protocol-violation' */
  #value(rest: Uint8Array<ArrayBuffer>): unknown {
    if (!rest.length) throw new PeerError('protocol-violation', 'there is no value')
    return this.#messages.decode(rest[0]!, rest.subarray(1))
  }

  #violation(what: string): void {
    this.#owner._error('protocol-violation', `From ${this.#owner.peer}, ${what}; it was dropped.`)
  }

  closed(error: PeerError): void {
    for (const id of [...this.#asked.keys()]) this.#settle(id)?.reject(error)
    for (const taken of this.#taken.values()) taken.abort(error)
    this.#taken.clear()
  }
}

/** Whatever a handler threw: it may refuse to be read. */
function textOf(error: unknown): string {
  try {
    return messageOf(error)
  }
  catch {
    return 'It threw what cannot be read.'
  }
}

/** A request or response message: kind, id, and what follows. */
export function frame(format: number, kind: number, id: number, ...rest: Uint8Array[]): Encoded {
  const head = [kind]
  let left = id
  for (; left > 127; left = Math.floor(left / 128)) head.push(left % 128 + 128)
  head.push(left)
  const bytes = new Uint8Array(rest.reduce((sum, { length }) => sum + length, head.length))
  bytes.set(head)
  let at = head.length
  for (const part of rest) {
    bytes.set(part, at)
    at += part.length
  }
  return { format, bytes }
}

function wrap(format: number, kind: number, id: number, value: Encoded | Promise<Encoded>): Encoded | Promise<Encoded> {
  return value instanceof Promise
    ? value.then(value => wrap(format, kind, id, value))
    : frame(format, kind, id, Uint8Array.of(value.format), value.bytes)
}

/** What a message says; id 0 when it cannot be read, which no request has. */
export function parse(bytes: Uint8Array<ArrayBuffer>): { kind: number, id: number, rest: Uint8Array<ArrayBuffer> } {
  let id = 0
  let scale = 1
  for (let at = 1; at < Math.min(bytes.length, 8); at++, scale *= 128) {
    const byte = bytes[at]!
    id += (byte & 127) * scale
    if (byte & 128) continue
    if (at > 1 && !byte) break // not the shortest form
    return { kind: bytes[0]!, id, rest: bytes.subarray(at + 1) }
  }
  return { kind: bytes[0] ?? 255, id: 0, rest: bytes.subarray(bytes.length) }
}
