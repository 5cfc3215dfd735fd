import type { Peer } from '../peer.js'

/** What a transport tells about one channel. After `closed` nothing follows. */
export interface SignalingHandlers {
  /** The way to the server is open; what the server says then is a message. */
  opened(): void
  /** One signaling message, JSON text, as the server sent it. */
  message(text: string): void
  /** Could not be opened, or is gone. `reason` is for people. */
  closed(reason: string): void
}

/** One way to the signaling server, open or opening. */
export interface SignalingChannel {
  /**
   * One signaling message, JSON text. Only called after `opened`; throws when the channel cannot take it.
   * @param number where messages are counted (js/signaling/counting.ts): its number; a HEARTBEAT has none
   */
  send(text: string, number?: number): void
  /** Ends it; nothing is reported afterwards. Twice is harmless. */
  close(): void
}

/**
 * How signaling messages reach the other peer. A transport opens, sends, closes and reports, and knows nothing
 * else: retries, heartbeats, queues and the meaning of a message are the core's.
 *
 * The messages are those of PeerServer; a transport without a server answers `connect` with the message
 * `{"type":"OPEN"}` itself.
 */
export interface SignalingTransport {
  /** For logs. */
  readonly name: string
  /** Is not to be connected before the core asks for it. */
  readonly late?: boolean
  /** People carry what it is given: one message each way, whole, and they take their time. See manual.ts. */
  readonly byHand?: boolean
  /** Told once whose it is, before anything else. */
  attach?(peer: Peer): void
  /**
   * Called for every attempt; must not throw: what is wrong at once is reported by `closed`, later.
   * @param progress what the server is told of messages that were counted, as a query; asked again for every request
   */
  connect(id: string, token: string, handlers: SignalingHandlers, progress?: () => string): SignalingChannel
  /** An id for a peer that brought none. Rejects when there is none to be had. Left out: a random one is made. */
  requestId?(signal: AbortSignal): Promise<string>
  /** Ids of all peers, where the server tells. */
  listPeers?(signal?: AbortSignal): Promise<string[]>
}
