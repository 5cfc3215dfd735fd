// Perfect negotiation of one RTCPeerConnection (webrtc-pc §10.7), with one browser operation under way at a time.
//
// Who calls: Connection. What it wants done leaves through Sink: commands for the browser, descriptions and candidates
// for the other side. It knows nothing of channels, media, time-outs of the whole, or who carries the signals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peerbridge/config.hpp"
#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

class Negotiation {
 public:
  /// `from` is the negotiation that asks.
  struct Sink {
    virtual Op setLocalDescription(Negotiation& from) = 0;
    virtual Op setRemoteDescription(Negotiation& from, const Description& description) = 0;
    virtual Op readLocalDescription(Negotiation& from) = 0;
    virtual Op rollback(Negotiation& from) = 0;
    virtual void addCandidate(Negotiation& from, const CandidateInit& candidate) = 0;
    /// A description for the other side. `negotiation` counts our offers; an answer echoes the offer's. `seen`: the
    /// newest offer of the other side that an offer was made after.
    virtual void sendDescription(Negotiation& from, const Description& description, std::uint32_t negotiation,
                                 std::uint32_t seen) = 0;
    virtual void sendCandidates(Negotiation& from, std::vector<CandidateInit>&& candidates) = 0;
    /// False while nothing would leave, only wait: then nothing is sent again.
    [[nodiscard]] virtual bool reachable() const = 0;
    /// The answer is in place on both ends of this exchange, as far as this side can know.
    virtual void negotiated(Negotiation& from) = 0;
    /// `text` ends where `why` begins.
    virtual void failed(Negotiation& from, ErrorCode code, const char* text, const std::string& why) = 0;
    virtual void warn(ErrorCode code, const char* text) = 0;

   protected:
    ~Sink() = default;
  };

  /// `polite`: this side yields when two offers cross. Both sides derive it from the two ids.
  Negotiation(bool polite, const Config& config) : polite_(polite), config_(config) {}

  /// From now on descriptions wait for their candidates and none follow, whatever is configured; or no longer.
  void setWhole(bool whole) { whole_ = whole; }

  /// An offer is wanted: at the start, or because the browser fired negotiationneeded.
  void need(Sink& sink, Millis now);
  /// The browser fired negotiationneeded. Ignored where the browser is bound to fire again (webrtc-pc §4.7.3).
  void browserNeeds(Sink& sink, Millis now);
  void remoteOffer(Description&& offer, std::uint32_t negotiation, std::uint32_t seen, Sink& sink, Millis now);
  /// `counted` false: the other side does not count (PeerJS).
  void remoteAnswer(Description&& answer, bool counted, std::uint32_t negotiation, Sink& sink, Millis now);
  void remoteCandidate(CandidateInit& candidate, Sink& sink);
  void localCandidate(CandidateInit& candidate, Sink& sink, Millis now);
  void gatheringComplete(Sink& sink, Millis now);

  /// Ops of others are ignored. `description` is the local one, or null.
  void opDone(Op op, Description* description, Sink& sink, Millis now);
  void opFailed(Op op, const std::string& why, Sink& sink, Millis now);

  [[nodiscard]] Millis deadline() const;
  void timeout(Sink& sink, Millis now);

  /// Who the other side is. A peerbridge peer: what is lost is sent again. PeerJS: candidates travel one by one, and
  /// those that left in batches before it was known leave again. Until then the first of a batch is for both.
  void setNative(bool native, Sink& sink);
  /// The path works, so the other side has what it needs of us; but for an offer that still waits for its answer.
  void confirmed() {
    confirmed_ = true;
    if (signaling_ != Signaling::HaveLocalOffer) resendAt_ = kNever;
  }
  /// The path does not work any more: what comes next may be lost again.
  void unconfirmed() { confirmed_ = false; }
  /// The way to the other side is open again: what it may not have leaves now.
  void resendSoon(Millis now) {
    if (resendAt_ != kNever) resendAt_ = now;
  }
  /// The first offer may be lost with the socket that it left through: once more, unless an answer comes meanwhile.
  void offerAgain(Millis now) {
    if (signaling_ == Signaling::HaveLocalOffer && !holding_) resendAt_ = now + config_.resendDelay;
  }

