// The control border in memory: an input, an output or a configuration is numbers at fixed places, and its texts beside
// them. bindings/record.hpp has the same places; here they have names.

import type { CoreConfig, CoreErrorCode, CoreInput, CoreOutput, CoreTimers } from './types.js'

// ---- places; NaN is absent

export const numbers = [
  'connection', 'link', 'channel', 'transfer', 'transport', 'op', 'marker', 'length', 'offset', 'size', 'kind', 'protocol',
  'sdpType', 'state', 'error', 'reliable', 'sdpMLineIndex',
]
/** Each takes two places: where it stands, and how many bytes it has. */
export const texts = ['text', 'label', 'connectionId', 'serialization', 'metadata', 'candidate', 'sdpMid', 'usernameFragment']

const size = numbers.length + 2 * texts.length

function placeOf(name: string): number {
  const text = texts.indexOf(name)
  return text < 0 ? numbers.indexOf(name) : numbers.length + 2 * text
}

// ---- words, each list in the order of its enumeration

const errors: CoreErrorCode[] = [
  'browser-incompatible', 'disconnected', 'invalid-id', 'invalid-key', 'network', 'peer-unavailable', 'ssl-unavailable',
  'server-error', 'socket-error', 'socket-closed', 'unavailable-id', 'webrtc', 'negotiation-failed', 'connection-closed',
  'not-open-yet', 'message-too-big', 'core-unavailable', 'bad-signal', 'signal-too-large', 'signal-expired',
  'protocol-violation', 'incompatible-peer', 'timeout', 'connection-lost', 'invalid-argument', 'invalid-state', 'rejected',
  'cancelled', 'corrupted', 'not-authorized',
]
export const words: Record<string, readonly unknown[]> = {
  'kind': ['data', 'media'],
  'sdpType': ['offer', 'answer', 'pranswer', 'rollback'],
  'protocol': ['native', 'peerjs'],
  'change': ['online', 'offline', 'changed', 'resumed'],
  'reliable': [false, true],
  'ordered': [false, true],
  'wait': [false],
  'error': errors,
  'link-state': ['new', 'connecting', 'connected', 'disconnected', 'failed', 'closed'],
  'peer-state': ['idle', 'connecting', 'open', 'reconnecting', 'closed'],
  'connection-state': ['connecting', 'open', 'recovering', 'closed'],
  'transfer-state': ['offered', 'active', 'paused', 'done', 'rejected', 'cancelled', 'failed'],
}

const wordsOf = (type: string, member: string): readonly unknown[] | undefined => words[member === 'state' ? type : member]

// ---- inputs

/** In the order of InputType. */
export const inputs: readonly CoreInput['type'][] = [
  'start', 'connect', 'answer', 'close', 'stripes', 'disconnect', 'reconnect', 'destroy',
  'id-assigned', 'id-failed', 'signaling-opened', 'signaling-message', 'signaling-closed',
  'op-done', 'op-failed', 'local-candidate', 'gathering-complete', 'negotiation-needed', 'link-state', 'path-changed',
  'channel-arrived', 'channel-opened', 'channel-closed', 'side-open', 'side-close', 'side-heard',
  'transfer-offer', 'transfer-accept', 'transfer-reject', 'transfer-pause', 'transfer-resume', 'transfer-cancel', 'transfer-end',
  'transfer-consumed', 'transfer-complete',
  'network', 'page-hide', 'timeout',
]
/** Members with a name of their own for a place. */
const given: Record<string, string> = {
  id: 'text', peer: 'text', sdp: 'text', name: 'text', reason: 'text', token: 'label', message: 'label', mime: 'label',
  size: 'length', count: 'length', from: 'length', maxMessageSize: 'length', change: 'state', key: 'connectionId', digest: 'text',
  subprotocol: 'text', side: 'transfer', ordered: 'reliable', maxRetransmits: 'length', maxPacketLifeTime: 'sdpMLineIndex',
  wait: 'length',
}

