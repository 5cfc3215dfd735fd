// What the core is told (Input) and what it answers (Output), one for one the lines of js/core/types.ts, which
// documents each of them for the driver.
//
// Inputs are one record for all, with the members that their type calls for, and so are outputs: a struct each in a
// std::variant cost a quarter of the whole wasm, in moves and destructors that nobody reads.
#pragma once

#include <cstdint>
#include <string>

#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

enum class PeerState : std::uint8_t { Idle, Connecting, Open, Reconnecting, Closed };
/// RFC-free vocabulary of `conn.state`; the finer phases live in connection/phase.hpp.
enum class ConnectionState : std::uint8_t { Connecting, Open, Recovering, Closed };
enum class NetworkChange : std::uint8_t { Online, Offline, Changed, Resumed };

enum class InputType : std::uint8_t {
  // The application's wishes. Members beside `type`:
  Start,    ///< text (the id) unless the core shall ask for one, label (the token)
  Connect,  ///< connection, text (the peer), connectionId, kind, label, metadata?, serialization, reliable,
            ///< length? (0: the server shall not wait for the peer)
  Answer,   ///< connection
  Close,    ///< connection
  Stripes,  ///< connection, length: over so many RTCPeerConnections bulk shall be spread
  Disconnect,
  Reconnect,
  Destroy,
  // Signaling.
  IdAssigned,        ///< op, text (the id)
  IdFailed,          ///< op, label (the message)
  SignalingOpened,   ///< transport
  SignalingMessage,  ///< transport, text
  SignalingClosed,   ///< transport, label (the message)
  // RTCPeerConnection.
  OpDone,             ///< op, and text (the sdp) with sdpType when there is one
  OpFailed,           ///< op, text (the name), label (the message)
  LocalCandidate,     ///< link, candidate
  GatheringComplete,  ///< link
  NegotiationNeeded,  ///< link
  LinkState,          ///< link, linkState
  PathChanged,        ///< link: its ICE transport selected another pair of candidates
  // RTCDataChannel.
  ChannelArrived,  ///< link, channel, text (its subprotocol)
  ChannelOpened,   ///< channel, length (maxMessageSize)
  ChannelClosed,   ///< channel
  // Side channels: RTCDataChannels of the application's own, beside the one that carries the connection.
  SideOpen,   ///< connection, transfer (the side's number), label, reliable (ordered), length (maxRetransmits) and
              ///< candidate.sdpMLineIndex (maxPacketLifeTime) where given
  SideClose,  ///< connection, transfer (the side's number)
  SideHeard,  ///< connection: something came through one of them. Once a second is enough.
  // Transfers: connection, transfer.
  TransferOffer,   ///< text (the name), label (the mime type), connectionId (the key), length (the size) if it is known
  TransferAccept,  ///< length (bytes that are there already)
  TransferReject,  ///< text (the reason)
  TransferPause,
  TransferResume,
  TransferCancel,    ///< text (the reason)
  TransferEnd,       ///< text (the digest)
  TransferConsumed,  ///< length
  TransferComplete,  ///< text (the digest)
  // Environment.
  Network,  ///< change
  PageHide,
  Timeout,
};

struct Input {
  InputType type = InputType::Timeout;
  SdpType sdpType = SdpType::Offer;
  ConnectionKind kind = ConnectionKind::Data;
  LinkState linkState = LinkState::New;
  NetworkChange change = NetworkChange::Online;
  bool reliable = false;
  bool hasText = false;  ///< asked by Start and OpDone, whose text may be absent
  bool hasMetadata = false;
  bool hasLength = false;  ///< asked by Connect, TransferOffer and SideOpen

  ConnectionHandle connection = 0;
  LinkHandle link = 0;
  ChannelHandle channel = 0;
  TransferHandle transfer = 0;
  std::uint32_t transport = 0;
  Op op = 0;
  std::uint64_t length = 0;

  std::string text;
  std::string label;
  std::string connectionId;
  std::string metadata;
  std::string serialization;
  CandidateInit candidate;

  // As with Output: defined once.
  Input();
  Input(Input&&) noexcept;
  Input& operator=(Input&&) noexcept;
  ~Input();
};

enum class OutputType : std::uint8_t {
  // Commands: members beside `type`.
  RequestId,             ///< op
  SignalingConnect,      ///< transport, id, token
  SignalingSend,         ///< transport, text
  SignalingClose,        ///< transport
  LinkCreate,            ///< link, connection, marker: the stripe that it is, or 0
  LinkClose,             ///< link
  SetLocalDescription,   ///< link, op
  SetRemoteDescription,  ///< link, op, sdpType, sdp
  ReadLocalDescription,  ///< link, op
  AddCandidate,          ///< link, op, candidate
  RestartIce,            ///< link
  Rollback,              ///< link, op: for browsers whose setRemoteDescription does not roll back by itself
  ChannelCreate,         ///< link, channel, label, reliable (ordered), lowThreshold, text (its subprotocol), size
                         ///< (maxRetransmits) and candidate.sdpMLineIndex (maxPacketLifeTime) where given
  ChannelBind,           ///< channel, connection, lowThreshold
  StripeBind,            ///< channel, connection, lowThreshold: it carries Bulk and File beside the other one
  ChannelClose,          ///< channel; that it is closed is told like every other closing
  SideBind,              ///< channel, connection: it is a side channel of this one, whatever comes through it
  Transmit,              ///< connection
  MessageDropped,        ///< connection, marker: of this Delivery::message no more pieces come
  TransferRead,          ///< connection, transfer, offset, length
  Dispose,
  // Events.
  PeerState,         ///< state (PeerState), reason
  PeerOpened,        ///< id
  PeerDisconnected,  ///< id
  PeerClosed,
  PeerError,           ///< error, message
  ConnectionIncoming,  ///< connection, peer, connectionId, kind, label, metadata?, serialization, reliable, protocol
  ConnectionForeign,   ///< connection: the other peer uses PeerJS; comes before ConnectionOpened
  ConnectionState,     ///< connection, state (ConnectionState), reason
  ConnectionOpened,    ///< connection, protocol
  ConnectionError,     ///< connection, error, message
  ConnectionClosed,    ///< connection, reason, and how many messages were acknowledged or withdrawn: offset (of lane
                       ///< High), length (Normal), size (Bulk)
  Room,                ///< connection
  Delivered,           ///< connection, marker
  TransferOffered,     ///< connection, transfer, name, mime, key, size?
  TransferState,       ///< connection, transfer, state (TransferState of framing.hpp), reason, error
  TransferProgress,    ///< connection, transfer, size
  TransferEnded,       ///< connection, transfer, digest
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
  std::uint64_t length = 0;  ///< also: lowThreshold
  std::uint64_t size = 0;

  std::string text;   ///< also: sdp, reason, message, id, name, peer, digest
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
