// A network in virtual time that can be cut, with the real hub as its signaling server and RTCPeerConnections that
// behave toward it as Chromium's were seen to: 'disconnected' after 5 s, 'failed' after 15, data 3 s after the path is back.
import { vi } from 'vitest'
import { loadRuntime } from '../../js/driver/runtime.js'
import type { SignalingChannel, SignalingTransport } from '../../js/signaling/transport.js'
import { Hub } from '../../js/server/hub.js'
import type { Link, Registration, Session } from '../../js/server/hub.js'

/** One way, ms. */
const latency = 10
const disconnectedAfter = 5_000
const failedAfter = 15_000
/** SCTP sleeps in its retransmission back-off. */
const stall = 2_900

interface Server { connect(who: Registration, link: Link): Session | null }

/** PeerServer 1.0.2 where it differs from our hub: a client that comes back gets no OPEN, and its old socket stays. */
export class StockServer implements Server {
  readonly clients = new Map<string, { token: string, link: Link }>()

  connect({ id, token }: Registration, link: Link): Session | null {
    const known = this.clients.get(id!)
    if (known && known.token !== token) {
      link.send('{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}')
      link.close()
      return null
    }
    const client = { token: token!, link }
    this.clients.set(id!, client)
    if (!known) link.send('{"type":"OPEN"}')
    return {
      id: id!,
      received: 0,
      since: () => [],
      silent: () => {},
      heard: () => {},
      receive: (text) => {
        const message = JSON.parse(String(text)) as { type: string, dst?: string }
        if (!message.dst) return
        const to = this.clients.get(message.dst)
        if (to) to.link.send(JSON.stringify({ ...message, src: id }))
        else setTimeout(() => link.send(JSON.stringify({ type: 'EXPIRE', src: message.dst, dst: id })), 5500)
      },
      closed: () => {
        if (this.clients.get(id!) === client) this.clients.delete(id!)
      },
    }
  }
}

interface Socket {
  /** Nothing passes any more, and nobody is told. */
  dead: boolean
  session: Session | null
  /** The other end closed it. */
  closed(reason: string): void
}

/** Our own server. Its clock is not a page's: what a test does to setTimeout is none of its business. */
export function hub(): Hub {
  const { setTimeout, clearTimeout } = globalThis
  return new Hub({}, {
    now: () => performance.now(),
    schedule: (call, delay) => {
      const timer = setTimeout(call, delay)
      return () => clearTimeout(timer)
    },
  })
}

export class Network {
  static current: Network
  server: Server
  /** Does a server answer at all? */
  serverUp = true
  /** Browsers without network. */
  readonly cut = new Set<string>()
  /** Does gathering end? */
  gathers = true
  /** Pairs of browsers between which there is no path. */
  pathless = false
  readonly sockets = new Map<string, Set<Socket>>()
  readonly pcs: RoughPeerConnection[] = []
  /** What every socket heard, by browser. */
  readonly heard: { browser: string, text: string }[] = []

  constructor() {
    Network.current = this
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
    vi.stubGlobal('RTCPeerConnection', RoughPeerConnection)
    this.server = hub()
  }

  /** The core comes in real time. Once for all tests, before time is virtual. */
  static async prepare(): Promise<void> {
    await loadRuntime()
  }

  /** Time passes. */
  async pass(ms: number): Promise<void> {
    await settle()
    await vi.advanceTimersByTimeAsync(ms)
  }

  /** Time passes until this is so; answers how long that took. */
  async until(what: () => unknown, most = 120_000): Promise<number> {
    await settle()
    const from = performance.now()
    while (!what()) {
      if (performance.now() - from > most) throw new Error(`still not so after ${most} ms: ${String(what)}`)
      await vi.advanceTimersByTimeAsync(10)
    }
    return performance.now() - from
  }

  /** This browser has no network from now on. Its sockets do not know it, and never come back to life. */
  lose(browser: string): void {
    this.cut.add(browser)
    for (const socket of this.sockets.get(browser) ?? []) socket.dead = true
    for (const pc of this.pcs) pc.look()
  }

  find(browser: string): void {
    this.cut.delete(browser)
    for (const pc of this.pcs) pc.look()
  }

  /** This browser ends without a word: its kernel closes its sockets, nobody closes anything else. */
  kill(browser: string): void {
    for (const socket of this.sockets.get(browser) ?? []) socket.session?.closed(1006)
    this.lose(browser)
  }

