// Coming back: silence, ICE restarts, fresh RTCPeerConnections that race the old one, and when to give up.

#include <gtest/gtest.h>

#include "../sim/world.hpp"

namespace peerbridge::sim {
namespace {

class Recovery : public ::testing::Test {
 protected:
  explicit Recovery(const Settings& settings = {}) : world(settings) {}
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
  bool recovering(Node& node, ConnectionHandle handle) { return node.state(handle) == ConnectionState::Recovering; }

  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ConnectionHandle connection = 0;
};

/// Neither side reaches the other without the candidates of both.
class RecoveryWithFewCandidates : public Recovery {
 protected:
  RecoveryWithFewCandidates() : Recovery(few()) {}

 private:
  static Settings few() {
    Settings settings;
    settings.bothUseful = true;
    return settings;
  }
};

/// Two that talk as PeerJS does: one OFFER, and nothing that a second one could mend.
class RecoveryTowardPeerJs : public ::testing::Test {
 protected:
  static Config peerJs() {
    Config config;
    config.protocol = ProtocolChoice::PeerJs;
    return config;
  }
  void SetUp() override {
    ada.start();
    bob.start();
    connection = ada.connect("bob");
    ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 1 && bothAre(ConnectionState::Open); }));
    world.runFor(1'000);
  }
  void TearDown() override { EXPECT_EQ(world.violations(), std::vector<std::string>{}); }

  bool bothAre(ConnectionState state) { return ada.state(connection) == state && bob.state(bob.incoming()) == state; }

  World world;
  Node& ada = world.add("ada", peerJs());
  Node& bob = world.add("bob", peerJs());
  ConnectionHandle connection = 0;
};

