// Two peers with the real core and the real hub, over WebSocket, event streams and polls that break.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type DataConnection, Peer, type PeerOptions } from '../../js/index.js'
import { Counting } from '../../js/signaling/counting.js'
import { type Network, hub } from './network.js'
import { talk, useNetwork } from './two-peers.js'
import { type Frame, type Kind, Web } from './web.js'

// After everything is over: the hooks below are played the other way round.
afterEach(() => void vi.restoreAllMocks())

const world = useNetwork(() => import('../../js/signaling/over-http.js'))
let net: Network
let web: Web
/** What the cores said to each other, and what they were told. */
let said: Relayed[]
let told: Relayed[]

interface Relayed { src: string, dst: string, type: string, payload: unknown }

beforeEach(() => {
  net = world.net
  web = new Web(hub())
  said = []
  told = []
  vi.stubGlobal('sessionStorage', new Storage())

  const connect = Counting.prototype.connect
  vi.spyOn(Counting.prototype, 'connect').mockImplementation(function (this: Counting, transport, id, token, handlers) {
    const note = (list: Relayed[], text: string): void => {
      const message = JSON.parse(text) as Relayed
      const { src = id, dst, type, payload } = message
      if (/^(?:OFFER|ANSWER|CANDIDATE)$/.test(type)) list.push({ src, dst, type, payload })
    }
    const channel = connect.call(this, transport, id, token, {
      ...handlers,
      message: (text) => {
        note(told, text)
        handlers.message(text)
      },
    })
    return {
      close: () => channel.close(),
      send(text) {
        note(said, text)
        channel.send(text)
      },
    }
  })
})

class Storage {
  readonly items = new Map<string, string>()
  getItem(key: string): string | null { return this.items.get(key) ?? null }
  setItem(key: string, value: string): void { this.items.set(key, value) }
}

function peer(id: string, options: PeerOptions = {}): Peer {
  const made = new Peer(id, { host: 'signal.example', port: 9000, secure: true, config: { owner: id } as RTCConfiguration, ...options })
  made.on('error', () => {})
  return world.own(made)
}

interface Pair { a: Peer, b: Peer, ab: DataConnection, ba: DataConnection }

/** ada calls bob, and both talk. Whatever happens on the way: one connection at each end, each message once. */
async function connected(options: PeerOptions = {}): Promise<Pair> {
  const [a, b] = [peer('ada', options), peer('bob', options)]
  const { ab, ba } = await talk(net, a, b)
  await net.until(() => a.open && b.open)
  expect([ab.open, ba.open]).toEqual([true, true])
  return { a, b, ab, ba }
}

/**
 * What one core said, the other was told, as often and in the same order. (The core says some things again by itself, after it
 * came back.)
 */
function expectEverythingOnce(): void {
  for (const [src, dst] of [['ada', 'bob'], ['bob', 'ada']]) {
    const between = (list: Relayed[]) => list.filter(one => one.src === src && one.dst === dst).map(one => JSON.stringify(one))
    expect(between(told)).toEqual(between(said))
  }
  expect(told.length).toBeGreaterThan(0)
}

const used = (id: string): Kind[] => [...new Set(web.opened.filter(one => one.id === id).map(({ kind }) => kind))]

describe('signaling over', () => {
  it.each<[PeerOptions['signaling'], Kind]>([['peerserver', 'ws'], ['sse', 'sse'], ['polling', 'poll']])('%s alone connects two peers', async (signaling, kind) => {
    await connected({ signaling })
    expect([used('ada'), used('bob')]).toEqual([[kind], [kind]])
    expectEverythingOnce()
  })

  it('polls of a server that does not hold them: once a second', async () => {
    web.hub.options.poll_timeout = 0
    const a = peer('ada', { signaling: 'polling' })
    await net.until(() => a.open)
    await net.pass(1000)
    const before = web.opened.length
    await net.pass(10_000)
    expect(web.opened.length - before).toBe(10)
  })

  it('different ways connects them all the same', async () => {
    const a = peer('ada', { signaling: 'polling' })
    const b = peer('bob', { signaling: 'sse' })
    await net.until(() => a.open && b.open)
    const ab = a.connect('bob')!
    await net.until(() => ab.open)
  })
})

