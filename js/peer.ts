import { type ConnectionInit, parseMetadata, type SdpTransform } from './connection.js'
import type { CoreConfig, CoreErrorCode, CoreEvent, CoreLimits, CoreTimers, PeerState } from './core/types.js'
import { DataConnection, wireName } from './data-connection.js'
import { Driver } from './driver/driver.js'
import { type CoreSource, loadRuntime } from './driver/runtime.js'
import { messageOf, PeerError, type PeerErrorCode } from './errors.js'
import { deferred, Emitter, guard } from './events.js'
import { MediaConnection } from './media-connection.js'
import type { Serializers } from './peerjs/serializations.js'
import { type JoinOptions, Room, stringify } from './room.js'
import type { SignalingName } from './signaling/choose.js'
import { peerServer } from './signaling/peer-server.js'
import type { SignalingTransport } from './signaling/transport.js'
import { cloudHost, cloudPort, defaultConfig, isSecure, randomToken, validateId } from './util.js'

export interface ReconnectOptions {
  /** Attempts before it gives up; -1 for ever. @default -1 */
  retries?: number
  /** Before the first attempt, ms; it grows from there, with jitter. @default 500 */
  delay?: number
  /** It gave up. `reconnect()` starts again. */
  onFailed?: () => void
}

/** PeerJS's options, and ours after them. */
export interface PeerOptions {
  /** What is logged: 0 nothing, 1 errors, 2 and warnings, 3 everything. @default 0 */
  debug?: number
  /** Takes the log in place of the console. */
  logFunction?: (level: number, ...rest: unknown[]) => void
  /** Signaling server; `'/'` is where the page came from. @default '0.peerjs.com' */
  host?: string
  /** @default 443 */
  port?: number
  /** Slashes at both ends are added. @default '/' */
  path?: string
  /** API key of the server. @default 'peerjs' */
  key?: string
  /** Proves to the server that a reconnecting peer is the same. @default random */
  token?: string
  /** wss and https. @default true for the default host, else as the page was loaded */
  secure?: boolean
  /** Handed to every RTCPeerConnection. @default PeerJS's STUN and TURN servers */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in PeerJS, whose applications also name what browsers ignore
  config?: RTCConfiguration | Record<string, any>
  /** Between two heartbeats to the server, ms. @default 5000 */
  pingInterval?: number
  /** Of the HTTP requests. @default 'strict-origin-when-cross-origin' */
  referrerPolicy?: ReferrerPolicy
  /**
   * What our server's `authorize` or `tokens` want to see, for example a token of `createToken()`. It travels in the address, so it
   * should end soon. A function is asked anew for every link to the server, those after a loss among them; when it fails, that is a
   * server that cannot be reached. A peer that is not let in gets the error `not-authorized`. @default none
   */
  auth?: string | (() => string | Promise<string>)

  /**
   * How signaling travels. 'peerserver': WebSocket, and where that cannot be opened 'sse' (event stream and POST), then
   * 'polling' (GET and POST), if the server has them. Named, it is only that one. Your own, see SignalingTransport. A list:
   * the first that opens is used, the others stand by. @default 'peerserver'
   */
  signaling?: SignalingName | SignalingTransport | readonly (SignalingName | SignalingTransport)[]
  /** Comes back by itself when the server is lost. @default true */
  autoReconnect?: boolean | ReconnectOptions
  /** Serializations of your own, by the name that `connect()` is given; both sides need them. @default {} */
  serializers?: Serializers
  /** What is spoken to the other peer; 'auto' is native where both can. @default 'auto' */
  protocol?: 'auto' | 'native' | 'peerjs'
  /**
   * How candidates travel. 'full' or true: descriptions leave at once, candidates behind them. 'half': an offer waits for its
   * candidates, for an answerer that cannot take them one by one. 'none' or false: every description waits, and none
   * follows, for signaling of one message each way; it can take seconds (`timers.gatherTimeout`). @default 'full'
   */
  trickle?: 'full' | 'half' | 'none' | boolean
  /**
   * Keeps an RTCPeerConnection ready, its certificate made and its candidates gathered, so that the next connection
   * opens sooner; most of all where a TURN server is far. It costs while idle: ports, STUN keepalives, and an allocation
   * on every TURN server of `config`, which some providers charge for. `iceCandidatePoolSize` is 1 unless `config` says
   * otherwise, and `config.certificates` are used where given. @default false
   */
  warm?: boolean
  /**
   * Asks our server for credentials of its TURN server (its option `turn`), before the first connection and again before they end, and
   * uses them beside the servers of `config`. A server that has none changes nothing. @default false
   */
  turn?: boolean
  /** Single timers of the core, ms: see {@link CoreTimers} for each, its default and its reason. @default {} */
  timers?: CoreTimers
  /** How much memory connections may take: see {@link CoreLimits} for each, its default and its reason. @default {} */
  limits?: CoreLimits
  /** Where the core comes from: a URL of core.wasm, its bytes or module. @default the one inside the package */
  wasm?: CoreSource
}

