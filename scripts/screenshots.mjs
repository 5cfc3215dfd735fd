// Takes the pictures of the documentation from the built demo: docs/images/*.png.
//
//   node scripts/screenshots.mjs [folder]
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { chromium } from '@playwright/test'
import { ensure, root } from './outputs.mjs'

const folder = process.argv[2] ?? join(root, 'docs/images')
mkdirSync(folder, { recursive: true })
ensure('demo')

const port = 4173
const origin = `http://localhost:${port}`
const server = spawn(process.execPath, [join(root, 'demo-nuxt/.output/server/index.mjs')], {
  env: { ...process.env, PORT: String(port), NITRO_PORT: String(port) }, stdio: ['ignore', 'pipe', 'inherit'],
})
await new Promise((resolve, reject) => {
  server.stdout.on('data', text => String(text).includes('Listening') && resolve())
  server.once('exit', code => reject(new Error(`the demo's server ended with ${code}`)))
})

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
})
const desktop = { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1 }
const phone = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1, isMobile: true, hasTouch: true }

async function person(name, url, options) {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'], acceptDownloads: true, ...options })
  const page = await context.newPage()
  await page.goto(url)
  await page.getByTestId('name-input').fill(name)
  await page.getByTestId('start').click()
  await page.locator('[data-testid=signal-state][data-state=open]').waitFor()
  return page
}
const say = async (page, text) => {
  await page.getByTestId('chat-input').fill(text)
  await page.getByTestId('chat-input').press('Enter')
}
const heard = (page, text) => page.getByTestId('chat-message').filter({ hasText: text }).waitFor()
const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) })

try {
  for (const [colorScheme, one, other] of [['light', 'Ada', 'Grace'], ['dark', 'Alan', 'Barbara']]) {
    const start = await browser.newPage({ ...desktop, colorScheme })
    await start.goto(origin)
    await start.getByTestId('name-input').waitFor()
    await shot(start, `start-${colorScheme}`)
    await start.close()

    const ada = await person(one, origin, { ...desktop, colorScheme })
    const grace = await person(other, await ada.getByTestId('invite-link').inputValue(), { ...phone, colorScheme })
    await ada.locator('[data-testid=connection-state][data-state=open]').first().waitFor()
    await say(ada, `Hi ${other}! No server sees this.`)
    await heard(grace, 'No server sees this.')
    await say(grace, 'Straight from my browser to yours? Send me the film!')
    await heard(ada, 'Send me the film!')
    await ada.getByTestId('file-input').first().setInputFiles({ name: 'Holiday film.mp4', mimeType: 'video/mp4', buffer: randomBytes(8_000_000) })
    await grace.locator('[data-testid=transfer][data-state=done]').waitFor()
    await ada.locator('[data-testid=transfer][data-state=done]').waitFor()
    await shot(ada, `chat-${colorScheme}`)
    await shot(grace, `chat-phone-${colorScheme}`)

    await ada.getByTestId('call-start').first().click()
    await grace.getByTestId('call-incoming').waitFor()
    await shot(grace, `incoming-phone-${colorScheme}`)
    await grace.getByTestId('call-accept').click()
    for (const page of [ada, grace]) {
      await page.waitForFunction(() => {
        const video = document.querySelector('[data-testid=remote-video]')
        return video && video.videoWidth > 0 && video.currentTime > 1
      })
    }
    await shot(ada, `call-${colorScheme}`)
    await shot(grace, `call-phone-${colorScheme}`)
    await ada.context().close()
    await grace.context().close()
  }
}
finally {
  await browser.close()
  server.kill()
}
