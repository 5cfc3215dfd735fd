/**
 * The same thing in three ways, to be measured side by side: a hand-written minimum over RTCPeerConnection, PeerJS, and
 * peerbridge. Each lane registers with a server, connects, sends and hears numbers, and notes what happens to it when.
 */
const now = () => Date.now()

/** What all lanes have: a diary, and who listens. */
class Lane {
  /** [what, wall clock in ms] */
  log = []
  heard = () => {}

  note(what) {
    this.log.push([what, now()])
  }
}

/**
 * What somebody writes by hand who has read the documentation: one WebSocket in PeerServer's format, offer, answer, trickled
 * candidates, and (`restart`) an ICE restart by the caller whenever the browser says that the path is down.
 */
export class RawLane extends Lane {
  #url
  #socket
  #pc
  #dc
  #peer
  #timer
  #waiting = []
  #early = []
  #ended = false

  constructor({ id, host, port, restart = true, watch = false }) {
    super()
    this.id = id
    this.restart = restart
    this.watch = watch
    this.#url = `ws://${host}:${port}/peerjs?key=peerjs&id=${id}&token=${id}-token&version=1.5.5`
  }

  /** Resolves when the server said OPEN. */
  register() {
    return this.registered = new Promise((resolve, reject) => {
      const socket = this.#socket = new WebSocket(this.#url)
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data)
        if (['ERROR', 'ID-TAKEN'].includes(message.type)) return void reject(new Error(data))
        if (message.type !== 'OPEN') return void this.#signal(message)
        for (const text of this.#waiting.splice(0)) socket.send(text)
        resolve()
      }
      socket.onclose = () => {
        this.note('socket closed')
        if (!this.#ended) setTimeout(() => this.#ended || this.register().catch(() => {}), 1000)
      }
      clearInterval(this.#timer)
      this.#timer = setInterval(() => this.#send({ type: 'HEARTBEAT' }), 5000)
    })
  }

  /** Resolves when the channel is open. */
  connect(peer) {
    this.#peer = peer
    const pc = this.#make()
    this.caller = true
    pc.onnegotiationneeded = async () => {
      await pc.setLocalDescription()
      this.#send({ type: 'OFFER', dst: peer, payload: { sdp: pc.localDescription } })
    }
    const channel = pc.createDataChannel('lab')
    return new Promise((resolve) => this.#adopt(channel, resolve))
  }

  /** Called beside register(): as soon as the server is there. */
  async connectEarly(peer) {
    await this.registered
    return this.connect(peer)
  }

  /** Resolves when somebody connected. */
  accept() {
    return new Promise((resolve) => { this.accepted = resolve })
  }

  send(value) {
    if (this.#dc?.readyState !== 'open') return false
    try {
      this.#dc.send(JSON.stringify(value))
      return true
    }
    catch {
      return false
    }
  }

  get connection() {
    return this.#pc
  }

  hangUp() {
    this.close()
  }

  close() {
    this.#ended = true
    clearInterval(this.#timer)
    this.#pc?.close()
    this.#socket?.close()
  }

  #make() {
    const pc = this.#pc = new RTCPeerConnection()
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) this.#send({ type: 'CANDIDATE', dst: this.#peer, payload: { candidate } })
    }
    pc.onconnectionstatechange = () => {
      this.note(pc.connectionState)
      if (this.restart && this.caller && ['disconnected', 'failed'].includes(pc.connectionState)) pc.restartIce()
    }
    if (this.watch) this.#watch(pc)
    pc.ondatachannel = ({ channel }) => this.#adopt(channel, this.accepted)
    return pc
  }

  #watch(pc) {
    pc.addEventListener('iceconnectionstatechange', () => this.note(`ice ${pc.iceConnectionState}`))
    pc.addEventListener('connectionstatechange', () => {
      const ice = pc.sctp?.transport.iceTransport
      if (!ice || ice.watched) return
      ice.watched = true
      ice.addEventListener('selectedcandidatepairchange', () => this.note('pair changed'))
      ice.addEventListener('statechange', () => this.note(`transport ${ice.state}`))
    })
  }

  #adopt(channel, opened) {
    this.#dc = channel
    const open = () => {
      this.note('channel open')
      opened()
    }
    if (channel.readyState === 'open') open()
    else channel.onopen = open
    channel.onmessage = ({ data }) => this.heard(JSON.parse(data))
    channel.onclose = () => this.note('channel closed')
  }

  async #signal({ type, src, payload }) {
    if (type === 'OFFER') {
      this.#peer = src
      const pc = this.#pc ?? this.#make()
      await pc.setRemoteDescription(payload.sdp)
      await pc.setLocalDescription()
      this.#send({ type: 'ANSWER', dst: src, payload: { sdp: pc.localDescription } })
      for (const candidate of this.#early.splice(0)) pc.addIceCandidate(candidate).catch(() => {})
    }
    else if (type === 'ANSWER') {
      if (this.#pc.signalingState !== 'have-local-offer') return
      await this.#pc.setRemoteDescription(payload.sdp)
      for (const candidate of this.#early.splice(0)) this.#pc.addIceCandidate(candidate).catch(() => {})
    }
    else if (type === 'CANDIDATE') {
      if (this.#pc?.remoteDescription) this.#pc.addIceCandidate(payload.candidate).catch(() => {})
      else this.#early.push(payload.candidate)
    }
  }

  #send(message) {
    const text = JSON.stringify(message)
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text)
    else if (message.type !== 'HEARTBEAT') this.#waiting.push(text)
  }
}

