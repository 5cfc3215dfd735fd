import { shallowReactive, shallowRef, toValue, watch } from 'vue'
import type { MaybeRefOrGetter, ShallowRef } from 'vue'
import type { DataConnection } from '../../data-connection.js'
import { PeerError } from '../../errors.js'
import type { MediaConnection } from '../../media-connection.js'
import { Peer } from '../../peer.js'
import type { PeerOptions } from '../../peer.js'
import type { Room } from '../../room.js'
import { injectPeerDefaults } from '../defaults.js'
import { createEventHook } from '../eventHook.js'
import type { EventHookOn } from '../eventHook.js'
import { isClient, tryOnMounted, tryOnScopeDispose } from '../lifecycle.js'

export interface UsePeerOptions extends PeerOptions {
  /**
   * Start after mount. With `false` the first `connect()`, `call()` or `reconnect()` starts the peer.
   *
   * @default true
   */
  immediate?: boolean
}

/** One data connection, as a template sees it. */
export interface UsePeerConnection {
  /** Id of the peer at the other end. */
  readonly peer: string
  readonly label: string
  readonly state: DataConnection['state']
  /** Which way the bytes go; null while it is not known. */
  readonly path: DataConnection['path']
  /** The raw connection. */
  readonly connection: DataConnection
}

export interface UsePeerReturn {
  /** The raw peer; undefined on the server, before mount and after `destroy()`. */
  peer: Readonly<ShallowRef<Peer | undefined>>
  /** What this peer is called; undefined until the signaling server agreed. Stays while signaling is lost. */
  id: Readonly<ShallowRef<string | undefined>>
  /** `reconnecting`: signaling is lost, connections go on. */
  state: Readonly<ShallowRef<Peer['state']>>
  /** The last error, of the peer or of one of its connections; undefined again once the peer (re)opens. */
  error: Readonly<ShallowRef<PeerError | undefined>>
  /** Whether this browser has WebRTC. False on the server and during hydration. */
  isSupported: Readonly<ShallowRef<boolean>>
  /** Data connections, incoming and made by `connect()`, until they close. A reactive array. */
  connections: readonly UsePeerConnection[]
  /** Resolves when the connection is open; rejects with a `PeerError` when it cannot be. Waits for the peer where needed. */
  connect: (peer: string, options?: Parameters<Peer['connect']>[1]) => Promise<DataConnection>
  /** Resolves as soon as it rings, so that it can be hung up before it is answered. Waits for the peer where needed. */
  call: (peer: string, stream: MediaStream, options?: Parameters<Peer['call']>[2]) => Promise<MediaConnection>
  /** Resolves when it is known who is in the room; rejects with a `PeerError`. Waits for the peer where needed. See `useRoom()`. */
  join: (room: string, options?: Parameters<Peer['join']>[1]) => Promise<Room>
  /** Leaves the signaling server. Connections go on; nothing reconnects unasked. */
  disconnect: () => void
  /** Comes back after `disconnect()`; starts anew after `destroy()` or a fatal error. Harmless while open. */
  reconnect: () => void
  /** Ends the peer and all its connections. The end of the scope does the same. */
  destroy: () => void
  /** A peer connected to this one. */
  onConnection: EventHookOn<[connection: DataConnection]>
  /** A value arrived on any data connection. */
  onData: EventHookOn<[data: unknown, connection: DataConnection]>
  /** A peer calls; `call.answer(stream)` or `call.close()`. */
  onCall: EventHookOn<[call: MediaConnection]>
  /** With the connection, where the error belongs to one. */
  onError: EventHookOn<[error: PeerError, connection?: DataConnection | MediaConnection]>
}

/**
 * One WebRTC peer that lives as long as the component (or scope) that asked for it.
 *
 * @param id What to be called; left out, the signaling server chooses. When it changes, a new peer takes the place of the old.
 */
