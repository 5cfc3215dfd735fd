/**
 * Every pairing of the libraries, at both servers. What PeerJS delivers to PeerJS in the same run is what has to arrive, but where
 * corrected.ts lists that PeerJS corrupts a value. INTEROP_FULL=1 (npm run interop) plays all of it, `npm test` a part.
 */
import { expect } from '@playwright/test'
import { avoided, corrected } from './corrected.js'
import type { Way } from './corrected.js'
import type { End, Interop, Pairing } from './page/matrix.js'
import type { ServerName } from './servers.js'
import { places, worldOf } from './world.js'

const test = worldOf<Interop>('matrix.ts')
const full = !!process.env.INTEROP_FULL

interface Life { here: object, there: object, closed: string[] }

const ours: End = { library: 'peerbridge' }
const foreign: End = { library: 'peerbridge', options: { protocol: 'peerjs' } }
const peerjs: End = { library: 'peerjs' }
const old: End = { library: 'peerjs-1.4' }

const name = ({ library, options }: End): string => `${library}${options ? ' speaking PeerJS' : ''}`
const servers: ServerName[] = ['PeerServer', 'peerbridge']
const pairings: [End, End][] = [[ours, peerjs], [peerjs, ours], [foreign, foreign]]

const way = (from: End, to: End): Way => to === peerjs ? 'to PeerJS' : from === peerjs ? 'from PeerJS' : 'between us'
const serializations = ['binary', 'json', 'raw', 'MsgPack']
// What is packed in 16,300 bytes is one frame, in more it is cut; so is what a stream writes above 32,768.
const sizes = [0, 1, 16_284, 16_295, 16_296, 16_300, 70_000, 1_000_000, ...full ? [5_000_000, 20_000_000] : []].map(size => `bytes ${size}`)

/** `npm test` plays everything at PeerServer, and at ours what depends on a server: that what it relays is what was sent. */
const played = full ? servers : servers.slice(0, 1)

for (const server of played) {
  test.describe(`values, at ${server}`, () => {
    for (const serialization of serializations) {
      test(`${serialization}: what arrives is what PeerJS delivers, or what was sent`, async ({ world }) => {
        test.setTimeout(180_000)
        const at = places(world.servers[server])
        const play = (from: End, to: End, kinds: string[], alike = false): Promise<Record<string, string[]>> =>
          world.ask('values', { from, to, server: at }, serialization, kinds, { alike })
        const all = await world.ask('kinds')
        const kinds = all.filter(kind => !avoided[serialization]?.test(kind))
        if (serialization === 'binary' || serialization === 'MsgPack') kinds.push(...sizes)
        const delivered = await play(peerjs, peerjs, kinds)
        // At PeerJS, bytes that came in pieces are a Uint8Array, and others an ArrayBuffer; here always the latter.
        const alike = serialization === 'binary' ? await play(peerjs, peerjs, kinds, true) : delivered
        for (const [from, to] of pairings) {
          const got = await play(from, to, kinds)
          for (const kind of kinds) {
            let wanted = corrected[serialization]?.[kind]?.[way(from, to)] ?? (to === peerjs ? delivered : alike)[kind]!
            if (wanted.length === 1 && wanted[0]!.length > 200) wanted = [await world.ask('shorten', wanted[0]!)]
            expect.soft(got[kind], `${name(from)} to ${name(to)}: ${kind}`).toEqual(wanted)
          }
          if (to.library === 'peerbridge') expect.soft(got.uncaught, `${name(from)} to ${name(to)}`).toBeUndefined()
        }
      })
    }
  })
}

test('binary-utf8, default and no name at all are binary to PeerJS, and from it', async ({ world }) => {
  const kinds = ['number 1', 'string "café"', 'event', 'object', 'string 17000', 'date', 'bytes 20000']
  const at = places(world.servers.PeerServer)
  for (const serialization of ['binary-utf8', 'default', undefined]) {
    const play = (from: End, to: End): Promise<Record<string, string[]>> =>
      world.ask('values', { from, to, server: at }, serialization ?? null, kinds, { alike: true })
    const expected = await play(peerjs, peerjs)
    for (const [from, to] of pairings) expect.soft(await play(from, to), `${String(serialization)}: ${name(from)} to ${name(to)}`).toEqual(expected)
  }
})

test('PeerJS 1.4.7 and we understand each other', async ({ world }) => {
  // Its BinaryPack is another one: what both carry.
  const kinds = ['number 1', 'number -33', 'number 65536', 'number 0.1', 'string "café"', 'string 17000', 'records 30', 'object',
    'null inside', 'ArrayBuffer 28', 'bytes 70000']
  for (const server of servers) {
    const at = places(world.servers[server])
    for (const serialization of ['binary', 'json', 'raw']) {
      const some = kinds.filter(kind => serialization === 'binary' || !/17000|records|bytes|Buffer|object/.test(kind))
      for (const [from, to] of [[ours, old], [old, ours]] as [End, End][]) {
        const got = await world.ask('values', { from, to, server: at }, serialization, some, { patient: true })
        const wanted = await world.ask('told', some, serialization)
        const title = `${name(from)} to ${name(to)} at ${server}, ${serialization}`
        for (const kind of some) expect.soft(got[kind], `${title}: ${kind}`).toEqual([wanted[kind]])
      }
    }
  }
})

