/** What was not delivered is reported when a connection closes: the real core, over a network that can be cut. */
import { describe, expect, it } from 'vitest'
import type { DataConnection } from '../../js/index.js'
import { Unacknowledged } from '../../js/driver/unacknowledged.js'
import { useNetwork } from './two-peers.js'

const world = useNetwork()

/** What it reports, and that it closed. */
function reports(conn: DataConnection): string[] {
  const log: string[] = []
  conn.on('undelivered', (data, { priority }) => log.push(`${priority} ${String(data)}`))
  conn.on('close', () => log.push('close'))
  return log
}

const received = (conn: DataConnection): unknown[] => {
  const all: unknown[] = []
  conn.on('data', data => all.push(data))
  return all
}

/** One that is never read to its end. */
class SlowBlob extends Blob {
  override toString(): string { return 'a Blob' }
  override arrayBuffer(): Promise<ArrayBuffer> { return new Promise(() => {}) }
}

describe('when a connection is lost', () => {
  it('reports each message that was not delivered, once, in order within a priority, before the close', async () => {
    const { ab, ba } = await world.connected()
    const got = received(ba)
    const log = reports(ab)
    for (let i = 0; i < 5; i++) void ab.send(`early ${i}`)
    await world.net.pass(1_000)
    world.net.lose('b')
    for (let i = 0; i < 3; i++) {
      for (const priority of ['normal', 'bulk', 'high'] as const) void ab.send(`late ${i}`, { priority })
    }
    void ab.request('who is there?').catch(() => {})
    void ab.send(undefined)
    void ab.send(new SlowBlob(['x'])).catch(() => {})
    void ab.send('behind it').catch(() => {})
    await world.net.until(() => log.includes('close'))
    expect(got).toEqual([0, 1, 2, 3, 4].map(i => `early ${i}`))
    expect(log).toEqual([
      'high late 0', 'high late 1', 'high late 2', 'normal late 0', 'normal late 1', 'normal late 2', 'normal undefined',
      'bulk late 0', 'bulk late 1', 'bulk late 2', 'normal a Blob', 'normal behind it', 'close',
    ])
  })

  it('knows it exactly after thousands, whatever was acknowledged by then', async () => {
    const { ab, ba } = await world.connected()
    const got = received(ba)
    const log = reports(ab)
    for (let i = 0; i < 20_000; i++) {
      void ab.send(i, { priority: i % 2 ? 'normal' : 'bulk' })
      if (i % 1000 === 0) await world.net.pass(5)
    }
    world.net.lose('b')
    await world.net.until(() => log.includes('close'))
    const reported = log.slice(0, -1).map(line => Number(line.split(' ')[1]))
    expect(new Set(reported).size).toBe(reported.length)
    // Nothing is in neither; what was on its way may be in both.
    expect(new Set([...got, ...reported]).size).toBe(20_000)
    expect(got.length).toBeGreaterThan(5_000)
    expect(reported.length).toBeGreaterThan(500)
    expect(log.at(-1)).toBe('close')
  })

  it('does not report what was taken back, nor what came before it', async () => {
    const { ab, ba } = await world.connected()
    const got = received(ba)
    const log = reports(ab)
    world.net.lose('b')
    const taken = new AbortController()
    const sent = [
      ab.send('x'.repeat(3_000_000)).catch(() => {}),
      ab.send('y'.repeat(10_000), { signal: taken.signal }).catch((error: unknown) => error),
      ab.send('z'.repeat(10_000)).catch(() => {}),
    ]
    taken.abort()
    expect(await sent[1]).toMatchObject({ type: 'aborted' })
    await world.net.pass(20_000)
    world.net.find('b')
    await world.net.until(() => got.length === 2)
    await world.net.pass(1_000)
    void ab.send('w')
    world.net.lose('b')
    void ab.send('v')
    await world.net.until(() => log.includes('close'))
    expect(log).toEqual(['normal w', 'normal v', 'close'])
  })

  it('reports nothing when all came through another RTCPeerConnection', async () => {
    const { ab, ba } = await world.connected()
    const got = received(ba)
    const log = reports(ab)
    world.net.lose('b')
    void ab.send('over the new one')
    await world.net.pass(25_000)
    world.net.find('b')
    await world.net.until(() => ab.state === 'open')
    await world.net.pass(2_000)
    expect(got).toEqual(['over the new one'])
    ab.close()
    await world.net.until(() => log.includes('close'))
    expect(log).toEqual(['close'])
  })

  it('tells the rest although a listener throws', async () => {
    const { ab } = await world.connected()
    const log = reports(ab)
    ab.on('undelivered', () => { throw new Error('of the application') })
    const surfaced: unknown[] = []
    const { reportError } = globalThis
    globalThis.reportError = error => void surfaced.push(error)
    world.net.lose('b')
    void ab.send(1)
    void ab.send(2)
    await world.net.until(() => log.includes('close'))
    globalThis.reportError = reportError
    expect(log).toEqual(['normal 1', 'normal 2', 'close'])
    expect(surfaced).toHaveLength(2)
  })
})

describe('when a connection is closed', () => {
  it('delivers first, and has nothing to report', async () => {
    const { ab, ba } = await world.connected()
    const got = received(ba)
    const log = reports(ab)
    for (let i = 0; i < 100; i++) void ab.send(i)
    ab.close()
    await world.net.until(() => log.includes('close'))
    expect(got).toHaveLength(100)
    expect(log).toEqual(['close'])
  })

  it('by the other side, reports what that did not take', async () => {
    const { ab, ba } = await world.connected()
    const log = reports(ab)
    world.net.lose('b')
    void ab.send('too late')
    ba.close()
    await world.net.until(() => log.includes('close'))
    expect(log).toEqual(['normal too late', 'close'])
  })
})

describe('the list of what is not acknowledged', () => {
  it('agrees with a plain one, whatever happens to it', () => {
    let seed = 1
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff
      return seed % below
    }
    for (let round = 0; round < 10; round++) {
      const list = new Unacknowledged()
      const plain: unknown[] = []
      let acknowledged = 0
      for (let step = 0; step < 1_000; step++) {
        const what = random(10)
        if (what === 0) {
          acknowledged = Math.min(plain.length, acknowledged + random(round * 100 + 1))
          list.acknowledge(acknowledged)
          list.acknowledge(acknowledged - 1)
        }
        else if (what === 1 && acknowledged < plain.length) {
          const place = acknowledged + random(plain.length - acknowledged)
          list.drop(place)
          plain[place] = null
        }
        else if (what === 2) {
          list.addNothing()
          plain.push(null)
        }
        else for (let i = random(40); i > 0; i--) list.add(plain.push(list.end) - 1)
      }
      expect(list.end).toBe(plain.length)
      expect(list.take()).toEqual(plain.slice(acknowledged).filter(value => value !== null))
    }
  })
})
