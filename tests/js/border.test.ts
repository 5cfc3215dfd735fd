/** The control border, spelled alike on both sides: the real wasm against js/core/types.ts and tests/vectors/names.json. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadCore } from '../../js/core/load.js'
import type { CoreErrorCode, CoreInput, CoreOutput } from '../../js/core/types.js'
import { Format, Lane } from '../../js/core/types.js'

const names = JSON.parse(readFileSync(new URL('../vectors/names.json', import.meta.url), 'utf8')) as Record<'errors' | 'inputs' | 'outputs', string[]>

// Every name of the types stands here once, or this does not compile.
const inputs: Record<CoreInput['type'], true> = {
  'start': true, 'connect': true, 'answer': true, 'close': true, 'stripes': true, 'disconnect': true, 'reconnect': true, 'destroy': true,
  'id-assigned': true, 'id-failed': true, 'signaling-opened': true, 'signaling-message': true, 'signaling-closed': true,
  'op-done': true, 'op-failed': true, 'local-candidate': true, 'gathering-complete': true, 'negotiation-needed': true,
  'link-state': true, 'path-changed': true, 'channel-arrived': true, 'channel-opened': true, 'channel-closed': true, 'side-open': true,
  'side-close': true, 'side-heard': true, 'transfer-offer': true,
  'transfer-accept': true, 'transfer-reject': true, 'transfer-pause': true, 'transfer-resume': true, 'transfer-cancel': true,
  'transfer-end': true, 'transfer-consumed': true, 'transfer-complete': true, 'network': true, 'page-hide': true, 'timeout': true,
}
const outputs: Record<CoreOutput['type'], true> = {
  'request-id': true, 'signaling-connect': true, 'signaling-send': true, 'signaling-close': true, 'link-create': true,
  'link-close': true, 'set-local-description': true, 'set-remote-description': true, 'read-local-description': true,
  'add-candidate': true, 'restart-ice': true, 'rollback': true, 'channel-create': true, 'channel-bind': true, 'stripe-bind': true, 'channel-close': true, 'side-bind': true,
  'transmit': true, 'message-dropped': true, 'transfer-read': true, 'dispose': true, 'peer-state': true, 'peer-opened': true, 'peer-disconnected': true,
  'peer-closed': true, 'peer-error': true, 'connection-incoming': true, 'connection-foreign': true, 'connection-state': true, 'connection-opened': true,
  'connection-error': true, 'connection-closed': true, 'room': true, 'delivered': true, 'transfer-offered': true,
  'transfer-state': true, 'transfer-progress': true, 'transfer-ended': true, 'warning': true,
}
const errors: Record<CoreErrorCode, true> = {
  'browser-incompatible': true, 'disconnected': true, 'invalid-id': true, 'invalid-key': true, 'network': true,
  'peer-unavailable': true, 'ssl-unavailable': true, 'server-error': true, 'socket-error': true, 'socket-closed': true,
  'unavailable-id': true, 'webrtc': true, 'negotiation-failed': true, 'connection-closed': true, 'not-open-yet': true,
  'message-too-big': true, 'core-unavailable': true, 'bad-signal': true, 'signal-too-large': true, 'signal-expired': true,
  'protocol-violation': true, 'incompatible-peer': true, 'timeout': true, 'connection-lost': true, 'invalid-argument': true,
  'invalid-state': true, 'rejected': true, 'cancelled': true, 'corrupted': true, 'not-authorized': true,
}

function drain(core: Awaited<ReturnType<typeof create>>): CoreOutput[] {
  const all: CoreOutput[] = []
  for (let output = core.poll(); output; output = core.poll()) all.push(output)
  return all
}

async function create() {
  return (await loadCore()).create({ seed: 1 }, 0)
}

describe('the control border', () => {
  it('has the same names in the types and in the shared list', () => {
    expect(Object.keys(inputs).sort()).toEqual([...names.inputs].sort())
    expect(Object.keys(outputs).sort()).toEqual([...names.outputs].sort())
    expect(Object.keys(errors).sort()).toEqual([...names.errors].sort())
  })

  it.each(names.inputs)('knows the input %s, and survives it out of place and empty', async (type) => {
    const core = await create()
    core.handle({ type } as unknown as CoreInput, 1)
    for (const output of drain(core)) expect(outputs).toHaveProperty([output.type])
    core.dispose()
  })

  it('refuses an input that it does not know, instead of ignoring it', async () => {
    const core = await create()
    expect(() => core.handle({ type: 'no-such-input' } as unknown as CoreInput, 1)).toThrow(expect.objectContaining({ type: 'core-unavailable' }))
    core.dispose()
  })

  it('carries every member of a connection, from connect to the OFFER and from the OFFER to the event', async () => {
    const [ada, bob] = [await create(), await create()]
    for (const [core, id] of [[ada, 'ada'], [bob, 'bob']] as const) {
      core.handle({ type: 'start', id, token: 't' }, 0)
      expect(drain(core)).toContainEqual({ type: 'signaling-connect', transport: 1, id, token: 't' })
      core.handle({ type: 'signaling-opened', transport: 1 }, 1)
      core.handle({ type: 'signaling-message', transport: 1, text: '{"type":"OPEN"}' }, 1)
      expect(drain(core)).toContainEqual({ type: 'peer-opened', id })
    }
    ada.handle({
      type: 'connect', connection: 1, peer: 'bob', connectionId: 'dc_1', kind: 'data', label: 'läbel',
      metadata: '{"m":[1,"é",null]}', serialization: 'json', reliable: true,
    }, 2)
    const [create1, channel, local] = drain(ada)
    expect(create1).toEqual({ type: 'link-create', link: 1, connection: 1, stripe: 0 })
    expect(channel).toEqual({ type: 'channel-create', link: 1, channel: 2, label: 'läbel', subprotocol: '', ordered: true, lowThreshold: 65536 })
    expect(local).toMatchObject({ type: 'set-local-description', link: 1 })
    ada.handle({ type: 'op-done', op: (local as { op: number }).op, sdpType: 'offer', sdp: 'v=0\r\n' }, 3)
    const [offer] = drain(ada)
    expect(offer).toMatchObject({ type: 'signaling-send', transport: 1 })
    const message = JSON.parse((offer as { text: string }).text) as Record<string, unknown>
    bob.handle({ type: 'signaling-message', transport: 1, text: JSON.stringify({ ...message, src: 'ada' }) }, 6)
    expect(drain(bob)[0]).toEqual({
      type: 'connection-incoming', connection: 2, peer: 'ada', connectionId: 'dc_1', kind: 'data', label: 'läbel',
      metadata: '{"m":[1,"é",null]}', serialization: 'json', reliable: true, protocol: 'native',
    })
    ada.dispose()
    bob.dispose()
  })

  it('answers nothing after dispose, and does not mind being called', async () => {
    const core = await create()
    core.dispose()
    core.dispose()
    core.handle({ type: 'timeout' }, 1)
    core.receive(1, new ArrayBuffer(8), false, 1)
    expect(core.poll()).toBeNull()
    expect(core.deadline()).toBe(Infinity)
    expect(core.put(1, Lane.normal, 1, new Uint8Array(1))).toBe(false)
    expect(core.queue(1, Lane.normal, Format.request, 1)).toBe(0)
    expect(core.pump(1, 1, 0, 1)).toMatchObject({ kind: 'wait' })
  })
})

describe('the memory of the core', () => {
  it('does not grow with what it said and the shim has read', async () => {
    const core = await create()
    core.handle({ type: 'start', id: 'ada', token: 't' }, 0)
    core.handle({ type: 'signaling-opened', transport: 1 }, 1)
    const say = (times: number): void => {
      for (let i = 0; i < times; i++) {
        core.handle({ type: 'signaling-message', transport: 1, text: 'no JSON' }, 2)
        expect(drain(core).at(-1)).toMatchObject({ type: 'warning' })
      }
    }
    say(10)
    const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow')
    say(30_000)
    expect(grow).not.toHaveBeenCalled()
    grow.mockRestore()
    core.dispose()
  })
})

describe('the timers', () => {
  it('have the documented defaults, and each of them is an option', () => {
    const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
    const number = (text: string): number => Number(text.replace(/[_']/g, ''))
    const defaults = [...read('../../cpp/include/peerbridge/config.hpp').matchAll(/^ {2}Millis (\w+) = ([\d']+);/gm)]
      .map(([, name, value]) => [name!, number(value!)] as const)
    const timers = /interface CoreTimers \{([^}]+)\}/.exec(read('../../js/core/types.ts'))![1]!
    const documented = [...timers.matchAll(/@default ([\d_]+)\s+\*\/\s+(\w+)\?: number/g)].map(([, value, name]) => [name!, number(value!)] as const)
    expect(defaults.length).toBeGreaterThan(20)
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(defaults))
  })
})

describe('a core that cannot be had', () => {
  const server = createServer((_, response) => response.writeHead(404).end('not found'))
  beforeAll(async () => { await once(server.listen(0), 'listening') })
  afterAll(() => { server.close() })

  it.each([
    ['bytes that are no wasm', () => new Uint8Array([1, 2, 3])],
    ['an address that answers 404', () => `http://localhost:${(server.address() as AddressInfo).port}/core.wasm`],
  ])('rejects %s with a typed error that says what to do, and the next load is tried afresh', async (_, wasm) => {
    vi.resetModules()
    const { loadCore: fresh } = await import('../../js/core/load.js')
    await expect(fresh({ wasm: wasm() })).rejects.toMatchObject({ type: 'core-unavailable', message: expect.stringMatching(/reloading/) as string })
    await expect(fresh()).resolves.toHaveProperty('create')
  })

  it('takes the core from an address that has it', async () => {
    const bytes = readFileSync(new URL('../../js/core/generated/core.wasm', import.meta.url))
    const good = createServer((_, response) => response.writeHead(200, { 'content-type': 'application/wasm' }).end(bytes))
    await once(good.listen(0), 'listening')
    vi.resetModules()
    const { loadCore: fresh } = await import('../../js/core/load.js')
    await expect(fresh({ wasm: new URL(`http://localhost:${(good.address() as AddressInfo).port}/core.wasm`) })).resolves.toHaveProperty('create')
    good.close()
  })
})
