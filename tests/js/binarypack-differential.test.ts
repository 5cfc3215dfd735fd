// A short run of `npm run interop:values`, whose rules are in tests/interop/differential.mjs.
import { expect, it } from 'vitest'
import { compare } from '../interop/differential.mjs'
import * as ours from '../../js/peerjs/binarypack.js'

const seeds = [1, Date.now() % 1_000_000_007]

for (const seed of seeds) {
  it(`10,000 random values differ between PeerJS's BinaryPack and ours by named rules only, seed ${seed}`, { timeout: 240_000 }, () => {
    const { rules, refused } = compare(ours, { count: 10_000, seed })
    // Else it saw nothing: each rule about numbers comes up in so many values.
    for (const name of ['NaN', '-0', 'subnormal', 'infinite', 'integer below -2^31', 'just below a power of two', 'key "__proto__"', 'reading: int64']) {
      expect(rules.map(([rule]: [string, number]) => rule)).toContainEqual(expect.stringContaining(name))
    }
    expect(refused).toBeGreaterThan(1000)
  })
}
