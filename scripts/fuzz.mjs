// npm run fuzz: the fuzz targets for as long as one wants, measured in processor time, which other work does not shorten.
//
//   npm run fuzz                                      all of them, an hour of processor time each
//   npm run fuzz -- --minutes 10 framing endpoint     these, ten minutes each
//   npm run fuzz -- --at-once 2                       how many at a time (default: the number of processors)
//
// Finds go to build/fuzz/found/. At the end, for each: executions, processor time, edges, finds (docs/fuzzing.md). Linux.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { root } from './outputs.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'minutes': { type: 'string', default: '60' }, 'at-once': { type: 'string', default: String(availableParallelism()) } },
})
const minutes = Number(values.minutes)
const atOnce = Number(values['at-once'])
if (!(minutes > 0) || !(atOnce >= 1)) throw new Error('--minutes and --at-once want a number above 0')

for (const args of [['--preset', 'fuzz'], ['--build', '--preset', 'fuzz']]) execFileSync('cmake', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
const folder = join(root, 'build/fuzz/tests/fuzz')
const all = readdirSync(folder).filter(name => /^fuzz_\w+$/.test(name)).map(name => name.slice('fuzz_'.length)).sort()
const unknown = positionals.filter(name => !all.includes(name))
if (unknown.length > 0) throw new Error(`there is no target ${unknown.join(', ')}; there are ${all.join(', ')}`)

/** Clock ticks a second of /proc: a constant of Linux's border to programs. */
const ticks = 100

/** What a process has had of a processor, in minutes. */
function used(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13)
  return (Number(user) + Number(system)) / ticks / 60
}

const running = new Set()
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')))
/** Those whose turn has not come. */
const waiting = positionals.length > 0 ? [...new Set(positionals)] : all
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    waiting.length = 0
    running.forEach(child => child.kill('SIGINT'))
  })
}

function fuzz(name) {
  const corpus = join(root, 'tests/fuzz/corpus', name)
  const dictionary = join(root, 'tests/fuzz', `${name}.dict`)
  const found = join(root, 'build/fuzz/found', `fuzz_${name}`)
  mkdirSync(found, { recursive: true })
  const child = spawn(join(folder, `fuzz_${name}`), [
    found, ...existsSync(corpus) ? [corpus] : [], ...existsSync(dictionary) ? [`-dict=${dictionary}`] : [],
    // Entropic scheduling takes more time than the endpoint itself does.
    ...name === 'endpoint' ? ['-entropic=0', '-max_len=2048'] : [],
    // In wall-clock time, which goes on while the process waits for a processor.
    '-timeout=4000', '-rss_limit_mb=2048', '-print_final_stats=1', `-artifact_prefix=${found}-`,
  ], { stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(child)
  let log = ''
  let time = 0
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log = (log + text).slice(-200_000)
  })
  const watch = setInterval(() => {
    try {
      time = used(child.pid)
    }
    catch {
      return // it has just ended
    }
    if (time >= minutes) child.kill('SIGINT')
  }, 1000)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => {
      clearInterval(watch)
      running.delete(child)
      const executions = Number(/number_of_executed_units:\s*(\d+)/.exec(log)?.[1] ?? 0)
      const edges = Number([...log.matchAll(/ cov: (\d+)/g)].at(-1)?.[1] ?? 0)
      // An interrupted run is how every one of these ends; a find is written to a file and named. So are slow inputs, which
      // a busy machine has many of.
      const find = /Test unit written to (\S+-(?:crash|leak|oom|timeout)-\S+)/.exec(log)?.[1]
      if (find) console.error(log.slice(-8000))
      console.log(`| \`fuzz_${name}\` | ${executions.toLocaleString('en')} | ${time.toFixed(1)} min | ${edges.toLocaleString('en')} | ${find ?? 'none'} |`)
      resolve(!find)
    })
  })
}

let clean = true
console.log('| target | executions | processor time | edges reached | finds |\n|---|---:|---:|---:|---|')
await Promise.all(Array.from({ length: atOnce }, async () => {
  for (let name = waiting.shift(); name; name = waiting.shift()) clean = await fuzz(name) && clean
}))
process.exitCode = clean ? 0 : 1
