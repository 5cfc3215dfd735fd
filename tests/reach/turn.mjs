/**
 * A real TURN server (coturn, `use-auth-secret`), our signaling server that gives credentials for it, and two browsers between which
 * there is no other way: the path between them is cut, and they use relays only. Do they connect, are credentials renewed before
 * they end, and does everything go on when those are over that it began with?
 */
import { spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keep, load, options, sleep, withLab } from './lab/lab.mjs'
import { serverAddress } from './lab/network.mjs'

const secret = 'what coturn and the signaling server know'
const url = `turn:${serverAddress}:3478`

/** As a client of yesterday has them. */
function credentials(seconds, key = secret) {
  const username = `${Math.floor(Date.now() / 1000) + seconds}:lab`
  return { urls: url, username, credential: createHmac('sha1', key).update(username).digest('base64') }
}

const endOf = username => Number(username.split(':')[0]) * 1000

export async function main(args) {
  const given = options(args, {
    /** Of the credentials, seconds. */
    ttl: 20,
    /** coturn's longest life of an allocation, seconds: the browser renews it every half of that. */
    allocation: 20,
    browser: ['chromium'],
    name: 'turn',
  })
  if (spawnSync('turnserver', ['--version'], { stdio: 'ignore' }).error) {
    console.error('reach: there is no TURN server on this machine: apt-get install coturn')
    process.exit(1)
  }
  const folder = mkdtempSync(join(tmpdir(), 'peerbridge-turn-'))
  const found = {}
  const failures = []
  const expect = (what, isSo, value) => {
    found[what] = value
    console.log(`${isSo ? 'ok    ' : 'FAILED'}  ${what}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    if (!isSo) failures.push(what)
  }
  await withLab(given.browser, async ({ network, host, ports, start }) => {
    const coturn = network.spawn('inet', 'turnserver', [
      '-n', '--use-auth-secret', `--static-auth-secret=${secret}`, '--realm=lab', `--listening-ip=${host}`, `--relay-ip=${host}`,
      '--listening-port=3478', '--no-tls', '--no-dtls', '--no-cli', '--verbose', '--log-file=stdout', `--pidfile=${folder}/pid`,
      `--max-allocate-lifetime=${given.allocation}`,
    ], { stdio: ['ignore', 'pipe', 'pipe'] })
    let log = ''
    const listening = new Promise((resolve, reject) => {
      for (const stream of [coturn.stdout, coturn.stderr]) {
        stream.on('data', (data) => {
          log += data
          if (/UDP listener opened on : ?10\.77|IPv4\. UDP listener opened/.test(log)) resolve()
        })
      }
      once(coturn, 'exit').then(([code]) => reject(new Error(`coturn ended with ${code}:\n${log}`)))
    })
    await listening
    /** For whom coturn has made allocations, once each. */
    const allocated = () => new Set([...log.matchAll(/user <(\d+:[^>]*)>: incoming packet ALLOCATE processed, success/g)].map(([, user]) => user))
    const refreshes = () => [...log.matchAll(/incoming packet REFRESH processed, (success|error[^\n]*)/g)].map(([, result]) => result)

    // Nothing passes from A to B by itself.
    await network.cut('path')
    const [a, b] = await Promise.all([start('a'), start('b')])
    console.log(`${a.browser.name}, load ${load()}, credentials of ${given.ttl} s, allocations of ${given.allocation} s`)
    await Promise.all([['a', a], ['b', b]].map(([id, { page }]) => page.call('open', id, host, ports.peerbridge)))
    const first = await a.page.call('connect', 'b')
    expect('a connection opens, ms', true, Math.round(first.ms))
    const { path } = first
    expect('its way', path.relayed && path.local === 'relay', path)
    expect('there and back, ms', true, Math.round(await a.page.call('echo', 'first')))
    expect('a stranger is told', await a.page.call('stranger') === 401, await a.page.call('stranger'))
    const good = await a.page.call('gather', credentials(60))
    expect('good credentials get', good.relays > 0, good)
    const old = await a.page.call('gather', credentials(-5))
    expect('credentials that have ended get', old.relays === 0 && old.errors.includes(401), old)
    const forged = await a.page.call('gather', credentials(60, 'a guess'))
    expect('forged ones get', forged.relays === 0 && forged.errors.includes(401), forged)

    const began = await a.page.call('username')
    let username = began
    const left = []
    for (let i = 0; i < 3; i++) {
      const now = await a.page.call('refreshed', username, given.ttl * 2000)
      left.push(Math.round((endOf(username) - now.at) / 100) / 10)
      expect(`renewed (${i + 1}), s before the end of the ones before`, left.at(-1) > 0, left.at(-1))
      username = now.username
    }
    // Every allocation has been renewed by then with a name that is over.
    await sleep(endOf(began) + given.ttl * 1000 - Date.now())
    const over = Math.round((Date.now() - endOf(began)) / 1000)
    expect(`the connection goes on ${over} s after its first credentials ended, ms`, true, Math.round(await a.page.call('echo', 'later')))
    const renewed = refreshes()
    expect('coturn renewed allocations', renewed.length > 0 && renewed.every(result => result === 'success'), renewed.length)
    // Both ways of A are away until the connection recovers, by an ICE restart.
    await network.mend()
    await network.cut('access')
    await a.page.call('until', 'recovering', 30_000)
    await network.mend()
    await a.page.call('until', 'open', 60_000)
    await network.cut('path')
    expect('and after an outage, ms', true, Math.round(await a.page.call('echo', 'recovered')))
    const restarted = await a.page.call('username')
    expect('which began with the credentials of then', restarted !== began && allocated().has(restarted), restarted)
    const second = await b.page.call('connect', 'a')
    expect('another connection opens, ms', second.path.relayed, Math.round(second.ms))
    const problems = [...a.browser.problems, ...b.browser.problems].filter(text => !/401|ERR_|WebSocket/.test(text))
    expect('errors of the pages', problems.length === 0, problems)
    coturn.removeAllListeners('exit')
    found.log = log
  }, 'tests/reach/lab/turn.html', { turn: { secret, urls: [url], ttl: given.ttl } }).finally(() => rmSync(folder, { recursive: true, force: true }))
  console.log(`\nraw numbers and coturn's log: ${keep(given.name, found)}`)
  if (failures.length > 0) process.exit(1)
}
