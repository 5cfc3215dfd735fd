// npm run build: the core to wasm, then the package into dist/. `--js` leaves the core as it was built last.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const path = (...parts) => join(root, ...parts)

function fail(message) {
  console.error(`build: ${message}`)
  process.exit(1)
}

function run(...args) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) fail(`${args.join(' ')} ended with ${signal ?? `exit code ${status}`}`)
}

/** One build at a time: a second one waits. The lock of a build that was killed does not count. */
async function lock() {
  const file = path('build/.building')
  mkdirSync(dirname(file), { recursive: true })
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      process.on('exit', () => rmSync(file, { force: true }))
      for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
      return
    }
    catch {
      const holder = Number(existsSync(file) && readFileSync(file, 'utf8'))
      try {
        if (holder) process.kill(holder, 0)
        await new Promise(resolve => setTimeout(resolve, 500))
      }
      catch {
        rmSync(file, { force: true })
      }
    }
  }
}

await lock()
if (!process.argv.includes('--js')) run(path('scripts/build-core.mjs'))

// Everything is made beside dist/ and takes its place at the end: a build that fails takes nothing away.
const made = path('build/dist')
rmSync(made, { recursive: true, force: true })
run(path('node_modules/tsdown/dist/run.mjs'))

// The same wasm that travels inside the lazy chunk, for those who prefer to serve the file.
copyFileSync(path('js/core/generated/core.wasm'), join(made, 'core.wasm'))
chmodSync(join(made, 'server/cli.js'), 0o755)

// Nuxt reads module.json beside the module's entry, so that it knows name, options key and compatible versions
// before it runs any of it.
const { version } = JSON.parse(readFileSync(path('package.json'), 'utf8'))
const { default: module } = await import(pathToFileURL(join(made, 'nuxt/module.js')).href)
writeFileSync(join(made, 'nuxt/module.json'), JSON.stringify({ ...await module.getMeta(), version }, null, 2) + '\n')

for (const file of ['index', 'vue/index', 'server/index', 'server/cli', 'nuxt/module']) {
  for (const extension of file === 'server/cli' ? ['js'] : ['js', 'd.ts']) {
    if (!existsSync(join(made, `${file}.${extension}`))) fail(`${file}.${extension} was not made`)
  }
}

rmSync(path('dist'), { recursive: true, force: true })
renameSync(made, path('dist'))
