import type { CoreInput } from '../core/types.js'

/** Tells what happens around the page until `signal` aborts. Without a window it tells nothing. */
export function watchEnvironment(feed: (input: CoreInput) => void, signal: AbortSignal): void {
  if (typeof window === 'undefined' || typeof window.addEventListener !== 'function') return
  const on = (target: EventTarget | undefined, name: string, heard: (event: Event) => void): void =>
    target?.addEventListener?.(name, heard, { signal })
  const network = (change: 'online' | 'offline' | 'changed' | 'resumed') => () => feed({ type: 'network', change })

  on(window, 'online', network('online'))
  on(window, 'offline', network('offline'))
  // Missing in Firefox and Safari; there ICE notices by itself, a little later.
  on((globalThis.navigator as { connection?: EventTarget } | undefined)?.connection, 'change', network('changed'))
  const resumed = network('resumed')
  on(window.document, 'visibilitychange', () => {
    if (window.document.visibilityState === 'visible') resumed()
  })
  on(window, 'pageshow', event => {
    if ((event as PageTransitionEvent).persisted) resumed()
  })
  on(window, 'pagehide', () => feed({ type: 'page-hide' }))
}
