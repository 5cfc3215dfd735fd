// Endpoints in a simulated world: what an application sees, from connect() to destroy().

#include "peerbridge/endpoint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "../sim/world.hpp"

namespace peerbridge::sim {
namespace {

bool isOpen(const Node& node, ConnectionHandle connection) { return node.state(connection) == ConnectionState::Open; }
bool isClosed(const Node& node, ConnectionHandle connection) {
  return node.state(connection) == ConnectionState::Closed;
}

/// Two registered peers, and a data connection from ada to bob that is open on both sides.
class Pair : public ::testing::Test {
 protected:
  void SetUp() override {
    ada.start();
    bob.start();
    connection = ada.connect("bob");
    ASSERT_TRUE(world.runUntil(
        [&] { return isOpen(ada, connection) && bob.incomingCount() == 1 && isOpen(bob, bob.incoming()); }));
  }
  void TearDown() override { EXPECT_EQ(world.violations(), std::vector<std::string>{}); }

  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ConnectionHandle connection = 0;
};

TEST_F(Pair, MessagesArriveInOrderInBothDirections) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(ada.send(connection, "ping " + std::to_string(i)));
    ASSERT_TRUE(bob.send(bob.incoming(), "pong " + std::to_string(i)));
  }
  world.runFor(1'000);
  ASSERT_EQ(bob.received[bob.incoming()].size(), 100U);
  ASSERT_EQ(ada.received[connection].size(), 100U);
  EXPECT_EQ(bob.received[bob.incoming()].back(), "ping 99");
  EXPECT_EQ(ada.received[connection].front(), "pong 0");
}

TEST_F(Pair, AMessageOfAMegabyteArrivesWhole) {
  std::string big(1'000'000, 'x');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 % 251);
  ASSERT_TRUE(ada.send(connection, big));
  world.runFor(5'000);
  ASSERT_EQ(bob.received[bob.incoming()].size(), 1U);
  EXPECT_EQ(bob.received[bob.incoming()][0], big);
}

TEST_F(Pair, AWholeConnectionCostsAtMostFourSignalingFrames) {
  EXPECT_LE(ada.signalingFrames + bob.signalingFrames, 4U);
}

TEST_F(Pair, CloseIsHeardByTheOtherSideAfterTheLastMessage) {
  ASSERT_TRUE(ada.send(connection, "goodbye"));
  ada.close(connection);
  world.runFor(1'000);
  EXPECT_TRUE(isClosed(ada, connection));
  EXPECT_TRUE(isClosed(bob, bob.incoming()));
  EXPECT_EQ(bob.received[bob.incoming()], std::vector<std::string>{"goodbye"});
  EXPECT_TRUE(bob.has("connection-closed:2:closed by the other side"));
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
  EXPECT_EQ(bob.endpoint->connectionCount(), 0U);
}

TEST_F(Pair, BothSidesMayCloseAtTheSameTime) {
  ada.close(connection);
  bob.close(bob.incoming());
  world.runFor(5'000);
  EXPECT_EQ(ada.count("connection-closed"), 1U);
  EXPECT_EQ(bob.count("connection-closed"), 1U);
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
}

TEST_F(Pair, DestroyClosesEveryConnectionAndThenDisposes) {
  ada.connect("bob");
  world.runFor(1'000);
  ada.feed(input::Destroy{});
  world.runFor(5'000);
  EXPECT_EQ(ada.count("connection-closed"), 2U);
  EXPECT_TRUE(ada.has("close"));
  EXPECT_TRUE(ada.disposed);
  EXPECT_EQ(bob.endpoint->connectionCount(), 0U);
}

TEST_F(Pair, DataGoesOnWhenTheSignalingServerIsGone) {
  world.serverDown();
  world.runFor(2'000);
  EXPECT_TRUE(ada.has("disconnected"));
  EXPECT_TRUE(ada.has("state:reconnecting"));
  ASSERT_TRUE(ada.send(connection, "still here"));
  world.runFor(1'000);
  EXPECT_EQ(bob.received[bob.incoming()], std::vector<std::string>{"still here"});
  world.serverUp();
  EXPECT_TRUE(world.runUntil([&] { return ada.count("open:") == 2 && bob.count("open:") == 2; }, 30'000));
}

TEST_F(Pair, ACallCanBeStartedWhileTheSignalingServerIsGone) {
  world.serverDown();
  world.runFor(2'000);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  EXPECT_TRUE(world.runUntil(
      [&] { return isOpen(ada, call) && bob.incomingCount() == 2 && isOpen(bob, bob.incoming(1)); }, 5'000));
  ada.close(call);
  world.runFor(1'000);
  EXPECT_TRUE(isClosed(bob, bob.incoming(1)));
}

TEST_F(Pair, TracksThatComeAndGoRenegotiateByThemselves) {
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(
      world.runUntil([&] { return isOpen(ada, call) && bob.incomingCount() == 2 && isOpen(bob, bob.incoming(1)); }));
  const std::size_t before = ada.signalingFrames;
  ada.changeMedia(call);
  world.runFor(1'000);
  EXPECT_GT(ada.signalingFrames, before);
  bob.changeMedia(bob.incoming(1));
  world.runFor(1'000);
  EXPECT_TRUE(isOpen(ada, call));
}

TEST_F(Pair, OffersThatCrossAreSettledByTheIds) {
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(
      world.runUntil([&] { return isOpen(ada, call) && bob.incomingCount() == 2 && isOpen(bob, bob.incoming(1)); }));
  for (int round = 0; round < 20; ++round) {
    ada.changeMedia(call);
    world.runFor(round % 5);
    bob.changeMedia(bob.incoming(1));
    world.runFor(1'000);
  }
  EXPECT_TRUE(isOpen(ada, call));
  EXPECT_TRUE(isOpen(bob, bob.incoming(1)));
}

TEST_F(Pair, AShortOutageIsInvisibleButForTheRecoveringState) {
  world.pathDown();
  ASSERT_TRUE(ada.send(connection, "through the gap"));
  ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Recovering; }));
  world.pathUp();
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, connection) && isOpen(bob, bob.incoming()); }, 10'000));
  world.runFor(1'000);
  EXPECT_EQ(bob.received[bob.incoming()], std::vector<std::string>{"through the gap"});
}

TEST_F(Pair, AnOutageBeyondTheBudgetClosesTheConnectionWithAReason) {
  world.pathDown();
  world.runFor(80'000);
  EXPECT_TRUE(isClosed(ada, connection));
  EXPECT_TRUE(ada.has("connection-error:1:connection-lost"));
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
}

TEST_F(Pair, AFileThatTheOtherSideNeverHeardOfFailsWhenItCloses) {
  world.pathDown();
  ada.offerFile(connection, 10);
  bob.close(bob.incoming());
  world.runFor(1'000);
  world.pathUp();
  ASSERT_TRUE(world.runUntil([&] { return isClosed(ada, connection); }, 10'000));
  ASSERT_EQ(ada.talk(connection)->files.size(), 1U);
  EXPECT_EQ(ada.talk(connection)->files[0].state, TransferState::Failed);
}

TEST_F(Pair, AFileThatIsOfferedToASideThatIsClosingFailsThere) {
  ada.close(connection);
  bob.offerFile(bob.incoming(), 10);
  ASSERT_TRUE(world.runUntil([&] { return ada.talk(connection)->closedTold; }, 10'000));
  for (const File& file : ada.talk(connection)->files) EXPECT_EQ(file.state, TransferState::Failed);
  EXPECT_EQ(bob.talk(bob.incoming())->files[0].state, TransferState::Failed);
}

TEST_F(Pair, BytesThatTheProtocolForbidsCloseThatConnectionAlone) {
  const ConnectionHandle second = ada.connect("bob");
  ASSERT_TRUE(
      world.runUntil([&] { return isOpen(ada, second) && bob.incomingCount() == 2 && isOpen(bob, bob.incoming(1)); }));
  const std::vector<std::byte> lie{std::byte{0xff}, std::byte{0x00}};
  // Channel 2 is the first that ada made.
  ada.endpoint->receive(2, lie, world.now());
  while (ada.endpoint->delivery()) {
  }
  ada.feed(input::Timeout{});
  EXPECT_TRUE(ada.has("connection-error:1:protocol-violation"));
  EXPECT_TRUE(isClosed(ada, connection));
  EXPECT_TRUE(isOpen(ada, second));
}

TEST_F(Pair, WhoIsLeftForBreakingTheProtocolHearsThatItIsOver) {
  const std::vector<std::byte> lie{std::byte{0xff}, std::byte{0x00}};
  ada.endpoint->receive(2, lie, world.now());
  while (ada.endpoint->delivery()) {
  }
  ada.feed(input::Timeout{});
  // Without that word it would look for a path until its patience ends.
  EXPECT_TRUE(world.runUntil([&] { return isClosed(bob, bob.incoming()); }, 1'000));
}

TEST(Endpoint, AConnectBeforeOpenWaitsForTheServer) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.start();
  world.runFor(100);
  ada.start();
  const ConnectionHandle early = ada.connect("bob");
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, early); }, 2'000));
  EXPECT_EQ(world.violations(), std::vector<std::string>{});
}

TEST(Endpoint, AConnectWhileTheServerIsAwayIsMadeWhenItReturns) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ada.start();
  bob.start();
  world.runFor(100);
  world.serverDown();
  world.runFor(100);
  const ConnectionHandle early = ada.connect("bob");
  world.runFor(3'000);
  EXPECT_FALSE(isOpen(ada, early));
  world.serverUp();
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, early); }, 20'000));
  EXPECT_EQ(world.violations(), std::vector<std::string>{});
}

TEST(Endpoint, AConnectThatTheServerStaysAwayForFailsWithATypedError) {
  World world;
  Node& ada = world.add("ada");
  ada.start();
  world.runFor(100);
  world.serverDown();
  const ConnectionHandle lost = ada.connect("bob");
  world.runFor(40'000);
  EXPECT_TRUE(isClosed(ada, lost));
  EXPECT_TRUE(ada.has("connection-error:1:signal-expired") || ada.has("connection-error:1:timeout"));
}

TEST(Endpoint, APeerThatIsNotThereFailsOnTheConnectionAndOnThePeer) {
  World world;
  Node& ada = world.add("ada");
  ada.start();
  world.runFor(100);
  const ConnectionHandle nobody = ada.connect("nobody");
  world.runFor(8'000);
  EXPECT_TRUE(isClosed(ada, nobody));
  EXPECT_TRUE(ada.has("connection-error:1:peer-unavailable"));
  EXPECT_TRUE(ada.has("error:peer-unavailable"));
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
}

TEST(Endpoint, BothSidesConnectingAtOnceGetTwoConnections) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle a = ada.connect("bob");
  const ConnectionHandle b = bob.connect("ada");
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, a) && isOpen(bob, b); }, 5'000));
  EXPECT_EQ(ada.endpoint->connectionCount(), 2U);
  EXPECT_EQ(world.violations(), std::vector<std::string>{});
}

TEST(Endpoint, ACallerWhoHangsUpBeforeTheAnswerIsHeard) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.answerCalls = false;
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 1; }));
  ada.close(call);
  world.runFor(100);
  EXPECT_TRUE(isClosed(ada, call));
  EXPECT_TRUE(isClosed(bob, bob.incoming()));
  EXPECT_EQ(bob.endpoint->connectionCount(), 0U);
}

TEST(Endpoint, ACallerWhoHangsUpWhileHeHasLeftTheServerIsHeardOnceHeIsBack) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.answerCalls = false;
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 1; }));
  ada.feed(input::Disconnect{});
  ada.close(call);
  world.runFor(1'000);
  ada.feed(input::Reconnect{});
  world.runFor(1'000);
  bob.answer(bob.incoming());
  world.runFor(1'000);
  EXPECT_TRUE(bob.has("connection-closed:2:closed by the other side"));
}

TEST(Endpoint, ACallThatIsNotTakenIsRejectedOnTheCaller) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.answerCalls = false;
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(world.runUntil([&] { return bob.incomingCount() == 1; }));
  bob.close(bob.incoming());
  world.runFor(100);
  EXPECT_TRUE(isClosed(ada, call));
  EXPECT_TRUE(ada.has("connection-error:1:rejected"));
}

TEST(Endpoint, ACallThatNobodyTakesEndsOnBothSides) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.answerCalls = false;
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  world.runFor(130'000);
  EXPECT_TRUE(isClosed(ada, call));
  EXPECT_TRUE(ada.has("connection-error:1:timeout"));
  EXPECT_TRUE(isClosed(bob, bob.incoming()));
}

TEST(Endpoint, ACallMayRingForAlmostTwoMinutes) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.answerCalls = false;
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  world.runFor(110'000);
  ASSERT_EQ(bob.incomingCount(), 1U);
  bob.feed(input::Answer{bob.incoming()});
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, call) && isOpen(bob, bob.incoming()); }, 5'000));
}

TEST(Endpoint, AnIdThatIsTakenEndsAFreshPeerInPeerJsOrder) {
  World world;
  Node& first = world.add("ada");
  first.start();
  world.runFor(100);
  Node& second = world.add("bob");
  second.feed(input::Start{"ada", "another token"});
  world.runFor(100);
  EXPECT_EQ(second.events, (std::vector<std::string>{"state:connecting", "error:unavailable-id", "disconnected",
                                                     "state:closed", "close"}));
}

TEST(Endpoint, AnInvalidIdEndsAFreshPeerInPeerJsOrder) {
  World world;
  Node& peer = world.add("ada");
  peer.feed(input::Start{"-no-", "token"});
  EXPECT_EQ(peer.events, (std::vector<std::string>{"error:invalid-id", "disconnected", "state:closed", "close"}));
}

TEST(Endpoint, AServerThatSwapsTheSocketWithoutOpenIsUpAfterTwoSeconds) {
  World world;
  Node& ada = world.add("ada");
  ada.start();
  world.runFor(100);
  // The client's transport dies, the server does not notice and keeps the old socket.
  ada.feed(input::SignalingClosed{1, "network changed"});
  // The server still knows ada: her comeback gets no OPEN.
  EXPECT_TRUE(world.runUntil([&] { return ada.count("open:") == 2; }, 5'000));
}

TEST(Endpoint, WhatWasToBeSaidWhenTheApplicationLeftTheServerIsSaidWhenItIsBack) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ada.start();
  bob.start();
  world.runFor(100);
  const ConnectionHandle wish = ada.connect("bob");
  ada.feed(input::Disconnect{});
  world.runFor(5'000);
  EXPECT_EQ(bob.incomingCount(), 0U);
  ada.feed(input::Reconnect{});
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, wish); }, 2'000));
}

TEST(Endpoint, AnOfferThatWasLostInADeadSocketIsSentAgainThroughTheNextOne) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  ada.start();
  bob.start();
  world.runFor(100);
  world.halfOpen(ada);
  const ConnectionHandle wish = ada.connect("bob");
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, wish) && isOpen(bob, bob.incoming()); }, 29'000));
  EXPECT_EQ(bob.incomingCount(), 1U);
  EXPECT_EQ(world.violations(), std::vector<std::string>{});
}

TEST(Endpoint, ACallThatMayBeRingingIsNotOfferedAgain) {
  World world;
  Node& ada = world.add("ada");
  Node& bob = world.add("bob");
  bob.answerCalls = false;
  ada.start();
  bob.start();
  world.runFor(100);
  (void)ada.connect("bob", ConnectionKind::Media);
  world.runFor(1'000);
  const std::size_t before = ada.signalingFrames;
  world.serverDown();
  world.runFor(1'000);
  world.serverUp();
  ASSERT_TRUE(world.runUntil([&] { return ada.count("open:") == 2; }, 5'000));
  world.runFor(4'500);
  EXPECT_EQ(ada.signalingFrames, before);
}

TEST_F(Pair, APageThatEndsWhileMuchIsOnItsWayIsMissedAtOnce) {
  ASSERT_TRUE(ada.send(connection, std::string(1'000'000, 'x')));
  world.runFor(20);
  ada.hide();
  EXPECT_TRUE(world.runUntil([&] { return isClosed(bob, bob.incoming()); }, 500));
  EXPECT_TRUE(bob.has("connection-closed:2:closed by the other side"));
}

TEST(Endpoint, AfterAnExplicitDisconnectNothingReconnectsUnasked) {
  World world;
  Node& ada = world.add("ada");
  ada.start();
  world.runFor(100);
  ada.feed(input::Disconnect{});
  world.runFor(60'000);
  EXPECT_EQ(ada.count("open:"), 1U);
  EXPECT_EQ(ada.count("disconnected"), 1U);
  ada.feed(input::Reconnect{});
  EXPECT_TRUE(world.runUntil([&] { return ada.count("open:") == 2; }, 5'000));
}

TEST(Endpoint, AnythingThatAServerCanSayIsSurvived) {
  World world;
  Node& ada = world.add("ada");
  ada.start();
  world.runFor(100);
  for (const char* text :
       {"", "{", "[]", "null", "{\"type\":1}", "{\"type\":\"NEWS\"}", "{\"type\":\"OFFER\"}",
        R"({"type":"OFFER","src":"bob","payload":{}})", R"({"type":"ANSWER","src":"bob","payload":null})",
        R"({"type":"CANDIDATE","src":"bob","payload":{"connectionId":"x","type":"data","candidate":7}})",
        "{\"type\":\"OPEN\"}", "{\"type\":\"EXPIRE\"}", "{\"type\":\"LEAVE\",\"src\":\"bob\"}"}) {
    ada.feed(input::SignalingMessage{1, text});
  }
  EXPECT_EQ(ada.endpoint->connectionCount(), 0U);
  EXPECT_GT(ada.count("warning:bad-signal"), 5U);
}

TEST(Endpoint, OnePeerCannotOpenConnectionsWithoutEnd) {
  World world;
  Node& ada = world.add("ada");
  ada.start();
  world.runFor(100);
  for (int i = 0; i < 1'000; ++i) {
    ada.feed(input::SignalingMessage{1, R"({"type":"OFFER","src":"bob","payload":{"type":"data","connectionId":"c)" +
                                            std::to_string(i) + R"(","sdp":{"type":"offer","sdp":"v=0"}}})"});
  }
  EXPECT_LE(ada.endpoint->connectionCount(), 64U);
}

/// Two peers whose signals people carry. What they say to each other through the server is laid aside instead.
class ByHand : public ::testing::Test {
 protected:
  void SetUp() override {
    world.serverFilter = [this](const std::string& from, const std::string& text) {
      if (text.find("\"dst\"") == std::string::npos || text.find(" probe\"") != std::string::npos) return true;
      letters.emplace_back(from, text);
      return false;
    };
    ada.start();
    bob.start();
    world.runFor(100);
  }
  void TearDown() override { EXPECT_EQ(world.violations(), std::vector<std::string>{}); }

  static Config byHand() {
    Config config;
    config.byHand = true;
    return config;
  }
  /// The first letter of its kind is brought to whom it is for.
  void bring(const char* type, Node& to) {
    for (const auto& [from, text] : letters) {
      if (text.find(type) == std::string::npos) continue;
      to.feed(input::SignalingMessage{1, "{\"src\":\"" + from + "\"," + text.substr(1)});
      return;
    }
    ADD_FAILURE() << "no " << type;
  }
  std::size_t count(const char* type) const {
    return static_cast<std::size_t>(std::count_if(letters.begin(), letters.end(), [type](const auto& letter) {
      return letter.second.find(type) != std::string::npos;
    }));
  }
  ConnectionHandle open(Millis pause) {
    const ConnectionHandle connection = ada.connect("bob");
    world.runFor(pause);
    bring("OFFER", bob);
    // The browsers of this world give a path up for good; real ones begin anew when the other side comes.
    world.runFor(5'000);
    bring("ANSWER", ada);
    EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, connection) && isOpen(bob, bob.incoming()); }));
    return connection;
  }

  World world;
  Node& ada = world.add("ada", byHand());
  Node& bob = world.add("bob", byHand());
  std::vector<std::pair<std::string, std::string>> letters;
};

TEST_F(ByHand, AnInvitationIsOneWholeOfferAndMayTakeHours) {
  open(2 * 3'600'000);
  EXPECT_EQ(count("OFFER"), 1U);
  EXPECT_EQ(ada.count("connection-error") + bob.count("connection-error"), 0U);
}

TEST_F(ByHand, WhatFollowsIsSignaledThroughTheConnection) {
  open(60'000);
  letters.clear();
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  const ConnectionHandle back = bob.connect("ada");
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, call) && isOpen(bob, back); }));
  world.runFor(60'000);
  EXPECT_TRUE(letters.empty());
}

TEST_F(ByHand, OffersThatCrossInsideTheConnectionAreSettled) {
  const ConnectionHandle connection = open(60'000);
  const ConnectionHandle call = ada.connect("bob", ConnectionKind::Media);
  ASSERT_TRUE(world.runUntil([&] { return isOpen(ada, call) && bob.incomingCount() == 2; }));
  ada.changeMedia(call, true);
  bob.changeMedia(bob.incoming(1), true);
  world.runFor(10'000);
  EXPECT_EQ(world.unsettled(ada) + world.unsettled(bob), "");
  EXPECT_TRUE(isOpen(ada, connection));
}

TEST_F(ByHand, APathThatComesBackIsUsedAgainAndNobodyIsBotheredMeanwhile) {
  const ConnectionHandle connection = open(60'000);
  letters.clear();
  world.pathDown();
  ASSERT_TRUE(world.runUntil([&] { return ada.state(connection) == ConnectionState::Recovering; }));
  world.runFor(3'000);
  world.pathUp();
  EXPECT_TRUE(world.runUntil([&] { return isOpen(ada, connection) && isOpen(bob, bob.incoming()); }));
  EXPECT_EQ(count("OFFER"), 0U);
}

TEST_F(ByHand, WhoAnsweredIsNotPutOffByABrowserThatGaveUpMeanwhile) {
  const ConnectionHandle connection = ada.connect("bob");
  world.runFor(1'000);
  world.pathDown();
  bring("OFFER", bob);
  world.runFor(10 * 60'000);
  EXPECT_FALSE(isClosed(bob, bob.incoming()));
  EXPECT_FALSE(isClosed(ada, connection));
}

TEST_F(ByHand, AnAnswerToWhichNoPathLeadsEndsTheConnection) {
  world.pathDown();
  const ConnectionHandle connection = ada.connect("bob");
  world.runFor(60'000);
  bring("OFFER", bob);
  world.runFor(60'000);
  EXPECT_FALSE(isClosed(ada, connection));
  bring("ANSWER", ada);
  EXPECT_TRUE(world.runUntil([&] { return isClosed(ada, connection); }));
}

}  // namespace
}  // namespace peerbridge::sim
