#include "framing/transfer.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "framing_pair.hpp"

namespace peerbridge::testing {
namespace {

using States = std::vector<TransferState>;

/// Both ends of handle 1: what the receiver calls it.
constexpr TransferHandle kOut = 1;
constexpr TransferHandle kIn = 2;

class TransferTest : public ::testing::Test {
 protected:
  explicit TransferTest(const FramingConfig& config = {}) : pair(config) {
    pair.attach();
    pair.settle();
  }
  /// A transfer that moves no byte before the test says so.
  void begin(std::size_t length, std::optional<std::uint64_t> size) {
    pair.a.supplyAll = false;
    ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, length), size));
    pair.settle();
    ASSERT_EQ(pair.a.state(kOut), TransferState::Active);
  }
  Pair pair;
};

TEST_F(TransferTest, AFileArrivesByteForByteAndIsDoneOnBothSides) {
  const Bytes file = patternOf(1, 5'000'001);
  ASSERT_TRUE(pair.a.offer(kOut, file, file.size(), "holiday.jpg"));
  pair.settle();
  const End::Sink& sink = pair.b.sinks[kIn];
  EXPECT_EQ(sink.name, "holiday.jpg");
  EXPECT_EQ(sink.mime, "text/plain");
  EXPECT_EQ(sink.size, file.size());
  EXPECT_TRUE(sink.bytes == file);
  EXPECT_EQ(pair.a.states[kOut], (States{TransferState::Active, TransferState::Done}));
  EXPECT_EQ(pair.b.states[kIn], (States{TransferState::Active, TransferState::Done}));
  EXPECT_EQ(pair.a.progress[kOut], file.size());
  EXPECT_GT(pair.a.count(Kind::TransferProgress), 5u);
}

TEST_F(TransferTest, TheSenderHearsOfProgressTenTimesASecondWhereThePathIsSlow) {
  begin(200'000, 200'000);
  for (int i = 0; i < 20; ++i) {
    pair.a.supply(kOut, static_cast<std::uint64_t>(i) * 10'000, 10'000);
    pair.settle();
    pair.advance(60);
  }
  pair.settle();
  EXPECT_GE(pair.a.count(Kind::TransferProgress), 8u);
  EXPECT_LE(pair.a.count(Kind::TransferProgress), 12u);
}

TEST_F(TransferTest, AnEmptyFileArrives) {
  ASSERT_TRUE(pair.a.offer(kOut, {}, 0));
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].completed);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, AStreamOfUnknownLengthArrives) {
  const Bytes stream = patternOf(2, 1'234'567);
  ASSERT_TRUE(pair.a.offer(kOut, stream, std::nullopt));
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].size, std::nullopt);
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == stream);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, AnEmptyStreamArrives) {
  ASSERT_TRUE(pair.a.offer(kOut, {}, std::nullopt));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
  EXPECT_EQ(pair.b.state(kIn), TransferState::Done);
}

