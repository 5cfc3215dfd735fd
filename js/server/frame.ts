// What most of a server's time goes into: a text frame of a client that another client gets. It is unmasked, looked through and
// written again in one place, and leaves from there: no string of it, no object and no second copy.

/** A message to a client: a text, or one that is a frame already. */
export type Text = string | Framed

/** What clients say to each other. */
const types = ['OFFER', 'ANSWER', 'CANDIDATE'] as const
/** How they begin that: ours and PeerJS's write their members in this order. */
export const beginnings: Readonly<Record<string, string>> = Object.fromEntries(types.map(type => [type, `{"type":"${type}","payload":`]))
const encoder = new TextEncoder()
/** The same in bytes, in the order of `types`. */
const begins = types.map(type => encoder.encode(beginnings[type]))
const destination = encoder.encode(',"dst":"')
/** Deeper than any client of ours takes (docs/protocol.md, "What is accepted"). */
export const MAX_DEPTH = 64
/** Of a frame with 16 bits of length. */
const MAX_FRAME = 4 + 65_535

/** One frame of the largest, many of the usual ones. */
const SLAB = 131_072

/** Bytes that stand for themselves in a JSON string: ASCII but control characters, the quotation mark and the backslash. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) => Number(byte >= 0x20 && byte < 0x80 && byte !== 0x22 && byte !== 0x5c))
/** What may follow a backslash, but `u`. */
const escaped = Uint8Array.from({ length: 256 }, (_, byte) => Number('"\\/bfnrt'.includes(String.fromCharCode(byte))))
const hexadecimal = Uint8Array.from({ length: 256 }, (_, byte) => Number(/[0-9a-f]/i.test(String.fromCharCode(byte))))
/** Containers that are open: 1 an object, 0 an array. */
const open = new Uint8Array(MAX_DEPTH + 1)

/**
 * A message from one client to another, ASCII, `type`, `payload`, `src` and `dst` in this order, with the head of its WebSocket
 * frame (RFC 6455, section 5.2) in front.
 */
export class Framed {
  /** It holds until the end of the turn: who keeps it longer copies it. */
  readonly frame: Buffer
  readonly type: string
  readonly dst: string
  /** Bytes of what the client sent, which was shorter. */
  readonly sent: number

  constructor(frame: Buffer, type: string, dst: string, sent: number) {
    this.frame = frame
    this.type = type
    this.dst = dst
    this.sent = sent
  }

  /** Bytes of the frame's head. */
  get head(): number {
    return this.frame[1] === 126 ? 4 : 2
  }

  /** Of the text. */
  get length(): number {
    return this.frame.length - this.head
  }

  toString(): string {
    return this.frame.toString('latin1', this.head)
  }
}

/** Where frames are made, one behind the other: again and again the same memory, as long as all that was in it has left. */
let slab: Buffer | null = null
/** The same bytes, four at a time. */
let words: Int32Array = new Int32Array(0)
/** What of it is used. */
let used = 0

/** All frames that were made have left, or have been copied. */
export function recycle(): void {
  used = 0
}

/** Not all have: they stay as they are, and others are made elsewhere. */
export function retire(): void {
  slab = null
}

/**
 * A client's frame as the other client gets it. Null for what is not what almost all are: JSON in ASCII without white space, whose
 * members are exactly `type` (one of three), `payload` and `dst`, in this order, and whose payload nests at most MAX_DEPTH deep.
 *
 * @param chunk is left as it is
 * @param at where the masked payload begins, behind its mask
 * @param length of the payload
 */
export function reframe(chunk: Buffer, at: number, length: number, src: string): Framed | null {
  const added = src.length + 9
  const whole = length + added
  if (whole > 65_535) return null
  if (!slab || slab.length - used < MAX_FRAME) {
    slab = Buffer.allocUnsafeSlow(SLAB)
    words = new Int32Array(slab.buffer, slab.byteOffset, SLAB >> 2)
    used = 0
  }
  const bytes = slab
  // The payload begins at a word.
  const begin = used + 4
  const end = begin + length
  unmask(chunk, at, bytes, begin, length)

  const kind = bytes[begin + 9] === 0x4f ? 0 : bytes[begin + 9] === 0x41 ? 1 : 2
  const beginning = begins[kind]!
  if (length < beginning.length || !has(bytes, begin, beginning)) return null
  const tail = behind(bytes, words, begin + beginning.length, end)
  if (tail < 0 || end - tail < 11 || !has(bytes, tail, destination) || bytes[end - 2] !== 0x22 || bytes[end - 1] !== 0x7d) return null
  for (let i = tail + 8; i < end - 2; i++) if (plain[bytes[i]!] === 0) return null
  const dst = bytes.toString('latin1', tail + 8, end - 2)
  // `src` goes in front of `dst`.
  bytes.copyWithin(tail + added, tail, end)
  bytes.write(`,"src":"${src}"`, tail, 'latin1')
  let start = begin - 2
  if (whole < 126) {
    bytes[start + 1] = whole
  }
  else {
    start -= 2
    bytes[start + 1] = 126
    bytes[start + 2] = whole >> 8
    bytes[start + 3] = whole & 255
  }
  bytes[start] = 0x81
  used = (begin + whole + 3) & ~3
  return new Framed(bytes.subarray(start, begin + whole), types[kind]!, dst, length)
}

