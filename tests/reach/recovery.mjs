/**
 * How long after an outage messages flow again. Two browsers, each behind a link of its own, send each other a number every
 * 20 ms; the network is cut and mended; what counts is the time from the mending until the first message arrives, in each
 * direction, and that every number arrived exactly once and in order. peerbridge, a hand-written connection with ICE restart
 * and PeerJS go through the same outage at the same time, in the same two pages.
 */
import { keep, load, options, sleep, withLab } from './lab/lab.mjs'
import { cuts } from './lab/network.mjs'
import { writeSection } from './document.mjs'
import { markdownTable, quantile, table } from './statistics.mjs'

const interval = 20

export async function main(args) {
  const given = options(args, {
    /** Of every outage. */
    repeats: 5,
    /** Seconds. */
    outages: [2, 6, 12, 20, 45],
    cuts: Object.keys(cuts),
    lanes: ['peerbridge', 'raw', 'peerjs'],
    /** chromium, firefox, or one for each side: chromium,firefox */
    browser: ['chromium'],
    /** Seconds that are added at random, so that no timer of a browser is always met at the same moment. */
    spread: 0,
    /** How long a lane may take after the link is back, seconds. */
    patience: 10,
    /** Keeps two files apart. */
    name: 'recovery',
    /** JSON for peerbridge's option of that name, to try others than the defaults. */
    timers: '{}',
    /** 1 notes what the browser does under peerbridge: sockets, candidates, online and offline. */
    watch: 0,
    /** 1 puts the table into docs/recovery.md. */
    write: 0,
  })
  const trials = []
  let about = {}
  await withLab(given.browser, async (lab) => {
    let { a, b } = await both(lab)
    about = { browsers: [a.browser.name, b.browser.name], interval, ...given }
    console.log(`A: ${a.browser.name}, B: ${b.browser.name}; load ${load()}`)
    let number = 0
    for (let repeat = 1; repeat <= given.repeats; repeat++) {
      for (const kind of given.cuts) {
        for (const seconds of given.outages) {
          const outage = Math.round((seconds + Math.random() * given.spread) * 1000)
          const trial = await tryOnce(lab, a.page, b.page, { kind, outage, number: ++number, ...given })
          trials.push({ cut: kind, seconds, outage, repeat, load: load(), ...trial })
          report(trials.at(-1))
          keep(given.name, { ...about, trials })
        }
      }
      if (repeat % 5 === 0 && repeat < given.repeats) {
        // What a page collects in an hour shall not be measured.
        await Promise.all([a.browser.close(), b.browser.close()]);
        ({ a, b } = await both(lab))
      }
    }
  })
  const [head, rows] = summary(trials, given)
  console.log(`\n${table(head, rows)}\n\nraw numbers: ${keep(given.name, { ...about, trials })}`)
  if (given.write) document(about, trials, head, rows)
}

async function both(lab) {
  const [a, b] = await Promise.all([lab.start('a'), lab.start('b')])
  return { a, b }
}

async function tryOnce({ network, host, ports }, a, b, { kind, outage, number, lanes, patience, timers, watch }) {
  const settings = { host, port: ports.peerbridge, timers: JSON.parse(timers), watch }
  for (const lane of lanes) {
    await b.call('prepare', lane, lane, { ...settings, id: `b-${lane}-${number}` }, true)
    await a.call('prepare', lane, lane, { ...settings, id: `a-${lane}-${number}` }, false)
    await a.call('connect', lane, `b-${lane}-${number}`)
    await b.call('opened', lane)
  }
  await Promise.all([a.call('start', interval), b.call('start', interval)])
  // Two seconds of traffic: SCTP knows the round trip, and ICE has settled on a pair.
  const warm = Object.fromEntries(lanes.map(lane => [lane, 2000 / interval]))
  await Promise.all([a.call('heardAll', warm, 10_000), b.call('heardAll', warm, 10_000)])

  const cutAt = await network.cut(kind)
  await sleep(cutAt + outage - Date.now())
  const mendedAt = await network.mend()
  await Promise.all([a, b].map(page => page.call('heardSince', mendedAt, patience * 1000, lanes)))
  await sleep(1000)
  await Promise.all([a.call('stop'), b.call('stop')])
  const [fromA, fromB] = await Promise.all([a.call('sent'), b.call('sent')])
  await Promise.all([a.call('heardAll', fromB, 4000), b.call('heardAll', fromA, 4000)])
  const [sideA, sideB] = await Promise.all([a.call('read'), b.call('read')])
  await Promise.all([a.call('close'), b.call('close')])

  return {
    lanes: Object.fromEntries(lanes.map(lane => [lane, {
      toB: judge(sideA[lane], sideB[lane], mendedAt),
      toA: judge(sideB[lane], sideA[lane], mendedAt),
      statesA: diary(sideA[lane].log, cutAt, mendedAt),
      statesB: diary(sideB[lane].log, cutAt, mendedAt),
    }])),
  }
}

