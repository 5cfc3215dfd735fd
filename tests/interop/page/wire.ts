/** Two peers in one page, of either library, and what a test wants of them. */
import * as theirs from 'peerjs'
import * as ours from '../../../js/index.js'

export type Library = 'peerbridge' | 'PeerJS'
type AnyPeer = theirs.Peer
type AnyConnection = theirs.DataConnection & { bufferSize: number } & Partial<Pick<ours.DataConnection, 'delivered' | 'protocol' | 'state'>>

export interface Sides { from: Library, to: Library, port: number, options?: object, protocol?: 'peerjs' }

/** What can be compared between pages and tests: binary as its kind and bytes. */
export function plain(value: unknown): unknown {
  if (value instanceof ArrayBuffer) return { ArrayBuffer: hash(new Uint8Array(value)) }
  if (ArrayBuffer.isView(value)) return { [value.constructor.name]: hash(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) }
  if (typeof value === 'string' && value.length > 100) return { string: hash(new TextEncoder().encode(value)) }
  if (Array.isArray(value)) {
    const sum = (): number => value.reduce((sum: number, one) => sum + Number(one), 0) as number
    return value.length > 100 ? { array: value.length, sum: sum() } : value.map(plain)
  }
  if (value instanceof Date) return { Date: value.getTime() }
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
  return value === undefined ? { undefined: true } : value
}

function hash(bytes: Uint8Array): string {
  let sum = 2_166_136_261
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 16_777_619) >>> 0
  return `${bytes.length}:${sum}`
}

/** Until `event`, or until `problem` of the same thing. */
const once = <T = unknown>(of: { on(event: string, call: (value: T) => void): unknown }, event: string): Promise<T> =>
  new Promise(resolve => of.on(event, resolve))

let names = 0

function peer(library: Library, { port, protocol }: Sides): AnyPeer {
  const options = { host: 'localhost', port, path: '/', secure: false, config: { iceServers: [] }, debug: 0 }
  const id = `${library}-${++names}`
  return library === 'PeerJS' ? new theirs.Peer(id, { ...options, serializers: { MsgPack: theirs.MsgPack } }) : new ours.Peer(id, { ...options, ...protocol && { protocol } }) as unknown as AnyPeer
}

export interface Pair { a: AnyConnection, b: AnyConnection, peers: AnyPeer[], errors: string[] }

export async function connect(sides: Sides): Promise<Pair> {
  const [from, to] = [peer(sides.from, sides), peer(sides.to, sides)]
  await Promise.all([once(from as never, 'open'), once(to as never, 'open')])
  const errors: string[] = []
  for (const one of [from, to]) one.on('error', error => errors.push(`peer ${error.type} ${error.message}`))
  const incoming = once<AnyConnection>(to as never, 'connection')
  const a = from.connect(to.id, sides.options ?? {}) as AnyConnection
  a.on('error', error => errors.push(`a ${error.type} ${error.message}`))
  const opened = once(a as never, 'open')
  const b = await incoming
  b.on('error', error => errors.push(`b ${error.type} ${error.message}`))
  await Promise.all([opened, b.open || once(b as never, 'open')])
  return { a, b, peers: [from, to], errors }
}

export function end({ peers }: Pair): void {
  for (const peer of peers) peer.destroy()
}

/** The next `count` values that come. */
export function values(conn: AnyConnection, count: number): Promise<unknown[]> {
  return new Promise((resolve) => {
    const got: unknown[] = []
    conn.on('data', (value) => {
      got.push(value)
      if (got.length === count) resolve(got)
    })
  })
}

const bytes = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8))

