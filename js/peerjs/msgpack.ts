import { decodeMulti, encode as encodeMessage } from '@msgpack/msgpack'

export const encode = (value: unknown): Uint8Array<ArrayBuffer> => encodeMessage(value) as Uint8Array<ArrayBuffer>

export class Decoder {
  #rest = new Uint8Array()
  #told = 0
  push(bytes: Uint8Array): unknown[] {
    const all = new Uint8Array(this.#rest.length + bytes.length)
    all.set(this.#rest)
    all.set(bytes, this.#rest.length)
    const values: unknown[] = []
    try {
      for (const value of decodeMulti(all)) values.push(value)
      this.#rest = new Uint8Array()
      const fresh = values.slice(this.#told)
      this.#told = 0
      return fresh
    }
    catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#rest = all
      const fresh = values.slice(this.#told)
      this.#told = values.length
      return fresh
    }
  }
}
