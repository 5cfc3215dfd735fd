// What is built from what, and whether it has to be built again.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const made = new Set(['node_modules', 'generated', '.nuxt', '.output', '.data', 'dist', 'build'])

/** Contents, not times: a fresh clone and a branch switch touch every file. */
function digest(paths) {
  const hash = createHash('sha256')
  const visit = (path) => {
    const absolute = join(root, path)
    if (!existsSync(absolute)) return
    if (statSync(absolute).isDirectory()) {
      for (const name of readdirSync(absolute).sort()) if (!made.has(name)) visit(join(path, name))
    }
    else {
      hash.update(path).update('\0').update(readFileSync(absolute)).update('\0')
    }
  }
  paths.forEach(visit)
  return hash.update(process.version).digest('hex')
}

const library = [
  'CMakeLists.txt', 'CMakePresets.json', 'cmake', 'cpp', 'bindings', 'js', 'scripts/build.mjs', 'scripts/build-core.mjs',
  'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'tsdown.config.ts',
]

const outputs = {
  library: { from: library, to: ['dist/index.js', 'dist/core.wasm', 'dist/nuxt/module.json', 'js/core/generated'], command: ['scripts/build.mjs'] },
  demo: { from: [...library, 'demo-nuxt'], to: ['demo-nuxt/.output/server/index.mjs'], command: ['node_modules/nuxt/bin/nuxt.mjs', 'build', 'demo-nuxt'] },
}

/** Builds `library` (dist/) or `demo` (demo-nuxt/.output) if anything that it is made from has changed. Throws when that fails. */
export function ensure(name) {
  const { from, to, command } = outputs[name]
  const stamp = join(root, 'build', `.${name}`)
  const now = digest(from)
  const before = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
  if (before === now && to.every(path => existsSync(join(root, path)))) return
  rmSync(stamp, { force: true })
  const [script, ...args] = command
  const { status, signal } = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: root, stdio: 'inherit', env: { ...process.env, NUXT_TELEMETRY_DISABLED: '1' },
  })
  if (status !== 0) throw new Error(`node ${command.join(' ')} ended with ${signal ?? `exit code ${status}`}`)
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, now)
}
