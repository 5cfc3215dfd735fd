import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createTurnCredentials } from '../../js/server/index.js'

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
