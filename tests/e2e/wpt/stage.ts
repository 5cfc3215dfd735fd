/** What a scenario works with: peers, a wire between them, a record of what the browser was asked. Runs in the page. */
import { type DataConnection, type MediaConnection, Peer, type PeerOptions } from '../../../js/index.js'
import type { Recorder } from './record.js'
import { Wire } from './wire.js'

type AnyConnection = DataConnection | MediaConnection

/** Something that can be looked at from both ends. */
export interface Pair<C> { near: C, far: C }

const sending = (direction: string | null): boolean => direction === 'sendrecv' || direction === 'sendonly'
const receiving = (direction: string | null): boolean => direction === 'sendrecv' || direction === 'recvonly'
const ids = (streams: Iterable<MediaStream>): string[] => [...new Set([...streams].map(({ id }) => id))].sort()

/** One camera and one microphone for all scenarios of a page. */
let source: Promise<MediaStream> | undefined

export class Stage {
  readonly wire: Wire
  readonly peers: Peer[] = []
  /** Errors and warnings of the peers. */
  readonly complaints: string[] = []
  /** Rejections that the scenario provokes, by what the record says of them. */
  readonly provoked: RegExp[] = []
  /** Errors and warnings that it provokes. */
  readonly expected: RegExp[] = []
  /** How long one wait may take, ms. */
  patience = 15_000

  constructor(readonly record: Recorder, bridge?: BroadcastChannel) {
    this.wire = new Wire(() => record.changed(), bridge)
  }

