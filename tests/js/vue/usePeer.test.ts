import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApp, defineComponent, effectScope, h, nextTick, ref, shallowRef } from 'vue'
import { PeerError } from '../../../js/errors.js'
import { providePeerDefaults, usePeer } from '../../../js/vue/index.js'
import type { UsePeerOptions, UsePeerReturn } from '../../../js/vue/index.js'
import { FakeConnection, FakePeer } from './fakes.js'

vi.mock('../../../js/peer.js', async () => ({ Peer: (await import('./fakes.js')).FakePeer }))

/** In a component, where mounting and scopes are real. */
function setup(...args: Parameters<typeof usePeer>) {
  let result!: UsePeerReturn
  const wrapper = mount(defineComponent({
    setup() {
      result = usePeer(...args)
      return () => h('p', result.connections.map(c => `${c.peer} ${c.label} ${c.state}`).join(', '))
    },
  }))
  return Object.assign(result, { wrapper })
}

const asAny = (value: unknown) => value as any

beforeEach(() => {
  FakePeer.made = []
  vi.stubGlobal('RTCPeerConnection', class {})
})
afterEach(() => vi.unstubAllGlobals())

describe('starting', () => {
  it('starts after mount, under the id that was asked for', async () => {
    const { peer, id, state, isSupported } = setup('ada')
    expect(FakePeer.made).toHaveLength(1)
    expect(FakePeer.last.wanted).toBe('ada')
    expect(peer.value).toBe(FakePeer.last)
    expect(state.value).toBe('connecting')
    expect(id.value).toBeUndefined()
    FakePeer.last.opens()
    expect(id.value).toBe('ada')
    expect(state.value).toBe('open')
    expect(isSupported.value).toBe(true)
  })

  it('makes nothing before mount', () => {
    let before: unknown
    mount(defineComponent({
      setup() {
        const { peer, state, isSupported } = usePeer('ada')
        before = [FakePeer.made.length, peer.value, state.value, isSupported.value]
        return () => null
      },
    }))
    expect(before).toEqual([0, undefined, 'idle', false])
  })

  it('leaves the id to the server when none is given', () => {
    const { id } = setup()
    expect(FakePeer.last.wanted).toBeUndefined()
    FakePeer.last.opens('given')
    expect(id.value).toBe('given')
  })

  it('starts at once in a bare scope, and warns about nothing', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const scope = effectScope()
    scope.run(() => usePeer('ada'))
    expect(FakePeer.made).toHaveLength(1)
    scope.stop()
    expect(FakePeer.last.destroyed).toBe(true)
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })

  it('takes the defaults of the app, and lets its own options win', () => {
    const app = createApp(defineComponent({
      setup() {
        usePeer('ada', { port: 1 } as UsePeerOptions)
        return () => null
      },
    }))
    providePeerDefaults(app, { host: 'example.org', port: 2 })
    app.mount(document.createElement('div'))
    expect(FakePeer.last.options).toEqual({ host: 'example.org', port: 1 })
    app.unmount()
  })

  it('says when the browser has no WebRTC', () => {
    vi.stubGlobal('RTCPeerConnection', undefined)
    const { isSupported, error } = setup('ada')
    expect(isSupported.value).toBe(false)
    FakePeer.last.emit('error', new PeerError('browser-incompatible', 'no WebRTC'))
    expect(error.value?.type).toBe('browser-incompatible')
  })
})

describe('immediate: false', () => {
  it('waits', () => {
    const { state } = setup('ada', { immediate: false })
    expect(FakePeer.made).toHaveLength(0)
    expect(state.value).toBe('idle')
  })

  it('starts with reconnect()', () => {
    setup('ada', { immediate: false }).reconnect()
    expect(FakePeer.made).toHaveLength(1)
  })

  it('starts with the first connect()', () => {
    const { connect, connections } = setup('ada', { immediate: false })
    void connect('bob')
    expect(FakePeer.last.dialled.map(c => c.peer)).toEqual(['bob'])
    expect(connections.map(c => c.peer)).toEqual(['bob'])
  })

  it('is not an option of Peer', () => {
    setup('ada', { immediate: true })
    expect(FakePeer.last.options).toEqual({})
  })
})

