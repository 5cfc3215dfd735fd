// The names that PeerJS exports. Objects rather than TypeScript enums: nothing runs, unused ones vanish. The namespaces hold
// types only, so that a member of one can stand where a type does, as that of an enum can.
/* eslint-disable @typescript-eslint/no-namespace */

export const ConnectionType = { Data: 'data', Media: 'media' } as const
export type ConnectionType = (typeof ConnectionType)[keyof typeof ConnectionType]
export declare namespace ConnectionType {
  export type Data = typeof ConnectionType.Data
  export type Media = typeof ConnectionType.Media
}

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
export declare namespace PeerErrorType {
  export type BrowserIncompatible = typeof PeerErrorType.BrowserIncompatible
  export type Disconnected = typeof PeerErrorType.Disconnected
  export type InvalidID = typeof PeerErrorType.InvalidID
  export type InvalidKey = typeof PeerErrorType.InvalidKey
  export type Network = typeof PeerErrorType.Network
  export type PeerUnavailable = typeof PeerErrorType.PeerUnavailable
  export type SslUnavailable = typeof PeerErrorType.SslUnavailable
  export type ServerError = typeof PeerErrorType.ServerError
  export type SocketError = typeof PeerErrorType.SocketError
  export type SocketClosed = typeof PeerErrorType.SocketClosed
  export type UnavailableID = typeof PeerErrorType.UnavailableID
  export type WebRTC = typeof PeerErrorType.WebRTC
}

export const BaseConnectionErrorType = {
  NegotiationFailed: 'negotiation-failed',
  ConnectionClosed: 'connection-closed',
} as const
export type BaseConnectionErrorType = (typeof BaseConnectionErrorType)[keyof typeof BaseConnectionErrorType]
export declare namespace BaseConnectionErrorType {
  export type NegotiationFailed = typeof BaseConnectionErrorType.NegotiationFailed
  export type ConnectionClosed = typeof BaseConnectionErrorType.ConnectionClosed
}

/** `MessageToBig` is spelled as in PeerJS. */
export const DataConnectionErrorType = { NotOpenYet: 'not-open-yet', MessageToBig: 'message-too-big' } as const
export type DataConnectionErrorType = (typeof DataConnectionErrorType)[keyof typeof DataConnectionErrorType]
export declare namespace DataConnectionErrorType {
  export type NotOpenYet = typeof DataConnectionErrorType.NotOpenYet
  export type MessageToBig = typeof DataConnectionErrorType.MessageToBig
}

export const SerializationType = { Binary: 'binary', BinaryUTF8: 'binary-utf8', JSON: 'json', None: 'raw' } as const
export type SerializationType = (typeof SerializationType)[keyof typeof SerializationType]
export declare namespace SerializationType {
  export type Binary = typeof SerializationType.Binary
  export type BinaryUTF8 = typeof SerializationType.BinaryUTF8
  export type JSON = typeof SerializationType.JSON
  export type None = typeof SerializationType.None
}

export const SocketEventType = {
  Message: 'message', Disconnected: 'disconnected', Error: 'error', Close: 'close',
} as const
export type SocketEventType = (typeof SocketEventType)[keyof typeof SocketEventType]
export declare namespace SocketEventType {
  export type Message = typeof SocketEventType.Message
  export type Disconnected = typeof SocketEventType.Disconnected
  export type Error = typeof SocketEventType.Error
  export type Close = typeof SocketEventType.Close
}

export const ServerMessageType = {
  Heartbeat: 'HEARTBEAT', Candidate: 'CANDIDATE', Offer: 'OFFER', Answer: 'ANSWER', Open: 'OPEN', Error: 'ERROR',
  IdTaken: 'ID-TAKEN', InvalidKey: 'INVALID-KEY', Leave: 'LEAVE', Expire: 'EXPIRE',
} as const
export type ServerMessageType = (typeof ServerMessageType)[keyof typeof ServerMessageType]
export declare namespace ServerMessageType {
  export type Heartbeat = typeof ServerMessageType.Heartbeat
  export type Candidate = typeof ServerMessageType.Candidate
  export type Offer = typeof ServerMessageType.Offer
  export type Answer = typeof ServerMessageType.Answer
  export type Open = typeof ServerMessageType.Open
  export type Error = typeof ServerMessageType.Error
  export type IdTaken = typeof ServerMessageType.IdTaken
  export type InvalidKey = typeof ServerMessageType.InvalidKey
  export type Leave = typeof ServerMessageType.Leave
  export type Expire = typeof ServerMessageType.Expire
}
