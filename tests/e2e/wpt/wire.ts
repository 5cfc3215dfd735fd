/** A signaling server inside the page that does with every message what a scenario wants. Runs in the page. */
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from '../../../js/signaling/transport.js'

export interface Letter {
  from: string
  to: string
  type: string
  /** As docs/protocol.md has it. */
  payload: any
}

type Match = (letter: Letter) => boolean

/** Messages that were kept back. */
export interface Held {
  readonly letters: Letter[]
  /** Sends them on, in this order; what comes later passes. */
  release(order?: (letters: Letter[]) => Letter[]): void
}

interface Rule {
  match: Match
  /** Answers the copies that go on. */
  apply(letter: Letter): Letter[]
}

export const offers: Match = ({ type }) => type === 'OFFER'
export const answers: Match = ({ type }) => type === 'ANSWER'
export const candidates: Match = ({ type }) => type === 'CANDIDATE'
export const from = (id: string, match: Match = () => true): Match => letter => letter.from === id && match(letter)

/** The candidates of one CANDIDATE message. */
export const candidatesOf = ({ payload }: Letter): RTCIceCandidateInit[] => [payload.candidate, ...payload.candidates ?? []]

export class Wire {
  /** Every message between two peers, in the order it was sent in. */
  readonly log: Letter[] = []
  readonly #clients = new Map<string, SignalingHandlers>()
  readonly #rules = new Set<Rule>()
  readonly #bridge: BroadcastChannel | undefined
  readonly #queue: (() => void)[] = []
  readonly #ticker = new MessageChannel()

  /** `bridge`: where peers of other pages listen. `changed`: something was delivered. */
  constructor(readonly changed: () => void, bridge?: BroadcastChannel) {
    // One task for each delivery, in order; a timer would be slower.
    this.#ticker.port1.onmessage = () => {
      this.#queue.shift()?.()
      this.changed()
    }
    this.#bridge = bridge
    if (bridge) bridge.onmessage = ({ data }: MessageEvent<Letter>) => this.#deliver(data)
  }

  transport(): SignalingTransport {
    return {
      name: 'wire',
      connect: (id, _token, handlers): SignalingChannel => {
        this.#later(() => {
          this.#clients.set(id, handlers)
          handlers.opened()
          handlers.message('{"type":"OPEN"}')
        })
        return {
          send: (text) => {
            const { type, dst, payload } = JSON.parse(text) as { type: string, dst?: string, payload: unknown }
            if (dst !== undefined) this.send({ from: id, to: dst, type, payload })
          },
          close: () => void this.#clients.delete(id),
        }
      },
    }
  }

  /** As if `from` had said it. */
  send(letter: Letter): void {
    // A peer that writes to itself asks whether the server is alive.
    if (letter.from === letter.to) return this.#deliver(letter)
    this.log.push(letter)
    const rule = [...this.#rules].find(({ match }) => match(letter))
    for (const copy of rule ? rule.apply(letter) : [letter]) this.#deliver(copy)
    this.changed()
  }

  hold(match: Match): Held {
    const letters: Letter[] = []
    const rule = this.#add(match, (letter) => {
      letters.push(letter)
      return []
    })
    return {
      letters,
      release: (order = all => all) => {
        this.#rules.delete(rule)
        for (const letter of order(letters.splice(0))) this.#deliver(letter)
      },
    }
  }

  /** Loses the first `count` that match. */
  drop(match: Match, count = Infinity): void {
    this.#add(letter => match(letter) && count-- > 0, () => [])
  }

  /** Delivers each twice. */
  double(match: Match): void {
    this.#add(match, letter => [letter, letter])
  }

  /** Delivers whatever `change` makes of it. */
  change(match: Match, change: (letter: Letter) => Letter): void {
    this.#add(match, letter => [change(structuredClone(letter))])
  }

  count(match: Match): number {
    return this.log.filter(match).length
  }

  #add(match: Match, apply: (letter: Letter) => Letter[]): Rule {
    const rule = { match, apply }
    this.#rules.add(rule)
    return rule
  }

  #deliver(letter: Letter): void {
    const { from: src, to: dst, type, payload } = letter
    if (!this.#clients.has(dst) && this.#bridge) return this.#bridge.postMessage(letter)
    this.#later(() => {
      const to = this.#clients.get(dst)
      if (to) to.message(JSON.stringify({ type, src, dst, payload }))
      else this.#clients.get(src)?.message(JSON.stringify({ type: 'EXPIRE', src: dst, dst: src }))
    })
  }

  #later(what: () => void): void {
    this.#queue.push(what)
    this.#ticker.port2.postMessage(null)
  }
}
