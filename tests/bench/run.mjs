// npm run bench [-- <bench> [options]]: all benches, or one. Writes docs/benchmarks.md. Not part of `npm test`: it needs a
// quiet machine and time.
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { writeSection } from '../reach/document.mjs'

const folder = dirname(fileURLToPath(import.meta.url))
// What a page loads is called …-page.js.
const benches = readdirSync(folder).filter(name => name.endsWith('.mjs') && name !== 'run.mjs').map(name => name.slice(0, -4))

const [wanted, ...args] = process.argv.slice(2)
if (wanted && !benches.includes(wanted)) {
  console.error(`npm run bench [-- <bench> [options]]\nbenches: ${benches.join(', ')}`)
  process.exit(2)
}

for (const name of wanted ? [wanted] : benches) {
  console.log(`bench: ${name}`)
  const { main } = await import(`./${name}.mjs`)
  // One section, or several by name.
  const written = await main(args)
  const sections = written?.title ? { [name]: written } : written ?? {}
  for (const [key, section] of Object.entries(sections)) writeSection('benchmarks.md', key, section)
}
// PeerServer keeps timers that nobody can stop.
process.exit(0)
