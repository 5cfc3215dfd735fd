// Two peers whose signaling is two codes, with the real core, over a network in virtual time.
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { type DataConnection, manual, type ManualTransport, Peer, type PeerError, type PeerOptions } from '../../js/index.js'
import type { Network } from './network.js'
import { useNetwork } from './two-peers.js'

const world = useNetwork(() => import('../../js/driver/late.js'))
let net: Network

beforeEach(() => {
  net = world.net
})

interface Side { by: ManualTransport, peer: Peer, came: DataConnection[], errors: string[] }

function side(id: string, options: PeerOptions = {}): Side {
  const by = manual()
  const peer = new Peer(id, { signaling: by, config: { owner: id } as RTCConfiguration, ...options })
  const self: Side = { by, peer, came: [], errors: [] }
  peer.on('connection', connection => self.came.push(connection))
  peer.on('error', ({ type }) => self.errors.push(type))
  world.own(peer)
  return self
}

/** What comes of it, while time passes. */
async function result<T>(promise: Promise<T>): Promise<T> {
  let settled = false
  promise.then(() => { settled = true }, () => { settled = true })
  await net.until(() => settled)
  return promise
}

const failure = async (promise: Promise<unknown>): Promise<PeerError> =>
  result(promise).then(() => { throw new Error('it did not fail') }, (error: PeerError) => error)

async function connected(a: Side, b: Side, wait = 0): Promise<{ ab: DataConnection, ba: DataConnection }> {
  const invitation = await result(a.by.invite())
  await net.pass(wait)
  const answer = await result(b.by.answer(invitation))
  await net.pass(wait)
  const ab = await result(a.by.accept(answer))
  const ba = b.came.at(-1)!
  await net.until(() => ba.open)
  return { ab, ba }
}

