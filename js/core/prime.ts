import type { CoreFactory } from './load.js'
import type { CoreInput } from './types.js'

const sdp = 'v=0\r\na=ice-ufrag:u\r\n'
const ids = ['a', 'b'] as const

/**
 * One handshake between two cores, which nobody sees and which goes nowhere. Browsers compile each function of a wasm when
 * it is called first; so that happens now, and not in the first connection.
 */
export function prime(factory: CoreFactory): void {
  const peers = ids.map((id, seed) => ({ id, core: factory.create({ seed }, 0), transport: 0 }))
  const [caller, callee] = peers as [typeof peers[0], typeof peers[0]]
  const todo: [typeof caller, CoreInput][] = peers.map(peer => [peer, { type: 'start', id: peer.id, token: '' }])
  todo.push([caller, {
    type: 'connect', connection: 1, peer: callee.id, connectionId: 'c', kind: 'data', label: '', serialization: '', reliable: true,
  }])
  let now = 0
  for (let next; (next = todo.shift());) {
    const [peer, input] = next
    const calls = peer === caller
    // For so long candidates wait for company at most.
    if (input.type === 'timeout') now += 200
    peer.core.handle(input, now)
    for (let output; (output = peer.core.poll());) {
      switch (output.type) {
        case 'signaling-connect':
          peer.transport = output.transport
          todo.unshift([peer, { type: 'signaling-message', transport: output.transport, text: '{"type":"OPEN"}' }])
          break
        case 'signaling-send': {
          const other = calls ? callee : caller
          const text = `{"src":"${peer.id}",${output.text.slice(1)}`
          todo.push([other, { type: 'signaling-message', transport: other.transport, text }])
          break
        }
        case 'set-local-description':
          todo.push([peer, { type: 'op-done', op: output.op, sdpType: calls ? 'offer' : 'answer', sdp }],
            [peer, { type: 'local-candidate', link: output.link, candidate: 'candidate:', sdpMid: '0', usernameFragment: 'u' }],
            [peer, { type: 'timeout' }])
          break
        case 'set-remote-description':
        case 'add-candidate':
          todo.push([peer, { type: 'op-done', op: output.op }])
          break
        case 'link-create':
          if (calls) todo.push([peer, { type: 'negotiation-needed', link: output.link }])
          break
        default:
      }
    }
    peer.core.deadline()
  }
  for (const { core } of peers) core.dispose()
}
