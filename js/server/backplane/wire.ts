// The way to Redis: one connection for what is asked, in order, and one for what comes.
import type { Redis } from 'ioredis'
import { SignalingServerError } from '../errors.js'

/** Redis that accepts a connection and says nothing is given up after this time, ms. */
const patience = 3000

export type Argument = string | number

/** A script that is run once, however often the connection breaks meanwhile. */
interface Operation<Name> {
  readonly name: Name
  readonly args: readonly Argument[]
  readonly size: number
  readonly done: (reply: unknown) => void
  /** Redis refused it, or, of one that cannot wait, the connection broke before it answered. */
  readonly failed: (error: Error) => void
  readonly canWait: boolean
  /** The connection that it was sent on. */
  sentOn: number
  /** Called when it is done, and with it all before it. */
  settled: (() => void) | null
}

export interface WireHandlers {
  /** What was published on one of the channels. */
  message(text: string, channel: string): void
  /** Redis is there (again). What is asked from within goes before everything that waits. */
  up(): void
  down(): void
}

export class Wire<Name extends string> {
  readonly #handlers: WireHandlers
  readonly #scripts: Record<Name, string>
  readonly #channels: readonly string[]
  /** In the order in which they have to be done. */
  readonly #operations = new Set<Operation<Name>>()
  #last: Operation<Name> | null = null
  readonly #shas = new Map<Name, string>()
  #commands: Redis | null = null
  #events: Redis | null = null
  #connection = 0
  #canAsk = false
  #hears = false
  #up = false
  #ended = false
  /** UTF-16 units that wait for Redis. */
  waiting = 0
  /** Rejects where ioredis is not installed. That Redis does not answer is no reason: it may come. */
  readonly ready: Promise<void>

  constructor(url: string, channels: readonly string[], scripts: Record<Name, string>, handlers: WireHandlers) {
    this.#handlers = handlers
    this.#scripts = scripts
    this.#channels = channels
    this.ready = this.#begin(url)
    this.ready.catch(() => {})
  }

  get isUp(): boolean {
    return this.#up
  }

  /** Runs a script, in order with all others, when Redis is there; again on the next connection if this one breaks before it answers. */
  run(
    name: Name, args: readonly Argument[],
    done: (reply: unknown) => void = () => {}, failed: (error: Error) => void = () => {}, canWait = true,
  ): void {
    if (this.#ended) return
    let size = 0
    for (const arg of args) size += typeof arg === 'string' ? arg.length : 8
    const operation: Operation<Name> = { name, args, size, done, failed, canWait, sentOn: 0, settled: null }
    this.#last = operation
    this.#operations.add(operation)
    this.waiting += size
    if (this.#up) this.#send(operation)
  }

  /** Asks what need not be asked again; rejects when there is no answer. */
  async ask(name: Name, args: readonly Argument[]): Promise<unknown> {
    const sha = this.#shas.get(name)
    if (!this.#up || !this.#commands || sha === undefined) throw new Error('Redis is away')
    return this.#commands.call('EVALSHA', sha, 0, ...args)
  }

  /** Everything that was asked until now is done. */
  settled(): Promise<void> {
    const last = this.#last
    if (!last || !this.#operations.has(last)) return Promise.resolve()
    return new Promise((resolve) => {
      const before = last.settled
      last.settled = () => {
        before?.()
        resolve()
      }
    })
  }

  /** Redis does not answer: begins anew. */
  reset(): void {
    if (this.#ended) return
    this.#commands?.disconnect(true)
    this.#events?.disconnect(true)
  }

  end(): void {
    this.#ended = true
    this.#fall()
    for (const operation of this.#operations) this.#finish(operation)
    this.#commands?.disconnect()
    this.#events?.disconnect()
  }

  async #begin(url: string): Promise<void> {
    let Client: typeof Redis
    try {
      ({ Redis: Client } = await import('ioredis'))
    }
    catch (cause) {
      throw new SignalingServerError('redis-not-installed', 'The option redis needs the package ioredis, which is not installed. Run npm install ioredis.', { cause })
    }
    if (this.#ended) return
    const options = {
      lazyConnect: true,
      connectTimeout: patience,
      // What has to be asked again, and in which order, is known here.
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      autoResubscribe: false,
      maxRetriesPerRequest: null,
      disableClientInfo: true,
      retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 6), 500),
      // A replica that was the primary takes no writes.
      reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    }
    const commands = this.#commands = new Client(url, options)
    const events = this.#events = new Client(url, options)
    for (const redis of [commands, events]) {
      // Told by 'close', which follows.
      redis.on('error', () => {})
      redis.on('close', () => {
        if (redis === commands) this.#canAsk = false
        else this.#hears = false
        this.#fall()
      })
      redis.connect().catch(() => {})
    }
    commands.on('ready', () => void this.#load(commands))
    events.on('ready', () => {
      events.subscribe(...this.#channels).then(() => {
        this.#hears = true
        this.#rise()
      }).catch(() => events.disconnect(true))
    })
    events.on('message', (channel: string, text: string) => this.#handlers.message(text, channel))
  }

  async #load(commands: Redis): Promise<void> {
    const connection = ++this.#connection
    try {
      const names = Object.keys(this.#scripts) as Name[]
      const shas = await Promise.all(names.map(name => commands.script('LOAD', this.#scripts[name]) as Promise<string>))
      if (connection !== this.#connection) return
      for (const [i, name] of names.entries()) this.#shas.set(name, shas[i]!)
      this.#canAsk = true
      this.#rise()
    }
    catch {
      commands.disconnect(true)
    }
  }

  #rise(): void {
    if (this.#up || !this.#canAsk || !this.#hears || this.#ended) return
    const waited = [...this.#operations]
    this.#up = true
    this.#handlers.up()
    for (const operation of waited) if (operation.sentOn !== this.#connection && this.#operations.has(operation)) this.#send(operation)
  }

  #fall(): void {
    if (!this.#up) return
    this.#up = false
    const broke = new Error('Redis went away')
    for (const operation of this.#operations) {
      if (operation.canWait) continue
      this.#finish(operation)
      operation.failed(broke)
    }
    this.#handlers.down()
  }

  #send(operation: Operation<Name>): void {
    const connection = operation.sentOn = this.#connection
    this.#commands!.call('EVALSHA', this.#shas.get(operation.name)!, 0, ...operation.args).then((reply) => {
      if (operation.sentOn === connection && this.#finish(operation)) operation.done(reply)
    }, (error: Error) => {
      if (operation.sentOn !== connection || !this.#operations.has(operation)) return
      // No answer of Redis: the connection broke, and the next one begins with it.
      if (error.name !== 'ReplyError') return
      // Somebody flushed the scripts. Others may be on their way behind this one, and must not pass it.
      if (error.message.startsWith('NOSCRIPT') || error.message.startsWith('READONLY')) return void this.#commands?.disconnect(true)
      this.#finish(operation)
      operation.failed(error)
    })
  }

  #finish(operation: Operation<Name>): boolean {
    if (!this.#operations.delete(operation)) return false
    this.waiting -= operation.size
    operation.settled?.()
    return true
  }
}
