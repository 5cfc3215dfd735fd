/**
 * The control border: what the driver tells the core, and what the core answers.
 *
 * Plain objects, discriminated by `type`. How they stand in the wasm's memory is record.ts's affair; that both sides mean
 * the same is checked by `tests/js/record.test.ts` and `tests/vectors/names.json`. Handles are numbers that are never used
 * twice: odd ones are made on this side, even ones by the core; 0 is none. Times are milliseconds.
 */

export type ConnectionKind = 'data' | 'media'
export type WireProtocol = 'native' | 'peerjs'
export type PeerState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed'
export type ConnectionState = 'connecting' | 'open' | 'recovering' | 'closed'
export type TransferState = 'offered' | 'active' | 'paused' | 'done' | 'rejected' | 'cancelled' | 'failed'

/** Codes of `PeerError.type` that the core itself produces; see `ErrorCode` in error.hpp. */
export type CoreErrorCode =
  | 'browser-incompatible' | 'disconnected' | 'invalid-id' | 'invalid-key' | 'network' | 'peer-unavailable'
  | 'ssl-unavailable' | 'server-error' | 'socket-error' | 'socket-closed' | 'unavailable-id' | 'webrtc'
  | 'negotiation-failed' | 'connection-closed' | 'not-open-yet' | 'message-too-big'
  | 'core-unavailable' | 'bad-signal' | 'signal-too-large' | 'signal-expired' | 'protocol-violation'
  | 'incompatible-peer' | 'timeout' | 'connection-lost' | 'invalid-argument' | 'invalid-state'
  | 'rejected' | 'cancelled' | 'corrupted' | 'not-authorized'

/** What the driver tells the core. */
export type CoreInput =
  // ---- the application's wishes
  /** Comes first, once. Without `id` the core asks the server for one. */
  | { type: 'start', id?: string, token: string }
  | {
    type: 'connect', connection: number, peer: string, connectionId: string, kind: ConnectionKind,
    label: string,
    /** JSON text. */
    metadata?: string,
    /** '' when none is named: values arrive as they were sent, and toward PeerJS it is 'binary'. */
    serialization: string, reliable: boolean,
    /** False: who is not there shall not be waited for. */
    wait?: false,
  }
  /** Takes an incoming media connection. */
  | { type: 'answer', connection: number }
  /** Data connections flush and shake hands first; the core says when it is over. */
  | { type: 'close', connection: number }
  /** Bulk of this connection shall be spread over so many RTCPeerConnections. */
  | { type: 'stripes', connection: number, count: number }
  /** Leaves the signaling server; connections live on; nothing reconnects unasked. */
  | { type: 'disconnect' }
  | { type: 'reconnect' }
  | { type: 'destroy' }
  // ---- signaling
  | { type: 'id-assigned', op: number, id: string }
  | { type: 'id-failed', op: number, message: string }
  /** `transport` is the handle the core gave with `signaling-connect`; others are ignored as superseded. */
  | { type: 'signaling-opened', transport: number }
  | { type: 'signaling-message', transport: number, text: string }
  | { type: 'signaling-closed', transport: number, message: string }
  // ---- RTCPeerConnection
  /** `sdp` and `sdpType`: the local description, for set-local-description and read-local-description. */
  | { type: 'op-done', op: number, sdpType?: RTCSdpType, sdp?: string }
  | { type: 'op-failed', op: number, name: string, message: string }
  /** `candidate: ''` is end-of-candidates. */
  | { type: 'local-candidate', link: number, candidate: string, sdpMid?: string, sdpMLineIndex?: number, usernameFragment?: string }
  | { type: 'gathering-complete', link: number }
  | { type: 'negotiation-needed', link: number }
  | { type: 'link-state', link: number, state: RTCPeerConnectionState }
  /** RTCIceTransport fired selectedcandidatepairchange. */
  | { type: 'path-changed', link: number }
  // ---- RTCDataChannel
  /** `channel` is an odd handle that the driver made for it. */
  | { type: 'channel-arrived', link: number, channel: number, label: string, subprotocol: string }
  | { type: 'channel-opened', channel: number, maxMessageSize: number }
  | { type: 'channel-closed', channel: number }
  // ---- side channels: RTCDataChannels of the application's own, beside the one that carries the connection
  /** Made on whichever RTCPeerConnection carries the connection, again on each new one. `side` is a number of the caller's. */
  | {
    type: 'side-open', connection: number, side: number, label: string, ordered: boolean, maxRetransmits?: number,
    maxPacketLifeTime?: number,
  }
  | { type: 'side-close', connection: number, side: number }
  /** Something came through one of them: the path is up. Once a second is enough. */
  | { type: 'side-heard', connection: number }
  // ---- transfers
  | { type: 'transfer-offer', connection: number, transfer: number, name: string, mime: string, key: string, size?: number }
  /** `from`: so many bytes are here already. */
  | { type: 'transfer-accept', connection: number, transfer: number, from: number }
  | { type: 'transfer-reject', connection: number, transfer: number, reason: string }
  | { type: 'transfer-pause', connection: number, transfer: number }
  | { type: 'transfer-resume', connection: number, transfer: number }
  | { type: 'transfer-cancel', connection: number, transfer: number, reason: string }
  /** `digest` is the SHA-256 of the file, in hexadecimal; empty when it is not known. */
  | { type: 'transfer-end', connection: number, transfer: number, digest: string }
  | { type: 'transfer-consumed', connection: number, transfer: number, length: number }
  | { type: 'transfer-complete', connection: number, transfer: number, digest: string }
  // ---- environment
  /** online/offline events, a page that becomes visible or is resumed, navigator.connection changes. */
  | { type: 'network', change: 'online' | 'offline' | 'changed' | 'resumed' }
  /** The page is going away: say goodbye with what can still be sent synchronously. */
  | { type: 'page-hide' }
  | { type: 'timeout' }