TEST_F(RecoveryTowardPeerJs, WhatTheBrowserSaysIsRecoveringAndComesBackWithoutASecondOffer) {
  world.pathDown();
  ASSERT_TRUE(world.runUntil([&] { return bothAre(ConnectionState::Recovering); }, 12'000));
  const std::size_t frames = ada.signalingFrames + bob.signalingFrames;
  world.runFor(2'000);
  world.pathUp();
  ASSERT_TRUE(world.runUntil([&] { return bothAre(ConnectionState::Open); }, 12'000));
  // Each asked its server once whether it is there.
  EXPECT_LE(ada.signalingFrames + bob.signalingFrames, frames + 2);
  EXPECT_EQ(ada.liveLinks(), 1U);
}

TEST_F(RecoveryTowardPeerJs, APathThatFailedEndsIt) {
  world.pathDown();
  ASSERT_TRUE(world.runUntil([&] { return bothAre(ConnectionState::Closed); }, 60'000));
  EXPECT_TRUE(ada.has("connection-error:1:negotiation-failed"));
  world.runFor(20'000);
  EXPECT_EQ(ada.liveLinks() + bob.liveLinks(), 0U);
}

TEST_F(Recovery, AnIdleConnectionThatWorksStaysOpen) {
  world.runFor(120'000);
  EXPECT_TRUE(bothOpen());
  EXPECT_EQ(ada.count("connection-state:1:recovering"), 0U);
}

TEST_F(Recovery, TwoSecondsOfSilenceAreNoticed) {
  world.pathDown();
  world.runFor(3'100);
  EXPECT_TRUE(recovering(ada, connection));
  EXPECT_TRUE(recovering(bob, bob.incoming()));
  world.pathUp();
  EXPECT_TRUE(world.runUntil([&] { return bothOpen(); }, 3'000));
}

TEST_F(Recovery, AKilledBrowserIsNoticedWithinFiveSecondsAndTheServersWordEndsTheConnection) {
  bob.kill();
  world.runFor(5'000);
  EXPECT_TRUE(recovering(ada, connection));
  ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Closed; }, 15'000));
  EXPECT_TRUE(ada.has("connection-error:1:peer-unavailable"));
  EXPECT_TRUE(ada.has("connection-closed:1:peer-unavailable"));
}

TEST_F(Recovery, AMereOutageKeepsItsWholeBudget) {
  const Millis begin = world.now();
  world.pathDown();
  world.serverDown();
  world.runFor(61'000);
  EXPECT_TRUE(recovering(ada, connection)) << world.now() - begin;
  ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Closed; }, 3'000));
  EXPECT_TRUE(ada.has("connection-error:1:connection-lost"));
}

TEST_F(Recovery, MessagesSentDuringAnOutageArriveOnceAndInOrder) {
  world.pathDown();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(ada.send(connection, "a" + std::to_string(i)));
    ASSERT_TRUE(bob.send(bob.incoming(), "b" + std::to_string(i)));
    world.runFor(400);
  }
  world.pathUp();
  ASSERT_TRUE(world.runUntil([&] { return bothOpen(); }, 5'000));
  world.runFor(2'000);
  EXPECT_EQ(bob.received[bob.incoming()], ada.sent[connection]);
  EXPECT_EQ(ada.received[connection], bob.sent[bob.incoming()]);
}

TEST_F(Recovery, AFreshRTCPeerConnectionThatWinsLeavesNothingBehind) {
  for (int round = 0; round < 5; ++round) {
    world.pathDown();
    world.runFor(20'000);
    world.pathUp();
    ASSERT_TRUE(world.runUntil([&] { return bothOpen(); }, 5'000)) << round;
    ASSERT_TRUE(ada.send(connection, "round " + std::to_string(round)));
    world.runFor(40'000);
  }
  EXPECT_EQ(bob.received[bob.incoming()].size(), 5U);
  ada.close(connection);
  world.runFor(20'000);
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
  EXPECT_EQ(bob.endpoint->connectionCount(), 0U);
}

TEST_F(Recovery, ACallWhoseChannelClosedGetsANewOneAndNotOnlyItsPath) {
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 2 && ada.liveChannels() == 2; }));
  world.runFor(1'000);
  ada.browser = bob.browser = Browser::firefox();
  world.pathDown();
  world.serverDown();
  world.runFor(32'000);
  ASSERT_TRUE(ada.send(call, "through another channel"));
  world.serverUp();
  world.pathUp();
  ASSERT_TRUE(world.runUntil([&] { return bob.received[bob.incoming(1)].size() == 1; }, 20'000));
  world.runFor(10'000);
  EXPECT_EQ(ada.liveChannels(), 2U);
  EXPECT_EQ(ada.liveLinks(), 2U);
}

TEST_F(Recovery, ARacerThatCameBeforeTheSilenceWasNoticedIsKept) {
  // Only Ada does not hear; Bob makes his link for the racer while he is open, and loses the path afterwards.
  world.setReach(bob, ada, false);
  world.runFor(1'500);
  ASSERT_TRUE(ada.send(connection, "do you hear me?"));
  ASSERT_TRUE(world.runUntil([&] { return bob.liveLinks() == 2; }, 10'000));
  ASSERT_FALSE(recovering(bob, bob.incoming()));
  world.setReach(ada, bob, false);
  world.runFor(8'000);
  EXPECT_TRUE(recovering(bob, bob.incoming()));
  EXPECT_EQ(bob.liveLinks(), 2U);
}

TEST_F(Recovery, WhatWasSentGoesBeforeAnEndThatCameWhileThePathWasDown) {
  for (Node* const node : {&ada, &bob}) {
    if (node == &bob) {
      connection = ada.connect("bob");
      ASSERT_TRUE(
          world.runUntil([&] { return bob.incomingCount() == 2 && ada.state(connection) == ConnectionState::Open; }));
      world.runFor(1'000);
    }
    Node& other = node == &ada ? bob : ada;
    const ConnectionHandle incoming = bob.incoming(bob.incomingCount() - 1);
    const ConnectionHandle mine = node == &ada ? connection : incoming;
    const ConnectionHandle theirs = node == &ada ? incoming : connection;
    world.pathDown();
    ASSERT_TRUE(world.runUntil([&] { return recovering(*node, mine); }, 3'000));
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(node->send(mine, std::to_string(i)));
    node->close(mine);
    EXPECT_FALSE(node->send(mine, "too late"));
    world.runFor(3'000);
    EXPECT_TRUE(recovering(*node, mine)) << "it waits for another path";
    const std::size_t opened = node->count("connection-state:" + std::to_string(mine) + ":open");
    world.pathUp();
    const auto over = [&] {
      return node->state(mine) == ConnectionState::Closed && other.state(theirs) == ConnectionState::Closed;
    };
    ASSERT_TRUE(world.runUntil(over, 10'000));
    ASSERT_EQ(other.received[theirs].size(), 50U);
    EXPECT_EQ(other.received[theirs].back(), "49");
    EXPECT_EQ(node->count("connection-state:" + std::to_string(mine) + ":open"), opened) << "for who closed it is over";
    world.runFor(5'000);
    EXPECT_EQ(ada.liveLinks() + bob.liveLinks(), 0U);
  }
}

TEST_F(Recovery, AnEndWaitsForAnotherPathForSomeSecondsAndNoLonger) {
  world.pathDown();
  ASSERT_TRUE(world.runUntil([&] { return recovering(ada, connection); }, 3'000));
  ASSERT_TRUE(ada.send(connection, "lost"));
  ada.close(connection);
  ada.close(connection);
  world.runFor(9'000);
  EXPECT_TRUE(recovering(ada, connection));
  ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Closed; }, 1'100));
  ASSERT_TRUE(world.runUntil([&] { return bob.state(bob.incoming()) == ConnectionState::Closed; }, 1'000))
      << "it is told by the server";
  EXPECT_EQ(ada.liveLinks() + bob.liveLinks(), 0U);
}

TEST_F(Recovery, ConnectionsThatBothSidesCloseAtOnceAreForgottenByBoth) {
  for (int round = 0; round < 3; ++round) {
    if (round > 0) {
      connection = ada.connect("bob");
      ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Open; }));
      world.runFor(1'000);
    }
    ada.send(connection, "last words");
    ada.close(connection);
    bob.close(bob.incoming(static_cast<std::size_t>(round)));
    world.runFor(20'000);
    EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
    EXPECT_EQ(bob.endpoint->connectionCount(), 0U);
  }
}

TEST_F(Recovery, ClosingWhileRecoveringTellsTheOtherSideThroughTheServer) {
  world.pathDown();
  world.runFor(5'000);
  ada.close(connection);
  ASSERT_TRUE(world.runUntil([&] { return bob.state(bob.incoming()) == ConnectionState::Closed; }, 1'000));
}

TEST_F(Recovery, APeerThatWasHeardJustNowIsThereWhateverTheServerKnows) {
  world.runFor(20'000);
  world.setReach(ada, bob, false);
  world.setReach(bob, ada, false);
  ASSERT_TRUE(ada.send(connection, "on its way"));
  world.runFor(2'500);
  ASSERT_TRUE(recovering(bob, bob.incoming()));
  world.setReach(ada, bob, true);
  ASSERT_TRUE(world.runUntil([&] { return !bob.received[bob.incoming()].empty(); }, 4'000));
  bob.feed(input::SignalingMessage{1, R"({"type":"EXPIRE","src":"ada"})"});
  EXPECT_TRUE(recovering(bob, bob.incoming()));
  world.setReach(bob, ada, true);
  EXPECT_TRUE(world.runUntil([&] { return bothOpen(); }, 5'000));
}

TEST_F(RecoveryWithFewCandidates, WhoStillBelievesInThePathSendsItsOwnThroughTheServerAllTheSame) {
  // Her address changes, and the way to the server survives it.
  ++ada.address;
  ada.movedAt = world.now();
  ada.feed(input::Network{NetworkChange::Changed});
  ASSERT_TRUE(world.runUntil([&] { return recovering(ada, connection); }, 1'000));
  ASSERT_EQ(bob.state(bob.incoming()), ConnectionState::Open);
  EXPECT_TRUE(world.runUntil([&] { return bothOpen(); }, 800));
}

TEST_F(Recovery, WithoutANetworkFewAttemptsAreMadeAndItsReturnIsUsedAtOnce) {
  // Chromium delays WebSockets by how many failed: by seconds after thirty.
  world.setOnline(ada, false, true);
  ada.feed(input::Network{NetworkChange::Offline});
  const std::uint32_t before = ada.attempts();
  world.runFor(45'000);
  ASSERT_TRUE(recovering(ada, connection));
  EXPECT_LE(ada.attempts() - before, 10U);
  world.setOnline(ada, true, true);
  ada.feed(input::Network{NetworkChange::Online});
  EXPECT_TRUE(world.runUntil([&] { return bothOpen(); }, 1'000));
}

TEST_F(Recovery, AServerThatRefusesEveryAttemptIsNotStormedWhileAConnectionRecovers) {
  world.pathDown();
  world.serverDown();
  const std::uint32_t before = ada.attempts();
  world.runFor(50'000);
  ASSERT_TRUE(recovering(ada, connection));
  EXPECT_LE(ada.attempts() - before, 30U);
  world.serverUp();
  world.pathUp();
  EXPECT_TRUE(world.runUntil([&] { return bothOpen(); }, 5'000));
}

TEST_F(Recovery, AnExpireRightAfterAServerCameBackDoesNotEndAConnection) {
  world.pathDown();
  world.serverDown();
  world.runFor(5'000);
  // Bob's page sleeps through the server's return: to Ada the server says that he is not there.
  bob.kill();
  world.runFor(100);
  world.serverUp();
  world.runFor(8'000);
  EXPECT_TRUE(recovering(ada, connection)) << "he may only be late";
  ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Closed; }, 60'000));
  EXPECT_TRUE(ada.has("connection-error:1:peer-unavailable"));
}

}  // namespace
}  // namespace peerbridge::sim
