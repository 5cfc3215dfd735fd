// One negotiation, driven step by step: what it asks of the browser, and what it sends to the other side.

#include "connection/negotiation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace peerbridge {
namespace {

std::string sdp(const std::string& ufrag) { return "v=0\r\na=ice-ufrag:" + ufrag + "\r\n"; }

CandidateInit candidate(const std::string& name, const std::string& ufrag) {
  CandidateInit init;
  init.candidate = name;
  init.hasUfrag = true;
  init.usernameFragment = ufrag;
  return init;
}

/// Notes everything that is asked for, one line each.
class Recorder : public ::testing::Test, public Negotiation::Sink {
 protected:
  Op setLocalDescription(Negotiation&) override { return ask("local"); }
  Op setRemoteDescription(Negotiation&, const Description& description) override {
    return ask(description.type == SdpType::Offer ? "remote offer" : "remote answer");
  }
  Op readLocalDescription(Negotiation&) override { return ask("read"); }
  Op rollback(Negotiation&) override { return ask("rollback"); }
  void addCandidate(Negotiation&, const CandidateInit& init) override { log.push_back("add " + init.candidate); }
  void sendDescription(Negotiation&, const Description& description, std::uint32_t number,
                       std::uint32_t seen) override {
    const std::string type = description.type == SdpType::Offer ? "offer " : "answer ";
    log.push_back("send " + type + std::to_string(number) + (seen > 0 ? " seen " + std::to_string(seen) : ""));
  }
  void sendCandidates(Negotiation&, std::vector<CandidateInit>&& candidates) override {
    std::string line = "send";
    for (const CandidateInit& init : candidates) line += " " + init.candidate;
    log.push_back(line);
  }
  bool reachable() const override { return isReachable; }
  void negotiated(Negotiation&) override { log.emplace_back("negotiated"); }
  void failed(Negotiation&, ErrorCode, const char*, const std::string& why) override { log.push_back("failed " + why); }
  void warn(ErrorCode, const char*) override { log.emplace_back("warning"); }

  Op ask(const std::string& what) {
    log.push_back(what);
    return ++op;
  }
  /// The browser is done with what was asked for last.
  void done(Negotiation& negotiation, Millis now) { negotiation.opDone(op, nullptr, *this, now); }
  void localDone(Negotiation& negotiation, SdpType type, Millis now, const std::string& ufrag = "me") {
    Description description{type, sdp(ufrag)};
    negotiation.opDone(op, &description, *this, now);
  }
  std::vector<std::string> take() { return std::exchange(log, {}); }
  /// Runs the timers that are due by `until`.
  void run(Negotiation& negotiation, Millis until) {
    while (negotiation.deadline() <= until) negotiation.timeout(*this, negotiation.deadline());
  }
  /// An offer of ours, out and unanswered at `now`.
  void offer(Negotiation& negotiation, Millis now) {
    negotiation.need(*this, now);
    localDone(negotiation, SdpType::Offer, now);
    (void)take();
  }

  using Lines = std::vector<std::string>;
  Lines log;
  Op op = 0;
  bool isReachable = true;
  Config config;
};

TEST_F(Recorder, AnOfferAndItsFirstCandidateLeaveAtOnceAndTheOthersTwentyMillisecondsLater) {
  Negotiation us(true, config);
  us.need(*this, 0);
  EXPECT_EQ(take(), Lines{"local"});
  localDone(us, SdpType::Offer, 1);
  EXPECT_EQ(take(), Lines{"send offer 1"});
  for (const char* name : {"a", "b", "c"}) {
    CandidateInit init = candidate(name, "me");
    us.localCandidate(init, *this, 3);
  }
  EXPECT_EQ(take(), Lines{"send a"}) << "with it the other side can begin";
  run(us, 22);
  EXPECT_EQ(take(), Lines{});
  run(us, 23);
  EXPECT_EQ(take(), Lines{"send b c"});
}

TEST_F(Recorder, OnceThePathWorksCandidatesWaitForAnOpenConnection) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  for (const char* name : {"a", "b"}) {
    CandidateInit init = candidate(name, "me");
    us.localCandidate(init, *this, 3);
  }
  (void)take();
  us.confirmed();
  us.gatheringComplete(*this, 10);
  run(us, 122);
  EXPECT_EQ(take(), Lines{});
  run(us, 123);
  EXPECT_EQ(take(), Lines{"send b"});
}

