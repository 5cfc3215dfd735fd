// Incoming messages that came in several pieces, until they are whole.
//
// Loaded with the core. Who calls: Driver. The core decides which piece belongs to what and when all are there.

import type { Delivery, Lane } from '../core/types.js'

/** What is taken at once for a message whose total says so. */
const trusted = 262_144
/** How many times more than what came is believed to come, and twice as much where that is all. */
const believed = 16

/** A message, and which of the formats it is in. */
export interface Whole { format: number, bytes: Uint8Array<ArrayBuffer> }

/** The unfinished messages of all connections of one peer. */
export class Assemblies {
  /** Pieces that come in order, one message at a time: by connection and lane. */
  readonly #lanes = new Map<number, Map<Lane, Assembly>>()
  /** Pieces that come in any order, as views of their frames: by connection and message. */
  readonly #scattered = new Map<number, Map<number, Uint8Array[]>>()

  /** The message that is whole with this piece; null when it is not the last one. */
  add(piece: Delivery): Whole | null {
    const { connection, lane, format, first, last, total, bytes, message } = piece
    if (message) {
      const messages = entry(this.#scattered, connection)
      let pieces = messages.get(message)
      if (!pieces) messages.set(message, pieces = [])
      pieces[piece.piece] = bytes
      if (!last) return null
      messages.delete(message)
      return { format, bytes: concatenate(pieces) }
    }
    const lanes = entry(this.#lanes, connection)
    if (first) lanes.set(lane, new Assembly(format, total))
    const assembly = lanes.get(lane)
    assembly?.add(bytes)
    if (!assembly || !last) return null
    lanes.delete(lane)
    return { format: assembly.format, bytes: assembly.take() }
  }

  /** What came of one message, or of all of a connection, is not wanted any more. */
  forget(connection: number, message?: number): void {
    if (message !== undefined) {
      this.#scattered.get(connection)?.delete(message)
      return
    }
    this.#lanes.delete(connection)
    this.#scattered.delete(connection)
  }
}

function entry<K, V>(maps: Map<number, Map<K, V>>, connection: number): Map<K, V> {
  let map = maps.get(connection)
  if (!map) maps.set(connection, map = new Map<K, V>())
  return map
}

/** Before: no place is empty. */
function concatenate(pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0
  for (const piece of pieces) length += piece.length
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/**
 * Collects the pieces of one incoming message. Memory follows the bytes that came, at a distance: a total is believed up
 * to 256 KiB, and beyond that up to sixteen times of what is there, or thirty-two times for the last step. Then little is
 * copied on the way, and the last buffer is as long as the message, so that it can be handed on as it is.
 */
class Assembly {
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0

  constructor(readonly format: number, readonly total: number) {
    this.#bytes = new Uint8Array(0)
  }

  add(piece: Uint8Array): void {
    const needed = this.#length + piece.length
    if (needed > this.#bytes.length) {
      const credible = Math.max(this.#length * believed, trusted)
      // A step that ends just before the end would have all of it copied once more.
      const grown = new Uint8Array(Math.max(needed, this.total <= 2 * credible ? this.total : credible))
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.#length)
    this.#length = needed
  }

  /** Everything that came; the buffer belongs to the caller. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#length === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#length)
  }
}
