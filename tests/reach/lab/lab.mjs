/** A whole lab: network, servers, a browser on each side with one page, and everything gone again at the end. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { loadavg } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { launchChromium, launchFirefox } from './browser.mjs'
import { missing, Network, serverAddress } from './network.mjs'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const launch = { chromium: launchChromium, firefox: launchFirefox }

export const sleep = (ms, value) => new Promise(resolve => setTimeout(resolve, ms, value))

/** `--name value` and `--name=value`; what `defaults` does not know is an error. A default that is a list makes lists. */
export function options(args, defaults) {
  const given = { ...defaults }
  for (let i = 0; i < args.length; i++) {
    const [name, value = args[++i]] = args[i].split(/=(.*)/s)
    const key = name.replace(/^--/, '')
    if (!name.startsWith('--') || !(key in defaults) || value === undefined) {
      console.error(`what is ${args[i] ?? name}? Options: ${Object.entries(defaults).map(([key, value]) => `--${key} ${value}`).join('  ')}`)
      process.exit(2)
    }
    const parse = text => (typeof (Array.isArray(defaults[key]) ? defaults[key][0] : defaults[key]) === 'number' ? Number(text) : text)
    given[key] = Array.isArray(defaults[key]) ? value.split(',').map(parse) : parse(value)
  }
  return given
}

/**
 * @param browsers names of A's and B's browser; one name for both
 * @param path of the page that both open
 * @param server options of our signaling server
 */
export async function withLab(browsers, measure, path = 'tests/reach/lab/page.html', server = {}) {
  const why = missing()
  if (why) {
    console.error(`reach: there is no lab on this machine: ${why}`)
    process.exit(1)
  }
  const network = new Network()
  const stop = () => void network.down().finally(() => process.exit(130))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const running = []
  try {
    await network.up()
    const servers = network.spawn('inet', process.execPath, [join(root, 'tests/reach/lab/server.mjs'), serverAddress, JSON.stringify(server)],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const ports = await new Promise((resolve, reject) => {
      servers.once('message', resolve)
      servers.once('exit', code => reject(new Error(`the servers ended with ${code}; is there a build? npm run build`)))
    })
    const origin = `http://${serverAddress}:${ports.files}`
    /** A browser with its page on that side. */
    const start = async (side) => {
      const browser = await launch[browsers[side === 'a' ? 0 : 1] ?? browsers[0]]({ prefix: network.prefix(side), origin })
      running.push(browser)
      const page = await browser.open(`${origin}/${path}`)
      return { browser, page, open: () => browser.open(`${origin}/${path}`) }
    }
    await measure({ network, host: serverAddress, ports, start, server: servers })
  }
  finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    await Promise.race([Promise.all(running.map(browser => browser.close())), sleep(5000)])
    await network.down()
  }
}

/** Writes the raw numbers where a build leaves things; answers where. */
export function keep(name, data) {
  const file = join(root, 'build/reach', `${name}.json`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify(data))
  return file
}

export const load = () => loadavg()[0].toFixed(2)
