/** The same scripts with PeerJS and with us: the same is heard, in the same order, but for what differences.ts lists. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@playwright/test'
import { differences } from './differences.js'
import type { LibraryName } from './page/frame.js'
import type { Interop, ScriptName } from './page/parity.js'
import type { ServerName } from './servers.js'
import { places, worldOf } from './world.js'

const test = worldOf<Interop>('parity.ts')
const full = !!process.env.INTEROP_FULL

for (const server of ['PeerServer', 'peerbridge'] as ServerName[]) {
  test(`what an application hears is what PeerJS tells it, at ${server}`, async ({ world }) => {
    test.setTimeout(300_000)
    const play = (name: ScriptName, subject: LibraryName, other: LibraryName): Promise<Record<string, string[]>> =>
      world.ask('play', name, subject, other, places(world.servers[server]))
    for (const name of await world.ask('names')) {
      const expected = await play(name, 'peerjs', 'peerjs')
      const wanted = structuredClone(expected)
      for (const { script, who, peerjs, peerbridge } of differences) {
        if (script !== name) continue
        expect.soft(expected[who], `${name}: ${who} of PeerJS, in differences.ts`).toEqual(peerjs)
        wanted[who] = peerbridge
      }
      const toPeerJS = await play(name, 'peerbridge', 'peerjs')
      expect.soft(toPeerJS, `${name}, the other one with PeerJS`).toEqual(wanted)
      if (!full) continue
      // Here the other one is ours, too, and may hear more.
      const toOurs = await play(name, 'peerbridge', 'peerbridge')
      const mine = (log: Record<string, string[]>): object => Object.fromEntries(Object.entries(log).filter(([who]) => who.startsWith('a')))
      expect.soft(mine(toOurs), `${name}, the other one with us`).toEqual(mine(wanted))
    }
  })
}

test('ids are judged as PeerJS does', async ({ world }) => {
  const ids = ['', 'a', 'Z9', 'a b', 'a_b', 'a-b', '-a', 'a-', 'a--b', 'a  b', 'a.b', 'é', ' a', 'a ', 'a_-b', 'a\nb', '0', 'a'.repeat(300), '😃']
  const [theirs, ours] = [await world.ask('validate', 'peerjs', ids), await world.ask('validate', 'peerbridge', ids)]
  expect(ours).toEqual(theirs)
})

test('util has what PeerJS\'s util has', async ({ world }) => {
  const [theirs, ours] = [await world.ask('util', 'peerjs'), await world.ask('util', 'peerbridge')]
  for (const [name, value] of Object.entries(theirs)) if (!name.startsWith('_')) expect.soft(ours[name], name).toEqual(value)
})

test('every difference has its row in the docs', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/peerjs.md'), 'utf8')
  const rows = docs.split('\n').filter(line => line.startsWith('| '))
  for (const { row } of differences) expect.soft(rows.filter(line => line.startsWith(`| ${row}`)), row).toHaveLength(1)
})
