// Bugs that are put in on purpose, so that it can be shown that the simulation finds each of them
// (scripts/planted-bugs.mjs). Only a build with PEERBRIDGE_PLANTED_BUGS knows them; everywhere else planted() is a
// constant and the compiler drops what depends on it.
#pragma once

#include <cstdint>
#include <string_view>

namespace peerbridge {

enum class Bug : std::uint8_t {
  None,
  NoRollback,
  BothPolite,
  ForgetHeldCandidates,
  EarlyCandidates,
  ForeignCandidates,
  DoubleAnswer,
  StaleAnswer,
  ForgetResend,
  AckOffByOne,
  NoReplay,
  TimerNotRearmed,
  QueueDropsMessages,
  LostOpen,
  NoProbe,
  NoGoodbye,
  NoBudget,
  NoSilence,
  NoRace,
  BothDecide,
  OldLinkStays,
  RacerStays,
  ForgetStripe,
};

#ifdef PEERBRIDGE_PLANTED_BUGS

struct PlantedBug {
  Bug bug;
  std::string_view name;
  std::string_view what;
};

inline constexpr PlantedBug kPlantedBugs[] = {
    {Bug::NoRollback, "no-rollback", "the polite side ignores a crossing offer, too"},
    {Bug::BothPolite, "both-polite", "both sides yield when offers cross"},
    {Bug::ForgetHeldCandidates, "forget-held-candidates", "candidates that came before the description are dropped"},
    {Bug::EarlyCandidates, "early-candidates", "candidates go to the browser before the description"},
    {Bug::ForeignCandidates, "foreign-candidates", "candidates of another generation go to the browser"},
    {Bug::DoubleAnswer, "double-answer", "the copy of an offer is negotiated again"},
    {Bug::StaleAnswer, "stale-answer", "an answer to a withdrawn offer goes to the browser"},
    {Bug::ForgetResend, "forget-resend", "what the server lost is never sent again"},
    {Bug::AckOffByOne, "ack-off-by-one", "one frame more than came is acknowledged"},
    {Bug::NoReplay, "no-replay", "a new channel begins after what was sent, not after what arrived"},
    {Bug::TimerNotRearmed, "timer-not-rearmed", "the deadline of a connection is forgotten after it was due once"},
    {Bug::QueueDropsMessages, "queue-drops-messages", "every fourth message that waits for the server is lost"},
    {Bug::LostOpen, "lost-open", "a server that takes a known id without a word is waited for in vain"},
    {Bug::NoProbe, "no-probe", "a half-open socket is never noticed"},
    {Bug::NoGoodbye, "no-goodbye", "a connection that is closed before it opened tells nobody"},
    {Bug::NoBudget, "no-budget", "recovering has no end"},
    {Bug::NoSilence, "no-silence", "silence is not noticed"},
    {Bug::NoRace, "no-race", "no fresh RTCPeerConnection is made"},
    {Bug::BothDecide, "both-decide", "the side that took the connection adopts the fresh link by itself, too"},
    {Bug::OldLinkStays, "old-link-stays", "the old RTCPeerConnection is kept when a fresh one takes over"},
    {Bug::RacerStays, "racer-stays", "the fresh RTCPeerConnection is kept when the old one won"},
    {Bug::ForgetStripe, "forget-stripe", "what a stripe took with it is not sent again"},
};

/// Set once, before the first endpoint is made.
inline Bug plantedBug = Bug::None;
inline bool planted(Bug bug) { return bug == plantedBug; }

#else

constexpr bool planted(Bug) { return false; }

#endif

}  // namespace peerbridge
