/**
 * The data plane: hand-written, peerbridge and PeerJS send the same things between two pages that live in two processes of
 * one browser. In each round all lanes take their turn. The hand-written lane has channels of its own on the
 * RTCPeerConnection of peerbridge where nothing but time is measured: two RTCPeerConnections that carry the same differ by
 * more than what is looked for. PeerJS has a pair of pages of its own. Rates of bulk get new pages in each round.
 *
 *     npm run bench -- data [--only message,small] [--rounds 3] [--browser firefox] [--profile out.cpuprofile]
 *
 * Figures are kept in build/bench as they come, so a document may be written from several runs.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { launchChromium, launchFirefox } from '../reach/lab/browser.mjs'
import { load, options, sleep } from '../reach/lab/lab.mjs'
import { serve } from '../reach/lab/server.mjs'
import { version } from '../reach/document.mjs'
import { markdownTable, median, medianRatio, quantile, table } from '../reach/statistics.mjs'
import { growth, longestTasks, processOf, profile, work } from './data/inspect.mjs'

const kept = fileURLToPath(new URL('../../build/bench/', import.meta.url))
const mebi = 2 ** 20
const kibi = 2 ** 10
const names = { raw: 'hand-written', peerbridge: 'peerbridge', peerjs: 'PeerJS 1.5.5', hashed: 'hand-written, hashed', bytes: 'hand-written, bytes', transferred: 'peerbridge, transferred' }

export async function main(args) {
  const given = options(args, {
    browser: 'chromium',
    only: Object.keys(figures),
    lanes: ['raw', 'peerbridge', 'peerjs'],
    rounds: 5,
    /** How often each lane has its turn in a round: with new pages in each round, all that share them. */
    turns: 1,
    /** MiB of the one message. */
    message: 64,
    /** MiB of the file. */
    file: 1024,
    /**
     * How many messages of 100 bytes. PeerJS's channel holds 8 MiB of them; of those beyond it keeps a list, whose sending
     * calls itself for each one until the stack overflows, and then never goes on: of 200,000 half arrive.
     */
    small: 40_000,
    /** Round trips a round. */
    pings: 300,
    /** MiB of the file during which memory is watched, and of that during which the main thread is. */
    heap: 1024,
    block: 256,
    /** Rounds of each way to watch memory. */
    heaprounds: 1,
    /** Chunk and limit of bufferedAmount of the hand-written lane, in KiB; 0: tried first, the best is taken. */
    chunk: 0,
    high: 0,
    /** A file that gets profiles: -<figure>-<lane>-<side> is added to its name. Chromium only. */
    profile: '',
    /** 1: prints which threads worked how long, in each lane. Linux only. */
    cpu: 0,
    /** 1: writes docs/benchmarks.md; 0: prints only. Left out: writes what has 5 rounds or more. */
    write: -1,
  })
  const launch = { chromium: launchChromium, firefox: launchFirefox }[given.browser]
  const server = await serve()
  const origin = `http://127.0.0.1:${server.ports.files}`
  const browser = await launch({ origin })
  const lab = new Lab(browser, server, given)
  const writes = given.write > 0 || (given.write < 0 && given.rounds >= 5)
  try {
    for (const name of given.only) {
      if (!figures[name]) throw new Error(`there is no figure ${name}: ${Object.keys(figures).join(', ')}`)
      if (figures[name].chromium && given.browser !== 'chromium') continue
      const before = load()
      const result = await figures[name].measure(lab, given)
      result.about = `load ${before} before and ${load()} after`
      if (writes) keep(given, name, result)
      console.log(`\n${figures[name].title(given)}; ${result.about}${result.note ? `\n${result.note}` : ''}\n${table(...columns(result, names.raw))}`)
    }
    if (browser.problems.length) console.log(`the pages complain: ${[...new Set(browser.problems)].join('\n')}`)
  }
  finally {
    await browser.close()
    await server.close()
  }
  if (writes) return { [`data-${given.browser}`]: document(given.browser, browser.name, figuresOf(given.browser)) }
}

