// What a request says, in whatever form it comes.
import type { Readable } from 'node:stream'
import type { Progress } from './hub.js'
import type { ResolvedOptions } from './options.js'

/** A request, as far as the endpoint looks at it. */
export interface SignalingRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: Pick<Headers, 'get'>
  /** Of the other end of the socket. */
  readonly address?: string | undefined
  readonly body?: Body
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined
}

/** What a request's body is read from: Node's request, the web's, or what a framework has read already. */
export type Body = Readable | ReadableStream<Uint8Array> | string | Uint8Array | null | undefined

/** The headers of a Node request, as a web request has them. */
export function headersOf(request: { readonly headers: Record<string, string | string[] | undefined> }): Pick<Headers, 'get'> {
  return {
    get(name) {
      const value = request.headers[name]
      return (Array.isArray(value) ? value.join(', ') : value) ?? null
    },
  }
}

/**
 * Where a client is: the other end of its socket, or what the proxies in front of the server say. Each of them adds to the
 * list the address that it sees, so what the client itself claims stands further left.
 */
export function addressOf(options: ResolvedOptions, socket: string | undefined, headers: Pick<Headers, 'get'> | undefined): string | undefined {
  if (options.proxied === 0) return socket
  const forwarded = headers?.get('x-forwarded-for')?.split(',').map(address => address.trim()).filter(Boolean) ?? []
  const address = forwarded.at(-options.proxied) ?? forwarded[0]
  // Some proxies add the port.
  return address?.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1').replace(/^\[([^\]]*)\](?::\d+)?$/, '$1').slice(0, 64) ?? socket
}

/** The query of what was asked for. Not by `new URL()`, which throws at a forged Host header. */
export function queryOf({ path }: SignalingRequest): URLSearchParams {
  return new URLSearchParams(/\?([^#]*)/.exec(path)?.[1])
}

/** What a client that counts messages says when it connects; null for any other, PeerJS's among them. */
export function progressOf(query: URLSearchParams): Progress | null {
  const [, session, link] = /^([\w-]{1,64})\.(\d{1,9})$/.exec(query.get('link') ?? '') ?? []
  if (session === undefined) return null
  const count = (name: string): number => {
    const text = query.get(name) ?? ''
    return /^\d{1,15}$/.test(text) ? Number(text) : 0
  }
  return { session, link: Number(link), got: count('got'), sent: count('sent') }
}
