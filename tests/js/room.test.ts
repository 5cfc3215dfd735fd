// Rooms: the real client with the real core, over the real hub.
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { type JoinOptions, Peer, type PeerOptions, type Room, type RoomMember } from '../../js/index.js'
import type { SignalingTransport } from '../../js/index.js'
import { Hub } from '../../js/server/hub.js'
import { type Network, StockServer, hub } from './network.js'
import { useNetwork } from './two-peers.js'
import { Web } from './web.js'

const world = useNetwork(() => Promise.all([import('../../js/signaling/over-http.js'), import('../../js/signaling/rooms.js')]))
let net: Network

beforeEach(() => {
  net = world.net
})

function peer(id: string, options: PeerOptions = {}): Peer {
  const made = new Peer(id, { signaling: net.transport(id), config: { owner: id } as RTCConfiguration, ...options })
  made.on('error', () => {})
  return world.own(made)
}

/** A peer whose signaling is a page's: WebSocket, event stream, polls. */
const page = (signaling: PeerOptions['signaling']): PeerOptions => ({ host: 'signal.example', port: 9000, secure: true, signaling })

interface Watched { room: Room, heard: string[] }

function join(by: Peer, metadata?: unknown, options: JoinOptions = {}, name = 'r'): Watched {
  const room = by.join(name, { metadata, ...options })
  return { room, heard: watch(room) }
}

function watch(room: Room): string[] {
  const heard: string[] = []
  room.on('joined', ({ id }) => heard.push(`+ ${id}`))
  room.on('left', ({ id }, reason) => heard.push(`- ${id} ${reason}`))
  room.on('updated', ({ id, metadata }) => heard.push(`~ ${id} ${JSON.stringify(metadata)}`))
  room.on('state', state => heard.push(state))
  room.on('error', ({ type }) => heard.push(`! ${type}`))
  return heard
}

/** Ada is in a room, and then bob comes. */
async function both(options: (id: string) => PeerOptions = () => ({})): Promise<{ a: Peer, b: Peer, ada: Watched, bob: Watched }> {
  const [a, b] = [peer('ada', options('ada')), peer('bob', options('bob'))]
  const ada = join(a, 'A')
  await net.until(() => ada.room.state === 'joined')
  const bob = join(b, 'B')
  await net.until(() => bob.room.state === 'joined' && ids(ada.room).length === 1)
  expect([ada.heard, bob.heard]).toEqual([['joined', '+ bob'], ['joined']])
  return { a, b, ada, bob }
}

const ids = (room: Room): string[] => [...room.members.keys()]

