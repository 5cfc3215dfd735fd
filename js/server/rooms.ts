import type { Clock, HubClient } from './hub.js'
import type { ResolvedRoomOptions } from './options.js'

/** Why somebody is not in a room any more: said so; ended, or closed the page; dropped, and did not come back. */
export type LeaveReason = 'left' | 'gone' | 'lost'

/** What rooms need of whoever carries their messages. */
export interface RoomsOutput {
  /** One JSON text to a client that is here. May bring about that it is not, but must not throw. */
  send(client: HubClient, text: string): void
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
  readonly owner: Owner
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
 * What a room is, is its members and its changes. Who makes rooms reach over several servers, tells each of them the others'
 * changes; all else here is about those who are connected to this one.
 */
export class Rooms {
  readonly #options: ResolvedRoomOptions
  readonly #clock: Clock
  readonly #output: RoomsOutput
  readonly #rooms = new Map<string, Room>()
  readonly #owners = new Map<string, Owner>()
  #units = 0

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

  // ---- who is in

  #join(client: HubClient, name: string, { metadata, life, n }: Record<string, unknown>): void {
    const { rooms, members, metadata: most, bytes, total_bytes: total } = this.#options
    const json = describe(client.id, metadata, most)
    const owner = this.#owners.get(client.id)
    const known = owner?.rooms.get(name)
    if (json === null) {
      return this.#refuse(client, name, 'message-too-big', `The metadata of a member may have ${most} bytes as JSON, and not nest too deeply`, known)
    }
    if (!known && client.grant?.rooms && !client.grant.rooms.includes(name)) {
      return this.#refuse(client, name, 'not-authorized', 'This client may not be in this room')
    }
    const room = known?.room ?? this.#rooms.get(name)
    const more = json.length - (known?.json.length ?? 0)
    if (!known && (owner?.rooms.size ?? 0) >= rooms) {
      return this.#refuse(client, name, 'room-limit', `A client may be in ${rooms} rooms: leave one`)
    }
    const isFull = !known && (room?.members.size ?? 0) >= members
    if (isFull || (more > 0 && ((room?.units ?? 0) + more > bytes || this.#units + more > total))) {
      return this.#refuse(client, name, 'room-full', 'The room is full', known)
    }
    const member = known ?? this.#enter(client, room ?? this.#found(name))
    const at = member.room
    if (member.json !== json) {
      this.#grow(at, more)
      member.json = json
      this.#change(at, client.id).joined = true
    }
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
      name, quoted: JSON.stringify(name), life: crypto.randomUUID(), n: 0, members: new Map(), changes: new Map(), wanting: new Set(),
      units: 0, restsUntil: -Infinity, cancel: null,
    }
    this.#rooms.set(name, room)
    return room
  }

  #enter(client: HubClient, room: Room): Member {
    let owner = this.#owners.get(client.id)
    if (!owner) this.#owners.set(client.id, owner = { client, rooms: new Map(), ending: null })
    const member: Member = { room, owner, json: '', told: false }
    owner.rooms.set(room.name, member)
    room.members.set(client.id, member)
    return member
  }

  #end(owner: Owner, reason: LeaveReason): void {
    owner.ending?.()
    owner.ending = null
    for (const member of [...owner.rooms.values()]) this.#leave(member, reason)
  }

  #leave(member: Member, reason: LeaveReason): void {
    const { room, owner } = member
    const { id } = owner.client
    owner.rooms.delete(room.name)
    room.members.delete(id)
    room.wanting.delete(member)
    this.#grow(room, -member.json.length)
    if (owner.rooms.size === 0) {
      owner.ending?.()
      this.#owners.delete(id)
    }
    if (room.members.size === 0) {
      room.cancel?.()
      this.#rooms.delete(room.name)
      return
    }
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
    if (room.cancel || (room.changes.size === 0 && room.wanting.size === 0)) return
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
      const { client } = member.owner
      const text = wanting.has(member) ? list : news
      if (!text || !client.session) continue
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
    if (members.size > 0) this.#touch(room)
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
