/**
 * What framing alone costs: the wasm core in Node, two endpoints whose frames are handed over directly. Copying a frame is
 * what RTCDataChannel.send() does and is not counted; copying a message into the core is.
 *
 *     npm run bench -- framing [--mb 256] [--small 1000000] [--rounds 5]
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { load, options } from '../reach/lab/lab.mjs'
import { markdownTable, median, table } from '../reach/statistics.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const kibi = 2 ** 10
const lanes = { normal: 1, bulk: 2 }
const bytesFormat = 3

export async function main(args) {
  const given = options(args, {
    rounds: 5,
    /** MiB a round, in messages of 16 MiB. */
    mb: 256,
    /** Messages of 100 bytes a round. */
    small: 1_000_000,
    /** What maxMessageSize is: bytes of a frame at most. */
    frame: [65_536, 262_144],
    write: 1,
  })
  const before = load()
  const file = await bundle()
  const allocated = allocations()
  const rows = []
  const raw = {}
  for (const limit of given.frame) {
    // Counted in one instance, timed in another: counting costs time.
    const counted = await measure(file, limit, { rounds: 1, mb: 64, small: 100_000, count: true })
    const timed = await measure(file, limit, given)
    for (const kind of ['chunk', 'message']) {
      for (const side of ['sender', 'receiver']) {
        const times = timed[kind].map(round => round[side])
        raw[`${kind}, frames of ${limit / kibi} KiB, ${side}`] = times.map(ns => ns.toFixed(0))
        rows.push([
          `${kind === 'chunk' ? '64 KiB of a large message' : 'a message of 100 bytes'}, frames of ${limit / kibi} KiB, ${side}`,
          median(times).toFixed(0), Math.min(...times).toFixed(0),
          counted[kind][0].calls[side].toFixed(3), counted[kind][0].frameCalls[side].toFixed(2),
          timed[kind].at(-1).grown,
        ])
      }
    }
    raw[`copying 64 KiB, frames of ${limit / kibi} KiB`] = timed.copy.map(ns => ns.toFixed(0))
    rows.push([`copying 64 KiB of a large message, nothing else (${limit / kibi})`, median(timed.copy).toFixed(0), Math.min(...timed.copy).toFixed(0), '', '', ''])
  }
  const head = ['', 'ns, median', 'ns, fastest round', 'calls of the wasm each', 'calls a frame', 'memory grown, bytes']
  const said = `Allocations, counted in a native build: ${allocated.chunk} for 64 KiB of a large message, ${allocated.message} for a message of 100 bytes, both sides together.`
  console.log(said)
  console.log(table(head, rows))
  if (!given.write) return
  return {
    title: 'Framing alone',
    text: [
      'The wasm core in Node, through `js/core`: two endpoints, each handing its frames to the other; nothing else. Sender and',
      'receiver are timed apart, acknowledgements included; the copy that a browser makes in `send()` is left out, the copies into',
      'the core are not. Calls of the wasm: every exported function, counted in a run of its own. Memory: how much the wasm\'s',
      `memory grew in the last of ${given.rounds} rounds of ${given.mb} MiB and ${given.small.toLocaleString('en')} messages.`,
      '', said,
    ].join('\n'),
    table: markdownTable(head, rows), about: `load ${before} before and ${load()} after`, raw, unit: 'ns',
  }
}

async function bundle() {
  const outfile = join(root, 'build/bench/core.mjs')
  mkdirSync(join(root, 'build/bench'), { recursive: true })
  await build({ entryPoints: [join(root, 'js/core/load.ts')], bundle: true, format: 'esm', platform: 'node', outfile, logLevel: 'error' })
  return outfile
}

/** See framing-allocations.cpp. */
function allocations() {
  const program = join(root, 'build/bench/framing-allocations')
  const sources = ['framing', 'base'].flatMap(folder =>
    readdirSync(join(root, 'cpp/src', folder)).filter(name => name.endsWith('.cpp') && name !== 'json.cpp').map(name => join(root, 'cpp/src', folder, name)))
  const { status } = spawnSync('g++', [
    '-std=c++20', '-O2', '-fno-exceptions', '-fno-rtti', `-I${join(root, 'cpp/include')}`, `-I${join(root, 'cpp/src')}`,
    '-o', program, fileURLToPath(new URL('framing-allocations.cpp', import.meta.url)), ...sources,
  ], { stdio: 'inherit' })
  if (status !== 0) throw new Error('the counter of allocations could not be compiled; is there a compiler? apt-get install g++')
  return JSON.parse(execFileSync(program, { encoding: 'utf8' }))
}

let instance = 0

