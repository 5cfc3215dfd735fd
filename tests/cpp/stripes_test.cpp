// Bulk over several channels: put back in order, sent again when a channel dies, and nothing but bulk.

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>

#include "../sim/world.hpp"
#include "framing_pair.hpp"

namespace peerbridge::testing {
namespace {

/// Two ends with several channels, each in order, each at its own pace.
class Stripes : public ::testing::Test {
 protected:
  using Wires = std::array<std::deque<Bytes>, kMaxSlots>;

  void open(Slot count, std::size_t maxMessageSize = 262'144) {
    for (End* end : {&a, &b}) end->framing.attach(maxMessageSize, now);
    pump();
    deliverAll();
    for (Slot slot = 1; slot < count; ++slot) {
      a.framing.attachStripe(slot, maxMessageSize);
      b.framing.attachStripe(slot, maxMessageSize);
    }
  }
  void pumpOne(End& end, Slot slot, std::uint64_t buffered = 0, std::size_t most = 1'000'000) {
    Wires& wires = &end == &a ? toB : toA;
    end.pump(wires[slot], buffered, now, most, slot);
  }
  void pump() {
    for (Slot slot = 0; slot < kMaxSlots; ++slot) {
      pumpOne(a, slot);
      pumpOne(b, slot);
    }
  }
  bool deliver(End& to, Slot slot) {
    std::deque<Bytes>& wire = (&to == &b ? toB : toA)[slot];
    if (wire.empty()) return false;
    const Bytes frame = std::move(wire.front());
    wire.pop_front();
    to.receive(frame, now, slot);
    return true;
  }
  void deliverAll() {
    for (bool moved = true; moved;) {
      moved = false;
      for (Slot slot = kMaxSlots; slot-- > 0;) moved = deliver(a, slot) || deliver(b, slot) || moved;
    }
  }
  void settle() {
    for (int round = 0; round < 2'000; ++round) {
      a.poll();
      b.poll();
      pump();
      deliverAll();
      now += 5;
      a.framing.timeout(now);
      b.framing.timeout(now);
    }
  }
  /// The channel is gone for both, with all that is on its way.
  void lose(Slot slot) {
    toA[slot].clear();
    toB[slot].clear();
    a.framing.detachStripe(slot);
    b.framing.detachStripe(slot);
  }

