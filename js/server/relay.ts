// What a client sent, as the other one gets it.
import { beginnings, MAX_DEPTH } from './frame.js'

/** Members of a message from a client; all unchecked. */
export interface Relayed {
  readonly type: string
  readonly dst: string
  readonly payload?: unknown
}

/**
 * The message as it is relayed: `type`, `src`, `dst` and `payload`, and nothing else that the client wrote. Null for what nests
 * too deeply to be written again.
 *
 * To write again what was just read is half of the work, so a text that has exactly the three members that it should, `dst` at the
 * end, passes as it is with our `src` in front of `dst`. Of a member that comes twice the last counts, for the server and for who
 * gets it (ECMA-262, JSON.parse; nlohmann::json): the only names in it are these three, so there is no other `src`.
 *
 * @param text what `message` was parsed from
 * @param message whose `dst` is a valid id, which needs no escapes
 */
export function relayed(text: string, message: Relayed, src: string): string | null {
  const { type, dst, payload } = message
  const end = `,"dst":"${dst}"}`
  const beginning = beginnings[type]
  if (beginning !== undefined && text.startsWith(beginning) && text.endsWith(end) && hasThree(message) && isShallow(payload, MAX_DEPTH)) {
    return `${text.slice(0, -end.length)},"src":"${src}"${end}`
  }
  try {
    return JSON.stringify({ type, src, dst, payload })
  }
  catch {
    return null
  }
}

/** `type` and `dst` are there: with a `payload`, which the beginning shows, nothing else is. */
function hasThree(message: object): boolean {
  let count = 0
  for (const _ in message) if (++count > 3) return false
  return count === 3
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  if (Array.isArray(value)) return value.every(element => isShallow(element, depth - 1))
  for (const name in value) if (!isShallow((value as Record<string, unknown>)[name], depth - 1)) return false
  return true
}
