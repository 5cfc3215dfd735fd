import { ConnectionType, Peer, PeerError, PeerErrorType, util } from 'peerjs'
import type { DataConnection, MediaConnection, PeerConnectOption, PeerEvents, PeerJSOption, PeerOptions } from 'peerjs'

const options: PeerOptions = {
  key: 'peerjs', token: 'secret', pingInterval: 2000, referrerPolicy: 'no-referrer',
  logFunction: (level, ...rest: unknown[]) => console.log(level, ...rest),
}
const short: PeerJSOption = { host: '/', port: 443, path: '/', debug: 2, secure: true, config: util.defaultConfig }
const how: PeerConnectOption = { label: 'lobby', metadata: { level: 3 }, reliable: false, serialization: 'binary' }

/** A lobby with a host in the middle, in the way of many games. */
export class Lobby {
  peer: Peer
  guests = new Map<string, DataConnection>()
  host?: DataConnection
  private timer?: ReturnType<typeof setTimeout>

  constructor(id: string, isHost: boolean) {
    if (!util.supports.data || !util.supports.reliable) throw new Error(`${util.browser} ${util.browserVersion.toFixed()} cannot play`)
    this.peer = isHost ? new Peer(id, { ...options, ...short }) : new Peer(options)
    this.peer.once('open', this.opened)
    this.peer.on('connection', this.joined)
    this.peer.on('error', this.failed)
    this.peer.on('call', (call: MediaConnection) => call.answer())
    if (!isHost) this.join(id)
  }

  opened = (id: string): void => console.log(`known as ${id}, ${this.peer.open}, ${this.peer.disconnected}, ${this.peer.destroyed}`)

  joined: PeerEvents['connection'] = (conn) => {
    if (conn.type !== ConnectionType.Data) return
    this.guests.set(conn.connectionId, conn)
    conn.once('open', () => this.broadcast({ players: [...this.guests.keys()] }))
    conn.on('close', () => this.guests.delete(conn.connectionId))
  }

  failed = (error: PeerError<`${PeerErrorType}`>): void => {
    if (!(error instanceof PeerError)) return
    switch (error.type) {
      case PeerErrorType.UnavailableID:
      case PeerErrorType.InvalidID:
        alert(error.message)
        break
      case PeerErrorType.Network:
      case PeerErrorType.ServerError:
        this.timer = setTimeout(() => this.peer.reconnect(), 1000)
        break
      default:
        console.error(error)
    }
  }

  join(id: string): void {
    this.host = this.peer.connect(id, how)
    this.host.on('data', (data: unknown) => console.log(data))
    this.host.on('error', (error) => {
      if (error.type === 'negotiation-failed' || error.type === 'connection-closed') this.leave()
      if (error.type === 'not-open-yet' || error.type === 'message-too-big') console.warn(error)
    })
  }

  broadcast(message: object): void {
    for (const guest of this.guests.values()) if (guest.open) guest.send(message)
  }

  everybody(): void {
    this.peer.listAllPeers((ids) => {
      for (const id of ids) if (id !== this.peer.id) this.join(id)
    })
    for (const id of Object.keys(this.peer.connections)) console.log(id)
    const known = this.peer.getConnection('ada', 'dc_1')
    if (known && known.type === ConnectionType.Media) known.close()
  }

  leave(): void {
    clearTimeout(this.timer)
    this.peer.off('error', this.failed)
    this.peer.removeAllListeners('connection')
    if (this.peer.listenerCount('call') > 0) this.peer.removeListener('call')
    this.peer.disconnect()
    this.peer.destroy()
  }
}

/** A member of an enumeration as a type. */
export const isFatal = (type: `${PeerErrorType}`): type is `${PeerErrorType.InvalidID | PeerErrorType.UnavailableID}` =>
  type === PeerErrorType.InvalidID || type === PeerErrorType.UnavailableID
