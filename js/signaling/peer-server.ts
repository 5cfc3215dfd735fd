import { messageOf, PeerError } from '../errors.js'
import { noop } from '../events.js'
import { version } from '../version.js'
import type { SignalingChannel, SignalingHandlers, SignalingTransport } from './transport.js'

/** Where a PeerServer listens. */
export interface PeerServerLocation {
  host: string
  port: number
  /** With a slash at both ends. */
  path: string
  key: string
  /** wss and https instead of ws and http. */
  secure: boolean
  /** Of the HTTP requests. @default 'strict-origin-when-cross-origin' */
  referrerPolicy?: ReferrerPolicy
}

/** WebSocket and HTTP as PeerServer speaks them; the default transport. */
export function peerServer(at: PeerServerLocation): SignalingTransport {
  const base = `${at.secure ? 's' : ''}://${at.host}:${at.port}${at.path}`
  const encode = encodeURIComponent

  async function get(what: string, signal?: AbortSignal): Promise<Response> {
    // The time keeps caches from answering; PeerServer ignores both parameters.
    const url = `http${base}${encode(at.key)}/${what}?ts=${Date.now()}${Math.random()}&version=${version}`
    let response: Response
    try {
      response = await fetch(url, { referrerPolicy: at.referrerPolicy ?? 'strict-origin-when-cross-origin', signal: signal ?? null })
    }
    catch (cause) {
      throw new PeerError('server-error', `The signaling server at http${base} does not answer (${messageOf(cause)}). Check host, port, path and secure.`, { cause })
    }
    if (response.ok) return response
    throw new PeerError('server-error', response.status === 401 && what === 'peers'
      ? 'The signaling server does not list its peers. Start it with discovery allowed (allow_discovery).'
      : `The signaling server answered ${response.status} to ${what}. Check path (${at.path}) and key.`)
  }

  return {
    name: 'peerserver',
    requestId: async signal => (await get('id', signal)).text(),
    listPeers: async signal => (await get('peers', signal)).json() as Promise<string[]>,

    connect(id: string, token: string, handlers: SignalingHandlers): SignalingChannel {
      const where = `ws${base}peerjs`
      const url = `${where}?key=${encode(at.key)}&id=${encode(id)}&token=${encode(token)}&version=${version}`
      let report: SignalingHandlers | null = handlers
      let opened = false
      const closed = (reason: string): void => {
        const to = report
        report = null
        to?.closed(reason)
      }
      let socket: WebSocket
      try {
        socket = new WebSocket(url)
      }
      catch (error) { // a malformed URL, or ws:// from an https page
        setTimeout(closed, 0, `No WebSocket to ${where}: ${messageOf(error)}`)
        return { send: noop, close: () => { report = null } }
      }
      socket.onopen = () => {
        opened = true
        report?.opened()
      }
      socket.onmessage = ({ data }) => {
        if (typeof data === 'string') report?.message(data)
      }
      // A browser tells no reason with 'error', and 'close' always follows.
      socket.onclose = ({ code, reason }) => closed(opened
        ? `The WebSocket to ${where} closed (${code}${reason && `, ${reason}`}).`
        : `The WebSocket to ${where} did not open. Check that a signaling server listens there.`)
      return {
        send: text => socket.send(text),
        close() {
          report = null
          socket.close()
        },
      }
    },
  }
}
