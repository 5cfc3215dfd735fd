import { noop } from '../events.js'
import { randomToken, validateId } from '../util.js'
import type { SignalingHandlers, SignalingTransport } from './transport.js'

type Report = (to: SignalingHandlers) => void

/**
 * Goes to the server while the core is still being loaded, with what the core will want first: this id, or one that the
 * server gives, and this token. The first request-id and signaling-connect of the core find what is there already, and
 * what was heard until then is told in order. After that it is `transport` and nothing else.
 * @param end the peer is over; what the core did not take is closed
 */
export function early(transport: SignalingTransport, id: string | undefined, token: string, end: AbortSignal): SignalingTransport {
  let ids: Promise<string> | undefined
  let take: SignalingTransport['connect'] | undefined

  const ask = async (signal: AbortSignal): Promise<string> => transport.requestId?.(signal) ?? randomToken()

  function open(id: string): void {
    // The core will say what is wrong with it; 256 is its own limit.
    if (end.aborted || transport.late || !id || id.length > 256 || !validateId(id)) return
    const heard: Report[] = []
    let report = (what: Report): unknown => heard.push(what)
    let opened = false
    let over = false
    let first = ''
    try {
      const channel = transport.connect(id, token, {
        opened() {
          opened = true
          report(to => to.opened())
        },
        message(text) {
          first ||= text
          report(to => to.message(text))
        },
        closed(reason) {
          // A server that refuses says why, and would again.
          over = opened && (!first || first.includes('OPEN'))
          report(to => to.closed(reason))
        },
      })
      const close = (): void => channel.close()
      end.addEventListener('abort', close)
      take = (wanted, proof, handlers, progress) => {
        take = undefined
        end.removeEventListener('abort', close)
        // One that was open and is gone would only be lost again.
        if (over || wanted !== id || proof !== token) {
          close()
          return transport.connect(wanted, proof, handlers, progress)
        }
        report = what => what(handlers)
        heard.forEach(report)
        return channel
      }
    }
    catch { // the core's own attempt tells
    }
  }

  // Not yet: a transport of the application may need what is said after `new Peer()`.
  queueMicrotask(() => {
    if (end.aborted) return
    if (id !== undefined) open(id)
    else {
      ids = ask(end)
      ids.then(open, noop)
    }
  })

  return {
    ...transport,
    requestId(signal) {
      const first = ids
      ids = undefined
      return first ?? ask(signal)
    },
    connect: (...how) => (take ?? transport.connect).apply(transport, how),
  }
}
