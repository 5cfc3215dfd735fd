import type { Clock } from '../hub.js'
import type { LeaveReason, Rooms, RoomsElsewhere } from '../rooms.js'
import type { ScriptName } from './scripts.js'
import type { Wire } from './wire.js'

/** Rooms are compared with Redis this often, ms: it forgets a room that nobody spoke of for longer. */
const refresh = 120_000

/** A room that somebody at this instance is in. */
interface Shared {
  readonly name: string
  /** The name as JSON, by which Redis and other instances know it: it has no line breaks. */
  readonly quoted: string
  /** Members that are connected here, or were and may come back. */
  readonly mine: Map<string, Mine>
  readonly theirs: Map<string, Theirs>
  /** What Redis calls this room, from its first member to its last. */
  birth: string
  /** The last change that is known here. */
  n: number
  /** Redis is asked for everything: what is published meanwhile. */
  stash: Change[] | null
  /** And has to be asked again. */
  again: boolean
}

interface Mine {
  /** Names this stay in this room among all. */
  readonly at: string
  value: string
  /** Redis was asked to write it and has not answered. What others say about this member is older, or the answer will tell. */
  pending: number
}

interface Theirs {
  readonly at: string
  /** Its instance died, or Redis forgot it: out of the room when this fires. */
  ending: (() => void) | null
}

interface Change {
  readonly birth: string
  readonly n: number
  readonly id: string
  /** Null: it is in. */
  readonly reason: LeaveReason | null
  readonly value: string
}

type Snapshot = [birth: string, n: number, before: number, entries: string[], instances: string[]]

/**
 * Makes rooms reach over all instances. Redis has of each room its members and a number that grows with each change, and
 * publishes changes to everybody; an instance whose first client joins a room, that finds a number missing, or that lost
 * sight of Redis reads the room anew, and writes its own members where Redis has them not.
 */
export class SharedRooms implements RoomsElsewhere {
  readonly #rooms: Rooms
  readonly #clock: Clock
  readonly #wire: Wire<ScriptName>
  readonly #instance: string
  /** How long members of an instance that died are waited for, ms. */
  readonly #outage: number
  readonly #shared = new Map<string, Shared>()
  #count = 0
  #cancelRefresh: (() => void) | null = null

  constructor(rooms: Rooms, clock: Clock, wire: Wire<ScriptName>, instance: string, outage: number) {
    this.#rooms = rooms
    this.#clock = clock
    this.#wire = wire
    this.#instance = instance
    this.#outage = outage
  }

  // ---- from this instance

