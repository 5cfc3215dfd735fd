/** One end of a connection, and what the benches of the data plane ask of it. */
import { makePorts, source } from './data-ports-page.js'
import { spin, wasmBytes } from './memory-page.js'

/** Comparable between the pages of one browser, ms. */
const now = () => performance.timeOrigin + performance.now()

let ports
/** The one that is asked. */
let port
let opened
let lane
let arrived
let counted = () => 0
/** Small messages take a second. */
const patience = { small: 60_000, large: 240_000 }

/** What the other side is about to send. Resolves, through arrived(), with when it was complete. */
function expect(listen, within = patience.large) {
  arrived = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('it did not arrive')), within)
    const done = result => (clearTimeout(late), resolve({ at: now(), ...result }))
    listen(done, message => (clearTimeout(late), reject(new Error(message))))
  })
  arrived.catch(() => {})
}

const echoes = new Map()
let watched

/** Gaps between turns of a timer that nothing clamps: what is beyond 1 ms is somebody else's work. */
function watchGaps() {
  const gaps = []
  let stopped = false
  let before = performance.now()
  const look = () => {
    const at = performance.now()
    gaps.push(at - before - 1)
    before = at
    if (!stopped) next()
  }
  const next = globalThis.scheduler?.postTask
    ? () => void scheduler.postTask(look, { delay: 1, priority: 'user-blocking' })
    : () => setTimeout(look, 1)
  next()
  return () => {
    stopped = true
    gaps.push(performance.now() - before - 1)
    gaps.sort((x, y) => x - y)
    return { longest: gaps.at(-1), most: gaps[Math.floor((gaps.length - 1) * 0.999)] }
  }
}

window.lab = {
  async open(kind, options) {
    ({ ports, opened, lane } = await makePorts(kind, options))
    for (const each of Object.values(ports)) {
      // Pings are answered from the first moment on; answers begin with 'pong'.
      each.ping = (text) => {
        if (text.startsWith('pong')) {
          echoes.get(text.slice(4))?.(performance.now())
          echoes.delete(text.slice(4))
        }
        else each.sendPing(`pong${text}`)
      }
    }
    [port] = Object.values(ports)
  },

  /** Of the lanes that share this page, this one is asked from now on. */
  use(kind, options) {
    port = ports[kind]
    port.configure(options)
  },

  async opened() {
    await opened
    return { stripes: port.connection?.stripes ?? 1 }
  },

  async arrived() {
    return arrived
  },

  // ---- one large message

  expectMessage(size) {
    expect((done, fail) => {
      port.message = (data) => {
        const at = now()
        if (data.byteLength !== size) return fail(`${data.byteLength} bytes came instead of ${size}`)
        const words = new Uint32Array(data instanceof ArrayBuffer ? data : data.slice().buffer)
        for (let i = 0; i < words.length; i += 16_384) if (words[i] !== i) return fail(`wrong bytes at ${i * 4}`)
        done({ at })
      }
    })
  },

  /** As expectMessage(), whatever is in it. */
  expectAny(size) {
    expect((done, fail) => {
      port.message = ({ byteLength }) => (byteLength === size ? done({}) : fail(`${byteLength} bytes came instead of ${size}`))
    })
  },

  async sendMessage(size) {
    const buffer = new ArrayBuffer(size)
    const words = new Uint32Array(buffer)
    for (let i = 0; i < words.length; i += 16_384) words[i] = i
    const began = now()
    await port.sendMessage(buffer)
    return began
  },

  // ---- a file

  /** @param size null when nobody knows it */
  expectFile(size) {
    expect((done, fail) => {
      let bytes = 0
      counted = () => bytes
      port.piece = (length) => { bytes += length }
      port.fileEnded = () => {
        if (size !== null && bytes !== size) fail(`${bytes} bytes came instead of ${size}`)
        else done({ bytes })
      }
    })
  },

  async sendFile(size) {
    const began = now()
    await port.sendFile(source(size), size)
    return began
  },

  /** One that never ends. */
  sendForever() {
    void port.sendFile(source(Infinity))
  },

  /** How things stand, for who wants to know why something did not arrive. */
  async state() {
    const states = {}
    for (const [kind, { channel, connection }] of Object.entries(ports)) {
      const { id, readyState, bufferedAmount, bufferedAmountLowThreshold } = channel
      const stats = await connection?.stats()
      states[kind] = { id, readyState, bufferedAmount, bufferedAmountLowThreshold, stats }
    }
    const report = [...(await lane.connection?.getStats() ?? new Map()).values()]
    return { counted: counted(), states, channels: report.filter(({ type }) => type === 'data-channel'), log: lane.log.slice(-20) }
  },

  /** What came of the file so far, and when. */
  received: () => ({ bytes: counted(), at: performance.now() }),

  // ---- many small messages

  expectSmall(count, length) {
    expect((done, fail) => {
      let next = 0
      counted = () => next
      port.message = (data) => {
        const view = data instanceof ArrayBuffer ? new DataView(data) : new DataView(data.buffer, data.byteOffset, data.byteLength)
        if (view.byteLength !== length || view.getUint32(0) !== next) return fail(`message ${next} is missing`)
        if (++next === count) done({})
      }
    }, patience.small)
  },

  async sendSmall(count, length) {
    const message = new Uint8Array(length)
    const view = new DataView(message.buffer)
    const began = now()
    await port.sendSmall(count, (i) => {
      view.setUint32(0, i)
      return message
    })
    return began
  },

  // ---- round trips

  /** One after the other; ms each. */
  async pings(count) {
    const times = []
    for (let i = 0; i < count; i++) {
      const began = performance.now()
      const at = await new Promise((resolve) => {
        echoes.set(String(i), resolve)
        port.sendPing(String(i))
      })
      times.push(at - began)
    }
    return times
  },

  /**
   * A ping every `every` ms (of a list: in turn) for `ms`, from `warm` ms after something large began on.
   * @param size bytes of one message, which has to take longer than all that; null for a file that ends afterwards
   */
  async pingsDuring({ size, ms, warm, every }) {
    const file = size === null ? source(Infinity) : null
    const sent = file ? port.sendFile(file) : port.sendMessage(new ArrayBuffer(size))
    await new Promise(resolve => setTimeout(resolve, warm))
    const waiting = []
    const pauses = [every].flat()
    for (const end = performance.now() + ms; performance.now() < end;) {
      const at = performance.now()
      const name = `during${waiting.length}`
      waiting.push(new Promise((resolve) => {
        echoes.set(name, back => resolve(back - at))
        port.sendPing(name)
      }))
      await new Promise(resolve => setTimeout(resolve, pauses[waiting.length % pauses.length]))
    }
    file?.stop()
    const times = await Promise.all(waiting)
    await sent
    return times
  },

  // ---- what it costs

  watch() {
    watched = watchGaps()
  },

  watched: () => watched(),

  /** Bytes. */
  wasm: wasmBytes,

  spin,

  close() {
    lane.close()
  },
}
