/** Values by name, made where they are used, and what they look like where they arrive: a text that differs when they do. */

const pieces = 'ThisIsÁTèstString'
const events = (count: number): object[] => Array.from({ length: count }, (_, at) => ({
  id: String(2_489_651_045 + at), type: at % 2 ? 'PushEvent' : 'WatchEvent', public: at % 3 !== 0, at, rate: at / 7, back: -at * 1000,
  actor: { id: 665_991 + at, login: `petroav-${at}`, gravatar_id: '', url: `https://api.example/users/${at}`, keys: [at, [at, { deep: [at] }]] },
  payload: { ref: 'refs/heads/master', size: at, commits: [{ sha: 'ab'.repeat(20), message: 'naïve 中文 😃', distinct: true }] },
}))

/** Bytes that differ from place to place, also 16,300 further on. */
export function bytes(length: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length)
  let word = length | 1
  for (let at = 0; at < length; at++) {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    all[at] = word
  }
  return all
}

const shared = new Uint8Array([9, 9, 9, 9, 1, 2, 3, 4]).buffer

const kinds: Record<string, () => unknown> = {
  // numbers, as PeerJS's own tests have them
  ...Object.fromEntries([
    0, 1, -1, Math.PI, -Math.PI, 0x7f, 0x0f, 0x7fff, 0x0fff, 0x7fffffff, 0x0fffffff, 0x0fffffffffffff,
    // and every place where the form of an integer changes
    -32, -33, 128, 255, 256, -128, -129, 65_535, 65_536, -32_768, -32_769, 2 ** 32 - 1, 2 ** 32, -(2 ** 31), 2 ** 31,
    Number.MAX_SAFE_INTEGER, 0.1, 1e300, -1e-300, 1.5,
    // what their codec does not carry
    -(2 ** 31) - 1, -5e9, Number.MIN_SAFE_INTEGER, 1023.9999999999999, 2 ** -29, Number.MIN_VALUE,
  ].map(value => [`number ${value}`, () => value])),
  'number NaN': () => Number.NaN,
  'number -0': () => -0,
  'number Infinity': () => Infinity,
  'number -Infinity': () => -Infinity,
  'true': () => true,
  'false': () => false,
  'null inside': () => [null, { a: null }],
  'undefined inside': () => ({ a: undefined, b: [undefined] }),
  'null': () => null,
  'undefined': () => undefined,
  ...Object.fromEntries(['', 'hello', 'café', '中文', 'broccoli🥦līp𨋢grin😃ok', '\u{10ffff}', '\ufeffwith a mark', 'x'.repeat(15), 'x'.repeat(16), 'nul\0in it']
    .map(value => [`string ${JSON.stringify(value.slice(0, 12))}${value.length > 12 ? value.length : ''}`, () => value])),
  'string half of a pair': () => 'a\ud800b',
  'string 17000': () => pieces.repeat(1000),
  'string 1700000': () => pieces.repeat(100_000),
  'object empty': () => ({}),
  'array empty': () => [],
  'object': () => ({ hello: 'world', n: 150, bin: new Uint8Array([1, 2, 3]) }),
  'object keys': () => ({ 1: 2, 'a b': 3, 'ключ': 4, '': 5 }),
  'object 1000 keys': () => Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`k${at}`, at])),
  'event': () => events(2)[1],
  // PeerJS 1.4 miscounts what is beyond U+FFFF.
  'records 30': () => JSON.parse(JSON.stringify(events(30)).replaceAll('😃', 'ж')) as unknown,
  'events 2': () => events(2),
  'events 30': () => events(30),
  'array 10000': () => Array.from({ length: 10_000 }, () => 0),
  'array 65535': () => Array.from({ length: 65_535 }, () => 0),
  'array sparse': () => { const holes = [1]; holes[3] = 2; return holes },
  'nested 60': () => Array.from({ length: 60 }).reduce<unknown>(inner => [inner], 'core'),
  'date': () => new Date('2024-02-01T01:01:01.001Z'),
  'date 1901': () => new Date('1901-02-01T01:01:01.001Z'),
  ...Object.fromEntries([0, 1, 7, 14, 15, 16, 28].flatMap(length => [
    [`Uint8Array ${length}`, () => bytes(length)], [`ArrayBuffer ${length}`, () => bytes(length).buffer],
  ])),
  'Int32Array': () => new Int32Array([-1, 2, -3_000_000]),
  'Float64Array': () => new Float64Array([0.5, -2]),
  'Uint8Array in the middle': () => new Uint8Array(shared, 4),
  'bytes in an object': () => ({ a: bytes(20), list: [bytes(3).buffer] }),
  'Blob': () => new Blob(['blob of text']),
  'File': () => new File(['file of text'], 'name.txt', { type: 'text/plain' }),
  'Blob inside': () => ({ name: 'x', blob: new Blob([bytes(100)]) }),
  'class': () => new (class Point { x = 1; y = 'two' })(),
  'long object': () => ({ text: pieces.repeat(2000), bytes: bytes(20_000), end: true }),
  '__proto__ key': () => JSON.parse('{"__proto__":{"bad":1},"ok":2}') as unknown,
  // what is refused
  'function': () => () => 1,
  'bigint': () => 10n,
  'symbol': () => Symbol('s'),
  'Map': () => new Map([[1, 2]]),
  'Set': () => new Set([1]),
  'RegExp': () => /x/,
  'cycle': () => { const a: unknown[] = []; a.push(a); return a },
  // a frame
  'raw text': () => 'plain',
  'raw bytes': () => bytes(40).buffer,
}

/** `bytes N`: a Uint8Array of that length. */
export function make(kind: string): unknown {
  const sized = /^bytes (\d+)$/.exec(kind)
  if (sized) return bytes(Number(sized[1]))
  const known = kinds[kind]
  if (!known) throw new Error(`no value ${kind}`)
  return known()
}

export const all = Object.keys(kinds)

/** FNV-1a over what may be long. */
function hash(view: ArrayLike<number>): string {
  let sum = 0x811c9dc5
  for (let at = 0; at < view.length; at++) sum = Math.imul(sum ^ view[at]!, 0x01000193)
  return (sum >>> 0).toString(16)
}

/** Texts above 200 characters are told by their beginning, length and hash. */
export const shorten = (text: string): string => text.length <= 200
  ? text
  : `${text.slice(0, 60)}… ${text.length} ${hash(new TextEncoder().encode(text))}`

/** Everything that can be told apart about a value that arrived. `alike`: but whether bytes are an ArrayBuffer or a Uint8Array. */
export function describe(value: unknown, alike = false): string {
  const text = tell(value)
  return shorten(alike ? text.replaceAll('Uint8Array(', 'ArrayBuffer(') : text)
}

function tell(value: unknown): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'string') return `"${value}"`
  if (typeof value !== 'object' || value === null) return String(value)
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${value.byteLength}) ${hash(new Uint8Array(value))}`
  if (ArrayBuffer.isView(value)) {
    return `${value.constructor.name}(${value.byteLength}) ${hash(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))}`
  }
  if (value instanceof Blob) return `${value.constructor.name}(${value.size})`
  if (value instanceof Date) return `Date ${value.toISOString()}`
  if (Array.isArray(value)) return `[${Array.from(value, tell).join(',')}]`
  const prototype = Object.getPrototypeOf(value) as object | null
  const kind = prototype === null ? 'null ' : prototype === Object.prototype ? '' : `${prototype.constructor.name} `
  return `${kind}{${Object.entries(value).map(([key, inner]) => `${key}:${tell(inner)}`).join(',')}}`
}
