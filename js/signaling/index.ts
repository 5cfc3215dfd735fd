export { broadcastChannel, type BroadcastChannelOptions } from './broadcast-channel.js'
export { custom, type CustomMessage, type CustomOptions } from './custom.js'
export { peerServer, type PeerServerLocation } from './peer-server.js'
export type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'