// ---- outputs

const told: Record<string, string> = {
  id: 'text', peer: 'text', sdp: 'text', name: 'text', reason: 'text', message: 'text', token: 'label', mime: 'label',
  key: 'connectionId', digest: 'text', bytes: 'size', lowThreshold: 'length', ordered: 'reliable', stripe: 'marker',
  subprotocol: 'text', maxRetransmits: 'size', maxPacketLifeTime: 'sdpMLineIndex', high: 'offset', normal: 'length', bulk: 'size',
}

interface Shape {
  type: string
  members: { name: string, at: number, words: readonly unknown[] | undefined }[]
}

/** Type and members, in the order of OutputType. */
export const outputs: readonly Shape[] = [
  'request-id op',
  'signaling-connect transport id token',
  'signaling-send transport text',
  'signaling-close transport',
  'link-create link connection stripe',
  'link-close link',
  'set-local-description link op',
  'set-remote-description link op sdpType sdp',
  'read-local-description link op',
  'add-candidate link op candidate sdpMid sdpMLineIndex usernameFragment',
  'restart-ice link',
  'rollback link op',
  'channel-create link channel label subprotocol ordered maxRetransmits maxPacketLifeTime lowThreshold',
  'channel-bind channel connection lowThreshold',
  'stripe-bind channel connection lowThreshold',
  'channel-close channel',
  'side-bind channel connection',
  'transmit connection',
  'message-dropped connection marker',
  'transfer-read connection transfer offset length',
  'dispose',
  'peer-state state reason',
  'peer-opened id',
  'peer-disconnected id',
  'peer-closed',
  'peer-error error message',
  'connection-incoming connection peer connectionId kind label metadata serialization reliable protocol',
  'connection-foreign connection',
  'connection-state connection state reason protocol',
  'connection-opened connection',
  'connection-error connection error message',
  'connection-closed connection reason high normal bulk',
  'room connection',
  'delivered connection marker',
  'transfer-offered connection transfer name mime key size',
  'transfer-state connection transfer state reason error',
  'transfer-progress connection transfer bytes',
  'transfer-ended connection transfer digest',
  'warning error message',
].map((line) => {
  const [type = '', ...members] = line.split(' ')
  return { type, members: members.map(name => ({ name, at: placeOf(told[name] ?? name), words: wordsOf(type, name) })) }
})

// ---- configurations and counters

const choices: Record<string, readonly string[]> = { protocol: ['auto', 'native', 'peerjs'], trickle: ['full', 'half', 'none'] }

/** In the order in which toConfig() reads them. */
export const settings: readonly (keyof CoreConfig)[] = [
  'seed', 'protocol', 'trickle', 'autoReconnect', 'byHand', 'reconnectRetries', 'maxMessageBytes', 'maxConnections', 'maxConnectionsPerPeer',
  'maxStripes', 'windowBytes', 'grantBytes', 'queueBytes', 'maxUnfinishedMessages', 'maxUnfinishedBytes', 'unfinishedTimeout',
  ...[
    'reconnectDelay', 'reconnectMaxDelay', 'heartbeatInterval', 'probeInterval', 'probeTimeout', 'urgentProbeTimeout', 'connectTimeout',
    'urgentConnectTimeout', 'urgentReconnectDelay', 'openTimeout', 'registerTimeout', 'signalExpiry', 'candidateBatch',
    'lateCandidateBatch', 'gatherTimeout', 'negotiationTimeout', 'ringTimeout', 'resendDelay', 'orphanExpiry', 'pulseInterval',
    'silenceLimit', 'urgentSilenceLimit', 'restartYield', 'restartDelay', 'restartMaxDelay', 'raceDelay', 'raceGrace', 'raceRenewal',
    'raceRetry', 'nudgeDelay', 'returnGrace', 'recoveryBudget',
    'stripeRetry',
  ] satisfies (keyof CoreTimers)[],
]

