/** The ways to the signaling server in a real browser: WebSocket, event stream, polls. */
import type { Page } from '@playwright/test'
import { Site, expect, person, test } from './site.js'

/** Connects from one page to the other, and says something. */
async function talk(from: Page, to: Page, dst: string, text: string): Promise<void> {
  await from.evaluate(async ([dst, text]) => {
    const conn = window.peer.connect(dst)!
    await new Promise<void>((resolve, reject) => {
      conn.on('open', resolve)
      conn.on('error', reject)
    })
    await conn.send(text)
    await conn.delivered()
  }, [dst, text] as const)
  await to.waitForFunction(text => window.arrived.includes(text), text)
  expect(await to.evaluate(text => window.arrived.filter(heard => heard === text).length, text)).toBe(1)
}

for (const [signaling, kind] of [['polling', 'poll'], ['sse', 'sse'], ['peerserver', 'ws']] as const) {
  test(`two pages connect over ${signaling} alone`, async ({ browser, site }) => {
    const ada = await person(browser, site, 'ada', { signaling })
    const bob = await person(browser, site, 'bob', { signaling })
    await talk(ada, bob, 'bob', 'hello bob')
    await talk(bob, ada, 'ada', 'hello ada')
    expect([...site.came].sort()).toEqual([`${kind} ada`, `${kind} bob`])
  })
}

test('two pages connect over polls of a server that holds none, as a serverless host', async ({ browser }) => {
  const site = await Site.start({ poll_timeout: 0 })
  const ada = await person(browser, site, 'ada', { signaling: 'polling' })
  const bob = await person(browser, site, 'bob', { signaling: 'polling' })
  await talk(ada, bob, 'bob', 'hello bob')
  await site.close()
})

test('where WebSockets are refused an event stream is found, and where that is too, polls', async ({ browser, site }) => {
  site.blocked.add('ws')
  const ada = await person(browser, site, 'ada')
  expect([...site.came]).toEqual(['ws ada', 'sse ada'])
  site.blocked.add('sse')
  const bob = await person(browser, site, 'bob')
  expect([...site.came]).toContain('poll bob')
  await talk(ada, bob, 'bob', 'hello bob')
})

test('a session moves from WebSocket to an event stream, and connections are made all the time', async ({ browser, site }) => {
  const ada = await person(browser, site, 'ada')
  const bob = await person(browser, site, 'bob')
  await talk(ada, bob, 'bob', 'over WebSocket')
  site.blockWebSockets()
  await talk(ada, bob, 'bob', 'while it moves')
  await expect.poll(() => [...site.came]).toContain('sse ada')
  await ada.waitForFunction(() => window.peer.open)
  await talk(bob, ada, 'ada', 'over an event stream')
})

test('a page that is closed frees its id at once, over each of them', async ({ browser, site }) => {
  for (const signaling of ['peerserver', 'sse', 'polling'] as const) {
    const ada = await person(browser, site, 'ada', { signaling })
    expect(site.app.hub.has('ada')).toBe(true)
    await ada.close({ runBeforeUnload: true })
    await expect.poll(() => site.app.hub.has('ada')).toBe(false)
    const next = await person(browser, site, 'ada', { signaling, token: `another-${signaling}` })
    await next.evaluate(() => window.peer.destroy())
    await expect.poll(() => site.app.hub.has('ada')).toBe(false)
  }
})
