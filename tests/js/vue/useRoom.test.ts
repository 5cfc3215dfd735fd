import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { defineComponent, effectScope, h, nextTick, ref, shallowRef } from 'vue'
import { PeerError } from '../../../js/errors.js'
import { Room } from '../../../js/room.js'
import { usePeer, useRoom } from '../../../js/vue/index.js'
import type { UseRoomReturn } from '../../../js/vue/index.js'
import { FakePeer, happens } from './fakes.js'

vi.mock('../../../js/peer.js', async () => ({ Peer: (await import('./fakes.js')).FakePeer }))

const asAny = (value: unknown) => value as any

function setup(...args: Parameters<typeof useRoom>) {
  let result!: UseRoomReturn
  const wrapper = mount(defineComponent({
    setup() {
      result = useRoom(...args)
      return () => h('p', result.members.map(({ id }) => id).join(' '))
    },
  }))
  return Object.assign(result, { wrapper })
}

beforeEach(() => {
  FakePeer.made = []
  vi.stubGlobal('RTCPeerConnection', class {})
})
afterEach(() => vi.unstubAllGlobals())

it('shows who is here, and tells who comes and goes', async () => {
  const peer = new FakePeer('ada', {})
  const { wrapper, room, state, members, onJoined, onLeft, onUpdated } = setup('lobby', { peer: asAny(peer), metadata: { name: 'Ada' } })
  const heard: unknown[] = []
  onJoined((member, of) => heard.push('joined', member.id, of === room.value))
  onLeft((member, reason, of) => heard.push('left', member.id, reason, of === room.value))
  onUpdated((member, of) => heard.push('updated', member.metadata, of === room.value))
  const [made] = peer.rooms as [Room]
  expect([room.value, made.name, made._metadata, state.value]).toEqual([made, 'lobby', '{"name":"Ada"}', 'joining'])
  happens.joined(made)
  expect(state.value).toBe('joined')
  happens.comes(made, 'bob')
  happens.comes(made, 'cyd')
  happens.comes(made, 'bob', 1)
  await nextTick()
  expect(wrapper.text()).toBe('bob cyd')
  happens.goes(made, 'bob')
  await nextTick()
  expect(wrapper.text()).toBe('cyd')
  expect(members).toEqual([{ id: 'cyd', metadata: undefined }])
  expect(heard).toEqual(['joined', 'bob', true, 'joined', 'cyd', true, 'updated', 1, true, 'left', 'bob', 'gone', true])
})

it('leaves with its scope, and lets go', () => {
  const peer = new FakePeer('ada', {})
  const scope = effectScope()
  const { state } = scope.run(() => useRoom('lobby', { peer: asAny(peer) }))!
  const [made] = peer.rooms as [Room]
  happens.joined(made)
  scope.stop()
  expect([made.state, made.eventNames(), state.value, peer.asked]).toEqual(['left', [], 'idle', []])
})

it('goes along when the name changes, and when the peer does', () => {
  const peer = shallowRef<FakePeer>()
  const name = ref<string>()
  const { state, members } = setup(name, { peer: asAny(peer) })
  expect(state.value).toBe('idle')
  peer.value = new FakePeer('ada', {})
  expect(peer.value.rooms).toEqual([])
  name.value = 'one'
  const [first] = peer.value.rooms as [Room]
  happens.joined(first)
  happens.comes(first, 'bob')
  name.value = 'two'
  expect([first.state, state.value, members]).toEqual(['left', 'joining', []])
  const before = peer.value
  peer.value = new FakePeer('ada', {})
  expect([before.rooms[1]!.state, peer.value.rooms.map(({ name }) => name)]).toEqual(['left', ['two']])
  name.value = ''
  expect(state.value).toBe('idle')
})

it('joins and leaves when it is told to', async () => {
  const peer = new FakePeer('ada', {})
  const { state, join, leave } = setup('lobby', { peer: asAny(peer), immediate: false })
  expect(peer.rooms).toEqual([])
  const joined = join()
  expect(peer.rooms).toHaveLength(1)
  happens.joined(peer.rooms[0]!)
  await expect(joined).resolves.toBe(peer.rooms[0])
  void join()
  expect(peer.rooms).toHaveLength(1)
  leave()
  expect([state.value, peer.rooms[0]!.state]).toEqual(['idle', 'left'])
  void join()
  expect(peer.rooms).toHaveLength(2)
})

it('says what went wrong, until it is tried again', async () => {
  const peer = new FakePeer('ada', {})
  const { state, error, join } = setup('lobby', { peer: asAny(peer) })
  const full = new PeerError('room-full', 'full')
  peer.rooms[0]!._end(full)
  expect([state.value, error.value]).toEqual(['left', full])
  await expect(peer.rooms[0]!.ready).rejects.toBe(full)
  const joined = join()
  expect([state.value, error.value, peer.rooms.length]).toEqual(['joining', undefined, 2])
  happens.joined(peer.rooms[1]!)
  await joined
})

it('changes its metadata, also for rooms that come later', () => {
  const peer = new FakePeer('ada', {})
  const name = ref('one')
  const { update } = setup(name, { peer: asAny(peer), metadata: 1 })
  update(2)
  expect(peer.rooms[0]!._metadata).toBe('2')
  name.value = 'two'
  expect(peer.rooms[1]!._metadata).toBe('2')
})

it('brings a peer of its own where it is given none, not before it is mounted and has a name', async () => {
  const name = ref<string>()
  const { wrapper, peer, state, join } = setup(name, { peerOptions: { host: 'signal.example' } })
  expect(FakePeer.made).toHaveLength(0)
  name.value = 'lobby'
  expect(FakePeer.made).toHaveLength(1)
  expect([peer.value, FakePeer.last.options.host, FakePeer.last.rooms.length, state.value]).toEqual([FakePeer.last, 'signal.example', 1, 'joining'])
  const joined = join()
  happens.joined(FakePeer.last.rooms[0]!)
  await joined
  wrapper.unmount()
  expect(FakePeer.last.destroyed).toBe(true)

  setup('lobby')
  expect(FakePeer.made).toHaveLength(2)
})

it('observes a room that somebody else joined, and leaves that to them', () => {
  const room = new Room('lobby', {})
  const { wrapper, state } = setup(() => room)
  happens.joined(room)
  expect(state.value).toBe('joined')
  wrapper.unmount()
  expect([room.state, room.eventNames(), FakePeer.made]).toEqual(['joined', [], []])
})

it('join() of usePeer() resolves when it is known who is here, and its errors are the peer\'s too', async () => {
  let peer!: ReturnType<typeof usePeer>
  const wrapper = mount(defineComponent({
    setup() {
      peer = usePeer('ada')
      return () => null
    },
  }))
  const joined = peer.join('lobby', { metadata: 1 })
  const [room] = FakePeer.last.rooms as [Room]
  expect(room._metadata).toBe('1')
  happens.joined(room)
  await expect(joined).resolves.toBe(room)
  const refused = peer.join('full')
  const error = new PeerError('room-full', 'full')
  FakePeer.last.rooms[1]!._end(error)
  await expect(refused).rejects.toBe(error)
  expect(peer.error.value).toBe(error)
  wrapper.unmount()
})