/** What the driver shall do. */
export type CoreCommand =
  /** GET …/id; answer with id-assigned or id-failed. */
  | { type: 'request-id', op: number }
  | { type: 'signaling-connect', transport: number, id: string, token: string }
  | { type: 'signaling-send', transport: number, text: string }
  | { type: 'signaling-close', transport: number }
  /** new RTCPeerConnection(config); for media also adds the local tracks of the connection. */
  /** `stripe`: not 0 when it will carry bulk only. */
  | { type: 'link-create', link: number, connection: number, stripe?: number }
  | { type: 'link-close', link: number }
  /** pc.setLocalDescription() without argument; answers with the resulting localDescription. */
  | { type: 'set-local-description', link: number, op: number }
  | { type: 'set-remote-description', link: number, op: number, sdpType: RTCSdpType, sdp: string }
  /** Answers with pc.localDescription as it is now, candidates included. */
  | { type: 'read-local-description', link: number, op: number }
  | { type: 'add-candidate', link: number, op: number, candidate: string, sdpMid?: string, sdpMLineIndex?: number, usernameFragment?: string }
  | { type: 'restart-ice', link: number }
  /** pc.setLocalDescription({ type: 'rollback' }), where setRemoteDescription does not do it by itself. */
  | { type: 'rollback', link: number, op: number }
  | {
    type: 'channel-create', link: number, channel: number, label: string, subprotocol?: string, ordered: boolean, maxRetransmits?: number,
    maxPacketLifeTime?: number, lowThreshold: number,
  }
  /** Which channel carries this connection from now on, and the threshold for bufferedamountlow; precedes its first transmit. */
  | { type: 'channel-bind', channel: number, connection: number, lowThreshold: number }
  /** This channel carries bulk beside the one that carries the connection. */
  | { type: 'stripe-bind', channel: number, connection: number, lowThreshold: number }
  /** That it is closed is told like every other closing. */
  | { type: 'channel-close', channel: number }
  /** This channel, just made or just arrived, is a side channel of that connection: the core wants nothing that comes through it. */
  | { type: 'side-bind', channel: number, connection: number }
  /** Run the pump of this connection (see data border). */
  | { type: 'transmit', connection: number }
  /** Of the message `marker` (see Delivery) no more pieces come: forget those that came. */
  | { type: 'message-dropped', connection: number, marker: number }
  /** Supply bytes [offset, offset+length) of the source by core.transferPut(); fewer, then transfer-end, at its end. */
  | { type: 'transfer-read', connection: number, transfer: number, offset: number, length: number }
  /** After destroy: the last goodbye is said and nothing is left; free the core. */
  | { type: 'dispose' }

