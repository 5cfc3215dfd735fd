export { peerServer, type PeerServerLocation } from './peer-server.js'
export type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'
