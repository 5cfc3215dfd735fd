/** The page that the scenarios run in. */
import { Recorder } from './record.js'
import { scenarios } from './scenarios/index.js'
import { Stage } from './stage.js'

const record = new Recorder()

async function run(title: string): Promise<void> {
  record.reset()
  const stage = new Stage(record)
  await scenarios.find(scenario => scenario.title === title)!.run(stage)
  await stage.end()
  const verdict = stage.verdict()
  if (verdict.length) throw new Error(`${verdict.join('\n')}\n${stage.story()}`)
}

Object.assign(globalThis, { run })