/** What the application shall learn. */
export type CoreEvent =
  | { type: 'peer-state', state: PeerState, reason: string }
  | { type: 'peer-opened', id: string }
  /** Signaling is lost or was left. `id` is what the peer was called. */
  | { type: 'peer-disconnected', id: string }
  | { type: 'peer-closed' }
  | { type: 'peer-error', error: CoreErrorCode, message: string }
  | {
    type: 'connection-incoming', connection: number, peer: string, connectionId: string, kind: ConnectionKind,
    label: string, metadata?: string,
    /** '' when the other side, a native peer, named none. */
    serialization: string, reliable: boolean, protocol: WireProtocol,
  }
  /** The other peer uses PeerJS, and nothing can be sent or read before its serializations are loaded. Comes before it opens. */
  | { type: 'connection-foreign', connection: number }
  /** What it speaks counts once it is open. */
  | { type: 'connection-state', connection: number, state: ConnectionState, reason: string, protocol: WireProtocol }
  /** Data: messages can be sent. Media: ANSWER came (caller) or answer() was called (callee). */
  | { type: 'connection-opened', connection: number }
  | { type: 'connection-error', connection: number, error: CoreErrorCode, message: string }
  /** Last event of a connection. How many of its messages were acknowledged or withdrawn, by lane. */
  | { type: 'connection-closed', connection: number, reason: string, high?: number, normal?: number, bulk?: number }
  /** send() has room again. */
  | { type: 'room', connection: number }
  /** Everything before core.mark() returned `marker` is in the other application's hands. */
  | { type: 'delivered', connection: number, marker: number }
  | { type: 'transfer-offered', connection: number, transfer: number, name: string, mime: string, key: string, size?: number }
  /** `error` says why, when it is over and not done. */
  | { type: 'transfer-state', connection: number, transfer: number, state: TransferState, reason: string, error: CoreErrorCode }
  /** Sender: this many bytes are in the receiver's hands. */
  | { type: 'transfer-progress', connection: number, transfer: number, bytes: number }
  /** Receiver: the last byte was delivered; close the sink, then transfer-complete. `digest` is the sender's, or empty. */
  | { type: 'transfer-ended', connection: number, transfer: number, digest: string }
  /** Something remote was wrong and was dropped; nothing else changes. */
  | { type: 'warning', error: CoreErrorCode, message: string }

export type CoreOutput = CoreCommand | CoreEvent

/**
 * Every timer of a peer: milliseconds, from 1 up. The defaults and reasons are those of `Config` in config.hpp; change one
 * where you know your network better. Where the two peers differ, each follows its own.
 */
