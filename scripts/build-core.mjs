#!/usr/bin/env node
/**
 * Compiles the C++ core to WebAssembly and writes what the shim imports:
 *
 *   build/wasm/bindings/peerbridge.{js,wasm}   what Emscripten made
 *   js/core/generated/glue.js                  its loader, minified
 *   js/core/generated/wasm.js                  the wasm, gzipped, as base64 in a module that every bundler can load
 *   js/core/generated/emcc.txt                 the version of Emscripten that made it
 *   js/core/generated/core.wasm                the wasm as a file, for those who would rather serve it
 *
 * Does nothing when the sources are older than the result. `--force` builds anyway.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync, copyFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = join(root, 'build/wasm/bindings')
const generated = join(root, 'js/core/generated')

function newest(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
}

const sources = ['cpp', 'bindings', 'cmake', 'CMakeLists.txt', 'CMakePresets.json', 'scripts/build-core.mjs']
const results = ['glue.js', 'glue.d.ts', 'wasm.js', 'wasm.d.ts', 'core.wasm', 'emcc.txt'].map((name) => join(generated, name))

function upToDate() {
  if (process.argv.includes('--force') || !results.every((path) => existsSync(path))) return false
  const made = Math.min(...results.map((path) => statSync(path).mtimeMs))
  return sources.every((path) => newest(join(root, path)) <= made)
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (result.error) {
    console.error(`${command} could not be started (${result.error.message}). Run "node scripts/setup.mjs" to install what is missing.`)
    process.exit(1)
  }
  if (result.status !== 0) process.exit(result.status ?? 1)
}

if (upToDate()) {
  console.log('core: up to date')
  process.exit(0)
}

run('cmake', ['--preset', 'wasm'])
run('cmake', ['--build', '--preset', 'wasm'])

const { transform } = await import('esbuild')
const { default: { gzipAsync } } = await import('@gfx/zopfli')

mkdirSync(generated, { recursive: true })
const glue = readFileSync(join(built, 'peerbridge.js'), 'utf8')
  // The default location of the .wasm file: never used, since the loader always brings the module. Left in place it
  // would make bundlers look for a file that is not there.
  .replace(/new URL\((['"])peerbridge\.wasm\1,\s*import\.meta\.url\)\.(href|toString\(\))/g, '"peerbridge.wasm"')
  .replace(/import\.meta\.url/g, '""')
const minified = await transform(glue, { minify: true, format: 'esm', target: 'es2022', legalComments: 'none' })
writeFileSync(join(generated, 'glue.js'), minified.code)
writeFileSync(
  join(generated, 'glue.d.ts'),
  `declare const createModule: (options: Record<string, unknown>) => Promise<Record<string, any>>
export default createModule
`,
)

const emcc = /\d+\.\d+\.\d+/.exec(spawnSync('emcc', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[0] ?? 'unknown'
writeFileSync(join(generated, 'emcc.txt'), `${emcc}\n`)

const wasm = readFileSync(join(built, 'peerbridge.wasm'))
copyFileSync(join(built, 'peerbridge.wasm'), join(generated, 'core.wasm'))
// Level 7 of memory, not 8: shorter blocks, whose codes suit code and data each better. A hundredth less.
// zopfli writes the same format as gzip, some six per cent shorter: this is built once and loaded often.
const packed = Buffer.from(await gzipAsync(wasm, { numiterations: 30 }))
if (!gunzipSync(packed).equals(wasm)) throw new Error('what was packed does not unpack to the same bytes')
const base64 = packed.toString('base64')
writeFileSync(join(generated, 'wasm.js'), `export default ${JSON.stringify(base64)}\n`)
writeFileSync(join(generated, 'wasm.d.ts'), '/** The core, gzipped, in base64. */\ndeclare const wasm: string\nexport default wasm\n')

console.log(`core: ${wasm.length} bytes of wasm, ${packed.length} packed (gzip -9: ${gzipSync(wasm, { level: 9 }).length}); loader ${gzipSync(minified.code, { level: 9 }).length} gzipped`)
