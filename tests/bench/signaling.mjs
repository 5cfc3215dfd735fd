/**
 * The signaling server beside the npm package `peer`: what a message, a connection and an idle client cost, and how many of them
 * there may be. Each server is a process of its own, whose CPU time (user and system) and memory the system tells; clients are other
 * processes; loopback. The servers take turns.
 *
 *     npm run bench:signaling [-- --only messages,connection,latency,scaling,memory,many] [--rounds 9] [--write]
 *     npm run bench:signaling -- --only redis        # needs a redis-server
 *     npm run bench:signaling -- --only soak --minutes 20
 *
 * `--cpuprofile folder` keeps what the servers did; `--record` writes signaling/frames.json anew, with a browser.
 */
import { fork, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { writeSection } from '../reach/document.mjs'
import { load, options, sleep } from '../reach/lab/lab.mjs'
import { markdownTable, median, medianRatio, quantile, table } from '../reach/statistics.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, 'tests/bench/signaling')
const framesFile = join(folder, 'frames.json')

/** Who is measured: which server, and which clients. */
const lanes = {
  'peerbridge': { title: 'peerbridge', server: 'peerbridge', script: 'peerbridge' },
  'counted': { title: 'peerbridge, clients that count', server: 'peerbridge', counts: true, script: 'peerbridge' },
  'crossws': { title: 'peerbridge, through crossws\'s adapter', server: 'crossws', script: 'peerbridge' },
  'peer': { title: 'peer 1.0.2', server: 'peer', script: 'peerjs' },
  'ws': { title: '`ws` and nothing else', server: 'ws', script: 'peerjs' },
}

/** @param done called with each section as soon as it was measured */
export async function main(args, done = () => {}) {
  const given = options(args, {
    only: ['messages', 'connection', 'latency', 'scaling', 'memory', 'many'],
    lanes: ['peerbridge', 'counted', 'peer', 'ws'],
    rounds: 31,
    /** Of each lane in each round: short, so that what disturbs one disturbs all. */
    ms: 250,
    /** Connected clients, where it does not say otherwise. */
    clients: 200,
    /** Pairs that talk at the same moment. */
    wide: 50,
    sizes: [100, 300, 1000, 3000, 10_000],
    idle: 5000,
    many: 10_000,
    /** Of the soak. */
    minutes: 20,
    /** A folder for the profiles of the servers. */
    cpuprofile: '',
    record: 0,
  })
  if (given.record) {
    await record()
    return
  }
  offer = makeOffer()
  const file = await bundle()
  const parts = { messages, connection, latency, scaling, memory, many, redis, soak }
  for (const part of given.only) {
    const before = load()
    const section = await parts[part](given, file)
    console.log(`\n${section.title}\n${section.text}\n\n${table(section.head, section.rows)}`)
    done(`signaling-${part}`, {
      ...section, table: markdownTable(section.head, section.rows),
      about: `\`npm run bench:signaling -- --only ${part}\`; server and clients each on a core of their own, load ${before} before and ${load()} after`,
    })
  }
}

// -- what is measured ----------------------------------------------------------------------------------------

/** An OFFER of 1.5 KB, as PeerJS writes one. */
let offer = ''

function makeOffer() {
  const [, text] = JSON.parse(readFileSync(framesFile, 'utf8')).peerjs[0].find(([, text]) => text.startsWith('{"type":"OFFER"'))
  const message = JSON.parse(text)
  const bare = text.length - message.payload.sdp.sdp.length
  // The same description, as long as it takes: a line more, or a line cut.
  message.payload.sdp.sdp = message.payload.sdp.sdp.padEnd(1500 - bare, 'a=candidate:1 1 udp 2113937151 192.0.2.1 50000 typ host generation 0\r\n')
  while (JSON.stringify(message).length > 1500) message.payload.sdp.sdp = message.payload.sdp.sdp.slice(0, -1)
  return JSON.stringify(message)
}

async function messages(given, file) {
  const measured = await rounds(given, file, given.lanes, async ({ play }) => {
    const one = await play({ scripts: [[[0, offer], [1, offer]]], wide: given.wide, ms: given.ms })
    const burst = await play({ scripts: [[[0, offer], [1, offer]]], wide: given.wide, ms: given.ms / 2, burst: 8 })
    return { cpu: one.cpu / one.messages, rate: one.messages / one.ms * 1000, burst: burst.cpu / burst.messages }
  })
  return compared(measured, {
    title: 'A message through the server',
    text: [
      `An OFFER of ${offer.length} bytes from one client to another, ${given.clients} clients, ${given.wide} pairs at a time, each of which answers when it`,
      'has heard. "In bursts": 8 messages at once. `ws` and nothing else parses, looks up and writes, without a rule or a limit.',
    ].join('\n'),
    cells: { 'CPU a message': ['cpu', microseconds], 'messages a second': ['rate', whole], 'CPU a message, in bursts': ['burst', microseconds] },
  })
}

async function connection(given, file) {
  const frames = JSON.parse(readFileSync(framesFile, 'utf8'))
  const measured = await rounds(given, file, given.lanes.filter(lane => lane !== 'ws'), async ({ lane, play }) => {
    const result = await play({ scripts: frames[lanes[lane].script], wide: given.wide, ms: given.ms })
    return { cpu: result.cpu / result.plays, frames: result.messages / result.plays }
  })
  return compared(measured, {
    title: 'What a whole connection costs the server',
    text: [
      'From OFFER to the last candidate: what two clients say to each other, recorded from 15 connections between two pages of a browser',
      '(`tests/bench/signaling/frames.json`; `--record 1` writes it anew) and said over and over, each frame when the one before it has',
      'come. Ours with our server, PeerJS with `peer`.',
    ].join('\n'),
    cells: { 'CPU a connection': ['cpu', microseconds], 'frames': ['frames', frames => frames.toFixed(1)] },
  })
}

async function latency(given, file) {
  const all = {}
  // A server runs for days. What its compiler needs is some thousand messages, and four times the p99 until then.
  const warmUp = 6
  const measured = await rounds({ ...given, rounds: Math.min(given.rounds, 15) }, file, given.lanes, async ({ lane, farm }) => {
    const { latencies } = await farm.ask('pace', { text: offer, perSecond: 1000, ms: given.ms * 4 })
    ;(all[lane] ??= []).push(latencies)
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
  }, warmUp)
  return compared(measured, {
    title: 'How long a message takes at 1,000 a second',
    text: [
      `The same OFFER, from the write of one client to the read of the other, after ${warmUp} rounds that do not count. Medians over the`,
      'rounds of each round\'s quantile.',
    ].join('\n'),
    cells: { 'p50': ['p50', microseconds], 'p99': ['p99', microseconds] },
    raw: Object.fromEntries(Object.entries(all).map(([lane, values]) => [`${lanes[lane].title}, n, p50, p99, p99.9, most`,
      [values.slice(warmUp).flat().length, ...[0.5, 0.99, 0.999, 1].map(q => quantile(values.slice(warmUp).flat(), q).toFixed(0))]])),
  })
}

async function scaling(given, file) {
  const wanted = given.lanes.filter(lane => lane !== 'ws')
  const measured = Object.fromEntries(wanted.map(lane => [lane, given.sizes.map(() => [])]))
  await withLanes(given, file, wanted, async (running) => {
    let connected = 0
    for (const [at, size] of given.sizes.entries()) {
      for (const { lane, server, farm } of running) {
        await farm.ask('connect', { port: server.port, name: 'c', counts: lanes[lane].counts, count: size - connected })
      }
      connected = size
      for (let round = -1; round < Math.min(given.rounds, 11); round++) {
        for (const { lane, play } of turned(running, round)) {
          const result = await play({ scripts: [[[0, offer], [1, offer]]], wide: given.wide, ms: given.ms })
          if (round >= 0) measured[lane][at].push(result.cpu / result.messages)
        }
      }
    }
  })
  const image = 'images/signaling-scaling.svg'
  const lines = wanted.map(lane => ({ title: lanes[lane].title, values: measured[lane].map(median) }))
  return {
    title: 'What a message costs while so many clients are connected',
    text: `CPU a message, all clients in turn, ${given.wide} pairs at a time.\n\n![CPU a message with 100 to 10,000 clients](${image})`,
    head: ['', ...given.sizes.map(size => `${size.toLocaleString('en')} clients`), 'last to first'],
    rows: lines.map(({ title, values }) => [title, ...values.map(microseconds), (values.at(-1) / values[0]).toFixed(2)]),
    raw: Object.fromEntries(wanted.flatMap(lane => given.sizes.map((size, i) =>
      [`${lanes[lane].title}, ${size}`, measured[lane][i].map(us => us.toFixed(2))]))),
    unit: 'µs',
    drawing: { [image]: drawing(given.sizes, lines) },
  }
}

async function memory(given, file) {
  const measured = {}
  for (let round = 0; round < Math.min(given.rounds, 3); round++) {
    for (const lane of given.lanes) {
      await withLanes(given, file, [lane], async ([{ server, farm }]) => {
        // What the first clients make the server load is not theirs.
        await farm.ask('connect', { port: server.port, name: 'first', counts: lanes[lane].counts, count: 50 })
        const before = await server.collected()
        await farm.ask('connect', { port: server.port, name: 'idle', counts: lanes[lane].counts, count: given.idle })
        const after = await server.collected()
        ;(measured[lane] ??= []).push({ bytes: (after - before) / given.idle })
      })
    }
  }
  return compared(measured, {
    title: 'Memory of a connected client that says nothing',
    text: `Resident memory of the server after its garbage was collected, with ${given.idle.toLocaleString('en')} clients more than before, by their number.`,
    cells: { 'a client': ['bytes', bytes => `${(bytes / 1024).toFixed(2)} KiB`] },
    unit: 'bytes',
  })
}

async function many(given, file) {
  const rows = []
  for (const lane of given.lanes.filter(lane => lane !== 'ws')) {
    await withLanes(given, file, [lane], async ([{ server, farm, play }]) => {
      const cpu = server.cpu()
      const { ms } = await farm.ask('connect', { port: server.port, name: 'many', counts: lanes[lane].counts, count: given.many })
      const spent = server.cpu() - cpu
      const { open } = await farm.ask('count')
      const { messages } = await play({ scripts: [[[0, offer], [1, offer]]], wide: given.many / 2, ms: 500 })
      rows.push([lanes[lane].title, open.toLocaleString('en'), `${(ms / 1000).toFixed(1)} s`, microseconds(spent / given.many),
        messages.toLocaleString('en'), `${(server.rss() / 2 ** 20).toFixed(0)} MiB`])
    })
  }
  return {
    title: `${given.many.toLocaleString('en')} clients at once`,
    text: 'All connect, each to stay; then every one talks to its neighbour at the same moment, until each of them has heard and answered.',
    head: ['', 'connected', 'took', 'CPU to let one in', 'messages that then arrived', 'resident'], rows,
  }
}

/** Several instances with a Redis between them, each number of instances with a Redis of its own. All clients count. */
async function redis(given, file) {
  const groups = []
  const farms = []
  const farmOf = async (servers, apart) => {
    const farm = startFarm()
    farms.push(farm)
    await farm.ask('connect', { port: servers.map(({ port }) => port), apart, name: apart ? 'a' : 's', counts: true, count: given.clients })
    return farm
  }
  const script = { scripts: [[[0, offer], [1, offer]]], wide: given.wide, ms: given.ms }
  try {
    for (const count of [1, 2, 3]) {
      const store = await startRedis()
      const servers = []
      groups.push({ count, store, servers })
      for (let i = 0; i < count; i++) servers.push(await startServer('peerbridge', file, { redis: store.url }))
      groups.at(-1).farm = await farmOf(servers, true)
    }
    const alone = { count: 0, store: null, servers: [await startServer('peerbridge', file)] }
    groups.unshift(alone)
    alone.farm = await farmOf(alone.servers, true)

    const rates = groups.map(() => [])
    for (let round = -1; round < Math.min(given.rounds, 15); round++) {
      for (const group of turned(groups, round)) {
        const { store, servers, farm } = group
        const cpu = () => [servers.reduce((sum, server) => sum + server.cpu(), 0), store?.cpu() ?? 0]
        const before = cpu()
        const { messages, ms } = await farm.ask('play', script)
        const after = cpu()
        if (round < 0) continue
        const [ofServers, ofStore] = after.map((cpu, i) => (cpu - before[i]) / messages)
        rates[groups.indexOf(group)].push({ rate: messages / ms * 1000, servers: ofServers, store: ofStore })
      }
    }

    const two = groups[2]
    const ways = [
      ['in memory, no Redis', alone.farm], ['through Redis, at the same instance', await farmOf(two.servers, false)],
      ['through Redis, at another instance', two.farm],
    ].map(([title, farm]) => ({ title, farm, p50: [], p99: [] }))
    for (let round = -1; round < Math.min(given.rounds, 9); round++) {
      for (const { farm, p50, p99 } of turned(ways, round)) {
        const { latencies } = await farm.ask('pace', { text: offer, perSecond: 200, ms: 1000 })
        if (round < 0) continue
        p50.push(quantile(latencies, 0.5))
        p99.push(quantile(latencies, 0.99))
      }
    }
    const of = (list, key) => median(list.map(result => result[key]))
    const waits = ways.map(({ title, p50, p99 }) => [title, microseconds(median(p50)), microseconds(median(p99)),
      `${((median(p50) - median(ways[1].p50)) / 1000).toFixed(2)} ms`])
    const head = ['at 200 messages a second', 'p50', 'p99', 'p50 more than at the same instance']
    return {
      title: 'Several instances with Redis',
      text: [
        `${given.clients} clients that count, spread over the instances, ${given.wide} pairs at a time, both of a pair at different instances where`,
        'there is more than one. Redis writes nothing to the disk. All instances share one core, Redis and the clients the other, so the rate',
        'does not show what more machines would do; what a message costs each of them does: Redis is one process and takes one core at most.', '',
        markdownTable(head, waits),
      ].join('\n'),
      head: ['instances', 'messages a second', 'CPU a message, all instances', 'CPU a message, Redis'],
      rows: groups.map(({ count }, i) => [count || 'one, in memory', whole(of(rates[i], 'rate')), microseconds(of(rates[i], 'servers')),
        count ? microseconds(of(rates[i], 'store')) : '']),
      raw: Object.fromEntries([
        ...groups.flatMap(({ count }, i) => ['rate', 'servers', 'store'].map(key =>
          [`${count} instances, ${key}`, rates[i].map(result => result[key].toFixed(1))])),
        ...ways.flatMap(way => ['p50', 'p99'].map(key => [`${way.title}, ${key}`, way[key].map(us => us.toFixed(0))])),
      ]),
      unit: 'µs, and messages a second',
    }
  }
  finally {
    await Promise.all([...farms, ...groups.flatMap(({ servers }) => servers)].map(each => each.end()))
    await Promise.all(groups.map(({ store }) => store?.end()))
  }
}

async function soak(given, file) {
  const samples = []
  let lives = 0
  await withLanes({ ...given, clients: 0 }, file, ['peerbridge'], async ([{ server, farm }]) => {
    const began = performance.now()
    const end = began + given.minutes * 60_000
    for (let minute = 0; performance.now() < end; minute++) {
      const ms = Math.min(48_000, end - performance.now())
      const result = await farm.ask('churn', { port: server.port, name: `m${minute}`, text: offer, width: 100, ms })
      lives += result.lives
      // What waits for nobody is given up after 5 s; ids of who dropped are kept for 10.
      await sleep(Math.min(12_000, given.minutes * 6000))
      samples.push({ minute: (performance.now() - began) / 60_000, lives, ...await server.memory() })
      const { rss, heap, external } = samples.at(-1)
      console.log(`${samples.at(-1).minute.toFixed(1)} min: ${lives.toLocaleString('en')} clients came and went, `
        + `resident ${mebi(rss)}, heap ${mebi(heap)}, buffers ${mebi(external)} MiB`)
    }
  })
  // What the first clients make the server load and compile is no leak.
  const warm = samples.filter(({ minute }) => minute > given.minutes / 4)
  const kinds = [['resident', 'rss'], ['JavaScript heap', 'heap'], ['buffers', 'external']]
  return {
    title: 'Clients that come and go',
    text: [
      `${given.minutes} minutes, ${lives.toLocaleString('en')} clients, 100 pairs at a time: two connect, one calls the other and somebody who is not`,
      'there, both go, every other time without a word. Memory once a minute, 12 s after the last of them went, its garbage collected. The',
      'slope is that of the straight line through all but the first quarter (least squares). What a client that counts has not confirmed is kept',
      'for a minute after it went (`outage_timeout`): so a sample holds what is of the last minute, and more where more came in it.',
    ].join('\n'),
    head: ['MiB', 'after the first minute', 'median after the first quarter', 'at the end', 'slope, MiB an hour'],
    rows: kinds.map(([title, key]) => [title, ...[samples[0][key], median(warm.map(sample => sample[key])), samples.at(-1)[key]].map(mebi),
      (slope(warm.map(sample => [sample.minute / 60, sample[key]])) / 2 ** 20).toFixed(2)]),
    raw: {
      'minute': samples.map(({ minute }) => minute.toFixed(1)),
      'clients so far': samples.map(({ lives }) => lives),
      ...Object.fromEntries(kinds.map(([title, key]) => [title, samples.map(sample => mebi(sample[key]))])),
    },
    unit: 'MiB',
  }
}

const mebi = bytes => (bytes / 2 ** 20).toFixed(1)

/** Of the line through these points that is nearest to them. */
function slope(points) {
  const mean = i => points.reduce((sum, point) => sum + point[i], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const sum = of => points.reduce((sum, [px, py]) => sum + of(px - x, py - y), 0)
  return sum((dx, dy) => dx * dy) / sum(dx => dx * dx)
}

// -- how it is measured --------------------------------------------------------------------------------------

const microseconds = us => `${us.toFixed(us < 100 ? 1 : 0)} µs`
const whole = value => Math.round(value).toLocaleString('en')

/** Medians, and how they stand to those of `peer`. */
function compared(measured, { title, text, cells, raw = {}, unit = 'µs' }) {
  const head = ['', 'n', ...Object.keys(cells).flatMap(name => [name, 'ratio to peer (95 %)'])]
  const cell = (lane, [key, spell]) => {
    const values = measured[lane].map(result => result[key])
    const { ratio, low, high } = medianRatio(values, measured.peer?.map(result => result[key]) ?? [])
    return [spell(median(values)), `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`]
  }
  const rows = Object.entries(measured)
    .map(([lane, { length }]) => [lanes[lane].title, length, ...Object.values(cells).flatMap(of => cell(lane, of))])
  const numbers = Object.fromEntries(Object.entries(measured).flatMap(([lane, results]) => Object.entries(cells).map(([name, [key]]) =>
    [`${lanes[lane].title}, ${name}`, results.map(result => result[key].toFixed(2))])))
  return { title, text, head, rows, raw: { ...numbers, ...raw }, unit }
}

const turned = (list, round) => {
  const shift = Math.abs(round) % list.length
  const order = [...list.slice(shift), ...list.slice(0, shift)]
  return round % 2 ? order.reverse() : order
}

/** All lanes in every round, in an order that turns; the first round counts for nothing. */
/** @param warm so many rounds before those that count */
async function rounds(given, file, wanted, measure, warm = 1) {
  const measured = Object.fromEntries(wanted.map(lane => [lane, []]))
  await withLanes(given, file, wanted, async (running) => {
    for (const { lane, server, farm } of running) {
      await farm.ask('connect', { port: server.port, name: 'c', counts: lanes[lane].counts, count: given.clients })
    }
    for (let round = -warm; round < given.rounds; round++) {
      for (const each of turned(running, round)) {
        const result = await measure(each)
        if (round >= 0) measured[each.lane].push(result)
      }
    }
  })
  return measured
}

/** A server and a farm for each lane, gone afterwards. */
async function withLanes(given, file, wanted, use) {
  const running = []
  try {
    for (const lane of wanted) {
      const server = await startServer(lanes[lane].server, file, { profiles: given.cpuprofile && join(given.cpuprofile, lane) })
      const farm = startFarm()
      running.push({ lane, server, farm, play: async (how) => {
        const before = server.cpu()
        const result = await farm.ask('play', how)
        return { ...result, cpu: server.cpu() - before }
      } })
    }
    await use(running)
  }
  finally {
    await Promise.all(running.flatMap(({ server, farm }) => [server.end(), farm.end()]))
  }
}

/** On a core of its own, where there are two. */
function pin(child, core) {
  if (cpus().length > 1) spawnSync('taskset', ['-pc', String(core), String(child.pid)])
}

async function startServer(name, file, { profiles = '', redis = '' } = {}) {
  const child = fork(join(folder, 'server.js'), [name, file, redis], {
    execArgv: ['--expose-gc', ...(profiles ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : [])],
  })
  pin(child, 0)
  const answer = key => new Promise((resolve, reject) => {
    const listener = (message) => {
      if (!(key in message)) return
      child.off('message', listener)
      resolve(message[key])
    }
    child.on('message', listener)
    child.once('exit', code => reject(new Error(`the server ${name} ended with ${code}`)))
  })
  const port = await answer('port')
  return {
    port,
    cpu: () => cpuOf(child.pid),
    rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1024,
    async collected() {
      return (await this.memory()).rss
    },
    /** In bytes, its garbage collected. */
    async memory() {
      const memory = answer('memory')
      child.send({})
      return memory
    },
    end: () => ended(child),
  }
}

/** What utime + stime of its threads are, finer than in steps of 10 ms: the time that they ran (sched-stats, first field), µs. */
function cpuOf(pid) {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1000
}

/** On a Unix socket in a folder of its own, which writes nothing to the disk. */
async function startRedis() {
  const place = mkdtempSync(join(tmpdir(), 'peerbridge-redis-'))
  const url = join(place, 'redis.sock')
  const child = spawn('redis-server', ['--port', '0', '--unixsocket', url, '--dir', place, '--save', '', '--appendonly', 'no', '--daemonize', 'no'],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise(resolve => child.once('close', resolve))
  await new Promise((resolve, reject) => {
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
      if (/ready to accept connections/i.test(output)) resolve()
    })
    child.once('error', reject)
    child.once('close', code => reject(new Error(`redis-server ended with ${code}:\n${output}`)))
  })
  pin(child, 1)
  return {
    url,
    cpu: () => cpuOf(child.pid),
    async end() {
      child.kill()
      await closed
      rmSync(place, { recursive: true, force: true })
    },
  }
}

function startFarm() {
  const child = fork(join(folder, 'farm.js'))
  pin(child, 1)
  const waiting = new Map()
  let count = 0
  const fail = error => waiting.forEach(({ reject }) => reject(error))
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error) reject(new Error(error))
    else resolve(result)
  })
  child.once('exit', code => fail(new Error(`a farm ended with ${code}`)))
  return {
    ask: (what, given = {}) => new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject })
      child.send({ id: count, what, given })
    }),
    end: () => ended(child),
  }
}

