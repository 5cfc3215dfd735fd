// Installs what a fresh Debian or Ubuntu machine lacks, and nothing else; then the npm packages of the lock file.
//
//   node scripts/setup.mjs [--for start|test]
//
// Runs under plain Node, before anything is installed. What is there already (from apt, an emsdk, Homebrew …) stays.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

function onPath(command) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    }
    catch {
      // not in this one
    }
  }
  return false
}

const header = name => ['/usr/include', '/usr/local/include', '/opt/homebrew/include'].some(folder => existsSync(join(folder, name)))

function compilerFile(name) {
  const { status, stdout } = spawnSync('clang++', [`-print-file-name=${name}`], { encoding: 'utf8' })
  return status === 0 && existsSync(stdout.trim())
}

/** Where the tests find their browser: $CHROMIUM, or what Debian installs. */
export function chromium() {
  return process.env.CHROMIUM || ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/snap/bin/chromium'].find(path => existsSync(path))
}

/** The same of Firefox, by $FIREFOX. */
export function firefox() {
  return process.env.FIREFOX || ['/usr/bin/firefox-esr', '/usr/bin/firefox'].find(path => existsSync(path))
}

/** Debian package -> is what we need of it there? */
const packages = {
  start: {
    'emscripten': () => onPath('emcc'),
    'nlohmann-json3-dev': () => header('nlohmann/json.hpp'),
    'cmake': () => onPath('cmake'),
    'ninja-build': () => onPath('ninja'),
  },
  test: {
    'g++': () => onPath('g++'),
    'clang': () => onPath('clang++'),
    'clang-format': () => onPath('clang-format'),
    'clang-tidy': () => onPath('clang-tidy'),
    // libFuzzer and the sanitizers; part of another package on some releases
    'libclang-rt-dev': () => onPath('clang++') && compilerFile(`libclang_rt.fuzzer-${{ x64: 'x86_64', arm64: 'aarch64' }[process.arch] ?? process.arch}.a`),
    'libgtest-dev': () => header('gtest/gtest.h'),
    'libgmock-dev': () => header('gmock/gmock.h'),
    'chromium': () => chromium() !== undefined && existsSync(chromium()),
    'firefox-esr': () => firefox() !== undefined && existsSync(firefox()),
    // a page without a single font measures everything as nothing
    'fonts-liberation': () => existsSync('/usr/share/fonts') && ['truetype', 'opentype'].some(kind => existsSync(join('/usr/share/fonts', kind))),
    // Debian starts a service of it, which nobody here uses: tests start their own, on sockets in folders of their own
    'redis-server': () => onPath('redis-server'),
    // the packed tarball is unpacked, the demo is pulled from git: both are there on almost every machine
    'git': () => onPath('git'),
  },
}

/** For libraries that came with another package (a sanitizer runtime in libclang-common-*-dev), absence is no error. */
const mayBeUnknown = new Set(['libclang-rt-dev'])

function fail(message) {
  console.error(`\nsetup: ${message}`)
  process.exit(1)
}

function apt(missing) {
  const list = missing.join(' ')
  if (!onPath('apt-get'))
    fail(`these are missing, and there is no apt-get here to install them: ${list}\nInstall them by hand (names are those of Debian), then run this again.`)

  const isRoot = process.getuid?.() === 0
  if (!isRoot && !onPath('sudo'))
    fail(`these are missing, and this user may not install packages (no sudo): ${list}\nAs root: apt-get install ${list}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const aptGet = (...args) => {
    // Another package manager may be at work on a machine that has just been started: wait for it.
    const command = ['apt-get', '-y', '-q', '-o', 'DPkg::Lock::Timeout=300', ...args]
    // Without a terminal sudo must not wait for a password that nobody can type. `env`, since sudo clears the environment.
    const full = isRoot ? command : ['sudo', ...(process.stdin.isTTY ? [] : ['-n']), 'env', 'DEBIAN_FRONTEND=noninteractive', ...command]
    return spawnSync(full[0], full.slice(1), { stdio: ['inherit', 'inherit', 'inherit'], env }).status === 0
  }

  console.log(`setup: installing ${list}`)
  // Debian calls it chromium; Ubuntu has it, and Firefox, as a snap only.
  if (!aptGet('update')) console.error('setup: apt-get update failed; trying with the package lists that are there')
  const known = missing.filter(name => !mayBeUnknown.has(name) || spawnSync('apt-cache', ['show', name], { stdio: 'ignore' }).status === 0)
  if (known.length > 0 && !aptGet('install', '--no-install-recommends', ...known)) {
    fail(`apt-get could not install ${list}\n${isRoot
      ? 'Its own message is above.'
      : `Its own message is above. If it was about permission, as root: apt-get install ${list}`}${
      missing.includes('chromium') ? '\nWhere Chromium is no Debian package, set CHROMIUM to the path of a Chromium or Chrome.' : ''}${
      missing.includes('firefox-esr') ? '\nWhere Firefox is no Debian package, set FIREFOX to its path.' : ''}`)
  }
}

/** Do the packages in node_modules have the versions of the lock file? (npm ci deletes everything first: only when they do not.) */
function npmIsCurrent() {
  let wanted, present
  try {
    wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
    present = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages
  }
  catch {
    return false
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/') || entry.link || entry.optional || entry.devOptional || entry.peer) continue
    if (present[path]?.version !== entry.version) return false
  }
  return true
}

function npm(...args) {
  // npm tells its scripts where it is; outside of npm it is on the PATH.
  const cli = process.env.npm_execpath
  const { status } = cli?.endsWith('.js')
    ? spawnSync(process.execPath, [cli, ...args], { cwd: root, stdio: 'inherit' })
    : spawnSync('npm', args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) fail(`npm ${args.join(' ')} failed; its own message is above`)
}

export function setup(purpose) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old; 20.19 or later is needed`)

  const wanted = { ...packages.start, ...(purpose === 'test' ? packages.test : {}) }
  const missing = Object.keys(wanted).filter(name => !wanted[name]())
  if (missing.length > 0) {
    apt(missing)
    const still = missing.filter(name => !wanted[name]())
    if (still.length > 0) fail(`still missing after the installation: ${still.join(' ')}`)
  }
  if (!npmIsCurrent()) {
    console.log('setup: npm ci')
    npm('ci', '--no-audit', '--no-fund', '--prefer-offline')
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  const at = process.argv.indexOf('--for')
  const purpose = at < 0 ? 'test' : process.argv[at + 1]
  if (purpose !== 'start' && purpose !== 'test') fail('--for wants start or test')
  setup(purpose)
  console.log(`setup: everything for \`npm ${purpose}\` is here`)
}
