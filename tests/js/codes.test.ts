/** The codes that the C++ tests read, through the real wasm: js/core/load.ts against tests/vectors/compact.json. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type CoreFactory, loadCore } from '../../js/core/load.js'
import { PeerError } from '../../js/errors.js'

interface Coded { name: string, type: 'offer' | 'answer', sdp: string, code: string, read: string, mark: number }
interface Vectors {
  good: Coded[]
  bad_descriptions: { name: string, type: 'offer' | 'answer', sdp: string, message: string }[]
  bad_codes: { name: string, code: string, error: string, message: string }[]
}
const vectors = JSON.parse(readFileSync(new URL('../vectors/compact.json', import.meta.url), 'utf8')) as Vectors

let factory: CoreFactory
beforeAll(async () => { factory = await loadCore() })

function thrown(what: () => unknown): PeerError {
  try {
    what()
  }
  catch (error) {
    return error as PeerError
  }
  throw new Error('nothing was thrown')
}

describe('a code', () => {
  it.each(vectors.good)('is written for $name', ({ type, sdp, code, mark }) => {
    expect(factory.toCode({ type, sdp, mark })).toEqual({ code, mark })
  })

  it.each(vectors.good)('is read for $name', ({ type, code, mark, read }) => {
    expect(factory.fromCode(code)).toEqual({ type, sdp: read, mark })
  })

  it.each(vectors.bad_descriptions)('is not made of $name', ({ type, sdp, message }) => {
    const error = thrown(() => factory.toCode({ type, sdp }))
    expect(error).toBeInstanceOf(PeerError)
    expect([error.type, error.message]).toEqual(['invalid-argument', message])
  })

  it.each(vectors.bad_codes)('is refused: $name', ({ code, error: type, message }) => {
    const error = thrown(() => factory.fromCode(code))
    expect(error).toBeInstanceOf(PeerError)
    expect([error.type, error.message]).toEqual([type, message])
  })

  it('is refused when it is far too long, and the next one is read as ever', () => {
    expect(thrown(() => factory.fromCode('0'.repeat(3_000_000))).type).toBe('bad-signal')
    expect(factory.fromCode(vectors.good[0]!.code).mark).toBe(vectors.good[0]!.mark)
  })
})