TEST_F(Recorder, ASignOfLifeDoesNotEndTheWaitForAnAnswer) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.confirmed();
  offer(us, 0);
  us.confirmed();
  run(us, 4'000);
  EXPECT_EQ(take(), Lines{"send offer 1"});
}

TEST_F(Recorder, HostCandidatesOfAnAnswerWaitForTheConnectionAndTheirCompanyDoesNot) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 0);
  done(us, 0);
  localDone(us, SdpType::Answer, 0);
  EXPECT_EQ(take(), (Lines{"remote offer", "local", "send answer 1", "negotiated"}));
  CandidateInit host = candidate("1 1 udp 1 10.0.0.1 9 typ host", "me");
  us.localCandidate(host, *this, 5);
  EXPECT_EQ(us.deadline(), 105);
  CandidateInit reflexive = candidate("2 1 udp 1 192.0.2.1 9 typ srflx", "me");
  us.localCandidate(reflexive, *this, 30);
  EXPECT_EQ(us.deadline(), 50);
}

TEST_F(Recorder, TowardPeerJsCandidatesLeaveOneByOne) {
  Negotiation us(true, config);
  us.setNative(false, *this);
  offer(us, 0);
  CandidateInit a = candidate("a", "me");
  CandidateInit b = candidate("b", "me");
  us.localCandidate(a, *this, 1);
  us.localCandidate(b, *this, 1);
  EXPECT_EQ(take(), (Lines{"send a", "send b"}));
}

TEST_F(Recorder, ABatchThatAPeerJsPeerCannotReadIsSentAgainOneByOneOnceItIsKnownToBeOne) {
  Negotiation us(true, config);
  offer(us, 0);
  CandidateInit a = candidate("a", "me");
  CandidateInit b = candidate("b", "me");
  CandidateInit c = candidate("c", "me");
  us.localCandidate(a, *this, 1);
  us.localCandidate(b, *this, 1);
  us.localCandidate(c, *this, 1);
  run(us, 30);
  EXPECT_EQ(take(), (Lines{"send a", "send b c"}));
  us.setNative(false, *this);
  EXPECT_EQ(take(), (Lines{"send a", "send b", "send c"}));
}

