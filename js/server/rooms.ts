import type { Clock, HubClient } from './hub.js'
import type { ResolvedRoomOptions } from './options.js'

/** Why somebody is not in a room any more: said so; ended, or closed the page; dropped, and did not come back. */
export type LeaveReason = 'left' | 'gone' | 'lost'

/** What rooms need of whoever carries their messages. */
export interface RoomsOutput {
  /** One JSON text to a client that is here. May bring about that it is not, but must not throw. */
  send(client: HubClient, text: string): void
}

/** Who makes rooms reach over several instances is told of everything that happens at this one. */
export interface RoomsElsewhere {
  /** Is in, or has other metadata. May call `hold()`. */
  joined(room: string, id: string, token: string, json: string): void
  left(room: string, id: string, reason: LeaveReason): void
  /** Nobody is in the room here any more: what happens in it is not of interest. */
  ended(room: string): void
}

/** What is checked of a frame; all unchecked before. */
interface Frame {
  readonly type?: unknown
  readonly room?: unknown
  readonly payload?: unknown
}

interface Room {
  readonly name: string
  /** The name as JSON. */
  readonly quoted: string
  /** Names this room from its first member to its last; another one of the same name, here or elsewhere, has another. */
  readonly life: string
  /** How many sets of changes were told. */
  n: number
  readonly members: Map<string, Member>
  /** How many of them belong to this instance. */
  here: number
  /** Who is in at other instances is being asked: nothing is told before. */
  held: boolean
  /** What the others have not been told, by id. */
  readonly changes: Map<string, { left?: LeaveReason, joined?: boolean }>
  /** Who gets the whole list next. */
  readonly wanting: Set<Member>
  /** UTF-16 units of what is known of all members. */
  units: number
  /** Nothing is told before. */
  restsUntil: number
  cancel: (() => void) | null
}

interface Member {
  readonly room: Room
  readonly id: string
  readonly token: string
  /** Null: it is at another instance. */
  owner: Owner | null
  /** As it stands in messages. */
  json: string
  /** The others know of it. */
  told: boolean
}

/** A client with its rooms, as long as it has any. */
interface Owner {
  client: HubClient
  readonly rooms: Map<string, Member>
  /** It is gone, and if it does not come back until this fires, out of its rooms. */
  ending: (() => void) | null
}

/** Of UTF-8; what reasonable names are, and short enough for a key of anything. */
const MAX_NAME = 256
/** A message of so many units counts as one. */
const UNIT = 4096

const encoder = new TextEncoder()

/**
 * Who is in which room, and who learns of it: docs/protocol.md, "Rooms". Knows clients by their id, and nothing of links: one
 * that is away is not told anything, and on its return its JOIN says how much it knows.
 *
 * What a change costs: one message to each member that is here, and one list to who joined. Changes within a pause share the
 * messages, and the pause is as long as those that went out before it take at `rate` messages a second; so however many
 * members a room has and whatever they do, it causes no more than that.
 *
 * What a room is, is its members and its changes. Who makes rooms reach over several instances (`elsewhere`), tells each of them
 * the others' changes; all else here is about those who are connected to this one. A room is known as long as one of them is in it.
 */
export class Rooms {
  readonly #options: ResolvedRoomOptions
  readonly #clock: Clock
  readonly #output: RoomsOutput
  readonly #rooms = new Map<string, Room>()
  readonly #owners = new Map<string, Owner>()
  #units = 0
  elsewhere: RoomsElsewhere | null = null

  constructor(options: ResolvedRoomOptions, clock: Clock, output: RoomsOutput) {
    this.#options = options
    this.#clock = clock
    this.#output = output
  }

  /** Rooms that somebody is in. */
  get size(): number {
    return this.#rooms.size
  }

