import { describe, expect, it } from 'vitest'
import { Hub } from '../../js/server/hub.js'
import type { SignalingServerOptions } from '../../js/server/options.js'
import { Client, World } from './world.js'

const OPEN = { type: 'OPEN' }
const errorText = (msg: string) => ({ type: 'ERROR', payload: { msg } })

describe('a client that connects', () => {
  it('gets OPEN', () => {
    const world = new World()
    const alice = world.client('alice')
    expect(alice.texts).toEqual(['{"type":"OPEN"}'])
    expect(world.hub.ids()).toEqual(['alice'])
  })

  it.each([
    ['id', null, 'token', 'peerjs'],
    ['id', '', 'token', 'peerjs'],
    ['token', 'alice', null, 'peerjs'],
    ['key', 'alice', 'token', null],
  ])('is refused without %s', (_what, id, token, key) => {
    const world = new World()
    const client = world.client(id, token, key)
    expect(client.inbox).toEqual([errorText('No id, token, or key supplied to websocket server')])
    expect(client.closedWith).toEqual({ code: undefined, reason: undefined })
    expect(client.session).toBeNull()
    expect(world.hub.size).toBe(0)
  })

  it('is refused with a wrong key', () => {
    const world = new World({ key: 'secret' })
    expect(world.client('alice').inbox).toEqual([errorText('Invalid key provided')])
  })

  it.each(['-a', 'a-', 'a--b', 'a.b', 'é', '<b>', ' a', 'a\nb', 'x'.repeat(257)])('is refused with the id %j', (id) => {
    const world = new World()
    const client = world.client(id)
    expect(client.inbox).toMatchObject([{ type: 'ERROR', payload: { type: 'invalid-id' } }])
    expect(client.closedWith).not.toBeNull()
  })

  it.each(['a', 'A b', 'a_b-c d', '0', 'x'.repeat(256)])('may be called %j', (id) => {
    expect(new World().client(id).inbox).toEqual([OPEN])
  })

  it('is refused when the server is full, and let in when somebody has left', () => {
    const world = new World({ concurrent_limit: 1 })
    const alice = world.client('alice')
    expect(world.client('bob').inbox).toEqual([errorText('Server has reached its concurrent user limit')])
    alice.session?.closed(1001)
    expect(world.client('bob').inbox).toEqual([OPEN])
  })

  it('is told ID-TAKEN when somebody else has its id, who notices nothing', () => {
    const world = new World()
    const alice = world.client('alice')
    const thief = world.client('alice', 'another token')
    expect(thief.texts).toEqual(['{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}'])
    expect(thief.closedWith).not.toBeNull()
    expect(alice.closedWith).toBeNull()
    thief.drop()
    expect(world.hub.has('alice')).toBe(true)
  })
})

describe('a client that comes back with its token', () => {
  it('gets OPEN, and its old link is closed', () => {
    const world = new World()
    const before = world.client('alice')
    const after = world.client('alice')
    expect(after.inbox).toEqual([OPEN])
    expect(before.closedWith?.code).toBe(4001)
    expect(world.hub.size).toBe(1)
  })

  it('receives on the new link only, and the end of the old one does not end it', () => {
    const world = new World()
    const before = world.client('alice')
    const after = world.client('alice')
    const bob = world.client('bob')
    before.read()
    after.read()
    before.drop()
    bob.offer('alice')
    expect(before.inbox).toEqual([])
    expect(after.inbox).toHaveLength(1)
  })

  it('is not heard on the old link any more', () => {
    const world = new World()
    const before = world.client('alice')
    world.client('alice')
    const bob = world.client('bob')
    bob.read()
    before.offer('bob')
    expect(bob.inbox).toEqual([])
  })

  it('is let in although the server is full', () => {
    const world = new World({ concurrent_limit: 1 })
    world.client('alice')
    expect(world.client('alice').inbox).toEqual([OPEN])
  })
})

