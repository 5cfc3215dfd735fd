import { describe, expect, it } from 'vitest'
import type { SignalingServerOptions } from '../../js/server/options.js'
import { Client, World } from './world.js'

interface Told {
  type: string
  room?: string
  payload: {
    life?: string
    n?: number
    members?: { id: string, metadata?: unknown }[]
    joined?: { id: string, metadata?: unknown }[]
    left?: { id: string, reason: string }[]
    error?: string
    member?: boolean
  }
}

const join = (client: Client, room = 'r', metadata?: unknown, known?: { life?: unknown, n?: unknown }): void =>
  client.say({ type: 'JOIN', room, payload: { ...known, ...(metadata !== undefined && { metadata }) } })
const part = (client: Client, room = 'r'): void => client.say({ type: 'PART', room })

/** What a client was told of rooms since the last look. */
const told = (client: Client): Told['payload'][] =>
  (client.read() as Told[]).filter(({ type }) => type === 'ROOM').map(({ payload }) => payload)

/** The same, in short. */
const news = (client: Client): string[] => told(client).flatMap(({ members, joined, left, error }) => [
  ...(error ? [`! ${error}`] : []),
  ...(members ? [`here: ${members.map(({ id }) => id).join(' ')}`] : []),
  ...(left ?? []).map(({ id, reason }) => `- ${id} ${reason}`),
  ...(joined ?? []).map(({ id }) => `+ ${id}`),
])

/** These are in the room, and everything is told. */
function together(ids: readonly string[], options: SignalingServerOptions = {}): { world: World, clients: Client[] } {
  const world = new World(options)
  const clients = ids.map(id => world.client(id))
  for (const client of clients) join(client)
  world.pass(1000)
  for (const client of clients) client.read()
  return { world, clients }
}

describe('a room', () => {
  it('tells who joins everybody with their metadata, and the others that somebody came', () => {
    const world = new World()
    const [ada, bob] = [world.client('ada'), world.client('bob')]
    join(ada, 'r', { name: 'Ada' })
    expect(told(ada)).toMatchObject([{ members: [{ id: 'ada', metadata: { name: 'Ada' } }] }])
    world.pass(10)
    join(bob)
    expect(told(bob)).toMatchObject([{ n: 2, members: [{ id: 'ada', metadata: { name: 'Ada' } }, { id: 'bob' }] }])
    expect(told(ada)).toMatchObject([{ n: 2, joined: [{ id: 'bob' }], left: [] }])
  })

  it('is closed to who may only be in others', () => {
    const world = new World()
    const eve = new Client(world.hub, 'eve', 't', 'peerjs', undefined, undefined, { rooms: ['hers'] })
    join(eve, 'hers')
    join(eve)
    expect(news(eve)).toEqual(['here: eve', '! not-authorized'])
    expect(world.hub.rooms!.members('r')).toEqual([])
  })

  it('tells its members and nobody else', () => {
    const { world, clients: [ada] } = together(['ada'])
    const stranger = world.client('eve')
    stranger.read()
    join(world.client('bob'))
    part(ada!)
    stranger.say({ type: 'PART', room: 'r' })
    world.pass(1000)
    expect(stranger.read()).toEqual([])
  })

  it('tells when somebody leaves, and is gone when nobody is in it', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'])
    part(bob!)
    expect(news(ada!)).toEqual(['- bob left'])
    expect(told(bob!)).toEqual([])
    part(ada!)
    world.pass(1000)
    expect(world.hub.rooms?.size).toBe(0)
  })

  it('tells everybody the new metadata of a member, once for all changes within a pause', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'])
    for (const n of [1, 2, 3]) join(ada!, 'r', { n })
    world.pass(1000)
    const heard = told(bob!)
    expect(heard.map(({ joined }) => joined)).toEqual([[{ id: 'ada', metadata: { n: 1 } }], [{ id: 'ada', metadata: { n: 3 } }]])
    // The same again is no change.
    join(ada!, 'r', { n: 3 })
    world.pass(1000)
    expect(told(bob!)).toEqual([])
  })

  it('tells that somebody came anew who left and came within a pause, and nothing of who came and left', () => {
    const { world, clients: [ada, bob, cyd] } = together(['ada', 'bob', 'cyd'])
    join(ada!, 'r', 'makes the room busy')
    told(cyd!)
    part(bob!)
    join(bob!)
    const dan = world.client('dan')
    join(dan)
    part(dan)
    world.pass(1000)
    expect(news(cyd!)).toEqual(['- bob left', '+ bob'])
  })

  it('carries names and metadata of any script, and keys such as __proto__ mean nothing', () => {
    const world = new World()
    const [ada, bob] = [world.client('ada'), world.client('bob')]
    const name = '"Straße" \\ 🚪\u0000'
    ada.say(`{"type":"JOIN","room":${JSON.stringify(name)},"payload":{"metadata":{"__proto__":{"admin":true},"constructor":1}}}`)
    world.pass(10)
    join(bob, name, null)
    expect((ada.inbox.at(-1) as Told).room).toBe(name)
    expect(bob.texts.at(-1)).toContain('{"id":"ada","metadata":{"__proto__":{"admin":true},"constructor":1}},{"id":"bob","metadata":null}')
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
  })

  it('is one of the key, whatever is called like what objects have', () => {
    const world = new World()
    const ada = world.client('constructor')
    for (const name of ['__proto__', 'constructor', 'toString']) join(ada, name)
    expect(news(ada)).toEqual(['here: constructor', 'here: constructor', 'here: constructor'])
    expect(world.hub.rooms?.members('toString')).toEqual(['constructor'])
  })
})