/** RFC 6455, section 5.3. */
function unmask(from: Buffer, at: number, to: Buffer, begin: number, length: number): void {
  const mask = from.byteOffset + at - 4
  let i = 0
  // Four bytes at a time, where the source begins at a word, too: a frame of 126 bytes and more that came alone does.
  if ((mask & 3) === 0) {
    const count = length >> 2
    const source = new Int32Array(from.buffer, mask, count + 1)
    const key = source[0]!
    const first = begin >> 2
    for (let word = 0; word < count; word++) words[first + word] = source[word + 1]! ^ key
    i = count << 2
  }
  for (; i < length; i++) to[begin + i] = from[at + i]! ^ from[at - 4 + (i & 3)]!
}

function has(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false
  return true
}

/**
 * Where the JSON value (RFC 8259, without white space, ASCII) that begins at `at` ends; -1 when none does or it nests too deeply. The
 * answer is right up to a few bytes before `end`: what is behind that may be anything, and be read.
 * @param words the same bytes, four at a time
 */
export function behind(bytes: Uint8Array, words: Int32Array, at: number, end: number): number {
  let depth = 0
  for (;;) {
    // A value begins here.
    let byte = bytes[at]
    if (at >= end) return -1
    if (byte === 0x22) {
      at = behindString(bytes, words, at + 1, end)
      if (at < 0) return -1
    }
    else if (byte === 0x7b) {
      if (++depth > MAX_DEPTH) return -1
      open[depth] = 1
      at += 1
      if (bytes[at] !== 0x7d) {
        at = behindName(bytes, words, at, end)
        if (at < 0) return -1
        continue
      }
      depth -= 1
      at += 1
    }
    else if (byte === 0x5b) {
      if (++depth > MAX_DEPTH) return -1
      open[depth] = 0
      at += 1
      if (bytes[at] !== 0x5d) continue
      depth -= 1
      at += 1
    }
    else {
      at = byte === 0x74
        ? literally(bytes, at, 'true')
        : byte === 0x66 ? literally(bytes, at, 'false') : byte === 0x6e ? literally(bytes, at, 'null') : behindNumber(bytes, at)
      if (at < 0) return -1
    }
    // And ends here, and with it perhaps what it is in.
    for (;;) {
      if (at > end) return -1
      if (depth === 0) return at
      byte = bytes[at]
      at += 1
      if (byte === 0x2c) {
        if (open[depth] === 1) {
          at = behindName(bytes, words, at, end)
          if (at < 0) return -1
        }
        break
      }
      if (byte !== (open[depth] === 1 ? 0x7d : 0x5d)) return -1
      depth -= 1
    }
  }
}

function allPlain(word: number): boolean {
  const quote = word ^ 0x22222222
  const backslash = word ^ 0x5c5c5c5c
  return ((word | (word - 0x20202020) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)) & 0x80808080) === 0
}

/** @param at behind the quotation mark that begins it */
function behindString(bytes: Uint8Array, words: Int32Array, at: number, end: number): number {
  const last = end >> 2
  while (at < end) {
    if ((at & 3) === 0) {
      // Four at a time, as long as all are plain: a byte's highest bit stays clear in all four terms (Hacker's Delight, 6-1).
      let word = at >> 2
      while (word < last && allPlain(words[word]!)) word += 1
      at = word << 2
    }
    const byte = bytes[at]!
    if (plain[byte] === 1) {
      at += 1
    }
    else if (byte === 0x22) {
      return at + 1
    }
    else if (byte !== 0x5c) {
      return -1
    }
    else if (escaped[bytes[at + 1]!] === 1) {
      at += 2
    }
    else {
      if (bytes[at + 1] !== 0x75) return -1
      for (let i = at + 2; i < at + 6; i++) if (hexadecimal[bytes[i]!] !== 1) return -1
      at += 6
    }
  }
  return -1
}

function behindName(bytes: Uint8Array, words: Int32Array, at: number, end: number): number {
  if (bytes[at] !== 0x22) return -1
  at = behindString(bytes, words, at + 1, end)
  return at >= 0 && bytes[at] === 0x3a ? at + 1 : -1
}

function literally(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return -1
  return at + text.length
}

function behindNumber(bytes: Uint8Array, at: number): number {
  if (bytes[at] === 0x2d) at += 1
  if (bytes[at] === 0x30) at += 1
  else if ((at = behindDigits(bytes, at)) < 0) return -1
  if (bytes[at] === 0x2e && (at = behindDigits(bytes, at + 1)) < 0) return -1
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    at += 1
    if (bytes[at] === 0x2b || bytes[at] === 0x2d) at += 1
    return behindDigits(bytes, at)
  }
  return at
}

function behindDigits(bytes: Uint8Array, at: number): number {
  const start = at
  while (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at += 1
  return at > start ? at : -1
}
