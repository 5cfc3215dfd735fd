// npm run build: the core to wasm, then the package into dist/. `--js` leaves the core as it was built last.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const path = (...parts) => join(root, ...parts)

function run(...args) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`build: ${args.join(' ')} ended with ${signal ?? `exit code ${status}`}`)
    process.exit(1)
  }
}

if (!process.argv.includes('--js')) run(path('scripts/build-core.mjs'))

rmSync(path('build/dist'), { recursive: true, force: true })
run(path('node_modules/tsdown/dist/run.mjs'))
rmSync(path('dist'), { recursive: true, force: true })
renameSync(path('build/dist'), path('dist'))

// The same wasm that travels inside the lazy chunk, for those who prefer to serve the file.
copyFileSync(path('js/core/generated/core.wasm'), path('dist/core.wasm'))
chmodSync(path('dist/server/cli.js'), 0o755)

// Nuxt reads module.json beside the module's entry, so that it knows name, options key and compatible versions
// before it runs any of it.
const { version } = JSON.parse(readFileSync(path('package.json'), 'utf8'))
const { default: module } = await import(pathToFileURL(path('dist/nuxt/module.js')).href)
const meta = await module.getMeta()
writeFileSync(path('dist/nuxt/module.json'), JSON.stringify({ ...meta, version }, null, 2) + '\n')

for (const file of ['index', 'vue/index', 'server/index', 'server/cli', 'nuxt/module']) {
  for (const extension of file === 'server/cli' ? ['js'] : ['js', 'd.ts']) {
    if (!existsSync(path('dist', `${file}.${extension}`))) {
      console.error(`build: dist/${file}.${extension} is missing`)
      process.exit(1)
    }
  }
}
