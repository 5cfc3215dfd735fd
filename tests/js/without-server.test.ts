// Signaling without a server: tabs of one browser, and carriers of the application's own. Two peers with the real core.
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { broadcastChannel, custom, Peer, type PeerOptions, type SignalingTransport } from '../../js/index.js'
import type { CustomMessage, CustomOptions } from '../../js/index.js'
import { hub, type Network } from './network.js'
import { talk, useNetwork } from './two-peers.js'
import { Web } from './web.js'

const world = useNetwork(() => import('../../js/driver/late.js'))
let net: Network

beforeEach(() => {
  net = world.net
})

interface Seen extends Peer { errors: string[] }

function peer(id: string | undefined, signaling: PeerOptions['signaling'], options: PeerOptions = {}): Seen {
  const made = new Peer(id, { signaling: signaling!, config: { owner: id } as RTCConfiguration, ...options }) as Seen
  made.errors = []
  made.on('error', ({ type }) => made.errors.push(type))
  return world.own(made)
}

async function connected(a: Peer, b: Peer): Promise<Awaited<ReturnType<typeof talk>>> {
  const ends = await talk(net, a, b)
  expect([ends.ab.open, ends.ba.open]).toEqual([true, true])
  return ends
}

/** BroadcastChannel within one process, on the tests' clock; tabs can be frozen, and their pages put away. */
class Tabs {
  readonly channels = new Set<Tab>()
  /** What happens to the page of the peer that is made next. */
  page = new EventTarget()
  readonly said: unknown[] = []

  constructor() {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- for the class below
    const tabs = this
    vi.stubGlobal('BroadcastChannel', class extends Tab {
      constructor(name: string) { super(tabs, name) }
    })
    vi.stubGlobal('addEventListener', (name: string, heard: EventListener, options: AddEventListenerOptions) =>
      this.page.addEventListener(name, heard, options))
  }
}

class Tab {
  onmessage: ((event: { data: unknown }) => void) | null = null
  frozen: unknown[] | null = null
  constructor(readonly tabs: Tabs, readonly name: string) { tabs.channels.add(this) }
  postMessage(data: unknown): void {
    if (!this.tabs.channels.has(this)) throw new Error('InvalidStateError')
    this.tabs.said.push(data)
    for (const other of this.tabs.channels) {
      if (other === this || other.name !== this.name) continue
      const copy = structuredClone(data)
      setTimeout(() => other.#arrive(copy), 1)
    }
  }

  #arrive(data: unknown): void {
    if (this.frozen) this.frozen.push(data)
    else if (this.tabs.channels.has(this)) this.onmessage?.({ data })
  }

  thaw(): void {
    const waiting = this.frozen ?? []
    this.frozen = null
    for (const data of waiting) this.#arrive(data)
  }

  close(): void { this.tabs.channels.delete(this) }
}

const transition = (name: string, persisted: boolean): Event => Object.assign(new Event(name), { persisted })

