/** The built package, served by itself to real browsers: a page, and the signaling server beside it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { expect, test as base } from '@playwright/test'
import type { Browser, Page } from '@playwright/test'
import { build } from 'esbuild'
import type { Peer, PeerOptions } from '../../js/index.js'
import type * as SignalingServer from '../../js/server/index.js'
import type { PeerServerApp, PeerServerOptions } from '../../js/server/index.js'

const root = join(import.meta.dirname, '../..')

declare global {
  interface Window { Peer: typeof Peer, peer: Peer, arrived: unknown[] }
}

/** Serves the package, a page, and signaling below /signal. */
export class Site {
  readonly server: Server
  readonly app: PeerServerApp
  /** What came, by kind and client. */
  readonly came = new Set<string>()
  /** Kinds that do not get through. */
  readonly blocked = new Set<'ws' | 'sse' | 'poll'>()
  readonly #sockets = new Set<Socket>()
  readonly #upgraded = new Set<Socket>()

  private constructor(server: Server, app: PeerServerApp) {
    this.server = server
    this.app = app
  }

  static async start(options: PeerServerOptions = {}): Promise<Site> {
    const { ExpressPeerServer } = await import(join(root, 'dist/server/index.js')) as typeof SignalingServer
    const files = await bundle()
    const server = createServer()
    const app = ExpressPeerServer(server, { path: '/signal', ...options })
    const site = new Site(server, app)
    // Before the server itself looks at it.
    server.on('upgrade', (request, socket: Socket) => {
      site.#note('ws', request.url)
      site.#upgraded.add(socket)
      if (site.blocked.has('ws')) socket.destroy()
    })
    app.emit('mount', undefined)
    server.on('connection', socket => site.#sockets.add(socket))
    server.on('request', (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://x')
      const [, kind] = /^\/signal\/peerjs\/(sse|poll)$/.exec(pathname) ?? []
      if (kind) site.#note(kind, request.url)
      if (kind && site.blocked.has(kind as 'sse' | 'poll')) return void response.destroy()
      app(request, response, () => {
        const file = files.get(pathname)
        response.setHeader('content-type', file === undefined ? 'text/html' : 'text/javascript')
        response.end(file ?? '<!doctype html><script type="module">import { Peer } from "/index.js"; window.Peer = Peer</script>')
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return site
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`
  }

  #note(kind: string, url = '/'): void {
    this.came.add(`${kind} ${new URL(url, 'http://x').searchParams.get('id') ?? ''}`)
  }

  /** WebSockets do not get through any more, and those that are there break. */
  blockWebSockets(): void {
    this.blocked.add('ws')
    for (const socket of this.#upgraded) socket.destroy()
  }

  async close(): Promise<void> {
    this.server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.server, 'close')
  }
}

/** The package as an application's bundler makes it, by path. */
async function bundle(): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'dist/index.js')], bundle: true, splitting: true, format: 'esm', write: false, outdir: '/', target: 'es2022', external: ['vue'],
  })
  return new Map(outputFiles.map(({ path, text }) => [path, text]))
}

/** A page of its own browser context, with a peer on it. */
export async function person(browser: Browser, site: Site, id: string, options: PeerOptions = {}): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await page.goto(site.url)
  await page.waitForFunction(() => !!window.Peer)
  await page.evaluate(async ([id, options, port]) => {
    const peer = window.peer = new window.Peer(id, { host: location.hostname, port, path: '/signal', config: { iceServers: [] }, ...options })
    window.arrived = []
    peer.on('connection', conn => conn.on('data', data => window.arrived.push(data)))
    await peer.ready
  }, [id, options, Number(new URL(site.url).port)] as const)
  return page
}

export const test = base.extend<{ site: Site, tidy: void }>({
  // A page that stays goes on trying to reach a server that has ended, and keeps a camera from the tests that follow.
  tidy: [async ({ browser }, use) => {
    await use()
    for (const context of browser.contexts()) await context.close()
  }, { auto: true }],
  site: async ({}, use) => {
    const site = await Site.start()
    await use(site)
    await site.close()
  },
})

export { expect }