  /** The server ends, and everybody notices. */
  stopServer(): void {
    this.serverUp = false
    for (const sockets of this.sockets.values()) {
      for (const socket of sockets) if (!socket.dead) socket.closed('the server ended')
    }
  }

  startServer(server: Server = hub()): void {
    this.server = server
    this.serverUp = true
  }

  transport(browser: string): SignalingTransport {
    const later = (what: () => void): void => void setTimeout(what, latency)
    const sockets = this.sockets.get(browser) ?? new Set()
    this.sockets.set(browser, sockets)
    return {
      name: 'network',
      requestId: () => Promise.resolve((this.server as Hub).generateId()),
      connect: (id, token, handlers): SignalingChannel => {
        const socket: Socket = {
          dead: false, session: null,
          closed: (reason) => {
            if (sockets.delete(socket)) handlers.closed(reason)
          },
        }
        sockets.add(socket)
        const alive = (): boolean => sockets.has(socket) && !socket.dead && !this.cut.has(browser)
        const link: Link = {
          send: text => later(() => {
            if (!alive()) return
            this.heard.push({ browser, text })
            handlers.message(text)
          }),
          close: (code, reason) => later(() => { if (alive()) socket.closed(`${code} ${reason}`) }),
        }
        later(() => {
          if (!alive()) return
          if (!this.serverUp) return socket.closed('refused')
          handlers.opened()
          socket.session = this.server.connect({ id, token, key: 'peerjs' }, link)
        })
        return {
          // What was sent arrives although the socket is closed behind it.
          send: (text) => {
            if (sockets.has(socket)) later(() => { if (!socket.dead && !this.cut.has(browser)) socket.session?.receive(text) })
          },
          close: () => {
            const lives = alive()
            sockets.delete(socket)
            if (lives) later(() => socket.session?.closed(1005))
          },
        }
      },
    }
  }
}

/** Until what happens in no time has happened: the core is loaded, promises are kept. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve))
}

let nextChannel = 0

export class RoughChannel {
  binaryType = ''
  readyState: RTCDataChannelState = 'connecting'
  bufferedAmount = 0
  bufferedAmountLowThreshold = 0
  readonly protocol: string
  readonly ordered: boolean
  readonly maxRetransmits: number | null
  readonly maxPacketLifeTime: number | null
  other: RoughChannel | null = null
  readonly id = nextChannel++
  carries = false
  #waiting: ArrayBuffer[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null
  onclose: (() => void) | null = null
  onbufferedamountlow: (() => void) | null = null
  constructor(readonly label: string, readonly pc: RoughPeerConnection, readonly init: RTCDataChannelInit = {}) {
    this.protocol = init.protocol ?? ''
    this.ordered = init.ordered ?? true
    this.maxRetransmits = init.maxRetransmits ?? null
    this.maxPacketLifeTime = init.maxPacketLifeTime ?? null
  }

  /** Announced as a Chromium does it that is busy: said to be open, while nothing goes through it yet. */
  arrive(): void {
    this.readyState = 'open'
    this.pc.ondatachannel?.({ channel: this })
    if (this.readyState === 'open') this.onopen?.()
  }

  open(): void {
    if (this.carries) return
    this.carries = true
    if (this.readyState !== 'connecting') return
    this.readyState = 'open'
    this.onopen?.()
  }

  send(frame: Uint8Array): void {
    if (this.readyState !== 'open') throw new Error('InvalidStateError')
    if (!this.carries) return // lost, without a word
    const { buffer } = new Uint8Array(frame)
    this.bufferedAmount += buffer.byteLength
    this.#waiting.push(buffer)
    setTimeout(() => this.flow(), latency)
  }

  /** Everything that waits leaves, if the path carries. */
  flow(): void {
    if (!this.pc.carries || this.readyState !== 'open' || this.other?.carries === false) return
    for (const data of this.#waiting.splice(0)) {
      this.bufferedAmount -= data.byteLength
      if (this.other?.readyState === 'open') this.other.onmessage?.({ data })
    }
    this.onbufferedamountlow?.()
  }

  close(): void {
    if (this.readyState === 'closed') return
    this.readyState = 'closed'
    setTimeout(() => this.onclose?.())
    const { other } = this
    setTimeout(() => { if (this.pc.reaches) other?.close() }, latency)
  }
}

