// Performs what the core decides, and tells it how that went. Owns every browser object of one peer: the
// RTCPeerConnections, their RTCDataChannels, the signaling channels, one timer. Has no opinions.
//
// Who calls: Peer and its connections. What holds: every mutation of the core goes through #inbox, one at a
// time; after each, poll() is drained; after all, the one timer is armed. So the core is never re-entered,
// whatever application code does inside a listener.

import { tooBig, type Core, type CoreCommand, type CoreConfig, type CoreEvent, type CoreInput, type Delivery, type Lane } from '../core/types.js'
import { messageOf } from '../errors.js'
import { guard, surface } from '../events.js'
import type { Peer } from '../peer.js'
import type { Serializations } from '../peerjs/serializations.js'
import type { Room } from '../room.js'
import { early } from '../signaling/early.js'
import type { SignalingChannel, SignalingTransport } from '../signaling/transport.js'
import type { Path } from '../stats.js'
import type { Files } from '../transfer.js'
import { randomToken } from '../util.js'
import type { Assemblies } from './assembly.js'
import type { Readable } from './iterate.js'
import type { listen } from './listen.js'
import type { Messages, MessagesOwner } from './messages.js'

/** Bytes of a value, and which of the formats 0 to 7 they are in. */
export interface Encoded { format: number, bytes: Uint8Array }

/** js/values, as the driver hands it on. */
export interface ValueCodec {
  encodeValue(value: unknown, owned?: boolean): Encoded | Promise<Encoded>
  decodeValue(format: number, bytes: Uint8Array<ArrayBuffer>): unknown
}

/** What is loaded lazily. */
export interface Runtime {
  create(config: CoreConfig, now: number): Core
  /** Comes by itself: nothing but values has to wait for it. */
  values: Promise<ValueCodec>
  /** Named serializations: what PeerJS makes of values. See ../peerjs/. */
  serializations(name: string): Promise<Serializations>
  /** See assembly.ts. */
  assemblies(): Assemblies
  /** What carries files: see ../files/. */
  files: Files
  /** See environment.ts. */
  watch(feed: (input: CoreInput & { type: 'network' | 'page-hide' }) => void, signal: AbortSignal): void
  /** See ../stats.ts. */
  path(report: RTCStatsReport): Path | null
  /** See timer.ts. */
  timer(fire: () => void): { set(at: number | null): void, dispose(): void }
  /** See turn.ts. */
  turn(flush: () => number, soon: (now: () => void) => void): { add(bytes: number, soon: boolean): void, dispose(): void }
  /** See ../signaling/choose.ts. */
  transport(first: SignalingTransport): SignalingTransport
  /** See ../signaling/tap.ts. */
  join(peer: Peer, room: Room): Promise<void>
  /** See iterate.ts. */
  iterate(from: Readable): AsyncGenerator<unknown, void, undefined>
  /** See messages.ts. */
  messages(driver: Driver, owner: MessagesOwner): Messages
  /** See spare.ts. */
  spare(rtc: RTCConfiguration): { take(): RTCPeerConnection, renew(): void, dispose(): void }
  /** See listen.ts. */
  listen: typeof listen
  /** See relays.ts. */
  relays(options: DriverOptions, links: ReadonlyMap<number, { readonly pc: RTCPeerConnection }>): {
    readonly ready: Promise<void>, opened(id: string): void, dispose(): void
  }
}

/** One connection, as the driver sees it. */
export interface ConnectionHooks {
  /** A whole message. `bytes` may be a view of a larger buffer; read it now. */
  message(format: number, bytes: Uint8Array<ArrayBuffer>, lane: Lane): void
  /** A piece of an incoming file, which owns these bytes. */
  transferData(transfer: number, bytes: Uint8Array<ArrayBuffer>): void
  /** The core wants these bytes of an outgoing file; answer with {@link Driver.supply} and transfer-end. */
  transferRead(transfer: number, offset: number, length: number): void
  /** A new RTCPeerConnection, the first or one beside another: add the local tracks. */
  linked(pc: RTCPeerConnection): void
  /** This one carries the connection from now on. What the other side shows on it follows as `track`, what it showed before is over. */
  carried(pc: RTCPeerConnection): void
  /** This one is closed. */
  unlinked(pc: RTCPeerConnection): void
  /** The other side shows something, on the RTCPeerConnection that carries the connection. */
  track(event: RTCTrackEvent): void
  iceState(state: RTCIceConnectionState): void
  /** A data channel of the RTCPeerConnection that carries the connection opened. */
  channelOpened(): void
  /** A side channel was made for it, or came on that RTCPeerConnection. */
  side(dc: RTCDataChannel, arrived: RTCPeerConnection | null): void
  /** What the other side shall see as our description. */
  sdp(sdp: string): string
}

