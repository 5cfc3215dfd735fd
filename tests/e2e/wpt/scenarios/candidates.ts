/** RTCPeerConnection-addIceCandidate, RTCPeerConnection-addIceCandidate-timing and protocol/candidate-exchange. */
import type { DataConnection, PeerOptions } from '../../../../js/index.js'
import { ufrags } from '../record.js'
import type { Pair, Scenario, Stage } from '../stage.js'
import { answers, candidates, candidatesOf, from, type Letter, offers } from '../wire.js'

/** A data connection between ada, who makes it, and bob. */
async function connected(stage: Stage, options: PeerOptions = {}): Promise<Pair<DataConnection>> {
  const [ada, bob] = [await stage.peer('ada', options), await stage.peer('bob', options)]
  return stage.connect(ada, bob)
}

/** Sends again what was lost, soon. */
const impatient: PeerOptions = { timers: { resendDelay: 300 } }

/** A CANDIDATE message of bob's, as somebody might have made it. */
const forged = (pair: Pair<DataConnection>, candidate: RTCIceCandidateInit): Letter => ({
  from: 'bob', to: 'ada', type: 'CANDIDATE',
  payload: { candidate, type: 'data', connectionId: pair.near.connectionId, peerbridge: { v: 1, link: 1, neg: 0 } },
})

const host = 'candidate:1 1 udp 2122260223 192.0.2.77 50000 typ host generation 0'

/** What the browser of `connection` was given. */
const added = (stage: Stage, { peerConnection }: DataConnection): RTCIceCandidateInit[] =>
  stage.record.of(peerConnection!, 'addIceCandidate').map(({ detail }) => JSON.parse(detail) as RTCIceCandidateInit)

/** No candidate came to the browser before its description, or beside one that was being set. */
function inOrder(stage: Stage): boolean {
  return stage.record.calls.every((call, at) => {
    if (call.name !== 'addIceCandidate') return true
    const before = stage.record.calls.slice(0, at).filter(({ pc, name }) => pc === call.pc && name === 'setRemoteDescription')
    return before.length > 0
  })
}

