// What an endpoint does with inputs that make no sense; most of these were found by tests/fuzz/fuzz_endpoint.cpp.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../sim/inputs.hpp"
#include "peerbridge/endpoint.hpp"

namespace peerbridge {
namespace {

/// An endpoint that is driven by hand.
class Misuse : public ::testing::Test {
 protected:
  void say(Input in) {
    outputs.clear();
    endpoint.handle(in, now);
    while (std::optional<Output> out = endpoint.poll()) {
      if (out->type == OutputType::SignalingConnect) transport = out->transport;
      outputs.push_back(std::move(*out));
    }
  }
  void connect(const std::string& connectionId) {
    say(input::Connect{.connection = nextConnection,
                       .peer = "bob",
                       .connectionId = connectionId,
                       .label = "label",
                       .metadata = {},
                       .serialization = "binary"});
    nextConnection += 2;
  }
  [[nodiscard]] const Output* find(OutputType type) const {
    for (const Output& out : outputs) {
      if (out.type == type) return &out;
    }
    return nullptr;
  }

  Endpoint endpoint{Config{}, FramingConfig{}};
  Millis now = 1'000;
  std::uint32_t transport = 0;
  ConnectionHandle nextConnection = 1;
  std::vector<Output> outputs;
};

TEST_F(Misuse, AConnectionIdThatNobodyCouldReadIsRefused) {
  for (const std::string& id : {std::string(), std::string(257, 'x')}) {
    connect(id);
    ASSERT_NE(find(OutputType::ConnectionError), nullptr);
    EXPECT_EQ(find(OutputType::ConnectionError)->error, ErrorCode::InvalidArgument);
    EXPECT_NE(find(OutputType::ConnectionClosed), nullptr);
    EXPECT_EQ(find(OutputType::LinkCreate), nullptr);
  }
  connect(std::string(256, 'x'));
  EXPECT_NE(find(OutputType::LinkCreate), nullptr);
}

TEST_F(Misuse, AConnectionToItselfIsRefusedAtOnce) {
  say(input::Start{.id = "bob", .token = "token"});
  connect("dc_1");
  ASSERT_NE(find(OutputType::ConnectionError), nullptr);
  EXPECT_EQ(find(OutputType::ConnectionError)->error, ErrorCode::InvalidArgument);
  EXPECT_NE(find(OutputType::ConnectionClosed), nullptr);
  EXPECT_EQ(find(OutputType::LinkCreate), nullptr);
}

TEST_F(Misuse, AfterDisposeNothingIsDue) {
  say(input::Start{"ada", "token"});
  connect("c1");
  say(input::Destroy{});  // the goodbye would wait for the server
  EXPECT_NE(find(OutputType::Dispose), nullptr);
  EXPECT_EQ(endpoint.deadline(), kNever);
}

}  // namespace
}  // namespace peerbridge
