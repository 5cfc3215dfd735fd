import { hasInjectionContext, inject } from 'vue'
import type { App, InjectionKey } from 'vue'
import type { PeerOptions } from '../peer.js'

/** What an application wants every peer to start from; the caller's own options win. */
export type PeerDefaults = Partial<PeerOptions>

// Registered, not unique: an application whose bundle holds this package twice (linked and installed, or two chunks of a
// dev server) must still find what the other copy provided.
const key: InjectionKey<PeerDefaults> = Symbol.for('peerbridge:defaults')

/**
 * Gives every `usePeer()` of this app its defaults, e.g. which signaling server to talk to. The Nuxt module calls it with
 * the address of the application's own endpoint.
 *
 * @example
 * const app = createApp(App)
 * providePeerDefaults(app, { host: 'signal.example.org', secure: true, port: 443 })
 */
export function providePeerDefaults(app: App, defaults: PeerDefaults): void {
  app.provide(key, defaults)
}

/** The defaults of the current app; an empty object where there are none, or no app (a bare effect scope). */
export function injectPeerDefaults(): PeerDefaults {
  return hasInjectionContext() ? inject(key, {}) : {}
}
