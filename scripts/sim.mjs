// Plays simulated worlds natively; see tests/sim/simulate.cpp.
//
//   npm run sim -- --seed 7              replays one world, with its trace
//   npm run sim -- --seed 7 --shrink     makes it as short as possible first
//   npm run sim -- --worlds 20000        plays many, and names those that break a promise
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { root } from './outputs.mjs'

function run(command, args, stdio = 'inherit') {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

run('cmake', ['--preset', 'native'], ['ignore', 'ignore', 'inherit'])
run('cmake', ['--build', '--preset', 'native', '--target', 'simulate'], ['ignore', 'ignore', 'inherit'])
run(join(root, 'build/native/tests/sim/simulate'), process.argv.slice(2))
