import type { DataConnection, Transfer } from 'peerbridge'
import type { UsePeerReturn } from 'peerbridge/vue'

export type Item = { key: number, at: number } & (
  | { kind: 'message', from: 'me' | 'them', text: string, failed?: boolean }
  | { kind: 'file', from: 'me' | 'them', transfer: Transfer, source?: File }
  | { kind: 'note', text: string }
)

type NewItem = Item extends infer I ? I extends Item ? Omit<I, 'key' | 'at'> : never : never

export interface Conversation {
  /** Id of the other person. */
  peer: string
  items: Item[]
  unread: number
}

/** Who we talk with, and what was said. A conversation outlives its connection. */
export function useConversations({ connections, connect, onConnection, onData }: UsePeerReturn) {
  const conversations = shallowReactive<Conversation[]>([])
  const chosen = shallowRef<string>()
  let keys = 0

  function conversationWith(peer: string): Conversation {
    let conversation = conversations.find(c => c.peer === peer)
    if (!conversation) {
      conversation = shallowReactive({ peer, items: shallowReactive<Item[]>([]), unread: 0 })
      conversations.push(conversation)
    }
    return conversation
  }

  function add(peer: string, item: NewItem): Item {
    const conversation = conversationWith(peer)
    const added = shallowReactive({ ...item, key: keys++, at: Date.now() } as Item)
    conversation.items.push(added)
    if (peer !== chosen.value && item.kind !== 'note') conversation.unread++
    return added
  }

  const note = (peer: string, text: string) => add(peer, { kind: 'note', text })

  /** The youngest connection to somebody, an open one if there is. */
  function connectionTo(peer: string) {
    const all = connections.filter(c => c.peer === peer)
    return all.findLast(c => c.state === 'open') ?? all.at(-1)
  }

  function choose(peer: string | undefined) {
    chosen.value = peer
    if (peer !== undefined) conversationWith(peer).unread = 0
  }

  function follow(connection: DataConnection) {
    const { peer } = connection
    connection.on('transfer', transfer => add(peer, { kind: 'file', from: 'them', transfer }))
    connection.on('state', (state) => {
      if (state === 'closed' && !connectionTo(peer)) note(peer, `${peer} is gone`)
    })
  }

  async function open(peer: string) {
    const fresh = !conversations.some(c => c.peer === peer)
    choose(peer)
    if (connectionTo(peer)) return
    try {
      follow(await connect(peer))
      note(peer, `You are connected to ${peer}`)
    }
    catch (e) {
      // The other one may have come to us meanwhile.
      if (connectionTo(peer)) return
      const at = conversations.findIndex(c => c.peer === peer)
      if (fresh && conversations[at]?.items.length === 0) {
        conversations.splice(at, 1)
        if (chosen.value === peer) chosen.value = undefined
      }
      throw e
    }
  }

  function say(peer: string, text: string) {
    const item = add(peer, { kind: 'message', from: 'me', text })
    const failed = () => Object.assign(item, { failed: true })
    const connection = connectionTo(peer)?.connection
    if (!connection?.open) return void failed()
    connection.send(text).catch(failed)
  }

  function sendFiles(peer: string, files: Iterable<File>) {
    const connection = connectionTo(peer)?.connection
    if (!connection?.open) return
    for (const source of files) add(peer, { kind: 'file', from: 'me', transfer: connection.sendFile(source), source })
  }

  function leave(peer: string) {
    for (const { connection } of connections.filter(c => c.peer === peer)) connection.close()
  }

  onConnection((connection) => {
    follow(connection)
    connection.once('open', () => note(connection.peer, `${connection.peer} connected to you`))
    conversationWith(connection.peer)
    if (chosen.value === undefined) choose(connection.peer)
  })
  onData((data, connection) => {
    // Anything else comes from some other application.
    if (typeof data === 'string') add(connection.peer, { kind: 'message', from: 'them', text: data })
  })

  return {
    conversations,
    current: computed(() => conversations.find(c => c.peer === chosen.value)),
    connectionTo,
    choose,
    open,
    say,
    sendFiles,
    leave,
    note,
  }
}
