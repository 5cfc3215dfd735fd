import Peer, { type MediaConnection, type CallOption, type AnswerOption } from 'peerjs'

const local = document.querySelector<HTMLVideoElement>('#local')!
const remote = document.querySelector<HTMLVideoElement>('#remote')!

let current: MediaConnection | null = null

const peer = new Peer('ada', {
  host: 'localhost',
  port: 9000,
  path: '/myapp',
  secure: false,
  debug: 3,
  config: { iceServers: [{ urls: 'stun:stun.example.org' }], sdpSemantics: 'unified-plan' },
})

const preferOpus = (sdp: string): string => sdp.replace(/a=fmtp:111 /, 'a=fmtp:111 stereo=1;')
const asked: CallOption = { metadata: { topic: 'tea' }, sdpTransform: preferOpus }
const answered: AnswerOption = { sdpTransform: preferOpus }

function watch(call: MediaConnection): void {
  current?.close()
  current = call
  call.on('stream', (stream) => {
    remote.srcObject = stream
    remote.play()
  })
  call.on('close', () => { remote.srcObject = null })
  call.on('error', err => console.error(err))
  call.on('iceStateChanged', (state: RTCIceConnectionState) => console.log(state))
  call.once('willCloseOnRemote', () => console.log('will be told'))
}

peer.on('call', async (call) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true })
  local.srcObject = stream
  call.answer(stream, answered)
  watch(call)
})

export async function ring(id: string): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true })
  const call = peer.call(id, stream, asked)
  watch(call)
  call.peerConnection.addEventListener('connectionstatechange', () => console.log(call.peerConnection.connectionState))
}

export async function share(): Promise<void> {
  if (!current || !current.open) return
  const screen = await navigator.mediaDevices.getDisplayMedia()
  const [track] = screen.getVideoTracks()
  const sender = current.peerConnection.getSenders().find(sender => sender.track?.kind === 'video')
  await sender?.replaceTrack(track!)
  const tracks: MediaStreamTrack[] = current.localStream.getTracks()
  tracks.forEach(track => track.stop())
  current.remoteStream.getAudioTracks().forEach((track) => { track.enabled = false })
}

export function hangUp(): void {
  current?.close()
}
