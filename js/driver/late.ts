/** What the driver needs once the core is there; loaded together with the core's loader. */
import type { Serializations } from '../peerjs/serializations.js'

export { loadCore } from '../core/load.js'
export { files } from '../files/index.js'
export { readPath } from '../stats.js'
export { Assemblies } from './assembly.js'
export { watchEnvironment } from './environment.js'
export { iterate } from './iterate.js'
export { listen } from './listen.js'
export { Messages } from './messages.js'
export { Relays } from './relays.js'
export { Spare } from './spare.js'
export { PunctualTimer } from './timer.js'
export { Turn } from './turn.js'
export { chooseTransport } from '../signaling/choose.js'
export { Tap } from '../signaling/tap.js'

/** What named serializations make of values: only connections that have one, and those to PeerJS, need it. */
export async function loadSerializations(name: string): Promise<Serializations> {
  const them = await import('../peerjs/serializations.js')
  await them.prepare(name)
  return them
}