describe('a member', () => {
  it('that drops and comes back within its reservation was never missed, and learns what it missed', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'])
    ada!.drop()
    join(world.client('cyd'))
    world.pass(9_999)
    const back = world.client('ada')
    back.read()
    join(back, 'r', undefined, { life: 'of then', n: 2 })
    expect(news(back)).toEqual(['here: ada bob cyd'])
    world.pass(60_000)
    expect(news(bob!)).toEqual(['+ cyd'])
  })

  it('that comes back and has missed nothing is told only that', () => {
    const world = new World()
    const ada = world.client('ada')
    join(ada)
    const [{ life, n }] = told(ada) as [Told['payload']]
    ada.drop()
    const back = world.client('ada')
    back.read()
    join(back, 'r', undefined, { life, n })
    expect(told(back)).toEqual([{ life, n }])
  })

  it('that drops and does not come back is lost with its reservation', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'])
    ada!.drop()
    world.pass(9_999)
    expect(news(bob!)).toEqual([])
    world.pass(1)
    expect(news(bob!)).toEqual(['- ada lost'])
  })

  it('that fell silent is lost with the end of its outage', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'], { alive_timeout: 600_000 })
    ada!.session!.silent()
    world.pass(59_999)
    expect(news(bob!)).toEqual([])
    world.pass(1)
    expect(news(bob!)).toEqual(['- ada lost'])
  })

  it.each([[1001, 'a page that is closed'], [1006, 'a drop where nothing is reserved']])('is gone at once after %i: %s', (code) => {
    const { clients: [ada, bob] } = together(['ada', 'bob'], code === 1006 ? { reserve_timeout: 0, outage_timeout: 0 } : {})
    ada!.session!.closed(code)
    expect(news(bob!)).toEqual([`- ada ${code === 1006 ? 'lost' : 'gone'}`])
  })

  it('is gone at once when it says goodbye', () => {
    const { clients: [ada, bob] } = together(['ada', 'bob'])
    ada!.say({ type: 'LEAVE' })
    expect(news(bob!)).toEqual(['- ada gone'])
  })

  it('that closes one link to open another is not missed; who does not open it is gone 2 s later', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'], { alive_timeout: 600_000 })
    ada!.session!.closed(1005)
    world.pass(1999)
    const back = world.client('ada')
    world.pass(60_000)
    expect(news(bob!)).toEqual([])
    back.session!.closed(1005)
    world.pass(2000)
    expect(news(bob!)).toEqual(['- ada gone'])
  })

  it('is out when somebody else has its id', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'])
    ada!.session!.closed(1005)
    world.client('ada', 'another token')
    world.pass(1)
    expect(news(bob!)).toEqual(['- ada lost'])
    world.pass(60_000)
    expect(world.hub.rooms?.members('r')).toEqual(['bob'])
  })

  it('whose page was loaded anew is in no room', () => {
    const world = new World()
    const bob = world.client('bob')
    const page = (session: string) => new Client(world.hub, 'ada', 'token', 'peerjs', undefined, { session, link: 1, got: 0, sent: 0 })
    join(bob)
    join(page('one'))
    world.pass(100)
    bob.read()
    page('two')
    expect(news(bob)).toEqual(['- ada gone'])
  })

  it('that is away is not told anything, so that what others sent it is not pushed out', () => {
    const world = new World({ hold_limits: { destination_messages: 4 } })
    const bob = world.client('bob')
    const progress = { session: 'page', link: 1, got: 0, sent: 0 }
    const ada = new Client(world.hub, 'ada', 'token', 'peerjs', undefined, progress)
    join(ada)
    world.pass(100)
    ada.drop()
    bob.offer('ada')
    for (let i = 0; i < 20; i++) {
      join(bob, 'r', i)
      world.pass(100)
    }
    const back = new Client(world.hub, 'ada', 'token', 'peerjs', undefined, { ...progress, link: 2, got: 1 })
    expect(back.inbox).toMatchObject([{ type: 'OPEN' }, { type: 'OFFER' }])
  })

  it('gets messages of rooms counted like all others', () => {
    const world = new World()
    const progress = { session: 'page', link: 1, got: 0, sent: 0 }
    const ada = new Client(world.hub, 'ada', 'token', 'peerjs', undefined, progress)
    join(ada)
    join(world.client('bob'))
    world.pass(100)
    expect(told(ada)).toHaveLength(2)
    ada.drop()
    // The second was lost with the link.
    const back = new Client(world.hub, 'ada', 'token', 'peerjs', undefined, { ...progress, link: 2, got: 1, sent: 1 })
    expect(back.inbox[0]).toMatchObject({ type: 'OPEN', got: 1, n: 1 })
    expect(news(back)).toEqual(['+ bob'])
  })
})

