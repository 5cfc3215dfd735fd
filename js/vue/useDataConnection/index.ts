import { shallowRef, toValue, watch } from 'vue'
import type { MaybeRefOrGetter, ShallowRef } from 'vue'
import type { DataConnection } from '../../data-connection.js'
import type { PeerChannel } from '../../driver/channels.js'
import type { PeerError } from '../../errors.js'
import type { Transfer } from '../../transfer.js'
import { createEventHook } from '../eventHook.js'
import type { EventHookOn } from '../eventHook.js'

export interface UseDataConnectionReturn {
  /** `idle` while there is no connection. */
  state: Readonly<ShallowRef<DataConnection['state'] | 'idle'>>
  /** Which way the bytes go; null while it is not known. */
  path: Readonly<ShallowRef<DataConnection['path']>>
  /** The last value that arrived. */
  data: Readonly<ShallowRef<unknown>>
  error: Readonly<ShallowRef<PeerError | undefined>>
  /** A value arrived. */
  onData: EventHookOn<[data: unknown, connection: DataConnection]>
  /** A file is offered: `transfer.accept()` or `transfer.reject()`. */
  onTransfer: EventHookOn<[transfer: Transfer, connection: DataConnection]>
  /** The other side made a channel. */
  onChannel: EventHookOn<[channel: PeerChannel, connection: DataConnection]>
  /** What `send()` was given, for each message that was not delivered when the connection closed. */
  onUndelivered: EventHookOn<[data: unknown, connection: DataConnection]>
  onClose: EventHookOn<[connection: DataConnection]>
}

/**
 * What one data connection does, for templates and listeners that follow it when it is replaced.
 * Observes only: who made the connection closes it.
 */
export function useDataConnection(connection: MaybeRefOrGetter<DataConnection | null | undefined>): UseDataConnectionReturn {
  const state = shallowRef<DataConnection['state'] | 'idle'>('idle')
  const path = shallowRef<DataConnection['path']>(null)
  const data = shallowRef<unknown>()
  const error = shallowRef<PeerError>()
  const dataHook = createEventHook<[unknown, DataConnection]>()
  const transferHook = createEventHook<[Transfer, DataConnection]>()
  const channelHook = createEventHook<[PeerChannel, DataConnection]>()
  const undeliveredHook = createEventHook<[unknown, DataConnection]>()
  const closeHook = createEventHook<[DataConnection]>()

  watch(() => toValue(connection), (current, _, onCleanup) => {
    data.value = undefined
    error.value = undefined
    state.value = current?.state ?? 'idle'
    path.value = current?.path ?? null
    if (!current) return

    const update = () => {
      state.value = current.state
      path.value = current.path
    }
    const received = (value: unknown) => {
      data.value = value
      dataHook.trigger(value, current)
    }
    const failed = (e: PeerError) => { error.value = e }
    const offered = (transfer: Transfer) => transferHook.trigger(transfer, current)
    const made = (channel: PeerChannel) => channelHook.trigger(channel, current)
    const undelivered = (value: unknown) => undeliveredHook.trigger(value, current)
    const closed = () => {
      state.value = 'closed'
      closeHook.trigger(current)
    }
    current.on('open', update)
    current.on('state', update)
    current.on('path', update)
    current.on('data', received)
    current.on('error', failed)
    current.on('transfer', offered)
    current.on('channel', made)
    current.on('undelivered', undelivered)
    current.on('close', closed)
    onCleanup(() => {
      current.off('open', update)
      current.off('state', update)
      current.off('path', update)
      current.off('data', received)
      current.off('error', failed)
      current.off('transfer', offered)
      current.off('channel', made)
      current.off('undelivered', undelivered)
      current.off('close', closed)
    })
  }, { immediate: true, flush: 'sync' })

  return {
    state, path, data, error, onData: dataHook.on, onTransfer: transferHook.on, onChannel: channelHook.on,
    onUndelivered: undeliveredHook.on, onClose: closeHook.on,
  }
}
