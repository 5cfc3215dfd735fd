import { describe, expect, it } from 'vitest'
import * as shim from 'peerbridge'
import * as server from 'peerbridge/server'
import * as vue from 'peerbridge/vue'
import { components, imports, serverImports } from '../../js/nuxt/auto-imports.js'
import { whatIsLost } from '../../js/nuxt/lost.js'
import { peerDefaults } from '../../js/nuxt/runtime/app/peerDefaults.js'

const config = { path: '/api/signal', key: 'peerjs', peer: {} }
const page = { protocol: 'https:', hostname: 'app.example', port: '' }

describe('what every peer starts from', () => {
  it('is the endpoint of the server that the page came from', () => {
    expect(peerDefaults(config, '/', page)).toEqual({ host: 'app.example', port: 443, path: '/api/signal', secure: true, key: 'peerjs' })
  })

  it('is without TLS and at another port where the page is', () => {
    expect(peerDefaults(config, '/', { protocol: 'http:', hostname: 'localhost', port: '3000' })).toMatchObject({ host: 'localhost', port: 3000, secure: false })
    expect(peerDefaults(config, '/', { protocol: 'http:', hostname: 'localhost', port: '' })).toMatchObject({ port: 80 })
  })

  it.each([['/base/', '/base/api/signal'], ['/base', '/base/api/signal'], ['/', '/api/signal'], ['', '/api/signal']])('respects the base URL %j', (baseURL, path) => {
    expect(peerDefaults(config, baseURL, page).path).toBe(path)
  })

  it('keeps what the application has set', () => {
    const peer = { debug: 2, config: { iceServers: [{ urls: 'stun:stun.example' }] } }
    expect(peerDefaults({ ...config, peer }, '/', page)).toMatchObject({ host: 'app.example', ...peer })
  })

  it('is another server where the application names one, and then nothing of its own address', () => {
    expect(peerDefaults({ ...config, peer: { host: 'signal.example' } }, '/', page)).toEqual({ key: 'peerjs', host: 'signal.example' })
  })

  it('is nothing of its own where it serves no endpoint', () => {
    expect(peerDefaults({ ...config, path: '' }, '/', page)).toEqual({ key: 'peerjs' })
  })
})

describe('auto-imports', () => {
  /** For people who build on the package, not for applications: too general to take a name away from them. */
  const meant = new Set([
    'default', 'version', 'signaling', 'broadcastChannel', 'custom', 'manual', 'createEventHook', 'injectPeerDefaults', 'providePeerDefaults',
    'BufferedConnection', 'StreamConnection', 'MsgPack', 'MsgPackPeer',
  ])

  it.each([['peerbridge', shim], ['peerbridge/vue', vue]])('are all that %s exports', (from, exported) => {
    const offered = [
      ...imports.filter(entry => entry.from === from).map(entry => entry.name),
      ...components.filter(entry => entry.filePath === from).map(entry => entry.export),
    ]
    expect(offered.sort()).toEqual(Object.keys(exported).filter(name => !meant.has(name)).sort())
  })
})

describe('what nuxt.config cannot carry', () => {
  it('is found by its name, so that no endpoint is open because its `authorize` got lost', () => {
    expect(whatIsLost({ authorize: () => true }, 'peerbridge.server')).toBe('peerbridge.server.authorize')
    expect(whatIsLost({ corsOptions: { origin: ['https://a.example', /b/] } }, 'server')).toBe('server.corsOptions.origin.1')
  })

  it('is nothing of what JSON carries', () => {
    expect(whatIsLost({ turn: { secret: 's', urls: ['turn:host'] }, metrics: false, redis: undefined, tokens: null }, 'server')).toBe(null)
    expect(whatIsLost(undefined, 'server')).toBe(null)
  })

  it('has a place in the application, whose name is there without an import', () => {
    for (const { name, from } of serverImports) {
      expect(from).toBe('peerbridge/server')
      expect(server).toHaveProperty(name, expect.any(Function))
    }
    const options = { authorize: () => true }
    expect(server.definePeerbridgeServer(options)).toBe(options)
  })
})