describe('a room', () => {
  it('tells who is here, who comes, who changes, and who goes', async () => {
    const [a, b] = [peer('ada'), peer('bob')]
    const ada = join(a, { name: 'Ada' })
    expect(ada.room.state).toBe('joining')
    await net.until(() => ada.room.state === 'joined')
    await expect(ada.room.ready).resolves.toBe(ada.room)
    expect(ids(ada.room)).toEqual([])

    const bob = join(b)
    await net.until(() => bob.room.state === 'joined' && ids(ada.room).length === 1)
    expect(bob.room.members.get('ada')).toEqual({ id: 'ada', metadata: { name: 'Ada' } } satisfies RoomMember)
    expect(ada.room.members.get('bob')).toEqual({ id: 'bob', metadata: undefined })

    bob.room.update({ name: 'Bob', __proto__: null })
    await net.until(() => ada.heard.length === 3)
    bob.room.leave()
    bob.room.leave()
    await net.until(() => ids(ada.room).length === 0)
    expect(ada.heard).toEqual(['joined', '+ bob', '~ bob {"name":"Bob"}', '- bob left'])
    // Who was here before is no news.
    expect(bob.heard).toEqual(['joined', 'left'])
    expect(ids(bob.room)).toEqual([])
  })

  it('is one of many, and of the peer for as long as it lives', async () => {
    const { a, ada, bob } = await both()
    const another = join(a, 2, {}, 'another')
    await net.until(() => another.room.state === 'joined')
    expect(ids(another.room)).toEqual([])
    a.destroy()
    expect([ada.room.state, another.heard]).toEqual(['left', ['joined', 'left']])
    await net.pass(50)
    expect(bob.heard).toEqual(['joined', '- ada left'])
  })

  it('may be joined twice by one peer, and is left with the last', async () => {
    const [a, b] = [peer('ada'), peer('bob')]
    const theirs = join(b)
    const first = join(a, 'first')
    await net.until(() => ids(theirs.room).length === 1)
    const second = join(a)
    await second.room.ready
    expect(ids(second.room)).toEqual(['bob'])
    second.room.update('second')
    await net.until(() => theirs.room.members.get('ada')?.metadata === 'second')
    first.room.leave()
    await net.pass(1000)
    expect([ids(first.room), ids(second.room), ids(theirs.room)]).toEqual([[], ['bob'], ['ada']])
    second.room.leave()
    await net.until(() => ids(theirs.room).length === 0)
  })

  it('left before anything was said was never joined', async () => {
    const [a, b] = [peer('ada'), peer('bob')]
    const theirs = join(b)
    const { room, heard } = join(a)
    room.leave()
    await expect(room.ready).rejects.toMatchObject({ type: 'cancelled' })
    await net.pass(1000)
    expect([heard, theirs.heard]).toEqual([['left'], ['joined']])
  })

  it('left while the server is at work is left there too', async () => {
    const [a, b] = [peer('ada'), peer('bob')]
    const theirs = join(b)
    await net.until(() => a.open && theirs.room.state === 'joined')
    const { room } = join(a)
    await net.until(() => (net.server as Hub).rooms!.members('r').includes('ada'))
    expect(room.state).toBe('joining')
    room.leave()
    await net.until(() => theirs.heard.includes('+ ada'))
    await net.until(() => ids(theirs.room).length === 0, 100)
  })

  it('takes what a listener throws for the application\'s affair', async () => {
    const surfaced = vi.fn()
    vi.stubGlobal('reportError', surfaced)
    const [a, b] = [peer('ada'), peer('bob')]
    const ada = join(a)
    ada.room.on('joined', () => { throw new Error('of the application') })
    await net.until(() => ada.room.state === 'joined')
    join(b)
    await net.until(() => surfaced.mock.calls.length === 1)
    expect(a.open).toBe(true)
    expect(ids(ada.room)).toEqual(['bob'])
  })

  it('keeps its messages from the core', async () => {
    const log = vi.fn()
    const a = peer('ada', { debug: 2, logFunction: log })
    const ada = join(a)
    await net.until(() => ada.room.state === 'joined')
    join(peer('bob'))
    await net.until(() => ids(ada.room).length === 1)
    expect(log).not.toHaveBeenCalled()
  })
})

describe('through outages', () => {
  it('nobody is missed who is away for a moment, and it learns what it missed', async () => {
    const { a, ada, bob } = await both()
    net.lose('ada')
    await net.pass(20_000)
    const cyd = join(peer('cyd'))
    await net.until(() => ids(bob.room).length === 2)
    net.find('ada')
    await net.until(() => ids(ada.room).length === 2 && a.open)
    await net.pass(60_000)
    expect(ada.heard).toEqual(['joined', '+ bob', '+ cyd'])
    expect(bob.heard).toEqual(['joined', '+ cyd'])
    expect(cyd.heard).toEqual(['joined'])
  })

  it('who does not come back is lost', async () => {
    const { ada } = await both()
    net.kill('bob')
    await net.until(() => ids(ada.room).length === 0, 11_000)
    expect(ada.heard.at(-1)).toBe('- bob lost')
  })

  it('a server that was started anew is told again, and nobody is missed who comes back to it', async () => {
    const { a, b, ada, bob } = await both()
    net.stopServer()
    await net.pass(3000)
    net.startServer(hub())
    await net.until(() => a.open && b.open)
    await net.pass(20_000)
    expect([ada.heard, bob.heard]).toEqual([['joined', '+ bob'], ['joined']])
    expect([ids(ada.room), ids(bob.room)]).toEqual([['bob'], ['ada']])
    bob.room.update('new')
    await net.until(() => ada.room.members.get('bob')?.metadata === 'new')
  })

  it('who does not come back to a server that was started anew is lost', async () => {
    const { a, ada } = await both()
    net.stopServer()
    net.lose('bob')
    net.startServer(hub())
    await net.until(() => a.open)
    expect(ids(ada.room)).toEqual(['bob'])
    await net.until(() => ids(ada.room).length === 0, 12_000)
    expect(ada.heard).toEqual(['joined', '+ bob', '- bob lost'])
  })

  it('what was changed meanwhile is told afterwards', async () => {
    const { a, ada, bob } = await both()
    net.stopServer()
    await net.pass(100)
    ada.room.update(2)
    const late = join(a, 'x', {}, 'another')
    net.startServer(hub())
    await net.until(() => bob.room.members.get('ada')?.metadata === 2)
    await net.until(() => late.room.state === 'joined')
  })

  it('who leaves the server leaves the room, and is back in it when it comes back', async () => {
    const { a, ada, bob } = await both()
    a.disconnect()
    await net.until(() => ids(bob.room).length === 0, 100)
    expect(ada.room.state).toBe('joining')
    a.reconnect()
    await net.until(() => ids(bob.room).length === 1)
    await net.until(() => ada.room.state === 'joined')
    expect(ids(ada.room)).toEqual(['bob'])
  })
})

