import { messageOf, PeerError } from '../errors.js'
import { noop } from '../events.js'
import { version } from '../version.js'
import { randomToken } from '../util.js'
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
  /** @default 'peerserver' */
  signaling?: unknown
  /** See PeerOptions. */
  auth?: string | (() => string | Promise<string>)
}

/** One that others can take the place of, see choose.ts. */
export interface PeerServerTransport extends SignalingTransport {
  readonly at: PeerServerLocation
  /** Names the life of this page to a server that counts messages. */
  readonly session: string
  /** What every request carries from now on. */
  readonly credential: { auth: string }
  /** Where the server has `what` for this client, over HTTP. Over here, so that who is loaded later needs nothing of this file. */
  url(what: string, id: string, token: string): string
}

/** WebSocket and HTTP as PeerServer speaks them; the default transport. */
export function peerServer(at: PeerServerLocation): PeerServerTransport {
  const base = `${at.secure ? 's' : ''}://${at.host}:${at.port}${at.path}`
  const session = randomToken()
  const encode = encodeURIComponent
  const key = encode(at.key)
  const { auth } = at
  const asked = typeof auth === 'function'
  const credential = { auth: asked ? '' : auth ?? '' }
  const about = (): string => `&version=${version}${credential.auth && `&auth=${encode(credential.auth)}`}`
  const who = (id: string, token: string): string => `id=${encode(id)}&token=${encode(token)}${about()}`

  async function get(what: string, signal?: AbortSignal): Promise<Response> {
    // The time keeps caches from answering; PeerServer ignores both parameters.
    const url = `http${base}${key}/${what}?ts=${Date.now()}${Math.random()}${about()}`
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
    at,
    session,
    credential,
    url: (what, id, token) => `http${base}${key}/${what}?${who(id, token)}`,
    late: asked || (!!at.signaling && at.signaling !== 'peerserver'),
    requestId: async signal => (await get('id', signal)).text(),
    listPeers: async signal => (await get('peers', signal)).json() as Promise<string[]>,

    connect(id, token, handlers, progress): SignalingChannel {
      const where = `ws${base}peerjs`
      const url = `${where}?key=${key}&${who(id, token)}${progress?.() ?? `&link=${session}.1&got=0&sent=0`}`
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
