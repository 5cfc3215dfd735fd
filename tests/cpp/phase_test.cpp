// The table of phases, and that a connection keeps to it: an illegal step changes nothing.

#include "connection/phase.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "../sim/inputs.hpp"
#include "peerbridge/endpoint.hpp"
#include "state_diagram.hpp"

namespace peerbridge {
namespace {

constexpr Phase kPhases[] = {Phase::Ringing,    Phase::Negotiating, Phase::Open,
                             Phase::Recovering, Phase::Closing,     Phase::Closed};
constexpr Trigger kTriggers[] = {Trigger::Answer,     Trigger::Up,        Trigger::PathDown, Trigger::PathUp,
                                 Trigger::LocalClose, Trigger::PeerClose, Trigger::Fail,     Trigger::Done};

TEST(Phase, NothingLeavesClosed) {
  for (const Trigger trigger : kTriggers) EXPECT_FALSE(transition(Phase::Closed, trigger)) << triggerName(trigger);
}

TEST(Phase, EveryLivingPhaseCanFailAndThenItIsClosed) {
  for (const Phase phase : kPhases) {
    if (phase == Phase::Closed) continue;
    EXPECT_EQ(transition(phase, Trigger::Fail), Phase::Closed) << phaseName(phase);
  }
}

TEST(Phase, EitherSideCanCloseWhateverIsNotClosingYet) {
  for (const Phase phase : {Phase::Ringing, Phase::Negotiating, Phase::Open, Phase::Recovering}) {
    for (const Trigger trigger : {Trigger::LocalClose, Trigger::PeerClose}) {
      const std::optional<Phase> next = transition(phase, trigger);
      ASSERT_TRUE(next) << phaseName(phase) << " " << triggerName(trigger);
      EXPECT_EQ(publicState(*next), ConnectionState::Closed) << phaseName(phase);
    }
  }
}

TEST(Phase, OnlyAnOpenConnectionRecoversAndOnlyARecoveringOneComesBack) {
  for (const Phase phase : kPhases) {
    EXPECT_EQ(transition(phase, Trigger::PathDown).has_value(), phase == Phase::Open) << phaseName(phase);
    EXPECT_EQ(transition(phase, Trigger::PathUp).has_value(), phase == Phase::Recovering) << phaseName(phase);
  }
}

TEST(Phase, EveryPhaseIsReachedFromABeginningAndLeadsToClosed) {
  const auto reach = [](std::set<Phase> known) {
    for (bool grew = true; grew;) {
      grew = false;
      for (const Transition& row : kTransitions) grew |= known.contains(row.from) && known.insert(row.to).second;
    }
    return known;
  };
  EXPECT_EQ(reach({Phase::Ringing, Phase::Negotiating}).size(), std::size(kPhases));
  for (const Phase phase : kPhases) EXPECT_TRUE(reach({phase}).contains(Phase::Closed)) << phaseName(phase);
}

TEST(Phase, WhatTheApplicationSeesNeverGoesBackwards) {
  for (const Transition& row : kTransitions) {
    const ConnectionState before = publicState(row.from);
    const ConnectionState after = publicState(row.to);
    EXPECT_FALSE(before != ConnectionState::Connecting && after == ConnectionState::Connecting);
    EXPECT_FALSE(before == ConnectionState::Closed && after != ConnectionState::Closed);
  }
}

TEST(Phase, NamesAreDifferentFromOneAnother) {
  std::set<std::string_view> names;
  for (const Phase phase : kPhases) names.insert(phaseName(phase));
  EXPECT_EQ(names.size(), std::size(kPhases));
  names.clear();
  for (const Trigger trigger : kTriggers) names.insert(triggerName(trigger));
  EXPECT_EQ(names.size(), std::size(kTriggers));
  EXPECT_FALSE(names.contains(""));
}

TEST(StateDiagram, InTheDocsIsTheOneThatTheTableSays) {
  std::ifstream file(PEERBRIDGE_DOCS "/state-machine.md", std::ios::binary);
  const std::string written((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(written, stateDiagram()) << "npm run docs:states writes it anew";
}

// -- a whole connection ---------------------------------------------------------------------------------

/// A connection of an endpoint that is driven by hand: no browser, no server, only what a test says.
class Steps : public ::testing::Test {
 protected:
  void SetUp() override {
    say(input::Start{"ada", "token"});
    say(input::SignalingOpened{transport});
    say(input::SignalingMessage{transport, R"({"type":"OPEN"})"});
  }

  /// What the endpoint answers.
  const std::vector<OutputType>& say(Input in) {
    outputs.clear();
    endpoint.handle(in, ++now);
    while (const std::optional<Output> out = endpoint.poll()) {
      outputs.push_back(out->type);
      if (out->type == OutputType::SignalingConnect) transport = out->transport;
      if (out->type == OutputType::ConnectionState) states.push_back(static_cast<ConnectionState>(out->state));
      if (out->type == OutputType::ConnectionIncoming) incoming = out->connection;
      if (out->type == OutputType::LinkCreate) link = out->link;
    }
    return outputs;
  }

  void connect() {
    say(input::Connect{.connection = 1,
                       .peer = "bob",
                       .connectionId = "c1",
                       .label = "c1",
                       .metadata = {},
                       .serialization = "binary"});
  }

  /// Everything that a connection in any phase can be told, apart from what ends it.
  std::vector<Input> nonsense(ConnectionHandle connection) const {
    std::vector<Input> all;
    all.push_back(input::Answer{connection});
    all.push_back(input::LinkStateChanged{link, LinkState::Disconnected});
    all.push_back(input::LinkStateChanged{link, LinkState::Connected});
    all.push_back(input::LinkStateChanged{link, LinkState::Failed});
    all.push_back(input::PathChanged{link});
    all.push_back(input::NegotiationNeeded{link});
    all.push_back(input::GatheringComplete{link});
    all.push_back(input::ChannelArrived{link, 7});
    all.push_back(input::ChannelOpened{2});
    all.push_back(input::ChannelOpened{7});
    all.push_back(input::ChannelClosed{2});
    all.push_back(input::ChannelClosed{7});
    all.push_back(input::Close{connection});
    all.push_back(input::Timeout{});
    return all;
  }

  static std::string call(const std::string& id) {
    return R"({"type":"OFFER","src":"bob","payload":{"connectionId":")" + id +
           R"(","type":"media","sdp":{"type":"offer","sdp":"v=0"},"peerbridge":{"v":1,"link":1,"neg":1}}})";
  }

