// One timer that is punctual in hidden tabs too.
//
// Browsers slow the timers of hidden pages down: to one wake-up a second at once, and Chromium, after five minutes, to one
// a minute for timers that set each other (https://developer.chrome.com/blog/timer-throttling-in-chrome-88; an open data
// channel exempts the page, a peer that only waits for calls has none). A minute is PeerServer's patience for heartbeats,
// and a second is half of what tells a path that is down from one that is quiet. Timers of dedicated workers run on
// (Chromium's plan to throttle those too was given up: chromestatus.com/feature/6334419736461312), and a message from a
// worker is no timer. A page that is frozen stops with its workers; nothing helps there.
//
// setTimeout is armed in any case: where there is no worker (the page's Content-Security-Policy has no
// `worker-src blob:`, or requires trusted types), all is as without this file.

/** What the worker does: one timer; a negative delay clears it. Answers the number of the arming that fired. */
const program = 'let t;onmessage=({data:[n,d]})=>{clearTimeout(t);if(d>=0)t=setTimeout(()=>postMessage(n),d)}'

/** setTimeout takes 31 bits. */
const longest = 0x7fff_ffff

export class PunctualTimer {
  readonly #fire: () => void
  readonly #end = new AbortController()
  #timeout: ReturnType<typeof setTimeout> | undefined
  #at: number | null = null
  #worker: Worker | null = null
  #url = ''
  /** This page gets no worker; to ask again would only fill its console. */
  #refused = false
  #number = 0

  constructor(fire: () => void) {
    this.#fire = fire
    globalThis.document?.addEventListener?.('visibilitychange', () => this.#arm(), { signal: this.#end.signal })
  }

  /** Fires once, at this time of performance.now() or a little later; null: not at all. Replaces what was set before. */
  set(at: number | null): void {
    if (this.#end.signal.aborted) return
    this.#at = at
    this.#arm()
  }

  /** Never fires again. Twice is harmless. */
  dispose(): void {
    this.#at = null
    this.#end.abort()
    clearTimeout(this.#timeout)
    this.#dismiss()
  }

  #arm(): void {
    clearTimeout(this.#timeout)
    const number = ++this.#number
    const hidden = globalThis.document?.hidden
    if (!hidden) this.#dismiss()
    if (this.#at === null) {
      this.#worker?.postMessage([number, -1])
      return
    }
    // Rounded up: a timer that fires a fraction early would find nothing due.
    const delay = Math.min(Math.max(Math.ceil(this.#at - performance.now()), 0), longest)
    this.#timeout = setTimeout(() => this.#due(number), delay)
    if (hidden) this.#employ()?.postMessage([number, delay])
  }

  #due(number: number): void {
    // The other of the two was first, or it was set anew meanwhile.
    if (number !== this.#number || this.#at === null) return
    this.#at = null
    this.#arm()
    this.#fire()
  }

  #employ(): Worker | null {
    if (this.#worker || this.#refused) return this.#worker
    try {
      this.#url = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }))
      const worker = this.#worker = new Worker(this.#url)
      worker.onmessage = ({ data }) => this.#due(data as number)
      // Chromium and Safari throw where the policy forbids it, Firefox reports (WebKit/standards-positions#451).
      worker.onerror = (event) => {
        event.preventDefault()
        this.#refuse()
      }
    }
    catch {
      this.#refuse()
    }
    return this.#worker
  }

  #refuse(): void {
    this.#refused = true
    this.#dismiss()
  }

  #dismiss(): void {
    this.#worker?.terminate()
    this.#worker = null
    if (this.#url) URL.revokeObjectURL(this.#url)
    this.#url = ''
  }
}
