import { getCurrentInstance, getCurrentScope, onMounted, onScopeDispose } from 'vue'

/** False during SSR. A function, so that importing this package touches no global. */
export const isClient = (): boolean => typeof window !== 'undefined' && typeof document !== 'undefined'

/** Runs `fn` when the current scope ends; outside a scope the caller cleans up. */
export function tryOnScopeDispose(fn: () => void): void {
  if (getCurrentScope()) onScopeDispose(fn)
}

/** Runs `fn` after mount, at once outside a component, and never on the server. */
export function tryOnMounted(fn: () => void): void {
  if (getCurrentInstance()) onMounted(fn)
  else if (isClient()) fn()
}
