import type { CoreErrorCode } from './core/types.js'

/**
 * Everything that can be wrong, by name. The first dozen are PeerJS's and mean the same; see {@link PeerErrorType}.
 * `'data-clone'`: a value that cannot be sent. `'aborted'`: an AbortSignal fired. `'quota-exceeded'`: a file found no room.
 * `'rooms-unavailable'`: the signaling server has no rooms. `'room-full'`: no more members or metadata fit into the room.
 * `'room-limit'`: this peer is in too many. `'request-failed'`: the other side's handler threw. `'request-unhandled'`: it has
 * none. `'request-busy'`: it has too many requests at work.
 */
export type PeerErrorCode = CoreErrorCode | 'data-clone' | 'aborted' | 'quota-exceeded'
  | 'rooms-unavailable' | 'room-full' | 'room-limit' | 'request-failed' | 'request-unhandled' | 'request-busy'

/** What a {@link PeerError} is about. */
export interface PeerErrorInfo {
  /** Id of the other peer. */
  peer?: string
  connectionId?: string
  /** The exception underneath. */
  cause?: unknown
}

/**
 * The one error class. `type` is the contract; `message` is for people: what happened, to what, what to do.
 */
export class PeerError<T extends string = PeerErrorCode> extends Error {
  readonly type: T
  /** Id of the other peer, when the error is about one. */
  readonly peer: string | undefined
  /** The connection that the error is about, when it is about one. */
  readonly connectionId: string | undefined

  constructor(type: T, message: string | Error, info: PeerErrorInfo = {}) {
    const error = message instanceof Error ? message : undefined
    super(error ? error.message : message as string, { cause: info.cause ?? error })
    this.name = 'PeerError'
    this.type = type
    this.peer = info.peer
    this.connectionId = info.connectionId
  }
}

/** Text of anything that was thrown. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message || error.name : String(error)
