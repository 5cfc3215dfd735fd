// Programs written for PeerJS, compiled as they are, then with the import replaced.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'tests/interop/programs')
const programs = readdirSync(folder).filter(name => name.endsWith('.ts')).map(name => join(folder, name))

/** What `tsc --strict` says about the programs, where `from 'peerjs'` means `library`. */
function compile(library: 'peerjs' | 'peerbridge', files: Record<string, string> = {}): string[] {
  const options: ts.CompilerOptions = {
    strict: true, noEmit: true, skipLibCheck: true, isolatedModules: true, types: [],
    target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts', 'lib.dom.asynciterable.d.ts'],
    paths: { peerbridge: [join(root, 'js/index.ts')] },
  }
  const host = ts.createCompilerHost(options)
  const read = host.getSourceFile.bind(host)
  const exists = host.fileExists.bind(host)
  host.fileExists = name => name in files || exists(name)
  host.getSourceFile = (name, language, ...rest) => name in files || name.startsWith(folder)
    ? ts.createSourceFile(name, (files[name] ?? readFileSync(name, 'utf8')).replaceAll("from 'peerjs'", `from '${library}'`), language, true)
    : read(name, language, ...rest)
  const program = ts.createProgram([...programs, ...Object.keys(files)], options, host)
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const where = file ? `${file.fileName.slice(root.length + 1)}:${file.getLineAndCharacterOfPosition(start!).line + 1} ` : ''
    return `${where}${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })
}

describe('programs written for PeerJS', () => {
  it('are right for PeerJS\'s own types', () => {
    expect(compile('peerjs')).toEqual([])
  }, 120_000)

  it('are right for ours, with nothing but the import replaced', () => {
    expect(compile('peerbridge')).toEqual([])
  }, 120_000)

  it('are looked at: a mistake is found with either', () => {
    const mistake = { [join(folder, 'mistake.ts')]: 'import { Peer } from \'peerjs\'\nnew Peer(\'a\').connect(7)\nnew Peer(\'a\').on(\'error\', (code: number) => code)\n' }
    for (const library of ['peerjs', 'peerbridge'] as const) expect(compile(library, mistake)).toHaveLength(2)
  }, 120_000)
})
