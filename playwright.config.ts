import process from 'node:process'
import { defineConfig } from '@playwright/test'

export default defineConfig({
  testDir: 'tests/e2e',
  outputDir: 'test-results',
  // Every test has its own server and its own browsers' contexts, but two cores carry only so many calls at once.
  workers: 1,
  timeout: 90_000,
  expect: { timeout: 20_000 },
  // A test that passes only sometimes is a bug in it or in the product. In CI a second try keeps the rest from waiting for
  // it, and `npm test` names it at the end.
  retries: process.env.CI ? 1 : 0,
  forbidOnly: !!process.env.CI,
  reporter: 'list',
  use: {
    browserName: 'chromium',
    viewport: { width: 1280, height: 800 },
    launchOptions: {
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',
        '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
        '--autoplay-policy=no-user-gesture-required',
        // Documents that a test answers itself come from no address, and may then not talk to this machine's.
        '--disable-features=LocalNetworkAccessChecks',
      ],
    },
  },
})
