#include "convert.hpp"

#include <iterator>
#include <string>
#include <string_view>
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

const char* nameOf(SdpType type) {
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

const char* nameOf(PeerState state) {
  constexpr const char* kNames[] = {"idle", "connecting", "open", "reconnecting", "closed"};
  return kNames[static_cast<int>(state)];
}

const char* nameOf(ConnectionState state) {
  constexpr const char* kNames[] = {"connecting", "open", "recovering", "closed"};
  return kNames[static_cast<int>(state)];
}

const char* nameOf(TransferState state) {
  constexpr const char* kNames[] = {"offered", "active", "paused", "done", "rejected", "cancelled", "failed"};
  return kNames[static_cast<int>(state)];
}

/// An object that is filled member by member; each way of setting one exists once.
class Object {
 public:
  explicit Object(const char* type) : object_(val::object()) { set("type", type); }
  void set(const char* name, const char* value) { object_.set(name, val(value)); }
  void set(const char* name, const std::string& value) { object_.set(name, val(value)); }
  void set(const char* name, std::string_view value) { object_.set(name, val(std::string(value))); }
  void set(const char* name, double value) { object_.set(name, val(value)); }
  void set(const char* name, bool value) { object_.set(name, val(value)); }
  void set(const char* name, std::uint32_t value) { set(name, static_cast<double>(value)); }
  void set(const char* name, std::uint64_t value) { set(name, static_cast<double>(value)); }
  val take() { return std::move(object_); }

 private:
  val object_;
};

/// Spelling of OutputType, in its order.
constexpr const char* kOutputNames[] = {
    "request-id",           "signaling-connect",      "signaling-send",       "signaling-close",  "link-create",
    "link-close",           "set-local-description",  "set-remote-description", "read-local-description",
    "add-candidate",        "restart-ice",            "channel-create",       "channel-bind",     "channel-close",
    "transmit",             "transfer-read",          "dispose",              "peer-state",       "peer-opened",
    "peer-disconnected",    "peer-closed",            "peer-error",           "connection-incoming", "connection-state",
    "connection-opened",    "connection-error",       "connection-closed",    "room",             "delivered",
    "transfer-offered",     "transfer-state",         "transfer-progress",    "transfer-ended",   "warning"};
static_assert(std::size(kOutputNames) == static_cast<std::size_t>(OutputType::Warning) + 1);

}  // namespace

val toObject(const Output& o) {
  using enum OutputType;
  Object object(kOutputNames[static_cast<int>(o.type)]);
  // Handles are never 0, so those that a type does not have stay away by themselves.
  if (o.connection != 0) object.set("connection", o.connection);
  if (o.link != 0) object.set("link", o.link);
  if (o.channel != 0) object.set("channel", o.channel);
  if (o.transfer != 0) object.set("transfer", o.transfer);
  if (o.transport != 0) object.set("transport", o.transport);
  if (o.op != 0) object.set("op", o.op);
  switch (o.type) {
    case SignalingConnect:
      object.set("id", o.text);
      object.set("token", o.label);
      break;
    case SignalingSend: object.set("text", o.text); break;
    case SetRemoteDescription:
      object.set("sdpType", nameOf(o.sdpType));
      object.set("sdp", o.text);
      break;
    case AddCandidate:
      object.set("candidate", o.candidate.candidate);
      if (o.candidate.hasMid) object.set("sdpMid", o.candidate.sdpMid);
      if (o.candidate.hasLineIndex) object.set("sdpMLineIndex", static_cast<std::uint32_t>(o.candidate.sdpMLineIndex));
      if (o.candidate.hasUfrag) object.set("usernameFragment", o.candidate.usernameFragment);
      break;
    case ChannelCreate:
      object.set("label", o.label);
      object.set("ordered", true);
      object.set("lowThreshold", o.length);
      break;
    case ChannelBind: object.set("lowThreshold", o.length); break;
    case TransferRead:
      object.set("offset", o.offset);
      object.set("length", o.length);
      break;
    case OutputType::PeerState:
      object.set("state", nameOf(static_cast<peerbridge::PeerState>(o.state)));
      object.set("reason", o.text);
      break;
    case PeerOpened:
    case PeerDisconnected: object.set("id", o.text); break;
    case PeerError:
    case ConnectionError:
    case Warning:
      object.set("error", errorName(o.error));
      object.set("message", o.text);
      break;
    case ConnectionIncoming:
      object.set("peer", o.text);
      object.set("connectionId", o.connectionId);
      object.set("kind", o.kind == ConnectionKind::Media ? "media" : "data");
      object.set("label", o.label);
      if (o.hasMetadata) object.set("metadata", o.metadata);
      object.set("serialization", o.serialization);
      object.set("reliable", o.reliable);
      object.set("protocol", o.protocol == Protocol::Native ? "native" : "peerjs");
      break;
    case OutputType::ConnectionState:
      object.set("state", nameOf(static_cast<peerbridge::ConnectionState>(o.state)));
      object.set("reason", o.text);
      break;
    case ConnectionOpened: object.set("protocol", o.protocol == Protocol::Native ? "native" : "peerjs"); break;
    case ConnectionClosed: object.set("reason", o.text); break;
    case Delivered: object.set("marker", o.marker); break;
    case TransferOffered:
      object.set("name", o.text);
      object.set("mime", o.label);
      if (o.hasSize) object.set("size", o.size);
      break;
    case OutputType::TransferState:
      object.set("state", nameOf(static_cast<peerbridge::TransferState>(o.state)));
      object.set("reason", o.text);
      break;
    case TransferProgress: object.set("bytes", o.length); break;
    case RequestId:
    case SignalingClose:
    case LinkCreate:
    case LinkClose:
    case SetLocalDescription:
    case ReadLocalDescription:
    case RestartIce:
    case ChannelClose:
    case Transmit:
    case Dispose:
    case PeerClosed:
    case Room:
    case TransferEnded: break;
  }
  return object.take();
}

