import { defineNitroPlugin } from '#imports'
import { run, running } from './running.js'

/**
 * Drains the endpoint when the application ends. Nitro's hook `close` is not enough: on Node it is called after Nitro has cut
 * off every WebSocket, so that clients would not be told what was accepted from them, and where it listens by itself (Bun,
 * Deno) it is not called at all. So the signal is heard here as well, before Nitro, which registers later, hears it.
 */
export default defineNitroPlugin(({ hooks }) => {
  let drained: Promise<void> | undefined
  const drain = (): Promise<void> => {
    const server = running()?.server
    // A reload that keeps the process makes another one.
    run(undefined)
    return drained = Promise.all([drained, server?.drain()]).then(() => {})
  }
  hooks.hook('close', drain)
  if (import.meta.dev || typeof process !== 'object' || typeof process.once !== 'function') return
  for (const signal of (process.env.NITRO_SHUTDOWN_SIGNALS || 'SIGTERM SIGINT').split(/\s+/).filter(Boolean)) {
    process.once(signal, () => {
      void drain().finally(() => {
        // Nobody else hears it: without this listener it would have ended the process. Answers that waited leave first.
        if (process.listenerCount(signal) === 0) setTimeout(() => process.exit(0), 100)
      })
    })
  }
})
