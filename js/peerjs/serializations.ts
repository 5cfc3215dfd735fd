// Named serializations: what PeerJS makes of values, under PeerJS's names. A connection whose application named none is not
// one of these, unless its other end is PeerJS.
//
// Loaded with the first connection that needs one. Who calls: Messages, on either protocol; there the bytes are cut, put in
// envelopes and put together by the core. docs/protocol.md, "Toward PeerJS".

import { Format } from '../core/types.js'
import type { Encoded } from '../driver/driver.js'
import { PeerError } from '../errors.js'
import type { DataConnection } from '../data-connection.js'
import type { Peer } from '../peer.js'
import { pack, unpack } from './binarypack.js'
import type * as MsgPack from './msgpack.js'

/**
 * A serialization of the application's own, for the option `serializers`. What `encode` returns is one frame of the channel,
 * a string a text frame; `decode` gets the same at the other end.
 */
export interface Serializer {
  encode(value: unknown): string | ArrayBuffer | ArrayBufferView | Promise<string | ArrayBuffer | ArrayBufferView>
  decode(data: string | ArrayBuffer): unknown
}

/** As PeerJS has it: a class of connections, which extends {@link BufferedConnection} or {@link StreamConnection}. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in PeerJS
export type SerializerClass = new (peer: string, provider: Peer, options: any) => DataConnection

/** By name; the name of a built-in one takes its place. */
export type Serializers = Record<string, Serializer | SerializerClass>

/** What a serialization needs to know of its connection. */
export interface SerializationOwner {
  readonly peer: string
  readonly serialization: string
  readonly provider: { options: { serializers?: Serializers } }
  /** What takes the frames of a connection of a class of the application's own, which makes and reads them itself. */
  _frame?(data: string | ArrayBuffer): void
  /** As in PeerJS, an application may put others in their place. */
  stringify(value: unknown): string
  parse(text: string): unknown
}

/** The serialization of one connection, with what it keeps between messages. */
export interface Serialization {
  /** @throws {PeerError} 'data-clone' */
  encode(value: unknown): Encoded | Promise<Encoded>
  /** A stream may hold back what is not whole, and then answer several. @throws whatever is wrong with them */
  decode(format: number, bytes: Uint8Array<ArrayBuffer>): unknown[]
  /** Its receiver at PeerJS looks into a value for `__peerData`. */
  readonly looksInside: boolean
  /** What cannot be read makes all that follows it unreadable, too. */
  readonly isStream?: boolean
}

export interface Serializations {
  /** What a text frame holds. */
  textOf(frame: Uint8Array): string
  /** @throws {PeerError} 'incompatible-peer' for a name that is not known */
  serializationOf(owner: SerializationOwner): Serialization
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder('utf-8', { ignoreBOM: true })

let msgpack: typeof MsgPack | undefined

export const textOf = (frame: Uint8Array): string => fromUtf8.decode(frame)

/** Loads what this one needs beyond the others. */
export async function prepare(name: string): Promise<void> {
  if (name === 'MsgPack') msgpack ??= await import('./msgpack.js')
}

export function serializationOf(owner: SerializationOwner): Serialization {
  const { serialization: name, provider: { options: { serializers } } } = owner
  const given = serializers && Object.hasOwn(serializers, name) ? serializers[name] : undefined
  if (owner._frame) return { looksInside: false, encode: bare, decode: (format, bytes) => (owner._frame!(plain(format, bytes)), []) }
  if (typeof given === 'object') return own(owner, given)
  const known = Object.hasOwn(builtIn, name) ? builtIn[name] : undefined
  if (known) return known(owner)
  throw new PeerError('incompatible-peer', `The connection with ${owner.peer} uses the serialization ${JSON.stringify(name)}, which nobody here knows. `
    + 'Use binary, json, raw or MsgPack, or add it to the option serializers.', { peer: owner.peer })
}

const asBytes = (bytes: Uint8Array<ArrayBuffer>): Encoded => ({ format: Format.bytes, bytes })
const asText = (text: string): Encoded => ({ format: Format.text, bytes: utf8.encode(text) })

const builtIn: Record<string, (owner: SerializationOwner) => Serialization> = {
  binary: () => ({
    looksInside: true,
    encode: (value) => {
      const packed = pack(value)
      return packed instanceof Promise ? packed.then(asBytes) : asBytes(packed)
    },
    decode: (format, bytes) => [unpack(binary(format, bytes))],
  }),

  // Both kinds of frames are read: PeerJS before 1.5 writes text.
  json: owner => ({
    looksInside: true,
    encode: value => asBytes(utf8.encode(stringify(owner, value))),
    decode: (_format, bytes) => [owner.parse(fromUtf8.decode(bytes))],
  }),

  raw: () => ({ looksInside: false, encode: bare, decode: (format, bytes) => [plain(format, bytes)] }),

  MsgPack: () => {
    const { encode, MessagePackStream } = msgpack!
    const stream = new MessagePackStream()
    return {
      looksInside: true,
      isStream: true,
      encode: value => asBytes(encode(value)),
      decode: (format, bytes) => stream.push(binary(format, bytes)),
    }
  },
}

function own(owner: SerializationOwner, { encode, decode }: Serializer): Serialization {
  if (typeof encode !== 'function' || typeof decode !== 'function') {
    throw new PeerError('invalid-argument', `serializers.${owner.serialization} has to be an object with encode(value) and decode(data), `
      + 'or a class that extends BufferedConnection or StreamConnection.', { peer: owner.peer })
  }
  return {
    looksInside: false,
    encode: (value) => {
      const made = encode(value)
      return made instanceof Promise ? made.then(bare) as Promise<Encoded> : bare(made)
    },
    decode: (format, bytes) => [decode(plain(format, bytes))],
  }
}

function binary(format: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (format === Format.text) throw new PeerError('protocol-violation', 'a text frame where bytes belong')
  return bytes
}

function stringify(owner: SerializationOwner, value: unknown): string {
  let text: unknown
  try {
    text = owner.stringify(value)
  }
  catch (cause) {
    throw new PeerError('data-clone', `JSON cannot carry this value: ${cause instanceof Error ? cause.message : String(cause)}.`, { cause })
  }
  if (typeof text !== 'string') throw new PeerError('data-clone', `JSON has nothing for ${typeof value}.`)
  return text
}

/** What RTCDataChannel.send() would make of it, which is all that PeerJS does. */
function bare(value: unknown): Encoded | Promise<Encoded> {
  // Of whatever realm: an application may have it from a frame.
  const brand = Object.prototype.toString.call(value).slice(8, -1)
  if (brand === 'Blob' || brand === 'File') return (value as Blob).arrayBuffer().then(buffer => asBytes(new Uint8Array(buffer)))
  // Copies: it may have to wait, and is the application's own.
  if (brand === 'ArrayBuffer') return asBytes(new Uint8Array(value as ArrayBuffer).slice())
  if (ArrayBuffer.isView(value)) return asBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice())
  try {
    return asText(String(value))
  }
  catch (cause) {
    throw new PeerError('data-clone', 'raw carries strings and bytes only.', { cause })
  }
}

function plain(format: number, bytes: Uint8Array<ArrayBuffer>): string | ArrayBuffer {
  if (format === Format.text) return fromUtf8.decode(bytes)
  const { buffer, byteOffset, byteLength } = bytes
  return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)
}
