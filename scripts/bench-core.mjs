// npm run bench:core: how many inputs a second one endpoint takes, and what one costs among 1 to 10,000 connections.
//
//   npm run bench:core              builds, runs, prints
//   npm run bench:core -- --write   and writes docs/benchmarks-core.md and its drawing
//
// Needs Google Benchmark (Debian: libbenchmark-dev), which nothing else here does.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const repetitions = 5

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status === 0) return
  console.error(`\n${command} ${error ? `could not be started: ${error.message}` : `ended with exit code ${status}`}`)
  if (!existsSync('/usr/include/benchmark')) console.error('It needs Google Benchmark. On Debian: apt-get install libbenchmark-dev')
  process.exit(1)
}

const report = join(root, 'build/bench/core.json')
run('cmake', '--preset', 'bench')
run('cmake', '--build', '--preset', 'bench')
run(join(root, 'build/bench/tests/native-bench/core_bench'), `--benchmark_repetitions=${repetitions}`,
  '--benchmark_enable_random_interleaving=true', '--benchmark_min_time=0.05', `--benchmark_out=${report}`, '--benchmark_out_format=json',
  '--benchmark_display_aggregates_only=true')

/** "frameIn/connections:10" -> { name: 'frameIn', size: 10, nanoseconds: [...], rates: [...] }, over all repetitions. */
const results = new Map()
for (const entry of JSON.parse(readFileSync(report, 'utf8')).benchmarks) {
  if (entry.run_type !== 'iteration') continue
  if (entry.error_occurred) {
    console.error(`${entry.name}: ${entry.error_message}`)
    process.exit(1)
  }
  const [, name, size] = /^(\w+)\/\w+:(\d+)/.exec(entry.name)
  const key = `${name}/${size}`
  if (!results.has(key)) results.set(key, { name, size: Number(size), nanoseconds: [], rates: [], bytes: entry.bytes_each })
  const result = results.get(key)
  result.nanoseconds.push(entry.cpu_time)
  result.rates.push(entry.items_per_second)
}
const sorted = list => [...list].sort((a, b) => a - b)
const best = list => sorted(list)[0]
const median = list => sorted(list)[list.length >> 1]

const lives = [...results.values()].filter(({ name }) => name === 'life').sort((a, b) => a.size - b.size)
const sizes = [1, 10, 100, 1_000, 10_000]
const series = [
  ['wholeLife', 'a connection comes, opens and goes (18 inputs)', '#d1495b', '#ff8a95'],
  ['signal', 'a signaling message, 3 candidates', '#b7791f', '#e9b949'],
  ['connectAndClose', 'connect() and close() (3 inputs)', '#7c3aed', '#b794f4'],
  ['timer', 'a timer is set, and fires (2 inputs)', '#0f766e', '#4fd1c5'],
  ['messageOut', 'a message leaves and is acknowledged', '#2563eb', '#7fb2ff'],
  ['frameIn', 'a message comes', '#15803d', '#68d391'],
  ['linkState', 'a word of the browser', '#9d174d', '#f687b3'],
  ['deadline', 'deadline()', '#4b5563', '#a0aec0'],
].map(([name, label, light, dark]) => ({ name, label, light, dark, values: sizes.map(size => median(results.get(`${name}/${size}`).nanoseconds)) }))

const time = ns => ns < 10 ? `${ns.toFixed(1)} ns` : ns < 1_000 ? `${ns.toFixed(0)} ns` : `${(ns / 1_000).toFixed(ns < 10_000 ? 1 : 0)} µs`
const rate = perSecond => `${(perSecond / 1e6).toFixed(2)} million`
const row = cells => `| ${cells.join(' | ')} |`

// -- the drawing ----------------------------------------------------------------------------------------

