import { noop } from './events.js'

/** What this browser can do; see {@link util}. */
export interface Supports {
  /** WebRTC as this package needs it. */
  browser: boolean
  webRTC: boolean
  audioVideo: boolean
  data: boolean
  binaryBlob: boolean
  reliable: boolean
}

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
export const defaultConfig: RTCConfiguration = {
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

const agent = (): string => globalThis.navigator?.userAgent ?? ''

const browsers = [['edge', /Edg\/(\d+)/], ['chrome', /Chrom(?:e|ium)\/(\d+)/], ['firefox', /Firefox\/(\d+)/],
  ['safari', /Version\/(\d+).*Safari/]] as const

function browserMatch(): [name: string, version: number] {
  for (const [name, pattern] of browsers) {
    const match = pattern.exec(agent())
    if (match) return [name, Number(match[1])]
  }
  return ['unknown', 0]
}

/** PeerJS's `util`. Nothing in it is computed before it is read, and reading it makes no RTCPeerConnection. */
export const util = {
  CLOUD_HOST: cloudHost,
  CLOUD_PORT: cloudPort,
  /** Of PeerJS's chunks, in bytes. */
  chunkedMTU: 16_300,
  defaultConfig,
  noop,
  randomToken,
  isSecure,
  /** `'chrome'`, `'firefox'`, `'safari'`, `'edge'` or `'unknown'`; for logs: ask {@link Supports} what is possible. */
  get browser(): string {
    return browserMatch()[0]
  },
  get browserVersion(): number {
    return browserMatch()[1]
  },
  /** Read anew at every access. */
  get supports(): Supports {
    const pc = (globalThis.RTCPeerConnection as typeof RTCPeerConnection | undefined)?.prototype
    const webRTC = !!pc
    const data = webRTC && 'createDataChannel' in pc
    return { browser: data, webRTC, audioVideo: webRTC && 'addTrack' in pc, data, binaryBlob: data, reliable: data }
  },
  /** PeerJS's rule for ids: letters and digits, single spaces, `_` or `-` between them. An empty id is fine: the server gives one. */
  validateId: (id: string): boolean => !id || /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/.test(id),
  blobToArrayBuffer(blob: Blob, callback: (bytes: ArrayBuffer | null) => void): void {
    blob.arrayBuffer().then(callback, () => callback(null))
  },
  binaryStringToArrayBuffer: (binary: string): ArrayBuffer =>
    Uint8Array.from(binary, char => char.charCodeAt(0) & 255).buffer,
}