TEST_F(Recorder, WithoutTrickleADescriptionWaitsForItsCandidatesAndNoneFollow) {
  config.trickle = Trickle::None;
  Negotiation us(true, config);
  offer(us, 0);
  CandidateInit a = candidate("a", "me");
  us.localCandidate(a, *this, 1);
  EXPECT_EQ(us.deadline(), 3'000);
  us.gatheringComplete(*this, 40);
  EXPECT_EQ(take(), Lines{"read"});
  localDone(us, SdpType::Offer, 40);
  EXPECT_EQ(take(), Lines{"send offer 1"});
  CandidateInit late = candidate("late", "me");
  us.localCandidate(late, *this, 50);
  run(us, 1'000);
  EXPECT_EQ(take(), Lines{});
}

TEST_F(Recorder, WithoutTrickleAStunServerThatNeverAnswersIsNotWaitedForLongerThanThreeSeconds) {
  config.trickle = Trickle::None;
  Negotiation us(true, config);
  offer(us, 0);
  run(us, 2'999);
  EXPECT_EQ(take(), Lines{});
  run(us, 3'000);
  EXPECT_EQ(take(), Lines{"read"});
}

TEST_F(Recorder, WithHalfTrickleOnlyTheOfferWaits) {
  config.trickle = Trickle::Half;
  Negotiation us(true, config);
  offer(us, 0);
  EXPECT_EQ(take(), Lines{});
  Negotiation them(false, config);
  them.remoteOffer({SdpType::Offer, sdp("us")}, 1, 0, *this, 0);
  done(them, 0);
  (void)take();
  localDone(them, SdpType::Answer, 0);
  EXPECT_EQ(take(), (Lines{"send answer 1", "negotiated"}));
}

TEST_F(Recorder, CandidatesAreHeldUntilTheDescriptionTheyBelongToIsSet) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  CandidateInit early = candidate("early", "them");
  us.remoteCandidate(early, *this);
  EXPECT_EQ(take(), Lines{});
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 0);
  CandidateInit meanwhile = candidate("meanwhile", "them");
  us.remoteCandidate(meanwhile, *this);
  EXPECT_EQ(take(), Lines{"remote offer"});
  done(us, 1);
  EXPECT_EQ(take(), (Lines{"add early", "add meanwhile", "local"}));
}

TEST_F(Recorder, CandidatesOfAnotherGenerationNeverReachTheBrowser) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.remoteOffer({SdpType::Offer, sdp("first")}, 1, 0, *this, 0);
  done(us, 0);
  localDone(us, SdpType::Answer, 0);
  (void)take();
  CandidateInit next = candidate("of the next one", "second");
  us.remoteCandidate(next, *this);
  EXPECT_EQ(take(), Lines{});
  us.remoteOffer({SdpType::Offer, sdp("second")}, 2, 0, *this, 10);
  done(us, 10);
  EXPECT_EQ(take(), (Lines{"remote offer", "add of the next one", "local"}));
  CandidateInit old = candidate("of the old one", "first");
  us.remoteCandidate(old, *this);
  EXPECT_EQ(take(), Lines{});
}

TEST_F(Recorder, TheSameCandidateIsAddedOnce) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 0);
  done(us, 0);
  (void)take();
  for (int i = 0; i < 3; ++i) {
    CandidateInit same = candidate("same", "them");
    us.remoteCandidate(same, *this);
  }
  EXPECT_EQ(take(), Lines{"add same"});
}

TEST_F(Recorder, ANudgeGivesTheBrowserTheCandidatesItHasOnceMore) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.nudge(*this);
  EXPECT_EQ(take(), Lines{}) << "not before the answer";
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 1);
  done(us, 1);
  CandidateInit a = candidate("a", "them");
  us.remoteCandidate(a, *this);
  (void)take();
  us.nudge(*this);
  us.nudge(*this);
  EXPECT_EQ(take(), (Lines{"add a", "add a"}));
}

TEST_F(Recorder, ThePoliteSideYieldsWhenOffersCrossAndOffersAgain) {
  Negotiation polite(true, config);
  polite.setNative(true, *this);
  offer(polite, 0);
  polite.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 5);
  done(polite, 6);
  localDone(polite, SdpType::Answer, 7);
  EXPECT_EQ(take(), (Lines{"remote offer", "local", "send answer 1", "negotiated"}));
  polite.browserNeeds(*this, 8);
  localDone(polite, SdpType::Offer, 9);
  EXPECT_EQ(take(), (Lines{"local", "send offer 2 seen 1"}));
}

TEST_F(Recorder, TheImpoliteSideGoesOnAndTheCandidatesOfTheIgnoredOfferNeverReachTheBrowser) {
  Negotiation impolite(false, config);
  impolite.setNative(true, *this);
  offer(impolite, 0);
  impolite.remoteOffer({SdpType::Offer, sdp("ignored")}, 1, 0, *this, 5);
  CandidateInit init = candidate("of the ignored one", "ignored");
  impolite.remoteCandidate(init, *this);
  impolite.remoteAnswer({SdpType::Answer, sdp("answer")}, true, 1, *this, 6);
  done(impolite, 7);
  EXPECT_EQ(take(), (Lines{"remote answer", "negotiated"}));
}

TEST_F(Recorder, ABrowserThatDoesNotRollBackByItselfIsToldTo) {
  Negotiation polite(true, config);
  polite.setNative(true, *this);
  offer(polite, 0);
  polite.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 5);
  EXPECT_EQ(take(), Lines{"remote offer"});
  polite.opFailed(op, "InvalidStateError", *this, 6);
  EXPECT_EQ(take(), Lines{"rollback"});
  done(polite, 7);
  EXPECT_EQ(take(), Lines{"remote offer"});
  done(polite, 8);
  localDone(polite, SdpType::Answer, 9);
  EXPECT_EQ(take(), (Lines{"local", "send answer 1", "negotiated"}));
}

