/** protocol/handover, RTCPeerConnection-setRemoteDescription-tracks and -replaceTrack, protocol/transceiver-mline-recycling. */
import type { DataConnection, MediaConnection } from '../../../../js/index.js'
import { ufrags } from '../record.js'
import type { Pair, Scenario, Stage } from '../stage.js'
import { answers, candidates, from, offers } from '../wire.js'

async function talking(stage: Stage): Promise<Pair<MediaConnection>> {
  const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
  const call = await stage.call(ada, bob, await stage.media('audio'), await stage.media('audio'))
  await stage.settled(call)
  return call
}

type Any = DataConnection | MediaConnection

/** The connection moves to fresh RTCPeerConnections at both ends. */
async function movesOn(stage: Stage, pair: Pair<Any>, old: RTCPeerConnection[]): Promise<void> {
  await stage.until('both ends have fresh RTCPeerConnections', () =>
    [pair.near, pair.far].every(({ peerConnection }, at) => peerConnection && peerConnection !== old[at]) && stage.rests(pair))
  stage.check('the old ones are closed', old.every(pc => pc.signalingState === 'closed'))
}

const connectionsOf = ({ near, far }: Pair<Any>): RTCPeerConnection[] => [near.peerConnection!, far.peerConnection!]

export const handover: Scenario[] = [
  ...(['near', 'far'] as const).map((side): Scenario => ({
    title: `Negotiation of handover initiated at ${side === 'near' ? 'caller' : 'callee'} works`,
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(ada, bob)
      const received: unknown[] = []
      pair.far.on('data', data => received.push(data))
      const old = connectionsOf(pair)
      pair[side].dataChannel!.close() // without a word: as Firefox does after 30 s without a path
      for (let number = 0; number < 20; number++) void pair.near.send(number)
      await movesOn(stage, pair, old)
      await stage.talk(pair)
      received.splice(20)
      stage.check('what was sent meanwhile arrived once and in order', received.join() === [...received.keys()].join() && received.length === 20)
    },
  })),
  {
    title: 'a handover whose messages come late, twice and in reverse',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(ada, bob)
      const old = connectionsOf(pair)
      const first = stage.wire.hold(from('ada'))
      pair.far.dataChannel!.close()
      await stage.until('the offer and its candidates are on their way', () => first.letters.some(candidates)
        && first.letters.some(letter => offers(letter) && letter.payload.peerbridge.link === 2))
      stage.wire.double(() => true)
      first.release(letters => [...letters, ...letters].reverse())
      await movesOn(stage, pair, old)
      await stage.talk(pair)
    },
  },
  {
    title: 'Handover of a call: its tracks and streams are on the new RTCPeerConnection',
    async run(stage) {
      const call = await talking(stage)
      await stage.add(call.far, 'video')
      await stage.until('it is seen', () => call.near.peerConnection!.getTransceivers().length === 2 && stage.rests(call))
      const old = connectionsOf(call)
      stage.record.channels.get(old[1]!)![0]!.close() // the one that a call has beside its media
      await movesOn(stage, call, old)
      await stage.settled(call)
      stage.check('one track one way, two the other', call.near.peerConnection!.getSenders().filter(({ track }) => track).length === 1
        && call.far.peerConnection!.getSenders().filter(({ track }) => track).length === 2)
    },
  },
  {
    title: 'an answer for a stale offer',
    async run(stage) {
      const call = await talking(stage)
      const old = ufrags(call.near.peerConnection!)[0]
      const late = stage.wire.hold(from('bob', answers))
      call.near.peerConnection!.restartIce()
      await stage.until('the answer is on its way', () => late.letters.length === 1)
      const [first] = late.letters
      late.release()
      await stage.until('taken', () => ufrags(call.near.peerConnection!)[0] !== old && stage.rests(call))
      // The same answer once more, while another offer waits for its own.
      const second = stage.wire.hold(from('bob', answers))
      await stage.add(call.near, 'video')
      await stage.until('have-local-offer', () => call.near.peerConnection!.signalingState === 'have-local-offer')
      stage.wire.send({ ...first!, from: 'bob' })
      await stage.until('the right answer too', () => second.letters.length === 2)
      second.release()
      await stage.settled(call)
      stage.check('it was set once', stage.record.calls.filter(({ pc, name, detail }) =>
        pc === stage.record.numberOf(call.near.peerConnection!) && name === 'setRemoteDescription' && detail === 'answer').length === 3)
    },
  },
  {
    title: 'an answer in stable',
    async run(stage) {
      stage.expected.push(/an ANSWER that no offer waits for/)
      const call = await talking(stage)
      const [answer] = stage.wire.log.filter(answers)
      stage.wire.send({ ...answer!, payload: { ...answer!.payload, peerbridge: { v: 1, link: 1, neg: 9 } } })
      stage.wire.send(answer!)
      await stage.fence()
      stage.check('it was set once', stage.record.of(call.near.peerConnection!, 'setRemoteDescription').length === 1)
      await stage.settled(call)
    },
  },
  {
    title: 'an offer that was withdrawn comes late',
    async run(stage) {
      const call = await talking(stage)
      const crossing = stage.wire.hold(from('ada', offers))
      await Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'video')])
      await stage.until('the polite side has answered instead', () => crossing.letters.length > 0 && stage.wire.count(from('ada', answers)) === 1)
      await stage.until('and is at rest', () => stage.rests(call))
      crossing.release()
      await stage.fence()
      await stage.settled(call)
    },
  },
]

