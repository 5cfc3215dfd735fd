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
  // While an offer is outstanding the browser checks again, and fires again, once it is stable. While an answer is being
  // set the event may already belong to the stable state that follows.
  const bool settingAnswer = busy_ == Busy::SettingLocalAnswer || busy_ == Busy::SettingRemoteAnswer;
  const bool stable = signaling_ == Signaling::Stable && (busy_ == Busy::None || busy_ == Busy::Reading);
  if (stable || settingAnswer) need(sink, now);
}

void Negotiation::remoteOffer(Description offer, std::uint32_t negotiation, Sink& sink, Millis now) {
  // Only the newest offer of the other side counts: it describes everything the older one did.
  pendingOffer_ = Remote{std::move(offer), negotiation, true};
  step(sink, now);
}

void Negotiation::remoteAnswer(Description answer, std::optional<std::uint32_t> negotiation, Sink& sink, Millis now) {
  pendingAnswer_ = Remote{std::move(answer), negotiation.value_or(0), negotiation.has_value()};
  step(sink, now);
}

void Negotiation::step(Sink& sink, Millis now) {
  while (busy_ == Busy::None) {
    if (pendingAnswer_) {
      Remote answer = std::move(*pendingAnswer_);
      pendingAnswer_.reset();
      // An answer to an offer that was withdrawn, or answered already, is stale: the browser would throw.
      const bool stale = signaling_ != Signaling::HaveLocalOffer || hold_.has_value() ||
                         (answer.counted && answer.negotiation != ownNegotiation_);
      if (stale) {
        sink.warn({ErrorCode::BadSignal, "an ANSWER that no offer waits for was dropped"});
        continue;
      }
      applying_ = std::move(answer);
      busy_ = Busy::SettingRemoteAnswer;
      op_ = sink.setRemoteDescription(applying_.description);
      return;
    }
    if (pendingOffer_) {
      Remote offer = std::move(*pendingOffer_);
      pendingOffer_.reset();
      if (signaling_ == Signaling::HaveLocalOffer && !polite_) {
        // Glare: the impolite side goes on with its own offer, and the candidates of the other must not reach the browser.
        for (std::string& ufrag : iceUfrags(offer.description.sdp)) {
          if (!contains(ignoredUfrags_, ufrag) && !contains(remoteUfrags_, ufrag)) {
            if (ignoredUfrags_.size() >= kMaxIgnoredUfrags) ignoredUfrags_.erase(ignoredUfrags_.begin());
            ignoredUfrags_.push_back(std::move(ufrag));
          }
        }
        continue;
      }
      // setRemoteDescription rolls our own offer back (webrtc-pc §4.4.1.5); the browser fires negotiationneeded again
      // when it is stable. An offer that was not sent yet never existed.
      hold_.reset();
      applying_ = std::move(offer);
      busy_ = Busy::SettingRemoteOffer;
      op_ = sink.setRemoteDescription(applying_.description);
      return;
    }
    if (signaling_ == Signaling::HaveRemoteOffer) {
      busy_ = Busy::SettingLocalAnswer;
      gathered_ = false;
      op_ = sink.setLocalDescription();
      return;
    }
    if (needed_ && signaling_ == Signaling::Stable && !hold_) {
      needed_ = false;
      busy_ = Busy::SettingLocalOffer;
      gathered_ = false;
      op_ = sink.setLocalDescription();
      return;
    }
    if (hold_ && (gathered_ || now >= holdUntil_)) {
      busy_ = Busy::Reading;
      op_ = sink.readLocalDescription();
      return;
    }
    return;
  }
}

void Negotiation::holdDescription(Description description, Millis now) {
  hold_ = std::move(description);
  holdUntil_ = now + candidateBatch_;
}

bool Negotiation::opDone(Op op, const std::optional<Description>& description, Sink& sink, Millis now) {
  if (op == 0 || op != op_) return false;
  op_ = 0;
  const Busy done = std::exchange(busy_, Busy::None);
  switch (done) {
    case Busy::None: break;
    case Busy::SettingLocalOffer:
      signaling_ = Signaling::HaveLocalOffer;
      ++ownNegotiation_;
      // A polite side whose peer offered meanwhile rolls back in step(); sending this one would only cost a frame.
      if (!(pendingOffer_ && polite_) && description) holdDescription(*description, now);
      break;
    case Busy::SettingRemoteOffer:
      signaling_ = Signaling::HaveRemoteOffer;
      remoteNegotiation_ = applying_.negotiation;
      adoptRemote(applying_.description.sdp);
      offerHeldCandidates(sink);
      break;
    case Busy::SettingLocalAnswer:
      signaling_ = Signaling::Stable;
      if (description) holdDescription(*description, now);
      break;
    case Busy::SettingRemoteAnswer:
      signaling_ = Signaling::Stable;
      adoptRemote(applying_.description.sdp);
      offerHeldCandidates(sink);
      sink.negotiated();
      break;
    case Busy::Reading:
      if (hold_) {
        if (description) hold_ = *description;
        releaseHold(sink);
      }
      break;
  }
  step(sink, now);
  return true;
}

