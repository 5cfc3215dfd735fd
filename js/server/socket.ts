// A client on a WebSocket of `ws`, which is what carries it on Node, whoever accepted it.
//
// System calls and what surrounds them are most of what a message costs, so this goes past the framing of `ws` where it can. What one
// client says to another is taken out of the bytes that came and put into those that leave (frame.ts); a short text of one byte a
// character and the head of its frame are one string, which Node writes without making a buffer; and all that a client is sent
// within one turn of the event loop leaves in one write.
import type { Duplex } from 'node:stream'
import { recycle, reframe, retire } from './frame.js'
import type { Framed } from './frame.js'
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

  /** Null while the client is not let in. */
  protected get session(): Session | null {
    return this.#session
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
  readonly _receiver?: NodeReceiver
  listenerCount?(event: 'message'): number
}

/** Which link a socket is. One property, and listeners that all sockets share, are less than four functions for each. */
const LINK = Symbol('link')
interface Tagged { [LINK]?: SocketLink }

/** What makes messages of bytes. All that is named here is private to `ws`; where it is not as it was, `ws` does all of it. */
interface NodeReceiver extends Tagged {
  write?(chunk: Buffer): boolean
  /** 0: a frame begins next. */
  readonly _state?: unknown
  readonly _bufferedBytes?: unknown
  /** 0: no message has begun. */
  readonly _fragmented?: unknown
  readonly _errored?: unknown
  /** Of the last frame; 8 closes. */
  readonly _opcode?: unknown
  _maxPayload?: unknown
}

/** In place of the receiver's own, which takes what is left. */
function write(this: NodeReceiver, chunk: Buffer): boolean {
  let at = 0
  if (this._state === 0 && this._bufferedBytes === 0 && this._fragmented === 0 && this._errored === false && this._opcode !== 8) {
    isTaking = true
    try {
      at = this[LINK]!.take(chunk, this._maxPayload as number)
    }
    finally {
      isTaking = false
      flush()
    }
  }
  if (at === chunk.length) return true
  return (Object.getPrototypeOf(this) as Required<NodeReceiver>).write.call(this, at === 0 ? chunk : chunk.subarray(at))
}

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

function joined(first: string | Buffer, others: readonly (string | Buffer)[], bytes: number): Buffer {
  const all = Buffer.allocUnsafe(bytes)
  let at = 0
  const add = (frame: string | Buffer): void => {
    if (typeof frame === 'string') all.write(frame, at, 'latin1')
    else all.set(frame, at)
    at += frame.length
  }
  add(first)
  for (const frame of others) add(frame)
  return all
}

/** Links that have something to write, and write it before anything else happens. */
const waiting: SocketLink[] = []
/** What came from one client is being looked at: what it makes others hear is written as soon as all of it was. */
let isTaking = false

function flush(): void {
  // None of these writes can make another one wait.
  for (const link of waiting) link.flush()
  waiting.length = 0
  recycle()
}

export class SocketLink extends WebSocketLink {
  readonly socket: NodeSocket
  readonly #stream: Duplex | null
  /** What waits for the end of the turn: whole frames, as bytes or as a string with a byte each character. */
  #first: string | Buffer | null = null
  #others: (string | Buffer)[] | null = null
  #bytes = 0
  /** What it is given may not leave at once: its reader is slow, it is encrypted first, or it is no socket of the system. */
  #isSlow: boolean
  #pinged = false
  #sockets: Set<NodeSocket> | undefined

  constructor(socket: NodeSocket) {
    super()
    this.socket = socket
    this.#stream = socket.extensions === '' && socket._socket ? socket._socket : null
    const { _handle, encrypted } = (this.#stream ?? {}) as { _handle?: unknown, encrypted?: unknown }
    this.#isSlow = !_handle || !!encrypted
  }

  send(text: string): void {
    const { length } = text
    if (!this.#stream || length > FULL || Buffer.byteLength(text) !== length) {
      this.flush()
      this.socket.send(text)
      return
    }
    // RFC 6455, section 5.2: FIN and opcode 1, then 7 or 7 + 16 bits of length; a server does not mask.
    this.#write(length < 126
      ? String.fromCharCode(0x81, length) + text
      : length < 65_536
        ? String.fromCharCode(0x81, 126, length >> 8, length & 255) + text
        : String.fromCharCode(0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0) + text)
  }

  pass(text: Framed): void {
    if (this.#stream) this.#write(text.frame)
    else this.socket.send(String(text))
  }

  #write(frame: string | Buffer): void {
    const isFirst = this.#first === null
    if (isFirst) this.#first = frame
    else (this.#others ??= []).push(frame)
    this.#bytes += frame.length
    if (!isFirst) {
      if (this.#bytes > FULL) this.flush()
    }
    else if (waiting.push(this) === 1 && !isTaking) {
      process.nextTick(flush)
    }
  }

  flush(): void {
    const [first, others, bytes] = [this.#first, this.#others, this.#bytes]
    if (first === null) return
    this.#first = this.#others = null
    this.#bytes = 0
    // As `ws` does: what comes after the closing handshake began is for nobody.
    if (this.socket.readyState !== OPEN || !this.#stream) return
    if (others !== null) {
      this.#stream.write(joined(first, others, bytes))
    }
    else if (typeof first === 'string') {
      this.#stream.write(first, 'latin1')
    }
    else if (this.#isSlow) {
      // It may be there for a while: in memory of its own.
      const own = Buffer.allocUnsafeSlow(bytes)
      own.set(first)
      this.#stream.write(own)
    }
    else {
      this.#stream.write(first)
      if (this.#stream.writableLength === 0) return
      this.#isSlow = true
      retire()
    }
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
    const receiver = socket._receiver
    if (this.#stream && receiver?.write && typeof receiver._maxPayload === 'number') {
      receiver[LINK] = this
      receiver.write = write
    }
    socket.on('message', onMessage)
    socket.on('close', onClose)
    socket.on('error', onError)
  }

  /**
   * Takes whole messages for other clients from the front of what came; the rest is for `ws`. Answers how much it took.
   * @param limit bytes of a message that `ws` would take
   */
  take(chunk: Buffer, limit: number): number {
    let at = 0
    const { length } = chunk
    const session = this.session
    // Or the application wants to hear it from `ws`, too.
    if (!session || this.socket.listenerCount?.('message') !== 1) return 0
    while (length - at > 8) {
      const size = chunk[at + 1]! & 127
      const long = size === 126
      const payload = long ? chunk[at + 2]! << 8 | chunk[at + 3]! : size
      const start = at + (long ? 8 : 6)
      // FIN, no extension, a text; masked.
      if (chunk[at] !== 0x81 || chunk[at + 1]! < 128 || size === 127 || start + payload > length || payload > limit) break
      const text = reframe(chunk, start, payload, session.id)
      if (!text) break
      session.receive(text)
      at = start + payload
    }
    return at
  }

  gone(code: number): void {
    this.#sockets?.delete(this.socket)
    this.over(code)
  }

  buffered(): number {
    return this.#bytes + this.socket.bufferedAmount
  }
}
