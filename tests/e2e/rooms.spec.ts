/** Rooms in real browsers: pages that see each other come and go. */
import type { Browser, Page } from '@playwright/test'
import type { PeerOptions, Room } from '../../js/index.js'
import { type Site, expect, person, test } from './site.js'

declare global {
  interface Window { room: Room, told: string[] }
}

/** A page of its own browser context, whose peer is in the room. */
async function guest(browser: Browser, site: Site, id: string, options: PeerOptions = {}): Promise<Page> {
  const page = await person(browser, site, id, options)
  await page.evaluate(async (id) => {
    const room = window.room = window.peer.join('lobby', { metadata: { name: id.toUpperCase() } })
    window.told = []
    room.on('joined', member => window.told.push(`+ ${member.id}`))
    room.on('left', (member, reason) => window.told.push(`- ${member.id} ${reason}`))
    room.on('updated', member => window.told.push(`~ ${member.id}`))
    await room.ready
  }, id)
  return page
}

const here = (page: Page): Promise<string[]> =>
  page.evaluate(() => [...window.room.members.values()].map(({ metadata }) => (metadata as { name: string }).name))
const told = (page: Page): Promise<string[]> => page.evaluate(() => window.told)

test('three pages see each other come, change and go, over different ways', async ({ browser, site }) => {
  const ada = await guest(browser, site, 'ada')
  expect(await here(ada)).toEqual([])
  const bob = await guest(browser, site, 'bob', { signaling: 'sse' })
  const cyd = await guest(browser, site, 'cyd', { signaling: 'polling' })
  await expect.poll(() => told(ada)).toEqual(['+ bob', '+ cyd'])
  expect(await here(cyd)).toEqual(['ADA', 'BOB'])

  await bob.evaluate(() => window.room.update({ name: 'ROBERT' }))
  await expect.poll(() => here(cyd)).toEqual(['ADA', 'ROBERT'])
  await bob.evaluate(() => window.room.leave())
  await expect.poll(() => told(cyd)).toEqual(['~ bob', '- bob left'])

  // The whole browser context goes: nobody calls anything.
  await cyd.context().close()
  await expect.poll(() => here(ada)).toEqual([])
  expect(await told(ada)).toEqual(['+ bob', '+ cyd', '~ bob', '- bob left', expect.stringMatching(/^- cyd (?:gone|lost)$/)])
})

test('a page that is closed or loaded anew is gone at once, and one whose WebSocket breaks is not missed', async ({ browser, site }) => {
  const ada = await guest(browser, site, 'ada')
  const bob = await guest(browser, site, 'bob')
  await expect.poll(() => told(ada)).toEqual(['+ bob'])
  site.blockWebSockets()
  await expect.poll(() => site.came.has('sse ada') && site.came.has('sse bob')).toBe(true)
  await bob.waitForFunction(() => window.peer.open)
  await bob.evaluate(() => window.room.update({ name: 'still here' }))
  await expect.poll(() => here(ada)).toEqual(['still here'])
  expect(await told(ada)).toEqual(['+ bob', '~ bob'])

  await bob.reload()
  await expect.poll(() => told(ada)).toEqual(['+ bob', '~ bob', '- bob gone'])
})

test('members connect to each other by their ids', async ({ browser, site }) => {
  const ada = await guest(browser, site, 'ada')
  const bob = await guest(browser, site, 'bob')
  await bob.evaluate(async () => {
    const [member] = window.room.members.keys()
    const conn = window.peer.connect(member!)
    await new Promise<void>(resolve => conn.on('open', () => resolve()))
    await conn.send('hello')
  })
  await ada.waitForFunction(() => window.arrived.includes('hello'))
})
