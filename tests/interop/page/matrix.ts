/** Data and media between every pair of libraries: what is sent on one side and arrives at the other. */
import type { MediaConnection } from '../../../js/index.js'
import type { AnyCall, AnyConnection, AnyPeer, Frame, LibraryName } from './frame.js'
import type { Places } from './stage.js'
import { frame, until } from './stage.js'
import { all, shorten } from './values.js'

/** One end of a pair. `options`: of the Peer. */
export interface End { library: LibraryName, options?: object }

export interface Pairing { from: End, to: End, server: Places }

interface Pair { a: AnyPeer, b: AnyPeer, from: Frame, to: Frame, idA: string, idB: string }

let runs = 0

async function pair({ from, to, server }: Pairing): Promise<Pair> {
  const run = ++runs
  const [a, b] = [await frame(from.library, 'a'), await frame(to.library, 'b')]
  const [idA, idB] = [`m${run}a`, `m${run}b`]
  const peers = [a.peer(idA, server.place, from.options), b.peer(idB, server.place, to.options)] as const
  await Promise.all(peers.map(peer => new Promise<void>((resolve, reject) => {
    peer.on('open', () => resolve())
    peer.on('error', reject)
  })))
  return { a: peers[0], b: peers[1], from: a, to: b, idA, idB }
}

/** b's end of the connection that a makes. */
async function connected({ a, b, from, idB }: Pair, options: object): Promise<[AnyConnection, AnyConnection]> {
  const there = new Promise<AnyConnection>(resolve => b.once('connection', resolve))
  const here = a.connect(idB, from.own(options))
  const back = await there
  await until(() => here.open && back.open, 'both open')
  return [here, back]
}

/** What arrives, as text; errors of the connection and what its listeners threw among it. */
function listen(conn: AnyConnection, at: Frame, alike = false): string[] {
  const got: string[] = []
  conn.on('data', data => got.push(at.describe(data, alike)))
  conn.on('error', error => got.push(`error ${error.type}`))
  return got
}

const mark = (at: number): string => `"end of ${at}"`

