import type { ConnectionState, CoreErrorCode, CoreEvent, CoreInput, Lane, WireProtocol } from './core/types.js'
import type { ConnectionHooks, Driver } from './driver/driver.js'
import { messageOf, PeerError, type PeerErrorCode } from './errors.js'
import { Emitter } from './events.js'
import type { Peer } from './peer.js'
import type { ConnectionStats, Path } from './stats.js'

/** What both kinds of connections emit. */
export interface ConnectionEvents {
  open: () => void
  /** The last event. */
  close: () => void
  error: (error: PeerError) => void
  state: (state: ConnectionState, reason: string) => void
  iceStateChanged: (state: RTCIceConnectionState) => void
  /** The way of the bytes became known or changed; looked at while somebody listens. */
  path: (path: Path | null) => void
}

/**
 * What the other side shall see as our description. Nothing, or no text, leaves it as it is. `Function` as in PeerJS's types.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type
export type SdpTransform = ((sdp: string) => string) | Function

/** How many messages of each priority the other side acknowledged, or were taken back. @internal */
export interface Acknowledged { high?: number, normal?: number, bulk?: number }

/** How a connection begins. @internal */
export interface ConnectionInit {
  handle: number
  peer: string
  connectionId: string
  label: string
  metadata: unknown
  serialization: string
  reliable: boolean
  options: object
  /** The other side made it. */
  incoming?: boolean
}

/** A path that was read longer ago, ms, is read again when somebody looks. */
const pathAge = 3_000

export function parseMetadata(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  }
  catch { // the core forwards it unseen, and the other peer may send anything
    return undefined
  }
}

/** What data and media connections share. */
export abstract class Connection<E extends ConnectionEvents> extends Emitter<E> implements ConnectionHooks {
  abstract readonly type: 'data' | 'media'
  /** Id of the other peer. */
  readonly peer: string
  /** The Peer that it belongs to. */
  readonly provider: Peer
  readonly connectionId: string
  readonly label: string
  /** What the caller gave; at the other side as JSON carries it. */
  readonly metadata: any // eslint-disable-line @typescript-eslint/no-explicit-any -- as in PeerJS
  /** What it was made with. */
  readonly options: any // eslint-disable-line @typescript-eslint/no-explicit-any -- as in PeerJS

  protected readonly driver: Driver
  protected readonly init: ConnectionInit
  /** @internal */
  readonly handle: number
  #state: ConnectionState = 'connecting'
  #open = false
  #ended = false
  #protocol: WireProtocol | undefined
  #path: Path | null = null
  #pathAt = -Infinity
  #pathTimer: ReturnType<typeof setTimeout> | undefined

  /**
   * @internal Made by `connect()`, `call()` and the events 'connection' and 'call'. PeerJS's parameters, for classes of the
   * option `serializers`: what else is needed is with the Peer.
   */
  constructor(peer: string, provider: Peer, options: object) {
    super()
    const { driver, init } = provider._making!
    this.peer = peer
    this.provider = provider
    this.options = options
    this.driver = driver
    this.init = init
    this.handle = init.handle
    this.connectionId = init.connectionId
    this.label = init.label
    this.metadata = init.metadata
  }

  /** Can it be used? Stays true while the path is being recovered. */
  get open(): boolean {
    return this.#open && !this.#ended
  }

  /** 'connecting' → 'open' ⇄ 'recovering' → 'closed'. Event 'state'. */
  get state(): ConnectionState {
    return this.#state
  }

  /** What the two peers speak; undefined until open. */
  get protocol(): WireProtocol | undefined {
    return this.#protocol
  }

  /**
   * The browser's object; a recovered connection may have another one. Null, whatever the type (which is PeerJS's) says,
   * before there is one: while the core is loaded, before a call is answered, and afterwards.
   */
  get peerConnection(): RTCPeerConnection {
    return this.driver.peerConnection(this.handle)!
  }

  /**
   * The channel that carries it; of a call, the one through which each side notices that the other hung up. Null, whatever the
   * type (which is PeerJS's) says, before there is one and afterwards.
   */
  get dataChannel(): RTCDataChannel {
    return this.driver.dataChannel(this.handle)!
  }

  /** Which way the bytes go; null until known. Looking refreshes what is older than 3 s: look again, or listen to 'path'. */
  get path(): Path | null {
    this.#lookAtPath()
    return this.#path
  }

  /** Everything that can be counted. */
  async stats(): Promise<ConnectionStats> {
    const report = await this.driver.peerConnection(this.handle)?.getStats() ?? null
    if (report) this.#setPath(this.driver.path(report))
    return {
      path: this.#path,
      bufferedAmount: this.driver.dataChannel(this.handle)?.bufferedAmount ?? 0,
      ...this.driver.counters(this.handle),
      report,
    }
  }

