/**
 * Firefox listens for WebDriver BiDi on a TCP port of the namespace it lives in, where nobody outside reaches it. So this
 * runs inside, starts Firefox and passes what it is told on: `{ id, method, params }` in, BiDi's own messages out.
 *
 *     ip netns exec … node firefox.mjs <command> <origin>
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import WebSocket from 'ws'

const [command, origin] = process.argv.slice(2)
const profile = mkdtempSync(join(tmpdir(), 'peerbridge-firefox-'))

const preferences = {
  // Names of .local that nobody here resolves.
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'dom.securecontext.allowlist': new URL(origin).hostname,
  // Wall clocks of two browsers are compared here.
  'privacy.reduceTimerPrecision': false,
  // A page that nobody looks at shall measure the network, not the throttling of hidden pages.
  'dom.min_background_timeout_value': 4,
  // The one that counts where budgets do not.
  'dom.min_background_timeout_value_without_budget_throttling': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  // WebDriver BiDi turns them on in each page it speaks to: then every microtask and timer has its stack written down,
  // a fifth of what a page of ours did during pings. No user's page pays that.
  'javascript.options.asyncstack': false,
  'app.update.disabledForTesting': true,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'toolkit.telemetry.reportingpolicy.firstRun': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  // 3 speaks BiDi only
  'remote.active-protocols': 1,
}
writeFileSync(join(profile, 'user.js'),
  Object.entries(preferences).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(''))

const browser = spawn(command, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank'],
  { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile, MOZ_HEADLESS: '1' } })

function end() {
  browser.kill('SIGKILL')
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  process.exit(0)
}
process.on('disconnect', end)
browser.on('exit', () => process.send?.({ exited: true }))

let said = ''
browser.stderr.on('data', (chunk) => {
  if (said === null) return
  said += chunk
  const url = /WebDriver BiDi listening on (ws:\/\/\S+)/.exec(said)?.[1]
  if (!url) return
  said = null
  const socket = new WebSocket(`${url}/session`, { perMessageDeflate: false })
  socket.on('open', () => {
    process.on('message', message => socket.send(JSON.stringify(message)))
    process.send({ ready: true })
  })
  socket.on('message', data => process.send(JSON.parse(String(data))))
})