export function usePeer(id?: MaybeRefOrGetter<string | undefined>, options: UsePeerOptions = {}): UsePeerReturn {
  const { immediate = true, ...peerOptions } = options
  const defaults = injectPeerDefaults()

  const peer = shallowRef<Peer>()
  const peerId = shallowRef<string>()
  const state = shallowRef<Peer['state']>('idle')
  const error = shallowRef<PeerError>()
  const isSupported = shallowRef(false)
  const connections = shallowReactive<UsePeerConnection[]>([])

  const connectionHook = createEventHook<[DataConnection]>()
  const dataHook = createEventHook<[unknown, DataConnection]>()
  const callHook = createEventHook<[MediaConnection]>()
  const errorHook = createEventHook<[PeerError, (DataConnection | MediaConnection)?]>()

  let mounted = false
  let wanted = immediate
  const waiting: { resolve: (peer: Peer) => void, reject: (error: PeerError) => void }[] = []

  // ---- one peer

  let name: string | undefined

  function start(): Peer {
    end()
    error.value = undefined
    name = toValue(id)
    const current = new Peer(name, { ...defaults, ...peerOptions })
    // A replaced peer may still have something to say; nobody listens.
    const mine = <A extends unknown[]>(fn: (...args: A) => void) => (...args: A) => {
      if (peer.value === current) fn(...args)
    }
    current.on('open', mine((opened: string) => {
      peerId.value = opened
      error.value = undefined
    }))
    current.on('state', mine(() => { state.value = current.state }))
    current.on('close', mine(() => {
      peerId.value = undefined
      connections.length = 0
    }))
    current.on('error', mine((e: PeerError) => report(e)))
    current.on('connection', mine((connection: DataConnection) => {
      track(connection)
      connectionHook.trigger(connection)
    }))
    current.on('call', mine((call: MediaConnection) => {
      watchCall(call)
      callHook.trigger(call)
    }))
    peer.value = current
    state.value = current.state
    waiting.splice(0).forEach(({ resolve }) => resolve(current))
    return current
  }

  function end(): void {
    const current = peer.value
    if (!current) return
    peer.value = undefined
    peerId.value = undefined
    connections.length = 0
    state.value = 'closed'
    current.destroy()
  }

  function report(e: PeerError, connection?: DataConnection | MediaConnection): void {
    // One cause may be told by the connection and by its peer.
    if (e === error.value) return
    error.value = e
    errorHook.trigger(e, connection)
  }

  function track(connection: DataConnection): void {
    const owner = peer.value
    const entry = shallowReactive({
      peer: connection.peer,
      label: connection.label,
      state: connection.state,
      path: connection.path,
      connection,
    })
    const update = () => {
      entry.state = connection.state
      entry.path = connection.path
      if (entry.state === 'closed') remove()
    }
    const remove = () => {
      const at = connections.indexOf(entry)
      if (at >= 0) connections.splice(at, 1)
    }
    connections.push(entry)
    connection.on('open', update)
    connection.on('state', update)
    connection.on('path', update)
    connection.on('close', remove)
    connection.on('data', (data: unknown) => {
      if (peer.value === owner) dataHook.trigger(data, connection)
    })
    connection.on('error', (e: PeerError) => {
      if (peer.value === owner) report(e, connection)
    })
  }

  function watchCall(call: MediaConnection): void {
    const owner = peer.value
    call.on('error', (e: PeerError) => {
      if (peer.value === owner) report(e, call)
    })
  }

  // ---- verbs

  /** The peer, started now if nobody did; before mount a promise of it. */
  function started(verb: string): Peer | Promise<Peer> {
    if (peer.value) return peer.value
    if (!isClient()) {
      throw new PeerError('browser-incompatible', `${verb}() does nothing on the server: call it in onMounted() or in an event handler.`)
    }
    if (mounted) return start()
    wanted = true
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  }

  async function connect(to: string, connectOptions?: Parameters<Peer['connect']>[1]): Promise<DataConnection> {
    const ready = started('connect')
    // Without an await where none is needed: the connection is in the list when this returns.
    const current = ready instanceof Promise ? await ready : ready
    const connection = current.connect(to, connectOptions)
    if (!connection) throw error.value ?? gone()
    if (peer.value === current) track(connection)
    await opened(connection)
    return connection
  }

  async function call(to: string, stream: MediaStream, callOptions?: Parameters<Peer['call']>[2]): Promise<MediaConnection> {
    const ready = started('call')
    const current = ready instanceof Promise ? await ready : ready
    const media = current.call(to, stream, callOptions)
    if (!media) throw error.value ?? gone()
    watchCall(media)
    return media
  }

  async function join(room: string, joinOptions?: Parameters<Peer['join']>[1]): Promise<Room> {
    const ready = started('join')
    const current = ready instanceof Promise ? await ready : ready
    const joined = current.join(room, joinOptions)
    joined.on('error', (e: PeerError) => {
      if (peer.value === current) report(e)
    })
    return joined.ready
  }

  function reconnect(): void {
    if (!isClient()) return
    if (!mounted) wanted = true
    else if (!peer.value || peer.value.destroyed) start()
    else if (state.value !== 'open') peer.value.reconnect()
  }

  function destroy(): void {
    wanted = false
    end()
    waiting.splice(0).forEach(({ reject }) => reject(gone()))
  }

  // ---- life

  tryOnMounted(() => {
    mounted = true
    isSupported.value = typeof RTCPeerConnection !== 'undefined'
    if (wanted && !peer.value) start()
  })
  watch(() => toValue(id), (next) => {
    if (peer.value && next !== name) start()
  })
  tryOnScopeDispose(() => {
    destroy()
    for (const hook of [connectionHook, dataHook, callHook, errorHook]) hook.clear()
  })

  return {
    peer,
    id: peerId,
    state,
    error,
    isSupported,
    connections,
    connect: (...args) => quiet(connect(...args)),
    call: (...args) => quiet(call(...args)),
    join: (...args) => quiet(join(...args)),
    disconnect: () => peer.value?.disconnect(),
    reconnect,
    destroy,
    onConnection: connectionHook.on,
    onData: dataHook.on,
    onCall: callHook.on,
    onError: errorHook.on,
  }
}

function gone(): PeerError {
  return new PeerError('disconnected', 'This peer has ended. Call reconnect() for a new one.')
}

/** Errors also arrive by `error` and `onError`: a promise that nobody looks at is no unhandled rejection. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

function opened(connection: DataConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    if (connection.open) return resolve()
    let cause: PeerError | undefined
    const fail = () => reject(cause ?? new PeerError('connection-closed', `The connection to ${connection.peer} was closed before it opened.`, { peer: connection.peer }))
    connection.on('open', () => resolve())
    connection.on('error', (e: PeerError) => { cause = e })
    connection.on('close', fail)
    connection.on('state', () => { if (connection.state === 'closed') fail() })
  })
}
