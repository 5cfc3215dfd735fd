import { mount } from '@vue/test-utils'
import { afterEach, expect, it, vi } from 'vitest'
import { nextTick } from 'vue'
import { PeerVideo } from '../../../js/vue/index.js'

vi.mock('../../../js/peer.js', async () => ({ Peer: (await import('./fakes.js')).FakePeer }))

const play = vi.spyOn(HTMLMediaElement.prototype, 'play')
afterEach(() => play.mockReset().mockResolvedValue())
play.mockResolvedValue()

const streams = () => [new MediaStream(), new MediaStream()] as const
const refused = () => Promise.reject(new DOMException('the visitor has touched nothing', 'NotAllowedError'))
const settle = async () => {
  await nextTick()
  await nextTick()
  await nextTick()
}

it('shows the stream, and the next one', async () => {
  const [first, second] = streams()
  const wrapper = mount(PeerVideo, { props: { stream: first } })
  await settle()
  expect(wrapper.element.srcObject).toBe(first)
  expect(wrapper.attributes()).toHaveProperty('playsinline')
  await wrapper.setProps({ stream: second })
  await settle()
  expect(wrapper.element.srcObject).toBe(second)
  await wrapper.setProps({ stream: null })
  await settle()
  expect(wrapper.element.srcObject).toBeNull()
  expect(play).toHaveBeenCalledTimes(2)
})

it('follows the muted prop', async () => {
  const wrapper = mount(PeerVideo, { props: { muted: true } })
  expect(wrapper.element.muted).toBe(true)
  await wrapper.setProps({ muted: false })
  expect(wrapper.element.muted).toBe(false)
})

it('plays muted where sound is refused, says so, and turns the sound on with the next click', async () => {
  play.mockImplementationOnce(refused)
  const wrapper = mount(PeerVideo, { props: { stream: streams()[0] } })
  await settle()
  expect(wrapper.emitted('blocked')).toEqual([[true]])
  expect(wrapper.element.muted).toBe(true)
  document.body.click()
  await settle()
  expect(wrapper.emitted('blocked')).toEqual([[true], [false]])
  expect(wrapper.element.muted).toBe(false)
  expect(play).toHaveBeenCalledTimes(3)
})

it('lets go when it is unmounted', async () => {
  play.mockImplementationOnce(refused)
  const blocked = vi.fn()
  const wrapper = mount(PeerVideo, { props: { stream: streams()[0], onBlocked: blocked } })
  await settle()
  const video = wrapper.element
  wrapper.unmount()
  expect(video.srcObject).toBeNull()
  document.body.click()
  expect(blocked.mock.calls).toEqual([[true]])
})
