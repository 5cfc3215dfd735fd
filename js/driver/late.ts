/** What the driver needs once the core is there; loaded together with the core's loader. */
export { loadCore } from '../core/load.js'
export { files } from '../files/index.js'
export { readPath } from '../stats.js'
export { watchEnvironment } from './environment.js'
export { iterate } from './iterate.js'
export { Messages } from './messages.js'
export { Spare } from './spare.js'
export { PunctualTimer } from './timer.js'