describe('an id after a drop', () => {
  it('stays reserved for its token for 10 seconds', () => {
    const world = new World()
    world.client('alice').drop()
    expect(world.hub.size).toBe(0)
    world.pass(9_999)
    expect(world.client('alice', 'thief').inbox).toMatchObject([{ type: 'ID-TAKEN' }])
    expect(world.client('alice').inbox).toEqual([OPEN])
  })

  it('is free afterwards', () => {
    const world = new World()
    world.client('alice').drop()
    world.pass(10_000)
    expect(world.client('alice', 'somebody else').inbox).toEqual([OPEN])
  })

  it.each([1000, 1001, 1005])('is free at once after a proper goodbye (%i), as when a page is reloaded', (code) => {
    const world = new World()
    world.client('alice').session?.closed(code)
    expect(world.client('alice', 'a new token').inbox).toEqual([OPEN])
  })

  it('is free at once where reservation is off', () => {
    const world = new World({ reserve_timeout: 0 })
    world.client('alice').drop()
    expect(world.client('alice', 'somebody else').inbox).toEqual([OPEN])
  })

  it('is kept for no more clients than the server may have', () => {
    const world = new World({ concurrent_limit: 2 })
    for (const id of ['a', 'b', 'c']) world.client(id).drop()
    expect(world.client('a', 'new').inbox).toEqual([OPEN])
    expect(world.client('c', 'new').inbox).toMatchObject([{ type: 'ID-TAKEN' }])
  })
})

describe('a message', () => {
  it.each(['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE'])('of type %s is relayed as exactly type, src, dst and payload', (type) => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.read()
    bob.texts.length = 0
    alice.say({ dst: 'bob', payload: { sdp: 'v=0', unknown: [1] }, type, extra: true })
    expect(bob.texts).toEqual([`{"type":"${type}","src":"alice","dst":"bob","payload":{"sdp":"v=0","unknown":[1]}}`])
  })

  it('says who sent it, whatever the sender says', () => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.read()
    alice.say({ type: 'OFFER', src: 'carol', dst: 'bob' })
    expect(bob.inbox).toEqual([{ type: 'OFFER', src: 'alice', dst: 'bob' }])
  })

  it('reaches the sender itself when it is addressed to it', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.read()
    alice.offer('alice')
    expect(alice.inbox).toMatchObject([{ type: 'OFFER', src: 'alice' }])
  })

  it('comes back at once as a sign of life when a client sends a CANDIDATE to itself, before anything that waits', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.read()
    alice.say({ type: 'CANDIDATE', dst: 'alice', payload: { peerbridge: { probe: 1 } } })
    expect(alice.read()).toEqual([{ type: 'CANDIDATE', src: 'alice', dst: 'alice', payload: { peerbridge: { probe: 1 } } }])
    expect(world.hub.held).toBe(0)
    alice.say({ type: 'LEAVE' })
    expect(alice.read()).toEqual([])
  })

  it('keeps "__proto__" a name like any other', () => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.texts.length = 0
    alice.say('{"type":"OFFER","dst":"bob","payload":{"__proto__":{"isAdmin":true}}}')
    expect(bob.texts).toEqual(['{"type":"OFFER","src":"alice","dst":"bob","payload":{"__proto__":{"isAdmin":true}}}'])
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })
})

