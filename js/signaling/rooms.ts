import { PeerError } from '../errors.js'
import type { PeerErrorCode } from '../errors.js'
import { guard } from '../events.js'
import type { Peer } from '../peer.js'
import type { Room, RoomEvents, RoomLeaveReason, RoomMember, RoomState } from '../room.js'
import type { Tap } from './tap.js'

/** How long the server may be silent, ms; then it is asked for a sign of life, for nothing else may make it speak. */
const defaultTimeout = 5000
/** A server that was started anew has forgotten everybody: so long is waited for who is missing, ms. */
const returnGrace = 10_000
/** Of UTF-8; the server's bound. */
const mostName = 256
/** What is believed of a server; ours has less. */
const mostMembers = 65_536
const mostUnits = 4 * 1024 * 1024

const refusals: readonly PeerErrorCode[] = ['rooms-unavailable', 'room-full', 'room-limit', 'message-too-big', 'invalid-argument', 'not-authorized']

const known = new WeakMap<Tap, Rooms>()

/** The rooms of a peer. */
export function roomsOf(peer: Peer, tap: Tap): Rooms {
  let rooms = known.get(tap)
  if (!rooms) known.set(tap, rooms = new Rooms(peer, tap))
  return rooms
}

/** What a peer has to do with the rooms of its server: docs/protocol.md, "Rooms". */
export class Rooms {
  readonly #peer: Peer
  readonly #tap: Tap
  readonly #presences = new Map<string, Presence>()

