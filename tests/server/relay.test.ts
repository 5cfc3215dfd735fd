import { describe, expect, it } from 'vitest'
import { relayed } from '../../js/server/relay.js'
import type { Relayed } from '../../js/server/relay.js'

const relay = (text: string, src = 'ada'): string | null => relayed(text, JSON.parse(text) as Relayed, src)

describe('a relayed message', () => {
  it('passes as it is, with the sender\'s id', () => {
    expect(relay('{"type":"OFFER","payload":{"n": 1.50, "s":"ü\\r\\n"},"dst":"bob"}'))
      .toBe('{"type":"OFFER","payload":{"n": 1.50, "s":"ü\\r\\n"},"src":"ada","dst":"bob"}')
  })

  it.each([
    ['a member of its own', '{"type":"OFFER","payload":1,"admin":true,"dst":"bob"}'],
    ['a src of its own', '{"type":"OFFER","payload":1,"src":"eve","dst":"bob"}'],
    ['a src behind a second payload', '{"type":"OFFER","payload":1,"src":"eve","payload":{"x":1},"dst":"bob"}'],
    ['a src behind dst', '{"type":"OFFER","payload":1,"dst":"bob","src":"eve"}'],
    ['a src by escape', '{"type":"OFFER","payload":1,"\\u0073rc":"eve","dst":"bob"}'],
    ['another type in front', '{"type":"OPEN","got":9,"type":"OFFER","payload":1,"dst":"bob"}'],
    ['another type behind', '{"type":"OFFER","payload":1,"type":"LEAVE","dst":"bob"}'],
    ['another dst in front', '{"type":"OFFER","payload":1,"dst":"eve","dst":"bob"}'],
    ['what looks like the end inside of a string', '{"dst":"bob","type":"OFFER","payload":",\\"dst\\":\\"bob\\"}"}'],
    ['__proto__', '{"type":"OFFER","payload":1,"__proto__":{"src":"eve"},"dst":"bob"}'],
    ['white space in front', ' {"type":"OFFER","payload":1,"dst":"bob"}'],
    ['wait', '{"type":"OFFER","wait":false,"payload":1,"dst":"bob"}'],
    ['no payload', '{"type":"OFFER","dst":"bob"}'],
  ])('has nothing but type, src, dst and payload, whatever the sender writes: %s', (_, text) => {
    const seen = JSON.parse(text) as Record<string, unknown>
    const got = relay(text)
    expect(JSON.parse(got ?? '')).toEqual({ type: seen.type, src: 'ada', dst: 'bob', ...('payload' in seen && { payload: seen.payload }) })
    // A client may look at how it begins, and which of two members counts must not matter.
    expect(got).toMatch(/^\{"type":"(?:OFFER|LEAVE)",/)
    expect(got?.match(/"src":/g)).toHaveLength(1)
  })

  it('of any depth is either relayed or dropped', () => {
    const nested = (depth: number): string => `{"type":"OFFER","payload":${'['.repeat(depth)}${']'.repeat(depth)},"dst":"bob"}`
    expect(JSON.parse(relay(nested(64)) ?? '')).toMatchObject({ src: 'ada' })
    expect(JSON.parse(relay(nested(65)) ?? '')).toMatchObject({ src: 'ada' })
    expect(relay(nested(100_000))).toBe(null)
  })
})