let stopWatching = () => {}

/** Tells `note` what the browser does under a library: sockets tried, opened and lost, candidates, the network's own word. */
function watchBrowser(note) {
  stopWatching()
  const { WebSocket, RTCPeerConnection } = globalThis
  const ear = new AbortController()
  for (const name of ['online', 'offline']) addEventListener(name, () => note(name), { signal: ear.signal })
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args)
      note('socket tried')
      this.addEventListener('open', () => note('socket open'))
      this.addEventListener('close', () => note('socket closed'))
    }

    send(text) {
      note(`says ${/"type":"(\w+)/.exec(text)?.[1]}`)
      super.send(text)
    }
  }
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args)
      note('pc made')
      this.addEventListener('icecandidate', ({ candidate }) => note(`candidate ${candidate?.candidate.split(' ')[4] ?? 'end'}`))
      this.addEventListener('connectionstatechange', () => note(`pc ${this.connectionState}`))
    }
  }
  stopWatching = () => {
    ear.abort()
    Object.assign(globalThis, { WebSocket, RTCPeerConnection })
  }
}

/** What PeerJS and peerbridge have in common, which is nearly everything. */
class PeerLane extends Lane {
  #Peer
  #options
  #connection

  constructor(Peer, { id, early, restart: _restart, watch, timers = {}, ...options }) {
    super()
    if (watch) watchBrowser(what => this.note(what))
    this.id = id
    this.early = early
    this.#Peer = Peer
    // PeerJS does not know the option and does not mind it.
    this.#options = { ...options, timers }
  }

  register() {
    const peer = this.peer = new this.#Peer(this.id, { path: '/', secure: false, config: {}, ...this.#options })
    peer.on('disconnected', () => this.note('peer disconnected'))
    // Not an error that somebody has to act on; the diary has it.
    peer.on('error', error => this.note(`peer error ${error.type}`))
    return this.registered = new Promise((resolve, reject) => {
      peer.on('open', resolve)
      peer.on('error', reject)
    })
  }

  connect(id) {
    return new Promise(resolve => this.#adopt(this.peer.connect(id, { reliable: true }), resolve))
  }

  /** Called beside register(): PeerJS has to wait for the server, peerbridge queues. */
  async connectEarly(peer) {
    if (!this.early) await this.registered
    return this.connect(peer)
  }

  accept() {
    return new Promise(resolve => this.peer.once('connection', connection => this.#adopt(connection, resolve)))
  }

  #adopt(connection, opened) {
    this.#connection = connection
    connection.on('open', () => {
      this.note('channel open')
      opened()
    })
    connection.on('data', value => this.heard(value))
    connection.on('close', () => this.note('channel closed'))
    connection.on('state', (state, reason) => this.note(reason ? `${state} (${reason})` : state))
    connection.on('iceStateChanged', state => this.note(`ice ${state}`))
    connection.on('error', error => this.note(`error ${error.type}`))
  }

  send(value) {
    if (!this.#connection?.open) return false
    this.#connection.send(value)
    return true
  }

  get connection() {
    return this.#connection?.peerConnection
  }

  /** The DataConnection. */
  get data() {
    return this.#connection
  }

  /** Ends the connection and leaves the peer. */
  hangUp() {
    this.#connection.close()
  }

  close() {
    this.peer?.destroy()
    stopWatching()
  }
}

let PeerJS
async function loadPeerJS() {
  if (PeerJS) return PeerJS
  // A classic script that leaves its class in `window`: the file that PeerJS's users load.
  const script = document.createElement('script')
  script.src = '/node_modules/peerjs/dist/peerjs.min.js'
  const loaded = new Promise((resolve, reject) => Object.assign(script, { onload: resolve, onerror: reject }))
  document.head.append(script)
  await loaded
  return PeerJS = globalThis.peerjs.Peer
}

/** The code of a lane. @param kind 'raw', 'peerjs' or 'peerbridge' */
export async function loadLane(kind) {
  if (kind === 'raw') return RawLane
  const Peer = kind === 'peerjs' ? await loadPeerJS() : (await import('peerbridge')).Peer
  return class extends PeerLane {
    constructor(options) {
      super(Peer, options)
    }
  }
}

export async function makeLane(kind, options) {
  return new (await loadLane(kind))(options)
}
