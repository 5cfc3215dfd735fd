import { afterEach, beforeEach, describe, expect, it, vi, type Mock } from 'vitest'
import { PunctualTimer } from '../../js/driver/timer.js'

/** A worker whose clock the test turns. */
class FakeWorker {
  static all: FakeWorker[] = []
  static refuse: Error | null = null
  readonly heard: [number, number][] = []
  terminated = false
  onmessage: ((event: { data: number }) => void) | null = null
  onerror: ((event: { preventDefault(): void }) => void) | null = null

  constructor(readonly url: string) {
    if (FakeWorker.refuse) throw FakeWorker.refuse
    FakeWorker.all.push(this)
  }

  postMessage(message: [number, number]): void { this.heard.push(message) }
  terminate(): void { this.terminated = true }
  /** The last arming comes due. */
  ring(number = this.heard.at(-1)![0]): void { this.onmessage?.({ data: number }) }
}

let page: EventTarget & { hidden: boolean }
let urls: Set<string>
let fire: Mock<() => void>
let timer: PunctualTimer

function hide(hidden: boolean): void {
  page.hidden = hidden
  page.dispatchEvent(new Event('visibilitychange'))
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  FakeWorker.all = []
  FakeWorker.refuse = null
  urls = new Set()
  page = Object.assign(new EventTarget(), { hidden: false })
  vi.stubGlobal('document', page)
  vi.stubGlobal('Worker', FakeWorker)
  let made = 0
  vi.spyOn(URL, 'createObjectURL').mockImplementation(() => {
    urls.add(`blob:${++made}`)
    return `blob:${made}`
  })
  vi.spyOn(URL, 'revokeObjectURL').mockImplementation(url => void urls.delete(url))
  fire = vi.fn<() => void>()
  timer = new PunctualTimer(fire)
})

afterEach(() => {
  timer.dispose()
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const soon = (ms: number): number => performance.now() + ms

describe('a timer of a visible page', () => {
  it('fires once, not before its time, and makes no worker', () => {
    timer.set(soon(49.5))
    vi.advanceTimersByTime(49)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(fire).toHaveBeenCalledOnce()
    vi.advanceTimersByTime(1000)
    expect(fire).toHaveBeenCalledOnce()
    expect(FakeWorker.all).toEqual([])
  })

  it('can be set anew, set within its own firing, and cleared', () => {
    timer.set(soon(10))
    timer.set(soon(20))
    fire.mockImplementationOnce(() => timer.set(soon(5)))
    vi.advanceTimersByTime(15)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(10)
    expect(fire).toHaveBeenCalledTimes(2)
    timer.set(soon(5))
    timer.set(null)
    vi.advanceTimersByTime(1000)
    expect(fire).toHaveBeenCalledTimes(2)
  })

  it('fires at once when its time is past, and early rather than never when it is weeks away', () => {
    timer.set(soon(-5))
    vi.advanceTimersByTime(0)
    expect(fire).toHaveBeenCalledOnce()
    timer.set(soon(2 ** 40))
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(2 ** 31)
    expect(fire).toHaveBeenCalledTimes(2)
  })

  it('never fires after it was disposed', () => {
    timer.set(soon(5))
    timer.dispose()
    timer.dispose()
    timer.set(soon(5))
    hide(true)
    vi.advanceTimersByTime(1000)
    expect(fire).not.toHaveBeenCalled()
    expect(FakeWorker.all).toEqual([])
  })
})

describe('a timer of a hidden page', () => {
  it('fires when its worker says so, however late the page\'s own timers are', () => {
    hide(true)
    timer.set(soon(500))
    const [worker] = FakeWorker.all
    expect(worker!.heard).toEqual([[expect.any(Number), 500]])
    worker!.ring()
    expect(fire).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('fires once when both are punctual', () => {
    hide(true)
    timer.set(soon(500))
    vi.advanceTimersByTime(500)
    FakeWorker.all[0]!.ring(FakeWorker.all[0]!.heard[0]![0])
    expect(fire).toHaveBeenCalledOnce()
  })

  it('is moved into the worker when the page is hidden while it waits, and back when it is shown', () => {
    timer.set(soon(1000))
    vi.advanceTimersByTime(400)
    hide(true)
    const [worker] = FakeWorker.all
    expect(worker!.heard).toEqual([[expect.any(Number), 600]])
    hide(false)
    expect(worker!.terminated).toBe(true)
    expect(urls.size).toBe(0)
    vi.advanceTimersByTime(600)
    expect(fire).toHaveBeenCalledOnce()
  })

  it('keeps one worker for all that it is set to, and stops it when it is cleared', () => {
    hide(true)
    timer.set(soon(500))
    timer.set(soon(200))
    timer.set(null)
    expect(FakeWorker.all).toHaveLength(1)
    expect(FakeWorker.all[0]!.heard.map(([, delay]) => delay)).toEqual([500, 200, -1])
    for (const [number] of FakeWorker.all[0]!.heard) FakeWorker.all[0]!.ring(number)
    expect(fire).not.toHaveBeenCalled()
  })

  it('makes no worker as long as there is nothing to wait for', () => {
    hide(true)
    expect(FakeWorker.all).toEqual([])
  })

  it('ends its worker when it is disposed', () => {
    hide(true)
    timer.set(soon(500))
    timer.dispose()
    expect(FakeWorker.all[0]!.terminated).toBe(true)
    expect(urls.size).toBe(0)
  })

  it.each([
    ['throws, as Chromium and Safari do', () => { FakeWorker.refuse = new Error('SecurityError') }],
    ['reports an error later, as Firefox does', () => {}],
    ['does not exist', () => vi.stubGlobal('Worker', undefined)],
    ['gets no URL', () => vi.mocked(URL.createObjectURL).mockImplementation(() => { throw new TypeError('no Blob URLs here') })],
  ])('fires by setTimeout where a worker %s, and does not ask again', (_how, refuse) => {
    refuse()
    hide(true)
    timer.set(soon(500))
    const prevented = vi.fn()
    FakeWorker.all[0]?.onerror!({ preventDefault: prevented })
    vi.advanceTimersByTime(500)
    expect(fire).toHaveBeenCalledOnce()
    timer.set(soon(500))
    vi.advanceTimersByTime(500)
    expect(fire).toHaveBeenCalledTimes(2)
    expect(FakeWorker.all.length).toBeLessThan(2)
    expect(URL.createObjectURL).toHaveBeenCalledTimes(1)
    expect(urls.size).toBe(0)
  })
})
