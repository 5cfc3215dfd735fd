import { noop } from '../events.js'
import { cloudHost, cloudPort, defaultConfig, isSecure, randomToken, validateId } from '../util.js'
import { pack, unpack } from './binarypack.js'

/** What this browser can do; see {@link util}. */
export interface Supports {
  /** A browser, and a version of it, that PeerJS names as supported: Chrome 72, Firefox 59, Safari (WebKit) 605, and nothing on iOS. */
  browser: boolean
  webRTC: boolean
  audioVideo: boolean
  data: boolean
  binaryBlob: boolean
  reliable: boolean
}

/** One piece of a message, as PeerJS sends it. */
export interface Chunk {
  /** Which message, from 1. */
  __peerData: number
  /** Which piece, from 0. */
  n: number
  /** How many pieces. */
  total: number
  data: ArrayBuffer | Uint8Array<ArrayBuffer>
}

const chunkedMTU = 16_300

interface Surroundings {
  userAgent?: string
  platform?: string
  userAgentData?: { brands?: { brand: string, version: string }[] }
  mozGetUserMedia?: unknown
  webkitGetUserMedia?: unknown
}

const surroundings = (): Surroundings => (globalThis.navigator ?? {}) as Surroundings

/** By what webrtc-adapter looks at, so that an application gets the words that it had from PeerJS. */
function detect(): [name: string, version: number] {
  const { userAgent, userAgentData, mozGetUserMedia, webkitGetUserMedia } = surroundings()
  if (!userAgent || typeof window === 'undefined') return ['Not a browser.', 0]
  const version = (pattern: RegExp): number => Number(pattern.exec(userAgent)?.[1] ?? 0)
  const chromium = userAgentData?.brands?.find(({ brand }) => brand === 'Chromium')
  if (chromium) return ['chrome', Number.parseInt(chromium.version)]
  if (mozGetUserMedia || /Firefox\/\d/.test(userAgent)) return ['firefox', version(/Firefox\/(\d+)/)]
  if (webkitGetUserMedia || /Chrom(?:e|ium)\/\d/.test(userAgent)) return ['chrome', version(/Chrom(?:e|ium)\/(\d+)/)]
  const webkit = version(/AppleWebKit\/(\d+)/)
  return webkit && 'RTCPeerConnection' in globalThis ? ['safari', webkit] : ['Not a supported browser.', 0]
}

const leastVersion: Record<string, number> = { chrome: 72, firefox: 59, safari: 605 }

/** Not the whole buffer where bytes are a part of one. */
const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): ArrayBuffer =>
  byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)

let messages = 0

/** PeerJS's `util`. Nothing in it is computed before it is read, and reading it makes no RTCPeerConnection. */
export const util = {
  CLOUD_HOST: cloudHost,
  CLOUD_PORT: cloudPort,
  /** Of PeerJS's chunks, in bytes. */
  chunkedMTU,
  /** As in PeerJS, where nothing reads it. */
  chunkedBrowsers: { Chrome: 1, chrome: 1 },
  defaultConfig,
  noop,
  randomToken,
  isSecure,
  validateId,
  /** `'chrome'` (and what is made of Chromium), `'firefox'`, `'safari'`, or a sentence; for logs: {@link Supports} says what can be. */
  get browser(): string {
    return detect()[0]
  },
  /** Of Safari it is the version of WebKit. */
  get browserVersion(): number {
    return detect()[1]
  },
  /** Read anew at every access. */
  get supports(): Supports {
    const pc = (globalThis.RTCPeerConnection as typeof RTCPeerConnection | undefined)?.prototype
    const webRTC = !!pc
    const data = webRTC && 'createDataChannel' in pc
    const [name, version] = detect()
    const ios = /^(?:iPad|iPhone|iPod)$/.test(surroundings().platform ?? '')
    return {
      browser: version >= (leastVersion[name] ?? Infinity) && !(name === 'safari' && ios),
      webRTC, audioVideo: webRTC && 'addTrack' in pc, data, binaryBlob: data && !ios, reliable: data,
    }
  },
  /**
   * The bytes of a value as a `binary` connection sends it; a promise when a Blob is inside.
   * @throws {PeerError} 'data-clone' for what BinaryPack cannot carry
   */
  pack(value: unknown): ArrayBuffer | Promise<ArrayBuffer> {
    const packed = pack(value)
    return packed instanceof Promise ? packed.then(bufferOf) : bufferOf(packed)
  },
  /** The value of such bytes. @throws {PeerError} when they are none */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- PeerJS has a type parameter there
  unpack: <T = any>(bytes: ArrayBuffer): T => unpack(bytes) as T,
  /** Cuts bytes into the pieces that PeerJS sends; they are of the same kind. */
  chunk(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Chunk[] {
    const message = ++messages
    const total = Math.ceil(bytes.byteLength / chunkedMTU)
    return Array.from({ length: total }, (_, n) =>
      ({ __peerData: message, n, data: bytes.slice(n * chunkedMTU, (n + 1) * chunkedMTU), total }))
  },
  blobToArrayBuffer(blob: Blob, callback: (bytes: ArrayBuffer | null) => void): FileReader {
    const reader = new FileReader()
    reader.onloadend = () => callback(reader.result as ArrayBuffer | null)
    reader.readAsArrayBuffer(blob)
    return reader
  },
  binaryStringToArrayBuffer: (binary: string): ArrayBuffer =>
    Uint8Array.from(binary, char => char.charCodeAt(0) & 255).buffer,
}
