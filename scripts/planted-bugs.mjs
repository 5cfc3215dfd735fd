// The check that checks: plants one bug after the other in the core, and shows that the simulation finds each of them.
//
//   node scripts/planted-bugs.mjs [--worlds 5000] [name …]
//
// Prints a table: the bug, what it does, the first world that breaks a promise, and which one. Exit code 1 when a bug is
// not found, or when a world breaks without any.
import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { root } from './outputs.mjs'

const args = process.argv.slice(2)
const limit = args.indexOf('--worlds')
const worlds = limit < 0 ? 5_000 : Number(args.splice(limit, 2)[1])
const simulate = join(root, 'build/planted/tests/sim/simulate')

function prepare(command, ...given) {
  const { status, error } = spawnSync(command, given, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

/** What the simulation prints, and whether all promises were kept. */
function run(...given) {
  return new Promise((resolve, reject) => {
    const child = spawn(simulate, given, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', data => text += data)
    child.on('error', reject)
    // A bug may also crash it: then that is how it was found.
    child.on('close', (code, signal) => resolve({ kept: code === 0, crashed: signal, text }))
  })
}

async function hunt(name) {
  const { kept, crashed, text } = await run('--worlds', String(worlds), '--stop', ...(name ? ['--bug', name] : []))
  const [, seed, promise] = /^world (\d+) BROKE "(.*)"$/m.exec(text) ?? []
  if (crashed) return { found: true, worlds: '', promise: `it crashed (${crashed})` }
  return { found: !kept, worlds: seed ?? '', promise: promise ?? '' }
}

prepare('cmake', '--preset', 'planted')
prepare('cmake', '--build', '--preset', 'planted', '--target', 'simulate')

const { text: list } = await run('--list-bugs')
const bugs = list.trim().split('\n').map(line => line.split('\t')).filter(([name]) => args.length === 0 || args.includes(name))

const results = new Map()
const waiting = ['', ...bugs.map(([name]) => name)]
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) results.set(name, await hunt(name))
}))

console.log('| bug | what it does | found in world | promise that broke |')
console.log('|---|---|---:|---|')
for (const [name, what] of bugs) {
  const { found, worlds: seed, promise } = results.get(name)
  console.log(`| ${name} | ${what} | ${found ? seed : 'not found'} | ${promise} |`)
}
const missed = bugs.filter(([name]) => !results.get(name).found).length
console.log(`\n${bugs.length - missed} of ${bugs.length} found within ${worlds} worlds each`)
const clean = results.get('')
if (clean.found) console.log(`without a bug, world ${clean.worlds} broke "${clean.promise}"`)
process.exitCode = missed > 0 || clean.found ? 1 : 0
