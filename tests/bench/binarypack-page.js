/** PeerJS's bytes: our BinaryPack and its own, for every kind of value that its tests send. The same in a page and in Node. */
import { pack, unpack } from 'peerjs-js-binarypack'
import * as ours from '../../js/peerjs/binarypack.ts'
import { sample } from './values-page.js'

/** As PeerJS's tests have them, and what applications send. Lists end where PeerJS's stack does: it cannot pack 65,535. */
function kinds() {
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const event = id => ({
    id: `${2_000_000_000 + id}`, type: 'PushEvent', public: true, created_at: '2024-02-01T01:01:01Z',
    actor: { id, login: `user-${id}`, display_login: `user-${id}`, gravatar_id: '', url: `https://api.example.com/users/user-${id}` },
    repo: { id: id * 977, name: `user-${id}/project`, url: `https://api.example.com/repos/user-${id}/project` },
    payload: {
      push_id: 9_000_000_000 + id, size: 2, distinct_size: 1, ref: 'refs/heads/main', head: 'a94a8fe5ccb19ba61c4c0873d391e987982fbbd3',
      commits: [0, 1].map(n => ({
        sha: `${n}94a8fe5ccb19ba61c4c0873d391e987982fbbd3`, author: { email: `user-${id}@example.com`, name: `Üser ${id}` },
        message: 'Fix what was broken\n\nand say why', distinct: n === 0,
      })),
    },
  })
  const events = Array.from({ length: 30 }, (_, id) => event(id))
  const bytes = length => Uint8Array.from({ length }, (_, i) => i)
  return {
    'nested objects, 25 KB as JSON': sample(),
    'events, 30 in a list': events,
    'one event': events[0],
    'object of 25 bytes': { x: 12, y: 345, type: 'move', id: 7 },
    'integers, 17 kinds': [
      0, 1, -1, 0x7f, 0x0f, 0x7fff, 0x0fff, 0x7fff_ffff, 0x0fff_ffff, 0x0f_ffff_ffff_ffff, -33, -128, -129, -32_769, 255, 256, 65_536,
    ],
    'fractions, 5,000': Array.from({ length: 5000 }, () => (random() - 0.5) * 1000),
    'zeros, 5,000': new Array(5000).fill(0),
    'object of 5,000 integer keys': Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [i, i])),
    'one integer': 0x7fff,
    'one fraction': Math.PI,
    'null': null,
    'true': true,
    'empty list': [],
    'empty object': {},
    'text, empty': '',
    'text, 5 letters': 'hello',
    'text, 4 letters, one accented': 'café',
    'text, 2 characters, Chinese': '中文',
    'text, emoji': 'broccoli🥦līp𨋢grin😃ok',
    'text, half pairs': 'un\ud800paired\udfffsurrogates',
    'text, 60 letters': 'The quick brown fox jumps over the lazy dog, again and again',
    'text, 17,000 characters': 'ThisIsÁTèstString'.repeat(1000),
    'text, 1.7 million characters': 'ThisIsÁTèstString'.repeat(100_000),
    'text, 1 MB of ASCII': 'abcdefgh'.repeat(1 << 17),
    'text, 1 MB of Chinese': '中文字符'.repeat(1 << 17).slice(0, 349_525),
    'binary, empty': bytes(0),
    'binary, 14 bytes': bytes(14),
    'binary, 28 bytes': bytes(28),
    'binary, 28 bytes, an ArrayBuffer': bytes(28).buffer,
    'binary, Int32Array of 1,000': Int32Array.from({ length: 1000 }, (_, i) => -i),
    'binary, a view': new Uint8Array(bytes(5000).buffer, 4),
    'binary, 16,300 bytes': bytes(16_300),
    'binary, 10 MB': bytes(10_000_000),
    'object with binary': { name: 'photo.jpg', at: 1_732_000_000, data: bytes(2000), thumb: bytes(200) },
    'date': new Date(1_706_749_261_001),
  }
}

/** A turn takes about so many ms: clocks of pages are coarse. */
const piece = 2
const turns = 5

let seed = 7
const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647

/** A number of times that takes a piece: the largest of a few, for anything may come between. */
const calibrate = what => Math.max(...[1, 2, 3].map(() => once(what)))

function once(what) {
  for (let times = 1; ; times *= 2) {
    const began = performance.now()
    for (let i = 0; i < times; i++) what()
    const took = performance.now() - began
    if (took > piece / 2) return Math.max(1, Math.round(times * piece / took))
  }
}

