/**
 * Clients in a process of their own, as many as there are sockets. They write frames that were made before and count what
 * comes by the lengths in front of it: so a farm takes less than the server that it loads, and what is measured is the server.
 */
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import process from 'node:process'

/** A masked text frame (RFC 6455, section 5.2). */
export function frame(text) {
  const payload = Buffer.from(text)
  const mask = randomBytes(4)
  const { length } = payload
  const head = length < 126 ? Buffer.from([0x81, 0x80 | length]) : Buffer.from([0x81, 0xfe, length >> 8, length & 255])
  if (length > 65_535) throw new RangeError('longer than this farm needs')
  for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3]
  return Buffer.concat([head, mask, payload])
}

class Client {
  #rest = Buffer.alloc(0)

  /** @param heard called for each message, with its bytes */
  constructor(socket, heard) {
    this.socket = socket
    this.heard = heard
    this.count = 0
    socket.on('data', data => this.take(data))
  }

  take(data) {
    let bytes = this.#rest.length ? Buffer.concat([this.#rest, data]) : data
    while (bytes.length >= 2) {
      const short = bytes[1] & 127
      const head = short === 126 ? 4 : short === 127 ? 10 : 2
      if (bytes.length < head) break
      const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
      if (bytes.length < head + length) break
      if ((bytes[0] & 15) === 1) {
        this.count++
        this.heard?.(bytes.subarray(head, head + length), this)
      }
      bytes = bytes.subarray(head + length)
    }
    this.#rest = bytes
  }
}

/** A client after its OPEN. */
function open(port, id, counts) {
  return new Promise((resolve, reject) => {
    const key = randomBytes(16).toString('base64')
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let head = ''
    const early = (data) => {
      head += data.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', early)
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      if (!head.startsWith('HTTP/1.1 101') || !head.includes(accept)) return reject(new Error(`refused: ${head.slice(0, 100)}`))
      const client = new Client(socket, (bytes) => {
        client.heard = null
        if (bytes.toString('latin1', 0, 14) !== '{"type":"OPEN"') return reject(new Error(`refused: ${bytes}`))
        resolve(client)
      })
      client.id = id
      client.take(Buffer.from(head.slice(end + 4), 'latin1'))
    }
    socket.on('data', early)
    socket.on('error', reject)
    socket.on('connect', () => socket.write(
      `GET /peerjs?key=peerjs&id=${id}&token=token-of-${id}&version=1.5.5${counts ? '&link=session.1&got=0&sent=0' : ''} HTTP/1.1\r\n`
      + 'Host: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n'
      + 'Origin: http://127.0.0.1\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCache-Control: no-cache\r\n'
      + 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n'
      + `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`))
  })
}

const clients = []
let lane = { port: 0, name: '', counts: false }

