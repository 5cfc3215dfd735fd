import { beforeEach, describe, expect, it } from 'vitest'
import { recycle, reframe, retire } from '../../js/server/frame.js'
import type { Framed } from '../../js/server/frame.js'
import { relayed } from '../../js/server/relay.js'
import type { Relayed } from '../../js/server/relay.js'

/** A client's frame: where its payload begins, with `before` bytes of other frames in front. */
function masked(text: string, before = 0): { chunk: Buffer, at: number, length: number } {
  const payload = Buffer.from(text)
  const { length } = payload
  const mask = [0x12, 0xf0, 0x80, 0x3c]
  const head = length < 126 ? [0x81, 0x80 | length] : [0x81, 0xfe, length >> 8, length & 255]
  const chunk = Buffer.concat([Buffer.alloc(before, 0x7f), Buffer.from([...head, ...mask]), payload.map((byte, i) => byte ^ mask[i & 3]!)])
  return { chunk, at: before + head.length + 4, length }
}

function reframed(text: string, src = 'ada', before = 0): Framed | null {
  const { chunk, at, length } = masked(text, before)
  const copy = Buffer.from(chunk)
  const framed = reframe(chunk, at, length, src)
  // Who does not understand it passes it on.
  expect(chunk.equals(copy)).toBe(true)
  return framed
}

/** What a client of `ws` would read: one frame, FIN, text, as long as it says, not masked. */
function read({ frame }: Framed): string {
  expect(frame[0]).toBe(0x81)
  const long = frame[1] === 126
  const length = long ? frame.readUInt16BE(2) : frame[1]!
  expect(length).toBeLessThan(long ? 65_536 : 126)
  expect(frame.length).toBe((long ? 4 : 2) + length)
  return frame.toString('utf8', long ? 4 : 2)
}

/** As it is relayed by the slow way; undefined for what is no JSON. */
function slowly(text: string, src: string): string | null | undefined {
  try {
    return relayed(text, JSON.parse(text) as Relayed, src)
  }
  catch {
    return undefined
  }
}