/** µs of each codec's pack and unpack, by kind, a number a round; the codecs take turns. */
export function measure(rounds, only) {
  const lanes = Object.entries(kinds()).filter(([kind]) => !only || kind.includes(only)).map(([kind, value]) => {
    const bytes = new Uint8Array(pack(value))
    // Both make the same bytes and the same value of them, or it is no comparison.
    const own = ours.pack(value)
    if (own.length !== bytes.length || own.some((byte, i) => byte !== bytes[i])) throw new Error(`${kind}: the bytes differ`)
    if (JSON.stringify(ours.unpack(bytes)) !== JSON.stringify(unpack(bytes.buffer))) throw new Error(`${kind}: the values differ`)
    const codecs = {
      peerbridge: { pack: () => ours.pack(value), unpack: () => ours.unpack(bytes) },
      peerjs: { pack: () => pack(value), unpack: () => unpack(bytes.buffer) },
    }
    return { kind, size: bytes.length, codecs }
  })
  const results = {}
  for (const { kind, size } of lanes) results[kind] = { size, peerbridge: { pack: [], unpack: [] }, peerjs: { pack: [], unpack: [] } }
  // Everything once first, for the compiler: it decides by all that it has seen.
  const all = lanes.flatMap(({ codecs }) => Object.values(codecs).flatMap(codec => Object.values(codec)))
  for (const what of all) calibrate(what)
  const times = new Map(all.map(what => [what, calibrate(what)]))
  for (let round = 0; round < rounds; round++) {
    for (const { kind, codecs } of lanes) {
      for (const way of ['pack', 'unpack']) {
        const order = Object.entries(codecs)
        const took = new Map()
        // Many short turns, the first of each unmeasured: whoever is at work when memory is collected pays for both.
        for (let turn = 0; turn <= turns; turn++) {
          // By chance: garbage is collected by the amount, and in a fixed order that might always fall to the same one.
          if (random() < 0.5) order.reverse()
          for (const [name, codec] of order) {
            const n = times.get(codec[way])
            const began = performance.now()
            for (let i = 0; i < n; i++) codec[way]()
            if (turn > 0) took.set(name, (took.get(name) ?? 0) + (performance.now() - began) * 1000 / n / turns)
          }
        }
        for (const [name, us] of took) results[kind][name][way].push(us)
      }
    }
  }
  return results
}

const nested = levels => JSON.parse('['.repeat(levels) + ']'.repeat(levels))

/** What nobody may send, or get us to read. */
const bombs = {
  '5 bytes that ask for 33,554,431 elements': () => ours.unpack(Uint8Array.of(0xdd, 1, 0xff, 0xff, 0xff)),
  '5 bytes that ask for 4 GiB of text': () => ours.unpack(Uint8Array.of(0xd9, 0xff, 0xff, 0xff, 0xff)),
  '20,000 levels': (bytes => () => ours.unpack(bytes))(new Uint8Array(20_000).fill(0x91)),
  '500 lists that each ask for all that is left': (bytes => () => ours.unpack(bytes))(
    Uint8Array.from({ length: 8000 }, (_, i) => (i >= 2500 ? 0xc4 : [0xdd, 0, 0, (7900 - i) >> 8, (7900 - i) & 0xff][i % 5])),
  ),
  '20,000 levels, to be packed': (value => () => ours.pack(value))(nested(20_000)),
}

/** µs until each is refused, and, where that can be known, bytes allocated meanwhile. */
export function refuse(rounds) {
  const memory = () => {
    const { heapUsed, arrayBuffers } = globalThis.process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  return Object.fromEntries(Object.entries(bombs).map(([name, bomb]) => {
    const once = () => {
      try {
        bomb()
      }
      catch (error) {
        if (error.name === 'PeerError') return
        throw error
      }
      throw new Error(`${name}: not refused`)
    }
    const times = calibrate(once)
    const took = []
    let allocated = 0
    for (let round = 0; round < rounds; round++) {
      const began = performance.now()
      for (let i = 0; i < times; i++) once()
      took.push((performance.now() - began) * 1000 / times)
      if (!globalThis.process) continue
      const before = memory()
      for (let i = 0; i < 20; i++) once()
      // The most of all rounds: a collection in between makes it too little.
      allocated = Math.max(allocated, (memory() - before) / 20)
    }
    return [name, { took, allocated: globalThis.process ? allocated : undefined }]
  }))
}

if (typeof window !== 'undefined') window.lab = { measure, refuse }