TEST_F(Recorder, ARollbackThatFailsTooIsAFailure) {
  Negotiation polite(true, config);
  offer(polite, 0);
  polite.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 5);
  polite.opFailed(op, "InvalidStateError", *this, 6);
  polite.opFailed(op, "NotSupportedError", *this, 7);
  EXPECT_EQ(take(), (Lines{"remote offer", "rollback", "failed NotSupportedError"}));
}

TEST_F(Recorder, AnAnswerThatTheBrowserRefusesLeavesRoomForTheNextOffer) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.remoteAnswer({SdpType::Answer, "nonsense"}, true, 1, *this, 5);
  us.opFailed(op, "OperationError", *this, 6);
  EXPECT_EQ(take(), (Lines{"remote answer", "rollback", "failed OperationError"}));
  done(us, 7);
  us.browserNeeds(*this, 8);
  localDone(us, SdpType::Offer, 9);
  EXPECT_EQ(take(), (Lines{"local", "send offer 2"}));
}

TEST_F(Recorder, AnAnswerToAWithdrawnOfferIsDropped) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 1);
  done(us, 2);
  localDone(us, SdpType::Answer, 3);
  (void)take();
  us.remoteAnswer({SdpType::Answer, sdp("late")}, true, 1, *this, 4);
  EXPECT_EQ(take(), Lines{"warning"});
}

TEST_F(Recorder, TheSecondCopyOfAnAnswerIsNothingToSpeakOf) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 1);
  done(us, 2);
  (void)take();
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 3);
  EXPECT_EQ(take(), Lines{});
}

TEST_F(Recorder, AnOfferThatNothingComesBackForIsSentAgainWithItsCandidates) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  CandidateInit a = candidate("a", "me");
  us.localCandidate(a, *this, 1);
  run(us, 3'999);
  EXPECT_EQ(take(), Lines{"send a"});
  run(us, 4'000);
  EXPECT_EQ(take(), (Lines{"send offer 1", "send a"}));
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 4'100);
  done(us, 4'100);
  EXPECT_EQ(take(), (Lines{"remote answer", "negotiated"}));
}

TEST_F(Recorder, CandidatesAreSentAgainUntilThePathWorks) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  CandidateInit a = candidate("a", "me");
  us.localCandidate(a, *this, 1);
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 10);
  done(us, 10);
  (void)take();
  run(us, 4'010);
  EXPECT_EQ(take(), Lines{"send a"});
  us.confirmed();
  EXPECT_EQ(us.deadline(), kNever);
}

TEST_F(Recorder, AnOfferWithoutAnAnswerIsSentAgainAlthoughThePathWorks) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.confirmed();
  run(us, 4'000);
  EXPECT_EQ(take(), Lines{"send offer 1"}) << "or it would wait for ever, and nothing could be negotiated any more";
}

TEST_F(Recorder, NothingIsSentAgainWhileNothingWouldLeave) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  offer(us, 0);
  isReachable = false;
  run(us, 20'000);
  EXPECT_EQ(take(), Lines{});
  isReachable = true;
  us.resendSoon(20'001);
  us.timeout(*this, 20'001);
  EXPECT_EQ(take(), Lines{"send offer 1"});
}

TEST_F(Recorder, TowardAPeerThatIsNotKnownYetAnOfferIsSentOnce) {
  Negotiation us(true, config);
  offer(us, 0);
  run(us, 60'000);
  EXPECT_EQ(take(), Lines{}) << "PeerJS takes the second copy for another connection";
}

TEST_F(Recorder, TheCopyOfAnOfferBringsTheAnswerAgainAndNoSecondNegotiation) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 0);
  done(us, 0);
  localDone(us, SdpType::Answer, 0);
  (void)take();
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 4'000);
  EXPECT_EQ(take(), Lines{"send answer 1"});
}

TEST_F(Recorder, AnAnswerThatWasLostComesAgainAlthoughAnOfferOfOurOwnIsOut) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 0);
  done(us, 0);
  localDone(us, SdpType::Answer, 0);
  offer(us, 10);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 4'000);
  EXPECT_EQ(take(), Lines{"send answer 1"}) << "without it the other side can take no offer";
}

