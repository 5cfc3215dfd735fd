import { useRuntimeConfig } from '#imports'
import own from '#peerbridge/options'
import { createSignalingServer } from 'peerbridge/server'
import type { SignalingServer } from 'peerbridge/server'
import type { PrivatePeerbridgeConfig, PublicPeerbridgeConfig } from 'peerbridge/nuxt'
import { run, running } from './running.js'

function signaling(): SignalingServer {
  const { public: { peerbridge }, peerbridge: { server: limits } } = useRuntimeConfig() as unknown as {
    public: { peerbridge: PublicPeerbridgeConfig }
    peerbridge: PrivatePeerbridgeConfig
  }
  const { turn, ...others } = limits
  // Written down for the sake of its variable, which is not set here.
  const options = { ...others, ...(turn?.secret && { turn }), path: peerbridge.path, key: peerbridge.key }
  const config = JSON.stringify(options)
  const before = running()
  if (before?.config === config && before.own === own) return before.server

  void before?.server.close()
  const server = createSignalingServer({ ...options, ...(typeof own === 'function' ? own() : own), path: options.path, key: options.key })
  // Told here, for there is nobody who waits for it to listen.
  // eslint-disable-next-line no-console
  server.hub.ready.catch((error: unknown) => console.error(error instanceof Error ? error.message : error))
  run({ server, config, own })
  return server
}

export default signaling().handler
