#include "convert.hpp"

#include <iterator>
#include <string>
#include <utility>

namespace peerbridge::bindings {

namespace {

using emscripten::val;

// -- spelling ------------------------------------------------------------------------------------------

// Each in the order of its enum.
constexpr const char* kKinds[] = {"data", "media"};
constexpr const char* kSdpTypes[] = {"offer", "answer", "pranswer", "rollback"};
constexpr const char* kLinkStates[] = {"new", "connecting", "connected", "disconnected", "failed", "closed"};
constexpr const char* kNetworkChanges[] = {"online", "offline", "changed", "resumed"};
constexpr const char* kProtocols[] = {"native", "peerjs"};
constexpr const char* kProtocolChoices[] = {"auto", "native", "peerjs"};
constexpr const char* kTrickles[] = {"full", "half", "none"};
constexpr const char* kPeerStates[] = {"idle", "connecting", "open", "reconnecting", "closed"};
constexpr const char* kConnectionStates[] = {"connecting", "open", "recovering", "closed"};
constexpr const char* kTransferStates[] = {"offered", "active", "paused", "done", "rejected", "cancelled", "failed"};

// -- reading -------------------------------------------------------------------------------------------

bool has(const val& value) { return !value.isUndefined() && !value.isNull(); }

/// False, and `to` is left alone, when there is no such member; so it is with the others.
bool read(const val& object, const char* name, std::string& to) {
  const val value = object[name];
  if (!has(value)) return false;
  to = value.as<std::string>();
  return true;
}

bool read(const val& object, const char* name, double& to) {
  const val value = object[name];
  if (!has(value)) return false;
  to = value.as<double>();
  return true;
}

bool read(const val& object, const char* name, bool& to) {
  const val value = object[name];
  if (!has(value)) return false;
  to = value.as<bool>();
  return true;
}

bool read(const val& object, const char* name, std::uint32_t& to) {
  double number = 0;
  if (!read(object, name, number)) return false;
  to = static_cast<std::uint32_t>(number);
  return true;
}

/// Sizes come as doubles; what is not a count becomes 0 or the largest that is exact.
bool read(const val& object, const char* name, std::uint64_t& to) {
  constexpr double kLargest = 9007199254740991.0;
  double number = 0;
  if (!read(object, name, number)) return false;
  to = number > 0 ? static_cast<std::uint64_t>(number < kLargest ? number : kLargest) : 0;
  return true;
}

/// The place of `word` in `words`, or `count`.
std::size_t find(const std::string& word, const char* const* words, std::size_t count) {
  std::size_t index = 0;
  while (index < count && word != words[index]) ++index;
  return index;
}

/// An unknown word leaves `to` alone too.
template <class Enum, std::size_t count>
void read(const val& object, const char* name, const char* const (&words)[count], Enum& to) {
  std::string word;
  (void)read(object, name, word);
  if (const std::size_t index = find(word, words, count); index < count) to = static_cast<Enum>(index);
}

/// What an input carries beside its type, as bits.
enum Members : std::uint32_t {
  kConnection = 1U << 0,
  kLink = 1U << 1,
  kChannel = 1U << 2,
  kTransfer = 1U << 3,
  kTransport = 1U << 4,
  kOp = 1U << 5,
  kId = 1U << 6,
  kPeer = 1U << 7,
  kText = 1U << 8,
  kSdp = 1U << 9,
  kName = 1U << 10,
  kReason = 1U << 11,
  kToken = 1U << 12,
  kLabel = 1U << 13,
  kMessage = 1U << 14,
  kMime = 1U << 15,
  kConnectionId = 1U << 16,
  kSerialization = 1U << 17,
  kLength = 1U << 18,
  kSize = 1U << 19,
  kMaxMessageSize = 1U << 20,
};

// In the order of their bits: first handles, then strings, then counts.
constexpr struct {
  const char* name;
  std::uint32_t Input::*member;
} kHandles[] = {
    {"connection", &Input::connection}, {"link", &Input::link},           {"channel", &Input::channel},
    {"transfer", &Input::transfer},     {"transport", &Input::transport}, {"op", &Input::op},
};
constexpr struct {
  const char* name;
  std::string Input::*member;
} kTexts[] = {
    {"id", &Input::text},
    {"peer", &Input::text},
    {"text", &Input::text},
    {"sdp", &Input::text},
    {"name", &Input::text},
    {"reason", &Input::text},
    {"token", &Input::label},
    {"label", &Input::label},
    {"message", &Input::label},
    {"mime", &Input::label},
    {"connectionId", &Input::connectionId},
    {"serialization", &Input::serialization},
};
constexpr const char* kCounts[] = {"length", "size", "maxMessageSize"};

// In the order of InputType.
constexpr struct {
  const char* name;
  std::uint32_t members;
} kInputs[] = {
    {"start", kId | kToken},
    {"connect", kConnection | kPeer | kConnectionId | kLabel | kSerialization},
    {"answer", kConnection},
    {"close", kConnection},
    {"disconnect", 0},
    {"reconnect", 0},
    {"destroy", 0},
    {"id-assigned", kOp | kId},
    {"id-failed", kOp | kMessage},
    {"signaling-opened", kTransport},
    {"signaling-message", kTransport | kText},
    {"signaling-closed", kTransport | kMessage},
    {"op-done", kOp | kSdp},
    {"op-failed", kOp | kName | kMessage},
    {"local-candidate", kLink},
    {"gathering-complete", kLink},
    {"negotiation-needed", kLink},
    {"link-state", kLink},
    {"path-changed", kLink},
    {"channel-arrived", kLink | kChannel},
    {"channel-opened", kChannel | kMaxMessageSize},
    {"channel-closed", kChannel},
    {"transfer-offer", kConnection | kTransfer | kName | kMime | kSize},
    {"transfer-accept", kConnection | kTransfer},
    {"transfer-reject", kConnection | kTransfer | kReason},
    {"transfer-pause", kConnection | kTransfer},
    {"transfer-resume", kConnection | kTransfer},
    {"transfer-cancel", kConnection | kTransfer | kReason},
    {"transfer-end", kConnection | kTransfer},
    {"transfer-consumed", kConnection | kTransfer | kLength},
    {"transfer-complete", kConnection | kTransfer},
    {"network", 0},
    {"page-hide", 0},
    {"timeout", 0},
};
static_assert(std::size(kInputs) == static_cast<std::size_t>(InputType::Timeout) + 1);

}  // namespace

bool toInput(const val& o, Input& in) {
  std::string type;
  (void)read(o, "type", type);
  std::size_t index = 0;
  while (index < std::size(kInputs) && type != kInputs[index].name) ++index;
  if (index == std::size(kInputs)) return false;
  in.type = static_cast<InputType>(index);
  std::uint32_t members = kInputs[index].members;
  for (const auto& handle : kHandles) {
    if (members & 1U) (void)read(o, handle.name, in.*handle.member);
    members >>= 1U;
  }
  for (const auto& text : kTexts) {
    if (members & 1U) {
      const bool there = read(o, text.name, in.*text.member);
      if (text.member == &Input::text) in.hasText = there;
    }
    members >>= 1U;
  }
  for (const char* const name : kCounts) {
    if (members & 1U) in.hasLength = read(o, name, in.length);
    members >>= 1U;
  }
  switch (in.type) {
    case InputType::Connect:
      read(o, "kind", kKinds, in.kind);
      in.hasMetadata = read(o, "metadata", in.metadata);
      (void)read(o, "reliable", in.reliable);
      break;
    case InputType::OpDone:
      read(o, "sdpType", kSdpTypes, in.sdpType);
      break;
    case InputType::LocalCandidate: {
      CandidateInit& candidate = in.candidate;
      (void)read(o, "candidate", candidate.candidate);
      candidate.hasMid = read(o, "sdpMid", candidate.sdpMid);
      std::uint32_t line = 0;
      candidate.hasLineIndex = read(o, "sdpMLineIndex", line);
      candidate.sdpMLineIndex = static_cast<std::uint16_t>(line);
      candidate.hasUfrag = read(o, "usernameFragment", candidate.usernameFragment);
      break;
    }
    case InputType::LinkState:
      read(o, "state", kLinkStates, in.linkState);
      break;
    case InputType::ChannelOpened:
      if (!in.hasLength) in.length = 65'536;  // what a browser takes that does not say
      break;
    case InputType::Network:
      read(o, "change", kNetworkChanges, in.change);
      break;
    default:
      break;
  }
  return true;
}

// -- writing -------------------------------------------------------------------------------------------

namespace {

/// An object that is filled member by member; each way of setting one exists once.
class Object {
 public:
  explicit Object(const char* type) : object_(val::object()) { set("type", type); }
  void set(const char* name, const char* value) { object_.set(name, val(value)); }
  void set(const char* name, const std::string& value) { object_.set(name, val(value)); }
  void set(const char* name, double value) { object_.set(name, val(value)); }
  void set(const char* name, bool value) { object_.set(name, val(value)); }
  val take() { return std::move(object_); }

