import type { Grant } from '../../js/server/authorize.js'
import { Hub } from '../../js/server/hub.js'
import type { Clock, Link, Progress, Session } from '../../js/server/hub.js'
import type { SignalingServerOptions } from '../../js/server/options.js'

/** A hub in virtual time. */
export class World {
  now = 0
  readonly hub: Hub
  #timers: { at: number, fn: () => void }[] = []

  constructor(options: SignalingServerOptions = {}) {
    const clock: Clock = {
      now: () => this.now,
      schedule: (fn, delay) => {
        const timer = { at: this.now + delay, fn }
        this.#timers.push(timer)
        return () => { this.#timers = this.#timers.filter(other => other !== timer) }
      },
    }
    this.hub = new Hub(options, clock)
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Lets time pass, with every timer at its moment. */
  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const next = this.#timers.filter(timer => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#timers = this.#timers.filter(timer => timer !== next)
      this.now = Math.max(this.now, next.at)
      next.fn()
    }
    this.now = end
  }

  /** A client that connects at once. */
  client(id: string | null, token: string | null = `token of ${id?.slice(0, 20)}`, key: string | null = 'peerjs'): Client {
    return new Client(this.hub, id, token, key)
  }
}

/** A client at the far end of a perfect wire. */
export class Client implements Link {
  readonly inbox: unknown[] = []
  readonly texts: string[] = []
  closedWith: { code: number | undefined, reason: string | undefined } | null = null
  pings = 0
  waiting = 0
  /** A socket that throws, as one does that is gone. */
  broken = false
  readonly session: Session | null

  constructor(hub: Hub, id: string | null, token: string | null, key: string | null, address?: string, progress?: Progress, grant?: Grant) {
    this.session = hub.connect({ id, token, key, address, ...(progress && { progress }), ...(grant && { grant }) }, this)
  }

  // ---- Link
  send(text: string): void {
    if (this.broken) throw new Error('socket is gone')
    this.texts.push(text)
    this.inbox.push(JSON.parse(text))
  }

  close(code?: number, reason?: string): void {
    this.closedWith ??= { code, reason }
  }

  ping(): void {
    this.pings += 1
  }

  buffered(): number {
    return this.waiting
  }

  // ---- what a test does
  say(message: unknown): void {
    this.session?.receive(typeof message === 'string' ? message : JSON.stringify(message))
  }

  offer(dst: string, payload: unknown = { sdp: 'v=0' }): void {
    this.say({ type: 'OFFER', payload, dst })
  }

  heartbeat(): void {
    this.say({ type: 'HEARTBEAT' })
  }

  /** The wire is cut. */
  drop(): void {
    this.session?.closed(1006)
  }

  /** Everything that arrived since the last look. */
  read(): unknown[] {
    return this.inbox.splice(0)
  }
}
