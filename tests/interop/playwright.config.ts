import process from 'node:process'
import { defineConfig } from '@playwright/test'
import base from '../../playwright.config.js'
import type { Engine } from './world.js'

/** As everywhere, but for what is here: see docs/peerjs.md. In Firefox `npm test` plays what depends on a browser. */
export default defineConfig<object, Engine>({
  ...base, testDir: import.meta.dirname, outputDir: '../../test-results/interop',
  projects: [
    { name: 'chromium' },
    {
      name: 'firefox', use: { engine: 'firefox' }, testMatch: 'matrix.spec.ts',
      ...!process.env.INTEROP_FULL && { grep: /binary: what arrives|many small|seen alike .* at peerbridge|calls: peer(bridge to peerjs|js to peerbridge) at peerbridge|never got a second/ },
    },
  ],
})
