// The handler below h3 1.x, as Nitro and Nuxt carry it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createApp, createRouter, toNodeListener } from 'h3'
import type { EventHandler } from 'h3'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createSignalingServer } from '../../js/server/index.js'

const signaling = createSignalingServer({ path: '/api/signal' })
/** Where who has no stream is given up at once. */
const brief = createSignalingServer({ path: '/brief', absence_timeout: 20 })
const router = createRouter()
  .use('/api/signal/**', signaling.handler as unknown as EventHandler)
  .use('/brief/**', brief.handler as unknown as EventHandler)
const server = createServer(toNodeListener(createApp().use(router)))
let origin: string

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

const url = (kind: string, id: string, more = '', path = '/api/signal') => `${origin}${path}/peerjs/${kind}?id=${id}&token=t&link=page.1&${more}`

it('answers polls and takes POSTs', async () => {
  expect(await (await fetch(url('id', ''))).text()).toMatch(/^[0-9a-f-]{36}$/)
  expect(await (await fetch(url('poll', 'bob'))).text()).toBe('{"type":"OPEN","got":0,"n":0}\n')
  const posted = await fetch(url('poll', 'bob', 'from=1'), { method: 'POST', body: '{"type":"OFFER","dst":"bob","payload":"me"}' })
  expect(await posted.text()).toBe('{"type":"OPEN","got":1,"n":0}\n{"type":"OFFER","src":"bob","dst":"bob","payload":"me"}\n')
})

it('streams events, and notices when nobody reads them any more', async () => {
  const cut = new AbortController()
  const stream = await fetch(url('sse', 'carol', '', '/brief'), { signal: cut.signal })
  expect(stream.headers.get('content-type')).toBe('text/event-stream')
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const until = async (what: string) => {
    while (!text.includes(what)) text += (await reader.read()).value
  }
  await until('data: {"type":"OPEN","got":0,"n":0}\n\n')
  await fetch(url('sse', 'carol', 'from=1', '/brief'), { method: 'POST', body: '{"type":"OFFER","dst":"carol","payload":"me"}' })
  await until('id: 1\ndata: {"type":"OFFER","src":"carol","dst":"carol","payload":"me"}\n\n')
  cut.abort()
  await vi.waitUntil(() => !brief.hub.has('carol'), { interval: 1 })
})

it('refuses a body that is too large, and goes on', async () => {
  await fetch(url('poll', 'dave'))
  expect((await fetch(url('poll', 'dave', 'from=1'), { method: 'POST', body: 'x'.repeat(2_000_000) })).status).toBe(413)
  expect((await fetch(url('poll', 'erin'))).status).toBe(200)
})
