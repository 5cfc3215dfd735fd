#include "framing/framing.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "framing_pair.hpp"

namespace peerbridge::testing {
namespace {

/// What leaves first on a channel: the type of every frame.
std::string typesOf(const std::deque<Bytes>& wire) {
  std::string types;
  for (const Bytes& frame : wire) types += std::to_string(static_cast<unsigned>(frame[0]));
  return types;
}

/// An end that has seen the peer's HELLO and that frames by hand can be given to.
class Lone : public ::testing::Test {
 protected:
  explicit Lone(const FramingConfig& config = {}) : end(config) {
    end.framing.attach(262'144, now);
    pump();
    wire.clear();
    receive(helloFrame());
    end.events.clear();
  }
  void pump() { end.pump(wire, buffered, now); }
  void receive(const Bytes& frame) { end.receive(frame, now); }
  /// A frame that has to be a violation.
  void expectViolation(const Bytes& frame, std::string_view words) {
    receive(frame);
    EXPECT_EQ(end.violation(), words);
    EXPECT_EQ(end.count(Kind::Violation), 1u);
  }
  static FrameText data(std::uint64_t seq, std::uint64_t received = 0) {
    return FrameText(FrameType::Data).varint(seq).varint(received);
  }
  static FrameText bulk(std::uint64_t seq, std::uint64_t received = 0) {
    return FrameText(FrameType::Bulk).varint(seq).varint(received);
  }

  End end;
  std::deque<Bytes> wire;
  std::uint64_t buffered = 0;
  Millis now = 1'000;
};
using FramingHostile = Lone;
using FramingLone = Lone;

// -- messages ------------------------------------------------------------------------------------------

TEST(Framing, AMessageArrivesAsItWasSent) {
  Pair pair;
  pair.attach();
  EXPECT_TRUE(pair.a.put(Lane::Normal, 5, bytesOf("hello")));
  EXPECT_TRUE(pair.b.put(Lane::High, kFormatRequest, bytesOf("back")));
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
  EXPECT_EQ(pair.a.got, pair.b.sent);
}

TEST(Framing, AnEmptyMessageArrives) {
  Pair pair;
  pair.attach();
  EXPECT_TRUE(pair.a.put(Lane::Normal, 3, {}));
  EXPECT_NE(pair.a.queue(Lane::Bulk, 4, {}), 0u);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, MessagesPutBeforeTheChannelOpensAreSentWhenItDoes) {
  Pair pair;
  EXPECT_TRUE(pair.a.put(Lane::Normal, "early"));
  EXPECT_FALSE(pair.a.framing.wantsTransmit());
  pair.attach();
  EXPECT_TRUE(pair.a.framing.wantsTransmit());
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, ALargeMessageArrivesByteForByte) {
  Pair pair;
  pair.attach();
  pair.a.queue(Lane::Normal, 1, patternOf(1, 9'000'001));
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, ABulkChunkTakesOneCallOfNext) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 6'500'000));
  std::size_t chunks = 0;
  while (pair.a.framing.next(0, pair.now).kind == ActionKind::FillSend) ++chunks;
  EXPECT_EQ(chunks, 4u) << "as many as may be on their way at first";
}

TEST(Framing, SmallMessagesOfATurnShareAFrame) {
  Pair pair;
  pair.attach();
  pair.settle();
  for (int i = 0; i < 600; ++i) EXPECT_TRUE(pair.a.put(Lane::Normal, 0, patternOf(static_cast<std::uint64_t>(i), 100)));
  pair.pumpA();
  EXPECT_EQ(pair.toB.size(), 1u);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, WithTheLastFrameItSaysThatNothingElseWantsToLeave) {
  Pair pair;
  pair.attach();
  EXPECT_FALSE(pair.a.framing.next(0, pair.now).last) << "what is no message";
  pair.settle();
  pair.a.put(Lane::Normal, "one");
  EXPECT_TRUE(pair.a.framing.next(0, pair.now).last);
  pair.a.put(Lane::Normal, "two");
  pair.a.put(Lane::High, "three");
  EXPECT_FALSE(pair.a.framing.next(0, pair.now).last);
  EXPECT_TRUE(pair.a.framing.next(0, pair.now).last);
  pair.a.put(Lane::Normal, "four");
  pair.a.framing.ping(1);
  EXPECT_FALSE(pair.a.framing.next(0, pair.now).last);
  EXPECT_TRUE(pair.a.framing.next(0, pair.now).last);
  pair.a.put(Lane::Normal, "five");
  pair.a.framing.close("", pair.now);
  EXPECT_FALSE(pair.a.framing.next(0, pair.now).last) << "CLOSE is still to come";
}

