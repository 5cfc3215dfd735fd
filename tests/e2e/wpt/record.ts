/** What a page asks of RTCPeerConnection, and how each of it ended. Runs in the page. */

export interface Call {
  pc: number
  name: string
  /** What it was called with, in short. */
  detail: string
  /** signalingState when it was called. */
  state: RTCSignalingState
  /** 'under way', 'done', or the name and message of what it was rejected with. */
  outcome: string
}

/** Credentials in the description that counts, each once. */
export function ufrags(pc: RTCPeerConnection): string[] {
  return [...new Set([...pc.localDescription?.sdp.matchAll(/^a=ice-ufrag:(\S+)/gm) ?? []].map(match => match[1]!))]
}

/** Anything that a predicate of `Stage.until` may depend on has happened. */
type Listener = () => void

export class Recorder {
  readonly calls: Call[] = []
  /** Every RTCPeerConnection that was made, by its number. */
  readonly connections: RTCPeerConnection[] = []
  /** signalingState after each change, by connection. */
  readonly states: RTCSignalingState[][] = []
  /** Rejections that nobody handled, and errors that nobody caught. */
  readonly problems: string[] = []
  /** Streams of the newest track event of each receiver. */
  readonly shown = new Map<MediaStreamTrack, readonly MediaStream[]>()
  /** Both those that it made and those that arrived. */
  readonly channels = new Map<RTCPeerConnection, RTCDataChannel[]>()
  /** What happened to data channels: events, and how each frame begins. */
  readonly frames: string[] = []
  /** Streams that a sender was given. */
  readonly sends = new Map<RTCRtpSender, readonly MediaStream[]>()
  /** setRemoteDescription(offer) fails in have-local-offer, as in browsers that do not roll back by themselves. */
  withoutImplicitRollback = false
  /** Called before an operation begins. */
  onCall: (call: Call, pc: RTCPeerConnection) => void = () => {}
  readonly #listeners = new Set<Listener>()

  constructor() {
    addEventListener('unhandledrejection', ({ reason }) => this.problems.push(`unhandled rejection: ${String(reason)}`))
    addEventListener('error', ({ message }) => this.problems.push(`uncaught: ${message}`))
    const record = this // eslint-disable-line @typescript-eslint/no-this-alias -- the class below has a `this` of its own
    const Native = RTCPeerConnection
    globalThis.RTCPeerConnection = class extends Native {
      constructor(configuration?: RTCConfiguration) {
        super(configuration)
        record.#adopt(this)
      }

      override setLocalDescription(description?: RTCLocalSessionDescriptionInit): Promise<void> {
        return record.#watch(this, 'setLocalDescription', description?.type ?? '', () => super.setLocalDescription(description))
      }

      override setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
        return record.#watch(this, 'setRemoteDescription', description.type, () =>
          record.withoutImplicitRollback && description.type === 'offer' && this.signalingState === 'have-local-offer'
            ? Promise.reject(new DOMException('Called in wrong state: have-local-offer', 'InvalidStateError'))
            : super.setRemoteDescription(description))
      }

      override addIceCandidate(candidate?: RTCIceCandidateInit | null): Promise<void> {
        return record.#watch(this, 'addIceCandidate', JSON.stringify(candidate), () => super.addIceCandidate(candidate ?? undefined))
      }

      override restartIce(): void {
        record.#note(this, 'restartIce', '')
        super.restartIce()
      }

      override createDataChannel(label: string, init?: RTCDataChannelInit): RTCDataChannel {
        record.#note(this, 'createDataChannel', label)
        const channel = super.createDataChannel(label, init)
        record.#follow(this, channel)
        return channel
      }