describe('over', () => {
  it.each<[PeerOptions['signaling']]>([['peerserver'], ['sse'], ['polling']])('%s, whose links break at any message, everybody learns everything once', async (signaling) => {
    const web = new Web(hub())
    let seen = 0
    const [a, b] = [peer('ada', page(signaling)), peer('bob', page(signaling))]
    const ada = join(a)
    await net.until(() => ada.room.state === 'joined')
    // Every third message of rooms is lost with what carried it.
    web.fate = ({ text }) => /ROOM|JOIN|PART/.test(text) && ++seen % 3 === 0 ? 'lost' : 'arrives'
    const bob = join(b, 0)
    for (let n = 1; n <= 5; n++) {
      await net.until(() => bob.room.state === 'joined' && b.open)
      bob.room.update(n)
      await net.until(() => ada.room.members.get('bob')?.metadata === n)
    }
    bob.room.leave()
    await net.until(() => ids(ada.room).length === 0)
    await net.pass(20_000)
    expect(seen).toBeGreaterThan(12)
    expect(ada.heard.filter(text => text.startsWith('+') || text.startsWith('-'))).toEqual(['+ bob', '- bob left'])
    const updates = ada.heard.filter(text => text.startsWith('~'))
    expect(updates).toEqual([...new Set(updates)])
    expect(updates.at(-1)).toBe('~ bob 5')
  })

  it('another way than before, nobody is missed', async () => {
    const web = new Web(hub())
    const { a, ada, bob } = await both(() => page('peerserver'))
    web.blocked.set('ws', 'refused')
    web.break('ada')
    await net.until(() => web.opened.some(({ kind, id }) => kind !== 'ws' && id === 'ada'))
    await net.until(() => a.open)
    bob.room.update('hello')
    await net.until(() => ada.heard.at(-1) === '~ bob "hello"')
    await net.pass(20_000)
    expect(bob.heard).toEqual(['joined'])
  })

  it('polls a page that is closed is gone at once', async () => {
    new Web(hub())
    const target = new EventTarget()
    vi.stubGlobal('addEventListener', target.addEventListener.bind(target))
    const { bob } = await both(id => page(id === 'ada' ? 'polling' : 'peerserver'))
    target.dispatchEvent(new Event('pagehide'))
    await net.until(() => ids(bob.room).length === 0, 100)
    expect(bob.heard.at(-1)).toBe('- ada gone')
  })
})

describe('a server without rooms', () => {
  it('that is PeerServer is found out within 5 s, and everything else works', async () => {
    net.startServer(new StockServer())
    const [a, b] = [peer('ada'), peer('bob')]
    await net.until(() => a.open && b.open)
    const { room, heard } = join(a)
    expect(await net.until(() => room.state === 'left')).toBeLessThanOrEqual(5100)
    await expect(room.ready).rejects.toMatchObject({ type: 'rooms-unavailable', message: expect.stringContaining('PeerServer') })
    expect(heard).toEqual(['! rooms-unavailable', 'left'])
    const conn = a.connect('bob')!
    await net.until(() => conn.open)
  })

  it('is found out sooner when that is asked for', async () => {
    net.startServer(new StockServer())
    const a = peer('ada')
    await net.until(() => a.open)
    const { room } = join(a, undefined, { timeout: 1000 })
    expect(await net.until(() => room.state === 'left')).toBeLessThanOrEqual(1100)
  })

  it('is not one that cannot be reached', async () => {
    const a = peer('ada')
    await net.until(() => a.open)
    net.lose('ada')
    const { room, heard } = join(a)
    await net.pass(30_000)
    expect(heard).toEqual([])
    net.find('ada')
    await net.until(() => room.state === 'joined')
  })

  it('says so by itself where they are switched off', async () => {
    net.startServer(new Hub({ rooms: false }))
    const { room } = join(peer('ada'))
    expect(await net.until(() => room.state === 'left')).toBeLessThan(1000)
    await expect(room.ready).rejects.toMatchObject({ type: 'rooms-unavailable' })
  })
})

