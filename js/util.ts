// What a peer itself needs; PeerJS's `util` is in peerjs/util.ts, where nobody pays for it who does not import it.

/** 128 random bits, base 36, from the cryptographic generator: connection ids, and tokens, which are secrets. */
export function randomToken(): string {
  let token = ''
  for (const word of crypto.getRandomValues(new Uint32Array(4))) token += word.toString(36)
  return token
}

/** Where the plain defaults point: the public server of the PeerJS project. */
export const cloudHost = '0.peerjs.com'
export const cloudPort = 443

/**
 * The ICE servers of PeerJS's defaults. Public TURN servers are shared by the whole world: run your own for
 * anything that matters. (PeerJS's `sdpSemantics` is left out: browsers have known no other value since 2022.)
 */
export const defaultConfig: RTCConfiguration & { iceServers: RTCIceServer[] } = {
  iceServers: [
    { urls: 'stun:stun.l.google.com:19302' },
    {
      urls: ['turn:eu-0.turn.peerjs.com:3478', 'turn:us-0.turn.peerjs.com:3478'],
      username: 'peerjs',
      credential: 'peerjsp',
    },
  ],
}

/** Was the page loaded over https? False where there is no page. */
export const isSecure = (): boolean => globalThis.location?.protocol === 'https:'

/** PeerJS's rule for ids: letters and digits, single spaces, `_` or `-` between them. An empty id is fine: the server gives one. */
export const validateId = (id: string): boolean => !id || /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/.test(id)
