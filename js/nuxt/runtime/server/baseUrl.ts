import { defineEventHandler, defineNitroPlugin, useRuntimeConfig } from '#imports'
import type { PublicPeerbridgeConfig } from 'peerbridge/nuxt'

/**
 * Makes the WebSocket reachable below `app.baseURL`. h3 1.x takes the hooks of an upgrade from the first layer whose route
 * is a prefix of the address, and below a base URL that is any middleware, Nitro's own for public files for one. So a layer
 * that only knows about upgrades goes in front; HTTP passes through it.
 */
export default defineNitroPlugin(({ h3App }) => {
  const config = useRuntimeConfig() as unknown as { public: { peerbridge: PublicPeerbridgeConfig }, app: { baseURL: string } }
  const { baseURL } = config.app
  if (baseURL === '/') return
  h3App.use(
    `${baseURL}${config.public.peerbridge.path}`.replace(/\/{2,}/g, '/'),
    Object.assign(defineEventHandler(() => undefined), {
      __resolve__: async () => ({ handler: (await import('./signaling.js')).default as never }),
    }),
  )
  const [last] = h3App.stack.splice(-1)
  if (last) h3App.stack.unshift(last)
})
