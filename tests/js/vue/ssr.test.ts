// @vitest-environment node
import { expect, it, vi } from 'vitest'
import { createSSRApp, defineComponent, h } from 'vue'
import { renderToString } from 'vue/server-renderer'
import { PeerVideo, useCall, useDataConnection, usePeer, useRoom, useTransfer } from '../../../js/vue/index.js'
import type { UsePeerReturn } from '../../../js/vue/index.js'
import { FakePeer } from './fakes.js'

vi.mock('../../../js/peer.js', async () => ({ Peer: (await import('./fakes.js')).FakePeer }))

async function render<T>(use: () => T): Promise<{ result: T, html: string }> {
  let result!: T
  const html = await renderToString(createSSRApp(defineComponent({
    setup() {
      result = use()
      return () => h('p', JSON.stringify(result))
    },
  })))
  return { result, html }
}

it('runs without a browser', () => {
  expect(typeof window).toBe('undefined')
})

it('usePeer() has the same shape on the server, and does nothing', async () => {
  const { result } = await render(() => usePeer('ada'))
  expect(FakePeer.made).toHaveLength(0)
  expect(Object.keys(result)).toEqual([
    'peer', 'id', 'state', 'error', 'isSupported', 'connections', 'connect', 'call', 'join', 'disconnect', 'reconnect', 'destroy',
    'onConnection', 'onData', 'onCall', 'onError',
  ])
  expect(result.peer.value).toBeUndefined()
  expect(result.id.value).toBeUndefined()
  expect(result.state.value).toBe('idle')
  expect(result.error.value).toBeUndefined()
  expect(result.isSupported.value).toBe(false)
  expect(result.connections).toEqual([])
})

it('verbs are quiet on the server, and connect() and call() say where they belong', async () => {
  const { result } = await render(() => {
    const p: UsePeerReturn = usePeer('ada', { immediate: false })
    p.disconnect()
    p.reconnect()
    p.onData(() => {}).off()
    return p
  })
  await expect(result.connect('bob')).rejects.toMatchObject({ type: 'browser-incompatible', message: expect.stringContaining('server') })
  await expect(result.call('bob', {} as MediaStream)).rejects.toMatchObject({ type: 'browser-incompatible' })
  await expect(result.join('lobby')).rejects.toMatchObject({ type: 'browser-incompatible' })
  result.destroy()
  expect(FakePeer.made).toHaveLength(0)
})

it('the other composables are idle on the server', async () => {
  expect((await render(() => useDataConnection(undefined))).result.state.value).toBe('idle')
  expect((await render(() => useCall(undefined))).result.state.value).toBe('idle')
  expect((await render(() => useTransfer(undefined))).result.state).toBe('idle')
})

it('useRoom() joins nothing on the server, and its verbs are quiet', async () => {
  const { result } = await render(() => useRoom('lobby', { metadata: { name: 'Ada' } }))
  expect(FakePeer.made).toHaveLength(0)
  expect([result.room.value, result.peer.value, result.state.value, result.error.value]).toEqual([undefined, undefined, 'idle', undefined])
  expect(result.members).toEqual([])
  result.update('new')
  result.leave()
  await expect(result.join()).rejects.toMatchObject({ type: 'browser-incompatible' })
})

it('<PeerVideo> renders a muted inline video', async () => {
  const html = await renderToString(createSSRApp({ render: () => h(PeerVideo, { muted: true, class: 'me' }) }))
  expect(html).toContain('<video')
  expect(html).toContain('playsinline')
  expect(html).toContain('muted')
  expect(html).toContain('class="me"')
})
