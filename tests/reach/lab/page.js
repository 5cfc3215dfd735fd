/** What the recovery lab asks of a page: lanes that send a number every few milliseconds and keep a record of the numbers that came. */
import { makeLane } from './lanes.js'

/** name -> { lane, sent, heard, open } */
const lanes = new Map()
let timer

window.lab = {
  /** Makes a lane and registers it; with `accept` it then waits for its caller. */
  async prepare(name, kind, options, accept) {
    const lane = await makeLane(kind, options)
    const entry = { lane, sent: 0, heard: [], open: null, told: () => {} }
    lane.heard = ({ n }) => {
      entry.heard.push([n, Date.now()])
      entry.told()
    }
    lanes.set(name, entry)
    await lane.register()
    if (accept) entry.open = lane.accept()
  },

  async connect(name, to) {
    await lanes.get(name).lane.connect(to)
  },

  /** As connect(), for one that may take its time. */
  begin(name, to) {
    const { lane } = lanes.get(name)
    lane.note('begun')
    lane.connect(to).catch(() => {})
  },

  async opened(name) {
    await lanes.get(name).open
  },

  /** From now on every lane sends its next number every `interval` ms. */
  start(interval) {
    timer = setInterval(() => {
      for (const entry of lanes.values()) if (entry.lane.send({ n: entry.sent + 1 })) entry.sent++
    }, interval)
  },

  stop() {
    clearInterval(timer)
  },

  /** Waits until each of these lanes has heard something after `since`, or until `patience` ms are over. Nothing runs meanwhile. */
  async heardSince(since, patience, names) {
    await new Promise((resolve) => {
      const waiting = names.map(name => lanes.get(name))
      const late = setTimeout(done, patience)
      function done() {
        clearTimeout(late)
        for (const entry of waiting) entry.told = () => {}
        resolve()
      }
      const look = () => { if (waiting.every(({ heard }) => heard.at(-1)?.[1] > since)) done() }
      for (const entry of waiting) entry.told = look
      look()
    })
  },

  /** Waits until each lane heard number `n`, or until `patience` ms are over. */
  async heardAll(counts, patience) {
    await Promise.all(Object.entries(counts).map(([name, count]) => new Promise((resolve) => {
      const entry = lanes.get(name)
      const late = setTimeout(resolve, patience)
      const look = () => {
        if (entry.heard.length < count) return
        clearTimeout(late)
        resolve()
      }
      entry.told = look
      look()
    })))
  },

  /** Waits for a line of the diary that matches, or until `patience` ms are over. */
  async noted(name, pattern, patience) {
    const matches = new RegExp(pattern)
    const { lane } = lanes.get(name)
    const found = () => lane.log.find(([what]) => matches.test(what))
    for (const end = Date.now() + patience; !found() && Date.now() < end;) await new Promise(resolve => setTimeout(resolve, 20))
    return found() ?? null
  },

  read() {
    return Object.fromEntries([...lanes].map(([name, { lane, sent, heard }]) => [name, { sent, heard, log: lane.log }]))
  },

  sent() {
    return Object.fromEntries([...lanes].map(([name, { sent }]) => [name, sent]))
  },

  restart(name) {
    const { lane } = lanes.get(name)
    lane.note('restartIce()')
    lane.connection.restartIce()
  },

  close() {
    clearInterval(timer)
    for (const { lane } of lanes.values()) lane.close()
    lanes.clear()
  },
}
