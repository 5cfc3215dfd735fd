// WebSocket, fetch and EventSource of pages, over a network in virtual time to the real hub: each way can be blocked, and each
// message lost together with what carried it.
import { vi } from 'vitest'
import { admit } from '../../js/server/authorize.js'
import { respond } from '../../js/server/http.js'
import type { Hub, Link, Session } from '../../js/server/hub.js'
import { progressOf } from '../../js/server/request.js'

/** One way, ms. */
const latency = 10

export type Kind = 'ws' | 'sse' | 'poll'

/** What becomes of a message: it arrives, it is lost with its link, or it arrives as the last one of its link. */
export type Fate = 'arrives' | 'lost' | 'last'

export interface Frame { kind: Kind, id: string, direction: 'up' | 'down', text: string, number: number }

const later = (what: () => void): void => void setTimeout(what, latency)

export class Web {
  hub: Hub
  /** What does not get through, and how: refused at once, or without an answer. */
  readonly blocked = new Map<Kind, 'refused' | 'silent'>()
  /** Everything that travelled, in order. */
  readonly frames: Frame[] = []
  fate: (frame: Frame) => Fate = () => 'arrives'
  /** Clients whose network is away. */
  readonly cut = new Set<string>()
  readonly opened: { kind: Kind, id: string }[] = []
  readonly #links = new Set<{ id: string, die(): void }>()

  constructor(hub: Hub) {
    this.hub = hub
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- for the classes below
    const web = this
    vi.stubGlobal('WebSocket', class extends PageSocket {
      constructor(url: string) { super(web, url) }
    })
    vi.stubGlobal('EventSource', class extends PageEvents {
      constructor(url: string) { super(web, url) }
    })
    vi.stubGlobal('fetch', (url: string, init: RequestInit = {}) => this.#fetch(url, init))
  }

  /** Everything that carries messages of this client breaks, and both ends know it. */
  break(id: string): void {
    for (const link of [...this.#links]) if (link.id === id) link.die()
  }

  /** A link that `break` can reach; answers how to let go of it. */
  link(id: string, die: () => void): () => void {
    const link = { id, die }
    this.#links.add(link)
    return () => void this.#links.delete(link)
  }

  /** Whether this message arrives. When it does not, or as the last one of its link, nothing else does, and the link dies. */
  passes(kind: Kind, id: string, direction: 'up' | 'down', text: string, link: { broken?: boolean }, die: () => void): boolean {
    if (this.cut.has(id) || link.broken) return false
    const frame = { kind, id, direction, text, number: this.frames.length }
    this.frames.push(frame)
    const fate = this.fate(frame)
    if (fate !== 'arrives') {
      link.broken = true
      setTimeout(die)
    }
    return fate !== 'lost'
  }

  /** Aborted, cut or dead: as fetch() fails. */
  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const { kind, id, path } = parse(url)
    const end = new AbortController()
    const abort = (): void => end.abort()
    init.signal?.addEventListener('abort', abort)
    const release = this.link(id, () => end.abort())
    const failure = new Promise<never>((_resolve, reject) => {
      const fail = (): void => reject(new TypeError('Failed to fetch'))
      if (init.signal?.aborted) fail()
      end.signal.addEventListener('abort', fail)
    })
    try {
      return await Promise.race([failure, this.#answer(kind, id, path, init, end)])
    }
    finally {
      init.signal?.removeEventListener('abort', abort)
      release()
    }
  }

  async #answer(kind: Kind | null, id: string, path: string, init: RequestInit, end: AbortController): Promise<Response> {
    await new Promise<void>(later)
    if (this.cut.has(id)) await new Promise(() => {})
    const how = kind && this.blocked.get(kind)
    if (how === 'silent') await new Promise(() => {})
    if (how === 'refused') throw new TypeError('Failed to fetch')
    const body = init.body as string | undefined
    if (kind && body && !this.passes(kind, id, 'up', body, {}, () => end.abort())) await new Promise(() => {})
    const response = await respond(this.hub, {
      method: init.method ?? 'GET', path, headers: new Headers(), body, signal: end.signal,
    })
    if (end.signal.aborted) throw new TypeError('Failed to fetch')
    const text = await response.text()
    await new Promise<void>(later)
    if (kind && !this.passes(kind, id, 'down', text, {}, () => end.abort())) await new Promise(() => {})
    if (kind === 'poll' && response.ok) this.opened.push({ kind, id })
    return new Response(response.status === 204 ? null : text, { status: response.status })
  }
}

function parse(url: string): { kind: Kind | null, id: string, path: string, query: URLSearchParams } {
  const { pathname, search, searchParams } = new URL(url)
  const [, kind] = /\/(sse|poll)$/.exec(pathname) ?? []
  return { kind: kind as Kind | undefined ?? null, id: searchParams.get('id') ?? '', path: pathname + search, query: searchParams }
}

class PageSocket {
  broken = false
  readyState = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number, reason: string }) => void) | null = null
  readonly #web: Web
  readonly #id: string
  #session: Session | null = null
  #release = (): void => {}