describe('where WebSockets do not get through', () => {
  it.each(['refused', 'silent'] as const)('(%s) an event stream is used', async (how) => {
    web.blocked.set('ws', how)
    await connected()
    expect([used('ada'), used('bob')]).toEqual([['sse'], ['sse']])
  })

  it.each(['refused', 'silent'] as const)('nor event streams (%s) polls are used', async (how) => {
    web.blocked.set('ws', how)
    web.blocked.set('sse', how)
    await connected()
    expect([used('ada'), used('bob')]).toEqual([['poll'], ['poll']])
  })

  it('that is remembered, for the next peer of the page too, which does not wait for what is silent', async () => {
    web.blocked.set('ws', 'silent')
    const a = peer('ada')
    await net.until(() => a.open)
    const b = peer('bob')
    expect(await net.until(() => b.open)).toBeLessThan(500)
    a.disconnect()
    a.reconnect()
    expect(await net.until(() => a.open)).toBeLessThan(500)
    expect(used('ada')).toEqual(['sse'])
  })

  it('and nothing else does, the reason is what was wanted first', async () => {
    for (const kind of ['ws', 'sse', 'poll'] as const) web.blocked.set(kind, 'refused')
    const a = peer('ada')
    const errors: string[] = []
    a.on('error', error => errors.push(error.message))
    await net.until(() => errors.length > 0)
    expect(errors[0]).toContain('WebSocket')
  })

  it.each(['refused', 'silent'] as const)('(%s) in the middle of a session, it moves, and nothing is lost or doubled', async (how) => {
    const { a, b } = await connected()
    web.blocked.set('ws', how)
    web.break('ada')
    await net.until(() => !a.open)
    // On its way while ada is nowhere; who is away for longer than 5 s is not waited for.
    if (how === 'silent') await net.until(() => a.open, 20_000)
    const second = b.connect('ada')!
    await net.until(() => a.open && second.open)
    expect(used('ada')).toEqual(['ws', 'sse'])
    web.blocked.set('sse', how)
    web.break('ada')
    if (how === 'silent') {
      await net.until(() => !a.open)
      await net.until(() => a.open, 20_000)
    }
    const third = b.connect('ada')!
    await net.until(() => third.open)
    await net.until(() => a.open)
    expect(used('ada')).toEqual(['ws', 'sse', 'poll'])
    expectEverythingOnce()
  })
})

describe('a way that was named', () => {
  it('is not left for another', async () => {
    web.blocked.set('sse', 'refused')
    const a = peer('ada', { signaling: 'sse' })
    await net.pass(30_000)
    expect(a.open).toBe(false)
    expect(web.opened).toEqual([])
  })

  it('is one of several: the first that opens is used, another when it fails', async () => {
    web.blocked.set('poll', 'refused')
    const a = peer('ada', { signaling: ['polling', 'sse'] })
    await net.until(() => a.open)
    expect(used('ada')).toEqual(['sse'])
  })

  it('stands beside one of the application\'s own: who opens first wins, the other is closed', async () => {
    const closed = vi.fn()
    const own = (delay: number) => ({
      name: 'own',
      connect: (_id: string, _token: string, handlers: { opened(): void, message(text: string): void }) => {
        setTimeout(() => {
          handlers.opened()
          handlers.message('{"type":"OPEN"}')
        }, delay)
        return { send() {}, close: closed }
      },
    })
    const a = peer('ada', { signaling: [own(0), 'peerserver'] })
    await net.until(() => a.open)
    expect(closed).not.toHaveBeenCalled()
    await net.pass(1000)
    expect(web.hub.has('ada')).toBe(false)
    const b = peer('bob', { signaling: [own(5000), 'peerserver'] })
    await net.until(() => b.open)
    expect(web.hub.has('bob')).toBe(true)
    expect(closed).toHaveBeenCalledOnce()
  })
})

describe('with a network that goes away', () => {
  it.each<[PeerOptions['signaling']]>([['peerserver'], ['sse'], ['polling']])('for a minute, over %s: what was sent meanwhile arrives once and in order', async (signaling) => {
    const a = peer('ada', { signaling })
    const b = peer('bob', { signaling })
    await net.until(() => a.open && b.open)
    web.cut.add('bob')
    await net.pass(100)
    a.connect('bob')
    await net.pass(40_000)
    a.connect('bob')
    await net.pass(15_000)
    web.cut.delete('bob')
    await net.until(() => b.open)
    await net.pass(10_000)
    expectEverythingOnce()
  })
})

describe('a link that is cut at any message', () => {
  const kinds: [NonNullable<PeerOptions['signaling']>, Kind][] = [['peerserver', 'ws'], ['sse', 'sse'], ['polling', 'poll']]

  it.each(kinds)('over %s: always connects, nothing comes twice', async (signaling, kind) => {
    // Once undisturbed, to know how many there are.
    await connected({ signaling })
    const isCounted = (frame: Frame): boolean => frame.kind === kind
    const count = Math.min(40, web.frames.filter(isCounted).length)
    expect(count).toBeGreaterThan(5)

    for (let cut = 0; cut < count; cut++) {
      for (const fate of ['lost', 'last'] as const) {
        world.destroy()
        await net.pass(20_000)
        told.length = 0
        said.length = 0
        web.frames.length = 0
        web.hub = hub()
        let number = 0
        web.fate = frame => isCounted(frame) && number++ === cut ? fate : 'arrives'
        try {
          await connected({ signaling })
          expectEverythingOnce()
        }
        catch (error) {
          throw new Error(`message ${cut} was ${fate}: ${String(error)}`, { cause: error })
        }
      }
    }
  }, 120_000)
})