  /** Ids of who is in a room, those included that are away and may come back. */
  members(name: string): string[] {
    return [...this.#rooms.get(name)?.members.keys() ?? []]
  }

  /** JOIN or PART of a client. Never throws, whatever is in it. */
  receive(client: HubClient, { type, room: name, payload }: Frame): void {
    if (typeof name !== 'string') return
    if (!isName(name)) {
      return this.#refuse(client, null, 'invalid-argument', `The name of a room has to be well-formed text of 1 to ${MAX_NAME} bytes`)
    }
    if (type === 'JOIN') return this.#join(client, name, isObject(payload) ? payload : {})
    const member = this.#owners.get(client.id)?.rooms.get(name)
    if (member) this.#leave(member, 'left')
  }

  /**
   * A client is here, or here again.
   * @param renewed the page was loaded anew: it is in no room
   */
  connected(client: HubClient, renewed: boolean): void {
    const owner = this.#owners.get(client.id)
    if (!owner) return
    if (renewed || owner.client.token !== client.token) return this.#end(owner, renewed ? 'gone' : 'lost')
    owner.client = client
    owner.ending?.()
    owner.ending = null
  }

  /** A client is away, and out of its rooms unless it is back in `delay` ms. */
  away(client: HubClient, reason: LeaveReason, delay: number): void {
    const owner = this.#owners.get(client.id)
    if (!owner || owner.client !== client) return
    owner.ending?.()
    owner.ending = null
    if (delay <= 0) return this.#end(owner, reason)
    owner.ending = this.#clock.schedule(() => this.#end(owner, reason), delay)
  }

  close(): void {
    for (const room of this.#rooms.values()) room.cancel?.()
    for (const owner of this.#owners.values()) owner.ending?.()
    this.#rooms.clear()
    this.#owners.clear()
    this.#units = 0
  }

  // ---- those at other instances

  /** A client is in a room, or has other metadata, at another instance. If it was in here, it is not any more. */
  take(name: string, id: string, token: string, json: string): void {
    const room = this.#rooms.get(name)
    let member = room?.members.get(id)
    if (member && member.token !== token) {
      this.#leave(member, 'lost')
      member = undefined
    }
    if (!room || this.#rooms.get(name) !== room) return
    if (!member) room.members.set(id, member = { room, id, token, owner: null, json: '', told: false })
    else if (member.owner && !this.#yield(member)) return
    if (member.json !== json) this.#describe(member, json)
    this.#touch(room)
  }

  /** A client that is in a room at another instance is in it no more. */
  drop(name: string, id: string, reason: LeaveReason): void {
    const member = this.#rooms.get(name)?.members.get(id)
    if (member && !member.owner) this.#leave(member, reason)
  }

  /** Nothing is told until `release()`: who is in at other instances is not known yet. */
  hold(name: string): void {
    const room = this.#rooms.get(name)
    if (room) room.held = true
  }

  release(name: string): void {
    const room = this.#rooms.get(name)
    if (!room?.held) return
    room.held = false
    // Those elsewhere were here before.
    for (const member of [...room.members.values()]) {
      if (!member.owner || member.told) continue
      room.members.delete(member.id)
      room.members.set(member.id, member)
    }
    const { members, bytes } = this.#options
    for (const member of [...room.wanting].reverse()) {
      if (room.members.size <= members && room.units <= bytes) break
      if (member.told || !member.owner) continue
      // It was let in before it was known how many there are.
      const { client } = member.owner
      this.#leave(member, 'left')
      this.#refuse(client, name, 'room-full', 'The room is full')
    }
    if (this.#rooms.get(name) === room) this.#touch(room)
  }

  // ---- who is in

  #join(client: HubClient, name: string, { metadata, life, n }: Record<string, unknown>): void {
    const { rooms, members, metadata: most, bytes, total_bytes: total } = this.#options
    const json = describe(client.id, metadata, most)
    const owner = this.#owners.get(client.id)
    const known = owner?.rooms.get(name)
    let away = known ? undefined : this.#rooms.get(name)?.members.get(client.id)
    if (json === null) {
      return this.#refuse(client, name, 'message-too-big', `The metadata of a member may have ${most} bytes as JSON, and not nest too deeply`, known)
    }
    if (!known && client.grant?.rooms && !client.grant.rooms.includes(name)) {
      return this.#refuse(client, name, 'not-authorized', 'This client may not be in this room')
    }
    // Somebody else had this id, at another instance.
    if (away && away.token !== client.token) {
      this.#leave(away, 'lost')
      away = undefined
    }
    const room = known?.room ?? this.#rooms.get(name)
    const more = json.length - ((known ?? away)?.json.length ?? 0)
    if (!known && (owner?.rooms.size ?? 0) >= rooms) {
      return this.#refuse(client, name, 'room-limit', `A client may be in ${rooms} rooms: leave one`)
    }
    const isFull = !known && !away && (room?.members.size ?? 0) >= members
    if (isFull || (more > 0 && ((room?.units ?? 0) + more > bytes || this.#units + more > total))) {
      return this.#refuse(client, name, 'room-full', 'The room is full', known)
    }
    const member = known ?? this.#enter(client, room ?? this.#found(name), away)
    const at = member.room
    const isNews = member.json !== json
    if (isNews) this.#describe(member, json)
    if (isNews || !known) this.elsewhere?.joined(name, client.id, client.token, json)
    if (known && (life === undefined || (life === at.life && n === at.n))) {
      this.#output.send(client, message(at, `"life":"${at.life}","n":${at.n}`))
    }
    else {
      at.wanting.add(member)
    }
    this.#touch(at)
    // The list takes a while: that it comes is said now.
    if (at.wanting.has(member)) this.#output.send(client, message(at, ''))
  }

  #found(name: string): Room {
    const room: Room = {
      name, quoted: JSON.stringify(name), life: crypto.randomUUID(), n: 0, members: new Map(), here: 0, held: false,
      changes: new Map(), wanting: new Set(), units: 0, restsUntil: -Infinity, cancel: null,
    }
    this.#rooms.set(name, room)
    return room
  }

  /** @param away as which it is in at another instance */
  #enter(client: HubClient, room: Room, away?: Member): Member {
    let owner = this.#owners.get(client.id)
    if (!owner) this.#owners.set(client.id, owner = { client, rooms: new Map(), ending: null })
    const member: Member = away ?? { room, id: client.id, token: client.token, owner, json: '', told: false }
    member.owner = owner
    owner.rooms.set(room.name, member)
    room.members.set(client.id, member)
    room.here += 1
    return member
  }

  #describe(member: Member, json: string): void {
    this.#grow(member.room, json.length - member.json.length)
    member.json = json
    this.#change(member.room, member.id).joined = true
  }

  /** A member of this instance is not, any more. False: that was the last one, and with it the room is gone. */
  #yield(member: Member): boolean {
    const { room, owner } = member
    if (!owner) return true
    member.owner = null
    owner.rooms.delete(room.name)
    room.wanting.delete(member)
    if (owner.rooms.size === 0) {
      owner.ending?.()
      this.#owners.delete(member.id)
    }
    room.here -= 1
    if (room.here > 0) return true
    room.cancel?.()
    this.#grow(room, -room.units)
    this.#rooms.delete(room.name)
    this.elsewhere?.ended(room.name)
    return false
  }

  #end(owner: Owner, reason: LeaveReason): void {
    owner.ending?.()
    owner.ending = null
    for (const member of [...owner.rooms.values()]) this.#leave(member, reason)
  }

  #leave(member: Member, reason: LeaveReason): void {
    const { room, id } = member
    if (member.owner) this.elsewhere?.left(room.name, id, reason)
    room.members.delete(id)
    this.#grow(room, -member.json.length)
    if (!this.#yield(member)) return
    const change = this.#change(room, id)
    change.joined = false
    if (member.told) change.left = reason
    // Came and went before anybody noticed.
    else if (!change.left) room.changes.delete(id)
    this.#touch(room)
  }

  #grow(room: Room, units: number): void {
    room.units += units
    this.#units += units
  }

  #refuse(client: HubClient, name: string | null, type: string, msg: string, member?: Member): void {
    const room = name === null ? {} : { room: name }
    this.#output.send(client, JSON.stringify({ type: 'ROOM', ...room, payload: { error: type, msg, member: !!member } }))
  }

