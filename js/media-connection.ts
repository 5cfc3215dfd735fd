import { Connection, type ConnectionEvents, type SdpTransform } from './connection.js'
import type { CallOptions } from './peer.js'

export interface MediaConnectionEvents extends ConnectionEvents {
  /** The other side's stream; once for each, and again when a recovered connection brings it anew. */
  stream: (stream: MediaStream) => void
  track: (track: MediaStreamTrack, streams: readonly MediaStream[]) => void
  /** As in PeerJS: an RTCDataChannel of it opened. */
  willCloseOnRemote: () => void
}

export interface AnswerOptions {
  /** What the other side shall see as our description. */
  sdpTransform?: SdpTransform
}

/** A track that is shown, and its sender on each RTCPeerConnection. */
interface Shown {
  streams: MediaStream[]
  senders: Map<RTCPeerConnection, RTCRtpSender>
  /** What it is being replaced by: the last one asked for wins. */
  next?: MediaStreamTrack
}

/** A call. Renegotiates by itself when tracks come and go. */
export class MediaConnection extends Connection<MediaConnectionEvents> {
  readonly type = 'media'
  #localStream: MediaStream | undefined
  #remoteStream: MediaStream | undefined
  #remoteStreams = new Map<string, MediaStream>()
  /** The application's tracks. */
  #tracks = new Map<MediaStreamTrack, Shown>()
  /** All that live: while the path is recovered there may be two. */
  #pcs = new Set<RTCPeerConnection>()
  #answered = false
  /** answer() was called. */
  #taken = false

  /** Is it answered? On the side that answers as soon as it did. */
  override get open(): boolean {
    return super.open || this.#taken && !this.ended
  }

  /** What we show; the stream of `call()` or `answer()`. Undefined, whatever the type (which is PeerJS's) says, without. */
  get localStream(): MediaStream {
    return this.#localStream!
  }

  /** What the other side shows: its newest stream. Undefined before there is one. */
  get remoteStream(): MediaStream {
    return this.#remoteStream!
  }

  /**
   * Takes an incoming call; a second time, or on an outgoing one, a no-op. Without a stream nothing is shown, and the
   * other side may still be seen.
   */
  answer(stream?: MediaStream, options: AnswerOptions = {}): void {
    if (this.#answered || this.ended) return
    this.#taken = true
    Object.assign(this.options, options)
    this._begin(stream)
    this.feed({ type: 'answer', connection: this.handle })
  }

  /** Declines an incoming call. */
  reject(): void {
    this.close()
  }

  /** @internal The local side of an outgoing call, or of one that is answered. */
  _begin(stream: MediaStream | undefined): void {
    this.#answered = true
    this.#localStream = stream
    for (const track of stream?.getTracks() ?? []) this.addTrack(track, stream!)
  }

  /**
   * Shows one more track. A track that is there already, or a closed call: a no-op.
   * @returns the sender of it, once there is an RTCPeerConnection; another one after the path was recovered over a new one.
   */
  addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): RTCRtpSender | undefined {
    const known = this.#tracks.get(track)
    if (!known && this.ended) return undefined
    const shown: Shown = known ?? { streams, senders: new Map() }
    if (!known) {
      this.#tracks.set(track, shown)
      for (const pc of this.#pcs) shown.senders.set(pc, pc.addTrack(track, ...streams))
    }
    return shown.senders.get(this.peerConnection!)
  }

  /** Shows a track no longer; the track itself goes on. Unknown: a no-op. */
  removeTrack(track: MediaStreamTrack): void {
    const shown = this.#tracks.get(track)
    this.#tracks.delete(track)
    if (!this.ended) shown?.senders.forEach((sender, pc) => pc.removeTrack(sender))
  }

  /**
   * Shows another track in place of one, without renegotiation: another camera, a screen. Both of the same kind.
   * Rejects when the browser refuses (RTCRtpSender.replaceTrack), or with 'invalid-argument' when `old` is not shown.
   */
  async replaceTrack(old: MediaStreamTrack, track: MediaStreamTrack): Promise<void> {
    const shown = this.#tracks.get(old)
    if (!shown) throw this.error('invalid-argument', 'The track to be replaced is not part of this call. Use addTrack().')
    const { senders } = shown
    shown.next = track
    // Until all show it: one that was linked meanwhile got the old track.
    for (;;) {
      const behind = [...senders].filter(([, sender]) => sender.track !== track)
      if (shown.next !== track) return
      if (!behind.length) break
      await Promise.all(behind.map(([pc, sender]) => sender.replaceTrack(track).catch((error: unknown) => {
        if (senders.get(pc) === sender) throw error // else closed meanwhile, which is no failure
      })))
    }
    track.enabled = old.enabled
    for (const [known, other] of this.#tracks) {
      if (other !== shown) continue
      this.#tracks.delete(known)
      this.#tracks.set(track, shown)
      break
    }
  }

  /**
   * Silences what we send, all or one kind, without renegotiation: `mute()`, `mute(false)`, `mute('video')`,
   * `mute('audio', false)`. The tracks are disabled, so a local picture of them goes dark too.
   */
  mute(muted?: boolean): void
  mute(kind: 'audio' | 'video' | undefined, muted?: boolean): void
  mute(kind?: 'audio' | 'video' | boolean, muted = true): void {
    if (typeof kind === 'boolean') [kind, muted] = [undefined, kind]
    for (const track of this.#tracks.keys()) {
      if (!kind || track.kind === kind) track.enabled = !muted
    }
  }

  /** @internal */
  override _closed(reason: string): void {
    // An application that keeps the call keeps no RTCPeerConnection with it.
    for (const pc of this.#pcs) this.unlinked(pc)
    super._closed(reason)
  }

  // ---- hooks of the driver

  /** @internal */
  override linked(pc: RTCPeerConnection): void {
    this.#pcs.add(pc)
    for (const [track, { streams, senders }] of this.#tracks) senders.set(pc, pc.addTrack(track, ...streams))
    // PeerJS hands its option to createOffer(); this is what that does there (WebRTC, section 4.4.3).
    const { offerToReceiveAudio, offerToReceiveVideo } = (this.options as CallOptions).constraints ?? {}
    for (const [kind, wanted] of [['audio', offerToReceiveAudio], ['video', offerToReceiveVideo]] as const) {
      if (wanted && !pc.getTransceivers().some(({ receiver }) => receiver.track.kind === kind)) pc.addTransceiver(kind, { direction: 'recvonly' })
    }
  }

  /** @internal */
  override carried(pc: RTCPeerConnection): void {
    this.#remoteStreams.clear()
    super.carried(pc)
  }

  /** @internal */
  override unlinked(pc: RTCPeerConnection): void {
    this.#pcs.delete(pc)
    for (const { senders } of this.#tracks.values()) senders.delete(pc)
  }

  /** @internal */
  override track({ track, streams }: RTCTrackEvent): void {
    // A track without a stream (the other side may do that) still has to be seen.
    const found = streams.length ? streams : [this.#remoteStream ?? new MediaStream()]
    if (!streams.length) found[0]!.addTrack(track)
    this.emit('track', track, found)
    // A browser tells every track; applications want every stream.
    for (const stream of found) {
      if (this.#remoteStreams.get(stream.id)) continue
      this.#remoteStreams.set(stream.id, stream)
      this.#remoteStream = stream
      this.emit('stream', stream)
    }
  }

  /** @internal */
  override channelOpened(): void {
    this.emit('willCloseOnRemote')
  }
}
