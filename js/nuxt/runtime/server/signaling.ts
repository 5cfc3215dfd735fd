import { useRuntimeConfig } from '#imports'
import { createSignalingServer } from 'peerbridge/server'
import type { SignalingServer } from 'peerbridge/server'
import type { PrivatePeerbridgeConfig, PublicPeerbridgeConfig } from 'peerbridge/nuxt'

const slot = Symbol.for('peerbridge:signaling')
/** Outlives this module: a reload that keeps the process must not part those who are connected from those who come. */
const shared = globalThis as { [key: symbol]: { config: string, server: SignalingServer } | undefined }

function signaling(): SignalingServer {
  const { public: { peerbridge }, peerbridge: { server: limits } } = useRuntimeConfig() as unknown as {
    public: { peerbridge: PublicPeerbridgeConfig }
    peerbridge: PrivatePeerbridgeConfig
  }
  const { turn, ...others } = limits
  // Written down for the sake of its variable, which is not set here.
  const options = { ...others, ...(turn?.secret && { turn }), path: peerbridge.path, key: peerbridge.key }
  const config = JSON.stringify(options)
  const running = shared[slot]
  if (running?.config === config) return running.server

  void running?.server.close()
  const server = createSignalingServer(options)
  // Told here, for there is nobody who waits for it to listen.
  // eslint-disable-next-line no-console
  server.hub.ready.catch((error: unknown) => console.error(error instanceof Error ? error.message : error))
  shared[slot] = { config, server }
  return server
}

export default signaling().handler
