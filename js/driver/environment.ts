import type { CoreInput } from '../core/types.js'

/** Tells what happens around the page until `signal` aborts. Without a window it tells nothing. */
export function watchEnvironment(feed: (input: CoreInput & { type: 'network' | 'page-hide' }) => void, signal: AbortSignal): void {
  if (typeof window === 'undefined' || typeof window.addEventListener !== 'function') return
  const on = (target: EventTarget | undefined, name: string, heard: (event: Event) => void): void =>
    target?.addEventListener?.(name, heard, { signal })
  const network = (change: 'online' | 'offline' | 'changed' | 'resumed') => () => feed({ type: 'network', change })

  on(window, 'online', network('online'))
  on(window, 'offline', network('offline'))
  // Missing in Firefox and Safari; there ICE notices by itself, a little later. The event also tells every new estimate
  // of rtt, downlink and effectiveType. Those say how fast the path is and not which: a question with little time to
  // answer, asked just when the network got slow, would take a slow path for a lost one. So only another `type` counts.
  // Chromium has it where networks come and go, on Android and ChromeOS; elsewhere it is undefined. 'none' is what
  // 'offline' says.
  const connection = (globalThis.navigator as { connection?: EventTarget & { type?: string } } | undefined)?.connection
  let type = connection?.type
  on(connection, 'change', () => {
    const now = connection!.type
    if (now === type || now === 'none') return
    type = now
    feed({ type: 'network', change: 'changed' })
  })
  const resumed = network('resumed')
  on(window.document, 'visibilitychange', () => {
    if (window.document.visibilityState === 'visible') resumed()
  })
  // A hidden page that was frozen runs on without becoming visible (Page Lifecycle). Before 'freeze' there is nothing to
  // tell: no timer of ours runs until 'resume'.
  on(window.document, 'resume', resumed)
  on(window, 'pageshow', event => {
    if ((event as PageTransitionEvent).persisted) resumed()
  })
  on(window, 'pagehide', () => feed({ type: 'page-hide' }))
}
