#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { parseFlags, usage } from './flags.js'
import type { Flags } from './flags.js'
import { createSignalingServer } from './index.js'

async function main(): Promise<void> {
  let flags: Flags
  try {
    flags = parseFlags(process.argv.slice(2), process.env)
  }
  catch (error) {
    process.stderr.write(`${message(error)}\n\n${usage}`)
    process.exitCode = 2
    return
  }
  if (flags.help) {
    process.stdout.write(usage)
    return
  }
  if (flags.version) {
    const manifest = new URL('../../package.json', import.meta.url)
    process.stdout.write(`${(JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version}\n`)
    return
  }

  const server = createSignalingServer(flags.server)
  const listener = await server.listen({
    port: flags.port,
    host: flags.host,
    ...(flags.sslkey && flags.sslcert
      ? { ssl: { key: readFileSync(flags.sslkey), cert: readFileSync(flags.sslcert) } }
      : {}),
  })
  process.stdout.write(`Listening on ${listener.url}\n`)

  // Goodbye is said once; who asks twice is in a hurry.
  let leaving = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (leaving) process.exit(1)
      leaving = true
      void server.close().then(() => process.exit(0))
    })
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

main().catch((error: unknown) => {
  process.stderr.write(`${message(error)}\n`)
  process.exitCode = 1
})