bool Negotiation::opFailed(Op op, const std::string& why, Sink& sink, Millis now) {
  if (op == 0 || op != op_) return false;
  op_ = 0;
  const Busy done = std::exchange(busy_, Busy::None);
  switch (done) {
    case Busy::None: break;
    case Busy::Reading:
      // The description as it was when it was set is still right, only without the later candidates.
      if (hold_) releaseHold(sink);
      break;
    case Busy::SettingLocalOffer:
      sink.failed({ErrorCode::WebRtc, "the browser could not make an offer: " + why});
      return true;
    case Busy::SettingRemoteOffer:
      sink.failed({ErrorCode::NegotiationFailed, "the browser refused the other side's offer: " + why});
      return true;
    case Busy::SettingLocalAnswer:
      sink.failed({ErrorCode::WebRtc, "the browser could not make an answer: " + why});
      return true;
    case Busy::SettingRemoteAnswer:
      sink.failed({ErrorCode::NegotiationFailed, "the browser refused the other side's answer: " + why});
      return true;
  }
  step(sink, now);
  return true;
}

void Negotiation::releaseHold(Sink& sink) {
  Description description = std::move(*hold_);
  hold_.reset();
  // What was gathered until now is inside the description.
  outgoing_.clear();
  flushAt_.reset();
  const bool answer = description.type == SdpType::Answer;
  sink.sendDescription(std::move(description), answer ? remoteNegotiation_ : ownNegotiation_);
  if (answer) sink.negotiated();
}

void Negotiation::localCandidate(CandidateInit candidate, Sink& sink, Millis now) {
  if (candidate.candidate.empty() && (!batching_ || outgoing_.empty())) return;  // worth a seat, not a frame of its own
  outgoing_.push_back(std::move(candidate));
  // Before its description a candidate means nothing to the other side.
  if (hold_ || busy_ == Busy::SettingLocalOffer || busy_ == Busy::SettingLocalAnswer) return;
  if (!batching_) {
    flushCandidates(sink);
  } else if (!flushAt_) {
    flushAt_ = now + candidateBatch_;
  }
}

void Negotiation::gatheringComplete(Sink& sink, Millis now) {
  gathered_ = true;
  if (hold_) {
    step(sink, now);
  } else {
    flushCandidates(sink);
  }
}

void Negotiation::flushCandidates(Sink& sink) {
  flushAt_.reset();
  if (outgoing_.empty()) return;
  std::vector<CandidateInit> batch = std::exchange(outgoing_, {});
  if (batching_) {
    sink.sendCandidates(std::move(batch));
    return;
  }
  for (CandidateInit& candidate : batch) {
    if (!candidate.candidate.empty()) sink.sendCandidates({std::move(candidate)});
  }
}

void Negotiation::remoteCandidate(CandidateInit candidate, Sink& sink) {
  if (candidate.hasUfrag && contains(ignoredUfrags_, candidate.usernameFragment)) return;
  if (std::find(seen_.begin(), seen_.end(), candidate) != seen_.end()) return;
  const bool usable = remoteSet_ && busy_ != Busy::SettingRemoteOffer && busy_ != Busy::SettingRemoteAnswer &&
                      (!candidate.hasUfrag || contains(remoteUfrags_, candidate.usernameFragment));
  if (!usable) {
    if (std::find(held_.begin(), held_.end(), candidate) != held_.end()) return;
    if (held_.size() >= kMaxHeldCandidates) {
      held_.erase(held_.begin());
      sink.warn({ErrorCode::BadSignal, "more candidates without a description than any browser gathers; the oldest was dropped"});
    }
    held_.push_back(std::move(candidate));
    return;
  }
  if (seen_.size() >= kMaxSeenCandidates) seen_.erase(seen_.begin());
  seen_.push_back(candidate);
  sink.addCandidate(candidate);
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
  for (CandidateInit& candidate : waiting) remoteCandidate(std::move(candidate), sink);
}

std::optional<Millis> Negotiation::deadline() const {
  std::optional<Millis> next = flushAt_;
  if (hold_ && busy_ == Busy::None && (!next || holdUntil_ < *next)) next = holdUntil_;
  return next;
}

void Negotiation::timeout(Sink& sink, Millis now) {
  if (hold_ && busy_ == Busy::None && now >= holdUntil_) step(sink, now);
  if (flushAt_ && now >= *flushAt_) flushCandidates(sink);
}

}  // namespace peerbridge
