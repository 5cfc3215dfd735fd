import { shallowRef, toValue, triggerRef, watch } from 'vue'
import type { MaybeRefOrGetter, ShallowRef } from 'vue'
import type { PeerError } from '../../errors.js'
import type { MediaConnection } from '../../media-connection.js'

export interface UseCallReturn {
  /** `idle` while there is no call. */
  state: Readonly<ShallowRef<MediaConnection['state'] | 'idle'>>
  localStream: Readonly<ShallowRef<MediaStream | undefined>>
  remoteStream: Readonly<ShallowRef<MediaStream | undefined>>
  error: Readonly<ShallowRef<PeerError | undefined>>
}

/**
 * What one call does, for templates. Follows the ref or getter from call to call.
 * Observes only: who made or took the call hangs up.
 */
export function useCall(call: MaybeRefOrGetter<MediaConnection | null | undefined>): UseCallReturn {
  const state = shallowRef<MediaConnection['state'] | 'idle'>('idle')
  const localStream = shallowRef<MediaStream>()
  const remoteStream = shallowRef<MediaStream>()
  const error = shallowRef<PeerError>()

  watch(() => toValue(call), (current, _, onCleanup) => {
    error.value = undefined
    state.value = current?.state ?? 'idle'
    localStream.value = current?.localStream
    remoteStream.value = current?.remoteStream
    if (!current) return

    const update = () => {
      state.value = current.state
      localStream.value = current.localStream
    }
    const arrived = (stream: MediaStream) => {
      remoteStream.value = stream
      update()
    }
    // The same stream has one more track.
    const grown = () => triggerRef(remoteStream)
    const failed = (e: PeerError) => { error.value = e }
    const closed = () => {
      state.value = 'closed'
      remoteStream.value = undefined
    }
    current.on('open', update)
    current.on('state', update)
    current.on('stream', arrived)
    current.on('track', grown)
    current.on('error', failed)
    current.on('close', closed)
    onCleanup(() => {
      current.off('open', update)
      current.off('state', update)
      current.off('stream', arrived)
      current.off('track', grown)
      current.off('error', failed)
      current.off('close', closed)
    })
  }, { immediate: true, flush: 'sync' })

  return { state, localStream, remoteStream, error }
}
