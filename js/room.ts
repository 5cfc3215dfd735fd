import { messageOf, PeerError } from './errors.js'
import { deferred, Emitter } from './events.js'

/** Somebody in a room. */
export interface RoomMember {
  readonly id: string
  /** What that peer says about itself: any JSON, and not to be trusted more than the peer. Undefined when it says nothing. */
  readonly metadata: unknown
}

/** Why somebody left: `leave()`; the peer or its page ended; its network went away, and it did not come back in time. */
export type RoomLeaveReason = 'left' | 'gone' | 'lost'

/** 'joining' → 'joined' → 'left', the last for good; a server that was started anew and does not answer: 'joining' again. */
export type RoomState = 'joining' | 'joined' | 'left'

export interface JoinOptions {
  /** What the others see of this peer; what JSON carries, 4 KiB by default. */
  metadata?: unknown
  /** A server that talks and has not answered after so long has no rooms, ms. @default 5000 */
  timeout?: number
}

export interface RoomEvents {
  /** Somebody came; those who were here before are in `members` when `ready` resolves. */
  joined: (member: RoomMember) => void
  /** Somebody is not here any more. */
  left: (member: RoomMember, reason: RoomLeaveReason) => void
  /** Somebody has other metadata now. */
  updated: (member: RoomMember) => void
  state: (state: RoomState) => void
  error: (error: PeerError) => void
}

/** JSON, at this moment. */
export function stringify(metadata: unknown): string | undefined {
  try {
    return JSON.stringify(metadata)
  }
  catch (cause) {
    throw new PeerError('invalid-argument', `The metadata cannot be written as JSON (${messageOf(cause)}). Leave out cycles and BigInts.`, { cause })
  }
}

/**
 * A room at the signaling server, as one of its members sees it; `peer.join()` makes it. It stays while signaling comes and
 * goes: who is away for a moment is not missed, and who missed something learns it on its return. What moves it is loaded with
 * the first room: js/signaling/rooms.ts.
 */
export class Room extends Emitter<RoomEvents> {
  /** Everybody else who is here, by id, in the order in which they came. This peer itself is not among them. */
  readonly members: ReadonlyMap<string, RoomMember> = new Map<string, RoomMember>()
  readonly state: RoomState = 'joining'
  /** Resolves with this room once the server has told who is here. Rejects with what 'error' says; nobody has to look. */
  readonly ready: Promise<Room>

  /** @internal */
  readonly _ready = deferred<Room>()
  /** @internal What the others are to see of this peer. */
  _metadata: string | undefined
  /** @internal Something was changed here. */
  _changed: (() => void) | undefined

  /** @internal */
  constructor(readonly name: string, readonly _options: JoinOptions) {
    super()
    this.ready = this._ready.promise
    this._metadata = stringify(_options.metadata)
  }

  /**
   * Changes what the others see of this peer.
   * @throws PeerError 'invalid-argument' when JSON cannot carry it
   */
  update(metadata: unknown): void {
    this._metadata = stringify(metadata)
    this._changed?.()
  }

  /** Goes away. Final; twice is harmless. `destroy()` of the peer leaves all its rooms. */
  leave(): void {
    this._end()
  }

  /** @internal */
  _end(error?: PeerError): void {
    if (this.state === 'left') return
    this._become('left')
    this._changed?.();
    (this.members as Map<string, RoomMember>).clear()
    this._ready.reject(error ?? new PeerError('cancelled', `The room ${this.name} was left.`))
    if (error) this.emit('error', error)
    this.emit('state', 'left')
  }

  /** @internal */
  _become(state: RoomState): void {
    (this as { state: RoomState }).state = state
  }
}