 private:
  val object_;
};

// In the order of OutputType.
constexpr const char* kOutputNames[] = {
    "request-id",
    "signaling-connect",
    "signaling-send",
    "signaling-close",
    "link-create",
    "link-close",
    "set-local-description",
    "set-remote-description",
    "read-local-description",
    "add-candidate",
    "restart-ice",
    "rollback",
    "channel-create",
    "channel-bind",
    "channel-close",
    "transmit",
    "transfer-read",
    "dispose",
    "peer-state",
    "peer-opened",
    "peer-disconnected",
    "peer-closed",
    "peer-error",
    "connection-incoming",
    "connection-state",
    "connection-opened",
    "connection-error",
    "connection-closed",
    "room",
    "delivered",
    "transfer-offered",
    "transfer-state",
    "transfer-progress",
    "transfer-ended",
    "warning",
};
static_assert(std::size(kOutputNames) == static_cast<std::size_t>(OutputType::Warning) + 1);

// Handles are never 0, so those that a type does not have stay away by themselves.
constexpr struct {
  const char* name;
  std::uint32_t Output::*member;
} kOutputHandles[] = {
    {"connection", &Output::connection}, {"link", &Output::link},           {"channel", &Output::channel},
    {"transfer", &Output::transfer},     {"transport", &Output::transport}, {"op", &Output::op},
    {"marker", &Output::marker},
};

/// What `text` and `label` are called in an output of this type; null when it has none.
struct TextNames {
  const char* text = nullptr;
  const char* label = nullptr;
};
TextNames textNames(OutputType type) {
  using enum OutputType;
  switch (type) {
    case SignalingConnect:
      return {"id", "token"};
    case SignalingSend:
      return {"text"};
    case SetRemoteDescription:
      return {"sdp"};
    case ChannelCreate:
      return {nullptr, "label"};
    case OutputType::PeerState:
    case OutputType::ConnectionState:
    case OutputType::TransferState:
    case ConnectionClosed:
      return {"reason"};
    case PeerOpened:
    case PeerDisconnected:
      return {"id"};
    case PeerError:
    case ConnectionError:
    case Warning:
      return {"message"};
    case ConnectionIncoming:
      return {"peer", "label"};
    case TransferOffered:
      return {"name", "mime"};
    default:
      return {};
  }
}

}  // namespace

val toObject(const Output& o) {
  using enum OutputType;
  Object object(kOutputNames[static_cast<std::size_t>(o.type)]);
  for (const auto& handle : kOutputHandles) {
    if (const std::uint32_t value = o.*handle.member; value != 0) object.set(handle.name, static_cast<double>(value));
  }
  const TextNames names = textNames(o.type);
  if (names.text != nullptr) object.set(names.text, o.text);
  if (names.label != nullptr) object.set(names.label, o.label);
  switch (o.type) {
    case SetRemoteDescription:
      object.set("sdpType", kSdpTypes[static_cast<std::size_t>(o.sdpType)]);
      break;
    case AddCandidate:
      object.set("candidate", o.candidate.candidate);
      if (o.candidate.hasMid) object.set("sdpMid", o.candidate.sdpMid);
      if (o.candidate.hasLineIndex) object.set("sdpMLineIndex", static_cast<double>(o.candidate.sdpMLineIndex));
      if (o.candidate.hasUfrag) object.set("usernameFragment", o.candidate.usernameFragment);
      break;
    case ChannelCreate:
      object.set("ordered", true);
      [[fallthrough]];
    case ChannelBind:
      object.set("lowThreshold", static_cast<double>(o.length));
      break;
    case TransferRead:
      object.set("offset", static_cast<double>(o.offset));
      object.set("length", static_cast<double>(o.length));
      break;
    case OutputType::PeerState:
      object.set("state", kPeerStates[o.state]);
      break;
    case OutputType::ConnectionState:
      object.set("state", kConnectionStates[o.state]);
      break;
    case OutputType::TransferState:
      object.set("state", kTransferStates[o.state]);
      break;
    case PeerError:
    case ConnectionError:
    case Warning:
      object.set("error", errorName(o.error));
      break;
    case ConnectionIncoming:
      object.set("connectionId", o.connectionId);
      object.set("kind", kKinds[static_cast<std::size_t>(o.kind)]);
      if (o.hasMetadata) object.set("metadata", o.metadata);
      object.set("serialization", o.serialization);
      object.set("reliable", o.reliable);
      [[fallthrough]];
    case ConnectionOpened:
      object.set("protocol", kProtocols[static_cast<std::size_t>(o.protocol)]);
      break;
    case TransferOffered:
      if (o.hasSize) object.set("size", static_cast<double>(o.size));
      break;
    case TransferProgress:
      object.set("bytes", static_cast<double>(o.size));
      break;
    default:
      break;
  }
  return object.take();
}

// -- configuration -------------------------------------------------------------------------------------

Config toConfig(const val& o) {
  Config config;
  (void)read(o, "seed", config.seed);
  read(o, "protocol", kProtocolChoices, config.protocol);
  read(o, "trickle", kTrickles, config.trickle);
  (void)read(o, "autoReconnect", config.autoReconnect);
  double retries = config.reconnectRetries;
  (void)read(o, "reconnectRetries", retries);
  config.reconnectRetries = static_cast<std::int32_t>(retries);
  constexpr struct {
    const char* name;
    Millis Config::*member;
  } kTimes[] = {
      {"reconnectDelay", &Config::reconnectDelay},
      {"reconnectMaxDelay", &Config::reconnectMaxDelay},
      {"heartbeatInterval", &Config::heartbeatInterval},
      {"probeInterval", &Config::probeInterval},
      {"probeTimeout", &Config::probeTimeout},
      {"urgentProbeTimeout", &Config::urgentProbeTimeout},
      {"connectTimeout", &Config::connectTimeout},
      {"urgentConnectTimeout", &Config::urgentConnectTimeout},
      {"urgentReconnectDelay", &Config::urgentReconnectDelay},
      {"openTimeout", &Config::openTimeout},
      {"registerTimeout", &Config::registerTimeout},
      {"signalExpiry", &Config::signalExpiry},
      {"candidateBatch", &Config::candidateBatch},
      {"lateCandidateBatch", &Config::lateCandidateBatch},
      {"gatherTimeout", &Config::gatherTimeout},
      {"negotiationTimeout", &Config::negotiationTimeout},
      {"ringTimeout", &Config::ringTimeout},
      {"resendDelay", &Config::resendDelay},
      {"orphanExpiry", &Config::orphanExpiry},
      {"pulseInterval", &Config::pulseInterval},
      {"silenceLimit", &Config::silenceLimit},
      {"urgentSilenceLimit", &Config::urgentSilenceLimit},
      {"restartYield", &Config::restartYield},
      {"restartDelay", &Config::restartDelay},
      {"restartMaxDelay", &Config::restartMaxDelay},
      {"raceDelay", &Config::raceDelay},
      {"raceGrace", &Config::raceGrace},
      {"raceRenewal", &Config::raceRenewal},
      {"raceRetry", &Config::raceRetry},
      {"nudgeDelay", &Config::nudgeDelay},
      {"returnGrace", &Config::returnGrace},
      {"recoveryBudget", &Config::recoveryBudget},
  };
  for (const auto& time : kTimes) {
    double given = 0;
    if (read(o, time.name, given) && given > 0 && given < 1e12) config.*time.member = static_cast<Millis>(given);
  }
  (void)read(o, "maxConnections", config.maxConnections);
  (void)read(o, "maxConnectionsPerPeer", config.maxConnectionsPerPeer);
  return config;
}

FramingConfig toFramingConfig(const val& o) {
  FramingConfig config;
  std::uint64_t most = 0;
  if (read(o, "maxMessageBytes", most) && most > 0) config.maxMessageBytes = most;
  return config;
}

}  // namespace peerbridge::bindings