function drawing() {
  const [width, height, left, right, top, bottom] = [880, 460, 70, 350, 50, 50]
  const x = size => left + Math.log10(size) / 4 * (width - left - right)
  const y = ns => height - bottom - Math.log10(ns) / 5 * (height - top - bottom)
  // Names stand at the end of their lines, and not on one another.
  const names = series.map(line => ({ line, at: y(line.values.at(-1)) })).sort((a, b) => a.at - b.at)
  for (let i = 1; i < names.length; i++) names[i].at = Math.max(names[i].at, names[i - 1].at + 17)
  const grid = [1, 10, 100, 1_000, 10_000, 100_000].map(ns => `
  <path class="grid" d="M${left} ${y(ns).toFixed(1)}H${width - right}"/>
  <text class="axis" x="${left - 8}" y="${(y(ns) + 4).toFixed(1)}" text-anchor="end">${ns < 1_000 ? `${ns} ns` : `${ns / 1_000} µs`}</text>`)
  const ticks = sizes.map(size => `
  <text class="axis" x="${x(size).toFixed(1)}" y="${height - bottom + 20}" text-anchor="middle">${size.toLocaleString('en')}</text>`)
  const lines = series.map(({ name, values }) => `
  <g class="${name}"><path d="M${values.map((ns, i) => `${x(sizes[i]).toFixed(1)} ${y(ns).toFixed(1)}`).join('L')}"/>${
    values.map((ns, i) => `<circle cx="${x(sizes[i]).toFixed(1)}" cy="${y(ns).toFixed(1)}" r="3"><title>${time(ns)}</title></circle>`).join('')}</g>`)
  const labels = names.map(({ line, at }) => `
  <text class="${line.name}" x="${width - right + 12}" y="${(at + 4).toFixed(1)}">${line.label}</text>`)
  const colors = which => series.map(line => `g.${line.name}{stroke:${line[which]}}.${line.name} circle,text.${line.name}{fill:${line[which]}}`).join('\n    ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">
  <title id="title">What one input costs while an endpoint holds 1 to 10,000 connections: the lines are level</title>
  <style>
    text{font:13px system-ui,sans-serif;fill:#1f2933}
    .axis{fill:#52606d}
    .grid{stroke:#d9e2ec;fill:none}
    g path{fill:none;stroke-width:2}
    g circle{stroke:none}
    .paper{fill:#fff}
    ${colors('light')}
    @media (prefers-color-scheme: dark){
    text{fill:#e4e7eb}
    .axis{fill:#9aa5b1}
    .grid{stroke:#323f4b}
    .paper{fill:#0d1117}
    ${colors('dark')}
    }
  </style>
  <rect class="paper" width="${width}" height="${height}" rx="6"/>
  <text x="${left}" y="28" font-weight="600">Cost while the endpoint holds so many connections</text>${grid.join('')}${ticks.join('')}
  <text class="axis" x="${(left + width - right) / 2}" y="${height - 10}" text-anchor="middle">open connections</text>${lines.join('')}${labels.join('')}
</svg>
`
}

// -- the page ----------------------------------------------------------------------------------------------

function page() {
  const any = size => median(results.get(`frameInAny/${size}`).nanoseconds)
  return `# Speed of the core

<!-- Written by \`npm run bench:core -- --write\`; the words are in scripts/bench-core.mjs. -->

Native, one thread, \`-O2\`, ${cpus()[0].model.trim()}. CPU time, the median of ${repetitions} rounds, and the best in brackets: other programs ran on the
machine. An input is a call of \`handle()\` or \`receive()\` with all that the driver does after it: \`poll()\` until it answers
nothing, the pump when the core asks for it, \`deadline()\`. Making the input (a session description is copied, JSON put
together) and, where messages leave, putting them is counted too. The source is \`tests/native-bench/core_bench.cpp\`.

## Inputs a second through one endpoint

Data connections come one after the other, each with 18 inputs for offer, answer, candidates, operations of the browser,
link states, channel and farewell, and in between messages of 64 bytes each way, their acknowledgements and timers. The more
a connection is used, the less its set-up counts; JSON is what costs most there.

${row(['messages each way', 'inputs a second', 'a whole connection'])}
|---:|---:|---:|
${lives.map(life => row([life.size.toLocaleString('en'), `${rate(median(life.rates))} (${rate(sorted(life.rates).at(-1))})`,
  `${time(median(life.nanoseconds))} (${time(best(life.nanoseconds))})`])).join('\n')}

## One input among many connections

![Cost of an input while the endpoint holds 1 to 10,000 connections](images/core-scaling.svg)

${row(['', ...sizes.map(size => `${size.toLocaleString('en')} open`)])}
|---|${sizes.map(() => '---:|').join('')}
${series.map(({ name, label }) => row([label, ...sizes.map((size) => {
  const { nanoseconds } = results.get(`${name}/${size}`)
  return `${time(median(nanoseconds))} (${time(best(nanoseconds))})`
})])).join('\n')}

All of these are about one connection among the others, all of which have armed timers. If messages come for all of them in
a random order instead, the core does the same and the processor waits for memory: ${sizes.slice(2).map(size => `${time(any(size))} at ${size.toLocaleString('en')}`).join(', ')}.
An open connection takes ${(results.get('frameIn/10000').bytes / 1024).toFixed(1)} KB.

What concerns every connection costs for every connection: \`network\`, \`page-hide\`, \`destroy\`, and the return of the server.
Several connections to one peer are found by walking them; \`maxConnectionsPerPeer\` bounds how many others can make.
`
}

for (const life of lives) console.log(`${String(life.size).padStart(6)} messages each way: ${rate(median(life.rates))} inputs a second, at best ${rate(sorted(life.rates).at(-1))}`)
if (process.argv.includes('--write')) {
  mkdirSync(join(root, 'docs/images'), { recursive: true })
  writeFileSync(join(root, 'docs/images/core-scaling.svg'), drawing())
  writeFileSync(join(root, 'docs/benchmarks-core.md'), page())
  console.log('docs/benchmarks-core.md and docs/images/core-scaling.svg are written')
}