// -- inputs --------------------------------------------------------------------------------------------

namespace {

template <class T>
void tell(Endpoint& endpoint, Millis now, T input) {
  endpoint.handle(input, now);
}

constexpr const char* kInputNames[] = {
    "timeout",         "op-done",         "op-failed",        "signaling-message", "local-candidate",
    "gathering-complete", "negotiation-needed", "link-state", "channel-arrived",   "channel-opened",
    "channel-closed",  "start",           "connect",          "answer",            "close",
    "disconnect",      "reconnect",       "destroy",          "id-assigned",       "id-failed",
    "signaling-opened", "signaling-closed", "network",        "page-hide",         "transfer-offer",
    // The order of TransferVerb.
    "transfer-accept", "transfer-reject", "transfer-pause",   "transfer-resume",   "transfer-cancel",
    "transfer-end",    "transfer-consumed", "transfer-complete"};
constexpr std::size_t kFirstVerb = 25;

}  // namespace

bool handle(Endpoint& endpoint, const val& o, Millis now) {
  const std::string type = text(o, "type");
  std::size_t index = 0;
  while (index < std::size(kInputNames) && type != kInputNames[index]) ++index;
  switch (index) {
    case 0: tell(endpoint, now, input::Timeout{}); return true;
    case 1: {
      input::OpDone in{handle(o, "op"), std::nullopt};
      if (std::optional<std::string> sdp = optionalText(o, "sdp")) {
        in.description = Description{sdpTypeOf(text(o, "sdpType")), std::move(*sdp)};
      }
      endpoint.handle(in, now);
      return true;
    }
    case 2: tell(endpoint, now, input::OpFailed{handle(o, "op"), text(o, "name"), text(o, "message")}); return true;
    case 3: tell(endpoint, now, input::SignalingMessage{handle(o, "transport"), text(o, "text")}); return true;
    case 4: tell(endpoint, now, input::LocalCandidate{handle(o, "link"), candidateOf(o)}); return true;
    case 5: tell(endpoint, now, input::GatheringComplete{handle(o, "link")}); return true;
    case 6: tell(endpoint, now, input::NegotiationNeeded{handle(o, "link")}); return true;
    case 7: tell(endpoint, now, input::LinkStateChanged{handle(o, "link"), linkStateOf(text(o, "state"))}); return true;
    case 8:
      tell(endpoint, now,
           input::ChannelArrived{handle(o, "link"), handle(o, "channel"), text(o, "label"), text(o, "protocol")});
      return true;
    case 9:
      tell(endpoint, now,
           input::ChannelOpened{handle(o, "channel"), static_cast<std::size_t>(number(o, "maxMessageSize", 65'536))});
      return true;
    case 10: tell(endpoint, now, input::ChannelClosed{handle(o, "channel")}); return true;
    case 11: tell(endpoint, now, input::Start{optionalText(o, "id"), text(o, "token")}); return true;
    case 12:
      tell(endpoint, now,
           input::Connect{handle(o, "connection"), text(o, "peer"), text(o, "connectionId"), kindOf(text(o, "kind")),
                          text(o, "label"), optionalText(o, "metadata"), text(o, "serialization"), flag(o, "reliable")});
      return true;
    case 13: tell(endpoint, now, input::Answer{handle(o, "connection")}); return true;
    case 14: tell(endpoint, now, input::Close{handle(o, "connection")}); return true;
    case 15: tell(endpoint, now, input::Disconnect{}); return true;
    case 16: tell(endpoint, now, input::Reconnect{}); return true;
    case 17: tell(endpoint, now, input::Destroy{}); return true;
    case 18: tell(endpoint, now, input::IdAssigned{handle(o, "op"), text(o, "id")}); return true;
    case 19: tell(endpoint, now, input::IdFailed{handle(o, "op"), text(o, "message")}); return true;
    case 20: tell(endpoint, now, input::SignalingOpened{handle(o, "transport")}); return true;
    case 21: tell(endpoint, now, input::SignalingClosed{handle(o, "transport"), text(o, "message")}); return true;
    case 22: tell(endpoint, now, input::Network{networkChangeOf(text(o, "change"))}); return true;
    case 23: tell(endpoint, now, input::PageHide{}); return true;
    case 24:
      tell(endpoint, now,
           input::TransferOffer{handle(o, "connection"), handle(o, "transfer"), text(o, "name"), text(o, "mime"),
                                optionalCount(o, "size")});
      return true;
    default: break;
  }
  if (index >= std::size(kInputNames)) return false;
  tell(endpoint, now,
       input::TransferAction{handle(o, "connection"), handle(o, "transfer"),
                             static_cast<input::TransferVerb>(index - kFirstVerb), text(o, "reason"), count(o, "length")});
  return true;
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
