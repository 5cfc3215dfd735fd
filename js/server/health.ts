// What an operator asks: is it well, and what does it do? `GET {path}health` and `GET {path}metrics`.
import type { Hub } from './hub.js'

/** What `GET {path}health` answers, as JSON. */
export interface Health {
  /**
   * `ok`, or `degraded`: it works alone but something that it uses does not answer, or `closing`: it lets nobody in any more.
   * The answer is 200 for the first two and 503 for the last: to start a server anew does not help what it waits for.
   */
  status: 'ok' | 'degraded' | 'closing'
  /** Of a server that has one. */
  redis?: 'up' | 'down'
}

/** No numbers: it is for everybody, and how much there is to do is nobody's business. */
export function health({ redis, isClosed }: Hub): Health {
  return { status: isClosed ? 'closing' : redis === 'down' ? 'degraded' : 'ok', ...(redis && { redis }) }
}
