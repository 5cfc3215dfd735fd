import type { PeerServerTransport } from './peer-server.js'
import { Counting } from './counting.js'
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'

/** What the option `signaling` may name. */
export type SignalingName = 'peerserver' | 'sse' | 'polling'

/** The next way to the server begins so much later, ms: one that is blocked may be silent instead of failing. */
const headStart = 3000
/** The same when it has failed before: an attempt of the core may be short. */
const shortHeadStart = 500
/** So often in a row has a way to fail that has worked before, until others are tried again. */
const patience = 2

/** A way to the server, and how a link is opened on it. */
interface Way {
  readonly name: string
  /** Begins with the first, not after it failed. */
  readonly beside: boolean
  open(id: string, token: string, handlers: SignalingHandlers): SignalingChannel
}

/** Which way has worked, for the next peer of this page and this session. */
const key = (at: PeerServerTransport['at']): string => `peerbridge:signaling:${at.host}:${at.port}${at.path}`

/**
 * The transport of a peer as its option `signaling` wants it: one, several of which the first that opens wins, or, of the
 * server's own three, the next where one does not open.
 * @param first made for the option; the WebSocket of it may be open already (js/signaling/early.ts)
 */
export function chooseTransport(first: SignalingTransport): SignalingTransport {
  if (!isPeerServer(first)) return first
  const { at, session } = first
  const wanted = at.signaling ?? 'peerserver'
  const counting = new Counting(session)
  const named = (name: SignalingName): Way => {
    let made: Promise<SignalingTransport> | undefined
    const transport = (): Promise<SignalingTransport> => made ??= name === 'peerserver'
      ? Promise.resolve(first)
      : import('./over-http.js').then(({ overHttp }) => overHttp(first, name === 'sse' ? 'sse' : 'poll'))
    return {
      name,
      beside: false,
      open(id, token, handlers) {
        if (typeof at.auth === 'function') {
          const asked = Promise.resolve().then(at.auth).then((auth) => {
            first.credential.auth = auth
            return transport()
          })
          return later(asked, transport => counting.connect(transport, id, token, handlers), handlers)
        }
        if (name === 'peerserver') return counting.connect(first, id, token, handlers)
        return later(transport(), transport => counting.connect(transport, id, token, handlers), handlers)
      },
    }
  }
  const ways: Way[] = Array.isArray(wanted)
    ? wanted.map((way: SignalingName | SignalingTransport) => typeof way === 'string'
        ? named(way)
        : { name: way.name, beside: true, open: (id, token, handlers) => way.connect(id, token, handlers) })
    : wanted === 'peerserver' ? (['peerserver', 'sse', 'polling'] as const).map(named) : [named(wanted as SignalingName)]

  const choice = new Choice(ways, key(at))
  return { ...first, connect: (id, token, handlers) => choice.connect(id, token, handlers) }
}

function isPeerServer(transport: SignalingTransport): transport is PeerServerTransport {
  return 'session' in transport && 'url' in transport
}

class Choice {
  readonly #ways: readonly Way[]
  readonly #key: string
  /** The one that opened last. */
  #won: Way | undefined
  #failures = 0

  constructor(ways: readonly Way[], key: string) {
    this.#ways = ways
    this.#key = key
  }

  connect(id: string, token: string, handlers: SignalingHandlers): SignalingChannel {
    let over = false
    let winner: SignalingChannel | undefined
    let reason = ''
    let timer: ReturnType<typeof setTimeout> | undefined
    const open = new Map<Way, SignalingChannel>()
    const { waiting, begun } = this.#order()
    const pause = this.#failures < patience ? headStart : shortHeadStart

    const win = (way: Way): boolean => {
      if (over || (winner && open.get(way) !== winner)) return false
      if (winner) return true
      clearTimeout(timer)
      winner = open.get(way)
      for (const [other, channel] of open) if (other !== way) channel.close()
      waiting.length = 0
      this.#won = way
      this.#failures = 0
      this.#remember(way.name)
      handlers.opened()
      return true
    }
    const lose = (way: Way, why: string): void => {
      const channel = open.get(way)
      open.delete(way)
      reason ||= why
      if (over || (winner && channel !== winner)) return
      if (winner || (open.size === 0 && waiting.length === 0)) {
        over = true
        clearTimeout(timer)
        if (!winner) this.#failures += 1
        handlers.closed(winner ? why : reason)
      }
      else if (open.size === 0 || !way.beside) {
        next()
      }
    }
    const begin = (way: Way): void => {
      // Known before it is made: what was heard before is told from within.
      open.set(way, { send() {}, close() {} })
      const channel = way.open(id, token, {
        opened: () => void win(way),
        message: (text) => { if (win(way)) handlers.message(text) },
        closed: why => lose(way, why),
      })
      if (over || !open.has(way) || (winner && winner !== open.get(way))) return channel.close()
      if (winner) winner = channel
      open.set(way, channel)
    }
    const next = (): void => {
      clearTimeout(timer)
      const way = waiting.shift()
      if (!way) return
      if (waiting.length > 0 || open.size > 0) timer = setTimeout(next, pause)
      begin(way)
    }
    for (const way of begun) begin(way)
    if (!winner && !over && waiting.length > 0) {
      if (begun.length === 0) next()
      else timer = setTimeout(next, pause)
    }

    return {
      send: (text) => {
        if (!winner) throw new Error('The way to the signaling server is not open.')
        winner.send(text)
      },
      close: () => {
        // Given up without an answer, which takes long: once is enough.
        if (!over && !winner) this.#failures += patience
        over = true
        clearTimeout(timer)
        for (const channel of open.values()) channel.close()
        open.clear()
      },
    }
  }

  /** What to begin with now, and with what afterwards. */
  #order(): { begun: Way[], waiting: Way[] } {
    const beside = this.#ways.filter(way => way.beside)
    const chain = this.#ways.filter(way => !way.beside)
    const last = this.#won
    if (last && !last.beside && this.#failures < patience) return { begun: [...beside, last], waiting: [] }
    const worked = last?.name ?? this.#remembered()
    const to = Math.max(0, chain.findIndex(({ name }) => name === worked))
    return { begun: [...beside, ...chain.slice(0, to + 1)], waiting: chain.slice(to + 1) }
  }

  #remember(name: string): void {
    try {
      sessionStorage.setItem(this.#key, name)
    }
    catch { // a page without storage asks anew
    }
  }

  #remembered(): string | undefined {
    try {
      return sessionStorage.getItem(this.#key) ?? undefined
    }
    catch {
      return undefined
    }
  }
}

/** A link of a transport that is still being loaded. */
function later(
  made: Promise<SignalingTransport>, open: (transport: SignalingTransport) => SignalingChannel, handlers: SignalingHandlers,
): SignalingChannel {
  let channel: SignalingChannel | undefined
  let over = false
  made.then((transport) => {
    if (!over) channel = open(transport)
  }).catch((error: unknown) => {
    if (!over) handlers.closed(error instanceof Error ? error.message : String(error))
  })
  return {
    send: (text, number) => channel?.send(text, number),
    close() {
      over = true
      channel?.close()
    },
  }
}