/** By name, because what a test holds cannot carry all of them into a page. */
export const kinds: Record<string, () => unknown> = {
  'text': () => 'héllo 😀',
  'a number': () => 1.5,
  'an object': () => ({ a: [1, 'two', { three: true }], n: null }),
  'bytes': () => bytes(1000),
  'no bytes': () => new Uint8Array(),
  'no text': () => '',
  'bytes at 16 300': () => bytes(16_295),
  'bytes above it': () => bytes(16_300),
  'many bytes': () => bytes(1_500_000),
  'long text': () => 'ThisIsÁTèst'.repeat(20_000),
  'a long array': () => Array.from({ length: 5000 }, (_, i) => i),
  'a Blob': () => new Blob([bytes(50_000)]),
  'text of 200 KB': () => 'x'.repeat(200_000),
}

/** What each of them is when it has gone from `a` to `b`, and back as it came. */
async function travel(sides: Sides, wanted: string[]): Promise<{ there: unknown[], back: unknown[], sent: unknown[], errors: string[] }> {
  const pair = await connect(sides)
  const made = wanted.map(name => kinds[name]!())
  const there = values(pair.b, made.length)
  for (const value of made) void pair.a.send(value)
  const got = await there
  const back = values(pair.a, got.length)
  for (const value of got) void pair.b.send(value)
  const sent = await Promise.all(made.map(async value => plain(value instanceof Blob ? await value.arrayBuffer() : value)))
  const result = { there: got.map(plain), back: (await back).map(plain), sent, errors: pair.errors }
  end(pair)
  return result
}

/** Many messages at once, of which every tenth is large: they come in order, and nothing is left. */
async function flood(sides: Sides, count: number): Promise<{ inOrder: boolean, buffered: number, errors: string[] }> {
  const pair = await connect(sides)
  const all = values(pair.b, count)
  for (let i = 0; i < count; i++) void pair.a.send(i % 10 ? i : [i, 'y'.repeat(40_000)])
  const got = await all
  const inOrder = got.every((value, i) => (Array.isArray(value) ? value[0] : value) === i)
  const result = { inOrder, buffered: pair.a.bufferSize, errors: pair.errors }
  end(pair)
  return result
}

/** A side sends, closes, and the other one gets all of it and then 'close'; then the first closes too. */
async function close(sides: Sides, which: 'a' | 'b', flush: boolean): Promise<{ log: string[], errors: string[] }> {
  const pair = await connect(sides)
  const [mine, other] = which === 'a' ? [pair.a, pair.b] : [pair.b, pair.a]
  const log: string[] = []
  const arrived = values(other, 3)
  other.on('data', value => log.push(`data ${String((value as { byteLength?: number }).byteLength ?? value)}`))
  const closed = Promise.all([once(other as never, 'close').then(() => log.push('close')), once(mine as never, 'close')])
  void mine.send('first')
  void mine.send(bytes(100_000))
  void mine.send('last')
  if (flush) mine.close({ flush: true })
  else {
    // PeerJS drops what it holds when it is not told to flush: it has to be there.
    await arrived
    mine.close()
  }
  await closed
  const result = { log, errors: pair.errors }
  end(pair)
  return result
}

/** What the other one hears of one that sends five short messages and closes as soon as both are open. */
async function brief(sides: Sides): Promise<string[]> {
  const pair = await connect(sides)
  const log: string[] = []
  pair.b.on('data', value => log.push(`data ${String(value)}`))
  const closed = Promise.all([once(pair.b as never, 'close').then(() => log.push('close')), once(pair.a as never, 'close')])
  for (let at = 0; at < 5; at++) void pair.a.send(`${at}`)
  pair.a.close({ flush: true })
  await closed
  end(pair)
  return log
}

/** What is known of a connection at both ends. */
async function know(sides: Sides): Promise<unknown[]> {
  const pair = await connect(sides)
  const facts = [pair.a, pair.b].map(({ label, metadata, serialization, reliable, open, protocol }) =>
    ({ label, metadata, serialization, reliable, open, ...protocol && { protocol } }))
  end(pair)
  return facts
}

const wire = { travel, flood, close, brief, know, connect, end, kinds, plain, values, once, bytes, ours, theirs }
declare global {
  interface Window { wire: typeof wire }
}
window.wire = wire
