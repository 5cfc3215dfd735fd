// How much a page loads: gzip sizes of the parts of the built package.
//
//   node scripts/sizes.mjs            prints them
//   node scripts/sizes.mjs --check    fails above a budget, or when the table in README.md is off by more than 2 %
//   node scripts/sizes.mjs --write    updates the table between <!-- sizes --> and <!-- /sizes --> in README.md
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { build } from 'vite'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const gzip = bytes => gzipSync(bytes, { level: 9 }).length

const application = '\0application'

/** What Vite makes of these imports, the bundler of Vue and Nuxt applications: everything reached by static imports, minified. */
async function loaded(imports) {
  const { output } = await build({
    root, configFile: false, publicDir: false, logLevel: 'error',
    plugins: [{
      name: 'application',
      resolveId: (source, from) => source === 'application' ? application : from === application ? join(dist, source) : undefined,
      load: id => id === application ? imports : undefined,
    }],
    build: {
      write: false, target: 'es2022', minify: 'esbuild', modulePreload: false, reportCompressedSize: false,
      rollupOptions: { input: 'application', external: ['vue', ...builtinModules], preserveEntrySignatures: 'strict' },
    },
  })
  const chunks = new Map(output.map(chunk => [chunk.fileName, chunk]))
  // Follows static imports only: a dynamic import is what is not loaded first.
  const reached = new Set()
  const visit = (name) => {
    if (reached.has(name) || !chunks.has(name)) return
    reached.add(name)
    chunks.get(name).imports.forEach(visit)
  }
  visit(output.find(({ isEntry }) => isEntry).fileName)
  return [...reached].reduce((total, name) => total + gzip(chunks.get(name).code), 0)
}

/** A lazily loaded chunk, by what its name says. */
function chunk(pattern) {
  const found = readdirSync(join(dist, 'chunks')).filter(name => pattern.test(name))
  if (found.length === 0) throw new Error(`dist/chunks holds nothing like ${pattern}; its chunks are ${readdirSync(join(dist, 'chunks')).join(' ')}`)
  return found.reduce((total, name) => total + gzip(readFileSync(join(dist, 'chunks', name))), 0)
}

/** The core as it travels: a gzip stream in base64, inside a module. Checked to hold what core.wasm holds. */
function packedCore() {
  const name = readdirSync(join(dist, 'chunks')).find(file => /^wasm-.*\.js$/.test(file))
  const packed = Buffer.from(/["'`]([A-Za-z0-9+/=]{1000,})["'`]/.exec(readFileSync(join(dist, 'chunks', name), 'utf8'))[1], 'base64')
  if (!gunzipSync(packed).equals(readFileSync(join(dist, 'core.wasm')))) throw new Error('the packed core is not core.wasm')
  return packed.length
}

if (!existsSync(join(dist, 'index.js'))) {
  console.error('sizes: there is no dist/; npm run build makes it')
  process.exit(1)
}

const KiB = 1024
/** The compiler that the package is released with, Debian 12's. Another one makes a core of another size, and a right one. */
const reference = '3.1.6'
const emcc = readFileSync(join(root, 'js/core/generated/emcc.txt'), 'utf8').trim()
// Names that nobody imports cost nothing: see "Decisions" in docs/architecture.md.
const peer = 'export { Peer } from "./index.js"'
const first = await loaded(peer)
/** Order of the table. `budget` in bytes. */
const parts = [
  { name: 'JavaScript loaded first by `import { Peer }`', bytes: first, budget: 14.25 * KiB },
  { name: 'What all else of `peerbridge` adds (PeerJS\'s `util`, classes, enums)', bytes: await loaded('export * from "./index.js"') - first },
  { name: 'What `peerbridge/vue` adds', bytes: await loaded(`${peer}; export * from "./vue/index.js"`) - first },
  { name: 'Core, WebAssembly (loaded with the first connection)', bytes: packedCore(), budget: 52.75 * KiB, compiled: true },
  { name: 'Core, its JavaScript glue (with it)', bytes: chunk(/^(glue|late)-/), compiled: true },
  { name: 'Value codec (loaded with the first value)', bytes: chunk(/^values/) },
]

const format = bytes => `${(bytes / KiB).toFixed(1)} KB`
const table = [
  '| part, gzip | size | budget |',
  '|---|---:|---:|',
  ...parts.map(({ name, bytes, budget }) => `| ${name} | ${format(bytes)} | ${budget ? format(budget) : ''} |`),
].join('\n')
console.log(table)

const readme = join(root, 'README.md')
const marked = /(<!-- sizes -->\n)([\s\S]*?)(\n?<!-- \/sizes -->)/
const text = existsSync(readme) ? readFileSync(readme, 'utf8') : ''

if (process.argv.includes('--write')) {
  if (!marked.test(text)) {
    console.error('sizes: README.md has no lines <!-- sizes --> and <!-- /sizes -->')
    process.exit(1)
  }
  writeFileSync(readme, text.replace(marked, (_, begin, __, end) => `${begin}${table}${end.startsWith('\n') ? end : `\n${end}`}`))
}

if (process.argv.includes('--check')) {
  const checked = parts.filter(({ compiled }) => !compiled || emcc === reference)
  if (checked.length < parts.length) {
    console.log(`sizes: this core was built by emcc ${emcc}, the releases are by ${reference}: its two rows are not held to the budget`)
  }
  const wrong = checked.filter(({ bytes, budget }) => budget && bytes > budget)
    .map(({ name, bytes, budget }) => `${name}: ${bytes} bytes are over the budget of ${budget}`)
  const written = marked.exec(text)?.[2]
  if (written === undefined) {
    wrong.push('README.md has no lines <!-- sizes --> and <!-- /sizes -->')
  }
  else {
    for (const { name, bytes } of checked) {
      const line = written.split('\n').find(row => row.startsWith(`| ${name} |`))
      const said = line && Number.parseFloat(line.split('|')[2]) * KiB
      // Half of the last printed digit on top, or 0.4 KB could never be within 2 %.
      if (!said || Math.abs(said - bytes) > bytes * 0.02 + 0.05 * KiB) {
        wrong.push(`README.md says ${line ? line.split('|')[2].trim() : 'nothing'} for "${name}", it is ${format(bytes)}; npm run sizes -- --write corrects it`)
      }
    }
  }
  if (wrong.length > 0) {
    console.error(`\nsizes: ${wrong.join('\nsizes: ')}`)
    process.exit(1)
  }
}