  /// The other side's candidates go to the browser once more, so that it checks anew.
  void nudge(Sink& sink) {
    if (busy_ != Busy::None || signaling_ != Signaling::Stable) return;
    for (const CandidateInit& candidate : seen_) sink.addCandidate(*this, candidate);
  }

  /// Nothing is under way and no offer is outstanding.
  [[nodiscard]] bool settled() const { return busy_ == Busy::None && signaling_ == Signaling::Stable && !holding_; }
  /// An offer was answered, by this side or the other.
  [[nodiscard]] bool exchanged() const { return exchanged_; }
  /// The operation that the browser is at work on, or 0.
  [[nodiscard]] Op op() const { return op_; }

 private:
  enum class Signaling : std::uint8_t { Stable, HaveLocalOffer, HaveRemoteOffer };
  enum class Busy : std::uint8_t {
    None,
    SettingLocalOffer,
    SettingRemoteOffer,
    SettingLocalAnswer,
    SettingRemoteAnswer,
    Reading,
    RollingBack,
  };
  struct Remote {
    Description description;
    std::uint32_t negotiation = 0;
    bool counted = false;
    bool waits = false;      ///< for its turn
    std::uint32_t seen = 0;  ///< of an offer
  };

  [[nodiscard]] Trickle trickle() const { return whole_ ? Trickle::None : config_.trickle; }
  void step(Sink& sink, Millis now);
  void apply(Remote& remote, Busy busy, Sink& sink);
  void localSet(Description* description, Sink& sink, Millis now);
  void releaseHold(Sink& sink, Millis now);
  void send(Sink& sink, Millis now);
  void scheduleFlush(Millis now);
  void flushCandidates(Sink& sink);
  void offerHeldCandidates(Sink& sink);
  void adoptRemote(const std::string& sdp);
  void resend(Sink& sink, Millis now);
  void rollBack(Sink& sink);

  bool polite_;
  const Config& config_;
  bool native_ = false;
  bool peerJs_ = false;
  bool confirmed_ = false;
  bool exchanged_ = false;
  bool whole_ = false;

  Signaling signaling_ = Signaling::Stable;
  Busy busy_ = Busy::None;
  Op op_ = 0;
  bool needed_ = false;
  Remote pendingOffer_;
  Remote pendingAnswer_;
  Remote applying_;  ///< what SettingRemoteOffer or SettingRemoteAnswer is about

  std::uint32_t ownNegotiation_ = 0;
  std::uint32_t answeredNegotiation_ = 0;  ///< the newest of ours that was answered
  std::uint32_t remoteNegotiation_ = 0;

  Description own_;                          ///< our newest description, kept to be sent again
  Description answer_;                       ///< our newest answer, once own_ is an offer
  std::vector<std::string> completeUfrags_;  ///< the credentials whose gathering is over
  bool holding_ = false;                     ///< it waits for its candidates (without trickle)
  Millis holdUntil_ = 0;
  bool gathered_ = false;
  Millis resendAt_ = kNever;

  std::vector<CandidateInit> outgoing_;  ///< wait for their batch
  std::vector<CandidateInit> gone_;      ///< left already, of the generation that is valid, kept to be sent again
  Millis flushAt_ = kNever;
  bool quick_ = true;     ///< the first candidate of an offer is still to come
  bool patient_ = false;  ///< the batch was put off already, because the path works

  bool remoteSet_ = false;
  std::vector<std::string> remoteUfrags_;
  std::vector<std::string> ignoredUfrags_;
  std::vector<CandidateInit> held_;
  std::vector<CandidateInit> seen_;
};

}  // namespace peerbridge
