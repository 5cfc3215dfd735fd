import { expect, it, vi } from 'vitest'
import { effectScope, shallowRef } from 'vue'
import { PeerError } from '../../../js/errors.js'
import { useCall, useDataConnection, useTransfer } from '../../../js/vue/index.js'
import { FakeConnection, FakeTransfer } from './fakes.js'

vi.mock('../../../js/peer.js', async () => ({ Peer: (await import('./fakes.js')).FakePeer }))

const asAny = (value: unknown) => value as any

it('useDataConnection() follows state, path, data and errors of a connection', () => {
  const connection = new FakeConnection('bob')
  const { state, path, data, error, onData, onTransfer, onChannel, onUndelivered, onClose } = useDataConnection(asAny(connection))
  const heard: unknown[] = []
  onData(value => heard.push(value))
  onTransfer(transfer => heard.push(transfer))
  onChannel((channel, of) => heard.push(channel, of === asAny(connection)))
  onUndelivered(value => heard.push(`undelivered ${String(value)}`))
  onClose(() => heard.push('closed'))
  expect(state.value).toBe('connecting')
  connection.opens()
  expect(state.value).toBe('open')
  connection.path = { relayed: false }
  connection.emit('path', connection.path)
  expect(path.value).toEqual({ relayed: false })
  connection.emit('data', 'hello')
  connection.emit('transfer', 'a file')
  connection.emit('channel', 'a channel')
  const e = new PeerError('message-too-big', 'too big')
  connection.emit('error', e)
  expect(data.value).toBe('hello')
  expect(error.value).toBe(e)
  connection.emit('undelivered', 7, { priority: 'high' })
  connection.ends()
  expect(state.value).toBe('closed')
  expect(heard).toEqual(['hello', 'a file', 'a channel', true, 'undelivered 7', 'closed'])
})

it('useDataConnection() goes along when the connection is replaced, and closes nothing', () => {
  const [first, second] = [new FakeConnection('bob'), new FakeConnection('bob')]
  const current = shallowRef<FakeConnection | undefined>(first)
  const { state, data } = useDataConnection(() => asAny(current.value))
  first.opens()
  first.emit('data', 1)
  current.value = second
  expect([state.value, data.value]).toEqual(['connecting', undefined])
  first.emit('data', 2)
  expect(data.value).toBeUndefined()
  current.value = undefined
  expect(state.value).toBe('idle')
  expect(first.closed + second.closed).toBe(0)
  expect(first.eventNames()).toEqual([])
})

it('observers let go with their scope', () => {
  const connection = new FakeConnection('bob')
  const transfer = new FakeTransfer()
  const scope = effectScope()
  scope.run(() => {
    useDataConnection(asAny(connection))
    useCall(asAny(connection))
    useTransfer(asAny(transfer))
  })
  expect(connection.eventNames().length).toBeGreaterThan(0)
  scope.stop()
  expect(connection.eventNames()).toEqual([])
  expect(transfer.eventNames()).toEqual([])
})

it('useCall() shows both streams and when it is over', () => {
  const call = new FakeConnection('bob', { stream: 'mine' })
  const { state, localStream, remoteStream, error } = useCall(asAny(call))
  expect([state.value, localStream.value, remoteStream.value]).toEqual(['connecting', 'mine', undefined])
  call.opens()
  const stream = { tracks: 1 }
  call.emit('stream', stream)
  expect([state.value, remoteStream.value]).toEqual(['open', stream])
  const e = new PeerError('connection-lost', 'lost')
  call.emit('error', e)
  call.ends()
  expect([state.value, remoteStream.value, error.value]).toEqual(['closed', undefined, e])
})

it('useTransfer() follows a file', () => {
  const transfer = new FakeTransfer()
  const picture = useTransfer(asAny(transfer))
  expect(picture).toEqual({ state: 'offered', progress: 0, bytes: 0, rate: 0, eta: undefined })
  transfer.moves({ state: 'active' })
  transfer.moves({ progress: 0.5, bytes: 50, rate: 10, eta: 5 })
  expect(picture).toEqual({ state: 'active', progress: 0.5, bytes: 50, rate: 10, eta: 5 })
  transfer.moves({ state: 'done', progress: 1, eta: 0 })
  expect(picture.state).toBe('done')
})
