/** RTCPeerConnection-perfect-negotiation, both roles: 'ada' is polite, because her id is the smaller one. */
import type { Scenario } from '../stage.js'
import { offers } from '../wire.js'

const roles = [['ada', 'bob', ''], ['bob', 'ada', ' with roles reversed']] as const

export const perfectNegotiation: Scenario[] = roles.flatMap(([caller, callee, role]): Scenario[] => [
  {
    title: `Perfect negotiation setup connects${role}`,
    async run(stage) {
      const [near, far] = [await stage.peer(caller), await stage.peer(callee)]
      const call = await stage.call(near, far, await stage.media('video'))
      await stage.settled(call)
      await stage.add(call.far, 'audio')
      await stage.settled(call)
      stage.check('two transceivers', call.near.peerConnection!.getTransceivers().length === 2)
    },
  },
  {
    title: `Perfect negotiation glare${role}`,
    async run(stage) {
      const [near, far] = [await stage.peer(caller), await stage.peer(callee)]
      const call = await stage.call(near, far, await stage.media('audio'), await stage.media('audio'))
      await stage.settled(call)
      const crossing = stage.wire.hold(offers)
      await Promise.all([stage.add(call.near, 'video'), stage.add(call.far, 'video')])
      await stage.until('both offers are on their way', () => crossing.letters.length === 2)
      crossing.release()
      await stage.settled(call)
    },
  },
])
