#include "connection/connection.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/planted.hpp"

namespace peerbridge {

namespace {

constexpr std::uint32_t kProtocolVersion = 1;
constexpr std::size_t kMaxStrayCandidates = 64;
// A timer that is so late was not late: the page slept, or was throttled to one timer a second and a little more.
constexpr Millis kAsleep = 1'500;
constexpr Millis kLongestStripePause = 30'000;
// Once the old path won, the side that does not decide waits so long for the other to come through the fresh one.
constexpr Millis kRacerLinger = 5'000;
// Who waits for people to bring its answer has the browser check again so often: alone Firefox gives up after 11 s, for
// good. (Chromium does after 15 s, whatever is done, and begins anew when the other side comes.)
constexpr Millis kPatientNudge = 2'000;
// An EXPIRE is about a message that lay at the server for so long. Who was heard meanwhile is there, and only away from
// the server.
constexpr Millis kExpiry = 5'000;
// Behind more than this a CLOSE does not leave a page before the page is gone, and neither does what it waits for. SCTP
// sends about so much at once.
constexpr std::uint64_t kMaxFarewellBacklog = 8'192;

// What a side channel's subprotocol begins with; its number follows. docs/protocol.md, "Side channels".
constexpr std::string_view kSideProtocol = "peerbridge.channel.";
// Of each side's, for one connection.
constexpr std::size_t kMaxSides = 32;

/// Exactly one side yields when offers cross, and both compute the same: the smaller id is the polite one. Where people
/// carry the signals, each side has names of its own for both.
bool isPolite(const Connection::Identity& identity, bool byHand) {
  if (identity.localPeer != identity.peer && !byHand) return identity.localPeer < identity.peer;
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
      phase_(!identity_.outgoing && identity_.kind == ConnectionKind::Media ? Phase::Ringing : Phase::Negotiating) {}

// -- phase ---------------------------------------------------------------------------------------------

bool Connection::enter(Trigger trigger, const char* reason) {
  const std::optional<Phase> next = transition(phase_, trigger);
  if (!next) return false;
  const ConnectionState before = publicState(phase_);
  const bool wasRecovering = phase_ == Phase::Recovering;
  phase_ = *next;
  if (wasRecovering != (phase_ == Phase::Recovering)) host_.recovering(wasRecovering ? -1 : 1, now_);
  const ConnectionState after = publicState(phase_);
  if (before != after) {
    Output& out = outbox_.add(OutputType::ConnectionState, identity_.handle);
    out.state = static_cast<std::uint8_t>(after);
    out.text = reason;
    // With it: who hears that it is open may send.
    out.protocol = protocol_.value_or(identity_.kind == ConnectionKind::Data ? Protocol::Native : Protocol::PeerJs);
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
  abortFraming(reason, ErrorCode::ConnectionLost, now);
  finish(reason);
}

void Connection::abortFraming(const char* reason, ErrorCode error, Millis now) {
  if (Wire* wire = this->wire()) {
    wire->abort(reason, error);
    settle(now);
  }
}

/// Before: the phase is Closed. Gives back everything and says the last word.
void Connection::finish(const char* reason) {
  negotiationDeadline_ = restartAt_ = budgetUntil_ = lingerUntil_ = raceAt_ = pulseAt_ = stripeAt_ = kNever;
  if (Wire* wire = this->wire()) {
    // A file that was offered while this side was closing has no end yet.
    wire->abort(reason, ErrorCode::ConnectionLost);
    report(now_);
  }
  ringing_.reset();
  early_.reset();
  strays_.clear();
  dropStripes(1);
  retire(fresh_);
  retire(current_);
  sides_.clear();
  tellClosed(reason);
}

void Connection::tellClosed(const char* reason) {
  if (std::exchange(closedTold_, true)) return;
  Output& out = outbox_.add(OutputType::ConnectionClosed, identity_.handle);
  out.text = closeReason_ == nullptr ? reason : closeReason_;
  const Wire* wire = this->wire();
  if (wire == nullptr) return;
  out.offset = wire->acknowledged(Lane::High);
  out.length = wire->acknowledged(Lane::Normal);
  out.size = wire->acknowledged(Lane::Bulk);
}

// -- links ---------------------------------------------------------------------------------------------

Output& Connection::command(OutputType type, Negotiation& link) {
  const Op op = outbox_.nextOp();
  host_.own(HandleKind::Op, op, identity_.handle);
  Output& out = outbox_.add(type);
  out.link = static_cast<Link&>(link).handle;
  out.op = op;
  return out;
}

std::unique_ptr<Link> Connection::makeLink(std::uint32_t number, bool offering, Millis now, Slot slot) {
  auto link = std::make_unique<Link>(isPolite(identity_, config_.byHand), config_);
  link->setWhole(waitsForPeople());
  newest_ = std::max(newest_, number);
  link->number = number;
  link->slot = slot;
  link->handle = outbox_.nextLink();
  host_.own(HandleKind::Link, link->handle, identity_.handle);
  Output& create = outbox_.add(OutputType::LinkCreate, identity_.handle);
  create.link = link->handle;
  create.marker = slot;
  if (protocol_) link->setNative(isNative(), *this);
  if (offering) {
    link->channel = outbox_.nextChannel();
    host_.own(HandleKind::Channel, link->channel, identity_.handle);
    // One in-band channel, as PeerJS expects it; a call's is called "undefined" there. Always ordered: that is never
    // wrong.
    Output& out = outbox_.add(OutputType::ChannelCreate);
    out.link = link->handle;
    out.channel = link->channel;
    out.label = identity_.kind == ConnectionKind::Media ? "undefined" : identity_.label;
    out.reliable = true;  // ordered
    out.length = framingConfig_.highWaterBytes / 4;
    link->need(*this, now);
  }
  return link;
}

void Connection::retire(std::unique_ptr<Link>& link) {
  if (!link) return;
  if (Wire* wire = this->wire(); link == current_ && wire != nullptr && wire->attached()) wire->detach();
  if (link->slot > 0 && framing_) framing_->detachStripe(link->slot);
  if (link->channel != 0) host_.own(HandleKind::Channel, link->channel, 0);
  loseSides(link->handle, 0);
  // What the browser is at work on is not reported any more.
  host_.own(HandleKind::Op, link->op(), 0);
  for (const Op op : link->candidateOps) host_.own(HandleKind::Op, op, 0);
  host_.own(HandleKind::Link, link->handle, 0);
  outbox_.add(OutputType::LinkClose).link = link->handle;
  retired_.push_back(std::move(link));
}

template <class Holds>
Link* Connection::linkThat(Holds holds) {
  if (current_ && holds(*current_)) return current_.get();
  if (fresh_ && holds(*fresh_)) return fresh_.get();
  for (const std::unique_ptr<Link>& stripe : stripes_) {
    if (holds(*stripe)) return stripe.get();
  }
  return nullptr;
}

template <class Call>
void Connection::forEachLink(Call call) {
  if (current_) call(*current_);
  if (fresh_) call(*fresh_);
  // What is called may lose some.
  for (std::size_t i = stripes_.size(); i-- > 0;) {
    if (i < stripes_.size()) call(*stripes_[i]);
  }
}

Link* Connection::withHandle(LinkHandle handle) {
  return linkThat([handle](const Link& link) { return link.handle == handle; });
}

Link* Connection::withNumber(std::uint32_t number) {
  return linkThat([number](const Link& link) { return link.number == number; });
}

Link* Connection::withChannel(ChannelHandle channel) {
  return linkThat([channel](const Link& link) { return link.channel == channel; });
}

Link* Connection::withOp(Op op) {
  return linkThat([op](const Link& link) {
    return link.op() == op ||
           std::find(link.candidateOps.begin(), link.candidateOps.end(), op) != link.candidateOps.end();
  });
}

std::optional<Slot> Connection::slotOf(ChannelHandle channel) const {
  if (channel == 0) return std::nullopt;
  if (channel == this->channel()) return Slot{0};
  for (const std::unique_ptr<Link>& stripe : stripes_) {
    if (stripe->channel == channel && stripe->channelOpen) return stripe->slot;
  }
  return std::nullopt;
}

// -- stripes -------------------------------------------------------------------------------------------

void Connection::setStripes(std::uint64_t count, Millis now) {
  now_ = now;
  if (identity_.kind != ConnectionKind::Data) return;
  stripesWanted_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(count, 1, config_.maxStripes));
  if (identity_.outgoing) {
    ensureStripes(now);
  } else if (framing_) {
    framing_->askStripes(stripesWanted_);
  }
}

void Connection::ensureStripes(Millis now) {
  stripeAt_ = kNever;
  if (!identity_.outgoing || phase_ != Phase::Open || identity_.kind != ConnectionKind::Data) return;
  if (!framing_ || !framing_->greeted()) return;
  const std::uint32_t target =
      std::min({std::max(stripesWanted_, stripesAsked_), config_.maxStripes, std::uint32_t{kMaxSlots}});
  dropStripes(target);
  for (std::uint32_t slot = 1; slot < target; ++slot) {
    if (linkThat([slot](const Link& link) { return link.slot == slot; }) != nullptr) continue;
    stripes_.push_back(makeLink(newest_ + 1, true, now, static_cast<Slot>(slot)));
    stripes_.back()->givenUpAt = now + config_.negotiationTimeout;
  }
}

void Connection::bindStripe(Link& link) {
  link.givenUpAt = kNever;
  // Who was told that the connection is over hears no more of it; its last words need no stripe.
  if (!framing_ || closedTold_) return;
  stripePause_ = 0;
  Output& out = outbox_.add(OutputType::StripeBind, identity_.handle);
  out.channel = link.channel;
  out.length = framingConfig_.highWaterBytes / 4;
  framing_->attachStripe(link.slot, link.maxMessageSize);
}

void Connection::stripeLost(Link& link, Millis now) {
  const auto at =
      std::find_if(stripes_.begin(), stripes_.end(), [&link](const auto& one) { return one.get() == &link; });
  if (at == stripes_.end()) return;
  retire(*at);
  stripes_.erase(at);
  if (!identity_.outgoing) return;
  stripePause_ = std::clamp(stripePause_ * 2, config_.stripeRetry, kLongestStripePause);
  stripeAt_ = now + stripePause_;
}

/// Ends those whose slot is `from` or above.
void Connection::dropStripes(std::uint32_t from) {
  for (std::size_t i = stripes_.size(); i-- > 0;) {
    if (stripes_[i]->slot < from) continue;
    retire(stripes_[i]);
    stripes_.erase(stripes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// -- the application -----------------------------------------------------------------------------------

void Connection::start(Millis now) {
  now_ = now;
  // A peer that is asked for PeerJS only is never told about us, so nothing but PeerJS's protocol can come of it.
  if (config_.protocol == ProtocolChoice::PeerJs) setProtocol(Protocol::PeerJs);
  negotiationDeadline_ =
      now + (identity_.kind == ConnectionKind::Data ? config_.negotiationTimeout : config_.ringTimeout);
  if (waitsForPeople()) negotiationDeadline_ = kNever;
  current_ = makeLink(1, true, now);
}

bool Connection::needsPeople() const { return config_.byHand && !host_.carried(identity_.peer); }

bool Connection::waitsForPeople() const {
  return phase_ == Phase::Negotiating && identity_.kind == ConnectionKind::Data && needsPeople();
}

void Connection::answer(Millis now) {
  now_ = now;
  if (!ringing_ || !enter(Trigger::Answer, "answered")) return;
  const std::unique_ptr<SignalMessage> offer = std::move(ringing_);
  negotiationDeadline_ = now + config_.negotiationTimeout;
  current_ = makeLink(1, false, now);
  offered(*current_, *offer, now);
}

void Connection::close(Millis now) {
  now_ = now;
  // Closed says when there was no next path in time.
  if (phase_ == Phase::Recovering && framing_ && framing_->waits()) {
    return framing_->closeThroughTheNextPath("closed", now);
  }
  closeNow(now);
}

void Connection::closeNow(Millis now) {
  if (phase_ == Phase::Closing || phase_ == Phase::Closed) return;
  Wire* wire = this->wire();
  const bool canShake = wire != nullptr && wire->attached() && channel() != 0;
  // Through a path that is down nobody would hear it for a while.
  if (!canShake || phase_ == Phase::Recovering) sayBye(phase_ == Phase::Ringing ? "rejected" : "closed", now);
  enter(Trigger::LocalClose, "closed by this side");
  if (canShake) {
    retire(fresh_);
    wire->close("closed", now);
    return;
  }
  abortFraming("the connection was closed", ErrorCode::ConnectionClosed, now);
  enter(Trigger::Done, "closed by this side");
  finish("closed by this side");
}

void Connection::leave(Millis now) {
  if (phase_ == Phase::Open && framing_) {
    const FramingStats stats = framing_->stats();
    if (stats.queuedBytes + stats.unackedBytes > kMaxFarewellBacklog) sayBye("closed", now);
  }
  now_ = now;
  closeNow(now);
}

void Connection::destroy(bool farewell, Millis now) {
  now_ = now;
  if (phase_ == Phase::Closed) return;
  closeNow(now);
  if (phase_ == Phase::Closed) return;
  if (farewell) {
    tellClosed("closed by this side");
  } else {
    enter(Trigger::Done, "closed by this side");
    finish("closed by this side");
  }
}

// -- signaling -----------------------------------------------------------------------------------------

void Connection::address(SignalMessage& message, MessageType type, const Link& link) const {
  message.type = type;
  message.dst = identity_.peer;
  message.connectionId = identity_.id;
  message.kind = identity_.kind;
  // Who answered once is at most away for a while.
  message.wait = identity_.wait || answered_;
  // Say that we speak the native protocol until we know that the other side does not.
  if (config_.protocol != ProtocolChoice::PeerJs && protocol_ != Protocol::PeerJs) {
    message.native = NativeTag{};
    message.native->version = kProtocolVersion;
    message.native->link = link.number;
    message.native->stripe = link.slot;
  }
}

void Connection::setProtocol(Protocol protocol) {
  protocol_ = protocol;
  // What values are made of has to be there before the channel opens.
  if (isForeign() && identity_.kind == ConnectionKind::Data) {
    outbox_.add(OutputType::ConnectionForeign, identity_.handle);
  }
}

bool Connection::peerAnswered(const std::optional<NativeTag>& tag, Millis now) {
  answered_ = true;
  if (!protocol_) {
    const bool native = tag && tag->version >= kProtocolVersion && config_.protocol != ProtocolChoice::PeerJs;
    setProtocol(native ? Protocol::Native : Protocol::PeerJs);
    if (current_) current_->setNative(native, *this);
    if (native) framing_ = std::make_unique<Framing>(framingConfig_);
    if (framing_ && !identity_.outgoing && stripesWanted_ > 1) framing_->askStripes(stripesWanted_);
  }
  if (protocol_ == Protocol::PeerJs && config_.protocol == ProtocolChoice::Native) {
    fail(ErrorCode::IncompatiblePeer, "peer \"%\" does not speak the native protocol", "incompatible-peer", now);
    return false;
  }
  return true;
}

void Connection::offered(Link& link, SignalMessage& offer, Millis now) {
  const NativeTag tag = offer.native.value_or(NativeTag{});
  link.remoteOffer(std::move(*offer.description), tag.negotiation, tag.seen, *this, now);
  for (auto& [number, candidate] : strays_) {
    if (number == link.number) link.remoteCandidate(candidate, *this);
  }
  std::erase_if(strays_, [this, &link](const auto& stray) {
    return stray.first == link.number || (current_ && stray.first <= current_->number);
  });
}

void Connection::remoteMessage(SignalMessage& message, Millis now) {
  now_ = now;
  if (phase_ == Phase::Closed) return;
  const std::uint32_t number = message.native ? message.native->link : 1;
  Link* link = withNumber(number);
  legacy_ = legacy_ || message.legacyBrowserTag;
  switch (message.type) {
    case MessageType::Offer: {
      if (identity_.outgoing && !answered_) {
        early_ = std::make_unique<SignalMessage>(std::move(message));
        return;
      }
      const bool first = !answered_;
      if (first && !peerAnswered(message.native, now)) return;
      if (!first && !(message.native && message.native->stripe > 0)) doubtedUntil_ = now + config_.silenceLimit;
      if (phase_ == Phase::Ringing) {
        ringing_ = std::make_unique<SignalMessage>(std::move(message));  // the newest offer of the call
        if (first) negotiationDeadline_ = now + config_.ringTimeout;
        return;
      }
      if (first) {
        negotiationDeadline_ = waitsForPeople() ? kNever : now + config_.negotiationTimeout;
        current_ = makeLink(number, false, now);
        link = current_.get();
        if (waitsForPeople()) link->nudgeAt = now + kPatientNudge;
      } else if (link == nullptr && message.native && message.native->stripe > 0) {
        const std::uint32_t slot = message.native->stripe;
        if (identity_.outgoing || !isUp() || !framing_ || identity_.kind != ConnectionKind::Data) return;
        // Another one for the same slot takes its place; one that comes late is over.
        if (slot >= std::min<std::uint32_t>(kMaxSlots, config_.maxStripes) || number <= seen_[slot]) return;
        seen_[slot] = number;
        if (Link* before = linkThat([slot](const Link& one) { return one.slot == slot; })) stripeLost(*before, now);
        stripes_.push_back(makeLink(number, false, now, static_cast<Slot>(slot)));
        link = stripes_.back().get();
        link->givenUpAt = now + config_.negotiationTimeout;
      } else if (link == nullptr) {
        // Only the side that made the connection makes links, one after the other.
        if (identity_.outgoing || !isNative() || number <= newest_ || phase_ == Phase::Closing) return;
        retire(fresh_);
        fresh_ = makeLink(number, false, now);
        // While frames come, the offer is likely to be a late one, whose racer is gone.
        fresh_->givenUpAt = now + (phase_ == Phase::Recovering ? config_.negotiationTimeout : kRacerLinger);
        link = fresh_.get();
      } else if (phase_ == Phase::Recovering && link->slot == 0) {
        // The other side restarts ICE: no need to do the same.
        restartAt_ = now + config_.restartMaxDelay;
      }
      offered(*link, message, now);
      return;
    }
    case MessageType::Answer: {
      if (phase_ == Phase::Ringing || link == nullptr) return;
      if (!answered_) {
        if (!peerAnswered(message.native, now)) return;
        negotiationDeadline_ = now + config_.negotiationTimeout;
      }
      const bool counted = message.native.has_value();
      link->remoteAnswer(std::move(*message.description), counted, counted ? message.native->negotiation : 0, *this,
                         now);
      if (const std::unique_ptr<SignalMessage> early = std::move(early_)) remoteMessage(*early, now);
      return;
    }
    case MessageType::Candidate: {
      if (message.native && message.native->bye) {
        peerClosed(*message.native->bye == "rejected", now);
        return;
      }
      for (CandidateInit& candidate : message.candidates) {
        if (link != nullptr) {
          link->remoteCandidate(candidate, *this);
        } else if ((!current_ || number > current_->number) && strays_.size() < kMaxStrayCandidates) {
          strays_.emplace_back(number, std::move(candidate));
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
  abortFraming(why, ErrorCode::ConnectionClosed, now);
  if (phase_ == Phase::Closing) enter(Trigger::Done, why);
  finish(why);
}

bool Connection::heardLately(Millis now) const {
  const Wire* wire = this->wire();
  return wire != nullptr && wire->lastHeard() != kNever && now - wire->lastHeard() < kExpiry;
}

void Connection::peerUnavailable(bool certain, Millis now) {
  now_ = now;
  // A peer whose channel is up is there, whatever the server knows. One that we wait for is not.
  if (awaitsAnswer() || (phase_ == Phase::Recovering && certain)) {
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
  // What was on its way when the server went may be lost.
  forEachLink([now](Link& link) { link.resendSoon(now); });
  if (phase_ == Phase::Recovering) {
    restartPause_ = config_.restartDelay;
    restartAt_ = kNever;
    tryRestart(now);
  }
  // Who got the OFFER answers sooner than that, so a PeerJS peer, which takes a copy for another connection, has none
  // to lose. But a call rings, and who takes it may be slow.
  if (std::exchange(offerLeft_, true) && current_ && !answered_ && identity_.kind == ConnectionKind::Data) {
    current_->offerAgain(now);
  }
}

void Connection::sayBye(const char* why, Millis now) {
  if ((!answered_ && !identity_.outgoing) || planted(Bug::NoGoodbye)) return;
  if (config_.protocol == ProtocolChoice::PeerJs || protocol_ == Protocol::PeerJs) return;  // it has no word for it
  SignalMessage message;
  sayGoodbye(message, identity_.peer, identity_.id, identity_.kind, why);
  host_.sendSignal(*this, message, now);
}

// -- Negotiation::Sink ---------------------------------------------------------------------------------

Op Connection::setLocalDescription(Negotiation& from) { return command(OutputType::SetLocalDescription, from).op; }

Op Connection::setRemoteDescription(Negotiation& from, const Description& description) {
  Output& out = command(OutputType::SetRemoteDescription, from);
  out.sdpType = description.type;
  out.text = description.sdp;
  return out.op;
}

Op Connection::readLocalDescription(Negotiation& from) { return command(OutputType::ReadLocalDescription, from).op; }

Op Connection::rollback(Negotiation& from) { return command(OutputType::Rollback, from).op; }

void Connection::addCandidate(Negotiation& from, const CandidateInit& candidate) {
  Output& out = command(OutputType::AddCandidate, from);
  out.candidate = candidate;
  static_cast<Link&>(from).candidateOps.push_back(out.op);
}

void Connection::sendDescription(Negotiation& from, const Description& description, std::uint32_t negotiation,
                                 std::uint32_t seen) {
  const bool offer = description.type == SdpType::Offer;
  SignalMessage message;
  address(message, offer ? MessageType::Offer : MessageType::Answer, static_cast<Link&>(from));
  message.description = description;
  if (message.native) {
    message.native->negotiation = negotiation;
    message.native->seen = seen;
  }
  if (offer) {
    offerLeft_ = reachable();
    message.metadata = identity_.metadata;
    if (identity_.kind == ConnectionKind::Data) {
      message.label = identity_.label;
      message.reliable = identity_.reliable;
      // PeerJS cannot do without, and we have to know whether somebody meant it.
      const bool named = !identity_.serialization.empty();
      message.serialization = named ? identity_.serialization : "binary";
      if (message.native) message.native->named = named ? 1 : 0;
    }
  }
  host_.sendSignal(*this, message, now_);
}

void Connection::sendCandidates(Negotiation& from, std::vector<CandidateInit>&& candidates) {
  SignalMessage message;
  address(message, MessageType::Candidate, static_cast<Link&>(from));
  message.candidates = std::move(candidates);
  host_.sendSignal(*this, message, now_);
}

bool Connection::reachable() const { return host_.reachable(identity_.peer); }

void Connection::negotiated(Negotiation&) {
  if (identity_.kind == ConnectionKind::Media && enter(Trigger::Up, "answered")) {
    outbox_.add(OutputType::ConnectionOpened, identity_.handle);
    if (current_->everConnected) negotiationDeadline_ = kNever;
  }
}

void Connection::failed(Negotiation& from, ErrorCode code, const char* text, const std::string& why) {
  Link& link = static_cast<Link&>(from);
  if (&link == fresh_.get()) {
    racerLost(now_);
  } else if (link.slot > 0) {
    stripeLost(link, now_);
  } else if (isUp()) {
    // A renegotiation that fails leaves what was agreed before in place. After the channel closed there is nothing left
    // of it: an OFFER only asks whether the other side is there, and a page that closed its own RTCPeerConnection
    // refuses it.
    if (!link.spent) complain(code, text, &why);
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
  Link* link = withOp(in.op);
  if (link == nullptr || std::erase(link->candidateOps, in.op) > 0) return;
  Description description{in.sdpType, std::move(in.text)};
  link->opDone(in.op, in.hasText ? &description : nullptr, *this, now);
}

void Connection::opFailed(Op op, const std::string& why, Millis now) {
  now_ = now;
  Link* link = withOp(op);
  if (link == nullptr) return;
  if (std::erase(link->candidateOps, op) > 0) {
    outbox_.error(OutputType::Warning, 0, ErrorCode::BadSignal,
                  "the browser refused a candidate of peer \"%\": ", identity_.peer, &why);
    return;
  }
  link->opFailed(op, why, *this, now);
}

void Connection::localCandidate(LinkHandle handle, CandidateInit& candidate, Millis now) {
  now_ = now;
  if (Link* link = withHandle(handle)) link->localCandidate(candidate, *this, now);
}

void Connection::gatheringComplete(LinkHandle handle, Millis now) {
  now_ = now;
  if (Link* link = withHandle(handle)) link->gatheringComplete(*this, now);
}

void Connection::negotiationNeeded(LinkHandle handle, Millis now) {
  now_ = now;
  Link* link = withHandle(handle);
  // The first offer of a link is asked for when it is made; until it is answered the browser's event tells nothing new.
  // And a second OFFER makes a PeerJS peer throw the connection away.
  if (link == nullptr || !answered_ || phase_ == Phase::Closing || phase_ == Phase::Closed) return;
  if (!isNative()) {
    if (link->exchanged()) {
      warn(ErrorCode::IncompatiblePeer, "peer \"%\" uses PeerJS, which cannot change a connection once it is made");
    }
    return;
  }
  if (link->exchanged()) link->browserNeeds(*this, now);
}

void Connection::linkStateChanged(LinkHandle handle, LinkState state, Millis now) {
  now_ = now;
  Link* link = withHandle(handle);
  if (link == nullptr) return;
  if (state == LinkState::Connected) {
    if (phase_ == Phase::Recovering) host_.networkBack(now);
    link->everConnected = true;
    link->confirmed();
  }
  if (link == fresh_.get()) {
    if (state == LinkState::Failed) racerLost(now);
    return;
  }
  if (link->slot > 0) {
    // While it does not answer the others carry on; what comes from it is still welcome.
    if (state == LinkState::Failed) {
      stripeLost(*link, now);
    } else if (framing_ && state == LinkState::Disconnected) {
      framing_->detachStripe(link->slot);
    } else if (framing_ && state == LinkState::Connected && link->channelOpen) {
      framing_->attachStripe(link->slot, link->maxMessageSize);
    }
    return;
  }
  switch (state) {
    case LinkState::Connected:
      if (identity_.kind == ConnectionKind::Media && phase_ == Phase::Open) negotiationDeadline_ = kNever;
      pathChanged(handle, now);
      return;
    case LinkState::Disconnected:
      pathDown("the path does not answer", now);
      return;
    case LinkState::Failed:
      // The other side may not even have our answer.
      if (!identity_.outgoing && waitsForPeople()) return;
      if (phase_ == Phase::Negotiating || (isUp() && !link->everConnected)) {
        fail(ErrorCode::NegotiationFailed,
             "no path to peer \"%\" was found: a TURN server would relay where no direct one exists",
             "negotiation-failed", now);
      } else if (isUp() && !isNative()) {
        // The type that PeerJS has for it.
        fail(ErrorCode::NegotiationFailed, "the path to peer \"%\" broke, and PeerJS knows no way to make another one",
             "connection-lost", now);
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

void Connection::pathChanged(LinkHandle handle, Millis now) {
  now_ = now;
  if (phase_ != Phase::Recovering) return;
  host_.networkBack(now);
  if (!current_ || current_->handle != handle) return;
  if (!isNative()) {
    pathUp("the path is back", now);
  } else {
    // ICE is back; whether SCTP is shows a frame, and a channel that closed needs another RTCPeerConnection.
    raceAt_ = std::min(raceAt_, now + config_.raceGrace);
  }
}

void Connection::channelArrived(LinkHandle handle, ChannelHandle channel, const std::string& subprotocol, Millis now) {
  now_ = now;
  Link* link = withHandle(handle);
  if (link != nullptr && subprotocol.starts_with(kSideProtocol) && isNative() &&
      identity_.kind == ConnectionKind::Data && countSides(false) < kMaxSides) {
    Side& side = sides_.emplace_back();
    side.channel = channel;
    side.link = handle;
    host_.own(HandleKind::Channel, channel, identity_.handle);
    outbox_.add(OutputType::SideBind, identity_.handle).channel = channel;
    return;
  }
  // The offerer makes exactly one; whatever else arrives belongs to nobody.
  if (link == nullptr || identity_.outgoing || link->channel != 0 || subprotocol.starts_with(kSideProtocol)) {
    outbox_.add(OutputType::ChannelClose).channel = channel;
    return;
  }
  link->channel = channel;
  host_.own(HandleKind::Channel, channel, identity_.handle);
}

void Connection::channelOpened(ChannelHandle channel, std::size_t maxMessageSize, Millis now) {
  now_ = now;
  Link* link = withChannel(channel);
  if (link == nullptr || link->channelOpen) return;
  link->channelOpen = true;
  link->maxMessageSize = maxMessageSize;
  link->everConnected = true;
  link->confirmed();
  if (link == current_.get()) {
    bindChannel(now);
  } else if (link->slot > 0) {
    bindStripe(*link);
  } else if (identity_.outgoing || planted(Bug::BothDecide)) {
    // The side that made the connection decides which link carries it; the other follows its first frame.
    if (phase_ == Phase::Recovering) {
      adopt(now);
    } else {
      retire(fresh_);
    }
  }
}

void Connection::bindChannel(Millis now) {
  current_->setWhole(false);
  current_->nudgeAt = kNever;
  const bool data = identity_.kind == ConnectionKind::Data;
  if (data) negotiationDeadline_ = kNever;
  if (data && isForeign() && !peerJs_) {
    peerJs_ = std::make_unique<PeerJsWire>(framingConfig_, serializationOf(identity_.serialization), legacy_);
  }
  if (Wire* wire = this->wire()) {
    Output& out = outbox_.add(OutputType::ChannelBind, identity_.handle);
    out.channel = current_->channel;
    out.length = framingConfig_.highWaterBytes / 4;
    wire->attach(current_->maxMessageSize, now);
    awakeSince_ = now;
    pulseAt_ = now + config_.pulseInterval;
    reattached_ = phase_ == Phase::Recovering;
  }
  if (data && enter(Trigger::Up, "the channel is open")) {
    outbox_.add(OutputType::ConnectionOpened, identity_.handle);
  }
  for (Side& side : sides_) {
    if (side.channel == 0) makeSide(side);
  }
}

// -- side channels -------------------------------------------------------------------------------------

void Connection::openSide(Input& wish, Millis now) {
  now_ = now;
  const std::uint32_t number = wish.transfer;
  const bool known =
      std::any_of(sides_.begin(), sides_.end(), [number](const Side& side) { return side.number == number; });
  if (number == 0 || known || !isUp() || !isNative() || identity_.kind != ConnectionKind::Data ||
      countSides(true) >= kMaxSides) {
    return;
  }
  Side& side = sides_.emplace_back();
  side.number = number;
  side.label = std::move(wish.label);
  side.ordered = wish.reliable;
  side.hasRetransmits = wish.hasLength;
  side.retransmits = static_cast<std::uint16_t>(wish.length);
  side.hasLifeTime = wish.candidate.hasLineIndex;
  side.lifeTime = wish.candidate.sdpMLineIndex;
  if (this->channel() != 0) makeSide(side);
}

/// Before: the current link's channel is open.
void Connection::makeSide(Side& side) {
  side.link = current_->handle;
  side.channel = outbox_.nextChannel();
  host_.own(HandleKind::Channel, side.channel, identity_.handle);
  Output& out = outbox_.add(OutputType::ChannelCreate);
  out.link = side.link;
  out.channel = side.channel;
  out.label = side.label;
  out.text = std::string(kSideProtocol) + std::to_string(side.number);
  out.reliable = side.ordered;
  out.hasSize = side.hasRetransmits;
  out.size = side.retransmits;
  out.candidate.hasLineIndex = side.hasLifeTime;
  out.candidate.sdpMLineIndex = side.lifeTime;
  outbox_.add(OutputType::SideBind, identity_.handle).channel = side.channel;
}

void Connection::closeSide(std::uint32_t number) {
  for (auto side = sides_.begin(); side != sides_.end(); ++side) {
    if (number == 0 || side->number != number) continue;
    if (side->channel != 0) {
      host_.own(HandleKind::Channel, side->channel, 0);
      outbox_.add(OutputType::ChannelClose).channel = side->channel;
    }
    sides_.erase(side);
    return;
  }
}

std::size_t Connection::countSides(bool ours) const {
  return static_cast<std::size_t>(
      std::count_if(sides_.begin(), sides_.end(), [ours](const Side& side) { return (side.number != 0) == ours; }));
}

void Connection::loseSides(LinkHandle link, ChannelHandle channel) {
  std::erase_if(sides_, [&](Side& side) {
    if (side.channel == 0 || (channel != 0 ? side.channel != channel : side.link != link)) return false;
    host_.own(HandleKind::Channel, side.channel, 0);
    side.channel = 0;
    // Ours is made again on the next link; the other side's is the other side's affair.
    return side.number == 0;
  });
}

void Connection::channelClosed(ChannelHandle channel, Millis now) {
  now_ = now;
  if (fresh_ && fresh_->channel == channel) return racerLost(now);
  if (Link* link = withChannel(channel); link != nullptr && link->slot > 0) return stripeLost(*link, now);
  if (!current_ || current_->channel != channel) return loseSides(0, channel);
  host_.own(HandleKind::Channel, channel, 0);
  current_->channel = 0;
  current_->channelOpen = false;
  current_->spent = true;
  if (Wire* wire = this->wire(); wire != nullptr && wire->attached()) wire->detach();
  switch (phase_) {
    case Phase::Closing:
      enter(Trigger::Done, "closed");
      finish("closed");
      return;
    case Phase::Open:
    case Phase::Recovering:
      if (!isNative()) return peerClosed(false, now);  // that is how PeerJS says it
      // Who closes says CLOSE before. So either this browser gave up (Firefox does after 30 s), or the other side's
      // page ended without a word: then the server will know.
      pathDown("the channel closed", now);
      race(now);
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

void Connection::receive(ChannelHandle channel, std::span<const std::byte> frame, std::size_t length, bool text,
                         Millis now) {
  now_ = now;
  if (peerJs_) {
    if (!current_ || current_->channel != channel) return;
    if (phase_ == Phase::Recovering) pathUp("the other side speaks", now);
    peerJs_->receive(frame, length, text, now);
    return;
  }
  if (!framing_) return;
  if (const Link* link = withChannel(channel); link != nullptr && link->slot > 0) {
    besideHeardAt_ = now;
    framing_->receive(frame, now, link->slot);
    return;
  }
  if (fresh_ && fresh_->channel == channel) {
    // Frames come through it once the other side has adopted it, and that side decides.
    if (identity_.outgoing) return;
    adopt(now);
  }
  if (!current_ || current_->channel != channel) return;
  if (phase_ == Phase::Recovering) {
    if (reattached_) {
      pathUp("the other side speaks", now);
    } else {
      // One direction of the old path is back. Whether the other is shows the answer; SCTP may sleep there.
      if (!std::exchange(asked_, true)) (void)framing_->ping(0);
      raceAt_ = std::min(raceAt_, now + config_.raceGrace);
    }
  }
  framing_->receive(frame, now);
}

// -- recovery ------------------------------------------------------------------------------------------

void Connection::pathDown(const char* reason, Millis now) {
  if (!enter(Trigger::PathDown, reason)) return;
  budgetUntil_ = planted(Bug::NoBudget) ? kNever : now + config_.recoveryBudget;
  restartPause_ = config_.restartDelay;
  pulseAt_ = kNever;
  suspectedAt_ = 0;
  reattached_ = asked_ = false;
  if (current_) current_->unconfirmed();
  // They share its path. Where it is back they are made anew.
  stripeAt_ = kNever;
  if (identity_.outgoing) dropStripes(1);
  // The racer that came before is wanted now.
  if (fresh_ && !identity_.outgoing) fresh_->givenUpAt = now + config_.negotiationTimeout;
  raceAt_ = now + std::max<Millis>(config_.raceDelay - config_.silenceLimit, 0);
  if (identity_.outgoing) {
    tryRestart(now);
  } else {
    restartAt_ = now + config_.restartYield;
  }
}

void Connection::pathUp(const char* reason, Millis now) {
  // close() may have waited for this.
  const bool closing = framing_ && framing_->closing();
  if (!enter(closing ? Trigger::LocalClose : Trigger::PathUp, closing ? "closed by this side" : reason)) return;
  budgetUntil_ = restartAt_ = raceAt_ = kNever;
  if (current_) current_->confirmed();
  if (closing) {
    retire(fresh_);
    return;
  }
  pulseAt_ = now + config_.pulseInterval;
  ensureStripes(now);
  if (!fresh_ || planted(Bug::RacerStays)) return;
  if (identity_.outgoing) {
    retire(fresh_);
  } else {
    fresh_->givenUpAt = std::min(fresh_->givenUpAt, now + kRacerLinger);
  }
}

void Connection::tryRestart(Millis now) {
  if (restartAt_ != kNever && now < restartAt_) return;
  restartAt_ = now + restartPause_;
  restartPause_ = std::min(restartPause_ * 2, config_.restartMaxDelay);
  if (fresh_) return;
  // A PeerJS peer answers a second OFFER by throwing the connection away: there the browser's own ICE has to do.
  if (!isNative() || !current_ || !current_->settled() || needsPeople()) return;
  outbox_.add(OutputType::RestartIce).link = current_->handle;
}

void Connection::race(Millis now) {
  raceAt_ = kNever;
  // One side decides, or both might follow different links.
  if (!identity_.outgoing || !isNative() || phase_ != Phase::Recovering || fresh_ || needsPeople()) return;
  if (planted(Bug::NoRace)) return;
  fresh_ = makeLink(newest_ + 1, true, now);
  fresh_->givenUpAt = now + config_.raceRenewal;
  fresh_->nudgeAt = now + config_.nudgeDelay;
}

void Connection::racerLost(Millis now) {
  retire(fresh_);
  if (phase_ == Phase::Recovering) raceAt_ = now + config_.raceRetry;
}

void Connection::adopt(Millis now) {
  if (planted(Bug::OldLinkStays)) {
    retired_.push_back(std::move(current_));
  } else {
    retire(current_);
  }
  current_ = std::move(fresh_);
  dropStripes(1);
  raceAt_ = now + config_.raceDelay;
  restartAt_ = now + config_.restartMaxDelay;
  bindChannel(now);
}

void Connection::networkChanged(NetworkChange change, Millis now) {
  now_ = now;
  if (change == NetworkChange::Offline || !isUp() || !isNative() || !current_) return;
  if (phase_ == Phase::Recovering) {
    // A racer whose addresses are those of another network leads nowhere.
    if (fresh_ && change != NetworkChange::Resumed && !fresh_->channelOpen) {
      if (identity_.outgoing) {
        retire(fresh_);
      } else if (fresh_->settled()) {
        outbox_.add(OutputType::RestartIce).link = fresh_->handle;
      }
    }
    restartPause_ = config_.restartDelay;
    restartAt_ = kNever;
    tryRestart(now);
    raceAt_ = std::min(raceAt_, now + config_.raceGrace);
    return;
  }
  // Another network has other addresses: those of the old one are gone. What merely changed is asked first.
  if (change == NetworkChange::Online && current_->settled()) {
    current_->unconfirmed();
    outbox_.add(OutputType::RestartIce).link = current_->handle;
  }
  if (framing_ && framing_->ping(0)) {
    suspectedAt_ = now;
    pulseAt_ = now + config_.urgentSilenceLimit;
  }
}

/// Asks for a sign of life, or takes the lack of one for what it is. Nothing is done as long as frames come. Where
/// something comes through a side channel or a stripe only, the other side is there: what SCTP repeats holds up one
/// channel at a time, for seconds where much was lost. But our frames may be waiting in a queue behind what is sent
/// through a side channel, and PING is what the other side hears of us.
void Connection::checkPulse(Millis now) {
  const bool asleep = now - pulseAt_ > kAsleep;
  pulseAt_ = kNever;
  if (phase_ != Phase::Open || !framing_ || !framing_->attached() || planted(Bug::NoSilence)) return;
  // What the other side said while the page slept is still to be read.
  if (asleep) awakeSince_ = now;
  Millis heardAt = awakeSince_;
  if (const Millis last = framing_->lastHeard(); last != kNever) heardAt = std::max(heardAt, last);
  const Millis signAt = std::max(heardAt, besideHeardAt_);
  const Millis suspected = std::exchange(suspectedAt_, 0);
  if (now - signAt >= config_.silenceLimit || (suspected != 0 && signAt < suspected)) {
    pathDown("nothing comes from the other side", now);
    return;
  }
  current_->confirmed();
  pulseAt_ = heardAt + config_.pulseInterval;
  if (pulseAt_ > now) return;
  (void)framing_->ping(0);
  pulseAt_ = std::min(signAt + config_.silenceLimit, now + config_.pulseInterval);
}

// -- the clock -----------------------------------------------------------------------------------------

Millis Connection::deadline() const {
  if (phase_ == Phase::Closed) return kNever;
  Millis next = std::min({negotiationDeadline_, budgetUntil_, lingerUntil_, pulseAt_, stripeAt_});
  for (const std::unique_ptr<Link>& stripe : stripes_) next = std::min({next, stripe->deadline(), stripe->givenUpAt});
  if (phase_ == Phase::Recovering) next = std::min({next, restartAt_, raceAt_});
  if (current_) next = std::min({next, current_->deadline(), current_->nudgeAt});
  if (fresh_)
    next =
        std::min({next, fresh_->deadline(), fresh_->givenUpAt, phase_ == Phase::Recovering ? fresh_->nudgeAt : kNever});
  const Wire* wire = this->wire();
  return wire != nullptr ? std::min(next, wire->deadline()) : next;
}

void Connection::timeout(Millis now) {
  now_ = now;
  if (phase_ == Phase::Closed) return;
  if (Wire* wire = this->wire()) wire->timeout(now);
  forEachLink([this, now](Link& link) {
    link.timeout(*this, now);
    if (link.slot > 0 && now >= link.givenUpAt) stripeLost(link, now);
  });
  if (now >= stripeAt_) ensureStripes(now);
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
    sayBye("closed", now);
    fail(ErrorCode::ConnectionLost, "the path to peer \"%\" broke and did not come back", "connection-lost", now);
    return;
  }
  if (now >= pulseAt_) checkPulse(now);
  if (current_ && now >= current_->nudgeAt) {
    current_->nudgeAt = waitsForPeople() ? now + kPatientNudge : kNever;
    current_->nudge(*this);
  }
  if (fresh_ && now >= fresh_->givenUpAt) {
    if (fresh_->everConnected && phase_ == Phase::Recovering) {
      fresh_->givenUpAt = now + config_.raceRetry;  // its channel is about to open
      fresh_->everConnected = false;
    } else {
      retire(fresh_);
      race(now);
    }
  }
  if (phase_ != Phase::Recovering) return;
  if (now >= raceAt_) race(now);
  if (fresh_ && now >= fresh_->nudgeAt) {
    fresh_->nudgeAt = now + config_.nudgeDelay;
    fresh_->nudge(*this);
  }
  if (now >= restartAt_) tryRestart(now);
}

bool Connection::canCarrySignals() const {
  return framing_ && framing_->attached() && phase_ == Phase::Open && !framing_->closing();
}

void Connection::settle(Millis now) {
  report(now);
  retired_.clear();
  const Wire* wire = this->wire();
  if (wire != nullptr && phase_ != Phase::Closed && channel() != 0 && wire->wantsTransmit()) {
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
  out.error = event.error;
  out.text = std::move(event.text);
  out.label = std::move(event.mime);
  out.connectionId = std::move(event.key);
}

void Connection::report(Millis now) {
  Wire* wire = this->wire();
  if (wire == nullptr) return;
  now_ = now;
  while (std::optional<FramingEvent> event = wire->poll()) {
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
        ensureStripes(now);
        break;
      case Kind::Stripes:
        stripesAsked_ = std::max(event->marker, 1U);
        ensureStripes(now);
        break;
      case Kind::PeerClosing:
        if (enter(Trigger::PeerClose, "closed by the other side")) {
          retire(fresh_);
          // CLOSED goes out; then the one who closes ends the link. Not for ever, should it be gone.
          lingerUntil_ = now + framingConfig_.closeTimeout;
          tellClosed("closed by the other side");
        }
        break;
      case Kind::Closed:
        if (phase_ == Phase::Recovering) {
          sayBye("closed", now);
          enter(Trigger::LocalClose, "closed by this side");
        }
        if (enter(Trigger::Done, "closed")) {
          finish("closed");
          return;
        }
        break;
      case Kind::Violation:
        // Its channel says no more. Who broke the rule need not know that, and would look for a broken path.
        sayBye("closed", now);
        event->text = std::to_string(event->marker);
        fail(ErrorCode::ProtocolViolation, "peer \"%\" sent what the protocol forbids (docs/protocol.md), rule ",
             "protocol-violation", now, &event->text);
        return;
      case Kind::Drained:
        // Its closing handshake sends what is left in the buffer; then it is closed at both ends.
        outbox_.add(OutputType::ChannelClose).channel = channel();
        break;
      case Kind::Dropped:
        complain(ErrorCode::ProtocolViolation,
                 "peer \"%\" did not send the rest of a message, and what came of it was dropped");
        forward(OutputType::MessageDropped, *event);
        break;
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
        if (phase_ == Phase::Recovering) pathUp("the other side answers", now);
        break;
    }
  }
}

}  // namespace peerbridge
