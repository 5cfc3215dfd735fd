// A client on a WebSocket of `ws`, which is what carries it on Node, whoever accepted it.
//
// System calls and what surrounds them are most of what a message costs, so this goes past the framing of `ws` where it can: a
// short text of one byte a character and the head of its frame are one string, which Node writes without making a buffer; and all
// that a client is sent within one turn of the event loop leaves in one write.
import type { Duplex } from 'node:stream'
import type { Hub, Link, Registration, Session } from './hub.js'

/** Messages that came before the client was let in, which may take as long as the application wants to think about it. */
const MAX_EARLY = 64

/** A client on a WebSocket, from the moment when it opened. */
export abstract class WebSocketLink implements Link {
  #session: Session | null = null
  #early: string[] | null = null
  #isNew = true
  #over = false

  abstract send(text: string): void
  abstract close(code?: number, reason?: string): void

  /** The client is let in, or not. */
  begin(hub: Hub, who: Registration): void {
    // It has not waited for that.
    if (this.#over) return
    this.#isNew = false
    this.#session = hub.connect(who, this)
    for (const text of this.#early ?? []) this.#session?.receive(text)
    this.#early = null
  }

  receive(text: string): void {
    if (this.#session) this.#session.receive(text)
    else if (this.#isNew && !(this.#early && this.#early.length >= MAX_EARLY)) (this.#early ??= []).push(text)
  }

  heard(): void {
    this.#session?.heard()
  }

  over(code: number | undefined): void {
    this.#over = true
    this.#session?.closed(code)
    this.#session = null
  }
}

/** What is used of a socket of `ws`, versions 8. */
export interface NodeSocket {
  readonly bufferedAmount: number
  readonly readyState: number
  /** '' without permessage-deflate, which would have to see every frame. */
  readonly extensions?: string
  on(event: 'message', listener: (this: Tagged, data: Buffer | ArrayBuffer | Buffer[]) => void): unknown
  on(event: 'close', listener: (this: Tagged, code: number) => void): unknown
  on(event: 'pong' | 'error', listener: (this: Tagged) => void): unknown
  send(data: string): void
  close(code?: number, reason?: string): void
  terminate(): void
  ping(): void
  /** The stream below. Private; where it is not, texts go through `send`. */
  readonly _socket?: Duplex | null
  readonly _receiver?: { _maxPayload?: unknown }
}

/** Which link a socket is. One property, and listeners that all sockets share, are less than four functions for each. */
const LINK = Symbol('link')
interface Tagged { [LINK]?: SocketLink }

function onMessage(this: Tagged, data: Buffer | ArrayBuffer | Buffer[]): void {
  this[LINK]?.receive(String(data))
}

function onPong(this: Tagged): void {
  this[LINK]?.heard()
}

function onClose(this: Tagged, code: number): void {
  this[LINK]?.gone(code)
}

/** A broken frame, or one that is too large; `ws` closes the socket by itself. */
function onError(this: Tagged): void {
  this[LINK]?.over(1006)
}

const OPEN = 1
/** As much as may wait for the end of the turn. */
const FULL = 65_536

/** Links that have something to write, and write it before anything else happens. */
const waiting: SocketLink[] = []

function flush(): void {
  // None of these writes can make another one wait.
  for (const link of waiting) link.flush()
  waiting.length = 0
}

export class SocketLink extends WebSocketLink {
  readonly socket: NodeSocket
  readonly #stream: Duplex | null
  /** Whole frames, a byte each character. */
  #frames = ''
  #waits = false
  #pinged = false
  #sockets: Set<NodeSocket> | undefined

  constructor(socket: NodeSocket) {
    super()
    this.socket = socket
    this.#stream = socket.extensions === '' && socket._socket ? socket._socket : null
  }

  send(text: string): void {
    const { length } = text
    if (!this.#stream || length > FULL || Buffer.byteLength(text) !== length) {
      this.flush()
      this.socket.send(text)
      return
    }
    // RFC 6455, section 5.2: FIN and opcode 1, then 7 or 7 + 16 bits of length; a server does not mask.
    this.#frames += length < 126
      ? String.fromCharCode(0x81, length) + text
      : length < 65_536
        ? String.fromCharCode(0x81, 126, length >> 8, length & 255) + text
        : String.fromCharCode(0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0) + text
    if (this.#frames.length > FULL) return this.flush()
    if (this.#waits) return
    this.#waits = true
    if (waiting.push(this) === 1) process.nextTick(flush)
  }

  flush(): void {
    this.#waits = false
    const frames = this.#frames
    if (frames === '') return
    this.#frames = ''
    // As `ws` does: what comes after the closing handshake began is for nobody.
    if (this.socket.readyState === OPEN) this.#stream?.write(frames, 'latin1')
  }

  close(code?: number, reason?: string): void {
    this.flush()
    // Without arguments it is 1005, as PeerServer's.
    if (code === undefined) this.socket.close()
    else this.socket.close(code, reason)
  }

  ping(): void {
    if (!this.#pinged) {
      this.#pinged = true;
      (this.socket as Tagged)[LINK] = this
      this.socket.on('pong', onPong)
    }
    this.socket.ping()
  }

  /** Hears the socket by itself. */
  listen(sockets: Set<NodeSocket> | undefined): void {
    const { socket } = this;
    (socket as Tagged)[LINK] = this
    this.#sockets = sockets?.add(socket)
    socket.on('message', onMessage)
    socket.on('close', onClose)
    socket.on('error', onError)
  }

  gone(code: number): void {
    this.#sockets?.delete(this.socket)
    this.over(code)
  }

  buffered(): number {
    return this.#frames.length + this.socket.bufferedAmount
  }
}
