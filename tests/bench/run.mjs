// npm run bench [-- <bench> [options]]: all benches, or one. Writes docs/benchmarks.md. Not part of `npm test`: it needs a
// quiet machine and time.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const file = join(folder, '../../docs/benchmarks.md')
const benches = readdirSync(folder).filter(name => name.endsWith('.mjs') && name !== 'run.mjs').map(name => name.slice(0, -4))

const [wanted, ...args] = process.argv.slice(2)
if (wanted && !benches.includes(wanted)) {
  console.error(`npm run bench [-- <bench> [options]]\nbenches: ${benches.join(', ')}`)
  process.exit(2)
}

const distribution = () => {
  try {
    return /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))[1]
  }
  catch {
    return process.platform
  }
}
const machine = () =>
  `${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${distribution()}, Node ${process.versions.node}`

/** Puts a section in the place of the one that was there. */
function write(name, { title, text, table, about, raw }) {
  const begin = `<!-- bench: ${name} -->`, end = `<!-- end: ${name} -->`
  const section = [
    begin, `## ${title}`, '', text, '', table, '', `${new Date().toISOString().slice(0, 10)}, ${machine()}; ${about}.`,
    ...(raw ? ['', '<details><summary>Raw numbers, ms</summary>', '', '```json', ...Object.entries(raw).flatMap(([kind, lanes]) =>
      Object.entries(lanes).map(([lane, times]) => JSON.stringify({ [`${kind} ${lane}`]: times }))), '```', '', '</details>'] : []),
    end,
  ].join('\n')
  const before = existsSync(file)
    ? readFileSync(file, 'utf8')
    : '# Benchmarks\n\nWritten by `npm run bench`. Absolute numbers are those of one machine; trust the ratios, which were measured in one run.\n'
  const from = before.indexOf(begin)
  writeFileSync(file, from < 0
    ? `${before.trimEnd()}\n\n${section}\n`
    : before.slice(0, from) + section + before.slice(before.indexOf(end) + end.length))
}

for (const name of wanted ? [wanted] : benches) {
  console.log(`bench: ${name}`)
  const { main } = await import(`./${name}.mjs`)
  const result = await main(args)
  if (result) write(name, result)
}
