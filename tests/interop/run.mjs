// npm run interop: the full matrix of PeerJS and peerbridge (what `npm test` plays is a part of it). Arguments go to Playwright.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { ensure, root } from '../../scripts/outputs.mjs'

ensure('library')
const { status } = spawnSync(process.execPath, [
  join(root, 'node_modules/@playwright/test/cli.js'), 'test', '--config', join(root, 'tests/interop/playwright.config.ts'), ...process.argv.slice(2),
], { cwd: root, stdio: 'inherit', env: { ...process.env, INTEROP_FULL: '1' } })
process.exitCode = status ?? 1
