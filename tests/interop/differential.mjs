// Random values through PeerJS's BinaryPack and ours: theirs to ours, ours to theirs, ours to ours, and the bytes.
//
//   npm run interop:values -- --count 1000000 --seed 1
//
// Every difference belongs to a rule below, by name, that says what exactly happens to the value; what no rule says fails
// the run, with the seed and the value. Rules are about PeerJS's codec (peerjs-js-binarypack 2.1.0): what ours sends, PeerJS has
// to read as it is, but for three kinds of number for which it has no bytes. Bytes are also damaged and read by ours, which has
// to answer with a value or a PeerError of type 'protocol-violation'.
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs, types } from 'node:util'
import { pack as theirPack, unpack as theirUnpack } from 'peerjs-js-binarypack'

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomness(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ state >>> 15, state | 1)
    t ^= t + Math.imul(t ^ t >>> 7, t | 61)
    return ((t ^ t >>> 14) >>> 0) / 0x1_0000_0000
  }
}

const bits = new DataView(new ArrayBuffer(8))
const toBits = (n) => {
  bits.setFloat64(0, n)
  return bits.getBigUint64(0)
}
const fromBits = (value) => {
  bits.setBigUint64(0, BigInt.asUintN(64, value))
  return bits.getFloat64(0)
}

const smallestNormal = 2 ** -1022
const isSubnormal = n => n !== 0 && Math.abs(n) < smallestNormal
const hex = bytes => Buffer.from(bytes).toString('hex')
const wellFormed = text => (/[\ud800-\udfff]/.test(text) ? text.replace(/\p{Surrogate}/gu, '\ufffd') : text)

function define(object, key, value) {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else object[key] = value
}

// ---- values

class Instance {
  constructor(fields) {
    own(this, fields)
  }

  get computed() { return 'on the prototype: stays behind' }
  toJSON() { return 'nobody asks for JSON' }
}

function Constructed(fields) {
  own(this, fields)
}

/** As Object.assign() does, but for a key "__proto__". */
const own = (object, fields) => Object.defineProperties(object, Object.getOwnPropertyDescriptors(fields))

