// npm test: everything that CI checks, in turn, and one closing line over all of it.
//
//   npm test                      all of it
//   npm test -- vitest e2e        only these runners, in this order
//   npm test -- --list            their names
//
// Two runners that leave a processor idle are run at once; what the second prints comes when it is done.
// A runner that fails, crashes, hangs or runs no test counts as failed; what failed is named once more at the end, since
// a server keeps only the last lines of what it printed. FUZZ_SECONDS: how long each fuzz target runs,
// FUZZ_SEED: from which number its ideas start.
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import process from 'node:process'
import { ensure, root } from './outputs.mjs'
import { chromium, firefox, setup } from './setup.mjs'

const path = (...parts) => join(root, ...parts)
const reports = path('build/test-reports')
const bin = (...parts) => path('node_modules', ...parts)
const minutes = 60_000

/** All that run. */
const children = new Set()
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    children.forEach(kill)
    process.exit(1)
  })
}

/** The whole process group: a hanging runner has browsers and servers below it. */
function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  }
  catch {
    // it is gone
  }
}

/** Where what is printed goes, other than to the terminal. */
const elsewhere = new AsyncLocalStorage()
const print = text => void (elsewhere.getStore() ?? process.stdout).write(text)

/** Runs something whose output would get between that of another: it is shown at the end, in one piece. */
async function buffered(run) {
  let output = ''
  try {
    return await elsewhere.run({ write: (text) => { output += text } }, run)
  }
  finally {
    print(output)
  }
}

/** Runs a command, shows what it prints as it prints it, and answers with its output. Throws when it does not end well. */
function sh(command, args, { env = {}, timeout = 10 * minutes, mayFail = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1', NUXT_TELEMETRY_DISABLED: '1', CHROMIUM: chromium() ?? '', FIREFOX: firefox() ?? '', ...env },
    })
    children.add(child)
    const shown = elsewhere.getStore() ?? process.stdout
    let output = ''
    let late = false
    const timer = setTimeout(() => {
      late = true
      kill(child)
    }, timeout)
    for (const from of [child.stdout, child.stderr]) {
      from.setEncoding('utf8').on('data', (text) => {
        shown.write(text)
        output += text
      })
    }
    child.on('error', (error) => {
      clearTimeout(timer)
      children.delete(child)
      reject(new Error(`${command} could not be started: ${error.message}`))
    })
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      children.delete(child)
      // What it may have left running would be in the way of the next one.
      kill(child)
      const ended = late ? `took longer than ${timeout / minutes} minutes` : signal ? `was ended by ${signal}` : status ? `ended with exit code ${status}` : ''
      if (ended && !mayFail) reject(new Error(`${command} ${args.join(' ')} ${ended}`))
      else resolve({ output, ended })
    })
  })
}

const node = (...args) => sh(process.execPath, args)

/** For programs that have one verdict. */
const one = async (run) => {
  await run
  return { passed: 1, failed: 0 }
}

function report(name) {
  const file = join(reports, name)
  if (!existsSync(file)) throw new Error('it left no report: it crashed')
  return JSON.parse(readFileSync(file, 'utf8'))
}