describe('a message to an id that is not there', () => {
  it('waits and is delivered in order right after OPEN', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.offer('bob', 1)
    world.pass(3000)
    alice.offer('bob', 2)
    const bob = world.client('bob')
    expect(bob.inbox).toEqual([
      OPEN,
      { type: 'OFFER', src: 'alice', dst: 'bob', payload: 1 },
      { type: 'OFFER', src: 'alice', dst: 'bob', payload: 2 },
    ])
    world.pass(60_000)
    expect(alice.read()).toEqual([OPEN])
  })

  it('expires by its own age: one that came late is still delivered', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.offer('bob', 'early')
    world.pass(3200)
    alice.offer('bob', 'late')
    world.pass(1800)
    expect(alice.read()).toEqual([OPEN, { type: 'EXPIRE', src: 'bob', dst: 'alice' }])
    world.pass(1000)
    expect(world.client('bob').inbox).toMatchObject([OPEN, { payload: 'late' }])
  })

  it('is answered with one EXPIRE for all that was sent up to then', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.read()
    for (let i = 0; i < 8; i++) {
      alice.offer('bob', i)
      world.pass(20)
    }
    world.pass(10_000)
    expect(alice.texts.at(-1)).toBe('{"type":"EXPIRE","src":"bob","dst":"alice"}')
    expect(alice.read()).toHaveLength(1)
    expect(world.hub.held).toBe(0)
  })

  it('is answered with another EXPIRE when it is sent after the first', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.offer('bob')
    world.pass(4000)
    alice.offer('bob')
    world.pass(1500)
    alice.read()
    alice.offer('bob')
    world.pass(4999)
    expect(alice.read()).toEqual([])
    world.pass(1)
    expect(alice.read()).toHaveLength(1)
  })

  it('is answered to every sender and every id by itself', () => {
    const world = new World()
    const alice = world.client('alice')
    const carol = world.client('carol')
    alice.offer('bob')
    alice.offer('dave')
    carol.offer('bob')
    alice.read()
    carol.read()
    world.pass(5000)
    expect(alice.inbox).toEqual([{ type: 'EXPIRE', src: 'bob', dst: 'alice' }, { type: 'EXPIRE', src: 'dave', dst: 'alice' }])
    expect(carol.inbox).toEqual([{ type: 'EXPIRE', src: 'bob', dst: 'carol' }])
  })

  it('waits for a client that dropped, too', () => {
    const world = new World()
    const alice = world.client('alice')
    world.client('bob').drop()
    alice.offer('bob')
    world.pass(2000)
    expect(world.client('bob').inbox).toMatchObject([OPEN, { type: 'OFFER' }])
  })

  it('does not wait when it is a goodbye', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.read()
    alice.say({ type: 'LEAVE', dst: 'bob' })
    alice.say({ type: 'EXPIRE', dst: 'bob' })
    expect(world.hub.held).toBe(0)
    world.pass(10_000)
    expect(alice.inbox).toEqual([])
  })

  it('is answered at once when nobody can ever have that id', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.read()
    alice.offer('a.b')
    expect(alice.read()).toEqual([{ type: 'EXPIRE', src: 'a.b', dst: 'alice' }])
    alice.offer('x'.repeat(100_000))
    expect(alice.read()).toEqual([])
  })

  it('finds room for 64 from one sender; the next is answered with EXPIRE at once, once', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.read()
    for (let i = 0; i < 80; i++) alice.offer('bob', i)
    expect(world.hub.held).toBe(64)
    expect(alice.inbox).toEqual([{ type: 'EXPIRE', src: 'bob', dst: 'alice' }])
    expect(world.client('bob').inbox).toHaveLength(1 + 64)
  })

  it('finds room for 256 KiB from one sender', () => {
    const world = new World()
    const alice = world.client('alice')
    for (let i = 0; i < 5; i++) alice.offer('bob', 'x'.repeat(100_000))
    expect(world.hub.held).toBe(2)
  })

  it('leaves room for other senders when one has used its own up', () => {
    const world = new World()
    const flood = world.client('flood')
    const alice = world.client('alice')
    for (let i = 0; i < 200; i++) flood.offer('bob')
    alice.offer('bob', 'hello')
    expect(world.client('bob').inbox.at(-1)).toMatchObject({ src: 'alice', payload: 'hello' })
  })

  it('is bounded for the whole server', () => {
    const world = new World({ hold_limits: { total_bytes: 10_000 } })
    const alice = world.client('alice')
    alice.read()
    for (let i = 0; i < 100; i++) alice.offer(`nobody ${i}`, 'x'.repeat(1000))
    expect(world.hub.held).toBe(9)
    expect(alice.inbox).toHaveLength(91)
    world.pass(5000)
    expect(world.hub.held).toBe(0)
    alice.offer('bob')
    expect(world.hub.held).toBe(1)
  })

  it('waits on when the link breaks while it is delivered', () => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.broken = true
    alice.offer('bob', 'precious')
    expect(world.hub.has('bob')).toBe(false)
    expect(world.client('bob').inbox).toMatchObject([OPEN, { payload: 'precious' }])
  })
})