TEST(Framing, NoFrameIsLongerThanTheChannelAllows) {
  Pair pair;
  pair.attach(1'200);
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 50'000));
  for (std::uint64_t i = 0; i < 50; ++i) pair.a.put(Lane::Normal, 1, patternOf(i, 4'096));
  pair.pumpA();
  ASSERT_GT(pair.toB.size(), 50u);
  for (const Bytes& frame : pair.toB) EXPECT_LE(frame.size(), 1'200u);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, NoFrameIsLongerThan16KiBBeforeThePeersHello) {
  Pair pair;
  pair.attach();
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 200'000));
  pair.pumpA();
  ASSERT_GT(pair.toB.size(), 2u);
  for (const Bytes& frame : pair.toB) EXPECT_LE(frame.size(), 16'384u);
}

TEST(Framing, PutRefusesWhatIsTooLongOrNoMessage) {
  Pair pair;
  bool accepted = true;
  EXPECT_TRUE(pair.a.framing.put(Lane::Normal, 0, 4'097, accepted).empty());
  EXPECT_FALSE(accepted);
  (void)pair.a.framing.put(Lane::File, 0, 1, accepted);
  EXPECT_FALSE(accepted);
  (void)pair.a.framing.put(Lane::Normal, kFormatTransferData, 1, accepted);
  EXPECT_FALSE(accepted);
  EXPECT_EQ(pair.a.framing.queue(Lane::Normal, 0, 1'073'741'825), kTooBig);
  EXPECT_EQ(pair.a.framing.queue(Lane::File, 0, 1), 0u);
}

TEST(Framing, PutRefusesWhenTooMuchWaitsEvenOfNothing) {
  FramingConfig config;
  config.maxInlineQueueBytes = 10'000;
  Pair pair(config);
  int taken = 0;
  while (taken < 1'000 && pair.a.put(Lane::Normal, 0, {})) ++taken;
  EXPECT_GT(taken, 100);
  EXPECT_LT(taken, 1'000);
  pair.attach();
  pair.settle();
  EXPECT_TRUE(pair.a.put(Lane::Normal, 0, {}));
  EXPECT_EQ(pair.b.got[1].size(), static_cast<std::size_t>(taken));
}

TEST(Framing, RoomIsToldOnceTheQueueIsHalfEmpty) {
  Pair pair;
  EXPECT_TRUE(pair.a.framing.hasRoom());
  pair.a.queue(Lane::Normal, 0, patternOf(1, 1'048'577));
  EXPECT_FALSE(pair.a.framing.hasRoom());
  pair.attach();
  while (pair.a.framing.stats().queuedBytes > 524'288) {
    EXPECT_FALSE(pair.a.framing.hasRoom());
    pair.pumpA(1);
    pair.pumpB();
    pair.deliverToB();
    pair.deliverToA();
  }
  pair.poll();
  EXPECT_TRUE(pair.a.framing.hasRoom());
  EXPECT_EQ(pair.a.count(Kind::Room), 1u);
  pair.settle();
  EXPECT_EQ(pair.a.count(Kind::Room), 1u);
}

// -- lanes ---------------------------------------------------------------------------------------------

TEST(Framing, AHighMessageOvertakesABulkOneThatIsUnderWay) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 5'000'000));
  pair.pumpA();
  const std::uint64_t ahead = pair.bufferedA;
  EXPECT_LE(ahead, 262'144u + 65'536u);
  pair.a.put(Lane::High, "ping");
  pair.pumpA();
  const std::uint64_t frames = pair.toB.size();
  // Nothing but what is in the channel's buffer already is before it.
  EXPECT_EQ(pair.bufferedA, ahead + pair.toB.back().size());
  for (std::uint64_t i = 0; i < frames; ++i) pair.deliverToB();
  EXPECT_EQ(pair.b.order, std::vector<std::string>{"0:ping"});
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, AHighMessageIsNotHeldBackByAFrameThatIsBeingWritten) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Normal, 1, patternOf(1, 10'000));
  pair.a.queue(Lane::Normal, 1, patternOf(2, 10'000));
  ASSERT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Fill);
  pair.a.put(Lane::High, "ping");
  const Action action = pair.a.framing.next(0, pair.now);
  EXPECT_EQ(action.kind, ActionKind::Send);
  EXPECT_LT(action.frameLength, 11'000u);
  const Action high = pair.a.framing.next(0, pair.now);
  EXPECT_EQ(high.kind, ActionKind::Send);
  EXPECT_LT(high.length, 20u);
}

TEST(Framing, BulkUsesSmallFramesWhileSomebodyTalks) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 3'000'000));
  const auto nextFrame = [&pair] {
    for (; !pair.toB.empty(); pair.advance(20)) {
      pair.deliverToB();
      pair.pumpB();
      while (pair.deliverToA()) {
      }
    }
    pair.pumpA(1);
    return pair.toB.back().size();
  };
  EXPECT_EQ(nextFrame(), 32'768u);
  pair.a.put(Lane::High, "ping");
  EXPECT_LT(nextFrame(), 100u);
  EXPECT_EQ(nextFrame(), 16'384u);
  pair.now += 1'001;
  EXPECT_EQ(nextFrame(), 16'384u) << "what was ready before";
  EXPECT_EQ(nextFrame(), 16'384u) << "only 80 KiB may be on their way: see AfterTalkBulkGrowsByWhatArrives";
}

/// A path that delivers so many bytes in a millisecond, and a page whose turns are 4 ms apart.
class Path {
 public:
  explicit Path(std::uint64_t bytesPerMillisecond, std::size_t maxMessageSize = 262'144) : rate_(bytesPerMillisecond) {
    pair.attach(maxMessageSize);
    pair.settle();
  }

  void run(Millis time) {
    longestFrame = 0;
    mostBuffered = mostUnacked = arrived = 0;
    for (const Millis end = pair.now + time; pair.now < end; pair.advance(turn)) {
      pair.poll();
      pair.pumpA();
      mostBuffered = std::max(mostBuffered, pair.bufferedA);
      mostUnacked = std::max(mostUnacked, pair.a.framing.stats().unackedBytes);
      may_ = pair.toB.empty() ? 0 : may_ + static_cast<std::uint64_t>(turn) * rate_;
      while (!pair.toB.empty() && pair.toB.front().size() <= may_) {
        const std::size_t length = pair.toB.front().size();
        may_ -= length;
        longestFrame = std::max(longestFrame, length);
        pair.bufferedA -= length;
        toB_.leave(pair.toB, pair.now + distance);
      }
      if (pair.now >= turnOfB_) {
        turnOfB_ = pair.now + receiversTurn;
        arrived += toB_.arrive(pair.b, pair.now);
        pair.pumpB();
      }
      while (!pair.toA.empty()) {
        pair.bufferedB -= pair.toA.front().size();
        toA_.leave(pair.toA, pair.now + distance);
      }
      toA_.arrive(pair.a, pair.now);
    }
  }

  Pair pair;
  Millis turn = 4;
  Millis receiversTurn = 0;  ///< longer than `turn`: it is late
  Millis distance = 0;       ///< one way
  // Of the last run():
  std::size_t longestFrame = 0;
  std::uint64_t mostBuffered = 0;
  std::uint64_t mostUnacked = 0;
  std::uint64_t arrived = 0;

 private:
  struct Way {
    std::deque<std::pair<Millis, Bytes>> frames;

    void leave(std::deque<Bytes>& wire, Millis due) {
      frames.emplace_back(due, std::move(wire.front()));
      wire.pop_front();
    }
    std::uint64_t arrive(End& to, Millis now) {
      std::uint64_t bytes = 0;
      for (; !frames.empty() && frames.front().first <= now; frames.pop_front()) {
        bytes += frames.front().second.size();
        to.receive(frames.front().second, now);
      }
      return bytes;
    }
  };

  std::uint64_t rate_;
  std::uint64_t may_ = 0;
  Millis turnOfB_ = 0;
  Way toB_;
  Way toA_;
};

std::size_t longestFrameAt(std::uint64_t bytesPerMillisecond, std::size_t maxMessageSize = 262'144) {
  Path path(bytesPerMillisecond, maxMessageSize);
  path.pair.a.queue(Lane::Bulk, 1, Bytes(100'000'000));
  path.run(1'000);
  path.run(500);
  return path.longestFrame;
}

TEST(Framing, AFrameOfBulkIsAsLongAsThePathTakesSomeMillisecondsFor) {
  EXPECT_EQ(longestFrameAt(60'000), 262'144u);
  EXPECT_EQ(longestFrameAt(25'000), 65'536u);
  EXPECT_EQ(longestFrameAt(7'000), 32'768u);
  EXPECT_EQ(longestFrameAt(1'000), 16'384u);
  EXPECT_EQ(longestFrameAt(60'000, 100'000), 100'000u);
}

TEST(Framing, WhereThePathIsSlowTheFirstWordWaitsForLittle) {
  for (const Lane lane : {Lane::Bulk, Lane::Normal}) {
    Path path(1'000);
    path.pair.a.queue(lane, 1, Bytes(10'000'000));
    path.run(1'500);
    path.run(1'000);
    EXPECT_LE(path.mostBuffered, 65'536u);
    EXPECT_GE(path.arrived, 980'000u) << "and all the same it is never idle";
  }
}

TEST(Framing, WhereThePageIsLateForItsTurnsMoreWaitsInTheChannel) {
  Path path(3'000);
  path.pair.a.queue(Lane::Bulk, 1, Bytes(60'000'000));
  path.run(2'000);
  EXPECT_LE(path.mostBuffered, 262'144u);
  path.turn = 40;
  path.run(2'000);
  path.run(2'000);
  EXPECT_GE(path.arrived, 5'700'000u);
  path.turn = 4;
  path.run(6'000);
  path.run(1'000);
  EXPECT_LE(path.mostBuffered, 131'072u) << "and less again, once it is in time";
}

TEST(Framing, AfterTalkBulkGrowsByWhatArrives) {
  Path path(40'000);
  path.pair.a.queue(Lane::Bulk, 1, Bytes(200'000'000));
  path.run(1'000);
  EXPECT_EQ(path.longestFrame, 131'072u);
  const std::uint64_t before = path.mostUnacked;
  path.pair.a.put(Lane::High, "ping");
  path.run(1'000);
  path.run(12);
  EXPECT_LE(path.mostUnacked, before / 2) << "and not at once what the path carried before";
  path.run(500);
  path.run(500);
  EXPECT_GE(path.longestFrame, 131'072u);
}

TEST(Framing, AfterTalkThePathIsNeverIdle) {
  Path path(10'000);
  path.pair.a.queue(Lane::Bulk, 1, Bytes(60'000'000));
  path.run(1'000);
  path.pair.a.put(Lane::High, "ping");
  path.run(1'000);
  EXPECT_LE(path.mostUnacked, 500'000u) << "what was on its way when the first word came";
  path.run(100);
  EXPECT_LE(path.mostUnacked, 200'000u);
  EXPECT_GE(path.arrived, 950'000u);
}

TEST(Framing, BulkBeginsWithLittleOnItsWay) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, Bytes(20'000'000));
  const auto pumpAll = [&pair] {
    std::uint64_t none = 0;
    pair.a.pump(pair.toB, none, pair.now);
    return pair.a.framing.stats().unackedBytes;
  };
  EXPECT_LE(pumpAll(), 131'072u) << "what the buffer of a socket holds";
  pair.cut();
  pair.attach();
  pair.pumpB();
  pair.deliverToA();
  pair.a.queue(Lane::Bulk, 1, Bytes(20'000'000));
  EXPECT_LE(pumpAll(), 131'072u) << "and the same through another channel";
}

TEST(Framing, NoMoreOfBulkIsOnItsWayThanThePathCarriesInSomeMilliseconds) {
  for (const std::uint64_t rate : {10'000u, 40'000u}) {
    Path path(rate);
    path.pair.a.queue(Lane::Bulk, 1, Bytes(200'000'000));
    path.run(1'500);
    path.run(1'000);
    EXPECT_LE(path.mostUnacked, rate * 50);
    EXPECT_GE(path.arrived, rate * 980) << "and all the same it is never idle";
  }
}

TEST(Framing, ALongPathIsFilledToo) {
  for (const Millis distance : {10, 50, 150}) {
    Path path(10'000);
    path.distance = distance;
    path.pair.a.queue(Lane::Bulk, 1, Bytes(200'000'000));
    path.run(2'500);
    path.run(1'000);
    EXPECT_GE(path.arrived, 9'500'000u) << distance << " ms";
  }
}

TEST(Framing, WhereTheReceiverIsLateForItsTurnsMoreIsOnItsWay) {
  Path path(10'000);
  path.receiversTurn = 60;
  path.pair.a.queue(Lane::Bulk, 1, Bytes(200'000'000));
  path.run(3'000);
  path.run(3'000);
  EXPECT_GE(path.arrived, 28'000'000u);
}

TEST(Framing, NormalGetsMoreThanBulkButBulkIsNotStarved) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Normal, 1, Bytes(20'000'000));
  pair.a.queue(Lane::Bulk, 1, Bytes(20'000'000));
  std::array<std::size_t, 4> bytes{};
  for (int frames = 0; frames < 200; ++frames) {
    pair.pumpA();
    ASSERT_FALSE(pair.toB.empty());
    ByteReader reader(pair.toB.front());
    std::uint8_t type = 0;
    std::uint64_t skipped = 0;
    Segment segment;
    ASSERT_TRUE(reader.byte(type) && reader.varint(skipped) && reader.varint(skipped));
    ASSERT_EQ(readSegment(reader, segment), nullptr);
    bytes[static_cast<std::size_t>(segment.lane)] += segment.length;
    pair.deliverToB();
    pair.advance(3);
    pair.pumpB();
    while (pair.deliverToA()) {
    }
  }
  EXPECT_NEAR(static_cast<double>(bytes[1]) / static_cast<double>(bytes[2]), 4.0, 1.0);
}

TEST(Framing, NothingIsSentWhileTheChannelsBufferIsFull) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, Bytes(1'000));
  // With the next frame, of 64 KiB at most, it would be more than 10 MB/s take in 20 ms.
  EXPECT_EQ(pair.a.framing.next(134'464, pair.now).kind, ActionKind::Wait);
  EXPECT_EQ(pair.a.framing.next(134'464, pair.now).low, 134'463u);
  EXPECT_EQ(pair.a.framing.next(134'463, pair.now).kind, ActionKind::FillSend);
}

TEST(Framing, TheWaterMarkRisesWhenTheChannelRunsDryAndFallsForTalk) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, Bytes(100'000'000));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(pair.a.framing.next(134'464, pair.now).kind, ActionKind::Wait);
    EXPECT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::FillSend);
  }
  EXPECT_EQ(pair.a.framing.next(196'607, pair.now).kind, ActionKind::FillSend);
  EXPECT_EQ(pair.a.framing.next(196'608, pair.now).kind, ActionKind::Wait);
  pair.a.put(Lane::High, "ping");
  EXPECT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Send);
  EXPECT_EQ(pair.a.framing.next(65'536, pair.now).kind, ActionKind::Wait);
  EXPECT_EQ(pair.a.framing.next(65'536, pair.now).low, 32'768u);
}

TEST(Framing, WithAFullWindowBulkWaitsAndHighPasses) {
  FramingConfig config;
  config.windowBytes = 500'000;
  Pair pair(config);
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 3'000'000));
  for (int i = 0; i < 100; ++i) {
    std::uint64_t none = 0;
    pair.a.pump(pair.toB, none, pair.now);
  }
  EXPECT_LE(pair.a.framing.stats().unackedBytes, 500'000u);
  EXPECT_FALSE(pair.a.framing.wantsTransmit());
  pair.a.put(Lane::High, "ping");
  EXPECT_TRUE(pair.a.framing.wantsTransmit());
  const std::size_t before = pair.toB.size();
  std::uint64_t none = 0;
  pair.a.pump(pair.toB, none, pair.now);
  EXPECT_LT(pair.toB[before].size(), 30u);
  pair.bufferedA = 0;
  for (const Bytes& frame : pair.toB) pair.bufferedA += frame.size();
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

// -- acknowledgements ----------------------------------------------------------------------------------

TEST(Framing, AnAckLeavesAfter20MillisecondsOrWithData) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.put(Lane::Normal, "one");
  pair.pumpA();
  pair.deliverToB();
  EXPECT_EQ(pair.b.framing.deadline(), pair.now + 20);
  EXPECT_FALSE(pair.b.framing.wantsTransmit());
  pair.b.put(Lane::Normal, "answer");
  pair.pumpB();
  EXPECT_EQ(typesOf(pair.toA), "2");
  EXPECT_EQ(pair.b.framing.deadline(), kNever);
  pair.deliverToA();
  EXPECT_EQ(pair.a.framing.stats().unackedBytes, 0u);
  pair.advance(20);
  EXPECT_TRUE(pair.a.framing.wantsTransmit());
  pair.pumpA();
  EXPECT_EQ(typesOf(pair.toB), "3");
}

TEST(Framing, AnAckLeavesAtOnceAfter128KiB) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, Bytes(140'000));
  pair.pumpA();
  while (pair.deliverToB()) {
  }
  EXPECT_TRUE(pair.b.framing.wantsTransmit());
  pair.pumpB();
  EXPECT_EQ(typesOf(pair.toA), "3");
}

TEST(Framing, AMarkerIsDeliveredWhenEverythingBeforeItWasAcknowledged) {
  Pair pair;
  const std::uint32_t first = pair.a.framing.mark();
  pair.a.poll();
  ASSERT_EQ(pair.a.count(Kind::Delivered), 1u);
  EXPECT_EQ(pair.a.events[0].marker, first);
  pair.a.put(Lane::Normal, "one");
  pair.a.queue(Lane::Bulk, 0, patternOf(1, 300'000));
  const std::uint32_t second = pair.a.framing.mark();
  pair.attach();
  pair.a.poll();
  EXPECT_EQ(pair.a.count(Kind::Delivered), 1u);
  pair.settle();
  ASSERT_EQ(pair.a.count(Kind::Delivered), 2u);
  EXPECT_EQ(pair.b.got, pair.a.sent);
  const auto last = std::find_if(pair.a.events.rbegin(), pair.a.events.rend(),
                                 [](const FramingEvent& event) { return event.kind == Kind::Delivered; });
  EXPECT_EQ(last->marker, second);
}

TEST(Framing, AMarkerDoesNotWaitForAWithdrawnMessage) {
  Pair pair;
  const Ticket ticket = pair.a.framing.queue(Lane::Bulk, 0, 100'000);
  (void)pair.a.framing.mark();
  pair.a.poll();
  EXPECT_EQ(pair.a.count(Kind::Delivered), 0u);
  EXPECT_TRUE(pair.a.framing.withdraw(ticket));
  EXPECT_FALSE(pair.a.framing.withdraw(ticket));
  pair.a.poll();
  EXPECT_EQ(pair.a.count(Kind::Delivered), 1u);
  EXPECT_EQ(pair.a.framing.acknowledged(Lane::Bulk), 1u);
}

TEST(Framing, AMessageCannotBeWithdrawnOnceItsFirstPieceIsInAFrame) {
  Pair pair;
  pair.attach();
  const Ticket ticket = pair.a.framing.queue(Lane::Bulk, 0, 100'000);
  EXPECT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Send);  // HELLO
  EXPECT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::FillSend);
  EXPECT_FALSE(pair.a.framing.withdraw(ticket));
}

TEST(Framing, WhatWasAcknowledgedIsCountedByLane) {
  Pair pair;
  pair.attach();
  pair.a.put(Lane::Normal, "one");
  const Ticket dropped = pair.a.framing.queue(Lane::Normal, 0, 5'000);
  pair.a.put(Lane::Normal, "two");
  pair.a.put(Lane::High, "three");
  EXPECT_TRUE(pair.a.framing.withdraw(dropped));
  EXPECT_EQ(pair.a.framing.acknowledged(Lane::Normal), 0u);
  pair.settle();
  EXPECT_EQ(pair.a.framing.acknowledged(Lane::Normal), 3u);
  EXPECT_EQ(pair.a.framing.acknowledged(Lane::High), 1u);
  EXPECT_EQ(pair.a.framing.acknowledged(Lane::Bulk), 0u);
  pair.cut();
  pair.a.put(Lane::Normal, "lost");
  pair.a.framing.abort("gone");
  EXPECT_EQ(pair.a.framing.acknowledged(Lane::Normal), 3u);
}

TEST(Framing, AReceiverThatDoesNotReadStopsTheSender) {
  FramingConfig config;
  config.windowBytes = 200'000;
  Pair pair(config);
  pair.attach();
  pair.settle();
  pair.b.framing.hold(true, pair.now);
  pair.a.queue(Lane::Normal, 1, patternOf(1, 1'000'000));
  pair.settle();
  EXPECT_LE(pair.a.framing.stats().unackedBytes, 200'000u);
  EXPECT_GT(pair.a.framing.stats().queuedBytes, 700'000u);
  EXPECT_FALSE(pair.a.framing.wantsTransmit());
  pair.b.framing.hold(false, pair.now);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

// -- channels that come and go -------------------------------------------------------------------------

TEST(Framing, WhatWasLostIsSentAgainOnceAndInOrder) {
  Pair pair;
  pair.attach();
  pair.settle();
  for (std::uint64_t i = 0; i < 5; ++i) {
    pair.a.put(Lane::Normal, 1, patternOf(i, 200));
    pair.pumpA();
  }
  pair.deliverToB();
  pair.deliverToB();
  pair.cut();
  EXPECT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Wait);
  pair.a.put(Lane::Normal, 1, patternOf(9, 200));
  pair.attach();
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
  EXPECT_EQ(pair.a.framing.stats().framesReplayed, 3u);
  EXPECT_EQ(pair.b.framing.stats().duplicatesDropped, 0u);
}

TEST(Framing, OnALaterChannelNothingIsSentBeforeThePeersHello) {
  Pair pair;
  pair.attach();
  pair.a.put(Lane::Normal, "one");
  pair.settle();
  pair.cut();
  pair.a.put(Lane::Normal, "two");
  pair.attach();
  pair.pumpA();
  EXPECT_EQ(typesOf(pair.toB), "1");
  EXPECT_FALSE(pair.a.framing.wantsTransmit());
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, AFrameThatIsBeingFilledSurvivesTheChannel) {
  Pair pair;
  pair.attach();
  pair.settle();
  const Bytes message = patternOf(7, 100'000);
  pair.a.queue(Lane::Bulk, 1, message);
  const Action action = pair.a.framing.next(0, pair.now);
  ASSERT_EQ(action.kind, ActionKind::FillSend);
  std::copy_n(message.begin(), action.length, action.data);
  pair.cut();
  pair.attach();
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, AFrameThatTheChannelRefusedComesAgain) {
  Pair pair;
  pair.attach();
  const Action hello = pair.a.framing.next(0, pair.now);
  ASSERT_EQ(hello.kind, ActionKind::Send);
  pair.a.framing.unsend();
  EXPECT_TRUE(pair.a.framing.wantsTransmit());
  pair.settle();
  pair.a.put(Lane::Normal, "one");
  const Action first = pair.a.framing.next(0, pair.now);
  const Bytes refused(first.frame, first.frame + first.frameLength);
  pair.a.framing.unsend();
  const Action again = pair.a.framing.next(0, pair.now);
  EXPECT_EQ(Bytes(again.frame, again.frame + again.frameLength), refused);
  pair.a.framing.unsend();
  EXPECT_TRUE(pair.a.framing.signal("{}"));
  ASSERT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Send);
  pair.a.framing.unsend();
  EXPECT_TRUE(pair.a.framing.ping(4));
  ASSERT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Send);
  pair.a.framing.unsend();
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
  EXPECT_EQ(pair.b.count(Kind::Signal), 1u);
  EXPECT_EQ(pair.a.count(Kind::Pong), 1u);
  EXPECT_EQ(pair.a.framing.stats().framesReplayed, 0u);
}

TEST(Framing, ANarrowerChannelThatCannotCarryTheReplayIsAViolation) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 1, Bytes(60'000));
  pair.pumpA();
  pair.cut();
  pair.attach(20'000);
  pair.settle();
  EXPECT_EQ(pair.a.violation(), "the new channel is too narrow for what has to be sent again");
}

// -- control -------------------------------------------------------------------------------------------

TEST(Framing, ASignalTravelsInFrontAndIsDroppedWithItsChannel) {
  Pair pair;
  EXPECT_FALSE(pair.a.framing.signal("{}"));
  pair.attach();
  pair.settle();
  pair.a.put(Lane::High, "high");
  EXPECT_TRUE(pair.a.framing.signal(R"({"type":"OFFER"})"));
  EXPECT_FALSE(pair.a.framing.signal(std::string(270'000, ' ')));
  pair.pumpA();
  EXPECT_EQ(typesOf(pair.toB), "82");
  pair.settle();
  ASSERT_EQ(pair.b.count(Kind::Signal), 1u);
  EXPECT_EQ(pair.b.find(Kind::Signal)->text, R"({"type":"OFFER"})");
  EXPECT_TRUE(pair.a.framing.signal("{}"));
  pair.cut();
  pair.attach();
  pair.settle();
  EXPECT_EQ(pair.b.count(Kind::Signal), 1u);
}

TEST(Framing, APingIsAnswered) {
  Pair pair;
  EXPECT_FALSE(pair.a.framing.ping(1));
  pair.attach();
  EXPECT_TRUE(pair.a.framing.ping(77));
  EXPECT_EQ(pair.a.framing.lastHeard(), kNever);
  pair.settle();
  ASSERT_EQ(pair.a.count(Kind::Pong), 1u);
  EXPECT_EQ(pair.a.find(Kind::Pong)->marker, 77u);
  EXPECT_EQ(pair.a.framing.lastHeard(), pair.now);
}

TEST(Framing, CloseDeliversWhatIsQueuedFirst) {
  Pair pair;
  pair.attach();
  pair.a.queue(Lane::Bulk, 1, patternOf(1, 3'000'000));
  pair.a.framing.close("done here", pair.now);
  EXPECT_TRUE(pair.a.framing.closing());
  EXPECT_FALSE(pair.a.put(Lane::Normal, "late"));
  EXPECT_EQ(pair.a.framing.queue(Lane::Normal, 0, 1), 0u);
  EXPECT_FALSE(pair.a.framing.signal("{}"));
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
  EXPECT_EQ(pair.b.count(Kind::PeerClosing), 1u);
  EXPECT_EQ(pair.b.find(Kind::PeerClosing)->text, "done here");
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
  EXPECT_EQ(pair.a.framing.next(0, pair.now).kind, ActionKind::Wait);
  EXPECT_EQ(pair.a.framing.deadline(), kNever);
}

TEST(Framing, BothMayCloseAtOnce) {
  Pair pair;
  pair.attach();
  pair.a.put(Lane::Normal, "from a");
  pair.b.put(Lane::Normal, "from b");
  pair.a.framing.close("a", pair.now);
  pair.b.framing.close("b", pair.now);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
  EXPECT_EQ(pair.a.got, pair.b.sent);
  for (End* end : {&pair.a, &pair.b}) {
    EXPECT_EQ(end->count(Kind::Closed), 1u);
    EXPECT_EQ(end->count(Kind::PeerClosing), 1u);
    EXPECT_EQ(end->events.back().kind, Kind::Closed);
  }
}

TEST(Framing, ClosingSurvivesALostChannel) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.put(Lane::Normal, "last words");
  pair.a.framing.close("bye", pair.now);
  pair.pumpA();
  pair.deliverToB();
  pair.deliverToB();
  pair.cut();
  pair.attach();
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
  EXPECT_EQ(pair.b.count(Kind::PeerClosing), 1u);
}

TEST(Framing, TheAnswerToACloseMayComeOnALaterChannelBeforeTheCloseIsRepeated) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.b.framing.hold(true, pair.now);
  pair.a.put(Lane::Normal, "last words");
  pair.a.framing.close("bye", pair.now);
  pair.pumpA();
  while (pair.deliverToB()) {
  }
  pair.cut();
  pair.attach();
  // Only now does the application read, and what it closed is known from the channel before.
  pair.b.framing.hold(false, pair.now);
  pair.pumpB();
  while (pair.deliverToA()) {
  }
  pair.settle();
  EXPECT_EQ(pair.a.count(Kind::Violation), 0u);
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Framing, CloseGivesUpWhenNobodyAnswers) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.framing.close("bye", pair.now);
  pair.pumpA();
  EXPECT_EQ(pair.a.framing.deadline(), pair.now + 2'000);
  pair.advance(1'999);
  EXPECT_EQ(pair.a.count(Kind::Closed), 0u);
  pair.advance(1);
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
}

TEST(Framing, CloseGivesUpWhenTheQueueNeverEmpties) {
  Pair pair;
  pair.attach();
  pair.settle();
  pair.a.queue(Lane::Bulk, 0, Bytes(50'000'000));
  pair.a.framing.close("bye", pair.now);
  pair.pumpA();
  pair.advance(9'999);
  EXPECT_EQ(pair.a.count(Kind::Closed), 0u);
  pair.advance(1);
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
}

TEST(Framing, CloseBeforeAnythingIsOverAtOnce) {
  Pair pair;
  pair.a.framing.close("never mind", pair.now);
  pair.a.poll();
  EXPECT_EQ(pair.a.count(Kind::Closed), 1u);
}

TEST(Framing, AfterAbortEverythingIsANoOp) {
  Pair pair;
  pair.attach();
  pair.a.put(Lane::Normal, "one");
  pair.a.framing.abort("lost");
  EXPECT_FALSE(pair.a.framing.wantsTransmit());
  EXPECT_FALSE(pair.a.put(Lane::Normal, "two"));
  EXPECT_FALSE(pair.a.framing.attached());
  pair.a.framing.attach(262'144, pair.now);
  EXPECT_FALSE(pair.a.framing.attached());
  pair.a.framing.close("x", pair.now);
  pair.a.framing.timeout(pair.now + 100'000);
  pair.a.poll();
  EXPECT_TRUE(pair.a.events.empty());
}

// -- hostile bytes -------------------------------------------------------------------------------------

TEST_F(FramingHostile, AnEmptyFrame) { expectViolation({}, "an empty frame"); }

TEST_F(FramingHostile, AFrameAboveTheLimit) { expectViolation(Bytes(262'145), "a frame above the limit"); }

TEST_F(FramingHostile, AnUnknownFrameType) {
  receive(FrameText(0x40u));
  receive(FrameText(0x7fu).text("from the future"));
  EXPECT_EQ(end.violation(), "");
  expectViolation(FrameText(0x80u), "a frame of no known type");
}

TEST_F(FramingHostile, ASecondHello) { expectViolation(helloFrame(), "a second HELLO"); }

TEST_F(FramingHostile, AGapInTheFrames) {
  expectViolation(data(2).segment(Lane::Normal, true, true, 0, {}, "x"), "a gap in the DATA frames");
}

TEST_F(FramingHostile, ADuplicateIsDroppedUnread) {
  receive(data(1).segment(Lane::Normal, true, true, 0, {}, "x"));
  receive(data(1).text("not even a segment"));
  EXPECT_EQ(end.got[1].size(), 1u);
  EXPECT_EQ(end.violation(), "");
  EXPECT_EQ(end.framing.stats().duplicatesDropped, 1u);
}

TEST_F(FramingHostile, AnAcknowledgementOfWhatWasNotSent) {
  end.put(Lane::Normal, "one");
  pump();
  expectViolation(FrameText(FrameType::Ack).varint(2).varint(0), "an acknowledgement of what was not sent");
}

TEST_F(FramingHostile, AnAcknowledgementOnDataOfWhatWasNotSentDeliversNothing) {
  expectViolation(data(1, 1).segment(Lane::Normal, true, true, 0, {}, "x"), "an acknowledgement of what was not sent");
  EXPECT_TRUE(end.got[1].empty());
}

TEST_F(FramingHostile, AnOldAcknowledgementIsHarmless) {
  end.put(Lane::Normal, "one");
  pump();
  receive(FrameText(FrameType::Ack).varint(1).varint(0));
  receive(FrameText(FrameType::Ack).varint(0).varint(0));
  EXPECT_EQ(end.violation(), "");
}

TEST_F(FramingHostile, AHelloThatForgotFrames) {
  end.put(Lane::Normal, "one");
  pump();
  receive(FrameText(FrameType::Ack).varint(1).varint(0));
  end.framing.detach();
  end.framing.attach(262'144, now);
  expectViolation(helloFrame(0), "a HELLO that forgot frames");
}

TEST_F(FramingHostile, ALyingLengthDeliversNothingOfItsFrame) {
  expectViolation(data(1).segment(Lane::Normal, true, true, 0, {}, "good").byte(0x0d).varint(1'000'000).text("x"),
                  "a segment that is longer than its frame");
  EXPECT_TRUE(end.got[1].empty());
}

TEST_F(FramingHostile, AMessageAboveTheLimit) {
  expectViolation(data(1).segment(Lane::Normal, true, false, 0, 1'073'741'825, "x"), "a message above the limit");
}

TEST_F(FramingHostile, AMessageLongerThanItsTotal) {
  receive(data(1).segment(Lane::Normal, true, false, 0, 3, "x"));
  expectViolation(data(2).segment(Lane::Normal, false, true, 0, {}, "xyz"), "a message longer than its total");
}

TEST_F(FramingHostile, AMessageThatNeverEnds) {
  receive(data(1).segment(Lane::Normal, true, false, 0, 3, "x"));
  expectViolation(data(2).segment(Lane::Normal, false, false, 0, {}, "yz"), "a message that does not end at its total");
}

TEST_F(FramingHostile, AMessageWithinAMessage) {
  receive(data(1).segment(Lane::Normal, true, false, 0, 3, "x"));
  expectViolation(data(2).segment(Lane::Normal, true, true, 0, {}, "y"),
                  "a message that begins before the last one ended");
}

TEST_F(FramingHostile, APieceOfNoMessage) {
  expectViolation(bulk(1).segment(Lane::Bulk, false, true, 0, {}, "y"), "a piece of no message");
}

TEST_F(FramingHostile, ADataFrameWithNothingInIt) { expectViolation(data(1), "a DATA frame without a segment"); }

TEST_F(FramingHostile, AMessageOnTheFileLane) {
  expectViolation(bulk(1).segment(Lane::File, true, true, 0, {}, "y"), "a format that its lane does not carry");
}

TEST_F(FramingHostile, DataAfterClose) {
  receive(FrameText(FrameType::Close).varint(0).varint(0).varint(0));
  expectViolation(data(1).segment(Lane::Normal, true, true, 0, {}, "y"), "a DATA frame after the last one");
}

TEST_F(FramingHostile, ClosedToNoClose) {
  expectViolation(FrameText(FrameType::Closed).varint(0).varint(0), "a CLOSED to no CLOSE");
}

TEST_F(FramingHostile, AfterAViolationNothingHappensAnyMore) {
  receive({});
  receive(data(1).segment(Lane::Normal, true, true, 0, {}, "x"));
  receive({});
  EXPECT_EQ(end.count(Kind::Violation), 1u);
  EXPECT_TRUE(end.got[1].empty());
  EXPECT_FALSE(end.put(Lane::Normal, "y"));
  EXPECT_EQ(end.framing.next(0, now).kind, ActionKind::Wait);
  EXPECT_FALSE(end.framing.wantsTransmit());
}

TEST_F(FramingHostile, ManyPingsAreAnsweredByOnePong) {
  for (unsigned i = 0; i < 100; ++i) receive(FrameText(FrameType::Ping).varint(i));
  pump();
  ASSERT_EQ(wire.size(), 1u);
  EXPECT_EQ(wire[0], Bytes(FrameText(FrameType::Pong).varint(99)));
}

TEST(Framing, AFrameBeforeHelloIsAViolation) {
  End end({});
  end.framing.attach(262'144, 0);
  end.receive(FrameText(FrameType::Ack).varint(0).varint(0), 0);
  EXPECT_EQ(end.violation(), "a frame before HELLO");
}

TEST(Framing, FramesOfADetachedChannelAreIgnored) {
  End end({});
  end.receive(FrameText(0x99u), 0);
  EXPECT_TRUE(end.events.empty());
}

TEST_F(FramingLone, LaterFieldsOfControlFramesAreIgnored) {
  receive(FrameText(FrameType::Ack).varint(0).varint(0).text("more"));
  receive(FrameText(FrameType::Ping).varint(1).text("more"));
  EXPECT_EQ(end.violation(), "");
}

}  // namespace
}  // namespace peerbridge::testing