describe('what is refused', () => {
  it.each([[''], ['ä'.repeat(129)], ['\ud800']])('the name %j', async (name) => {
    const { room } = join(peer('ada'), undefined, {}, name)
    await net.until(() => room.state === 'left')
    await expect(room.ready).rejects.toMatchObject({ type: 'invalid-argument' })
  })

  it('metadata that JSON cannot carry, at once', () => {
    const a = peer('ada')
    expect(() => a.join('r', { metadata: 1n })).toThrow(expect.objectContaining({ type: 'invalid-argument' }))
    const { room } = join(a)
    expect(() => room.update({ n: 1n })).toThrow(expect.objectContaining({ type: 'invalid-argument' }))
  })

  it('metadata that is too long; in a room that was joined the old ones stay', async () => {
    const [a, b] = [peer('ada'), peer('bob')]
    const { room, heard } = join(a, 'x'.repeat(5000))
    await net.until(() => room.state === 'left')
    expect(heard[0]).toBe('! message-too-big')
    const [again, bob] = [join(a, 'short'), join(b)]
    await net.until(() => ids(bob.room).length === 1)
    again.room.update('x'.repeat(5000))
    await net.until(() => again.heard.includes('! message-too-big'))
    expect([again.room.state, bob.room.members.get('ada')?.metadata]).toEqual(['joined', 'short'])
  })

  it('a room that is full, and one too many', async () => {
    net.startServer(new Hub({ rooms: { members: 1, rooms: 1 } }))
    const [a, b] = [peer('ada'), peer('bob')]
    const ada = join(a)
    await net.until(() => ada.room.state === 'joined')
    const [full, many] = [join(b), join(a, undefined, {}, 'another')]
    await net.until(() => full.room.state === 'left' && many.room.state === 'left')
    expect([full.heard[0], many.heard[0]]).toEqual(['! room-full', '! room-limit'])
  })

  it('a peer that is destroyed', async () => {
    const a = peer('ada')
    await net.until(() => a.open)
    a.destroy()
    const { room } = join(a)
    await net.until(() => room.state === 'left')
    await expect(room.ready).rejects.toMatchObject({ type: 'disconnected' })
  })
})

describe('what a hostile server says', () => {
  const said: [string, string][] = [
    ['no JSON', '{"type":"ROOM"'],
    ['no room', '{"type":"ROOM","payload":{}}'],
    ['no payload', '{"type":"ROOM","room":"r"}'],
    ['a payload of another kind', '{"type":"ROOM","room":"r","payload":[]}'],
    ['members that are none', '{"type":"ROOM","room":"r","payload":{"life":"x","n":1,"members":[null,1,{"id":{}},{"id":"__proto__","metadata":{"__proto__":1}}]}}'],
    ['changes that are none', '{"type":"ROOM","room":"r","payload":{"life":"x","n":2,"joined":{},"left":7}}'],
    ['an error that is none', '{"type":"ROOM","room":"other","payload":{"error":{},"msg":[]}}'],
    ['too much', `{"type":"ROOM","room":"r","payload":{"life":"${'x'.repeat(5_000_000)}","n":1}}`],
  ]

  it.each(said)('%s changes nothing', async (_what, text) => {
    let say!: (text: string) => void
    const transport = net.transport('ada')
    const signaling: SignalingTransport = { ...transport, connect: (id, token, handlers) => {
      say = handlers.message
      return transport.connect(id, token, handlers)
    } }
    const a = peer('ada', { signaling })
    const { room } = join(a)
    await net.until(() => room.state === 'joined')
    say(text)
    await net.pass(1000)
    join(peer('bob'))
    await net.until(() => room.members.has('bob'))
    expect(a.open).toBe(true)
    expect(room.state).toBe('joined')
  })
})