/** Makes values of every kind that PeerJS's documentation and tests name, more of the odd ones than applications send. */
function values(random) {
  const below = n => Math.floor(random() * n)
  const pick = list => list[below(list.length)]
  const sign = n => (random() < 0.5 ? -n : n)

  const numbers = [
    () => below(300) - 100,
    () => sign(2 ** below(66)) + below(5) - 2,
    () => sign(below(2 ** 53)),
    () => sign(below(2 ** 30) * 2 ** below(40)),
    () => sign(random()) * 2 ** below(40),
    // Any bits at all: NaN and infinities of every kind, subnormals.
    () => fromBits(BigInt(below(2 ** 32)) << 32n | BigInt(below(2 ** 32))),
    () => fromBits(BigInt.asUintN(64, toBits(sign(2 ** (below(2046) - 1022))) + BigInt(below(7) - 3))),
    () => fromBits(BigInt(below(2 ** 32)) << 20n | BigInt(below(2)) << 63n),
    () => pick([0, -0, NaN, Infinity, -Infinity, 5e-324, -5e-324, smallestNormal, -smallestNormal]),
    () => pick([2 ** 63, 2 ** 64, -(2 ** 63), 1e20, -1e20]),
  ]
  const alphabets = [
    () => String.fromCharCode(0x20 + below(0x5f)), () => String.fromCharCode(below(0x100)),
    () => String.fromCharCode(0x4e00 + below(0x5000)), () => String.fromCodePoint(0x1_0000 + below(0x10_0000)),
    () => String.fromCharCode(below(0x1_0000)), () => String.fromCharCode(0xd800 + below(0x800)),
    () => pick(['\0', '\ufeff', '\u{10ffff}', '\uffff', '\u2028']),
  ]
  const text = (most) => {
    const length = random() < 0.003 ? below(most * 40) : below(most)
    const letters = random() < 0.5 ? [alphabets[0]] : [pick(alphabets), pick(alphabets)]
    let result = ''
    while (result.length < length) result += pick(letters)()
    return result
  }
  const bytes = () => Uint8Array.from({ length: random() < 0.001 ? below(70_000) : below(40) }, () => below(256))
  const views = [Int8Array, Int16Array, Uint16Array, Int32Array, Float32Array, Float64Array, BigInt64Array]
  const binaries = [
    bytes, () => bytes().buffer, () => bytes().subarray(below(5)), () => Buffer.from(bytes()), () => new Uint8ClampedArray(bytes()),
    () => new (pick(views))(Uint8Array.from({ length: 8 * (1 + below(5)) }, () => below(256)).buffer, 8 * below(2)),
  ]
  const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'length', 'BYTES_PER_ELEMENT', '__peerData', '']
  const key = () => (random() < 0.02 ? pick(names) : random() < 0.1 ? String(below(50)) : text(20))
  const count = depth => (random() < 0.01 ? below(300 >> 2 * depth) : below(6 - depth))

  const fields = (depth) => {
    const object = {}
    for (let left = count(depth); left > 0; left--) {
      define(object, key(), value(depth + 1))
    }
    return object
  }
  function value(depth = 0) {
    const kind = random()
    if (depth < 5 && kind < 0.22) return fields(depth)
    if (depth < 5 && kind < 0.4) return Array.from({ length: count(depth) }, () => value(depth + 1))
    if (kind < 0.6) return pick(numbers)()
    if (kind < 0.8) return text(60)
    if (kind < 0.87) return pick([null, undefined, true, false])
    if (kind < 0.93) return pick(binaries)()
    if (kind < 0.95) return new Date(pick([sign(below(8e15)), below(4e12), NaN]))
    if (kind < 0.96 && depth < 5) return new Instance(fields(depth))
    if (kind < 0.961 && depth < 5) return new Constructed(fields(depth))
    if (kind < 0.962 && depth < 5) return Object.assign(Object.create(null), { bare: value(depth + 1) })
    if (kind < 0.97) {
      const sparse = new Array(below(20))
      if (sparse.length > 0) sparse[below(sparse.length)] = value(depth + 1)
      return sparse
    }
    // Longer than PeerJS's stack: seldom, for they take long.
    if (depth === 0 && kind < 0.9701) return new Array(30_000 + below(50_000)).fill(pick([0, 'x', null]))
    return pick(numbers)()
  }
  return value
}

// ---- rules

/** Rules of the numbers in the value at hand: each is asked for several times, and to ask PeerJS takes long. */
const ruled = new Map()

/** A number in a value, and what becomes of it on each road. Undefined: nothing, it arrives as it is. */
function ruleOf(n, ours) {
  if (Number.isInteger(n) && n > 0 && n < 2 ** 63) return undefined
  const key = Object.is(n, -0) ? '-0' : n
  if (!ruled.has(key)) ruled.set(key, findRule(n, ours))
  return ruled.get(key)
}

