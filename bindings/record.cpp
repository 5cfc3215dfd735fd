#include "record.hpp"

#include <cstdint>
#include <limits>
#include <string>

namespace peerbridge::bindings {

namespace {

constexpr std::size_t index(Place place) { return static_cast<std::size_t>(place); }
constexpr std::size_t textIndex(Place place) { return kNumberCount + 2 * (index(place) - kNumberCount); }

/// A double that is not a count becomes 0 or the largest one.
template <class Unsigned>
Unsigned count(double number) {
  constexpr double kLargest = sizeof(Unsigned) == 4 ? 4294967295.0 : 9007199254740991.0;
  return number > 0 ? static_cast<Unsigned>(number < kLargest ? number : kLargest) : 0;
}

bool has(double number) { return number == number; }  // NaN equals nothing

template <class Enum>
void readEnum(double number, Enum last, Enum& to) {
  if (number >= 0 && number <= static_cast<double>(last)) to = static_cast<Enum>(static_cast<std::uint8_t>(number));
}

bool readText(const Record& record, Place place, std::string& to) {
  const double at = record[textIndex(place)];
  if (!has(at)) return false;
  to.assign(reinterpret_cast<const char*>(count<std::uint32_t>(at)),
            count<std::uint32_t>(record[textIndex(place) + 1]));
  return true;
}

void writeText(Record& record, Place place, const std::string& text) {
  record[textIndex(place)] = static_cast<double>(reinterpret_cast<std::uintptr_t>(text.data()));
  record[textIndex(place) + 1] = static_cast<double>(text.size());
}

}  // namespace

void toInput(const Record& record, InputType type, Input& in) {
  const auto number = [&record](Place place) { return record[index(place)]; };
  in.type = type;
  in.connection = count<std::uint32_t>(number(Place::Connection));
  in.link = count<std::uint32_t>(number(Place::Link));
  in.channel = count<std::uint32_t>(number(Place::Channel));
  in.transfer = count<std::uint32_t>(number(Place::Transfer));
  in.transport = count<std::uint32_t>(number(Place::Transport));
  in.op = count<std::uint32_t>(number(Place::Op));
  in.hasLength = has(number(Place::Length));
  in.length = count<std::uint64_t>(number(Place::Length));
  if (type == InputType::ChannelOpened && !in.hasLength) in.length = 65'536;  // what a browser takes that does not say
  readEnum(number(Place::Kind), ConnectionKind::Media, in.kind);
  readEnum(number(Place::SdpType), SdpType::Rollback, in.sdpType);
  if (type == InputType::Network) {
    readEnum(number(Place::State), NetworkChange::Resumed, in.change);
  } else {
    readEnum(number(Place::State), LinkState::Closed, in.linkState);
  }
  in.reliable = number(Place::Reliable) == 1;
  in.hasText = readText(record, Place::Text, in.text);
  (void)readText(record, Place::Label, in.label);
  (void)readText(record, Place::ConnectionId, in.connectionId);
  (void)readText(record, Place::Serialization, in.serialization);
  in.hasMetadata = readText(record, Place::Metadata, in.metadata);
  CandidateInit& candidate = in.candidate;
  (void)readText(record, Place::Candidate, candidate.candidate);
  candidate.hasMid = readText(record, Place::SdpMid, candidate.sdpMid);
  candidate.hasLineIndex = has(number(Place::SdpMLineIndex));
  candidate.sdpMLineIndex = static_cast<std::uint16_t>(count<std::uint32_t>(number(Place::SdpMLineIndex)));
  candidate.hasUfrag = readText(record, Place::UsernameFragment, candidate.usernameFragment);
}

void toRecord(const Output& o, Record& record) {
  record.fill(std::numeric_limits<double>::quiet_NaN());
  const auto set = [&record](Place place, auto value) { record[index(place)] = static_cast<double>(value); };
  set(Place::Connection, o.connection);
  set(Place::Link, o.link);
  set(Place::Channel, o.channel);
  set(Place::Transfer, o.transfer);
  set(Place::Transport, o.transport);
  set(Place::Op, o.op);
  set(Place::Marker, o.marker);
  set(Place::Length, o.length);
  set(Place::Offset, o.offset);
  if (o.hasSize || o.type == OutputType::TransferProgress || o.type == OutputType::ConnectionClosed)
    set(Place::Size, o.size);
  set(Place::Kind, o.kind);
  set(Place::Protocol, o.protocol);
  set(Place::SdpType, o.sdpType);
  set(Place::State, o.state);
  set(Place::Error, o.error);
  set(Place::Reliable, o.reliable);
  if (o.candidate.hasLineIndex) set(Place::SdpMLineIndex, o.candidate.sdpMLineIndex);
  writeText(record, Place::Text, o.text);
  writeText(record, Place::Label, o.label);
  writeText(record, Place::ConnectionId, o.connectionId);
  writeText(record, Place::Serialization, o.serialization);
  if (o.hasMetadata) writeText(record, Place::Metadata, o.metadata);
  writeText(record, Place::Candidate, o.candidate.candidate);
  if (o.candidate.hasMid) writeText(record, Place::SdpMid, o.candidate.sdpMid);
  if (o.candidate.hasUfrag) writeText(record, Place::UsernameFragment, o.candidate.usernameFragment);
}

void toConfig(const double* given, Config& config, FramingConfig& framing) {
  const auto next = [&given] { return *given++; };
  const auto take = [&next](auto& to) {
    if (const double number = next(); has(number)) to = count<std::uint32_t>(number);
  };
  take(config.seed);
  readEnum(next(), ProtocolChoice::PeerJs, config.protocol);
  readEnum(next(), Trickle::None, config.trickle);
  if (const double number = next(); has(number)) config.autoReconnect = number != 0;
  if (const double number = next(); has(number)) config.byHand = number != 0;
  if (const double number = next(); has(number)) {
    config.reconnectRetries = number < 0 ? -1 : static_cast<std::int32_t>(count<std::uint32_t>(number) & 0x7FFF'FFFFU);
  }
  if (const double number = next(); number > 0) framing.maxMessageBytes = count<std::uint64_t>(number);
  take(config.maxConnections);
  take(config.maxConnectionsPerPeer);
  take(config.maxStripes);
  take(framing.windowBytes);
  take(framing.grantBytes);
  take(framing.queueBytes);
  take(framing.maxUnfinishedMessages);
  if (const double number = next(); number > 0) framing.maxUnfinishedBytes = count<std::uint64_t>(number);
  if (const double ms = next(); ms > 0 && ms < 1e12) framing.unfinishedTimeout = static_cast<Millis>(ms);
  constexpr Millis Config::*kTimers[] = {
      &Config::reconnectDelay,
      &Config::reconnectMaxDelay,
      &Config::heartbeatInterval,
      &Config::probeInterval,
      &Config::probeTimeout,
      &Config::urgentProbeTimeout,
      &Config::connectTimeout,
      &Config::urgentConnectTimeout,
      &Config::urgentReconnectDelay,
      &Config::openTimeout,
      &Config::registerTimeout,
      &Config::signalExpiry,
      &Config::candidateBatch,
      &Config::lateCandidateBatch,
      &Config::gatherTimeout,
      &Config::negotiationTimeout,
      &Config::ringTimeout,
      &Config::resendDelay,
      &Config::orphanExpiry,
      &Config::pulseInterval,
      &Config::silenceLimit,
      &Config::urgentSilenceLimit,
      &Config::restartYield,
      &Config::restartDelay,
      &Config::restartMaxDelay,
      &Config::raceDelay,
      &Config::raceGrace,
      &Config::raceRenewal,
      &Config::raceRetry,
      &Config::nudgeDelay,
      &Config::returnGrace,
      &Config::recoveryBudget,
      &Config::stripeRetry,
  };
  for (Millis Config::*const timer : kTimers) {
    if (const double ms = next(); ms > 0 && ms < 1e12) config.*timer = static_cast<Millis>(ms);
  }
}

}  // namespace peerbridge::bindings