/** Opens pairs of pages, and tells which lanes there are. */
class Lab {
  #browser
  #server
  #given
  /** The hand-written lane's best, once found. */
  best

  constructor(browser, server, given) {
    this.#browser = browser
    this.#server = server
    this.#given = given
    if (given.chunk) this.best = { chunk: given.chunk * kibi, high: (given.high || 1024) * kibi }
  }

  async pair(kind, more = {}) {
    const { files, peerbridge } = this.#server.ports
    // Two sites: two processes.
    const [a, b] = await Promise.all(['127.0.0.1', 'localhost'].map(host => this.#browser.open(`http://${host}:${files}/tests/bench/data.html`)))
    const id = randomUUID()
    const all = { host: '127.0.0.1', port: peerbridge, ...more }
    await b.call('open', kind, { ...all, id: `b-${id}` })
    await a.call('open', kind, { ...all, id: `a-${id}`, to: `b-${id}` })
    await Promise.all([a.call('opened'), b.call('opened')])
    const processes = [await processOf(a), await processOf(b)]
    if (processes[0] === processes[1]) throw new Error('both pages live in one process')
    return { a, b, processes, close: () => Promise.all([a.close(), b.close()]) }
  }

  /**
   * Lanes in turn, in an order that turns round.
   * @param variants [{ key, kind, options }]; the results are by key
   * @param warm runs once a pair and counts for nothing
   * @param fresh new pages in each round: one pair can be 8 % faster than another of the same lane for as long as it lives
   * @param alone new pages for each measurement, and no other pair beside them
   * @param shared hand-written lanes and peerbridge take turns over one RTCPeerConnection, so that this counts for both
   */
  async interleaved(figure, variants, rounds, measure, { warm = measure, fresh = false, alone = false, shared = false } = {}) {
    const pairs = new Map()
    const warmed = new Set()
    const homeOf = variant => (shared && variant.kind !== 'peerjs' ? shared : variant)
    const enter = async (variant) => {
      const home = homeOf(variant)
      if (!pairs.has(home)) pairs.set(home, await this.pair(home === variant ? variant.kind : 'shared', variant.options))
      const pair = pairs.get(home)
      if (home !== variant) await Promise.all([pair.a, pair.b].map(page => page.call('use', variant.kind, variant.options ?? {})))
      if (warmed.has(variant)) return pair
      warmed.add(variant)
      await explained(warm, pair, variant, 'before the first turn')
      return pair
    }
    // What fails says where, and how things stand at both ends.
    const explained = async (act, pair, variant, when) => {
      try {
        return await act(pair, variant)
      }
      catch (cause) {
        const [sender, receiver] = await Promise.all([pair.a, pair.b].map(page => page.call('state').catch(error => error.message)))
        throw new Error(`${figure}, ${variant.key}, ${when}: ${cause.message}\n${inspect({ sender, receiver }, { depth: 6, breakLength: 160 })}`, { cause })
      }
    }
    const leave = async () => {
      for (const pair of pairs.values()) await pair.close()
      pairs.clear()
      warmed.clear()
    }
    const results = Object.fromEntries(variants.map(({ key }) => [key, []]))
    const works = {}
    try {
      const turns = this.#given.turns
      for (let turn = 0; turn < rounds * turns; turn++) {
        const shift = turn % variants.length
        const order = [...variants.slice(shift), ...variants.slice(0, shift)]
        if (Math.floor(turn / variants.length) % 2) order.reverse()
        // All are warm before the first of a round is measured.
        if (!alone && !warmed.size) for (const variant of variants) await enter(variant)
        for (const variant of order) {
          const pair = await enter(variant)
          const profiled = this.#given.profile && turn === 0 && pair.a.inspect
            ? await profile(this.#given.profile, `${figure}-${variant.key}`, pair)
            : null
          const watch = this.#given.cpu && work(pair.processes)
          results[variant.key].push(await explained(measure, pair, variant, `turn ${turn + 1}`))
          if (watch) (works[variant.key] ??= []).push(watch())
          await profiled?.()
          if (alone) await leave()
        }
        if (fresh && (turn + 1) % turns === 0) await leave()
      }
    }
    finally {
      await leave()
    }
    for (const [key, watched] of Object.entries(works)) console.log(`\nseconds of CPU, ${names[key] ?? key}\n${table(...worked(watched))}`)
    return results
  }

  /** The lanes as they are; the hand-written one with what is best for it. */
  async lanes() {
    const wanted = this.#given.lanes
    return wanted.map(kind => ({ key: kind, kind, options: kind === 'raw' ? this.best : {} }))
  }
}

/** MiB/s of one message, or one file. */
const message = size => async ({ a, b }) => {
  await b.call('expectMessage', size)
  const [began, { at }] = await Promise.all([a.call('sendMessage', size), b.call('arrived')])
  return size / mebi / ((at - began) / 1000)
}
const file = size => async ({ a, b }) => {
  await b.call('expectFile', size)
  const [began, { at }] = await Promise.all([a.call('sendFile', size), b.call('arrived')])
  return size / mebi / ((at - began) / 1000)
}

const somePings = async ({ a }) => { await a.call('pings', 20) }
const besideAFile = [
  { key: 'hand-written, second channel, 4 MiB buffered', kind: 'raw', options: { chunk: 64 * kibi, high: 4 * mebi } },
  { key: 'hand-written, second channel, 256 KiB buffered', kind: 'raw', options: { chunk: 16 * kibi, high: 256 * kibi } },
  { key: 'peerbridge, high beside a file', kind: 'peerbridge' },
]
/** Pings, in pages of their own, beside what `howOf` a variant says. */
async function pingsDuring(lab, given, figure, variants, howOf, options) {
  const times = await lab.interleaved(figure, variants, given.rounds, async ({ a, b }, variant) => {
    const how = howOf(variant)
    await (how.size === null ? b.call('expectFile', null) : b.call('expectAny', how.size))
    const [pings] = await Promise.all([a.call('pingsDuring', how), b.call('arrived')])
    return pings
  }, { ...options, alone: true })
  return { lanes: Object.fromEntries(variants.map(({ key }) => [key, spread(times[key])])), digits: 1, note: spreadNote, largest: true }
}

/** Of pings, by round. */
const spread = rounds => ({
  p50: rounds.map(round => median(round)), p95: rounds.map(round => quantile(round, 0.95)), max: rounds.map(round => Math.max(...round)),
})
const spreadNote = 'p50, p95 and max of each round, then their medians, and the largest of all.'

/** The hand-written lane with every chunk size and limit that people use; the fastest is the one that is compared with. */
async function findBest(lab, given) {
  if (lab.best) return
  const variants = [16, 64, 256].flatMap(chunk => [256, 1024, 4096].map(high => (
    { key: `${chunk} KiB, ${high} KiB`, kind: 'raw', options: { chunk: chunk * kibi, high: high * kibi } })))
  const results = await lab.interleaved('best', variants, 3, message(Math.min(32, given.message) * mebi), { warm: message(8 * mebi), fresh: true, shared: true })
  const speed = ({ key }) => median(results[key])
  const best = variants.reduce((best, variant) => (speed(variant) > speed(best) ? variant : best))
  lab.best = best.options
  lab.tried = `hand-written, MiB/s by chunk and limit of bufferedAmount: ${variants.map(v => `${v.key}: ${speed(v).toFixed(1)}`).join('; ')}`
  console.log(lab.tried)
}

const said = ({ chunk, high }) => `chunks of ${chunk / kibi} KiB, at most ${high / kibi} KiB buffered`

/** name -> title, and measure() that answers { lanes: { key: numbers, or { column: numbers } }, digits } */
const figures = {
  message: {
    title: given => `One ArrayBuffer of ${given.message} MiB, from send() to the event, MiB/s`,
    async measure(lab, given) {
      await findBest(lab, given)
      const lanes = await lab.lanes()
      // What may change no more need not be copied: hand-written code reads it while it sends.
      if (given.lanes.includes('peerbridge')) lanes.push({ key: 'transferred', kind: 'peerbridge', options: { transfer: true } })
      const results = await lab.interleaved('message', lanes, given.rounds, message(given.message * mebi), { warm: message(16 * mebi), fresh: true, shared: true })
      return { lanes: results, digits: 1, note: `${lab.tried ?? ''}\nHand-written: ${said(lab.best)}.`.trim() }
    },
  },

  file: {
    title: given => `A file of ${given.file} MiB, read from a stream and dropped by the receiver, MiB/s`,
    async measure(lab, given) {
      await findBest(lab, given)
      const lanes = await lab.lanes()
      // What a file costs that is checked at the end, as ours is.
      if (given.lanes.includes('raw')) lanes.push({ key: 'hashed', kind: 'raw', options: { ...lab.best, hash: true } })
      const results = await lab.interleaved('file', lanes, given.rounds, file(given.file * mebi), { warm: file(16 * mebi), fresh: true, shared: true })
      return { lanes: results, digits: 1, note: `Hand-written: ${said(lab.best)}. PeerJS: messages of 1 MiB.` }
    },
  },

  small: {
    title: given => `${given.small.toLocaleString('en')} messages of 100 bytes, messages a second`,
    async measure(lab, given) {
      const measure = count => async ({ a, b }) => {
        await b.call('expectSmall', count, 100)
        const [began, { at }] = await Promise.all([a.call('sendSmall', count, 100), b.call('arrived')])
        return count / ((at - began) / 1000)
      }
      const results = await lab.interleaved('small', await lab.lanes(), given.rounds, measure(given.small), { warm: measure(20_000), shared: true })
      return { lanes: results, digits: 0, note: 'peerbridge: `await conn.send()` in a loop. Hand-written: one send() each, at most 1 MiB buffered. PeerJS: send() in a loop.' }
    },
  },

  roundtrip: {
    title: given => `Round trip of a string of a few bytes, nothing else under way, ms (medians of ${given.pings})`,
    async measure(lab, given) {
      const measure = async ({ a }) => median(await a.call('pings', given.pings))
      const lanes = await lab.lanes()
      // What a string costs that travels as bytes, as ours does.
      if (given.lanes.includes('raw')) lanes.push({ key: 'bytes', kind: 'raw', options: { bytes: true } })
      return { lanes: await lab.interleaved('roundtrip', lanes, given.rounds, measure, { shared: true }), digits: 3 }
    },
  },

  ping: {
    title: () => 'Pings every 20 ms while something large is under way, ms',
    async measure(lab, given) {
      // In a connection's first seconds of bulk SCTP's slow start loses much where nothing bounds it: see `early`.
      const during = { ms: 3000, warm: 6000, every: 20 }
      const behind = { ms: 1000, warm: 100, every: 20 }
      const variants = [
        ...besideAFile.slice(0, 1),
        { key: 'hand-written, same channel, 4 MiB buffered', kind: 'raw', options: { chunk: 64 * kibi, high: 4 * mebi, same: true } },
        ...besideAFile.slice(1),
        { key: 'peerbridge, high beside a message of 64 MiB', kind: 'peerbridge', size: 64 * mebi },
        { key: 'PeerJS 1.5.5, behind a message of 64 MiB', kind: 'peerjs', size: 64 * mebi },
      ].filter(({ kind }) => given.lanes.includes(kind))
      return pingsDuring(lab, given, 'ping', variants, ({ size = null }) => ({ size, ...(size === null ? during : behind) }), { warm: somePings })
    },
  },

  early: {
    title: () => 'Pings every 20 ms beside a file, from half a second after its first byte on, the first of a connection, ms',
    measure(lab, given) {
      const variants = besideAFile.filter(({ kind }) => given.lanes.includes(kind))
      return pingsDuring(lab, given, 'early', variants, () => ({ size: null, ms: 3000, warm: 500, every: 20 }), { warm: async () => {} })
    },
  },

  start: {
    title: () => 'A file of 4 MiB, the first of a connection, MiB/s',
    async measure(lab, given) {
      await findBest(lab, given)
      return { lanes: await lab.interleaved('start', await lab.lanes(), given.rounds, file(4 * mebi), { warm: async () => {}, alone: true }), digits: 1 }
    },
  },

  word: {
    title: () => 'The first word after a silence of 1.05, 1.3 or 2 seconds, while a file is under way: there and back, ms',
    measure(lab, given) {
      const variants = besideAFile.filter(({ kind }) => given.lanes.includes(kind))
      const words = { size: null, ms: 14_000, warm: 6000, every: [1050, 1300, 2000] }
      return pingsDuring(lab, given, 'word', variants, () => words, { warm: somePings })
    },
  },

  block: {
    title: given => `Longest time in which the main thread takes no other task, while a file of ${given.block} MiB is under way, ms`,
    async measure(lab, given) {
      await findBest(lab, given)
      const variants = [{ key: 'idle', kind: 'raw', options: {}, idle: true }, ...await lab.lanes()]
      const send = file(given.block * mebi)
      const watches = await lab.interleaved('block', variants, given.rounds, async (pair, { idle }) => {
        const act = () => (idle ? sleep(5000) : send(pair))
        await Promise.all([pair.a.call('watch'), pair.b.call('watch')])
        await act()
        const watched = await Promise.all([pair.a.call('watched'), pair.b.call('watched')])
        // Once more: a trace takes its time.
        const tasks = pair.a.inspect && await longestTasks(pair, act)
        return watched.map((side, i) => ({ ...side, cpu: tasks?.[i] }))
      }, { warm: file(16 * mebi), shared: true })
      const lanes = {}
      for (const { key } of variants) {
        const of = (side, what) => watches[key].map(both => both[side][what])
        lanes[names[key] ?? key] = {
          'sender': of(0, 'longest'), 'receiver': of(1, 'longest'), 'sender, p99.9 of gaps': of(0, 'most'), 'receiver, p99.9 of gaps': of(1, 'most'),
          ...(watches[key][0][0].cpu && { 'sender, longest task, CPU': of(0, 'cpu'), 'receiver, longest task, CPU': of(1, 'cpu') }),
        }
      }
      return { lanes, digits: 1, note: 'Gaps between turns of a timer of 1 ms, less that 1 ms; what the machine gives to others counts too: see "idle". Then the CPU that the longest task took, from the browser\'s trace of a second run. Medians.' }
    },
  },

  heap: {
    chromium: true,
    title: given => `Growth of memory while a file of ${given.heap} MiB is under way, MiB: JS heap, array buffers and wasm; resident memory of the process`,
    async measure(lab, given) {
      await findBest(lab, given)
      const variants = [
        ...(await lab.lanes()).map(variant => ({ ...variant, key: `${names[variant.kind]}, file`, send: file(given.heap * mebi) })),
        ...(await lab.lanes()).map(variant => ({ ...variant, key: `${names[variant.kind]}, one message of 64 MiB`, send: message(64 * mebi) })),
      ]
      const lanes = {}
      for (const live of [true, false]) {
        const grown = await lab.interleaved('heap', variants, given.heaprounds, (pair, { send }) => growth(pair, live, () => send(pair)), { warm: file(16 * mebi) })
        for (const { key } of variants) {
          const part = lanes[key] ??= {}
          for (const side of ['sender', 'receiver']) {
            const of = what => grown[key].map(sides => what(sides[side]) / mebi)
            part[`${side}, ${live ? 'held' : 'peak'}`] = of(({ heap }) => heap)
            if (live) part[`${side}, wasm`] = of(({ wasm }) => wasm)
            else part[`${side}, resident`] = of(({ resident }) => resident)
          }
        }
      }
      return { lanes, digits: 1, note: 'Sampled twice a second. "Held": garbage is collected before each sample. "Peak": as it comes, garbage included. Wasm is part of both.' }
    },
  },
}

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length

/** Table of what works: a row a thread, means, those that matter. The system counts in hundredths of a second. */
function worked(rounds) {
  const of = thread => mean(rounds.map(round => round[thread] ?? 0))
  const rows = [...new Set(rounds.flatMap(round => Object.keys(round)))].map(thread => [thread, of(thread)])
  const all = mean(rounds.map(round => Object.values(round).reduce((sum, seconds) => sum + seconds, 0)))
  return [['thread', 'seconds'], [['all', all], ...rows.sort((x, y) => y[1] - x[1])].filter(([, seconds]) => seconds > all / 200).map(([name, seconds]) => [name, seconds.toFixed(3)])]
}

/** Table of one figure: a row a lane, or a row a lane with several columns. */
function columns({ lanes, digits, largest }) {
  const keys = Object.keys(lanes)
  const format = number => number.toFixed(digits)
  if (!Array.isArray(lanes[keys[0]])) {
    const parts = Object.keys(lanes[keys[0]])
    return [['', ...parts, ...(largest ? ['largest'] : [])], keys.map(key => [
      names[key] ?? key, ...parts.map(part => format(median(lanes[key][part]))),
      ...(largest ? [format(Math.max(...lanes[key][parts.at(-1)]))] : [])])]
  }
  const others = ['raw', 'hashed', 'bytes', 'peerjs'].filter(base => keys.includes(base))
  return [['', 'n', 'median', 'from', 'to', ...others.map(base => `ratio to ${names[base]} (95 %)`)], keys.map(key => [
    names[key] ?? key, lanes[key].length, format(median(lanes[key])), format(Math.min(...lanes[key])), format(Math.max(...lanes[key])),
    ...others.map((base) => {
      if (base === key) return '1'
      const { ratio, low, high } = medianRatio(lanes[key], lanes[base])
      return `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
    }),
  ])]
}

const fileOf = browser => join(kept, `data-${browser}.json`)

/** All figures of a browser, those of earlier runs included. */
function figuresOf(browser) {
  return existsSync(fileOf(browser)) ? JSON.parse(readFileSync(fileOf(browser), 'utf8')) : {}
}

/** At once: a run may be ended before its last figure. */
function keep(given, name, result) {
  const date = new Date().toISOString().slice(0, 10)
  const all = { ...figuresOf(given.browser), [name]: { ...result, title: figures[name].title(given), date, version } }
  mkdirSync(kept, { recursive: true })
  writeFileSync(fileOf(given.browser), JSON.stringify(all))
}

function document(which, browser, all) {
  const present = Object.keys(figures).filter(name => all[name])
  return {
    title: `The data plane, ${which === 'firefox' ? 'Firefox' : 'Chromium'}`,
    text: [
      'Two pages in two processes of one browser, over loopback; the lanes take turns. The hand-written lane has RTCDataChannels of its',
      'own on the RTCPeerConnection that peerbridge made (pings and memory: in pages of its own), PeerJS has a pair of pages of its own.',
      'Ratios are of medians, their interval by bootstrap over turns. `npm run bench -- data` measures all of it.',
    ].join('\n'),
    table: present.map((name) => {
      const figure = all[name]
      return [`### ${figure.title}`, '', ...(figure.note ? [figure.note, ''] : []), markdownTable(...columns(figure)), '', `${figure.date}, version ${figure.version}, ${figure.about}.`].join('\n')
    }).join('\n\n'),
    about: browser,
    unit: 'in the units of the tables',
    raw: Object.fromEntries(present.flatMap(name => Object.entries(all[name].lanes).flatMap(([key, values]) => {
      const list = numbers => numbers.map(number => number.toFixed(all[name].digits))
      return Array.isArray(values)
        ? [[`${name}, ${names[key] ?? key}`, list(values)]]
        : Object.entries(values).map(([part, numbers]) => [`${name}, ${key}, ${part}`, list(numbers)])
    }))),
  }
}
