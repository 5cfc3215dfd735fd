// Two peers in one process with the real core: a signaling hub, and RTCPeerConnections that find each other by a
// number in their SDP. Everything that the network would deliver later is delivered in a later task.
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from '../../js/signaling/transport.js'

const later = (what: () => void): void => void setTimeout(what)

export class Hub {
  readonly clients = new Map<string, SignalingHandlers>()
  up = true
  #underWay = 0

  /** Until everything that was sent has arrived, and what was sent because of that. */
  async quiet(): Promise<void> {
    while (this.#underWay) await new Promise<void>(later)
  }

  transport(): SignalingTransport {
    let counter = 0
    return {
      name: 'hub',
      requestId: () => this.up ? Promise.resolve(`peer${++counter}`) : Promise.reject(new Error('down')),
      connect: (id, _token, handlers): SignalingChannel => {
        later(() => {
          if (!this.up) return handlers.closed('refused')
          this.clients.set(id, handlers)
          handlers.opened()
          handlers.message('{"type":"OPEN"}')
        })
        return {
          send: (text) => {
            const message = JSON.parse(text) as { type: string, dst?: string }
            if (!message.dst) return
            const to = this.clients.get(message.dst)
            const expire = { type: 'EXPIRE', src: message.dst, dst: id }
            this.#underWay++
            later(() => {
              this.#underWay--
              if (to) to.message(JSON.stringify({ ...message, src: id }))
              else handlers.message(JSON.stringify(expire))
            })
          },
          close: () => void this.clients.delete(id),
        }
      },
    }
  }

  /** The server dies. */
  kill(): void {
    this.up = false
    for (const handlers of this.clients.values()) handlers.closed('killed')
    this.clients.clear()
  }
}

export class LoopChannel {
  binaryType = ''
  readyState: RTCDataChannelState = 'connecting'
  bufferedAmount = 0
  bufferedAmountLowThreshold = 0
  readonly protocol = ''
  other: LoopChannel | null = null
  onopen: (() => void) | null = null
  onmessage: ((event: { data: ArrayBuffer | string }) => void) | null = null
  onclose: (() => void) | null = null
  onbufferedamountlow: (() => void) | null = null
  constructor(readonly label: string) {}

  #early: (ArrayBuffer | string)[] = []

  open(): void {
    this.readyState = 'open'
    this.onopen?.()
    for (const data of this.#early.splice(0)) this.onmessage?.({ data })
  }

  receive(data: ArrayBuffer | string): void {
    if (this.readyState === 'open') this.onmessage?.({ data })
    else if (this.readyState === 'connecting') this.#early.push(data)
  }

  send(frame: Uint8Array | string): void {
    if (this.readyState !== 'open') throw new Error('InvalidStateError')
    const data = typeof frame === 'string' ? frame : new Uint8Array(frame).buffer
    const bytes = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength
    this.bufferedAmount += bytes
    later(() => {
      const before = this.bufferedAmount
      this.bufferedAmount -= bytes
      this.other?.receive(data)
      const low = this.bufferedAmountLowThreshold
      if (before > low && this.bufferedAmount <= low) this.onbufferedamountlow?.()
    })
  }

  close(): void {
    if (this.readyState === 'closed') return
    this.readyState = 'closed'
    const { other } = this
    later(() => {
      this.onclose?.()
      other?.close()
    })
  }
}

export class LoopPeerConnection {
  static all: LoopPeerConnection[] = []
  readonly number = LoopPeerConnection.all.push(this) - 1
  localDescription: RTCSessionDescriptionInit | null = null
  remoteDescription: RTCSessionDescriptionInit | null = null
  signalingState: RTCSignalingState = 'stable'
  connectionState: RTCPeerConnectionState = 'new'
  iceConnectionState: RTCIceConnectionState = 'new'
  iceGatheringState: RTCIceGatheringState = 'new'
  readonly sctp = { maxMessageSize: 262_144 }
  readonly channels: LoopChannel[] = []
  readonly senders: { track: MediaStreamTrack, streams: MediaStream[] }[] = []
  #version = 0
  #shown = new Set<unknown>()
  onicecandidate: ((event: object) => void) | null = null
  onicegatheringstatechange: (() => void) | null = null
  onnegotiationneeded: (() => void) | null = null
  onconnectionstatechange: (() => void) | null = null
  oniceconnectionstatechange: (() => void) | null = null
  ontrack: ((event: object) => void) | null = null
  ondatachannel: ((event: object) => void) | null = null

  createDataChannel(label: string): LoopChannel {
    const channel = new LoopChannel(label)
    this.channels.push(channel)
    return channel
  }

  addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): object {
    const sender = { track, streams }
    this.senders.push(sender)
    later(() => this.onnegotiationneeded?.())
    return sender
  }

  async setLocalDescription(): Promise<void> {
    await Promise.resolve()
    const type = this.signalingState === 'have-remote-offer' ? 'answer' : 'offer'
    const sdp = `v=0\r\no=- ${this.number} ${++this.#version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n`
      + 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n'
    this.localDescription = { type, sdp }
    this.signalingState = type === 'offer' ? 'have-local-offer' : 'stable'
    later(() => {
      this.onicecandidate?.({ candidate: { candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'abcd' } })
      this.iceGatheringState = 'complete'
      this.onicegatheringstatechange?.()
      this.onicecandidate?.({ candidate: null })
    })
    this.#connect()
  }

  async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    await Promise.resolve()
    this.remoteDescription = description
    this.signalingState = description.type === 'offer' ? 'have-remote-offer' : 'stable'
    this.#connect()
  }

  async addIceCandidate(): Promise<void> {}
  restartIce(): void { later(() => this.onnegotiationneeded?.()) }
  getSenders(): object[] { return this.senders }
  getReceivers(): object[] { return [] }
  getStats(): Promise<Map<string, object>> { return Promise.resolve(new Map()) }

  close(): void {
    this.signalingState = 'closed'
    for (const channel of this.channels) channel.close()
  }

  #other(): LoopPeerConnection | undefined {
    return LoopPeerConnection.all[Number(/o=- (\d+)/.exec(this.remoteDescription?.sdp ?? '')?.[1] ?? -1)]
  }

  #connect(): void {
    const other = this.#other()
    if (this.signalingState !== 'stable' || !this.localDescription || other?.signalingState !== 'stable') return
    for (const pc of [this, other]) {
      const from = pc === this ? other : this
      later(() => {
        for (const { track, streams } of from.senders) {
          if (pc.#shown.has(track)) continue
          pc.#shown.add(track)
          pc.ontrack?.({ track, streams })
        }
        if (pc.connectionState === 'connected') return
        pc.connectionState = 'connected'
        pc.onconnectionstatechange?.()
        for (const channel of from.channels.filter(channel => !channel.other)) {
          const theirs = new LoopChannel(channel.label)
          theirs.other = channel
          channel.other = theirs
          pc.channels.push(theirs)
          pc.ondatachannel?.({ channel: theirs })
          theirs.open()
          later(() => channel.open())
        }
      })
    }
  }
}
