// The names that PeerJS exports. Objects rather than TypeScript enums: nothing runs, unused ones vanish.

export const ConnectionType = { Data: 'data', Media: 'media' } as const
export type ConnectionType = (typeof ConnectionType)[keyof typeof ConnectionType]

export const PeerErrorType = {
  BrowserIncompatible: 'browser-incompatible',
  Disconnected: 'disconnected',
  InvalidID: 'invalid-id',
  InvalidKey: 'invalid-key',
  Network: 'network',
  PeerUnavailable: 'peer-unavailable',
  SslUnavailable: 'ssl-unavailable',
  ServerError: 'server-error',
  SocketError: 'socket-error',
  SocketClosed: 'socket-closed',
  UnavailableID: 'unavailable-id',
  WebRTC: 'webrtc',
} as const
export type PeerErrorType = (typeof PeerErrorType)[keyof typeof PeerErrorType]

export const BaseConnectionErrorType = {
  NegotiationFailed: 'negotiation-failed',
  ConnectionClosed: 'connection-closed',
} as const
export type BaseConnectionErrorType = (typeof BaseConnectionErrorType)[keyof typeof BaseConnectionErrorType]

/** `MessageToBig` is spelled as in PeerJS. */
export const DataConnectionErrorType = { NotOpenYet: 'not-open-yet', MessageToBig: 'message-too-big' } as const
export type DataConnectionErrorType = (typeof DataConnectionErrorType)[keyof typeof DataConnectionErrorType]

export const SerializationType = { Binary: 'binary', BinaryUTF8: 'binary-utf8', JSON: 'json', None: 'raw' } as const
export type SerializationType = (typeof SerializationType)[keyof typeof SerializationType]

export const SocketEventType = {
  Message: 'message', Disconnected: 'disconnected', Error: 'error', Close: 'close',
} as const
export type SocketEventType = (typeof SocketEventType)[keyof typeof SocketEventType]

export const ServerMessageType = {
  Heartbeat: 'HEARTBEAT', Candidate: 'CANDIDATE', Offer: 'OFFER', Answer: 'ANSWER', Open: 'OPEN', Error: 'ERROR',
  IdTaken: 'ID-TAKEN', InvalidKey: 'INVALID-KEY', Leave: 'LEAVE', Expire: 'EXPIRE',
} as const
export type ServerMessageType = (typeof ServerMessageType)[keyof typeof ServerMessageType]