/** `peer.options`: everything filled in, apart from what has no default. */
export type ResolvedPeerOptions = PeerOptions
  & Required<Pick<PeerOptions, 'debug' | 'host' | 'port' | 'path' | 'key' | 'token' | 'secure' | 'pingInterval'
    | 'referrerPolicy' | 'signaling' | 'autoReconnect' | 'protocol' | 'warm'>>
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in PeerJS
  & { config: any, trickle: 'full' | 'half' | 'none', timers: CoreTimers, limits: CoreLimits }

export interface ConnectOptions {
  /** Name of the connection. @default its connectionId */
  label?: string
  /** For the other side; what JSON carries. */
  metadata?: unknown
  /**
   * What values are made of: PeerJS's 'binary', 'json', 'raw', 'MsgPack', or one of the option `serializers`. The rules of
   * that name hold, whatever the other peer is. Left out: values arrive as they were sent, and toward a PeerJS peer it is
   * 'binary'.
   */
  serialization?: string
  /** Kept for PeerJS peers: every connection is reliable and in order. @default false */
  reliable?: boolean
  /** @default random */
  connectionId?: string
  /** What the other side shall see as our description. */
  sdpTransform?: SdpTransform
  /**
   * With `false` our server says at once when nobody has this id (`peer-unavailable`), instead of waiting some seconds for a page that
   * may be loading. @default true
   */
  wait?: boolean
}

export interface CallOptions {
  /** For the other side; what JSON carries. */
  metadata?: unknown
  /** @default random */
  connectionId?: string
  /** What the other side shall see as our description. */
  sdpTransform?: SdpTransform
  /** As in ConnectOptions. @default true */
  wait?: boolean
  /** `offerToReceiveVideo`, `offerToReceiveAudio`: asks for what we do not show ourselves. The other members mean nothing. */
  constraints?: RTCOfferOptions & { offerToReceiveAudio?: boolean, offerToReceiveVideo?: boolean }
}

export interface PeerEvents {
  /** The server knows this peer as `id`; again after every reconnection. */
  open: (id: string) => void
  /** Another peer connected to us. */
  connection: (connection: DataConnection) => void
  /** Another peer calls: `answer()` or `reject()`. */
  call: (call: MediaConnection) => void
  /** Destroyed; the last event. */
  close: () => void
  /** Signaling is lost or was left; connections live on. `id` is what the peer was called. */
  disconnected: (id: string) => void
  error: (error: PeerError) => void
  state: (state: PeerState, reason: string) => void
}

type AnyConnection = DataConnection | MediaConnection

/** How many empty lists `peer.connections` keeps. */
const emptied = 100

/** One participant: an id at a signaling server, and the connections to other ids. */
export class Peer extends Emitter<PeerEvents> {
  readonly options: ResolvedPeerOptions
  /** The id, when the server confirmed it for the first time. Rejects when the peer is closed before; nobody has to look. */
  readonly ready: Promise<string>

