// What the core is told (Input) and what it answers (Output), one for one the lines of js/core/types.ts, which
// documents each of them for the driver.
//
// Inputs are a struct each. Outputs are one record for all, with the members that their type calls for: thirty-four
// structs in a std::variant cost a fifth of the whole wasm, in moves and destructors that nobody reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

enum class PeerState : std::uint8_t { Idle, Connecting, Open, Reconnecting, Closed };
/// RFC-free vocabulary of `conn.state`; the finer phases live in connection/phase.hpp.
enum class ConnectionState : std::uint8_t { Connecting, Open, Recovering, Closed };
enum class NetworkChange : std::uint8_t { Online, Offline, Changed, Resumed };

namespace input {
struct Start { std::optional<std::string> id; std::string token; };
struct Connect {
  ConnectionHandle connection = 0;
  std::string peer;
  std::string connectionId;
  ConnectionKind kind = ConnectionKind::Data;
  std::string label;
  std::optional<std::string> metadata;
  std::string serialization;
  bool reliable = false;
};
struct Answer { ConnectionHandle connection = 0; };
struct Close { ConnectionHandle connection = 0; };
struct Disconnect {};
struct Reconnect {};
struct Destroy {};

struct IdAssigned { Op op = 0; std::string id; };
struct IdFailed { Op op = 0; std::string message; };
struct SignalingOpened { std::uint32_t transport = 0; };
struct SignalingMessage { std::uint32_t transport = 0; std::string text; };
struct SignalingClosed { std::uint32_t transport = 0; std::string message; };

struct OpDone { Op op = 0; std::optional<Description> description; };
struct OpFailed { Op op = 0; std::string name; std::string message; };
struct LocalCandidate { LinkHandle link = 0; CandidateInit candidate; };
struct GatheringComplete { LinkHandle link = 0; };
struct NegotiationNeeded { LinkHandle link = 0; };
struct LinkStateChanged { LinkHandle link = 0; LinkState state = LinkState::New; };

struct ChannelArrived { LinkHandle link = 0; ChannelHandle channel = 0; std::string label; std::string protocol; };
struct ChannelOpened { ChannelHandle channel = 0; std::size_t maxMessageSize = 65'536; };
struct ChannelClosed { ChannelHandle channel = 0; };

struct TransferOffer {
  ConnectionHandle connection = 0;
  TransferHandle transfer = 0;
  std::string name;
  std::string mime;
  std::optional<std::uint64_t> size;
};
/// The other wishes for a transfer differ in a verb only.
enum class TransferVerb : std::uint8_t { Accept, Reject, Pause, Resume, Cancel, End, Consumed, Complete };
struct TransferAction {
  ConnectionHandle connection = 0;
  TransferHandle transfer = 0;
  TransferVerb verb = TransferVerb::Accept;
  std::string reason;        ///< Reject, Cancel
  std::uint64_t length = 0;  ///< Consumed
};

struct Network { NetworkChange change = NetworkChange::Online; };
struct PageHide {};
struct Timeout {};
}  // namespace input

using Input = std::variant<input::Start, input::Connect, input::Answer, input::Close, input::Disconnect, input::Reconnect,
                           input::Destroy, input::IdAssigned, input::IdFailed, input::SignalingOpened,
                           input::SignalingMessage, input::SignalingClosed, input::OpDone, input::OpFailed,
                           input::LocalCandidate, input::GatheringComplete, input::NegotiationNeeded,
                           input::LinkStateChanged, input::ChannelArrived, input::ChannelOpened, input::ChannelClosed,
                           input::TransferOffer, input::TransferAction, input::Network, input::PageHide, input::Timeout>;

enum class OutputType : std::uint8_t {
  // Commands: members beside `type`.
  RequestId,             ///< op
  SignalingConnect,      ///< transport, id, token
  SignalingSend,         ///< transport, text
  SignalingClose,        ///< transport
  LinkCreate,            ///< link, connection
  LinkClose,             ///< link
  SetLocalDescription,   ///< link, op
  SetRemoteDescription,  ///< link, op, sdpType, sdp
  ReadLocalDescription,  ///< link, op
  AddCandidate,          ///< link, op, candidate
  RestartIce,            ///< link
  ChannelCreate,         ///< link, channel, label, lowThreshold; always ordered
  ChannelBind,           ///< channel, connection, lowThreshold
  ChannelClose,          ///< channel
  Transmit,              ///< connection
  TransferRead,          ///< connection, transfer, offset, length
  Dispose,
  // Events.
  PeerState,           ///< state (PeerState), reason
  PeerOpened,          ///< id
  PeerDisconnected,    ///< id
  PeerClosed,
  PeerError,           ///< error, message
  ConnectionIncoming,  ///< connection, peer, connectionId, kind, label, metadata?, serialization, reliable, protocol
  ConnectionState,     ///< connection, state (ConnectionState), reason
  ConnectionOpened,    ///< connection, protocol
  ConnectionError,     ///< connection, error, message
  ConnectionClosed,    ///< connection, reason
  Room,                ///< connection
  Delivered,           ///< connection, marker
  TransferOffered,     ///< connection, transfer, name, mime, size?
  TransferState,       ///< connection, transfer, state (TransferState of framing.hpp), reason
  TransferProgress,    ///< connection, transfer, length
  TransferEnded,       ///< connection, transfer
  Warning,             ///< error, message
};

struct Output {
  OutputType type = OutputType::Dispose;
  std::uint8_t state = 0;
  ErrorCode error = ErrorCode::InvalidState;
  SdpType sdpType = SdpType::Offer;
  ConnectionKind kind = ConnectionKind::Data;
  Protocol protocol = Protocol::Native;
  bool reliable = false;
  bool hasMetadata = false;
  bool hasSize = false;

  LinkHandle link = 0;
  ChannelHandle channel = 0;
  ConnectionHandle connection = 0;
  TransferHandle transfer = 0;
  std::uint32_t transport = 0;
  Op op = 0;
  std::uint32_t marker = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  ///< also: bytes, lowThreshold
  std::uint64_t size = 0;

  std::string text;   ///< also: sdp, reason, message, id, name, peer
  std::string label;  ///< also: token, mime
  std::string connectionId;
  std::string metadata;
  std::string serialization;
  CandidateInit candidate;

  // Defined once, out of line: inlined at every use they would be most of the code.
  Output();
  Output(Output&&) noexcept;
  Output& operator=(Output&&) noexcept;
  ~Output();
};

}  // namespace peerbridge
