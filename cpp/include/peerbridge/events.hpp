// What the core is told (Input) and what it answers (Output): plain structs, one per line of js/core/types.ts,
// which documents each of them for the driver.
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

namespace output {
// Commands.
struct RequestId { Op op = 0; };
struct SignalingConnect { std::uint32_t transport = 0; std::string id; std::string token; };
struct SignalingSend { std::uint32_t transport = 0; std::string text; };
struct SignalingClose { std::uint32_t transport = 0; };
struct LinkCreate { LinkHandle link = 0; ConnectionHandle connection = 0; };
struct LinkClose { LinkHandle link = 0; };
struct SetLocalDescription { LinkHandle link = 0; Op op = 0; };
struct SetRemoteDescription { LinkHandle link = 0; Op op = 0; Description description; };
struct ReadLocalDescription { LinkHandle link = 0; Op op = 0; };
struct AddCandidate { LinkHandle link = 0; Op op = 0; CandidateInit candidate; };
struct RestartIce { LinkHandle link = 0; };
struct ChannelCreate {
  LinkHandle link = 0;
  ChannelHandle channel = 0;
  std::string label;
  bool ordered = true;
  std::uint64_t lowThreshold = 0;
};
struct ChannelBind { ChannelHandle channel = 0; ConnectionHandle connection = 0; std::uint64_t lowThreshold = 0; };
struct ChannelClose { ChannelHandle channel = 0; };
struct Transmit { ConnectionHandle connection = 0; };
struct TransferRead {
  ConnectionHandle connection = 0;
  TransferHandle transfer = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
struct Dispose {};

// Events.
struct PeerStateChanged { PeerState state = PeerState::Idle; std::string reason; };
struct PeerOpened { std::string id; };
struct PeerDisconnected { std::string id; };
struct PeerClosed {};
struct PeerFailed { Error error; };
struct ConnectionIncoming {
  ConnectionHandle connection = 0;
  std::string peer;
  std::string connectionId;
  ConnectionKind kind = ConnectionKind::Data;
  std::string label;
  std::optional<std::string> metadata;
  std::string serialization;
  bool reliable = false;
  Protocol protocol = Protocol::Native;
};
struct ConnectionStateChanged {
  ConnectionHandle connection = 0;
  ConnectionState state = ConnectionState::Connecting;
  std::string reason;
};
struct ConnectionOpened { ConnectionHandle connection = 0; Protocol protocol = Protocol::Native; };
struct ConnectionFailed { ConnectionHandle connection = 0; Error error; };
struct ConnectionClosed { ConnectionHandle connection = 0; std::string reason; };
struct Room { ConnectionHandle connection = 0; };
struct Delivered { ConnectionHandle connection = 0; std::uint32_t marker = 0; };
struct TransferOffered {
  ConnectionHandle connection = 0;
  TransferHandle transfer = 0;
  std::string name;
  std::string mime;
  std::optional<std::uint64_t> size;
};
struct TransferStateChanged {
  ConnectionHandle connection = 0;
  TransferHandle transfer = 0;
  std::uint8_t state = 0;  ///< TransferState of framing/framing.hpp
  std::string reason;
};
struct TransferProgress { ConnectionHandle connection = 0; TransferHandle transfer = 0; std::uint64_t bytes = 0; };
struct TransferEnded { ConnectionHandle connection = 0; TransferHandle transfer = 0; };
struct Warning { Error error; };
}  // namespace output

using Output =
    std::variant<output::RequestId, output::SignalingConnect, output::SignalingSend, output::SignalingClose,
                 output::LinkCreate, output::LinkClose, output::SetLocalDescription, output::SetRemoteDescription,
                 output::ReadLocalDescription, output::AddCandidate, output::RestartIce, output::ChannelCreate,
                 output::ChannelBind, output::ChannelClose, output::Transmit, output::TransferRead, output::Dispose,
                 output::PeerStateChanged, output::PeerOpened, output::PeerDisconnected, output::PeerClosed,
                 output::PeerFailed, output::ConnectionIncoming, output::ConnectionStateChanged,
                 output::ConnectionOpened, output::ConnectionFailed, output::ConnectionClosed, output::Room,
                 output::Delivered, output::TransferOffered, output::TransferStateChanged, output::TransferProgress,
                 output::TransferEnded, output::Warning>;

}  // namespace peerbridge