describe('broadcastChannel()', () => {
  let tabs: Tabs
  beforeEach(() => { tabs = new Tabs() })

  it('connects two tabs without any server', async () => {
    net.serverUp = false
    await connected(peer('ada', broadcastChannel()), peer('bob', broadcastChannel()))
  })

  it('gives random ids, and lists those that are there', async () => {
    const signaling = broadcastChannel()
    const [a, b] = [peer(undefined, signaling), peer('bob', broadcastChannel())]
    await net.until(() => a.open && b.open)
    const ids = vi.fn()
    a.listAllPeers(ids)
    await net.pass(300)
    expect(ids.mock.calls[0]![0].sort()).toEqual([a.id, 'bob'].sort())
  })

  it('gives an id to one tab only', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    const second = peer('ada', broadcastChannel())
    await net.until(() => second.destroyed)
    expect(second.errors).toEqual(['unavailable-id'])
    expect(a.open).toBe(true)
  })

  it('gives it to one of two that ask at the same time', async () => {
    const both = [peer('ada', broadcastChannel()), peer('ada', broadcastChannel())]
    await net.until(() => both.some(one => one.open) && both.some(one => one.destroyed))
    expect(both.flatMap(({ errors }) => errors)).toEqual(['unavailable-id'])
  })

  it('frees an id when its peer is destroyed', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    a.destroy()
    await net.pass(100)
    const next = peer('ada', broadcastChannel())
    await net.until(() => next.open)
  })

  it('keeps those apart whose name differs', async () => {
    const [a, b, c] = [peer('ada', broadcastChannel({ name: 'one' })), peer('ada', broadcastChannel({ name: 'two' })), peer('bob', broadcastChannel({ name: 'two' }))]
    await net.until(() => a.open && b.open && c.open)
    a.connect('bob')
    await net.until(() => a.errors.length)
    expect(a.errors).toEqual(['peer-unavailable'])
  })

  it('says within a second that nobody has an id', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    const conn = a.connect('nobody')
    let closed = false
    conn.on('close', () => { closed = true })
    expect(await net.until(() => closed)).toBeLessThanOrEqual(1000)
    expect(a.errors).toEqual(['peer-unavailable'])
  })

  it('answers the core\'s own question, whether the way is still there', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    await net.pass(60_000)
    expect(a.open).toBe(true)
    expect(a.errors).toEqual([])
    expect(tabs.said).toHaveLength(1)
  })

  it('a page that ends while others wait for it is missed at once', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    tabs.page = new EventTarget()
    const b = peer('bob', broadcastChannel())
    await net.until(() => b.open)
    const { ab } = await connected(a, b)
    net.lose('bob')
    await net.until(() => ab.state === 'recovering')
    tabs.page.dispatchEvent(transition('pagehide', false))
    const took = await net.until(() => ab.state === 'closed')
    expect(took).toBeLessThan(100)
  })

  it('a page that is put away leaves, and comes back with its id when it is shown again', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    tabs.page.dispatchEvent(transition('pagehide', true))
    const other = peer('ada', broadcastChannel())
    await net.until(() => other.open)
    other.destroy()
    await net.pass(300)
    tabs.page.dispatchEvent(transition('pageshow', true))
    expect(a.open).toBe(false)
    await net.until(() => a.open)
    await connected(a, peer('bob', broadcastChannel()))
  })

  it('a tab that was frozen while another took its id has it alone once it wakes up', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    const [tab] = tabs.channels
    tab!.frozen = []
    const b = peer('ada', broadcastChannel(), { autoReconnect: false })
    await net.until(() => b.open)
    tab!.thaw()
    await net.until(() => !b.open)
    expect(a.open).toBe(true)
    expect(b.errors).toEqual(['unavailable-id'])
  })

  it('is the way where it answers before the server', async () => {
    const web = new Web(hub())
    web.blocked.set('ws', 'silent')
    const options = { host: 'signal.example', port: 9000, secure: true }
    const ways = (): PeerOptions['signaling'] => [broadcastChannel(), 'peerserver']
    await connected(peer('ada', ways(), options), peer('bob', ways(), options))
    expect(web.opened).toEqual([])
  })

  it('stands by where the server answers first', async () => {
    const web = new Web(hub())
    const a = peer('ada', [broadcastChannel(), 'peerserver'], { host: 'signal.example', port: 9000, secure: true })
    await net.until(() => a.open)
    expect(web.opened).toEqual([{ kind: 'ws', id: 'ada' }])
    expect(tabs.channels.size).toBe(0)
  })

  it('says what is wrong where there is no BroadcastChannel', async () => {
    vi.stubGlobal('BroadcastChannel', undefined)
    const a = peer('ada', broadcastChannel(), { autoReconnect: false })
    await net.until(() => a.state === 'idle')
    expect(a.errors).toEqual(['network'])
  })

  it('does not stumble over what others say on its channel', async () => {
    const a = peer('ada', broadcastChannel())
    await net.until(() => a.open)
    const stranger = new BroadcastChannel('peerbridge')
    for (const junk of [null, 'text', 7, {}, { type: 'x' }, { type: 'message' }, { type: 'message', message: { dst: 'ada', type: 'OFFER' } }]) stranger.postMessage(junk)
    await net.pass(100)
    expect(a.open).toBe(true)
    await connected(a, peer('bob', broadcastChannel()))
  })
})

/** Keeps messages like a database with live queries: every row is shown at least once, in any order, as late as it likes. */
class Store {
  readonly rows: { to: string, message: CustomMessage }[] = []
  readonly watchers = new Set<{ id: string, show: (message: unknown) => void }>()
  /** When a row is shown, ms after it was written: once for each. */
  moments = (): number[] => [5]
  /** What comes out of it. */
  shape = (message: CustomMessage): unknown => structuredClone(message)

  readonly options: CustomOptions = {
    send: (to, message) => {
      const row = { to, message: structuredClone(message) }
      this.rows.push(row)
      for (const moment of this.moments()) {
        setTimeout(() => {
          for (const { id, show } of this.watchers) if (id === to) show(this.shape(row.message))
        }, moment)
      }
    },
    onMessage: (id, show) => {
      const watcher = { id, show }
      this.watchers.add(watcher)
      return () => void this.watchers.delete(watcher)
    },
  }
}

