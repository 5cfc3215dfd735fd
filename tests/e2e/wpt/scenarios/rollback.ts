/** RTCPeerConnection-setRemoteDescription-rollback and RTCPeerConnection-setLocalDescription-rollback. 'ada' is the polite side. */
import type { MediaConnection } from '../../../../js/index.js'
import { ufrags } from '../record.js'
import type { Pair, Scenario, Stage } from '../stage.js'
import { from, offers } from '../wire.js'

/** A call with one audio track each way. */
async function talking(stage: Stage): Promise<Pair<MediaConnection>> {
  const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
  const call = await stage.call(ada, bob, await stage.media('audio'), await stage.media('audio'))
  await stage.settled(call)
  return call
}

/** Lets two offers cross: both leave, then both arrive. */
async function cross(stage: Stage, begin: () => unknown): Promise<void> {
  const crossing = stage.wire.hold(offers)
  await begin()
  await stage.until('both offers are on their way', () => crossing.letters.length === 2)
  crossing.release()
}

const statesOf = (stage: Stage, { near }: Pair<MediaConnection>): RTCSignalingState[] =>
  stage.record.states[stage.record.numberOf(near.peerConnection!)]!

export const rollback: Scenario[] = [
  {
    title: 'implicit rollback of a local offer should visit stable state',
    async run(stage) {
      const call = await talking(stage)
      const before = statesOf(stage, call).length
      await cross(stage, () => Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'audio')]))
      await stage.settled(call)
      const states = statesOf(stage, call).slice(before).join()
      stage.check(`the polite side rolled back, and then offered again (${states})`,
        states.startsWith('have-local-offer,stable,have-remote-offer,stable'))
      stage.check('nobody rolled back by hand', !stage.record.calls.some(({ detail }) => detail === 'rollback'))
    },
  },
  {
    title: 'a browser that cannot roll back implicitly is rolled back by hand',
    async run(stage) {
      stage.record.withoutImplicitRollback = true
      stage.provoked.push(/^setRemoteDescription\(offer\) in have-local-offer: InvalidStateError/)
      const call = await talking(stage)
      await cross(stage, () => Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'video')]))
      await stage.settled(call)
      stage.check('the polite side rolled back by hand, once', stage.record.of(call.near.peerConnection!, 'setLocalDescription')
        .filter(({ detail }) => detail === 'rollback').length === 1)
      stage.check('and the impolite one never', stage.record.of(call.far.peerConnection!, 'setLocalDescription')
        .every(({ detail }) => detail === ''))
    },
  },
  {
    title: 'a browser that cannot roll back implicitly gets through ICE restarts of both sides at once',
    async run(stage) {
      stage.record.withoutImplicitRollback = true
      stage.provoked.push(/^setRemoteDescription\(offer\) in have-local-offer: InvalidStateError/)
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(bob, ada)
      await cross(stage, () => {
        pair.near.peerConnection!.restartIce()
        pair.far.peerConnection!.restartIce()
      })
      await stage.settled(pair)
      await stage.talk(pair)
    },
  },
  {
    title: 'restartIce() survives rollback',
    async run(stage) {
      const call = await talking(stage)
      const [old] = ufrags(call.near.peerConnection!)
      await cross(stage, () => {
        call.near.peerConnection!.restartIce()
        return stage.add(call.far, 'video')
      })
      await stage.until('the restart is made up for', () => stage.rests(call) && ufrags(call.near.peerConnection!)[0] !== old)
      await stage.settled(call)
    },
  },
  {
    title: 'rollback of a local offer to negotiated stable state should enable applying of a remote offer',
    async run(stage) {
      const call = await talking(stage)
      await cross(stage, () => Promise.all([stage.add(call.near, 'audio'), stage.add(call.far, 'video')]))
      await stage.settled(call)
      stage.check('three media sections', call.near.peerConnection!.getTransceivers().length === 3)
    },
  },
  {
    title: 'two transceivers with same mids',
    async run(stage) {
      const call = await talking(stage)
      await cross(stage, () => Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'audio')]))
      await stage.settled(call)
      const kinds = ({ peerConnection }: MediaConnection): string =>
        peerConnection!.getTransceivers().map(({ mid, receiver }) => `${mid} ${receiver.track.kind}`).sort().join()
      stage.check('both sides give every section the same kind', kinds(call.near) === kinds(call.far))
    },
  },
  {
    title: 'removeTrack() with a sender being rolled back does not crash or throw',
    async run(stage) {
      const call = await talking(stage)
      const crossing = stage.wire.hold(offers)
      const [track] = await Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'video')])
      await stage.until('both offers are on their way', () => crossing.letters.length === 2)
      stage.record.onCall = ({ name, state }, pc) => {
        if (pc === call.near.peerConnection && name === 'setRemoteDescription' && state === 'have-local-offer') call.near.removeTrack(track)
      }
      crossing.release()
      await stage.settled(call)
      stage.check('it is shown no more', call.near.peerConnection!.getSenders().filter(({ track }) => track).length === 1)
    },
  },
  {
    title: 'Implicit rollback with only a datachannel works',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(ada, bob)
      await cross(stage, () => {
        pair.near.peerConnection!.restartIce()
        pair.far.peerConnection!.restartIce()
      })
      await stage.settled(pair)
      await stage.talk(pair)
    },
  },
  {
    title: 'glare on data and on media at the same time',
    async run(stage) {
      const call = await talking(stage)
      const data = await stage.connect(call.far.provider, call.near.provider)
      const crossing = stage.wire.hold(offers)
      for (const { peerConnection } of [data.near, data.far]) peerConnection!.restartIce()
      await Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'video')])
      await stage.until('four offers are on their way', () => crossing.letters.length === 4)
      crossing.release(letters => letters.reverse())
      await stage.settled(call)
      await stage.settled(data)
      await stage.talk(data)
    },
  },
  {
    title: 'glare that meets an offer while it is still being set',
    async run(stage) {
      const call = await talking(stage)
      // The other side's offer arrives in the turn in which the own one is asked for.
      const theirs = stage.wire.hold(from('bob', offers))
      await stage.add(call.far, 'video')
      await stage.until('their offer is on its way', () => theirs.letters.length === 1)
      stage.record.onCall = ({ name }, pc) => {
        if (name === 'setLocalDescription' && pc === call.near.peerConnection) theirs.release()
      }
      await stage.add(call.near, 'video')
      await stage.settled(call)
    },
  },
  {
    title: 'glare in three rounds, one right behind the other',
    async run(stage) {
      const call = await talking(stage)
      for (let round = 0; round < 3; round++) {
        await cross(stage, () => Promise.all([stage.add(call.near, 'audio'), stage.add(call.far, 'audio')]))
      }
      await stage.settled(call)
      stage.check('four tracks each way', call.near.peerConnection!.getSenders().filter(({ track }) => track).length === 4)
    },
  },
  {
    title: 'two connections that are made at once, in both directions, are two',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pairs = [stage.begin(ada, bob), stage.begin(bob, ada)]
      for (const { near, far } of pairs) await stage.talk({ near, far: await far })
      stage.check('two RTCPeerConnections each', stage.record.connections.length === 4)
    },
  },
]
