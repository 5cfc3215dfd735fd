#include "connection/negotiation.hpp"

#include <algorithm>
#include <utility>

#include "sdp/description.hpp"

namespace peerbridge {

namespace {

// A browser offers some dozens of candidates at the most; beyond that somebody is lying.
constexpr std::size_t kMaxHeldCandidates = 128;
constexpr std::size_t kMaxSeenCandidates = 512;
constexpr std::size_t kMaxIgnoredUfrags = 16;

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

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
  if (native_ && negotiation <= remoteNegotiation_) {
    // A copy. Was our answer lost? Then that has to come again, and not the negotiation.
    const bool answered = signaling_ == Signaling::Stable && busy_ == Busy::None && !holding_;
    if (negotiation == remoteNegotiation_ && answered && hold_.type == SdpType::Answer && !hold_.sdp.empty()) {
      send(sink, now);
    }
    return;
  }
  // Only the newest offer of the other side counts: it describes everything the older one did.
  pendingOffer_ = {std::move(offer), negotiation, true, true};
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
      if (stale) {
        // The copy of one that was taken is nothing to speak of.
        if (pendingAnswer_.counted && pendingAnswer_.negotiation == ownNegotiation_) continue;
        sink.warn(ErrorCode::BadSignal, "an ANSWER that no offer waits for was dropped");
        continue;
      }
      apply(pendingAnswer_, Busy::SettingRemoteAnswer, sink);
      return;
    }
    if (std::exchange(pendingOffer_.waits, false)) {
      if (signaling_ == Signaling::HaveLocalOffer && !polite_) {
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
    if (signaling_ == Signaling::HaveRemoteOffer) {
      busy_ = Busy::SettingLocalAnswer;
      gathered_ = false;
      op_ = sink.setLocalDescription();
      return;
    }
    if (needed_ && signaling_ == Signaling::Stable && !holding_) {
      needed_ = false;
      busy_ = Busy::SettingLocalOffer;
      gathered_ = false;
      op_ = sink.setLocalDescription();
      return;
    }
    if (holding_ && (gathered_ || now >= holdUntil_)) {
      busy_ = Busy::Reading;
      op_ = sink.readLocalDescription();
      return;
    }
    return;
  }
}

void Negotiation::apply(Remote& remote, Busy busy, Sink& sink) {
  applying_ = std::move(remote);
  busy_ = busy;
  op_ = sink.setRemoteDescription(applying_.description);
}

void Negotiation::holdDescription(Description* description, Millis now) {
  if (description == nullptr) return;
  hold_ = std::move(*description);
  holding_ = true;
  holdUntil_ = now + candidateBatch_;
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
      if (!(pendingOffer_.waits && polite_)) holdDescription(description, now);
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
      holdDescription(description, now);
      break;
    case Busy::SettingRemoteAnswer:
      signaling_ = Signaling::Stable;
      resendAt_ = kNever;
      answeredNegotiation_ = ownNegotiation_;
      adoptRemote(applying_.description.sdp);
      offerHeldCandidates(sink);
      sink.negotiated();
      break;
    case Busy::Reading:
      if (holding_) {
        if (description != nullptr) hold_ = std::move(*description);
        releaseHold(sink, now);
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
      return sink.failed(ErrorCode::WebRtc, "the browser could not make an offer: ", why);
    case Busy::SettingRemoteOffer:
      return sink.failed(ErrorCode::NegotiationFailed, "the browser refused the other side's offer: ", why);
    case Busy::SettingLocalAnswer:
      return sink.failed(ErrorCode::WebRtc, "the browser could not make an answer: ", why);
    case Busy::SettingRemoteAnswer:
      return sink.failed(ErrorCode::NegotiationFailed, "the browser refused the other side's answer: ", why);
  }
  step(sink, now);
}

void Negotiation::releaseHold(Sink& sink, Millis now) {
  holding_ = false;
  // What was gathered until now is inside the description.
  outgoing_.clear();
  flushAt_ = kNever;
  send(sink, now);
  if (hold_.type == SdpType::Answer) sink.negotiated();
}

void Negotiation::send(Sink& sink, Millis now) {
  const bool answer = hold_.type == SdpType::Answer;
  // Once the path works, it is the offerer who asks again for an answer that was lost.
  if (native_ && !(answer && confirmed_)) resendAt_ = now + resendDelay_;
  sink.sendDescription(hold_, answer ? remoteNegotiation_ : ownNegotiation_, answer ? 0 : remoteNegotiation_);
}

void Negotiation::localCandidate(CandidateInit& candidate, Sink& sink, Millis now) {
  if (candidate.candidate.empty() && (!native_ || outgoing_.empty())) return;  // worth a seat, not a frame of its own
  outgoing_.push_back(std::move(candidate));
  // Before its description a candidate means nothing to the other side.
  if (holding_ || busy_ == Busy::SettingLocalOffer || busy_ == Busy::SettingLocalAnswer) return;
  if (!native_) {
    flushCandidates(sink);
  } else if (flushAt_ == kNever) {
    flushAt_ = now + candidateBatch_;
  }
}

void Negotiation::gatheringComplete(Sink& sink, Millis now) {
  gathered_ = true;
  if (holding_) {
    step(sink, now);
  } else {
    flushCandidates(sink);
  }
}

void Negotiation::flushCandidates(Sink& sink) {
  flushAt_ = kNever;
  if (outgoing_.empty()) return;
  std::vector<CandidateInit> batch = std::exchange(outgoing_, {});
  if (native_) {
    sink.sendCandidates(std::move(batch));
    return;
  }
  for (CandidateInit& candidate : batch) {
    if (candidate.candidate.empty()) continue;
    std::vector<CandidateInit> one;
    one.push_back(std::move(candidate));
    sink.sendCandidates(std::move(one));
  }
}

void Negotiation::remoteCandidate(CandidateInit& candidate, Sink& sink) {
  if (candidate.hasUfrag && contains(ignoredUfrags_, candidate.usernameFragment)) return;
  if (std::find(seen_.begin(), seen_.end(), candidate) != seen_.end()) return;
  const bool usable = remoteSet_ && busy_ != Busy::SettingRemoteOffer && busy_ != Busy::SettingRemoteAnswer &&
                      (!candidate.hasUfrag || contains(remoteUfrags_, candidate.usernameFragment));
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
  sink.addCandidate(candidate);
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
  for (CandidateInit& candidate : waiting) remoteCandidate(candidate, sink);
}

Millis Negotiation::deadline() const {
  const Millis next = std::min(flushAt_, resendAt_);
  return holding_ && busy_ == Busy::None ? std::min(next, holdUntil_) : next;
}

void Negotiation::timeout(Sink& sink, Millis now) {
  if (holding_ && busy_ == Busy::None && now >= holdUntil_) step(sink, now);
  if (now >= flushAt_) flushCandidates(sink);
  if (now >= resendAt_) {
    resendAt_ = kNever;
    if (busy_ == Busy::None && !holding_) send(sink, now);
  }
}

}  // namespace peerbridge
