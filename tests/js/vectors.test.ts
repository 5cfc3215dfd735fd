/** The golden messages that the C++ tests read, through the real wasm: what is good is taken, what is bad is dropped and named. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { CoreFactory } from '../../js/core/load.js'
import { loadCore } from '../../js/core/load.js'
import type { Core, CoreOutput } from '../../js/core/types.js'

interface Vectors {
  good: { name: string, text: string, message: { type: string } }[]
  bad: { name: string, text: string, error: string, field: string }[]
}
const vectors = JSON.parse(readFileSync(new URL('../vectors/signaling.json', import.meta.url), 'utf8')) as Vectors

let factory: CoreFactory
beforeAll(async () => { factory = await loadCore() })

function drain(core: Core): CoreOutput[] {
  const all: CoreOutput[] = []
  for (let output = core.poll(); output; output = core.poll()) all.push(output)
  return all
}

/** A registered peer that is told `text` by its server, and what it makes of it. */
function told(text: string): CoreOutput[] {
  const core = factory.create({ seed: 1 }, 0)
  core.handle({ type: 'start', id: 'me', token: 't' }, 0)
  core.handle({ type: 'signaling-opened', transport: 1 }, 1)
  core.handle({ type: 'signaling-message', transport: 1, text: '{"type":"OPEN"}' }, 1)
  drain(core)
  core.handle({ type: 'signaling-message', transport: 1, text }, 2)
  const outputs = drain(core)
  core.dispose()
  return outputs
}

describe('signaling messages', () => {
  it.each(vectors.bad)('bad: $name', ({ text, error, field }) => {
    expect(told(text)).toEqual([{ type: 'warning', error, message: expect.stringContaining(field === 'text' ? '' : field) as string }])
  })

  it.each(vectors.good)('good: $name', ({ text }) => {
    expect(told(text)).not.toContainEqual(expect.objectContaining({ type: 'warning', message: expect.stringMatching(/dropped: /) as string }))
  })
})