export interface DriverOptions {
  config: CoreConfig
  rtc: RTCConfiguration
  /** Keeps an RTCPeerConnection ready. */
  warm?: boolean
  /** See PeerOptions. `rtc.iceServers` is changed then. */
  turn?: boolean | undefined
  transport: SignalingTransport
  /** What the core is told first, and the server too, while the core is on its way. */
  start?: { id?: string, token: string }
  load: () => Promise<Runtime>
  event(event: CoreEvent): void
  hooks(connection: number): ConnectionHooks | undefined
  /** The runtime could not be loaded: nothing will ever happen. */
  unavailable(error: unknown): void
  /** The browser refused to make an RTCPeerConnection. */
  failed(error: unknown, connection: number): void
}

interface Link {
  pc: RTCPeerConnection
  connection: number
  /** It carries bulk only. */
  stripe: boolean
  channels: Set<number>
  /** A channel of it was bound to the connection. */
  bound: boolean
  /** What the other side shows on it while another link carries the connection. */
  tracks: RTCTrackEvent[]
  /** Those that tell when another pair of candidates is used. */
  transports: Set<RTCIceTransport>
}

/** Bytes of a message, or of the file `transfer`. */
type Payload = Uint8Array & { transfer?: number }

interface Channel {
  dc: RTCDataChannel
  handle: number
  link: number
}

/** Messages without a maxMessageSize of their own: RFC 8841, section 6.1. */
const defaultMaxMessageSize = 65_536
/** The core counts in 32 bits. */
const largestMessageSize = 0x3fff_ffff
const settled = Promise.resolve()

const isEvent = (type: string): boolean =>
  type.startsWith('peer-') || type.startsWith('connection-') || type === 'room' || type === 'delivered' || type === 'warning'
  || (type.startsWith('transfer-') && type !== 'transfer-read')

export class Driver {
  readonly #options: DriverOptions
  #transport: SignalingTransport
  readonly #links = new Map<number, Link>()
  readonly #channels = new Map<number, Channel>()
  /** Which channel carries a connection. */
  readonly #carriers = new Map<number, Channel>()
  /** Which channels carry bulk beside it. */
  readonly #stripes = new Map<number, Set<Channel>>()
  /**
   * Which link carries a connection, as the application sees it: the one whose channel was bound last, and before any
   * was, the newest.
   */
  readonly #bearers = new Map<number, Link>()
  readonly #signaling = new Map<number, SignalingChannel | null>()
  /** Messages and pieces of files that wait until the core asks for their bytes, by connection and ticket. */
  readonly #payloads = new Map<number, Map<number, Payload>>()
  readonly #awake = new Set<number>()
  /** Connections that are closed for the application and still have a link. */
  readonly #over = new Set<number>()
  readonly #end = new AbortController()
  #inbox: (() => void)[] = []
  /** What came through data channels before what reads it. */
  #unread: (() => void)[] = []
  /** So much of that is on its way. */
  #loading = 1
  readonly #asked = new Set<string>()
  /** There once a connection that needs them opened; null when they could not be loaded. */
  serializations: Serializations | null = null
  #assemblies: Assemblies | null = null
  #core: Core | null = null
  #values: ValueCodec | null = null
  #runtime: Runtime | null = null
  /** On its way since this was made. */
  runtime!: Promise<Runtime>
  #draining = false
  /** What the core is told now happened then: to read the clock takes more than a microsecond. */
  #time = 0
  #timer: ReturnType<Runtime['timer']> | null = null
  #turn: ReturnType<Runtime['turn']> | null = null
  #spare: ReturnType<Runtime['spare']> | null = null
  #relays: ReturnType<Runtime['relays']> | null = null
  /** For a connection that is wanted before the core is there: the first one of a page takes long, and then makes a certificate. */
  #first: RTCPeerConnection | null = null
  #armed = Infinity
  #handle = -1
  #disposed = false