  joined(name: string, id: string, token: string, json: string): void {
    const known = this.#shared.get(name)
    const room = known ?? this.#found(name)
    const before = room.mine.get(id)
    const at = before?.at ?? `${this.#instance}.${++this.#count}`
    const mine: Mine = before ?? { at, value: '', pending: 0 }
    mine.value = `${at}\n${JSON.stringify(token)}\n${json}`
    room.mine.set(id, mine)
    this.#forget(room, id)
    if (!this.#wire.isUp) return
    if (!known) {
      this.#rooms.hold(name)
      return this.#sync(room)
    }
    mine.pending += 1
    this.#wire.run('roomJoin', [room.quoted, id, mine.value], (reply) => {
      mine.pending -= 1
      // By what Redis knows the client is elsewhere.
      if (reply !== 1) this.#sync(room)
    }, () => { mine.pending -= 1 }, false)
  }

  left(name: string, id: string, reason: LeaveReason): void {
    const room = this.#shared.get(name)
    const mine = room?.mine.get(id)
    if (!room || !mine) return
    room.mine.delete(id)
    this.#leave(room, id, mine.at, reason)
  }

  ended(name: string): void {
    const room = this.#shared.get(name)
    if (!room) return
    this.#shared.delete(name)
    for (const { ending } of room.theirs.values()) ending?.()
    if (this.#shared.size > 0) return
    this.#cancelRefresh?.()
    this.#cancelRefresh = null
  }

  #found(name: string): Shared {
    const room: Shared = {
      name, quoted: JSON.stringify(name), mine: new Map(), theirs: new Map(), birth: '', n: 0, stash: null, again: false,
    }
    this.#shared.set(name, room)
    if (!this.#cancelRefresh) this.#refresh()
    return room
  }

  #refresh(): void {
    this.#cancelRefresh = this.#clock.schedule(() => {
      this.up()
      this.#refresh()
    }, refresh)
  }

  #leave(room: Shared, id: string, at: string, reason: LeaveReason): void {
    // However long it takes until Redis hears it, nobody else's stay is meant.
    this.#wire.run('roomLeave', [room.quoted, id, at, reason], (reply) => {
      if (!this.#has(room)) return
      if (reply !== 1) return this.#sync(room)
      if (room.theirs.get(id)?.at === at) this.#drop(room, id, reason)
    })
  }

  #has(room: Shared): boolean {
    return this.#shared.get(room.name) === room
  }

  // ---- from others

  /** What was published to all instances. */
  heard(text: string): void {
    const lines = text.split('\n')
    if (lines[0] === 'dead') return this.#died(lines[1]!)
    if (lines[0] === 'alive') return this.#revived(lines[1]!)
    const [birth, n, quoted, id, reason, ...value] = lines as [string, string, string, string, LeaveReason | '', ...string[]]
    const room = this.#shared.get(JSON.parse(quoted) as string)
    if (!room) return
    const change = { birth, n: Number(n), id, reason: reason || null, value: value.join('\n') }
    if (room.stash) room.stash.push(change)
    else this.#follow(room, change)
  }

  #follow(room: Shared, change: Change): void {
    if (change.birth === room.birth && change.n <= room.n) return
    if (change.birth !== room.birth || change.n !== room.n + 1) return this.#sync(room)
    room.n = change.n
    if (change.reason === null) this.#take(room, change.id, change.value)
    else if (room.theirs.get(change.id)?.at === change.value) this.#drop(room, change.id, change.reason)
    // This instance was taken for dead.
    else if (room.mine.get(change.id)?.at === change.value) this.#sync(room)
  }

  #take(room: Shared, id: string, value: string): void {
    const [at, token, json] = value.split('\n') as [string, string, string]
    const mine = room.mine.get(id)
    if (mine && (mine.pending > 0 || mine.at === at)) return
    // A stay of which only Redis knows: its end is on the way there.
    if (!mine && instanceOf(at) === this.#instance) return
    room.mine.delete(id)
    this.#forget(room, id)
    room.theirs.set(id, { at, ending: null })
    this.#rooms.take(room.name, id, JSON.parse(token) as string, json)
  }

  #drop(room: Shared, id: string, reason: LeaveReason): void {
    this.#forget(room, id)
    this.#rooms.drop(room.name, id, reason)
  }

  #forget(room: Shared, id: string): void {
    room.theirs.get(id)?.ending?.()
    room.theirs.delete(id)
  }

  /** Nobody speaks for this member: it may come back elsewhere. */
  #orphan(room: Shared, id: string, member: Theirs): void {
    member.ending ??= this.#clock.schedule(() => this.#leave(room, id, member.at, 'lost'), this.#outage)
  }

  #died(instance: string): void {
    if (instance === this.#instance) return
    for (const room of this.#shared.values()) {
      for (const [id, member] of room.theirs) if (instanceOf(member.at) === instance) this.#orphan(room, id, member)
    }
  }

  /** It was only silent, and its members are still there, if Redis says so. */
  #revived(instance: string): void {
    for (const room of this.#shared.values()) {
      for (const { at, ending } of room.theirs.values()) {
        if (!ending || instanceOf(at) !== instance) continue
        this.#sync(room)
        break
      }
    }
  }

  // ---- everything anew

  /** Redis is there (again), or took this instance for dead. */
  up(): void {
    for (const room of this.#shared.values()) this.#sync(room)
  }

  close(): void {
    this.#cancelRefresh?.()
    for (const { theirs } of this.#shared.values()) for (const { ending } of theirs.values()) ending?.()
    this.#shared.clear()
  }

  #sync(room: Shared): void {
    if (!this.#wire.isUp || !this.#has(room)) return
    if (room.stash) {
      room.again = true
      return
    }
    room.stash = []
    const written = [...room.mine]
    for (const [, mine] of written) mine.pending += 1
    const answered = (reply: Snapshot | null): void => {
      for (const [, mine] of written) mine.pending -= 1
      const stash = room.stash ?? []
      const { again } = room
      room.stash = null
      room.again = false
      if (reply && this.#has(room)) this.#compare(room, reply)
      if (this.#has(room)) this.#rooms.release(room.name)
      if (!reply) return
      for (const change of stash) if (this.#has(room) && !room.stash) this.#follow(room, change)
      if (again) this.#sync(room)
    }
    this.#wire.run('roomSync', [room.quoted, ...written.flatMap(([id, { value }]) => [id, value])],
      reply => answered(reply as Snapshot), () => answered(null), false)
  }

  #compare(room: Shared, [birth, n, before, entries, instances]: Snapshot): void {
    // Redis forgot some of this room. Who wrote them, if it is there, writes them again.
    const isForgotful = birth !== room.birth || before < room.n
    const alive = new Set(instances)
    const present = new Set<string>()
    room.birth = birth
    room.n = n
    for (let i = 0; i < entries.length; i += 2) {
      const [id, value] = [entries[i]!, entries[i + 1]!]
      if (id.trim() === '') continue
      present.add(id)
      if (!room.theirs.has(id) || !value.startsWith(`${room.theirs.get(id)!.at}\n`) || alive.has(instanceOf(value))) this.#take(room, id, value)
      if (!this.#has(room)) return
    }
    for (const [id, member] of [...room.theirs]) {
      if (present.has(id) ? !alive.has(instanceOf(member.at)) : isForgotful) this.#orphan(room, id, member)
      else if (!present.has(id)) this.#drop(room, id, 'lost')
    }
  }
}

function instanceOf(at: string): string {
  return at.slice(0, at.indexOf('.'))
}