/** What did not pass, by runner, with the first lines of what it said. */
const complaints = []
function complain(runner, kind, title, message = '') {
  const lines = message.replace(/\x1B\[[\d;]*m/g, '').split('\n').filter(line => line.trim()).slice(0, 6)
  complaints.push([`${kind}  ${runner}: ${title}`, ...lines.map(line => `        ${line}`)].join('\n'))
}

/** @param only targets that are built, and a pattern of the tests that are run; left out: all */
async function ctest(preset, only) {
  await sh('cmake', ['--preset', preset])
  await sh('cmake', ['--build', '--preset', preset, ...(only ? ['--target', ...only.targets] : [])], { timeout: 20 * minutes })
  const { output } = await sh('ctest', ['--preset', preset, '--parallel', '2', '--progress', ...(only ? ['--tests-regex', only.tests] : [])], { mayFail: true })
  const found = /(\d+) tests? failed out of (\d+)/.exec(output)
  if (!found) throw new Error('ctest found no test')
  const failed = Number(found[1])
  for (const [, title] of output.matchAll(/^\s*\d+ - (.+) \(\w[\w -]*\)/gm)) complain(preset, 'FAILED', title)
  return { passed: Number(found[2]) - failed, failed }
}

/**
 * Every libFuzzer target: first what is in its corpus, then a few seconds of its own ideas. They start from one seed: the
 * same commit gets the same verdict. Luck is for the long runs (docs/fuzzing.md).
 */
async function fuzz() {
  await sh('cmake', ['--preset', 'fuzz'])
  await sh('cmake', ['--build', '--preset', 'fuzz'], { timeout: 20 * minutes })
  const folder = path('build/fuzz/tests/fuzz')
  const targets = existsSync(folder) ? readdirSync(folder).filter(name => /^fuzz_\w+$/.test(name)).sort() : []
  let passed = 0
  let failed = 0
  const play = async (target) => {
    const corpus = path('tests/fuzz/corpus', target.replace(/^fuzz_/, ''))
    const found = path('build/fuzz/found', target)
    mkdirSync(found, { recursive: true })
    const { ended, output } = await sh(join(folder, target), [
      // New finds go to the first folder, so that a run never changes the work tree.
      found, ...(existsSync(corpus) ? [corpus] : []),
      `-max_total_time=${process.env.FUZZ_SECONDS ?? 10}`, `-seed=${process.env.FUZZ_SEED ?? 1}`, '-timeout=10', '-rss_limit_mb=2048', '-print_final_stats=0', '-verbosity=0',
      `-artifact_prefix=${found}-`,
    ], { mayFail: true })
    print(`${ended ? 'FAILED' : 'ok'}  ${target}\n`)
    if (ended) complain('fuzz', 'FAILED', target, output.split('\n').filter(line => /ERROR|runtime error|SUMMARY|Test unit/.test(line)).join('\n'))
    if (ended) failed++
    else passed++
  }
  // Each takes one processor.
  const next = async () => {
    for (let target = targets.shift(); target; target = targets.shift()) await buffered(() => play(target))
  }
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, next))
  return { passed, failed }
}

async function vitest(name, projects) {
  const file = join(reports, `${name}.json`)
  const { ended } = await sh(process.execPath, [
    bin('vitest/vitest.mjs'), 'run', ...projects.flatMap(project => ['--project', project]),
    '--reporter=default', '--reporter=json', `--outputFile.json=${file}`,
  ], { mayFail: true, timeout: 25 * minutes })
  const { numPassedTests, numFailedTests, testResults } = report(`${name}.json`)
  // A file that cannot even be imported has no failed test.
  const broken = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0).length
  const failed = numFailedTests + broken
  for (const { name: file, status, message, assertionResults } of testResults) {
    if (status === 'failed' && assertionResults.length === 0) complain(name, 'FAILED', relative(root, file), message)
    for (const { status, fullName, failureMessages } of assertionResults) {
      if (status === 'failed') complain(name, 'FAILED', `${relative(root, file)} › ${fullName}`, failureMessages[0])
    }
  }
  return { passed: numPassedTests, failed: ended && failed === 0 ? 1 : failed }
}

async function playwright(name, config) {
  if (!existsSync(path(config))) throw new Error(`there is no ${config}`)
  const { ended } = await sh(process.execPath, [bin('@playwright/test/cli.js'), 'test', '--config', config, '--reporter=list,json'], {
    env: { PLAYWRIGHT_JSON_OUTPUT_NAME: join(reports, `${name}.json`) }, mayFail: true, timeout: 25 * minutes,
  })
  const { stats, errors, suites } = report(`${name}.json`)
  for (const error of errors ?? []) complain(name, 'FAILED', config, error.message)
  const failed = stats.unexpected
  const walk = (suite, above) => {
    const path = [...above, suite.title]
    for (const spec of suite.specs ?? []) {
      for (const { status, results } of spec.tests) {
        if (status !== 'unexpected' && status !== 'flaky') continue
        complain(name, status === 'flaky' ? 'flaky ' : 'FAILED', [...path, spec.title].join(' › '), results.flatMap(({ errors }) => errors)[0]?.message)
      }
    }
    for (const inner of suite.suites ?? []) walk(inner, path)
  }
  for (const suite of suites ?? []) walk(suite, [])
  // A flaky test passed in the end, at its second try. It is named at the end: it is a bug in itself or in the product.
  return { passed: stats.expected + stats.flaky, failed: ended && failed === 0 ? 1 : failed }
}

