/** What carries the bytes of files; loaded together with the core's loader. */
import { noop } from '../events.js'
import type { Files } from '../transfer.js'
import { Incoming } from './incoming.js'
import { Outgoing } from './outgoing.js'

export const files: Files = {
  keyOf: source => source instanceof File ? `${source.lastModified}-${source.size}-${source.name}` : '',
  send: (transfer, source) => new Outgoing(transfer, source),
  receive: (transfer, sink, options) => new Incoming(transfer, sink, options),
  discard: transfer => void import('./kept.js').then(({ Kept }) => Kept.discard(transfer)).catch(noop),
}
