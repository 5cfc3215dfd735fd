import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../server/port.js'

export const fixture = fileURLToPath(new URL('./fixtures/basic', import.meta.url))
const nuxt = join(dirname(createRequire(import.meta.url).resolve('nuxt/package.json')), 'bin/nuxt.mjs')
// The tests' own environment would make Nuxt think that it is tested.
const { VITEST: _vitest, TEST: _test, NODE_ENV: _env, VITE_ENV: _vite, ...clean } = process.env
const environment = { ...clean, NUXT_TELEMETRY_DISABLED: '1', NO_COLOR: '1' }

/** A process, everything that it said, and its end. */
export class App {
  readonly child: ChildProcess
  output = ''
  url = ''

  private constructor(args: string[], env: Record<string, string>) {
    this.child = spawn(process.execPath, args, { cwd: fixture, env: { ...environment, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', (data) => { this.output += String(data) })
  }

  static async build(): Promise<void> {
    const app = new App([nuxt, 'build'], {})
    await once(app.child, 'close')
    if (app.child.exitCode !== 0) throw new Error(`nuxt build failed:\n${app.output}`)
  }

  /** The built application. */
  static start(env: Record<string, string> = {}): Promise<App> {
    return App.#listen(port => new App(['.output/server/index.mjs'], { HOST: '127.0.0.1', PORT: String(port), ...env }), /Listening on/)
  }

  /** The application under development. */
  static dev(): Promise<App> {
    return App.#listen(port => new App([nuxt, 'dev', '--host', '127.0.0.1', '--port', String(port), '--no-fork'], {}), /Nitro (?:server )?built/i)
  }

  static async #listen(start: (port: number) => App, ready: RegExp): Promise<App> {
    const port = await freePort()
    const app = start(port)
    app.url = `http://127.0.0.1:${port}`
    await new Promise<void>((resolve, reject) => {
      const look = () => { if (ready.test(app.output)) resolve() }
      for (const stream of [app.child.stdout, app.child.stderr]) stream?.on('data', look)
      app.child.once('close', code => reject(new Error(`ended with ${code}:\n${app.output}`)))
    })
    return app
  }

  get ws(): string {
    return this.url.replace(/^http/, 'ws')
  }

  /** Asks it to end, as a host does, and answers its exit code or signal. */
  async stop(): Promise<number | string | null> {
    const { child } = this
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'close')
    }
    return child.exitCode ?? child.signalCode
  }
}
