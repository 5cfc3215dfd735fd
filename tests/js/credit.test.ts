/** pause(), resume() and `for await`: a receiver that does not read stops the sender, and loses nothing. */
import { describe, expect, it } from 'vitest'
import type { DataConnection } from '../../js/index.js'
import { event, pair, usePeers } from './two-peers.js'

usePeers()

const numbers = (to: number): number[] => Array.from({ length: to }, (_, i) => i)
const received = (conn: DataConnection): unknown[] => {
  const all: unknown[] = []
  conn.on('data', data => all.push(data))
  return all
}
const quiet = (): Promise<void> => new Promise(resolve => setTimeout(resolve))
/** Until nothing moves any more. */
const quietly = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 100))

describe('a connection that is paused', () => {
  it('emits nothing, acknowledges nothing, and emits all in order when it goes on', async () => {
    const { ab, ba } = await pair()
    const got = received(ba)
    ba.pause()
    expect(ba.paused).toBe(true)
    for (const i of numbers(500)) void ab.send(i)
    let delivered = false
    const all = ab.delivered().then(() => { delivered = true })
    await quietly()
    expect(got).toEqual([])
    expect(delivered).toBe(false)
    ba.resume()
    expect(got).toEqual(numbers(500))
    expect(ba.paused).toBe(false)
    await all
    await ab.send(500)
    await ab.delivered()
    expect(got).toHaveLength(501)
  })

  it('stops the sender, and what it takes of memory', async () => {
    const { ab, ba } = await pair()
    const got = received(ba)
    ba.pause()
    const piece = new Uint8Array(100_000)
    let sent = 0
    void (async () => {
      while (sent < 200) {
        await ab.send(piece)
        sent++
      }
    })()
    for (let before = -1; sent !== before;) {
      before = sent
      await quietly()
    }
    // What may be on its way at first, and the queue of 1 MiB behind it.
    expect(sent).toBeGreaterThanOrEqual(10)
    expect(sent).toBeLessThan(20)
    ba.resume()
    while (sent < 200) await ab.delivered()
    await ab.delivered()
    expect(got).toHaveLength(200)
  })

  it('may be paused again by a listener, message by message', async () => {
    const { ab, ba } = await pair()
    const got: unknown[] = []
    ba.on('data', (data) => {
      got.push(data)
      ba.pause()
    })
    for (const i of numbers(100)) void ab.send(i)
    for (const i of numbers(100)) {
      while (got.length === i) {
        ba.resume()
        await quiet()
      }
      expect(got.length).toBe(i + 1)
    }
    expect(got).toEqual(numbers(100))
  })

  it('holds requests back too, but not the answers to its own', async () => {
    const { ab, ba } = await pair()
    const log: unknown[] = []
    ba.on('data', data => log.push(data))
    ba.onRequest((data) => {
      log.push(`asked ${String(data)}`)
      return 'yes'
    })
    ab.onRequest(() => 'no')
    ba.pause()
    void ab.send('first')
    const asked = ab.request('second')
    void ab.send('third')
    expect(await ba.request('?')).toBe('no')
    expect(log).toEqual([])
    ba.resume()
    expect(log).toEqual(['first', 'asked second', 'third'])
    expect(await asked).toBe('yes')
  })

  it('from before it was open, keeps the first message', async () => {
    const { ab, ba } = await pair(ba => ba.pause())
    const got = received(ba)
    void ab.send('first')
    await quietly()
    expect(got).toEqual([])
    ba.resume()
    expect(got).toEqual(['first'])
  })

  it('emits what it kept before it closes', async () => {
    const { ab, ba } = await pair()
    const log: unknown[] = []
    ba.on('data', data => log.push(data))
    ba.on('close', () => log.push('close'))
    ba.pause()
    for (const i of numbers(3)) void ab.send(i)
    ab.close()
    await event(ba, 'close')
    expect(log).toEqual([0, 1, 2, 'close'])
  })

  it('goes on with the next message when a listener throws', async () => {
    const { ab, ba } = await pair()
    const { reportError } = globalThis
    const surfaced: unknown[] = []
    globalThis.reportError = error => void surfaced.push(error)
    ba.pause()
    const got: unknown[] = []
    ba.on('data', (data) => {
      got.push(data)
      throw new Error('of the application')
    })
    for (const i of numbers(3)) void ab.send(i)
    await quietly()
    ba.resume()
    globalThis.reportError = reportError
    expect(got).toEqual([0, 1, 2])
    expect(surfaced).toHaveLength(3)
  })
})

describe('for await', () => {
  it('yields every message in order and ends with the connection', async () => {
    const { ab, ba } = await pair()
    const got: unknown[] = []
    const loop = (async () => {
      for await (const message of ba) got.push(message)
    })()
    for (const i of numbers(2_000)) await ab.send(i)
    ab.close()
    await loop
    expect(got).toEqual(numbers(2_000))
  })

  it('may begin in the listener of the connection', async () => {
    const got: unknown[] = []
    let loop: Promise<void> | undefined
    const { ab } = await pair((ba) => {
      loop = (async () => {
        for await (const message of ba) got.push(message)
      })()
    })
    for (const i of numbers(10)) void ab.send(i)
    ab.close()
    await loop
    expect(got).toEqual(numbers(10))
  })

  it('takes no more than it can: the sender waits', async () => {
    const { ab, ba } = await pair()
    let sent = 0
    const sending = (async () => {
      for (; sent < 150; sent++) await ab.send(new Uint8Array(100_000))
    })()
    let seen = 0
    for await (const _ of ba) {
      if (++seen === 1) {
        await quietly()
        await quietly()
        expect(sent).toBeLessThan(60)
      }
      if (seen === 150) break
    }
    await sending
    expect(seen).toBe(150)
  })

  it('that is left loses nothing for the next one', async () => {
    const { ab, ba } = await pair()
    for (const i of numbers(20)) void ab.send(i)
    const got: unknown[] = []
    for await (const message of ba) {
      got.push(message)
      if (message === 4) break
    }
    expect(ba.paused).toBe(true)
    await quietly()
    for await (const message of ba) {
      got.push(message)
      if (message === 19) break
    }
    expect(got).toEqual(numbers(20))
  })

  it('that is left lets the connection go on when others listen', async () => {
    const { ab, ba } = await pair()
    const got = received(ba)
    for (const i of numbers(20)) void ab.send(i)
    for await (const message of ba) if (message === 4) break
    expect(ba.paused).toBe(false)
    await ab.delivered()
    expect(got).toEqual(numbers(20))
  })

  it('over a closed connection ends at once', async () => {
    const { ab } = await pair()
    ab.close()
    await event(ab, 'close')
    for await (const _ of ab) expect.unreachable()
  })
})