TEST_F(TransferTest, AStreamMayHandOutMoreThanItWasAskedFor) {
  begin(0, std::nullopt);
  const Bytes chunk = patternOf(3, 700'000);
  EXPECT_NE(pair.a.putPiece(kOut, chunk), 0u);
  EXPECT_TRUE(pair.a.framing.transferEnd(kOut));
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == chunk);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, BothSidesSendFilesAtOnce) {
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 800'000), 800'000));
  ASSERT_TRUE(pair.b.offer(kOut, patternOf(2, 900'000), std::nullopt));
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == patternOf(1, 800'000));
  EXPECT_TRUE(pair.a.sinks[kIn].bytes == patternOf(2, 900'000));
}

TEST_F(TransferTest, HandlesAreOddAndRise) {
  EXPECT_FALSE(pair.a.framing.offer(0, "x", "", 1));
  EXPECT_FALSE(pair.a.framing.offer(2, "x", "", 1));
  EXPECT_TRUE(pair.a.framing.offer(7, "x", "", 1));
  EXPECT_FALSE(pair.a.framing.offer(7, "x", "", 1));
  EXPECT_FALSE(pair.a.framing.offer(5, "x", "", 1));
  EXPECT_FALSE(pair.a.framing.offer(0xffffffff, "x", "", 1));
  EXPECT_TRUE(pair.a.framing.offer(0xfffffffd, "x", "", 1));
  pair.settle();
  EXPECT_EQ(pair.b.sinks.count(0xfffffffe), 1u);
  EXPECT_EQ(pair.b.violation(), "");
}

TEST_F(TransferTest, ALongNameIsCutBetweenCharacters) {
  std::string name;
  while (name.size() < 1'000) name += "€";
  ASSERT_TRUE(pair.a.framing.offer(kOut, name, std::string(300, 'm'), 1));
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].name, name.substr(0, 768));
  EXPECT_EQ(pair.b.sinks[kIn].mime.size(), 256u);
}

// -- reading ahead and the window ----------------------------------------------------------------------

TEST_F(TransferTest, SeveralReadsAreUnderWayBeforeTheFirstIsAnswered) {
  begin(10'000'000, 10'000'000);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> reads;
  for (const FramingEvent& event : pair.a.events) {
    if (event.kind == Kind::TransferRead) reads.emplace_back(event.offset, event.length);
  }
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> expected = {
      {0, 261'888}, {261'888, 261'888}, {523'776, 261'888}, {785'664, 261'888}};
  EXPECT_EQ(reads, expected);
}

TEST_F(TransferTest, NoReadGoesBeyondTheDeclaredSizeAndALastOneAsksForTheEnd) {
  begin(300'000, 300'000);
  EXPECT_EQ(pair.a.count(Kind::TransferRead), 2u);
  EXPECT_EQ(pair.a.events.back().offset, 261'888u);
  EXPECT_EQ(pair.a.events.back().length, 38'112u);
  pair.a.supply(kOut, 0, 261'888);
  pair.settle();
  EXPECT_EQ(pair.a.count(Kind::TransferRead), 2u);
  pair.a.supply(kOut, 261'888, 38'112);
  pair.a.poll();
  EXPECT_EQ(pair.a.count(Kind::TransferRead), 3u);
  EXPECT_EQ(pair.a.events.back().offset, 300'000u);
  EXPECT_EQ(pair.a.events.back().length, 0u);
  EXPECT_TRUE(pair.a.framing.transferEnd(kOut));
  EXPECT_TRUE(pair.a.framing.transferEnd(kOut));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, ManyTransfersReadAheadLessEach) {
  pair.a.supplyAll = false;
  for (TransferHandle handle = 1; handle < 400; handle += 2) pair.a.offer(handle, {}, 10'000'000);
  pair.settle();
  std::uint64_t total = 0;
  for (const FramingEvent& event : pair.a.events) {
    if (event.kind == Kind::TransferRead) total += event.length;
  }
  EXPECT_LE(total, 200u * 4 * 16'384 + 4 * 261'888);
}

TEST_F(TransferTest, ASinkThatDoesNotConsumeStopsTheSenderAtTheWindow) {
  pair.b.consumeAll = false;
  const Bytes file = patternOf(1, 8'000'000);
  ASSERT_TRUE(pair.a.offer(kOut, file, file.size()));
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].bytes.size(), 6'291'456u);
  EXPECT_EQ(pair.a.count(Kind::TransferProgress), 0u);
  EXPECT_FALSE(pair.a.framing.wantsTransmit());
  // Meanwhile everything else goes on.
  pair.a.put(Lane::Normal, "still here");
  pair.settle();
  EXPECT_EQ(pair.b.got[1].size(), 1u);
  pair.b.consumeAll = true;
  pair.b.consume();
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == file);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, ConsumingMoreThanCameIsRefused) {
  pair.b.consumeAll = false;
  begin(10, 10);
  EXPECT_FALSE(pair.b.framing.transferConsumed(kIn, 1, pair.now));
  pair.a.supply(kOut, 0, 10);
  pair.settle();
  EXPECT_FALSE(pair.b.framing.transferConsumed(kIn, 11, pair.now));
  EXPECT_TRUE(pair.b.framing.transferConsumed(kIn, 10, pair.now));
  EXPECT_FALSE(pair.b.framing.transferConsumed(kIn, 1, pair.now));
}

TEST_F(TransferTest, SeveralTransfersShareTheLane) {
  for (TransferHandle handle = 1; handle <= 5; handle += 2) {
    pair.a.offer(handle, patternOf(handle, 3'000'000), 3'000'000);
  }
  std::size_t least = 0;
  std::size_t most = 0;
  for (int i = 0; i < 1'000 && most < 1'500'000; ++i) {
    pair.poll();
    pair.pumpA(2);
    pair.pumpB();
    pair.deliverToB();
    pair.deliverToA();
    least = most = pair.b.sinks[2].bytes.size();
    for (const TransferHandle handle : {4u, 6u}) {
      least = std::min(least, pair.b.sinks[handle].bytes.size());
      most = std::max(most, pair.b.sinks[handle].bytes.size());
    }
    EXPECT_LE(most - least, 300'000u);
  }
  pair.settle();
  for (TransferHandle handle = 1; handle <= 5; handle += 2) {
    EXPECT_TRUE(pair.b.sinks[handle + 1].bytes == patternOf(handle, 3'000'000));
  }
}

TEST_F(TransferTest, OffersBeyond256WaitTheirTurn) {
  pair.b.acceptAll = false;
  for (TransferHandle handle = 1; handle <= 599; handle += 2) ASSERT_TRUE(pair.a.offer(handle, bytesOf("x"), 1));
  pair.settle();
  EXPECT_EQ(pair.b.sinks.size(), 256u);
  EXPECT_EQ(pair.b.violation(), "");
  EXPECT_TRUE(pair.b.framing.reject(2, "no"));
  EXPECT_TRUE(pair.a.framing.cancel(3, "changed my mind"));
  EXPECT_TRUE(pair.a.framing.cancel(599, "changed my mind"));
  pair.settle();
  EXPECT_EQ(pair.b.sinks.size(), 258u);
  pair.b.acceptAll = true;
  for (TransferHandle handle = 6; handle <= 516; handle += 2) EXPECT_TRUE(pair.b.framing.accept(handle));
  pair.settle();
  EXPECT_EQ(pair.b.sinks.size(), 299u);
  EXPECT_EQ(pair.b.violation(), "");
  for (TransferHandle handle = 5; handle < 599; handle += 2) EXPECT_EQ(pair.a.state(handle), TransferState::Done);
}

TEST_F(TransferTest, APingDoesNotWaitBehindAFile) {
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 4'000'000), 4'000'000));
  for (int i = 0; i < 10; ++i) {
    pair.poll();
    pair.pumpA();
    pair.deliverToB();
    pair.pumpB();
    pair.deliverToA();
  }
  pair.a.put(Lane::High, "ping");
  const std::size_t before = pair.toB.size();
  pair.pumpA();
  ASSERT_GT(pair.toB.size(), before);
  EXPECT_LT(pair.toB[before].size(), 30u);
}

// -- the ends ------------------------------------------------------------------------------------------

TEST_F(TransferTest, ARejectionTellsWhy) {
  pair.b.acceptAll = false;
  ASSERT_TRUE(pair.a.offer(kOut, bytesOf("x"), 1));
  pair.settle();
  EXPECT_TRUE(pair.b.framing.reject(kIn, "too large"));
  EXPECT_FALSE(pair.b.framing.accept(kIn));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Rejected);
  EXPECT_EQ(pair.a.reasons[kOut], "too large");
  EXPECT_EQ(pair.b.state(kIn), TransferState::Rejected);
  EXPECT_EQ(pair.a.count(Kind::TransferRead), 0u);
}

TEST_F(TransferTest, TheSenderMayCancelInTheMiddle) {
  begin(3'000'000, 3'000'000);
  pair.a.supply(kOut, 0, 131'072);
  pair.a.framing.cancel(kOut, "wrong file");
  EXPECT_EQ(pair.a.putPiece(kOut, Bytes(10)), 0u);
  EXPECT_FALSE(pair.a.framing.cancel(kOut, "again"));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Cancelled);
  EXPECT_EQ(pair.b.state(kIn), TransferState::Cancelled);
  EXPECT_EQ(pair.b.reasons[kIn], "wrong file");
  EXPECT_TRUE(pair.b.sinks[kIn].bytes.empty());
  EXPECT_EQ(pair.a.framing.stats().queuedBytes, 0u);
}

TEST_F(TransferTest, TheReceiverMayCancelInTheMiddleAndGetsNoMoreBytes) {
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 3'000'000), 3'000'000));
  while (pair.b.sinks[kIn].bytes.empty()) {
    pair.poll();
    pair.pumpA();
    pair.pumpB();
    pair.deliverToB();
    pair.deliverToA();
  }
  const std::size_t got = pair.b.sinks[kIn].bytes.size();
  EXPECT_TRUE(pair.b.framing.cancel(kIn, "disk full"));
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].bytes.size(), got);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Cancelled);
  EXPECT_EQ(pair.a.reasons[kOut], "disk full");
  EXPECT_EQ(pair.b.state(kIn), TransferState::Cancelled);
  EXPECT_EQ(pair.a.violation() + pair.b.violation(), "");
}

