/** RTCPeerConnection-restartIce, RTCPeerConnection-onnegotiationneeded and RTCDataChannel-iceRestart. */
import type { DataConnection, MediaConnection } from '../../../../js/index.js'
import { ufrags } from '../record.js'
import type { Pair, Scenario, Stage } from '../stage.js'
import { answers, from, offers } from '../wire.js'

/** A call from ada to bob with one audio track each way, negotiated with ada's first offer. */
async function talking(stage: Stage): Promise<Pair<MediaConnection>> {
  const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
  const call = await stage.call(ada, bob, await stage.media('audio'), await stage.media('audio'))
  await stage.settled(call)
  return call
}

type Any = DataConnection | MediaConnection

const both = ({ near, far }: Pair<Any>): string => [near, far].map(({ peerConnection }) => ufrags(peerConnection!).join('+')).join()

/** Both ends have other credentials than `before`, and are at rest. */
async function restarted(stage: Stage, pair: Pair<Any>, before: string): Promise<void> {
  const old = before.split(',')
  await stage.until('both ends have fresh credentials and are at rest', () =>
    both(pair).split(',').every((now, at) => now !== '' && now !== old[at]) && stage.rests(pair))
  await stage.settled(pair)
}

/** Offers that were sent since `before` was counted. */
const offersSince = (stage: Stage, before: number): number => stage.wire.count(offers) - before

