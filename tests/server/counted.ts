// Clients that count messages, with the real client's js/signaling/counting.ts over real WebSockets, which come back by themselves.
import WebSocket from 'ws'
import { Counting } from '../../js/signaling/counting.js'
import type { SignalingChannel, SignalingTransport } from '../../js/signaling/transport.js'

export interface Message { type: string, src?: string, dst?: string, payload?: unknown }

/** As js/signaling/peer-server.ts, without a page. */
function transport(key: string, base: () => string, sockets: Set<WebSocket>, told: (text: string) => void): SignalingTransport {
  return {
    name: 'ws',
    connect(id, token, handlers, progress) {
      const socket = new WebSocket(`${base()}peerjs?key=${key}&id=${encodeURIComponent(id)}&token=${token}&version=0${progress!()}`)
      sockets.add(socket)
      let over = false
      socket.on('open', () => handlers.opened())
      socket.on('message', (data) => {
        if (over) return
        const text = String(data)
        told(text)
        handlers.message(text)
      })
      socket.on('error', () => {})
      socket.on('close', (code, reason) => {
        sockets.delete(socket)
        if (!over) handlers.closed(`${code} ${String(reason)}`)
      })
      return {
        send: text => socket.send(text),
        close: () => {
          over = true
          socket.close()
        },
      }
    },
  }
}

export class CountedClient {
  readonly token: string
  readonly inbox: Message[] = []
  /** Reasons why its links ended. */
  readonly ends: string[] = []
  /** The last of its own messages that a server confirmed, in its own count. */
  confirmed = 0
  sent = 0
  isOpen = false
  /** Called whenever anything happened. */
  changed: () => void = () => {}
  readonly #bases: string[]
  readonly #sockets = new Set<WebSocket>()
  readonly #counting: Counting
  readonly #transport: SignalingTransport
  #channel: SignalingChannel | null = null
  #at = 0
  readonly #queue: string[] = []
  #over = false
  #beat: ReturnType<typeof setInterval> | undefined

  /** @param bases where it may connect, in the order in which it tries; the next one after a link ended */
  constructor(readonly id: string, bases: readonly string[], { token = `token-of-${id}`, session = `page-of-${id.replace(/\W/g, '')}`, heartbeat = 100, key = 'peerjs' } = {}) {
    this.token = token
    this.#bases = [...bases]
    this.#counting = new Counting(session)
    this.#transport = transport(key, () => this.#bases[this.#at % this.#bases.length]!, this.#sockets, (text) => {
      const [, got] = /^\{"type":"OPEN","got":(\d+)/.exec(text) ?? []
      if (got === undefined) return
      this.confirmed = Math.max(this.confirmed, Number(got))
      this.changed()
    })
    this.#connect()
    this.#beat = setInterval(() => { if (this.isOpen) this.#say('{"type":"HEARTBEAT"}') }, heartbeat)
  }

  get base(): string {
    return this.#bases[this.#at % this.#bases.length]!
  }

  send(dst: string, payload: unknown, type = 'CANDIDATE'): void {
    this.sent += 1
    const text = JSON.stringify({ type, payload, dst })
    if (this.isOpen) this.#say(text)
    else this.#queue.push(text)
  }

  /** Cuts the link, as a network does. */
  cut(): void {
    for (const socket of this.#sockets) socket.terminate()
  }

  /** Goes to another instance. */
  move(base: string): void {
    this.#bases.splice(0, this.#bases.length, base)
    this.#at = 0
    this.cut()
  }

  /** Resolves when it is so. */
  async until(what: () => unknown): Promise<void> {
    while (!what()) {
      await new Promise<void>((resolve) => {
        const before = this.changed
        this.changed = () => {
          this.changed = before
          before()
          resolve()
        }
      })
    }
  }

  opened(): Promise<void> {
    return this.until(() => this.isOpen)
  }

  /** Its messages, without the server's. */
  payloads(): unknown[] {
    return this.inbox.filter(({ type }) => type === 'CANDIDATE').map(({ payload }) => payload)
  }

  end(): void {
    this.#over = true
    clearInterval(this.#beat)
    this.#channel?.close()
    this.cut()
  }

  #say(text: string): void {
    this.#channel!.send(text)
  }

  #connect(): void {
    const channel = this.#channel = this.#counting.connect(this.#transport, this.id, this.token, {
      opened: () => {},
      message: (text) => {
        if (channel !== this.#channel) return
        const message = JSON.parse(text) as Message
        if (message.type === 'OPEN') {
          this.isOpen = true
          for (const waiting of this.#queue.splice(0)) this.#say(waiting)
        }
        this.inbox.push(message)
        this.changed()
      },
      closed: (reason) => {
        this.ends.push(reason)
        this.isOpen = false
        this.#at += 1
        this.changed()
        if (!this.#over) setTimeout(() => { if (!this.#over) this.#connect() }, 50)
      },
    })
  }
}
