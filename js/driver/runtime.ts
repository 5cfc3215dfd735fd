import { loadCore } from '../core/load.js'
import { messageOf, PeerError } from '../errors.js'
import type { Runtime } from './driver.js'

/** Where the core comes from, when it shall not be the one inside the package. */
export type CoreSource = string | URL | BufferSource | WebAssembly.Module

/** Loads what the first screen of an application can do without: the core, and the value codec beside it. */
export async function loadRuntime(wasm?: CoreSource): Promise<Runtime> {
  const codec = import('../values/index.js').catch((cause: unknown) => {
    throw new PeerError('core-unavailable', `A part of peerbridge could not be loaded (${messageOf(cause)}). Was the site deployed anew while this page was open? Reload the page.`, { cause })
  })
  const [core, values] = await Promise.all([loadCore(wasm === undefined ? {} : { wasm }), codec])
  return { create: (config, now) => core.create(config, now), values }
}
