import type { CoreFactory } from '../core/load.js'
import type { DataConnection } from '../data-connection.js'
import { PeerError } from '../errors.js'
import { type Deferred, deferred } from '../events.js'
import type { Peer } from '../peer.js'
import { randomToken } from '../util.js'
import type { SignalingHandlers, SignalingTransport } from './transport.js'
import { expireMessage, openMessage, type SignalingMessage, toOthers } from './without-server.js'

export interface ManualOptions {
  /** What the other side is called here: `connection.peer`. @default a random name */
  peer?: string
}

/** A transport whose messages are carried by people: {@link manual}. */
export interface ManualTransport extends SignalingTransport {
  /**
   * Begins a connection.
   * @returns a code for the other side's `answer()`: 120 to 180 characters, 0-9 and A-Z. It takes as long as it takes to find this
   * side's addresses: 3 s at the most (`timers.gatherTimeout`)
   * @throws PeerError 'invalid-state' before `new Peer()` was given this transport; or what ended the connection
   */
  invite(options?: ManualOptions): Promise<string>
  /**
   * Takes an invitation. The peer emits 'connection' with a connection that opens once the other side has accepted.
   * @param invitation as `invite()` made it; lower case, spaces, line ends and hyphens between are fine, and so is a URL that has it
   * behind its last `#`, `=` or `/`
   * @returns a code for the other side's `accept()`
   * @throws PeerError 'bad-signal' with the characters that are wrong; 'incompatible-peer' when another version made it;
   * 'invalid-argument' when it is an answer; 'timeout' when the peer does not take the connection, or had it already
   */
  answer(invitation: string, options?: ManualOptions): Promise<string>
  /**
   * Takes the answer to one of this side's invitations. The peer emits 'connection', as on the other side.
   * @returns the connection, once it is open
   * @throws PeerError as `answer()`, 'invalid-argument' when it is an invitation, or an answer to none that waits; or what ended
   * the connection
   */
  accept(answer: string): Promise<DataConnection>
}

/** What both sides call the connection: no id travels in a code. */
const connectionId = 'manual'
/** The peer makes an answer within this, ms, beyond the time for finding addresses. */
const answerWait = 10_000

interface Invitation { peer: string, connection: DataConnection, native: Native }
interface Native { v: number, link: number, neg: number }
interface Description { sdp: { sdp: string, type: 'offer' | 'answer' }, peerbridge?: Native }

/**
 * Signaling without anything between the two: one code is carried over and another one back, by whatever people have. A QR code,
 * a chat, a telephone, a napkin. What the two signal afterwards (calls, further connections) goes through their connection.
 */
export function manual(): ManualTransport {
  return new Manual()
}

class Manual implements ManualTransport {
  readonly name = 'manual'
  readonly byHand = true
  #peer: Peer | undefined
  #id = ''
  #handlers: SignalingHandlers | null = null
  /** The signaling of the peer is open. */
  #ready = deferred<void>()
  /** Codes that wait for their description, by what the other side is called here. */
  readonly #waiting = new Map<string, Deferred<string>>()
  /** To whom an answer is to be made, and to which offer. */
  readonly #marks = new Map<string, number>()
  /** Those that nobody has answered, by their marks. */
  readonly #invitations = new Map<number, Invitation>()

