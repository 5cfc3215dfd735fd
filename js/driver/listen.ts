// When an RTCDataChannel is open, which is not always when it says so.

/** What a channel tells. */
export interface Listener {
  /** It carries. Once more with `false` when the browser says so only after its first message came: what waits can leave. */
  opened(first: boolean): void
  received(frame: ArrayBuffer, text: boolean): void
  closed(): void
}

/**
 * Listens to a channel.
 *
 * Chromium tells of one that arrives by 'datachannel' and 'open' at once, with `readyState` 'open', as the specification wants
 * it, while the channel below may still be connecting: what is sent until then is lost without a word (seen in 156, on a busy
 * machine, with one connection in some hundred to a thousand). It hands on nothing that came before that, so a message proves
 * that it carries; and so do the statistics, which ask the channel below.
 * @param arrived on which RTCPeerConnection it arrived; null: it was made here, and says that it is open when it is
 */
export function listen(dc: RTCDataChannel, arrived: RTCPeerConnection | null, to: Listener): void {
  let open = false
  const opened = (): void => {
    const first = !open
    open = true
    to.opened(first)
  }
  dc.binaryType = 'arraybuffer'
  dc.onopen = () => {
    if (open || !arrived) return opened()
    void carries(arrived, dc, () => {
      if (!open) opened()
    })
  }
  dc.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (!open) opened()
    const text = typeof data === 'string'
    to.received(text ? new TextEncoder().encode(data).buffer : data, text)
  }
  dc.onclose = () => to.closed()
}

/** How long to wait before the statistics are asked again, ms. */
const again = 10

/** Calls `then` once a channel that arrived on `pc` carries. Browsers whose statistics tell nothing are believed. */
export async function carries(pc: RTCPeerConnection, dc: RTCDataChannel, then: () => void): Promise<void> {
  let state: string | undefined
  try {
    for (const stat of (await pc.getStats()).values() as Iterable<{ type: string, dataChannelIdentifier?: number, state?: string }>) {
      if (stat.type === 'data-channel' && stat.dataChannelIdentifier === dc.id) ({ state } = stat)
    }
  }
  catch { // no statistics, or no connection any more
  }
  if (!state || state === 'open') then()
  else if (dc.readyState !== 'closed') setTimeout(() => void carries(pc, dc, then), again)
}
