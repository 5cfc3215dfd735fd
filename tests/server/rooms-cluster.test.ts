// Rooms over several instances behind a real redis-server.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createSignalingServer } from '../../js/server/index.js'
import type { SignalingServer, SignalingServerOptions } from '../../js/server/index.js'
import { RedisServer } from './redis.js'
import { connect } from './socket.js'
import type { Socket } from './socket.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
// Below node_modules' parent, where its imports are found.
const folder = mkdtempSync(join(root, 'node_modules', '.rooms-cluster-'))
const cli = join(folder, 'cli.mjs')
const redis = new RedisServer()
const servers: SignalingServer[] = []
const processes = new Set<ChildProcess>()
const sockets: Socket[] = []
/** Tests share a Redis and not what is in it. */
let key = 0

beforeAll(async () => {
  await redis.start()
  await build({ entryPoints: [join(root, 'js/server/cli.ts')], outfile: cli, bundle: true, platform: 'node', format: 'esm', packages: 'external' })
}, 60_000)
afterEach(async () => {
  for (const { ws } of sockets.splice(0)) ws.terminate()
  for (const child of processes) child.kill('SIGKILL')
  processes.clear()
  await Promise.all(servers.splice(0).map(server => server.close()))
  key += 1
})
afterAll(async () => {
  await redis.end()
  rmSync(folder, { recursive: true, force: true })
})

async function instance(options: SignalingServerOptions = {}): Promise<string> {
  const server = createSignalingServer({ redis: redis.url, key: `k${key}`, ...options })
  servers.push(server)
  const { url } = await server.listen({ port: 0, host: '127.0.0.1' })
  await vi.waitUntil(() => server.hub.redis === 'up', { interval: 1, timeout: 5000 })
  return url.replace(/^http/, 'ws')
}

/** An instance in a process of its own. */
async function foreign(): Promise<{ child: ChildProcess, ws: string }> {
  const child = spawn(process.execPath, [cli, '--host', '127.0.0.1', '--port', '0', '--key', `k${key}`, '--redis', redis.url], { stdio: ['ignore', 'pipe', 'inherit'] })
  processes.add(child)
  let output = ''
  for await (const data of child.stdout) {
    const [, url] = /Listening on (\S+)/.exec(output += String(data)) ?? []
    if (url === undefined) continue
    // It listens before it has reached Redis, and lets nobody in until then.
    await vi.waitUntil(async () => (await (await fetch(`${url}health`)).json() as { status: string }).status === 'ok', { interval: 10, timeout: 10_000 })
    return { child, ws: url.replace(/^http/, 'ws') }
  }
  throw new Error(`The server ended: ${output}`)
}

interface Entry { id: string, metadata?: unknown }
interface Told { members?: Entry[], joined?: Entry[], left?: { id: string, reason: string }[], error?: string }

/** Somebody in the room, with what was told. */
class Member {
  readonly here = new Map<string, unknown>()
  /** Who left, and why; refusals. */
  readonly events: string[] = []
  #changed: () => void = () => {}

  constructor(readonly id: string, readonly socket: Socket) {
    socket.ws.on('message', (data) => {
      const { type, payload } = JSON.parse(String(data)) as { type: string, payload?: Told }
      if (type !== 'ROOM' || !payload) return
      if (payload.error) this.events.push(payload.error)
      if (payload.members) this.here.clear()
      for (const { id, reason } of payload.left ?? []) {
        this.here.delete(id)
        this.events.push(`${id} ${reason}`)
      }
      for (const { id, metadata } of [...payload.members ?? [], ...payload.joined ?? []]) this.here.set(id, metadata)
      this.#changed()
    })
  }

  join(metadata?: unknown): void {
    this.socket.send({ type: 'JOIN', room: 'r', payload: { life: '', n: 0, metadata } })
  }

  update(metadata: unknown): void {
    this.socket.send({ type: 'JOIN', room: 'r', payload: { metadata } })
  }

