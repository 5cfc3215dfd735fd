import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ensure } from '../../scripts/outputs.mjs'
import { connect } from './socket.js'

const cli = fileURLToPath(new URL('../../dist/server/cli.js', import.meta.url))
const children = new Set<ChildProcess>()

beforeAll(() => ensure('library'), 600_000)
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})

function run(...args: string[]) {
  const { PORT: _port, PEERSERVER_PATH: _path, ...env } = process.env
  const child = spawn(process.execPath, [cli, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += String(data) })
  return {
    child,
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, output })),
    async address(): Promise<string> {
      for (;;) {
        const url = /Listening on (\S+)/.exec(output)?.[1]
        if (url) return url
        await once(child.stdout, 'data')
      }
    },
  }
}

describe('npx peerbridge', () => {
  it('serves where it says, and says goodbye when it is asked to end', async () => {
    const server = run('--port', '0', '--host', '127.0.0.1', '--path', '/myapp', '--key', 'mine')
    const url = await server.address()
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/myapp\/$/)
    expect((await fetch(`${url}mine/id`)).status).toBe(200)
    const alice = await connect(url.replace(/^http/, 'ws'), 'alice', { key: 'mine' })
    server.child.kill('SIGTERM')
    expect(await alice.ended).toBe(1001)
    expect(await server.ended).toMatchObject({ code: 0 })
  })

  it('explains a wrong flag and ends with 2', async () => {
    const { code, output } = await run('--prot', '9000').ended
    expect(code).toBe(2)
    expect(output).toContain('--prot')
    expect(output).toContain('Usage: peerbridge')
  })

  it('ends with 1 and a sentence when it cannot listen, and when an option is impossible', async () => {
    const first = run('--port', '0', '--host', '127.0.0.1')
    const port = new URL(await first.address()).port
    expect(await run('--port', port, '--host', '127.0.0.1').ended).toMatchObject({ code: 1, output: expect.stringContaining('EADDRINUSE') })
    expect(await run('--port', '0', '--key', 'a/b').ended).toMatchObject({ code: 1, output: expect.stringContaining('key has to be') })
  })

  it('knows its version and its flags', async () => {
    expect(await run('--version').ended).toMatchObject({ code: 0, output: expect.stringMatching(/^\d+\.\d+\.\d+/) })
    expect(await run('--help').ended).toMatchObject({ code: 0, output: expect.stringContaining('--concurrent_limit') })
  })
})
