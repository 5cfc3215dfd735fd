/**
 * What an application may use without an import. A list, and not a look into the package while the application is built:
 * it is the same in every version of Node, and tests/nuxt compares it with what the package exports.
 */
const names = {
  'peerbridge': [
    'Peer', 'DataConnection', 'MediaConnection', 'Room', 'Transfer', 'PeerError', 'util',
    'ConnectionType', 'PeerErrorType', 'BaseConnectionErrorType', 'DataConnectionErrorType', 'SerializationType',
    'SocketEventType', 'ServerMessageType',
  ],
  'peerbridge/vue': ['usePeer', 'useDataConnection', 'useCall', 'useRoom', 'useTransfer'],
} as const

export const imports = Object.entries(names).flatMap(([from, list]) => list.map(name => ({ name, from })))

export const components = ['PeerVideo'].map(name => ({ name, export: name, filePath: 'peerbridge/vue' }))

/** The same in the application's server. */
export const serverImports = [{ name: 'definePeerbridgeServer', from: 'peerbridge/server' }]
