/**
 * Model against reality. The scenarios of tests/sim/traces, on bare RTCPeerConnections in two pages: the browser still
 * does what tests/sim/traces/chromium.json says, which a native test holds the simulation's model to.
 *
 *   npx playwright test wpt-traces --update-snapshots      writes the file anew
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { open } from './wpt/bundle.js'
import type { Both, Scenario, Seen } from './wpt/trace-page.js'

const folder = join(import.meta.dirname, '../sim/traces')
const file = join(folder, 'chromium.json')
const scenarios = JSON.parse(readFileSync(join(folder, 'scenarios.json'), 'utf8')) as Scenario[]

/** One line a step. */
function write(found: Record<string, Both<Seen>[]>, browser: string): void {
  const traces = Object.entries(found).map(([name, trace]) =>
    `    ${JSON.stringify(name)}: [\n${trace.map(step => `      ${JSON.stringify(step)}`).join(',\n')}\n    ]`)
  writeFileSync(file, `{\n  "browser": ${JSON.stringify(browser)},\n  "traces": {\n${traces.join(',\n')}\n  }\n}\n`)
}

test('Chromium does what the model was compared with', async ({ browser }, { config }) => {
  const context = await browser.newContext({ permissions: ['microphone'] })
  const [a, b] = [await context.newPage(), await context.newPage()]
  for (const page of [a, b]) await open(page, 'trace-page.ts')
  const found = await a.evaluate(scenarios =>
    (globalThis as unknown as { conduct(scenarios: Scenario[]): Promise<Record<string, Both<Seen>[]>> }).conduct(scenarios), scenarios)
  await context.close()
  if (config.updateSnapshots === 'all' || config.updateSnapshots === 'changed') write(found, `Chromium ${browser.version()}`)
  expect(found).toEqual((JSON.parse(readFileSync(file, 'utf8')) as { traces: unknown }).traces)
})
