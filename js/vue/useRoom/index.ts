import { shallowReactive, shallowRef, toValue, watch } from 'vue'
import type { MaybeRefOrGetter, ShallowRef } from 'vue'
import { PeerError } from '../../errors.js'
import type { Peer } from '../../peer.js'
import { Room } from '../../room.js'
import type { JoinOptions, RoomLeaveReason, RoomMember, RoomState } from '../../room.js'
import { createEventHook } from '../eventHook.js'
import type { EventHookOn } from '../eventHook.js'
import { isClient, tryOnScopeDispose } from '../lifecycle.js'
import { usePeer } from '../usePeer/index.js'
import type { UsePeerOptions } from '../usePeer/index.js'

export interface UseRoomOptions extends JoinOptions {
  /** Who joins, e.g. `usePeer().peer`. Left out: a peer of its own, with `peerOptions`, that ends with the scope. */
  peer?: MaybeRefOrGetter<Peer | null | undefined>
  /** Of the peer of its own. */
  peerOptions?: UsePeerOptions
  /**
   * Join as soon as there are a peer and a name. With `false`, `join()` does it.
   *
   * @default true
   */
  immediate?: boolean
}

export interface UseRoomReturn {
  /** Who joined: the one of the options, or its own. */
  peer: Readonly<ShallowRef<Peer | undefined>>
  /** The raw room; undefined while there is none. */
  room: Readonly<ShallowRef<Room | undefined>>
  /** `idle` while there is no room. */
  state: Readonly<ShallowRef<RoomState | 'idle'>>
  /** Everybody else who is here, in the order in which they came. A reactive array. */
  members: readonly RoomMember[]
  /** The last error; undefined again once the room is joined. */
  error: Readonly<ShallowRef<PeerError | undefined>>
  /** Joins, and again after `leave()`; harmless when that happened. Resolves when it is known who is here. */
  join: () => Promise<Room>
  /** Goes away, until `join()`. The end of the scope does the same. */
  leave: () => void
  /** Changes what the others see of this peer, now and in rooms that are joined later. */
  update: (metadata: unknown) => void
  /** Somebody came. */
  onJoined: EventHookOn<[member: RoomMember, room: Room]>
  /** Somebody is not here any more. */
  onLeft: EventHookOn<[member: RoomMember, reason: RoomLeaveReason, room: Room]>
  /** Somebody has other metadata. */
  onUpdated: EventHookOn<[member: RoomMember, room: Room]>
}

/**
 * Who is in a room, for templates: joins when there is a peer, goes along when the name or the peer changes, and leaves with
 * the scope.
 *
 * @param room Its name. A room that `peer.join()` made is only observed: who made it leaves it.
 */
export function useRoom(room: MaybeRefOrGetter<Room | string | null | undefined>, options: UseRoomOptions = {}): UseRoomReturn {
  const { peer: given, peerOptions, immediate = true, ...joining } = options
  const current = shallowRef<Room>()
  const state = shallowRef<RoomState | 'idle'>('idle')
  const members = shallowReactive<RoomMember[]>([])
  const error = shallowRef<PeerError>()
  const joinedHook = createEventHook<[RoomMember, Room]>()
  const leftHook = createEventHook<[RoomMember, RoomLeaveReason, Room]>()
  const updatedHook = createEventHook<[RoomMember, Room]>()
  // Not before a name says that it is needed.
  const own = given === undefined ? usePeer(undefined, { ...peerOptions, immediate: false }) : undefined
  const peer = shallowRef<Peer>()

  const wanted = shallowRef(immediate)
  const waiting: { resolve: (room: Room) => void, reject: (error: PeerError) => void }[] = []
  let forget: (() => void) | undefined

  function observe(next: Room, mine: boolean): void {
    const update = () => {
      state.value = next.state
      if (next.state === 'joined') error.value = undefined
      list()
    }
    const list = () => void members.splice(0, members.length, ...next.members.values())
    const joined = (member: RoomMember) => {
      list()
      joinedHook.trigger(member, next)
    }
    const left = (member: RoomMember, reason: RoomLeaveReason) => {
      list()
      leftHook.trigger(member, reason, next)
    }
    const updated = (member: RoomMember) => {
      list()
      updatedHook.trigger(member, next)
    }
    const failed = (e: PeerError) => { error.value = e }
    current.value = next
    error.value = undefined
    update()
    next.on('state', update)
    next.on('joined', joined)
    next.on('left', left)
    next.on('updated', updated)
    next.on('error', failed)
    waiting.splice(0).forEach(({ resolve }) => resolve(next))
    forget = () => {
      forget = undefined
      next.off('state', update)
      next.off('joined', joined)
      next.off('left', left)
      next.off('updated', updated)
      next.off('error', failed)
      current.value = undefined
      state.value = 'idle'
      members.length = 0
      if (mine) next.leave()
    }
  }

  watch([() => toValue(room), () => own ? own.peer.value : toValue(given) ?? undefined, wanted] as const, ([target, by, want]) => {
    forget?.()
    peer.value = by
    if (!isClient() || !target) return
    if (target instanceof Room) observe(target, false)
    else if (!want) return
    else if (by) observe(by.join(target, { ...joining }), true)
    else own?.reconnect()
  }, { immediate: true, flush: 'sync' })

  async function join(): Promise<Room> {
    if (!isClient()) {
      throw new PeerError('browser-incompatible', 'join() does nothing on the server: call it in onMounted() or in an event handler.')
    }
    // One that was refused is tried again.
    if (current.value?.state === 'left') wanted.value = false
    wanted.value = true
    const joined = current.value ?? await new Promise<Room>((resolve, reject) => waiting.push({ resolve, reject }))
    return joined.ready
  }

  function leave(): void {
    wanted.value = false
    waiting.splice(0).forEach(({ reject }) => reject(new PeerError('cancelled', 'The room was left before it was joined.')))
  }

  tryOnScopeDispose(() => {
    leave()
    forget?.()
    for (const hook of [joinedHook, leftHook, updatedHook]) hook.clear()
  })

  return {
    peer,
    room: current,
    state,
    members,
    error,
    join: () => {
      const joined = join()
      joined.catch(() => {})
      return joined
    },
    leave,
    update(metadata) {
      joining.metadata = metadata
      current.value?.update(metadata)
    },
    onJoined: joinedHook.on,
    onLeft: leftHook.on,
    onUpdated: updatedHook.on,
  }
}
