#include "peerbridge/error.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "vectors.hpp"

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
  EXPECT_STREQ(errorName(ErrorCode::BrowserIncompatible), "browser-incompatible");
  EXPECT_STREQ(errorName(ErrorCode::UnavailableId), "unavailable-id");
  EXPECT_STREQ(errorName(ErrorCode::MessageTooBig), "message-too-big");
  EXPECT_STREQ(errorName(ErrorCode::CoreUnavailable), "core-unavailable");
  EXPECT_STREQ(errorName(ErrorCode::ProtocolViolation), "protocol-violation");
  EXPECT_STREQ(errorName(ErrorCode::Cancelled), "cancelled");
}

TEST(Error, NamesAreThoseOfTheSharedVectorInItsOrder) {
  const nlohmann::json names = readVectors("names.json")["errors"];
  ASSERT_EQ(names.size(), static_cast<std::size_t>(kErrorCodeCount));
  for (int code = 0; code < kErrorCodeCount; ++code) {
    EXPECT_EQ(names[static_cast<std::size_t>(code)], errorName(static_cast<ErrorCode>(code)));
  }
}

}  // namespace
}  // namespace peerbridge
