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
import process from 'node:process'
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
