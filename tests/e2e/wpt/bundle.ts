/** Serves a page of this folder, with the shim and the core bundled from their sources, without any server. */
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { build } from 'esbuild'

const origin = 'http://localhost:1/' // never asked: every request is answered below; and secure, as localhost is

/** For bundles that have the hub in them: esbuild's `alias`. */
export const withoutNode = Object.fromEntries(['node:crypto', 'ioredis'].map(name => [name, join(import.meta.dirname, '../no-node.cjs')]))

const bundles = new Map<string, Promise<Map<string, string>>>()

async function bundle(entry: string): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, entry)], bundle: true, format: 'esm', splitting: true, target: 'es2022', write: false,
    outdir: '/', entryNames: 'page', chunkNames: '[name]-[hash]', logLevel: 'error', alias: withoutNode,
  })
  return new Map(outputFiles.map(({ path, text }) => [path.replace(/^.*[\\/]/, ''), text]))
}

/** Opens a page that runs the module `entry`. */
export async function open(page: Page, entry: string): Promise<void> {
  const files = await (bundles.get(entry) ?? bundles.set(entry, bundle(entry)).get(entry)!)
  await page.route(`${origin}**`, (route) => {
    const file = files.get(new URL(route.request().url()).pathname.slice(1))
    return route.fulfill(file === undefined
      ? { contentType: 'text/html', body: '<!doctype html><title>test</title><script type="module" src="/page.js"></script>' }
      : { contentType: 'text/javascript', body: file })
  })
  await page.goto(origin, { waitUntil: 'load' })
}
