/**
 * Three network namespaces: browser A and browser B, each behind its own link, and between them the "internet", where the
 * signaling servers and the pages live.
 *
 *     a ──(10.77.1.0/24)── inet ──(10.77.2.0/24)── b          servers: 10.77.0.1 in inet
 *
 * A link is cut by dropping what comes in or passes through, never what goes out: an outgoing packet that is refused
 * comes back to the browser as an error, which no broken network does.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

// Without npm's own folders in it: one of Nuxt's tools is called nft, too.
const PATH = process.env.PATH.split(':').filter(folder => !folder.includes('node_modules')).join(':')
const env = { ...process.env, PATH }
const execute = promisify(execFile)
const run = (command, args) => execute(command, args, { env })

export const serverAddress = '10.77.0.1'

/** Why no lab can be built here; null when it can. */
export function missing() {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid() !== 0) return 'it builds network namespaces, and that takes root: run it again as root'
  for (const [command, ...args] of [['ip', '-V'], ['nft', '--version']]) {
    if (spawnSync(command, args, { stdio: 'ignore', env }).status !== 0)
      return `the command \`${command}\` is missing: apt-get install ${command === 'ip' ? 'iproute2' : 'nftables'}`
  }
  return null
}

/** Compiled when it is needed, and when it is newer than what was compiled. */
function delayLine() {
  const source = fileURLToPath(new URL('delay-line.cpp', import.meta.url))
  const program = fileURLToPath(new URL('../../../build/reach/delay-line', import.meta.url))
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program
  mkdirSync(dirname(program), { recursive: true })
  const { status } = spawnSync('g++', ['-std=c++20', '-O2', '-o', program, source], { stdio: 'inherit' })
  if (status !== 0) throw new Error('the delay line could not be compiled; is there a compiler? apt-get install g++')
  return program
}

/** What can be cut. */
export const cuts = {
  path: 'only the path between the browsers; both still reach the server',
  access: 'everything on A\'s link',
  interface: 'A\'s network interface goes down and comes up again',
}

export class Network {
  #names
  #cut = null

  /** @param tag keeps labs that run at the same time apart */
  constructor(tag = String(process.pid)) {
    this.#names = { a: `pb-a-${tag}`, b: `pb-b-${tag}`, inet: `pb-i-${tag}` }
  }

  async up() {
    const { a, b, inet } = this.#names
    for (const name of [a, b, inet]) {
      await run('ip', ['netns', 'add', name])
      await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
    }
    await run('ip', ['-n', inet, 'address', 'add', `${serverAddress}/32`, 'dev', 'lo'])
    for (const [side, net] of [['a', 1], ['b', 2]]) {
      await run('ip', ['-n', inet, 'link', 'add', `to-${side}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#names[side]])
      await run('ip', ['-n', inet, 'address', 'add', `10.77.${net}.1/24`, 'dev', `to-${side}`])
      await run('ip', ['-n', inet, 'link', 'set', `to-${side}`, 'up'])
      await run('ip', ['-n', this.#names[side], 'address', 'add', `10.77.${net}.2/24`, 'dev', 'eth0'])
      await this.#linkUp(side, net)
    }
    await this.exec('inet', 'sysctl', ['-qw', 'net.ipv4.ip_forward=1'])
    for (const side of ['a', 'inet']) {
      await this.#nft(side, 'add table ip lab')
      await this.#nft(side, 'add chain ip lab in { type filter hook input priority 0; }')
      await this.#nft(side, 'add chain ip lab through { type filter hook forward priority 0; }')
    }
  }

  /**
   * From now on the path between A and B, and only that, is longer and loses. Once only.
   * @param delay one way, ms
   * @param loss packets of a thousand, in each direction
   * @param rate kbit/s of each direction; 0 is as fast as it goes
   */
  async lengthen({ delay, loss = 0, rate = 0, seed = 1 }) {
    const line = this.spawn('inet', delayLine(), ['line-a', 'line-b', delay, loss, rate, seed].map(String), { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(line.stdout, 'data')
    for (const device of ['all', 'default', 'to-a', 'to-b', 'line-a', 'line-b'])
      await this.exec('inet', 'sysctl', ['-qw', `net.ipv4.conf.${device}.rp_filter=0`])
    for (const [side, net, table] of [['a', 2, 101], ['b', 1, 102]]) {
      await this.exec('inet', 'ip', ['link', 'set', `line-${side}`, 'up', 'txqueuelen', '10000'])
      await this.exec('inet', 'ip', ['route', 'add', 'default', 'dev', `line-${side}`, 'table', String(table)])
      await this.exec('inet', 'ip', ['rule', 'add', 'iif', `to-${side}`, 'to', `10.77.${net}.0/24`, 'table', String(table)])
    }
  }

  /** Ends what runs in the namespaces and removes them. */
  async down() {
    for (const name of Object.values(this.#names)) {
      const { stdout } = await run('ip', ['netns', 'pids', name]).catch(() => ({ stdout: '' }))
      for (const pid of stdout.split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL')
        }
        catch { /* it ended by itself */ }
      }
      await run('ip', ['netns', 'delete', name]).catch(() => {})
    }
  }

  /** Cuts; answers when, by the wall clock that all processes here share, ms. */
  async cut(kind) {
    if (this.#cut) throw new Error('cut already')
    this.#cut = kind
    if (kind === 'interface') {
      await run('ip', ['-n', this.#names.a, 'link', 'set', 'eth0', 'down'])
    }
    else if (kind === 'path') {
      await this.#nft('inet', 'add rule ip lab through drop')
    }
    else {
      await this.#nft('inet', 'add rule ip lab through drop; add rule ip lab in iifname to-a drop')
      await this.#nft('a', 'add rule ip lab in drop')
    }
    return Date.now()
  }

  /** Mends; answers when it began to, so that the few milliseconds of doing it count against whoever recovers. */
  async mend() {
    const kind = this.#cut
    this.#cut = null
    let began = Date.now()
    if (kind === 'interface') {
      await this.#linkUp('a', 1)
    }
    else if (kind) {
      if (kind === 'access') await this.#nft('a', 'flush chain ip lab in')
      began = Date.now()
      await this.#nft('inet', 'flush chain ip lab in; flush chain ip lab through')
    }
    return began
  }

  /** Ends every process of a side at once, as a crash or an empty battery does. */
  async kill(side) {
    const { stdout } = await run('ip', ['netns', 'pids', this.#names[side]])
    const at = Date.now()
    for (const pid of stdout.split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      }
      catch { /* it ended with another one */ }
    }
    return at
  }

  /** The words that make a command run on that side. */
  prefix(side) {
    return ['ip', 'netns', 'exec', this.#names[side]]
  }

  spawn(side, command, args, options) {
    const [ip, ...rest] = [...this.prefix(side), command, ...args]
    return spawn(ip, rest, options)
  }

  exec(side, command, args) {
    const [ip, ...rest] = [...this.prefix(side), command, ...args]
    return run(ip, rest)
  }

  #nft(side, rules) {
    return this.exec(side, 'nft', [rules])
  }

  async #linkUp(side, net) {
    await run('ip', ['-n', this.#names[side], 'link', 'set', 'eth0', 'up'])
    await run('ip', ['-n', this.#names[side], 'route', 'replace', 'default', 'via', `10.77.${net}.1`])
  }
}
