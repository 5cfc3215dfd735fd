/**
 * The same traffic in three ways: messages, files and pings over a hand-written RTCDataChannel, peerbridge and PeerJS, each
 * as somebody writes it who knows that library. Set-up is that of ../reach/lab/lanes.js.
 */
import { makeLane } from '../reach/lab/lanes.js'

const kibi = 1024
const encoder = new TextEncoder()
const decoder = new TextDecoder()
/** Pieces in which a file is read. */
const pieceSize = 256 * kibi

/** Zeros in pieces, made as they are read; ends after `size` bytes, or when `stop()` was called. All pieces are one array. */
export function source(size) {
  const piece = new Uint8Array(pieceSize)
  let left = size
  const stream = new ReadableStream({
    pull(controller) {
      const next = piece.subarray(0, Math.min(left, pieceSize))
      left -= next.length
      if (next.length) controller.enqueue(next)
      else controller.close()
    },
  }, { highWaterMark: 0 })
  return { stream, stop: () => { left = 0 } }
}

/** SHA-256 of what passes, 256 KiB at a time. */
class Hasher {
  #piece = new Uint8Array(256 * kibi)
  #fill = 0

  add(bytes) {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + this.#piece.length - this.#fill)
      if (part.length === this.#piece.length) {
        void crypto.subtle.digest('SHA-256', part)
        at += part.length
        continue
      }
      this.#piece.set(part, this.#fill)
      this.#fill += part.length
      at += part.length
      if (this.#fill < this.#piece.length) break
      void crypto.subtle.digest('SHA-256', this.#piece)
      this.#fill = 0
    }
  }
}

/** What the page hears, whichever lane it is. */
class Port {
  /** A whole message; `ArrayBuffer` or `Uint8Array`. */
  message = () => {}
  /** A string. */
  ping = () => {}
  /** So many bytes of a file. */
  piece = () => {}
  fileEnded = () => {}

  hear(data) {
    if (typeof data === 'string') this.ping(data)
    else this.message(data)
  }
}

/**
 * Hand-written. Chunks of `chunk` bytes while no more than `high` are buffered; a large message is announced by its length
 * and put together in an array of that length. A file is hashed (`hash`) or not. Pings go over a channel of their own, or
 * (`same`) over the same one.
 */
class RawPort extends Port {
  #bulk
  #side
  #chunk
  #high
  #target = null
  #filled = 0
  #file = false
  #hasher = null
  #bytes = false

  async open(lane, { same = false, ...options }) {
    const make = id => lane.connection.createDataChannel(`bench ${id}`, { negotiated: true, id })
    const channels = [make(100), make(101)]
    this.#bulk = channels[0]
    this.#side = same ? this.#bulk : channels[1]
    this.configure(options)
    for (const channel of channels) {
      channel.binaryType = 'arraybuffer'
      channel.onmessage = ({ data }) => this.#hear(data)
    }
    await Promise.all(channels.map(channel => channel.readyState === 'open' || new Promise((resolve) => { channel.onopen = resolve })))
  }

  /** @param options `bytes`: pings are bytes, and not strings */
  configure({ chunk = 64 * kibi, high = 1024 * kibi, hash = false, bytes = false }) {
    this.#chunk = chunk
    this.#high = high
    this.#bulk.bufferedAmountLowThreshold = high / 4
    this.#hasher = hash ? new Hasher() : null
    this.#bytes = bytes
  }

  get channel() {
    return this.#bulk
  }

  #hear(data) {
    if (typeof data === 'string') {
      if (data.startsWith('message ')) {
        this.#target = new Uint8Array(Number(data.slice(8)))
        this.#filled = 0
      }
      else if (data === 'file') this.#file = true
      else if (data === 'file ends') {
        this.#file = false
        this.fileEnded()
      }
      else this.ping(data)
    }
    else if (this.#bytes) this.ping(decoder.decode(data))
    else if (this.#target) {
      this.#target.set(new Uint8Array(data), this.#filled)
      this.#filled += data.byteLength
      if (this.#filled < this.#target.length) return
      const { buffer } = this.#target
      this.#target = null
      this.message(buffer)
    }
    else if (this.#file) {
      this.#hasher?.add(new Uint8Array(data))
      this.piece(data.byteLength)
    }
    else this.message(data)
  }

  /** Below the threshold there will be no event to wait for. */
  #full(length) {
    return this.#bulk.bufferedAmount > this.#high / 4 && this.#bulk.bufferedAmount + length > this.#high
  }

