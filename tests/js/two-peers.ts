// Two peers in one process, connected through the loopback.
import { afterEach, beforeAll, beforeEach, vi } from 'vitest'
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

/** For a file whose tests use connected(): two peers over a network in virtual time that can be cut. */
export function useNetwork(): { net: Network, connected(options?: PeerOptions): Promise<Pair> } {
  const self = { net: null as unknown as Network, connected }
  beforeAll(() => Network.prepare())
  beforeEach(() => {
    peers = []
    self.net = new Network()
  })
  afterEach(async () => {
    for (const peer of peers) peer.destroy()
    await self.net.pass(10_000)
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  async function connected(options: PeerOptions = {}): Promise<Pair> {
    const { net } = self
    const [a, b] = ['a', 'b'].map((id) => {
      const peer = new Peer(id, { signaling: net.transport(id), config: { owner: id } as RTCConfiguration, ...options })
      peers.push(peer)
      return peer
    }) as [Peer, Peer]
    let ba: DataConnection | undefined
    b.on('connection', (connection) => { ba = connection })
    await net.until(() => a.open && b.open)
    const ab = a.connect('b')!
    await net.until(() => ab.open && ba?.open)
    return { a, b, ab, ba: ba! }
  }
  return self
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
