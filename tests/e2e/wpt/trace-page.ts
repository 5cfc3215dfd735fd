/**
 * One side of the scenarios of tests/sim/traces: a bare RTCPeerConnection that does what it is told and says what it saw.
 * The page of side a conducts; that of side b is asked through a BroadcastChannel.
 */

/** What happened on one side until the browser was at rest: the form of tests/sim/traces/chromium.json. */
export interface Seen {
  /** signalingState after each signalingstatechange. */
  states: string[]
  /** negotiationneeded events. */
  needed: number
  /** Operations that ended, in this order, each with 'ok' or the name of its error. */
  results: string[]
}

type Side = 'a' | 'b'
export type Both<T> = Partial<Record<Side, T>>

export interface Scenario {
  name: string
  /** One after the other; what is in one of them happens in one turn, on both sides at once. */
  steps: Both<string[]>[]
  /** Why the model does something else, and that this is harmless. */
  differs?: string
}

interface Description { type: RTCSdpType, sdp: string }

/** An operation, and what it is about where it is about something of the other side. */
interface Step { op: string, description?: Description, candidate?: RTCIceCandidateInit }

let pc: RTCPeerConnection
let seen: Seen
let closed: Promise<void>
let forgo: () => void
/** What the other side may be given, the oldest first. */
let candidates: RTCIceCandidateInit[]
let source: MediaStream | undefined

const nothing = (): Seen => ({ states: [], needed: 0, results: [] })

/** A new scenario. `media`: it shows tracks, and must not have to wait for them then. */
async function begin(media: boolean): Promise<void> {
  pc?.close()
  const self = pc = new RTCPeerConnection()
  seen = nothing()
  closed = new Promise(resolve => forgo = resolve)
  const list: RTCIceCandidateInit[] = candidates = []
  self.onsignalingstatechange = () => seen.states.push(self.signalingState)
  self.onnegotiationneeded = () => seen.needed++
  self.onicecandidate = ({ candidate }) => candidate?.candidate && list.push(candidate.toJSON())
  if (media) source ??= await navigator.mediaDevices.getUserMedia({ audio: true })
}

/** Goes through the browser's own threads and back: what was on its way to this page before has been handled then. */
const post = new RTCPeerConnection()
async function fence(): Promise<void> {
  await post.createOffer()
  for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setTimeout(resolve))
}

/** Does all of it in one turn; answers once what can end has ended and the events behind it have come. */
async function act(steps: Step[]): Promise<{ seen: Seen, made: Description[] }> {
  const made: Description[] = []
  const running: Promise<void>[] = []
  const watch = (op: string, run: () => Promise<void>): void => {
    const ends = run().then(() => void seen.results.push(`${op} ok`), (error: Error) => void seen.results.push(`${op} ${error.name}`))
    // Promises of a connection that was closed never settle: those are not waited for.
    running.push(Promise.race([ends, closed]))
  }
  for (const { op, description, candidate } of steps) {
    switch (op) {
      case 'channel': pc.createDataChannel(''); break
      case 'track': pc.addTrack(source!.getTracks()[0]!.clone(), source!); break
      case 'untrack': pc.removeTrack(pc.getSenders().find(({ track }) => track)!); break
      case 'restart': pc.restartIce(); break
      case 'close':
        pc.close()
        forgo()
        break
      case 'rollback': watch(op, () => pc.setLocalDescription({ type: 'rollback' })); break
      case 'remote': watch(op, () => pc.setRemoteDescription(description!)); break
      case 'candidate': watch(op, () => pc.addIceCandidate(candidate)); break
      case 'local': watch(op, async () => {
        await pc.setLocalDescription()
        const { type, sdp } = pc.localDescription!
        made.push({ type, sdp })
      }); break
      default: throw new Error(`no operation ${op}`)
    }
  }
  await Promise.all(running)
  await fence()
  await fence()
  const answer = { seen, made }
  seen = nothing()
  return answer
}

/** A candidate of the newest or of the oldest generation. */
async function candidate(old: boolean): Promise<RTCIceCandidateInit> {
  while (pc.iceGatheringState !== 'complete') await new Promise(resolve => pc.addEventListener('icegatheringstatechange', resolve, { once: true }))
  return candidates.at(old ? 0 : -1)!
}

const here = { begin, act, candidate }
type Here = typeof here

const bridge = new BroadcastChannel('sides')
const waiting = new Map<number, (answer: unknown) => void>()
let asked = 0

/** The same functions, in the other page. */
const there = Object.fromEntries(Object.keys(here).map(name => [name, (...args: unknown[]) => new Promise((resolve) => {
  waiting.set(++asked, resolve)
  bridge.postMessage({ ask: asked, name, args })
})])) as unknown as Here

bridge.onmessage = async ({ data }: MessageEvent<{ ask?: number, name: keyof Here, args: never[], answer: number, result: unknown }>) => {
  if (data.ask === undefined) waiting.get(data.answer)?.(data.result)
  else bridge.postMessage({ answer: data.ask, result: await (here[data.name] as (...args: never[]) => unknown)(...data.args) })
}

const sides: Record<Side, Here> = { a: here, b: there }
const other = { a: 'b', b: 'a' } as const

async function play({ steps }: Scenario): Promise<Both<Seen>[]> {
  const made: Record<Side, Description[]> = { a: [], b: [] }
  const media = steps.some(step => Object.values(step).flat().includes('track'))
  await Promise.all(Object.values(sides).map(side => side.begin(media)))

  /** 'remote b0' is b's first description, 'candidate old b' one of b's first generation. */
  async function resolve(side: Side, text: string): Promise<Step> {
    const [op, ...what] = text.split(' ') as [string, ...string[]]
    if (op === 'remote') return { op, description: made[other[side]][Number(what[0]!.slice(1))]! }
    if (op !== 'candidate') return { op }
    const candidate = await sides[other[side]].candidate(what[0] === 'old')
    return { op, candidate: what[0] === 'nobody' ? { ...candidate, usernameFragment: 'nobody' } : candidate }
  }

  const trace: Both<Seen>[] = []
  for (const step of steps) {
    const names = Object.keys(step) as Side[]
    const ready = await Promise.all(names.map(side => Promise.all(step[side]!.map(op => resolve(side, op)))))
    const done = await Promise.all(names.map((side, at) => sides[side].act(ready[at]!)))
    names.forEach((side, at) => made[side].push(...done[at]!.made))
    trace.push(Object.fromEntries(names.map((side, at) => [side, done[at]!.seen])))
  }
  return trace
}

/** The traces of all scenarios, by name. */
async function conduct(scenarios: Scenario[]): Promise<Record<string, Both<Seen>[]>> {
  const traces: Record<string, Both<Seen>[]> = {}
  for (const scenario of scenarios) traces[scenario.name] = await play(scenario)
  return traces
}

Object.assign(globalThis, { conduct })