/** A core of its own, its exports counted when asked for. */
async function loadCore(file, count) {
  const calls = { sender: 0, receiver: 0, of: 'sender' }
  const { instantiate } = WebAssembly
  let memory
  WebAssembly.instantiate = async (...args) => {
    const made = await instantiate.apply(WebAssembly, args)
    // Node's own parser of HTTP comes the same way.
    if ('llhttp_alloc' in made.exports) return made
    const exports = {}
    for (const [name, value] of Object.entries(made.exports)) {
      if (value instanceof WebAssembly.Memory) memory = value
      exports[name] = typeof value === 'function' && count
        ? (...args) => (calls[calls.of]++, value(...args))
        : value
    }
    return count ? { exports } : made
  }
  try {
    const { loadCore } = await import(`${pathToFileURL(file).href}?${++instance}`)
    return { factory: await loadCore(), calls, memory: () => memory }
  }
  finally {
    WebAssembly.instantiate = instantiate
  }
}

/** One endpoint and the little that a driver does. */
class End {
  frames = []
  /** Bytes that are not handed over yet. */
  buffered = 0
  pieces = 0
  messages = 0
  connection = 0
  channel = 0
  open = false

  constructor(core, id) {
    this.core = core
    this.id = id
  }
}

/** Two endpoints with an open connection, as js/core/prime.ts makes it. */
function connect(factory, limit) {
  const ends = ['a', 'b'].map((id, seed) => new End(factory.create({ seed }, performance.now()), id))
  const [a, b] = ends
  const sdp = 'v=0\r\na=ice-ufrag:u\r\n'
  const todo = ends.map(end => [end, { type: 'start', id: end.id, token: '' }])
  todo.push([a, { type: 'connect', connection: 1, peer: 'b', connectionId: 'c', kind: 'data', label: '', serialization: '', reliable: true }])
  a.connection = 1
  const take = (end) => {
    const calls = end === a
    const other = calls ? b : a
    for (let output; (output = end.core.poll());) {
      switch (output.type) {
        case 'signaling-connect':
          end.transport = output.transport
          todo.unshift([end, { type: 'signaling-opened', transport: output.transport }],
            [end, { type: 'signaling-message', transport: output.transport, text: '{"type":"OPEN"}' }])
          break
        case 'signaling-send':
          if (JSON.parse(output.text).dst) todo.push([other, { type: 'signaling-message', transport: other.transport, text: JSON.stringify({ ...JSON.parse(output.text), src: end.id }) }])
          break
        case 'set-local-description':
          todo.push([end, { type: 'op-done', op: output.op, sdpType: calls ? 'offer' : 'answer', sdp }])
          if (!calls) {
            // Both have described: the channel opens.
            todo.push([b, { type: 'channel-arrived', link: b.link, channel: 101, label: '', protocol: '' }],
              [b, { type: 'channel-opened', channel: 101, maxMessageSize: limit }])
            b.arrived = true
          }
          break
        case 'set-remote-description':
          todo.push([end, { type: 'op-done', op: output.op }])
          if (calls) todo.push([a, { type: 'channel-opened', channel: a.channel, maxMessageSize: limit }])
          break
        case 'add-candidate':
          todo.push([end, { type: 'op-done', op: output.op }])
          break
        case 'link-create':
          end.link = output.link
          end.connection = output.connection
          if (calls) todo.push([end, { type: 'negotiation-needed', link: output.link }])
          break
        case 'channel-create':
          end.channel = output.channel
          break
        case 'channel-bind':
          end.channel = output.channel
          break
        case 'transmit':
          end.transmit = true
          break
        case 'connection-opened':
          end.open = true
          break
        default:
      }
    }
  }
  const settle = () => {
    for (let next; (next = todo.shift());) {
      next[0].core.handle(next[1], performance.now())
      take(next[0])
    }
  }
  settle()
  for (let i = 0; i < 20 && !(a.open && b.open); i++) {
    for (const [from, to] of [[a, b], [b, a]]) {
      pump(from)
      hand(from, to)
      take(to)
      settle()
    }
  }
  if (!a.open || !b.open) throw new Error('the two did not connect')
  return [a, b]
}

/** Time of copying frames, which is not framing. */
let copying = 0
/** Frames that were taken apart, by length: what collects them is not framing either. */
const pool = new Map()

/** Everything the core wants to send now. `payloads` by ticket. */
function pump(end, payloads) {
  for (;;) {
    const action = end.core.pump(end.connection, end.channel, end.buffered, performance.now())
    if (action.kind === 'wait') return
    if (action.kind !== 'send') {
      const { ticket, offset, target } = action
      const payload = payloads.get(ticket)
      target.set(payload.subarray(offset, offset + target.length))
      if (offset + target.length >= payload.length) payloads.delete(ticket)
      if (action.kind === 'fill') continue
    }
    const began = performance.now()
    const { length } = action.frame
    const buffer = pool.get(length)?.pop() ?? new ArrayBuffer(length)
    new Uint8Array(buffer).set(action.frame)
    end.frames.push(buffer)
    end.buffered += length
    copying += performance.now() - began
  }
}