  #low() {
    return new Promise((resolve) => { this.#bulk.onbufferedamountlow = resolve })
  }

  /** When there is room for it. */
  async #push(data) {
    if (this.#full(data.length)) await this.#low()
    this.#bulk.send(data)
  }

  async #pushChunks(bytes) {
    for (let at = 0; at < bytes.length; at += this.#chunk) await this.#push(bytes.subarray(at, at + this.#chunk))
  }

  async sendMessage(buffer) {
    this.#bulk.send(`message ${buffer.byteLength}`)
    await this.#pushChunks(new Uint8Array(buffer))
  }

  async sendFile({ stream }) {
    this.#bulk.send('file')
    for (const reader = stream.getReader(); ;) {
      const { done, value } = await reader.read()
      if (done) break
      this.#hasher?.add(value)
      await this.#pushChunks(value)
    }
    this.#bulk.send('file ends')
  }

  async sendSmall(count, make) {
    for (let i = 0; i < count; i++) {
      const message = make(i)
      if (this.#full(message.length)) await this.#low()
      this.#bulk.send(message)
    }
  }

  sendPing(text) {
    this.#side.send(this.#bytes ? encoder.encode(text) : text)
  }
}

class PeerbridgePort extends Port {
  #conn
  #transfer = false

  async open(lane, { stripes = 1 }) {
    this.#conn = lane.data
    // A version without them sends over one.
    if ('stripes' in this.#conn) this.#conn.stripes = stripes
    this.#conn.on('transfer', (transfer) => {
      void transfer.accept(new WritableStream({ write: piece => this.piece(piece.length), close: () => this.fileEnded() }))
    })
    lane.heard = data => this.hear(data)
  }

  get channel() {
    return this.#conn.dataChannel
  }

  get connection() {
    return this.#conn
  }

  /** @param options `transfer`: messages are given away, and need not be copied */
  configure({ transfer = false }) {
    this.#transfer = transfer
  }

  async sendMessage(buffer) {
    await this.#conn.send(buffer, this.#transfer ? { transfer: [buffer] } : {})
  }

  async sendFile({ stream }, size) {
    await this.#conn.sendFile(stream, size === undefined ? {} : { size }).done
  }

  async sendSmall(count, make) {
    for (let i = 0; i < count; i++) await this.#conn.send(make(i))
  }

  sendPing(text) {
    void this.#conn.send(text, { priority: 'high' })
  }
}

/** Its send() has nothing to wait for; a file is messages of 1 MiB, the next when PeerJS's own queue (`bufferSize`) is empty. */
class PeerJSPort extends Port {
  #conn
  #left = 0

  async open(lane) {
    this.#conn = lane.data
    lane.heard = (data) => {
      if (!this.#left || typeof data === 'string') return this.#special(data) || this.hear(data)
      this.#left -= data.byteLength
      this.piece(data.byteLength)
      if (!this.#left) this.fileEnded()
    }
  }

  #special(data) {
    if (typeof data !== 'string' || !data.startsWith('file ')) return false
    this.#left = Number(data.slice(5))
    return true
  }

  get channel() {
    return this.#conn.dataChannel
  }

  async sendMessage(buffer) {
    this.#conn.send(buffer)
  }

  async sendFile(_source, size) {
    this.#conn.send(`file ${size}`)
    for (let left = size; left > 0; left -= kibi * kibi) {
      this.#conn.send(new ArrayBuffer(Math.min(left, kibi * kibi)))
      while (this.#conn.bufferSize > 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
  }

  async sendSmall(count, make) {
    for (let i = 0; i < count; i++) this.#conn.send(make(i))
  }

  sendPing(text) {
    this.#conn.send(text)
  }
}

const ports = { raw: RawPort, peerbridge: PeerbridgePort, peerjs: PeerJSPort }
/**
 * Two lanes over one RTCPeerConnection, which peerbridge makes: nothing but what they do themselves can differ. It must not
 * replace that: on a machine that starves, it hears nothing for two seconds while the other lane has the path, and what
 * that sends ends with the RTCPeerConnection.
 */
const shared = { lane: 'peerbridge', ports: ['peerbridge', 'raw'], timers: { silenceLimit: 600_000 } }

/** Ports, by kind, that wait for their caller (`to` left out) or call; `opened` resolves when they are open. */
export async function makePorts(kind, { host, port: at, id, to, ...options }) {
  const { lane: made, ports: names, timers } = kind === 'shared' ? shared : { lane: kind, ports: [kind] }
  const lane = await makeLane(made, { host, port: at, id, restart: false, timers })
  const all = Object.fromEntries(names.map(name => [name, new ports[name]()]))
  await lane.register()
  const opened = (to ? lane.connect(to) : lane.accept())
    .then(() => Promise.all(Object.values(all).map(port => port.open(lane, options))))
  return { ports: all, opened, lane }
}
