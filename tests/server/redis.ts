// A redis-server of a test's own, on a Unix socket in a folder of its own, that can be killed and started again.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class RedisServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'peerbridge-redis-'))
  readonly url = join(this.#folder, 'redis.sock')
  #child: ChildProcess | null = null

  /** @param durable what was written is on the disk before it is confirmed */
  async start({ durable = true } = {}): Promise<void> {
    const child = this.#child = spawn('redis-server', [
      '--port', '0', '--unixsocket', this.url, '--dir', this.#folder, '--save', '', '--daemonize', 'no',
      '--appendonly', durable ? 'yes' : 'no', '--appendfsync', 'always',
    ], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    await new Promise<void>((resolve, reject) => {
      child.stdout!.on('data', (data) => {
        output += String(data)
        if (output.includes('Ready to accept connections') || output.includes('ready to accept connections')) resolve()
      })
      child.on('error', reject)
      child.on('close', code => reject(new Error(`redis-server ended with ${code}:\n${output}`)))
    })
  }

  get pid(): number {
    return this.#child!.pid!
  }

  /** At once, whatever it was doing. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'close')
  }

  /** Everything is forgotten. */
  async restartEmpty(): Promise<void> {
    await this.kill()
    rmSync(join(this.#folder, 'appendonlydir'), { recursive: true, force: true })
    await this.start()
  }

  async end(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