  Endpoint endpoint{Config{}, FramingConfig{}};
  Millis now = 0;
  std::uint32_t transport = 0;
  LinkHandle link = 0;
  ConnectionHandle incoming = 0;
  std::vector<OutputType> outputs;
  std::vector<ConnectionState> states;
};

TEST_F(Steps, ClosedIsAbsorbing) {
  connect();
  say(input::Close{1});
  ASSERT_EQ(states, std::vector{ConnectionState::Closed});
  for (Input& in : nonsense(1)) {
    const auto type = static_cast<int>(in.type);
    EXPECT_EQ(say(std::move(in)), std::vector<OutputType>{}) << "input " << type;
  }
  EXPECT_EQ(endpoint.connectionCount(), 0U);
}

TEST_F(Steps, ARingingCallHasNoLinkThatCouldGoUpOrDown) {
  say(input::SignalingMessage{transport, call("c1")});
  ASSERT_NE(incoming, 0U);
  for (Input& in : nonsense(incoming)) {
    if (in.type == InputType::Answer || in.type == InputType::Close) continue;
    EXPECT_EQ(say(std::move(in)), std::vector<OutputType>{});
  }
  EXPECT_EQ(states, std::vector<ConnectionState>{});
}

TEST_F(Steps, ACallIsAnsweredOnce) {
  say(input::SignalingMessage{transport, call("c1")});
  EXPECT_EQ(say(input::Answer{incoming}), (std::vector{OutputType::LinkCreate, OutputType::SetRemoteDescription}));
  EXPECT_EQ(say(input::Answer{incoming}), std::vector<OutputType>{});
}

TEST_F(Steps, AnswerIsNothingToAConnectionThatDoesNotRing) {
  connect();
  EXPECT_EQ(say(input::Answer{1}), std::vector<OutputType>{});
}

TEST_F(Steps, AConnectionThatIsNotOpenYetCannotRecover) {
  connect();
  EXPECT_EQ(say(input::LinkStateChanged{link, LinkState::Disconnected}), std::vector<OutputType>{});
  EXPECT_EQ(say(input::LinkStateChanged{link, LinkState::Connected}), std::vector<OutputType>{});
  EXPECT_EQ(say(input::PathChanged{link}), std::vector<OutputType>{});
  EXPECT_EQ(states, std::vector<ConnectionState>{});
}

TEST_F(Steps, CloseTwiceIsCloseOnce) {
  connect();
  say(input::Close{1});
  EXPECT_EQ(say(input::Close{1}), std::vector<OutputType>{});
  EXPECT_EQ(states.size(), 1U);
}

}  // namespace
}  // namespace peerbridge