TEST_F(TransferTest, BothMayCancelAtOnce) {
  begin(3'000'000, 3'000'000);
  EXPECT_TRUE(pair.a.framing.cancel(kOut, "a"));
  EXPECT_TRUE(pair.b.framing.cancel(kIn, "b"));
  pair.settle();
  EXPECT_EQ(pair.a.states[kOut], (States{TransferState::Active, TransferState::Cancelled}));
  EXPECT_EQ(pair.b.states[kIn], (States{TransferState::Active, TransferState::Cancelled}));
  EXPECT_EQ(pair.a.reasons[kOut], "a");
}

TEST_F(TransferTest, AnOfferCancelledBeforeItLeavesIsNeverSeen) {
  ASSERT_TRUE(pair.a.offer(kOut, bytesOf("x"), 1));
  EXPECT_TRUE(pair.a.framing.cancel(kOut, "no"));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Cancelled);
  EXPECT_TRUE(pair.b.sinks.empty());
}

TEST_F(TransferTest, FewerBytesThanDeclaredFailOnBothSides) {
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 99), 100));
  pair.settle();
  for (const auto& [end, handle] : {std::pair{&pair.a, kOut}, std::pair{&pair.b, kIn}}) {
    EXPECT_EQ(end->state(handle), TransferState::Failed);
    EXPECT_EQ(end->reasons[handle], "fewer bytes than declared");
  }
}