describe('what a room costs', () => {
  /** Messages of rooms that all clients together were sent. */
  const count = (clients: readonly Client[]): number => clients.reduce((sum, client) => sum + told(client).length, 0)

  it('is one message to each member for all changes of a pause', () => {
    const ids = Array.from({ length: 100 }, (_, i) => `c${i}`)
    const { world, clients } = together(ids)
    const more = Array.from({ length: 50 }, (_, i) => world.client(`d${i}`))
    for (const client of more) join(client)
    const last = world.client('last')
    world.pass(1000)
    // One at once, and 49 together.
    expect(count(clients)).toBe(200)
    for (const client of more) part(client)
    world.pass(1000)
    expect(count(clients)).toBe(200)
    expect(last.read()).toHaveLength(1)
  })

  it('is no more than its rate, whatever its members do', () => {
    const { world, clients } = together(Array.from({ length: 100 }, (_, i) => `c${i}`), { rooms: { rate: 1000 } })
    const before = world.now
    for (let step = 0; step < 1000; step++) {
      join(clients[step % 100]!, 'r', step)
      world.pass(5)
    }
    // Besides, each change is confirmed to who made it.
    const sent = clients.flatMap(told).filter(({ joined }) => joined).length
    expect(sent).toBeLessThanOrEqual((world.now - before) + 100)
    expect(sent).toBeGreaterThan((world.now - before) * 0.9)
  })

  it('is the list once for all who joined in a pause, and they know at once that it comes', () => {
    const { world, clients: [ada] } = together(['ada'])
    join(ada!, 'r', 'busy')
    const [bob, cyd] = [world.client('bob'), world.client('cyd')]
    join(bob)
    join(cyd)
    expect([told(bob), told(cyd)]).toEqual([[{}], [{}]])
    world.pass(1)
    expect([news(bob), news(cyd)]).toEqual([['here: ada bob cyd'], ['here: ada bob cyd']])
  })

  it('counts long messages by their length', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'], { rooms: { rate: 100, metadata: 50_000 } })
    // Some 10 units to each of two.
    join(ada!, 'r', 'x'.repeat(40_960))
    part(ada!)
    expect(news(bob!)).toEqual(['+ ada'])
    world.pass(199)
    expect(news(bob!)).toEqual([])
    world.pass(10)
    expect(news(bob!)).toEqual(['- ada left'])
  })
})

