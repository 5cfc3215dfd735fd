import type { Scenario } from '../stage.js'
import { addIceCandidate, candidateExchange } from './candidates.js'
import { handover, tracks } from './handover.js'
import { perfectNegotiation } from './perfect-negotiation.js'
import { onNegotiationNeeded, restartIce } from './restart.js'
import { rollback } from './rollback.js'

export const groups: Record<string, Scenario[]> = {
  'RTCPeerConnection-perfect-negotiation': perfectNegotiation,
  'RTCPeerConnection-setRemoteDescription-rollback': rollback,
  'RTCPeerConnection-addIceCandidate': addIceCandidate,
  'protocol/candidate-exchange': candidateExchange,
  'RTCPeerConnection-restartIce': restartIce,
  'RTCPeerConnection-onnegotiationneeded': onNegotiationNeeded,
  'protocol/handover': handover,
  'RTCPeerConnection-setRemoteDescription-tracks': tracks,
}

export const scenarios: Scenario[] = Object.values(groups).flat()
