/** The demo's page for two people whose network has no server: two QR codes, from screen to camera. */
import type { Browser, Page } from '@playwright/test'
import { decodeQR } from 'qr/decode.js'
import { type DemoServer, expect, Person, test } from './demo.js'

/** The code on this page as it is drawn, 240 pixels square, one character each: 1 is dark. */
async function pixels(page: Page): Promise<string> {
  return page.getByTestId('code-qr').evaluate(async (svg) => {
    const copy = svg.cloneNode(true) as SVGElement
    copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
    copy.setAttribute('width', '240')
    copy.setAttribute('height', '240')
    const image = new Image()
    image.src = `data:image/svg+xml,${encodeURIComponent(copy.outerHTML)}`
    await image.decode()
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = 240
    const context = canvas.getContext('2d')!
    context.drawImage(image, 0, 0)
    const { data } = context.getImageData(0, 0, 240, 240)
    let dark = ''
    for (let at = 0; at < data.length; at += 4) dark += data[at]! < 128 ? '1' : '0'
    return dark
  })
}

async function shown(page: Page): Promise<string> {
  await page.getByTestId('code-qr').waitFor()
  const dark = await pixels(page)
  const data = new Uint8ClampedArray(4 * dark.length).fill(255)
  for (let at = 0; at < dark.length; at++) if (dark[at] === '1') data.fill(0, 4 * at, 4 * at + 3)
  return decodeQR({ width: 240, height: 240, data })
}

/** From now on the camera of `page` is held in front of the screen of `other`. */
async function pointCamera(page: Page, other: Page): Promise<void> {
  await page.evaluate((dark) => {
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = 640
    const context = canvas.getContext('2d')!
    const draw = (): void => {
      context.fillStyle = '#fff'
      context.fillRect(0, 0, 640, 640)
      context.fillStyle = '#000'
      for (let at = 0; at < dark.length; at++) if (dark[at] === '1') context.fillRect(80 + 2 * (at % 240), 80 + 2 * Math.floor(at / 240), 2, 2)
    }
    draw()
    // A camera goes on sending pictures.
    setInterval(draw, 200)
    navigator.mediaDevices.getUserMedia = () => Promise.resolve(canvas.captureStream(5))
  }, await pixels(other))
}

async function people(browser: Browser, server: DemoServer): Promise<[Person, Person]> {
  const made = await Promise.all(['ada', 'bob'].map(async (name) => {
    const context = await browser.newContext({ permissions: ['camera', 'clipboard-read', 'clipboard-write'] })
    const person = new Person(name, await context.newPage())
    await person.page.goto(`${server.origin}/napkin`)
    await expect(person.at('napkin-invite')).toBeEnabled()
    // What is loaded later shall be there before the server goes.
    await person.page.waitForLoadState('networkidle')
    return person
  }))
  return made as [Person, Person]
}

test('two phones connect by two QR codes that their cameras read, with the only server switched off', async ({ browser, server }) => {
  test.slow()
  const [ada, bob] = await people(browser, server)
  await server.kill()
  await ada.at('napkin-invite').click()
  const invitation = await shown(ada.page)
  expect(invitation).toMatch(/^[0-9A-HJKMNP-TV-Z]+$/)
  expect((await ada.at('code-text').textContent())!.replace(/\s/g, '')).toBe(invitation)
  await bob.at('napkin-join').click()
  await pointCamera(bob.page, ada.page)
  await bob.at('scan').click()
  expect(await shown(bob.page)).not.toBe(invitation)
  await pointCamera(ada.page, bob.page)
  await ada.at('scan').click()
  for (const person of [ada, bob]) await person.seesConnection('open')
  await ada.say('hello over there')
  await bob.hears('hello over there')
  await bob.say('hello back')
  await ada.hears('hello back')
  for (const { page, problems } of [ada, bob]) {
    // Nuxt looks for a newer version of itself, at the server that is off.
    expect(problems.filter(problem => !problem.includes('app manifest'))).toEqual([])
    await page.context().close()
  }
})

test('codes that are copied and pasted do as well, and a mistake is told', async ({ browser, server }) => {
  const [ada, bob] = await people(browser, server)
  await ada.at('napkin-invite').click()
  await ada.at('code-copy').click()
  const invitation = await ada.page.evaluate(() => navigator.clipboard.readText())
  expect(invitation).toBe(await shown(ada.page))
  await bob.at('napkin-join').click()
  await bob.at('code-input').fill(`${invitation.slice(0, 20)}${invitation[20] === 'X' ? 'Y' : 'X'}${invitation.slice(21)}`)
  await bob.at('code-submit').click()
  await expect(bob.at('error')).toContainText('Characters 17 to 32')
  await bob.at('code-input').fill(invitation.toLowerCase().replace(/.{4}/g, '$& '))
  await bob.at('code-submit').click()
  await ada.at('code-input').fill(await shown(bob.page))
  await ada.at('code-submit').click()
  for (const person of [ada, bob]) await person.seesConnection('open')
  for (const { page, problems } of [ada, bob]) {
    expect(problems).toEqual([])
    await page.context().close()
  }
})
