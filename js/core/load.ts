/**
 * Loads the WebAssembly core: once a page, when the first peer starts, and never at import.
 *
 * The module travels inside a lazily imported ES module (gzip in base64), which every bundler handles without
 * configuration. Who prefers to serve `peerbridge/core.wasm` as a file says where it is with `wasm`.
 */
import { PeerError } from '../errors.js'
import createModule from './generated/glue.js'
import { prime } from './prime.js'
import { Records, words } from './record.js'
import type { CodedDescription, Core, CoreConfig, CoreErrorCode, CoreInput, CoreOutput, Delivery, Lane, PumpAction } from './types.js'

/** The module that the wasm travels in. */
export type PackedCore = Promise<{ default: string }>

export interface LoadOptions {
  /**
   * Where the wasm is: a URL of `core.wasm`, its bytes, a module that is compiled already, or the import of the copy
   * inside the package, for who began it earlier.
   * @default the copy inside the package
   */
  wasm?: string | URL | BufferSource | WebAssembly.Module | PackedCore
}

export interface CoreFactory {
  /** @param now milliseconds, on the clock that every later call uses */
  create(config: CoreConfig, now: number): Core
  /**
   * The code of a description, and the mark of its offer.
   * @throws PeerError 'invalid-argument' for what is not the description of a data connection alone
   */
  toCode(description: Omit<CodedDescription, 'mark'> & { mark?: number }): { code: string, mark: number }
  /** @throws PeerError 'bad-signal', 'incompatible-peer': says which part of it is wrong */
  fromCode(code: string): CodedDescription
}

/** What the Emscripten module exports; see bindings/border.cpp. */
interface Exports {
  HEAPU8: Uint8Array<ArrayBuffer>
  room(bytes: number): number
  create(): number
  handle(endpoint: number, type: number, now: number): boolean
  poll(endpoint: number): number
  dispose(endpoint: number): void
  stats(endpoint: number, connection: number): boolean
  _pb_code(what: number, mark: number, length: number): number
  _pb_record(): number
  _pb_slots(): number
  _pb_delivery_slots(): number
  _pb_standing(): number
  _pb_arena(): number
  _pb_arena_size(): number
  _pb_head_size(): number
  _pb_inline_limit(): number
  _pb_put(endpoint: number, connection: number, lane: number, format: number, length: number): number
  _pb_queue(endpoint: number, connection: number, lane: number, format: number, length: number): number
  _pb_withdraw(endpoint: number, connection: number, ticket: number): number
  _pb_mark(endpoint: number, connection: number): number
  _pb_hold(endpoint: number, connection: number, held: number, now: number): void
  _pb_transfer_put(endpoint: number, connection: number, transfer: number, length: number): number
  _pb_pump(endpoint: number, connection: number, channel: number, bufferedAmount: number, now: number): number
  _pb_unsend(endpoint: number, connection: number): void
  _pb_receive(endpoint: number, channel: number, length: number, whole: number, text: number, now: number): number
  _pb_deliveries(endpoint: number): number
}

let loading: Promise<CoreFactory> | undefined
/** A connection is being made already, which compiles what a handshake needs, and should not have to wait. */
let busy = false

/**
 * The core, loaded once: later calls share the first result, whatever their options. A failure is not remembered, so
 * that the next peer tries again.
 * @throws {PeerError} `core-unavailable`, with what to do about it
 */
export function loadCore(options: LoadOptions = {}): Promise<CoreFactory> {
  loading ??= load(options).catch((cause: unknown) => {
    loading = undefined
    throw unavailable(cause)
  })
  return loading
}

async function load(options: LoadOptions): Promise<CoreFactory> {
  if (typeof WebAssembly === 'undefined') throw new Error('this browser has no WebAssembly')
  const module = compile(options.wasm)
  // A promise that Emscripten itself cannot reject: without this a failing instantiation would hang for ever.
  const exports = await new Promise<Exports>((resolve, reject) => {
    createModule({
      instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void) {
        module.then(async (module) => done(await WebAssembly.instantiate(module, imports), module)).catch(reject)
        return {}
      },
    }).then((loaded) => resolve(loaded as unknown as Exports), reject)
  })
  const records = new Records(exports)
  const code = (what: number, text: string, mark = 0): void => {
    if (exports._pb_code(what, mark, records.writeText(text))) return
    throw new PeerError(words.error![records.readNumber('error')] as CoreErrorCode, records.readText('text'))
  }
  const factory: CoreFactory = {
    toCode({ type, sdp, mark }) {
      code(type === 'offer' ? 0 : 1, sdp, mark)
      return { code: records.readText('text'), mark: records.readNumber('marker') }
    },
    fromCode(text) {
      code(2, text)
      return { type: records.readNumber('sdpType') === 0 ? 'offer' : 'answer', sdp: records.readText('text'), mark: records.readNumber('marker') }
    },
    create(config) {
      records.writeConfig(config)
      return new WasmCore(exports, records, exports.create())
    },
  }
  // Once the first peer has said what it wants, and waits for its server.
  if (typeof requestIdleCallback === 'function') requestIdleCallback(() => { if (!busy) prime(factory) })
  return factory
}

