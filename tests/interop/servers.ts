/** The two signaling servers, each as it comes, with ways to lose them. */
import type { Server as HttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { PeerServer } from 'peer'
import { createSignalingServer } from '../../js/server/index.js'
import type { Places } from './page/stage.js'

export type ServerName = 'PeerServer' | 'peerbridge'

export interface TestServer extends Places {
  readonly name: ServerName
  /** Gone at once, with every socket, as a process that was killed. */
  stop(): Promise<void>
  /** There again, at the same place, with nothing remembered. */
  start(): Promise<void>
}

/** A peer that is missing is told after so long, ms. Both count from the first message for it. */
const expire = 1000

/** Forwards to `port`, a quarter of a second after it was asked. */
async function slowly(port: () => number): Promise<Server> {
  const server = createServer((near) => {
    near.pause()
    setTimeout(() => {
      const far = connect(port(), '127.0.0.1')
      for (const [from, to] of [[near, far], [far, near]] as const) {
        from.pipe(to)
        from.on('error', () => to.destroy())
      }
    }, 250)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

const path = '/interop'
const host = '127.0.0.1'
const nowhere = { host, port: 0, path }

interface Running { port: number, stop(): Promise<void> }

class World implements TestServer {
  place = { ...nowhere }
  far = { ...nowhere }
  discreet = { ...nowhere }
  #main: Running | null = null
  readonly #more: { stop(): Promise<void> }[] = []

  constructor(readonly name: ServerName, private readonly run: (port: number, allow_discovery: boolean) => Promise<Running>) {}

  async begin(): Promise<void> {
    await this.start()
    const discreet = await this.run(0, false)
    this.discreet.port = discreet.port
    const proxy = await slowly(() => this.place.port)
    this.far.port = (proxy.address() as AddressInfo).port
    this.#more.push(discreet, { stop: async () => void proxy.close() })
  }

  async start(): Promise<void> {
    this.#main = await this.run(this.place.port, true)
    this.place.port = this.#main.port
  }

  async stop(): Promise<void> {
    await this.#main?.stop()
    this.#main = null
  }

  async end(): Promise<void> {
    for (const one of this.#more) await one.stop()
    await this.stop()
  }
}

async function peerServer(port: number, allow_discovery: boolean): Promise<Running> {
  const server = await new Promise<HttpServer>((resolve) => {
    const options = { host, port, path, allow_discovery, expire_timeout: expire, cleanup_out_msgs: 100 }
    PeerServer(options as never, server => resolve(server as HttpServer))
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const ended = new Promise(resolve => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await ended
    },
  }
}

async function ourServer(port: number, allow_discovery: boolean): Promise<Running> {
  const listener = await createSignalingServer({ path, allow_discovery, expire_timeout: expire }).listen({ port, host })
  return { port: listener.port, stop: () => listener.close(0) }
}

export async function startServers(): Promise<World[]> {
  const servers = [new World('PeerServer', peerServer), new World('peerbridge', ourServer)]
  for (const server of servers) await server.begin()
  return servers
}
