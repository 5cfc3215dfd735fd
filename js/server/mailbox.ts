// The transports over HTTP: an event stream or polls down, POST up. See docs/protocol.md, "Over HTTP".
import { admit } from './authorize.js'
import { CloseCode } from './hub.js'
import type { Hub, Link, Progress, Session } from './hub.js'
import { isBun } from './options.js'
import { addressOf, progressOf, queryOf } from './request.js'
import type { Body, SignalingRequest } from './request.js'

/** Numbered messages of one POST. */
const MAX_LINES = 1024
/** Proxies end what is silent for a minute or half of one. */
const KEEP_ALIVE = isBun ? 8000 : 15_000
/** How long a body may take to arrive. */
const BODY_TIMEOUT = 10_000

/** An answer without what every answer has. */
export interface Answer {
  status: number
  body: string | ReadableStream<Uint8Array>
  headers?: Record<string, string>
}

type Kind = 'sse' | 'poll'

interface Stream {
  readonly body: ReadableStream<Uint8Array>
  event(text: string, number?: number): void
  comment(): void
  end(reason?: string): void
  buffered(): number
}

/** All clients of a hub that come over HTTP. */
export class Mailboxes {
  readonly #hub: Hub
  readonly #boxes = new Map<string, Mailbox>()
  #keepAlive: (() => void) | null = null

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /** Answers GET and POST of `{path}/{key}/sse` and `{path}/{key}/poll`. Never rejects. */
  async answer(kind: Kind, key: string, request: SignalingRequest): Promise<Answer> {
    const query = queryOf(request)
    const id = query.get('id') ?? ''
    const token = query.get('token') ?? ''
    const progress = progressOf(query)
    if (!progress) return { status: 400, body: 'link is missing, or not a name, a dot and a number' }
    const known = this.#boxes.get(id)
    const box = known?.is(token, key, progress) ? known : null

    if (request.method === 'POST') {
      const body = await readBody(request.body, this.#hub)
      if (typeof body !== 'string') return body
      if (!box) return over(known?.last)
      return box.post(body, query, progress.got, kind)
    }
    if (box) {
      if (kind === 'poll') return box.poll(progress.got, request.signal)
      return this.#stream(box, resumedAt(request, progress.got))
    }

    const address = addressOf(this.#hub.options, request.address, request.headers)
    let who = admit(this.#hub, { id, token, key, progress, address }, { auth: query.get('auth'), headers: request.headers })
    if (who instanceof Promise) {
      who = await who
      if (request.signal?.aborted) return over()
      const meanwhile = this.#boxes.get(id)
      if (meanwhile?.is(token, key, progress)) return kind === 'poll' ? meanwhile.poll(progress.got, request.signal) : this.#stream(meanwhile, progress.got)
    }
    const made = new Mailbox(this.#hub, token, key, progress, () => {
      if (this.#boxes.get(id) === made) this.#boxes.delete(id)
    })
    // An event stream is there before what it carries.
    const stream = kind === 'sse' ? made.stream() : null
    let session = this.#hub.connect(who, made)
    if (session?.ready && !await session.ready) session = null
    if (session) {
      // Its link before this one was closed by the hub, and is out of the way.
      this.#boxes.set(id, made)
      made.begin(session)
    }
    if (!stream) return session ? made.poll(progress.got, request.signal, true) : over(made.last)
    this.#arm()
    // A browser comes back to a stream that ended, but not to an answer without content.
    if (!session && made.isStale) return { status: 204, body: '' }
    return events(stream)
  }

  #stream(box: Mailbox, got: number): Answer {
    this.#arm()
    return events(box.stream(got))
  }

  #arm(): void {
    this.#keepAlive ??= this.#hub.clock.schedule(() => {
      this.#keepAlive = null
      let streams = 0
      for (const box of this.#boxes.values()) if (box.keepAlive()) streams += 1
      if (streams > 0) this.#arm()
    }, KEEP_ALIVE)
  }
}

/** One client, who asks for what is in it. What it has not confirmed is in the hub. */
class Mailbox implements Link {
  readonly confirms = true
  readonly #hub: Hub
  readonly #token: string
  readonly #key: string
  readonly #progress: Progress
  readonly #gone: () => void
  #session: Session | null = null
  #stream: Stream | null = null
  /** Ends the poll that waits. */
  #wake: (() => void) | null = null
  #absence: (() => void) | null = null
  #closed: { code: number | undefined, reason: string } | null = null
  /** What a client was told that was not let in, or the rest of what one has not that was closed. */
  last: readonly string[] = []

