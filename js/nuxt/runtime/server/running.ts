import type { SignalingServer } from 'peerbridge/server'

const slot = Symbol.for('peerbridge:signaling')

/** The server of this process, and what it was made from. */
export interface Running {
  readonly server: SignalingServer
  readonly config: string
  /** What the application's own file said. */
  readonly own: unknown
}

/** Outlives this module: a reload that keeps the process must not part those who are connected from those who come. */
const shared = globalThis as { [key: symbol]: Running | undefined }

export function running(): Running | undefined {
  return shared[slot]
}

export function run(it: Running | undefined): void {
  shared[slot] = it
}
