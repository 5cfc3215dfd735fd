/** What the driver takes for granted about a real browser. Its parts alone, in an empty page. */
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import type { Page } from '@playwright/test'
import { build } from 'esbuild'
import type * as Late from '../../js/driver/late.js'

const root = join(import.meta.dirname, '../..')

/** An empty page that has the driver's parts as `late`, loaded as a file of its own. */
async function open(page: Page, policy?: string): Promise<string[]> {
  const { outputFiles } = await build({
    stdin: { contents: 'export { PunctualTimer } from "./js/driver/timer.js"; export { Spare } from "./js/driver/spare.js"', resolveDir: root, loader: 'ts' },
    bundle: true, write: false, format: 'iife', globalName: 'late', target: 'es2022', absWorkingDir: root,
  })
  const problems: string[] = []
  page.on('pageerror', error => problems.push(error.message))
  await page.route('https://page.test/**', (route) => {
    if (route.request().url().endsWith('/late.js')) {
      return route.fulfill({ contentType: 'text/javascript', body: `${outputFiles[0]!.text}\nwindow.late = late` })
    }
    return route.fulfill({
      contentType: 'text/html', body: '<!doctype html><script src="/late.js"></script>',
      headers: policy ? { 'content-security-policy': policy } : {},
    })
  })
  await page.goto('https://page.test/')
  return problems
}

declare global {
  interface Window {
    late: typeof Late
    ours: Late.PunctualTimer
    fired: number
    arm(ms: number): Promise<number>
    show(visible: boolean): void
  }
}

/** A page that believes to be hidden, and whose own timers come a minute late from then on. */
async function hidden(page: Page): Promise<void> {
  await page.evaluate(() => {
    const punctual = window.setTimeout.bind(window)
    let hidden = false
    Object.defineProperty(document, 'hidden', { get: () => hidden })
    window.setTimeout = ((call: () => void, delay = 0) => punctual(call, hidden ? delay + 60_000 : delay)) as typeof window.setTimeout
    window.show = (visible) => {
      hidden = !visible
      document.dispatchEvent(new Event('visibilitychange'))
    }
    let fired: (at: number) => void
    window.ours = new window.late.PunctualTimer(() => fired(performance.now()))
    window.arm = (ms) => {
      const from = performance.now()
      window.ours.set(from + ms)
      return new Promise((resolve) => { fired = at => resolve(at - from) })
    }
    window.show(false)
  })
}

test('a timer of a hidden page is punctual in a worker of its own, which ends when the page is shown', async ({ page }) => {
  const problems = await open(page)
  await hidden(page)
  expect(page.workers()).toHaveLength(0)
  for (const delay of [0, 20, 300]) {
    const took = await page.evaluate(ms => window.arm(ms), delay)
    expect(took).toBeGreaterThanOrEqual(delay)
    expect(took).toBeLessThan(delay + 1000)
  }
  expect(page.workers()).toHaveLength(1)
  const ended = page.workers()[0]!.waitForEvent('close')
  await page.evaluate(() => window.show(true))
  await ended
  expect(await page.evaluate(() => window.arm(20))).toBeLessThan(1000)
  expect(page.workers()).toHaveLength(0)
  expect(problems).toEqual([])
})

test('a timer of a hidden page falls back to setTimeout where the Content-Security-Policy allows no worker', async ({ page }) => {
  const problems = await open(page, 'default-src \'self\'')
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { get: () => true })
    window.fired = 0
    window.ours = new window.late.PunctualTimer(() => { window.fired++ })
    window.ours.set(performance.now() + 20)
  })
  await expect.poll(() => page.evaluate(() => window.fired)).toBe(1)
  expect(page.workers()).toHaveLength(0)
  expect(problems).toEqual([])
})

test('a spare RTCPeerConnection is like a new one in everything that the driver looks at', async ({ page }) => {
  await open(page)
  const [spare, fresh] = await page.evaluate(async () => {
    const names = ['icecandidate', 'icegatheringstatechange', 'iceconnectionstatechange', 'connectionstatechange', 'signalingstatechange', 'negotiationneeded'] as const
    const look = (pc: RTCPeerConnection) => ({
      states: [pc.signalingState, pc.iceGatheringState, pc.iceConnectionState, pc.connectionState],
      ends: [pc.getSenders().length, pc.getReceivers().length, pc.sctp, pc.localDescription, pc.remoteDescription],
    })
    const events: string[] = []
    const Native = RTCPeerConnection
    window.RTCPeerConnection = class extends Native {
      constructor(configuration?: RTCConfiguration) {
        super(configuration)
        for (const name of names) this.addEventListener(name, () => events.push(name))
      }
    }
    const keeper = new window.late.Spare({ iceServers: [] })
    // Long enough for host candidates: they come within milliseconds, and there is nothing to await, which is the point.
    await new Promise(resolve => setTimeout(resolve, 500))
    const early = [...events]
    const one = keeper.take()
    const before = look(one)
    const other = new Native({ iceServers: [] })
    const run = async (pc: RTCPeerConnection): Promise<string[]> => {
      const order: string[] = []
      for (const name of names) {
        pc.addEventListener(name, (event) => {
          const { candidate } = event as RTCPeerConnectionIceEvent
          if (name === 'icegatheringstatechange') order.push(pc.iceGatheringState)
          else order.push(candidate === null ? 'end of candidates' : name)
        })
      }
      const complete = new Promise(resolve => pc.addEventListener('icegatheringstatechange', () => { if (pc.iceGatheringState === 'complete') resolve(0) }))
      pc.createDataChannel('x')
      await pc.setLocalDescription()
      await complete
      // How many candidates there are is the machine's affair. With all of them at hand Chromium leaves 'gathering' out.
      const seen = order.filter(name => name !== 'gathering')
      return seen.filter((name, at) => name !== seen[at - 1])
    }
    return [{ early, before, order: await run(one) }, { early: [], before: look(other), order: await run(other) }]
  })
  expect(spare).toEqual(fresh)
})

test('a path tells when its pair of candidates is chosen', async ({ page }) => {
  await open(page)
  expect(await page.evaluate(async () => {
    const [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()]
    a.onicecandidate = ({ candidate }) => void b.addIceCandidate(candidate ?? undefined)
    b.onicecandidate = ({ candidate }) => void a.addIceCandidate(candidate ?? undefined)
    a.createDataChannel('x')
    await a.setLocalDescription()
    const transport = a.sctp!.transport.iceTransport
    const chosen = new Promise((resolve) => {
      transport.onselectedcandidatepairchange = () => resolve(transport === a.sctp!.transport.iceTransport)
    })
    await b.setRemoteDescription(a.localDescription!)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription!)
    return chosen
  })).toBe(true)
})
