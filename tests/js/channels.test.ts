/** channel(): the real core, over a network that can be cut; and what hostile peers do. */
import { describe, expect, it, vi } from 'vitest'
import { Driver } from '../../js/driver/driver.js'
import type { DataConnection, PeerChannel } from '../../js/index.js'
import { type Pair, useNetwork } from './two-peers.js'
import type { RoughChannel } from './network.js'

const world = useNetwork()

/** Everything that it emits, in order. */
function record(channel: PeerChannel): unknown[] {
  const log: unknown[] = []
  channel.on('message', data => log.push(data))
  channel.on('open', () => log.push('open'))
  channel.on('state', state => log.push(`state ${state}`))
  channel.on('close', () => log.push('close'))
  return log
}

const arriving = (conn: DataConnection): PeerChannel[] => {
  const all: PeerChannel[] = []
  conn.on('channel', channel => all.push(channel))
  return all
}

/** Ada's channel, and Bob's end of it, open. */
async function open({ ab, ba }: Pair, label = 'moves'): Promise<{ mine: PeerChannel, theirs: PeerChannel }> {
  const arrived = arriving(ba)
  const mine = ab.channel(label)
  await world.net.until(() => mine.state === 'open' && arrived[0]?.state === 'open')
  return { mine, theirs: arrived[0]! }
}

/** The RTCDataChannels of one side that are no carriers. */
const sides = (owner: string): RoughChannel[] => world.net.pcs.filter(pc => pc.owner === owner && !pc.closed)
  .flatMap(pc => pc.channels).filter(channel => channel.protocol && channel.readyState === 'open')

describe('a channel', () => {
  it('tells the core now and then that something came, so that it does not take the path for a broken one', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    const fed = vi.spyOn(Driver.prototype, 'feed')
    for (let i = 0; i < 30; i++) {
      mine.send(i)
      await world.net.pass(100)
    }
    const heard = fed.mock.calls.filter(([{ type }]) => type === 'side-heard')
    fed.mockRestore()
    expect(theirs.state).toBe('open')
    expect(heard.length).toBeGreaterThan(4)
    expect(heard.length).toBeLessThan(8)
  })

  it('carries values both ways, the other side finds it by its event, and its options are told', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    expect(theirs).toMatchObject({ label: 'moves', ordered: false, maxRetransmits: 0, maxPacketLifeTime: null })
    const [atA, atB] = [record(mine), record(theirs)]
    expect(mine.send(new Map([['x', 1n]]))).toBe(true)
    expect(theirs.send(undefined)).toBe(true)
    await world.net.pass(100)
    expect(atB).toEqual([new Map([['x', 1n]])])
    expect(atA).toEqual([undefined])
    expect(sides('a')).toHaveLength(1)
  })

  it.each([
    [{}, { ordered: false, maxRetransmits: 0 }],
    [{ ordered: true, maxRetransmits: 3 }, { ordered: true, maxRetransmits: 3 }],
    [{ maxPacketLifeTime: 50 }, { ordered: false, maxPacketLifeTime: 50 }],
  ])('is made as asked for: %o', async (options, init) => {
    const { ab } = await world.connected()
    ab.channel('x', options)
    const { init: made } = world.net.pcs.find(pc => pc.owner === 'a')!.channels[1]!
    expect(JSON.parse(JSON.stringify(made))).toEqual({ ...init, protocol: 'peerbridge.channel.1' })
  })

  it('is one for each label, whoever asks for it', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    expect(two.ab.channel('moves', { ordered: true })).toBe(mine)
    expect(two.ba.channel('moves')).toBe(theirs)
    expect(sides('b')).toHaveLength(1)
    expect(two.ab.channel('other')).not.toBe(mine)
  })

  it('that both sides make at once is one, too, without an event', async () => {
    const { ab, ba } = await world.connected()
    const seen = [arriving(ab), arriving(ba)]
    const [one, other] = [ab.channel('moves'), ba.channel('moves')]
    const [atA, atB] = [record(one), record(other)]
    await world.net.until(() => one.state === 'open' && other.state === 'open')
    await world.net.pass(200)
    one.send('from a')
    other.send('from b')
    await world.net.pass(200)
    expect(atB.filter(entry => !/open/.test(String(entry)))).toEqual(['from a'])
    expect(atA.filter(entry => !/open/.test(String(entry)))).toEqual(['from b'])
    expect(seen.flat()).toEqual([])
    one.close()
    await world.net.pass(500)
    expect([one.state, other.state]).toEqual(['closed', 'closed'])
    expect([...sides('a'), ...sides('b')]).toEqual([])
  })

  it('closes on both sides, once, whoever closes it, and its label is free again', async () => {
    const two = await world.connected()
    for (const closer of ['mine', 'theirs'] as const) {
      const { mine, theirs } = await open(two)
      const logs = [record(mine), record(theirs)]
      ;({ mine, theirs })[closer].close()
      ;({ mine, theirs })[closer].close()
      await world.net.pass(500)
      expect(logs).toEqual([['state closed', 'close'], ['state closed', 'close']])
      expect(mine.send(1)).toBe(false)
      expect(sides('a')).toEqual([])
      two.ba.removeAllListeners('channel')
    }
    expect(two.ab.state).toBe('open')
  })

  it('that is closed and made anew at once is another one', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    const again = arriving(two.ba)
    mine.close()
    const next = two.ab.channel('moves')
    expect(next).not.toBe(mine)
    await world.net.until(() => next.state === 'open' && again[0]?.state === 'open')
    await world.net.pass(500)
    expect(theirs.state).toBe('closed')
    expect(again).toHaveLength(1)
    const log = record(again[0]!)
    next.send('here')
    await world.net.pass(100)
    expect(log).toEqual(['here'])
  })

  it('goes on over another RTCPeerConnection, as the same object; what was sent meanwhile is dropped', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    const [atA, atB] = [record(mine), record(theirs)]
    const again = arriving(two.ba)
    world.net.lose('b')
    await world.net.until(() => two.ab.state === 'recovering')
    expect(mine.send('late')).toBe(false)
    await world.net.pass(20_000)
    world.net.find('b')
    await world.net.until(() => mine.state === 'open' && theirs.state === 'open')
    await world.net.pass(500)
    expect(mine.send('there again')).toBe(true)
    expect(theirs.send('here too')).toBe(true)
    await world.net.pass(100)
    expect(atA).toEqual(['state recovering', 'state open', 'here too'])
    expect(atB).toEqual(['state recovering', 'state open', 'there again'])
    expect(again).toEqual([])
    expect(sides('a')).toHaveLength(1)
  })

  it('that is closed during an outage is closed after it', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    world.net.lose('b')
    await world.net.pass(5_000)
    theirs.close()
    await world.net.pass(15_000)
    world.net.find('b')
    await world.net.until(() => mine.state === 'closed')
    await world.net.pass(2_000)
    expect(two.ba.state).toBe('open')
    expect([...sides('a'), ...sides('b')]).toEqual([])
  })

  it('ends with the connection, before that says so', async () => {
    const two = await world.connected()
    const { mine, theirs } = await open(two)
    const log = record(mine)
    two.ab.on('close', () => log.push('the connection'))
    two.ba.close()
    await world.net.until(() => theirs.state === 'closed' && log.length === 3)
    expect(log).toEqual(['state closed', 'close', 'the connection'])
  })

  it('drops what is too much for now, and throws for what can never be sent', async () => {
    const two = await world.connected()
    const { mine } = await open(two)
    const chunk = new Uint8Array(16_000)
    const taken = Array.from({ length: 10 }, () => mine.send(chunk))
    expect(taken).toEqual([true, true, true, true, ...Array<boolean>(6).fill(false)])
    expect(mine.bufferedAmount).toBe(64_004)
    await world.net.pass(100)
    expect(mine.send(new Uint8Array(16_383))).toBe(true)
    const type = (type: string): object => expect.objectContaining({ name: 'PeerError', type, peer: 'b' }) as object
    expect(() => mine.send(new Uint8Array(16_384))).toThrow(type('message-too-big'))
    expect(() => mine.send(() => 1)).toThrow(type('data-clone'))
    expect(() => mine.send(new Blob(['x']))).toThrow(type('data-clone'))
  })

  it('is refused for options that make no sense, on a connection that is not open, and beyond 32', async () => {
    const { a, ab } = await world.connected()
    const refused = (type: string, call: () => unknown): void => expect(call).toThrow(expect.objectContaining({ name: 'PeerError', type }) as Error)
    refused('invalid-argument', () => ab.channel('x', { maxRetransmits: 1, maxPacketLifeTime: 1 }))
    refused('invalid-argument', () => ab.channel('x', { maxRetransmits: -1 }))
    refused('invalid-argument', () => ab.channel('x', { maxPacketLifeTime: 65_536 }))
    refused('invalid-argument', () => ab.channel('ü'.repeat(32_768)))
    for (let i = 0; i < 32; i++) ab.channel(`channel ${i}`)
    refused('invalid-state', () => ab.channel('one more'))
    refused('not-open-yet', () => a.connect('b')!.channel('x'))
    ab.close()
    refused('connection-closed', () => ab.channel('x'))
  })
})

