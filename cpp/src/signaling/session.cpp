#include "signaling/session.hpp"

#include <algorithm>
#include <utility>

#include "base/planted.hpp"

namespace peerbridge {

namespace {

bool isAlphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

constexpr std::size_t kMaxIdLength = 256;
// A timer that is so late was not late: the page slept, and what the server said meanwhile is still to be read.
constexpr Millis kAsleep = 1'500;
// Chromium makes WebSockets wait by how many failed in the last minutes: after 24 up to 0.3 s, after 32 up to 5 s.
constexpr std::int32_t kHurriedAttempts = 24;
// Where they fail at once, those after the first eight begin so far apart.
constexpr std::int32_t kRefusals = 8;
constexpr Millis kPatience = 2'000;
// An attempt that began just now is not begun anew.
constexpr Millis kJustNow = 20;

}  // namespace

bool isValidId(std::string_view id) {
  if (id.empty() || id.size() > kMaxIdLength) return false;
  bool separator = true;  // none may lead, follow another, or trail
  for (const char c : id) {
    if (isAlphanumeric(c)) {
      separator = false;
    } else if ((c == ' ' || c == '-' || c == '_') && !separator) {
      separator = true;
    } else {
      return false;
    }
  }
  return !separator;
}

Session::Session(const Config& config, Outbox& outbox)
    : config_(config), outbox_(outbox), backoff_(config.reconnectDelay, config.reconnectMaxDelay, config.seed) {}

Session::Effect Session::start(bool hasId, const std::string& id, std::string token, Millis now) {
  if (state_ != State::Idle) return Effect::None;
  token_ = std::move(token);
  if (hasId && !isValidId(id)) {
    return abort(ErrorCode::InvalidId,
                 "ID \"%\" is invalid: use letters and digits, with single spaces, hyphens or underscores between them",
                 id);
  }
  publish(PeerState::Connecting, "start");
  if (hasId) {
    id_ = id;
    connect(now);
  } else {
    state_ = State::AskingId;
    idOp_ = outbox_.nextOp();
    deadline_ = now + config_.connectTimeout;
    outbox_.add(OutputType::RequestId).op = idOp_;
  }
  return Effect::None;
}

Session::Effect Session::idAssigned(Op op, const std::string& id, Millis now) {
  if (state_ != State::AskingId || op != idOp_) return Effect::None;
  if (!isValidId(id)) return abort(ErrorCode::ServerError, "the signaling server assigned an id that is not one", id_);
  id_ = id;
  connect(now);
  return Effect::None;
}

Session::Effect Session::idFailed(Op op, const std::string& message) {
  if (state_ != State::AskingId || op != idOp_) return Effect::None;
  return abort(ErrorCode::ServerError, "Could not get an ID from the server: ", id_, &message);
}

void Session::connect(Millis now) {
  state_ = State::Connecting;
  transport_ = outbox_.nextTransport();
  startedAt_ = now;
  deadline_ = now + config_.connectTimeout;
  if (urgent_ && everOpened_) {
    // Then slower, because Chromium delays those who fail often; and a slow network gets its chance.
    const bool early = attempts_ <= kHurriedAttempts;
    if (early || attempts_ % 4 != 0) deadline_ = now + config_.urgentConnectTimeout * (early ? 1 : 3);
  }
  Output& out = outbox_.add(OutputType::SignalingConnect);
  out.transport = transport_;
  out.text = id_;
  out.label = token_;
}

Session::Effect Session::transportOpened(std::uint32_t transport, Millis now) {
  if (!owns(transport) || state_ != State::Connecting) return Effect::None;
  state_ = State::Registering;
  deadline_ = now + (everOpened_ ? config_.openTimeout : config_.registerTimeout);
  return Effect::None;
}

Session::Effect Session::open(Millis now) {
  state_ = State::Open;
  attempts_ = 0;
  backoff_.reset();
  // The first time nobody is late.
  openedAt_ = everOpened_ ? now : now - config_.returnGrace;
  everOpened_ = true;
  announcedLoss_ = false;
  offline_ = false;
  heartbeatAt_ = now + config_.heartbeatInterval;
  alive(now);
  outbox_.add(OutputType::PeerOpened).text = id_;
  publish(PeerState::Open, "the server took the registration");
  return Effect::Opened;
}

Session::Effect Session::message(const SignalMessage& message, Millis now) {
  switch (message.type) {
    case MessageType::Open:
      return state_ == State::Registering || state_ == State::Connecting ? open(now) : Effect::None;
    case MessageType::IdTaken:
      // On a comeback the server may not have noticed yet that the old socket is gone: that passes.
      return lost(ErrorCode::UnavailableId, "ID \"%\" is taken: choose another one", now);
    case MessageType::InvalidKey:
      return lost(ErrorCode::InvalidKey, "the signaling server does not know this API key", now);
    case MessageType::Error:
      return lost(
          message.reason == errorName(ErrorCode::NotAuthorized) ? ErrorCode::NotAuthorized : ErrorCode::ServerError,
          message.text.empty() ? "the signaling server reported an error" : "", now, &message.text);
    default:
      return Effect::None;
  }
}

Session::Effect Session::heard(Millis now) {
  return state_ == State::Registering && everOpened_ ? open(now) : Effect::None;
}

void Session::alive(Millis now) {
  if (state_ != State::Open) return;
  probedBy_ = kNever;
  probeAt_ = planted(Bug::NoProbe) ? kNever : now + config_.probeInterval;
  armOpen();
}

void Session::armOpen() { deadline_ = std::min({heartbeatAt_, probeAt_, probedBy_}); }

/// PeerServer answers nothing but relays everything, to the sender as well.
void Session::probe(Millis timeout, Millis now) {
  if (state_ != State::Open || planted(Bug::NoProbe)) return;
  probeAt_ = kNever;
  const bool asked = probedBy_ != kNever;
  probedBy_ = std::min(probedBy_, now + timeout);
  armOpen();
  if (asked) return;
  SignalMessage message;
  sayGoodbye(message, id_, std::string(kProbeId), ConnectionKind::Data, "probe");
  send(serializeSignal(message));
}

void Session::retryNow(Millis now) {
  if (state_ == State::Connecting && everOpened_ && now - startedAt_ >= kJustNow) dropTransport();
  if (state_ == State::Waiting || (state_ == State::Connecting && transport_ == 0)) {
    backoff_.reset();
    connect(now);
  }
}

void Session::urgent(bool urgent, Millis now) {
  urgent_ = urgent;
  if (!urgent) return;
  if (state_ == State::Waiting) deadline_ = std::min(deadline_, now + pause(config_.reconnectMaxDelay, now));
  probe(config_.urgentProbeTimeout, now);
}

Session::Effect Session::transportClosed(std::uint32_t transport, const std::string& message, Millis now) {
  if (!owns(transport)) return Effect::None;
  transport_ = 0;
  return lost(ErrorCode::Network,
              everOpened_ ? "Lost connection to server: " : "Could not connect to the signaling server: ", now,
              &message);
}

Session::Effect Session::lost(ErrorCode code, const char* text, Millis now, const std::string* detail) {
  if (state_ == State::Left || state_ == State::Ended || state_ == State::Waiting) return Effect::None;
  // As in PeerJS: a server that refuses a peer that never was open ends it; a network that fails does not.
  if (!everOpened_ && code != ErrorCode::Network) return abort(code, text, id_, detail);
  dropTransport();
  deadline_ = kNever;
  if (!announcedLoss_) {
    announcedLoss_ = true;
    outbox_.error(OutputType::PeerError, 0, code, text, id_, detail);
    state_ = State::Waiting;
    publish(PeerState::Reconnecting, "the server was lost");
    outbox_.add(OutputType::PeerDisconnected).text = id_;
  }
  retry(now);
  return Effect::None;
}

void Session::retry(Millis now) {
  const bool exhausted = config_.reconnectRetries >= 0 && attempts_ >= config_.reconnectRetries;
  if (!config_.autoReconnect || exhausted) {
    state_ = State::Left;
    publish(PeerState::Idle, config_.autoReconnect ? "every attempt to reconnect failed" : "autoReconnect is off");
    return;
  }
  ++attempts_;
  state_ = State::Waiting;
  deadline_ = now + pause(backoff_.next(), now);
}

/// What `regular` is while a connection recovers. Without a network every attempt is in vain and counts for the
/// browser's delay of those that come after; its return is told.
Millis Session::pause(Millis regular, Millis now) const {
  if (!urgent_ || offline_) return regular;
  const Millis apart = attempts_ <= kRefusals ? 0 : startedAt_ + kPatience - now;
  return std::min(regular, std::max(config_.urgentReconnectDelay, apart));
}

Session::Effect Session::abort(ErrorCode code, const char* text, const std::string& subject,
                               const std::string* detail) {
  dropTransport();
  deadline_ = kNever;
  outbox_.error(OutputType::PeerError, 0, code, text, subject, detail);
  outbox_.add(OutputType::PeerDisconnected).text = id_;
  state_ = State::Left;
  return Effect::Dead;
}

void Session::disconnect() {
  if (state_ == State::Left || state_ == State::Ended) return;
  const bool announced = announcedLoss_;
  dropTransport();
  deadline_ = kNever;
  state_ = State::Left;
  publish(PeerState::Idle, "disconnect()");
  if (!announced) outbox_.add(OutputType::PeerDisconnected).text = id_;
}

void Session::reconnect(Millis now) {
  if (state_ == State::Waiting) {  // already on the way: no need to wait any longer
    connect(now);
    return;
  }
  if (state_ != State::Left || id_.empty()) return;
  attempts_ = 0;
  backoff_.reset();
  announcedLoss_ = false;
  publish(everOpened_ ? PeerState::Reconnecting : PeerState::Connecting, "reconnect()");
  connect(now);
}

void Session::destroy() {
  if (state_ == State::Ended) return;
  const bool tell = state_ != State::Left && state_ != State::Idle && !announcedLoss_;
  dropTransport();
  deadline_ = kNever;
  state_ = State::Ended;
  if (tell) outbox_.add(OutputType::PeerDisconnected).text = id_;
  publish(PeerState::Closed, "destroyed");
}

Session::Effect Session::network(NetworkChange change, Millis now) {
  offline_ = change == NetworkChange::Offline;
  if (offline_) return Effect::None;
  // The reason for waiting is gone.
  retryNow(now);
  // The socket may have gone with the network, and does not know it.
  probe(config_.urgentProbeTimeout, now);
  return Effect::None;
}

Session::Effect Session::timeout(Millis now) {
  if (now < deadline_) return Effect::None;
  const bool asleep = now - deadline_ > kAsleep;
  deadline_ = kNever;
  switch (state_) {
    case State::AskingId:
      return abort(ErrorCode::ServerError, "Could not get an ID from the server: no answer in time", id_);
    case State::Connecting:
      return lost(ErrorCode::Network, "the signaling server did not answer in time", now);
    case State::Registering:
      if (everOpened_ && !planted(Bug::LostOpen)) return open(now);
      return lost(ErrorCode::Network, "the signaling server did not confirm the registration in time", now);
    case State::Open:
      if (now >= probedBy_) {
        probedBy_ = kNever;
        if (!asleep) return lost(ErrorCode::Network, "Lost connection to server: it does not answer any more", now);
        // Perhaps the page only slept through the answer.
        probe(config_.urgentProbeTimeout, now);
      }
      if (now >= heartbeatAt_) {
        send("{\"type\":\"HEARTBEAT\"}");
        heartbeatAt_ = now + config_.heartbeatInterval;
      }
      if (now >= probeAt_) probe(config_.probeTimeout, now);
      armOpen();
      return Effect::None;
    case State::Waiting:
      connect(now);
      return Effect::None;
    case State::Idle:
    case State::Left:
    case State::Ended:
      return Effect::None;
  }
  return Effect::None;
}

void Session::send(std::string&& text) {
  Output& out = outbox_.add(OutputType::SignalingSend);
  out.transport = transport_;
  out.text = std::move(text);
}

void Session::dropTransport() {
  if (transport_ == 0) return;
  outbox_.add(OutputType::SignalingClose).transport = transport_;
  transport_ = 0;
}

void Session::publish(PeerState state, const char* reason) {
  if (published_ == state) return;
  published_ = state;
  Output& out = outbox_.add(OutputType::PeerState);
  out.state = static_cast<std::uint8_t>(state);
  out.text = reason;
}

}  // namespace peerbridge