TEST_F(Recorder, AnOfferThatIsSentAgainBringsTheAnswerBeforeItAgainUntilThePathWorks) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.remoteOffer({SdpType::Offer, sdp("them")}, 1, 0, *this, 0);
  done(us, 0);
  localDone(us, SdpType::Answer, 0);
  offer(us, 10);
  run(us, 4'010);
  EXPECT_EQ(take(), (Lines{"send answer 1", "send offer 1 seen 1"}));
  us.confirmed();
  run(us, 8'010);
  EXPECT_EQ(take(), Lines{"send offer 1 seen 1"});
}

TEST_F(Recorder, WithoutTrickleARenegotiationThatGathersNothingDoesNotWait) {
  config.trickle = Trickle::None;
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.need(*this, 0);
  localDone(us, SdpType::Offer, 0);
  us.gatheringComplete(*this, 10);
  localDone(us, SdpType::Offer, 10);  // read again, with its candidates
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 20);
  done(us, 20);
  (void)take();
  us.need(*this, 30);
  localDone(us, SdpType::Offer, 30);
  EXPECT_EQ(take(), (Lines{"local", "read"}));
}

TEST_F(Recorder, AnOfferThatWasWithdrawnAndComesLateIsKnownForWhatItIs) {
  Negotiation us(false, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 10);
  done(us, 10);
  (void)take();
  us.remoteOffer({SdpType::Offer, sdp("old")}, 1, 0, *this, 20);
  EXPECT_EQ(take(), Lines{}) << "who answered our offer 1 had withdrawn its own before";
}

TEST_F(Recorder, AnOfferThatIsOvertakenWhileItWaitsForTheBrowserIsDropped) {
  Negotiation us(false, config);
  us.setNative(true, *this);
  offer(us, 0);
  us.remoteAnswer({SdpType::Answer, sdp("them")}, true, 1, *this, 1);
  // Withdrawn by the other side before it answered; a slow transport brings it only now.
  us.remoteOffer({SdpType::Offer, sdp("late")}, 1, 0, *this, 1);
  (void)take();
  done(us, 2);
  EXPECT_EQ(take(), Lines{"negotiated"});
  us.remoteOffer({SdpType::Offer, sdp("newer")}, 3, 1, *this, 3);
  us.remoteOffer({SdpType::Offer, sdp("older")}, 2, 1, *this, 3);
  (void)take();
  done(us, 4);
  EXPECT_EQ(take(), Lines{"local"}) << "the answer to the newer one";
}

TEST_F(Recorder, OneOperationIsUnderWayAtATime) {
  Negotiation us(true, config);
  us.setNative(true, *this);
  us.need(*this, 0);
  us.remoteOffer({SdpType::Offer, sdp("a")}, 1, 0, *this, 0);
  us.remoteOffer({SdpType::Offer, sdp("b")}, 2, 0, *this, 0);
  EXPECT_EQ(take(), Lines{"local"});
  localDone(us, SdpType::Offer, 1);
  EXPECT_EQ(take(), Lines{"remote offer"}) << "its own offer was not sent: the other side's is here already";
  done(us, 2);
  EXPECT_EQ(take(), Lines{"local"});
  localDone(us, SdpType::Answer, 3);
  EXPECT_EQ(take(), (Lines{"send answer 2", "negotiated"})) << "only the newest of the other side's offers counts";
}

TEST_F(Recorder, CompletionsThatNobodyWaitsForAreIgnored) {
  Negotiation us(true, config);
  us.need(*this, 0);
  (void)take();
  us.opDone(op + 7, nullptr, *this, 1);
  us.opDone(0, nullptr, *this, 1);
  us.opFailed(op + 7, "x", *this, 1);
  EXPECT_EQ(take(), Lines{});
}

}  // namespace
}  // namespace peerbridge
