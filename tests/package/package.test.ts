// What users get: the packed tarball, installed into fresh applications that know nothing of this repository.
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Browser, Page } from '@playwright/test'
import { chromium } from '@playwright/test'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const run = promisify(execFile)
// npm hands its own settings of this repository down to npm in the applications; they must not have them.
const env = Object.fromEntries(Object.entries({ ...process.env, NUXT_TELEMETRY_DISABLED: '1', CI: 'true', NODE_ENV: '' })
  .filter(([name]) => !/^(VITEST|npm_(package|lifecycle|config_(local_prefix|workspaces?)))/i.test(name) && name !== 'TEST'))

let folder: string
let tarball: string
let browser: Browser
let installed: { vite: Promise<string>, nuxt: Promise<string> }
const children: ChildProcess[] = []

async function sh(cwd: string, command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await run(command, args, { cwd, env, maxBuffer: 64e6, timeout: 400_000 })
    return stdout
  }
  catch (error) {
    const { stdout, stderr } = error as { stdout: string, stderr: string }
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}\n${stderr}`)
  }
}

/** A fresh application from one of the templates beside this file, with the tarball and `packages` installed. */
async function app(name: string, packages: string[]): Promise<string> {
  const target = join(folder, name)
  cpSync(join(here, 'apps', name), target, { recursive: true })
  await sh(target, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', tarball, ...packages)
  return target
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

async function serve(cwd: string, url: string, extra: NodeJS.ProcessEnv, command: string, ...args: string[]): Promise<void> {
  const child = spawn(command, args, { cwd, env: { ...env, ...extra }, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { output += chunk.toString() })
  for (const end = Date.now() + 30_000; ;) {
    try {
      await fetch(url)
      return
    }
    catch (error) {
      if (child.exitCode !== null || Date.now() > end) {
        throw new Error(`${command} ${args.join(' ')} does not serve ${url}:\n${output}`, { cause: error })
      }
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

/** Two browsers open the application; bob connects to alice, they exchange a message. */
async function meet(address: (query: string) => string): Promise<{ alice: Page, bob: Page, problems: string[] }> {
  const problems: string[] = []
  const open = async (query: string): Promise<Page> => {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.on('pageerror', error => problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text())
    })
    await page.goto(address(query))
    return page
  }
  const expectText = async (page: Page, selector: string, text: string): Promise<void> => {
    try {
      await page.waitForFunction(
        ([selector, text]) => document.querySelector(selector!)?.textContent === text, [selector, text], { timeout: 30_000 },
      )
    }
    catch {
      const found = await page.locator('main').evaluate(main => main.outerHTML)
      throw new Error(`${selector} should say "${text}"; the page holds ${found}; ${problems.join('; ')}`)
    }
  }
  const alice = await open('id=alice')
  await expectText(alice, '#id', 'alice')
  const bob = await open('id=bob&to=alice')
  await expectText(alice, '#received', 'hello from bob')
  await expectText(bob, '#received', 'alice heard: hello from bob')
  return { alice, bob, problems }
}

beforeAll(async () => {
  // Sources may be newer than dist/: what is tested is what would be published now.
  const { ensure } = await import('../../scripts/outputs.mjs') as { ensure: (name: string) => void }
  ensure('library')
  folder = mkdtempSync(join(tmpdir(), 'peerbridge-package-'))
  const [packed] = JSON.parse(await sh(root, 'npm', 'pack', '--json', '--pack-destination', folder)) as [{ filename: string }]
  tarball = join(folder, packed.filename)
  // Both at once: npm mostly waits.
  const version = Number.parseInt(process.versions.node) < 22 ? '~4.3.1' : '^4.3.1'
  installed = {
    vite: app('vite', ['vue@^3.5.0', 'vite@^7.3.0', '@vitejs/plugin-vue@^6.0.0', 'typescript@~5.9.0', 'vue-tsc@^3.2.0']),
    // The latest that runs on this Node.
    nuxt: app('nuxt', [`nuxt@${version}`, 'vue@^3.5.0', 'typescript@~5.9.0', 'vue-tsc@^3.2.0']),
  }
  // Whoever needs it learns of a failure; until then it is no unhandled one.
  for (const promise of Object.values(installed)) promise.catch(() => {})
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  })
})

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const context of browser.contexts()) await context.close()
})

afterAll(async () => {
  await browser?.close()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

describe('the tarball', () => {
  it('holds dist/, the licence and nothing of the sources', async () => {
    const files = (await sh(folder, 'tar', '-tzf', tarball)).trim().split('\n').map(file => file.replace(/^package\//, ''))
    expect(files).toEqual(expect.arrayContaining(['package.json', 'LICENSE', 'README.md', 'dist/core.wasm', 'dist/nuxt/module.json']))
    expect(files.filter(file => !/^(dist\/|package\.json$|LICENSE$|README\.md$)/.test(file))).toEqual([])
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, string | Record<string, string>>, bin: Record<string, string> }
    const named = [...Object.values(manifest.exports).flatMap(entry => typeof entry === 'string' ? [entry] : Object.values(entry)), ...Object.values(manifest.bin)]
    for (const file of named) expect(files).toContain(file.replace(/^\.\//, ''))
  })
})

describe('a fresh Vite and Vue application', () => {
  let vite: string

  beforeAll(async () => {
    vite = await installed.vite
  })

  it('has types', async () => {
    await sh(vite, 'npm', 'run', 'typecheck')
  })

  it('imports every entry in Node without touching the browser', async () => {
    expect(JSON.parse(await sh(vite, process.execPath, 'ssr.mjs'))).toEqual({
      touched: [], html: '<p>idle undefined</p>', same: true, types: ['function', 'function', 'function'], wasm: 'core.wasm',
    })
  })

  it('builds, and two pages connect under a strict Content-Security-Policy, with npx peerbridge between them', async () => {
    await sh(vite, 'npm', 'run', 'build')
    const [port, signaling] = [await freePort(), await freePort()]
    await serve(vite, `http://localhost:${signaling}/`, {}, process.execPath, join(vite, 'node_modules/.bin/peerbridge'), '--port', String(signaling))
    await serve(vite, `http://localhost:${port}/`, {}, process.execPath, join(vite, 'node_modules/.bin/vite'), 'preview', '--port', String(port), '--strictPort')
    const { bob, problems } = await meet(query => `http://localhost:${port}/?${query}&port=${signaling}`)
    expect(await bob.locator('#refused').textContent()).toBe('data-clone')
    expect(problems).toEqual([])
  })
})