describe('ending', () => {
  it('ends the peer with its component', () => {
    const { wrapper, state, peer } = setup('ada')
    wrapper.unmount()
    expect(FakePeer.last.destroyed).toBe(true)
    expect(peer.value).toBeUndefined()
    expect(state.value).toBe('closed')
  })

  it('says nothing more after the component is gone', () => {
    const { wrapper, onError, onData, error, connections } = setup('ada')
    const said = vi.fn()
    onError(said)
    onData(said)
    const connection = new FakeConnection('bob')
    FakePeer.last.emit('connection', connection)
    wrapper.unmount()
    FakePeer.last.emit('error', new PeerError('network', 'gone'))
    FakePeer.last.emit('connection', new FakeConnection('eve'))
    connection.emit('data', 1)
    connection.emit('error', new PeerError('connection-lost', 'gone'))
    expect(said).not.toHaveBeenCalled()
    expect(error.value).toBeUndefined()
    expect(connections).toEqual([])
  })

  it('destroy() twice is harmless, and reconnect() makes a new peer', () => {
    const { destroy, reconnect, peer } = setup('ada')
    destroy()
    destroy()
    expect(FakePeer.last.asked).toEqual(['destroy'])
    reconnect()
    expect(FakePeer.made).toHaveLength(2)
    expect(peer.value).toBe(FakePeer.last)
  })

  it('reconnect() after a fatal error makes a new peer', () => {
    const { reconnect, state, error } = setup('ada')
    FakePeer.last.emit('error', new PeerError('unavailable-id', 'taken'))
    FakePeer.last.destroy()
    expect(state.value).toBe('closed')
    expect(error.value?.type).toBe('unavailable-id')
    reconnect()
    expect(FakePeer.made).toHaveLength(2)
    expect(error.value).toBeUndefined()
  })

  it('disconnect() and reconnect() reach the peer; reconnect() while open does nothing', () => {
    const { disconnect, reconnect, id } = setup('ada')
    FakePeer.last.opens()
    reconnect()
    expect(FakePeer.last.asked).toEqual([])
    disconnect()
    FakePeer.last.becomes('idle')
    reconnect()
    expect(FakePeer.last.asked).toEqual(['disconnect', 'reconnect'])
    expect(id.value).toBe('ada')
  })
})

describe('a changed id', () => {
  it('is a new peer in place of the old', async () => {
    const name = ref('ada')
    const { id, peer } = setup(name)
    const old = FakePeer.last
    old.opens()
    name.value = 'grace'
    await nextTick()
    expect(old.destroyed).toBe(true)
    expect(FakePeer.last.wanted).toBe('grace')
    expect(peer.value).toBe(FakePeer.last)
    expect(id.value).toBeUndefined()
    old.emit('open', 'ada')
    expect(id.value).toBeUndefined()
  })

  it('works with a getter', async () => {
    const name = shallowRef('ada')
    setup(() => name.value)
    name.value = 'grace'
    await nextTick()
    expect(FakePeer.made.map(p => p.wanted)).toEqual(['ada', 'grace'])
  })

  it('starts nothing that was not started, or was ended', async () => {
    const name = ref('ada')
    const { reconnect, destroy } = setup(name, { immediate: false })
    name.value = 'grace'
    await nextTick()
    expect(FakePeer.made).toHaveLength(0)
    name.value = 'joan'
    reconnect()
    await nextTick()
    expect(FakePeer.made.map(p => p.wanted)).toEqual(['joan'])
    destroy()
    name.value = 'mary'
    await nextTick()
    expect(FakePeer.made).toHaveLength(1)
  })
})