/** Numbers that look random and are the same every time (Numerical Recipes). */
function* numbers(seed: number): Generator<number, never> {
  for (;;) yield (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}

describe('custom()', () => {
  let store: Store
  const way = (more: Partial<CustomOptions> = {}): SignalingTransport => custom({ ...store.options, ...more })
  beforeEach(() => { store = new Store() })

  it('connects two peers over a store', async () => {
    await connected(peer('ada', way()), peer('bob', way()))
    expect(store.rows[0]!.message).toMatchObject({ type: 'OFFER', src: 'ada', dst: 'bob', number: 1 })
  })

  it('takes the text of a message as well', async () => {
    store.shape = message => JSON.stringify(message)
    await connected(peer('ada', way()), peer('bob', way()))
  })

  it.each(Array.from({ length: 20 }, (_, seed) => seed))('takes what comes twice, thrice, late and out of order (%i)', async (seed) => {
    const random = numbers(seed)
    const next = (): number => random.next().value
    store.moments = () => Array.from({ length: 1 + Math.floor(next() * 3) }, () => Math.floor(next() ** 4 * 3000))
    await connected(peer('ada', way()), peer('bob', way()))
  })

  it('hands each message on once, in the order in which it was sent', async () => {
    const transport = way()
    const heard: string[] = []
    let receive = (_: unknown): void => {}
    const channel = custom({ send: () => {}, onMessage: (_, to) => { receive = to } }).connect('bob', 't', {
      opened: () => {}, closed: () => {}, message: text => heard.push((JSON.parse(text) as { n: string }).n ?? 'open'),
    })
    await net.pass(1)
    const say = (number: number, from = 'x'): void => receive({ type: 'CANDIDATE', src: 'ada', dst: 'bob', from, number, n: `${from}${number}` })
    for (const number of [2, 1, 1, 2, 4, 3, 3, 6]) say(number)
    expect(heard).toEqual(['open', 'x1', 'x2', 'x3', 'x4'])
    // What stays away does not hold up the rest for ever, and is taken when it comes.
    await net.pass(300)
    expect(heard.at(-1)).toBe('x6')
    say(5)
    say(5)
    expect(heard.slice(-2)).toEqual(['x6', 'x5'])
    // Somebody who has talked to an earlier page of ours.
    say(41, 'y')
    await net.pass(300)
    expect(heard.at(-1)).toBe('y41')
    channel.close()
    say(7)
    expect(heard).toHaveLength(8)
    expect(transport.name).toBe('custom')
  })

  it('drops what is not for it or no message, however it looks', async () => {
    const message = vi.fn()
    let receive = (_: unknown): void => {}
    custom({ send: () => {}, onMessage: (_, to) => { receive = to } }).connect('bob', 't', { opened: () => {}, closed: () => {}, message })
    await net.pass(1)
    for (const junk of [null, undefined, 7, '', '{', '[]', 'null', {}, { dst: 'bob' }, { dst: 'bob', from: 'x' }, { dst: 'bob', from: 'x', number: '1' }, { dst: 'bob', from: 'x', number: 0 }, { dst: 'eve', from: 'x', number: 1 }]) receive(junk)
    await net.pass(1000)
    expect(message.mock.calls).toEqual([['{"type":"OPEN"}']])
  })

  it('is open when the store listens', async () => {
    let listens = (): void => {}
    const a = peer('ada', way({ onMessage: () => new Promise((resolve) => { listens = () => resolve(undefined) }) }))
    await net.pass(1000)
    expect(a.open).toBe(false)
    listens()
    await net.until(() => a.open)
  })

  it('ends what onMessage began, a function or a subscription', async () => {
    const unsubscribe = vi.fn()
    const [a, b] = [peer('ada', way({ onMessage: () => unsubscribe })), peer('bob', way({ onMessage: () => Promise.resolve({ unsubscribe }) }))]
    await net.until(() => a.open && b.open)
    a.destroy()
    b.destroy()
    await net.pass(10)
    expect(unsubscribe).toHaveBeenCalledTimes(2)
  })

  it('tells that a peer is not there where send knows it', async () => {
    const a = peer('ada', way({ send: () => Promise.resolve(false) }))
    await net.until(() => a.open)
    a.connect('nobody')
    await net.until(() => a.errors.length, 100)
    expect(a.errors).toEqual(['peer-unavailable'])
  })

  it.each<[string, Partial<CustomOptions>]>([
    ['onMessage throws', { onMessage: () => { throw new Error('no access') } }],
    ['onMessage rejects', { onMessage: () => Promise.reject(new Error('no access')) }],
  ])('%s: the peer says why, and tries again', async (_, options) => {
    let broken = true
    const told: string[] = []
    const a = peer('ada', way({ onMessage: (...how) => broken ? options.onMessage!(...how) : store.options.onMessage(...how) }))
    a.on('error', ({ message }) => told.push(message))
    await net.until(() => told.length)
    expect(told[0]).toContain('no access')
    broken = false
    await net.until(() => a.open)
  })

  it('connects all the same when the store fails in the middle', async () => {
    let failures = 2
    const send: CustomOptions['send'] = (to, message) => {
      if (failures-- > 0) throw new Error('quota')
      return store.options.send(to, message)
    }
    const [a, b] = [peer('ada', way({ send })), peer('bob', way())]
    await net.until(() => a.open && b.open)
    const ab = a.connect('bob')
    await net.until(() => ab.open)
    expect(a.errors).toContain('network')
  })
})
