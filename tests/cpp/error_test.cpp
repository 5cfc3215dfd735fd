#include "peerbridge/error.hpp"

#include <gmock/gmock.h>

#include <set>
#include <string>

namespace peerbridge {
namespace {

TEST(Error, EveryCodeHasAUniqueKebabCaseName) {
  std::set<std::string> names;
  for (int code = 0; code < kErrorCodeCount; ++code) {
    const std::string name(errorName(static_cast<ErrorCode>(code)));
    EXPECT_THAT(name, testing::MatchesRegex("[a-z]+(-[a-z]+)*")) << "code " << code;
    EXPECT_TRUE(names.insert(name).second) << name << " stands for two codes";
  }
}

TEST(Error, NamesStandBesideTheirCodes) {
  EXPECT_EQ(errorName(ErrorCode::BrowserIncompatible), "browser-incompatible");
  EXPECT_EQ(errorName(ErrorCode::UnavailableId), "unavailable-id");
  EXPECT_EQ(errorName(ErrorCode::MessageTooBig), "message-too-big");
  EXPECT_EQ(errorName(ErrorCode::CoreUnavailable), "core-unavailable");
  EXPECT_EQ(errorName(ErrorCode::ProtocolViolation), "protocol-violation");
  EXPECT_EQ(errorName(ErrorCode::Cancelled), "cancelled");
}

}  // namespace
}  // namespace peerbridge