describe('connect()', () => {
  it('waits for mount, then for the connection to open', async () => {
    let promise!: ReturnType<UsePeerReturn['connect']>
    mount(defineComponent({
      setup() {
        promise = usePeer('ada').connect('bob', { label: 'chat' })
        return () => null
      },
    }))
    await nextTick()
    const [connection] = FakePeer.last.dialled
    expect(connection!.options).toEqual({ label: 'chat' })
    const settled = vi.fn()
    void promise.then(settled)
    await nextTick()
    expect(settled).not.toHaveBeenCalled()
    connection!.opens()
    expect(await promise).toBe(connection)
  })

  it('waits for mount even with immediate: false', async () => {
    mount(defineComponent({
      setup() {
        void usePeer('ada', { immediate: false }).connect('bob')
        return () => null
      },
    }))
    await nextTick()
    expect(FakePeer.last.dialled).toHaveLength(1)
  })

  it('rejects with the error of the connection when it never opens', async () => {
    const { connect, error } = setup('ada')
    const promise = connect('bob')
    const [connection] = FakePeer.last.dialled
    connection!.emit('error', new PeerError('peer-unavailable', 'bob is not here'))
    connection!.ends()
    await expect(promise).rejects.toMatchObject({ type: 'peer-unavailable' })
    expect(error.value?.type).toBe('peer-unavailable')
  })

  it('rejects when the connection is closed before it opened', async () => {
    const promise = setup('ada').connect('bob')
    FakePeer.last.dialled[0]!.ends()
    await expect(promise).rejects.toMatchObject({ type: 'connection-closed', peer: 'bob' })
  })

  it('rejects when the peer refuses', async () => {
    const { connect } = setup('ada')
    FakePeer.last.refuse = true
    await expect(connect('bob')).rejects.toMatchObject({ name: 'PeerError', type: 'disconnected' })
  })

  it('rejects what still waits when the component goes', async () => {
    const scope = effectScope()
    let promise!: Promise<unknown>
    const wrapper = mount(defineComponent({
      setup() {
        const { connect, destroy } = usePeer('ada')
        promise = connect('bob')
        destroy()
        return () => null
      },
    }))
    await expect(promise).rejects.toMatchObject({ type: 'disconnected' })
    wrapper.unmount()
    scope.stop()
  })

  it('is no unhandled rejection when nobody looks', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    void setup('ada').connect('bob')
    FakePeer.last.dialled[0]!.ends()
    await new Promise(resolve => setTimeout(resolve, 5))
    expect(unhandled).not.toHaveBeenCalled()
    process.off('unhandledRejection', unhandled)
  })
})

describe('call()', () => {
  it('resolves as soon as it rings, before anybody answers', async () => {
    const { call } = setup('ada')
    const stream = asAny({})
    const media = await call('bob', stream, { metadata: 1 })
    expect(media).toBe(FakePeer.last.calls[0])
    expect(asAny(media).options).toEqual({ metadata: 1, stream })
  })

  it('waits for mount', async () => {
    let promise!: ReturnType<UsePeerReturn['call']>
    mount(defineComponent({
      setup() {
        promise = usePeer('ada').call('bob', asAny({}))
        return () => null
      },
    }))
    expect(await promise).toBe(FakePeer.last.calls[0])
  })

  it('tells errors of calls in both directions', async () => {
    const { call, onError, onCall } = setup('ada')
    const errors = vi.fn()
    const calls = vi.fn()
    onError(errors)
    onCall(calls)
    const out = asAny(await call('bob', asAny({})))
    const first = new PeerError('negotiation-failed', 'no way')
    out.emit('error', first)
    const incoming = new FakeConnection('eve')
    FakePeer.last.emit('call', incoming)
    const second = new PeerError('connection-lost', 'lost')
    incoming.emit('error', second)
    expect(calls).toHaveBeenCalledExactlyOnceWith(incoming)
    expect(errors.mock.calls).toEqual([[first, out], [second, incoming]])
  })
})

