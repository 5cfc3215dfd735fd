// npm run reach -- <lab> [options]: browsers behind broken networks. Not part of `npm test`: it needs root and time.
import process from 'node:process'

const labs = {
  recovery: 'how long after an outage messages flow again; --repeats 5 --outages 2,6,12,20,45 --cuts path,access,interface',
  kill: 'how soon a killed browser is noticed, and what closes the connection',
  turn: 'a connection through coturn with credentials that end, and what happens when they do; --ttl 20',
}

const [name, ...args] = process.argv.slice(2)
if (!(name in labs)) {
  console.error(`npm run reach -- <lab> [options]\n${Object.entries(labs).map(([name, what]) => `  ${name.padEnd(10)} ${what}`).join('\n')}`)
  process.exit(2)
}
const { main } = await import(`./${name}.mjs`)
await main(args)