describe('a client that goes away', () => {
  it('after 60 s of silence loses its link', () => {
    const world = new World()
    const alice = world.client('alice')
    world.pass(59_000)
    expect(alice.closedWith).toBeNull()
    world.pass(11_000)
    expect(alice.closedWith?.code).toBe(4002)
    expect(world.hub.size).toBe(0)
  })

  it.each(['a heartbeat', 'any message', 'a pong'])('stays as long as there is %s', (sign) => {
    const world = new World()
    const alice = world.client('alice')
    for (let i = 0; i < 10; i++) {
      world.pass(50_000)
      if (sign === 'a heartbeat') alice.heartbeat()
      else if (sign === 'any message') alice.say({ type: 'FUTURE' })
      else alice.session?.heard()
    }
    expect(alice.closedWith).toBeNull()
  })

  it('is asked for a sign of life before it is given up, and not while it talks', () => {
    const world = new World()
    const quiet = world.client('quiet')
    const busy = world.client('busy')
    for (let i = 0; i < 9; i++) {
      world.pass(5000)
      busy.heartbeat()
    }
    expect(quiet.pings).toBeGreaterThan(0)
    expect(busy.pings).toBe(0)
  })

  it('is not announced to its peers by a drop, a closed page or silence: their connections may be alive', () => {
    for (const leave of [1006, 1001, 1000]) {
      const world = new World()
      const alice = world.client('alice')
      const bob = world.client('bob')
      alice.offer('bob')
      bob.say({ type: 'ANSWER', dst: 'alice' })
      bob.read()
      alice.session?.closed(leave)
      world.pass(30_000)
      expect(bob.inbox).toEqual([])
    }
  })

  it('is announced to those it talked with when it says LEAVE to nobody in particular', () => {
    const world = new World()
    const [alice, bob, carol, dave] = ['alice', 'bob', 'carol', 'dave'].map(id => world.client(id))
    alice!.offer('bob')
    carol!.offer('alice')
    for (const client of [bob, carol, dave]) client!.read()
    alice!.say({ type: 'LEAVE' })
    expect(bob!.inbox).toEqual([{ type: 'LEAVE', src: 'alice', dst: 'bob' }])
    expect(carol!.inbox).toEqual([{ type: 'LEAVE', src: 'alice', dst: 'carol' }])
    expect(dave!.inbox).toEqual([])
    expect(alice!.closedWith?.code).toBe(1000)
  })

  it('by LEAVE frees its id, and the end of its socket does not touch who has it next', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.say({ type: 'LEAVE' })
    expect(world.client('alice', 'somebody else').inbox).toEqual([OPEN])
    alice.drop()
    alice.offer('alice')
    expect(world.hub.has('alice')).toBe(true)
  })

  it('leaves nothing behind: no client, no message, no timer', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.offer('nobody')
    alice.drop()
    world.pass(120_000)
    expect(world.hub.ids()).toEqual([])
    expect(world.hub.held).toBe(0)
    expect(world.timers).toBe(0)
  })
})

