import { defineComponent, h, onBeforeUnmount, shallowRef, watch } from 'vue'
import type { PropType } from 'vue'

/**
 * A `<video>` that shows a MediaStream: `<PeerVideo :stream="remoteStream" />`.
 *
 * A browser may refuse to play sound before the visitor has touched the page. Then the picture plays muted,
 * `blocked` is emitted with true, and the next click or key press turns the sound on (`blocked` with false).
 */
export const PeerVideo = defineComponent({
  name: 'PeerVideo',
  props: {
    /** What to show; nothing while it is missing. */
    stream: { type: Object as PropType<MediaStream | null>, default: undefined },
    /**
     * Without sound; always for one's own picture.
     *
     * @default false
     */
    muted: { type: Boolean, default: false },
  },
  emits: {
    blocked: (blocked: boolean) => typeof blocked === 'boolean',
  },
  setup(props, { emit }) {
    const video = shallowRef<HTMLVideoElement>()
    let waiting = false

    async function play(): Promise<void> {
      const element = video.value
      if (!element?.srcObject) return
      try {
        await element.play()
      }
      catch (e) {
        // AbortError: another stream took the place of this one while it was starting.
        if ((e as Error).name !== 'NotAllowedError' || props.muted || waiting || element !== video.value) return
        waiting = true
        emit('blocked', true)
        document.addEventListener('click', unblock)
        document.addEventListener('keydown', unblock)
        element.muted = true
        element.play().catch(() => {})
      }
    }

    function unblock(): void {
      if (!waiting) return
      forget()
      emit('blocked', false)
      if (video.value) video.value.muted = props.muted
      void play()
    }

    function forget(): void {
      waiting = false
      document.removeEventListener('click', unblock)
      document.removeEventListener('keydown', unblock)
    }

    watch([video, () => props.stream], ([element, stream]) => {
      if (!element || element.srcObject === (stream ?? null)) return
      element.srcObject = stream ?? null
      void play()
    }, { flush: 'post' })
    onBeforeUnmount(() => {
      forget()
      if (video.value) video.value.srcObject = null
    })

    // The property, not the attribute, which browsers only read when the element is made: Vue knows.
    return () => h('video', { ref: video, autoplay: true, playsinline: true, muted: props.muted || waiting })
  },
})
