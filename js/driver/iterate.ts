// `for await (const message of connection)`.

import { noop } from '../events.js'

/** The part of a data connection that is asked for. */
export interface Readable {
  /** 'close' was emitted, or is being. */
  readonly over: boolean
  pause(): void
  resume(): void
  listenerCount(event: 'data'): number
  on(event: 'data', call: (data: unknown) => void): unknown
  on(event: 'close', call: () => void): unknown
  off(event: 'data', call: (data: unknown) => void): unknown
  off(event: 'close', call: () => void): unknown
}

/** The messages from now on, until the connection is closed; while nobody asks for the next one, the connection is paused. */
export async function* iterate(from: Readable): AsyncGenerator<unknown, void, undefined> {
  // One at most, but for the end: then everything that was kept comes at once.
  const arrived: unknown[] = []
  let wake = noop
  const take = (data: unknown): void => {
    arrived.push(data)
    from.pause()
    wake()
  }
  const end = (): void => wake()
  from.on('data', take)
  from.on('close', end)
  try {
    for (;;) {
      if (arrived.length) yield arrived.shift()
      else if (from.over) return
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
          from.resume()
        })
      }
    }
  }
  finally {
    from.off('data', take)
    from.off('close', end)
    // With no other listener it stays paused: what comes would be lost, and another loop may follow.
    if (from.listenerCount('data')) from.resume()
  }
}
