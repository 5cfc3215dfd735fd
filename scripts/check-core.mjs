#!/usr/bin/env node
/**
 * The rules for C++ that a machine can check: the format (clang-format), the lint rules of .clang-tidy, and that the
 * core knows no clock, no randomness, no stream and no browser. Prints every finding; exit code 1 if there is one.
 *
 *   node scripts/check-core.mjs [format] [tidy] [words]
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

function sources(...folders) {
  return folders.filter(folder => existsSync(join(root, folder))).flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && /\.[ch]pp$/.test(entry.name))
      .map(entry => relative(root, join(entry.parentPath ?? entry.path, entry.name))))
    .sort()
}

/** What may not be in cpp/, and why. */
const forbidden = [
  [/std::chrono|\b(?:time|clock|gettimeofday|clock_gettime)\s*\(/, 'the core is told the time'],
  [/\bs?rand\s*\(|<random>|random_device/, 'the core is given its seed'],
  [/<(?:iostream|fstream|sstream|iomanip)>/, 'streams are large'],
  [/emscripten/i, 'only bindings/ knows Emscripten'],
  // Without exceptions these abort, and remote bytes must never lead there.
  [/\.at\s*\(|json::at\b|\.get<|\.value<|\bthrow\b|\btry\s*\{/, 'there are no exceptions: it would abort'],
]

/** The source with its comments blanked out, line by line. */
function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, comment => comment.replace(/[^\n]/g, ' ')).split('\n')
}

function words() {
  let findings = 0
  for (const path of sources('cpp')) {
    for (const [index, line] of withoutComments(readFileSync(join(root, path), 'utf8')).entries()) {
      for (const [pattern, why] of forbidden) {
        const match = pattern.exec(line)
        if (!match) continue
        console.log(`${path}:${index + 1}: "${match[0]}": ${why}`)
        findings++
      }
    }
  }
  return findings === 0
}

function missing(command, error) {
  console.error(`${command} could not be started (${error.message}). Run "node scripts/setup.mjs --for test" to install what is missing.`)
  process.exit(1)
}

function format() {
  const paths = sources('cpp', 'bindings', 'tests/cpp', 'tests/sim', 'tests/fuzz', 'tests/native-bench')
  const result = spawnSync('clang-format', ['--dry-run', '-Werror', ...paths], { cwd: root, stdio: 'inherit' })
  if (result.error) missing('clang-format', result.error)
  return result.status === 0
}

function tidyOne(path) {
  return new Promise((resolve) => {
    const child = spawn('clang-tidy', ['-p', 'build/native', '--quiet', path], { cwd: root })
    let output = ''
    child.on('error', error => missing('clang-tidy', error))
    child.stdout.on('data', data => output += data)
    child.stderr.on('data', data => output += data)
    child.on('close', (status) => {
      if (status !== 0) console.log(output.replace(/^\d+ warnings?.* generated\.\n/gm, ''))
      resolve(status === 0)
    })
  })
}

async function tidy() {
  // The compile commands; nothing is compiled.
  const configured = spawnSync('cmake', ['--preset', 'native'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (configured.error) missing('cmake', configured.error)
  if (configured.status !== 0) return false
  const waiting = sources('cpp').filter(path => path.endsWith('.cpp'))
  let clean = true
  const worker = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      if (!await tidyOne(path)) clean = false
    }
  }
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker))
  return clean
}

const checks = { format, words, tidy }
const chosen = process.argv.slice(2)
const unknown = chosen.filter(name => !(name in checks))
if (unknown.length > 0) {
  console.error(`There is no check ${unknown.join(', ')}; there are ${Object.keys(checks).join(', ')}`)
  process.exit(1)
}
for (const [name, check] of Object.entries(checks)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  const passed = await check()
  console.log(`${passed ? 'ok' : 'FAILED'}  ${name}`)
  if (!passed) process.exitCode = 1
}