function findRule(n, ours) {
  if (Number.isNaN(n)) {
    return {
      name: 'NaN: sent as cb and eight zero bytes, which PeerJS reads as 1.1e-308',
      fromTheirs: NaN, inTheirs: smallestNormal / 2, inOurs: NaN, sameBytes: true,
      check: () => hex(theirPack(n)) === 'cb0000000000000000',
    }
  }
  if (Object.is(n, -0)) {
    return { name: '-0: an integer, sent as 0', fromTheirs: 0, inTheirs: 0, inOurs: 0, sameBytes: true, check: () => hex(theirPack(n)) === '00' }
  }
  if (isSubnormal(n)) {
    // What PeerJS makes of it is garbage; our reader takes that for what it says, which the reader's own rules cover.
    const sent = theirPack(n)
    return {
      name: 'subnormal: PeerJS has no bytes for it and sends others; ours sends 0', fromTheirs: ours.unpack(sent), inTheirs: 0, inOurs: 0,
      check: () => new Uint8Array(sent)[0] === 0xcb && sent.byteLength === 9 && !Object.is(new DataView(sent).getFloat64(1), n),
    }
  }
  if (n === Infinity || n === -Infinity) return { name: 'infinite: PeerJS refuses it, and reads it', refused: true }
  if (Number.isInteger(n)) {
    if (n > 2 ** 64 || n < -(2 ** 63)) return { name: 'integer beyond 64 bits: PeerJS refuses it, and reads it as float64', refused: true }
    if (n === 2 ** 64) return { name: '2^64: PeerJS sends 0', fromTheirs: 0, check: () => hex(theirPack(n)) === 'cf0000000000000000' }
    if (n === 2 ** 63) return { name: '2^63: PeerJS sends -2^63', fromTheirs: -(2 ** 63), check: () => hex(theirPack(n)) === 'd38000000000000000' }
    if (n < -(2 ** 31)) {
      return {
        name: 'integer below -2^31: PeerJS sends it right as int64, and reads that rounded to 2,048; ours sends float64',
        fromTheirs: n, check: () => hex(theirPack(n)) === `d3${BigInt.asUintN(64, BigInt(n)).toString(16)}`,
      }
    }
    return undefined
  }
  const sent = new DataView(theirPack(n)).getFloat64(1)
  if (sent === n) return undefined
  const exponent = Number(toBits(n) >> 52n & 0x7ffn) - 1023
  const fraction = toBits(n) & 0xf_ffff_ffff_ffffn
  const below = 2n ** 52n - fraction
  // How near depends on how exact a logarithm is: hundreds of ulps for the smallest and largest.
  if (below <= 512n) {
    return {
      name: 'just below a power of two: PeerJS sends what is as far above 2^32 ulps', fromTheirs: sent,
      // The next power of two, and as low word what is missing to it.
      check: () => Math.sign(sent) === Math.sign(n)
        && toBits(Math.abs(sent)) === (BigInt(exponent + 1 + 1023) << 52n | 2n ** 32n - (below + 1n >> 1n)),
    }
  }
  return {
    name: 'at or just above a power of two: PeerJS sends half of it', fromTheirs: sent,
    check: () => fraction <= 512n && Math.sign(sent) === Math.sign(n)
      && toBits(Math.abs(sent)) === (BigInt(exponent - 1 + 1023) << 52n | fraction * 2n),
  }
}

/** What PeerJS refuses, misreads or drops because of an object's shape. */
const shapes = {
  bare: 'no prototype: PeerJS refuses it',
  constructed: 'instance of a function: PeerJS refuses it',
  constructor: 'own key "constructor": PeerJS takes it for the constructor, and refuses most',
  hasOwnProperty: 'own key "hasOwnProperty": PeerJS calls it',
  bytes: 'own key "BYTES_PER_ELEMENT": PeerJS takes the object for a typed array, and sends it empty',
  long: 'more than 12,000 elements: PeerJS runs out of stack',
  proto: 'key "__proto__": PeerJS reads it as the prototype',
}

/** What a value is after a road, and which rules said so: `way` is the property of a number's rule. */
function after(value, way, ours, used) {
  switch (typeof value) {
    case 'number': {
      const rule = ruleOf(value, ours)
      if (!rule) return value
      if (rule.check && !rule.check()) throw new Error(`the rule "${rule.name}" does not hold for ${value} (${hex(theirPack(value))})`)
      used.add(rule.name)
      return way in rule ? rule[way] : value
    }
    case 'string': {
      const text = wellFormed(value)
      if (text !== value) used.add('half a surrogate pair: sent as U+FFFD')
      return text
    }
    case 'undefined':
      used.add('undefined: sent as null')
      return null
  }
  if (value === null || typeof value === 'boolean') return value
  if (value instanceof Date) {
    used.add('Date: sent as toString()')
    return value.toString()
  }
  if (value instanceof ArrayBuffer) return value
  if (ArrayBuffer.isView(value)) {
    used.add('typed array: sent as the bytes it shows')
    return Uint8Array.prototype.slice.call(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)).buffer
  }
  if (Array.isArray(value)) return Array.from(value, item => after(item, way, ours, used))
  if (way === 'fromTheirs' && 'BYTES_PER_ELEMENT' in value) {
    used.add(shapes.bytes)
    return new ArrayBuffer(0)
  }
  const object = {}
  for (const key of Object.keys(value)) {
    const there = after(value[key], way, ours, used)
    const name = wellFormed(key)
    if (way === 'inTheirs' && name === '__proto__') {
      used.add(shapes.proto)
      // As an assignment does: an object or null becomes the prototype, anything else is dropped.
      object.__proto__ = there
    }
    else {
      // Two keys with half pairs may be one key then; the last one counts.
      define(object, name, there)
    }
  }
  return object
}

