// Every way things go wrong, as values. The code is the contract, the text is for people.
#pragma once

#include <cstdint>
#include <string>

namespace peerbridge {

/// One value per `PeerError.type` of the JavaScript side; `errorName` gives the spelling.
/// The first block is PeerJS's vocabulary and keeps its meaning.
enum class ErrorCode : std::uint8_t {
  BrowserIncompatible,  ///< the browser has no WebRTC
  Disconnected,         ///< the call needs signaling, and the application disconnected it
  InvalidId,            ///< an id that the rules of PeerJS forbid
  InvalidKey,           ///< the server does not know this API key
  Network,              ///< the signaling server was lost or cannot be reached
  PeerUnavailable,      ///< the server says that the other peer is not there
  SslUnavailable,       ///< kept for PeerJS applications that name it
  ServerError,          ///< the server refused or failed
  SocketError,          ///< the transport reported an error
  SocketClosed,         ///< the transport closed
  UnavailableId,        ///< the id is taken
  WebRtc,               ///< the browser rejected an operation that it should not have
  NegotiationFailed,    ///< offer and answer, or ICE, did not lead to a connection
  ConnectionClosed,     ///< the connection is closed
  NotOpenYet,           ///< data was sent before the connection opened
  MessageTooBig,        ///< a message above the limit of this connection
  // Ours.
  CoreUnavailable,    ///< the WebAssembly core could not be loaded
  BadSignal,          ///< a signaling message that is not what it should be; it was dropped
  SignalTooLarge,     ///< a signaling message above 256 KiB; it was dropped, or not sent
  SignalExpired,      ///< a signaling message waited too long for the server
  ProtocolViolation,  ///< the other peer sent bytes that the protocol forbids
  IncompatiblePeer,   ///< the other peer speaks no protocol that was asked for
  Timeout,            ///< nothing came within the time allowed
  ConnectionLost,     ///< the path broke and did not come back within the budget
  InvalidArgument,    ///< the caller's argument makes no sense
  InvalidState,       ///< the call makes no sense now
  Rejected,           ///< the other side said no
  Cancelled,          ///< one of the two called cancel()
  Corrupted,          ///< a file that came is not the one that was offered or sent
  NotAuthorized,      ///< the server does not let this peer in
};

inline constexpr int kErrorCodeCount = static_cast<int>(ErrorCode::NotAuthorized) + 1;

/// The kebab-case spelling that JavaScript sees, for example "peer-unavailable".
[[nodiscard]] const char* errorName(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::InvalidState;
  /// What happened, to what, what to do. For people and logs; never parsed.
  std::string message;
};

}  // namespace peerbridge