TEST_F(TransferTest, MoreBytesThanDeclaredFailOnBothSides) {
  begin(100, 100);
  EXPECT_NE(pair.a.putPiece(kOut, patternOf(1, 100)), 0u);
  EXPECT_EQ(pair.a.putPiece(kOut, patternOf(1, 1)), 0u);
  pair.settle();
  for (const auto& [end, handle] : {std::pair{&pair.a, kOut}, std::pair{&pair.b, kIn}}) {
    EXPECT_EQ(end->state(handle), TransferState::Failed);
    EXPECT_EQ(end->reasons[handle], "more bytes than declared");
  }
}

TEST_F(TransferTest, DoneComesOnlyWhenTheReceiverCompleted) {
  pair.b.completeAll = false;
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 1'000), 1'000));
  EXPECT_FALSE(pair.b.framing.transferComplete(kIn));
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].ended);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Active);
  EXPECT_TRUE(pair.b.framing.transferComplete(kIn));
  EXPECT_FALSE(pair.b.framing.transferComplete(kIn));
  EXPECT_FALSE(pair.b.framing.cancel(kIn, "late"));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
  EXPECT_FALSE(pair.a.framing.cancel(kOut, "late"));
}

TEST_F(TransferTest, CompletingBeforeTheEndIsRefused) {
  begin(10, 10);
  EXPECT_FALSE(pair.b.framing.transferComplete(kIn));
  EXPECT_EQ(pair.b.state(kIn), TransferState::Active);
}

TEST_F(TransferTest, APauseStopsReadsAndBytesUntilWhoPausedResumes) {
  for (const bool bySender : {true, false}) {
    Pair p;
    p.attach();
    const Bytes file = patternOf(1, 4'000'000);
    ASSERT_TRUE(p.a.offer(kOut, file, file.size()));
    while (p.b.sinks[kIn].bytes.empty()) {
      p.poll();
      p.pumpA();
      p.pumpB();
      p.deliverToB();
      p.deliverToA();
    }
    Framing& pauser = bySender ? p.a.framing : p.b.framing;
    Framing& other = bySender ? p.b.framing : p.a.framing;
    const TransferHandle handle = bySender ? kOut : kIn;
    EXPECT_TRUE(pauser.pause(handle));
    EXPECT_TRUE(pauser.pause(handle));
    p.settle();
    EXPECT_EQ(p.a.state(kOut), TransferState::Paused);
    EXPECT_EQ(p.b.state(kIn), TransferState::Paused);
    EXPECT_FALSE(other.resume(bySender ? kIn : kOut));
    const std::size_t got = p.b.sinks[kIn].bytes.size();
    const std::size_t reads = p.a.count(Kind::TransferRead);
    EXPECT_LT(got, file.size());
    p.settle();
    EXPECT_EQ(p.b.sinks[kIn].bytes.size(), got);
    EXPECT_EQ(p.a.count(Kind::TransferRead), reads);
    EXPECT_TRUE(pauser.resume(handle));
    EXPECT_FALSE(pauser.resume(handle));
    p.settle();
    EXPECT_TRUE(p.b.sinks[kIn].bytes == file);
    EXPECT_EQ(p.a.state(kOut), TransferState::Done);
  }
}

TEST_F(TransferTest, BothMayPauseAndBothHaveToResume) {
  begin(10, 10);
  EXPECT_TRUE(pair.a.framing.pause(kOut));
  EXPECT_TRUE(pair.b.framing.pause(kIn));
  pair.settle();
  EXPECT_TRUE(pair.a.framing.resume(kOut));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Paused);
  EXPECT_EQ(pair.b.state(kIn), TransferState::Paused);
  EXPECT_TRUE(pair.b.framing.resume(kIn));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Active);
  EXPECT_EQ(pair.b.state(kIn), TransferState::Active);
}

TEST_F(TransferTest, APausedTransferCanBeCancelled) {
  begin(10, 10);
  EXPECT_TRUE(pair.b.framing.pause(kIn));
  pair.settle();
  EXPECT_TRUE(pair.a.framing.cancel(kOut, "enough"));
  pair.settle();
  EXPECT_EQ(pair.b.state(kIn), TransferState::Cancelled);
}

TEST_F(TransferTest, AbortFailsWhatIsUnfinishedWithTheReason) {
  pair.b.acceptAll = false;
  pair.a.supplyAll = false;
  ASSERT_TRUE(pair.a.offer(1, bytesOf("x"), 1));
  ASSERT_TRUE(pair.a.offer(3, bytesOf("y"), 1));
  ASSERT_TRUE(pair.a.offer(5, bytesOf("z"), 1));
  pair.settle();
  EXPECT_TRUE(pair.b.framing.accept(2));
  EXPECT_TRUE(pair.b.framing.reject(4, "no"));
  pair.settle();
  for (End* end : {&pair.a, &pair.b}) {
    end->framing.abort("the connection was lost");
    end->poll();
    const TransferHandle shift = end == &pair.a ? 0 : 1;
    EXPECT_EQ(end->state(1 + shift), TransferState::Failed);
    EXPECT_EQ(end->reasons[1 + shift], "the connection was lost");
    EXPECT_EQ(end->state(3 + shift), TransferState::Rejected);
    EXPECT_EQ(end->state(5 + shift), TransferState::Failed);
    EXPECT_FALSE(end->framing.cancel(1 + shift, "late"));
  }
}

