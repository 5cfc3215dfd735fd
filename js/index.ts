export { Peer, Peer as default } from './peer.js'
export type {
  CallOptions, ConnectOptions, PeerEvents, PeerOptions, ReconnectOptions, ResolvedPeerOptions,
} from './peer.js'
// As PeerJS calls them.
export type { CallOptions as CallOption, ConnectOptions as PeerConnectOption, PeerOptions as PeerJSOption } from './peer.js'
export type { AnswerOptions as AnswerOption } from './media-connection.js'
export type { ConnectionEvents } from './connection.js'
export {
  DataConnection, type DataConnectionEvents, type RequestHandler, type RequestOptions, type SendOptions,
} from './data-connection.js'
export type { ChannelOptions, PeerChannel, PeerChannelEvents } from './driver/channels.js'
export { type AnswerOptions, MediaConnection, type MediaConnectionEvents } from './media-connection.js'
export {
  type AcceptOptions, type SendFileOptions, Transfer, type TransferEvents, type TransferSink, type TransferSource,
} from './transfer.js'
export {
  type JoinOptions, Room, type RoomEvents, type RoomLeaveReason, type RoomMember, type RoomState,
} from './room.js'
export type { ConnectionStats, Path } from './stats.js'
export type { ConnectionState, CoreLimits as PeerLimits, CoreTimers as PeerTimers, PeerState, TransferState, WireProtocol } from './core/types.js'
export { PeerError, type PeerErrorCode, type PeerErrorInfo } from './errors.js'
export {
  BaseConnectionErrorType, ConnectionType, DataConnectionErrorType, PeerErrorType, SerializationType, ServerMessageType,
  SocketEventType,
} from './enums.js'
export { type Supports, type Supports as UtilSupportsObj, util } from './peerjs/util.js'
export {
  broadcastChannel, type BroadcastChannelOptions, custom, type CustomMessage, type CustomOptions, manual, type ManualOptions,
  type ManualTransport,
} from './signaling/index.js'
export * as signaling from './signaling/index.js'
export type { SignalingChannel, SignalingHandlers, SignalingTransport } from './signaling/index.js'
export { BufferedConnection, MsgPack, MsgPackPeer, StreamConnection } from './peerjs/connections.js'
export type { Serializer, SerializerClass, Serializers, Serializers as SerializerMapping } from './peerjs/serializations.js'
export { version } from './version.js'