async function compile(wasm: LoadOptions['wasm']): Promise<WebAssembly.Module> {
  if (wasm instanceof WebAssembly.Module) return wasm
  if (wasm === undefined) return unpack(import('./generated/wasm.js'))
  if (wasm instanceof Promise) return unpack(wasm)
  if (typeof wasm === 'string' || wasm instanceof URL) {
    const response = await fetch(wasm)
    if (!response.ok) throw new Error(`${String(wasm)} answered ${response.status}`)
    // Servers that call it something else than application/wasm are common; the bytes are what counts.
    return response.headers.get('content-type')?.startsWith(mime)
      ? WebAssembly.compileStreaming(response)
      : WebAssembly.compile(await response.arrayBuffer())
  }
  return WebAssembly.compile(wasm)
}

const mime = 'application/wasm'

/** Compiles while it unpacks. Nothing on the way is a Blob: those pass through another process. */
async function unpack(packed: PackedCore): Promise<WebAssembly.Module> {
  const bytes = fromBase64((await packed).default)
  const stream = new ReadableStream<BufferSource>({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  }).pipeThrough(new DecompressionStream('gzip'))
  return WebAssembly.compileStreaming(new Response(stream, { headers: { 'content-type': mime } }))
}

function fromBase64(base64: string): Uint8Array<ArrayBuffer> {
  const built = (Uint8Array as { fromBase64?: (base64: string) => Uint8Array<ArrayBuffer> }).fromBase64
  if (built) return built.call(Uint8Array, base64)
  // Browsers before 2025. A loop: Uint8Array.from() with a function takes three times as long.
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

function unavailable(cause: unknown): PeerError {
  if (cause instanceof PeerError) return cause
  const what = cause instanceof Error ? cause.message : String(cause)
  const csp = /unsafe-eval|Content Security Policy|call_to_eval|CompileError.*disallowed/i.test(what)
  const advice = csp
    ? 'The page\'s Content-Security-Policy forbids WebAssembly: add \'wasm-unsafe-eval\' to script-src.'
    : 'If the site was deployed anew since this page was loaded, reloading the page helps; otherwise check that the core\'s files are served.'
  return new PeerError('core-unavailable', `The WebAssembly core could not be loaded (${what}). ${advice}`, { cause })
}

const slot = (view: Float64Array, index: number): number => view[index] as number

const nothing = new Uint8Array(0)
const kinds = ['wait', 'fill', 'send', 'fill-send'] as const
/** A frame of so many bytes is copied as a whole. */
const small = 4096
/** The answer of pb_receive when the head was not enough. */
const wantsWhole = 512
/** Doubles that describe one piece; see DeliverySlots in bindings/border.cpp. */
const deliverySize = 9

/** The typed handle of one endpoint; owns its memory until dispose(). */
class WasmCore implements Core {
  readonly inlineLimit: number
  readonly #arena: number
  readonly #arenaSize: number
  readonly #headSize: number
  readonly #slots: number
  readonly #deliverySlots: number
  readonly #standing: number
  readonly #action: PumpAction = { kind: 'wait', low: 0, ticket: 0, offset: 0, target: nothing, frame: nothing, text: false, last: false }
  #endpoint: number
  // What the last call said: other endpoints write to the same places.
  #deadline = Infinity
  #outputs = false

  constructor(private readonly wasm: Exports, private readonly records: Records, endpoint: number) {
    this.#endpoint = endpoint
    this.inlineLimit = wasm._pb_inline_limit()
    this.#arena = wasm._pb_arena()
    this.#arenaSize = wasm._pb_arena_size()
    this.#headSize = wasm._pb_head_size()
    this.#slots = wasm._pb_slots() / 8
    this.#deliverySlots = wasm._pb_delivery_slots() / 8
    this.#standing = wasm._pb_standing() / 8
  }

  #stand(): void {
    if (!this.#endpoint) return
    const f64 = this.records.doubles
    this.#deadline = slot(f64, this.#standing)
    this.#outputs = f64[this.#standing + 1] === 1
  }

  handle(input: CoreInput, now: number): void {
    if (!this.wasm.handle(this.#endpoint, this.records.write(input), now)) {
      throw new PeerError('core-unavailable', `the core does not know the input "${input.type}": the package's files are of different versions, install it anew`)
    }
    this.#stand()
  }

  poll(): CoreOutput | null {
    if (!this.#outputs) return null
    const next = this.wasm.poll(this.#endpoint)
    this.#stand()
    if (!next) return null
    const output = this.records.read(next - 1)
    if (output.type === 'link-create') busy = true
    return output
  }

  deadline(): number {
    return this.#deadline
  }

  put(connection: number, lane: Lane, format: number, bytes: Uint8Array): boolean {
    const at = this.wasm._pb_put(this.#endpoint, connection, lane, format, bytes.length)
    if (at > 1) this.wasm.HEAPU8.set(bytes, at)
    return at !== 0
  }

  queue(connection: number, lane: Lane, format: number, length: number): number {
    return this.wasm._pb_queue(this.#endpoint, connection, lane, format, length) >>> 0
  }

  withdraw(connection: number, ticket: number): boolean {
    return this.wasm._pb_withdraw(this.#endpoint, connection, ticket) === 1
  }

  get room(): boolean {
    return this.records.doubles[this.#standing + 2] === 1
  }

  mark(connection: number): number {
    return this.wasm._pb_mark(this.#endpoint, connection)
  }

  hold(connection: number, held: boolean, now: number): void {
    this.wasm._pb_hold(this.#endpoint, connection, held ? 1 : 0, now)
  }

  transferPut(connection: number, transfer: number, length: number): number {
    return this.wasm._pb_transfer_put(this.#endpoint, connection, transfer, length)
  }

  pump(connection: number, channel: number, bufferedAmount: number, now: number): PumpAction {
    const kind = this.wasm._pb_pump(this.#endpoint, connection, channel, bufferedAmount, now)
    const action = this.#action
    action.kind = kinds[kind]!
    const f64 = this.records.doubles
    const at = this.#slots
    if (kind === 0) {
      this.#stand()
      action.low = slot(f64, at + 2)
      return action
    }
    if (kind !== 2) {
      const pointer = slot(f64, at + 1)
      action.target = this.wasm.HEAPU8.subarray(pointer, pointer + slot(f64, at + 2))
      action.ticket = slot(f64, at + 3)
      action.offset = slot(f64, at + 4)
    }
    if (kind !== 1) {
      const pointer = slot(f64, at + 5)
      action.frame = this.wasm.HEAPU8.subarray(pointer, pointer + slot(f64, at + 6))
      action.text = f64[at + 7] === 1
      action.last = f64[at + 8] === 1
      if (action.last) this.#stand()
    }
    return action
  }

  unsend(connection: number): void {
    this.wasm._pb_unsend(this.#endpoint, connection)
  }

  receive(channel: number, frame: ArrayBuffer, text: boolean, now: number): Delivery[] {
    const length = frame.byteLength
    const pieces: Delivery[] = []
    // Of a piece of something large the core reads the head, and its bytes stay in the frame.
    let found = length > small ? this.#tell(channel, frame, this.#headSize, 0, text, now) : wantsWhole
    if (found === wantsWhole) found = this.#tell(channel, frame, Math.min(length, this.#arenaSize), 1, text, now)
    for (;;) {
      this.#take(found & 0xff, frame, pieces)
      if (found < 256) break
      found = this.wasm._pb_deliveries(this.#endpoint)
    }
    this.#stand()
    // What is a file's own is not copied where it is most of the frame: new memory costs more than all else here.
    for (const piece of pieces) {
      const { transfer, bytes } = piece
      if (transfer && bytes.buffer === frame && (pieces.length > 1 || bytes.length * 2 < length)) piece.bytes = bytes.slice()
    }
    return pieces
  }

  #tell(channel: number, frame: ArrayBuffer, copied: number, whole: number, text: boolean, now: number): number {
    this.wasm.HEAPU8.set(new Uint8Array(frame, 0, copied), this.#arena)
    return this.wasm._pb_receive(this.#endpoint, channel, frame.byteLength, whole, text ? 1 : 0, now)
  }

  #take(count: number, frame: ArrayBuffer, pieces: Delivery[]): void {
    const f64 = this.records.doubles
    for (let i = 0, at = this.#deliverySlots; i < count; i++, at += deliverySize) {
      const connection = slot(f64, at)
      const head = slot(f64, at + 1)
      const pointer = slot(f64, at + 4)
      const length = slot(f64, at + 5)
      const transfer = slot(f64, at + 6)
      const offset = slot(f64, at + 3)
      if (transfer && !pointer) {
        const before = pieces.at(-1)
        // Pieces of one file become one: the shorter moves to the other, over what was between them, which was read.
        if (before?.transfer === transfer && before.connection === connection && before.bytes.buffer === frame) {
          const { byteOffset, length: already } = before.bytes
          const start = already < length ? offset - already : byteOffset
          const all = new Uint8Array(frame)
          if (start === byteOffset) all.copyWithin(byteOffset + already, offset, offset + length)
          else all.copyWithin(start, byteOffset, byteOffset + already)
          before.bytes = all.subarray(start, start + already + length)
          continue
        }
      }
      pieces.push({
        connection,
        lane: (head & 3) as Lane,
        format: head >> 2 & 15,
        first: (head & 64) !== 0,
        last: (head & 128) !== 0,
        total: slot(f64, at + 2),
        bytes: pointer ? this.wasm.HEAPU8.slice(pointer, pointer + length) : new Uint8Array(frame, offset, length),
        transfer,
        message: slot(f64, at + 7),
        piece: slot(f64, at + 8),
      })
    }
  }

  stats(connection: number): Record<string, number> {
    return this.wasm.stats(this.#endpoint, connection) ? this.records.readCounters() : {}
  }

  dispose(): void {
    this.wasm.dispose(this.#endpoint)
    this.#endpoint = 0
    this.#deadline = Infinity
    this.#outputs = false
  }
}