  constructor(web: Web, url: string) {
    const { id, query } = parse(url)
    this.#web = web
    this.#id = id
    later(() => {
      if (web.blocked.get('ws') === 'silent' || web.cut.has(id) || this.readyState !== 0) return
      if (web.blocked.get('ws') === 'refused') return this.#over(1006, '')
      this.readyState = 1
      this.#release = web.link(id, () => this.#die())
      web.opened.push({ kind: 'ws', id })
      this.onopen?.()
      const link: Link = {
        send: text => later(() => {
          if (this.readyState === 1 && web.passes('ws', id, 'down', text, this, () => this.#die())) this.onmessage?.({ data: text })
        }),
        close: (code = 1005, reason = '') => later(() => this.#over(code, reason)),
      }
      const who = admit(web.hub, {
        id, token: query.get('token'), key: query.get('key'), progress: progressOf(query),
      }, { auth: query.get('auth'), headers: undefined })
      if (who instanceof Promise) void who.then((who) => { this.#session = web.hub.connect(who, link) })
      else this.#session = web.hub.connect(who, link)
    })
  }

  send(text: string): void {
    if (this.readyState !== 1) return
    later(() => {
      if (this.#session && this.#web.passes('ws', this.#id, 'up', text, this, () => this.#die())) this.#session.receive(text)
    })
  }

  close(): void {
    if (this.readyState > 1) return
    this.readyState = 3
    this.#release()
    later(() => {
      if (!this.#web.cut.has(this.#id)) this.#session?.closed(1005)
    })
  }

  #die(): void {
    this.#session?.closed(1006)
    this.#session = null
    this.#over(1006, '')
  }

  #over(code: number, reason: string): void {
    if (this.readyState > 1) return
    this.readyState = 3
    this.#release()
    this.onclose?.({ code, reason })
  }
}

class PageEvents {
  static readonly CLOSED = 2
  readyState = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onerror: (() => void) | null = null
  readonly #web: Web
  readonly #url: string
  readonly #listeners = new Map<string, (event: { data: string }) => void>()
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null
  #lastId = ''

  constructor(web: Web, url: string) {
    this.#web = web
    this.#url = url
    later(() => void this.#open())
  }

  addEventListener(name: string, listener: (event: { data: string }) => void): void {
    this.#listeners.set(name, listener)
  }

  close(): void {
    this.readyState = 2
    void this.#reader?.cancel()
  }

  async #open(): Promise<void> {
    const { id, path } = parse(this.#url)
    const web = this.#web
    if (this.readyState === 2 || web.cut.has(id) || web.blocked.get('sse') === 'silent') return
    if (web.blocked.get('sse') === 'refused') return this.#fail(true)
    const response = await respond(web.hub, {
      method: 'GET', path, headers: new Headers(this.#lastId ? { 'last-event-id': this.#lastId } : {}),
    })
    if (response.status !== 200) return this.#fail(true)
    const reader = this.#reader = response.body!.getReader()
    const stream = {}
    let dead = false
    const die = (): void => {
      if (dead) return
      dead = true
      release()
      void reader.cancel()
      this.#fail(false)
    }
    const release = web.link(id, die)
    // A handler of it may close it; TypeScript has seen what it was before.
    const closed = (): boolean => (this.readyState as number) === 2
    later(() => {
      if (closed() || dead) return
      this.readyState = 1
      web.opened.push({ kind: 'sse', id })
      this.onopen?.()
    })
    let text = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      text += new TextDecoder().decode(value)
      const blocks = text.split('\n\n')
      text = blocks.pop()!
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1]
        const name = /^event: (.*)$/m.exec(block)?.[1]
        const number = /^id: (.*)$/m.exec(block)?.[1]
        if (data === undefined) continue
        later(() => {
          if (dead || closed() || !web.passes('sse', id, 'down', data, stream, die)) return
          this.#lastId = number ?? this.#lastId
          if (name) this.#listeners.get(name)?.({ data })
          else this.onmessage?.({ data })
        })
      }
    }
    later(die)
  }

  #fail(forGood: boolean): void {
    if (this.readyState === 2) return
    this.readyState = forGood ? 2 : 0
    this.onerror?.()
    if (!forGood) setTimeout(() => void this.#open(), 500)
  }
}
