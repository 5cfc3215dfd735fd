import { shallowReactive, toValue, watch } from 'vue'
import type { MaybeRefOrGetter } from 'vue'
import type { Transfer } from '../../transfer.js'

/** What a template shows of a file on its way. */
export interface UseTransferReturn {
  /** `idle` while there is no transfer. */
  readonly state: Transfer['state'] | 'idle'
  /** 0 to 1. */
  readonly progress: number
  /** Bytes that are in the receiver's hands. */
  readonly bytes: number
  /** Bytes a second. */
  readonly rate: number
  /** Seconds left; undefined while nobody can know. */
  readonly eta: number | undefined
}

/** A reactive picture of one file transfer, sent or received. Observes only: the end of the scope cancels nothing. */
export function useTransfer(transfer: MaybeRefOrGetter<Transfer | null | undefined>): UseTransferReturn {
  const picture = shallowReactive<{ -readonly [K in keyof UseTransferReturn]: UseTransferReturn[K] }>({
    state: 'idle', progress: 0, bytes: 0, rate: 0, eta: undefined,
  })

  watch(() => toValue(transfer), (current, _, onCleanup) => {
    const update = () => {
      picture.state = current?.state ?? 'idle'
      picture.progress = current?.progress ?? 0
      picture.bytes = current?.bytes ?? 0
      picture.rate = current?.rate ?? 0
      picture.eta = current?.eta
    }
    update()
    if (!current) return
    current.on('progress', update)
    current.on('state', update)
    onCleanup(() => {
      current.off('progress', update)
      current.off('state', update)
    })
  }, { immediate: true, flush: 'sync' })

  return picture
}
