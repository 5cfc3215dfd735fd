import base from '../../playwright.config.js'

/** As everywhere, but for what is here: see docs/peerjs.md. */
export default { ...base, testDir: import.meta.dirname, outputDir: '../../test-results/interop' }
