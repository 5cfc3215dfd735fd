import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Spare } from '../../js/driver/spare.js'
import { FakePeerConnection } from './fakes.js'

const day = 86_400_000
let now: number
let generated: { expires: number }[]
let idle: (() => void)[]
let spares: Spare[]

/** As a browser's, which can say no. */
class Browser extends FakePeerConnection {
  static generateCertificate = vi.fn()
  signalingState = 'stable'
  configurations: RTCConfiguration[] = []
  setConfiguration(configuration: RTCConfiguration): void {
    if (configuration.bundlePolicy !== this.config.bundlePolicy) throw new Error('InvalidModificationError')
    this.configurations.push(configuration)
  }
}
const made = (): Browser[] => FakePeerConnection.made as Browser[]

beforeEach(() => {
  vi.useFakeTimers()
  now = Date.now()
  generated = []
  idle = []
  spares = []
  FakePeerConnection.made = []
  FakePeerConnection.fail = null
  Browser.generateCertificate.mockImplementation(async () => {
    const certificate = { expires: Date.now() + 30 * day }
    generated.push(certificate)
    return certificate
  })
  vi.stubGlobal('RTCPeerConnection', Browser)
  vi.stubGlobal('requestIdleCallback', (call: () => void) => idle.push(call))
})

afterEach(() => {
  for (const spare of spares) spare.dispose()
  Browser.generateCertificate.mockReset()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

async function make(rtc: RTCConfiguration = {}): Promise<Spare> {
  const spare = new Spare(rtc)
  spares.push(spare)
  await vi.advanceTimersByTimeAsync(0)
  return spare
}

async function rest(): Promise<void> {
  for (const call of idle.splice(0)) call()
  await vi.advanceTimersByTimeAsync(0)
}

describe('a spare RTCPeerConnection', () => {
  it('is made ahead, with a certificate and one set of candidates', async () => {
    const spare = await make({ iceServers: [{ urls: 'stun:example.org' }] })
    expect(Browser.generateCertificate).toHaveBeenCalledWith({ name: 'ECDSA', namedCurve: 'P-256' })
    expect(made().map(pc => pc.config)).toEqual([
      { iceServers: [{ urls: 'stun:example.org' }], iceCandidatePoolSize: 1, certificates: generated },
    ])
    expect(spare.take()).toBe(made()[0])
    expect(made()[0]!.closed).toBe(false)
  })

  it('is followed by another with the same certificate, when there is nothing else to do', async () => {
    const spare = await make()
    spare.take()
    expect(made()).toHaveLength(1)
    await rest()
    expect(made()).toHaveLength(2)
    expect(spare.take()).toBe(made()[1])
    expect(generated).toHaveLength(1)
    expect(made()[1]!.config.certificates).toEqual(generated)
  })

  it('is followed by another after a second where the browser does not tell when it is idle', async () => {
    vi.stubGlobal('requestIdleCallback', undefined)
    const spare = await make()
    spare.take()
    await vi.advanceTimersByTimeAsync(999)
    expect(made()).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(made()).toHaveLength(2)
  })

  it('is not waited for: who comes before it gets a new one, and there is one spare and not two', async () => {
    const spare = new Spare({})
    spares.push(spare)
    expect(spare.take()).toBe(made()[0])
    expect(spare.take()).toBe(made()[1])
    await vi.advanceTimersByTimeAsync(0)
    await rest()
    expect(made()).toHaveLength(3)
    expect(generated).toHaveLength(1)
  })

  it('leaves certificates and pool of the application as they are', async () => {
    const certificates = [{ expires: now + day }] as unknown as RTCCertificate[]
    await make({ certificates, iceCandidatePoolSize: 4 })
    expect(Browser.generateCertificate).not.toHaveBeenCalled()
    expect(made()[0]!.config).toEqual({ certificates, iceCandidatePoolSize: 4 })
  })

  it('is there without a certificate where the browser makes none', async () => {
    Browser.generateCertificate.mockRejectedValue(new Error('NotSupportedError'))
    const spare = await make()
    expect(made()[0]!.config).toEqual({ iceCandidatePoolSize: 1 })
    expect(spare.take()).toBe(made()[0])
  })

  it('gets the configuration of the moment when it is taken: credentials may be new', async () => {
    const rtc: RTCConfiguration = { iceServers: [] }
    const spare = await make(rtc)
    rtc.iceServers = [{ urls: 'turn:example.org', username: 'new', credential: 'new' }]
    const pc = spare.take() as unknown as Browser
    expect(pc).toBe(made()[0])
    expect(pc.configurations).toEqual([{ ...rtc, iceCandidatePoolSize: 1, certificates: generated }])
  })

  it('is given up where the configuration changed in a way that it cannot follow, or it was closed', async () => {
    const rtc: RTCConfiguration = {}
    const spare = await make(rtc)
    rtc.bundlePolicy = 'max-bundle'
    expect((spare.take() as unknown as Browser).config.bundlePolicy).toBe('max-bundle')
    expect(made()[0]!.closed).toBe(true)
    await rest()
    made()[2]!.signalingState = 'closed'
    expect(spare.take()).toBe(made()[3])
  })

  it('is made anew on another network', async () => {
    const spare = await make()
    spare.renew()
    await rest()
    expect(made()[0]!.closed).toBe(true)
    expect(spare.take()).toBe(made()[1])
  })

  it('never outlives its certificate', async () => {
    const spare = await make()
    generated[0]!.expires = now + 5 * day
    spare.renew()
    await vi.advanceTimersByTimeAsync(5 * day - 1)
    expect(made()[1]!.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(made()[1]!.closed).toBe(true)
    expect(made()[2]!.config.certificates).toEqual([generated[1]])
    expect(spare.take()).toBe(made()[2])
  })

  it('is closed with its peer, and no other is made', async () => {
    const spare = await make()
    spare.take()
    await rest()
    spare.take()
    spare.dispose()
    spare.dispose()
    await rest()
    expect(made()).toHaveLength(2)
    const early = new Spare({})
    early.dispose()
    await rest()
    expect(made()).toHaveLength(2)
    const other = await make()
    other.dispose()
    expect(made()[2]!.closed).toBe(true)
  })

  it('does not hide why a browser makes none', async () => {
    FakePeerConnection.fail = new Error('too many')
    const spare = await make()
    expect(() => spare.take()).toThrow('too many')
  })
})
