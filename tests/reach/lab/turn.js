/** What the TURN lab asks of a page. */
import { Peer } from 'peerbridge'

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
let peer
let connection
let url = ''

const usernames = () => (connection?.peerConnection?.getConfiguration().iceServers ?? []).map(({ username }) => username).filter(Boolean)

window.lab = {
  /** A peer that uses relays and nothing else, whose credentials come from the server. It echoes what comes. */
  async open(id, host, port) {
    url = `http://${host}:${port}/peerjs/turn`
    peer = new Peer(id, { host, port, path: '/', secure: false, turn: true, config: { iceTransportPolicy: 'relay', iceServers: [] } })
    peer.on('connection', (incoming) => {
      connection = incoming
      incoming.on('data', data => void incoming.send({ echo: data }))
    })
    return peer.ready
  },

  /** Opens a connection; answers how long it took, ms, and its way. */
  async connect(to) {
    const began = performance.now()
    connection = peer.connect(to)
    await new Promise((resolve, reject) => {
      connection.on('open', resolve)
      connection.on('error', reject)
    })
    const ms = performance.now() - began
    return { ms, path: await window.lab.path() }
  },

  async path() {
    for (let i = 0; i < 100 && !connection.path; i++) await sleep(50)
    return connection.path
  },

  /** Sends and waits for the echo; answers the time, ms. */
  echo(text) {
    const began = performance.now()
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no echo; the connection is ${connection.state}`)), 30_000)
      const take = (data) => {
        if (data.echo !== text) return
        clearTimeout(late)
        connection.off('data', take)
        resolve(performance.now() - began)
      }
      connection.on('data', take)
      void connection.send(text)
    })
  },

  username: () => usernames()[0],

  /** Waits until the connection has other credentials; answers when that was, ms since 1970, and whom they are for. */
  async refreshed(before, patience) {
    for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) {
      const [username] = usernames()
      if (username && username !== before) return { at: Date.now(), username }
    }
    throw new Error(`still ${before} after ${patience} ms`)
  },

  /** Waits until the connection is so. */
  async until(state, patience) {
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${connection.state} and not ${state} after ${patience} ms`)), patience)
      const look = () => {
        if (connection.state !== state) return
        clearTimeout(late)
        connection.off('state', look)
        resolve()
      }
      connection.on('state', look)
      look()
    })
  },

  /** What this TURN server gives to these credentials: candidates, or its errors. */
  async gather(iceServer) {
    const pc = new RTCPeerConnection({ iceServers: [iceServer], iceTransportPolicy: 'relay' })
    const errors = new Set()
    let relays = 0
    pc.onicecandidate = ({ candidate }) => { if (candidate?.candidate.includes(' relay ')) relays += 1 }
    pc.onicecandidateerror = ({ errorCode }) => errors.add(errorCode)
    pc.createDataChannel('x')
    await pc.setLocalDescription()
    while (pc.iceGatheringState !== 'complete') await new Promise(resolve => pc.addEventListener('icegatheringstatechange', resolve, { once: true }))
    pc.close()
    return { relays, errors: [...errors] }
  },

  /** What a stranger is told. */
  stranger: async () => (await fetch(`${url}?id=stranger&token=none`)).status,
}
