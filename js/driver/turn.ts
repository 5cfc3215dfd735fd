// When what was sent leaves: at once, or with what follows.
//
// The first message after a pause leaves before the task is over in which it was sent. Those that follow it closely wait for
// each other, so that they share frames: each frame costs the browser as much as thousands of small messages. They wait until
// they fill a frame, and at the latest until the next turn of the event loop. `await conn.send(…)` in a loop goes from
// microtask to microtask, so that a turn can be long.

/** What comes so soon after the last flush, ms, belongs to the same burst. A round trip on one machine takes longer. */
const burst = 0.25
/** So many bytes fill a frame. */
const full = 65_536

export class Turn {
  readonly #flush: () => number
  readonly #soon: (now: () => void) => void
  readonly #channel = new MessageChannel()
  #waiting = false
  #posted = false
  #bytes = 0
  #last = -Infinity

  /**
   * @param flush lets it leave, and answers when that was
   * @param soon calls what it is given before this task is over
   */
  constructor(flush: () => number, soon: (now: () => void) => void) {
    this.#flush = flush
    this.#soon = soon
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
    this.#soon(this.#now)
  }

  #now = (): void => {
    this.#waiting = false
    this.#bytes = 0
    this.#last = this.#flush()
  }

  dispose(): void {
    this.#channel.port1.close()
  }
}
