#include "connection/negotiation.hpp"

#include <algorithm>
#include <utility>

#include "base/planted.hpp"
#include "sdp/description.hpp"

namespace peerbridge {

namespace {

// A browser offers some dozens of candidates at the most; beyond that somebody is lying.
constexpr std::size_t kMaxHeldCandidates = 128;
constexpr std::size_t kMaxSeenCandidates = 512;
constexpr std::size_t kMaxIgnoredUfrags = 16;
constexpr std::size_t kMaxGoneCandidates = 64;

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

void Negotiation::setNative(bool native, Sink& sink) {
  native_ = native;
  peerJs_ = !native;
  if (!peerJs_ || gone_.empty()) return;
  for (CandidateInit& candidate : std::exchange(gone_, {})) outgoing_.push_back(std::move(candidate));
  flushCandidates(sink);
}

void Negotiation::need(Sink& sink, Millis now) {
  needed_ = true;
  step(sink, now);
}

void Negotiation::browserNeeds(Sink& sink, Millis now) {
  // While an offer is outstanding the browser checks again, and fires again, once it is stable. While an answer is
  // being set the event may already belong to the stable state that follows.
  const bool settingAnswer = busy_ == Busy::SettingLocalAnswer || busy_ == Busy::SettingRemoteAnswer;
  const bool stable = signaling_ == Signaling::Stable && (busy_ == Busy::None || busy_ == Busy::Reading);
  if (stable || settingAnswer) need(sink, now);
}

void Negotiation::remoteOffer(Description&& offer, std::uint32_t negotiation, std::uint32_t seen, Sink& sink,
                              Millis now) {
  // Who has answered our offer had withdrawn its own before: this one was only late.
  if (native_ && seen < answeredNegotiation_) return;
  if (native_ && negotiation <= remoteNegotiation_ && !planted(Bug::DoubleAnswer)) {
    // A copy. Was our answer lost? Then that has to come again, and not the negotiation. It is not our newest
    // description any more once we made an offer of our own, which the other side cannot take before it has the answer.
    const bool making = signaling_ == Signaling::HaveRemoteOffer || busy_ == Busy::SettingLocalAnswer ||
                        (holding_ && own_.type == SdpType::Answer);
    if (negotiation != remoteNegotiation_ || making) return;
    if (own_.type == SdpType::Answer && !own_.sdp.empty()) {
      resend(sink, now);
    } else if (!answer_.sdp.empty()) {
      sink.sendDescription(*this, answer_, remoteNegotiation_, 0);
    }
    return;
  }
  // Only the newest offer of the other side counts: it describes everything the older one did.
  if (native_ && pendingOffer_.waits && negotiation < pendingOffer_.negotiation) return;
  pendingOffer_ = {std::move(offer), negotiation, true, true, seen};
  step(sink, now);
}

void Negotiation::remoteAnswer(Description&& answer, bool counted, std::uint32_t negotiation, Sink& sink, Millis now) {
  pendingAnswer_ = {std::move(answer), negotiation, counted, true};
  step(sink, now);
}

void Negotiation::step(Sink& sink, Millis now) {
  while (busy_ == Busy::None) {
    if (std::exchange(pendingAnswer_.waits, false)) {
      // An answer to an offer that was withdrawn, or answered already, is stale: the browser would throw.
      const bool stale = signaling_ != Signaling::HaveLocalOffer || holding_ ||
                         (pendingAnswer_.counted && pendingAnswer_.negotiation != ownNegotiation_);
      if (stale && !planted(Bug::StaleAnswer)) {
        // The copy of one that was taken is nothing to speak of.
        if (pendingAnswer_.counted && pendingAnswer_.negotiation <= answeredNegotiation_) continue;
        sink.warn(ErrorCode::BadSignal, "an ANSWER that no offer waits for was dropped");
        continue;
      }
      apply(pendingAnswer_, Busy::SettingRemoteAnswer, sink);
      return;
    }
    if (std::exchange(pendingOffer_.waits, false)) {
      // While it waited for the browser it may have been overtaken, by a newer one or by an answer to ours.
      const bool late = native_ && (pendingOffer_.seen < answeredNegotiation_ ||
                                    (pendingOffer_.negotiation <= remoteNegotiation_ && !planted(Bug::DoubleAnswer)));
      if (late) continue;
      const bool polite = (polite_ && !planted(Bug::NoRollback)) || planted(Bug::BothPolite);
      if (signaling_ == Signaling::HaveLocalOffer && !polite) {
        // Glare: the impolite side goes on with its own offer, and the candidates of the other must not reach the
        // browser.
        for (std::string& ufrag : iceUfrags(pendingOffer_.description.sdp)) {
          if (!contains(ignoredUfrags_, ufrag) && !contains(remoteUfrags_, ufrag)) {
            if (ignoredUfrags_.size() >= kMaxIgnoredUfrags) ignoredUfrags_.erase(ignoredUfrags_.begin());
            ignoredUfrags_.push_back(std::move(ufrag));
          }
        }
        continue;
      }
      // setRemoteDescription rolls our own offer back (webrtc-pc §4.4.1.5); the browser fires negotiationneeded again
      // when it is stable. An offer that was not sent yet never existed.
      holding_ = false;
      apply(pendingOffer_, Busy::SettingRemoteOffer, sink);
      return;
    }
    if (signaling_ == Signaling::HaveRemoteOffer || (needed_ && signaling_ == Signaling::Stable && !holding_)) {
      const bool answer = signaling_ == Signaling::HaveRemoteOffer;
      if (!answer) needed_ = false;
      busy_ = answer ? Busy::SettingLocalAnswer : Busy::SettingLocalOffer;
      gathered_ = false;
      op_ = sink.setLocalDescription(*this);
      return;
    }
    if (holding_ && (gathered_ || now >= holdUntil_)) {
      busy_ = Busy::Reading;
      op_ = sink.readLocalDescription(*this);
      return;
    }
    return;
  }
}

void Negotiation::apply(Remote& remote, Busy busy, Sink& sink) {
  applying_ = std::move(remote);
  busy_ = busy;
  op_ = sink.setRemoteDescription(*this, applying_.description);
}

void Negotiation::rollBack(Sink& sink) {
  busy_ = Busy::RollingBack;
  op_ = sink.rollback(*this);
}

/// Our description is in place. It leaves at once, or when it has its candidates.
void Negotiation::localSet(Description* description, Sink& sink, Millis now) {
  if (description == nullptr) return;
  if (own_.type == SdpType::Answer) answer_ = std::move(own_);
  own_ = std::move(*description);
  // Where the credentials stay, nothing is gathered, and no event says so.
  gathered_ = gathered_ || iceUfrags(own_.sdp) == completeUfrags_;
  const bool whole = trickle() == Trickle::None || (trickle() == Trickle::Half && own_.type == SdpType::Offer);
  holding_ = true;
  holdUntil_ = now + config_.gatherTimeout;
  if (!whole) releaseHold(sink, now);
}

void Negotiation::opDone(Op op, Description* description, Sink& sink, Millis now) {
  if (op == 0 || op != op_) return;
  op_ = 0;
  const Busy done = std::exchange(busy_, Busy::None);
  switch (done) {
    case Busy::None:
      break;
    case Busy::SettingLocalOffer:
      signaling_ = Signaling::HaveLocalOffer;
      ++ownNegotiation_;
      // A polite side whose peer offered meanwhile rolls back in step(); sending this one would only cost a frame.
      if (!(pendingOffer_.waits && polite_)) localSet(description, sink, now);
      break;
    case Busy::SettingRemoteOffer:
      signaling_ = Signaling::HaveRemoteOffer;
      resendAt_ = kNever;
      remoteNegotiation_ = applying_.negotiation;
      adoptRemote(applying_.description.sdp);
      offerHeldCandidates(sink);
      break;
    case Busy::SettingLocalAnswer:
      signaling_ = Signaling::Stable;
      exchanged_ = true;
      localSet(description, sink, now);
      break;
    case Busy::SettingRemoteAnswer:
      signaling_ = Signaling::Stable;
      exchanged_ = true;
      // The description is there; the candidates behind it may not be.
      resendAt_ = native_ && !confirmed_ ? now + config_.resendDelay : kNever;
      answeredNegotiation_ = ownNegotiation_;
      adoptRemote(applying_.description.sdp);
      offerHeldCandidates(sink);
      sink.negotiated(*this);
      break;
    case Busy::Reading:
      if (holding_) {
        if (description != nullptr) own_ = std::move(*description);
        releaseHold(sink, now);
      }
      break;
    case Busy::RollingBack:
      signaling_ = Signaling::Stable;
      resendAt_ = kNever;
      // The offer that made it necessary, unless a newer one came.
      if (!applying_.description.sdp.empty() && !pendingOffer_.waits) {
        pendingOffer_ = std::move(applying_);
        pendingOffer_.waits = true;
      }
      break;
  }
  step(sink, now);
}

void Negotiation::opFailed(Op op, const std::string& why, Sink& sink, Millis now) {
  if (op == 0 || op != op_) return;
  op_ = 0;
  const Busy done = std::exchange(busy_, Busy::None);
  switch (done) {
    case Busy::None:
      break;
    case Busy::Reading:
      // The description as it was when it was set is still right, only without the later candidates.
      if (holding_) releaseHold(sink, now);
      break;
    case Busy::SettingLocalOffer:
      return sink.failed(*this, ErrorCode::WebRtc, "the browser could not make an offer: ", why);
    case Busy::SettingRemoteOffer:
      // Some browsers do not roll back by themselves (webrtc-pc §4.4.1.5 is younger than they are).
      if (signaling_ == Signaling::HaveLocalOffer) return rollBack(sink);
      return sink.failed(*this, ErrorCode::NegotiationFailed, "the browser refused the other side's offer: ", why);
    case Busy::SettingLocalAnswer:
      return sink.failed(*this, ErrorCode::WebRtc, "the browser could not make an answer: ", why);
    case Busy::SettingRemoteAnswer:
      // Our offer is of no use any more; without it the next one can be made.
      applying_ = {};
      rollBack(sink);
      return sink.failed(*this, ErrorCode::NegotiationFailed, "the browser refused the other side's answer: ", why);
    case Busy::RollingBack:
      return sink.failed(*this, ErrorCode::WebRtc, "the browser could not roll its offer back: ", why);
  }
  step(sink, now);
}

void Negotiation::releaseHold(Sink& sink, Millis now) {
  holding_ = false;
  if (trickle() != Trickle::Full) {
    // What was gathered until now is inside the description.
    for (CandidateInit& candidate : outgoing_) gone_.push_back(std::move(candidate));
    outgoing_.clear();
  }
  flushAt_ = kNever;
  quick_ = own_.type == SdpType::Offer;
  send(sink, now);
  if (quick_) {
    flushCandidates(sink);
  } else if (!outgoing_.empty()) {
    scheduleFlush(now);
  }
  if (own_.type == SdpType::Answer) sink.negotiated(*this);
}

void Negotiation::send(Sink& sink, Millis now) {
  const bool answer = own_.type == SdpType::Answer;
  // Once the path works, it is the offerer who asks again for an answer that was lost.
  if (native_ && !(answer && confirmed_) && !planted(Bug::ForgetResend)) resendAt_ = now + config_.resendDelay;
  sink.sendDescription(*this, own_, answer ? remoteNegotiation_ : ownNegotiation_, answer ? 0 : remoteNegotiation_);
}

/// Whatever the other side may not have got. Copies are known there for what they are.
void Negotiation::resend(Sink& sink, Millis now) {
  // An answer before our offer may be lost too, and without it the other side can take no offer.
  if (own_.type == SdpType::Offer && !answer_.sdp.empty() && !confirmed_) {
    sink.sendDescription(*this, answer_, remoteNegotiation_, 0);
  }
  if (own_.type == SdpType::Answer || signaling_ == Signaling::HaveLocalOffer) {
    send(sink, now);
  } else if (!confirmed_) {
    resendAt_ = now + config_.resendDelay;
  }
  if ((confirmed_ && signaling_ != Signaling::HaveLocalOffer) || gone_.empty()) return;
  std::vector<CandidateInit> again = gone_;
  sink.sendCandidates(*this, std::move(again));
}

void Negotiation::localCandidate(CandidateInit& candidate, Sink& sink, Millis now) {
  if (candidate.candidate.empty() && (peerJs_ || outgoing_.empty())) return;  // worth a seat, not a frame of its own
  // Another generation: what belonged to the old one is of no use.
  if (!gone_.empty() && gone_.back().usernameFragment != candidate.usernameFragment) gone_.clear();
  // The other side cannot use them one by one: those that are late are lost, as it was asked for.
  if (trickle() == Trickle::None && !holding_ && busy_ == Busy::None) return;
  outgoing_.push_back(std::move(candidate));
  // Before its description a candidate means nothing to the other side.
  if (holding_ || busy_ == Busy::SettingLocalOffer || busy_ == Busy::SettingLocalAnswer) return;
  if (peerJs_ || quick_) {
    flushCandidates(sink);
  } else {
    scheduleFlush(now);
  }
}

void Negotiation::scheduleFlush(Millis now) {
  const bool late = own_.type == SdpType::Answer && outgoing_.back().candidate.find(" typ host") != std::string::npos;
  flushAt_ = std::min(flushAt_, now + (late ? config_.lateCandidateBatch : config_.candidateBatch));
}

void Negotiation::gatheringComplete(Sink& sink, Millis now) {
  gathered_ = true;
  if (busy_ == Busy::None || busy_ == Busy::Reading) completeUfrags_ = iceUfrags(own_.sdp);
  if (holding_) step(sink, now);
}

void Negotiation::flushCandidates(Sink& sink) {
  flushAt_ = kNever;
  if (outgoing_.empty()) return;
  quick_ = patient_ = false;
  std::vector<CandidateInit> batch = std::exchange(outgoing_, {});
  if (!peerJs_) {
    for (const CandidateInit& candidate : batch) {
      if (gone_.size() < kMaxGoneCandidates) gone_.push_back(candidate);
    }
    sink.sendCandidates(*this, std::move(batch));
    return;
  }
  for (CandidateInit& candidate : batch) {
    if (candidate.candidate.empty()) continue;
    std::vector<CandidateInit> one;
    one.push_back(std::move(candidate));
    sink.sendCandidates(*this, std::move(one));
  }
}

void Negotiation::remoteCandidate(CandidateInit& candidate, Sink& sink) {
  if (candidate.hasUfrag && contains(ignoredUfrags_, candidate.usernameFragment)) return;
  if (std::find(seen_.begin(), seen_.end(), candidate) != seen_.end()) return;
  const bool known =
      !candidate.hasUfrag || contains(remoteUfrags_, candidate.usernameFragment) || planted(Bug::ForeignCandidates);
  const bool usable =
      (remoteSet_ && busy_ != Busy::SettingRemoteOffer && busy_ != Busy::SettingRemoteAnswer && known) ||
      planted(Bug::EarlyCandidates);
  if (!usable) {
    if (std::find(held_.begin(), held_.end(), candidate) != held_.end()) return;
    if (held_.size() >= kMaxHeldCandidates) {
      held_.erase(held_.begin());
      sink.warn(ErrorCode::BadSignal,
                "more candidates without a description than any browser gathers; the oldest was dropped");
    }
    held_.push_back(std::move(candidate));
    return;
  }
  if (seen_.size() >= kMaxSeenCandidates) seen_.erase(seen_.begin());
  sink.addCandidate(*this, candidate);
  seen_.push_back(std::move(candidate));
}

void Negotiation::adoptRemote(const std::string& sdp) {
  std::vector<std::string> ufrags = iceUfrags(sdp);
  if (ufrags != remoteUfrags_) seen_.clear();  // a new generation: what was added belongs to the old one
  remoteUfrags_ = std::move(ufrags);
  for (const std::string& ufrag : remoteUfrags_) std::erase(ignoredUfrags_, ufrag);
  remoteSet_ = true;
}

void Negotiation::offerHeldCandidates(Sink& sink) {
  std::vector<CandidateInit> waiting = std::exchange(held_, {});
  if (planted(Bug::ForgetHeldCandidates)) return;
  for (CandidateInit& candidate : waiting) remoteCandidate(candidate, sink);
}

Millis Negotiation::deadline() const {
  const Millis next = std::min(flushAt_, resendAt_);
  return holding_ && busy_ == Busy::None ? std::min(next, holdUntil_) : next;
}

void Negotiation::timeout(Sink& sink, Millis now) {
  if (holding_ && busy_ == Busy::None && now >= holdUntil_) step(sink, now);
  if (now >= flushAt_) {
    if (confirmed_ && !std::exchange(patient_, true)) {
      flushAt_ = now + config_.lateCandidateBatch;
    } else {
      flushCandidates(sink);
    }
  }
  if (now >= resendAt_) {
    resendAt_ = native_ ? now + config_.resendDelay : kNever;
    // While a step is under way its end decides; and while nothing leaves, a copy would only wait beside the original.
    if (busy_ == Busy::None && !holding_ && sink.reachable()) resend(sink, now);
  }
}

}  // namespace peerbridge
