/**
 * One browser with one page, the same to look at whichever browser it is: `call(name, …)` runs `lab[name](…)` in the page.
 * Chromium is driven through a pipe, so it may live in another network namespace than whoever drives it.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  // A page that nobody looks at shall measure the network, not the throttling of hidden pages.
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  // Names of .local that nobody here resolves.
  '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks',
]

/**
 * @param prefix words before the browser's own command, see Network.prefix()
 * @param origin treated as if it were https, so that the page has what a real one has
 */
export async function launchChromium({ prefix = [], origin, executable = process.env.CHROMIUM || '/usr/bin/chromium', args = [] } = {}) {
  const { chromium } = await import('@playwright/test')
  const folder = mkdtempSync(join(tmpdir(), 'peerbridge-lab-'))
  const wrapper = join(folder, 'browser')
  writeFileSync(wrapper, `#!/bin/sh\nexec ${[...prefix, executable].join(' ')} "$@"\n`)
  chmodSync(wrapper, 0o755)
  const browser = await chromium.launch({
    executablePath: wrapper,
    args: [...flags, ...(origin ? [`--unsafely-treat-insecure-origin-as-secure=${origin}`] : []), ...args],
  })
  const problems = []
  return {
    name: `Chromium ${browser.version()}`,
    problems,
    async open(url) {
      const page = await browser.newPage()
      page.on('pageerror', error => problems.push(String(error)))
      page.on('console', message => { if (message.type() === 'error') problems.push(message.text()) })
      await page.goto(url)
      await page.waitForFunction(() => 'lab' in window)
      return {
        call: (name, ...args) => page.evaluate(([name, args]) => window.lab[name](...args), [name, args]),
        close: () => page.close(),
        /** A session of the DevTools protocol; Chromium only. */
        inspect: () => page.context().newCDPSession(page),
      }
    },
    async close() {
      await browser.close().catch(() => {})
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/**
 * Firefox as Debian has it, through WebDriver BiDi. Options as for launchChromium().
 * @param {{ prefix?: string[], origin?: string, executable?: string }} [options]
 */
export async function launchFirefox({ prefix = [], origin, executable = process.env.FIREFOX || '/usr/bin/firefox-esr' } = {}) {
  const relay = fileURLToPath(new URL('firefox.mjs', import.meta.url))
  const [command, ...words] = [...prefix, process.execPath, relay, executable, origin]
  const child = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const problems = []
  const waiting = new Map()
  let count = 0
  const ready = new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (message.ready) return resolve()
      if (message.method === 'log.entryAdded' && message.params.level === 'error') problems.push(message.params.text)
      const answer = waiting.get(message.id)
      waiting.delete(message.id)
      if (message.type === 'success') answer?.resolve(message.result)
      else answer?.reject(new Error(`${message.error}: ${message.message}`))
    })
    child.on('exit', () => {
      const error = new Error('Firefox ended')
      reject(error)
      for (const answer of waiting.values()) answer.reject(error)
    })
  })
  const ask = (method, params) => new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject })
    child.send({ id: count, method, params })
  })
  await ready
  const { capabilities } = await ask('session.new', { capabilities: {} })
  await ask('session.subscribe', { events: ['log.entryAdded'] })
  return {
    name: `Firefox ${capabilities.browserVersion}`,
    problems,
    async open(url) {
      const { context } = await ask('browsingContext.create', { type: 'tab' })
      /** Runs `what(...args)` in the page. */
      const evaluate = async (what, ...args) => {
        const { type, result, exceptionDetails } = await ask('script.callFunction', {
          // Through JSON: BiDi's own form of values is long.
          functionDeclaration: `async args => JSON.stringify(await (${what})(...JSON.parse(args)))`,
          arguments: [{ type: 'string', value: JSON.stringify(args) }],
          target: { context }, awaitPromise: true,
        })
        if (type === 'exception') throw new Error(exceptionDetails.text)
        return result.type === 'string' ? JSON.parse(result.value) : undefined
      }
      const call = (name, ...args) => evaluate('(name, args) => window.lab[name](...args)', name, args)
      await ask('browsingContext.navigate', { context, url, wait: 'complete' })
      return { call, evaluate, close: () => ask('browsingContext.close', { context }) }
    },
    async close() {
      const ended = new Promise(resolve => child.once('exit', resolve))
      if (child.connected) child.disconnect()
      if (child.exitCode === null && child.signalCode === null) await ended
    },
  }
}
