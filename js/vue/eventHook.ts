import { tryOnScopeDispose } from './lifecycle.js'

/** Adds a listener and answers how to take it off again; a scope that ends takes off its own. */
export type EventHookOn<Args extends unknown[]> = (listener: (...args: Args) => void) => { off: () => void }

export interface EventHook<Args extends unknown[]> {
  on: EventHookOn<Args>
  trigger: (...args: Args) => void
  clear: () => void
}

/** What VueUse calls `createEventHook`, in the few lines of it that are needed here. */
export function createEventHook<Args extends unknown[]>(): EventHook<Args> {
  const listeners = new Set<(...args: Args) => void>()
  return {
    on(listener) {
      listeners.add(listener)
      const off = () => void listeners.delete(listener)
      tryOnScopeDispose(off)
      return { off }
    },
    // A copy: a listener may take itself or others off.
    trigger: (...args) => [...listeners].forEach(listener => listener(...args)),
    clear: () => listeners.clear(),
  }
}