describe('a message to a client that fell silent', () => {
  /** Bob has said nothing for 60 s and lost its link just now; alice goes on. */
  function outage(options: SignalingServerOptions = {}) {
    const world = new World(options)
    const alice = world.client('alice')
    const bob = world.client('bob')
    /** Lets time pass for alice. */
    const wait = (ms: number): void => {
      for (; ms > 0; ms -= 1000) {
        alice.heartbeat()
        world.pass(Math.min(ms, 1000))
      }
    }
    while (!bob.closedWith) wait(1000)
    expect(bob.closedWith.code).toBe(4002)
    alice.read()
    return { world, alice, wait }
  }
  const EXPIRE = { type: 'EXPIRE', src: 'bob', dst: 'alice' }

  it('waits without EXPIRE, as long as a connection is recovered, and is delivered in order', () => {
    const { world, alice, wait } = outage()
    alice.offer('bob', 'first')
    wait(50_000)
    alice.offer('bob', 'second')
    wait(7000)
    alice.offer('bob', 'third')
    wait(2000)
    expect(alice.read()).toEqual([])
    expect(world.client('bob').inbox).toMatchObject([OPEN, { payload: 'first' }, { payload: 'second' }, { payload: 'third' }])
    wait(70_000)
    expect(alice.read()).toEqual([])
    expect(world.hub.held).toBe(0)
  })

  it('is answered with one EXPIRE 60 s after the drop, and from then on as for anybody who is not there', () => {
    const { alice, wait } = outage()
    for (let i = 0; i < 5; i++) {
      alice.offer('bob')
      wait(10_000)
    }
    wait(9000)
    expect(alice.read()).toEqual([])
    wait(1000)
    expect(alice.read()).toEqual([EXPIRE])
    alice.offer('bob')
    wait(5000)
    expect(alice.read()).toEqual([EXPIRE])
  })

  it('never waits shorter than any other: one of the last seconds has its 5 s', () => {
    const { world, alice, wait } = outage()
    wait(58_000)
    alice.offer('bob', 'late')
    wait(4000)
    expect(alice.read()).toEqual([])
    expect(world.client('bob').inbox).toMatchObject([OPEN, { payload: 'late' }])
  })

  it('waits no longer than any other when the socket was closed by the other end: a killed browser', () => {
    const world = new World()
    const alice = world.client('alice')
    world.client('bob').drop()
    alice.read()
    alice.offer('bob')
    world.pass(4999)
    expect(alice.read()).toEqual([])
    world.pass(1)
    expect(alice.read()).toEqual([EXPIRE])
  })

  it('waits for one who read too slowly, too', () => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.waiting = 5 * 1024 * 1024
    alice.offer('bob')
    expect(bob.closedWith?.code).toBe(1013)
    alice.read()
    alice.offer('bob', 'next')
    world.pass(20_000)
    expect(alice.read()).toEqual([])
    expect(world.client('bob').inbox).toMatchObject([OPEN, { payload: 'next' }])
  })

  it('waits for the client, and not for who is called like it later', () => {
    const { world, alice, wait } = outage()
    alice.offer('bob', 'for the old bob')
    wait(20_000)
    expect(world.client('bob', 'another token').inbox).toEqual([OPEN])
    expect(alice.read()).toEqual([EXPIRE])
    alice.offer('bob')
    expect(alice.read()).toEqual([])
  })

  it('finds no more room than any other; what does not fit is told at the end', () => {
    const { world, alice, wait } = outage()
    for (let i = 0; i < 80; i++) alice.offer('bob')
    expect(world.hub.held).toBe(64)
    wait(59_000)
    expect(alice.read()).toEqual([])
    wait(1000)
    expect(alice.read()).toEqual([EXPIRE])
    expect(world.hub.held).toBe(0)
  })

  it('is told at once when there is no room even for its first', () => {
    const { alice } = outage({ hold_limits: { pair_bytes: 100 } })
    alice.offer('bob', 'x'.repeat(100))
    expect(alice.read()).toEqual([EXPIRE])
  })

  it('is held for no more clients than the server may have', () => {
    const world = new World({ concurrent_limit: 2, outage_timeout: 600_000 })
    const alice = world.client('alice')
    for (const id of ['a', 'b', 'c']) {
      const client = world.client(id)
      while (!client.closedWith) {
        alice.heartbeat()
        world.pass(1000)
      }
    }
    for (const id of ['a', 'b', 'c']) alice.offer(id)
    alice.read()
    world.pass(5000)
    expect(alice.read()).toEqual([{ type: 'EXPIRE', src: 'a', dst: 'alice' }])
  })

  it('waits no longer than any other where that is switched off', () => {
    const { alice, wait } = outage({ outage_timeout: 0 })
    alice.offer('bob')
    wait(5000)
    expect(alice.read()).toEqual([EXPIRE])
  })

  it('leaves nothing behind', () => {
    const { world, alice } = outage()
    alice.offer('bob')
    alice.session?.closed(1000)
    world.pass(120_000)
    expect(world.hub.held).toBe(0)
    expect(world.timers).toBe(0)
  })
})

