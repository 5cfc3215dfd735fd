/** The same scripts for PeerJS and for peerbridge; what they hear is compared in parity.spec.ts. */
import type { AnyCall, AnyConnection, AnyPeer, Frame, LibraryName, Place } from './frame.js'
import { Recorder } from './recorder.js'
import type { Places } from './stage.js'
import { frame, until } from './stage.js'

class Script extends Recorder {
  readonly #peers: AnyPeer[] = []

  constructor(readonly subject: Frame, readonly other: Frame, readonly server: Places, readonly prefix: string) { super() }

  get place(): Place { return this.server.place }

  /** Ids are of this run only: servers hold what was sent to those of an earlier one. */
  id(name: string): string { return `${this.prefix}${name}` }

  make(who: string, at: Frame, options: object = {}, id: string | undefined = this.id(who), place = this.place): AnyPeer {
    const peer = at.peer(id, place, options)
    this.#peers.push(peer)
    return this.peer(who, peer)
  }

  /** The one that is compared. */
  a(options: object = {}, id?: string): AnyPeer { return this.make('a', this.subject, options, id) }
  b(): AnyPeer { return this.make('b', this.other) }

  async opened(who: string): Promise<void> { await until(() => this.heard(who, 'open'), `${who} open`) }

  /** a, open. */
  async open(options: object = {}): Promise<AnyPeer> {
    const a = this.a(options)
    await this.opened('a')
    return a
  }

  async pair(): Promise<[AnyPeer, AnyPeer]> {
    const pair: [AnyPeer, AnyPeer] = [this.a(), this.b()]
    await Promise.all([this.opened('a'), this.opened('b')])
    return pair
  }

  /** a connected to b. */
  async connected(options: object = {}): Promise<{ a: AnyPeer, b: AnyPeer, ab: AnyConnection, ba: AnyConnection }> {
    const [a, b] = await this.pair()
    let ba: AnyConnection | undefined
    b.on('connection', (conn) => { ba = this.connection('ba', conn) })
    const ab = this.connection('ab', a.connect(this.id('b'), this.subject.own({ reliable: true, ...options })))
    await until(() => this.heard('ab', 'open') && this.heard('ba', 'open'), 'both open')
    return { a, b, ab, ba: ba! }
  }

  /** b connected to a. */
  async taken(): Promise<{ a: AnyPeer, b: AnyPeer, ab: AnyConnection, ba: AnyConnection }> {
    const [a, b] = await this.pair()
    let ab: AnyConnection | undefined
    a.on('connection', (conn) => { ab = this.connection('ab', conn) })
    const ba = this.connection('ba', b.connect(this.id('a'), this.other.own({ reliable: true })))
    await until(() => this.heard('ab', 'open') && this.heard('ba', 'open'), 'both open')
    return { a, b, ab: ab!, ba }
  }

  /** Until the server does not know it any more. */
  async forgotten(who: string): Promise<void> {
    const { host, port, path } = this.place
    const peers = async (): Promise<string[]> => (await fetch(`http://${host}:${port}${path}/peerjs/peers`)).json() as Promise<string[]>
    while ((await peers()).includes(this.id(who)));
  }

  look(who: string, peer: AnyPeer): void {
    this.say(who, `id=${peer.id} open=${peer.open} disconnected=${peer.disconnected} destroyed=${peer.destroyed}`)
  }

  attempt(who: string, what: string, call: () => unknown): void {
    try {
      const result = call()
      this.say(who, `${what}: ${result === undefined ? 'undefined' : typeof result}`)
    }
    catch (error) {
      this.say(who, `${what} throws ${(error as Error).message ? 'an Error' : String(error)}`)
    }
  }

