import { BufferedConnection, Peer } from 'peerjs'
import type { SerializerMapping , DataConnection} from 'peerjs'

/** Upside down, to show that it is one's own. */
class Reversed extends BufferedConnection {
  readonly serialization = 'reversed'

  protected _send(data: unknown): void {
    const bytes = new TextEncoder().encode(JSON.stringify(data)).reverse()
    this._bufferedSend(bytes.buffer)
  }

  protected _handleDataMessage({ data }: MessageEvent<ArrayBuffer>): void {
    this.emit('data', JSON.parse(new TextDecoder().decode(new Uint8Array(data).slice().reverse())))
  }
}

const serializers: SerializerMapping = { reversed: Reversed }

class GamePeer extends Peer {
  constructor(id: string) {
    super(id, { serializers })
    this.on('open', () => this.emit('open', this.id))
  }

  play(other: string): DataConnection {
    return this.connect(other, { serialization: 'reversed', label: 'moves' })
  }
}

const peer = new GamePeer('ada')
const conn = peer.play('bob')
if (conn instanceof BufferedConnection) console.log(conn.bufferSize, conn.provider === peer, conn.options.label)
