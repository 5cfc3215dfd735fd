/**
 * What `#peerbridge/options` means while the package itself is type-checked. In an application the module makes it out of
 * server/peerbridge.ts.
 */
import type { PeerbridgeServerOptions } from 'peerbridge/server'

declare const options: PeerbridgeServerOptions | (() => PeerbridgeServerOptions) | undefined
export default options
