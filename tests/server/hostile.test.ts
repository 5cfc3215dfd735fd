// Bad input on every route, over real sockets, seeded: the server stays up, and two who talk meanwhile notice nothing. An exception
// that nobody caught fails the run. Longer: npm run fuzz:server.
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket as TcpSocket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSignalingServer } from '../../js/server/index.js'
import type { SignalingListener, SignalingServer } from '../../js/server/index.js'
import { connect, peerjsUrl, Socket } from './socket.js'

const rounds = Number(process.env.HOSTILE_ROUNDS ?? 200)
let server: SignalingServer
let listener: SignalingListener
let ws: string

beforeAll(async () => {
  server = createSignalingServer({
    path: '/signal', metrics: { token: 'm' }, turn: { secret: 's', urls: 'turn:x' }, allow_discovery: true, reserve_timeout: 0,
    // What is refused for its number proves nothing about the rest.
    address_rate_limit: 0, absence_timeout: 1000, outage_timeout: 1000, alive_timeout: 5000,
  })
  listener = await server.listen({ port: 0, host: '127.0.0.1' })
  ws = listener.url.replace('http', 'ws')
})
afterAll(() => server.close())

/** xorshift32: the same seed, the same attack. */
class Dice {
  #state: number
  constructor(seed: number) { this.#state = (seed * 2654435761 + 1) >>> 0 || 1 }
  next(below: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state % below
  }

  one<T>(list: readonly T[]): T { return list[this.next(list.length)]! }
  bytes(length: number): Buffer { return Buffer.from(Array.from({ length }, () => this.next(256))) }
}

const methods = ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'get', 'G\u00e9T', '']
const paths = [
  '/signal/', '/signal/health', '/signal/metrics', '/signal/peerjs', '/signal/peerjs/id', '/signal/peerjs/peers', '/signal/peerjs/turn',
  '/signal/peerjs/sse', '/signal/peerjs/poll', '/signal/x/poll', '/signal/../../etc/passwd', '/signal/%2e%2e/%2e%2e/etc/passwd', '//signal//peerjs//id',
  '/signal/peerjs/%00', '/signal/%', '/signal/peerjs/id/../../..', '*', 'http://evil.example/signal/peerjs', '/signal/__proto__/constructor', '/signal/peerjs/poll/',
]
const query = (dice: Dice): string => dice.one([
  () => '', () => '?', () => `?${'a=b&'.repeat(dice.next(2000))}`, () => `?id=${'x'.repeat(dice.next(8000))}`,
  () => '?id=%ff%fe&token=%00&link=%zz', () => `?id=evil${dice.next(9)}&token=t&link=p.${dice.next(1e9)}&got=${dice.next(2) ? '9'.repeat(30) : '-1'}&sent=1e9`,
  () => `?id=evil${dice.next(9)}&token=t&link=p.${dice.next(9)}&got=0&sent=0&from=${dice.one(['1', '0', '-1', 'NaN', '1e99', ''])}`,
  () => `?id[]=a&id[]=b&__proto__[x]=1&token=${dice.bytes(20).toString('latin1').replace(/[\s#]/g, '')}`,
])()
const texts = (dice: Dice): (string | Buffer) => dice.one<() => string | Buffer>([
  () => '{', () => '', () => 'null', () => '[]', () => '"OFFER"', () => '\u{1f600}'.repeat(dice.next(1000)),
  () => dice.bytes(dice.next(300)),
  () => `{"type":"OFFER","payload":${'['.repeat(50_000)}${']'.repeat(50_000)},"dst":"bystander"}`,
  () => '['.repeat(dice.next(100_000)),
  () => `{"type":"OFFER","payload":"${'x'.repeat(300_000)}","dst":"nobody"}`,
  () => `{"type":"OFFER","payload":"${'x'.repeat(2_000_000)}","dst":"nobody"}`,
  () => `{"type":"OFFER","payload":{"__proto__":{"src":"x"},"constructor":1},"src":"bystander","dst":"nobody ${dice.next(1000)}"}`,
  () => JSON.stringify({ type: dice.one(['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE', 'OPEN', 'JOIN', 'HEARTBEAT', '__proto__', 7, null, {}]),
    payload: dice.one<unknown>([null, 1, 'x', [], {}, { msg: 1 }, { room: 7, metadata: [] }]),
    dst: dice.one<unknown>([null, 1, [], {}, '', 'a'.repeat(300), '\ud800', '../..', 'nobody', true]),
    wait: dice.one<unknown>([false, 0, null, 'false', {}]) }),
  () => `{"type":"HEARTBEAT","got":${dice.one(['1e308', '-1', '1e999', '"1"', 'null', '[]', '99999999999999999999'])}}`,
])()

function frame(dice: Dice): Buffer {
  const payload = Buffer.from(texts(dice)).subarray(0, 70_000)
  const mask = dice.bytes(4)
  const first = dice.one([0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x00, 0x88, 0x89, 0x8a, 0xc1, 0xf1, 0x83, 0x8f])
  const length = dice.next(8) === 0
    ? Buffer.from([0xff, ...dice.bytes(8)])
    : payload.length < 126
      ? Buffer.from([0x80 | payload.length])
      : payload.length < 65_536
        ? Buffer.from([0xfe, payload.length >> 8, payload.length & 255])
        : Buffer.from([0xff, 0, 0, 0, 0, 0, 1, 0, 0])
  if (dice.next(8) === 0 && length[0] !== undefined) length[0] &= 0x7f
  return Buffer.concat([Buffer.from([first]), length, mask, payload.map((byte, i) => byte ^ mask[i & 3]!)])
}

