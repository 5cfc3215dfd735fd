// What a client has to do with a server that is careful: tokens, credentials of its TURN server, an answer at once.
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { Peer, type PeerError, type PeerOptions } from '../../js/index.js'
import { createToken } from '../../js/server/index.js'
import { hub, type Network } from './network.js'
import { useNetwork } from './two-peers.js'
import { Web } from './web.js'

const secret = 'a secret that only this test knows'
const world = useNetwork(() => import('../../js/signaling/over-http.js'))
let net: Network
let web: Web

beforeEach(() => {
  net = world.net
  web = new Web(hub())
})

function peer(id: string, options: PeerOptions = {}): Peer & { errors: PeerError[] } {
  const made = new Peer(id, { host: 'signal.example', port: 9000, secure: true, config: { owner: id } as RTCConfiguration, ...options })
  const errors: PeerError[] = []
  made.on('error', error => errors.push(error))
  return Object.assign(world.own(made), { errors })
}

describe.each(['peerserver', 'sse', 'polling'] as const)('auth, over %s', (signaling) => {
  beforeEach(() => {
    web.hub.options.tokens = { secret }
  })

  it('is a text', async () => {
    const a = peer('ada', { signaling, auth: createToken({ secret, id: 'ada' }) })
    await net.until(() => a.open)
  })

  it('or is asked for anew for each link', async () => {
    const auth = vi.fn(() => Promise.resolve(createToken({ secret, id: 'ada', ttl: 5 })))
    const a = peer('ada', { signaling, auth })
    await net.until(() => a.open)
    expect(auth).toHaveBeenCalledTimes(1)
    await net.pass(60_000)
    // The link lives on without it.
    expect([a.open, auth.mock.calls.length]).toEqual([true, 1])
    // The server is another one; a link over HTTP would survive a mere break.
    web.hub = hub()
    web.hub.options.tokens = { secret }
    web.break('ada')
    await net.until(() => auth.mock.calls.length > 1)
    await net.until(() => web.hub.has('ada') && a.open)
    expect(a.errors.filter(({ type }) => type === 'not-authorized')).toEqual([])
  })

  it('that the server does not take ends the peer, with the server\'s word', async () => {
    const a = peer('ada', { signaling, auth: createToken({ secret, id: 'eve' }) })
    await net.until(() => a.errors.length > 0)
    expect(a.errors[0]).toMatchObject({ type: 'not-authorized', message: 'Not authorized to have this id' })
    await expect(a.ready).rejects.toMatchObject({ type: expect.any(String) as string })
    expect(web.hub.size).toBe(0)
  })

  it('that cannot be had is a server that cannot be reached, until it can', async () => {
    let works = false
    const auth = vi.fn(() => works ? createToken({ secret }) : Promise.reject(new Error('logged out')))
    const a = peer('ada', { signaling, auth })
    await net.until(() => a.errors.length > 0)
    expect(a.errors[0]).toMatchObject({ type: 'network', message: expect.stringContaining('logged out') as string })
    works = true
    await net.until(() => a.open)
  })
})

describe('connect', () => {
  const unavailable = async (options: { wait?: boolean }): Promise<number> => {
    const a = peer('ada')
    await net.until(() => a.open)
    const began = performance.now()
    const connection = a.connect('nobody', options)
    connection.on('error', () => {})
    await net.until(() => a.errors.length > 0)
    expect(a.errors).toMatchObject([{ type: 'peer-unavailable' }])
    const took = performance.now() - began
    await net.pass(20_000)
    expect(a.errors).toHaveLength(1)
    return took
  }

  it('waits some seconds for a page that may be loading', async () => {
    expect(await unavailable({})).toBeGreaterThan(4000)
  })

  it('with wait: false is told at once that nobody is there', async () => {
    expect(await unavailable({ wait: false })).toBeLessThan(500)
  })

  it('with wait: false connects like any other', async () => {
    const [a, b] = [peer('ada'), peer('bob')]
    await net.until(() => a.open && b.open)
    const ab = a.connect('bob', { wait: false })
    await net.until(() => ab.open)
    expect([...a.errors, ...b.errors]).toEqual([])
  })
})

