// Two peers in one process, connected through the loopback.
import { afterEach, beforeEach, vi } from 'vitest'
import { type DataConnection, Peer, type PeerOptions } from '../../js/index.js'
import { Hub, LoopPeerConnection } from './loopback.js'

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
