/** Values to bytes and back: ours, PeerJS's BinaryPack, and JSON for comparison. The same in a page and in Node. */
import { pack, unpack } from 'peerjs-js-binarypack'
import { decodeValue, encodeValue } from '../../js/values/index.ts'

/** About 25 KB as JSON: what applications send, a list of things with names, numbers and a few levels. */
export function sample() {
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const word = () => Array.from({ length: 4 + Math.floor(random() * 6) }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join('')
  return {
    version: 3, room: word(), open: true, updated: 1_732_000_000_000,
    items: Array.from({ length: 105 }, (_, id) => ({
      id, name: `${word()} ${word()}`, title: id % 7 ? word() : `${word()} – größer`, done: random() < 0.5, parent: id % 3 ? null : id - 1,
      position: { x: random() * 1000, y: random() * 1000, z: Math.floor(random() * 10) },
      tags: [word(), word()], history: [{ at: 1_700_000_000 + id, by: { name: word(), admin: false } }],
    })),
  }
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()
const codecs = {
  peerbridge: {
    encode: value => encodeValue(value), decode: ({ format, bytes }) => decodeValue(format, bytes), size: ({ bytes }) => bytes.length,
  },
  peerjs: { encode: value => pack(value), decode: bytes => unpack(bytes), size: ({ byteLength }) => byteLength },
  json: {
    encode: value => utf8.encode(JSON.stringify(value)), decode: bytes => JSON.parse(fromUtf8.decode(bytes)), size: ({ length }) => length,
  },
}

/** µs of each codec's encode and decode, a number a round; the codecs take turns. */
export function measure(rounds, times) {
  const value = sample()
  const text = JSON.stringify(value)
  const results = Object.fromEntries(Object.keys(codecs).map(name => [name, { encode: [], decode: [] }]))
  for (let round = -2; round < rounds; round++) {
    const order = Object.entries(codecs)
    if (round % 2) order.reverse()
    for (const [name, { encode, decode, size }] of order) {
      const bytes = encode(value)
      if (JSON.stringify(decode(bytes)) !== text) throw new Error(`${name} changes the value`)
      const time = (what) => {
        const began = performance.now()
        for (let i = 0; i < times; i++) what()
        return (performance.now() - began) * 1000 / times
      }
      const took = { encode: time(() => encode(value)), decode: time(() => decode(bytes)) }
      results[name].size = size(bytes)
      if (round < 0) continue // the first are for the compiler
      for (const what of ['encode', 'decode']) results[name][what].push(took[what])
    }
  }
  return { results, json: text.length }
}

if (typeof window !== 'undefined') window.lab = { measure }
