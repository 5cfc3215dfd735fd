// One signaling message, PeerServer's JSON in both directions (docs/protocol.md, "Signaling").
//
// Remote text is hostile: parsing is bounded in bytes, depth and counts, never aborts, and answers
// with an Error that says which field was wrong. Members that this library does not know are ignored,
// as PeerJS ignores them. Metadata is carried as JSON text and never interpreted here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

enum class MessageType : std::uint8_t {
  Open,
  Error,
  IdTaken,
  InvalidKey,
  Offer,
  Answer,
  Candidate,
  Leave,
  Expire,
  Heartbeat,
};

/// "OPEN", "ID-TAKEN", …
[[nodiscard]] std::string_view messageTypeName(MessageType type);

/// What a peerbridge peer adds inside `payload` under the key "peerbridge"; PeerJS ignores it and
/// PeerServer forwards it. Its presence is how two peerbridge peers find each other out.
struct NativeTag {
  std::uint32_t version = 1;      ///< of the native protocol
  std::uint32_t link = 0;         ///< which RTCPeerConnection of the connection, counted from 1 by its offerer
  std::uint32_t negotiation = 0;  ///< counts the offers of one side of one link; an ANSWER echoes it
  /// CANDIDATE only: the sender's side of the connection is over, and why ("rejected", "cancelled", "closed").
  /// Its candidate is then the harmless end-of-candidates, so that a PeerJS peer is not disturbed.
  std::optional<std::string> bye;
  /// OFFER: the newest offer of the other side that this one was made after; 0 is none, and not written. An offer that
  /// was withdrawn for another one may still arrive after it, and shows by this that it is the older one.
  std::uint32_t seen = 0;
  /// The link is a stripe, and which: it carries bulk beside the link that carries the connection. 0 is none, and not
  /// written.
  std::uint32_t stripe = 0;
  /// OFFER: 1 when the application named the serialization, whose value rules hold then; 0 otherwise, and not written.
  std::uint32_t named = 0;

  friend bool operator==(const NativeTag&, const NativeTag&) = default;
};

struct SignalMessage {
  MessageType type = MessageType::Heartbeat;
  std::string src;  ///< set by the server on what it relays; never sent
  std::string dst;
  bool wait = true;  ///< false: the server shall not hold it for a peer that is not there; never read

  // payload of OFFER, ANSWER, CANDIDATE
  std::string connectionId;
  ConnectionKind kind = ConnectionKind::Data;
  std::optional<Description> description;  ///< OFFER, ANSWER
  /// CANDIDATE: payload.candidate first, then those of payload.candidates (ours, one batch a frame).
  std::vector<CandidateInit> candidates;
  std::optional<std::string> metadata;       ///< OFFER: JSON text, compact
  std::optional<std::string> label;          ///< OFFER of data
  std::optional<std::string> serialization;  ///< OFFER of data
  std::optional<bool> reliable;              ///< OFFER of data
  std::optional<NativeTag> native;
  bool legacyBrowserTag = false;  ///< payload.browser is there: PeerJS 1.3 to 1.4

  std::string text;    ///< payload.msg of ERROR, ID-TAKEN, INVALID-KEY; may be empty
  std::string reason;  ///< payload.type of ERROR, for programs; may be empty; never written

  friend bool operator==(const SignalMessage&, const SignalMessage&) = default;
};

/// The largest signaling message that is read or written, in bytes of UTF-8.
inline constexpr std::size_t kMaxSignalBytes = std::size_t{256} * 1024;

/// The longest src, dst and connectionId that is read, in bytes of UTF-8.
inline constexpr std::size_t kMaxIdBytes = 256;

/// How deeply objects and arrays of a message may be nested, metadata included.
inline constexpr int kMaxSignalDepth = 64;

/// How many elements payload.candidates may have.
inline constexpr std::size_t kMaxSignalCandidates = 256;

/// Errors: SignalTooLarge above kMaxSignalBytes; BadSignal for anything else, with the reason.
/// An unknown `type` is BadSignal too: the caller drops it with a warning, as PeerJS does.
[[nodiscard]] Result<SignalMessage> parseSignal(std::string_view text);

/// Compact JSON, members in PeerJS's order. Invalid UTF-8 in any string becomes U+FFFD.
/// Before: `metadata`, when set, is valid JSON text; a CANDIDATE has a candidate, an OFFER or ANSWER a description.
[[nodiscard]] std::string serializeSignal(const SignalMessage& message);

/// Makes `message` the one that ends a connection by signaling: see NativeTag::bye.
void sayGoodbye(SignalMessage& message, const std::string& peer, const std::string& connectionId, ConnectionKind kind,
                const char* why);

}  // namespace peerbridge
