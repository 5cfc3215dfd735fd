import { describe, expect, it } from 'vitest'
import { watch } from '../../js/server/health.js'
import { createSignalingServer } from '../../js/server/index.js'

const ask = async (server: ReturnType<typeof createSignalingServer>): Promise<{ status: number, body: unknown }> => {
  const response = await server.fetch(new Request('http://host/signal/health'))
  return { status: response.status, body: await response.json() }
}

describe('GET health', () => {
  it('says that all is well, and no more', async () => {
    expect(await ask(createSignalingServer({ path: '/signal' }))).toEqual({ status: 200, body: { status: 'ok' } })
  })

  it('says what does not answer, and is no reason to start the server anew', async () => {
    const server = createSignalingServer({ path: '/signal' })
    let up = true
    watch(server.hub, 'redis', () => up)
    expect(await ask(server)).toEqual({ status: 200, body: { status: 'ok', redis: 'up' } })
    up = false
    expect(await ask(server)).toEqual({ status: 200, body: { status: 'degraded', redis: 'down' } })
  })

  it('is 503 once the server says goodbye, so that nobody is sent there any more', async () => {
    const server = createSignalingServer({ path: '/signal' })
    await server.close()
    expect(await ask(server)).toEqual({ status: 503, body: { status: 'closing' } })
  })
})
