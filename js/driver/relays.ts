// TURN servers whose credentials come from the signaling server (its option `turn`) and end: they are asked for once the server
// knows the peer, and anew before they end. What gathers candidates for the first time waits for them; what has gathered
// takes them up with its next ICE restart (JSEP, RFC 8829, section 4.1.18). An allocation that runs outlives its credentials, so
// nothing has to restart only because they change.

import type { PeerServerTransport } from '../signaling/peer-server.js'
import type { DriverOptions } from './driver.js'

type Links = ReadonlyMap<number, { readonly pc: RTCPeerConnection }>

/** A server that does not answer must not keep a connection waiting, ms. */
const patience = 3_000
/** After it failed, ms. */
const pause = 30_000
/** New ones are asked for when so much of their time is over. */
const spent = 0.75
/** setTimeout takes 31 bits. */
const longest = 0x7fff_ffff

export class Relays {
  /** There are some, or there will not be any soon: never rejects. */
  readonly ready: Promise<void>
  readonly #rtc: RTCConfiguration
  /** The application's own. */
  readonly #own: readonly RTCIceServer[]
  readonly #links: Links
  /** Where credentials are, for who is known by this id; null where nobody can be asked. */
  readonly #url: ((id: string) => string) | null
  readonly #end = new AbortController()
  #settle = (): void => {}
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Until when the ones that are there can be used, in the time of performance.now(). */
  #until = -Infinity
  #asking = false

  /**
   * @param options of the driver: what every RTCPeerConnection is made with, whose `iceServers` are kept up to date; and the way
   *   to the server
   * @param links the RTCPeerConnections that are there
   */
  constructor({ rtc, start, transport }: Pick<DriverOptions, 'rtc' | 'start' | 'transport'>, links: Links) {
    this.#rtc = rtc
    this.#own = rtc.iceServers ?? []
    this.#links = links
    this.#url = 'url' in transport ? id => (transport as PeerServerTransport).url('turn', id, start?.token ?? '') : null
    this.ready = new Promise((resolve) => { this.#settle = resolve })
  }

  /** The server knows the peer by this id. */
  opened(id: string): void {
    clearTimeout(this.#timer)
    if (performance.now() < this.#until) return this.#plan(id)
    void this.#ask(id)
  }

  dispose(): void {
    this.#end.abort()
    clearTimeout(this.#timer)
    this.#settle()
  }

  #plan(id: string, wait = this.#until - performance.now()): void {
    if (this.#end.signal.aborted) return
    this.#timer = setTimeout(() => void this.#ask(id), Math.min(Math.max(wait, 0), longest))
  }

  async #ask(id: string): Promise<void> {
    if (this.#asking) return
    if (!this.#url) return this.#settle()
    this.#asking = true
    const impatience = setTimeout(this.#settle, patience)
    let again: number | undefined = pause
    try {
      const response = await fetch(this.#url(id), { cache: 'no-store', signal: this.#end.signal })
      // A server that has none, or knows nothing of it.
      if (response.status === 404) again = undefined
      if (response.ok) {
        const { iceServers, ttl } = await response.json() as { iceServers: RTCIceServer[], ttl: number }
        if (!Array.isArray(iceServers) || !(ttl > 0)) throw new TypeError('no credentials')
        this.#rtc.iceServers = [...this.#own, ...iceServers]
        this.#until = performance.now() + ttl * spent * 1000
        again = ttl * spent * 1000
        for (const { pc } of this.#links.values()) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: this.#rtc.iceServers })
      }
    }
    catch { // without them, as if there were none
    }
    clearTimeout(impatience)
    this.#asking = false
    this.#settle()
    if (again !== undefined) this.#plan(id, again)
  }
}
