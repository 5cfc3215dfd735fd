import { parseArgs } from 'node:util'
import type { SignalingServerOptions } from './options.js'

/** What the command line asks for. */
export interface Flags {
  help: boolean
  version: boolean
  port: number
  host: string
  sslkey: string | undefined
  sslcert: string | undefined
  server: SignalingServerOptions
}

export const usage = `Usage: peerbridge [options]

A signaling server for peerbridge and PeerJS clients.

  -p, --port              port to listen on (default: $PORT or 9000)
  -H, --host              address to listen on (default: :: , which is every one)
      --path              where the endpoint is mounted (default: $PEERSERVER_PATH or /)
  -k, --key               the key that clients have to name (default: peerjs)
  -t, --expire_timeout    how long a message waits for its receiver, in ms (default: 5000)
      --alive_timeout     a client silent for this long is gone, in ms (default: 60000)
  -c, --concurrent_limit  clients at the same time (default: 5000)
      --allow_discovery   let clients list the ids of everybody (default: false)
      --no-rooms          no rooms and no presence (default: there are)
      --proxied           behind a reverse proxy that sets X-Forwarded-For and X-Forwarded-Host (default: false)
      --cleanup_out_msgs  taken for the sake of PeerServer's command lines, without effect
      --redis             redis://… that several servers share (default: $PEERBRIDGE_REDIS, or none)
      --cors              origins whose pages may use the server (default: any; may be given several times)
      --sslkey            file of the TLS key
      --sslcert           file of the TLS certificate
  -h, --help
      --version
`

const options = {
  port: { type: 'string', short: 'p' },
  host: { type: 'string', short: 'H' },
  path: { type: 'string' },
  key: { type: 'string', short: 'k' },
  expire_timeout: { type: 'string', short: 't' },
  alive_timeout: { type: 'string' },
  concurrent_limit: { type: 'string', short: 'c' },
  allow_discovery: { type: 'boolean' },
  rooms: { type: 'boolean' },
  proxied: { type: 'boolean' },
  cleanup_out_msgs: { type: 'string' },
  redis: { type: 'string' },
  cors: { type: 'string', multiple: true },
  sslkey: { type: 'string' },
  sslcert: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

/**
 * Reads PeerServer's command line: its flags in each of the spellings that its parser takes (`--alive_timeout`,
 * `--alive-timeout`, `--aliveTimeout`), and its two environment variables.
 *
 * @throws TypeError with a sentence for the user.
 */
export function parseFlags(args: readonly string[], env: Record<string, string | undefined> = {}): Flags {
  const { values } = parseArgs({ args: args.flatMap(normalize(args)), options, allowNegative: true, strict: true })
  const ssl = [values.sslkey, values.sslcert].filter(value => value !== undefined)
  if (ssl.length === 1) throw new TypeError('--sslkey and --sslcert belong together: give both or none')

  return {
    help: values.help ?? false,
    version: values.version ?? false,
    port: integer('--port', values.port ?? env.PORT) ?? 9000,
    host: values.host ?? '::',
    sslkey: values.sslkey,
    sslcert: values.sslcert,
    server: {
      path: values.path ?? env.PEERSERVER_PATH ?? '/',
      ...defined('key', values.key),
      ...defined('expire_timeout', integer('--expire_timeout', values.expire_timeout)),
      ...defined('alive_timeout', integer('--alive_timeout', values.alive_timeout)),
      ...defined('concurrent_limit', integer('--concurrent_limit', values.concurrent_limit)),
      allow_discovery: values.allow_discovery ?? false,
      ...defined('rooms', values.rooms),
      proxied: values.proxied ?? false,
      ...defined('cleanup_out_msgs', integer('--cleanup_out_msgs', values.cleanup_out_msgs)),
      ...defined('redis', (values.redis ?? env.PEERBRIDGE_REDIS) || undefined),
      ...(values.cors ? { corsOptions: { origin: values.cors } } : {}),
    },
  }
}

/** One argument at a time, with a memory for `--cors a b c` and for values that look like flags. */
function normalize(args: readonly string[]): (arg: string, index: number) => string[] {
  let list = false
  return (arg, index) => {
    if (!arg.startsWith('-')) {
      // `--cors a b` is a list: every further value gets the flag in front that parseArgs wants to see.
      if (list && args[index - 1] !== '--cors') return ['--cors', arg]
      // `--proxied false`, as yargs takes it.
      if (/^(?:true|false)$/.test(arg) && isSwitch(args[index - 1])) return []
      return [arg]
    }
    const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? []
    list = name === 'cors'
    if (name === undefined) return [arg]
    const flag = name.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase().replace(/^no-/, 'no ').replace(/-/g, '_').replace(' ', '-')
    const next = args[index + 1]
    const said = value ?? (isSwitch(arg) && (next === 'true' || next === 'false') ? next : undefined)
    if (said === 'true') return [`--${flag}`]
    if (said === 'false') return [`--no-${flag}`]
    return [value === undefined ? `--${flag}` : `--${flag}=${value}`]
  }
}

function isSwitch(arg: string | undefined): boolean {
  return arg !== undefined && /^--(?:allow[-_]?discovery|rooms|proxied)$/i.test(arg)
}

function integer(flag: string, value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined
  if (!/^\d+$/.test(value)) throw new TypeError(`${flag} has to be a whole number, got '${value}'`)
  return Number(value)
}

function defined<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [key]: value } as { [P in K]?: V }
}
