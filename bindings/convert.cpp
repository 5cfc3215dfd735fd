#include "convert.hpp"

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace peerbridge::bindings {

namespace {

using emscripten::val;

bool has(const val& value) { return !value.isUndefined() && !value.isNull(); }

std::string text(const val& object, const char* name) {
  const val value = object[name];
  return has(value) ? value.as<std::string>() : std::string();
}

std::optional<std::string> optionalText(const val& object, const char* name) {
  const val value = object[name];
  if (!has(value)) return std::nullopt;
  return value.as<std::string>();
}

double number(const val& object, const char* name, double otherwise = 0) {
  const val value = object[name];
  return has(value) ? value.as<double>() : otherwise;
}

std::uint32_t handle(const val& object, const char* name) { return static_cast<std::uint32_t>(number(object, name)); }

bool flag(const val& object, const char* name, bool otherwise = false) {
  const val value = object[name];
  return has(value) ? value.as<bool>() : otherwise;
}

/// Sizes come as doubles; what is not a count becomes 0 or the largest that is exact.
std::uint64_t count(const val& object, const char* name, double otherwise = 0) {
  constexpr double kLargest = 9007199254740991.0;
  const double value = number(object, name, otherwise);
  if (!(value > 0)) return 0;
  return static_cast<std::uint64_t>(value < kLargest ? value : kLargest);
}

std::optional<std::uint64_t> optionalCount(const val& object, const char* name) {
  if (!has(object[name])) return std::nullopt;
  return count(object, name);
}

ConnectionKind kindOf(const std::string& name) { return name == "media" ? ConnectionKind::Media : ConnectionKind::Data; }

SdpType sdpTypeOf(const std::string& name) {
  if (name == "answer") return SdpType::Answer;
  if (name == "pranswer") return SdpType::Pranswer;
  if (name == "rollback") return SdpType::Rollback;
  return SdpType::Offer;
}

std::string_view nameOf(SdpType type) {
  switch (type) {
    case SdpType::Offer: return "offer";
    case SdpType::Answer: return "answer";
    case SdpType::Pranswer: return "pranswer";
    case SdpType::Rollback: return "rollback";
  }
  return "";
}

LinkState linkStateOf(const std::string& name) {
  if (name == "connecting") return LinkState::Connecting;
  if (name == "connected") return LinkState::Connected;
  if (name == "disconnected") return LinkState::Disconnected;
  if (name == "failed") return LinkState::Failed;
  if (name == "closed") return LinkState::Closed;
  return LinkState::New;
}

NetworkChange networkChangeOf(const std::string& name) {
  if (name == "offline") return NetworkChange::Offline;
  if (name == "changed") return NetworkChange::Changed;
  if (name == "resumed") return NetworkChange::Resumed;
  return NetworkChange::Online;
}

CandidateInit candidateOf(const val& object) {
  CandidateInit candidate;
  candidate.candidate = text(object, "candidate");
  if (const val mid = object["sdpMid"]; has(mid)) {
    candidate.hasMid = true;
    candidate.sdpMid = mid.as<std::string>();
  }
  if (const val index = object["sdpMLineIndex"]; has(index)) {
    candidate.hasLineIndex = true;
    candidate.sdpMLineIndex = static_cast<std::uint16_t>(index.as<double>());
  }
  if (const val ufrag = object["usernameFragment"]; has(ufrag)) {
    candidate.hasUfrag = true;
    candidate.usernameFragment = ufrag.as<std::string>();
  }
  return candidate;
}

// One overload a kind of value, so that `set` below reads like the type in types.ts.
val js(std::string_view value) { return val(std::string(value)); }
val js(const std::string& value) { return val(value); }
val js(bool value) { return val(value); }
val js(std::uint32_t value) { return val(static_cast<double>(value)); }
val js(std::uint64_t value) { return val(static_cast<double>(value)); }
val js(ConnectionKind kind) { return js(std::string_view(kind == ConnectionKind::Media ? "media" : "data")); }
val js(Protocol protocol) { return js(std::string_view(protocol == Protocol::Native ? "native" : "peerjs")); }
val js(PeerState state) {
  switch (state) {
    case PeerState::Idle: return js(std::string_view("idle"));
    case PeerState::Connecting: return js(std::string_view("connecting"));
    case PeerState::Open: return js(std::string_view("open"));
    case PeerState::Reconnecting: return js(std::string_view("reconnecting"));
    case PeerState::Closed: return js(std::string_view("closed"));
  }
  return val::undefined();
}
val js(ConnectionState state) {
  switch (state) {
    case ConnectionState::Connecting: return js(std::string_view("connecting"));
    case ConnectionState::Open: return js(std::string_view("open"));
    case ConnectionState::Recovering: return js(std::string_view("recovering"));
    case ConnectionState::Closed: return js(std::string_view("closed"));
  }
  return val::undefined();
}
val js(TransferState state) {
  switch (state) {
    case TransferState::Offered: return js(std::string_view("offered"));
    case TransferState::Active: return js(std::string_view("active"));
    case TransferState::Paused: return js(std::string_view("paused"));
    case TransferState::Done: return js(std::string_view("done"));
    case TransferState::Rejected: return js(std::string_view("rejected"));
    case TransferState::Cancelled: return js(std::string_view("cancelled"));
    case TransferState::Failed: return js(std::string_view("failed"));
  }
  return val::undefined();
}

/// An object with a `type`, built member by member.
class Object {
 public:
  explicit Object(const char* type) : object_(val::object()) { object_.set("type", type); }

  template <class T>
  Object& set(const char* name, const T& value) {
    object_.set(name, js(value));
    return *this;
  }
  template <class T>
  Object& set(const char* name, const std::optional<T>& value) {
    if (value) object_.set(name, js(*value));
    return *this;
  }
  Object& set(const Error& error) { return set("error", errorName(error.code)).set("message", error.message); }
  Object& set(const CandidateInit& candidate) {
    set("candidate", candidate.candidate);
    if (candidate.hasMid) set("sdpMid", candidate.sdpMid);
    if (candidate.hasLineIndex) set("sdpMLineIndex", static_cast<std::uint32_t>(candidate.sdpMLineIndex));
    if (candidate.hasUfrag) set("usernameFragment", candidate.usernameFragment);
    return *this;
  }
  operator val() const { return object_; }  // NOLINT(google-explicit-constructor)

 private:
  val object_;
};

// -- outputs -------------------------------------------------------------------------------------------

using namespace output;  // NOLINT(google-build-using-namespace): thirty-four names of one table

val object(const RequestId& o) { return Object("request-id").set("op", o.op); }
val object(const SignalingConnect& o) {
  return Object("signaling-connect").set("transport", o.transport).set("id", o.id).set("token", o.token);
}
val object(const SignalingSend& o) { return Object("signaling-send").set("transport", o.transport).set("text", o.text); }
val object(const SignalingClose& o) { return Object("signaling-close").set("transport", o.transport); }
val object(const LinkCreate& o) { return Object("link-create").set("link", o.link).set("connection", o.connection); }
val object(const LinkClose& o) { return Object("link-close").set("link", o.link); }
val object(const SetLocalDescription& o) { return Object("set-local-description").set("link", o.link).set("op", o.op); }
val object(const SetRemoteDescription& o) {
  return Object("set-remote-description")
      .set("link", o.link)
      .set("op", o.op)
      .set("sdpType", nameOf(o.description.type))
      .set("sdp", o.description.sdp);
}
val object(const ReadLocalDescription& o) { return Object("read-local-description").set("link", o.link).set("op", o.op); }
val object(const AddCandidate& o) { return Object("add-candidate").set("link", o.link).set("op", o.op).set(o.candidate); }
val object(const RestartIce& o) { return Object("restart-ice").set("link", o.link); }
val object(const ChannelCreate& o) {
  return Object("channel-create")
      .set("link", o.link)
      .set("channel", o.channel)
      .set("label", o.label)
      .set("ordered", o.ordered)
      .set("lowThreshold", o.lowThreshold);
}
val object(const ChannelBind& o) {
  return Object("channel-bind").set("channel", o.channel).set("connection", o.connection).set("lowThreshold", o.lowThreshold);
}
val object(const ChannelClose& o) { return Object("channel-close").set("channel", o.channel); }
val object(const Transmit& o) { return Object("transmit").set("connection", o.connection); }
val object(const TransferRead& o) {
  return Object("transfer-read")
      .set("connection", o.connection)
      .set("transfer", o.transfer)
      .set("offset", o.offset)
      .set("length", o.length);
}
val object(const Dispose&) { return Object("dispose"); }
val object(const PeerStateChanged& o) { return Object("peer-state").set("state", o.state).set("reason", o.reason); }
val object(const PeerOpened& o) { return Object("peer-opened").set("id", o.id); }
val object(const PeerDisconnected& o) { return Object("peer-disconnected").set("id", o.id); }
val object(const PeerClosed&) { return Object("peer-closed"); }
val object(const PeerFailed& o) { return Object("peer-error").set(o.error); }
val object(const ConnectionIncoming& o) {
  return Object("connection-incoming")
      .set("connection", o.connection)
      .set("peer", o.peer)
      .set("connectionId", o.connectionId)
      .set("kind", o.kind)
      .set("label", o.label)
      .set("metadata", o.metadata)
      .set("serialization", o.serialization)
      .set("reliable", o.reliable)
      .set("protocol", o.protocol);
}
val object(const ConnectionStateChanged& o) {
  return Object("connection-state").set("connection", o.connection).set("state", o.state).set("reason", o.reason);
}
val object(const ConnectionOpened& o) {
  return Object("connection-opened").set("connection", o.connection).set("protocol", o.protocol);
}
val object(const ConnectionFailed& o) { return Object("connection-error").set("connection", o.connection).set(o.error); }
val object(const ConnectionClosed& o) {
  return Object("connection-closed").set("connection", o.connection).set("reason", o.reason);
}
val object(const Room& o) { return Object("room").set("connection", o.connection); }
val object(const Delivered& o) { return Object("delivered").set("connection", o.connection).set("marker", o.marker); }
val object(const TransferOffered& o) {
  return Object("transfer-offered")
      .set("connection", o.connection)
      .set("transfer", o.transfer)
      .set("name", o.name)
      .set("mime", o.mime)
      .set("size", o.size);
}
val object(const TransferStateChanged& o) {
  return Object("transfer-state")
      .set("connection", o.connection)
      .set("transfer", o.transfer)
      .set("state", static_cast<TransferState>(o.state))
      .set("reason", o.reason);
}
val object(const TransferProgress& o) {
  return Object("transfer-progress").set("connection", o.connection).set("transfer", o.transfer).set("bytes", o.bytes);
}
val object(const TransferEnded& o) {
  return Object("transfer-ended").set("connection", o.connection).set("transfer", o.transfer);
}
val object(const Warning& o) { return Object("warning").set(o.error); }

}  // namespace

val toObject(Output output) {
  return std::visit([](const auto& what) { return object(what); }, output);
}

// -- inputs --------------------------------------------------------------------------------------------

std::optional<Input> toInput(const val& o) {
  const std::string type = text(o, "type");
  // The most frequent ones first.
  if (type == "timeout") return input::Timeout{};
  if (type == "op-done") {
    input::OpDone in{handle(o, "op"), std::nullopt};
    if (std::optional<std::string> sdp = optionalText(o, "sdp")) {
      in.description = Description{sdpTypeOf(text(o, "sdpType")), std::move(*sdp)};
    }
    return in;
  }
  if (type == "op-failed") return input::OpFailed{handle(o, "op"), text(o, "name"), text(o, "message")};
  if (type == "signaling-message") return input::SignalingMessage{handle(o, "transport"), text(o, "text")};
  if (type == "local-candidate") return input::LocalCandidate{handle(o, "link"), candidateOf(o)};
  if (type == "gathering-complete") return input::GatheringComplete{handle(o, "link")};
  if (type == "negotiation-needed") return input::NegotiationNeeded{handle(o, "link")};
  if (type == "link-state") return input::LinkStateChanged{handle(o, "link"), linkStateOf(text(o, "state"))};
  if (type == "channel-arrived") {
    return input::ChannelArrived{handle(o, "link"), handle(o, "channel"), text(o, "label"), text(o, "protocol")};
  }
  if (type == "channel-opened") {
    return input::ChannelOpened{handle(o, "channel"), static_cast<std::size_t>(number(o, "maxMessageSize", 65'536))};
  }
  if (type == "channel-closed") return input::ChannelClosed{handle(o, "channel")};

  if (type == "start") return input::Start{optionalText(o, "id"), text(o, "token")};
  if (type == "connect") {
    return input::Connect{handle(o, "connection"),         text(o, "peer"),          text(o, "connectionId"),
                          kindOf(text(o, "kind")),         text(o, "label"),         optionalText(o, "metadata"),
                          text(o, "serialization"),        flag(o, "reliable")};
  }
  if (type == "answer") return input::Answer{handle(o, "connection")};
  if (type == "close") return input::Close{handle(o, "connection")};
  if (type == "disconnect") return input::Disconnect{};
  if (type == "reconnect") return input::Reconnect{};
  if (type == "destroy") return input::Destroy{};
  if (type == "id-assigned") return input::IdAssigned{handle(o, "op"), text(o, "id")};
  if (type == "id-failed") return input::IdFailed{handle(o, "op"), text(o, "message")};
  if (type == "signaling-opened") return input::SignalingOpened{handle(o, "transport")};
  if (type == "signaling-closed") return input::SignalingClosed{handle(o, "transport"), text(o, "message")};
  if (type == "network") return input::Network{networkChangeOf(text(o, "change"))};
  if (type == "page-hide") return input::PageHide{};

  if (type == "transfer-offer") {
    return input::TransferOffer{handle(o, "connection"), handle(o, "transfer"), text(o, "name"), text(o, "mime"),
                                optionalCount(o, "size")};
  }
  using input::TransferVerb;
  struct Verb {
    const char* type;
    TransferVerb verb;
  };
  static constexpr Verb kVerbs[] = {
      {"transfer-accept", TransferVerb::Accept},     {"transfer-reject", TransferVerb::Reject},
      {"transfer-pause", TransferVerb::Pause},       {"transfer-resume", TransferVerb::Resume},
      {"transfer-cancel", TransferVerb::Cancel},     {"transfer-end", TransferVerb::End},
      {"transfer-consumed", TransferVerb::Consumed}, {"transfer-complete", TransferVerb::Complete}};
  for (const Verb& row : kVerbs) {
    if (type == row.type) {
      return input::TransferAction{handle(o, "connection"), handle(o, "transfer"), row.verb, text(o, "reason"),
                                   count(o, "length")};
    }
  }
  return std::nullopt;
}

Config toConfig(const val& o) {
  Config config;
  config.seed = count(o, "seed");
  const std::string protocol = text(o, "protocol");
  if (protocol == "native") config.protocol = ProtocolChoice::Native;
  if (protocol == "peerjs") config.protocol = ProtocolChoice::PeerJs;
  config.autoReconnect = flag(o, "autoReconnect", config.autoReconnect);
  config.reconnectRetries = static_cast<std::int32_t>(number(o, "reconnectRetries", config.reconnectRetries));
  const auto millis = [&o](const char* name, Millis otherwise) {
    const double given = number(o, name, static_cast<double>(otherwise));
    return given > 0 && given < 1e12 ? static_cast<Millis>(given) : otherwise;
  };
  config.reconnectDelay = millis("reconnectDelay", config.reconnectDelay);
  config.heartbeatInterval = millis("heartbeatInterval", config.heartbeatInterval);
  config.negotiationTimeout = millis("negotiationTimeout", config.negotiationTimeout);
  config.recoveryBudget = millis("recoveryBudget", config.recoveryBudget);
  return config;
}

FramingConfig toFramingConfig(const val& o) {
  FramingConfig config;
  if (const std::uint64_t most = count(o, "maxMessageBytes"); most > 0) config.maxMessageBytes = most;
  return config;
}

}  // namespace peerbridge::bindings
