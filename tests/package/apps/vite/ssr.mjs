// Every entry in plain Node, as a server that renders pages does it. If our files read something of the browser during
// import or rendering, they are found out; Vue itself looks, carefully.
const touched = []
const browser = [
  'window', 'document', 'navigator', 'location', 'localStorage', 'sessionStorage', 'RTCPeerConnection', 'WebSocket',
  'EventSource', 'BroadcastChannel', 'MediaStream',
]
for (const name of browser) {
  Object.defineProperty(globalThis, name, {
    configurable: true,
    get() {
      const caller = new Error().stack.split('\n')[2]
      if (/node_modules[\\/]peerbridge[\\/]/.test(caller)) touched.push(`${name} ${caller.trim()}`)
      return undefined
    },
  })
}

const { Peer, PeerError, default: same } = await import('peerbridge')
const { usePeer } = await import('peerbridge/vue')
const { createSignalingServer, createTurnCredentials } = await import('peerbridge/server')
const { createSSRApp, h } = await import('vue')
const { renderToString } = await import('vue/server-renderer')

const html = await renderToString(createSSRApp({
  setup() {
    const { state, id } = usePeer('me')
    return () => h('p', [state.value, ' ', String(id.value)])
  },
}))

console.log(JSON.stringify({
  touched,
  html,
  same: same === Peer,
  types: [typeof PeerError, typeof createSignalingServer, typeof createTurnCredentials],
  wasm: import.meta.resolve('peerbridge/core.wasm').split('/').pop(),
}))
