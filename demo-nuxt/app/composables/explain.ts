/** Short, helpful words for what can go wrong: what happened, and what to do about it. */
export function explain(error: unknown, about = ''): string {
  const e = error as { type?: string, name?: string, message?: string, peer?: string } | undefined
  const who = about || e?.peer || 'the other person'
  switch (e?.type) {
    case 'unavailable-id': return `The name “${about || 'you chose'}” is taken. Pick another one.`
    case 'invalid-id': return 'A name is made of letters and digits, with single spaces, - or _ between them. Change it and try again.'
    case 'peer-unavailable': return `${who} is not here. Check the spelling, or send them your invite link.`
    case 'browser-incompatible': return 'This browser has no WebRTC, or it is switched off. Open this page in a current Firefox, Chrome, Edge or Safari.'
    // The page's own policy is nothing that a visitor can mend: who runs the page needs the words.
    case 'core-unavailable': return e.message?.includes('wasm-unsafe-eval')
      ? e.message
      : 'A part of this page (WebAssembly) did not load. Reload it; if that does not help, an extension or a strict network may be blocking it.'
    case 'network':
    case 'server-error':
    case 'socket-error':
    case 'socket-closed':
    case 'ssl-unavailable': return 'The signaling server cannot be reached. Check your network; this page keeps trying.'
    case 'disconnected': return 'You are disconnected from the signaling server. Reconnect, then try again.'
    case 'negotiation-failed':
    case 'connection-lost':
    case 'timeout': return `No way to ${who} was found. A firewall may be in between: try another network.`
    case 'connection-closed': return `The connection to ${who} has closed. Connect again.`
    case 'incompatible-peer': return `${who} uses a version that this one does not understand. Reload both pages.`
    case 'message-too-big': return 'That message is too big. Send it as a file.'
    case 'rejected': return `${who} declined.`
    case 'cancelled': return 'Cancelled.'
    case 'corrupted': return 'It did not arrive whole. Let it be sent again.'
    case 'quota-exceeded': return 'There is no room for it. Free some space, then let it be sent again.'
  }
  switch (e?.name) {
    case 'NotAllowedError':
    case 'SecurityError': return 'This page may not use your camera and microphone. Allow them beside the address bar, then try again.'
    case 'NotFoundError':
    case 'OverconstrainedError': return 'No camera or microphone was found. Plug one in, then try again.'
    case 'NotReadableError':
    case 'AbortError': return 'Your camera or microphone is in use by another program. Close that one, then try again.'
    case 'InsecureContextError': return 'Browsers allow camera and microphone only on https:// pages and on localhost. Open this page that way.'
  }
  return e?.message || 'Something went wrong. Try again.'
}
