import type { PackedCore } from '../core/load.js'
import { messageOf, PeerError } from '../errors.js'
import { noop } from '../events.js'
import type { Runtime } from './driver.js'

/** Where the core comes from, when it shall not be the one inside the package. */
export type CoreSource = string | URL | BufferSource | WebAssembly.Module

/**
 * Loads what the first screen of an application can do without: the core, and the value codec beside it. Everything is
 * asked for before this returns: imports that wait for each other cost a round trip each.
 * @throws {PeerError} `core-unavailable`, with what to do about it
 */
export async function loadRuntime(wasm?: CoreSource): Promise<Runtime> {
  const core = wasm ?? part<Awaited<PackedCore>>(import('../core/generated/wasm.js'))
  const late = part(import('./late.js'))
  const values = part(import('../values/index.js'))
  const {
    chooseTransport, iterate, listen, loadCore, files, loadSerializations, readPath, watchEnvironment,
    Assemblies, Messages, PunctualTimer, Relays, Spare, Tap, Turn,
  } = await late
  const { create } = await loadCore({ wasm: core })
  const tap = new Tap()
  return {
    create, values, serializations: loadSerializations, assemblies: () => new Assemblies(), files, watch: watchEnvironment, path: readPath,
    transport: first => tap.on(chooseTransport(first)),
    join: (peer, room) => tap.join(peer, room),
    timer: fire => new PunctualTimer(fire),
    turn: (flush, soon) => new Turn(flush, soon),
    spare: rtc => new Spare(rtc),
    relays: (options, links) => new Relays(options, links),
    iterate, listen,
    messages: (driver, owner) => new Messages(driver, owner),
  }
}

function part<T>(chunk: Promise<T>): Promise<T> {
  const part = chunk.catch((cause: unknown) => {
    throw new PeerError('core-unavailable', `A part of peerbridge could not be loaded (${messageOf(cause)}). `
      + 'If the site was deployed anew since this page was opened, reloading the page helps; otherwise check that all files of the build are served.', { cause })
  })
  // The first of them that fails is reported; nobody looks at the others then.
  part.catch(noop)
  return part
}