  attach(peer: Peer): void {
    if (this.#peer && !this.#peer.destroyed) throw new PeerError('invalid-state', 'This manual() belongs to another peer: make one for each.')
    this.#peer = peer
    for (const code of this.#waiting.values()) code.reject(new PeerError('connection-closed', 'The peer was destroyed.'))
    for (const all of [this.#waiting, this.#marks, this.#invitations]) all.clear()
  }

  connect(id: string, _token: string, handlers: SignalingHandlers): { send(text: string): void, close(): void } {
    this.#id = id
    this.#handlers = handlers
    queueMicrotask(() => {
      if (this.#handlers !== handlers) return
      handlers.opened()
      handlers.message(openMessage)
      this.#ready.resolve()
    })
    return {
      send: text => this.#said(text, handlers),
      close: () => {
        if (this.#handlers !== handlers) return
        this.#handlers = null
        this.#ready = deferred()
      },
    }
  }

  async invite(options: ManualOptions = {}): Promise<string> {
    const owner = this.#owner()
    const peer = options.peer ?? name('guest')
    const connection = owner.connect(peer, { connectionId })
    if (!connection) throw new PeerError('disconnected', 'The peer left its signaling: call reconnect() first.')
    if (connection.state === 'closed') throw new PeerError('invalid-argument', `There is an invitation of ${peer} already: close its connection first, or call it something else.`, { peer })
    const code = deferred<string>()
    this.#waiting.set(peer, code)
    const failed = (error: PeerError): void => code.reject(error)
    connection.on('error', failed)
    connection.on('close', () => {
      failed(new PeerError('connection-closed', 'The connection was closed before it had a code.'))
      this.#waiting.delete(peer)
      for (const [mark, invitation] of this.#invitations) if (invitation.connection === connection) this.#invitations.delete(mark)
    })
    return code.promise
  }

  async answer(invitation: string, options: ManualOptions = {}): Promise<string> {
    const owner = this.#owner()
    const { type, sdp, mark } = await this.#read(invitation)
    if (type !== 'offer') throw new PeerError('invalid-argument', 'This code is an answer: who made the invitation accepts it.')
    // The certificate names who sent it, and nobody else.
    const peer = options.peer ?? `host-${/^a=fingerprint:\S+ (\S{14})/m.exec(sdp)![1]!.replaceAll(':', '')}`
    const code = deferred<string>()
    this.#waiting.set(peer, code)
    this.#marks.set(peer, mark)
    const { gatherTimeout = 3000 } = owner.options.timers
    const timer = setTimeout(() => code.reject(new PeerError('timeout', 'The peer did not take the connection, or had it already: ask for a new invitation.', { peer })), gatherTimeout + answerWait)
    const peerbridge: Native = { v: 1, link: 1, neg: 1 }
    this.#tell('OFFER', peer, { sdp: { sdp, type }, peerbridge })
    // By themselves, too: the core has them checked again while it waits.
    const candidates = [...sdp.matchAll(/^a=(candidate:.*)\r$/gm)].map(([, candidate]) => ({ candidate, sdpMid: '0', sdpMLineIndex: 0 }))
    if (candidates.length > 0) this.#tell('CANDIDATE', peer, { candidates, peerbridge })
    const connection = this.#connection(peer)
    connection?.on('error', (error: PeerError) => code.reject(error))
    connection?.on('close', () => code.reject(new PeerError('connection-closed', 'The connection was closed before it had a code.', { peer })))
    try {
      return await code.promise
    }
    finally {
      clearTimeout(timer)
      this.#waiting.delete(peer)
    }
  }

  async accept(answer: string): Promise<DataConnection> {
    const owner = this.#owner()
    const { type, sdp, mark } = await this.#read(answer)
    if (type !== 'answer') throw new PeerError('invalid-argument', 'This code is an invitation: answer() it, and let the other side accept what comes of it.')
    const invitation = this.#invitations.get(mark)
    if (!invitation) throw new PeerError('invalid-argument', 'This code answers another invitation, one that was answered already, or one of a page that was loaded anew since.')
    this.#invitations.delete(mark)
    const { connection, peer, native } = invitation
    owner.emit('connection', connection)
    const open = deferred<DataConnection>()
    connection.on('open', () => open.resolve(connection))
    connection.on('error', (error: PeerError) => open.reject(error))
    connection.on('close', () => open.reject(new PeerError('connection-closed', 'The connection was closed before it opened.', { peer })))
    this.#tell('ANSWER', peer, { sdp: { sdp, type }, peerbridge: native })
    return open.promise
  }

  #connection(peer: string): DataConnection | undefined {
    return this.#peer?.connections[peer]?.find(one => one.connectionId === connectionId) as DataConnection | undefined
  }

  #owner(): Peer {
    if (this.#peer) return this.#peer
    throw new PeerError('invalid-state', 'This manual() has no peer yet: new Peer({ signaling: … }) comes first.')
  }

  /** What the core says. All that comes after a code was made is said through the connection, or not at all. */
  #said(text: string, handlers: SignalingHandlers): void {
    const message = toOthers(text, this.#id, handlers)
    if (!message) return
    const { type, dst } = message
    const code = this.#waiting.get(dst)
    if (!code) {
      // connect() to somebody whom nobody has invited.
      const known = this.#marks.has(dst) || [...this.#invitations.values()].some(({ peer }) => peer === dst)
      if (type === 'OFFER' && !known && !this.#connection(dst)) {
        queueMicrotask(() => handlers.message(expireMessage(dst)))
      }
      return
    }
    if (type !== 'OFFER' && type !== 'ANSWER') return
    this.#waiting.delete(dst)
    this.#write(message, dst).then(code.resolve, code.reject)
  }

  async #write(message: SignalingMessage, peer: string): Promise<string> {
    const { sdp: { type, sdp }, peerbridge: native } = message.payload as Description
    if (!native) throw new PeerError('invalid-argument', 'Codes are for the native protocol: leave the option protocol out.')
    const { code, mark } = (await core()).toCode({ type, sdp, mark: this.#marks.get(peer) ?? 0 })
    const connection = this.#connection(peer)
    if (type === 'offer' && connection) this.#invitations.set(mark, { peer, connection, native })
    return code
  }

  async #read(code: string): Promise<ReturnType<CoreFactory['fromCode']>> {
    // The peer has loaded the core then, from where it was told to.
    await this.#ready.promise
    return (await core()).fromCode(code.replace(/^.*[#=/]/s, ''))
  }

  #tell(type: 'OFFER' | 'ANSWER' | 'CANDIDATE', src: string, payload: object): void {
    this.#handlers?.message(JSON.stringify({ type, src, dst: this.#id, payload: { ...payload, type: 'data', connectionId } }))
  }
}

const core = async (): Promise<CoreFactory> => (await import('../driver/late.js')).loadCore()

const name = (kind: string): string => `${kind}-${randomToken().slice(0, 10)}`
