// When what was sent leaves: at once, or with what follows.
//
// The first message after a pause leaves in the microtask behind it. Those that follow it closely wait for each other, so
// that they share frames: each frame costs the browser as much as thousands of small messages. They wait until they fill a
// frame, and at the latest until the next turn of the event loop. `await conn.send(…)` in a loop goes from microtask to
// microtask, so that a turn can be long.

/** What comes so soon after the last flush, ms, belongs to the same burst. A round trip on one machine takes longer. */
const burst = 0.25
/** So many bytes fill a frame. */
const full = 65_536

export class Turn {
  readonly #flush: () => void
  readonly #channel = new MessageChannel()
  #waiting = false
  #posted = false
  #bytes = 0
  #last = -Infinity

  constructor(flush: () => void) {
    this.#flush = flush
    this.#channel.port1.onmessage = () => {
      this.#posted = false
      if (this.#bytes) this.#now()
    };
    // Node would wait for a port that is listened to.
    (this.#channel.port1 as { unref?: () => void }).unref?.()
  }

  /** So many bytes want to leave; `soon`: without company. */
  add(bytes: number, soon: boolean): void {
    // An empty message counts too.
    this.#bytes += bytes + 1
    if (this.#waiting) return
    if (this.#bytes < full && !soon && (this.#posted || performance.now() - this.#last < burst)) {
      if (this.#posted) return
      this.#posted = true
      this.#channel.port2.postMessage(0)
      return
    }
    this.#waiting = true
    queueMicrotask(() => this.#now())
  }

  #now(): void {
    this.#waiting = false
    this.#bytes = 0
    this.#flush()
    this.#last = performance.now()
  }

  dispose(): void {
    this.#channel.port1.close()
  }
}
