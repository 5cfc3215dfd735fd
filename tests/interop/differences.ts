/**
 * Where peerbridge differs from PeerJS on purpose, by script of page/parity.ts and by who hears it. Everything that is not
 * here has to be the same. docs/peerjs.md, "Where behaviour differs, and why", has a row for each `row`.
 */
import type { ScriptName } from './page/parity.js'

interface Difference {
  /** The first words of the row in the docs. */
  row: string
  script: ScriptName
  who: string
  peerjs: string[]
  peerbridge: string[]
}

export const differences: Difference[] = [
  {
    row: '`connect()` and `call()` before `open`', script: 'connect() before open', who: 'ab',
    peerjs: [], peerbridge: ['open'],
  },
  {
    row: '`connect()` and `call()` before `open`', script: 'connect() before open', who: 'b',
    peerjs: ['open b', 'connection a'], peerbridge: ['open b', 'connection a', 'connection a'],
  },
  {
    row: '`connect()` and `call()` to oneself', script: 'connect() to oneself', who: 'a',
    peerjs: ['open a', 'connection a'], peerbridge: ['open a'],
  },
  {
    row: '`connect()` and `call()` to oneself', script: 'connect() to oneself', who: 'ab',
    peerjs: ['open=false'], peerbridge: ['error invalid-argument', 'close', 'open=false'],
  },
  {
    row: 'The other peer is not there', script: 'a peer that is not there', who: 'ab',
    peerjs: ['open=false'], peerbridge: ['error peer-unavailable', 'close', 'open=false'],
  },
  {
    row: 'The other peer is not there', script: 'a call to a peer that is not there', who: 'ab',
    peerjs: [], peerbridge: ['error peer-unavailable', 'close'],
  },
  {
    row: '`reconnect()` while it is not needed', script: 'reconnect() while open', who: 'a',
    peerjs: ['open a', 'reconnect() throws an Error', 'id=a open=true disconnected=false destroyed=false'],
    peerbridge: ['open a', 'reconnect(): undefined', 'id=a open=true disconnected=false destroyed=false'],
  },
  {
    row: 'The server is lost', script: 'the server goes and comes, and nobody calls reconnect()', who: 'a',
    peerjs: ['open a', 'error network', 'disconnected a', 'id=null open=false disconnected=true destroyed=false'],
    peerbridge: ['open a', 'error network', 'disconnected a', 'open a', 'id=a open=true disconnected=false destroyed=false'],
  },
  {
    row: '`close()` of what never opened', script: 'close() before open', who: 'ab',
    peerjs: ['open=false'], peerbridge: ['close', 'open=false'],
  },
  {
    row: '`close()` of what never opened', script: 'a call that is ended before it is answered', who: 'ab',
    peerjs: ['open=false'], peerbridge: ['close', 'open=false'],
  },
  {
    row: '`close()` of what never opened', script: 'a call that is never answered, and both go', who: 'ab',
    peerjs: [], peerbridge: ['close'],
  },
  {
    row: '`send()` after `close()`', script: 'send() after close()', who: 'ab',
    peerjs: ['open', 'close', 'error not-open-yet'], peerbridge: ['open', 'close', 'error connection-closed'],
  },
  {
    row: 'A value that cannot be sent', script: 'a value that cannot be sent', who: 'ab',
    peerjs: ['open', 'send() throws an Error'], peerbridge: ['open', 'error data-clone', 'send(): undefined'],
  },
  {
    row: '`listAllPeers()` that is refused', script: 'listAllPeers() without leave', who: 'a',
    peerjs: ['open a', 'error server-error', 'disconnected a', 'id=null open=false disconnected=true destroyed=false'],
    peerbridge: ['open a', 'error server-error', 'id=a open=true disconnected=false destroyed=false'],
  },
  {
    row: '`stream`', script: 'a call with sound and picture', who: 'ab',
    peerjs: ['stream audio+video', 'stream audio+video', 'audio live,video live, the last one told 2', 'close', 'here live,live', 'willCloseOnRemote'],
    peerbridge: ['stream audio+video', 'audio live,video live, the last one told 2', 'close', 'here live,live', 'willCloseOnRemote'],
  },
]