  /** Resolves as soon as `predicate` holds; it is asked after everything that happens. */
  until(what: string, predicate: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!predicate()) return
        end()
        resolve()
      }
      const timer = setTimeout(() => {
        end()
        reject(new Error(`${this.patience / 1000} s passed, and still not: ${what}\n${this.story()}`))
      }, this.patience)
      const stop = this.record.listen(look)
      const end = (): void => {
        clearTimeout(timer)
        stop()
      }
      look()
    })
  }

  check(what: string, holds: boolean): void {
    if (!holds) throw new Error(`${what}\n${this.story()}`)
  }

  /** Everything that was on its way to the page when this was called has been handled. */
  async fence(): Promise<void> {
    const pc = new RTCPeerConnection()
    pc.createDataChannel('')
    await new Promise(resolve => pc.addEventListener('negotiationneeded', resolve))
    pc.close()
  }

  /** What happened until now, for people. */
  story(): string {
    const connections = this.record.connections.map((pc, number) =>
      [`  pc ${number}: ${pc.signalingState}, ${pc.connectionState}, states ${this.record.states[number]!.join(' ')}`,
        ...pc.getTransceivers().map(({ mid, direction, currentDirection, sender, receiver: { track } }) =>
          `    ${mid} ${track.kind} ${direction}, now ${currentDirection}$; sends ${!!sender.track} `
          + `${ids(this.record.sends.get(sender) ?? []).join()}; shows ${ids(this.#streamsOf(track)).join()}`)].join('\n'))
    const calls = this.record.calls.map(({ pc, name, detail, state, outcome }) =>
      `  pc ${pc}: ${name}(${detail.slice(0, 90)}) in ${state}: ${outcome}`)
    const letters = this.wire.log.map(({ from, to, type, payload }) =>
      `  ${from} → ${to}: ${type} ${payload?.connectionId} ${JSON.stringify(payload?.peerbridge)}`)
    return ['connections', ...connections, 'calls', ...calls, 'channels', ...this.record.frames.map(text => `  ${text}`), 'signaling', ...letters, 'complaints', ...this.complaints].join('\n')
  }

  // ---- peers

  async peer(id: string, options: PeerOptions = {}): Promise<Peer> {
    const peer = new Peer(id, {
      signaling: this.wire.transport(), config: { iceServers: [] }, debug: 2,
      logFunction: (_level, ...rest) => this.complaints.push(`${id}: ${rest.map(String).join(' ')}`),
      ...options,
    })
    this.peers.push(peer)
    await peer.ready
    return peer
  }

  #follow(connection: AnyConnection): void {
    const changed = (): void => this.record.changed()
    const emitter = connection as DataConnection // of what both kinds emit
    for (const event of ['open', 'close', 'state', 'iceStateChanged'] as const) emitter.on(event, changed)
    emitter.on('error', error => this.complaints.push(`${connection.provider.id}: ${error.type}: ${error.message}`))
  }

  /** What another peer begins next. */
  incoming(at: Peer, event: 'connection'): Promise<DataConnection>
  incoming(at: Peer, event: 'call'): Promise<MediaConnection>
  incoming(at: Peer, event: 'connection' | 'call'): Promise<AnyConnection> {
    return new Promise(resolve => at.once(event as 'call', (connection) => {
      this.#follow(connection)
      resolve(connection)
    }))
  }

  /** Begins a data connection; does not wait until it is open. */
  begin(from: Peer, to: Peer): { near: DataConnection, far: Promise<DataConnection> } {
    const far = this.incoming(to, 'connection')
    const near = from.connect(to.id!)!
    this.#follow(near)
    return { near, far }
  }

  /** A data connection that is open at both ends. */
  async connect(from: Peer, to: Peer): Promise<Pair<DataConnection>> {
    const { near, far } = this.begin(from, to)
    const pair = { near, far: await far }
    await this.talk(pair)
    return pair
  }

  /** A call that is answered at once. */
  async call(from: Peer, to: Peer, show: MediaStream, answer?: MediaStream): Promise<Pair<MediaConnection>> {
    const incoming = this.incoming(to, 'call')
    const near = from.call(to.id!, show)!
    this.#follow(near)
    const far = await incoming
    far.answer(answer)
    return { near, far }
  }

  // ---- media

  /** A stream with one fresh track of each kind. */
  async media(...kinds: ('audio' | 'video')[]): Promise<MediaStream> {
    const all = await (source ??= navigator.mediaDevices.getUserMedia({
      audio: true, video: { width: 160, height: 120, frameRate: 10 },
    }))
    const track = (kind: string): MediaStreamTrack => all.getTracks().find(track => track.kind === kind)!.clone()
    return new MediaStream(kinds.map(track))
  }

  /** Shows one more track in a stream of its own. */
  async add(call: MediaConnection, kind: 'audio' | 'video'): Promise<MediaStreamTrack> {
    const stream = await this.media(kind)
    const [track] = stream.getTracks()
    call.addTrack(track!, stream)
    return track!
  }

  // ---- how it ended

  /** Where the other side has put a track. */
  #streamsOf(track: MediaStreamTrack): MediaStream[] {
    return (this.record.shown.get(track) ?? []).filter(stream => stream.getTracks().includes(track))
  }

  /** Is everything that `from` shows seen by `to`, in the streams that it was put in, and nothing else? */
  #seen(from: RTCPeerConnection, to: RTCPeerConnection): boolean {
    const sent = from.getTransceivers().filter(({ currentDirection, sender }) => sending(currentDirection) && sender.track)
    const got = to.getTransceivers().filter(({ currentDirection }) => receiving(currentDirection))
    const lines = (list: RTCRtpTransceiver[]): string => list.map(({ mid, receiver }) => `${mid} ${receiver.track.kind}`).sort().join()
    const streams = got.flatMap(({ receiver }) => this.#streamsOf(receiver.track))
    return from.getSenders().filter(({ track }) => track).length === sent.length
      && lines(sent) === lines(got)
      && ids(streams).join() === ids(sent.flatMap(({ sender }) => this.record.sends.get(sender) ?? [])).join()
  }

  /** Are both ends at rest, connected, and does each see what the other shows? */
  rests({ near, far }: Pair<AnyConnection>): boolean {
    const [a, b] = [near.peerConnection, far.peerConnection]
    return !!a && !!b && near.state === 'open' && far.state === 'open'
      && [a, b].every(pc => pc.signalingState === 'stable' && pc.connectionState === 'connected')
      && this.record.idle
      && this.#seen(a, b) && this.#seen(b, a)
  }

  async settled(pair: Pair<AnyConnection>): Promise<void> {
    await this.until('both ends at rest, connected, with the same tracks', () => this.rests(pair))
    for (const { peerConnection } of [pair.near, pair.far]) await this.#flows(peerConnection!)
  }

  /**
   * Packets come for every track that the other side shows. The event 'unmute' would tell, but Chromium keeps a track
   * muted for ever whose transceiver was part of an offer that was rolled back, while its media plays.
   */
  async #flows(pc: RTCPeerConnection): Promise<void> {
    const since = performance.now()
    const expected = pc.getTransceivers().filter(({ currentDirection }) => receiving(currentDirection)).length
    for (;;) {
      const report = [...(await pc.getStats() as unknown as Map<string, { type: string, packetsReceived?: number }>).values()]
      if (report.filter(({ type, packetsReceived }) => type === 'inbound-rtp' && packetsReceived! > 0).length >= expected) return
      if (performance.now() - since > this.patience) throw new Error(`no media came for ${this.patience / 1000} s\n${this.story()}`)
      await new Promise(requestAnimationFrame) // no event tells
    }
  }

  /** A message each way. */
  async talk(pair: Pair<DataConnection>): Promise<void> {
    const word = `word ${Math.random()}`
    const heard = [pair.near, pair.far].map((at) => {
      let found = false
      const listen = (data: unknown): void => {
        if (data !== word) return
        found = true
        at.off('data', listen)
        this.record.changed()
      }
      at.on('data', listen)
      return () => found
    })
    await this.until('both ends open', () => pair.near.state === 'open' && pair.far.state === 'open')
    await Promise.all([pair.near.send(word), pair.far.send(word)])
    await this.until('each end hears what the other said', () => heard.every(found => found()))
  }

  /** Nothing was rejected, thrown or complained of but what the scenario provoked. */
  verdict(): string[] {
    const rejected = this.record.rejected.map(({ name, detail, state, outcome }) => `${name}(${detail}) in ${state}: ${outcome}`)
    return [
      ...rejected.filter(text => !this.provoked.some(pattern => pattern.test(text))),
      ...this.complaints.filter(text => !this.expected.some(pattern => pattern.test(text))),
      ...this.record.problems,
    ]
  }

  /** Ends all; afterwards every RTCPeerConnection is closed. */
  async end(): Promise<void> {
    for (const peer of this.peers) peer.destroy()
    await this.until('every RTCPeerConnection closed', () => this.record.connections.every(pc => pc.signalingState === 'closed'))
  }
}

/** One test: a sentence, and what to do. */
export interface Scenario {
  title: string
  run(stage: Stage): Promise<void>
}
