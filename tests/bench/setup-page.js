/** A page that connects, or is connected to, and says how long that took. */
import { loadLane, makeLane } from '../reach/lab/lanes.js'

const settings = Object.fromEntries(new URLSearchParams(location.search))
const options = { host: settings.host, port: Number(settings.port) }

/** Comparable between the pages of one browser, ms. */
const now = () => performance.timeOrigin + performance.now()

/** [what, when], in the order in which it happened. */
let trace = []
const mark = what => trace.push([what, now()])

let frames = 0
const send = WebSocket.prototype.send
WebSocket.prototype.send = function (data) {
  const { type } = JSON.parse(data)
  if (type !== 'HEARTBEAT') frames++
  mark(`sends ${type}`)
  send.call(this, data)
}

if (settings.trace) {
  const rtc = RTCPeerConnection.prototype
  for (const name of ['setLocalDescription', 'setRemoteDescription', 'addIceCandidate']) {
    const real = rtc[name]
    rtc[name] = async function (...args) {
      mark(`${name}…`)
      const result = await real.apply(this, args)
      mark(`…${name}`)
      return result
    }
  }
  const Real = RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Real {
    constructor(...args) {
      mark('new RTCPeerConnection…')
      super(...args)
      mark('…new RTCPeerConnection')
      this.addEventListener('icecandidate', ({ candidate }) => mark(candidate ? 'local candidate' : 'last candidate'))
      this.addEventListener('iceconnectionstatechange', () => mark(`ice ${this.iceConnectionState}`))
      this.addEventListener('connectionstatechange', () => mark(this.connectionState))
    }
  }
  const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage')
  Object.defineProperty(WebSocket.prototype, 'onmessage', {
    set(listener) {
      set.call(this, (event) => {
        mark(`hears ${JSON.parse(event.data).type}`)
        listener.call(this, event)
      })
    },
  })
}

/** Peers of peerbridge and PeerJS live on; a hand-written lane is one connection. */
const peers = new Map()
let current

async function ready(kind, id) {
  if (kind !== 'raw' && peers.has(kind)) return peers.get(kind)
  const lane = await makeLane(kind, { ...options, id, restart: false })
  await lane.register()
  peers.set(kind, lane)
  return lane
}

window.lab = {
  /** A peer that waits for its caller. */
  async wait(kind, id) {
    current = await ready(kind, id)
    current.opened = current.accept()
    trace = []
    frames = 0
    return current.id
  },

  /** A peer that is ready to call. */
  async prepare(kind, id) {
    current = await ready(kind, id)
    trace = []
    frames = 0
  },

  /** From connect() to the open channel, ms. */
  async connect(to) {
    const began = now()
    await current.connect(to)
    const took = now() - began
    mark('open')
    return took
  },

  /** From nothing (the code of the page is there) to the open channel, ms. */
  async cold(kind, id, to) {
    const Lane = await loadLane(kind)
    const lane = current = new Lane({ ...options, id, restart: false, early: kind === 'peerbridge' })
    trace = []
    frames = 0
    const began = now()
    await Promise.all([lane.register(), lane.connectEarly(to)])
    const took = now() - began
    mark('open')
    return took
  },

  async opened() {
    await current.opened
  },

  /** Frames that left since, and the diary. */
  result() {
    return { frames, trace }
  },

  /** Ends the connection; what is left to be said about that is said while the next one is made ready. */
  end() {
    current.hangUp()
  },

  load: kind => loadLane(kind).then(() => {}),

  resources: () => performance.getEntriesByType('resource').map(e => [e.name, performance.timeOrigin + e.startTime, performance.timeOrigin + e.responseEnd, e.encodedBodySize]),
}