export const addIceCandidate: Scenario[] = [
  {
    title: 'Add ICE candidate before setting remote description',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const descriptions = stage.wire.hold(offers)
      const { near, far } = stage.begin(ada, bob)
      await stage.until('the candidates are there first', () => stage.wire.count(from('ada', candidates)) > 0)
      await stage.fence()
      descriptions.release()
      await stage.talk({ near, far: await far })
      stage.check('every candidate waited for its description', inOrder(stage))
      stage.check('and then was used', added(stage, await far).length > 0)
    },
  },
  {
    title: 'candidates overtake the answer',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const descriptions = stage.wire.hold(answers)
      const { near, far } = stage.begin(ada, bob)
      await stage.until('the candidates are there first', () => stage.wire.count(from('bob', candidates)) > 0)
      await stage.fence()
      stage.check('the browser saw none of them', added(stage, near).length === 0)
      descriptions.release()
      await stage.talk({ near, far: await far })
      await stage.until('now it has', () => added(stage, near).length > 0)
    },
  },
  {
    title: 'addIceCandidate is not resolved first if 2x setLocalDescription operations are pending',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const all = stage.wire.hold(from('ada', () => true))
      const { near, far } = stage.begin(ada, bob)
      await stage.until('all of it is on its way', () => all.letters.some(candidates) && all.letters.some(offers))
      let beside = false
      stage.record.onCall = ({ name, pc }) => {
        beside ||= name === 'addIceCandidate' && stage.record.calls.some(other =>
          other.pc === pc && other.name === 'setRemoteDescription' && other.outcome === 'under way')
      }
      all.release()
      await stage.talk({ near, far: await far })
      stage.check('no candidate was added while the description was being set', !beside)
    },
  },
  {
    title: 'onicecandidate fires after resolving setLocalDescription: no candidate leaves before its description',
    async run(stage) {
      await connected(stage)
      for (const id of ['ada', 'bob']) {
        const types = stage.wire.log.filter(from(id)).map(({ type }) => type)
        stage.check(`${id} said ${types.join()}`, types[0] !== 'CANDIDATE')
      }
    },
  },
  {
    title: 'addIceCandidate({usernameFragment: "no such ufrag"}) should not work',
    async run(stage) {
      const pair = await connected(stage)
      stage.wire.send(forged(pair, { candidate: `${host} ufrag nope`, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'nope' }))
      stage.wire.send(forged(pair, { candidate: '', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'nope' }))
      await stage.fence()
      stage.check('it never came to the browser', added(stage, pair.near).every(({ usernameFragment }) => usernameFragment !== 'nope'))
      await stage.talk(pair)
    },
  },
  {
    title: 'Add candidate for first media stream with null usernameFragment',
    async run(stage) {
      const pair = await connected(stage)
      stage.wire.send(forged(pair, { candidate: host, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: null }))
      await stage.until('it is added', () => added(stage, pair.near).some(({ candidate }) => candidate === host))
      await stage.talk(pair)
    },
  },
  {
    title: 'Add candidate with only valid sdpMid should succeed',
    async run(stage) {
      const pair = await connected(stage)
      stage.wire.send(forged(pair, { candidate: host, sdpMid: '0' }))
      await stage.until('it is added', () => added(stage, pair.near).some(({ candidate }) => candidate === host))
      await stage.talk(pair)
    },
  },
  {
    title: 'Add candidate with only valid sdpMLineIndex should succeed',
    async run(stage) {
      const pair = await connected(stage)
      stage.wire.send(forged(pair, { candidate: host, sdpMLineIndex: 0 }))
      await stage.until('it is added', () => added(stage, pair.near).some(({ candidate }) => candidate === host))
      await stage.talk(pair)
    },
  },
  {
    title: 'Add candidate with both sdpMid and sdpMLineIndex manually set to null',
    async run(stage) {
      // A browser throws TypeError at it; that is provoked here, and harms nobody.
      stage.provoked.push(/^addIceCandidate\(.*TypeError/)
      stage.expected.push(/refused a candidate/)
      const pair = await connected(stage)
      stage.wire.send(forged(pair, { candidate: host, sdpMid: null, sdpMLineIndex: null }))
      await stage.fence()
      await stage.talk(pair)
      await stage.settled(pair)
    },
  },
  {
    title: 'Add candidate with invalid candidate string',
    async run(stage) {
      stage.provoked.push(/^addIceCandidate\(.*OperationError/)
      stage.expected.push(/refused a candidate/)
      const pair = await connected(stage)
      stage.wire.send(forged(pair, { candidate: '(Invalid) candidate string', sdpMid: '0', sdpMLineIndex: 0 }))
      await stage.until('the browser refused it', () => stage.record.rejected.length > 0)
      await stage.talk(pair)
      await stage.settled(pair)
    },
  },
  {
    title: 'Add with empty candidate string (end of candidates) should succeed',
    async run(stage) {
      const pair = await connected(stage)
      const [ufrag] = ufrags(pair.far.peerConnection!)
      for (const init of [{ sdpMid: '0', sdpMLineIndex: 0, usernameFragment: ufrag! }, { sdpMid: '0' }, { sdpMLineIndex: 0 }]) {
        stage.wire.send(forged(pair, { candidate: '', ...init }))
      }
      await stage.until('it is added', () => added(stage, pair.near).filter(({ candidate }) => candidate === '').length === 3)
      await stage.talk(pair)
    },
  },
  {
    title: 'a candidate that comes twice is added once',
    async run(stage) {
      stage.wire.double(candidates)
      const pair = await connected(stage)
      await stage.settled(pair)
      for (const side of [pair.near, pair.far]) {
        const list = added(stage, side).map(candidate => JSON.stringify(candidate))
        stage.check('each once', new Set(list).size === list.length)
      }
      stage.check('there are some', added(stage, pair.far).length > 0)
    },
  },
  {
    title: 'addIceCandidate after close',
    async run(stage) {
      const pair = await connected(stage)
      const last = stage.wire.log.filter(candidates).at(-1)!
      const before = stage.record.calls.filter(({ name }) => name === 'addIceCandidate').length
      pair.near.close()
      await stage.until('closed', () => pair.near.state === 'closed' && pair.far.state === 'closed')
      stage.wire.send(last)
      stage.wire.send(forged(pair, { candidate: host, sdpMid: '0' }))
      await stage.fence()
      stage.check('nothing was added', before === stage.record.calls.filter(({ name }) => name === 'addIceCandidate').length)
    },
  },
  {
    title: 'candidates of the generation before an ICE restart',
    async run(stage) {
      const pair = await connected(stage)
      const old = ufrags(pair.far.peerConnection!)[0]!
      pair.far.peerConnection!.restartIce()
      await stage.until('restarted', () => ufrags(pair.far.peerConnection!)[0] !== old && stage.rests(pair))
      const before = added(stage, pair.near).length
      stage.wire.send(forged(pair, { candidate: `${host} ufrag ${old}`, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: old }))
      await stage.fence()
      stage.check('are not added', added(stage, pair.near).slice(before).every(({ usernameFragment }) => usernameFragment !== old))
      await stage.talk(pair)
    },
  },
  {
    // While a connection works its candidates travel inside it, and so overtake what the server relays.
    title: 'candidates of an ICE restart that overtake its offer and its answer',
    async run(stage) {
      const pair = await connected(stage)
      const [near, far] = [pair.near.peerConnection!, pair.far.peerConnection!]
      const [old, late] = [ufrags(near)[0]!, stage.wire.hold(answers)]
      const descriptions = stage.wire.hold(offers)
      near.restartIce()
      await stage.until('the offer is on its way', () => descriptions.letters.length === 1 && near.iceGatheringState === 'complete')
      await stage.talk(pair)
      descriptions.release()
      await stage.until('the answer is on its way', () => late.letters.length === 1 && far.iceGatheringState === 'complete')
      await stage.talk(pair)
      late.release()
      await stage.until('restarted', () => ufrags(near)[0] !== old && stage.rests(pair))
      await stage.talk(pair)
    },
  },
]

/** Types of the two ends of the path, as the side of `connection` sees them. */
function path({ peerConnection }: DataConnection): { local: string | null, remote: string | null } {
  const pair = peerConnection!.sctp!.transport.iceTransport.getSelectedCandidatePair()!
  return { local: pair.local!.type, remote: pair.remote!.type }
}

const trickles = [
  ['full', 'trickle'],
  ['half', 'the offer has its candidates inside, the answer has not'],
  ['none', 'no candidate travels alone'],
] as const

export const candidateExchange: Scenario[] = [
  {
    title: 'Two way ICE exchange works',
    async run(stage) {
      const pair = await connected(stage)
      await stage.settled(pair)
      stage.check('candidates came', added(stage, pair.far).length > 0)
    },
  },
  {
    title: 'Adding only caller -> callee candidates gives a connection',
    async run(stage) {
      stage.wire.drop(from('bob', candidates))
      const pair = await connected(stage)
      await stage.settled(pair)
      stage.check(`the caller found out by itself (${JSON.stringify(path(pair.near))})`, path(pair.near).remote === 'prflx')
    },
  },
  {
    title: 'Adding only callee -> caller candidates gives a connection',
    async run(stage) {
      stage.wire.drop(from('ada', candidates))
      const pair = await connected(stage)
      await stage.settled(pair)
      stage.check(`the callee found out by itself (${JSON.stringify(path(pair.far))})`, path(pair.far).remote === 'prflx')
    },
  },
  {
    title: 'Adding callee -> caller candidates from end-of-candidates gives a connection',
    async run(stage) {
      stage.wire.drop(from('ada', candidates))
      const late = stage.wire.hold(from('bob', candidates))
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const { near, far } = stage.begin(ada, bob)
      const callee = await far
      await stage.until('the callee has gathered', () => callee.peerConnection?.iceGatheringState === 'complete' && late.letters.length > 0)
      late.release()
      await stage.talk({ near, far: callee })
    },
  },
  {
    title: 'Explicit offer/answer exchange gives a connection, everything in reverse order',
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada'), await stage.peer('bob')]
      const { near, far } = stage.begin(ada, bob)
      const first = stage.wire.hold(from('ada'))
      await stage.until('the caller has said it all', () => near.peerConnection?.iceGatheringState === 'complete' && first.letters.length > 1)
      const second = stage.wire.hold(from('bob'))
      first.release(letters => letters.reverse())
      const callee = await far
      await stage.until('the callee too', () => callee.peerConnection?.iceGatheringState === 'complete' && second.letters.length > 1)
      second.release(letters => letters.reverse())
      await stage.talk({ near, far: callee })
    },
  },
  {
    title: 'every message comes twice',
    async run(stage) {
      stage.wire.double(() => true)
      const pair = await connected(stage)
      const old = ufrags(pair.near.peerConnection!)[0]!
      pair.near.peerConnection!.restartIce()
      await stage.until('restarted', () => ufrags(pair.near.peerConnection!)[0] !== old && stage.rests(pair))
      await stage.talk(pair)
    },
  },
  {
    // The first OFFER aside: to a PeerJS peer a copy of it would be another connection, and nobody has answered yet.
    title: 'an answer and an offer that are lost are sent again',
    async run(stage) {
      stage.wire.drop(answers, 1)
      const pair = await connected(stage, impatient)
      await stage.settled(pair)
      const old = ufrags(pair.far.peerConnection!)[0]
      stage.wire.drop(offers, 1)
      pair.far.peerConnection!.restartIce()
      await stage.until('restarted', () => stage.rests(pair) && ufrags(pair.far.peerConnection!)[0] !== old)
    },
  },
  {
    title: 'lost candidates are sent again',
    async run(stage) {
      stage.wire.drop(from('ada', candidates), 1)
      stage.wire.drop(from('bob', candidates), 1)
      const pair = await connected(stage, impatient)
      await stage.settled(pair)
    },
  },
  ...trickles.map(([trickle, what]): Scenario => ({
    title: `candidate exchange, trickle ${trickle}: ${what}`,
    async run(stage) {
      const [ada, bob] = [await stage.peer('ada', { trickle }), await stage.peer('bob', { trickle })]
      const pair = await stage.connect(ada, bob)
      await stage.settled(pair)
      const said = (id: string): string => stage.wire.log.filter(from(id)).map(({ type, payload }) =>
        type === 'CANDIDATE' ? type : `${type}${/^a=candidate:/m.test(payload.sdp.sdp) ? ' with candidates' : ''}`).join()
      const whole = { full: [/^OFFER,CANDIDATE/, /^ANSWER(,CANDIDATE)*$/], half: [/^OFFER with candidates$/, /^ANSWER(,CANDIDATE)*$/],
        none: [/^OFFER with candidates$/, /^ANSWER with candidates$/] }[trickle]
      stage.check(`ada said ${said('ada')}`, whole[0]!.test(said('ada')))
      stage.check(`bob said ${said('bob')}`, whole[1]!.test(said('bob')))
    },
  })),
  {
    title: 'candidates that name no usernameFragment, as older browsers send them',
    async run(stage) {
      stage.wire.change(candidates, (letter) => {
        for (const candidate of candidatesOf(letter)) delete candidate.usernameFragment
        return letter
      })
      const pair = await connected(stage)
      await stage.settled(pair)
    },
  },
]
