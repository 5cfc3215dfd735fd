import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { respond } from '../../js/server/http.js'
import { createToken, createTurnCredentials } from '../../js/server/index.js'
import { World } from './world.js'

describe('TURN credentials', () => {
  const options = { secret: 'north', urls: 'turn:turn.example.org', now: 1_700_000_000_500 }

  it('are what coturn computes from the same secret: base64(HMAC-SHA1(secret, username))', () => {
    const { username, credential } = createTurnCredentials({ ...options, user: 'alice', ttl: 600 })
    expect(username).toBe('1700000600:alice')
    expect(credential).toBe(createHmac('sha1', 'north').update('1700000600:alice').digest('base64'))
  })

  it('end after an hour, are an RTCIceServer, and need no user', () => {
    expect(createTurnCredentials(options)).toEqual({
      urls: 'turn:turn.example.org', username: '1700003600', credential: expect.any(String), expires: 1_700_003_600_000,
    })
  })

  it.each([
    ['no secret', { secret: '' }, 'secret'],
    ['a ttl of nothing', { ttl: 0 }, 'ttl'],
    ['a user with a colon', { user: 'a:b' }, 'user'],
  ])('are refused with %s', (_what, wrong, name) => {
    expect(() => createTurnCredentials({ ...options, ...wrong })).toThrow(name)
  })
})

describe('GET turn', () => {
  const secret = 'north'
  const turn = { secret, urls: ['turn:turn.example.org:3478', 'turns:turn.example.org:5349'], ttl: 600 }
  const signing = 'a secret that only this test knows'
  const ask = async (world: World, query: string, headers: Record<string, string> = {}): Promise<{ status: number, body: unknown }> => {
    const response = await respond(world.hub, { method: 'GET', path: `/peerjs/turn?${query}`, headers: new Headers(headers) })
    return { status: response.status, body: response.ok ? await response.json() : await response.text() }
  }

  it('gives a client that is connected credentials which coturn takes, and which end', async () => {
    const world = new World({ turn })
    world.client('alice', 't')
    const { status, body } = await ask(world, 'id=alice&token=t')
    expect(status).toBe(200)
    const { iceServers: [server], ttl } = body as { iceServers: { urls: string[], username: string, credential: string }[], ttl: number }
    expect(ttl).toBe(600)
    expect(server?.urls).toEqual(turn.urls)
    const [, end] = /^(\d+):alice$/.exec(server?.username ?? '') ?? []
    expect(Number(end) - Date.now() / 1000).toBeGreaterThan(590)
    expect(server?.credential).toBe(createHmac('sha1', secret).update(server?.username ?? '').digest('base64'))
    expect(JSON.stringify(body)).not.toContain(secret)
  })

  it.each([
    ['nobody', ''], ['who is not connected', 'id=bob&token=t'], ['who has another token', 'id=alice&token=x'], ['who has none', 'id=alice'],
    ['who has a signed token where none are known', `auth=${createToken({ secret: signing })}`],
  ])('does not for %s', async (_, query) => {
    const world = new World({ turn })
    world.client('alice', 't')
    expect((await ask(world, query)).status).toBe(401)
  })

  it('nor for who left, or what names another application', async () => {
    const world = new World({ turn })
    const alice = world.client('alice', 't')
    const other = await respond(world.hub, { method: 'GET', path: '/other/turn?id=alice&token=t', headers: new Headers() })
    expect(other.status).toBe(401)
    alice.drop()
    expect((await ask(world, 'id=alice&token=t')).status).toBe(401)
  })

  it('does for who has a signed token, of its id', async () => {
    const world = new World({ turn, tokens: { secret: signing } })
    expect((await ask(world, `auth=${createToken({ secret: signing })}`)).status).toBe(200)
    expect((await ask(world, `id=alice&auth=${createToken({ secret: signing, id: 'alice' })}`)).status).toBe(200)
    expect((await ask(world, `id=bob&auth=${createToken({ secret: signing, id: 'alice' })}`)).status).toBe(401)
    expect((await ask(world, `id=a:b&auth=${createToken({ secret: signing })}`)).status).toBe(401)
    expect((await ask(world, `auth=${createToken({ secret: signing, now: 0 })}`)).status).toBe(401)
  })

  it('not as often as one wants, nor for pages of other origins', async () => {
    const world = new World({ turn, corsOptions: { origin: ['https://app.example'] } })
    world.client('alice', 't')
    expect((await ask(world, 'id=alice&token=t', { origin: 'https://evil.example' })).status).toBe(403)
    const many = await Promise.all(Array.from({ length: 50 }, () => ask(world, 'id=alice&token=t')))
    expect(many.filter(({ status }) => status === 200).length).toBe(10)
    world.pass(1000)
    expect((await ask(world, 'id=alice&token=t')).status).toBe(200)
  })

  it('is not there where there is no TURN server, and a secret has to be one', async () => {
    expect((await ask(new World(), 'id=alice&token=t')).status).toBe(404)
    expect(() => new World({ turn: { secret: '', urls: 'turn:x' } })).toThrow(TypeError)
    expect(() => new World({ turn: { secret, urls: 'turn:x', ttl: 0 } })).toThrow(TypeError)
  })
})