describe('manual()', () => {
  it('connects two peers by two codes, with no server at all', async () => {
    net.serverUp = false
    const [a, b] = [side('ada'), side('bob')]
    const { ab, ba } = await connected(a, b)
    expect(a.came).toEqual([ab])
    expect([ab.open, ba.open]).toEqual([true, true])
    const heard: unknown[] = []
    ab.on('data', data => heard.push(data))
    ba.on('data', data => heard.push(data))
    await Promise.all([ab.send('hello bob'), ba.send('hello ada')])
    await net.until(() => heard.length === 2)
    await net.pass(60_000)
    expect(heard.sort()).toEqual(['hello ada', 'hello bob'])
    expect([a.errors, b.errors]).toEqual([[], []])
  })

  it('makes codes of digits and capital letters, which a QR code has a mode for', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const invitation = await result(a.by.invite())
    const answer = await result(b.by.answer(invitation))
    for (const code of [invitation, answer]) expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{80,180}$/)
  })

  it('waits as long as people take', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const { ab } = await connected(a, b, 20 * 60_000)
    expect(ab.open).toBe(true)
    expect([a.errors, b.errors]).toEqual([[], []])
  })

  it('waits for the addresses first, and no longer than it is told to', async () => {
    const a = side('ada', { timers: { gatherTimeout: 500 } })
    net.gathers = false
    const code = a.by.invite()
    let there = false
    void code.then(() => { there = true })
    const took = await net.until(() => there)
    expect(took).toBeGreaterThanOrEqual(500)
    expect(took).toBeLessThan(700)
  })

  it('takes a code in lower case, with spaces and line ends, and a URL that ends with it', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const invitation = await result(a.by.invite())
    const answer = await result(b.by.answer(`https://example.com/napkin#${invitation}`))
    await result(a.by.accept(` ${answer.toLowerCase().replace(/.{4}/g, '$& ').replace(/.{20}/g, '$&\r\n')}`))
  })

  it('begins before the peer is open', async () => {
    const a = side('ada')
    expect(a.peer.open).toBe(false)
    expect(await result(a.by.invite())).toHaveLength((await result(a.by.invite())).length)
  })

  it('connects several, in whatever order they answer', async () => {
    const [a, b, c] = [side('ada'), side('bob'), side('cleo')]
    const [first, second] = [await result(a.by.invite({ peer: 'bob' })), await result(a.by.invite({ peer: 'cleo' }))]
    const [fromB, fromC] = [await result(b.by.answer(first)), await result(c.by.answer(second))]
    const ac = await result(a.by.accept(fromC))
    const ab = await result(a.by.accept(fromB))
    expect([ab.peer, ac.peer]).toEqual(['bob', 'cleo'])
    expect(Object.keys(a.peer.connections)).toEqual(['bob', 'cleo'])
    const heard = vi.fn()
    c.came[0]!.on('data', heard)
    await ac.send('cleo?')
    await net.until(() => heard.mock.calls.length)
  })

  it('signals calls and further connections through the connection', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const { ab, ba } = await connected(a, b)
    const call = vi.fn()
    b.peer.on('call', incoming => { call(incoming.peer); incoming.answer() })
    const track = { kind: 'audio', id: 't', enabled: true, addEventListener() {}, removeEventListener() {} }
    const stream = { id: 's', getTracks: () => [track], getAudioTracks: () => [track], getVideoTracks: () => [], addEventListener() {}, removeEventListener() {} }
    const outgoing = a.peer.call(ab.peer, stream as unknown as MediaStream)
    await net.until(() => outgoing.open)
    expect(call).toHaveBeenCalledWith(ba.peer)
    // From the other side, too.
    const second = b.peer.connect(ba.peer)
    await net.until(() => second.open && a.came.length === 2)
  })

  it('recovers when the path comes back', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const { ab, ba } = await connected(a, b)
    net.lose('bob')
    await net.until(() => ab.state === 'recovering')
    await net.pass(3000)
    net.find('bob')
    await net.until(() => ab.state === 'open' && ba.state === 'open')
    expect([a.errors, b.errors]).toEqual([[], []])
  })

  it('says which characters are wrong', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const invitation = await result(a.by.invite())
    const wrong = invitation.slice(0, 20) + (invitation[20] === '7' ? '8' : '7') + invitation.slice(21)
    const error = await failure(b.by.answer(wrong))
    expect(error.type).toBe('bad-signal')
    expect(error.message).toContain('characters 17 to 32')
    expect(b.came).toEqual([])
    await result(b.by.answer(invitation))
  })

  it('tells an invitation from an answer, and answers from each other', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const invitation = await result(a.by.invite())
    const answer = await result(b.by.answer(invitation))
    expect((await failure(a.by.accept(invitation))).message).toContain('is an invitation')
    expect((await failure(b.by.answer(answer))).message).toContain('is an answer')
    expect((await failure(b.by.accept(answer))).message).toContain('another invitation')
    await result(a.by.accept(answer))
    expect((await failure(a.by.accept(answer))).message).toContain('answered already')
  })

  it('answers the same invitation twice with the same code', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const invitation = await result(a.by.invite())
    const answer = await result(b.by.answer(invitation))
    expect(await result(b.by.answer(invitation))).toBe(answer)
    expect(b.came).toHaveLength(1)
  })

  it('forgets an invitation whose connection is closed', async () => {
    const [a, b] = [side('ada'), side('bob')]
    const invitation = await result(a.by.invite({ peer: 'bob' }))
    const answer = await result(b.by.answer(invitation))
    a.peer.connections.bob![0]!.close()
    expect((await failure(a.by.accept(answer))).type).toBe('invalid-argument')
    await result(a.by.invite({ peer: 'bob' }))
  })

  it('has one invitation for each name', async () => {
    const a = side('ada')
    await result(a.by.invite({ peer: 'bob' }))
    expect((await failure(a.by.invite({ peer: 'bob' }))).type).toBe('invalid-argument')
  })

  it('fails when no path is found after the answer was accepted', async () => {
    const [a, b] = [side('ada'), side('bob')]
    net.pathless = true
    const answer = await result(b.by.answer(await result(a.by.invite())))
    expect((await failure(a.by.accept(answer))).type).toBe('negotiation-failed')
  })

  it('needs a peer, and is for one', async () => {
    expect((await failure(manual().invite())).type).toBe('invalid-state')
    const a = side('ada')
    expect(() => new Peer({ signaling: a.by })).toThrow(/another peer/)
    a.peer.destroy()
    await net.pass(1000)
    const again = new Peer({ signaling: a.by })
    world.own(again)
    await result(a.by.invite())
  })

  it('does not reach whom nobody invited', async () => {
    const a = side('ada')
    a.peer.connect('somebody')
    await net.until(() => a.errors.length)
    expect(a.errors).toEqual(['peer-unavailable'])
  })

  it('refuses what only PeerJS understands', async () => {
    const a = side('ada', { protocol: 'peerjs' })
    expect((await failure(a.by.invite())).type).toBe('invalid-argument')
  })
})
