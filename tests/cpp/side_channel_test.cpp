// Side channels: RTCDataChannels of the application's own, beside the one that carries the connection.

#include <gtest/gtest.h>

#include "../sim/world.hpp"

namespace peerbridge::sim {
namespace {

class SideChannels : public ::testing::Test {
 protected:
  void SetUp() override {
    ada.start();
    bob.start();
    connection = ada.connect("bob");
    ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 1 && bothOpen(); }));
    world.runFor(1'000);
  }
  void TearDown() override { EXPECT_EQ(world.violations(), std::vector<std::string>{}); }

  bool bothOpen() {
    return ada.state(connection) == ConnectionState::Open && bob.state(bob.incoming()) == ConnectionState::Open;
  }
  void open(Node& node, std::uint32_t side) {
    node.feed(input::SideOpen{&node == &ada ? connection : bob.incoming(), side, "moves"});
    world.runFor(500);
  }
  /// How many each side has.
  void expectSides(std::size_t count) {
    EXPECT_EQ(ada.liveSides(connection), count);
    EXPECT_EQ(bob.liveSides(bob.incoming()), count);
  }

  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ConnectionHandle connection = 0;
};

TEST_F(SideChannels, BothSidesMayMakeThem) {
  open(ada, 1);
  expectSides(1);
  open(bob, 1);
  expectSides(2);
  EXPECT_TRUE(bothOpen());
  ASSERT_TRUE(ada.send(connection, "the connection goes on"));
  world.runFor(500);
  EXPECT_EQ(bob.received[bob.incoming()].size(), 1U);
}

TEST_F(SideChannels, AreClosedByTheirMaker) {
  open(ada, 1);
  open(ada, 2);
  ada.feed(input::SideClose{connection, 1});
  ada.feed(input::SideClose{connection, 1});
  ada.feed(input::SideClose{connection, 0});
  ada.feed(input::SideClose{connection, 77});
  world.runFor(500);
  expectSides(1);
  EXPECT_TRUE(bothOpen());
}

TEST_F(SideChannels, AreMadeAgainOnTheNextRTCPeerConnection) {
  open(ada, 1);
  open(bob, 1);
  for (int round = 0; round < 3; ++round) {
    world.pathDown();
    world.runFor(20'000);
    world.pathUp();
    ASSERT_TRUE(world.runUntil([&] { return bothOpen(); }, 5'000)) << round;
    world.runFor(2'000);
    expectSides(2);
  }
  EXPECT_EQ(ada.liveLinks(), 1U);
  EXPECT_EQ(ada.liveChannels(), 3U);
}

TEST_F(SideChannels, ShowThatThePathIsUpWhileTheConnectionsOwnFramesWait) {
  const auto recovering = [&] {
    return ada.state(connection) == ConnectionState::Recovering ||
           bob.state(bob.incoming()) == ConnectionState::Recovering;
  };
  open(ada, 1);
  world.pathDown();
  for (int i = 1; i <= 2; ++i) {
    world.runFor(1'100);
    EXPECT_FALSE(recovering()) << "after " << i * 1'100 << " ms";
    ada.feed(input::SideHeard{connection});
    bob.feed(input::SideHeard{bob.incoming()});
  }
  // Nothing came for as long as silence may be.
  world.runFor(1'900);
  EXPECT_FALSE(recovering());
  EXPECT_TRUE(world.runUntil(recovering, 200)) << "before the browser says it";
}

TEST_F(SideChannels, ThatWereAskedForDuringAnOutageAreMadeAfterIt) {
  world.pathDown();
  world.runFor(15'000);
  ada.feed(input::SideOpen{connection, 5, "late"});
  world.runFor(5'000);
  world.pathUp();
  ASSERT_TRUE(world.runUntil([&] { return bothOpen(); }, 5'000));
  world.runFor(2'000);
  expectSides(1);
}

TEST_F(SideChannels, AreAtMost32FromEachSide) {
  for (std::uint32_t side = 1; side <= 40; ++side) ada.feed(input::SideOpen{connection, side, "many"});
  world.runFor(1'000);
  expectSides(32);
  open(bob, 1);
  expectSides(33);
  ada.feed(input::SideClose{connection, 7});
  world.runFor(500);
  open(ada, 41);
  expectSides(33);
}

TEST_F(SideChannels, OfAHostilePeerAreBoundedAndTheRestIsClosed) {
  // Its browser makes what it likes; the link of ada's only connection is the first there is.
  const std::vector<ChannelHandle>& bound = ada.sides[connection];
  for (ChannelHandle channel = 1'001; channel < 3'001; channel += 2) {
    ada.feed(input::ChannelArrived{1, channel, "peerbridge.channel." + std::to_string(channel)});
  }
  ASSERT_EQ(bound.size(), 32U);
  // One that goes makes room for another.
  ada.feed(input::ChannelClosed{bound[3]});
  ada.feed(input::ChannelArrived{1, 5'001, "peerbridge.channel.9"});
  EXPECT_EQ(bound.size(), 33U);
  EXPECT_TRUE(bothOpen());
}

TEST_F(SideChannels, NeverCarryTheConnection) {
  ada.feed(input::ChannelArrived{1, 1'001, "peerbridge.channel.1"});
  ada.feed(input::ChannelOpened{1'001, 262'144});
  ASSERT_TRUE(ada.send(connection, "through the right one"));
  world.runFor(500);
  EXPECT_EQ(bob.received[bob.incoming()].size(), 1U);
  ada.feed(input::ChannelClosed{1'001});
  world.runFor(500);
  EXPECT_TRUE(bothOpen());
}

TEST_F(SideChannels, EndWithTheConnection) {
  open(ada, 1);
  open(bob, 1);
  ada.close(connection);
  world.runFor(5'000);
  expectSides(0);
  ada.feed(input::SideOpen{connection, 9, "too late"});
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
  EXPECT_EQ(bob.endpoint->connectionCount(), 0U);
}

TEST_F(SideChannels, AreNothingForCalls) {
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 2; }));
  bob.feed(input::Answer{bob.incoming(1)});
  world.runFor(2'000);
  ada.feed(input::SideOpen{call, 1, "x"});
  world.runFor(500);
  EXPECT_EQ(ada.liveSides(call), 0U);
}

}  // namespace
}  // namespace peerbridge::sim
