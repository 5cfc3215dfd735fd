/**
 * The scenarios of the Web Platform Tests below webrtc/, through our driver and core instead of a hand-written
 * negotiation, in a real browser. A scenario that has a counterpart there carries its name.
 */
import { test as base, expect } from '@playwright/test'
import type { Page } from '@playwright/test'
import { open } from './wpt/bundle.js'
import { groups } from './wpt/scenarios/index.js'

/** One page for all of them, until one fails: then the next ones get a fresh worker with a fresh page. */
const test = base.extend<object, { stage: Page }>({
  stage: [async ({ browser }, use) => {
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] })
    const page = await context.newPage()
    await open(page, 'page.ts')
    await use(page)
    await context.close()
  }, { scope: 'worker' }],
})

for (const [group, scenarios] of Object.entries(groups)) {
  test.describe(group, () => {
    for (const { title } of scenarios) {
      test(title, async ({ stage }) => {
        const problem = await stage.evaluate(title => (globalThis as unknown as { run(title: string): Promise<void> }).run(title)
          .then(() => '', (error: Error) => String(error.stack)), title)
        expect(problem, problem).toBe('')
      })
    }
  })
}
