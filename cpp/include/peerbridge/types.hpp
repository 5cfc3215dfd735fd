// The vocabulary that every layer shares: handles, time, and the words of the W3C.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace peerbridge {

/// Milliseconds of a monotonic clock that the caller owns. The core never reads a clock.
using Millis = std::int64_t;

/// A deadline that does not come; a number and not an absence, so that the earliest of several is std::min.
inline constexpr Millis kNever = std::numeric_limits<Millis>::max();

/// A connection (DataConnection or MediaConnection) of one endpoint.
/// Odd handles were made by the application, even ones by the core for incoming connections; 0 is none.
using ConnectionHandle = std::uint32_t;

/// One RTCPeerConnection. A connection may own several over its life; handles are never used twice. 0 is none.
using LinkHandle = std::uint32_t;

/// One RTCDataChannel. Even handles were made by the core, odd ones by the driver for channels that
/// arrived through `ondatachannel`; 0 is none.
using ChannelHandle = std::uint32_t;

/// One file transfer of a connection. Odd handles were made by the sender's application, even ones by
/// the core for incoming offers; 0 is none.
using TransferHandle = std::uint32_t;

/// Identifies a command that ends in a promise. Its completion echoes it; completions of an op that
/// the core no longer expects are dropped.
using Op = std::uint32_t;

enum class ConnectionKind : std::uint8_t { Data, Media };

/// RTCSdpType (webrtc-pc §4.6.1).
enum class SdpType : std::uint8_t { Offer, Answer, Pranswer, Rollback };

/// RTCPeerConnectionState (webrtc-pc §4.3.3).
enum class LinkState : std::uint8_t { New, Connecting, Connected, Disconnected, Failed, Closed };

/// What the bytes of a connection follow: our own frames, or those of PeerJS.
enum class Protocol : std::uint8_t { Native, PeerJs };

/// RTCIceCandidateInit (webrtc-pc §4.8.1). An empty `candidate` is the end-of-candidates indication.
struct CandidateInit {
  std::string candidate;
  /// Absent members stay absent on the wire: browsers treat null and "" differently.
  bool hasMid = false;
  std::string sdpMid;
  bool hasLineIndex = false;
  std::uint16_t sdpMLineIndex = 0;
  bool hasUfrag = false;
  std::string usernameFragment;

  // Out of line for the sake of the wasm's size, as everywhere where a struct holds several strings.
  CandidateInit();
  CandidateInit(const CandidateInit&);
  CandidateInit(CandidateInit&&) noexcept;
  CandidateInit& operator=(const CandidateInit&);
  CandidateInit& operator=(CandidateInit&&) noexcept;
  ~CandidateInit();
  friend bool operator==(const CandidateInit& a, const CandidateInit& b);
};

/// RTCSessionDescriptionInit (webrtc-pc §4.6.2).
struct Description {
  SdpType type = SdpType::Offer;
  std::string sdp;

  friend bool operator==(const Description&, const Description&) = default;
};

}  // namespace peerbridge