describe('turn', () => {
  const own = { urls: 'stun:stun.example' }
  const options = (id: string): PeerOptions => ({ turn: true, config: { owner: id, iceServers: [own] } as RTCConfiguration })
  const servers = (pc: { asked: RTCIceServer[][] }): string[][] => pc.asked.map(list => list.map(({ urls, username }) => `${String(urls)} ${username ?? ''}`.trim()))

  beforeEach(() => {
    web.hub.options.turn = { secret: 'north', urls: 'turn:turn.example', ttl: 600 }
  })

  it('has credentials before the first candidate is gathered, on both sides', async () => {
    const [a, b] = [peer('ada', options('ada')), peer('bob', options('bob'))]
    // Before the server knows either of them.
    const ab = a.connect('bob')
    await net.until(() => ab.open && b.open)
    for (const pc of net.pcs) {
      for (const list of servers(pc)) {
        expect(list).toEqual(['stun:stun.example', expect.stringMatching(/^turn:turn\.example \d+:(?:ada|bob)$/)])
      }
      expect(pc.asked.length).toBeGreaterThan(0)
    }
  })

  it('has new ones before they end, for connections that live and for those to come', async () => {
    web.hub.options.turn = { secret: 'north', urls: 'turn:turn.example', ttl: 60 }
    const [a, b] = [peer('ada', options('ada')), peer('bob', options('bob'))]
    await net.until(() => a.open && b.open)
    const ab = a.connect('bob')
    await net.until(() => ab.open)
    const end = (): number => Number(/^(\d+):/.exec(net.pcs[0]?.config.iceServers?.[1]?.username ?? '')?.[1]) * 1000
    const first = end()
    expect(first - Date.now()).toBeLessThanOrEqual(60_000)
    for (let i = 0; i < 12; i++) {
      await net.pass(20_000)
      expect(end() - Date.now()).toBeGreaterThan(10_000)
    }
    expect(end()).toBeGreaterThan(first + 200_000)
    expect(ab.open).toBe(true)
    // An application's own configuration is its own.
    expect(options('ada').config).toMatchObject({ iceServers: [own] })
  })

  it.each<[string, () => void]>([
    ['has none', () => { web.hub.options.turn = null }],
    ['fails', () => { vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch'))) }],
    ['does not answer', () => { vi.stubGlobal('fetch', () => new Promise(() => {})) }],
    ['answers nonsense', () => { vi.stubGlobal('fetch', () => Promise.resolve(Response.json({ iceServers: 'turn:x' }))) }],
  ])('of a server that %s changes nothing', async (_, broken) => {
    broken()
    const [a, b] = [peer('ada', options('ada')), peer('bob', options('bob'))]
    const ab = a.connect('bob')
    await net.until(() => ab.open && b.open)
    for (const pc of net.pcs) for (const list of servers(pc)) expect(list).toEqual(['stun:stun.example'])
  })

  it('of a server that failed is asked again', async () => {
    web.hub.options.turn = null
    const real = fetch
    let broken = true
    vi.stubGlobal('fetch', (...args: Parameters<typeof fetch>) => broken ? Promise.reject(new TypeError('Failed to fetch')) : real(...args))
    const a = peer('ada', options('ada'))
    const b = peer('bob')
    await net.until(() => a.open && b.open)
    const ab = a.connect('bob')
    await net.until(() => ab.open)
    broken = false
    web.hub.options.turn = { secret: 'north', urls: 'turn:turn.example', ttl: 600 }
    await net.pass(31_000)
    expect(net.pcs.find(({ owner }) => owner === 'ada')?.config.iceServers).toHaveLength(2)
  })

  it('is not asked for unless it is wanted', async () => {
    const a = peer('ada')
    await net.until(() => a.open)
    await net.pass(60_000)
    expect(web.hub.counters.answers.get('200')).toBeUndefined()
  })
})
