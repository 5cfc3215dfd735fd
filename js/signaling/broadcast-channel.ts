import { messageOf } from '../errors.js'
import { noop } from '../events.js'
import { randomToken } from '../util.js'
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'
import { expireMessage, openMessage, type SignalingMessage, toOthers } from './without-server.js'

export interface BroadcastChannelOptions {
  /** Of the BroadcastChannel: peers whose name is the same find each other. @default 'peerbridge' */
  name?: string
}

/** Who has an id says so within this, ms. A tab that is busy for longer, or frozen, is not heard. */
const claimWait = 200
/** Who gets a message says so within this, ms. */
const answerWait = 800

/** What tabs say to each other. `key` names who asks, for the answer. */
type Said =
  | { type: 'claim', key: string, id: string }
  | { type: 'taken', key: string }
  | { type: 'message', key: string, number: number, message: SignalingMessage }
  | { type: 'got', key: string, number: number }
  | { type: 'leave', key: string, id: string }
  | { type: 'who', key: string }
  | { type: 'here', key: string, id: string }

/**
 * Signaling between the tabs, windows, frames and workers of one origin in one browser, over a BroadcastChannel: no server, no
 * network. It does what a server does: an id belongs to one of them (`unavailable-id`; asking takes 200 ms), and a peer that is
 * not there is told within a second (`peer-unavailable`).
 *
 * Source: https://html.spec.whatwg.org/multipage/web-messaging.html#broadcasting-to-other-browsing-contexts
 */
export function broadcastChannel({ name = 'peerbridge' }: BroadcastChannelOptions = {}): SignalingTransport {
  return {
    name: 'broadcastchannel',
    connect(id, _token, handlers): SignalingChannel {
      try {
        return new TabChannel(new BroadcastChannel(name), id, handlers)
      }
      catch (error) { // no BroadcastChannel, or no right to one: a sandboxed frame
        const timer = setTimeout(() => handlers.closed(`This page has no BroadcastChannel (${messageOf(error)}).`), 0)
        return { send: noop, close: () => clearTimeout(timer) }
      }
    },
    listPeers: () => new Promise((resolve) => {
      const channel = new BroadcastChannel(name)
      const key = randomToken()
      const ids = new Set<string>()
      channel.onmessage = ({ data }: MessageEvent<Said>) => {
        if (data?.type === 'here' && data.key === key) ids.add(data.id)
      }
      post(channel, { type: 'who', key })
      setTimeout(() => {
        channel.close()
        resolve([...ids])
      }, claimWait)
    }),
  }
}

const post = (channel: BroadcastChannel, what: Said): void => channel.postMessage(what)

class TabChannel implements SignalingChannel {
  readonly #channel: BroadcastChannel
  readonly #id: string
  /** Of two that ask for an id at once the smaller one gets it. */
  readonly #key = randomToken()
  readonly #end = new AbortController()
  #handlers: SignalingHandlers | null
  #open = false
  /** The page is over, or put away: what the core still says is for nobody. */
  #away = false
  #number = 0
  /** Messages that nobody confirmed yet. */
  readonly #unconfirmed = new Map<number, ReturnType<typeof setTimeout>>()
  readonly #claim: ReturnType<typeof setTimeout>

  constructor(channel: BroadcastChannel, id: string, handlers: SignalingHandlers) {
    this.#channel = channel
    this.#id = id
    this.#handlers = handlers
    channel.onmessage = ({ data }: MessageEvent<Said | null>) => {
      if (data && typeof data === 'object') this.#heard(data)
    }
    post(channel, { type: 'claim', key: this.#key, id })
    this.#claim = setTimeout(() => this.#opened(), claimWait)
  }

  send(text: string): void {
    const handlers = this.#handlers
    const message = handlers && !this.#away && toOthers(text, this.#id, handlers)
    if (!message) return
    const number = ++this.#number
    post(this.#channel, { type: 'message', key: this.#key, number, message })
    this.#unconfirmed.set(number, setTimeout(() => {
      this.#unconfirmed.delete(number)
      this.#handlers?.message(expireMessage(message.dst))
    }, answerWait))
  }

  close(): void {
    if (!this.#handlers) return
    this.#handlers = null
    this.#silence()
    this.#end.abort()
  }

  #silence(): void {
    clearTimeout(this.#claim)
    for (const timer of this.#unconfirmed.values()) clearTimeout(timer)
    this.#unconfirmed.clear()
    this.#channel.close()
  }

  #opened(): void {
    this.#open = true
    const on = (name: string, heard: (event: PageTransitionEvent) => void): void =>
      globalThis.addEventListener?.(name, heard as EventListener, { signal: this.#end.signal })
    // A page that ends, or is put away (bfcache), which an open BroadcastChannel could prevent.
    on('pagehide', () => {
      post(this.#channel, { type: 'leave', key: this.#key, id: this.#id })
      this.#away = true
      this.#silence()
    })
    on('pageshow', ({ persisted }) => {
      if (persisted) this.#closed('The page was put away and has come back.')
    })
    this.#handlers?.opened()
    this.#handlers?.message(openMessage)
  }

  #closed(reason: string): void {
    const handlers = this.#handlers
    this.close()
    handlers?.closed(reason)
  }

  #heard(said: Said): void {
    const answer = (what: 'taken' | 'got' | 'here', more: object = {}): void =>
      post(this.#channel, { type: what, key: said.key, ...more } as Said)
    switch (said.type) {
      case 'claim':
        if (said.id !== this.#id) return
        if (this.#open || this.#key < said.key) answer('taken')
        else this.#taken()
        return
      case 'taken':
        // After it opened, too: a tab that was frozen when it was asked has woken up.
        if (said.key === this.#key) this.#taken()
        return
      case 'message':
        if (!this.#open || said.message?.dst !== this.#id) return
        answer('got', { number: said.number })
        return this.#handlers?.message(JSON.stringify(said.message))
      case 'got':
        if (said.key !== this.#key) return
        clearTimeout(this.#unconfirmed.get(said.number))
        this.#unconfirmed.delete(said.number)
        return
      case 'leave':
        return this.#handlers?.message(JSON.stringify({ type: 'LEAVE', src: said.id }))
      case 'who':
        if (this.#open) answer('here', { id: this.#id })
        return
      case 'here':
        return
    }
  }

  #taken(): void {
    clearTimeout(this.#claim)
    const handlers = this.#handlers
    if (!this.#open) handlers?.opened()
    handlers?.message('{"type":"ID-TAKEN"}')
    this.#closed('Another tab has this id.')
  }
}
