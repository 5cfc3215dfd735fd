// What an operator asks: is it well, and what does it do? `GET {path}health` and `GET {path}metrics`.
import type { Hub } from './hub.js'

/** What `GET {path}health` answers, as JSON. */
export interface Health {
  /**
   * `ok`, or `degraded`: it works alone but something that it uses does not answer, or `closing`: it lets nobody in any more.
   * The answer is 200 for the first two and 503 for the last: to start a server anew does not help what it waits for.
   */
  status: 'ok' | 'degraded' | 'closing'
  /** What the server uses, by name, e.g. `redis`. */
  [part: string]: 'up' | 'down' | Health['status']
}

const parts = new WeakMap<Hub, Map<string, () => boolean>>()

/** Something that the hub uses is told in its health under this name. `isUp` is asked for each answer. */
export function watch(hub: Hub, name: string, isUp: () => boolean): void {
  const known = parts.get(hub) ?? new Map<string, () => boolean>()
  parts.set(hub, known.set(name, isUp))
}

/** What the hub uses, and whether it answers. */
export function partsOf(hub: Hub): ReadonlyMap<string, () => boolean> {
  return parts.get(hub) ?? new Map()
}

/** No numbers: it is for everybody, and how much there is to do is nobody's business. */
export function health(hub: Hub): Health {
  const up = Object.fromEntries([...partsOf(hub)].map(([name, isUp]) => [name, isUp() ? 'up' : 'down'] as const))
  return { status: hub.isClosed ? 'closing' : Object.values(up).includes('down') ? 'degraded' : 'ok', ...up }
}
