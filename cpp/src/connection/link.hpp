// One RTCPeerConnection of a connection: its negotiation, its channel, and what the browser said about it.
//
// A connection has one, for the time that its path is down a second that races it, and up to seven stripes where the
// application asked for them. Connection owns all and decides; this only keeps together what belongs together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "connection/negotiation.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

struct Link : Negotiation {
  using Negotiation::Negotiation;

  LinkHandle handle = 0;
  std::uint32_t number = 1;  ///< on the wire: counts the links of a connection
  std::uint8_t slot = 0;     ///< 1 to 7: a stripe, which carries bulk only; 0: it carries the connection, or is to
  ChannelHandle channel = 0;
  bool channelOpen = false;
  bool spent = false;  ///< its channel closed: another link has to take its place
  std::size_t maxMessageSize = 65'536;
  bool everConnected = false;
  Millis givenUpAt = kNever;     ///< a racer that did not win, or a stripe that did not open, by then
  Millis nudgeAt = kNever;       ///< when its candidates go to the browser again
  std::vector<Op> candidateOps;  ///< under way in the browser; a failure is only a warning
};

}  // namespace peerbridge
