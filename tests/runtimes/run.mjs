// npm run runtimes: whether the built server works on Node, Bun and Deno, alone and in the servers of each. Not part of `npm test`,
// for Bun and Deno are not among what the project installs. They are looked for in PATH, or named by BUN and DENO:
//
//   npm install --prefix /tmp/runtimes bun deno
//   BUN=/tmp/runtimes/node_modules/.bin/bun DENO=/tmp/runtimes/node_modules/deno/deno npm run runtimes [-- name…]
//
// Every server is asked the same questions, as a client asks them; one that takes none is ended.
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import WebSocket from 'ws'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const fixture = join(root, 'tests/nuxt/fixtures/basic')
const bun = process.env.BUN ?? 'bun'
const deno = [process.env.DENO ?? 'deno', 'run', '--allow-net', '--allow-read', '--allow-env', '--allow-sys']

/**
 * `command` by itself and its arguments; `nitro`: the preset that tests/nuxt/fixtures/basic is built with, and then the path is below
 * its output; `streams`: whether there are event streams; `cuts`: Nitro cuts off polls that wait when it ends, which the client asks
 * again elsewhere.
 */
const lanes = {
  'node, npx peerbridge': { command: [process.execPath, 'dist/server/cli.js'] },
  'bun, npx peerbridge': { command: [bun, 'dist/server/cli.js'] },
  'deno, npx peerbridge': { command: [...deno, 'dist/server/cli.js'] },
  'bun, Bun.serve() with crossws': { command: [bun, 'tests/runtimes/bun.mjs'] },
  'deno, Deno.serve() with crossws': { command: [...deno, 'tests/runtimes/deno.mjs'] },
  'node, Nuxt': { nitro: 'node-server', command: [process.execPath, 'server/index.mjs'] },
  'bun, Nuxt built for Node': { nitro: 'node-server', command: [bun, 'server/index.mjs'], cuts: true },
  'deno, Nuxt built for Node': { nitro: 'node-server', command: [...deno, 'server/index.mjs'] },
  'bun, Nuxt built for Bun': { nitro: 'bun', command: [bun, 'server/index.mjs'], streams: false },
  'deno, Nuxt built for Deno': { nitro: 'deno-server', command: [...deno, '--unstable-byonm', '--unstable-node-globals', 'server/index.mjs'], streams: false },
}