describe('a fresh Nuxt application', () => {
  let nuxt: string

  beforeAll(async () => {
    nuxt = await installed.nuxt
  })

  it('has types', async () => {
    await sh(nuxt, 'npm', 'run', 'typecheck')
  })

  it('builds, serves its own signaling, and two pages connect', async () => {
    await sh(nuxt, 'npm', 'run', 'build')
    const port = await freePort()
    // What the server needs is in .output; it runs where nothing is installed.
    const server = join(folder, 'deployed')
    mkdirSync(server)
    cpSync(join(nuxt, '.output'), server, { recursive: true })
    await serve(server, `http://localhost:${port}/`, { PORT: String(port) }, process.execPath, 'server/index.mjs')
    const html = await (await fetch(`http://localhost:${port}/`)).text()
    expect(html).toContain('data-state="idle"')
    // server/peerbridge.ts of the application.
    const refused = await fetch(`http://localhost:${port}/api/signal/peerjs/poll?id=mallory&token=t&link=page.1`)
    expect(JSON.parse(await refused.text())).toEqual({ type: 'ERROR', payload: { msg: 'No mallory at /api/signal', type: 'not-authorized' } })
    const { problems } = await meet(query => `http://localhost:${port}/?${query}`)
    expect(problems).toEqual([])
  })
})