      override addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): RTCRtpSender {
        record.#note(this, 'addTrack', track.kind)
        const sender = super.addTrack(track, ...streams)
        record.sends.set(sender, streams)
        return sender
      }

      override removeTrack(sender: RTCRtpSender): void {
        record.#note(this, 'removeTrack', sender.track?.kind ?? '')
        super.removeTrack(sender)
      }

      override close(): void {
        if (this.signalingState !== 'closed') record.#note(this, 'close', '')
        super.close()
        setTimeout(() => record.changed()) // no event tells
      }
    }
  }

  /** Forgets all, for the next scenario. */
  reset(): void {
    for (const list of [this.calls, this.connections, this.states, this.problems, this.frames]) list.length = 0
    for (const map of [this.shown, this.channels, this.sends]) map.clear()
    this.withoutImplicitRollback = false
    this.onCall = () => {}
  }

  /** Forgets the calls that went well, where there are many. */
  forget(): void {
    this.calls.splice(0, this.calls.length, ...this.calls.filter(({ outcome }) => outcome !== 'done'))
  }

  /** Calls `listener` after everything that happens, until the answer is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  numberOf(pc: RTCPeerConnection): number {
    return this.connections.indexOf(pc)
  }

  /** Calls of one name on one RTCPeerConnection. */
  of(pc: RTCPeerConnection, name: string): Call[] {
    const number = this.numberOf(pc)
    return this.calls.filter(call => call.pc === number && call.name === name)
  }

  /** Nothing is under way, but on closed connections, where promises never settle. */
  get idle(): boolean {
    return this.calls.every(({ pc, outcome }) => outcome !== 'under way' || this.connections[pc]!.signalingState === 'closed')
  }

  get rejected(): Call[] {
    return this.calls.filter(({ outcome }) => outcome !== 'done' && outcome !== 'under way')
  }

  #adopt(pc: RTCPeerConnection): void {
    const states: RTCSignalingState[] = []
    this.connections.push(pc)
    this.states.push(states)
    pc.addEventListener('signalingstatechange', () => states.push(pc.signalingState))
    pc.addEventListener('track', ({ track, streams }) => this.shown.set(track, streams))
    pc.addEventListener('datachannel', ({ channel }) => this.#follow(pc, channel))
    const events = [
      'signalingstatechange', 'negotiationneeded', 'track', 'connectionstatechange', 'iceconnectionstatechange',
      'icegatheringstatechange', 'icecandidate', 'datachannel',
    ]
    for (const type of events) pc.addEventListener(type, () => this.changed())
  }

  #follow(pc: RTCPeerConnection, channel: RTCDataChannel): void {
    this.channels.set(pc, [...this.channels.get(pc) ?? [], channel])
    for (const type of ['open', 'close']) channel.addEventListener(type, () => this.changed())
    const note = (what: string, frame?: ArrayBuffer | ArrayBufferView): void => {
      const { buffer = frame as ArrayBuffer | undefined, byteOffset = 0, byteLength = 0 } = (frame ?? {}) as Partial<ArrayBufferView>
      const bytes = buffer && new Uint8Array(buffer, byteOffset, byteLength)
      this.frames.push(`pc ${this.numberOf(pc)}: ${what}${bytes ? ` ${bytes.slice(0, 8).join(' ')}, ${bytes.length} bytes` : ''}`)
      if (this.frames.length > 100) this.frames.shift()
    }
    note(channel.readyState)
    for (const type of ['open', 'closing', 'close', 'error']) channel.addEventListener(type, () => note(type))
    channel.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => note('came', data))
    const send = channel.send.bind(channel) as (frame: ArrayBufferView) => void
    channel.send = (frame: unknown) => {
      note('sent', frame as ArrayBufferView)
      send(frame as ArrayBufferView)
    }
  }

  #note(pc: RTCPeerConnection, name: string, detail: string, outcome = 'done'): Call {
    const call = { pc: this.numberOf(pc), name, detail, state: pc.signalingState, outcome }
    this.calls.push(call)
    this.onCall(call, pc)
    return call
  }

  async #watch(pc: RTCPeerConnection, name: string, detail: string, run: () => Promise<void>): Promise<void> {
    const call = this.#note(pc, name, detail, 'under way')
    try {
      await run()
      call.outcome = 'done'
    }
    catch (error) {
      call.outcome = String(error)
      throw error
    }
    finally {
      // After whoever awaits this was told.
      setTimeout(() => this.changed())
    }
  }
}