const seconds = 1000
const within = (ms, what, promise) => {
  let timer
  return Promise.race([
    promise, new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: nothing in ${ms / seconds} s`)), ms) }),
  ]).finally(() => clearTimeout(timer))
}

/** What the checks found; a text is what was wrong. */
const expect = (what, found, wanted) => {
  const [a, b] = [found, wanted].map(value => JSON.stringify(value))
  if (a !== b) throw new Error(`${what}: ${a?.slice(0, 300)} instead of ${b?.slice(0, 300)}`)
}

/** A client on a WebSocket, whose messages can be awaited. */
class Client {
  inbox = []
  #wake = () => {}

  constructor(base, id, { token = `token-of-${id}`, counts = false } = {}) {
    this.socket = new WebSocket(`${base.replace(/^http/, 'ws')}peerjs?key=peerjs&id=${id}&token=${token}${counts ? '&link=page.1' : ''}`)
    this.socket.on('message', (data) => {
      this.inbox.push(JSON.parse(String(data)))
      this.#wake()
    })
    this.ended = new Promise((resolve, reject) => {
      this.socket.on('close', (code, reason) => resolve([code, String(reason)]))
      this.socket.on('error', reject)
    })
    this.ended.catch(() => {})
  }

  async next() {
    while (this.inbox.length === 0) {
      await within(10 * seconds, 'a message', Promise.race([new Promise((resolve) => { this.#wake = resolve }), this.ended.then(([code]) => {
        throw new Error(`closed with ${code}`)
      })]))
    }
    return this.inbox.shift()
  }

  async opened() {
    const first = await this.next()
    if (first.type !== 'OPEN') throw new Error(`expected OPEN, got ${JSON.stringify(first)}`)
    return this
  }

  offer(dst, payload) {
    this.socket.send(JSON.stringify({ type: 'OFFER', payload, dst }))
  }
}

/** Each is a question and throws when it is not answered as it should. In this order; the last one ends the server. */
const checks = {
  async 'about, id, health'({ base }) {
    expect('about', Object.keys(await (await fetch(base)).json()), ['name', 'description', 'website'])
    expect('an id', /^[0-9a-f-]{36}$/.test(await (await fetch(`${base}peerjs/id`)).text()), true)
    expect('health', await (await fetch(`${base}health`)).json(), { status: 'ok' })
    expect('nothing', (await fetch(`${base}no/such/thing`)).status, 404)
  },
  async 'relay of every length and alphabet'({ base }) {
    const [ada, bob] = await Promise.all(['ada', 'bob'].map(id => new Client(base, id).opened()))
    for (const payload of ['', 'é', '漢字', 'x'.repeat(124), 'x'.repeat(126), 'x'.repeat(65_400), 'x'.repeat(65_600), 'ü'.repeat(40_000)]) {
      ada.offer('bob', payload)
      expect('a message', (await bob.next()).payload, payload)
    }
    for (let i = 0; i < 200; i++) ada.offer('bob', i)
    for (let i = 0; i < 200; i++) expect('order', (await bob.next()).payload, i)
    ada.socket.close()
    bob.socket.close()
    await Promise.all([ada.ended, bob.ended])
  },
  async 'who says goodbye frees the id, who drops keeps it'({ base }) {
    const ada = await new Client(base, 'ada').opened()
    expect('another token', (await new Client(base, 'ada', { token: 'other' }).next()).type, 'ID-TAKEN')
    ada.socket.close()
    await ada.ended
    // The client knows a moment before the server does.
    const retry = async (token) => {
      for (let i = 0; ; i++) {
        const first = (await new Client(base, 'ada', { token }).next()).type
        if (first === 'OPEN' || i === 20) return first
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
    expect('after goodbye', await retry('other'), 'OPEN')
    const eve = await new Client(base, 'eve').opened()
    eve.socket.terminate()
    await eve.ended
    await new Promise(resolve => setTimeout(resolve, 200))
    expect('after a drop', (await new Client(base, 'eve', { token: 'other' }).next()).type, 'ID-TAKEN')
  },
  async 'what is too large'({ base }) {
    const flood = await new Client(base, 'flood').opened()
    flood.socket.send('x'.repeat(300 * 1024))
    expect('its error', (await flood.next()).payload.type, 'message-too-big')
    expect('its code', (await flood.ended)[0], 1009)
    const more = await new Client(base, 'more').opened()
    more.socket.send('x'.repeat(2 * 1024 * 1024))
    expect('the code of more', (await more.ended)[0], 1009)
  },
  async 'polls and POST, one held as long as it is'({ base }) {
    const url = `${base}peerjs/poll?id=poll&token=t&link=page.1`
    const ada = await new Client(base, 'ada-2').opened()
    expect('the first', await (await fetch(url)).text(), '{"type":"OPEN","got":0,"n":0}\n')
    const held = fetch(url)
    ada.offer('poll', 'hello')
    expect('the held one', (await (await held).text()).includes('"payload":"hello"'), true)
    await fetch(`${url}&got=1&from=1`, { method: 'POST', body: '{"type":"ANSWER","dst":"ada-2","payload":"hi"}' })
    expect('POST', (await ada.next()).payload, 'hi')
    expect('a large body', (await fetch(`${url}&from=2`, { method: 'POST', body: 'x'.repeat(2_000_000) })).status, 413)
    const idle = await within(40 * seconds, 'a poll with nothing to say', fetch(`${url}&got=1`))
    expect('nothing to say', [idle.status, await idle.text()], [200, '{"type":"OPEN","got":1,"n":1}\n'])
  },
  async 'event streams, silent for half a minute'({ base, streams }) {
    const url = `${base}peerjs/sse?id=sse&token=t&link=page.1`
    if (!streams) return expect('none', (await within(5 * seconds, 'no', fetch(url))).status, 501)
    const ada = await new Client(base, 'ada-3').opened()
    const cut = new AbortController()
    const { body } = await fetch(url, { signal: cut.signal })
    const reader = body.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const until = async (what) => {
      while (!text.includes(what)) {
        const { done, value } = await within(40 * seconds, what, reader.read())
        if (done) throw new Error(`the stream ended after ${text}`)
        text += value
      }
    }
    await until('data: {"type":"OPEN","got":0,"n":0}\n\n')
    ada.offer('sse', 'streamed')
    await until('"payload":"streamed"')
    for (let silence = 0; silence < 30 * seconds;) {
      const at = Date.now()
      text = ''
      await until(':\n\n')
      silence += Date.now() - at
    }
    ada.offer('sse', 'after silence')
    await until('"payload":"after silence"')
    cut.abort()
  },
  async 'SIGTERM: what was accepted is told, 1001, exit code 0'({ base, child, cuts }) {
    const ada = await new Client(base, 'ada-4', { counts: true }).opened()
    const bob = await new Client(base, 'bob-4').opened()
    const poll = `${base}peerjs/poll?id=poll-4&token=t&link=page.1`
    await (await fetch(poll)).text()
    const held = fetch(poll).then(response => response.status, () => 'cut')
    for (let i = 0; i < 10; i++) ada.offer('bob-4', i)
    for (let i = 0; i < 10; i++) await bob.next()
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    const answer = await within(5 * seconds, 'the poll', held)
    if (!cuts) expect('the poll', answer, 410)
    expect('the code', (await within(5 * seconds, 'goodbye', ada.ended))[0], 1001)
    expect('the last word', ada.inbox.at(-1), { type: 'OPEN', got: 10, n: 0 })
    expect('exit', await within(35 * seconds, 'the end', gone), [0, null])
  },
}

async function freePort() {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

function build(preset) {
  const output = join(root, 'build/runtimes', preset)
  rmSync(output, { recursive: true, force: true })
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'node_modules/nuxt/bin/nuxt.mjs'), 'build'], {
    cwd: fixture, encoding: 'utf8', env: { ...process.env, NITRO_PRESET: preset, NODE_ENV: '', NUXT_TELEMETRY_DISABLED: '1', NO_COLOR: '1' },
  })
  if (status !== 0) throw new Error(`nuxt build for ${preset} failed:\n${stdout}\n${stderr}`)
  mkdirSync(dirname(output), { recursive: true })
  cpSync(join(fixture, '.output'), output, { recursive: true })
}

async function run({ nitro, command: [program, ...args], streams = true, cuts = false }) {
  const port = await freePort()
  const base = `http://localhost:${port}${nitro ? '/api/signal' : ''}/`
  const child = spawn(program, args, {
    cwd: nitro ? join(root, 'build/runtimes', nitro) : root, env: { ...process.env, PORT: String(port), NODE_ENV: '' }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += data })
  const failures = []
  const broken = new Promise((_, reject) => {
    child.once('error', reject)
    child.once('exit', code => reject(new Error(`the server ended with ${code}`)))
  })
  broken.catch(() => {})
  try {
    await within(30 * seconds, 'the server', Promise.race([broken, (async () => {
      while (!await fetch(base).then(({ ok }) => ok, () => false)) await new Promise(resolve => setTimeout(resolve, 100))
    })()]))
    for (const [name, check] of Object.entries(checks)) {
      try {
        await check({ base, child, streams, cuts })
      }
      catch (error) {
        failures.push(`${name}: ${error.message}${error.cause ? ` (${error.cause.message})` : ''}`)
      }
    }
  }
  catch (error) {
    failures.push(error.message)
  }
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return failures.length ? [...failures, output.trimEnd()] : []
}

const version = (...command) => {
  const { stdout, status } = spawnSync(command[0], [...command.slice(1), '--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.split('\n')[0].replace(/^v/, '') : null
}
const versions = { node: process.versions.node, bun: version(bun), deno: version(deno[0]) }
const asked = process.argv.slice(2)
const chosen = Object.entries(lanes).filter(([name]) => asked.length === 0 || asked.some(word => name.includes(word)))
const absent = Object.keys(versions).filter(name => !versions[name] && chosen.some(([lane]) => lane.startsWith(name)))
if (absent.length > 0) {
  console.error(`${absent.join(' and ')} not found: npm install --prefix <somewhere> bun deno, and say where in BUN and DENO`)
  process.exit(2)
}
if (!existsSync(join(root, 'dist/server/cli.js'))) {
  console.error('there is no build: npm run build')
  process.exit(2)
}
for (const preset of new Set(chosen.flatMap(([, { nitro }]) => nitro ?? []))) build(preset)
console.log(`Node ${versions.node}, Bun ${versions.bun}, ${versions.deno}; ${Object.keys(checks).length} checks each`)
// All at once: most of the time they are silent.
const results = await Promise.all(chosen.map(async ([name, lane]) => [name, await run(lane)]))
for (const [name, failures] of results) console.log(`${failures.length ? 'FAILED' : 'ok    '}  ${name}${failures.map(text => `\n          ${text.replaceAll('\n', '\n          ')}`).join('')}`)
process.exit(results.some(([, failures]) => failures.length) ? 1 : 0)
