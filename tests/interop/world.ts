/** One browser page with the stage in it, and both servers behind it. */
import { join } from 'node:path'
import { test as base } from '@playwright/test'
import type { Page } from '@playwright/test'
import { build } from 'esbuild'
import { startServers } from './servers.js'
import type { Places } from './page/stage.js'
import type { ServerName, TestServer } from './servers.js'

// Never asked: every request is answered below. Secure, as localhost is, so there are cameras.
const origin = 'http://localhost:1/'

async function bundle(entry: string): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: { frame: join(import.meta.dirname, 'page/frame.ts'), page: join(import.meta.dirname, 'page', entry) },
    bundle: true, format: 'esm', splitting: true, target: 'es2022', write: false, outdir: '/', chunkNames: 'chunk-[hash]', logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  return new Map(outputFiles.map(({ path, text }) => [path.replace(/^.*[\\/]/, ''), text]))
}

type ArgumentsOf<Function> = Function extends (...args: infer Arguments) => unknown ? Arguments : never
type ResultOf<Function> = Function extends (...args: never[]) => infer Result ? Awaited<Result> : never

export interface World<Interop> {
  page: Page
  servers: Record<ServerName, TestServer>
  /** Calls a function of the page. */
  ask<Name extends keyof Interop>(name: Name, ...args: ArgumentsOf<Interop[Name]>): Promise<ResultOf<Interop[Name]>>
}

/** What a page needs to know of a server. */
export const places = ({ name, place, far, discreet }: TestServer): Places => ({ name, place, far, discreet })

/** A test with `world`: a page that runs the module `entry` of page/, shared by the tests of its file. */
export const worldOf = <Interop>(entry: string) => base.extend<object, { world: World<Interop> }>({
  world: [async ({ browser }, use) => {
    const servers = await startServers()
    const byName = Object.fromEntries(servers.map(server => [server.name, server])) as unknown as World<Interop>['servers']
    const files = await bundle(entry)
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] })
    const page = await context.newPage()
    page.on('console', message => { if (message.type() === 'error') console.log(`  page: ${message.text()}`) })
    await page.route(`${origin}**`, (route) => {
      const { pathname } = new URL(route.request().url())
      const file = files.get(pathname.slice(1))
      return route.fulfill(file === undefined
        ? { contentType: 'text/html', body: `<!doctype html><script type="module" src="/${pathname === '/frame' ? 'frame' : 'page'}.js"></script>` }
        : { contentType: 'text/javascript', body: file })
    })
    await page.exposeFunction('server', async (name: ServerName, action: 'start' | 'stop') => byName[name][action]())
    await page.goto(origin, { waitUntil: 'load' })
    await page.waitForFunction(() => 'interop' in window)
    const ask = (name: unknown, ...args: unknown[]): Promise<never> =>
      page.evaluate(([name, args]) => (window as unknown as { interop: Record<string, (...args: unknown[]) => never> })
        .interop[name]!(...args), [String(name), args] as const)
    await use({ page, servers: byName, ask })
    await context.close()
    for (const server of servers) await server.end()
  }, { scope: 'worker' }],
})
