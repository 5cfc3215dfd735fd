import type { MediaConnection } from 'peerbridge'
import type { UsePeerReturn } from 'peerbridge/vue'

/** `preparing`: the browser is asking for the camera. */
export type CallPhase = 'idle' | 'preparing' | 'ringing' | 'active'

/** One call at a time: made, taken, or declined. */
export function useCallSession({ call: dial, onCall }: UsePeerReturn, note: (peer: string, text: string) => void) {
  const current = shallowRef<MediaConnection>()
  const incoming = shallowRef<MediaConnection>()
  const peer = shallowRef('')
  const local = shallowRef<MediaStream>()
  const phase = shallowRef<CallPhase>('idle')
  const startedAt = shallowRef(0)
  const micOn = shallowRef(true)
  const cameraOn = shallowRef(true)
  const problem = shallowRef<unknown>()
  /** Grows with every call: what a slow camera brings for an earlier one is put away. */
  let attempt = 0

  const { remoteStream, state } = useCall(current)

  async function prepare(who: string, video: boolean): Promise<MediaStream | undefined> {
    const mine = ++attempt
    problem.value = undefined
    peer.value = who
    phase.value = 'preparing'
    let stream: MediaStream
    try {
      stream = await openDevices(video)
    }
    catch (e) {
      if (mine === attempt) {
        phase.value = 'idle'
        problem.value = e
      }
      return
    }
    if (mine !== attempt) return stopTracks(stream)
    local.value = stream
    micOn.value = stream.getAudioTracks().length > 0
    cameraOn.value = stream.getVideoTracks().length > 0
    return stream
  }

  function follow(call: MediaConnection) {
    current.value = call
    call.on('close', () => { if (current.value === call) over() })
  }

  function over(cancelled = false) {
    const who = peer.value
    if (phase.value === 'active') note(who, `Call ended after ${formatClock((Date.now() - startedAt.value) / 1000)}`)
    else if (phase.value === 'ringing') note(who, cancelled ? 'You cancelled the call' : `${who} did not take the call`)
    attempt++
    stopTracks(local.value)
    local.value = undefined
    current.value = undefined
    phase.value = 'idle'
  }

  async function start(who: string, video = true) {
    if (phase.value !== 'idle') return
    const stream = await prepare(who, video)
    if (!stream) return
    phase.value = 'ringing'
    const mine = attempt
    try {
      const call = await dial(who, stream)
      if (mine === attempt) follow(call)
      else call.close()
    }
    catch (e) {
      if (mine !== attempt) return
      phase.value = 'idle'
      over()
      problem.value = e
    }
  }

  async function accept(video = true) {
    const call = incoming.value
    if (!call) return
    const stream = await prepare(call.peer, video)
    // Taken back while the browser was asking.
    if (incoming.value !== call) return stopTracks(stream)
    if (!stream) return
    incoming.value = undefined
    phase.value = 'active'
    startedAt.value = Date.now()
    follow(call)
    call.answer(stream)
  }

  function decline() {
    const call = incoming.value
    incoming.value = undefined
    call?.close()
    if (call) note(call.peer, 'You declined a call')
  }

  function hangUp() {
    const call = current.value
    over(true)
    call?.close()
  }

  function toggleMic() {
    micOn.value = !micOn.value
    for (const track of local.value?.getAudioTracks() ?? []) track.enabled = micOn.value
  }

  function toggleCamera() {
    cameraOn.value = !cameraOn.value
    for (const track of local.value?.getVideoTracks() ?? []) track.enabled = cameraOn.value
  }

  onCall((call) => {
    if (incoming.value || phase.value !== 'idle') {
      call.close()
      note(call.peer, `${call.peer} called while you were busy`)
      return
    }
    problem.value = undefined
    incoming.value = call
    call.on('close', () => {
      if (incoming.value !== call) return
      incoming.value = undefined
      if (phase.value === 'preparing') over()
      note(call.peer, `You missed a call from ${call.peer}`)
    })
  })
  watch([state, remoteStream], () => {
    if (phase.value !== 'ringing' || !(state.value === 'open' || remoteStream.value)) return
    phase.value = 'active'
    startedAt.value = Date.now()
  })
  onScopeDispose(() => {
    attempt++
    stopTracks(local.value)
  })

  return {
    phase, peer, incoming, local, remote: remoteStream, state, startedAt, micOn, cameraOn, problem,
    start, accept, decline, hangUp, toggleMic, toggleCamera,
  }
}

function stopTracks(stream?: MediaStream): undefined {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

async function openDevices(video: boolean): Promise<MediaStream> {
  const { mediaDevices } = navigator
  if (!mediaDevices) throw new DOMException('No camera without https', 'InsecureContextError')
  try {
    return await mediaDevices.getUserMedia({ audio: true, video: video && { facingMode: 'user', width: { ideal: 1280 }, height: { ideal: 720 } } })
  }
  catch (e) {
    // No camera, but perhaps a microphone.
    if (video && (e as Error).name === 'NotFoundError') return mediaDevices.getUserMedia({ audio: true })
    throw e
  }
}