describe('a hostile peer', () => {
  it('is told no more than 32 of its channels, and the connection goes on', async () => {
    const { ab, ba } = await world.connected()
    const arrived = arriving(ba)
    const pc = world.net.pcs.find(pc => pc.owner === 'a')!
    for (let i = 1; i <= 100; i++) pc.createDataChannel(`flood ${i}`, { protocol: `peerbridge.channel.${i}` })
    await world.net.pass(500)
    expect(arrived).toHaveLength(32)
    expect(sides('b')).toHaveLength(32)
    // Neither does it help to close them.
    for (const channel of pc.channels) if (channel.protocol) channel.close()
    await world.net.pass(500)
    for (let i = 201; i <= 300; i++) pc.createDataChannel(`more ${i}`, { protocol: `peerbridge.channel.${i}` })
    await world.net.pass(500)
    expect(arrived).toHaveLength(32)
    const got: unknown[] = []
    ba.on('data', data => got.push(data))
    await ab.send('still here')
    await world.net.pass(100)
    expect(got).toEqual(['still here'])
  })

  it.each([
    ['nothing', []], ['a format that is none', [9, 1]], ['a value that is none', [0, 0xff]], ['too much', new Array<number>(16_385).fill(1)],
  ])('that sends %s gets it dropped, with an error', async (_, bytes) => {
    const two = await world.connected()
    const { theirs } = await open(two)
    const log = record(theirs)
    const errors = vi.fn()
    two.ba.on('error', errors)
    sides('a')[0]!.send(new Uint8Array(bytes))
    await world.net.pass(100)
    expect(errors).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ type: 'protocol-violation' }))
    expect(log).toEqual([])
    expect(theirs.state).toBe('open')
  })

  it.each(['peerbridge.channel.', 'peerbridge.channel.0', 'peerbridge.channel.x', 'peerbridge.channel.99999999999'])('that calls one "%s" gets it closed', async (protocol) => {
    const { ba } = await world.connected()
    const arrived = arriving(ba)
    world.net.pcs.find(pc => pc.owner === 'a')!.createDataChannel('x', { protocol })
    await world.net.pass(500)
    expect(arrived).toEqual([])
    expect(sides('b')).toEqual([])
  })
})
