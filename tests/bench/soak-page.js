/** One end of a connection that carries everything at once, numbers what it sends and checks the numbers that come. */
import { makeLane } from '../reach/lab/lanes.js'
import { spin, wasmBytes } from './memory-page.js'

const priorities = ['high', 'normal', 'bulk']
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

let lane
let conn
let running = false
const loops = []

const sent = { high: 0, normal: 0, bulk: 0, file: 0, request: 0 }
const heard = { high: 0, normal: 0, bulk: 0, file: 0, request: 0 }
const trouble = { lost: 0, doubled: 0, disordered: 0, damaged: 0, unanswered: 0 }
/** What else went wrong, at most a few lines. */
const complaints = []
const complain = text => complaints.length < 50 && complaints.push(`${Math.round(performance.now() / 1000)} s: ${text}`)
const states = { recovering: 0, longest: 0, since: 0 }
let bytes = 0

/** Most are small, some large. */
function size() {
  const die = Math.random()
  if (die < 0.6) return 1 + Math.floor(Math.random() * 200)
  if (die < 0.9) return 1 + Math.floor(Math.random() * 20_000)
  if (die < 0.99) return 1 + Math.floor(Math.random() * 300_000)
  return 1 + Math.floor(Math.random() * 4_000_000)
}

/** The next number of its kind has to be the one after the last. */
function check(kind, n) {
  const next = heard[kind] + 1
  if (n === next) heard[kind] = n
  else if (n > next) {
    // Those between may still come: then they count as disordered, and not as lost.
    trouble.lost += n - next
    heard[kind] = n
    complain(`${kind} ${n} came instead of ${next}`)
  }
  else {
    trouble[missing.delete(`${kind} ${n}`) ? 'disordered' : 'doubled']++
    complain(`${kind} ${n} came after ${heard[kind]}`)
  }
}
const missing = new Set()

function hear(value) {
  const { kind, n, body } = value
  bytes += body.length
  const at = heard[kind] + 1
  for (let i = at; i < n && i < at + 1000; i++) missing.add(`${kind} ${i}`)
  check(kind, n)
  if (value.length !== body.length || body[0] !== (n & 255) || body.at(-1) !== (n & 255)) trouble.damaged++
}

function message(kind) {
  const n = ++sent[kind]
  const body = new Uint8Array(size()).fill(n & 255)
  return { kind, n, length: body.length, body }
}

/** Bytes of file `n`; each piece of 64 KiB is told from the others. */
const byteOf = (n, at) => (n + (at >> 16)) & 255

function fileSource(n, length) {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      const piece = new Uint8Array(Math.min(65_536, length - at)).fill(byteOf(n, at))
      at += piece.length
      if (piece.length) controller.enqueue(piece)
      if (at === length) controller.close()
    },
  }, { highWaterMark: 0 })
}

async function sendFiles() {
  while (running) {
    const n = ++sent.file
    const length = 1 + Math.floor(Math.random() * 8_000_000)
    await conn.sendFile(fileSource(n, length), { name: `${n} ${length}`, size: length }).done
    await sleep(Math.random() * 2000)
  }
}

function receiveFile(transfer) {
  const [n, length] = transfer.name.split(' ').map(Number)
  let at = 0
  transfer.accept(new WritableStream({
    write(piece) {
      if (piece[0] !== byteOf(n, at) || piece.at(-1) !== byteOf(n, at + piece.length - 1)) trouble.damaged++
      at += piece.length
      bytes += piece.length
    },
    close() {
      if (at !== length) trouble.damaged++
      check('file', n)
    },
  })).catch(error => complain(`file ${n}: ${error.message}`))
}

async function sendMessages(kind) {
  while (running) {
    // Several at once, then a pause: as applications do.
    for (let i = Math.random() * 20; i > 0; i--) await conn.send(message(kind), { priority: kind })
    await sleep(Math.random() * 40)
  }
}

async function sendRequests() {
  while (running) {
    const n = ++sent.request
    const answer = await conn.request({ n }, { timeout: 120_000 })
    if (answer.n !== n) trouble.damaged++
    await sleep(Math.random() * 200)
  }
}

/** What a loop dies of is a complaint of its own: nothing may be refused while the connection lives. */
const loop = (name, run) => void loops.push(run().catch((error) => {
  if (name === 'request') trouble.unanswered++
  complain(`${name} ends: ${error.type ?? ''} ${error.message}`)
}))

window.lab = {
  async open(options, to) {
    lane = await makeLane('peerbridge', options)
    await lane.register()
    lane.heard = hear
    this.ready = (to ? lane.connect(to) : lane.accept()).then(() => {
      conn = lane.data
      conn.on('transfer', receiveFile)
      conn.on('error', error => complain(`error ${error.type}: ${error.message}`))
      conn.on('close', () => complain('the connection closed'))
      conn.on('state', (state) => {
        const at = performance.now()
        if (state === 'recovering') {
          states.recovering++
          states.since = at
        }
        else if (states.since) {
          states.longest = Math.max(states.longest, at - states.since)
          states.since = 0
        }
      })
      conn.onRequest?.((value) => {
        check('request', value.n)
        return value
      })
    })
  },

  async opened() {
    await this.ready
  },

  start() {
    running = true
    for (const kind of priorities) loop(kind, () => sendMessages(kind))
    loop('file', sendFiles)
    if (conn.request) loop('request', sendRequests)
  },

  /** Ends the traffic; resolves when all of it is in the other application's hands. */
  async stop() {
    running = false
    await Promise.all(loops)
    await conn.delivered().catch(error => complain(`delivered(): ${error.message}`))
  },

  /** Breaks something. */
  disturb(what) {
    if (what === 'channel') conn.dataChannel?.close()
    else if (what === 'ice') conn.peerConnection?.restartIce()
  },

  read: () => ({ sent, heard, trouble, complaints, states, bytes, open: conn.open, requests: !!conn.request }),

  wasm: wasmBytes,

  spin,
}