async function types() {
  await node(bin('vue-tsc/bin/vue-tsc.js'), '--noEmit')
  // The demo is checked as an application sees the package: against dist/.
  await node(bin('nuxt/bin/nuxt.mjs'), 'prepare', 'demo-nuxt')
  await node(bin('vue-tsc/bin/vue-tsc.js'), ...(/"references"/.test(readFileSync(path('demo-nuxt/tsconfig.json'), 'utf8')) ? ['-b', '--noEmit'] : ['--noEmit', '-p']), 'demo-nuxt')
  return { passed: 2, failed: 0 }
}

/** Name -> what it runs; answers with counts or throws. */
const runners = {
  build: () => {
    ensure('library')
    return { passed: 1, failed: 0 }
  },
  lint: () => one(node(bin('eslint/bin/eslint.js'), '.', '--max-warnings', '0')),
  types,
  // The worlds of the simulation are many and want an optimized core; every other test runs once, under the sanitizers.
  native: () => ctest('native', { targets: ['simulate'], tests: '^Simulation\\.' }),
  asan: () => ctest('native-asan'),
  fuzz,
  core: () => one(node(path('scripts/check-core.mjs'))),
  vitest: () => vitest('vitest', ['js', 'vue', 'server', 'nuxt']),
  publint: () => one(node(bin('publint/src/cli.js'), '--strict')),
  sizes: () => one(node(path('scripts/sizes.mjs'), '--check')),
  e2e: () => {
    ensure('demo')
    return playwright('e2e', 'playwright.config.ts')
  },
  interop: () => {
    ensure('library')
    return playwright('interop', 'tests/interop/playwright.config.ts')
  },
  package: () => vitest('package', ['package']),
}

const chosen = process.argv.slice(2)
if (chosen.includes('--list')) {
  console.log(Object.keys(runners).join('\n'))
  process.exit(0)
}
const unknown = chosen.filter(name => !(name in runners))
if (unknown.length > 0) {
  console.error(`There is no runner ${unknown.join(', ')}; there are ${Object.keys(runners).join(', ')}`)
  process.exit(1)
}

setup('test')
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })

/** These know one processor each. */
const together = [['lint', 'types']]

const results = new Map()
async function run(name) {
  print(`\n──── ${name} ${'─'.repeat(60 - name.length)}\n`)
  const begin = performance.now()
  let result
  try {
    const counts = await runners[name]()
    result = counts.passed + counts.failed > 0 ? counts : { passed: 0, failed: 1, reason: 'it ran no test' }
  }
  catch (error) {
    result = { passed: 0, failed: 1, reason: error.message }
    print(`\n${name}: ${error.message}\n`)
  }
  results.set(name, { name, ...result, seconds: (performance.now() - begin) / 1000 })
}

const begin = performance.now()
const names = chosen.length > 0 ? [...new Set(chosen)] : Object.keys(runners)
for (const name of names) {
  if (results.has(name)) continue
  const others = together.find(group => group.includes(name))?.filter(other => other !== name && names.includes(other)) ?? []
  await Promise.all([run(name), ...others.map(other => buffered(() => run(other)))])
}

const sum = key => [...results.values()].reduce((total, result) => total + result[key], 0)
console.log(`\n──── all ${'─'.repeat(57)}`)
for (const { name, passed, failed, seconds, reason } of results.values()) {
  console.log(`${failed > 0 ? 'FAILED' : 'ok    '}  ${name.padEnd(8)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed  ${seconds.toFixed(0).padStart(4)} s${reason ? `  ${reason}` : ''}`)
}
console.log(`${((performance.now() - begin) / 60_000).toFixed(1)} minutes`)
if (complaints.length > 0) console.log(`\n${complaints.join('\n')}`)
process.exitCode = sum('failed') > 0 ? 1 : 0
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`)