  /** @internal What the connection that is being made needs beyond PeerJS's parameters. */
  _making: { driver: Driver, init: ConnectionInit } | undefined
  #driver: Driver | null = null
  #transport: SignalingTransport | null = null
  #id: string | null = null
  /** What the peer was called when it was last disconnected. */
  #last: string | null = null
  #state: PeerState = 'idle'
  #open = false
  #disconnected = false
  /** 'disconnected' was emitted since the peer was last on its way to the server. */
  #told = false
  #destroyed = false
  #closed = false
  /** The application left the server: nothing brings it back unasked. */
  #left = false
  #ready = deferred<string>()
  #byHandle = new Map<number, AnyConnection>()
  /** What the core said while a connection was being made, and since: told in the next microtask. */
  #early: CoreEvent[] | null = null
  #connections: Record<string, AnyConnection[]> = Object.create(null) as Record<string, AnyConnection[]>
  /** Ids whose list is empty, the oldest first. */
  readonly #emptied = new Set<string>()

  /**
   * Starts at once and works from the first line: connections that are made before 'open' wait for it.
   * On a server (no window, no WebRTC) it stays inert in state 'idle'.
   * @throws PeerError 'invalid-argument' for a timer or `trickle` that cannot be meant
   */
  constructor(options?: PeerOptions)
  constructor(id: string | undefined, options?: PeerOptions)
  constructor(id?: string | PeerOptions, options?: PeerOptions) {
    super()
    if (id !== null && typeof id === 'object') [id, options] = [undefined, id]
    this.ready = this.#ready.promise
    const able = typeof RTCPeerConnection === 'function'
    const page = typeof window !== 'undefined'
    this.options = resolve(options ?? {}, able || page)
    if (able) this.#start(id ? String(id) : undefined)
    else if (page) {
      this.#state = 'connecting'
      // Later, so that the application can listen first.
      setTimeout(() => this.#abort(new PeerError('browser-incompatible', 'This browser has no WebRTC. Use a current Chrome, Edge, Firefox or Safari, and check that no extension or policy turns it off.')))
    }
  }

  /**
   * What other peers call us. As in PeerJS it is there from the beginning when it was asked for, and whatever the type says,
   * null before the server gave one and while the peer is disconnected: `open` tells whether the server knows us by it.
   */
  get id(): string {
    return this.#id!
  }

  /** Does the server know us now? */
  get open(): boolean {
    return this.#open
  }

  /** Signaling was lost or left. */
  get disconnected(): boolean {
    return this.#disconnected
  }

  get destroyed(): boolean {
    return this.#destroyed
  }

  /** 'idle' (on a server, or after leaving), 'connecting', 'open', 'reconnecting', 'closed'. Event 'state'. */
  get state(): PeerState {
    return this.#state
  }

  /** All connections, by the id of the other peer. The lists of those that left are empty, and stay for a while. */
  get connections(): Record<string, AnyConnection[]> {
    return this.#connections
  }

  /**
   * Connects to another peer. As in PeerJS, whatever the type says: emits 'error' ('disconnected') and answers undefined
   * after `disconnect()` or `destroy()`; answers undefined on a server.
   * @throws PeerError 'invalid-argument' when JSON cannot carry `metadata`
   */
  connect(peer: string, options: ConnectOptions = {}): DataConnection {
    return this.#connect(peer, 'data', options)!
  }

  /**
   * Calls another peer and shows it `stream`. Otherwise as `connect()`.
   * @throws PeerError 'invalid-argument' when JSON cannot carry `metadata`
   */
  call(peer: string, stream: MediaStream, options: CallOptions = {}): MediaConnection {
    if (!stream) {
      this._log(1, 'call() needs a MediaStream, for example of navigator.mediaDevices.getUserMedia()')
      return undefined!
    }
    return this.#connect(peer, 'media', options, stream)!
  }

  /**
   * Joins a room at the signaling server, to learn who else is in it: event 'joined', and `ready`. Waits for the peer where
   * needed. PeerServer has no rooms. On a server (no WebRTC) nothing happens.
   * @param room any text of 1 to 256 bytes; whoever knows it can be there
   * @throws PeerError 'invalid-argument' when JSON cannot carry `metadata`
   */
  join(room: string, options: JoinOptions = {}): Room {
    const joined = new Room(room, options)
    this.#driver?.runtime.then(runtime => runtime.join(this, joined)).catch((error: PeerError) => joined._end(error))
    return joined
  }

  /** Leaves the signaling server. Connections live on; nothing comes back unasked. Twice is harmless. */
  disconnect(): void {
    if (this.#left || this.#destroyed || !this.#driver) return
    this.#left = true
    this.#disconnected = true
    this.#open = false
    this.#driver.feed({ type: 'disconnect' })
  }

  /**
   * Goes back to the server, with the old id. Harmless when that happens already or is not needed.
   * @throws PeerError 'invalid-state' when the peer is destroyed
   */
  reconnect(): void {
    // Listeners of 'disconnected' that call this are told of destroy(), too, and mean no harm.
    if (this.#closed && this.#state === 'closed') throw new PeerError('invalid-state', 'This peer is destroyed and cannot reconnect. Make a new Peer.')
    if (this.#open || this.#destroyed || !this.#driver) return
    this.#left = this.#disconnected = this.#told = false
    this.#id ??= this.#last
    this.#driver.feed({ type: 'reconnect' })
  }

  /** Ends all connections and leaves. Final; twice is harmless. */
  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#open = false
    if (this.#driver?.loaded) this.#driver.feed({ type: 'destroy' })
    else {
      this.#driver?.dispose()
      this.#shut('destroyed')
    }
  }

  /** A connection by its connectionId; null when there is none. */
  getConnection(peer: string, connectionId: string): DataConnection | MediaConnection | null {
    return this.#connections[peer]?.find(connection => connection.connectionId === connectionId) ?? null
  }

  /** Asks the server for all ids; it has to allow that. What goes wrong is emitted as 'error' ('server-error'). */
  listAllPeers(callback: (ids: string[]) => void = () => {}): void {
    const list = this.#transport?.listPeers?.() ?? Promise.reject(new PeerError('server-error', 'This way of signaling cannot list peers.'))
    list.then(callback, (error: unknown) =>
      this.#error(error instanceof PeerError ? error : new PeerError('server-error', messageOf(error), { cause: error })))
  }

  /** @internal */
  _log(level: 1 | 2 | 3, ...rest: unknown[]): void {
    const { debug, logFunction } = this.options
    if (debug < level) return
    if (logFunction) logFunction(level, ...rest)
    // eslint-disable-next-line no-console -- that is what the option debug asks for
    else console[level === 1 ? 'error' : level === 2 ? 'warn' : 'log']('peerbridge:', ...rest)
  }

  #start(id: string | undefined): void {
    const { options } = this
    this.#state = 'connecting'
    if (id !== undefined && validateId(id)) this.#id = id
    this.#transport = typeof options.signaling === 'object' && 'connect' in options.signaling ? options.signaling : peerServer(options)
    this.#transport.attach?.(this)
    this.#driver = new Driver({
      config: coreConfig(options, this.#transport),
      rtc: { ...options.config },
      turn: options.turn,
      warm: options.warm,
      transport: this.#transport,
      start: { ...(id !== undefined && { id }), token: options.token },
      load: () => loadRuntime(options.wasm),
      event: event => this.#event(event),
      hooks: connection => this.#byHandle.get(connection),
      unavailable: error => this.#abort(error instanceof PeerError
        ? error
        : new PeerError('core-unavailable', `The core could not be started: ${messageOf(error)}`, { cause: error })),
      failed: error => this.#error(new PeerError('webrtc', `The browser made no RTCPeerConnection: ${messageOf(error)}. Check the option config, and that not hundreds of connections are open.`, { cause: error })),
    })
  }

  #connect(peer: string, kind: 'data', options: ConnectOptions): DataConnection | undefined
  #connect(peer: string, kind: 'media', options: CallOptions, stream: MediaStream): MediaConnection | undefined
  #connect(peer: string, kind: 'data' | 'media', options: ConnectOptions, stream?: MediaStream): AnyConnection | undefined {
    const driver = this.#driver
    if (!driver && !this.#destroyed) return undefined
    if (!driver || this.#destroyed || this.#left || (this.#disconnected && this.#state === 'idle')) {
      this.#error(new PeerError('disconnected', `Cannot connect to ${peer}: this peer ${this.#destroyed ? 'is destroyed. Make a new Peer' : 'left the signaling server. Call reconnect() first'}.`, { peer }))
      return undefined
    }
    const name = wireName(options.serialization)
    if (!known.test(name) && !this.options.serializers?.[name]) {
      throw new PeerError('invalid-argument', `There is no serialization ${name}. Use binary, json, raw, MsgPack or the option serializers.`)
    }
    const metadata = stringify(options.metadata)
    const connectionId = options.connectionId || `${kind === 'data' ? 'dc' : 'mc'}_${randomToken()}`
    const init: ConnectionInit = {
      handle: driver.handle(), peer: String(peer), connectionId, metadata: options.metadata,
      label: options.label || connectionId,
      serialization: name,
      reliable: options.reliable ?? false,
      options: { ...options },
    }
    const connection = this.#add(kind, driver, init)
    if (stream) (connection as MediaConnection)._begin(stream)
    // What is refused at once is told when the caller can listen.
    this.#early ??= []
    driver.feed({
      type: 'connect', connection: init.handle, peer: init.peer, connectionId, kind, label: init.label,
      ...(metadata !== undefined && { metadata }), serialization: init.serialization, reliable: init.reliable,
      ...(options.wait === false && { wait: false }),
    })
    if (this.#early.length) queueMicrotask(() => this.#tell())
    else this.#early = null
    return connection
  }

  #add(kind: 'data' | 'media', driver: Driver, init: ConnectionInit): AnyConnection {
    const { serializers } = this.options
    const given = kind === 'data' && serializers && Object.hasOwn(serializers, init.serialization) ? serializers[init.serialization] : undefined
    const Kind = kind === 'media' ? MediaConnection : typeof given === 'function' ? given : DataConnection
    this._making = { driver, init }
    const connection = new Kind(init.peer, this, init.options)
    this.#byHandle.set(init.handle, connection)
    this.#emptied.delete(init.peer);
    (this.#connections[init.peer] ??= []).push(connection)
    return connection
  }

  #remove(handle: number, connection: AnyConnection): void {
    const { peer } = connection
    this.#byHandle.delete(handle)
    // As in PeerJS an empty list stays, for applications that read its length; not for ever.
    const left = this.#connections[peer] = this.#connections[peer]?.filter(other => other !== connection) ?? []
    if (left.length) return
    this.#emptied.delete(peer)
    if (this.#emptied.add(peer).size <= emptied) return
    const [oldest] = this.#emptied
    this.#emptied.delete(oldest!)
    delete this.#connections[oldest!]
  }

  #tell(): void {
    const early = this.#early
    this.#early = null
    early?.forEach(event => this.#event(event))
  }

  #event(event: CoreEvent): void {
    if (this.#early) return void this.#early.push(event)
    if (this.options.debug > 2) this._log(3, event)
    switch (event.type) {
      case 'peer-state': return this.#setState(event.state, event.reason)
      case 'peer-opened': // the state comes next
        this.#id = event.id
        this.#disconnected = this.#told = false
        this.#ready.resolve(event.id)
        return
      case 'peer-disconnected': return this.#lost(event.id || null)
      case 'peer-closed': return this.#shut('destroyed') // the core flushes, then ends the driver
      case 'peer-error': return this.#error(new PeerError(event.error, event.message))
      case 'warning': return this._log(2, event.error, event.message)
      case 'connection-incoming': {
        const { connection: handle, kind, ...rest } = event
        const metadata = parseMetadata(event.metadata)
        const { connectionId, label, serialization, reliable } = rest
        const options = kind === 'data' ? { connectionId, metadata, label, serialization, reliable } : { connectionId, metadata }
        const connection = this.#add(kind, this.#driver!, { ...rest, handle, metadata, options, incoming: true })
        // A data connection tells when it has its RTCPeerConnection, which comes next: there its listeners find it, as in PeerJS.
        if (connection.type === 'media') this.emit('call', connection)
        return
      }
      default: {
        const connection = this.#byHandle.get(event.connection)
        if (!connection) return
        // Gone from the list before its 'close' listeners look.
        if (event.type === 'connection-closed') this.#remove(event.connection, connection)
        connection._event(event)
      }
    }
  }

  #setState(state: PeerState, reason: string): void {
    const before = this.#state
    if (state === before) return
    this.#state = state
    this.#open = state === 'open'
    guard(() => this.emit('state', state, reason))
    if (this.#open) this.emit('open', this.#id!)
    const { autoReconnect } = this.options
    if (before === 'reconnecting' && state === 'idle' && !this.#left && typeof autoReconnect === 'object') autoReconnect.onFailed?.()
  }

  #error(error: PeerError<PeerErrorCode> | PeerError<CoreErrorCode>): void {
    this._log(1, error)
    this.emit('error', error as PeerError)
  }

  #lost(id: string | null): void {
    this.#last = id ?? this.#last
    this.#id = null
    this.#open = false
    this.#disconnected = this.#told = true
    this.emit('disconnected', id!)
  }

  /** The peer never lived: as in PeerJS, 'error', 'disconnected', 'close'. */
  #abort(error: PeerError): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#driver?.dispose()
    this.#ready.reject(error)
    this.#error(error)
    this.#shut(error.type)
  }

  /** The end, whoever brought it. */
  #shut(reason: string): void {
    if (this.#closed) return
    this.#closed = this.#destroyed = true
    for (const [handle, connection] of this.#byHandle) {
      this.#remove(handle, connection)
      connection._closed(reason)
    }
    for (const peer of this.#emptied) delete this.#connections[peer]
    if (!this.#told) this.#lost(this.#id)
    this.#ready.reject(new PeerError('invalid-state', 'The peer was closed before it opened.'))
    this.#setState('closed', reason)
    this.emit('close')
  }
}

/** Serializations that are built in. */
const known = /^(binary|json|raw|MsgPack|)$/

/** Without what is undefined, so that defaults hold. */
const defined = <T extends object>(given: T): T => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T

/** Fills in PeerJS's defaults. On a server nothing is looked up: there is no page, and nothing will be used. */
function resolve(given: PeerOptions, live: boolean): ResolvedPeerOptions {
  const { trickle = 'full', timers = {}, limits = {}, ...rest } = defined(given)
  const options = {
    debug: 0, host: cloudHost, port: cloudPort, path: '/', key: 'peerjs', config: defaultConfig, pingInterval: 5000,
    referrerPolicy: 'strict-origin-when-cross-origin' as const, signaling: 'peerserver' as const, autoReconnect: true, protocol: 'auto' as const,
    warm: false, token: '', secure: false, ...rest,
    trickle: trickle === true ? 'full' as const : trickle === false ? 'none' as const : trickle,
    timers: defined(timers),
    limits: defined(limits),
  }
  if (!['full', 'half', 'none'].includes(options.trickle)) {
    throw new PeerError('invalid-argument', `The option trickle has to be 'full', 'half', 'none' or a boolean, got ${String(trickle)}. Leave it out for 'full'.`)
  }
  for (const group of ['timers', 'limits'] as const) {
    for (const [name, value] of Object.entries(options[group] as Record<string, unknown>)) {
      if (typeof value === 'number' && value >= 1 && value < 1e12) continue
      throw new PeerError('invalid-argument', `${group}.${name} has to be a number${group === 'timers' ? ' of milliseconds' : ''}, 1 or more, got ${String(value)}. Leave it out for its default.`)
    }
  }
  if (live) {
    if (options.host === '/') options.host = location.hostname
    options.token ||= randomToken()
    // The public server has nothing but TLS, whatever was asked for.
    options.secure = options.host === cloudHost || (rest.secure ?? isSecure())
  }
  options.path = `/${options.path}/`.replace(/\/+/g, '/')
  return options
}

function coreConfig(
  { autoReconnect, limits, pingInterval, protocol, timers, trickle }: ResolvedPeerOptions, { byHand }: SignalingTransport,
): CoreConfig {
  const { retries, delay } = typeof autoReconnect === 'object' ? autoReconnect : {}
  return defined({
    seed: crypto.getRandomValues(new Uint32Array(1))[0]!,
    protocol,
    trickle,
    autoReconnect: !!autoReconnect,
    byHand,
    reconnectRetries: retries,
    reconnectDelay: delay,
    heartbeatInterval: pingInterval,
    ...timers,
    ...limits,
  }) as CoreConfig
}

