/** One of two pages that negotiate with each other through a BroadcastChannel, both at once, again and again. */
import type { MediaConnection } from '../../../js/index.js'
import { Recorder, ufrags } from './record.js'
import { Stage } from './stage.js'
import { offers } from './wire.js'

const record = new Recorder()
const bridge = new BroadcastChannel('wire')
const stage = new Stage(record, bridge)
/** Where the two pages wait for each other. */
const meeting = new BroadcastChannel('meeting')
const here = new Set<string>()
let calls = 0
meeting.onmessage = ({ data }: MessageEvent<string>) => {
  here.add(data)
  record.changed()
}

/** Both pages go on from here at the same time. */
async function meet(place: string): Promise<void> {
  meeting.postMessage(place)
  await stage.until(`the other page is at ${place}`, () => here.has(place))
}

let call: MediaConnection | undefined

/** Ready to be called, or to call. */
const arrive = async (id: string): Promise<void> => {
  const peer = await stage.peer(id)
  peer.on('call', (incoming) => {
    call = incoming
    void stage.media('audio').then(stream => incoming.answer(stream))
  })
}

const begin = async (to: string): Promise<void> => void (call = stage.peers[0]!.call(to, await stage.media('audio')))

/** What this side shows, and what it sees of the other. */
const sections = (pc: RTCPeerConnection): { sends: string, sees: string } => {
  const list = (directions: string[]): string =>
    pc.getTransceivers().filter(({ currentDirection }) => directions.includes(currentDirection!)).map(({ mid }) => mid).sort().join()
  return { sends: list(['sendrecv', 'sendonly']), sees: list(['sendrecv', 'recvonly']) }
}

/**
 * `rounds` times: both sides add a track, take one away or restart ICE in the same moment, and the offers are kept
 * back until both have left, so that they cross. Answers with everything that went wrong.
 */
async function play(rounds: number, polite: boolean): Promise<string[]> {
  await stage.until('the call is open', () => call?.state === 'open' && call.peerConnection?.connectionState === 'connected')
  const pc = call!.peerConnection!
  const tracks: MediaStreamTrack[] = []
  for (let round = 0; round < rounds; round++) {
    const name = `call ${calls}, round ${round}`
    await meet(`${name}: start`)
    const [old] = ufrags(pc)
    const held = stage.wire.hold(offers)
    // Another pairing in every round: the two sides count with different periods.
    const what = Math.floor(round / (polite ? 1 : 3)) % 3
    if (what === 0 || (what === 1 && tracks.length === 0)) tracks.push(await stage.add(call!, 'audio'))
    else if (what === 1) call!.removeTrack(tracks.pop()!)
    else pc.restartIce()
    await stage.until(`${name}: the own offer is on its way`, () => held.letters.length > 0)
    await meet(`${name}: offered`)
    held.release()
    const sending = 1 + tracks.length
    await stage.until(`${name}: the own wish is granted`, () => pc.signalingState === 'stable' && call!.state === 'open'
      && sections(pc).sends.split(',').length === sending && (what !== 2 || ufrags(pc)[0] !== old) && record.idle)
    await meet(`${name}: over`)
    meeting.postMessage(`${name}: ${polite} shows ${sections(pc).sends}`)
    await stage.until(`${name}: what is shown is seen`, () => here.has(`${name}: ${!polite} shows ${sections(pc).sees}`))
    await meet(`${name}: seen`)
    record.forget()
  }
  calls++
  call!.close()
  await stage.until('the call is over', () => call!.state === 'closed')
  call = undefined
  await meet(`call ${calls}`)
  return stage.verdict()
}

Object.assign(globalThis, { arrive, begin, play })
