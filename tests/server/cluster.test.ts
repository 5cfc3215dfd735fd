// Real processes: signaling servers that are killed, a redis-server that is killed, and clients that count and come back. See
// docs/signaling-server.md, "Several instances" and "Restarting".
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CountedClient } from './counted.js'
import { RedisServer } from './redis.js'
import { freePort } from './port.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
// Below node_modules' parent, where its imports are found.
const folder = mkdtempSync(join(root, 'node_modules', '.cluster-'))
const cli = join(folder, 'cli.mjs')
const processes = new Set<ChildProcess>()
const clients: CountedClient[] = []
let redis: RedisServer | undefined

beforeAll(async () => {
  await build({ entryPoints: [join(root, 'js/server/cli.ts')], outfile: cli, bundle: true, platform: 'node', format: 'esm', packages: 'external' })
}, 60_000)
// Also after a test that ran out of time.
afterEach(async () => {
  for (const client of clients.splice(0)) client.end()
  for (const child of processes) child.kill('SIGKILL')
  processes.clear()
  await redis?.end()
  redis = undefined
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

class Server {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  ws = ''

  constructor(...args: string[]) {
    const { PORT: _port, PEERSERVER_PATH: _path, PEERBRIDGE_REDIS: _redis, ...env } = process.env
    this.child = spawn(process.execPath, [cli, '--host', '127.0.0.1', ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    this.ended = once(this.child, 'close')
    processes.add(this.child)
  }

  async listening(): Promise<this> {
    let output = ''
    for await (const data of this.child.stdout!) {
      const [, url] = /Listening on (\S+)/.exec(output += String(data)) ?? []
      if (url === undefined) continue
      this.ws = url.replace(/^http/, 'ws')
      return this
    }
    throw new Error(`The server ended: ${output}`)
  }
}

function client(id: string, bases: readonly string[]): CountedClient {
  const made = new CountedClient(id, bases)
  clients.push(made)
  return made
}

/** Of each sender its messages, each once and in order, and nothing else. */
function expectEverythingOnce(receiver: CountedClient, senders: readonly CountedClient[], count: number): void {
  for (const sender of senders) {
    const payloads = receiver.inbox.filter(({ src, type }) => src === sender.id && type === 'CANDIDATE').map(({ payload }) => payload)
    const who = { to: receiver.id, from: sender.id }
    expect({ ...who, payloads }).toEqual({ ...who, payloads: Array.from({ length: count }, (_, i) => i) })
  }
}

describe('three instances with one Redis, under load', () => {
  it('lose and double no accepted message when one is killed and Redis is restarted, and its clients are let in elsewhere at their first try', async () => {
    redis = new RedisServer()
    const { url } = redis
    await redis.start()
    const servers = await Promise.all([0, 1, 2].map(() => new Server('--port', '0', '--redis', url).listening()))
    const bases = servers.map(({ ws }) => ws)
    // Spread over all, each with the others to fall back on.
    const all = Array.from({ length: 12 }, (_, i) => client(`client ${i}`, [0, 1, 2].map(n => bases[(i + n) % 3]!)))
    await Promise.all(all.map(one => one.opened()))
    const rounds = 100
    let said = 0
    // Well below what is held from one to another, 64, within the time that a client needs to come back.
    // Everybody to two others, at other instances and at its own.
    const say = (): void => {
      for (const [i, one] of all.entries()) for (const to of [1, 3]) one.send(all[(i + to) % all.length]!.id, said)
      said += 1
    }
    const talking = new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        say()
        if (said < rounds) return
        clearInterval(timer)
        resolve()
      }, 60)
    })
    const heard = (most: number) => Promise.all(all.map(one => one.until(() => one.payloads().length >= most)))
    await heard(20)

    // Some may have gone elsewhere before: a server that has just started has no Redis yet.
    const orphans = all.filter(one => one.base === bases[0])
    expect(orphans.length).toBeGreaterThan(0)
    const before = orphans.map(one => one.ends.length)
    const killed = performance.now()
    servers[0]!.child.kill('SIGKILL')
    await Promise.all(orphans.map((one, i) => one.until(() => one.ends.length > before[i]! && one.isOpen)))
    const home = performance.now() - killed
    // Neither the lease of the dead instance nor a reservation of the id kept anybody away.
    expect(orphans.map(one => one.ends.length)).toEqual(before.map(ends => ends + 1))
    expect(orphans.flatMap(one => one.inbox.filter(({ type }) => type === 'ID-TAKEN' || type === 'ERROR'))).toEqual([])
    await heard(80)

    await redis.kill()
    await redis.start()
    await talking
    await Promise.all(all.map(one => one.until(() => one.payloads().length >= 2 * rounds && one.confirmed === one.sent)))
    for (const [i, one] of all.entries()) expectEverythingOnce(one, [1, 3].map(to => all[(i - to + all.length) % all.length]!), rounds)
    const accepted = all.reduce((sum, one) => sum + one.confirmed, 0)
    const arrived = all.reduce((sum, one) => sum + one.payloads().length, 0)
    console.info(`${accepted} messages accepted, ${arrived} arrived, each once and in order; clients home ${Math.round(home)} ms after SIGKILL`)
    expect([accepted, arrived]).toEqual([2 * rounds * all.length, 2 * rounds * all.length])
    expect(all.flatMap(one => one.inbox.filter(({ type }) => type === 'EXPIRE'))).toEqual([])
  }, 120_000)

  it('lose and double nothing when each of them is told to end in turn, and one takes its place', async () => {
    redis = new RedisServer()
    const { url } = redis
    await redis.start()
    const ports = await Promise.all([freePort(), freePort()])
    const start = (port: number) => new Server('--port', String(port), '--redis', url).listening()
    const servers = [await start(ports[0]!), await start(ports[1]!)]
    const bases = servers.map(({ ws }) => ws)
    const pair = [client('ada', bases), client('bob', [...bases].reverse())] as [CountedClient, CountedClient]
    await Promise.all(pair.map(one => one.opened()))
    let said = 0
    const say = (count: number): void => {
      for (; count > 0; count--, said++) for (const [i, one] of pair.entries()) one.send(pair[1 - i]!.id, said)
    }
    for (const [i, port] of ports.entries()) {
      say(15)
      servers[i]!.child.kill('SIGTERM')
      say(15)
      expect(await servers[i]!.ended).toEqual([0, null])
      await Promise.all(pair.map(one => one.opened()))
      await start(port)
      await Promise.all(pair.map(one => one.until(() => one.payloads().length >= said && one.confirmed === said)))
    }
    expectEverythingOnce(pair[0], [pair[1]], said)
    expectEverythingOnce(pair[1], [pair[0]], said)
  }, 120_000)
})