/** xorshift32: the same seed, the same texts. */
function random(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

const letters = ['a', 'Z', ' ', '0', '{', '}', '[', ',', ':', '\\n', '\\"', '\\\\', '\\/', '\\u00e9', '\\uD83D', 'candidate:1 1 udp', '\\r\\n']
const numbers = ['0', '-0', '1', '42', '-7.25', '1e9', '1E-3', '2.5e+10', '0.000', '123456789012345678901234567890']

function json(pick: (below: number) => number, depth = 0): string {
  const kind = pick(depth > 5 ? 4 : 6)
  if (kind === 0) return `"${Array.from({ length: pick(12) }, () => letters[pick(letters.length)]).join('')}"`
  if (kind === 1) return numbers[pick(numbers.length)]!
  if (kind === 2) return ['true', 'false', 'null'][pick(3)]!
  if (kind === 3) return ['{}', '[]', '""'][pick(3)]!
  const members = Array.from({ length: pick(5) }, () => json(pick, depth + 1))
  return kind === 4 ? `[${members.join(',')}]` : `{${members.map((value, i) => `"k${'\\n'.repeat(i)}":${value}`).join(',')}}`
}

beforeEach(() => retire())

describe('a frame that one client sends another', () => {
  it.each(['OFFER', 'ANSWER', 'CANDIDATE'])('is relayed as it is, with the sender in it: %s', (type) => {
    const framed = reframed(`{"type":"${type}","payload":{"sdp":"v=0\\r\\n","n":[1,-2.5e3,true,null]},"dst":"bob"}`)!
    expect(framed).toMatchObject({ type, dst: 'bob' })
    expect(read(framed)).toBe(`{"type":"${type}","payload":{"sdp":"v=0\\r\\n","n":[1,-2.5e3,true,null]},"src":"ada","dst":"bob"}`)
    expect(String(framed)).toBe(read(framed))
    expect(framed.length).toBe(read(framed).length)
  })

  it('may have any length, and lie anywhere in what came', () => {
    for (let length = 0; length < 200; length++) {
      const text = `{"type":"OFFER","payload":"${'x'.repeat(length)}","dst":"bob"}`
      const framed = reframed(text, 'ada', length % 7)!
      expect(framed.sent).toBe(text.length)
      expect(read(framed)).toBe(slowly(text, 'ada'))
    }
    expect(read(reframed(`{"type":"OFFER","payload":"${'x'.repeat(65_000)}","dst":"bob"}`)!)).toHaveLength(65_053)
    // It would be too long with the sender in it.
    expect(reframed(`{"type":"OFFER","payload":"${'x'.repeat(65_490)}","dst":"bob"}`)).toBe(null)
  })

  it('is what the slow way makes of it, or is left to that', () => {
    const pick = random(1)
    let fast = 0
    for (let round = 0; round < 20_000; round++) {
      const type = ['OFFER', 'ANSWER', 'CANDIDATE'][pick(3)]!
      let text = `{"type":"${type}","payload":${json(pick)},"dst":"bob"}`
      const spoilt = pick(4) > 0
      // One byte more, less or another, anywhere.
      for (let i = spoilt ? pick(3) + 1 : 0; i > 0; i--) {
        const at = pick(text.length)
        const put = ['', '"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', 'u', 't', ' ', '\n', '\u0001', 'é', '\u007f'][pick(20)]!
        text = text.slice(0, at) + put + text.slice(at + pick(2))
      }
      const framed = reframed(text, 'ada', pick(4))
      if (!spoilt) expect(framed, text).not.toBe(null)
      if (framed) {
        fast += 1
        expect(read(framed)).toBe(slowly(text, 'ada'))
        expect(JSON.parse(text)).toMatchObject({ type: framed.type, dst: framed.dst })
      }
      if (pick(3) === 0) recycle()
    }
    // Both kinds were there.
    expect(fast).toBeGreaterThan(5000)
    expect(fast).toBeLessThan(14_000)
  })

  it('is left to the slow way where its payload nests deeply', () => {
    const nested = (depth: number): string => `{"type":"OFFER","payload":${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)},"dst":"bob"}`
    expect(reframed(nested(64))).not.toBe(null)
    expect(reframed(nested(66))).toBe(null)
    expect(reframed(nested(10_000))).toBe(null)
  })

  it.each([
    ['a src of its own', '{"type":"OFFER","payload":1,"src":"eve","dst":"bob"}'],
    ['a member behind dst', '{"type":"OFFER","payload":1,"dst":"bob","src":"eve"}'],
    ['a second payload', '{"type":"OFFER","payload":1,"payload":2,"dst":"bob"}'],
    ['another dst', '{"type":"OFFER","payload":1,"dst":"eve","dst":"bob"}'],
    ['wait', '{"type":"OFFER","wait":false,"payload":1,"dst":"bob"}'],
    ['no payload', '{"type":"OFFER","payload":,"dst":"bob"}'],
    ['no dst', '{"type":"OFFER","payload":1}'],
    ['an empty dst', '{"type":"OFFER","payload":1,"dst":""}'],
    ['a dst with an escape', '{"type":"OFFER","payload":1,"dst":"b\\u006fb"}'],
    ['a dst that is no text', '{"type":"OFFER","payload":1,"dst":7}'],
    ['another type', '{"type":"LEAVE","payload":1,"dst":"bob"}'],
    ['white space', '{"type":"OFFER","payload":{"a": 1},"dst":"bob"}'],
    ['what is not ASCII', '{"type":"OFFER","payload":"ü","dst":"bob"}'],
    ['something behind', '{"type":"OFFER","payload":1,"dst":"bob"}}'],
    ['a heartbeat', '{"type":"HEARTBEAT","got":7}'],
    ['nothing', ''],
  ])('is left to the slow way with %s', (_, text) => {
    expect(reframed(text)).toBe(null)
  })

  it('stays as it is until all have left', () => {
    const texts = Array.from({ length: 300 }, (_, i) => `{"type":"OFFER","payload":"${String(i).repeat(i)}","dst":"bob${i}"}`)
    const all = texts.map(text => reframed(text)!)
    retire()
    reframed(texts[0]!)
    expect(all.map(read)).toEqual(texts.map(text => slowly(text, 'ada')))
  })
})
