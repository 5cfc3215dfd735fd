import { MsgPackPeer, SerializationType, ServerMessageType, SocketEventType, BaseConnectionErrorType, DataConnectionErrorType, util } from 'peerjs'
import type { DataConnection , Peer} from 'peerjs'

/** Sends a file in pieces, and looks after the buffer itself, as one had to. */
export async function send(conn: DataConnection, file: File): Promise<void> {
  const bytes = await file.arrayBuffer()
  const size: number = util.chunkedMTU
  conn.send({ name: file.name, size: file.size, type: file.type })
  for (let at = 0; at < bytes.byteLength; at += size) {
    while (conn.dataChannel.bufferedAmount > 8 * 1024 * 1024) {
      await new Promise<void>((resolve) => { conn.dataChannel.onbufferedamountlow = () => resolve() })
    }
    conn.send(bytes.slice(at, at + size))
  }
  await conn.send(new Blob(['end']))
  conn.send('chunked', true)
  conn.close({ flush: true })
}

export function receive(peer: Peer, done: (file: Blob) => void): void {
  peer.on('connection', (conn) => {
    const parts: ArrayBuffer[] = []
    conn.on('data', (data) => {
      if (data instanceof ArrayBuffer) parts.push(data)
      else if (ArrayBuffer.isView(data)) parts.push(data.buffer as ArrayBuffer)
      else if (typeof data === 'object' && data !== null && 'name' in data) console.log((data as { name: string }).name)
    })
    conn.on('close', () => done(new Blob(parts)))
    conn.on('iceStateChanged', state => console.log(conn.label, conn.reliable, conn.serialization, state))
  })
}

export async function round(): Promise<void> {
  const bytes = await util.pack({ hello: 'world', when: new Date() })
  const back: { hello: string } = util.unpack(bytes as ArrayBuffer)
  util.blobToArrayBuffer(new Blob([back.hello]), buffer => console.log(buffer?.byteLength))
  console.log(util.binaryStringToArrayBuffer('abc').byteLength, util.validateId('a'), util.randomToken(), util.isSecure(), util.CLOUD_HOST, util.CLOUD_PORT)
  util.noop()
}

export const modern = (): Peer => {
  const peer = new MsgPackPeer('ada')
  peer.connect('bob', { serialization: 'MsgPack' }).on('data', console.log)
  peer.connect('bob', { serialization: SerializationType.JSON })
  return peer
}

export const names: string[] = [
  ServerMessageType.Offer, SocketEventType.Close, SerializationType.None,
  BaseConnectionErrorType.NegotiationFailed, DataConnectionErrorType.MessageToBig,
]
