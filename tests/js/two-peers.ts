// Two peers in one process, connected through the loopback.
import { afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { type DataConnection, Peer, type PeerOptions } from '../../js/index.js'
import { Hub, LoopPeerConnection } from './loopback.js'
import { Network } from './network.js'

let hub: Hub
let peers: Peer[]

/** For a file whose tests use pair(). */
export function usePeers(): void {
  beforeEach(() => {
    hub = new Hub()
    peers = []
    LoopPeerConnection.all = []
    vi.stubGlobal('RTCPeerConnection', LoopPeerConnection)
  })

  afterEach(() => {
    for (const peer of peers) peer.destroy()
    vi.unstubAllGlobals()
  })
}

export interface NetworkWorld {
  /** Another one for each test. */
  net: Network
  /** Destroyed when the test is over. */
  own<P extends Peer>(peer: P): P
  /** All of them, now. */
  destroy(): void
  connected(options?: PeerOptions): Promise<Pair>
}

/**
 * For a file whose tests have peers over a network in virtual time that can be cut.
 * @param load what has to be imported before, because modules are loaded in real time
 */
export function useNetwork(load?: () => Promise<unknown>): NetworkWorld {
  const self: NetworkWorld = {
    net: null as unknown as Network,
    own(peer) {
      peers.push(peer)
      return peer
    },
    destroy() {
      for (const peer of peers.splice(0)) peer.destroy()
    },
    connected,
  }
  beforeAll(async () => {
    await Network.prepare()
    await load?.()
  }, load && 60_000)
  beforeEach(() => {
    peers = []
    self.net = new Network()
  })
  afterEach(async () => {
    self.destroy()
    await self.net.pass(10_000)
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  async function connected(options: PeerOptions = {}): Promise<Pair> {
    const { net } = self
    const [a, b] = ['a', 'b'].map(id =>
      self.own(new Peer(id, { signaling: net.transport(id), config: { owner: id } as RTCConfiguration, ...options }))) as [Peer, Peer]
    let ba: DataConnection | undefined
    b.on('connection', (connection) => { ba = connection })
    await net.until(() => a.open && b.open)
    const ab = a.connect('b')!
    await net.until(() => ab.open && ba?.open)
    return { a, b, ab, ba: ba! }
  }
  return self
}

/** a calls b, and both talk. Whatever happens on the way: one connection at each end, each message once. */
export async function talk(net: Network, a: Peer, b: Peer): Promise<{ ab: DataConnection, ba: DataConnection }> {
  await net.until(() => a.open && b.open)
  const taken: DataConnection[] = []
  b.on('connection', connection => taken.push(connection))
  const ab = a.connect(b.id)!
  await net.until(() => ab.open && taken[0]?.open)
  const [ba] = taken as [DataConnection]
  const heard: unknown[] = []
  ab.on('data', data => heard.push(data))
  ba.on('data', data => heard.push(data))
  void ab.send('hello bob')
  void ba.send('hello ada')
  await net.until(() => heard.length === 2)
  await net.pass(15_000)
  expect(heard.sort()).toEqual(['hello ada', 'hello bob'])
  expect(taken).toHaveLength(1)
  return { ab, ba }
}

/** The arguments of the next event of this name. */
export const event = <T extends unknown[]>(target: object, name: string): Promise<T> =>
  new Promise(resolve => (target as { once(name: string, call: (...args: T) => void): void }).once(name, (...args) => resolve(args)))

export interface Pair { a: Peer, b: Peer, ab: DataConnection, ba: DataConnection }

/** `arrived` is called with the other end as soon as it is there. */
export async function pair(arrived: (ba: DataConnection) => void = () => {}, options: PeerOptions = {}): Promise<Pair> {
  const [a, b] = ['a', 'b'].map((id) => {
    const peer = new Peer(id, { signaling: hub.transport(), ...options })
    peers.push(peer)
    return peer
  }) as [Peer, Peer]
  await b.ready
  const incoming = new Promise<DataConnection>(resolve => b.on('connection', (ba) => {
    arrived(ba)
    resolve(ba)
  }))
  const ab = a.connect('b')!
  const ba = await incoming
  await Promise.all([ab, ba].map(conn => conn.open || event(conn, 'open')))
  return { a, b, ab, ba }
}