export interface CoreTimers {
  // ---- the way to the signaling server
  /**
   * First pause before the server is tried again; doubled every time, ±50 % so that a restarted server is not stormed.
   * @default 500
   */
  reconnectDelay?: number
  /** Longest pause between two tries: who walks back into Wi-Fi should not wait longer. @default 10_000 */
  reconnectMaxDelay?: number
  /**
   * Between two heartbeats. PeerServer forgets a client after 60 s of silence; the same as `pingInterval`, which it
   * overrules.
   * @default 5_000
   */
  heartbeatInterval?: number
  /**
   * A server that said nothing for so long is asked for a sign of life: a socket may look open long after its network is
   * gone.
   * @default 15_000
   */
  probeInterval?: number
  /** It has so long to answer, then another way to it is opened. Mobile networks take seconds to wake up. @default 5_000 */
  probeTimeout?: number
  /**
   * The same while a connection recovers or the network changed: then it is likely that the server is lost too.
   * @default 1_500
   */
  urgentProbeTimeout?: number
  /** A way to the server that is neither open nor refused after so long is given up. @default 10_000 */
  connectTimeout?: number
  /**
   * The same while a connection recovers, thrice as long after 24 tries: TCP would sleep through the moment when the network
   * returns.
   * @default 1_500
   */
  urgentConnectTimeout?: number
  /** Longest pause between two tries while a connection recovers. @default 500 */
  urgentReconnectDelay?: number
  /**
   * PeerServer takes a known id back without a word: on a reconnect, silence of this length after the socket opened means
   * yes.
   * @default 2_000
   */
  openTimeout?: number
  /** A server that has not confirmed a new id after so long is given up; it has nothing to look up. @default 10_000 */
  registerTimeout?: number
  /**
   * A message for the other peer waits so long for a server that is away; then its connection gets 'signal-expired'.
   * @default 30_000
   */
  signalExpiry?: number
  // ---- connections that begin
  /**
   * Candidates wait this long for company, but for the first of an offer: they come within milliseconds of each other, and
   * each message costs the server.
   * @default 20
   */
  candidateBatch?: number
  /**
   * So long do those wait that are likely not to be needed: host candidates of an answer, and all once the path works. If the
   * connection is open by then, they travel inside it.
   * @default 100
   */
  lateCandidateBatch?: number
  /**
   * Without `trickle` a description waits this long for its candidates. Browsers try a dead STUN server for 10 s and more.
   * @default 3_000
   */
  gatherTimeout?: number
  /** From offer or answer to an open connection. RFC 8863 gives ICE 39.5 s; people give up sooner. @default 30_000 */
  negotiationTimeout?: number
  /**
   * How long a call may ring. Longer than telephones do, and short enough that a call whose signaling was lost ends.
   * @default 120_000
   */
  ringTimeout?: number
  /** A description that nothing came back for is sent again: a server that crashes loses what it had taken. @default 4_000 */
  resendDelay?: number
  /**
   * Candidates that came before their offer are kept this long; a server that is polled or clustered reorders.
   * @default 10_000
   */
  orphanExpiry?: number
  // ---- connections that recover
  /** Nothing came from the other side for so long: it is asked for a sign of life, a few bytes. @default 1_000 */
  pulseInterval?: number
  /** Nothing came for so long: the connection is 'recovering'. Browsers say so after 5 s at the earliest. @default 2_000 */
  silenceLimit?: number
  /** The same after the network changed or the page woke up, when the path is asked at once. @default 600 */
  urgentSilenceLimit?: number
  /**
   * The side that took the connection leaves this head start for the ICE restart to the other: offers that cross cost a
   * round.
   * @default 300
   */
  restartYield?: number
  /** First pause between two ICE restarts; doubled every time. @default 1_000 */
  restartDelay?: number
  /** Longest pause between two ICE restarts. @default 8_000 */
  restartMaxDelay?: number
  /**
   * Nothing came for so long: a fresh RTCPeerConnection races the old one, which, once the path is back, waits for SCTP's
   * next retransmission.
   * @default 3_000
   */
  raceDelay?: number
  /**
   * The browser says that the path is back, and nothing comes: SCTP sleeps for up to 3 s, a fresh RTCPeerConnection is
   * faster.
   * @default 200
   */
  raceGrace?: number
  /**
   * A fresh one that found no path in so long is replaced by another: Firefox gives up after 11 s, Chromium after 15.
   * @default 10_000
   */
  raceRenewal?: number
  /** Pause after a fresh one that failed. @default 1_000 */
  raceRetry?: number
  /**
   * The candidates of a fresh one are given to the browser again so often: Firefox pauses longer and longer between its
   * checks, and begins anew with each candidate.
   * @default 400
   */
  nudgeDelay?: number
  /**
   * Back at the server ourselves, its word that the other peer is gone is not believed for so long: it may only be late.
   * @default 15_000
   */
  returnGrace?: number
  /** A connection that stays down for so long is closed with 'connection-lost'. @default 60_000 */
  recoveryBudget?: number
  /** Pause before a stripe that was lost is made anew; doubled every time, up to 30 s, until one opens. @default 1_000 */
  stripeRetry?: number
}

/** How much of a page's memory its connections may take; see `Config` in config.hpp and `FramingConfig` in framing.hpp. */
export interface CoreLimits {
  /** Largest message, bytes, that is taken from the other side and from the application. @default 1_073_741_824 */
  maxMessageBytes?: number
  /** Incoming connections beyond this are refused. @default 512 */
  maxConnections?: number
  /** Incoming connections of one peer. @default 64 */
  maxConnectionsPerPeer?: number
  /** RTCPeerConnections that one connection spreads its bulk over, whichever side asks for them; 1 to 8. @default 8 */
  maxStripes?: number
  /**
   * Bytes that a connection keeps until the other side has them, in case that they have to be sent again; for messages, and
   * again for bulk and files times the stripes. More than that is on its way only on very long and fast paths.
   * @default 4_194_304
   */
  windowBytes?: number
  /**
   * Bytes that the other side may send beyond what this application has taken: what a paused connection, or a stripe that
   * lags, keeps in memory at the most. 262_144 or more.
   * @default 16_777_216
   */
  grantBytes?: number
  /** Bytes that wait in a connection until the promises of `send()` wait too. @default 1_048_576 */
  queueBytes?: number
  /**
   * PeerJS cuts large messages, and their pieces may come in any order: so many may be unfinished at a time.
   * @default 256
   */
  maxUnfinishedMessages?: number
  /**
   * Bytes of all unfinished messages of one connection to a PeerJS peer, where a piece counts as 1 KiB at least; and bytes of
   * what is kept while such a connection is paused. Beyond either it is closed with 'protocol-violation'.
   * @default 1_073_741_824
   */
  maxUnfinishedBytes?: number
  /** Milliseconds that the next piece of one may take; then what came of it is dropped. @default 60_000 */
  unfinishedTimeout?: number
}

