import { describe, expect, it } from 'vitest'
import { health } from '../../js/server/health.js'
import { respond } from '../../js/server/http.js'
import type { Hub } from '../../js/server/hub.js'
import { createSignalingServer } from '../../js/server/index.js'
import { World } from './world.js'

const ask = async (server: ReturnType<typeof createSignalingServer>): Promise<{ status: number, body: unknown }> => {
  const response = await server.fetch(new Request('http://host/signal/health'))
  return { status: response.status, body: await response.json() }
}

describe('GET health', () => {
  it('says that all is well, and no more', async () => {
    expect(await ask(createSignalingServer({ path: '/signal' }))).toEqual({ status: 200, body: { status: 'ok' } })
  })

  it('says whether Redis answers, which is no reason to start the server anew', () => {
    const now = (redis: Hub['redis'], isClosed = false) => health({ redis, isClosed } as Hub)
    expect(now('up')).toEqual({ status: 'ok', redis: 'up' })
    expect(now('down')).toEqual({ status: 'degraded', redis: 'down' })
    expect(now('down', true)).toEqual({ status: 'closing', redis: 'down' })
  })

  it('is 503 once the server says goodbye, so that nobody is sent there any more', async () => {
    const server = createSignalingServer({ path: '/signal' })
    await server.close()
    expect(await ask(server)).toEqual({ status: 503, body: { status: 'closing' } })
  })
})

describe('GET metrics', () => {
  const scrape = (server: ReturnType<typeof createSignalingServer>, headers: Record<string, string> = {}): Promise<Response> =>
    Promise.resolve(server.fetch(new Request('http://host/metrics', { headers })))

  it('is not there unless it is wanted', async () => {
    expect((await scrape(createSignalingServer())).status).toBe(404)
  })

  it('is for who has the token', async () => {
    const server = createSignalingServer({ metrics: { token: 'scrape-me' } })
    for (const authorization of ['', 'scrape-me', 'Bearer', 'Bearer scrape', 'Bearer scrape-me-not', 'Basic scrape-me']) {
      const { status, headers } = await scrape(server, { authorization })
      expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    }
    expect((await scrape(server, { authorization: 'Bearer scrape-me' })).status).toBe(200)
    expect(() => createSignalingServer({ metrics: { token: '' } })).toThrow(/metrics.token/)
  })

  it('counts what happens, in the words of Prometheus', async () => {
    const world = new World({ metrics: true, rate_burst: 4, rate_limit: 0.001, reserve_timeout: 0 })
    const alice = world.client('alice')
    const bob = world.client('bob')
    world.client('alice', 'another token')
    world.client(null)
    world.client('no good id ')
    alice.offer('bob', 'x'.repeat(1000))
    alice.offer('nobody')
    for (let i = 0; i < 5; i++) bob.heartbeat()
    Object.defineProperty(world.hub, 'redis', { value: 'down' })
    await respond(world.hub, { method: 'GET', path: '/nowhere/at/all', headers: new Headers() })
    const answer = await respond(world.hub, { method: 'GET', path: '/metrics', headers: new Headers() })
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await answer.text()
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(?:# (?:HELP [a-z_]+ \S.*|TYPE [a-z_]+ (?:counter|gauge))|[a-z_]+(?:\{[a-z]+="[^"]*"\})? -?[\d.e+]+)$/)
    }
    const value = (name: string): number => Number(text.split('\n').find(line => line.startsWith(`${name} `))?.split(' ').at(-1))
    expect(value('peerbridge_clients')).toBe(1)
    expect(value('peerbridge_links_total')).toBe(2)
    expect(value('peerbridge_messages_held')).toBe(1)
    expect(value('peerbridge_messages_total')).toBe(2)
    expect(value('peerbridge_message_units_total')).toBeGreaterThan(1000)
    expect(value('peerbridge_refused_total{reason="id-taken"}')).toBe(1)
    expect(value('peerbridge_refused_total{reason="error"}')).toBe(1)
    expect(value('peerbridge_refused_total{reason="invalid-id"}')).toBe(1)
    expect(value('peerbridge_expelled_total{reason="rate-limited"}')).toBe(1)
    expect(value('peerbridge_http_answers_total{status="404"}')).toBe(1)
    expect(value('peerbridge_up{part="redis"}')).toBe(0)
    expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  })
})
