/** What the end-to-end tests share: the built demo as a server that can be killed, and people who use it. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test as base, expect } from '@playwright/test'
import type { Browser, Locator, Page } from '@playwright/test'

const entry = join(import.meta.dirname, '../../demo-nuxt/.output/server/index.mjs')

/** `node demo-nuxt/.output/server/index.mjs`, as `npm start` runs it. */
export class DemoServer {
  #child: ChildProcess | undefined
  constructor(readonly port: number) {}

  get origin(): string {
    return `http://localhost:${this.port}`
  }

  async start(): Promise<void> {
    const child = this.#child = spawn(process.execPath, [entry], {
      env: { ...process.env, PORT: String(this.port), NITRO_PORT: String(this.port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    await new Promise<void>((resolve, reject) => {
      child.stdout!.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (output.includes('Listening on')) resolve()
      })
      child.once('exit', code => reject(new Error(`the demo's server ended with ${code}:\n${output}`)))
    })
  }

  /** As a crash would: nothing is said to anybody. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Somebody with a browser of their own, who looks at the demo. */
declare global {
  interface Window {
    /** Every RTCPeerConnection that the page made, for those who ask why nothing came. */
    links: RTCPeerConnection[]
  }
}

export class Person {
  /** Everything that the page complained about. */
  readonly problems: string[] = []

  constructor(readonly name: string, readonly page: Page) {
    page.on('pageerror', error => this.problems.push(`${name}: ${error.message}`))
    page.on('console', (message) => {
      // A server that is gone is what some tests are about.
      if (message.type() === 'error' && !/ERR_CONNECTION_REFUSED|WebSocket connection/.test(message.text())) {
        this.problems.push(`${name}: ${message.text()}`)
      }
    })
  }

  at(id: string): Locator {
    return this.page.getByTestId(id)
  }

  async arrive(url: string): Promise<void> {
    await this.page.goto(url)
    await this.at('name-input').fill(this.name)
    await this.at('start').click()
    await expect(this.at('signal-state')).toHaveAttribute('data-state', 'open')
  }

  async say(text: string): Promise<void> {
    await this.at('chat-input').fill(text)
    await this.at('chat-input').press('Enter')
  }

  async hears(text: string): Promise<void> {
    await expect(this.at('chat-message').and(this.page.locator('[data-from=them]')).filter({ hasText: text })).toHaveCount(1)
  }

  async seesConnection(state: string): Promise<void> {
    await expect(this.at('connection-state').first()).toHaveAttribute('data-state', state)
  }
}

async function person(browser: Browser, name: string): Promise<Person> {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'], acceptDownloads: true })
  await context.addInitScript(() => {
    window.links = []
    const Real = window.RTCPeerConnection
    window.RTCPeerConnection = class extends Real {
      constructor(configuration?: RTCConfiguration) {
        super(configuration)
        window.links.push(this)
      }
    }
  })
  return new Person(name, await context.newPage())
}

/** A running demo, and ada and bob, who are connected: bob followed ada's invite link. */
export const test = base.extend<{ server: DemoServer, ada: Person, bob: Person, connected: { ada: Person, bob: Person } }>({
  server: async ({}, use) => {
    const server = new DemoServer(await freePort())
    await server.start()
    await use(server)
    await server.kill()
  },
  ada: async ({ browser }, use) => {
    const ada = await person(browser, 'ada')
    await use(ada)
    await ada.page.context().close()
    expect(ada.problems).toEqual([])
  },
  bob: async ({ browser }, use) => {
    const bob = await person(browser, 'bob')
    await use(bob)
    await bob.page.context().close()
    expect(bob.problems).toEqual([])
  },
  connected: async ({ server, ada, bob }, use) => {
    await ada.arrive(server.origin)
    await bob.arrive(await ada.at('invite-link').inputValue())
    await ada.seesConnection('open')
    await bob.seesConnection('open')
    await use({ ada, bob })
  },
})

export { expect }
