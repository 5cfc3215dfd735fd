import { messageOf, PeerError } from '../errors.js'
import type { Runtime } from './driver.js'

/** Where the core comes from, when it shall not be the one inside the package. */
export type CoreSource = string | URL | BufferSource | WebAssembly.Module

/**
 * Loads what the first screen of an application can do without: the core, and the value codec beside it.
 * @throws {PeerError} `core-unavailable`, with what to do about it
 */
export async function loadRuntime(wasm?: CoreSource): Promise<Runtime> {
  const [late, values] = await Promise.all([part(import('./late.js')), part(import('../values/index.js'))])
  const core = await late.loadCore(wasm === undefined ? {} : { wasm })
  return {
    create: (config, now) => core.create(config, now),
    values,
    watch: late.watchEnvironment,
    timer: fire => new late.PunctualTimer(fire),
    spare: rtc => new late.Spare(rtc),
  }
}

const part = <T>(chunk: Promise<T>): Promise<T> => chunk.catch((cause: unknown) => {
  throw new PeerError('core-unavailable', `A part of peerbridge could not be loaded (${messageOf(cause)}). `
    + 'If the site was deployed anew since this page was opened, reloading the page helps; otherwise check that all files of the build are served.', { cause })
})
