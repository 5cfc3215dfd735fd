/** Real glare, in two pages: offers that cross, two hundred times, with every pairing of what the two sides want. */
import { expect, test } from '@playwright/test'
import type { Page } from '@playwright/test'
import { open } from './wpt/bundle.js'

interface Side {
  arrive(id: string): Promise<void>
  begin(to: string): Promise<void>
  play(rounds: number, polite: boolean): Promise<string[]>
}

/** Calls a function of the page. */
const ask = <K extends keyof Side>(page: Page, name: K, ...args: Parameters<Side[K]>): ReturnType<Side[K]> =>
  page.evaluate(([name, args]) => (globalThis as any)[name](...args), [name, args] as const) as ReturnType<Side[K]>

test('two hundred rounds of glare end stable, with every track seen, nothing rejected and nothing unhandled', async ({ browser }) => {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'] })
  const [ada, bob] = [await context.newPage(), await context.newPage()] as [Page, Page]
  for (const page of [ada, bob]) await open(page, 'glare-page.ts')
  await Promise.all([ask(ada, 'arrive', 'ada'), ask(bob, 'arrive', 'bob')])
  // In a new call now and then: one track after the other makes one media section after the other.
  for (let call = 0; call < 8; call++) {
    await (call % 2 ? ask(ada, 'begin', 'bob') : ask(bob, 'begin', 'ada'))
    const problems = await Promise.all([ask(ada, 'play', 25, true), ask(bob, 'play', 25, false)])
    expect(problems).toEqual([[], []])
  }
  await context.close()
})
