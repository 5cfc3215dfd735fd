// What was sent on one lane and is not known to be delivered, for the day the connection closes.
//
// Who calls: Messages. It holds references, no copies, and of no more than what waits and what is in flight, which send()'s
// promise and the window bound; a message costs one push.

/** In the place of what nobody asks about: requests, and what was taken back. */
const nothing = Symbol('nothing')

export class Unacknowledged {
  #values: unknown[] = []
  /** Of #values, so many are delivered and cleared. */
  #head = 0
  /** Messages of the lane before #values. */
  #before = 0

  /** Messages of the lane so far. */
  get end(): number {
    return this.#before + this.#values.length
  }

  /** The next message of the lane. */
  add(value: unknown): void {
    this.#values.push(value)
  }

  addNothing(): void {
    this.#values.push(nothing)
  }

  /** The message before which the lane had `place` others was taken back. */
  drop(place: number): void {
    if (place - this.#before >= this.#head) this.#values[place - this.#before] = nothing
  }

  /** The first `count` messages of the lane are delivered. */
  acknowledge(count: number): void {
    const head = Math.min(count - this.#before, this.#values.length)
    if (head <= this.#head) return
    if (head === this.#values.length || head > 4096) {
      // In one go every now and then: what is left moves.
      this.#values.splice(0, head)
      this.#before += head
      this.#head = 0
    }
    else {
      this.#values.fill(undefined, this.#head, head)
      this.#head = head
    }
  }

  /** What is left, in order. */
  take(): unknown[] {
    return this.#values.splice(0).slice(this.#head).filter(value => value !== nothing)
  }
}