  // ---- who learns of it

  #change(room: Room, id: string): { left?: LeaveReason, joined?: boolean } {
    let change = room.changes.get(id)
    if (!change) room.changes.set(id, change = {})
    return change
  }

  /** Something has to be told: now, or when the room has rested. */
  #touch(room: Room): void {
    if (room.cancel || room.held || (room.changes.size === 0 && room.wanting.size === 0)) return
    const rest = room.restsUntil - this.#clock.now()
    if (rest <= 0) return this.#tell(room)
    room.cancel = this.#clock.schedule(() => {
      room.cancel = null
      this.#tell(room)
    }, rest)
  }

  #tell(room: Room): void {
    const { members, changes, wanting } = room
    const joined: string[] = []
    const left: string[] = []
    for (const [id, change] of changes) {
      const member = members.get(id)
      if (change.left) left.push(`{"id":"${id}","reason":"${change.left}"}`)
      if (!change.joined || !member) continue
      member.told = true
      joined.push(member.json)
    }
    if (changes.size > 0) room.n += 1
    const head = `"life":"${room.life}","n":${room.n}`
    const news = changes.size === 0 ? null : message(room, `${head},"joined":[${joined.join()}],"left":[${left.join()}]`)
    const list = wanting.size === 0 ? null : message(room, `${head},"members":[${[...members.values()].map(({ json }) => json).join()}]`)
    const to: { client: HubClient, text: string }[] = []
    let cost = 0
    for (const member of members.values()) {
      const client = member.owner?.client
      const text = wanting.has(member) ? list : news
      if (!text || !client?.session) continue
      cost += Math.max(1, text.length / UNIT)
      to.push({ client, text })
    }
    changes.clear()
    wanting.clear()
    room.restsUntil = this.#clock.now() + cost * 1000 / this.#options.rate
    // Who turns out to be gone while it is told is news for the next time.
    room.cancel = () => {}
    for (const { client, text } of to) this.#output.send(client, text)
    room.cancel = null
    if (room.here > 0) this.#touch(room)
  }
}

/** To a client that asks a server whose rooms are off. */
export function noRooms(name: unknown): string {
  return JSON.stringify({
    type: 'ROOM', room: typeof name === 'string' && isName(name) ? name : undefined,
    payload: { error: 'rooms-unavailable', msg: 'This server has no rooms', member: false },
  })
}

function message(room: Room, payload: string): string {
  return `{"type":"ROOM","room":${room.quoted},"payload":{${payload}}}`
}

/** A member as JSON; null when the metadata is too much. Ids need no escapes. */
function describe(id: string, metadata: unknown, most: number): string | null {
  if (metadata === undefined) return `{"id":"${id}"}`
  try {
    const text = JSON.stringify(metadata)
    if (text.length > most || (text.length * 3 > most && encoder.encode(text).length > most)) return null
    return `{"id":"${id}","metadata":${text}}`
  }
  catch { // parsed, but too deep to be written again
    return null
  }
}

/** Half a surrogate pair would not survive UTF-8. */
function isName(name: string): boolean {
  return name !== '' && name.length <= MAX_NAME && !/\p{Surrogate}/u.test(name) && encoder.encode(name).length <= MAX_NAME
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