TEST_F(TransferTest, ClosingCancelsWhatIsUnfinished) {
  begin(10, 10);
  pair.a.framing.close("bye", pair.now);
  EXPECT_FALSE(pair.a.framing.offer(9, "x", "", 1));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Cancelled);
  EXPECT_EQ(pair.b.state(kIn), TransferState::Cancelled);
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
}

TEST_F(TransferTest, ATransferSurvivesLostChannels) {
  const Bytes file = patternOf(1, 6'000'000);
  ASSERT_TRUE(pair.a.offer(kOut, file, file.size()));
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 7; ++i) {
      pair.poll();
      pair.pumpA();
      pair.pumpB();
      pair.deliverToB();
      pair.deliverToA();
    }
    pair.cut();
    pair.attach();
  }
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == file);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
  EXPECT_GT(pair.a.framing.stats().framesReplayed, 0u);
}

// -- the check at the end ------------------------------------------------------------------------------

const std::string kDigest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string kOther = "10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

TEST_F(TransferTest, EqualDigestsMakeItDone) {
  pair.b.completeAll = false;
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 1'000), 1'000));
  pair.a.sources[kOut].digest = kDigest;
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].digest, kDigest);
  EXPECT_TRUE(pair.b.framing.transferComplete(kIn, kDigest));
  pair.settle();
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
  EXPECT_EQ(pair.b.state(kIn), TransferState::Done);
}

TEST_F(TransferTest, DigestsThatDifferFailItOnBothSides) {
  pair.b.completeAll = false;
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 1'000), 1'000));
  pair.a.sources[kOut].digest = kDigest;
  pair.settle();
  EXPECT_TRUE(pair.b.framing.transferComplete(kIn, kOther));
  pair.settle();
  for (const auto& [end, handle] : {std::pair{&pair.a, kOut}, std::pair{&pair.b, kIn}}) {
    EXPECT_EQ(end->state(handle), TransferState::Failed);
    EXPECT_EQ(end->errors[handle], ErrorCode::Corrupted);
    EXPECT_EQ(end->reasons[handle], "the bytes that came are not those that were sent");
  }
}

TEST_F(TransferTest, WhereOneSideKnowsNoDigestNothingIsCompared) {
  for (const auto& [sent, own] : {std::pair{"", kOther}, std::pair{kDigest.c_str(), std::string()},
                                  std::pair{"no digest", kOther}, std::pair{kDigest.c_str(), kDigest.substr(1)}}) {
    Pair each;
    each.attach();
    each.b.completeAll = false;
    ASSERT_TRUE(each.a.offer(kOut, patternOf(1, 10), 10));
    each.a.sources[kOut].digest = sent;
    each.settle();
    EXPECT_TRUE(each.b.framing.transferComplete(kIn, own));
    each.settle();
    EXPECT_EQ(each.a.state(kOut), TransferState::Done);
  }
}

// -- going on ------------------------------------------------------------------------------------------

TEST_F(TransferTest, AKeyTravelsAndIsCutBetweenCharacters) {
  std::string key;
  while (key.size() < 200) key += "\u20ac";
  ASSERT_TRUE(pair.a.framing.offer(kOut, "f", "", 1, key));
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].key, key.substr(0, 126));
}

