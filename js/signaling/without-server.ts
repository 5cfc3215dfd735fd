import type { SignalingHandlers } from './transport.js'

/** A signaling message, read: docs/protocol.md, "Signaling". */
export interface SignalingMessage {
  type: string
  /** Who it comes from. */
  src: string
  /** Whom it is for. */
  dst: string
  payload?: unknown
}

/** What a server says to a client whose id it took. */
export const openMessage = '{"type":"OPEN"}'

/** What a server says when nobody is called `id`. */
export const expireMessage = (id: string): string => JSON.stringify({ type: 'EXPIRE', src: id })

/**
 * What the core says, for somebody else; null where a server would keep it to itself: heartbeats, and what a peer sends to
 * itself to see whether the server relays it.
 */
export function toOthers(text: string, id: string, handlers: SignalingHandlers): SignalingMessage | null {
  const message = JSON.parse(text) as SignalingMessage
  if (!message.dst) return null
  message.src = id
  if (message.dst !== id) return message
  queueMicrotask(() => handlers.message(JSON.stringify(message)))
  return null
}