const interop = {
  kinds: () => all,
  shorten,

  /** What a kind looks like where it arrives unchanged: JSON and raw as they carry it. */
  async told(kinds: string[], serialization: string): Promise<Record<string, string>> {
    const { make, describe, own } = await frame('peerbridge', 'a')
    const carried = (value: unknown): unknown => {
      if (serialization === 'json') return JSON.parse(JSON.stringify(value))
      if (serialization === 'raw') return typeof value === 'string' ? value : String(value)
      // A typed array by itself, and in an object: an ArrayBuffer.
      return bare(value)
    }
    const bare = (value: unknown): unknown => {
      if (ArrayBuffer.isView(value)) return own(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength))
      if (Object.prototype.toString.call(value) !== '[object Object]') return value
      return Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, bare(inner)]))
    }
    return Object.fromEntries(kinds.map(kind => [kind, describe(own(carried(make(kind))))]))
  },

  /**
   * Sends each kind over one connection, a mark behind each, and answers what arrived before the mark, by kind; 'refused' is
   * what the sending side was told meanwhile. `alike`: kinds of bytes are not told apart. `patient`: the mark is sent when
   * something arrived.
   */
  async values(
    pairing: Pairing, serialization: string | null, kinds: string[], how: { alike?: boolean, patient?: boolean } = {},
  ): Promise<Record<string, string[]>> {
    const ends = await pair(pairing)
    const [here, there] = await connected(ends, { reliable: true, ...serialization !== null && { serialization } })
    const got = listen(there, ends.to, how.alike)
    const told = listen(here, ends.from)
    const result: Record<string, string[]> = {}
    ends.from.uncaught.length = ends.to.uncaught.length = 0
    for (const [at, kind] of kinds.entries()) {
      const begin = got.length
      told.length = 0
      try {
        await here.send(ends.from.make(kind))
      }
      catch { // said by 'error', or thrown by PeerJS: what arrives is what counts
        if (!told.length) told.push('throws')
      }
      if (how.patient) await until(() => got.length > begin, kind)
      await here.send(`end of ${at}`)
      await until(() => got.includes(mark(at)), `${kind} by ${serialization} from ${pairing.from.library} to ${pairing.to.library}; got ${got.slice(begin).join().slice(0, 300)}; told ${told.join()}`)
      result[kind] = [...got.slice(begin, got.indexOf(mark(at))), ...told.length ? ['refused'] : []]
    }
    if (ends.to.uncaught.length) result.uncaught = [...new Set(ends.to.uncaught)]
    ends.a.destroy()
    ends.b.destroy()
    return result
  },

  /** How a connection is seen from its two ends, and that both may speak, and which end closes. */
  async life(pairing: Pairing, options: object, closer: 'from' | 'to', flush = false): Promise<object> {
    const ends = await pair(pairing)
    const [here, there] = await connected(ends, options)
    const [atHere, atThere] = [listen(here, ends.from), listen(there, ends.to)]
    const seen = ({ label, metadata, reliable, serialization, type, open }: AnyConnection): object =>
      ({ label, metadata: metadata as unknown, reliable, serialization, type, open })
    const result = {
      here: seen(here), there: seen(there), sameId: here.connectionId === there.connectionId,
      channels: [here, there].map(conn => [conn.dataChannel.label, conn.dataChannel.protocol, conn.dataChannel.negotiated]),
      atHere, atThere, closed: [] as string[],
    }
    here.send(ends.from.make('event'))
    there.send(ends.to.make('event'))
    await until(() => atHere.length && atThere.length, 'data both ways')
    here.on('close', () => result.closed.push('here'))
    there.on('close', () => result.closed.push('there'))
    const [first, last] = closer === 'from' ? [here, ends.from] : [there, ends.to]
    if (flush) {
      for (let at = 0; at < 20; at++) first.send(last.make('string 17000'))
      first.close({ flush: true })
      const other = closer === 'from' ? atThere : atHere
      await until(() => other.length === 21, 'everything before the close')
    }
    else {
      first.close()
    }
    await until(() => result.closed.length === 2, `close on both sides, got ${result.closed.join()}`)
    result.closed.sort()
    result.atHere = [...new Set(atHere)]
    result.atThere = [...new Set(atThere)]
    ends.a.destroy()
    ends.b.destroy()
    return result
  },

  /** Many small ones at once, in order. */
  async many(pairing: Pairing, serialization: string, count: number): Promise<{ count: number, ordered: boolean }> {
    const ends = await pair(pairing)
    const [here, there] = await connected(ends, { reliable: true, serialization })
    const got: number[] = []
    there.on('data', data => got.push(Number(data)))
    for (let at = 0; at < count; at++) here.send(serialization === 'raw' ? String(at) : at)
    await until(() => got.length >= count, `${count} messages, got ${got.length}`)
    ends.a.destroy()
    ends.b.destroy()
    return { count: got.length, ordered: got.every((value, at) => value === at) }
  },

  /** A peer that goes without a word of its connections. */
  async destroyed(pairing: Pairing, who: 'from' | 'to'): Promise<string[]> {
    const ends = await pair(pairing)
    const conns = [await connected(ends, {}), await connected(ends, {}), await connected(ends, {}), await connected(ends, {})]
    const log: string[] = []
    // Of the other side: PeerJS leaves half of its own open.
    conns.forEach(([here, there], at) => (who === 'from' ? there : here).on('close', () => log.push(`close ${at}`)))
    const [goes] = who === 'from' ? [ends.a] : [ends.b]
    goes.destroy()
    const all = (who === 'from' ? ends.from : ends.to).name === 'peerbridge'
    await until(() => log.length >= (all ? 4 : 2), `close of every connection, got ${log.join()}`)
    ends.a.destroy()
    ends.b.destroy()
    return log.sort()
  },

  /**
   * A call from one to the other. `shows`: what each side brings. Answers what each saw and heard, and the number of OFFERs.
   */
  async call(pairing: Pairing, shows: { from: MediaStreamConstraints, to: MediaStreamConstraints | null }, closer: 'from' | 'to'): Promise<object> {
    const ends = await pair(pairing)
    const { a, b, from, to, idB } = ends
    const brought: MediaStream[] = []
    const media = async (at: Frame, what: MediaStreamConstraints): Promise<MediaStream> => {
      const stream = await at.window.navigator.mediaDevices.getUserMedia(what)
      brought.push(stream)
      return stream
    }
    const there = shows.to && await media(to, shows.to)
    const here = await media(from, shows.from)
    const none: string[] = []
    const result = {
      metadata: undefined as unknown, streams: { from: [...none], to: [...none] }, closed: [...none], errors: [...none], channels: none,
    }
    const tracks = (stream: MediaStream): string => stream.getTracks().map(track => track.kind).sort().join('+')
    const watch = (who: 'from' | 'to', call: AnyCall): void => {
      call.on('stream', stream => result.streams[who].push(tracks(stream)))
      call.on('close', () => result.closed.push(who))
      call.on('error', error => result.errors.push(`${who} ${error.type}`))
    }
    let ready = 0
    const incoming = new Promise<AnyCall>(resolve => b.once('call', resolve))
    const outgoing = a.call(idB, here, from.own({ metadata: { who: 'a', n: [1, 'é'] } }))
    watch('from', outgoing)
    outgoing.on('willCloseOnRemote', () => ready++)
    const answered = await incoming
    watch('to', answered)
    answered.on('willCloseOnRemote', () => ready++)
    result.metadata = answered.metadata
    answered.answer(there ?? undefined)
    // 1.4 has no channel beside its media: then what can be awaited is that the path works.
    const aux = from.name !== 'peerjs-1.4' && to.name !== 'peerjs-1.4'
    await until(() => (aux ? ready === 2 : [outgoing, answered].every(call => call.peerConnection.connectionState === 'connected'))
      && result.streams.to.length && (!there || result.streams.from.length), `streams ${JSON.stringify(result)} ready ${ready}`)
    const received = async (call: AnyCall): Promise<boolean> => {
      let bytes = 0
      for (const report of (await call.peerConnection.getStats()).values()) {
        const { type, bytesReceived } = report as { type: string, bytesReceived?: number }
        if (type === 'inbound-rtp') bytes += bytesReceived ?? 0
      }
      return bytes > 0
    }
    while (!await received(answered) || (there && !await received(outgoing))) await new Promise(next => setTimeout(next, 20))
    result.channels = [outgoing, answered].map(call => call.dataChannel?.label)
    for (const who of ['from', 'to'] as const) result.streams[who] = [...new Set(result.streams[who])]
    ;(closer === 'from' ? outgoing : answered).close()
    if (aux) {
      await until(() => result.closed.length === 2, `close on both sides, got ${result.closed.join()}`)
      result.closed.sort()
    }
    ends.a.destroy()
    ends.b.destroy()
    for (const stream of brought) for (const track of stream.getTracks()) track.stop()
    return result
  },

  /**
   * Ours changes what it shows in the middle of a call with PeerJS, which has no word for that: what needs none is done, and the
   * call goes on. The pairing is ours and theirs, in that order.
   */
  async tracks(pairing: Pairing, caller: 'ours' | 'theirs'): Promise<object> {
    const ends = await pair(pairing)
    const [ours, theirs] = [ends.from, ends.to]
    const camera = (at: Frame, what: MediaStreamConstraints): Promise<MediaStream> => at.window.navigator.mediaDevices.getUserMedia(what)
    const streams = [await camera(ours, { video: true }), await camera(theirs, { audio: true, video: true })] as const
    const closed: string[] = []
    const seen = new Set<string>()
    const [calls, answers] = caller === 'ours' ? [ends.a, ends.b] : [ends.b, ends.a]
    const incoming = new Promise<AnyCall>(resolve => answers.once('call', resolve))
    const outgoing = calls.call(caller === 'ours' ? ends.idB : ends.idA, streams[caller === 'ours' ? 0 : 1])
    const answered = await incoming
    const [mine, there] = (caller === 'ours' ? [outgoing, answered] : [answered, outgoing]) as unknown as [MediaConnection, AnyCall]
    mine.on('close', () => closed.push('mine'))
    there.on('close', () => closed.push('there'))
    there.on('stream', stream => seen.add(stream.id))
    answered.answer(streams[caller === 'ours' ? 1 : 0])
    await until(() => seen.size && mine.remoteStream, 'streams')
    const next = await camera(ours, { video: { width: 320, height: 180 } })
    const sound = await camera(ours, { audio: true })
    const [before, after] = [streams[0].getVideoTracks()[0]!, next.getVideoTracks()[0]!]
    await mine.replaceTrack(before, after)
    const width = async (): Promise<number> => {
      for (const report of (await there.peerConnection.getStats()).values()) {
        const { type, frameWidth } = report as { type: string, frameWidth?: number }
        if (type === 'inbound-rtp' && frameWidth) return frameWidth
      }
      return 0
    }
    while (await width() !== 320) await new Promise(again => setTimeout(again, 50))
    mine.addTrack(sound.getAudioTracks()[0]!)
    mine.removeTrack(after)
    // What would be said because of that is said before this, through the same server.
    const [here, back] = await connected(ends, { reliable: true })
    const got = listen(back, theirs)
    here.send('through')
    await until(() => got.length, 'data')
    const offers = theirs.offers.filter(id => id === mine.connectionId).length
    const result = { closed: [...closed], open: [mine.open, there.open], streams: seen.size, offers }
    ends.a.destroy()
    ends.b.destroy()
    for (const stream of [...streams, next, sound]) for (const track of stream.getTracks()) track.stop()
    return result
  },

  /** Of all OFFERs that PeerJS got: those whose connectionId it had before. */
  async offeredTwice(library: LibraryName): Promise<string[]> {
    const { offers } = await frame(library, 'b')
    return offers.filter((id, at) => offers.indexOf(id) < at)
  },
}

;(window as unknown as { interop: typeof interop }).interop = interop

export type Interop = typeof interop
