// Every timer and limit of an endpoint, with its default and the reason for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "peerbridge/types.hpp"

namespace peerbridge {

/// Which protocol the data of a connection may follow.
enum class ProtocolChoice : std::uint8_t {
  Auto,    ///< native between two peerbridge peers, PeerJS's otherwise
  Native,  ///< refuse peers that do not speak it
  PeerJs,  ///< never offer the native protocol
};

/// How candidates travel (RFC 8838).
enum class Trickle : std::uint8_t {
  Full,  ///< descriptions leave at once, candidates behind them
  Half,  ///< the offer waits for its candidates, the answer does not: for an answerer that cannot trickle
  None,  ///< every description waits for its candidates, none follows: for signaling of one message each way
};

struct Config {
  /// Randomness for jitter, given from outside: the core has none of its own.
  std::uint64_t seed = 0;
  ProtocolChoice protocol = ProtocolChoice::Auto;

  // -- signaling session -------------------------------------------------------------------------------
  /// Come back by itself after the server was lost.
  bool autoReconnect = true;
  /// Attempts in a row before giving up; -1 is for ever.
  std::int32_t reconnectRetries = -1;
  /// First pause before a new attempt; doubled every time, ±50 % so that a restarted server is not stormed.
  Millis reconnectDelay = 500;
  /// Longest pause: a user who walks back into Wi-Fi should not wait longer than this.
  Millis reconnectMaxDelay = 10'000;
  /// PeerServer forgets a client after 60 s of silence; PeerJS sends one every 5 s, and so do we.
  Millis heartbeatInterval = 5'000;
  /// A server that said nothing for so long is asked for a sign of life, by a message to ourselves, which PeerServer
  /// relays like any other: a socket may look open long after its network is gone.
  Millis probeInterval = 15'000;
  /// It has so long to answer; then the transport is given up. Mobile networks take seconds to wake up.
  Millis probeTimeout = 5'000;
  /// The same while a connection recovers or the network changed: then it is likely that the server is lost too.
  Millis urgentProbeTimeout = 1'500;
  /// A transport that is neither open nor closed after this long is given up.
  Millis connectTimeout = 10'000;
  /// While a connection recovers an attempt gets only so long, and pauses are at most the second: TCP repeats a lost
  /// SYN after 1, 3 and 7 s, and would sleep through the moment when the network returns. Shorter ones made it worse:
  /// Chromium makes WebSockets wait by how many failed before. After 24 attempts thrice as long.
  Millis urgentConnectTimeout = 1'500;
  Millis urgentReconnectDelay = 500;
  /// PeerServer swaps the socket of a known id and token without saying OPEN. On a reconnect, silence of this length
  /// after the transport opened counts as OPEN; on a first registration it counts as a dead server.
  Millis openTimeout = 2'000;
  Millis registerTimeout = 10'000;
  /// How long a signaling message may wait for a server that is away before its connection is told.
  Millis signalExpiry = 30'000;

  // -- negotiation -------------------------------------------------------------------------------------
  Trickle trickle = Trickle::Full;
  /// People carry the signals: one message each way, whole, and as late as they like. So a data connection to a peer
  /// that no other one leads to has no time-out before it is answered, and all else goes through the connections.
  bool byHand = false;
  /// Candidates wait this long for company, but for the first of an offer, which lets the other side begin: host
  /// candidates come within a few milliseconds of each other, and every signaling frame costs the server a system call.
  Millis candidateBatch = 20;
  /// So long do those wait that are likely not to be needed: host candidates of an answer, because the other side has
  /// shown its own, and all once the path works. If the connection is open by then, they travel inside it.
  Millis lateCandidateBatch = 100;
  /// Without trickle a description waits this long for its candidates. Browsers try a dead STUN server for 10 s and
  /// more.
  Millis gatherTimeout = 3'000;
  /// From OFFER or ANSWER to an open channel. RFC 8863 gives ICE 39.5 s; people give up sooner.
  Millis negotiationTimeout = 30'000;
  /// How long a call may ring. Longer than any telephone, and short enough that a call whose signaling was lost ends.
  Millis ringTimeout = 120'000;
  /// Between two peerbridge peers a description that nothing came back for is sent again: a server that crashes loses
  /// what it had taken. Toward PeerJS never: it takes the second copy of an OFFER for another connection.
  Millis resendDelay = 4'000;
  /// Candidates that came before their OFFER (polling and clusters reorder) are kept this long.
  Millis orphanExpiry = 10'000;

  // -- recovery ----------------------------------------------------------------------------------------
  /// Nothing came from the other side for so long: it is asked for a sign of life (PING). Native protocol only.
  Millis pulseInterval = 1'000;
  /// Nothing came for so long: the path is down. Browsers say so after 5 s at the earliest.
  Millis silenceLimit = 2'000;
  /// The same after the network changed or the page woke up, when the path is asked at once.
  Millis urgentSilenceLimit = 600;
  /// The side that took the connection leaves so much time to the other to begin the ICE restart: crossing offers cost
  /// one more round.
  Millis restartYield = 300;
  /// First pause between two ICE restarts of one connection; doubled up to restartMaxDelay. While a fresh
  /// RTCPeerConnection races there is none: Firefox loses DTLS by a second restart before the first has found a path.
  Millis restartDelay = 1'000;
  Millis restartMaxDelay = 8'000;
  /// Nothing came for so long: a fresh RTCPeerConnection races the old one. After the path is back, the old one waits
  /// for SCTP's next retransmission, 2.8, 5.8, 8.8 s … after the cut in Chromium and in Firefox; one that was
  /// negotiated meanwhile opens within 0.1 s.
  Millis raceDelay = 3'000;
  /// The browser says that the path is back, and nothing comes through it for so long: then SCTP sleeps, and a fresh
  /// RTCPeerConnection is faster.
  Millis raceGrace = 200;
  /// A fresh one is replaced by another after so long: Firefox gives up after 11 s without a path, Chromium after 15 s.
  Millis raceRenewal = 10'000;
  /// Its candidates are given to the browser again so often: Firefox pauses longer and longer between its checks (1.6 s
  /// after the first 1.5 s, then 3.2 s …), and begins anew with each candidate that it is given.
  Millis nudgeDelay = 400;
  /// Pause before a stripe that was lost is made anew; doubled every time, up to 30 s, until one opens.
  Millis stripeRetry = 1'000;
  /// Pause after a fresh one that failed.
  Millis raceRetry = 1'000;
  /// EXPIRE says that the other peer is not at the server. After we came back to it ourselves it may only be late: the
  /// longest pause of its own back-off.
  Millis returnGrace = 15'000;
  /// A connection that stays down this long is closed with the reason connection-lost.
  Millis recoveryBudget = 60'000;

  // -- bounds ------------------------------------------------------------------------------------------
  /// Incoming connections beyond this are refused: one lying peer must not fill the memory. Chromium allows 500
  /// RTCPeerConnections a page.
  std::uint32_t maxConnections = 512;
  /// Incoming connections from one peer.
  std::uint32_t maxConnectionsPerPeer = 64;
  /// Over how many RTCPeerConnections bulk of one connection is spread at the most, whoever asks. More than eight take
  /// from others what the congestion control of one would leave them.
  std::uint32_t maxStripes = 8;
};

}  // namespace peerbridge