export const restartIce: Scenario[] = [
  {
    title: 'restartIce() has no effect on a closed peer connection',
    async run(stage) {
      const call = await talking(stage)
      const pc = call.near.peerConnection!
      call.near.close()
      await stage.until('closed', () => call.near.state === 'closed' && call.far.state === 'closed')
      const before = stage.wire.log.length
      pc.restartIce()
      await stage.fence()
      stage.check('nothing is said', stage.wire.log.length === before)
    },
  },
  {
    title: 'restartIce() has no effect on initial negotiation',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      stage.record.onCall = ({ name }, pc) => {
        if (name === 'createDataChannel') pc.restartIce()
      }
      const pair = await stage.connect(ada, bob)
      await stage.settled(pair)
      await stage.fence()
      stage.check('one offer', stage.wire.count(offers) === 1)
    },
  },
  ...(['near', 'far'] as const).map((side): Scenario => ({
    title: `restartIce() fires negotiationneeded after initial negotiation and causes fresh ufrags, on the ${side === 'near' ? 'caller' : 'callee'}`,
    async run(stage) {
      const call = await talking(stage)
      const [old, before] = [both(call), stage.wire.count(offers)]
      call[side].peerConnection!.restartIce()
      await restarted(stage, call, old)
      stage.check('one offer', offersSince(stage, before) === 1)
    },
  })),
  {
    title: 'restartIce() retains dtls transports',
    async run(stage) {
      const call = await talking(stage)
      const transports = (): (RTCDtlsTransport | null)[] =>
        [call.near, call.far].flatMap(({ peerConnection }) => peerConnection!.getTransceivers().map(({ sender }) => sender.transport))
      const [old, before] = [both(call), transports()]
      call.near.peerConnection!.restartIce()
      await restarted(stage, call, old)
      stage.check('the same objects', transports().every((transport, at) => transport === before[at]))
    },
  },
  {
    title: 'restartIce() works in have-local-offer',
    async run(stage) {
      const call = await talking(stage)
      const [old, before] = [both(call), stage.wire.count(offers)]
      const late = stage.wire.hold(answers)
      await stage.add(call.near, 'video')
      await stage.until('the answer is on its way', () => late.letters.length === 1)
      stage.check('have-local-offer', call.near.peerConnection!.signalingState === 'have-local-offer')
      call.near.peerConnection!.restartIce()
      late.release()
      await restarted(stage, call, old)
      stage.check('two offers', offersSince(stage, before) === 2)
    },
  },
  {
    title: 'restartIce() works in initial have-local-offer',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const late = stage.wire.hold(answers)
      const { near, far } = stage.begin(ada, bob)
      await stage.until('the answer is on its way', () => late.letters.length === 1)
      const old = ufrags(near.peerConnection!)[0]
      near.peerConnection!.restartIce()
      late.release()
      const pair = { near, far: await far }
      await stage.until('fresh credentials', () => ufrags(near.peerConnection!)[0] !== old)
      await stage.settled(pair)
      await stage.talk(pair)
      stage.check('two offers', stage.wire.count(offers) === 2)
    },
  },
  {
    title: 'restartIce() works in have-remote-offer',
    async run(stage) {
      const call = await talking(stage)
      const [old, before] = [both(call), stage.wire.count(offers)]
      stage.record.onCall = ({ name, state }, pc) => {
        if (pc === call.near.peerConnection && name === 'setLocalDescription' && state === 'have-remote-offer') {
          stage.record.onCall = () => {}
          pc.restartIce()
        }
      }
      await stage.add(call.far, 'video')
      await restarted(stage, call, old)
      stage.check('two offers', offersSince(stage, before) === 2)
    },
  },
  {
    title: 'restartIce() does nothing in initial have-remote-offer',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      stage.record.onCall = ({ name, state }, pc) => {
        if (name === 'setLocalDescription' && state === 'have-remote-offer') pc.restartIce()
      }
      const pair = await stage.connect(ada, bob)
      await stage.fence()
      await stage.settled(pair)
      stage.check('one offer', stage.wire.count(offers) === 1)
    },
  },
  {
    title: 'restartIce() survives remote offer',
    async run(stage) {
      const call = await talking(stage)
      const old = both(call)
      const theirs = stage.wire.hold(from('bob', offers))
      await stage.add(call.far, 'video')
      await stage.until('their offer is on its way', () => theirs.letters.length === 1)
      theirs.release()
      call.near.peerConnection!.restartIce()
      await restarted(stage, call, old)
    },
  },
  {
    title: 'restartIce() is satisfied by remote ICE restart',
    async run(stage) {
      const call = await talking(stage)
      const [old, before] = [both(call), stage.wire.count(offers)]
      const crossing = stage.wire.hold(offers)
      call.near.peerConnection!.restartIce()
      call.far.peerConnection!.restartIce()
      await stage.until('both offers are on their way', () => crossing.letters.length === 2)
      crossing.release()
      await restarted(stage, call, old)
      await stage.fence()
      stage.check('the side that yielded does not offer again', offersSince(stage, before) === 2)
    },
  },
  {
    title: 'restartIce() of both sides at once, again and again',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(ada, bob)
      for (let round = 0; round < 5; round++) {
        const old = both(pair)
        for (const { peerConnection } of [pair.near, pair.far]) peerConnection!.restartIce()
        await restarted(stage, pair, old)
        await stage.talk(pair)
      }
    },
  },
  {
    title: 'restartIce() ten times without waiting',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(ada, bob)
      for (let round = 0; round < 10; round++) {
        const old = both(pair)
        const side = round % 2 ? pair.near : pair.far
        side.peerConnection!.restartIce()
        await stage.until('its offer is made', () => ufrags(side.peerConnection!).join() !== old.split(',')[round % 2 ? 0 : 1])
      }
      await stage.settled(pair)
      await stage.talk(pair)
    },
  },
  {
    title: 'data that is sent during ICE restarts arrives once and in order',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const pair = await stage.connect(ada, bob)
      const received: unknown[] = []
      pair.far.on('data', data => received.push(data))
      for (let number = 0; number < 200; number++) {
        if (number % 50 === 25) pair.near.peerConnection!.restartIce()
        await pair.near.send(number)
      }
      await stage.settled(pair)
      await stage.talk(pair)
      received.pop()
      stage.check('all of it', received.join() === [...received.keys()].join() && received.length === 200)
    },
  },
]