describe('bad input', () => {
  it.each([
    ['not JSON', 'hello'],
    ['nothing', ''],
    ['half of a message', '{"type":"OFFER","dst":'],
    ['null', 'null'],
    ['a number', '42'],
    ['a list', '[{"type":"OFFER","dst":"bob"}]'],
    ['no type', '{"dst":"bob"}'],
    ['an unknown type', '{"type":"EXPLODE","dst":"bob"}'],
    ['a type that only the server says', '{"type":"OPEN","dst":"bob"}'],
    ['a type that is an object', '{"type":{"a":1},"dst":"bob"}'],
    ['a destination that is no string', '{"type":"OFFER","dst":{"toString":1}}'],
    ['no destination', '{"type":"OFFER"}'],
    ['a list as the one who leaves', '{"type":"LEAVE","dst":[]}'],
    ['100,000 levels', `{"type":"OFFER","dst":"bob","payload":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['bytes that are no text', String.fromCharCode(0, 0xFFFD, 1, 2)],
  ])('%s is ignored, and the client goes on', (_what, text) => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.read()
    alice.say(text)
    expect(bob.inbox).toEqual([])
    expect(alice.closedWith).toBeNull()
    alice.offer('bob')
    expect(bob.inbox).toHaveLength(1)
  })

  it('of more than 256 KiB is refused by type and closed with 1009; everybody else goes on', () => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    const carol = world.client('carol')
    for (const client of [alice, bob]) client.read()
    alice.offer('bob', 'x'.repeat(300 * 1024))
    expect(alice.inbox).toMatchObject([{ type: 'ERROR', payload: { type: 'message-too-big' } }])
    expect(alice.closedWith?.code).toBe(1009)
    expect(bob.inbox).toEqual([])
    carol.offer('bob')
    expect(bob.inbox).toHaveLength(1)
  })

  it('is measured in bytes, not in characters', () => {
    const world = new World({ max_message: 1000 })
    const alice = world.client('alice')
    alice.offer('bob', 'x'.repeat(900))
    expect(alice.closedWith).toBeNull()
    alice.offer('bob', '€'.repeat(400))
    expect(alice.closedWith?.code).toBe(1009)
  })

  it('in a flood is refused by type and closed with 1008, and the id stays its own', () => {
    const world = new World({ rate_limit: 10, rate_burst: 20 })
    const alice = world.client('alice')
    const bob = world.client('bob')
    for (const client of [alice, bob]) client.read()
    for (let i = 0; i < 50; i++) alice.offer('bob')
    expect(bob.inbox).toHaveLength(20)
    expect(alice.inbox).toMatchObject([{ type: 'ERROR', payload: { type: 'rate-limited' } }])
    expect(alice.closedWith?.code).toBe(1008)
    expect(world.client('alice', 'thief').inbox).toMatchObject([{ type: 'ID-TAKEN' }])
  })

  it('in a flood does not get a new allowance by coming back, but by waiting', () => {
    const world = new World({ rate_limit: 10, rate_burst: 20 })
    const flood = world.client('alice')
    for (let i = 0; i < 50; i++) flood.offer('bob')
    const again = world.client('alice')
    again.heartbeat()
    expect(again.closedWith?.code).toBe(1008)
    world.pass(1000)
    const later = world.client('alice')
    for (let i = 0; i < 10; i++) later.heartbeat()
    expect(later.closedWith).toBeNull()
  })

  it('in large pieces counts by its size', () => {
    const world = new World({ rate_limit: 10, rate_burst: 20 })
    const alice = world.client('alice')
    alice.offer('bob', 'x'.repeat(60_000))
    alice.offer('bob', 'x'.repeat(60_000))
    expect(alice.closedWith?.code).toBe(1008)
  })

  it('never makes a client talk faster than PeerJS does when it opens 60 connections at once', () => {
    const world = new World()
    const alice = world.client('alice')
    for (let i = 0; i < 60; i++) world.client(`guest ${i}`)
    for (let i = 0; i < 60; i++) for (let frame = 0; frame < 10; frame++) alice.offer(`guest ${i}`)
    expect(alice.closedWith).toBeNull()
  })

  it('a client that does not read is dropped before it fills the memory', () => {
    const world = new World()
    const alice = world.client('alice')
    const bob = world.client('bob')
    bob.waiting = 5 * 1024 * 1024
    alice.offer('bob')
    expect(bob.closedWith?.code).toBe(1013)
    expect(world.hub.has('bob')).toBe(false)
  })
})

describe('an address', () => {
  const at = (world: World, id: string, address: string | undefined) => new Client(world.hub, id, `token of ${id}`, 'peerjs', address)

  it('may have as many clients as address_limit says, until one of them leaves', () => {
    const world = new World({ address_limit: 2 })
    const a = at(world, 'a', '192.0.2.1')
    at(world, 'b', '::ffff:192.0.2.1')
    expect(at(world, 'c', '192.0.2.1').inbox).toEqual([{ type: 'ERROR', payload: { msg: 'Too many clients from this address', type: 'address-limit' } }])
    expect(at(world, 'c', '192.0.2.2').inbox).toEqual([OPEN])
    expect(at(world, 'd', undefined).inbox).toEqual([OPEN])
    a.session?.closed(1001)
    expect(at(world, 'e', '192.0.2.1').inbox).toEqual([OPEN])
  })

  it('does not count a client twice that comes back, nor one that dropped', () => {
    const world = new World({ address_limit: 1 })
    at(world, 'a', '192.0.2.1')
    const again = at(world, 'a', '192.0.2.1')
    expect(again.inbox).toEqual([OPEN])
    again.drop()
    expect(at(world, 'b', '192.0.2.1').inbox).toEqual([OPEN])
  })

  it('of IPv6 is the /64 that one household has', () => {
    const world = new World({ address_limit: 1 })
    at(world, 'a', '2001:db8:0:1::1')
    expect(at(world, 'b', '2001:0db8:0000:0001:ffff::2').session).toBeNull()
    expect(at(world, 'c', '2001:db8:0:2::1').session).not.toBeNull()
    expect(at(world, 'd', '::1').session).not.toBeNull()
    expect(at(world, 'e', '::2').session).toBeNull()
  })

  it('that sends too much is refused by type, and recovers by waiting; others notice nothing', () => {
    const world = new World({ address_rate_limit: 10, address_rate_burst: 5 })
    const a = at(world, 'a', '192.0.2.1')
    const b = at(world, 'b', '192.0.2.1')
    for (let i = 0; i < 3; i++) a.heartbeat()
    b.heartbeat()
    expect(b.inbox).toMatchObject([OPEN, { type: 'ERROR', payload: { type: 'rate-limited' } }])
    expect(b.closedWith?.code).toBe(1008)
    expect(at(world, 'c', '192.0.2.1').inbox).toMatchObject([{ type: 'ERROR', payload: { type: 'rate-limited' } }])
    expect(world.hub.admits('192.0.2.1')).toBe(false)
    expect(world.hub.admits('192.0.2.2')).toBe(true)
    expect(at(world, 'd', '192.0.2.2').inbox).toEqual([OPEN])
    world.pass(500)
    expect(at(world, 'c', '192.0.2.1').inbox).toEqual([OPEN])
  })

  it('is forgotten when it has its allowance back and no client', () => {
    const world = new World()
    at(world, 'a', '192.0.2.1').session?.closed(1001)
    world.hub.admits('192.0.2.2')
    world.pass(60_000)
    expect(world.timers).toBe(0)
  })
})

describe('the hub', () => {
  it('says goodbye to everybody when it closes, and lets nobody in any more', () => {
    const world = new World()
    const alice = world.client('alice')
    alice.offer('nobody')
    world.hub.close()
    expect(alice.closedWith?.code).toBe(1001)
    expect(world.timers).toBe(0)
    expect(world.client('bob').closedWith?.code).toBe(1001)
    alice.drop()
    expect(world.timers).toBe(0)
  })

  it('gives out ids that nobody has', () => {
    const ids = ['alice', 'alice', 'bob']
    const world = new World({ generateClientId: () => ids.shift()! })
    world.client('alice')
    expect(world.hub.generateId()).toBe('bob')
  })

  it.each([
    ['expire_timeout', { expire_timeout: -1 }],
    ['concurrent_limit', { concurrent_limit: Number.NaN }],
    ['max_message', { max_message: '256' as never }],
    ['key', { key: 'a/b' }],
    ['path', { path: 1 as never }],
  ])('refuses an option %s that cannot be meant', (name, options) => {
    expect(() => new Hub(options)).toThrow(name)
  })
})