export const tracks: Scenario[] = [
  {
    title: 'addTrack() with two tracks and one stream makes ontrack fire twice with the tracks and shared stream',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const stream = await stage.media('audio', 'video')
      const call = await stage.call(ada, bob, stream)
      await stage.settled(call)
      stage.check('one stream with two tracks', call.far.remoteStream!.id === stream.id && call.far.remoteStream!.getTracks().length === 2)
    },
  },
  {
    title: 'tracks come and go mid-call, on both sides in turn',
    async run(stage) {
      const call = await talking(stage)
      for (const side of [call.near, call.far, call.near, call.far]) {
        const track = await stage.add(side, 'video')
        const other = side === call.near ? call.far : call.near
        await stage.until('it is seen', () => stage.rests(call) && other.remoteStream!.getVideoTracks().length === 1)
        side.removeTrack(track)
        await stage.until('it is seen no more', () => stage.rests(call) && other.remoteStream!.getVideoTracks().length === 0)
      }
      await stage.settled(call)
    },
  },
  {
    title: 'tracks come and go mid-call, on both sides at once',
    async run(stage) {
      const call = await talking(stage)
      for (let round = 0; round < 5; round++) {
        const [mine, theirs] = await Promise.all([stage.add(call.near, 'audio'), stage.add(call.far, 'audio')])
        await stage.until('both are seen', () => stage.rests(call))
        call.near.removeTrack(mine)
        call.far.removeTrack(theirs)
        await stage.until('and seen no more', () => stage.rests(call))
      }
      await stage.settled(call)
    },
  },
  {
    title: 'transceiver reuse: both sides show in one section, whoever began it',
    async run(stage) {
      const call = await talking(stage)
      const sections = (): number => call.near.peerConnection!.getTransceivers().length
      const mine = await stage.add(call.near, 'video')
      await stage.until('it is seen', () => stage.rests(call) && sections() === 2)
      const theirs = await stage.add(call.far, 'video')
      await stage.until('both are seen', () => stage.rests(call) && call.near.peerConnection!.getTransceivers()[1]!.currentDirection === 'sendrecv')
      await stage.settled(call)
      call.near.removeTrack(mine)
      call.far.removeTrack(theirs)
      await stage.until('none is', () => stage.rests(call) && call.near.peerConnection!.getTransceivers()[1]!.currentDirection === 'inactive')
      stage.check('two sections are enough', sections() === 2 && call.far.peerConnection!.getTransceivers().length === 2)
    },
  },
  {
    title: 'transceiver-mline-recycling: the section of a stopped transceiver is used again',
    async run(stage) {
      const call = await talking(stage)
      const sections = (): number => [...call.near.peerConnection!.localDescription!.sdp.matchAll(/^m=/gm)].length
      for (let round = 0; round < 3; round++) {
        await stage.add(call.near, 'video')
        await stage.until('it is seen', () => stage.rests(call) && call.far.peerConnection!.getTransceivers().length === 2)
        await stage.settled(call)
        call.near.peerConnection!.getTransceivers()[1]!.stop()
        await stage.until('it is gone', () => stage.rests(call) && call.far.peerConnection!.getTransceivers().length === 1)
      }
      stage.check('audio, data and one more', sections() === 3)
    },
  },
  {
    title: 'replaceTrack() needs no negotiation',
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.log.length
      const [old] = call.near.localStream!.getTracks()
      const [fresh] = (await stage.media('audio')).getTracks()
      await call.near.replaceTrack(old!, fresh!)
      await stage.fence()
      stage.check('nothing was said', stage.wire.log.length === before)
      await stage.settled(call)
    },
  },
  {
    title: 'replaceTrack() while an offer is under way',
    async run(stage) {
      const call = await talking(stage)
      const late = stage.wire.hold(answers)
      const track = await stage.add(call.near, 'video')
      await stage.until('the answer is on its way', () => late.letters.length === 1)
      const [fresh] = (await stage.media('video')).getTracks()
      const replaced = call.near.replaceTrack(track, fresh!)
      late.release()
      await replaced
      await stage.settled(call)
    },
  },
  {
    title: 'torture: tracks come and go and ICE restarts at random, every message held, doubled or reversed',
    async run(stage) {
      const call = await talking(stage)
      // Always the same: a test that fails fails again.
      let seed = 20
      const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff) % below
      const shown: [MediaConnection, MediaStreamTrack][] = []
      for (let round = 0; round < 30; round++) {
        const held = stage.wire.hold(() => true)
        for (let step = 0; step < 3; step++) {
          const side = random(2) ? call.near : call.far
          const what = random(4)
          if (what === 0) side.peerConnection!.restartIce()
          else if (what === 1 && shown.length) {
            const [[owner, track]] = shown.splice(random(shown.length), 1) as [[MediaConnection, MediaStreamTrack]]
            owner.removeTrack(track)
          }
          else if (shown.length < 6) shown.push([side, await stage.add(side, 'audio')])
        }
        await stage.fence()
        const order = random(3)
        held.release(letters => order === 0 ? letters : order === 1 ? letters.reverse() : [...letters, ...letters])
        if (random(2)) await stage.until('at rest', () => stage.rests(call))
      }
      await stage.settled(call)
    },
  },
]