  end(): void {
    for (const peer of this.#peers) peer.destroy()
  }
}

const silence = (at: Frame): MediaStream => {
  const audio = new (at.window as unknown as { AudioContext: typeof AudioContext }).AudioContext()
  return audio.createMediaStreamDestination().stream
}
const camera = (at: Frame, what: MediaStreamConstraints = { audio: true, video: true }): Promise<MediaStream> =>
  at.window.navigator.mediaDevices.getUserMedia(what)

const scripts = {
  'an id that is not allowed': async (run: Script) => {
    const a = run.a({}, '-a')
    run.look('a', a)
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'an id that is taken': async (run: Script) => {
    run.b()
    await run.opened('b')
    const a = run.a({}, run.id('b'))
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'an id from the server': async (run: Script) => {
    const a = run.subject.peer(undefined, run.place)
    a.on('open', id => run.say('a', `open ${typeof id}, its own: ${id === a.id}`))
    await until(() => run.heard('a', 'open'), 'open')
    a.destroy()
  },
  'an id that is a number': async (run: Script) => {
    const a = run.a({}, 12345 as never)
    await run.opened('a')
    run.look('a', a)
  },
  'a peer that was just made': async (run: Script) => {
    const a = run.a()
    run.look('a', a)
    await run.opened('a')
    run.look('a', a)
  },
  'a key that the server does not know': async (run: Script) => {
    const a = run.a({ key: 'wrong' })
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'no server, and an id of one\'s own': async (run: Script) => {
    const a = run.a({ port: 9, autoReconnect: false })
    await until(() => run.heard('a', 'disconnected'), 'disconnected')
    run.look('a', a)
  },
  'no server, and no id': async (run: Script) => {
    const a = run.peer('a', run.subject.peer(undefined, run.place, { port: 9, autoReconnect: false }))
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'no such path, and no id': async (run: Script) => {
    const a = run.peer('a', run.subject.peer(undefined, run.place, { path: '/nothing', autoReconnect: false }))
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'a peer that is not there': async (run: Script) => {
    const a = await run.open()
    const ab = run.connection('ab', a.connect(run.id('nobody')))
    await until(() => run.heard('a', 'error'), 'error')
    run.look('a', a)
    run.say('ab', `open=${ab.open}`)
  },
  'connect() to oneself': async (run: Script) => {
    const a = await run.open()
    const ab = run.connection('ab', a.connect(run.id('a'), run.subject.own({ reliable: true })))
    await until(() => run.heard('ab', 'close') || run.heard('a', 'connection'), 'an end, or another end')
    run.say('ab', `open=${ab.open}`)
  },
  'a call to a peer that is not there': async (run: Script) => {
    const a = await run.open()
    run.call('ab', a.call(run.id('nobody'), silence(run.subject)))
    await until(() => run.heard('a', 'error'), 'error')
    run.look('a', a)
  },
  'disconnect()': async (run: Script) => {
    const a = await run.open()
    a.disconnect()
    run.say('a', 'disconnect() returned')
    run.look('a', a)
    a.disconnect()
    run.attempt('a', 'connect()', () => a.connect(run.id('b')))
    run.attempt('a', 'call()', () => a.call(run.id('b'), silence(run.subject)))
    run.look('a', a)
  },
  'destroy()': async (run: Script) => {
    const a = await run.open()
    a.destroy()
    run.say('a', 'destroy() returned')
    run.look('a', a)
    a.destroy()
    run.attempt('a', 'connect()', () => a.connect(run.id('b')))
    run.attempt('a', 'reconnect()', () => a.reconnect())
    await until(() => run.heard('a', 'close'), 'close')
  },
  'destroy() after disconnect()': async (run: Script) => {
    const a = await run.open()
    a.disconnect()
    a.destroy()
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'destroy() before open': async (run: Script) => {
    const a = run.a()
    a.destroy()
    run.say('a', 'destroy() returned')
    await until(() => run.heard('a', 'close'), 'close')
    run.look('a', a)
  },
  'disconnect() and reconnect()': async (run: Script) => {
    const a = await run.open()
    a.disconnect()
    // PeerServer answers nothing to one that it still knows, and PeerJS then waits for ever.
    await run.forgotten('a')
    run.attempt('a', 'reconnect()', () => a.reconnect())
    run.look('a', a)
    await until(() => run.count('a', 'open') === 2, 'open again')
    run.look('a', a)
    run.b()
    await run.opened('b')
    run.connection('ab', a.connect(run.id('b'), run.subject.own({ reliable: true })))
    await until(() => run.heard('ab', 'open'), 'open')
  },
  'reconnect() while open': async (run: Script) => {
    const a = await run.open()
    run.attempt('a', 'reconnect()', () => a.reconnect())
    run.look('a', a)
  },
  'reconnect() before open': async (run: Script) => {
    const a = run.a()
    run.attempt('a', 'reconnect()', () => a.reconnect())
    await run.opened('a')
    run.look('a', a)
  },
  'the server goes': async (run: Script) => {
    const { a, ab, ba } = await run.connected()
    await window.server(run.server.name, 'stop')
    await until(() => run.heard('a', 'disconnected'), 'disconnected')
    run.look('a', a)
    ab.send('still')
    await until(() => run.heard('ba', 'data'), 'data')
    ba.send('here')
    await until(() => run.heard('ab', 'data'), 'data')
    await window.server(run.server.name, 'start')
  },
  'the server goes and comes': async (run: Script) => {
    const a = await run.open()
    await window.server(run.server.name, 'stop')
    await until(() => run.heard('a', 'disconnected'), 'disconnected')
    await window.server(run.server.name, 'start')
    // What applications do whose peer does not come back by itself.
    run.attempt('a', 'reconnect()', () => a.reconnect())
    await until(() => run.count('a', 'open') === 2, 'open again')
    run.look('a', a)
  },
  'the server goes and comes, and nobody calls reconnect()': async (run: Script) => {
    const a = await run.open()
    await window.server(run.server.name, 'stop')
    await until(() => run.heard('a', 'disconnected'), 'disconnected')
    await window.server(run.server.name, 'start')
    // Of one that never comes back nothing can be awaited, but that another peer had the time.
    if (run.subject.name === 'peerbridge') await until(() => run.count('a', 'open') === 2, 'open again')
    run.b()
    await run.opened('b')
    run.look('a', a)
  },
  'reconnect() whenever disconnected': async (run: Script) => {
    const a = await run.open()
    let times = 0
    a.on('disconnected', () => {
      times++
      a.reconnect()
    })
    await window.server(run.server.name, 'stop')
    await until(() => times > 0, 'disconnected')
    await window.server(run.server.name, 'start')
    await until(() => run.count('a', 'open') === 2, 'open again')
    // How often an attempt failed before the server was there is the machine's affair.
    run.log.a = run.log.a!.filter((line, at, all) => at < 3 || !all.slice(1, at).includes(line) || line.startsWith('open'))
    run.look('a', a)
  },
  'disconnect(), and the server stays': async (run: Script) => {
    const a = await run.open()
    a.disconnect()
    run.b()
    await run.opened('b')
    await window.server(run.server.name, 'stop')
    await until(() => run.heard('b', 'disconnected'), 'b disconnected')
    await window.server(run.server.name, 'start')
    run.make('c', run.other)
    await run.opened('c')
    run.look('a', a)
  },
  'connect() before open': async (run: Script) => {
    run.b()
    await run.opened('b')
    const a = run.make('a', run.subject, {}, run.id('a'), run.server.far)
    run.connection('ab', a.connect(run.id('b'), run.subject.own({ reliable: true })))
    await run.opened('a')
    // One that is made now is open later than one that was made before, if that one opens at all.
    run.connection('later', a.connect(run.id('b'), run.subject.own({ reliable: true })))
    await until(() => run.heard('later', 'open'), 'open')
  },
  'call() without a stream': async (run: Script) => {
    const a = await run.open()
    run.attempt('a', 'call()', () => a.call(run.id('b'), undefined as never))
    run.look('a', a)
  },
  'send() before open': async (run: Script) => {
    const [a] = await run.pair()
    const ab = run.connection('ab', a.connect(run.id('b'), run.subject.own({ reliable: true })))
    ab.send('too early')
    run.say('ab', `open=${ab.open}`)
    await until(() => run.heard('ab', 'open'), 'open')
  },
  'close() before open': async (run: Script) => {
    const [a] = await run.pair()
    const ab = run.connection('ab', a.connect(run.id('b'), run.subject.own({ reliable: true })))
    ab.close()
    run.say('ab', `open=${ab.open}`)
    run.say('a', `connections ${JSON.stringify(a.connections[run.id('b') as never] ?? [])}`)
  },
  'data both ways, closed by who connected': async (run: Script) => {
    const { ab, ba } = await run.connected()
    ab.send(run.subject.own({ from: 'a' }))
    await until(() => run.heard('ba', 'data'), 'data')
    ba.send(run.other.own({ from: 'b' }))
    await until(() => run.heard('ab', 'data'), 'data')
    ab.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
    run.say('ab', `open=${ab.open}`)
    ab.close()
  },
  'closed by the other side': async (run: Script) => {
    const { ab, ba } = await run.connected()
    ba.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
    run.say('ab', `open=${ab.open}`)
  },
  'closed after what was sent': async (run: Script) => {
    const { ab } = await run.connected()
    for (let at = 0; at < 5; at++) ab.send(at)
    ab.close({ flush: true })
    await until(() => run.heard('ba', 'close'), 'close')
    await until(() => run.heard('ab', 'close'), 'close')
  },
  'closed by who was connected to': async (run: Script) => {
    const { ab } = await run.taken()
    ab.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
  },
  'send() after close()': async (run: Script) => {
    const { ab } = await run.connected()
    ab.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
    ab.send('late')
  },
  'a value that cannot be sent': async (run: Script) => {
    const { ab } = await run.connected({ serialization: 'binary' })
    run.attempt('ab', 'send()', () => void ab.send(run.subject.make('function')))
    ab.send('and on')
    await until(() => run.heard('ba', 'data'), 'data')
  },
  'the other peer is destroyed': async (run: Script) => {
    const { a, b } = await run.connected()
    b.destroy()
    await until(() => run.heard('ab', 'close'), 'close')
    run.look('a', a)
  },
  'destroyed with a connection': async (run: Script) => {
    const { a } = await run.connected()
    a.destroy()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close') && run.heard('a', 'close'), 'close')
    run.say('a', `connections ${Object.keys(a.connections).length}`)
  },
  'what a connection knows': async (run: Script) => {
    const { a, ab, ba } = await run.connected({ label: 'chat', metadata: { m: 1 }, serialization: 'json', connectionId: 'dc_mine' })
    for (const [who, conn] of [['ab', ab], ['ba', ba]] as const) {
      const { peer, label, metadata, serialization, reliable, connectionId, type, open } = conn
      const name = peer.slice(run.prefix.length)
      run.say(who, JSON.stringify({ name, label, metadata, serialization, reliable, connectionId, type, open }))
    }
    run.say('ab', `provider ${ab.provider === a}, RTCPeerConnection ${ab.peerConnection?.connectionState !== undefined}`)
    run.say('ab', `channel ${ab.dataChannel.label} ${ab.dataChannel.readyState}, waits ${(ab as unknown as { bufferSize: number }).bufferSize}`)
    run.say('ab', `options ${JSON.stringify(Object.entries(ab.options as object).filter(([name]) => !name.startsWith('_')).sort())}`)
  },
  'what an incoming connection knows': async (run: Script) => {
    const { a, ab } = await run.taken()
    const { peer, reliable, serialization, type, open } = ab
    run.say('ab', JSON.stringify({ peer: peer.slice(run.prefix.length), reliable, serialization, type, open }))
    run.say('ab', `label is the connectionId ${ab.label === ab.connectionId}, begins ${ab.connectionId.slice(0, 3)}, provider ${ab.provider === a}`)
    run.say('ab', `options ${JSON.stringify(Object.keys(ab.options as object).filter(name => !name.startsWith('_')).sort())}`)
  },
  'an incoming connection, at once': async (run: Script) => {
    const [a, b] = await run.pair()
    a.on('connection', (conn) => {
      run.say('a', `open=${conn.open} RTCPeerConnection=${!!conn.peerConnection} listed=${a.getConnection(conn.peer, conn.connectionId) === conn}`)
    })
    run.connection('ba', b.connect(run.id('a'), run.other.own({ reliable: true })))
    await until(() => run.heard('ba', 'open') && run.log.a!.length > 2, 'open')
  },
  'a connection, at once': async (run: Script) => {
    const [a] = await run.pair()
    const ab = run.connection('ab', a.connect(run.id('b')))
    run.say('ab', `open=${ab.open} RTCPeerConnection=${!!ab.peerConnection} label=${ab.label === ab.connectionId} reliable=${ab.reliable} ${ab.serialization} ${JSON.stringify(ab.metadata)}`)
    run.say('a', `listed ${(a.connections as Record<string, unknown[]>)[run.id('b')]?.[0] === ab}, by id ${a.getConnection(run.id('b'), ab.connectionId) === ab}, another ${a.getConnection(run.id('b'), 'x')}, nobody ${a.getConnection('x', 'x')}`)
    await until(() => run.heard('ab', 'open'), 'open')
  },
  'connections after a close': async (run: Script) => {
    const { a, ab } = await run.connected()
    run.say('a', `before ${(a.connections as Record<string, unknown[]>)[run.id('b')]?.length}`)
    ab.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
    run.say('a', `after ${(a.connections as Record<string, unknown[]>)[run.id('b')]?.length}, null prototype ${Object.getPrototypeOf(a.connections) === null}`)
  },
  'listAllPeers()': async (run: Script) => {
    const [a] = await run.pair()
    await new Promise<void>((resolve) => {
      a.listAllPeers((ids) => {
        run.say('a', `lists ${ids.includes(run.id('a'))} ${ids.includes(run.id('b'))}`)
        resolve()
      })
    })
  },
  'listAllPeers() without leave': async (run: Script) => {
    const a = run.make('a', run.subject, {}, run.id('a'), run.server.discreet)
    await run.opened('a')
    a.listAllPeers()
    await until(() => run.heard('a', 'error'), 'error')
    run.look('a', a)
  },
  'metadata that is left out': async (run: Script) => {
    const { ab, ba } = await run.connected()
    run.say('ab', String(ab.metadata))
    run.say('ba', String(ba.metadata))
  },
  'sdpTransform of connect()': async (run: Script) => {
    const [a, b] = await run.pair()
    b.on('connection', conn => conn.on('open', () => run.say('ba', `sees ${conn.peerConnection.remoteDescription!.sdp.includes('s=changed')}`)))
    const sdpTransform = (sdp: string): string => {
      run.say('ab', `transforms ${typeof sdp} ${sdp.startsWith('v=0')}`)
      return sdp.replace('s=-', 's=changed')
    }
    run.connection('ab', a.connect(run.id('b'), { reliable: true, sdpTransform } as never))
    await until(() => run.heard('ba', 'sees'), 'open')
  },
  'sdpTransform of call() and answer()': async (run: Script) => {
    const [a, b] = await run.pair()
    b.on('call', (call) => {
      call.answer(silence(run.other), { sdpTransform: (sdp: string) => sdp.replace('s=-', 's=answered') })
      call.on('stream', () => run.say('ba', `sees ${call.peerConnection.remoteDescription!.sdp.includes('s=called')}`))
    })
    const call = a.call(run.id('b'), silence(run.subject), { sdpTransform: (sdp: string) => sdp.replace('s=-', 's=called') })
    call.on('stream', () => run.say('ab', `sees ${call.peerConnection.remoteDescription!.sdp.includes('s=answered')}`))
    await until(() => run.heard('ab', 'sees') && run.heard('ba', 'sees'), 'streams')
  },
  'constraints of call()': async (run: Script) => {
    const [a, b] = await run.pair()
    const there = await camera(run.other)
    b.on('call', call => call.answer(there))
    const call = a.call(run.id('b'), silence(run.subject), { constraints: { offerToReceiveVideo: true } } as never)
    call.on('stream', stream => run.say('ab', stream.getTracks().map(track => track.kind).sort().join('+')))
    await until(() => run.heard('ab', 'audio+video'), 'video')
    run.log.ab = ['audio+video']
    there.getTracks().forEach(track => track.stop())
  },
  'a call without them': async (run: Script) => {
    const [a, b] = await run.pair()
    const there = await camera(run.other)
    b.on('call', call => call.answer(there))
    const call = a.call(run.id('b'), silence(run.subject))
    call.on('stream', stream => run.say('ab', stream.getTracks().map(track => track.kind).sort().join('+')))
    await until(() => run.heard('ab', 'audio'), 'audio')
    there.getTracks().forEach(track => track.stop())
  },
  'a call with sound and picture': async (run: Script) => {
    const [a, b] = await run.pair()
    const [here, there] = [await camera(run.subject), await camera(run.other)]
    b.on('call', (call) => {
      run.call('ba', call)
      call.answer(there)
    })
    const call = run.call('ab', a.call(run.id('b'), here))
    await until(() => ['ab', 'ba'].every(who => run.heard(who, 'stream') && run.heard(who, 'willCloseOnRemote')), 'streams')
    const of = call.remoteStream.getTracks().map(({ kind, readyState }) => `${kind} ${readyState}`).sort().join()
    run.say('ab', `${of}, the last one told ${call.remoteStream.getTracks().length}`)
    call.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
    run.say('ab', `here ${here.getTracks().map(track => track.readyState).join()}`)
    for (const track of [...here.getTracks(), ...there.getTracks()]) track.stop()
  },
  'a call': async (run: Script) => {
    const [a, b] = await run.pair()
    const there = silence(run.other)
    b.on('call', (call) => {
      run.call('ba', call)
      run.say('ba', `open=${call.open} metadata=${JSON.stringify(call.metadata)} local=${!!call.localStream} remote=${!!call.remoteStream} type=${call.type}`)
      call.answer(there)
      run.say('ba', `open=${call.open} local=${call.localStream === there}`)
    })
    const here = silence(run.subject)
    const call = run.call('ab', a.call(run.id('b'), here, { metadata: { who: 'a' } }))
    run.say('ab', `open=${call.open} local=${call.localStream === here} ${call.type} ${call.connectionId.slice(0, 3)} RTCPeerConnection=${!!call.peerConnection}`)
    await until(() => run.heard('ab', 'stream') && run.heard('ba', 'stream') && run.heard('ab', 'willCloseOnRemote') && run.heard('ba', 'willCloseOnRemote'), 'streams')
    run.say('ab', `open=${call.open} remote=${!!call.remoteStream}`)
    call.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
    run.say('ab', `open=${call.open}`)
  },
  'a call that the other side ends': async (run: Script) => {
    const [a, b] = await run.pair()
    let ba: AnyCall | undefined
    b.on('call', (call) => {
      ba = run.call('ba', call)
      call.answer()
    })
    run.call('ab', a.call(run.id('b'), silence(run.subject)))
    await until(() => run.heard('ba', 'stream') && run.heard('ab', 'willCloseOnRemote') && run.heard('ba', 'willCloseOnRemote'), 'stream')
    ba!.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
  },
  'a call that is ended before it is answered': async (run: Script) => {
    const [a, b] = await run.pair()
    b.on('call', call => run.call('ba', call))
    const call = run.call('ab', a.call(run.id('b'), silence(run.subject)))
    await until(() => run.heard('b', 'call'), 'call')
    call.close()
    run.say('ab', `open=${call.open}`)
    if (run.subject.name === 'peerbridge' && run.other.name === 'peerbridge') await until(() => run.heard('ba', 'close'), 'close there')
  },
  'a call that is never answered, and both go': async (run: Script) => {
    const [a, b] = await run.pair()
    b.on('call', call => run.call('ba', call))
    run.call('ab', a.call(run.id('b'), silence(run.subject)))
    await until(() => run.heard('b', 'call'), 'call')
    a.destroy()
    await until(() => run.heard('a', 'close'), 'close')
  },
  'a call to one who calls back': async (run: Script) => {
    const [a, b] = await run.taken().then(({ a, b }) => [a, b] as const)
    a.on('call', (call) => {
      run.call('ab2', call)
      run.say('ab2', `open=${call.open} RTCPeerConnection=${!!call.peerConnection} ${JSON.stringify(call.metadata)}`)
      call.answer(silence(run.subject))
      call.answer(silence(run.subject))
      run.say('ab2', `open=${call.open}`)
    })
    const call = run.call('ba2', b.call(run.id('a'), silence(run.other)))
    await until(() => ['ab2', 'ba2'].every(who => run.heard(who, 'stream') && run.heard(who, 'willCloseOnRemote')), 'streams')
    call.close()
    await until(() => run.heard('ab2', 'close') && run.heard('ba2', 'close'), 'close')
  },
  'a serializer of one\'s own': async (run: Script) => {
    const a = run.a({ serializers: reversed(run.subject) })
    const b = run.make('b', run.other, { serializers: reversed(run.other) })
    await Promise.all([run.opened('a'), run.opened('b')])
    let ba: AnyConnection | undefined
    b.on('connection', (conn) => { ba = run.connection('ba', conn) })
    const ab = run.connection('ab', a.connect(run.id('b'), run.subject.own({ serialization: 'reversed', reliable: true })))
    await until(() => run.heard('ab', 'open') && run.heard('ba', 'open'), 'both open')
    run.say('ab', `${ab.serialization} ${ab instanceof run.subject.lib.BufferedConnection} ${ab.type}`)
    ab.send(run.subject.own({ turned: 'round' }))
    await until(() => run.heard('ba', 'data'), 'data')
    ba!.send(run.other.own([1, 2]))
    await until(() => run.heard('ab', 'data'), 'data')
    ba!.close()
    await until(() => run.heard('ab', 'close') && run.heard('ba', 'close'), 'close')
  },
  'a listener that throws': async (run: Script) => {
    const { a, ab, ba } = await run.connected()
    ab.on('data', () => { throw new Error('of the application') })
    ba.send(1)
    ba.send(2)
    await until(() => run.count('ab', 'data') === 2, 'data')
    run.look('a', a)
  },
}

/** A serialization as applications of PeerJS make them. */
function reversed({ lib, own }: Frame): Record<string, never> {
  class Reversed extends lib.BufferedConnection {
    readonly serialization = 'reversed'
    protected _send(data: unknown): void {
      this._bufferedSend(own(new TextEncoder().encode(JSON.stringify(data)).reverse().buffer))
    }

    protected _handleDataMessage({ data }: MessageEvent<ArrayBuffer>): void {
      this.emit('data', JSON.parse(new TextDecoder().decode(new Uint8Array(data).slice().reverse())))
    }
  }
  return { reversed: Reversed as never }
}

export type ScriptName = keyof typeof scripts

let runs = 0

const interop = {
  names: () => Object.keys(scripts) as ScriptName[],
  async play(name: ScriptName, subject: LibraryName, other: LibraryName, server: Places): Promise<Record<string, string[]>> {
    const [a, b] = [await frame(subject, 'a'), await frame(other, 'b')]
    const prefix = `r${++runs}x`
    const run = new Script(a, b, server, prefix)
    a.uncaught.length = b.uncaught.length = 0
    try {
      await scripts[name](run)
    }
    catch (error) {
      throw new Error(`${name} with ${subject}: ${(error as Error).message}; heard ${JSON.stringify(run.log)}`)
    }
    // Nothing that comes later belongs to the script.
    const log = structuredClone(run.log)
    run.end()
    if (a.uncaught.length) log.uncaught = [...a.uncaught]
    // Which of the two comes first is decided by the browser, with both.
    for (const who of Object.keys(log)) {
      const late = (line: string): boolean => line === 'willCloseOnRemote'
      log[who] = [...log[who]!.filter(line => !late(line)), ...log[who]!.filter(late)]
    }
    return JSON.parse(JSON.stringify(log).replaceAll(prefix, '')) as Record<string, string[]>
  },
  /** Every member of `util` that is a plain value, and what the functions make of the same. */
  async util(name: LibraryName): Promise<Record<string, unknown>> {
    const at = await frame(name, 'a')
    const { util } = at.lib
    const packed = await util.pack(at.own({ hello: 'world', n: [1, -1, 0.5], bytes: new Uint8Array([1, 2, 3]) }))
    const pieces = (util as unknown as { chunk(bytes: ArrayBuffer): { n: number, total: number, data: Uint8Array }[] }).chunk(at.make('ArrayBuffer 28') as ArrayBuffer)
    return JSON.parse(JSON.stringify({
      ...util, defaultConfig: util.defaultConfig.iceServers,
      functions: ['pack', 'unpack', 'chunk', 'noop', 'validateId', 'randomToken', 'blobToArrayBuffer', 'binaryStringToArrayBuffer', 'isSecure'].map(member => typeof (util as never)[member]),
      pack: [...new Uint8Array(packed)], packKind: packed.constructor.name,
      unpack: at.describe(util.unpack(packed as ArrayBuffer)),
      chunk: pieces.map(({ n, total, data }) => [n, total, data.length, data.constructor.name]),
      binaryString: [...new Uint8Array(util.binaryStringToArrayBuffer('aÿ\u0100'))],
      blob: await new Promise(resolve => util.blobToArrayBuffer(at.make('Blob') as Blob, buffer => resolve(buffer?.byteLength))),
      secure: util.isSecure(), noop: typeof util.noop(), token: typeof util.randomToken(),
    })) as Record<string, unknown>
  },
  async validate(name: LibraryName, ids: string[]): Promise<boolean[]> {
    const { lib } = await frame(name, 'a')
    return ids.map(id => lib.util.validateId(id))
  },
}


;(window as unknown as { interop: typeof interop }).interop = interop

export type Interop = typeof interop