const counters = [
  'framesSent', 'framesReceived', 'bytesSent', 'bytesReceived', 'messagesSent', 'messagesReceived', 'framesReplayed',
  'duplicatesDropped', 'queuedBytes', 'unackedBytes',
]

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** The part of the wasm that this is about. */
interface Memory {
  HEAPU8: Uint8Array<ArrayBuffer>
  _pb_record(): number
  room(bytes: number): number
}

/** Writes and reads the one record of the wasm. What is written is taken, and what is read was told, by the next call of it. */
export class Records {
  readonly #wasm: Memory
  readonly #at: number
  #heap: Uint8Array | null = null
  #doubles = new Float64Array()

  constructor(wasm: Memory) {
    this.#wasm = wasm
    this.#at = wasm._pb_record() / 8
  }

  /** All memory as doubles; made anew when it has grown, which detaches the old buffer. */
  get doubles(): Float64Array {
    const heap = this.#wasm.HEAPU8
    if (this.#heap !== heap) {
      this.#heap = heap
      this.#doubles = new Float64Array(heap.buffer)
    }
    return this.#doubles
  }

  /** The number of its type; what no type has when that is unknown. */
  write(input: CoreInput): number {
    const members = Object.entries(input)
    let bytes = 0
    for (const [, value] of members) if (typeof value === 'string') bytes += 3 * value.length
    let free = this.#wasm.room(bytes)
    // Not by way of what fill() answers: Firefox 153 loses what is written there once it has compiled that.
    const { doubles } = this
    doubles.fill(NaN, this.#at, this.#at + size)
    for (const [name, value] of members as [string, unknown][]) {
      const place = placeOf(given[name] ?? name)
      const at = this.#at + place
      if (place >= numbers.length) {
        if (typeof value !== 'string') continue
        const { written } = utf8.encodeInto(value, this.#wasm.HEAPU8.subarray(free))
        doubles[at] = free
        doubles[at + 1] = written
        free += written
      }
      else if (typeof value === 'number') doubles[at] = value
      else {
        const word = wordsOf(input.type, name)?.indexOf(value) ?? -1
        if (word >= 0) doubles[at] = word
      }
    }
    return inputs.indexOf(input.type) >>> 0
  }

  /** The output of this type. */
  read(type: number): CoreOutput {
    const { type: name, members } = outputs[type]!
    const record = this.doubles.subarray(this.#at, this.#at + size)
    const output: Record<string, unknown> = { type: name }
    for (const { name, at, words } of members) {
      const value = record[at]!
      if (Number.isNaN(value)) continue
      output[name] = at >= numbers.length
        ? fromUtf8.decode(this.#wasm.HEAPU8.subarray(value, value + record[at + 1]!))
        : words ? words[value] : value
    }
    return output as unknown as CoreOutput
  }

  /** A text by itself; answers its bytes. */
  writeText(text: string): number {
    const at = this.#wasm.room(3 * text.length)
    return utf8.encodeInto(text, this.#wasm.HEAPU8.subarray(at)).written
  }

  /** One member of what was told. */
  readText(name: string): string {
    const record = this.doubles.subarray(this.#at, this.#at + size)
    const at = record[placeOf(name)]!
    return fromUtf8.decode(this.#wasm.HEAPU8.subarray(at, at + record[placeOf(name) + 1]!))
  }

  readNumber(name: string): number {
    return this.doubles[this.#at + placeOf(name)]!
  }

  writeConfig(config: CoreConfig): void {
    const at = this.#wasm.room(8 * settings.length) / 8
    settings.forEach((name, i) => {
      const value = config[name]
      this.doubles[at + i] = typeof value === 'string' ? choices[name]!.indexOf(value) : Number(value ?? NaN)
    })
  }

  readCounters(): Record<string, number> {
    return Object.fromEntries(counters.map((name, i) => [name, this.doubles[this.#at + i]!]))
  }
}
