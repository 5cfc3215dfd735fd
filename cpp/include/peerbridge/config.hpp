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
  /// A transport that is neither open nor closed after this long is given up.
  Millis connectTimeout = 10'000;
  /// PeerServer swaps the socket of a known id and token without saying OPEN. On a reconnect, silence of this length
  /// after the transport opened counts as OPEN; on a first registration it counts as a dead server.
  Millis openTimeout = 2'000;
  Millis registerTimeout = 10'000;
  /// How long a signaling message may wait for a server that is away before its connection is told.
  Millis signalExpiry = 30'000;

  // -- negotiation -------------------------------------------------------------------------------------
  /// A description waits this long for candidates to ride with it, and later candidates wait as long for company:
  /// host candidates come within a few milliseconds, and every signaling frame costs the server a system call.
  Millis candidateBatch = 20;
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
  /// First pause between two ICE restarts of one connection; doubled up to restartMaxDelay.
  Millis restartDelay = 1'000;
  Millis restartMaxDelay = 8'000;
  /// A connection that stays down this long is closed with the reason connection-lost.
  Millis recoveryBudget = 60'000;

  // -- bounds ------------------------------------------------------------------------------------------
  /// Incoming connections beyond this are refused: one lying peer must not fill the memory. Chromium allows 500
  /// RTCPeerConnections a page.
  std::size_t maxConnections = 512;
  /// Incoming connections from one peer.
  std::size_t maxConnectionsPerPeer = 64;
};

}  // namespace peerbridge
