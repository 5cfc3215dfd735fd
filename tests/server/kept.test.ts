import { describe, expect, it } from 'vitest'
import { Kept } from '../../js/server/backplane/kept.js'
import { Framed } from '../../js/server/frame.js'

function framed(text: string): Framed {
  const head = text.length < 126 ? [0x81, text.length] : [0x81, 126, text.length >> 8, text.length & 255]
  return new Framed(Buffer.concat([Buffer.from(head), Buffer.from(text)]), 'OFFER', 'bob', text.length)
}

describe('what a client has not confirmed', () => {
  it('is there in order, whatever came and went before', () => {
    const kept = new Kept()
    let model: string[] = []
    let state = 7
    const pick = (below: number): number => (state = state * 48_271 % 2_147_483_647) % below
    for (let round = 0; round < 5000; round++) {
      // Waves: it grows large and becomes small again.
      if (pick(100) < (round % 1000 < 600 ? 70 : 35)) {
        const plain = String(round).repeat(pick(400))
        const isFrame = pick(2) === 0
        const text = isFrame ? plain : `${plain}é😀`
        kept.push(isFrame ? framed(text) : text)
        model.push(text)
      }
      else {
        const count = pick(4)
        kept.drop(count)
        model = model.slice(count)
      }
      expect(kept.length).toBe(model.length)
      expect(kept.units).toBe(model.reduce((sum, { length }) => sum + length, 0))
      if (round % 50 === 0) expect(kept.texts()).toEqual(model)
    }
    expect(kept.texts()).toEqual(model)
  })

  it('goes by whole numbers, and never more than there is', () => {
    const kept = new Kept(['a', 'bb', 'ccc'])
    kept.drop(-1)
    kept.drop(0.9)
    expect(kept.length).toBe(3)
    kept.drop(1.9)
    expect(kept.texts()).toEqual(['bb', 'ccc'])
    kept.drop(Infinity)
    expect([kept.length, kept.units, kept.texts()]).toEqual([0, 0, []])
    kept.push('d')
    expect(kept.texts()).toEqual(['d'])
  })

  it('does not change with the memory that a frame came from', () => {
    const frame = framed('{"type":"OFFER"}')
    const kept = new Kept()
    kept.push(frame)
    frame.frame.fill(0)
    expect(kept.texts()).toEqual(['{"type":"OFFER"}'])
  })
})