  constructor(peer: Peer, tap: Tap) {
    this.#peer = peer
    this.#tap = tap
    tap.take = text => this.#take(text)
    // Said before the way is closed, so that nobody waits for who does not come back.
    tap.closing = () => {
      if (peer.destroyed || peer.disconnected) this.#presences.forEach(presence => presence.part(!peer.destroyed))
    }
    peer.on('open', () => this.#presences.forEach(presence => presence.opened()))
    peer.on('disconnected', () => this.#presences.forEach(presence => presence.closed()))
    peer.on('close', () => this.#presences.forEach(presence => presence.end()))
  }

  join(room: Room): void {
    const { name } = room
    if (room.state === 'left') return
    if (this.#peer.destroyed) return room._end(new PeerError('disconnected', `Cannot join the room ${name}: this peer is destroyed. Make a new Peer.`))
    if (!name || new TextEncoder().encode(name).length > mostName || /\p{Surrogate}/u.test(name)) {
      return room._end(new PeerError('invalid-argument', `The name of a room has to be well-formed text of 1 to ${mostName} bytes.`))
    }
    let presence = this.#presences.get(name)
    if (!presence) {
      this.#presences.set(name, presence = new Presence(name, this.#peer, this.#tap, () => this.#presences.delete(name)))
    }
    presence.add(room)
  }

  #take(text: string): void {
    const message = text.length > mostUnits ? null : parse(text)
    if (!message) return this.#peer._log(2, 'A message about a room was not understood.')
    const presence = this.#presences.get(message.name)
    if (presence) presence.take(message.payload)
    // It was left while the server was still at work.
    else if (!message.payload.error) this.#tap.send(partOf(message.name))
  }
}

/** One room of a peer, for all who joined it here. */
class Presence {
  readonly #name: string
  readonly #tap: Tap
  readonly #over: () => void
  readonly #rooms = new Set<Room>()
  /** Everybody but this peer, with their metadata as JSON. */
  readonly #others = new Map<string, { member: RoomMember, json: string | undefined }>()
  #metadata: string | undefined
  /** Which list of the server's that is, and how many changes it has. Empty before there is one. */
  #life = ''
  #n = 0
  #state: RoomState = 'joining'
  /** The server knows this peer, as far as that is known. */
  #open = false
  /** The whole list was asked for. */
  #asked = false
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Who was here before the server was started anew, and has not come back. */
  readonly #missing = new Set<string>()
  #grace: ReturnType<typeof setTimeout> | undefined

  constructor(name: string, peer: Peer, tap: Tap, over: () => void) {
    this.#name = name
    this.#tap = tap
    this.#over = over
    this.#open = peer.open
  }

  // ---- this side

  add(room: Room): void {
    const first = this.#rooms.size === 0
    this.#rooms.add(room)
    room._changed = () => this.#changed(room)
    const news = room._metadata !== undefined && room._metadata !== this.#metadata
    if (news) this.#metadata = room._metadata
    if (first) this.#join(true)
    else if (news) this.#join(false)
    for (const { member } of this.#others.values()) membersOf(room).set(member.id, member)
    if (this.#state === 'joined') this.#joined(room)
  }

  #changed(room: Room): void {
    if (room.state !== 'left') {
      this.#metadata = room._metadata
      return this.#join(false)
    }
    room._changed = undefined
    this.#rooms.delete(room)
    if (this.#rooms.size > 0) return
    this.part()
    this.#stop()
    this.#over()
  }

  opened(): void {
    this.#open = true
    this.#join(true)
  }

  closed(): void {
    this.#open = false
    clearTimeout(this.#timer)
  }

  /** @param pausing the peer leaves the server, and with that the room; when it comes back, this goes on */
  part(pausing = false): void {
    if (!this.#open) return
    this.#tap.send(partOf(this.#name))
    this.closed()
    if (pausing) this.#become('joining')
  }

  end(error?: PeerError): void {
    for (const room of [...this.#rooms]) guard(() => room._end(error))
  }

  #stop(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#grace)
  }

  // ---- to the server

  /** @param listing with what is known of the room: where that is not everything, the server tells it */
  #join(listing: boolean): void {
    if (!this.#open) return
    if (listing) this.#asked = true
    const known = listing ? [`"life":${JSON.stringify(this.#life)},"n":${this.#n}`] : []
    const metadata = this.#metadata === undefined ? [] : [`"metadata":${this.#metadata}`]
    this.#tap.send(`{"type":"JOIN","room":${JSON.stringify(this.#name)},"payload":{${[...known, ...metadata].join()}}}`)
    this.#await()
  }

  /**
   * Until the server answers. One that has no rooms ignores what it does not know: that it is there and in order, everything
   * else that it says shows, and if it says nothing it is asked.
   */
  #await(): void {
    const { heard } = this.#tap
    const timeout = Math.min(...[...this.#rooms].map(({ _options: { timeout = defaultTimeout } }) => timeout))
    let rounds = 0
    const look = (): void => {
      rounds += 1
      const silent = this.#tap.heard === heard
      // Beyond that the core would have found out that there is no server.
      if (rounds >= 8 || (rounds >= 2 && !silent)) return this.#unanswered()
      if (silent && rounds === 1) this.#tap.send(probe(this.#tap.id))
      this.#timer = setTimeout(look, timeout / 2)
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(look, timeout / 2)
  }

  #unanswered(): void {
    const error = new PeerError('rooms-unavailable', `The signaling server does not answer for the room ${this.#name}. It has to be peerbridge's (PeerServer has no rooms), and its option rooms not false.`)
    if (!this.#life) return this.end(error)
    this.#become('joining')
    this.#emit('error', error)
  }

  // ---- from the server

  take({ error, msg, member, life, n, members, joined, left }: Record<string, unknown>): void {
    if (error !== undefined) return this.#refused(String(error), String(msg), member === true)
    clearTimeout(this.#timer)
    if (typeof life !== 'string' || typeof n !== 'number') return
    if (Array.isArray(members)) return this.#list(members, life, n)
    if (life === this.#life && n <= this.#n) {
      if (n === this.#n) this.#is()
      return
    }
    const next = life === this.#life && n === this.#n + 1
    if (next && Array.isArray(joined) && Array.isArray(left)) return this.#news(joined, left, n)
    // Something is missing: it was more than the server keeps for one that is away.
    if (!this.#asked) this.#join(true)
  }

  #refused(type: string, msg: string, member: boolean): void {
    clearTimeout(this.#timer)
    const code = refusals.find(one => one === type) ?? 'server-error'
    const error = new PeerError(code, `The signaling server refused ${member ? 'new metadata in the room' : 'to join the room'} ${this.#name}: ${msg}.`)
    if (member) this.#emit('error', error)
    else this.end(error)
  }

  /** What is known is what the server knows. */
  #is(): void {
    this.#asked = false
    this.#become('joined')
  }

  /** Everybody who is here. */
  #list(members: readonly unknown[], life: string, n: number): void {
    const first = !this.#life
    const anew = !first && life !== this.#life
    this.#life = life
    this.#n = n
    const events: (() => void)[] = []
    const here = new Set<string>()
    for (const value of members.slice(0, mostMembers)) {
      const member = this.#read(value)
      if (!member) continue
      here.add(member.id)
      this.#put(member, events)
    }
    for (const id of this.#others.keys()) {
      if (here.has(id)) continue
      if (anew) this.#missing.add(id)
      else this.#drop(id, 'lost', events)
    }
    if (this.#missing.size > 0 && anew) {
      clearTimeout(this.#grace)
      this.#grace = setTimeout(() => {
        const late: (() => void)[] = []
        for (const id of [...this.#missing]) this.#drop(id, 'lost', late)
        late.forEach(tell => tell())
      }, returnGrace)
    }
    // Who was here before is no news.
    if (!first) events.forEach(tell => tell())
    this.#is()
  }

  #news(joined: readonly unknown[], left: readonly unknown[], n: number): void {
    this.#n = n
    const events: (() => void)[] = []
    for (const value of left) {
      const { id, reason } = fields(value)
      if (typeof id === 'string') this.#drop(id, reason === 'left' || reason === 'gone' ? reason : 'lost', events)
    }
    for (const value of joined) {
      const member = this.#read(value)
      if (member && this.#others.size < mostMembers) this.#put(member, events)
    }
    events.forEach(tell => tell())
    this.#is()
  }

  #read(value: unknown): RoomMember | null {
    const { id, metadata } = fields(value)
    return typeof id === 'string' && id.length <= 256 && id !== this.#tap.id ? { id, metadata } : null
  }

  #put(member: RoomMember, events: (() => void)[]): void {
    const { id, metadata } = member
    const json = JSON.stringify(metadata) as string | undefined
    const before = this.#others.get(id)
    this.#missing.delete(id)
    if (before && before.json === json) return
    this.#others.set(id, { member, json })
    for (const room of this.#rooms) membersOf(room).set(id, member)
    events.push(() => this.#emit(before ? 'updated' : 'joined', member))
  }

  #drop(id: string, reason: RoomLeaveReason, events: (() => void)[]): void {
    const known = this.#others.get(id)
    if (!known) return
    this.#others.delete(id)
    this.#missing.delete(id)
    for (const room of this.#rooms) membersOf(room).delete(id)
    events.push(() => this.#emit('left', known.member, reason))
  }

  // ---- to the application

  #become(state: 'joining' | 'joined'): void {
    if (this.#state === state) return
    this.#state = state
    for (const room of [...this.#rooms]) {
      if (state === 'joined') this.#joined(room)
      else if (room.state === 'joined') this.#move(room, state)
    }
  }

  #joined(room: Room): void {
    room._ready.resolve(room)
    this.#move(room, 'joined')
  }

  #move(room: Room, state: RoomState): void {
    room._become(state)
    guard(() => room.emit('state', state))
  }

  #emit<K extends keyof RoomEvents>(event: K, ...args: Parameters<RoomEvents[K]>): void {
    for (const room of [...this.#rooms]) guard(() => (room.emit as (event: K, ...args: Parameters<RoomEvents[K]>) => void)(event, ...args))
  }
}

const membersOf = (room: Room): Map<string, RoomMember> => room.members as Map<string, RoomMember>

const partOf = (name: string): string => `{"type":"PART","room":${JSON.stringify(name)}}`

/** What the core sends to itself, too: docs/protocol.md, "Payload". */
const probe = (id: string): string => JSON.stringify({
  type: 'CANDIDATE',
  payload: { candidate: { candidate: '', sdpMid: '0', sdpMLineIndex: 0 }, type: 'data', connectionId: ' probe' },
  dst: id,
})

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
}

function parse(text: string): { name: string, payload: Record<string, unknown> } | null {
  try {
    const { room, payload } = fields(JSON.parse(text))
    return typeof room === 'string' ? { name: room, payload: fields(payload) } : null
  }
  catch {
    return null
  }
}
