/**
 * What the pages talk to: their own files, our signaling server and PeerServer, each on a port of its own. Runs in a
 * namespace of its own, or in the process that measures. As a process it tells its parent the ports when it listens.
 */
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' }

/** Only what a page needs: never the rest of the disk. */
const served = /^(dist|build\/bench|tests\/(reach|bench)|node_modules\/(eventemitter3|peerjs)\/dist)\//

const isolated = /^tests\/bench\/(data|soak)/

async function answer(request, response) {
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname)).slice(1)
  try {
    if (!served.test(path)) throw new Error('not served')
    const body = await readFile(join(root, path))
    response.writeHead(200, {
      'content-type': types[extname(path)] ?? 'application/octet-stream',
      // Isolated pages have finer clocks.
      ...(isolated.test(path) && { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }),
    }).end(body)
  }
  catch {
    response.writeHead(404).end()
  }
}

export async function serve(host = '127.0.0.1', options = {}) {
  const { createSignalingServer } = await import(pathToFileURL(join(root, 'dist/server/index.js')).href)
  const { PeerServer } = await import('peer')
  const files = createServer((request, response) => void answer(request, response))
  await new Promise(resolve => files.listen(0, host, resolve))
  const ours = createSignalingServer({ path: '/', ...options })
  const listener = await ours.listen({ port: 0, host })
  const theirs = await new Promise(resolve => PeerServer({ port: 0, host, path: '/' }, resolve))
  return {
    ports: { files: files.address().port, peerbridge: listener.port, peerserver: theirs.address().port },
    async close() {
      files.close()
      theirs.close()
      theirs.closeAllConnections()
      files.closeAllConnections()
      await ours.close()
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { ports } = await serve(process.argv[2], JSON.parse(process.argv[3] ?? '{}'))
  process.send?.(ports)
  // Whoever started it is gone: nobody needs it any more.
  process.on('disconnect', () => process.exit(0))
}