/** What became of the numbers of one direction. `ms` is null when none arrived after the link was back. */
function judge({ sent }, { heard }, mendedAt) {
  const first = heard.find(([, at]) => at > mendedAt)
  const seen = new Set()
  let duplicates = 0, disordered = 0, last = 0
  for (const [n] of heard) {
    if (seen.has(n)) duplicates++
    seen.add(n)
    if (n < last) disordered++
    last = n
  }
  return { ms: first ? first[1] - mendedAt : null, sent, lost: sent - seen.size, duplicates, disordered }
}

/** What happened since the cut: [what, ms after the cut, ms after the mending or null]. */
const diary = (log, cutAt, mendedAt) =>
  log.filter(([, at]) => at >= cutAt).map(([what, at]) => [what, at - cutAt, at >= mendedAt ? at - mendedAt : null])

const faults = ({ lost, duplicates, disordered }) =>
  [lost && `${lost} lost`, duplicates && `${duplicates} twice`, disordered && `${disordered} out of order`].filter(Boolean).join(', ')

function report({ cut, outage, repeat, lanes, load }) {
  console.log(`#${repeat} ${cut} ${(outage / 1000).toFixed(1)} s, load ${load}`)
  for (const [lane, { toA, toB, statesA, statesB }] of Object.entries(lanes)) {
    const times = `${toB.ms ?? 'never'} / ${toA.ms ?? 'never'} ms`
    const told = log => log.map(([what, sinceCut, sinceMend]) => `${what} ${sinceMend === null ? sinceCut : `+${sinceMend}`}`).join(', ')
    console.log(`   ${lane.padEnd(10)} ${times.padEnd(18)} ${[faults(toB), faults(toA)].filter(Boolean).join('; ')}`)
    if (lane === 'peerbridge') console.log(`      A: ${told(statesA)}\n      B: ${told(statesB)}`)
  }
}

/** Both directions together: each is a person who waits. */
function summary(trials, { cuts, outages, lanes }) {
  const rows = []
  for (const cut of cuts) {
    for (const seconds of [...outages, 'all']) {
      for (const lane of lanes) {
        const these = trials.filter(trial => trial.cut === cut && (seconds === 'all' || trial.seconds === seconds))
          .flatMap(trial => [trial.lanes[lane].toA, trial.lanes[lane].toB])
        const came = these.map(({ ms }) => ms).filter(ms => ms !== null)
        // Who never came back is slower than everybody who did.
        const times = these.map(({ ms }) => ms ?? Infinity)
        const show = q => (Number.isFinite(quantile(times, q)) ? quantile(times, q).toFixed(0) : 'never')
        const wrong = key => these.reduce((sum, direction) => sum + direction[key], 0)
        rows.push([cut, seconds, lane, these.length, show(0.5), show(0.95), show(1), these.length - came.length,
          wrong('lost'), wrong('duplicates') + wrong('disordered')])
      }
    }
  }
  return [['cut', 's', 'lane', 'n', 'p50 ms', 'p95 ms', 'max ms', 'never', 'lost', 'twice or disordered'], rows]
}

function document({ browsers, repeats, lanes }, trials, head, rows) {
  const loads = trials.map(({ load }) => Number(load))
  writeSection('recovery.md', `recovery ${browsers.map(name => name.split(' ')[0]).join(' ')}`, {
    title: `Measured: ${browsers[0] === browsers[1] ? `${browsers[0]} on both sides` : browsers.join(' and ')}`,
    text: `\`npm run reach -- recovery\`, ${repeats} outages of each kind, both directions counted; "never" is not within the patience of the lab.`,
    table: markdownTable(head, rows),
    about: `load of the machine ${Math.min(...loads)} to ${Math.max(...loads)}`,
    raw: Object.fromEntries(lanes.flatMap(lane => [...new Set(trials.map(({ cut, seconds }) => `${cut} ${seconds} s`))].map(kind => [
      `${lane}, ${kind}`,
      trials.filter(({ cut, seconds }) => `${cut} ${seconds} s` === kind).map(trial => `${trial.lanes[lane].toB.ms}/${trial.lanes[lane].toA.ms}`),
    ]))),
  })
}
