import { Emitter } from '../../../js/events.js'
import { type JoinOptions, Room } from '../../../js/room.js'

/** Stands in for js/peer.ts: remembers what was asked, and lets a test say what happens. */
export class FakePeer extends Emitter<any> {
  static made: FakePeer[] = []
  static get last(): FakePeer { return FakePeer.made.at(-1)! }

  id: string | undefined
  state = 'connecting'
  destroyed = false
  dialled: FakeConnection[] = []
  calls: FakeConnection[] = []
  asked: string[] = []
  rooms: Room[] = []
  refuse = false

  constructor(readonly wanted: string | undefined, readonly options: Record<string, unknown>) {
    super()
    FakePeer.made.push(this)
  }

  connect(peer: string, options?: object) {
    if (this.refuse) return undefined
    const connection = new FakeConnection(peer, options)
    this.dialled.push(connection)
    return connection
  }

  call(peer: string, stream: unknown, options?: object) {
    if (this.refuse) return undefined
    const call = new FakeConnection(peer, { ...options, stream })
    this.calls.push(call)
    return call
  }

  join(name: string, options: JoinOptions = {}) {
    const room = new Room(name, options)
    this.rooms.push(room)
    return room
  }

  disconnect() { this.asked.push('disconnect') }
  reconnect() { this.asked.push('reconnect') }
  destroy() {
    this.asked.push('destroy')
    this.destroyed = true
    this.becomes('closed')
    this.emit('close')
  }

  // ---- what happens to it

  becomes(state: string) {
    this.state = state
    this.emit('state', state, '')
  }

  opens(id = this.wanted ?? 'given') {
    this.id = id
    this.becomes('open')
    this.emit('open', id)
  }
}

export class FakeConnection extends Emitter<any> {
  state = 'connecting'
  open = false
  label: string
  path: unknown = null
  closed = 0
  answered: unknown[] = []
  localStream: unknown
  remoteStream: unknown

  constructor(readonly peer: string, readonly options: any = {}) {
    super()
    this.label = options.label ?? 'dc'
    this.localStream = options.stream
  }

  close() { this.closed++ }
  answer(stream?: unknown) { this.answered.push(stream) }

  becomes(state: string) {
    this.state = state
    this.emit('state', state, '')
  }

  opens() {
    this.open = true
    this.becomes('open')
    this.emit('open')
  }

  ends() {
    this.open = false
    this.becomes('closed')
    this.emit('close')
  }
}

export class FakeTransfer extends Emitter<any> {
  state = 'offered'
  progress = 0
  bytes = 0
  rate = 0
  eta: number | undefined

  moves(change: Partial<FakeTransfer>) {
    Object.assign(this, change)
    this.emit('state' in change ? 'state' : 'progress')
  }
}

/** What happens in a room, as js/signaling/rooms.ts tells it. */
export const happens = {
  joined(room: Room) {
    room._ready.resolve(room)
    room._become('joined')
    room.emit('state', 'joined')
  },
  comes(room: Room, id: string, metadata?: unknown) {
    const known = room.members.has(id);
    (room.members as Map<string, unknown>).set(id, { id, metadata })
    room.emit(known ? 'updated' : 'joined', { id, metadata })
  },
  goes(room: Room, id: string) {
    (room.members as Map<string, unknown>).delete(id)
    room.emit('left', { id, metadata: undefined }, 'gone')
  },
}
