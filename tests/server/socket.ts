import { once } from 'node:events'
import WebSocket from 'ws'

/** A WebSocket client whose frames and end can be awaited. */
export class Socket {
  readonly ws: WebSocket
  readonly #inbox: unknown[] = []
  readonly #readers: ((message: unknown) => void)[] = []
  /** Resolves with the close code, also when the upgrade was refused (then with the HTTP status). */
  readonly ended: Promise<number>

  constructor(url: string, options?: WebSocket.ClientOptions) {
    this.ws = new WebSocket(url, options)
    this.ws.on('message', (data) => {
      const message: unknown = JSON.parse(String(data))
      const reader = this.#readers.shift()
      if (reader) reader(message)
      else this.#inbox.push(message)
    })
    this.ended = new Promise((resolve) => {
      this.ws.on('close', code => resolve(code))
      this.ws.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
      this.ws.on('error', () => {})
    })
  }

  /** The next message, now or when it comes. */
  next(): Promise<unknown> {
    if (this.#inbox.length > 0) return Promise.resolve(this.#inbox.shift())
    return new Promise(resolve => this.#readers.push(resolve))
  }

  get unread(): number {
    return this.#inbox.length
  }

  send(message: unknown): void {
    this.ws.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  }

  offer(dst: string, payload: unknown = { sdp: 'v=0' }): void {
    this.send({ type: 'OFFER', payload, dst })
  }

  /** 101 when the upgrade was granted, else the HTTP status of the refusal. */
  upgraded(): Promise<number> {
    return Promise.race([this.ended, once(this.ws, 'open').then(() => 101)])
  }

  async close(): Promise<void> {
    if (this.ws.readyState === WebSocket.CLOSED) return
    this.ws.close()
    await once(this.ws, 'close')
  }
}

/** The address that PeerJS builds, letter by letter. `base` is ws://host:port/path/ */
export function peerjsUrl(base: string, id: string, { key = 'peerjs', token = `token-of-${id}` } = {}): string {
  return `${base}peerjs?key=${key}&id=${id}&token=${token}&version=1.5.5`
}

/** A client with OPEN behind it. */
export async function connect(base: string, id: string, options?: { key?: string, token?: string }): Promise<Socket> {
  const socket = new Socket(peerjsUrl(base, id, options))
  const first = await socket.next() as { type: string }
  if (first.type !== 'OPEN') throw new Error(`expected OPEN, got ${JSON.stringify(first)}`)
  return socket
}
