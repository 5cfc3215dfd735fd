// npm run docs:states: writes docs/state-machine.md from the table in cpp/src/connection/phase.hpp.
//
// That the file is current is a test of the core (StateDiagram in tests/cpp/phase_test.cpp).
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const run = (command, ...args) => execFileSync(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })

run('cmake', '--preset', 'native')
run('cmake', '--build', '--preset', 'native', '--target', 'print_state_diagram')
writeFileSync(join(root, 'docs/state-machine.md'), run(join(root, 'build/native/tests/cpp/print_state_diagram')))
console.log('docs/state-machine.md is written')
