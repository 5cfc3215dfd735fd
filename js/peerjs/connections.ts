// Classes that applications of PeerJS extend or name. Nobody pays for them who does not import them.

import { DataConnection, type SendOptions } from '../data-connection.js'
import type { PeerErrorCode } from '../errors.js'
import { noop } from '../events.js'
import { Peer } from '../peer.js'

/** What PeerJS writes at once to a channel. */
const pieceBytes = 32_768

type Frame = string | ArrayBuffer | ArrayBufferView | Blob

/** A connection that makes and reads the frames of its channel itself. */
abstract class OwnFrames extends DataConnection {
  /** Makes frames of a value. What it throws is thrown by `send()`, as in PeerJS. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in PeerJS
  protected abstract _send(data: any, chunked: boolean): void | Promise<void>

  /** @internal What came. */
  abstract _frame(data: string | ArrayBuffer): void

  override send(data: unknown, options?: SendOptions | boolean): Promise<void> {
    return this.open ? Promise.resolve(this._send(data, options === true)) : super.send(data, options)
  }

  /** One frame; resolves when there is room for more. */
  protected pass(frame: Frame): Promise<void> {
    return super.send(frame)
  }

  emitError(type: PeerErrorCode, error: string | Error): void {
    this.emit('error', this.error(type, error instanceof Error ? error.message : error, error))
  }
}

/**
 * For the option `serializers`: a serialization of the application's own, one frame for each call of `_bufferedSend()`.
 *
 * @example
 * class Reversed extends BufferedConnection {
 *   readonly serialization = 'reversed'
 *   protected _send(data: string) { this._bufferedSend(encode([...data].reverse().join(''))) }
 *   protected _handleDataMessage({ data }: MessageEvent) { this.emit('data', [...decode(data)].reverse().join('')) }
 * }
 * new Peer('ada', { serializers: { reversed: Reversed } }).connect('bob', { serialization: 'reversed' })
 */
export abstract class BufferedConnection extends OwnFrames {
  /** `data` is a string or an ArrayBuffer, as it was sent. */
  protected abstract _handleDataMessage(event: MessageEvent): void

  /** Sends one frame; it waits where there is no room. */
  protected _bufferedSend(frame: Frame): void {
    this.pass(frame).catch(noop) // emitted as 'error', too
  }

  /** @internal */
  override _frame(data: string | ArrayBuffer): void {
    this._handleDataMessage({ data } as MessageEvent)
  }
}

/** For the option `serializers`: a serialization whose values are no frames, but follow each other in a stream of bytes. */
export abstract class StreamConnection extends OwnFrames {
  #came!: ReadableStreamDefaultController<ArrayBuffer>
  /** What the other side wrote, in pieces of any size. */
  protected _rawReadStream = new ReadableStream<ArrayBuffer>({ start: (controller) => { this.#came = controller } })
  /** Goes to the other side. What `write()` answers resolves when there is room for more. */
  protected writer = new WritableStream<Uint8Array>({
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; at += pieceBytes) await this.pass(bytes.subarray(at, at + pieceBytes))
    },
  }).getWriter()

  /** @internal */
  override _frame(data: string | ArrayBuffer): void {
    this.#came.enqueue(typeof data === 'string' ? new TextEncoder().encode(data).buffer : data)
  }
}

/** The serialization `MsgPack`, which is built in: for applications that hand it to the option `serializers`, as PeerJS wants. */
export class MsgPack extends DataConnection {}

/** As Peer, where MsgPack is built in. */
export class MsgPackPeer extends Peer {}
