/** What a page cannot tell about itself: its process, its heap, its profile. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

/** Parent, name and ticks of CPU of a thread. Throws when it ended meanwhile. */
function statOf(pid, thread = pid) {
  const [, name, rest] = /\((.*)\) (.*)/s.exec(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8'))
  const fields = rest.split(' ')
  return { parent: Number(fields[1]), name, ticks: Number(fields[11]) + Number(fields[12]) }
}

/** pid -> parent and ticks of CPU of its main thread, of every process. */
function processes() {
  return new Map(readdirSync('/proc').filter(name => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      return [[Number(pid), statOf(pid)]]
    }
    catch {
      return [] // it ended meanwhile
    }
  }))
}

/** Whether this process of `all` is below ours. */
function isOurs(all, pid) {
  for (pid = all.get(pid)?.parent; pid > 1; pid = all.get(pid)?.parent) if (pid === process.pid) return true
  return false
}

/** Chromium's and Firefox's word for a process of pages. */
const isRenderer = (pid) => {
  try {
    return /--type=renderer|-contentproc/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  }
  catch {
    return false
  }
}

/** The process that a page of ours lives in: the one whose main thread works while the page spins. */
export async function processOf(page, ms = 100) {
  const before = processes()
  await page.call('spin', ms)
  const after = processes()
  const worked = [...after].map(([pid, { ticks }]) => [pid, ticks - (before.get(pid)?.ticks ?? 0)])
    .filter(([pid, ticks]) => ticks > 0 && isOurs(after, pid) && isRenderer(pid)).sort((x, y) => y[1] - x[1])
  // On a busy machine it worked too little to be told from the others: again, and longer.
  const [most, second] = worked
  return most && (!second || most[1] > 3 * second[1]) ? most[0] : processOf(page, ms * 2)
}

/** Every thread below this process: which part of the browser it is in, its name, and its ticks of CPU. */
function threads([sender, receiver]) {
  const all = processes()
  return [...all.keys()].filter(pid => isOurs(all, pid)).flatMap((pid) => {
    try {
      const [, type = 'browser'] = /--(?:utility-sub-)?type=([\w.]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('--type=utility', '')) ?? []
      const part = pid === sender ? 'sender' : pid === receiver ? 'receiver' : type.replace(/.*\./, '')
      return readdirSync(`/proc/${pid}/task`).map((id) => {
        const { name, ticks } = statOf(pid, id)
        // Names of threads are cut off; a pool's have numbers, or none.
        const thread = id === String(pid) ? 'main' : name.replace(/[/\d]+$/, '')
        return { id, part, thread, ticks }
      })
    }
    catch {
      return [] // it ended meanwhile
    }
  })
}

/** Watches what works, until what it answers is called: seconds of CPU by part and thread. */
export function work(pids) {
  const before = new Map(threads(pids).map(({ id, ticks }) => [id, ticks]))
  return () => {
    const sums = {}
    for (const { id, part, thread, ticks } of threads(pids)) {
      const seconds = (ticks - (before.get(id) ?? 0)) / 100
      if (seconds > 0) sums[`${part}, ${thread}`] = (sums[`${part}, ${thread}`] ?? 0) + seconds
    }
    return sums
  }
}

/** Resident bytes of a process. */
export const resident = pid => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024

/** Profiles both pages until what it answers is called. */
export async function profile(path, name, { a, b }) {
  const sessions = await Promise.all([a.inspect(), b.inspect()])
  for (const session of sessions) {
    await session.send('Profiler.enable')
    await session.send('Profiler.setSamplingInterval', { interval: 200 })
    await session.send('Profiler.start')
  }
  return async () => {
    for (const [i, session] of sessions.entries()) {
      const { profile } = await session.send('Profiler.stop')
      const file = path.replace(/(\.cpuprofile)?$/, `-${name}-${i ? 'receiver' : 'sender'}.cpuprofile`)
      writeFileSync(file, JSON.stringify(profile))
      console.log(`profile: ${file}`)
      await session.detach()
    }
  }
}

/**
 * The longest task of each page's main thread while `measure` runs, in ms of its own CPU: that the processor was somebody
 * else's meanwhile does not count. Chromium only.
 */
export async function longestTasks({ a, processes }, measure) {
  const session = await a.inspect()
  const events = []
  session.on('Tracing.dataCollected', ({ value }) => events.push(...value))
  // Of all processes, whichever page is asked.
  await session.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel'] } })
  await measure()
  const complete = new Promise(resolve => session.once('Tracing.tracingComplete', resolve))
  await session.send('Tracing.end')
  await complete
  await session.detach()
  const main = new Set(events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(({ pid, tid }) => `${pid} ${tid}`))
  return processes.map((process) => {
    const tasks = events.filter(({ ph, name, pid, tid }) => ph === 'X' && name.endsWith('RunTask') && pid === process && main.has(`${pid} ${tid}`))
    if (!tasks.length) throw new Error(`the trace has no task of process ${process}`)
    return tasks.reduce((most, { tdur }) => Math.max(most, tdur / 1000), 0)
  })
}

/** Bytes in use: V8's heap, Blink's own, array buffers, and wasm, which is in none of them. */
export async function memory(page, session) {
  const { usedSize, embedderHeapUsedSize = 0, backingStorageSize } = await session.send('Runtime.getHeapUsage')
  const wasm = await page.call('wasm')
  return { heap: usedSize + embedderHeapUsedSize + backingStorageSize + wasm, wasm }
}

/**
 * How much both pages grow while `measure` runs: JS heap, array buffers and wasm, sampled twice a second.
 * @param live collects garbage before each sample: what is really held, and slower
 * @returns bytes over the beginning, { sender, receiver, senderResident, receiverResident }
 */
export async function growth({ a, b, processes }, live, measure) {
  const pages = await Promise.all([a, b].map(async (page, i) => ({ page, session: await page.inspect(), pid: processes[i] })))
  const sample = async ({ page, session, pid }) => {
    if (live) await session.send('HeapProfiler.collectGarbage')
    return { ...await memory(page, session), resident: resident(pid) }
  }
  for (const { session } of pages) await session.send('HeapProfiler.collectGarbage')
  const start = await Promise.all(pages.map(sample))
  const peak = structuredClone(start)
  let over = false
  const watching = Promise.all(pages.map(async (page, i) => {
    while (!over) {
      await new Promise(resolve => setTimeout(resolve, 500))
      const now = await sample(page)
      for (const [what, value] of Object.entries(now)) peak[i][what] = Math.max(peak[i][what], value)
    }
  }))
  await measure()
  over = true
  await watching
  for (const { session } of pages) await session.detach()
  return Object.fromEntries(['sender', 'receiver'].map((side, i) => [side, Object.fromEntries(
    Object.keys(start[i]).map(what => [what, peak[i][what] - start[i][what]]))]))
}
