import type { Readable } from 'node:stream'
import type { SignalingRequest } from './request.js'
import { headersOf } from './request.js'

/** What is used of Node's request. */
export interface NodeRequest extends Readable {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Record<string, string | string[] | undefined>
  readonly socket?: { readonly remoteAddress?: string | undefined } | null
  /** A framework's parser was there before. */
  readonly body?: unknown
}

/** What is used of Node's response. */
export interface NodeResponse {
  readonly destroyed: boolean
  writeHead(status: number, headers: Record<string, string>): unknown
  write(chunk: Uint8Array): boolean
  end(chunk?: Uint8Array | string): unknown
  once(event: 'drain' | 'close', listener: () => void): unknown
  on(event: 'error', listener: () => void): unknown
}

/** A Node request as the endpoint looks at it. */
export function fromNode(request: NodeRequest, response: NodeResponse, path = request.url ?? '/'): SignalingRequest {
  const end = new AbortController()
  response.once('close', () => end.abort())
  const { method = 'GET' } = request
  return { method, path, headers: headersOf(request), address: request.socket?.remoteAddress, signal: end.signal, body: bodyOf(request) }
}

function bodyOf(request: NodeRequest): SignalingRequest['body'] {
  const { body } = request
  if (typeof body === 'string' || body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  // Of Nitro's stand-in, which is no stream.
  return body === null ? '' : request
}

/** Writes the answer as fast as it is taken, and stops it when nobody takes it any more. */
export async function toNode(answer: Response, response: NodeResponse): Promise<void> {
  // Without a listener a reset of the other end would end the process.
  response.on('error', () => {})
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  const reader = answer.body?.getReader()
  if (!reader) return void response.end()
  let free = (): void => {}
  response.once('close', () => {
    free()
    reader.cancel().catch(() => {})
  })
  if (response.destroyed) await reader.cancel()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    if (response.write(value)) continue
    await new Promise<void>((resolve) => {
      free = resolve
      if (response.destroyed) resolve()
      else response.once('drain', resolve)
    })
  }
  response.end()
}