  constructor(hub: Hub, token: string, key: string, progress: Progress, gone: () => void) {
    this.#hub = hub
    this.#token = token
    this.#key = key
    this.#progress = progress
    this.#gone = gone
  }

  /** Whether a request is of this link of this client. */
  is(token: string, key: string, { session, link }: Progress): boolean {
    return token === this.#token && key === this.#key && session === this.#progress.session && link === this.#progress.link
  }

  get isStale(): boolean {
    return this.#closed?.code === CloseCode.replaced
  }

  begin(session: Session): void {
    this.#session = session
    this.last = []
    this.#attach()
  }

  // ---- Link

  send(text: string, number?: number): void {
    if (this.#stream) this.#stream.event(text, number)
    // Refused before it had a session: the answer of the request tells.
    else if (!this.#session && number === undefined) this.last = [...this.last, text]
    this.#wake?.()
  }

  close(code?: number, reason = ''): void {
    if (this.#closed) return
    this.#closed = { code, reason }
    if (this.#session) this.last = this.#session.since(0)
    this.#absence?.()
    this.#absence = null
    this.#stream?.end(reason || 'refused')
    this.#stream = null
    this.#wake?.()
    this.#gone()
  }

  buffered(): number {
    return this.#stream?.buffered() ?? 0
  }

  stalled(): boolean {
    return !this.#stream && !this.#wake
  }

  // ---- requests

  /** @param first the client waits for its OPEN */
  async poll(got: number, signal: AbortSignal | undefined, first = false): Promise<Answer> {
    const session = this.#session
    if (!session || this.#closed) return over(this.last)
    session.heard()
    // A poll that comes beside another takes its place: its client has given that up.
    this.#wake?.()
    const lines = session.since(got)
    if (first || lines.length > 1 || this.#hub.options.poll_timeout === 0) {
      this.#attach()
      return { status: 200, body: join(lines) }
    }
    await this.#wait(signal)
    // Also what is sent together with the message that woke it.
    await Promise.resolve()
    return this.#closed ? over(this.last) : { status: 200, body: join(session.since(got)) }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#hub.clock.schedule(() => wake(), this.#hub.options.poll_timeout)
      const wake = (): void => {
        cancel()
        signal?.removeEventListener('abort', wake)
        if (this.#wake === wake) {
          this.#wake = null
          this.#attach()
        }
        resolve()
      }
      this.#wake?.()
      this.#wake = wake
      this.#attach()
      if (signal?.aborted) wake()
      else signal?.addEventListener('abort', wake)
    })
  }

  post(body: string, query: URLSearchParams, got: number, kind: Kind): Answer | Promise<Answer> {
    const session = this.#session
    if (!session || this.#closed) return over(this.last)
    if (query.get('bye') === '1') {
      session.closed(1001)
      this.close(1001, 'Goodbye')
      return { status: 200, body: '' }
    }
    session.heard()
    const first = Number(query.get('from') ?? NaN)
    const lines = body.split('\n').filter(Boolean)
    const numbered = lines.some(line => !line.startsWith('{"type":"HEARTBEAT"'))
    if (lines.length > MAX_LINES || (numbered && !(Number.isSafeInteger(first) && first > 0))) {
      return { status: 400, body: `from has to be the number of the first message, and there may be ${MAX_LINES} of them` }
    }
    if (numbered && first > session.received + 1) return { status: 409, body: `message ${session.received + 1} is missing` }
    let number = first
    for (const line of lines) {
      if (this.#closed) break
      if (line.startsWith('{"type":"HEARTBEAT"')) session.receive(line)
      // What was taken already is a copy: the answer to it was lost.
      else if (number++ > session.received) session.receive(line)
    }
    const settled = session.settled?.()
    if (!settled) return this.#posted(session, got, kind)
    // Taken by the one who is asked again, when it can be.
    return settled.then(all => all || this.#closed ? this.#posted(session, got, kind) : { status: 503, body: 'Not taken yet, send it again' })
  }

  #posted(session: Session, got: number, kind: Kind): Answer {
    if (this.#closed) return over(this.last)
    const [open = '', ...rest] = session.since(got)
    // Beside a stream nothing but the stream counts messages.
    return { status: 200, body: join(kind === 'poll' ? [open, ...rest] : [open.replace(/,"n":\d+/, '')]) }
  }

  /** @param got what of it is to be sent at once is behind that; undefined before there is a session, which then sends all */
  stream(got?: number): Stream {
    this.#stream?.end()
    const stream = this.#stream = createStream((ended) => {
      if (this.#stream !== ended) return
      this.#stream = null
      this.#attach()
    })
    this.#wake?.()
    if (got !== undefined && this.#session) {
      this.#session.heard()
      const [open = '', ...rest] = this.#session.since(got)
      stream.event(open)
      const sent = numberOf(open)
      for (const [i, text] of rest.entries()) stream.event(text, sent + i + 1)
      this.#attach()
    }
    return stream
  }

  keepAlive(): boolean {
    this.#stream?.comment()
    return this.#stream !== null
  }

  /** Somebody takes messages, or nobody does and that may not last. */
  #attach(): void {
    this.#absence?.()
    this.#absence = null
    if (!this.stalled() || !this.#session || this.#closed) return
    this.#absence = this.#hub.clock.schedule(() => {
      this.#absence = null
      this.#session?.silent()
      this.close(CloseCode.silent, 'Nothing was heard for too long')
    }, this.#hub.options.absence_timeout)
  }
}

const encoder = new TextEncoder()

function createStream(ended: (stream: Stream) => void): Stream {
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null
  const room = 65_536
  const body = new ReadableStream<Uint8Array>({
    start: (given) => { controller = given },
    cancel: () => {
      controller = null
      ended(stream)
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: room }))
  const write = (text: string): void => controller?.enqueue(encoder.encode(text))
  const stream: Stream = {
    body,
    event: (text, number) => write(number === undefined ? `data: ${text}\n\n` : `id: ${number}\ndata: ${text}\n\n`),
    comment: () => write(':\n\n'),
    end(reason) {
      if (reason !== undefined) write(`event: end\ndata: ${reason.replace(/[\r\n]/g, ' ')}\n\n`)
      controller?.close()
      controller = null
    },
    buffered: () => Math.max(0, room - (controller?.desiredSize ?? room)),
  }
  // How soon a browser comes back to a stream that broke off.
  write('retry: 500\n\n')
  return stream
}

function events(stream: Stream): Answer {
  return {
    status: 200,
    body: stream.body,
    // The last one is nginx's, which would collect the events.
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' },
  }
}

/** The link is over, or never was; the lines say why where there is more to say. */
function over(lines: readonly string[] = []): Answer {
  return { status: 410, body: join(lines) }
}

function join(lines: readonly string[]): string {
  return lines.map(line => `${line}\n`).join('')
}

/** The number before the first message behind this OPEN. */
function numberOf(open: string): number {
  return Number(/"n":(\d+)/.exec(open)?.[1] ?? 0)
}

/** Where an event stream broke off, as the browser that comes back by itself says, or else as the address does. */
function resumedAt(request: SignalingRequest, got: number): number {
  const last = request.headers.get('last-event-id') ?? ''
  return /^\d{1,15}$/.test(last) ? Math.max(got, Number(last)) : got
}

/** The body as text, or the answer to one that is too large, too slow or ends too early. */
async function readBody(body: Body, hub: Hub): Promise<string | Answer> {
  const limit = hub.options.max_message * 4
  const large: Answer = { status: 413, body: `A body may have ${limit} bytes`, headers: { connection: 'close' } }
  if (typeof body === 'string') return body.length > limit ? large : body
  if (body instanceof Uint8Array) return body.byteLength > limit ? large : new TextDecoder().decode(body)
  if (!body) return ''

  const chunks: Uint8Array[] = []
  let size = 0
  return new Promise((resolve) => {
    const done = (answer: string | Answer): void => {
      cancel()
      stop()
      resolve(answer)
    }
    const take = (chunk: Uint8Array): void => {
      size += chunk.byteLength
      if (size > limit) return done(large)
      chunks.push(chunk)
    }
    const end = (): void => {
      const bytes = new Uint8Array(size)
      let at = 0
      for (const chunk of chunks) {
        bytes.set(chunk, at)
        at += chunk.byteLength
      }
      done(new TextDecoder().decode(bytes))
    }
    const cancel = hub.clock.schedule(() => done({ status: 408, body: 'The body takes too long', headers: { connection: 'close' } }), BODY_TIMEOUT)
    const broken = (): void => done({ status: 400, body: 'The body ended too early' })
    let stop: () => void
    if ('getReader' in body) {
      const reader = body.getReader()
      stop = () => void reader.cancel().catch(() => {})
      const next = (): void => {
        reader.read().then(({ done: isEnd, value }) => {
          if (isEnd) return end()
          take(value)
          if (size <= limit) next()
        }, broken)
      }
      next()
    }
    else {
      const listeners = [['data', take], ['end', end], ['error', broken], ['close', broken]] as const
      stop = () => {
        for (const [event, listener] of listeners) body.off(event, listener)
        body.on('error', () => {})
        body.pause()
      }
      for (const [event, listener] of listeners) body.on(event, listener)
    }
  })
}
