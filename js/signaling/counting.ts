import type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'

/** Older ones are not worth to be sent again: the core has given up what they were for. */
const expiry = 30_000
/** More would mean that the server does not confirm what it takes. */
const mostUnconfirmed = 1024

const openPrefix = '{"type":"OPEN"'
const heartbeatPrefix = '{"type":"HEARTBEAT"'

/**
 * Numbers the messages of one peer, in both directions and across all its links, so that each arrives once and in order
 * however often the link breaks or changes: docs/protocol.md, "Counted messages". With a server that does not count, which its
 * OPEN shows, everything passes as it is.
 */
export class Counting {
  readonly #session: string
  /** The first is opened before this is loaded: js/signaling/early.ts. */
  #link = 1
  /** The last message that came. */
  #got = 0
  /** The last message of ours that the server is known to have. */
  #confirmed = 0
  /** Those behind it. */
  readonly #unconfirmed: { text: string, at: number }[] = []

  constructor(session: string) {
    this.#session = session
  }

  /** A link of this peer. */
  connect(transport: SignalingTransport, id: string, token: string, handlers: SignalingHandlers): SignalingChannel {
    const link = ++this.#link
    let counts = false
    let opened = false
    /** The number of the last message on this link. */
    let last = 0
    const channel = transport.connect(id, token, {
      opened: () => handlers.opened(),
      closed: reason => handlers.closed(reason),
      message: (text) => {
        if (text.startsWith(openPrefix)) {
          const { got, n } = numbers(text)
          if (got !== undefined) {
            this.#confirm(got)
            if (n !== undefined) {
              last = n
              // What is missing between is lost: it was more than the server keeps.
              this.#got = Math.max(this.#got, n)
            }
            if (opened) return
            counts = true
            this.#confirmed = got
            this.#again((text, number) => channel.send(text, number))
          }
          opened = true
        }
        else if (counts && ++last <= this.#got) {
          return
        }
        else if (counts) {
          this.#got = last
        }
        handlers.message(text)
      },
    }, () => `&link=${this.#session}.${link}&got=${this.#got}&sent=${this.#confirmed}`)

    return {
      close: () => channel.close(),
      send: (text) => {
        if (!counts) channel.send(text)
        else if (text.startsWith(heartbeatPrefix)) channel.send(`${heartbeatPrefix},"got":${this.#got}}`)
        else channel.send(text, this.#keep(text))
      },
    }
  }

  #keep(text: string): number {
    this.#unconfirmed.push({ text, at: performance.now() })
    if (this.#unconfirmed.length > mostUnconfirmed) this.#confirm(this.#confirmed + 1)
    return this.#confirmed + this.#unconfirmed.length
  }

  #confirm(number: number): void {
    const count = Math.min(Math.max(0, number - this.#confirmed), this.#unconfirmed.length)
    this.#unconfirmed.splice(0, count)
    this.#confirmed += count
  }

  /** On a new link: what the server has not, numbered anew behind what it has. */
  #again(send: (text: string, number: number) => void): void {
    const now = performance.now()
    const young = this.#unconfirmed.findIndex(({ at }) => now - at < expiry)
    this.#unconfirmed.splice(0, young < 0 ? this.#unconfirmed.length : young)
    for (const [i, { text }] of this.#unconfirmed.entries()) send(text, this.#confirmed + i + 1)
  }
}

/** What an OPEN says; nothing for one of a server that does not count. */
function numbers(open: string): { got?: number, n?: number } {
  const of = (name: string): number | undefined => {
    const [, digits] = new RegExp(`"${name}":(\\d{1,15})[,}]`).exec(open) ?? []
    return digits === undefined ? undefined : Number(digits)
  }
  const [got, n] = [of('got'), of('n')]
  return { ...(got !== undefined && { got }), ...(n !== undefined && { n }) }
}
