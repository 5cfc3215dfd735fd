#include "connection/connection.hpp"

#include <algorithm>
#include <utility>

namespace peerbridge {

namespace {

constexpr std::uint32_t kProtocolVersion = 1;
constexpr std::size_t kMaxRingingCandidates = 64;

/// Exactly one side yields when offers cross, and both compute the same: the smaller id is the polite one.
bool isPolite(const Connection::Identity& identity) {
  if (identity.localPeer != identity.peer) return identity.localPeer < identity.peer;
  return !identity.outgoing;
}

}  // namespace

Connection::Identity::Identity() = default;
Connection::Identity::Identity(Identity&&) noexcept = default;
Connection::Identity::~Identity() = default;

Connection::~Connection() = default;

Connection::Connection(Identity&& identity, const Config& config, const FramingConfig& framing, Outbox& outbox,
                       Host& host)
    : identity_(std::move(identity)),
      config_(config),
      framingConfig_(framing),
      outbox_(outbox),
      host_(host),
      phase_(!identity_.outgoing && identity_.kind == ConnectionKind::Media ? Phase::Ringing : Phase::Negotiating),
      negotiation_(isPolite(identity_), config.candidateBatch, config.resendDelay) {}

// -- phase ---------------------------------------------------------------------------------------------

bool Connection::enter(Trigger trigger, const char* reason) {
  const std::optional<Phase> next = transition(phase_, trigger);
  if (!next) return false;
  const ConnectionState before = publicState(phase_);
  phase_ = *next;
  const ConnectionState after = publicState(phase_);
  if (before != after) {
    Output& out = outbox_.add(OutputType::ConnectionState, identity_.handle);
    out.state = static_cast<std::uint8_t>(after);
    out.text = reason;
  }
  // What ended it is the reason; the handshake that follows is not.
  if (after == ConnectionState::Closed && closeReason_ == nullptr) closeReason_ = reason;
  return true;
}

void Connection::complain(ErrorCode code, const char* text, const std::string* detail) {
  outbox_.error(OutputType::ConnectionError, identity_.handle, code, text, identity_.peer, detail);
}

void Connection::fail(ErrorCode code, const char* text, const char* reason, Millis now, const std::string* detail) {
  if (phase_ == Phase::Closed) return;
  if (phase_ != Phase::Closing) complain(code, text, detail);
  if (!enter(Trigger::Fail, reason)) return;
  abortFraming(reason, now);
  finish(reason);
}

void Connection::abortFraming(const char* reason, Millis now) {
  if (!framing_) return;
  framing_->abort(reason);
  settle(now);
}

/// Before: the phase is Closed. Gives back everything and says the last word.
void Connection::finish(const char* reason) {
  negotiationDeadline_ = restartAt_ = budgetUntil_ = lingerUntil_ = kNever;
  ringing_.reset();
  early_.reset();
  ringingCandidates_.clear();
  ops_.clear();
  candidateOps_.clear();
  dropLink();
  tellClosed(reason);
}

void Connection::tellClosed(const char* reason) {
  if (std::exchange(closedTold_, true)) return;
  outbox_.add(OutputType::ConnectionClosed, identity_.handle).text = closeReason_ == nullptr ? reason : closeReason_;
}

bool Connection::expects(Op op) const { return std::find(ops_.begin(), ops_.end(), op) != ops_.end(); }

Output& Connection::command(OutputType type) {
  const Op op = outbox_.nextOp();
  ops_.push_back(op);
  Output& out = outbox_.add(type);
  out.link = link_;
  out.op = op;
  return out;
}

void Connection::retireOp(Op op) { std::erase(ops_, op); }

void Connection::createLink() {
  link_ = outbox_.nextLink();
  outbox_.add(OutputType::LinkCreate, identity_.handle).link = link_;
}

void Connection::dropLink() {
  if (channel_ != 0) {
    host_.channelOwned(channel_, identity_.handle, false);
    channel_ = 0;
  }
  channelOpen_ = false;
  if (framing_ && framing_->attached()) framing_->detach();
  if (link_ == 0) return;
  outbox_.add(OutputType::LinkClose).link = link_;
  link_ = 0;
}

// -- the application -----------------------------------------------------------------------------------

void Connection::start(Millis now) {
  now_ = now;
  // A peer that is asked for PeerJS only is never told about us, so nothing but PeerJS's protocol can come of it.
  if (config_.protocol == ProtocolChoice::PeerJs) protocol_ = Protocol::PeerJs;
  createLink();
  channel_ = outbox_.nextChannel();
  host_.channelOwned(channel_, identity_.handle, true);
  // One in-band channel, as PeerJS expects it; a call's is called "undefined" there. Always ordered: that is never
  // wrong.
  Output& out = outbox_.add(OutputType::ChannelCreate);
  out.link = link_;
  out.channel = channel_;
  out.label = identity_.kind == ConnectionKind::Media ? "undefined" : identity_.label;
  out.length = framingConfig_.highWaterBytes / 4;
  negotiationDeadline_ =
      now + (identity_.kind == ConnectionKind::Data ? config_.negotiationTimeout : config_.ringTimeout);
  negotiation_.need(*this, now);
}

void Connection::answer(Millis now) {
  now_ = now;
  if (!ringing_ || !enter(Trigger::Answer, "answered")) return;
  const std::unique_ptr<SignalMessage> offer = std::move(ringing_);
  negotiationDeadline_ = now + config_.negotiationTimeout;
  createLink();
  offered(*offer, now);
  for (CandidateInit& candidate : ringingCandidates_) negotiation_.remoteCandidate(candidate, *this);
  ringingCandidates_.clear();
}

void Connection::close(Millis now) {
  now_ = now;
  if (phase_ == Phase::Closing || phase_ == Phase::Closed) return;
  const bool canShake = framing_ && framing_->attached() && channelOpen_;
  if (!canShake) {
    sayBye(phase_ == Phase::Ringing ? "rejected" : "closed", now);
    if (isUp()) {
      enter(Trigger::LocalClose, "closed by this side");
      enter(Trigger::Done, "closed by this side");
    } else {
      enter(Trigger::LocalClose, "closed by this side");
    }
    abortFraming("the connection was closed", now);
    finish("closed by this side");
    return;
  }
  enter(Trigger::LocalClose, "closed by this side");
  framing_->close("closed", now);
}

void Connection::destroy(bool farewell, Millis now) {
  now_ = now;
  if (phase_ == Phase::Closed) return;
  close(now);
  if (phase_ == Phase::Closed) return;
  if (farewell) {
    tellClosed("closed by this side");
  } else {
    enter(Trigger::Done, "closed by this side");
    finish("closed by this side");
  }
}

// -- signaling -----------------------------------------------------------------------------------------

void Connection::address(SignalMessage& message, MessageType type) const {
  message.type = type;
  message.dst = identity_.peer;
  message.connectionId = identity_.id;
  message.kind = identity_.kind;
  // Say that we speak the native protocol until we know that the other side does not.
  if (config_.protocol != ProtocolChoice::PeerJs && protocol_ != Protocol::PeerJs) {
    message.native = NativeTag{};
    message.native->version = kProtocolVersion;
    message.native->link = 1;
  }
}

bool Connection::peerAnswered(const std::optional<NativeTag>& tag, Millis now) {
  answered_ = true;
  if (!protocol_) {
    const bool native = tag && tag->version >= kProtocolVersion && config_.protocol != ProtocolChoice::PeerJs;
    protocol_ = native ? Protocol::Native : Protocol::PeerJs;
    negotiation_.setNative(native);
    if (native) framing_ = std::make_unique<Framing>(framingConfig_);
  }
  if (protocol_ == Protocol::PeerJs && config_.protocol == ProtocolChoice::Native) {
    fail(ErrorCode::IncompatiblePeer, "peer \"%\" does not speak the native protocol", "incompatible-peer", now);
    return false;
  }
  return true;
}

void Connection::offered(SignalMessage& offer, Millis now) {
  const NativeTag tag = offer.native.value_or(NativeTag{});
  negotiation_.remoteOffer(std::move(*offer.description), tag.negotiation, tag.seen, *this, now);
}

void Connection::remoteMessage(SignalMessage& message, Millis now) {
  now_ = now;
  if (phase_ == Phase::Closed) return;
  switch (message.type) {
    case MessageType::Offer: {
      if (identity_.outgoing && !answered_) {
        early_ = std::make_unique<SignalMessage>(std::move(message));
        return;
      }
      const bool first = !answered_;
      if (first && !peerAnswered(message.native, now)) return;
      if (phase_ == Phase::Ringing) {
        ringing_ = std::make_unique<SignalMessage>(std::move(message));  // the newest offer of the call
        if (first) negotiationDeadline_ = now + config_.ringTimeout;
        return;
      }
      if (first) {
        negotiationDeadline_ = now + config_.negotiationTimeout;
        createLink();
      }
      offered(message, now);
      return;
    }
    case MessageType::Answer: {
      if (phase_ == Phase::Ringing) return;
      if (!answered_) {
        if (!peerAnswered(message.native, now)) return;
        negotiationDeadline_ = now + config_.negotiationTimeout;
      }
      const bool counted = message.native.has_value();
      negotiation_.remoteAnswer(std::move(*message.description), counted, counted ? message.native->negotiation : 0,
                                *this, now);
      if (const std::unique_ptr<SignalMessage> early = std::move(early_)) remoteMessage(*early, now);
      return;
    }
    case MessageType::Candidate: {
      if (message.native && message.native->bye) {
        peerClosed(*message.native->bye == "rejected", now);
        return;
      }
      for (CandidateInit& candidate : message.candidates) {
        if (phase_ == Phase::Ringing) {
          if (ringingCandidates_.size() < kMaxRingingCandidates) ringingCandidates_.push_back(std::move(candidate));
        } else {
          negotiation_.remoteCandidate(candidate, *this);
        }
      }
      return;
    }
    default:
      return;
  }
}

/// The other side said through signaling that it is over; nothing more comes through the channel.
void Connection::peerClosed(bool rejected, Millis now) {
  if (phase_ == Phase::Closing || phase_ == Phase::Closed) return;
  if (rejected) complain(ErrorCode::Rejected, "peer \"%\" did not take the connection");
  const char* why = rejected ? "rejected" : "closed by the other side";
  enter(Trigger::PeerClose, why);
  abortFraming(why, now);
  if (phase_ == Phase::Closing) enter(Trigger::Done, why);
  finish(why);
}

void Connection::peerUnavailable(Millis now) {
  now_ = now;
  // A peer whose channel is up is there, whatever the server knows. One that we wait for is not.
  if (awaitsAnswer() || phase_ == Phase::Recovering) {
    fail(ErrorCode::PeerUnavailable, "Could not connect to peer %", "peer-unavailable", now);
  }
}

void Connection::signalExpired(Millis now) {
  now_ = now;
  if (phase_ == Phase::Negotiating || phase_ == Phase::Ringing) {
    fail(ErrorCode::SignalExpired, "the signaling server stayed away too long to reach peer \"%\"", "signal-expired",
         now);
  }
}

void Connection::signalingOpened(Millis now) {
  now_ = now;
  if (phase_ == Phase::Recovering) {
    restartPause_ = config_.restartDelay;
    tryRestart(now);
  }
}

void Connection::sayBye(const char* why, Millis now) {
  if (!answered_ && !identity_.outgoing) return;
  if (config_.protocol == ProtocolChoice::PeerJs || protocol_ == Protocol::PeerJs) return;  // it has no word for it
  SignalMessage message;
  sayGoodbye(message, identity_.peer, identity_.id, identity_.kind, why);
  host_.sendSignal(*this, message, now);
}

// -- Negotiation::Sink ---------------------------------------------------------------------------------

Op Connection::setLocalDescription() { return command(OutputType::SetLocalDescription).op; }

Op Connection::setRemoteDescription(const Description& description) {
  Output& out = command(OutputType::SetRemoteDescription);
  out.sdpType = description.type;
  out.text = description.sdp;
  return out.op;
}

Op Connection::readLocalDescription() { return command(OutputType::ReadLocalDescription).op; }

void Connection::addCandidate(const CandidateInit& candidate) {
  Output& out = command(OutputType::AddCandidate);
  out.candidate = candidate;
  candidateOps_.push_back(out.op);
}

void Connection::sendDescription(const Description& description, std::uint32_t negotiation, std::uint32_t seen) {
  const bool offer = description.type == SdpType::Offer;
  SignalMessage message;
  address(message, offer ? MessageType::Offer : MessageType::Answer);
  message.description = description;
  if (message.native) {
    message.native->negotiation = negotiation;
    message.native->seen = seen;
  }
  if (offer) {
    message.metadata = identity_.metadata;
    if (identity_.kind == ConnectionKind::Data) {
      message.label = identity_.label;
      message.reliable = identity_.reliable;
      message.serialization = identity_.serialization;
    }
  }
  host_.sendSignal(*this, message, now_);
}

void Connection::sendCandidates(std::vector<CandidateInit>&& candidates) {
  SignalMessage message;
  address(message, MessageType::Candidate);
  message.candidates = std::move(candidates);
  host_.sendSignal(*this, message, now_);
}

void Connection::negotiated() {
  if (identity_.kind == ConnectionKind::Media && enter(Trigger::Up, "answered")) {
    outbox_.add(OutputType::ConnectionOpened, identity_.handle).protocol = protocol_.value_or(Protocol::PeerJs);
    if (everConnected_) negotiationDeadline_ = kNever;
  }
}

void Connection::failed(ErrorCode code, const char* text, const std::string& why) {
  // Once open, a renegotiation that fails leaves what was agreed before in place.
  if (isUp()) {
    complain(code, text, &why);
  } else {
    fail(code, text, "negotiation-failed", now_, &why);
  }
}

void Connection::warn(ErrorCode code, const char* text) {
  outbox_.error(OutputType::Warning, 0, code, text, identity_.peer);
}

// -- the browser ---------------------------------------------------------------------------------------

void Connection::opDone(Input& in, Millis now) {
  now_ = now;
  retireOp(in.op);
  if (std::erase(candidateOps_, in.op) > 0) return;
  Description description{in.sdpType, std::move(in.text)};
  negotiation_.opDone(in.op, in.hasText ? &description : nullptr, *this, now);
}

void Connection::opFailed(Op op, const std::string& why, Millis now) {
  now_ = now;
  retireOp(op);
  if (std::erase(candidateOps_, op) > 0) {
    outbox_.error(OutputType::Warning, 0, ErrorCode::BadSignal,
                  "the browser refused a candidate of peer \"%\": ", identity_.peer, &why);
    return;
  }
  negotiation_.opFailed(op, why, *this, now);
}

void Connection::localCandidate(CandidateInit& candidate, Millis now) {
  now_ = now;
  negotiation_.localCandidate(candidate, *this, now);
}

void Connection::gatheringComplete(Millis now) {
  now_ = now;
  negotiation_.gatheringComplete(*this, now);
}

void Connection::negotiationNeeded(Millis now) {
  now_ = now;
  // The first offer is asked for by start(); until it is answered the browser's event tells nothing new. And a second
  // OFFER makes a PeerJS peer throw the connection away.
  if (!answered_ || phase_ == Phase::Ringing || phase_ == Phase::Closing || phase_ == Phase::Closed) return;
  if (protocol_ != Protocol::Native) {
    warn(ErrorCode::IncompatiblePeer, "peer \"%\" uses PeerJS, which cannot change a connection once it is made");
    return;
  }
  negotiation_.browserNeeds(*this, now);
}

void Connection::linkStateChanged(LinkState state, Millis now) {
  now_ = now;
  switch (state) {
    case LinkState::Connected:
      everConnected_ = true;
      negotiation_.confirmed();
      if (identity_.kind == ConnectionKind::Media && phase_ == Phase::Open) negotiationDeadline_ = kNever;
      pathUp("the path is back");
      return;
    case LinkState::Disconnected:
      pathDown("the path does not answer", now);
      return;
    case LinkState::Failed:
      if (phase_ == Phase::Negotiating || (isUp() && !everConnected_)) {
        fail(ErrorCode::NegotiationFailed,
             "no path to peer \"%\" was found: a TURN server would relay where no direct one exists",
             "negotiation-failed", now);
      } else if (isUp()) {
        pathDown("the path failed", now);
      } else if (phase_ == Phase::Closing && enter(Trigger::Done, "closed")) {
        finish("closed");
      }
      return;
    case LinkState::Closed:
    case LinkState::New:
    case LinkState::Connecting:
      return;
  }
}

void Connection::channelArrived(ChannelHandle channel, Millis now) {
  now_ = now;
  // The offerer makes exactly one; whatever else arrives belongs to nobody.
  if (identity_.outgoing || channel_ != 0 || phase_ == Phase::Closed) {
    outbox_.add(OutputType::ChannelClose).channel = channel;
    return;
  }
  channel_ = channel;
  host_.channelOwned(channel_, identity_.handle, true);
}

void Connection::channelOpened(ChannelHandle channel, std::size_t maxMessageSize, Millis now) {
  now_ = now;
  if (channel != channel_ || channelOpen_) return;
  channelOpen_ = true;
  maxMessageSize_ = maxMessageSize;
  openChannel(now);
}

void Connection::openChannel(Millis now) {
  if (identity_.kind == ConnectionKind::Data && protocol_ == Protocol::PeerJs) {
    fail(ErrorCode::IncompatiblePeer, "peer \"%\" uses PeerJS; data connections to PeerJS peers are not supported yet",
         "incompatible-peer", now);
    return;
  }
  everConnected_ = true;
  negotiation_.confirmed();
  if (identity_.kind == ConnectionKind::Data) negotiationDeadline_ = kNever;
  if (framing_) {
    Output& out = outbox_.add(OutputType::ChannelBind, identity_.handle);
    out.channel = channel_;
    out.length = framingConfig_.highWaterBytes / 4;
    framing_->attach(maxMessageSize_, now);
  }
  if (identity_.kind == ConnectionKind::Data && enter(Trigger::Up, "the channel is open")) {
    outbox_.add(OutputType::ConnectionOpened, identity_.handle).protocol = protocol_.value_or(Protocol::Native);
  }
}

void Connection::channelClosed(ChannelHandle channel, Millis now) {
  now_ = now;
  if (channel != channel_) return;
  host_.channelOwned(channel_, identity_.handle, false);
  channel_ = 0;
  channelOpen_ = false;
  if (framing_ && framing_->attached()) framing_->detach();
  switch (phase_) {
    case Phase::Closing:
      enter(Trigger::Done, "closed");
      finish("closed");
      return;
    case Phase::Open:
    case Phase::Recovering:
      // Only the other side closes a channel without our CLOSE: its page is gone, or its RTCPeerConnection.
      peerClosed(false, now);
      return;
    case Phase::Negotiating:
      fail(ErrorCode::NegotiationFailed, "the channel to peer \"%\" closed before it opened", "negotiation-failed",
           now);
      return;
    case Phase::Ringing:
    case Phase::Closed:
      return;
  }
}

// -- recovery ------------------------------------------------------------------------------------------

void Connection::pathDown(const char* reason, Millis now) {
  if (enter(Trigger::PathDown, reason)) {
    budgetUntil_ = now + config_.recoveryBudget;
    restartPause_ = config_.restartDelay;
  }
  if (phase_ == Phase::Recovering) tryRestart(now);
}

void Connection::pathUp(const char* reason) {
  if (!enter(Trigger::PathUp, reason)) return;
  budgetUntil_ = restartAt_ = kNever;
}

void Connection::tryRestart(Millis now) {
  if (restartAt_ != kNever && now < restartAt_) return;
  restartAt_ = now + restartPause_;
  restartPause_ = std::min(restartPause_ * 2, config_.restartMaxDelay);
  // A PeerJS peer answers a second OFFER by throwing the connection away: there the browser's own ICE has to do.
  if (protocol_ != Protocol::Native || !negotiation_.settled() || link_ == 0) return;
  outbox_.add(OutputType::RestartIce).link = link_;
}

void Connection::networkChanged(NetworkChange change, Millis now) {
  now_ = now;
  if (change == NetworkChange::Offline || phase_ != Phase::Recovering) return;
  restartPause_ = config_.restartDelay;
  restartAt_ = kNever;
  tryRestart(now);
}

// -- the clock -----------------------------------------------------------------------------------------

Millis Connection::deadline() const {
  if (phase_ == Phase::Closed) return kNever;
  Millis next = std::min(negotiation_.deadline(), negotiationDeadline_);
  next = std::min(next, budgetUntil_);
  next = std::min(next, lingerUntil_);
  if (phase_ == Phase::Recovering) next = std::min(next, restartAt_);
  return framing_ ? std::min(next, framing_->deadline()) : next;
}

void Connection::timeout(Millis now) {
  now_ = now;
  if (phase_ == Phase::Closed) return;
  if (framing_) framing_->timeout(now);
  negotiation_.timeout(*this, now);
  if (now >= lingerUntil_) {
    lingerUntil_ = kNever;
    if (enter(Trigger::Done, "closed")) finish("closed");
    return;
  }
  if (now >= negotiationDeadline_) {
    negotiationDeadline_ = kNever;
    sayBye("closed", now);
    fail(ErrorCode::Timeout, "peer \"%\" could not be reached in time", "timeout", now);
    return;
  }
  if (now >= budgetUntil_) {
    budgetUntil_ = kNever;
    fail(ErrorCode::ConnectionLost, "the path to peer \"%\" broke and did not come back", "connection-lost", now);
    return;
  }
  if (phase_ == Phase::Recovering && now >= restartAt_) tryRestart(now);
}

bool Connection::canCarrySignals() const {
  return framing_ && framing_->attached() && channelOpen_ && phase_ == Phase::Open && !framing_->closing();
}

void Connection::settle(Millis now) {
  report(now);
  if (framing_ && phase_ != Phase::Closed && channelOpen_ && framing_->wantsTransmit()) {
    outbox_.add(OutputType::Transmit, identity_.handle);
  }
}

/// An event of the framing layer that is an output of ours; only the members that its type calls for are set.
void Connection::forward(OutputType type, FramingEvent& event) {
  Output& out = outbox_.add(type, identity_.handle);
  out.marker = event.marker;
  out.transfer = event.transfer;
  out.state = static_cast<std::uint8_t>(event.state);
  out.offset = event.offset;
  out.length = event.length;
  out.hasSize = event.size.has_value();
  out.size = event.size.value_or(0);
  out.text = std::move(event.text);
  out.label = std::move(event.mime);
}

void Connection::report(Millis now) {
  if (!framing_) return;
  now_ = now;
  while (std::optional<FramingEvent> event = framing_->poll()) {
    using Kind = FramingEvent::Kind;
    switch (event->kind) {
      case Kind::Room:
        forward(OutputType::Room, *event);
        break;
      case Kind::Delivered:
        forward(OutputType::Delivered, *event);
        break;
      case Kind::Signal:
        host_.signalArrived(*this, std::move(event->text));
        break;
      case Kind::PeerHello:
        pathUp("the other side speaks");
        break;
      case Kind::PeerClosing:
        if (enter(Trigger::PeerClose, "closed by the other side")) {
          // CLOSED goes out; then the one who closes ends the link. Not for ever, should it be gone.
          lingerUntil_ = now + framingConfig_.closeTimeout;
          tellClosed("closed by the other side");
        }
        break;
      case Kind::Closed:
        if (enter(Trigger::Done, "closed")) {
          finish("closed");
          return;
        }
        break;
      case Kind::Violation:
        event->text = std::to_string(event->marker);
        fail(ErrorCode::ProtocolViolation, "peer \"%\" sent what the protocol forbids (docs/protocol.md), rule ",
             "protocol-violation", now, &event->text);
        return;
      case Kind::TransferOffered:
        event->text = std::move(event->name);
        forward(OutputType::TransferOffered, *event);
        break;
      case Kind::TransferRead:
        forward(OutputType::TransferRead, *event);
        break;
      case Kind::TransferState:
        forward(OutputType::TransferState, *event);
        break;
      case Kind::TransferProgress:
        forward(OutputType::TransferProgress, *event);
        break;
      case Kind::TransferEnded:
        forward(OutputType::TransferEnded, *event);
        break;
      case Kind::Pong:
        break;
    }
  }
}

}  // namespace peerbridge
