/** What goes wrong before anything works: the page says what happened and what to do, and stays alive. */
import type { Page } from '@playwright/test'
import { expect, test } from './demo.js'

async function start(page: Page, url: string, name: string): Promise<void> {
  await page.goto(url)
  await page.getByTestId('name-input').fill(name)
  await page.getByTestId('start').click()
}

test('a browser without WebRTC is told so', async ({ server, page }) => {
  await page.addInitScript(() => {
    for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection']) Reflect.deleteProperty(window, name)
  })
  await start(page, server.origin, 'ada')
  await expect(page.getByText(/browser/i).and(page.getByText(/WebRTC/)).first()).toBeVisible()
})

test('a core that cannot be fetched is told, and the next try succeeds once it can', async ({ server, page }) => {
  await page.goto(server.origin)
  await page.waitForLoadState('networkidle')
  // As after a new deployment: what the page was built with is gone.
  await page.route('**/_nuxt/*.js', route => route.fulfill({ status: 404, body: 'not found' }))
  await page.getByTestId('name-input').fill('ada')
  await page.getByTestId('start').click()
  await expect(page.getByText(/reload/i).first()).toBeVisible()
  await page.unroute('**/_nuxt/*.js')
  await start(page, server.origin, 'ada')
  await expect(page.getByTestId('signal-state')).toHaveAttribute('data-state', 'open')
})

test('a Content-Security-Policy that forbids WebAssembly is named, with what to add', async ({ server, page }) => {
  await page.route('**/*', async (route) => {
    if (route.request().resourceType() !== 'document') return route.continue()
    const response = await route.fetch()
    await route.fulfill({ response, headers: { ...response.headers(), 'content-security-policy': 'script-src \'self\' \'unsafe-inline\'' } })
  })
  await start(page, server.origin, 'ada')
  await expect(page.getByText(/wasm-unsafe-eval/).first()).toBeVisible()
})

test('a strict Content-Security-Policy that allows WebAssembly is enough', async ({ server, page }) => {
  const problems: string[] = []
  page.on('console', message => message.type() === 'error' && problems.push(message.text()))
  await page.route('**/*', async (route) => {
    if (route.request().resourceType() !== 'document') return route.continue()
    const response = await route.fetch()
    await route.fulfill({ response, headers: { ...response.headers(), 'content-security-policy': 'script-src \'self\' \'unsafe-inline\' \'wasm-unsafe-eval\'' } })
  })
  await start(page, server.origin, 'ada')
  await expect(page.getByTestId('signal-state')).toHaveAttribute('data-state', 'open')
  expect(problems).toEqual([])
})

test('an id that is taken and one that is none send people back to choose another', async ({ server, ada, page }) => {
  await ada.arrive(server.origin)
  await start(page, server.origin, 'ada')
  await expect(page.getByText(/taken/i).first()).toBeVisible()
  await page.getByTestId('name-input').fill('-no-')
  await page.getByTestId('start').click()
  await expect(page.getByText(/letters/i).first()).toBeVisible()
  await page.getByTestId('name-input').fill('bob')
  await page.getByTestId('start').click()
  await expect(page.getByTestId('signal-state')).toHaveAttribute('data-state', 'open')
})

test('a peer that is not there is told by name', async ({ server, ada }) => {
  await ada.arrive(server.origin)
  await ada.at('peer-input').fill('nobody')
  await ada.at('connect').click()
  await expect(ada.page.getByText(/nobody/).first()).toBeVisible()
  await expect(ada.at('error').first()).toContainText('nobody')
})

test('who closes the page is gone for the other within seconds', async ({ connected: { ada, bob } }) => {
  await bob.page.close()
  await ada.seesConnection('closed')
})
