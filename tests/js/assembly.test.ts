import process from 'node:process'
import { afterEach, expect, it, vi } from 'vitest'
import type { Delivery } from '../../js/core/types.js'
import { Assemblies } from '../../js/driver/assembly.js'

afterEach(() => vi.restoreAllMocks())

const piece = (bytes: Uint8Array<ArrayBuffer>, total: number, first: boolean, last: boolean): Delivery =>
  ({ connection: 1, lane: 1, format: 2, first, last, total, bytes, transfer: 0, message: 0, piece: 0 })

/** Sends a message through in pieces; answers what came out, and how many bytes were copied on the way. */
function assemble(total: number, length = 131_060) {
  const message = Uint8Array.from({ length: total }, (_, i) => i * 7 + (i >> 8))
  const assemblies = new Assemblies()
  const copies = vi.spyOn(Uint8Array.prototype, 'set')
  let whole = null
  for (let at = 0; at < total; at += length) {
    whole = assemblies.add(piece(message.slice(at, at + length), total, at === 0, at + length >= total))
  }
  const copied = copies.mock.calls.reduce((sum, [bytes]) => sum + bytes.length, 0)
  return { message, whole, copied }
}

it.each([1, 200_000, 300_000, 4_000_000, 4_190_000, 4_300_000, 8_000_000])('a message of %d bytes is copied little more than once', (total) => {
  const { message, whole, copied } = assemble(total)
  expect(Buffer.compare(whole!.bytes, message)).toBe(0)
  expect(whole!.bytes.buffer.byteLength, 'its buffer can be handed on').toBe(total)
  // Steps are sixteenfold, and the first one is of 256 KiB.
  expect(copied).toBeLessThanOrEqual(total + total / 8 + 262_144)
})

it('a total that nothing follows takes no memory', () => {
  const assemblies = new Assemblies()
  const before = process.memoryUsage().arrayBuffers
  assemblies.add(piece(new Uint8Array(100), 1_000_000_000, true, false))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
})
