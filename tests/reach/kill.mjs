/**
 * How soon a browser that is killed is noticed by the one that is left, and when and why its connection closes, with our
 * signaling server and with PeerServer.
 */
import { keep, load, options, withLab } from './lab/lab.mjs'
import { quantile, table } from './statistics.mjs'

export async function main(args) {
  const given = options(args, {
    repeats: 3,
    servers: ['peerbridge', 'peerserver'],
    lanes: ['peerbridge', 'peerjs'],
    browser: ['chromium'],
    /** The budget of a recovery and some, seconds. */
    patience: 70,
    name: 'kill',
  })
  const trials = []
  for (let repeat = 1; repeat <= given.repeats; repeat++) {
    for (const server of given.servers) {
      await withLab(given.browser, async ({ network, host, ports, start }) => {
        const [a, b] = await Promise.all([start('a'), start('b')])
        for (const lane of given.lanes) {
          const settings = { host, port: ports[server] }
          await b.page.call('prepare', lane, lane, { ...settings, id: `b-${lane}` }, true)
          await a.page.call('prepare', lane, lane, { ...settings, id: `a-${lane}` }, false)
          await a.page.call('connect', lane, `b-${lane}`)
          await b.page.call('opened', lane)
        }
        await Promise.all([a, b].map(({ page }) => page.call('start', 20)))
        const warm = Object.fromEntries(given.lanes.map(lane => [lane, 100]))
        await Promise.all([a, b].map(({ page }) => page.call('heardAll', warm, 10_000)))
        const killedAt = await network.kill('b')
        await Promise.all(given.lanes.map(lane => a.page.call('noted', lane, '^(channel closed|closed)', given.patience * 1000)))
        const read = await a.page.call('read')
        for (const lane of given.lanes) {
          const log = read[lane].log.filter(([, at]) => at >= killedAt).map(([what, at]) => [what, at - killedAt])
          const find = word => log.find(([what]) => what.startsWith(word)) ?? []
          trials.push({
            server, lane, browsers: [a.browser.name, b.browser.name], load: load(), log,
            recovering: find('recovering')[1], closed: (find('channel closed')[1] ?? find('closed')[1]),
            reason: /\((.*)\)/.exec(find('closed')[0] ?? '')?.[1],
          })
          console.log(`#${repeat} ${server} ${lane}, load ${load()}: ${log.map(([what, at]) => `${what} ${at}`).join(', ') || 'nothing was noticed'}`)
        }
      })
    }
  }
  const rows = given.servers.flatMap(server => given.lanes.map((lane) => {
    const these = trials.filter(trial => trial.server === server && trial.lane === lane)
    const show = key => ['p50', 'max'].map((_, i) => quantile(these.map(trial => trial[key] ?? Infinity), i ? 1 : 0.5))
      .map(ms => (Number.isFinite(ms) ? Math.round(ms) : 'never')).join(' / ')
    return [server, lane, these.length, show('recovering'), show('closed'), [...new Set(these.map(({ reason }) => reason).filter(Boolean))].join(', ')]
  }))
  console.log(`\n${table(['server', 'lane', 'n', 'recovering ms, p50 / max', 'closed ms, p50 / max', 'reason'], rows)}`)
  console.log(`\nraw numbers: ${keep(given.name, { trials })}`)
}