  End a{FramingConfig{}};
  End b{FramingConfig{}};
  Wires toA;
  Wires toB;
  Millis now = 1'000;
};

TEST_F(Stripes, WhatIsDueOnTheCarrierIsNotForgottenWhenAStripeIsPumpedFirst) {
  open(2);
  EXPECT_TRUE(b.put(Lane::Normal, "hello"));
  pump();
  deliverAll();
  const Millis due = a.framing.deadline();
  ASSERT_NE(due, kNever);
  // Its bufferedamountlow comes just before the timer.
  now = due;
  pumpOne(a, 1);
  EXPECT_EQ(a.framing.deadline(), due);
  a.framing.timeout(now);
  EXPECT_TRUE(a.framing.wantsTransmit());
  pump();
  deliverAll();
  EXPECT_EQ(b.framing.stats().unackedBytes, 0u);
}

TEST_F(Stripes, BulkIsSpreadAndPutBackInOrder) {
  open(4);
  for (std::uint64_t i = 0; i < 20; ++i) a.queue(Lane::Bulk, 1, patternOf(i, 300'000));
  for (int turn = 0; turn < 5; ++turn) {
    for (Slot slot = 0; slot < 4; ++slot) pumpOne(a, slot, 0, 1);
  }
  for (Slot slot = 0; slot < 4; ++slot) EXPECT_GE(toB[slot].size(), 4u);
  settle();
  EXPECT_EQ(b.got, a.sent);
  EXPECT_EQ(b.violation(), "");
}

TEST_F(Stripes, TalkNeverTakesAStripe) {
  open(4);
  a.put(Lane::High, "ping");
  a.put(Lane::Normal, "hello");
  for (Slot slot = 1; slot < 4; ++slot) {
    pumpOne(a, slot);
    EXPECT_TRUE(toB[slot].empty());
  }
  settle();
  EXPECT_EQ(b.got, a.sent);
}

TEST_F(Stripes, WhatAStripeTookWithItGoesThroughTheOthers) {
  open(3);
  a.queue(Lane::Bulk, 1, patternOf(1, 2'000'000));
  for (int turn = 0; turn < 8; ++turn) {
    for (Slot slot = 0; slot < 3; ++slot) pumpOne(a, slot, 0, 1);
  }
  lose(2);
  settle();
  EXPECT_EQ(b.got, a.sent);
  EXPECT_GE(a.framing.stats().framesReplayed, 8u);
}

TEST_F(Stripes, WhatComesTwiceIsTakenOnce) {
  open(3);
  a.queue(Lane::Bulk, 1, patternOf(1, 2'000'000));
  for (int turn = 0; turn < 8; ++turn) {
    for (Slot slot = 0; slot < 3; ++slot) pumpOne(a, slot, 0, 1);
  }
  // The sender gives it up, and what it carried arrives all the same.
  a.framing.detachStripe(2);
  settle();
  EXPECT_EQ(b.got, a.sent);
  EXPECT_GE(b.framing.stats().duplicatesDropped, 1u);
}

TEST_F(Stripes, FilesAreSpreadToo) {
  open(4);
  a.offer(1, patternOf(5, 3'000'000), 3'000'000);
  settle();
  EXPECT_EQ(b.sinks[2].bytes, patternOf(5, 3'000'000));
  EXPECT_EQ(a.state(1), TransferState::Done);
  EXPECT_EQ(b.violation(), "");
}

TEST_F(Stripes, AcknowledgementsComeBackWhereFramesCame) {
  open(2);
  a.queue(Lane::Bulk, 1, patternOf(1, 30'000));
  pumpOne(a, 1);
  ASSERT_EQ(toB[1].size(), 1u);
  deliver(b, 1);
  now += 30;
  b.framing.timeout(now);
  pumpOne(b, 0);
  EXPECT_TRUE(toA[0].empty());
  pumpOne(b, 1);
  ASSERT_EQ(toA[1].size(), 1u);
  deliver(a, 1);
  EXPECT_EQ(a.framing.stats().unackedBytes, 0u);
}

TEST_F(Stripes, TheOtherSideIsAskedAgainOnEveryChannel) {
  a.framing.askStripes(4);
  open(1);
  settle();
  ASSERT_NE(b.find(Kind::Stripes), nullptr);
  EXPECT_EQ(b.find(Kind::Stripes)->marker, 4u);
  for (End* end : {&a, &b}) end->framing.detach();
  open(1);
  settle();
  EXPECT_EQ(b.count(Kind::Stripes), 2u);
}

TEST_F(Stripes, NothingButBulkMayComeThere) {
  open(2);
  b.receive(FrameText(FrameType::Ping).varint(1), now, 1);
  EXPECT_EQ(b.violation(), "a frame of another kind on a stripe");
}

TEST_F(Stripes, AStripeThatIsTooNarrowIsNotUsed) {
  open(1);
  a.framing.attachStripe(1, 16'384);
  a.queue(Lane::Bulk, 1, patternOf(1, 60'000));
  pumpOne(a, 1);
  EXPECT_TRUE(toB[1].empty());
}

TEST(StripesHostile, FramesBehindAGapAreBounded) {
  FramingConfig config;
  config.grantBytes = 262'144;
  End end(config);
  std::deque<Bytes> wire;
  std::uint64_t buffered = 0;
  end.framing.attach(262'144, 0);
  end.pump(wire, buffered, 0);
  end.receive(helloFrame(), 0);
  const std::string text(60'000, 'x');
  for (std::uint64_t seq = 2; seq < 100 && end.violation().empty(); ++seq) {
    end.receive(FrameText(FrameType::Bulk).varint(seq).varint(0).segment(Lane::Bulk, true, true, 0, {}, text), 0, 1);
    EXPECT_LT(seq, 11u);  // the window and a frame
  }
  EXPECT_EQ(end.violation(), "more bytes than the window allows");
}

TEST(StripesHostile, APeerThatSendsMoreThanItWasGrantedLosesTheConnection) {
  FramingConfig config;
  config.grantBytes = 262'144;
  End end(config);
  std::deque<Bytes> wire;
  std::uint64_t buffered = 0;
  end.framing.attach(262'144, 0);
  end.pump(wire, buffered, 0);
  end.receive(helloFrame(), 0);
  end.framing.hold(true, 0);
  const std::string text(60'000, 'x');
  for (std::uint64_t seq = 1; seq < 100 && end.violation().empty(); ++seq) {
    end.receive(FrameText(FrameType::Data).varint(seq).varint(0).segment(Lane::Normal, true, true, 0, {}, text), 0);
  }
  EXPECT_EQ(end.violation(), "more bytes than the window allows");
}

TEST(Credit, AnApplicationThatDoesNotReadStopsTheSenderAtItsGrant) {
  FramingConfig reader;
  reader.grantBytes = 300'000;
  Pair pair({}, reader);
  pair.attach();
  pair.settle();
  pair.b.framing.hold(true, pair.now);
  for (std::uint64_t i = 0; i < 40; ++i) pair.a.queue(Lane::Normal, 1, patternOf(i, 50'000));
  pair.settle();
  EXPECT_LE(pair.a.framing.stats().unackedBytes, 300'000u);
  EXPECT_LT(pair.b.got[1].size(), 8u);
  EXPECT_EQ(pair.b.violation(), "");
  pair.b.framing.hold(false, pair.now);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

TEST(Credit, AReconnectWhileNothingIsReadGrantsNothingNew) {
  FramingConfig reader;
  reader.grantBytes = 300'000;
  Pair pair({}, reader);
  pair.attach();
  pair.settle();
  pair.b.framing.hold(true, pair.now);
  for (std::uint64_t i = 0; i < 40; ++i) pair.a.queue(Lane::Normal, 1, patternOf(i, 50'000));
  for (int cut = 0; cut < 5; ++cut) {
    pair.settle();
    pair.cut();
    pair.attach();
  }
  pair.settle();
  EXPECT_LT(pair.b.got[1].size(), 8u);
  EXPECT_EQ(pair.b.violation(), "");
  pair.b.framing.hold(false, pair.now);
  pair.settle();
  EXPECT_EQ(pair.b.got, pair.a.sent);
}

/// Channels that come, go, lag and lose, at random.
class StripesRandom : public Stripes, public ::testing::WithParamInterface<int> {};

TEST_P(StripesRandom, EverythingArrivesExactlyOnceWhicheverStripesDie) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  const auto below = [&random](std::uint64_t n) { return random() % n; };
  open(4);
  std::uint64_t seed = 0;
  TransferHandle file = 1;
  for (int step = 0; step < 400; ++step) {
    const auto slot = static_cast<Slot>(1 + below(5));
    switch (below(10)) {
      case 0:
        a.queue(Lane::Bulk, 1, patternOf(++seed, below(200'000)));
        break;
      case 1:
        b.put(static_cast<Lane>(below(3)), 2, patternOf(++seed, below(3'000)));
        break;
      case 2:
        if (below(4) == 0 && a.offer(file, patternOf(file, below(400'000)), std::nullopt)) file += 2;
        break;
      case 3:
        lose(slot);
        break;
      case 4:
        a.framing.attachStripe(slot, 262'144);
        b.framing.attachStripe(slot, 262'144);
        break;
      case 5:
        // One side notices, what is on its way arrives.
        a.framing.detachStripe(slot);
        break;
      case 6:
        if (below(8) != 0) break;
        for (Slot every = 1; every < kMaxSlots; ++every) lose(every);
        toA[0].clear();
        toB[0].clear();
        a.framing.detach();
        b.framing.detach();
        a.framing.attach(262'144, now);
        b.framing.attach(262'144, now);
        break;
      default:
        for (std::uint64_t i = below(20); i > 0; --i) {
          const auto any = static_cast<Slot>(below(6));
          pumpOne(below(2) == 0 ? a : b, any, 0, 1 + below(4));
          deliver(below(2) == 0 ? a : b, static_cast<Slot>(below(6)));
        }
    }
    now += static_cast<Millis>(below(30));
    a.framing.timeout(now);
    b.framing.timeout(now);
    a.poll();
    b.poll();
    ASSERT_EQ(a.violation() + b.violation(), "") << "step " << step;
  }
  settle();
  EXPECT_EQ(b.got, a.sent);
  EXPECT_EQ(a.got, b.sent);
  for (TransferHandle handle = 1; handle < file; handle += 2) {
    EXPECT_EQ(b.sinks[handle + 1].bytes, a.sources[handle].bytes);
    EXPECT_EQ(a.state(handle), TransferState::Done);
  }
  EXPECT_EQ(a.framing.stats().unackedBytes + b.framing.stats().unackedBytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StripesRandom, ::testing::Range(1, 60));

}  // namespace
}  // namespace peerbridge::testing

namespace peerbridge::sim {
namespace {

class StripedConnection : public ::testing::Test {
 protected:
  void SetUp() override {
    ada.start();
    bob.start();
    connection = ada.connect("bob");
    ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 1 && bothOpen(); }));
    world.runFor(500);
  }
  void TearDown() override { EXPECT_EQ(world.violations(), std::vector<std::string>{}); }
  bool bothOpen() {
    return ada.state(connection) == ConnectionState::Open && bob.state(bob.incoming()) == ConnectionState::Open;
  }
  bool has(std::size_t links) {
    return ada.liveLinks() == links && bob.liveLinks() == links && ada.liveChannels() == links &&
           bob.liveChannels() == links;
  }

  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ConnectionHandle connection = 0;
};

TEST_F(StripedConnection, TheSideThatMadeItMakesTheStripes) {
  ada.setStripes(connection, 4);
  EXPECT_TRUE(world.runUntil([&] { return has(4); }, 2'000));
  EXPECT_TRUE(bothOpen());
}

TEST_F(StripedConnection, TheOtherSideAsksForThem) {
  bob.setStripes(bob.incoming(), 3);
  EXPECT_TRUE(world.runUntil([&] { return has(3); }, 2'000));
}

TEST_F(StripedConnection, StripesCostTheServerNothing) {
  const std::size_t before = ada.signalingFrames + bob.signalingFrames;
  ada.setStripes(connection, 8);
  ASSERT_TRUE(world.runUntil([&] { return has(8); }, 2'000));
  EXPECT_EQ(ada.signalingFrames + bob.signalingFrames, before);
}

TEST_F(StripedConnection, MoreThanEightAreEightAndFewerEndTheOthers) {
  ada.setStripes(connection, 100);
  ASSERT_TRUE(world.runUntil([&] { return has(8); }, 2'000));
  ada.setStripes(connection, 2);
  EXPECT_TRUE(world.runUntil([&] { return has(2); }, 2'000));
  world.runFor(40'000);
  EXPECT_TRUE(has(2));
}

TEST_F(StripedConnection, BulkArrivesInOrderAcrossAnOutage) {
  ada.setStripes(connection, 4);
  ASSERT_TRUE(world.runUntil([&] { return has(4); }, 2'000));
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(ada.send(connection, std::to_string(i) + std::string(100'000, 'x'), Lane::Bulk));
    if (i == 10) world.pathDown();
    if (i == 20) world.pathUp();
    world.runFor(i == 15 ? 12'000 : 40);
  }
  EXPECT_TRUE(world.runUntil([&] { return bob.received[bob.incoming()].size() == 30; }, 20'000));
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(bob.received[bob.incoming()][static_cast<std::size_t>(i)], std::to_string(i) + std::string(100'000, 'x'));
  }
  EXPECT_TRUE(world.runUntil([&] { return has(4); }, 40'000));
}

TEST_F(StripedConnection, StaysOpenWhileItsOwnChannelIsHeldUpAndStripesCarryOn) {
  ada.setStripes(connection, 4);
  ASSERT_TRUE(world.runUntil([&] { return has(4); }, 2'000));
  world.jamCarrier(ada, connection, 6'000);
  world.jamCarrier(bob, bob.incoming(), 6'000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(ada.send(connection, std::to_string(i) + std::string(10'000, 'x'), Lane::Bulk));
    world.runFor(50);
    ASSERT_TRUE(bothOpen()) << "after " << i;
  }
  ASSERT_TRUE(world.runUntil([&] { return bob.received[bob.incoming()].size() == 100; }, 2'000));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(bob.received[bob.incoming()][static_cast<std::size_t>(i)], std::to_string(i) + std::string(10'000, 'x'));
  }
}

TEST_F(StripedConnection, RecoversWhenItsOwnChannelIsHeldUpAndNothingComesThroughStripes) {
  ada.setStripes(connection, 4);
  ASSERT_TRUE(world.runUntil([&] { return has(4); }, 2'000));
  world.jamCarrier(ada, connection, 30'000);
  world.jamCarrier(bob, bob.incoming(), 30'000);
  ASSERT_TRUE(ada.send(connection, "a word"));
  ASSERT_TRUE(world.runUntil([&] { return bob.received[bob.incoming()].size() == 1; }, 5'000));
  EXPECT_TRUE(world.runUntil([&] { return bothOpen() && has(4); }, 10'000));
}

TEST_F(StripedConnection, AStripeThatOpensAfterTheEndMeansNothing) {
  // Closed after 0 to 60 ms: before the offers of the stripes left, while they are negotiated, when some are open.
  for (Millis wait = 0; wait <= 60; ++wait) {
    Node& eve = world.add("eve" + std::to_string(wait));
    eve.start();
    world.runFor(500);
    const ConnectionHandle toEve = ada.connect(eve.name);
    ASSERT_TRUE(world.runUntil([&] { return ada.state(toEve) == ConnectionState::Open; }));
    ada.setStripes(toEve, 4);
    world.runFor(wait);
    eve.close(eve.incoming());
    ASSERT_TRUE(world.runUntil([&] { return ada.state(toEve) == ConnectionState::Closed; }));
    world.runFor(3'000);
  }
  EXPECT_EQ(ada.liveLinks(), 1U);
}

TEST_F(StripedConnection, AFewAllowsAsManyAsItsOwnLimit) {
  Config config;
  config.maxStripes = 2;
  Node& eve = world.add("eve", config);
  eve.start();
  world.runFor(500);
  const ConnectionHandle toEve = ada.connect("eve");
  ASSERT_TRUE(world.runUntil([&] { return ada.state(toEve) == ConnectionState::Open; }));
  ada.setStripes(toEve, 4);
  world.runFor(10'000);
  EXPECT_EQ(eve.liveLinks(), 2U);
  EXPECT_EQ(eve.state(eve.incoming()), ConnectionState::Open);
}

}  // namespace
}  // namespace peerbridge::sim
