/**
 * One frame has one library, alone: what PeerJS's webrtc-adapter does to the browser's objects happens to nobody else. The
 * page around it (stage.ts) calls what is set here, and all values that a library shall see are made here, in its own realm.
 */
import type * as Ours from '../../../js/index.js'
import type * as PeerJS from 'peerjs'
import { describe, make } from './values.js'

export type LibraryName = 'peerbridge' | 'peerjs' | 'peerjs-1.4'

/** Where a signaling server listens. */
export interface Place { host: string, port: number, path: string, key?: string }

/** What both have in common, which is the point. */
export type Library = typeof PeerJS & Pick<typeof Ours, 'PeerError'>
export type AnyPeer = PeerJS.Peer
export type AnyConnection = PeerJS.DataConnection
export type AnyCall = PeerJS.MediaConnection

const load: Record<LibraryName, () => Promise<unknown>> = {
  'peerbridge': () => import('../../../js/index.js'),
  'peerjs': () => import('peerjs'),
  'peerjs-1.4': () => import('peerjs-1.4'),
}

/** Of its own realm, at any depth: PeerJS asks for `constructor === Object`. */
const own = <T>(value: T): T => value === undefined ? value : structuredClone(value)

export interface Frame {
  name: LibraryName
  lib: Library
  /** `ours`: options that PeerJS does not know; it ignores them. */
  peer(id: string | undefined, place: Place, options?: object): AnyPeer
  /** What was thrown and not caught, and promises that nobody looked at. */
  uncaught: string[]
  offers: string[]
  make: typeof make
  describe: typeof describe
  own: typeof own
  window: Window
}

/** The connectionId of every OFFER that the server handed over here: PeerJS takes a second one for another connection. */
const offers: string[] = []
const Socket = window.WebSocket
window.WebSocket = class extends Socket {
  constructor(...given: ConstructorParameters<typeof Socket>) {
    super(...given)
    this.addEventListener('message', ({ data }) => {
      const { type, payload } = JSON.parse(String(data)) as { type: string, payload?: { connectionId: string } }
      if (type === 'OFFER') offers.push(payload!.connectionId)
    })
  }
}

const name = new URLSearchParams(location.search).get('lib') as LibraryName
const module = await load[name]() as Library & { default?: Library }
// A CommonJS build has its names inside.
const lib = (module.Peer ? module : module.default) as Library

const uncaught: string[] = []
window.addEventListener('error', event => uncaught.push(String(event.message)))
window.addEventListener('unhandledrejection', event => uncaught.push(`unhandled: ${String(event.reason)}`))

const frame: Frame = {
  name, lib, uncaught, offers, make, describe, own, window,
  peer(id, place, options = {}) {
    // Built in with us; an application of PeerJS has to bring it.
    const serializers = name === 'peerjs' ? { MsgPack: lib.MsgPack } : undefined
    const all = { ...own(place), secure: false, config: { iceServers: [] }, debug: 0, ...serializers && { serializers }, ...options }
    return id === undefined ? new lib.Peer(all) : new lib.Peer(id, all)
  },
}

;(window as unknown as { frame: Frame }).frame = frame