type Sender = { track: MediaStreamTrack | null, streams: MediaStream[], replaceTrack(track: MediaStreamTrack): Promise<void> }

export class RoughPeerConnection {
  readonly net = Network.current
  readonly number = this.net.pcs.push(this) - 1
  readonly owner: string
  localDescription: RTCSessionDescriptionInit | null = null
  remoteDescription: RTCSessionDescriptionInit | null = null
  signalingState: RTCSignalingState = 'stable'
  connectionState: RTCPeerConnectionState = 'new'
  iceConnectionState: RTCIceConnectionState = 'new'
  iceGatheringState: RTCIceGatheringState = 'new'
  readonly sctp = { maxMessageSize: 262_144 }
  readonly channels: RoughChannel[] = []
  senders: Sender[] = []
  /** What went into each of its descriptions. */
  readonly said: Sender[][] = []
  /** Does SCTP send? */
  flowing = false
  #generation = 0
  /** The generations of both sides that this path was found with. */
  #path = ''
  #needed = false
  #shown = new Set<unknown>()
  #silence: ReturnType<typeof setTimeout>[] = []
  onicecandidate: ((event: object) => void) | null = null
  onicegatheringstatechange: (() => void) | null = null
  onnegotiationneeded: (() => void) | null = null
  onconnectionstatechange: (() => void) | null = null
  oniceconnectionstatechange: (() => void) | null = null
  ontrack: ((event: object) => void) | null = null
  ondatachannel: ((event: object) => void) | null = null

  config: RTCConfiguration & { owner?: string }
  /** The ICE servers of each time that candidates were gathered. */
  readonly asked: RTCIceServer[][] = []

  constructor(config: RTCConfiguration & { owner?: string }) {
    this.config = config
    this.owner = config.owner ?? ''
  }

  getStats(): Promise<Map<string, object>> {
    return Promise.resolve(new Map(this.channels.map(({ id, carries }) =>
      [`D${id}`, { type: 'data-channel', dataChannelIdentifier: id, state: carries ? 'open' : 'connecting' }])))
  }

  getConfiguration(): RTCConfiguration { return { ...this.config } }
  setConfiguration(config: RTCConfiguration): void { this.config = config }

  get closed(): boolean { return this.signalingState === 'closed' }

