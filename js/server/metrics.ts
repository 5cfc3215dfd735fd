// `GET {path}metrics`, for Prometheus (text format 0.0.4).
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Hub } from './hub.js'

/** What has happened since the server was made. */
export class Counters {
  /** Messages from clients that were passed on or wait, and their length in UTF-16 units. */
  messages = 0
  units = 0
  /** Links that were let in; a client that comes back has another one. */
  links = 0
  /** Links that were not let in, by the type of the ERROR, or by what else they were told. */
  readonly refused = new Map<string, number>()
  /** Clients that were shown the door, by the type of the ERROR. */
  readonly expelled = new Map<string, number>()
  /** Answers over HTTP, by status. */
  readonly answers = new Map<string, number>()
}

export function count(of: Map<string, number>, what: string): void {
  of.set(what, (of.get(what) ?? 0) + 1)
}

/** In what a client is told that is refused: its type for programs, or the one of the message. */
export function reasonOf(text: string | null): string {
  const [, message = '', type] = /^\{"type":"([A-Z-]+)"(?:.*"type":"([a-z-]+)"\}\})?/s.exec(text ?? '') ?? []
  return type ?? (message.toLowerCase() || 'replaced')
}

export const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Whether this request may see it. Digests, because a comparison in constant time needs equal lengths. */
export function maySee(metrics: boolean | { token: string }, authorization: string | null): boolean {
  if (typeof metrics === 'boolean') return metrics
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const [, token = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
  return timingSafeEqual(digest(token), digest(metrics.token))
}

export function metrics(hub: Hub): string {
  const { counters } = hub
  const lines: string[] = []
  type Value = number | Iterable<readonly [string, number]>
  const add = (name: string, type: 'gauge' | 'counter', help: string, value: Value, label = ''): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    if (typeof value === 'number') lines.push(`${name} ${value}`)
    else for (const [what, number] of value) lines.push(`${name}{${label}="${what.replace(/["\\\n]/g, '')}"} ${number}`)
  }
  add('peerbridge_clients', 'gauge', 'Clients that are connected.', hub.size)
  add('peerbridge_messages_held', 'gauge', 'Messages that wait for an id that is not there.', hub.held)
  add('peerbridge_links_total', 'counter', 'Connections of clients that were let in.', counters.links)
  add('peerbridge_refused_total', 'counter', 'Connections of clients that were not let in.', counters.refused, 'reason')
  add('peerbridge_expelled_total', 'counter', 'Clients that were shown the door.', counters.expelled, 'reason')
  add('peerbridge_messages_total', 'counter', 'Messages from one client for another.', counters.messages)
  add('peerbridge_message_units_total', 'counter', 'Length of these messages, in UTF-16 units.', counters.units)
  add('peerbridge_http_answers_total', 'counter', 'Answers over HTTP.', counters.answers, 'status')
  add('peerbridge_up', 'gauge', 'Whether what the server uses answers.', hub.redis ? [['redis', Number(hub.redis === 'up')]] : [], 'part')
  if (typeof process === 'object' && typeof process.memoryUsage === 'function') {
    const { user, system } = process.cpuUsage()
    add('process_cpu_seconds_total', 'counter', 'CPU time of the process, in seconds.', (user + system) / 1e6)
    add('process_resident_memory_bytes', 'gauge', 'Resident memory of the process, in bytes.', process.memoryUsage().rss)
    add('process_start_time_seconds', 'gauge', 'When the process was started, in seconds since 1970.', Math.round(Date.now() / 1000 - process.uptime()))
  }
  return `${lines.join('\n')}\n`
}