/** What is left out has the default of `Config` in config.hpp. */
export interface CoreConfig extends CoreTimers, CoreLimits {
  /** Randomness for jitter, from crypto.getRandomValues; the core has none of its own. */
  seed: number
  protocol?: 'auto' | 'native' | 'peerjs'
  trickle?: 'full' | 'half' | 'none'
  autoReconnect?: boolean
  /** People carry the signals: one whole message each way. See `Config`. */
  byHand?: boolean
  /** -1 for ever. */
  reconnectRetries?: number
}

/** Scheduling classes of the data border: lower is more urgent. */
export const Lane = { high: 0, normal: 1, bulk: 2, file: 3 } as const
export type Lane = (typeof Lane)[keyof typeof Lane]

/**
 * Formats 8 and above belong to the core or are reserved; 0 to 3 to the value codec (js/values), 4 and 5 to named
 * serializations (js/peerjs), which make bytes or text.
 */
export const Format = { bytes: 4, text: 5, transferControl: 8, transferData: 9, request: 10, response: 11, channel: 12 } as const

/** In place of a ticket. */
export const tooBig = 0xffff_ffff

/** What the pump shall do next. One object for all answers of an endpoint, and its views are valid until the next call. */
export interface PumpAction {
  kind: 'wait' | 'fill' | 'send' | 'fill-send'
  /** wait: the bufferedAmountLowThreshold that suits; -1: as it is. */
  low: number
  /** fill: copy bytes [offset, offset + target.length) of the message `ticket` into target, then ask again. */
  ticket: number
  offset: number
  target: Uint8Array<ArrayBuffer>
  /** send, and after the filling fill-send: hand it to the channel's send() at once, then ask again, unless it is the last. */
  frame: Uint8Array<ArrayBuffer>
  /** send and fill-send: it is UTF-8 and travels as text. */
  text: boolean
  /** send and fill-send: nothing else wants to leave through this channel now. */
  last: boolean
}

/** A piece of an incoming message, as a view of the frame that the driver handed in, or of memory of its own. */
export interface Delivery {
  connection: number
  lane: Lane
  format: number
  first: boolean
  last: boolean
  /** Bytes of the whole message. */
  total: number
  bytes: Uint8Array<ArrayBuffer>
  /** Not 0: these are bytes of that file transfer. */
  transfer: number
  /** Not 0: piece number `piece` of this message, in any order; `total` is how many there are, `last`: now all are there. */
  message: number
  piece: number
}

/** A description of a data connection that travels as a code: docs/protocol.md, "Codes". */
export interface CodedDescription {
  type: 'offer' | 'answer'
  sdp: string
  /** Tells offers apart: its own, and in an answer that of the offer it answers. */
  mark: number
}

/**
 * One endpoint of the core: the only object the driver talks to.
 *
 * Rule: one call that mutates, then `poll()` until it answers null, then one timer for `deadline()`.
 */
export interface Core {
  handle(input: CoreInput, now: number): void
  poll(): CoreOutput | null
  /** When to call `handle({ type: 'timeout' })`, on the clock of `now`; Infinity when never. */
  deadline(): number

  // ---- data border
  /** A small message (≤ inlineLimit): copied at once. False when refused: the connection is closing or too much waits. */
  put(connection: number, lane: Lane, format: number, bytes: Uint8Array): boolean
  readonly inlineLimit: number
  /** A message whose bytes the pump will ask for piece by piece. 0 when refused, {@link tooBig} when it is too long. */
  queue(connection: number, lane: Lane, format: number, length: number): number
  /** Takes a queued message back; false when its first piece has left. */
  withdraw(connection: number, ticket: number): boolean
  /** After put() or queue(): the connection takes more; otherwise the `room` event will say. */
  readonly room: boolean
  /** See the `delivered` event. */
  mark(connection: number): number
  /** While held, nothing is acknowledged, so that the other side stops once its window is full. */
  hold(connection: number, held: boolean, now: number): void
  /** Bytes for a transfer-read; fetched under the returned ticket. */
  transferPut(connection: number, transfer: number, length: number): number
  /** `channel`: one that was bound to the connection; each has its turn. */
  pump(connection: number, channel: number, bufferedAmount: number, now: number): PumpAction
  /** The last frame was not taken by the channel. */
  unsend(connection: number): void
  /** One frame of a channel; the pieces of messages in it, in order. Then `poll()` as after handle(). */
  receive(channel: number, frame: ArrayBuffer, text: boolean, now: number): Delivery[]

  /** Counters for tests and for stats(). */
  stats(connection: number): Record<string, number>
  /** Frees the endpoint. Every later call is a no-op that answers null, false or 0. */
  dispose(): void
}
