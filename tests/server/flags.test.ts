import { describe, expect, it } from 'vitest'
import { parseFlags } from '../../js/server/flags.js'

describe('the command line', () => {
  it('takes every flag of PeerServer', () => {
    const flags = parseFlags([
      '--port', '9001', '--host', '127.0.0.1', '--path', '/myapp', '--key', 'k', '--expire_timeout', '1', '--alive_timeout', '2',
      '--concurrent_limit', '3', '--cleanup_out_msgs', '4', '--allow_discovery', '--proxied', '--cors', 'https://a.example', '--sslkey', 'key.pem', '--sslcert', 'cert.pem',
    ])
    expect(flags).toEqual({
      help: false, version: false, port: 9001, host: '127.0.0.1', sslkey: 'key.pem', sslcert: 'cert.pem',
      server: {
        path: '/myapp', key: 'k', expire_timeout: 1, alive_timeout: 2, concurrent_limit: 3, cleanup_out_msgs: 4, allow_discovery: true, proxied: true,
        corsOptions: { origin: ['https://a.example'] },
      },
    })
  })

  it('takes the short ones', () => {
    expect(parseFlags(['-p', '1', '-H', 'h', '-k', 'k', '-t', '2', '-c', '3'])).toMatchObject({
      port: 1, host: 'h', server: { key: 'k', expire_timeout: 2, concurrent_limit: 3 },
    })
  })

  it.each([['--alive_timeout=7'], ['--alive-timeout=7'], ['--aliveTimeout=7'], ['--aliveTimeout', '7']])('takes %s', (...args) => {
    expect(parseFlags(args).server.alive_timeout).toBe(7)
  })

  it.each([
    [['--allow_discovery'], true], [['--allow-discovery=true'], true], [['--allowDiscovery=false'], false],
    [['--no-allow_discovery'], false], [['--allow_discovery', 'false'], false], [['--allow_discovery', 'true'], true], [[], false],
  ])('%j means discovery: %s', (args, allowed) => {
    expect(parseFlags(args).server.allow_discovery).toBe(allowed)
  })

  it.each([[['--no-rooms'], false], [['--rooms=false'], false], [['--rooms', 'false'], false], [['--rooms'], true], [[], undefined]])('%j means rooms: %s', (args, rooms) => {
    expect(parseFlags(args).server.rooms).toBe(rooms)
  })

  it.each([[['--cors', 'a', 'b', 'c', '--port', '1']], [['--cors', 'a', '--cors', 'b', '--cors=c']]])('takes a list of origins as %j', (args) => {
    expect(parseFlags(args).server.corsOptions).toEqual({ origin: ['a', 'b', 'c'] })
  })

  it('takes port and path from the environment, and prefers the flags', () => {
    const env = { PORT: '7000', PEERSERVER_PATH: '/env' }
    expect(parseFlags([], env)).toMatchObject({ port: 7000, server: { path: '/env' } })
    expect(parseFlags(['-p', '1', '--path', '/flag'], env)).toMatchObject({ port: 1, server: { path: '/flag' } })
  })

  it('needs none: port 9000, the rest as the server has it', () => {
    expect(parseFlags([])).toMatchObject({ port: 9000, host: '::', server: { path: '/' } })
  })

  it.each([
    [['--port', 'abc'], '--port'], [['--port', '-1'], 'port'], [['--unknown'], 'unknown'],
    [['--sslkey', 'key.pem'], '--sslcert'], [['stray'], 'stray'],
  ])('refuses %j and says why', (args, word) => {
    expect(() => parseFlags(args)).toThrow(word)
  })
})