for (const server of servers) {
  test(`connections are seen alike from both ends, and closed from either, at ${server}`, async ({ world }) => {
    test.setTimeout(180_000)
    const at = places(world.servers[server])
    const options = [
      { label: 'läbel', metadata: { m: [1, 'é', null] }, reliable: true, serialization: 'binary' },
      { reliable: false }, { serialization: 'json', reliable: true },
      ...full ? [{ serialization: 'MsgPack', reliable: true }, { serialization: 'binary-utf8' }, { label: 'x', metadata: 'text' }] : [],
    ]
    for (const [from, to] of pairings) {
      for (const [number, opts] of options.entries()) {
        for (const closer of ['from', 'to'] as const) {
          if (!full && closer === (number % 2 ? 'from' : 'to')) continue
          const life = (from: End, to: End): Promise<Life> =>
            world.ask('life', { from, to, server: at }, opts, closer) as Promise<Life>
          // The connectionId is random, and the label is it where none is given.
          const plain = (life: Life): object => JSON.parse(JSON.stringify(life).replace(/dc_[a-z0-9]+/g, 'dc_')) as object
          const [got, wanted] = [plain(await life(from, to)), plain(await life(peerjs, peerjs))]
          expect.soft(got, `${name(from)} to ${name(to)}, ${JSON.stringify(opts)}, closed by ${closer}`).toEqual(wanted)
        }
      }
    }
  })

  test(`what was sent before close({ flush: true }) arrives, and a peer that is destroyed closes everything, at ${server}`, async ({ world }) => {
    test.setTimeout(180_000)
    const at = places(world.servers[server])
    for (const [from, to] of pairings) {
      for (const closer of ['from', 'to'] as const) {
        const serialization = closer === 'from' ? 'binary' : 'MsgPack'
        const result = await world.ask('life', { from, to, server: at }, { reliable: true, serialization }, closer, true)
        expect.soft(result, `${name(from)} to ${name(to)}, closed by ${closer}`).toMatchObject({ closed: ['here', 'there'] })
        const told = await world.ask('destroyed', { from, to, server: at }, closer)
        const goes = closer === 'from' ? from : to
        // PeerJS leaves every second of its own open.
        expect.soft(told.length, `${name(from)} to ${name(to)}, ${closer} destroyed`).toBeGreaterThanOrEqual(goes === peerjs ? 2 : 4)
      }
    }
  })
}

for (const [from, to] of pairings) {
  test(`many small messages, ${name(from)} to ${name(to)}: all of them, in order`, async ({ world }) => {
    const count = full ? 20_000 : 3000
    for (const serialization of serializations) {
      const pairing: Pairing = { from, to, server: places(world.servers.peerbridge) }
      const got = await world.ask('many', pairing, serialization, count)
      expect.soft(got, serialization).toEqual({ count, ordered: true })
    }
  })
}

for (const server of servers) {
  for (const [from, to] of [[peerjs, peerjs], ...pairings, [ours, old], [old, ours]] as [End, End][]) {
    const title = `${name(from)} to ${name(to)} at ${server}`

    test(`calls: ${title}`, async ({ world }) => {
      const pairing: Pairing = { from, to, server: places(world.servers[server]) }
      const both = { audio: true, video: true }
      const cases: [string, { from: MediaStreamConstraints, to: MediaStreamConstraints | null }, 'from' | 'to'][] = [
        ['both show everything, the caller hangs up', { from: both, to: both }, 'from'],
        ['answered without a stream, the answerer hangs up', { from: both, to: null }, 'to'],
        ...full ? [
          ['sound only, the answerer hangs up', { from: { audio: true }, to: { audio: true } }, 'to'] as never,
          ['picture only, answered without a stream, the caller hangs up', { from: { video: true }, to: null }, 'from'] as never,
        ] : [],
      ]
      for (const [what, shows, closer] of cases) {
        const kinds = (wanted: MediaStreamConstraints | null): string[] => wanted ? [Object.keys(wanted).sort().join('+')] : []
        const result = await world.ask('call', pairing, shows, closer)
        const aux = ![from, to].includes(old)
        expect.soft(result, what).toMatchObject({
          metadata: { who: 'a', n: [1, 'é'] },
          streams: { from: kinds(shows.to), to: kinds(shows.from) },
          errors: [],
          ...aux && { closed: ['from', 'to'], channels: ['undefined', 'undefined'] },
        })
      }
    })
  }
}

for (const caller of ['ours', 'theirs'] as const) {
  test(`calls: what ours shows can change while it talks to PeerJS, ${caller === 'ours' ? 'called' : 'calling'}`, async ({ world }) => {
    const pairing: Pairing = { from: ours, to: peerjs, server: places(world.servers.PeerServer) }
    const result = await world.ask('tracks', pairing, caller)
    expect(result).toEqual({ closed: [], open: [true, true], offers: caller === 'ours' ? 1 : 0, streams: 1 })
  })
}

test('PeerJS never got a second OFFER for a connection', async ({ world }) => {
  for (const library of ['peerjs', 'peerjs-1.4'] as const) expect(await world.ask('offeredTwice', library)).toEqual([])
})
