/** Sections of a document that a measurement writes; the rest of the document is written by people and stays. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { basename, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))

function distribution() {
  try {
    return /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))[1]
  }
  catch {
    return process.platform
  }
}

const machine = () =>
  `${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${distribution()}, Node ${process.versions.node}`

/** Which version was measured: the commit, where there is one. */
export const version = (() => {
  const { stdout } = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: docs, encoding: 'utf8' })
  return stdout?.trim() || 'unknown'
})()

/**
 * Puts a section where the one of that name was, or at the end.
 * @param raw lists of numbers by name, folded away below the table
 * @param unit of these numbers
 * @param drawing what the text shows, by file name
 */
export function writeSection(name, key, { title, text, table, about, raw = {}, unit = 'ms', drawing = {} }) {
  for (const [image, svg] of Object.entries(drawing)) writeFileSync(join(docs, image), svg)
  const file = join(docs, name)
  const begin = `<!-- measured: ${key} -->`, end = `<!-- end: ${key} -->`
  const section = [
    begin, `## ${title}`, '', text, '', table, '', `${new Date().toISOString().slice(0, 10)}, ${machine()}; ${about}.`,
    ...(Object.keys(raw).length
      ? ['', `<details><summary>Raw numbers, ${unit}</summary>`, '', '```text', ...Object.entries(raw).map(([what, times]) => `${what}: ${times.join(' ')}`), '```', '', '</details>']
      : []),
    end,
  ].join('\n')
  const before = existsSync(file) ? readFileSync(file, 'utf8') : `# ${basename(name, '.md')}\n`
  const from = before.indexOf(begin)
  writeFileSync(file, from < 0
    ? `${before.trimEnd()}\n\n${section}\n`
    : before.slice(0, from) + section + before.slice(before.indexOf(end) + end.length))
}