function ended(child) {
  if (child.exitCode !== null) return
  const exit = new Promise(resolve => child.once('exit', resolve))
  child.disconnect()
  return exit
}

/** The server of this tree, whatever dist/ holds. */
async function bundle() {
  const outfile = join(root, 'build/bench/signaling-server.mjs')
  await build({
    entryPoints: [join(root, 'js/server/index.ts')], bundle: true, format: 'esm', platform: 'node', target: 'node20', outfile, logLevel: 'error',
    packages: 'external',
  })
  return outfile
}

/** What two pages say to each other, in the order in which they said it. Their addresses are replaced (RFC 5737). */
async function record() {
  const { launchChromium } = await import('../reach/lab/browser.mjs')
  const { serve } = await import('../reach/lab/server.mjs')
  const server = await serve()
  const browser = await launchChromium()
  const recorded = {}
  try {
    for (const [lane, port] of [['peerbridge', server.ports.peerbridge], ['peerjs', server.ports.peerserver]]) {
      const pages = []
      const frames = []
      for (const side of [0, 1]) {
        const page = await browser.open(`http://127.0.0.1:${server.ports.files}/tests/bench/setup.html?host=127.0.0.1&port=${port}`)
        const inspector = await page.inspect()
        await inspector.send('Network.enable')
        inspector.on('Network.webSocketFrameSent', ({ timestamp, response }) => frames.push([side, timestamp, response.payloadData]))
        pages.push(page)
      }
      const seen = []
      // The first connection of a page makes a certificate, and finds its candidates later.
      for (let round = -2; round < 15; round++) {
        const to = await pages[1].call('wait', lane, 'callee')
        await pages[0].call('prepare', lane, 'caller')
        frames.length = 0
        await pages[0].call('connect', to)
        await sleep(500)
        const said = frames.filter(([, , text]) => /^\{"type":"(?:OFFER|ANSWER|CANDIDATE)"/.test(text)).sort((a, b) => a[1] - b[1])
        if (round >= 0) seen.push(said)
        await Promise.all(pages.map(page => page.call('end')))
        await sleep(100)
      }
      // How many there are is a matter of milliseconds, so all of them are kept.
      console.log(`${lane}: ${seen.map(({ length }) => length).join(' ')} frames`)
      recorded[lane] = seen.map(frames => frames.map(([side, , text]) => [side, text.replace(/"dst":"[^"]*"\}$/, '"dst":"{dst}"}')
        .replace(/\b(?!0\.0\.0\.0|127\.0\.0\.1)\d+\.\d+\.\d+\.\d+\b/g, '192.0.2.1')]))
    }
    writeFileSync(framesFile, `${JSON.stringify(recorded, null, 2)}\n`)
  }
  finally {
    await browser.close()
    await server.close()
  }
}

function drawing(sizes, lines) {
  const [width, height, left, right, top, bottom] = [760, 340, 70, 230, 50, 50]
  const colors = [['#2563eb', '#7fb2ff'], ['#0f766e', '#4fd1c5'], ['#d1495b', '#ff8a95']]
  const most = Math.ceil(Math.max(...lines.flatMap(({ values }) => values)) / 10) * 10
  const x = size => left + Math.log(size / sizes[0]) / Math.log(sizes.at(-1) / sizes[0]) * (width - left - right)
  const y = us => height - bottom - us / most * (height - top - bottom)
  const names = lines.map((line, i) => ({ ...line, i, at: y(line.values.at(-1)) })).sort((a, b) => a.at - b.at)
  for (let i = 1; i < names.length; i++) names[i].at = Math.max(names[i].at, names[i - 1].at + 17)
  const style = which => lines.map((_, i) => [i, colors[i % 3][which]])
    .map(([i, color]) => `g.l${i}{stroke:${color}}.l${i} circle,text.l${i}{fill:${color}}`).join('')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">
  <title id="title">CPU time that a relayed message costs the server while ${sizes[0]} to ${sizes.at(-1).toLocaleString('en')} clients are connected</title>
  <style>
    text{font:13px system-ui,sans-serif;fill:#1f2933}.axis{fill:#52606d}.grid{stroke:#d9e2ec;fill:none}
    g path{fill:none;stroke-width:2}g circle{stroke:none}.paper{fill:#fff}${style(0)}
    @media (prefers-color-scheme: dark){text{fill:#e4e7eb}.axis{fill:#9aa5b1}.grid{stroke:#323f4b}.paper{fill:#0d1117}${style(1)}}
  </style>
  <rect class="paper" width="${width}" height="${height}" rx="6"/>
  <text x="${left}" y="28" font-weight="600">CPU a message of ${offer.length} bytes</text>${Array.from({ length: most / 10 + 1 }, (_, i) => `
  <path class="grid" d="M${left} ${y(i * 10).toFixed(1)}H${width - right}"/><text class="axis" x="${left - 8}" y="${(y(i * 10) + 4).toFixed(1)}" text-anchor="end">${i * 10} µs</text>`).join('')}${sizes.map(size => `
  <text class="axis" x="${x(size).toFixed(1)}" y="${height - bottom + 20}" text-anchor="middle">${size.toLocaleString('en')}</text>`).join('')}
  <text class="axis" x="${(left + width - right) / 2}" y="${height - 10}" text-anchor="middle">connected clients</text>${lines.map(({ values }, i) => `
  <g class="l${i}"><path d="M${values.map((us, at) => `${x(sizes[at]).toFixed(1)} ${y(us).toFixed(1)}`).join('L')}"/>${values.map((us, at) =>
    `<circle cx="${x(sizes[at]).toFixed(1)}" cy="${y(us).toFixed(1)}" r="3"><title>${microseconds(us)}</title></circle>`).join('')}</g>`).join('')}${names.map(({ title, i, at }) => `
  <text class="l${i}" x="${width - right + 12}" y="${(at + 4).toFixed(1)}">${title.replaceAll('`', '')}</text>`).join('')}
</svg>
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const written = args.filter(arg => arg !== '--write')
  await main(written, (key, section) => written.length < args.length && writeSection('benchmarks.md', key, section))
  process.exit(0)
}