/** Why PeerJS's pack() has to throw; empty when it must not. */
function refusals(value, ours, found = new Set()) {
  if (typeof value === 'number') {
    const rule = ruleOf(value, ours)
    if (rule?.refused) found.add(rule.name)
  }
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return found
  if (Array.isArray(value)) {
    if (value.length > 12_000) found.add(shapes.long)
    value.forEach(item => refusals(item, ours, found))
    return found
  }
  if ('BYTES_PER_ELEMENT' in value) return found
  if (Object.hasOwn(value, 'constructor')) {
    const { constructor } = value
    // What it calls on it, whatever it is, and what it looks for in the answer.
    let taken = false
    try {
      taken = constructor.toString().startsWith('class')
    }
    catch {
      // there is no toString, or its answer is no string
    }
    if (!taken) found.add(shapes.constructor)
  }
  else if (Object.getPrototypeOf(value) === null) {
    found.add(shapes.bare)
  }
  else if (value instanceof Constructed) {
    found.add(shapes.constructed)
  }
  if (Object.hasOwn(value, 'hasOwnProperty')) found.add(shapes.hasOwnProperty)
  for (const key of Object.keys(value)) refusals(value[key], ours, found)
  return found
}

/** Whether ours sends other bytes than PeerJS on purpose. */
function differs(value, ours) {
  if (typeof value === 'number') {
    const rule = ruleOf(value, ours)
    return rule !== undefined && !rule.sameBytes
  }
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return false
  if (Array.isArray(value)) return value.some(item => differs(item, ours))
  return 'BYTES_PER_ELEMENT' in value || Object.keys(value).some(key => differs(value[key], ours))
}

/** Equal to the bit and to the prototype, with keys in the same order. */
function same(a, b) {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b)
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b) && !same(Object.getPrototypeOf(a), Object.getPrototypeOf(b))) return false
  if (types.isArrayBuffer(a)) return types.isArrayBuffer(b) && Buffer.compare(new Uint8Array(a), new Uint8Array(b)) === 0
  if (Array.isArray(a)) return a.length === b.length && a.every((item, i) => i in b && same(item, b[i]))
  const keys = Object.keys(a)
  const others = Object.keys(b)
  return keys.length === others.length && keys.every((key, i) => key === others[i] && same(a[key], b[key]))
}

/** PeerJS's reader on bytes of PeerJS against ours on the same: the rules of its reader. */
function readingRule(n, sent) {
  if (sent[0] === 0xd3 && n < -(2 ** 31)) {
    return { name: 'int64 below -2^31 is read rounded to 2,048', explains: read => read % 2048 === 0 && Math.abs(read - n) <= 2048 }
  }
  if (sent[0] !== 0xcb) return undefined
  const value = new DataView(sent.buffer).getBigUint64(1)
  const exponent = Number(value >> 52n & 0x7ffn)
  const sign = value >> 63n ? -1 : 1
  if (exponent === 0x7ff) return { name: 'float64 with the highest exponent is read as infinite', explains: read => read === sign * Infinity }
  // The upper 20 bits of the fraction count, the lower 32 have no double that small.
  const lost = sign * (smallestNormal / 2 + Number(value >> 32n & 0xf_ffffn) * 2 ** -1043)
  return exponent === 0 ? { name: 'float64 with exponent 0 is read with a 1 before the point', explains: read => read === lost } : undefined
}

/** Breaks bytes in one to four places. */
function damaged(bytes, other, random) {
  const below = n => Math.floor(random() * n)
  let result = [...bytes.subarray(0, 4000)]
  for (let left = 1 + below(4); left > 0; left--) {
    const at = below(result.length + 1)
    switch (below(6)) {
      case 0: result[at] = below(256); break
      case 1: result.splice(at, 1); break
      case 2: result.splice(at, 0, below(256)); break
      case 3: result = result.slice(0, at); break
      case 4: result.splice(at, below(5), ...other.subarray(below(other.length + 1), below(other.length + 1) + 50)); break
      // The head of something long.
      default: result.splice(at, 1, 0xd8 + below(8), ...below(2) ? [0, below(9)] : [below(256), below(256), below(256), below(256)])
    }
  }
  return Uint8Array.from(result)
}