  constructor(options: DriverOptions) {
    this.#options = options
    const { start, transport } = options
    this.#transport = start ? early(transport, start.id, start.token, this.#end.signal) : transport
    if (start) this.feed({ type: 'start', ...start })
    this.#begin().catch((error: unknown) => {
      if (!this.#disposed) options.unavailable(error)
    })
  }

  async #begin(): Promise<void> {
    const options = this.#options
    const runtime = this.#runtime = await (this.runtime = options.load())
    if (this.#disposed) return
    this.#transport = runtime.transport(this.#transport)
    this.#core = runtime.create(options.config, performance.now())
    this.#turn = runtime.turn(() => {
      this.#run(() => {
        for (const connection of this.#awake) {
          this.#awake.delete(connection)
          this.#pump(connection)
        }
      })
      return this.#time
    }, (leave) => {
      // What a listener sends leaves behind what was received with it.
      if (this.#draining) this.#inbox.push(leave)
      else void settled.then(leave)
    })
    this.#assemblies = runtime.assemblies()
    this.#timer = runtime.timer(() => {
      this.#armed = Infinity
      // What it was armed for is often over: frames do not wait for their acknowledgement's turn.
      if (this.#core!.deadline() > performance.now()) this.#arm(this.#core!)
      else this.feed({ type: 'timeout' })
    })
    if (options.turn) this.#relays = runtime.relays(options, this.#links)
    if (options.warm) this.#spare = runtime.spare(options.rtc)
    runtime.watch((input) => {
      if (input.type === 'network' && (input.change === 'online' || input.change === 'changed')) this.#spare?.renew()
      this.feed(input)
    }, this.#end.signal)
    this.#drain()
    // The core did not want it, and what it does not want now was configured too early.
    this.#first?.close()
    this.#first = null
    this.#values = await runtime.values
    this.#came()
  }

  /** Values of some connection are not ours: channels wait until what makes and reads them is there. */
  async need(serialization: string): Promise<void> {
    if (this.#asked.has(serialization)) return
    this.#asked.add(serialization)
    this.#loading++
    try {
      this.serializations = await (await this.runtime).serializations(serialization)
    }
    catch { // who cannot do without says so, once it is open
    }
    this.#came()
  }

  #came(): void {
    if (!--this.#loading) for (const what of this.#unread.splice(0)) what()
  }

  /** Undefined before the runtime is there, and so before any connection is open. */
  get files(): Files | undefined {
    return this.#runtime?.files
  }

  // ---- the control border

  /** A handle for something that is made on this side. */
  handle(): number {
    return this.#handle += 2
  }

  /** Tells the core; before it is loaded, later. Commands and events that follow happen before this returns, unless called from one. */
  feed(input: CoreInput): void {
    // Behind the way to the server, which begins in this turn too.
    if (input.type === 'connect' && !this.#core) queueMicrotask(() => this.#prepare())
    this.#run(() => this.#core!.handle(input, this.#time = performance.now()))
  }

  #prepare(): void {
    if (this.#core || this.#disposed) return
    try {
      this.#first ??= new RTCPeerConnection(this.#options.rtc)
    }
    catch { // the core's own wish for one will tell
    }
  }

  /** Is the core here? */
  get loaded(): boolean {
    return !!this.#core
  }

  /** Ends everything at once, without a word to anybody. Twice is harmless. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#end.abort()
    this.#timer?.dispose()
    this.#turn?.dispose()
    this.#spare?.dispose()
    this.#relays?.dispose()
    this.#first?.close()
    for (const channel of this.#signaling.values()) channel?.close()
    this.#signaling.clear()
    for (const link of [...this.#links.keys()]) this.#closeLink(link)
    this.#payloads.clear()
    this.#inbox = []
    if (!this.#draining) this.#core?.dispose()
  }

  #run(mutate: () => void): void {
    if (this.#disposed) return
    this.#inbox.push(mutate)
    this.#drain()
  }

  #drain(): void {
    const core = this.#core
    if (this.#draining || !core || this.#disposed) return
    this.#draining = true
    this.#time = performance.now()
    try {
      while (!this.#disposed) {
        const output = core.poll()
        if (output) {
          if (isEvent(output.type)) this.#event(output as CoreEvent)
          else this.#perform(output as CoreCommand)
          continue
        }
        const mutate = this.#inbox.shift()
        if (!mutate) break
        mutate()
      }
    }
    finally {
      this.#draining = false
      if (this.#disposed) core.dispose()
      else this.#arm(core)
    }
  }

  /** One that comes too early looks again: most deadlines only move on, and setting a timer for each costs more. */
  #arm(core: Core): void {
    const late = (): boolean => core.deadline() < this.#armed
    // An acknowledgement leaves with the answer, which is about to be written, or on its way already.
    if (late()) void settled.then(() => {
      if (!this.#awake.size && late()) this.#timer!.set(this.#armed = core.deadline())
    })
  }

  #event(event: CoreEvent): void {
    if (event.type === 'peer-opened') this.#relays?.opened(event.id)
    if (event.type === 'transfer-state' && event.state !== 'active' && event.state !== 'paused') {
      // The core asks for no more of what is over.
      const payloads = this.#payloads.get(event.connection)
      payloads?.forEach(({ transfer }, ticket) => { if (transfer === event.transfer) payloads.delete(ticket) })
    }
    guard(() => this.#options.event(event))
    if (event.type === 'connection-closed') {
      this.#over.add(event.connection)
      this.#tidy(event.connection)
    }
  }

  /** Forgets a connection once it is over for the application and for the browser: after destroy() it still flushes. */
  #tidy(connection: number): void {
    if (!this.#over.has(connection) || this.peerConnection(connection)) return
    this.#over.delete(connection)
    this.#payloads.delete(connection)
    this.#assemblies?.forget(connection)
  }

  #perform(command: CoreCommand): void {
    switch (command.type) {
      case 'request-id': return this.#requestId(command.op)
      case 'signaling-connect': return this.#connectSignaling(command.transport, command.id, command.token)
      case 'signaling-send':
        try {
          this.#signaling.get(command.transport)?.send(command.text)
        }
        catch (error) {
          this.#signalingClosed(command.transport, messageOf(error))
        }
        return
      case 'signaling-close':
        this.#signaling.get(command.transport)?.close()
        this.#signaling.delete(command.transport)
        return
      case 'link-create': return this.#createLink(command.link, command.connection, !!command.stripe)
      case 'link-close': return this.#closeLink(command.link)
      case 'set-local-description':
        return this.#operate(command.link, command.op, async pc => {
          if (this.#relays) await this.#relays.ready
          await pc.setLocalDescription()
          this.#watchPath(command.link)
          return pc.localDescription
        })
      case 'set-remote-description':
        return this.#operate(command.link, command.op, async pc => {
          await pc.setRemoteDescription({ type: command.sdpType, sdp: command.sdp })
          this.#watchPath(command.link)
        })
      case 'read-local-description':
        return this.#operate(command.link, command.op, async pc => pc.localDescription)
      case 'add-candidate': {
        const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = command
        return this.#operate(command.link, command.op, pc => pc.addIceCandidate({
          candidate, sdpMid: sdpMid ?? null, sdpMLineIndex: sdpMLineIndex ?? null, usernameFragment: usernameFragment ?? null,
        }))
      }
      case 'rollback':
        return this.#operate(command.link, command.op, pc => pc.setLocalDescription({ type: 'rollback' }))
      case 'restart-ice':
        this.#links.get(command.link)?.pc.restartIce()
        return
      case 'channel-create': return this.#createChannel(command)
      case 'channel-bind': {
        const channel = this.#channels.get(command.channel)
        if (!channel) return
        const before = this.#carriers.get(command.connection)
        if (before) before.dc.onbufferedamountlow = null
        this.#carriers.set(command.connection, channel)
        const link = this.#links.get(channel.link)!
        link.bound = true
        this.#bear(link)
        return this.#watchBuffer(channel, command.connection, command.lowThreshold)
      }
      case 'stripe-bind': {
        const channel = this.#channels.get(command.channel)
        if (!channel) return
        let stripes = this.#stripes.get(command.connection)
        if (!stripes) this.#stripes.set(command.connection, stripes = new Set())
        stripes.add(channel)
        return this.#watchBuffer(channel, command.connection, command.lowThreshold)
      }
      case 'channel-close':
        this.#channels.get(command.channel)?.dc.close()
        return
      case 'side-bind': {
        const channel = this.#channels.get(command.channel)
        if (!channel) return
        const { dc, link } = channel
        // Its close is still told.
        dc.onopen = dc.onmessage = null
        // Handles that are made here are odd: those of the other side's.
        return guard(() => this.#options.hooks(command.connection)?.side(dc, command.channel % 2 ? this.#links.get(link)!.pc : null))
      }
      case 'transmit': return this.#pump(command.connection)
      case 'message-dropped': return this.#assemblies!.forget(command.connection, command.marker)
      case 'transfer-read': {
        const { connection, transfer, offset, length } = command
        return guard(() => this.#options.hooks(connection)?.transferRead(transfer, offset, length))
      }
      case 'dispose': return this.dispose()
    }
  }

  // ---- signaling

  #requestId(op: number): void {
    const id = this.#transport.requestId?.(this.#end.signal) ?? Promise.resolve(randomToken())
    id.then(
      id => this.feed({ type: 'id-assigned', op, id }),
      (error: unknown) => this.feed({ type: 'id-failed', op, message: messageOf(error) }),
    )
  }

  #connectSignaling(transport: number, id: string, token: string): void {
    const current = (): boolean => this.#signaling.has(transport)
    // Known before it is made: a transport of the application may report from within connect().
    this.#signaling.set(transport, null)
    try {
      const channel = this.#transport.connect(id, token, {
        opened: () => { if (current()) this.feed({ type: 'signaling-opened', transport }) },
        message: text => { if (current()) this.feed({ type: 'signaling-message', transport, text }) },
        closed: (reason) => { if (current()) this.#signalingClosed(transport, reason) },
      })
      if (current()) this.#signaling.set(transport, channel)
      else channel.close()
    }
    catch (error) {
      this.#signalingClosed(transport, messageOf(error))
    }
  }

  #signalingClosed(transport: number, message: string): void {
    this.#signaling.delete(transport)
    this.feed({ type: 'signaling-closed', transport, message })
  }

  // ---- RTCPeerConnection

  /** The RTCPeerConnection that carries a connection; before a channel is bound, its newest. */
  peerConnection(connection: number): RTCPeerConnection | null {
    return this.#bearers.get(connection)?.pc ?? null
  }

  /** What the statistics of an RTCPeerConnection say. */
  path(report: RTCStatsReport): Path | null {
    return this.#runtime!.path(report)
  }

  /** The channel that carries a connection, or will. */
  dataChannel(connection: number): RTCDataChannel | null {
    const [first] = this.#bearers.get(connection)?.channels ?? []
    return (this.#carriers.get(connection) ?? this.#channels.get(first!))?.dc ?? null
  }

  #createLink(link: number, connection: number, stripe: boolean): void {
    const hooks = this.#options.hooks(connection)
    let pc: RTCPeerConnection
    try {
      pc = this.#first ?? this.#spare?.take() ?? new RTCPeerConnection(this.#options.rtc)
      this.#first = null
    }
    catch (error) {
      guard(() => this.#options.failed(error, connection))
      return this.feed({ type: 'link-state', link, state: 'failed' })
    }
    const record: Link = { pc, connection, stripe, channels: new Set(), bound: false, tracks: [], transports: new Set() }
    this.#links.set(link, record)
    const bears = (): boolean => this.#bearers.get(connection) === record
    pc.onicecandidate = ({ candidate: found }) => {
      if (!found) return // all generations are done: gathering-complete says it
      const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = found
      this.feed({
        type: 'local-candidate', link, candidate,
        ...(sdpMid != null && { sdpMid }), ...(sdpMLineIndex != null && { sdpMLineIndex }),
        ...(usernameFragment != null && { usernameFragment }),
      })
    }
    pc.onicegatheringstatechange = () => {
      if (pc.iceGatheringState === 'complete') this.feed({ type: 'gathering-complete', link })
    }
    pc.onnegotiationneeded = () => this.feed({ type: 'negotiation-needed', link })
    pc.onconnectionstatechange = () => this.feed({ type: 'link-state', link, state: pc.connectionState })
    pc.oniceconnectionstatechange = () => {
      if (bears()) guard(() => hooks?.iceState(pc.iceConnectionState))
    }
    pc.ontrack = (event) => {
      if (bears()) guard(() => hooks?.track(event))
      else record.tracks.push(event)
    }
    pc.ondatachannel = ({ channel: dc }) => {
      const channel = this.handle()
      this.#attachChannel(link, channel, dc, true)
      this.feed({ type: 'channel-arrived', link, channel, label: dc.label, subprotocol: dc.protocol })
    }
    if (stripe) return
    guard(() => hooks?.linked(pc))
    // Beside one that works, or did, it has to prove itself first.
    if (!this.#bearers.get(connection)?.bound) this.#bear(record)
  }

  /** This link carries its connection from now on. */
  #bear(link: Link): void {
    const { connection, pc } = link
    const before = this.#bearers.get(connection)
    if (before === link) return
    this.#bearers.set(connection, link)
    const hooks = this.#options.hooks(connection)
    guard(() => hooks?.carried(pc))
    for (const event of link.tracks.splice(0)) guard(() => hooks?.track(event))
    if (pc.iceConnectionState !== 'new') guard(() => hooks?.iceState(pc.iceConnectionState))
  }

  /**
   * Listens to the transports that a description brought. Where the browser does not tell (Firefox before 154, Safari)
   * frames say a little later that the path is back.
   */
  #watchPath(handle: number): void {
    const link = this.#links.get(handle)
    if (!link) return
    const { pc, transports } = link
    for (const end of [pc.sctp, ...pc.getSenders(), ...pc.getReceivers()]) {
      const transport = end?.transport?.iceTransport
      if (!transport || transports.has(transport) || !('onselectedcandidatepairchange' in transport)) continue
      transports.add(transport)
      transport.onselectedcandidatepairchange = () => this.feed({ type: 'path-changed', link: handle })
    }
  }

  #closeLink(handle: number): void {
    const link = this.#links.get(handle)
    if (!link) return
    this.#links.delete(handle)
    const { pc, connection } = link
    for (const transport of link.transports) transport.onselectedcandidatepairchange = null
    // First nobody listens, then it closes: its last events would be about something that the core has forgotten.
    pc.onicecandidate = pc.onicegatheringstatechange = pc.onnegotiationneeded = pc.onconnectionstatechange
      = pc.oniceconnectionstatechange = pc.ontrack = pc.ondatachannel = null
    for (const id of link.channels) {
      const channel = this.#channels.get(id)
      if (channel) this.#detachChannel(id, channel)
    }
    pc.close()
    const hooks = this.#options.hooks(connection)
    guard(() => hooks?.unlinked(pc))
    if (this.#bearers.get(connection) === link) {
      this.#bearers.delete(connection)
      let newest: Link | undefined
      for (const other of this.#links.values()) if (other.connection === connection && !other.stripe) newest = other
      if (newest) this.#bear(newest)
    }
    this.#tidy(connection)
  }

  /** Runs one asynchronous step on a link and reports it, unless the link is gone when it ends. */
  #operate(
    handle: number, op: number, step: (pc: RTCPeerConnection) => Promise<RTCSessionDescription | null | void>,
  ): void {
    const link = this.#links.get(handle)
    if (!link) return
    const ours = (): boolean => this.#links.get(handle) === link
    step(link.pc).then(description => {
      if (!ours()) return
      if (!description) return this.feed({ type: 'op-done', op })
      const { type: sdpType } = description
      let { sdp } = description
      guard(() => { sdp = this.#options.hooks(link.connection)?.sdp(sdp) || sdp })
      this.feed({ type: 'op-done', op, sdpType, sdp })
    }, (error: unknown) => {
      if (ours()) this.feed({ type: 'op-failed', op, name: error instanceof Error ? error.name : '', message: messageOf(error) })
    })
  }

  // ---- RTCDataChannel

  #createChannel(command: CoreCommand & { type: 'channel-create' }): void {
    const { link, channel, label, subprotocol: protocol, ordered, maxRetransmits, maxPacketLifeTime, lowThreshold } = command
    const pc = this.#links.get(link)?.pc
    if (!pc) return
    try {
      const dc = pc.createDataChannel(label, { ordered, protocol, maxRetransmits, maxPacketLifeTime } as RTCDataChannelInit)
      dc.bufferedAmountLowThreshold = lowThreshold
      this.#attachChannel(link, channel, dc)
    }
    catch { // the RTCPeerConnection closed meanwhile
      this.feed({ type: 'channel-closed', channel })
    }
  }

  /** @param arrived not made here */
  #attachChannel(link: number, handle: number, dc: RTCDataChannel, arrived = false): void {
    const channel: Channel = { dc, handle, link }
    this.#channels.set(handle, channel)
    const record = this.#links.get(link)!
    const { pc, connection } = record
    record.channels.add(handle)
    // Open for the core is what can be read.
    const then = (what: () => void): void => {
      if (this.#loading) this.#unread.push(what)
      else what()
    }
    this.#runtime!.listen(dc, arrived ? pc : null, {
      opened: first => then(() => {
        if (this.#channels.get(handle) !== channel) return
        if (!first) return this.#wake(connection)
        const maxMessageSize = Math.min(pc.sctp?.maxMessageSize ?? defaultMaxMessageSize, largestMessageSize)
        this.feed({ type: 'channel-opened', channel: handle, maxMessageSize })
        if (this.#bearers.get(connection) === record) guard(() => this.#options.hooks(connection)?.channelOpened())
      }),
      received: (frame, text) => then(() => this.#run(() => this.#receive(handle, frame, text))),
      closed: () => then(() => {
        this.#detachChannel(handle, channel)
        this.feed({ type: 'channel-closed', channel: handle })
      }),
    })
  }

  #detachChannel(handle: number, channel: Channel): void {
    const { dc } = channel
    dc.onopen = dc.onmessage = dc.onclose = dc.onbufferedamountlow = null
    this.#channels.delete(handle)
    this.#links.get(channel.link)?.channels.delete(handle)
    for (const [connection, carrier] of this.#carriers) if (carrier === channel) this.#carriers.delete(connection)
    for (const [connection, stripes] of this.#stripes) {
      if (stripes.delete(channel) && !stripes.size) this.#stripes.delete(connection)
    }
  }

  // ---- the data border

  /** What a connection that is open does with messages. */
  messages(owner: MessagesOwner): Messages {
    return this.#runtime!.messages(this, owner)
  }

  /** js/values; there once anything is open. */
  get values(): ValueCodec {
    return this.#values!
  }

  /**
   * Hands a message to the core. Small ones are copied at once, others stay here until the core asks for them.
   * Answers the ticket of one that waits, 0 for one that was copied, -1 when the connection takes no more, -2 when it is too long.
   */
  send(connection: number, lane: Lane, format: number, bytes: Uint8Array): number {
    const core = this.#core
    if (!core || this.#disposed) return -1
    let ticket = 0
    if (bytes.length > core.inlineLimit || !core.put(connection, lane, format, bytes)) {
      ticket = core.queue(connection, lane, format, bytes.length)
      if (!ticket || ticket === tooBig) return ticket ? -2 : -1
      // Small ones may be the application's own memory.
      if (bytes.length) this.#keep(connection, ticket, bytes.length > core.inlineLimit ? bytes : bytes.slice())
    }
    // What is high goes at once, and what is large has no company to wait for.
    this.#wake(connection, bytes.length, lane === 0 || ticket > 0)
    return ticket
  }

  /** Takes back a message that waits. False when its first piece has left. */
  withdraw(connection: number, ticket: number): boolean {
    if (!this.#core?.withdraw(connection, ticket)) return false
    this.#payloads.get(connection)?.delete(ticket)
    this.#wake(connection)
    return true
  }

  /** Bytes for a transfer-read, in an array of their own, which is kept. */
  supply(connection: number, transfer: number, bytes: Uint8Array): void {
    const ticket = this.#core?.transferPut(connection, transfer, bytes.length)
    if (ticket) this.#keep(connection, ticket, Object.assign(bytes, { transfer }))
    this.#wake(connection)
  }

  /** While held, nothing is acknowledged. */
  hold(connection: number, held: boolean): void {
    this.#core?.hold(connection, held, this.#time = performance.now())
    this.#wake(connection)
  }

  /** Does the connection of the last send() have room for more? */
  get room(): boolean {
    return this.#core?.room ?? false
  }

  /** See the `delivered` event; it comes later, never from within. */
  mark(connection: number): number {
    const marker = this.#core?.mark(connection) ?? 0
    this.#wake(connection, 0, false)
    return marker
  }

  /** Messages that wait here, and the counters of the core. */
  counters(connection: number): { waiting: number, core: Record<string, number> } {
    return { waiting: this.#payloads.get(connection)?.size ?? 0, core: this.#core?.stats(connection) ?? {} }
  }

  #keep(connection: number, ticket: number, payload: Payload): void {
    let payloads = this.#payloads.get(connection)
    if (!payloads) this.#payloads.set(connection, payloads = new Map())
    payloads.set(ticket, payload)
  }

  /** Pumps soon, with what follows at once. */
  #wake(connection: number, bytes = 0, soon = true): void {
    this.#awake.add(connection)
    this.#turn?.add(bytes, soon)
  }

  #watchBuffer(channel: Channel, connection: number, lowThreshold: number): void {
    channel.dc.bufferedAmountLowThreshold = lowThreshold
    channel.dc.onbufferedamountlow = () => this.#run(() => this.#pumpChannel(connection, channel))
  }

  #pump(connection: number): void {
    const carrier = this.#carriers.get(connection)
    if (carrier) this.#pumpChannel(connection, carrier)
    const stripes = this.#stripes.get(connection)
    if (stripes) for (const stripe of stripes) this.#pumpChannel(connection, stripe)
  }

  #pumpChannel(connection: number, { dc, handle }: Channel): void {
    const core = this.#core!
    if (dc.readyState !== 'open') return
    for (let now = this.#time; ; now = performance.now()) {
      const action = core.pump(connection, handle, dc.bufferedAmount, now)
      if (action.kind === 'wait') {
        if (action.low >= 0 && action.low !== dc.bufferedAmountLowThreshold) dc.bufferedAmountLowThreshold = action.low
        return
      }
      if (action.kind !== 'send') {
        const { ticket, offset, target } = action
        const payloads = this.#payloads.get(connection)
        const payload = payloads?.get(ticket)
        if (!payload) throw new Error(`the core asked for bytes of ticket ${ticket}, which are gone`)
        const end = offset + target.length
        target.set(offset === 0 && end === payload.length ? payload : payload.subarray(offset, end))
        // A frame that has left once is kept by the core until it is acknowledged.
        if (end >= payload.length) payloads!.delete(ticket)
        if (action.kind === 'fill') continue
      }
      try {
        dc.send((action.text ? this.serializations!.textOf(action.frame) : action.frame) as Uint8Array<ArrayBuffer>)
      }
      catch { // its buffer is full, or it is closing: bufferedamountlow or close will say
        core.unsend(connection)
        return
      }
      if (action.last) return
    }
  }

  #receive(channel: number, frame: ArrayBuffer, text: boolean): void {
    // All pieces first: a listener may send, and that is a mutation. The views are of `frame`, which is ours.
    const deliveries = this.#core!.receive(channel, frame, text, this.#time)
    for (const piece of deliveries) {
      // Not by guard(): a closure for each message is half of what handing it on costs.
      try {
        this.#hand(piece)
      }
      catch (error) {
        surface(error)
      }
    }
  }

  #hand(piece: Delivery): void {
    const { connection, lane, format, bytes, transfer } = piece
    const hooks = this.#options.hooks(connection)
    if (!hooks) return
    if (transfer) return hooks.transferData(transfer, bytes)
    if (piece.first && piece.last) return hooks.message(format, bytes, lane)
    const whole = this.#assemblies!.add(piece)
    if (whole) hooks.message(whole.format, whole.bytes, lane)
  }
}