const work = {
  /**
   * So many more, some at a time.
   * @param port or several, which they take in turn; `apart`: the two of a pair take different ones
   */
  async connect({ port, apart = true, name, counts = false, count, width = 100 }) {
    const ports = [port].flat()
    lane = { port, name, counts }
    const from = clients.length
    const began = performance.now()
    let next = from
    const one = async () => {
      while (next < from + count) {
        const index = next++
        clients[index] = await open(ports[(apart ? index : index >> 1) % ports.length], `${name}-${index}`, counts)
      }
    }
    await Promise.all(Array.from({ length: Math.min(width, count) }, one))
    return { ms: performance.now() - began }
  },

  /**
   * Scripts between two clients, over and over: each frame leaves when the one before it has come. `wide` pairs at a time, every
   * pair in turn, with each script in turn; `burst` times each frame at once.
   * @param scripts each a list of [from 0 or 1, text with the id of the other as `{dst}`]
   */
  async play({ scripts, wide, burst = 1, ms, used = clients.length }) {
    const pairs = Array.from({ length: used >> 1 }, (_, i) => {
      const two = [clients[2 * i], clients[2 * i + 1]]
      const beat = lane.counts && two.map(client => got => client.socket.write(frame(`{"type":"HEARTBEAT","got":${got}}`)))
      return { two, beat, script: scripts[i % scripts.length], frames: [], heard: [0, 0] }
    })
    let messages = 0
    let plays = 0
    let over = false
    let turn = 0
    const running = new Set()
    return new Promise((resolve) => {
      const began = performance.now()
      const end = () => {
        if (running.size === 0) resolve({ messages, plays, ms: performance.now() - began })
      }
      setTimeout(() => {
        over = true
        end()
      }, ms)
      const begin = () => {
        let pair
        do pair = pairs[turn++ % pairs.length]
        while (running.has(pair))
        running.add(pair)
        const { script } = pair
        let at = 0
        let missing = 0
        const send = () => {
          const [from] = script[at]
          missing = burst
          pair.frames[at] ??= frame(script[at][1].replaceAll('{dst}', pair.two[1 - from].id))
          for (let i = 0; i < burst; i++) pair.two[from].socket.write(pair.frames[at])
          pair.two[1 - from].heard = (bytes, client) => {
            if (bytes.length < 40 && bytes[9] === 0x4f && bytes[10] === 0x50) return // OPEN: an answer to a heartbeat
            const side = 1 - from
            pair.heard[side]++
            // A client of ours confirms every 5 s; here, so often.
            if (pair.beat && pair.heard[side] % 128 === 0) pair.beat[side](pair.heard[side])
            if (--missing > 0) return
            messages += burst
            client.heard = null
            if (++at < script.length) return send()
            plays += burst
            running.delete(pair)
            if (over) end()
            else begin()
          }
        }
        send()
      }
      for (let i = 0; i < Math.min(wide, pairs.length); i++) begin()
    })
  },

  /** So many messages a second, whatever becomes of them; how long each took, µs. */
  async pace({ text, perSecond, ms, used = clients.length }) {
    const latencies = []
    const pairs = Array.from({ length: used >> 1 }, (_, i) => {
      const [a, b] = [clients[2 * i], clients[2 * i + 1]]
      const waiting = []
      b.heard = () => latencies.push(Number(process.hrtime.bigint() - waiting.shift()) / 1000)
      return { a, waiting, bytes: frame(text.replaceAll('{dst}', b.id)) }
    })
    const began = performance.now()
    let sent = 0
    await new Promise((resolve) => {
      const timer = setInterval(() => {
        const due = Math.min(ms, performance.now() - began) * perSecond / 1000
        while (sent < due) {
          const pair = pairs[sent++ % pairs.length]
          pair.waiting.push(process.hrtime.bigint())
          pair.a.socket.write(pair.bytes)
        }
        if (performance.now() - began < ms) return
        clearInterval(timer)
        const wait = setInterval(() => {
          if (latencies.length < sent) return
          clearInterval(wait)
          resolve()
        }, 5)
      }, 1)
    })
    for (const client of clients) client.heard = null
    return { latencies: latencies.map(us => Math.round(us)) }
  },

  /** Clients come, say something to one another and go, properly or not, until the parent says that it is enough. */
  async churn({ port, name, text, width, ms }) {
    let lives = 0
    const end = performance.now() + ms
    const one = async (lane) => {
      for (let life = 0; performance.now() < end; life++) {
        const ids = [0, 1].map(side => `${name}-${lane}-${life}-${side}`)
        const two = await Promise.all(ids.map((id, i) => open(port, id, (lane + i) % 2 === 1)))
        const heard = new Promise(resolve => { two[1].heard = resolve })
        two[0].socket.write(frame(text.replaceAll('{dst}', ids[1])))
        // Somebody who is not there: it waits, and is given up.
        two[0].socket.write(frame(text.replaceAll('{dst}', `nobody-${lane}-${life}`)))
        await heard
        for (const { socket } of two) {
          if (life % 2) socket.destroy()
          else socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]))
        }
        lives += 2
      }
    }
    await Promise.all(Array.from({ length: width }, (_, lane) => one(lane)))
    return { lives }
  },

  async disconnect() {
    await Promise.all(clients.splice(0).map(({ socket }) => new Promise((resolve) => {
      socket.once('close', resolve)
      socket.destroy()
    })))
    return {}
  },

  async count() {
    return { open: clients.filter(({ socket }) => socket.readyState === 'open').length }
  },
}

process.on('message', ({ id, what, given }) => {
  work[what](given).then(result => process.send({ id, result }), error => process.send({ id, error: String(error?.stack ?? error) }))
})
process.on('disconnect', () => process.exit(0))
