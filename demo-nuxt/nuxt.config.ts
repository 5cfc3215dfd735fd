export default defineNuxtConfig({
  // Nothing else is needed: the module imports usePeer() by itself and serves its signaling at /api/signal.
  modules: ['peerbridge/nuxt'],
  css: ['~/assets/main.css'],
  compatibilityDate: '2026-01-01',
  app: {
    head: {
      title: 'peerbridge',
      htmlAttrs: { lang: 'en' },
      meta: [
        { name: 'viewport', content: 'width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content' },
        { name: 'description', content: 'Chat, files and calls, straight from browser to browser.' },
        { name: 'theme-color', media: '(prefers-color-scheme: light)', content: '#f6f7f6' },
        { name: 'theme-color', media: '(prefers-color-scheme: dark)', content: '#101413' },
      ],
      link: [{ rel: 'icon', type: 'image/svg+xml', href: '/favicon.svg' }],
    },
  },
})
