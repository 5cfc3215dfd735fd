import type { AnyCall, AnyConnection, AnyPeer } from './frame.js'

type Noisy = { on(name: string, listener: (...args: unknown[]) => void): unknown }

/** What happened to each of those that are recorded, each by itself: between two of them the network decides. */
export class Recorder {
  readonly log: Record<string, string[]> = {}

  say(who: string, what: string): void {
    (this.log[who] ??= []).push(what)
  }

  heard(who: string, what: string): boolean {
    return this.log[who]?.some(line => line === what || line.startsWith(`${what} `)) ?? false
  }

  /** Lines that begin with `what`. */
  count(who: string, what: string): number {
    return this.log[who]?.filter(line => line === what || line.startsWith(`${what} `)).length ?? 0
  }

  #on(who: string, of: unknown, name: string, detail: (value: unknown) => string): void {
    this.log[who] ??= [];
    (of as Noisy).on(name, (value) => {
      const more = detail(value)
      this.say(who, more ? `${name} ${more}` : name)
    })
  }

  peer(who: string, peer: AnyPeer): AnyPeer {
    for (const name of ['open', 'disconnected']) this.#on(who, peer, name, String)
    for (const name of ['connection', 'call']) this.#on(who, peer, name, other => (other as AnyConnection).peer)
    this.#on(who, peer, 'close', () => '')
    this.#on(who, peer, 'error', error => (error as { type: string }).type)
    return peer
  }

  connection(who: string, conn: AnyConnection): AnyConnection {
    this.#on(who, conn, 'data', value => JSON.stringify(value))
    this.#on(who, conn, 'open', () => '')
    return this.#both(who, conn) as AnyConnection
  }

  /** Without 'open', which PeerJS's calls do not have. */
  call(who: string, call: AnyCall): AnyCall {
    this.#on(who, call, 'stream', stream => (stream as MediaStream).getTracks().map(track => track.kind).sort().join('+'))
    this.#on(who, call, 'willCloseOnRemote', () => '')
    return this.#both(who, call) as AnyCall
  }

  #both(who: string, of: AnyConnection | AnyCall): AnyConnection | AnyCall {
    this.#on(who, of, 'close', () => '')
    this.#on(who, of, 'error', error => (error as { type: string }).type)
    return of
  }
}
