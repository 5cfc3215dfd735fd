import { messageOf, PeerError } from '../errors.js'
import type { Peer } from '../peer.js'
import type { Room } from '../room.js'
import type { SignalingChannel, SignalingTransport } from './transport.js'

/** Begins what is not for the core. */
const roomPrefix = '{"type":"ROOM"'

/** Where a peer's messages of rooms leave and come in: beside its core, on whichever way to the server there is. */
export class Tap {
  /** What this peer is called at the server. */
  id = ''
  /** Messages that came. */
  heard = 0
  /** Takes what is about rooms. */
  take: ((text: string) => void) | undefined
  /** The core is about to close the way, and something may be said before. */
  closing: (() => void) | undefined
  #channel: SignalingChannel | undefined

  /** The transport, without what is about rooms. */
  on(transport: SignalingTransport): SignalingTransport {
    return {
      ...transport,
      connect: (id, token, handlers, progress) => {
        this.id = id
        const channel = transport.connect(id, token, {
          ...handlers,
          message: (text) => {
            this.heard += 1
            if (text.startsWith(roomPrefix)) this.take?.(text)
            else handlers.message(text)
          },
        }, progress)
        const tapped: SignalingChannel = {
          send: (text, number) => channel.send(text, number),
          close: () => {
            if (this.#channel === tapped) {
              this.closing?.()
              this.#channel = undefined
            }
            channel.close()
          },
        }
        return this.#channel = tapped
      },
    }
  }

  /** Only while the peer is open. */
  send(text: string): void {
    try {
      this.#channel?.send(text)
    }
    catch { // it is gone, which the core will find out; then everything is said again
    }
  }

  /** What rooms do is loaded with the first of them. Rejects when it cannot be. */
  async join(peer: Peer, room: Room): Promise<void> {
    const { roomsOf } = await import('./rooms.js').catch((cause: unknown) => {
      throw new PeerError('core-unavailable', `A part of peerbridge could not be loaded (${messageOf(cause)}). If the site was deployed anew since this page was opened, reloading the page helps.`, { cause })
    })
    roomsOf(peer, this).join(room)
  }
}
