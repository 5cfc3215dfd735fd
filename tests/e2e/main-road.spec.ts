/** What a newcomer does first: two browsers, the built demo, its own signaling endpoint. */
import { createHash, randomFillSync } from 'node:crypto'
import { createReadStream, writeFileSync } from 'node:fs'
import type { Person } from './demo.js'
import { expect, test } from './demo.js'

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** What a page knows of a picture that does not come. */
async function picture(testId: string): Promise<string> {
  const video = document.querySelector<HTMLVideoElement>(`[data-testid="${testId}"]`)
  const tracks = (video?.srcObject as MediaStream | null)?.getTracks().map(({ kind, readyState, muted }) => ({ kind, readyState, muted }))
  const links = []
  for (const pc of window.links) {
    const rtp: object[] = []
    ;(await pc.getStats()).forEach((stat: { type: string }) => { if (/bound-rtp|media-source/.test(stat.type)) rtp.push(stat) })
    links.push({ connection: pc.connectionState, signaling: pc.signalingState, rtp })
  }
  const { videoWidth, currentTime, paused, readyState, error } = video ?? {}
  return JSON.stringify({ videoWidth, currentTime, paused, readyState, error: error?.message, hidden: document.hidden, tracks, links })
}

/** The picture moves: frames were decoded, and more come. */
async function seesVideo(person: Person, id: string): Promise<void> {
  await person.page.waitForFunction((testId) => {
    const video = document.querySelector<HTMLVideoElement>(`[data-testid="${testId}"]`)
    return !!video && video.videoWidth > 0 && video.currentTime > 0 && !video.paused
  }, id, { timeout: 30_000 }).catch(async () => {
    throw new Error(`${person.name} sees nothing in ${id}: ${await person.page.evaluate(picture, id)}`)
  })
  const time = await person.at(id).evaluate((video: HTMLVideoElement) => video.currentTime)
  await person.page.waitForFunction(([testId, before]) => {
    return document.querySelector<HTMLVideoElement>(`[data-testid="${testId}"]`)!.currentTime > Number(before)
  }, [id, time] as const)
}

async function call(from: Person, to: Person): Promise<void> {
  await from.at('call-start').first().click()
  await to.at('call-accept').click()
  for (const someone of [from, to]) {
    await seesVideo(someone, 'remote-video')
    await seesVideo(someone, 'local-video')
    // Nobody wants to hear themselves; and everybody wants to hear the other.
    expect(await someone.at('local-video').evaluate((video: HTMLVideoElement) => video.muted)).toBe(true)
    expect(await someone.at('remote-video').evaluate((video: HTMLVideoElement) => video.muted)).toBe(false)
    const kinds = await someone.at('remote-video').evaluate((video: HTMLVideoElement) =>
      (video.srcObject as MediaStream).getTracks().map(track => `${track.kind}:${track.readyState}`).sort())
    expect(kinds).toEqual(['audio:live', 'video:live'])
  }
}

/** Sends `size` random bytes and compares what the other saved with what was sent. */
async function sendFile(from: Person, to: Person, path: string, name: string, size: number): Promise<void> {
  const bytes = Buffer.alloc(size)
  randomFillSync(bytes)
  writeFileSync(path, bytes)
  const download = to.page.waitForEvent('download', { timeout: 80_000 })
  await from.at('file-input').first().setInputFiles(path)
  const card = (someone: Person) => someone.at('transfer').and(someone.page.locator(`[data-name="${name}"]`))
  await expect(card(to).getByRole('progressbar')).toBeVisible()
  await expect(card(to)).toHaveAttribute('data-state', 'done', { timeout: 80_000 })
  await expect(card(from)).toHaveAttribute('data-state', 'done')
  const saved = await download
  expect(saved.suggestedFilename()).toBe(name)
  expect(await sha256(await saved.path())).toBe(createHash('sha256').update(bytes).digest('hex'))
}

test('two people chat, in both directions', async ({ connected: { ada, bob } }) => {
  await ada.say('Hello bob, is this thing on?')
  await bob.hears('Hello bob, is this thing on?')
  await bob.say('Loud and clear: ñ 中文 🥦')
  await ada.hears('Loud and clear: ñ 中文 🥦')
})

test('a file of 50 MB arrives under its name, byte for byte', async ({ connected: { ada, bob } }, info) => {
  await sendFile(ada, bob, info.outputPath('holiday film.bin'), 'holiday film.bin', 50_000_000)
})

test('a call has sound and picture, the own picture is muted, and hanging up is heard', async ({ connected: { ada, bob } }) => {
  await call(ada, bob)
  await bob.at('call-hangup').click()
  await expect(ada.at('remote-video')).toHaveCount(0)
  await expect(bob.at('remote-video')).toHaveCount(0)
  await ada.say('Nice to see you')
  await bob.hears('Nice to see you')
})

test('a call that is declined ends on both sides, and the chat goes on', async ({ connected: { ada, bob } }) => {
  await ada.at('call-start').first().click()
  await bob.at('call-decline').click()
  await expect(ada.at('call-hangup')).toHaveCount(0)
  await ada.say('Later then')
  await bob.hears('Later then')
})

test('chat, file and call outlive the signaling server, and the page finds it again', async ({ server, connected: { ada, bob } }, info) => {
  await call(ada, bob)
  await server.kill()
  for (const someone of [ada, bob]) await expect(someone.at('signal-state')).toHaveAttribute('data-state', 'reconnecting')

  await ada.say('The server is dead')
  await bob.hears('The server is dead')
  await bob.say('Long live the peers')
  await ada.hears('Long live the peers')
  await seesVideo(ada, 'remote-video')
  await seesVideo(bob, 'remote-video')
  await sendFile(bob, ada, info.outputPath('after.bin'), 'after.bin', 50_000_000)

  // Not only what was there goes on: a call can end and another begin, signaled through the open connection.
  await ada.at('call-hangup').click()
  await expect(bob.at('remote-video')).toHaveCount(0)
  await call(bob, ada)

  await server.start()
  for (const someone of [ada, bob]) await expect(someone.at('signal-state')).toHaveAttribute('data-state', 'open', { timeout: 30_000 })
  await ada.say('And here it is again')
  await bob.hears('And here it is again')
})