describe('one server without Redis', () => {
  it('that is started anew while 50 pairs connect lets all of them connect', async () => {
    const port = await freePort()
    const server = await new Server('--port', String(port)).listening()
    // What a connection says: OFFER, ANSWER, and candidates of both. Who has nothing back says it again, as the core does.
    const connected = new Set<string>()
    const timers: ReturnType<typeof setInterval>[] = []
    const pairs = Array.from({ length: 50 }, (_, i) => {
      const [caller, callee] = [client(`caller ${i}`, [server.ws]), client(`callee ${i}`, [server.ws])]
      const last = (one: CountedClient) => one.inbox.at(-1)
      caller.changed = () => { if (last(caller)?.type === 'ANSWER') caller.send(callee.id, 'path') }
      callee.changed = () => {
        if (last(callee)?.type === 'OFFER') callee.send(caller.id, 'answer', 'ANSWER')
        if (callee.payloads().includes('path')) connected.add(callee.id)
      }
      caller.send(callee.id, 'offer', 'OFFER')
      timers.push(setInterval(() => { if (!connected.has(callee.id)) caller.send(callee.id, 'offer', 'OFFER') }, 4000))
      return { caller, callee }
    })
    try {
      await Promise.race(pairs.map(({ callee }) => callee.until(() => connected.size > 0)))
      server.child.kill('SIGTERM')
      expect(await server.ended).toEqual([0, null])
      expect(connected.size).toBeLessThan(50)
      await new Server('--port', String(port)).listening()
      await Promise.all(pairs.map(({ callee }) => callee.until(() => connected.has(callee.id))))
      expect(connected.size).toBe(50)
    }
    finally {
      for (const timer of timers) clearInterval(timer)
    }
  }, 120_000)
})