/** Gives the frames to the other end, which takes them apart. */
function hand(from, to) {
  for (const frame of from.frames) {
    for (const delivery of to.core.receive(to.channel, frame, performance.now())) {
      to.pieces++
      if (delivery.last) to.messages++
    }
    if (!pool.has(frame.byteLength)) pool.set(frame.byteLength, [])
    pool.get(frame.byteLength).push(frame)
  }
  from.frames = []
  from.buffered = 0
}

/** Outputs that come meanwhile: transmit and room are answered by the loop itself. */
function drain(end) {
  while (end.core.poll());
  const at = end.core.deadline()
  if (at <= performance.now()) {
    end.core.handle({ type: 'timeout' }, performance.now())
    while (end.core.poll());
  }
}

async function measure(file, limit, { rounds, mb, small, count = false }) {
  const { factory, calls, memory } = await loadCore(file, count)
  const [a, b] = connect(factory, limit)
  const payloads = new Map()
  let times
  let frames
  const side = (name, what) => {
    calls.of = name
    copying = 0
    const began = performance.now()
    what()
    times[name] += performance.now() - began - copying
  }
  /** One turn: what is sent, to the other side and its answers back. */
  const turn = (send) => {
    side('sender', () => {
      send()
      pump(a, payloads)
      drain(a)
    })
    frames += a.frames.length
    side('receiver', () => {
      hand(a, b)
      drain(b)
      pump(b, payloads)
    })
    side('sender', () => {
      hand(b, a)
      drain(a)
    })
  }
  const measured = (units, run) => {
    times = { sender: 0, receiver: 0 }
    frames = 0
    calls.sender = calls.receiver = 0
    const before = memory().buffer.byteLength
    run()
    return {
      sender: times.sender * 1e6 / units, receiver: times.receiver * 1e6 / units, grown: memory().buffer.byteLength - before,
      calls: { sender: calls.sender / units, receiver: calls.receiver / units },
      frameCalls: { sender: calls.sender / frames, receiver: calls.receiver / frames },
    }
  }
  const nothing = () => {}

  // Written to: memory that never was is one page, and in the cache.
  const payload = new Uint8Array(16 * kibi * kibi).fill(7)
  const chunks = () => {
    for (let left = mb * kibi * kibi; left > 0; left -= payload.length) {
      const before = b.messages
      turn(() => {
        const ticket = a.core.queue(a.connection, lanes.bulk, bytesFormat, payload.length)
        payloads.set(ticket, payload)
      })
      for (let turns = 0; b.messages === before; turns++) {
        if (turns > 1e6) throw new Error('the message does not arrive')
        turn(nothing)
      }
    }
  }
  const message = new Uint8Array(100)
  const messages = () => {
    const before = b.messages
    for (let sent = 0; sent < small;) {
      turn(() => {
        // As many as an application sends in one turn of the event loop before it has to wait.
        for (let i = 0, room = true; i < 1000 && sent < small && room; i++, sent++) {
          if (!a.core.put(a.connection, lanes.normal, bytesFormat, message)) throw new Error('refused')
          room = a.core.room
        }
      })
    }
    for (let turns = 0; b.messages - before < small; turns++) {
      if (turns > 1e6) throw new Error('messages are missing')
      turn(nothing)
    }
  }
  const results = { chunk: [], message: [], copy: [] }
  // The first of each is for the compiler. Not in turn: beside small messages large ones are cut smaller, for a second.
  for (let round = -1; round < rounds; round++) {
    const chunk = measured(mb * 16, chunks)
    if (round >= 0) results.chunk.push(chunk)
  }
  for (let round = -1; round < rounds; round++) {
    const each = measured(small, messages)
    if (round >= 0) results.message.push(each)
  }
  // The same way: piece after piece of a large message, to what is kept until it is acknowledged.
  const target = new Uint8Array(4 * kibi * kibi).fill(7)
  for (let round = 0; round < rounds; round++) {
    const began = performance.now()
    for (let i = 0; i < 4096; i++) {
      const at = i * 64 * kibi % payload.length
      target.set(payload.subarray(at, at + 64 * kibi), at % target.length)
    }
    results.copy.push((performance.now() - began) * 1e6 / 4096)
  }
  a.core.dispose()
  b.core.dispose()
  return results
}