describe('hostile', () => {
  const frames: [string, object | string][] = [
    ['no room', { type: 'JOIN' }],
    ['a room that is no text', { type: 'JOIN', room: { toString: 'r' } }],
    ['a payload that is a list', { type: 'JOIN', room: 'r', payload: [1] }],
    ['a payload that is text', { type: 'JOIN', room: 'r', payload: 'metadata' }],
    ['a life and an n of other types', { type: 'JOIN', room: 'r', payload: { life: { a: 1 }, n: 'n' } }],
    ['PART of a room that is not there', { type: 'PART', room: 'nowhere' }],
    ['PART without a room', { type: 'PART' }],
    ['a src that is somebody else', { type: 'JOIN', room: 'r', src: 'ada', payload: {} }],
    ['metadata nested deeply', `{"type":"JOIN","room":"r","payload":{"metadata":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`],
  ]

  it.each(frames)('%s hurts nobody', (_what, frame) => {
    const { world, clients: [ada] } = together(['ada'])
    const eve = world.client('eve')
    eve.say(frame)
    world.pass(1000)
    expect(eve.closedWith).toBeNull()
    expect(news(ada!).filter(text => text !== '+ eve')).toEqual([])
  })

  it.each([['empty', ''], ['too long in UTF-8', 'ä'.repeat(129)], ['half of a surrogate pair', '\ud800']])('a name that is %s is refused', (_what, name) => {
    const world = new World()
    const eve = world.client('eve')
    join(eve, name)
    expect(news(eve)).toEqual(['! invalid-argument'])
    expect(world.hub.rooms?.size).toBe(0)
  })

  it('metadata beyond 4 KiB of UTF-8 is refused, and what was there stays', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'])
    join(ada!, 'r', 'ä'.repeat(2048))
    expect(told(ada!)).toMatchObject([{ error: 'message-too-big', member: true }])
    join(world.client('cyd'), 'r', 'ä'.repeat(2048))
    world.pass(1000)
    expect(news(bob!)).toEqual([])
    expect(world.hub.rooms?.members('r')).toEqual(['ada', 'bob'])
  })

  it('a client is in no more rooms than the limit, and in another when it left one', () => {
    const world = new World({ rooms: { rooms: 2 } })
    const eve = world.client('eve')
    for (const name of ['a', 'b', 'c']) join(eve, name)
    expect(news(eve)).toEqual(['here: eve', 'here: eve', '! room-limit'])
    part(eve, 'a')
    join(eve, 'c')
    expect(news(eve)).toEqual(['here: eve'])
  })

  it('a room has no more members than the limit, and those in it may still change their metadata', () => {
    const { world, clients: [ada] } = together(['ada', 'bob'], { rooms: { members: 2 } })
    const eve = world.client('eve')
    join(eve)
    expect(told(eve)).toMatchObject([{ error: 'room-full', member: false }])
    join(ada!, 'r', 'new')
    expect(told(ada!).some(({ error }) => error)).toBe(false)
  })

  it('a room has no more bytes than the limit, nor have all of them', () => {
    const world = new World({ rooms: { bytes: 100, total_bytes: 120 } })
    const [ada, bob, cyd] = ['ada', 'bob', 'cyd'].map(id => world.client(id)) as [Client, Client, Client]
    join(ada, 'r', 'x'.repeat(50))
    join(bob, 'r', 'x'.repeat(50))
    expect(news(bob)).toEqual(['! room-full'])
    join(bob, 's', 'x'.repeat(50))
    expect(news(bob)).toEqual(['! room-full'])
    part(ada)
    join(cyd, 's', 'x'.repeat(50))
    expect(news(cyd)).toEqual(['here: cyd'])
    // What is less always fits.
    join(cyd, 's', '')
    expect(told(cyd).some(({ error }) => error)).toBe(false)
  })

  it('who asks too often is shown the door like with any other message', () => {
    const { world, clients: [ada] } = together(['ada'], { rate_limit: 10, rate_burst: 20 })
    const eve = world.client('eve')
    for (let i = 0; i < 30; i++) join(eve, 'r', i, { life: '', n: 0 })
    expect(eve.closedWith?.code).toBe(1008)
    world.pass(20_000)
    expect(news(ada!).at(-1)).toBe('- eve lost')
  })

  it('asking for the list again and again brings it once a pause', () => {
    const { world, clients: [ada] } = together(['ada', 'bob'], { rooms: { rate: 10 } })
    for (let i = 0; i < 50; i++) join(ada!, 'r', undefined, { life: '', n: 0 })
    world.pass(100)
    expect(told(ada!).filter(({ members }) => members)).toHaveLength(2)
  })

  it('a member whose socket throws is no trouble to the others', () => {
    const { world, clients: [ada, bob] } = together(['ada', 'bob'], { reserve_timeout: 0 })
    ada!.broken = true
    join(world.client('cyd'))
    world.pass(1000)
    expect(news(bob!)).toEqual(['+ cyd', '- ada lost'])
  })

  it('nothing is left of who is gone', () => {
    const { world, clients } = together(Array.from({ length: 50 }, (_, i) => `c${i}`))
    for (const client of clients) client.drop()
    world.pass(60_000)
    expect(world.hub.rooms?.size).toBe(0)
    world.pass(60_000)
    expect(world.timers).toBe(0)
  })
})

describe('rooms: false', () => {
  it('refuses, so that nobody has to wait in order to learn it', () => {
    const world = new World({ rooms: false })
    const ada = world.client('ada')
    join(ada)
    expect(told(ada)).toMatchObject([{ error: 'rooms-unavailable', member: false }])
    part(ada)
    expect(told(ada)).toEqual([])
    expect(world.hub.rooms).toBeNull()
  })
})

it.each([['members', -1], ['rate', 0], ['metadata', NaN]])('the option rooms.%s cannot be %s', (name, value) => {
  expect(() => new World({ rooms: { [name]: value } })).toThrow(`rooms.${name}`)
})

it('says goodbye to rooms when the server closes', () => {
  const { world } = together(['ada', 'bob'])
  world.hub.close()
  expect(world.hub.rooms?.size).toBe(0)
})