const upgrade = (dice: Dice, id: string): string =>
  `GET /signal/peerjs?key=peerjs&id=${id}&token=t${dice.next(2) ? `&link=p.${dice.next(1e6)}&got=0&sent=0` : ''} HTTP/1.1\r\nHost: ${dice.one(['x', '[::', 'a b', ''])}\r\n`
  + `Connection: Upgrade\r\nUpgrade: ${dice.one(['websocket', 'websocket', 'websocket', 'h2c'])}\r\n`
  + `Sec-WebSocket-Version: ${dice.one(['13', '13', '13', '8', 'x'])}\r\nSec-WebSocket-Key: ${dice.one(['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ==', 'short', ''])}\r\n\r\n`

const request = (dice: Dice): Buffer => {
  const body = Buffer.from(texts(dice))
  const head = `${dice.one(methods)} ${dice.one(paths)}${query(dice)} HTTP/1.${dice.next(3)}\r\nHost: x\r\n`
    + `${dice.one(['', `Origin: ${'x'.repeat(dice.next(3000))}\r\n`, 'X-Forwarded-For: ,,\r\n', 'Authorization: Bearer \u00e9\r\n', 'Last-Event-ID: -5\r\n', `A: ${'y'.repeat(20_000)}\r\n`])}`
    + `${dice.one([`Content-Length: ${body.length}\r\n`, `Content-Length: ${body.length}\r\n`, 'Content-Length: 99999999\r\n', 'Content-Length: -1\r\n', 'Transfer-Encoding: chunked\r\n', ''])}\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

function open(): Promise<TcpSocket> {
  const socket = connectTcp(listener.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  return new Promise(resolve => socket.on('connect', () => resolve(socket)))
}
const write = (socket: TcpSocket, bytes: Buffer | string): Promise<void> =>
  new Promise(resolve => socket.destroyed ? resolve() : socket.write(bytes, () => resolve()))

/** Held until the end: whoever is slow must not be in anybody's way. */
const slow: TcpSocket[] = []

const attacks: ((dice: Dice, round: number) => Promise<void>)[] = [
  async (dice) => { // requests, one after the other or in one breath, and then half of the connection is closed
    const socket = await open()
    await write(socket, Buffer.concat(Array.from({ length: 1 + dice.next(20) }, () => request(dice))))
    if (dice.next(2)) socket.end()
    else socket.destroy()
  },
  async (dice) => { // a head, or a body, that never ends
    const socket = await open()
    slow.push(socket)
    const bytes = dice.next(2)
      ? Buffer.from(`POST /signal/peerjs/poll?id=slow${dice.next(9)}&token=t&link=p.1&got=0&sent=0&from=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"ty`)
      : request(dice).subarray(0, 1 + dice.next(60))
    await write(socket, bytes)
  },
  async (dice, round) => { // frames that are none
    const socket = await open()
    await write(socket, upgrade(dice, `frames${round}`))
    for (let i = 0; i < 1 + dice.next(10); i++) await write(socket, frame(dice))
    if (dice.next(3) === 0) slow.push(socket)
    else if (dice.next(2)) socket.end()
    else socket.destroy()
  },
  async (dice, round) => { // messages that are none
    const socket = new Socket(`${peerjsUrl(ws, `evil${round}`)}${dice.next(2) ? `&link=p.${round}&got=0&sent=0` : ''}`)
    socket.ws.removeAllListeners('message')
    if (await socket.upgraded() !== 101) throw new Error('a client was not let in')
    for (let i = 0; i < 1 + dice.next(10); i++) socket.ws.send(texts(dice), { binary: dice.next(4) === 0 }, () => {})
    if (dice.next(2)) socket.ws.terminate()
    else socket.ws.close()
  },
  async (dice) => { // noise
    const socket = await open()
    await write(socket, dice.bytes(dice.next(3000)))
    socket.destroy()
  },
]

it(`${rounds} attacks on every route leave the server up, and two bystanders undisturbed`, async () => {
  const [left, right] = [await connect(ws, 'bystander'), await connect(ws, 'friend')]
  let said = 0
  for (let round = 0; round < rounds; round++) {
    const dice = new Dice(round)
    await dice.one(attacks)(dice, round)
    if (slow.length > 50) slow.shift()?.destroy()
    left.offer('friend', said)
    expect(await right.next()).toEqual({ type: 'OFFER', src: 'bystander', dst: 'friend', payload: said++ })
    right.send({ type: 'ANSWER', payload: said, dst: 'bystander' })
    // What was let through to the bystander on purpose is a message like any other; of the friend there is exactly one.
    for (;;) {
      const message = await left.next() as { src: string, payload: unknown }
      if (message.src !== 'friend') continue
      expect(message.payload).toBe(said)
      break
    }
  }
  // All of that arrived where it was meant to.
  const { answers, expelled, messages, links } = server.hub.counters
  expect(messages).toBeGreaterThan(said * 2)
  expect(links).toBeGreaterThan(rounds / 10)
  expect([...expelled.keys()]).toContain('message-too-big')
  for (const status of ['200', '404', '405']) expect([...answers.keys()]).toContain(status)
  expect([left.ws.readyState, right.ws.readyState, right.unread]).toEqual([1, 1, 0])
  const ended = slow.map(socket => socket.destroyed || once(socket, 'close'))
  for (const socket of slow) socket.destroy()
  await Promise.all(ended)
  expect(await (await fetch(`${listener.url}health`)).json()).toEqual({ status: 'ok' })
  // Whoever came is gone again, or given up.
  await expect.poll(() => server.hub.ids().sort(), { timeout: 15_000 }).toEqual(['bystander', 'friend'])
}, 600_000)
