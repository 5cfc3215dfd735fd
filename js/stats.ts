/** Which way the bytes go. */
export interface Path {
  /** Candidate types: 'host' is direct, 'srflx' and 'prflx' through a NAT, 'relay' through a TURN server. */
  local: RTCIceCandidateType
  remote: RTCIceCandidateType
  /** To the other peer, or to the TURN server where one is used. */
  protocol: 'udp' | 'tcp' | 'tls'
  /** Does a TURN server carry the bytes? */
  relayed: boolean
  /** Round trip, ms; null until measured. */
  rtt: number | null
}

/** What `stats()` answers. Bytes and ms. */
export interface ConnectionStats {
  path: Path | null
  /** In the browser's send buffer. */
  bufferedAmount: number
  /** Messages that wait in JavaScript until there is room. */
  waiting: number
  /** Counters of the core: frames, bytes and messages sent and received, replayed, queued, unacknowledged. */
  core: Record<string, number>
  /** W3C webrtc-stats, untouched; null before there is an RTCPeerConnection. */
  report: RTCStatsReport | null
}

/* eslint-disable-next-line @typescript-eslint/no-explicit-any -- webrtc-stats: members differ by type and browser */
type Stat = Record<string, any>

/** The selected candidate pair. https://www.w3.org/TR/webrtc-stats/#transportstats-dict* */
export function readPath(report: RTCStatsReport): Path | null {
  const stats: Stat[] = []
  report.forEach(stat => stats.push(stat as Stat))
  const chosen = stats.find(stat => stat.type === 'transport' && stat.selectedCandidatePairId)?.selectedCandidatePairId
  // Firefox has no transport stats: there the pair itself says so.
  const pair = stats.find(stat => stat.type === 'candidate-pair'
    && (chosen ? stat.id === chosen : stat.selected ?? (stat.nominated && stat.state === 'succeeded')))
  const local = stats.find(stat => stat.id === pair?.localCandidateId)
  const remote = stats.find(stat => stat.id === pair?.remoteCandidateId)
  if (!pair || !local || !remote) return null
  const seconds = pair.currentRoundTripTime as number | undefined
  return {
    local: local.candidateType,
    remote: remote.candidateType,
    protocol: local.relayProtocol ?? local.protocol,
    relayed: local.candidateType === 'relay' || remote.candidateType === 'relay',
    rtt: seconds === undefined ? null : Math.round(seconds * 1000),
  }
}
