import { once } from 'node:events'
import { Agent, get } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensure } from '../../scripts/outputs.mjs'
import { Socket, connect, peerjsUrl } from '../server/socket.js'
import { App } from './app.js'

let app: App
let base: string

beforeAll(async () => {
  ensure('library')
  await App.build()
  app = await App.start()
  base = `${app.ws}/api/signal/`
})
afterAll(() => app?.stop())

describe('an application that only names the module', () => {
  it('renders usePeer() on the server, inert and without an import', async () => {
    const html = await (await fetch(app.url)).text()
    expect(html).toContain('state: idle, id: none, supported: false, connections: 0')
    expect(html).toMatch(/\d\d kinds of error/)
  })

  it('tells the page where its endpoint is, and nothing that is private', async () => {
    const html = await (await fetch(app.url)).text()
    expect(html).toContain('/api/signal')
    expect(html).not.toMatch(/concurrent_limit|server:\{/)
  })

  it('answers a stock PeerJS client over HTTP', async () => {
    const about = await fetch(`${app.url}/api/signal`)
    expect(await about.json()).toEqual({ name: 'peerbridge', description: expect.any(String), website: expect.any(String) })
    expect((await fetch(`${app.url}/api/signal/`)).status).toBe(200)
    const id = await fetch(`${app.url}/api/signal/peerjs/id?ts=17000000000000.5&version=1.5.5`)
    expect(await id.text()).toMatch(/^[0-9a-f-]{36}$/)
    expect((await fetch(`${app.url}/api/signal/peerjs/peers`)).status).toBe(401)
    expect((await fetch(`${app.url}/api/signal/peerjs`)).status).toBe(426)
    expect((await fetch(`${app.url}/api/signal/nothing/here`)).status).toBe(404)
  })

  it('relays between two of them over WebSocket', async () => {
    const alice = await connect(base, 'alice')
    const bob = await connect(base, 'bob')
    alice.offer('bob', { type: 'data', connectionId: 'dc_1' })
    expect(await bob.next()).toEqual({ type: 'OFFER', src: 'alice', dst: 'bob', payload: { type: 'data', connectionId: 'dc_1' } })
    bob.send({ type: 'ANSWER', dst: 'alice', payload: {} })
    expect(await alice.next()).toMatchObject({ type: 'ANSWER', src: 'bob' })
    await Promise.all([alice.close(), bob.close()])
  })

  it('answers polls, POSTs and event streams beside it', async () => {
    const url = (kind: string, id: string, more = '') => `${app.url}/api/signal/peerjs/${kind}?id=${id}&token=t&link=page.1&${more}`
    const alice = await connect(base, 'alice')
    expect(await (await fetch(url('poll', 'polling'))).text()).toBe('{"type":"OPEN","got":0,"n":0}\n')
    const held = fetch(url('poll', 'polling'))
    alice.offer('polling', 'hello')
    expect(await (await held).text()).toContain('"payload":"hello"')
    const answer = await fetch(url('poll', 'polling', 'got=1&from=1'), { method: 'POST', body: '{"type":"ANSWER","dst":"alice","payload":"hi"}' })
    expect(await answer.text()).toBe('{"type":"OPEN","got":1,"n":1}\n')
    expect(await alice.next()).toMatchObject({ src: 'polling', payload: 'hi' })

    const cut = new AbortController()
    const stream = await fetch(url('sse', 'streaming'), { signal: cut.signal })
    expect(stream.headers.get('content-type')).toBe('text/event-stream')
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const until = async (what: string) => {
      while (!text.includes(what)) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`the stream ended after ${text}`)
        text += value
      }
    }
    await until('data: {"type":"OPEN","got":0,"n":0}\n\n')
    alice.offer('streaming', 'streamed')
    await until('id: 1\ndata: {"type":"OFFER","payload":"streamed","src":"alice","dst":"streaming"}\n\n')
    expect((await fetch(url('sse', 'streaming', 'from=1'), { method: 'POST', body: 'not JSON\n' })).status).toBe(200)
    expect((await fetch(url('sse', 'streaming', 'from=2'), { method: 'POST', body: 'x'.repeat(2_000_000) })).status).toBe(413)
    cut.abort()
    await alice.close()
  })

  it('keeps the order of many messages, also of those that waited', async () => {
    const alice = await connect(base, 'alice')
    for (let i = 0; i < 30; i++) alice.offer('late', i)
    // Round trip: the server has them all.
    alice.offer('alice', 'there')
    await alice.next()
    const late = await connect(base, 'late')
    for (let i = 30; i < 60; i++) alice.offer('late', i)
    for (let i = 0; i < 60; i++) expect(await late.next()).toMatchObject({ payload: i })
    await Promise.all([alice.close(), late.close()])
  })

  it('follows the rules: ID-TAKEN, coming back, wrong addresses', async () => {
    const alice = await connect(base, 'alice')
    const thief = new Socket(peerjsUrl(base, 'alice', { token: 'another' }))
    expect(await thief.next()).toMatchObject({ type: 'ID-TAKEN' })
    const again = await connect(base, 'alice')
    expect(await alice.ended).toBe(4001)
    expect(await new Socket(`${app.ws}/api/signal/other?key=peerjs&id=a&token=t`).ended).toBe(404)
    expect(await new Socket(`${base}peerjs`).next()).toMatchObject({ type: 'ERROR' })
    await again.close()
  })

  it('survives bad input, and so does everybody else', async () => {
    const alice = await connect(base, 'alice')
    const bob = await connect(base, 'bob')
    for (const frame of ['', 'hello', '{"type":', Buffer.from([0, 255, 254])]) bob.send(frame)
    bob.offer('alice', 'x'.repeat(300 * 1024))
    expect(await bob.next()).toMatchObject({ type: 'ERROR', payload: { type: 'message-too-big' } })
    expect(await bob.ended).toBe(1009)
    // Far above: refused while it arrives, although Nitro itself would take 100 MiB.
    const carol = await connect(base, 'carol')
    carol.offer('alice', 'x'.repeat(2 * 1024 * 1024))
    expect(await carol.ended).toBe(1009)
    const dave = await connect(base, 'dave')
    dave.offer('alice', 'hello')
    expect(await alice.next()).toMatchObject({ src: 'dave', payload: 'hello' })
    await Promise.all([alice.close(), dave.close()])
  })

  it('follows the base URL that it is started with', async () => {
    const below = await App.start({ NUXT_APP_BASE_URL: '/below/' })
    try {
      expect((await fetch(`${below.url}/below/api/signal/peerjs/id`)).status).toBe(200)
      const alice = await connect(`${below.ws}/below/api/signal/`, 'alice')
      await alice.close()
    }
    finally {
      await below.stop()
    }
  })

  it('says goodbye when it is asked to end, and to clients that count what it accepted', async () => {
    const alice = await connect(base, 'alice')
    const bob = new Socket(`${peerjsUrl(base, 'bob')}&link=page.1`)
    expect(await bob.next()).toEqual({ type: 'OPEN', got: 0, n: 0 })
    // One connection, so that the poll that waits does not have to be let in first: Nitro cuts off who comes after its signal.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const poll = () => get(`${app.url}/api/signal/peerjs/poll?id=leaving&token=t&link=page.1`, { agent })
    const status = async (request: ClientRequest) => {
      const [answer] = await once(request, 'response') as [IncomingMessage]
      await once(answer.resume(), 'end')
      return answer.statusCode
    }
    expect(await status(poll())).toBe(200)
    const waiting = poll()
    const held = status(waiting)
    await once(waiting, 'finish')
    // What is answered now came after it.
    await fetch(`${app.url}/api/signal`)
    for (let i = 0; i < 3; i++) bob.offer('alice', i)
    for (let i = 0; i < 3; i++) expect(await alice.next()).toMatchObject({ payload: i })
    expect(await app.stop()).toBe(0)
    expect(await bob.next()).toEqual({ type: 'OPEN', got: 3, n: 0 })
    expect([await alice.ended, await bob.ended, await held]).toEqual([1001, 1001, 410])
  })
})