describe('connections', () => {
  it('lists incoming and outgoing ones and follows their state, in the template too', async () => {
    const { wrapper, connect, connections } = setup('ada')
    void connect('bob', { label: 'chat' })
    const incoming = new FakeConnection('eve')
    FakePeer.last.emit('connection', incoming)
    await nextTick()
    expect(wrapper.text()).toBe('bob chat connecting, eve dc connecting')
    FakePeer.last.dialled[0]!.opens()
    incoming.opens()
    incoming.becomes('recovering')
    await nextTick()
    expect(wrapper.text()).toBe('bob chat open, eve dc recovering')
    expect(connections[1]!.connection).toBe(incoming)
    incoming.ends()
    await nextTick()
    expect(wrapper.text()).toBe('bob chat open')
  })

  it('follows the path', () => {
    const { connections } = setup('ada')
    const connection = new FakeConnection('bob')
    FakePeer.last.emit('connection', connection)
    expect(connections[0]!.path).toBeNull()
    connection.path = { relayed: true }
    connection.emit('path', connection.path)
    expect(connections[0]!.path).toEqual({ relayed: true })
  })

  it('stay while signaling is lost, and go when the peer closes', () => {
    const { connections, state, id } = setup('ada')
    FakePeer.last.opens()
    FakePeer.last.emit('connection', new FakeConnection('bob'))
    FakePeer.last.becomes('reconnecting')
    FakePeer.last.emit('disconnected', 'ada')
    expect([state.value, id.value, connections.length]).toEqual(['reconnecting', 'ada', 1])
    FakePeer.last.opens()
    expect([state.value, connections.length]).toEqual(['open', 1])
    FakePeer.last.destroy()
    expect([state.value, id.value, connections.length]).toEqual(['closed', undefined, 0])
  })
})

describe('event hooks', () => {
  it('tell of connections, data, calls and errors', () => {
    const { onConnection, onData, onError, error } = setup('ada')
    const heard: unknown[] = []
    onConnection(connection => heard.push(['connection', connection.peer]))
    onData((data, connection) => heard.push(['data', data, connection.peer]))
    onError((e, connection) => heard.push(['error', e.type, connection?.peer]))
    const connection = new FakeConnection('bob')
    FakePeer.last.emit('connection', connection)
    connection.emit('data', 'hello')
    connection.emit('error', new PeerError('message-too-big', 'too big'))
    FakePeer.last.emit('error', new PeerError('network', 'no network'))
    expect(heard).toEqual([
      ['connection', 'bob'], ['data', 'hello', 'bob'], ['error', 'message-too-big', 'bob'], ['error', 'network', undefined],
    ])
    expect(error.value?.type).toBe('network')
  })

  it('tell one cause once', () => {
    const { onError } = setup('ada')
    const errors = vi.fn()
    onError(errors)
    const connection = new FakeConnection('bob')
    FakePeer.last.emit('connection', connection)
    const e = new PeerError('peer-unavailable', 'not here')
    connection.emit('error', e)
    FakePeer.last.emit('error', e)
    expect(errors).toHaveBeenCalledTimes(1)
  })

  it('forget the error when the peer opens again', () => {
    const { error } = setup('ada')
    FakePeer.last.emit('error', new PeerError('network', 'no network'))
    FakePeer.last.opens()
    expect(error.value).toBeUndefined()
  })

  it('end with the scope that listens, and by off()', () => {
    const { onData } = setup('ada')
    const scoped = vi.fn()
    const removed = vi.fn()
    const scope = effectScope()
    scope.run(() => onData(scoped))
    const { off } = onData(removed)
    const connection = new FakeConnection('bob')
    FakePeer.last.emit('connection', connection)
    connection.emit('data', 1)
    scope.stop()
    off()
    connection.emit('data', 2)
    expect(scoped).toHaveBeenCalledTimes(1)
    expect(removed).toHaveBeenCalledTimes(1)
  })
})