export const onNegotiationNeeded: Scenario[] = [
  {
    title: 'Calling addTransceiver() twice should fire negotiationneeded event once',
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.count(offers)
      const streams = [await stage.media('video'), await stage.media('audio')]
      for (const stream of streams) call.near.addTrack(stream.getTracks()[0]!, stream)
      await stage.settled(call)
      await stage.fence()
      stage.check('one offer', offersSince(stage, before) === 1)
    },
  },
  {
    title: 'negotiationneeded event should not fire if signaling state is not stable',
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.count(offers)
      const late = stage.wire.hold(answers)
      await stage.add(call.near, 'video')
      await stage.until('the answer is on its way', () => late.letters.length === 1)
      await stage.add(call.near, 'audio')
      await stage.fence()
      stage.check('no second offer beside the first', offersSince(stage, before) === 1)
      late.release()
      await stage.settled(call)
      stage.check('but one behind it', offersSince(stage, before) === 2)
    },
  },
  {
    title: 'negotiationneeded event should fire only after signaling state goes back to stable after setRemoteDescription',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const late = stage.wire.hold(answers)
      const call = await stage.call(ada, bob, await stage.media('audio'))
      await stage.until('the answer is on its way', () => late.letters.length === 1)
      await stage.add(call.near, 'video') // in the initial have-local-offer
      late.release()
      await stage.settled(call)
      stage.check('two offers of the caller', stage.wire.count(from('ada', offers)) === 2)
    },
  },
  {
    title: 'negotiationneeded event should fire only after signaling state goes back to stable after setLocalDescription',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const stream = await stage.media('video', 'audio')
      // In the initial have-remote-offer, and beside what the offer has room for.
      let callee: MediaConnection | undefined
      bob.on('call', call => callee = call)
      stage.record.onCall = ({ name, state }) => {
        if (name !== 'setLocalDescription' || state !== 'have-remote-offer') return
        stage.record.onCall = () => {}
        for (const track of stream.getTracks()) callee!.addTrack(track, stream)
      }
      const call = await stage.call(ada, bob, await stage.media('audio'))
      await stage.settled(call)
      stage.check('the callee offered', stage.wire.count(from('bob', offers)) === 1)
      stage.check('both its tracks are seen', call.near.peerConnection!.getTransceivers().length === 2)
    },
  },
  {
    title: 'tracks that come between the two operations of an answer are negotiated',
    async run(stage) {
      const call = await talking(stage)
      const stream = await stage.media('video')
      stage.record.onCall = ({ name, state }, pc) => {
        if (pc !== call.far.peerConnection || name !== 'setLocalDescription' || state !== 'have-remote-offer') return
        stage.record.onCall = () => {}
        call.far.addTrack(stream.getTracks()[0]!, stream)
      }
      call.near.peerConnection!.restartIce()
      await stage.until('it is seen', () => call.near.peerConnection!.getTransceivers().length === 2 && stage.rests(call))
      await stage.settled(call)
    },
  },
  ...(['near', 'far'] as const).map((side): Scenario => ({
    title: `removeTrack should cause negotiationneeded to fire on the ${side === 'near' ? 'caller' : 'callee'}`,
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.count(offers)
      call[side].removeTrack(call[side].localStream!.getTracks()[0]!)
      await stage.until('it is offered', () => offersSince(stage, before) === 1)
      await stage.settled(call)
    },
  })),
  {
    title: 'Updating the direction of the transceiver should cause negotiationneeded to fire',
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.count(offers)
      call.near.peerConnection!.getTransceivers()[0]!.direction = 'sendonly'
      await stage.until('it is offered', () => offersSince(stage, before) === 1)
      await stage.until('and agreed', () => call.far.peerConnection!.getTransceivers()[0]!.currentDirection === 'recvonly'
        && call.near.peerConnection!.signalingState === 'stable')
    },
  },
  {
    title: 'Calling setStreams with a different stream as before should cause negotiationneeded to fire',
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.count(offers)
      const other = new MediaStream()
      const [sender] = call.near.peerConnection!.getSenders()
      sender!.setStreams(other)
      stage.record.sends.set(sender!, [other])
      await stage.until('it is offered', () => offersSince(stage, before) === 1)
      await stage.settled(call)
      stage.check('and seen', call.far.remoteStream!.id === other.id)
    },
  },
  {
    title: 'Adding two transceivers, one at a time, results in the expected number of negotiationneeded events',
    async run(stage) {
      const call = await talking(stage)
      const before = stage.wire.count(offers)
      for (const kind of ['video', 'audio'] as const) {
        await stage.add(call.near, kind)
        await stage.until('the offer left', () => offersSince(stage, before) > 0)
        await stage.settled(call)
      }
      await stage.fence()
      stage.check('two offers', offersSince(stage, before) === 2)
    },
  },
]
