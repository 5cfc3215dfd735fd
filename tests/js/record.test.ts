/** The record of the control border: its places have the same order on both sides, and what is written is what the core reads. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCore, type CoreFactory } from '../../js/core/load.js'
import { prime } from '../../js/core/prime.js'
import { inputs, numbers, outputs, settings, texts, words } from '../../js/core/record.js'
import type { Core, CoreInput, CoreOutput } from '../../js/core/types.js'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8').replace(/\/\/.*$/gm, '')
/** The names of a C++ enumeration, spelled as here. */
function enumeration(path: string, name: string): string[] {
  const body = new RegExp(`enum class ${name}\\b[^{]*\\{([^}]*)\\}`).exec(read(path))![1]!
  return body.split(',').map(word => word.trim()).filter(Boolean)
}
const kebab = (name: string): string => name.replace(/(?<=.)[A-Z]/g, '-$&').toLowerCase()
const camel = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)

describe('both sides', () => {
  const events = 'cpp/include/peerbridge/events.hpp'
  const types = 'cpp/include/peerbridge/types.hpp'

  it('have the same places', () => {
    expect([...numbers, ...texts]).toEqual(enumeration('bindings/record.hpp', 'Place').map(camel))
    expect(enumeration('bindings/record.hpp', 'Place')[numbers.length]).toBe('Text')
  })

  it('number the inputs and the outputs alike', () => {
    expect(inputs).toEqual(enumeration(events, 'InputType').map(kebab))
    expect(outputs.map(({ type }) => type)).toEqual(enumeration(events, 'OutputType').map(kebab))
  })

  it.each([
    ['kind', types, 'ConnectionKind'], ['sdpType', types, 'SdpType'], ['link-state', types, 'LinkState'], ['protocol', types, 'Protocol'],
    ['peer-state', events, 'PeerState'], ['connection-state', events, 'ConnectionState'], ['change', events, 'NetworkChange'],
    ['transfer-state', 'cpp/src/framing/wire.hpp', 'TransferState'], ['error', 'cpp/include/peerbridge/error.hpp', 'ErrorCode'],
  ])('number the words of %s alike', (list, path, name) => {
    const compact = (word: unknown): string => String(word).replace(/-/g, '').toLowerCase()
    expect(words[list]!.map(compact)).toEqual(enumeration(path, name).map(compact))
  })

  it('know the settings in the same order, each member of Config among them', () => {
    const body = /void toConfig[\s\S]*?\n\}/.exec(read('bindings/record.cpp'))![0]
    const taken = [...body.matchAll(/(?:config|framing)\.(\w+)\b(?= = |\);|\))|&Config::(\w+)/g)].map(([, one, other]) => one ?? other)
    expect([...new Set(taken)]).toEqual(settings)
    const members = [...read('cpp/include/peerbridge/config.hpp').matchAll(/^ {2}[\w:]+ (\w+) = /gm)].map(([, name]) => name)
    const framing = ['maxMessageBytes', 'windowBytes', 'grantBytes', 'queueBytes', 'maxUnfinishedMessages', 'maxUnfinishedBytes', 'unfinishedTimeout']
    expect([...settings].filter(name => !framing.includes(name)).sort()).toEqual(members.sort())
  })
})

describe('a record', () => {
  let factory: CoreFactory
  beforeAll(async () => { factory = await loadCore() })

  function tell(core: Core, ...inputs: CoreInput[]): CoreOutput[] {
    const all: CoreOutput[] = []
    for (const input of inputs) {
      core.handle(input, 1)
      for (let output = core.poll(); output; output = core.poll()) all.push(output)
    }
    return all
  }

  /** A core that is open, and what it says to a peer. */
  function connected(label: string): CoreOutput[] {
    const core = factory.create({ seed: 1 }, 0)
    const [, asked] = tell(core, { type: 'start', id: 'ada', token: 't' })
    const { transport } = asked as CoreOutput & { type: 'signaling-connect' }
    const made = tell(core, { type: 'signaling-opened', transport }, { type: 'signaling-message', transport, text: '{"type":"OPEN"}' },
      { type: 'connect', connection: 1, peer: 'bob', connectionId: 'c', kind: 'data', label, serialization: 'binary', reliable: true })
    core.dispose()
    return made
  }

  it.each([
    ['nothing', ''],
    ['text of every length of UTF-8', 'aé€😀'],
    ['NUL bytes and a byte order mark', '\uFEFFa\0b'],
    ['a text for which memory has to grow', 'x😀'.repeat(400_000)],
    ['a short one after it', 'x'],
  ])('carries %s', (_, text) => {
    expect(connected(text)).toContainEqual(expect.objectContaining({ type: 'channel-create', label: text, ordered: true }))
  })

  it('writes half of a surrogate pair as U+FFFD, as every encoder of the web does', () => {
    expect(connected('\uD83D')).toContainEqual(expect.objectContaining({ type: 'channel-create', label: '\uFFFD' }))
  })

  it('does not carry over what the input before had', () => {
    const core = factory.create({ seed: 1 }, 0)
    core.handle({ type: 'network', change: 'online' }, 1)
    expect(() => core.handle({ type: 'never-heard-of', id: 'x', op: 3 } as unknown as CoreInput, 1)).toThrow(/different versions/)
    expect(tell(core, { type: 'start', token: 't' })).toContainEqual({ type: 'request-id', op: expect.any(Number) as number })
    core.dispose()
  })

  it('takes settings by their names, and leaves the others alone', () => {
    const core = factory.create({ seed: 1, heartbeatInterval: 1234, protocol: 'native', autoReconnect: false }, 0)
    const [, asked] = tell(core, { type: 'start', id: 'ada', token: 't' })
    expect(core.deadline()).toBe(1 + 10_000)
    const { transport } = asked as CoreOutput & { type: 'signaling-connect' }
    tell(core, { type: 'signaling-opened', transport }, { type: 'signaling-message', transport, text: '{"type":"OPEN"}' })
    expect(core.deadline()).toBe(1 + 1234)
    expect(tell(core, { type: 'signaling-closed', transport, message: 'gone' })).toContainEqual(
      { type: 'peer-state', state: 'idle', reason: 'autoReconnect is off' })
    core.dispose()
  })
})

describe('what is run ahead so that browsers have compiled it', () => {
  it('is a handshake up to the candidates, and leaves nothing behind', async () => {
    const factory = await loadCore()
    const seen: string[] = []
    const disposed: boolean[] = []
    prime({
      ...factory,
      create(config, now) {
        const core = factory.create(config, now)
        const mine = disposed.push(false) - 1
        return new Proxy(core, {
          get(_, name) {
            if (name === 'dispose') disposed[mine] = true
            const member = core[name as keyof Core]
            if (typeof member !== 'function') return member
            return (...args: never[]) => {
              const answer: unknown = (member as (...args: never[]) => unknown).apply(core, args)
              if (name === 'poll' && answer) seen.push(`${mine} ${(answer as CoreOutput).type}`)
              return answer
            }
          },
        })
      },
    })
    for (const side of [0, 1]) {
      expect(seen).toContain(`${side} set-local-description`)
      expect(seen).toContain(`${side} set-remote-description`)
      expect(seen).toContain(`${side} add-candidate`)
    }
    expect(seen.filter(what => /warning|error/.test(what))).toEqual([])
    expect(disposed).toEqual([true, true])
  })
})