  /**
   * Ends the connection; the other side gets 'close' too. Twice is harmless.
   * The event 'close' follows when it is over.
   */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.finish()
  }

  protected finish(): void {
    this.feed({ type: 'close', connection: this.handle })
  }

  /** False when it cannot be used after all, and why was told. */
  protected prepared(): boolean {
    return true
  }

  /** Was close() called, or is it over? */
  protected get ended(): boolean {
    return this.#ended
  }

  /** @internal */
  feed(input: CoreInput): void {
    this.driver.feed(input)
  }

  /** An error about this connection; not emitted. @internal */
  error(type: PeerErrorCode, message: string, cause?: unknown): PeerError {
    return new PeerError(type, message, { peer: this.peer, connectionId: this.connectionId, cause })
  }

  /** Emits what is common to both kinds. TypeScript cannot see the arguments of an event of a generic map. */
  protected say<K extends keyof ConnectionEvents>(event: K, ...args: Parameters<ConnectionEvents[K]>): void {
    (this as unknown as Emitter<ConnectionEvents>).emit(event, ...args as never)
  }

  /** @internal */
  _event(event: CoreEvent): void {
    switch (event.type) {
      case 'connection-state':
        if (this.#state === event.state) return
        this.#state = event.state
        // Who hears of the state finds `open` as it is then.
        if (event.state === 'open') {
          this.#protocol = event.protocol
          this.#open = !this.#ended && this.prepared()
        }
        if (event.state === 'closed') this.#ended = true
        return this.say('state', event.state, event.reason)
      case 'connection-opened':
        if (!this.open) return
        this.say('open')
        if (this.#watched) this.#lookAtPath()
        return
      case 'connection-error': return this._error(event.error, event.message)
      case 'connection-closed': return this._closed(event.reason, event)
      default: // about the peer, or about data: not ours
    }
  }

  /** @internal */
  _error(type: CoreErrorCode, message: string, cause?: unknown): void {
    this.say('error', this.error(type, message, cause))
  }

  /** @internal */
  _closed(reason: string, _counts?: Acknowledged): void {
    this.#ended = true
    clearTimeout(this.#pathTimer)
    if (this.#state !== 'closed') {
      this.#state = 'closed'
      this.say('state', 'closed', reason)
    }
    this.say('close')
  }

  // ---- paths

  get #watched(): boolean {
    return (this as unknown as Emitter<ConnectionEvents>).listenerCount('path') > 0
  }

  #lookAtPath(): void {
    const now = performance.now()
    if (!this.open || now - this.#pathAt < pathAge) return
    this.#pathAt = now
    this.driver.peerConnection(this.handle)?.getStats().then(report => this.#setPath(this.driver.path(report))).catch((error: unknown) => {
      this.provider._log(2, `no path of ${this.connectionId}: ${messageOf(error)}`)
    })
    clearTimeout(this.#pathTimer)
    this.#pathTimer = setTimeout(() => {
      if (this.#watched) this.#lookAtPath()
    }, pathAge + 50)
  }

  #setPath(path: Path | null): void {
    if (JSON.stringify(path) === JSON.stringify(this.#path)) return
    this.#path = path
    this.say('path', path)
  }

  // ---- hooks of the driver

  /** @internal */
  message(_format: number, _bytes: Uint8Array<ArrayBuffer>, _lane: Lane): void {}
  /** @internal */
  transferData(_transfer: number, _bytes: Uint8Array<ArrayBuffer>): void {}
  /** @internal */
  transferRead(_transfer: number, _offset: number, _length: number): void {}
  /** @internal */
  linked(_pc: RTCPeerConnection): void {}
  /** @internal */
  carried(_pc: RTCPeerConnection): void {
    this.#pathAt = -Infinity
    if (this.#watched) this.#lookAtPath()
  }

  /** @internal */
  unlinked(_pc: RTCPeerConnection): void {}
  /** @internal */
  track(_event: RTCTrackEvent): void {}
  /** @internal */
  channelOpened(): void {}
  /** @internal */
  side(_dc: RTCDataChannel, _arrived: RTCPeerConnection | null): void {}
  /** @internal */
  sdp(sdp: string): string {
    const { sdpTransform: transform } = this.options as { sdpTransform?: SdpTransform }
    return typeof transform === 'function' ? transform(sdp) as string : sdp
  }

  /** @internal */
  iceState(state: RTCIceConnectionState): void {
    this.say('iceStateChanged', state)
  }
}
