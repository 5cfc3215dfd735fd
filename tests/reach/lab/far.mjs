import { connect, createServer } from 'node:net'

/**
 * A port that leads to another one of this machine as if that were `ms` away, there and back. A new connection waits once
 * more for that, as TCP's handshake does.
 */
export async function far(port, ms) {
  const sockets = new Set()
  const proxy = createServer((near) => {
    const there = connect(port, '127.0.0.1')
    relay(near, there, ms / 2, Date.now() + ms)
    relay(there, near, ms / 2, 0)
    for (const socket of [near, there]) {
      sockets.add(socket.setNoDelay())
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    }
  })
  await new Promise(resolve => proxy.listen(0, '127.0.0.1', resolve))
  return {
    port: proxy.address().port,
    close() {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Timers of one length fire in the order in which they were set, so nothing is overtaken. */
function relay(from, to, delay, notBefore) {
  const later = what => setTimeout(what, Math.max(delay, notBefore - Date.now()))
  from.on('data', bytes => later(() => to.writable && to.write(bytes)))
  from.on('end', () => later(() => to.end()))
  from.on('close', () => later(() => to.destroy()))
}
