import { Peer } from 'peerjs'
import type { DataConnection } from 'peerjs'

interface Message { from: string, text: string, at: number }

const log = document.querySelector<HTMLUListElement>('#log')!
const form = document.querySelector<HTMLFormElement>('#say')!
const connections: Record<string, DataConnection> = {}

const peer = new Peer()

function show(message: Message): void {
  const item = document.createElement('li')
  item.textContent = `${message.from}: ${message.text}`
  log.append(item)
}

function welcome(conn: DataConnection): void {
  connections[conn.peer] = conn
  conn.on('open', () => {
    conn.send({ from: peer.id, text: `Hi ${conn.peer}, this is ${conn.metadata.name}`, at: Date.now() })
  })
  conn.on('data', (data) => {
    show(data as Message)
  })
  conn.on('close', () => {
    delete connections[conn.peer]
  })
  conn.on('error', (err) => {
    console.error(err.type, err.message)
  })
}

peer.on('open', (id) => {
  const mine: string = id
  document.title = mine
})
peer.on('connection', welcome)
peer.on('disconnected', (id: string) => {
  console.log(`${id} lost the server`)
  peer.reconnect()
})
peer.on('error', (err) => {
  if (err.type === 'peer-unavailable') alert(err.message)
  else if (err.type === 'unavailable-id' || err.type === 'network') console.warn(err)
  else throw err
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const to = new FormData(form).get('to') as string
  const conn = peer.connect(to, { label: 'chat', metadata: { name: 'Ada' }, reliable: true, serialization: 'json' })
  welcome(conn)
})

window.addEventListener('beforeunload', () => {
  for (const conn of Object.values(connections)) conn.close()
  peer.destroy()
})
