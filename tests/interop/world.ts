/** One browser page with the stage in it, and both servers behind it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test as base } from '@playwright/test'
import { build } from 'esbuild'
import { launchFirefox } from '../reach/lab/browser.mjs'
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
  servers: Record<ServerName, TestServer>
  /** Calls a function of the page. */
  ask<Name extends keyof Interop>(name: Name, ...args: ArgumentsOf<Interop[Name]>): Promise<ResultOf<Interop[Name]>>
}

/** What a page needs to know of a server. */
export const places = ({ name, place, far, discreet }: TestServer): Places => ({ name, place, far, discreet })

type Call = (name: string, args: unknown[]) => Promise<unknown>

/** What the page at this path is. */
function answer(files: Map<string, string>, pathname: string): { contentType: string, body: string } {
  const file = files.get(pathname.slice(1))
  return file === undefined
    ? { contentType: 'text/html', body: `<!doctype html><script type="module" src="/${pathname === '/frame' ? 'frame' : 'page'}.js"></script>` }
    : { contentType: 'text/javascript', body: file }
}

/** Firefox as Debian has it: Playwright cannot drive that, so pages come from a server. The servers cannot be stopped from there. */
async function inFirefox(files: Map<string, string>, use: (call: Call) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    const { contentType, body } = answer(files, new URL(request.url ?? '/', origin).pathname)
    response.setHeader('content-type', contentType).end(body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const firefox = await launchFirefox({ origin: url })
  const page = await firefox.open(url)
  await use(async (name, args) => page.evaluate('(name, args) => window.interop[name](...args)', name, args))
  await firefox.close()
  server.close()
  server.closeAllConnections()
}

export interface Engine {
  engine: 'chromium' | 'firefox'
}

/** A test with `world`: a page that runs the module `entry` of page/, shared by the tests of its file. */
export const worldOf = <Interop>(entry: string) => base.extend<object, Engine & { world: World<Interop> }>({
  engine: ['chromium', { scope: 'worker', option: true }],
  world: [async ({ browser, engine }, use) => {
    const servers = await startServers()
    const byName = Object.fromEntries(servers.map(server => [server.name, server])) as unknown as World<Interop>['servers']
    const files = await bundle(entry)
    const run = (call: Call): Promise<void> =>
      use({ servers: byName, ask: async (name, ...args) => await call(String(name), args) as never })
    if (engine === 'firefox') {
      await inFirefox(files, run)
    }
    else {
      const context = await browser.newContext({ permissions: ['camera', 'microphone'] })
      const page = await context.newPage()
      page.on('console', message => { if (message.type() === 'error') console.log(`  page: ${message.text()}`) })
      await page.route(`${origin}**`, route => route.fulfill(answer(files, new URL(route.request().url()).pathname)))
      await page.exposeFunction('server', async (name: ServerName, action: 'start' | 'stop') => byName[name][action]())
      await page.goto(origin, { waitUntil: 'load' })
      await page.waitForFunction(() => 'interop' in window)
      await run((name, args) => page.evaluate(([name, args]) =>
        (window as unknown as { interop: Record<string, (...args: unknown[]) => unknown> }).interop[name]!(...args), [name, args] as const))
      await context.close()
    }
    for (const server of servers) await server.end()
  }, { scope: 'worker' }],
})
