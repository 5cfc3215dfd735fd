// npm start: from a fresh clone to the running demo, with its own signaling.
import { spawn } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { ensure, root } from './outputs.mjs'
import { setup } from './setup.mjs'

const port = process.env.PORT || '3000'

setup('start')
try {
  ensure('library')
  ensure('demo')
}
catch (error) {
  console.error(`\nstart: ${error.message}; the messages above say why`)
  process.exit(1)
}

const server = spawn(process.execPath, [join(root, 'demo-nuxt/.output/server/index.mjs')], {
  cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, PORT: port, NITRO_PORT: port },
})

let stopping = false
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    // A second Ctrl-C does not wait for open connections.
    server.kill(stopping ? 'SIGKILL' : signal)
    stopping = true
    setTimeout(() => server.kill('SIGKILL'), 3000).unref()
  })
}
server.on('exit', (code) => {
  if (!stopping && code !== 0) console.error(`\nstart: the server ended with exit code ${code}${code === 1 ? ` (is port ${port} taken? PORT=3001 npm start takes another)` : ''}`)
  process.exit(stopping ? 0 : code ?? 1)
})

async function answers() {
  try {
    await fetch(`http://localhost:${port}/`, { signal: AbortSignal.timeout(5000) })
    return true
  }
  catch {
    return false
  }
}

while (server.exitCode === null && !(await answers())) await new Promise(resolve => setTimeout(resolve, 200))

const others = Object.values(networkInterfaces()).flat().filter(address => address && !address.internal && address.family === 'IPv4')
console.log(`
  The demo is running:

    here          http://localhost:${port}/
${others.map(({ address }) => `    other device  http://${address}:${port}/   (needs https, see below)\n`).join('')}
  Open it in two tabs or two browsers on this machine and connect them.
  Browsers give camera, microphone and cryptography to secure pages only: to http://localhost, or to https. So for
  another device put https in front of it (a reverse proxy or a tunnel to port ${port}).

  Ctrl-C ends it.
`)
