import { defineNuxtPlugin, useRuntimeConfig } from '#imports'
import { providePeerDefaults } from 'peerbridge/vue'
import type { PublicPeerbridgeConfig } from 'peerbridge/nuxt'
import { peerDefaults } from './peerDefaults.js'

export default defineNuxtPlugin({
  name: 'peerbridge',
  setup(nuxtApp) {
    const config = useRuntimeConfig() as unknown as { public: { peerbridge: PublicPeerbridgeConfig }, app: { baseURL: string } }
    providePeerDefaults(nuxtApp.vueApp, peerDefaults(config.public.peerbridge, config.app.baseURL, window.location))
  },
})