/**
 * Compares `count` random values. `ours` has pack and unpack. Answers with how often each rule applied; throws at the first
 * difference that no rule explains.
 */
export function compare(ours, { count, seed, progress = 0 }) {
  const random = randomness(seed)
  const make = values(random)
  const rules = new Map()
  let previous = new Uint8Array(0)
  let refused = 0
  for (let i = 0; i < count; i++) {
    const value = make()
    ruled.clear()
    const used = new Set()
    const fail = (what, ...details) => {
      const show = thing => (typeof thing === 'object' && thing ? JSON.stringify(thing, (_, item) => (typeof item === 'bigint' ? `${item}n` : item))?.slice(0, 2000) : String(thing))
      throw new Error(`${what}: seed ${seed}, value ${i}\n${[value, ...details].map(show).join('\n')}`)
    }
    const bytes = ours.pack(value)
    if (!same(ours.unpack(bytes), after(value, 'inOurs', ours, used))) fail('ours to ours', hex(bytes))
    if (!same(theirUnpack(bytes.slice().buffer), after(value, 'inTheirs', ours, used))) fail('ours to theirs', hex(bytes))
    const reasons = refusals(value, ours)
    let sent
    try {
      sent = new Uint8Array(theirPack(value))
    }
    catch (error) {
      if (reasons.size === 0) fail('theirs refuses', error)
      for (const reason of reasons) used.add(reason)
    }
    if (sent) {
      if (reasons.size > 0) fail('theirs should refuse', [...reasons])
      const wanted = after(value, 'fromTheirs', ours, used)
      const received = ours.unpack(sent)
      if (!same(received, wanted)) fail('theirs to ours', hex(sent))
      if (differs(value, ours) === (Buffer.compare(sent, bytes) === 0)) fail('the bytes', hex(sent), hex(bytes))
      if (typeof value === 'number') {
        const rule = readingRule(value, sent)
        const read = theirUnpack(sent.buffer)
        if (rule) used.add(`reading: ${rule.name}`)
        if (rule ? !rule.explains(read) : !Object.is(read, received)) fail('theirs and ours read', hex(sent), read, received)
      }
    }
    for (const name of used) rules.set(name, (rules.get(name) ?? 0) + 1)

    const broken = damaged(sent ?? bytes, previous, random)
    previous = bytes.length > 2000 ? bytes.subarray(0, 2000) : bytes
    let survived
    let survives = false
    try {
      survived = ours.unpack(broken)
      survives = true
    }
    catch (error) {
      if (error?.name !== 'PeerError' || error.type !== 'protocol-violation') fail('damaged bytes', hex(broken), error?.stack ?? error)
      refused++
    }
    if (survives && !same(ours.unpack(ours.pack(survived)), after(survived, 'inOurs', ours, new Set()))) fail('what damaged bytes say', hex(broken))
    if (progress && (i + 1) % progress === 0) console.log(`${(i + 1).toLocaleString('en')} values`)
  }
  return { rules: [...rules].sort((a, b) => b[1] - a[1]), refused }
}

async function main() {
  const { values: given } = parseArgs({ options: { count: { type: 'string', default: '20000' }, seed: { type: 'string' } } })
  const count = Number(given.count)
  const seed = given.seed ? Number(given.seed) : Date.now() % 1_000_000_007
  const { build } = await import('esbuild')
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const outfile = join(root, 'build/interop/binarypack.mjs')
  // Damaged bytes make an error each, of which nobody wants the stack.
  Error.stackTraceLimit = 0
  await build({ entryPoints: [join(root, 'js/peerjs/binarypack.ts')], bundle: true, format: 'esm', outfile, logLevel: 'error' })
  console.log(`${count.toLocaleString('en')} values, seed ${seed}`)
  const began = performance.now()
  const { rules, refused } = compare(await import(pathToFileURL(outfile).href), { count, seed, progress: 100_000 })
  for (const [name, times] of rules) console.log(`${times.toLocaleString('en').padStart(12)}  ${name}`)
  console.log(`${refused.toLocaleString('en').padStart(12)}  damaged messages refused, ${(count - refused).toLocaleString('en')} read as another value`)
  console.log(`${count.toLocaleString('en')} values, seed ${seed}: no unexplained difference, ${((performance.now() - began) / 1000).toFixed(0)} s`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