TEST_F(TransferTest, TheLongestOfferFitsTheSmallestFrame) {
  Pair narrow;
  narrow.attach(1'200);
  narrow.settle();
  ASSERT_TRUE(narrow.a.framing.offer(0xfffffffd, std::string(800, 'n'), std::string(300, 'm'), kMaxVarint - 1,
                                     std::string(200, 'k')));
  narrow.settle();
  EXPECT_EQ(narrow.b.sinks[0xfffffffe].key.size(), 128u);
  EXPECT_EQ(narrow.b.violation(), "");
}

TEST_F(TransferTest, ASenderBeginsBehindWhatTheReceiverHas) {
  pair.b.acceptAll = false;
  const Bytes file = patternOf(1, 3'000'000);
  ASSERT_TRUE(pair.a.offer(kOut, file, file.size()));
  pair.a.sources[kOut].digest = kDigest;
  pair.settle();
  EXPECT_FALSE(pair.b.framing.accept(kIn, file.size() + 1));
  ASSERT_TRUE(pair.b.framing.accept(kIn, 2'000'001));
  pair.settle();
  EXPECT_EQ(pair.a.find(Kind::TransferRead)->offset, 2'000'001u);
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == Bytes(file.begin() + 2'000'001, file.end()));
  EXPECT_EQ(pair.a.find(Kind::TransferProgress)->size, 2'000'001u);
  EXPECT_EQ(pair.a.progress[kOut], file.size());
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, AReceiverThatHasItAllIsSentNothingAndChecksIt) {
  pair.b.acceptAll = false;
  ASSERT_TRUE(pair.a.offer(kOut, patternOf(1, 1'000), 1'000));
  pair.a.sources[kOut].digest = kDigest;
  pair.settle();
  ASSERT_TRUE(pair.b.framing.accept(kIn, 1'000));
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].bytes.empty());
  EXPECT_EQ(pair.b.sinks[kIn].digest, kDigest);
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, AStreamOfUnknownLengthGoesOnToo) {
  pair.b.acceptAll = false;
  const Bytes stream = patternOf(2, 400'000);
  ASSERT_TRUE(pair.a.offer(kOut, stream, std::nullopt));
  pair.settle();
  ASSERT_TRUE(pair.b.framing.accept(kIn, 300'000));
  pair.settle();
  EXPECT_TRUE(pair.b.sinks[kIn].bytes == Bytes(stream.begin() + 300'000, stream.end()));
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
}

TEST_F(TransferTest, WhatClosingEndsMayGoOnOverAnotherConnectionAndSaysSo) {
  begin(10, 10);
  pair.a.framing.close("bye", pair.now);
  pair.settle();
  EXPECT_EQ(pair.a.errors[kOut], ErrorCode::ConnectionClosed);
  EXPECT_EQ(pair.b.errors[kIn], ErrorCode::ConnectionClosed);
}

TEST_F(TransferTest, OffsetsBeyondFourGigabytesAreNotCut) {
  constexpr std::uint64_t kSize = 10'000'000'000;
  constexpr std::uint64_t kFrom = kSize - 1'000'000;
  pair.a.supplyAll = false;
  pair.b.acceptAll = false;
  ASSERT_TRUE(pair.a.offer(kOut, {}, kSize));
  pair.settle();
  EXPECT_EQ(pair.b.sinks[kIn].size, kSize);
  ASSERT_TRUE(pair.b.framing.accept(kIn, kFrom));
  pair.settle();
  std::uint64_t offset = kFrom;
  std::size_t seen = 0;
  while (pair.a.state(kOut) == TransferState::Active && offset <= kSize) {
    const FramingEvent* next = nullptr;
    for (; seen < pair.a.events.size() && next == nullptr; ++seen) {
      if (pair.a.events[seen].kind == Kind::TransferRead) next = &pair.a.events[seen];
    }
    ASSERT_NE(next, nullptr);
    ASSERT_EQ(next->offset, offset);
    offset += next->length;
    if (next->length == 0) {
      EXPECT_TRUE(pair.a.framing.transferEnd(kOut));
    } else {
      EXPECT_NE(pair.a.putPiece(kOut, patternOf(1, static_cast<std::size_t>(next->length))), 0u);
    }
    pair.settle();
  }
  EXPECT_EQ(pair.a.state(kOut), TransferState::Done);
  EXPECT_EQ(pair.a.progress[kOut], kSize);
  EXPECT_EQ(pair.b.sinks[kIn].bytes.size(), 1'000'000u);
}

// -- hostile bytes -------------------------------------------------------------------------------------

class TransferHostile : public ::testing::Test {
 protected:
  TransferHostile() : end({}) {
    end.framing.attach(262'144, 0);
    pump();
    end.receive(helloFrame(), 0);
  }
  void pump() {
    std::deque<Bytes> wire;
    std::uint64_t buffered = 0;
    end.pump(wire, buffered, 0);
  }
  void receive(const std::vector<Bytes>& messages, Format format = kFormatTransferControl) {
    FrameText frame(FrameType::Bulk);
    frame.varint(++seq).varint(0);
    for (const Bytes& message : messages) frame.segment(Lane::File, true, true, format, {}, textOf(message));
    end.receive(frame, 0);
  }
  static FrameText op(TransferOp op, std::uint64_t id) { return FrameText(static_cast<unsigned>(op)).varint(id); }
  static Bytes offer(std::uint64_t id, std::uint64_t sizeAndOne = 0) {
    return op(TransferOp::Offer, id).varint(sizeAndOne).varint(1).text("f").varint(0);
  }
  void data(std::uint64_t id, std::string_view bytes) {
    FrameText message(0u);
    message.bytes.clear();
    receive({message.varint(id).text(bytes)}, kFormatTransferData);
  }
  End end;
  std::uint64_t seq = 0;
};

TEST_F(TransferHostile, UnknownOpsAreViolationsAndReservedOnesAreNot) {
  receive({FrameText(0x20u), FrameText(0x3fu).text("later")});
  EXPECT_EQ(end.violation(), "");
  receive({FrameText(0x40u)});
  EXPECT_EQ(end.violation(), "an unknown transfer message");
}

TEST_F(TransferHostile, AnEmptyControlMessage) {
  receive({Bytes{}});
  EXPECT_EQ(end.violation(), "an empty transfer message");
}

TEST_F(TransferHostile, AnOfferTwice) {
  receive({offer(1), offer(1)});
  EXPECT_EQ(end.violation(), "an offer whose id was used before");
}

TEST_F(TransferHostile, AnOfferWithALyingNameLength) {
  receive({op(TransferOp::Offer, 1).varint(0).varint(600).text("f").varint(0)});
  EXPECT_EQ(end.violation(), "a transfer offer that cannot be read");
}

TEST_F(TransferHostile, TooManyOffers) {
  end.acceptAll = false;
  std::vector<Bytes> offers;
  for (std::uint64_t id = 1; id <= 256; ++id) offers.push_back(offer(id));
  receive(offers);
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.sinks.size(), 256u);
  receive({offer(257)});
  EXPECT_EQ(end.violation(), "too many transfer offers at once");
}

TEST_F(TransferHostile, OffersThatComeAndGoInOneFrameLeaveNothingBehind) {
  std::vector<Bytes> messages;
  for (std::uint64_t id = 1; id <= 3'000; ++id) {
    messages.push_back(offer(id));
    messages.push_back(op(TransferOp::Stop, id).byte(0).varint(0));
  }
  receive(messages);
  EXPECT_EQ(end.violation(), "");
  EXPECT_TRUE(end.sinks.empty());
}

TEST_F(TransferHostile, MessagesOfNoTransfer) {
  receive({op(TransferOp::End, 1).varint(0)});
  EXPECT_EQ(end.violation(), "a message of no transfer");
}

TEST_F(TransferHostile, BytesOfNoTransfer) {
  data(1, "x");
  EXPECT_EQ(end.violation(), "bytes of no transfer");
}

TEST_F(TransferHostile, BytesBeforeTheAcceptance) {
  end.acceptAll = false;
  receive({offer(1)});
  data(1, "x");
  EXPECT_EQ(end.violation(), "more bytes of a transfer than its window allows");
  EXPECT_TRUE(end.sinks[2].bytes.empty());
}

TEST_F(TransferHostile, BytesBeyondTheWindow) {
  end.consumeAll = false;
  receive({offer(1)});
  for (int i = 0; i < 192; ++i) data(1, std::string(32'768, 'x'));
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.sinks[2].bytes.size(), 6'291'456u);
  data(1, "x");
  EXPECT_EQ(end.violation(), "more bytes of a transfer than its window allows");
}

TEST_F(TransferHostile, BytesBeyondTheDeclaredSizeFailTheTransferOnly) {
  receive({offer(1, 11)});
  data(1, "12345");
  data(1, "678901");
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.state(2), TransferState::Failed);
  EXPECT_EQ(end.sinks[2].bytes.size(), 5u);
  data(1, "more");
  EXPECT_EQ(end.sinks[2].bytes.size(), 5u);
}

TEST_F(TransferHostile, AnEndBelowTheDeclaredSizeFailsTheTransferOnly) {
  receive({offer(1, 11)});
  data(1, "12345");
  receive({op(TransferOp::End, 1).varint(5)});
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.state(2), TransferState::Failed);
  EXPECT_FALSE(end.sinks[2].ended);
}

TEST_F(TransferHostile, AnEndThatLiesAboutWhatWasSent) {
  receive({offer(1)});
  data(1, "12345");
  receive({op(TransferOp::End, 1).varint(6)});
  EXPECT_EQ(end.violation(), "a transfer that ends where it should not");
}

TEST_F(TransferHostile, BytesAfterTheEnd) {
  end.completeAll = false;
  receive({offer(1)});
  receive({op(TransferOp::End, 1).varint(0)});
  data(1, "x");
  EXPECT_EQ(end.violation(), "bytes of a transfer after its end");
}

TEST_F(TransferHostile, LateWordsOfAFinishedTransferAreIgnored) {
  receive({offer(1)});
  data(1, "abc");
  receive({op(TransferOp::Stop, 1).byte(0).varint(0)});
  EXPECT_EQ(end.state(2), TransferState::Cancelled);
  data(1, "late");
  receive({op(TransferOp::Pause, 1), op(TransferOp::Stop, 1).byte(1).varint(0), op(TransferOp::End, 1).varint(99)});
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.states[2], (States{TransferState::Active, TransferState::Cancelled}));
}

TEST_F(TransferHostile, AnAcceptanceOfAnOfferThatHasNotLeft) {
  ASSERT_TRUE(end.offer(kOut, bytesOf("x"), 1));
  receive({op(TransferOp::Accept, 1).varint(100)});
  EXPECT_EQ(end.violation(), "an answer to no offer");
}

TEST_F(TransferHostile, AnAcceptanceTwice) {
  ASSERT_TRUE(end.offer(kOut, bytesOf("x"), 1));
  pump();
  receive({op(TransferOp::Accept, 1).varint(100), op(TransferOp::Accept, 1).varint(100)});
  EXPECT_EQ(end.violation(), "an acceptance of no offer");
}

TEST_F(TransferHostile, WindowsThatLie) {
  for (const auto& [consumed, limit, words] :
       {std::tuple{0, 99, "a transfer window that shrinks"}, {2, 200, "a transfer that consumed what was not sent"}}) {
    End other({});
    std::swap(end, other);
    seq = 0;
    end.framing.attach(262'144, 0);
    pump();
    end.receive(helloFrame(), 0);
    ASSERT_TRUE(end.offer(kOut, bytesOf("x"), 1));
    pump();
    receive({op(TransferOp::Accept, 1).varint(100)});
    pump();
    receive({op(TransferOp::Window, 1)
                 .varint(static_cast<std::uint64_t>(consumed))
                 .varint(static_cast<std::uint64_t>(limit))});
    EXPECT_EQ(end.violation(), words);
  }
}

TEST_F(TransferHostile, AWindowOfEverythingOverflowsNothing) {
  ASSERT_TRUE(end.offer(kOut, patternOf(1, 300'000), 300'000));
  pump();
  receive({op(TransferOp::Accept, 1).varint(kMaxVarint)});
  for (int i = 0; i < 5; ++i) {
    end.poll();
    pump();
  }
  receive({op(TransferOp::Window, 1).varint(90'000).varint(kMaxVarint)});
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.progress[kOut], 90'000u);
}

TEST_F(TransferHostile, DoneBeforeTheEnd) {
  ASSERT_TRUE(end.offer(kOut, bytesOf("x"), 1));
  pump();
  receive({op(TransferOp::Accept, 1).varint(100), op(TransferOp::Done, 1)});
  EXPECT_EQ(end.violation(), "a transfer that is done before its end");
}

TEST_F(TransferHostile, ARejectionAfterTheAcceptance) {
  ASSERT_TRUE(end.offer(kOut, bytesOf("x"), 1));
  pump();
  receive({op(TransferOp::Accept, 1).varint(100), op(TransferOp::ReceiverStop, 1).byte(2).varint(0)});
  EXPECT_EQ(end.violation(), "a rejection of no offer");
}

TEST_F(TransferHostile, AStopWithALongReason) {
  receive({offer(1), op(TransferOp::Stop, 1).byte(0).varint(257).text(std::string(257, 'x'))});
  EXPECT_EQ(end.violation(), "a transfer's end that cannot be read");
}

TEST_F(TransferHostile, ATransferMessageInPieces) {
  FrameText frame(FrameType::Bulk);
  end.receive(frame.varint(1).varint(0).segment(Lane::File, true, false, kFormatTransferData, 10, "x"), 0);
  EXPECT_EQ(end.violation(), "a transfer message in pieces");
}

TEST_F(TransferHostile, AnAcceptanceBeyondTheEndOfTheFile) {
  ASSERT_TRUE(end.offer(kOut, patternOf(1, 10), 10));
  pump();
  receive({op(TransferOp::Accept, 1).varint(2'000).varint(11)});
  EXPECT_EQ(end.violation(), "an acceptance beyond the end");
}

TEST_F(TransferHostile, AnAcceptanceBeyondItsOwnLimit) {
  ASSERT_TRUE(end.offer(kOut, patternOf(1, 10), std::nullopt));
  pump();
  receive({op(TransferOp::Accept, 1).varint(2'000).varint(2'001)});
  EXPECT_EQ(end.violation(), "an acceptance beyond the end");
}

TEST_F(TransferHostile, AnAcceptanceWhoseBeginningIsNoNumber) {
  ASSERT_TRUE(end.offer(kOut, patternOf(1, 10), 10));
  pump();
  receive({op(TransferOp::Accept, 1).varint(2'000).byte(0x80)});
  EXPECT_EQ(end.violation(), "an acceptance that cannot be read");
}

class TransferDigest : public TransferHostile, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(TransferDigest, OfAnyOtherLengthThanItsOwnIsAViolation) {
  receive({offer(1)});
  receive({op(TransferOp::End, 1).varint(0).varint(GetParam()).text(std::string(GetParam(), 'x'))});
  EXPECT_EQ(end.violation(), "a transfer's end that cannot be read");
}

INSTANTIATE_TEST_SUITE_P(Lengths, TransferDigest, ::testing::Values(1, 31, 33, 64, 10'000));

TEST_F(TransferHostile, ADigestThatIsCutOff) {
  receive({offer(1)});
  receive({op(TransferOp::End, 1).varint(0).varint(32).text(std::string(31, 'x'))});
  EXPECT_EQ(end.violation(), "a transfer's end that cannot be read");
}

TEST_F(TransferHostile, AKeyThatLies) {
  receive({op(TransferOp::Offer, 1).varint(0).varint(1).text("f").varint(0).varint(129).text(std::string(129, 'k'))});
  EXPECT_EQ(end.violation(), "a transfer offer that cannot be read");
}

}  // namespace
}  // namespace peerbridge::testing