  async until(what: () => boolean): Promise<void> {
    while (!what()) await new Promise<void>((resolve) => { this.#changed = resolve })
  }

  sees(...ids: string[]): Promise<void> {
    return this.until(() => [...this.here.keys()].sort().join() === ids.sort().join())
  }
}

async function member(at: string, id: string, metadata?: unknown): Promise<Member> {
  const socket = await connect(at, id, { key: `k${key}` })
  sockets.push(socket)
  const one = new Member(id, socket)
  one.join(metadata)
  await one.until(() => one.here.has(id) || one.events.length > 0)
  return one
}

describe('a room over several instances', () => {
  it('tells at each who is in at the others, with metadata, and the changes of these', async () => {
    const [one, two] = [await instance(), await instance()]
    const ada = await member(one, 'ada', { name: 'Ada\n\u2028ä' })
    const bob = await member(two, 'bob', 1)
    // The first list is whole.
    expect([...bob.here]).toEqual([['ada', { name: 'Ada\n\u2028ä' }], ['bob', 1]])
    await ada.until(() => ada.here.get('bob') === 1)
    bob.update(2)
    await ada.until(() => ada.here.get('bob') === 2)
    expect([...ada.events, ...bob.events]).toEqual([])
  })

  it('tells who leaves, and why', async () => {
    const [one, two] = [await instance(), await instance()]
    const ada = await member(one, 'ada')
    const [bob, eve] = [await member(two, 'bob'), await member(two, 'eve')]
    await ada.sees('ada', 'bob', 'eve')
    bob.socket.send({ type: 'PART', room: 'r' })
    await ada.sees('ada', 'eve')
    eve.socket.send({ type: 'LEAVE' })
    await ada.sees('ada')
    expect(ada.events).toEqual(['bob left', 'eve gone'])
    // Nobody is left there who would know: asked anew.
    const joe = await member(two, 'joe')
    expect([...joe.here.keys()]).toEqual(['ada', 'joe'])
  })

  it('does not tell that somebody moves to another instance', async () => {
    const [one, two] = [await instance(), await instance()]
    const [ada, bob] = [await member(one, 'ada'), await member(two, 'bob')]
    const eve = await member(one, 'eve', 'at one')
    const moved = await member(two, 'eve', 'at two')
    expect(await eve.socket.ended).toBe(4001)
    for (const other of [ada, bob]) await other.until(() => other.here.get('eve') === 'at two')
    moved.socket.send({ type: 'PART', room: 'r' })
    for (const other of [ada, bob]) await other.sees('ada', 'bob')
    // Why she left is told once, and the other instance may have looked only afterwards.
    expect([ada.events, bob.events]).toEqual([['eve left'], [expect.stringMatching(/^eve (?:left|lost)$/)]])
  })

  it('keeps whose instance died until outage_timeout is over, and those who come back elsewhere', async () => {
    const options = { outage_timeout: 1500, reserve_timeout: 1000 }
    const [one, two, dying] = [await instance(options), await instance(options), await foreign()]
    const [ada, bob] = [await member(one, 'ada'), await member(two, 'bob')]
    await member(dying.ws, 'eve')
    await member(dying.ws, 'joe')
    for (const other of [ada, bob]) await other.sees('ada', 'bob', 'eve', 'joe')
    dying.child.kill('SIGKILL')
    const eve = await member(two, 'eve')
    expect([...eve.here.keys()].sort()).toEqual(['ada', 'bob', 'eve', 'joe'])
    for (const other of [ada, bob, eve]) await other.sees('ada', 'bob', 'eve')
    expect([ada.events, bob.events, eve.events]).toEqual([['joe lost'], ['joe lost'], ['joe lost']])
  }, 30_000)

  it('keeps whose instance was only silent for a while', async () => {
    const options = { outage_timeout: 2000, reserve_timeout: 1000 }
    const [one, silent, dying] = [await instance(options), await foreign(), await foreign()]
    const ada = await member(one, 'ada')
    const eve = await member(silent.ws, 'eve')
    await member(dying.ws, 'joe')
    await ada.sees('ada', 'eve', 'joe')
    const watcher = new Redis(redis.url)
    const heard: string[] = []
    watcher.on('message', (_channel, text: string) => heard.push(text.split('\n')[0]!))
    await watcher.subscribe(`peerbridge:{k${key}}:rooms`)
    silent.child.kill('SIGSTOP')
    await vi.waitUntil(() => heard.includes('dead'), { interval: 5, timeout: 10_000 })
    silent.child.kill('SIGCONT')
    await vi.waitUntil(() => heard.includes('alive'), { interval: 5, timeout: 10_000 })
    // Given up later than eve would have been.
    dying.child.kill('SIGKILL')
    await ada.sees('ada', 'eve')
    eve.update('still here')
    await ada.until(() => ada.here.get('eve') === 'still here')
    expect(ada.events).toEqual(['joe lost'])
    watcher.disconnect()
  }, 30_000)

  it('is whole again after Redis began anew with nothing, and nobody left', async () => {
    const [one, two] = [await instance(), await instance()]
    const [ada, bob] = [await member(one, 'ada', 0), await member(two, 'bob', 0)]
    await ada.sees('ada', 'bob')
    await redis.restartEmpty()
    await vi.waitUntil(() => servers.every(({ hub }) => hub.redis === 'up'), { interval: 1, timeout: 10_000 })
    ada.update(1)
    bob.update(1)
    await ada.until(() => ada.here.get('bob') === 1)
    await bob.until(() => bob.here.get('ada') === 1)
    const eve = await member(two, 'eve')
    expect([...eve.here.keys()].sort()).toEqual(['ada', 'bob', 'eve'])
    await ada.sees('ada', 'bob', 'eve')
    expect([ada.events, bob.events, eve.events]).toEqual([[], [], []])
  }, 30_000)

  it('tells at each instance its own while Redis is away, and the others\' changes when it is back', async () => {
    const [one, two] = [await instance(), await instance()]
    const [ada, eve, bob] = [await member(one, 'ada'), await member(one, 'eve'), await member(two, 'bob')]
    await ada.sees('ada', 'bob', 'eve')
    await bob.sees('ada', 'bob', 'eve')
    await redis.kill()
    await vi.waitUntil(() => servers.every(({ hub }) => hub.redis === 'down'), { interval: 1, timeout: 10_000 })
    const local = servers[0]!.hub.rooms!
    eve.socket.send({ type: 'PART', room: 'r' })
    ada.update('alone')
    await vi.waitUntil(() => local.members('r').length === 2, { interval: 1, timeout: 10_000 })
    expect(servers[1]!.hub.rooms!.members('r').sort()).toEqual(['ada', 'bob', 'eve'])
    await redis.start()
    await bob.until(() => bob.here.get('ada') === 'alone' && !bob.here.has('eve'))
    await ada.sees('ada', 'bob')
    // Why she left is told once, and the other instance may have looked only afterwards.
    expect([ada.events, bob.events]).toEqual([['eve left'], [expect.stringMatching(/^eve (?:left|lost)$/)]])
  }, 30_000)

  it('takes no more than it may have in all', async () => {
    const options = { rooms: { members: 2 } }
    const [one, two] = [await instance(options), await instance(options)]
    const [ada] = [await member(one, 'ada'), await member(one, 'bob')]
    const eve = await member(two, 'eve')
    expect(eve.events).toEqual(['room-full'])
    await ada.until(() => !ada.here.has('eve'))
    expect(servers[1]!.hub.rooms!.size).toBe(0)
  })
})
