import { messageOf } from '../errors.js'
import { noop } from '../events.js'
import type { PeerServerTransport } from './peer-server.js'
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'

/** Polls of a server that does not hold them are this far apart, ms. */
const pollInterval = 1000
/** Pauses before a request is repeated that failed, ms; after the last the way is given up. */
const pauses = [300, 600, 1200, 2400]
/** Of one POST; the server takes four times its `max_message`. */
const mostLines = 256
/** A navigation breaks event streams off before it hides the page, ms. */
const hiding = 2000
const mostUnits = 256 * 1024

type Kind = 'sse' | 'poll'

/**
 * Signaling over HTTP, for where WebSockets do not get through: an event stream or polls down, POST up. Counts on js/server or
 * one that does the same (docs/protocol.md, "Over HTTP"), and on js/signaling/counting.ts, which drops what comes twice.
 */
export function overHttp(server: PeerServerTransport, kind: Kind): SignalingTransport {
  return {
    name: kind === 'sse' ? 'sse' : 'polling',
    connect: (id, token, handlers, progress) => new HttpChannel(server, kind, id, token, handlers, progress ?? (() => '')),
  }
}

class HttpChannel implements SignalingChannel {
  readonly #where: string
  readonly #url: () => string
  readonly #kind: Kind
  readonly #init: RequestInit
  readonly #end = new AbortController()
  readonly #watch = new AbortController()
  #handlers: SignalingHandlers | null
  #opened = false
  #events: EventSource | null = null
  readonly #waiting: { text: string, number: number | undefined }[] = []
  #sending = false

  constructor(
    { at, url }: PeerServerTransport, kind: Kind, id: string, token: string, handlers: SignalingHandlers, progress: () => string,
  ) {
    const address = url(kind, id, token)
    this.#where = address.replace(/\?.*/s, '')
    this.#url = () => address + progress()
    this.#kind = kind
    this.#init = { cache: 'no-store', referrerPolicy: at.referrerPolicy ?? 'strict-origin-when-cross-origin', signal: this.#end.signal }
    this.#handlers = handlers
    // What browsers do by themselves for the WebSockets of a page that ends; one that may come back (bfcache) says nothing.
    const gone = (event: Event): void => {
      if ((event as PageTransitionEvent).persisted) return
      this.#bye()
      this.#stop()
    }
    globalThis.addEventListener?.('pagehide', gone, { signal: this.#watch.signal })
    if (kind === 'sse') this.#listen()
    else void this.#poll()
  }

  send(text: string, number?: number): void {
    // A poll is a sign of life by itself.
    if (number === undefined && this.#kind === 'poll') return
    this.#waiting.push({ text, number })
    if (this.#sending) return
    this.#sending = true
    // What is said in one turn leaves in one request.
    queueMicrotask(() => void this.#send())
  }

  close(): void {
    if (this.#handlers) this.#bye()
    this.#watch.abort()
    this.#stop()
  }

  /** The server cannot see that nobody asks any more. Outlives the page. */
  #bye(): void {
    if (this.#opened) fetch(`${this.#url()}&bye=1`, { ...this.#init, signal: null, method: 'POST', keepalive: true }).catch(noop)
  }

  #stop(): void {
    this.#handlers = null
    this.#events?.close()
    this.#end.abort()
  }

  #closed(reason: string): void {
    const handlers = this.#handlers
    this.#stop()
    setTimeout(() => this.#watch.abort(), hiding)
    handlers?.closed(reason)
  }

  #open(): void {
    if (this.#opened) return
    this.#opened = true
    this.#handlers?.opened()
  }

  /** Waits, and answers whether it is worth to go on. */
  async #pause(ms: number): Promise<boolean> {
    await new Promise(resolve => setTimeout(resolve, ms))
    return !!this.#handlers
  }

  // ---- down

  #listen(): void {
    let events: EventSource
    try {
      events = this.#events = new EventSource(this.#url())
    }
    catch (error) {
      setTimeout(() => this.#closed(`No event stream from ${this.#where}: ${messageOf(error)}`), 0)
      return
    }
    let failed = false
    events.onopen = () => {
      failed = false
      this.#open()
    }
    events.onmessage = ({ data }: MessageEvent<string>) => this.#handlers?.message(data)
    events.addEventListener('end', ({ data }: MessageEvent<string>) => this.#closed(`The signaling server ended the event stream (${data}).`))
    events.onerror = () => {
      // A stream that broke off is opened again by the browser; proxies end them as they like.
      if (this.#opened && !failed && events.readyState !== EventSource.CLOSED) failed = true
      else this.#closed(`The event stream from ${this.#where} ${this.#opened ? 'broke off' : 'did not open'}.`)
    }
  }

  async #poll(): Promise<void> {
    for (let failures = 0; this.#handlers;) {
      const began = performance.now()
      const answer = await this.#ask()
      if (!this.#handlers) return
      if (answer === null) {
        const pause = this.#opened ? pauses[failures++] : undefined
        if (pause === undefined) return this.#closed(`The signaling server does not answer at ${this.#where}.`)
        if (!await this.#pause(pause)) return
        continue
      }
      failures = 0
      this.#open()
      this.#tell(answer.lines)
      if (answer.over) return this.#closed(`The signaling server does not answer polls (${answer.over}).`)
      // One that held the poll is asked again at once, and so is one that may have more to say.
      const rest = answer.lines.length > 1 ? 0 : pollInterval - (performance.now() - began)
      if (rest > 0 && !await this.#pause(rest)) return
    }
  }

  /** Null when it is worth to be repeated. */
  async #ask(init?: RequestInit, query = ''): Promise<{ lines: string[], over: string } | null> {
    try {
      const response = await fetch(this.#url() + query, { ...this.#init, ...init })
      if (response.status >= 500 || response.status === 408 || response.status === 429) return null
      const text = await response.text()
      const isAnswer = response.ok || response.status === 410
      return { lines: isAnswer ? text.split('\n').filter(Boolean) : [], over: response.ok ? '' : String(response.status) }
    }
    catch {
      return null
    }
  }

  #tell(lines: readonly string[]): void {
    for (const line of lines) this.#handlers?.message(line)
  }

  // ---- up

  async #send(): Promise<void> {
    for (let failures = 0; this.#handlers && this.#waiting.length > 0;) {
      let units = 0
      let count = this.#waiting.findIndex(({ text }, i) => i > 0 && (i >= mostLines || (units += text.length) > mostUnits))
      if (count < 0) count = this.#waiting.length
      const batch = this.#waiting.slice(0, count)
      const from = batch.find(({ number }) => number !== undefined)?.number
      const answer = await this.#ask({ method: 'POST', body: batch.map(({ text }) => text).join('\n') }, from === undefined ? '' : `&from=${from}`)
      if (!this.#handlers) return
      if (answer === null) {
        const pause = pauses[failures++]
        if (pause === undefined) return this.#closed(`The signaling server takes no messages at ${this.#where}.`)
        if (!await this.#pause(pause)) return
        continue
      }
      failures = 0
      this.#waiting.splice(0, count)
      this.#tell(answer.lines)
      if (answer.over) return this.#closed(`The signaling server takes no messages (${answer.over}).`)
    }
    this.#sending = false
  }
}