  createDataChannel(label: string, init?: RTCDataChannelInit): RoughChannel {
    const channel = new RoughChannel(label, this, init)
    this.channels.push(channel)
    if (this.flowing) setTimeout(() => { if (this.carries) this.other!.#announce() }, latency)
    return channel
  }

  addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): Sender {
    const sender: Sender = { track, streams, replaceTrack: (next) => {
      sender.track = next
      return Promise.resolve()
    } }
    this.senders.push(sender)
    this.#need()
    return sender
  }

  removeTrack(sender: Sender): void {
    this.senders = this.senders.filter(other => other !== sender)
    this.#need()
  }

  getSenders(): object[] { return this.senders }
  getReceivers(): object[] { return [] }
  addIceCandidate(): Promise<void> { return Promise.resolve() }
  restartIce(): void {
    this.#generation++
    this.#need()
  }

  async setLocalDescription(description?: { type: string }): Promise<void> {
    await Promise.resolve()
    if (this.closed) throw new Error('InvalidStateError')
    if (description?.type === 'rollback') {
      this.signalingState = 'stable'
      return
    }
    this.asked.push(this.config.iceServers ?? [])
    const type = this.signalingState === 'have-remote-offer' ? 'answer' : 'offer'
    const version = this.said.push([...this.senders])
    const sdp = `v=0\r\no=- ${this.number} ${version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n`
      + `a=mid:0\r\na=sctp-port:5000\r\na=ice-ufrag:${this.#ufrag}\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n`
      + `a=fingerprint:sha-256 ${this.number.toString(16).padStart(64, '0').replace(/..(?=.)/g, '$&:')}\r\n`
    this.localDescription = { type, sdp }
    this.signalingState = type === 'offer' ? 'have-local-offer' : 'stable'
    this.#needed = false
    setTimeout(() => {
      if (this.closed) return
      this.onicecandidate?.({ candidate: {
        candidate: `candidate:${this.#generation} 1 udp 1 127.0.0.1 9 typ host`, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: this.#ufrag,
      } })
      if (!this.net.gathers) return
      this.iceGatheringState = 'complete'
      this.onicegatheringstatechange?.()
    })
    this.#negotiated()
  }

  async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    await Promise.resolve()
    if (this.closed) throw new Error('InvalidStateError')
    const wanted = description.type === 'offer' ? ['stable', 'have-local-offer'] : ['have-local-offer']
    if (!wanted.includes(this.signalingState)) throw new Error(`InvalidStateError: ${description.type} in ${this.signalingState}`)
    this.remoteDescription = description
    this.signalingState = description.type === 'offer' ? 'have-remote-offer' : 'stable'
    const version = Number(/o=- \d+ (\d+)/.exec(description.sdp!)![1])
    for (const { track, streams } of this.other?.said[version - 1] ?? []) {
      if (this.#shown.has(track)) continue
      this.#shown.add(track)
      this.ontrack?.({ track, streams })
    }
    this.#negotiated()
  }

  close(): void {
    if (this.closed) return
    this.signalingState = 'closed'
    for (const timer of this.#silence) clearTimeout(timer)
    const { other } = this
    // DTLS says goodbye: the other side's channels close.
    if (this.reaches) setTimeout(() => other?.channels.forEach(channel => channel.close()), latency)
    for (const channel of this.channels) channel.readyState = 'closed'
  }

  // ---- the path

  get #ufrag(): string { return `u${this.number}g${this.#generation}` }

  get other(): RoughPeerConnection | undefined {
    const number = /ice-ufrag:u(\d+)g/.exec(this.remoteDescription?.sdp ?? '')?.[1]
    return number === undefined ? undefined : this.net.pcs[Number(number)]
  }

  /** Does the network lead to the other one? */
  get reaches(): boolean {
    const { other, net } = this
    return !!other && !other.closed && !net.pathless && !net.cut.has(this.owner) && !net.cut.has(other.owner)
  }

  get carries(): boolean { return this.flowing && this.reaches && this.connectionState === 'connected' }

  #need(): void {
    this.#needed = true
    setTimeout(() => {
      if (!this.#needed || this.signalingState !== 'stable') return
      this.#needed = false
      this.onnegotiationneeded?.()
    })
  }

  #negotiated(): void {
    if (this.signalingState === 'stable' && this.#needed) this.#need()
    this.look()
    this.other?.look()
  }

  #become(state: 'connecting' | 'connected' | 'disconnected' | 'failed'): void {
    if (this.connectionState === state || this.closed) return
    this.connectionState = state
    this.iceConnectionState = state === 'connecting' ? 'checking' : state === 'failed' ? 'disconnected' : state
    this.oniceconnectionstatechange?.()
    this.onconnectionstatechange?.()
  }

  /** Something about the network or the descriptions is different. */
  look(): void {
    const { other } = this
    if (this.closed || !other || this.signalingState !== 'stable' || other.signalingState !== 'stable' || other.other !== this) return
    const ufrag = (description: RTCSessionDescriptionInit | null): string => /ufrag:(\w+)/.exec(description?.sdp ?? '')?.[1] ?? ''
    const path = ufrag(this.localDescription) + ufrag(this.remoteDescription)
    for (const timer of this.#silence.splice(0)) clearTimeout(timer)
    if (this.connectionState === 'new') this.#become('connecting')
    if (!this.reaches) {
      const before = this.connectionState
      this.flowing = false
      this.#silence.push(
        setTimeout(() => { if (before === 'connected') this.#become('disconnected') }, disconnectedAfter),
        setTimeout(() => this.#become('failed'), failedAfter),
      )
      return
    }
    // One that failed is found again with new credentials only.
    if (this.connectionState === 'failed' && path === this.#path) return
    this.#silence.push(setTimeout(() => {
      const first = this.#path === ''
      this.#path = path
      this.#become('connected')
      const flow = (): void => {
        this.flowing = true
        this.#announce()
        for (const channel of this.channels) channel.flow()
      }
      if (first || this.flowing) flow()
      else this.#silence.push(setTimeout(flow, stall))
    }, 2 * latency))
  }

  #announce(): void {
    const { other } = this
    for (const channel of other?.channels.filter(channel => !channel.other && channel.readyState === 'connecting') ?? []) {
      const ours = new RoughChannel(channel.label, this, channel.init)
      ours.other = channel
      channel.other = ours
      this.channels.push(ours)
      ours.arrive()
      setTimeout(() => {
        ours.open()
        channel.open()
        ours.flow()
        channel.flow()
      }, latency)
    }
  }
}
