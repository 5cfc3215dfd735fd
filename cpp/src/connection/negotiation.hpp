// Perfect negotiation of one RTCPeerConnection (webrtc-pc §10.7), with one browser operation under way at a time.
//
// Who calls: Connection. What it wants done leaves through Sink: commands for the browser, descriptions and candidates
// for the other side. It knows nothing of channels, media, time-outs of the whole, or who carries the signals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

class Negotiation {
 public:
  struct Sink {
    virtual Op setLocalDescription() = 0;
    virtual Op setRemoteDescription(const Description& description) = 0;
    virtual Op readLocalDescription() = 0;
    virtual void addCandidate(const CandidateInit& candidate) = 0;
    /// A description for the other side. `negotiation` counts our offers; an answer echoes the offer's. `seen`: the
    /// newest offer of the other side that an offer was made after.
    virtual void sendDescription(const Description& description, std::uint32_t negotiation, std::uint32_t seen) = 0;
    virtual void sendCandidates(std::vector<CandidateInit>&& candidates) = 0;
    /// The answer is in place on both ends of this exchange, as far as this side can know.
    virtual void negotiated() = 0;
    /// `text` ends where `why` begins.
    virtual void failed(ErrorCode code, const char* text, const std::string& why) = 0;
    virtual void warn(ErrorCode code, const char* text) = 0;

   protected:
    ~Sink() = default;
  };

  /// `polite`: this side yields when two offers cross. Both sides derive it from the two ids.
  /// `candidateBatch`, `resendDelay`: see Config.
  Negotiation(bool polite, Millis candidateBatch, Millis resendDelay)
      : polite_(polite), candidateBatch_(candidateBatch), resendDelay_(resendDelay) {}

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

  /// The other side is a peerbridge peer: candidates travel in batches, not one by one, and what is lost is sent again.
  void setNative(bool native) { native_ = native; }
  /// The path works, so the other side has our answer.
  void confirmed() {
    confirmed_ = true;
    resendAt_ = kNever;
  }

  /// Nothing is under way and no offer is outstanding.
  [[nodiscard]] bool settled() const { return busy_ == Busy::None && signaling_ == Signaling::Stable && !holding_; }

 private:
  enum class Signaling : std::uint8_t { Stable, HaveLocalOffer, HaveRemoteOffer };
  enum class Busy : std::uint8_t {
    None,
    SettingLocalOffer,
    SettingRemoteOffer,
    SettingLocalAnswer,
    SettingRemoteAnswer,
    Reading,
  };
  struct Remote {
    Description description;
    std::uint32_t negotiation = 0;
    bool counted = false;
    bool waits = false;  ///< for its turn
  };

  void step(Sink& sink, Millis now);
  void apply(Remote& remote, Busy busy, Sink& sink);
  void holdDescription(Description* description, Millis now);
  void releaseHold(Sink& sink, Millis now);
  void send(Sink& sink, Millis now);
  void flushCandidates(Sink& sink);
  void offerHeldCandidates(Sink& sink);
  void adoptRemote(const std::string& sdp);

  bool polite_;
  Millis candidateBatch_;
  Millis resendDelay_;
  bool native_ = false;
  bool confirmed_ = false;

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

  bool holding_ = false;
  Description hold_;  ///< what is sent last: waits for candidates to ride with it, and stays to be sent again
  Millis holdUntil_ = 0;
  bool gathered_ = false;
  Millis resendAt_ = kNever;

  std::vector<CandidateInit> outgoing_;
  Millis flushAt_ = kNever;

  bool remoteSet_ = false;
  std::vector<std::string> remoteUfrags_;
  std::vector<std::string> ignoredUfrags_;
  std::vector<CandidateInit> held_;
  std::vector<CandidateInit> seen_;
};

}  // namespace peerbridge
