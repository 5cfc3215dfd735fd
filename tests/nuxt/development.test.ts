import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensure } from '../../scripts/outputs.mjs'
import { connect } from '../server/socket.js'
import { App } from './app.js'

let app: App

beforeAll(async () => {
  ensure('library')
  app = await App.dev()
})
afterAll(() => app?.stop())

describe('nuxt dev', () => {
  it('renders the page and serves the endpoint beside it', async () => {
    const html = await (await fetch(app.url)).text()
    expect(html).toContain('state: idle')
    expect(await (await fetch(`${app.url}/api/signal/peerjs/id`)).text()).toMatch(/^[0-9a-f-]{36}$/)

    const base = `${app.ws}/api/signal/`
    const alice = await connect(base, 'alice')
    const bob = await connect(base, 'bob')
    alice.offer('bob', 'hello')
    expect(await bob.next()).toMatchObject({ src: 'alice', payload: 'hello' })
    await Promise.all([alice.close(), bob.close()])
  })

  it('serves the package as it is, with what a browser cannot read converted', async () => {
    const html = await (await fetch(app.url)).text()
    const entry = /src="([^"]*entry[^"]*)"/.exec(html)?.[1]
    expect(entry).toBeDefined()
    // Every module that the page would load, from the entry on, until none is left; each must be there and be JavaScript.
    const seen = new Set<string>()
    const queue = [new URL(entry!, app.url).href]
    const foreign: string[] = []
    while (queue.length > 0) {
      const url = queue.pop()!
      if (seen.has(url)) continue
      seen.add(url)
      const response = await fetch(url)
      if (!response.ok || !/javascript/.test(response.headers.get('content-type') ?? '')) {
        foreign.push(`${response.status} ${url}`)
        continue
      }
      const code = await response.text()
      // Only the way to us and inside us: the rest is Nuxt's.
      for (const [, path] of code.matchAll(/(?:from|import)\s*\(?"(\/[^"\s$]+)"/g)) {
        const next = new URL(path!, url)
        if (/plugins?\.client|virtual:nuxt|entry|dist\/(?!client)|eventemitter3/.test(next.pathname) && /^https?:$/.test(next.protocol)) queue.push(next.href)
      }
    }
    expect(foreign).toEqual([])
    expect([...seen].some(url => url.includes('runtime/app/plugin.client'))).toBe(true)
    expect([...seen].filter(url => url.includes('eventemitter3')).every(url => url.includes('.vite') || url.includes('vite/'))).toBe(true)
  })
})
