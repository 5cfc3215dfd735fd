// The registration with the signaling server, driven by hand: one endpoint, and a server made of inputs.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "../sim/inputs.hpp"
#include "peerbridge/endpoint.hpp"

namespace peerbridge {
namespace {

constexpr const char* kOpen = R"({"type":"OPEN"})";

class Registration : public ::testing::Test {
 protected:
  void begin() {
    endpoint = std::make_unique<Endpoint>(config, FramingConfig{});
    feed(input::Start{"ada", "token"});
    feed(input::SignalingOpened{transport});
    feed(input::SignalingMessage{transport, kOpen});
    log.clear();
  }

  void feed(Input in) {
    endpoint->handle(in, now);
    while (std::optional<Output> out = endpoint->poll()) note(*out);
  }
  /// Runs the timers that are due by `until`.
  void run(Millis until) {
    while (endpoint->deadline() <= until) {
      now = std::max(now, endpoint->deadline());
      feed(input::Timeout{});
    }
    now = until;
  }
  void note(Output& out) {
    switch (out.type) {
      case OutputType::SignalingConnect:
        transport = out.transport;
        log.push_back("connect " + std::to_string(now));
        return;
      case OutputType::SignalingSend:
        if (out.text.find("HEARTBEAT") != std::string::npos) {
          ++heartbeats;
        } else {
          sent = out.text;
          log.push_back("send " + std::to_string(now));
        }
        return;
      case OutputType::SignalingClose:
        log.push_back("drop " + std::to_string(now));
        return;
      case OutputType::PeerOpened:
        log.push_back("open " + std::to_string(now));
        return;
      case OutputType::PeerDisconnected:
        log.push_back("disconnected " + std::to_string(now));
        return;
      case OutputType::PeerError:
        log.push_back("error " + std::string(errorName(out.error)));
        return;
      default:
        return;
    }
  }
  /// The server relays our probe to us, as PeerServer does.
  void answerProbe() {
    std::string relayed = sent;
    relayed.insert(1, R"("src":"ada",)");
    feed(input::SignalingMessage{transport, relayed});
  }
  [[nodiscard]] std::vector<std::string> take() { return std::exchange(log, {}); }

  using Lines = std::vector<std::string>;
  Config config;
  std::unique_ptr<Endpoint> endpoint;
  Millis now = 0;
  std::uint32_t transport = 0;
  int heartbeats = 0;
  std::string sent;
  Lines log;
};

TEST_F(Registration, AServerThatIsSilentIsAskedByAMessageToOurselves) {
  begin();
  run(14'999);
  EXPECT_EQ(take(), Lines{});
  EXPECT_EQ(heartbeats, 2) << "PeerServer never answers those";
  run(15'000);
  EXPECT_EQ(take(), Lines{"send 15000"});
  EXPECT_NE(sent.find(R"("dst":"ada")"), std::string::npos);
  run(15'100);
  answerProbe();
  run(30'099);
  EXPECT_EQ(take(), Lines{}) << "it lives, and is asked again only after as long a silence";
  run(30'100);
  EXPECT_EQ(take(), Lines{"send 30100"});
}

TEST_F(Registration, AHalfOpenSocketIsGivenUpAfterTwentySecondsAndThePeerComesBackWithItsIdAndToken) {
  begin();
  run(19'999);
  EXPECT_EQ(take(), Lines{"send 15000"});
  run(20'000);
  EXPECT_EQ(take(), (Lines{"drop 20000", "error network", "disconnected 20000"}));
  run(21'000);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].substr(0, 8), "connect ");
  feed(input::SignalingOpened{transport});
  feed(input::SignalingMessage{transport, kOpen});
  EXPECT_EQ(log.back(), "open 21000");
}

TEST_F(Registration, TheProbeIsNoMessageToAnyConnection) {
  begin();
  run(15'000);
  answerProbe();
  EXPECT_EQ(take(), Lines{"send 15000"});
  EXPECT_EQ(endpoint->connectionCount(), 0U);
}

TEST_F(Registration, WhenTheNetworkChangesTheServerIsAskedAtOnceAndHasLittleTime) {
  begin();
  run(2'000);
  feed(input::Network{NetworkChange::Online});
  EXPECT_EQ(take(), Lines{"send 2000"});
  run(3'499);
  EXPECT_EQ(take(), Lines{});
  run(3'500);
  EXPECT_EQ(take(), (Lines{"drop 3500", "error network", "disconnected 3500"}));
}

TEST_F(Registration, APageThatSleptThroughTheAnswerAsksAgainBeforeItGivesUp) {
  begin();
  run(15'000);
  (void)take();
  now = 300'000;
  feed(input::Timeout{});
  EXPECT_EQ(take(), Lines{"send 300000"});
  EXPECT_EQ(heartbeats, 4) << "and the server hears at once that we live";
  answerProbe();
  run(310'000);
  EXPECT_EQ(take(), Lines{});
}

TEST_F(Registration, HeartbeatsGoOnWhileTheServerIsAsked) {
  begin();
  for (int i = 1; i <= 12; ++i) {
    run(i * 5'000);
    if (!log.empty()) answerProbe();
    log.clear();
  }
  EXPECT_EQ(heartbeats, 12);
}

TEST_F(Registration, ReconnectingPausesGrowToTenSecondsAndAreSpreadByJitter) {
  begin();
  run(1'000);
  feed(input::SignalingClosed{transport, "gone"});
  (void)take();
  std::vector<Millis> pauses;
  Millis before = now;
  for (int i = 0; i < 12; ++i) {
    while (log.empty()) run(endpoint->deadline());
    (void)take();
    pauses.push_back(now - before);
    feed(input::SignalingClosed{transport, "refused"});
    before = now;
  }
  for (const Millis pause : pauses) {
    EXPECT_GE(pause, 250);
    EXPECT_LE(pause, 15'000);
  }
  EXPECT_LE(pauses.front(), 750);
  EXPECT_GE(pauses.back(), 5'000);
}

TEST_F(Registration, AnOpenThatIsLostOnAComebackIsTakenForGivenAfterTwoSeconds) {
  begin();
  run(1'000);
  feed(input::SignalingClosed{transport, "gone"});
  run(2'000);
  (void)take();
  feed(input::SignalingOpened{transport});
  run(3'999);
  EXPECT_EQ(take(), Lines{});
  run(4'000);
  EXPECT_EQ(take(), Lines{"open 4000"}) << "PeerServer swaps the socket of a known id and token without a word";
}

}  // namespace
}  // namespace peerbridge
