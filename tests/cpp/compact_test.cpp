// Codes: an SDP as a few digits and back, and what becomes of digits that are wrong.
#include "sdp/compact.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "vectors.hpp"

namespace peerbridge {
namespace {

SdpType typeOf(const nlohmann::json& vector) {
  return vector["type"].get<std::string>() == "offer" ? SdpType::Offer : SdpType::Answer;
}

/// What the functions take, side by side.
struct Code {
  SdpType type = SdpType::Offer;
  std::string sdp;
  std::uint32_t mark = 0;
};

/// Either a value or an error and its text.
template <class T>
struct Outcome {
  T value{};
  std::optional<ErrorCode> error;
  std::string message;
};

Outcome<std::string> toCode(Code& code) {
  std::string text = code.sdp;
  const std::optional<ErrorCode> error = peerbridge::toCode(code.type, text, code.mark);
  return error ? Outcome<std::string>{{}, error, text} : Outcome<std::string>{text, {}, {}};
}

Outcome<Code> fromCode(std::string text) {
  Code code;
  const std::optional<ErrorCode> error = peerbridge::fromCode(text, code.type, code.mark);
  if (error) return {{}, error, text};
  code.sdp = text;
  return {code, {}, {}};
}

Code codeOf(const nlohmann::json& vector) {
  Code code;
  code.type = typeOf(vector);
  code.sdp = vector["sdp"].get<std::string>();
  if (vector.contains("mark")) code.mark = vector["mark"].get<std::uint32_t>();
  return code;
}

std::string written(Code code) {
  Outcome<std::string> text = toCode(code);
  EXPECT_FALSE(text.error) << text.message;
  return text.value;
}

const nlohmann::json& vectors() {
  static const nlohmann::json all = readVectors("compact.json");
  return all;
}

std::string example() { return vectors()["good"][0]["code"].get<std::string>(); }

TEST(Compact, WritesTheVectors) {
  for (const nlohmann::json& vector : vectors()["good"]) {
    Code code = codeOf(vector);
    const Outcome<std::string> text = toCode(code);
    ASSERT_FALSE(text.error) << vector["name"].dump();
    EXPECT_EQ(text.value, vector["code"].get<std::string>()) << vector["name"].dump();
    EXPECT_EQ(code.mark, vector["mark"].get<std::uint32_t>()) << vector["name"].dump();
  }
}

TEST(Compact, ReadsTheVectors) {
  for (const nlohmann::json& vector : vectors()["good"]) {
    const Outcome<Code> code = fromCode(vector["code"].get<std::string>());
    ASSERT_FALSE(code.error) << vector["name"].dump() << ": " << code.message;
    EXPECT_EQ(code.value.type, typeOf(vector)) << vector["name"].dump();
    EXPECT_EQ(code.value.sdp, vector["read"].get<std::string>()) << vector["name"].dump();
    EXPECT_EQ(code.value.mark, vector["mark"].get<std::uint32_t>()) << vector["name"].dump();
  }
}

TEST(Compact, RefusesDescriptionsThatAreNone) {
  for (const nlohmann::json& vector : vectors()["bad_descriptions"]) {
    Code code = codeOf(vector);
    const Outcome<std::string> text = toCode(code);
    ASSERT_TRUE(text.error) << vector["name"].dump();
    EXPECT_EQ(text.error, ErrorCode::InvalidArgument);
    EXPECT_EQ(text.message, vector["message"].get<std::string>()) << vector["name"].dump();
  }
}

TEST(Compact, RefusesCodesThatAreNone) {
  for (const nlohmann::json& vector : vectors()["bad_codes"]) {
    const Outcome<Code> code = fromCode(vector["code"].get<std::string>());
    ASSERT_TRUE(code.error) << vector["name"].dump();
    EXPECT_EQ(errorName(*code.error), vector["error"].get<std::string>()) << vector["name"].dump();
    EXPECT_EQ(code.message, vector["message"].get<std::string>()) << vector["name"].dump();
  }
}

TEST(Compact, WhatWasReadIsWrittenAsItWas) {
  for (const nlohmann::json& vector : vectors()["good"]) {
    Outcome<Code> code = fromCode(vector["code"].get<std::string>());
    EXPECT_EQ(written(code.value), vector["code"].get<std::string>()) << vector["name"].dump();
  }
}

TEST(Compact, TwoCandidatesTakeAtMost180Characters) {
  int found = 0;
  for (const nlohmann::json& vector : vectors()["good"]) {
    if (!vector.contains("two_candidates")) continue;
    EXPECT_LE(vector["code"].get<std::string>().size(), 180U) << vector["name"].dump();
    ++found;
  }
  EXPECT_GE(found, 6);
}

TEST(Compact, IsReadHoweverPeopleWriteIt) {
  const std::string code = example();
  std::string spelled = "  ";
  for (std::size_t i = 0; i < code.size(); ++i) {
    char c = code[i];
    if (c >= 'A' && c <= 'Z' && i % 2 == 0) c = static_cast<char>(c + 0x20);
    if (c == '0') c = i % 3 == 0 ? 'o' : 'O';
    if (c == '1') c = i % 3 == 0 ? 'l' : i % 3 == 1 ? 'I' : 'i';
    spelled += c;
    if (i % 4 == 3) spelled += i % 16 == 15 ? "\r\n" : i % 8 == 3 ? "-" : " ";
  }
  const Outcome<Code> read = fromCode(spelled);
  ASSERT_FALSE(read.error) << read.message;
  EXPECT_EQ(read.value.sdp, fromCode(code).value.sdp);
}

TEST(Compact, EveryWrongCharacterIsFoundAndItsGroupIsNamed) {
  constexpr std::string_view digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const std::string code = example();
  for (std::size_t i = 0; i < code.size(); ++i) {
    for (const char digit : digits) {
      if (digit == code[i]) continue;
      std::string wrong = code;
      wrong[i] = digit;
      const Outcome<Code> read = fromCode(wrong);
      ASSERT_TRUE(read.error) << i;
      EXPECT_EQ(read.error, ErrorCode::BadSignal);
      const std::size_t first = i / 16 * 16 + 1;
      const std::string place =
          "characters " + std::to_string(first) + " to " + std::to_string(std::min(first + 15, code.size())) + " ";
      EXPECT_TRUE(read.message.starts_with(place)) << i << ": " << read.message;
    }
  }
}

TEST(Compact, EveryTwoNeighboursThatChangedPlacesAreFound) {
  const std::string code = example();
  for (std::size_t i = 0; i + 1 < code.size(); ++i) {
    if (code[i] == code[i + 1]) continue;
    std::string wrong = code;
    std::swap(wrong[i], wrong[i + 1]);
    EXPECT_TRUE(fromCode(wrong).error) << i;
  }
}

TEST(Compact, GroupsThatAreMissingDoubledOrElsewhereAreFound) {
  const std::string code = example();
  for (std::size_t at = 0; at < code.size(); at += 16) {
    std::string missing = code;
    missing.erase(at, 16);
    EXPECT_TRUE(fromCode(missing).error) << at;
    std::string doubled = code;
    doubled.insert(at, code.substr(at, 16));
    EXPECT_TRUE(fromCode(doubled).error) << at;
    if (at + 32 > code.size()) continue;
    const std::string elsewhere =
        code.substr(0, at) + code.substr(at + 16, 16) + code.substr(at, 16) + code.substr(at + 32);
    EXPECT_TRUE(fromCode(elsewhere).error) << at;
  }
}

TEST(Compact, ACodeThatIsCutOffAnywhereIsFound) {
  const std::string code = example();
  for (std::size_t length = 0; length < code.size(); ++length) {
    EXPECT_TRUE(fromCode(code.substr(0, length)).error) << length;
  }
}

TEST(Compact, WhatIsNoCodeIsRefusedWhateverItIs) {
  std::minstd_rand random(7);  // NOLINT(cert-msc51-cpp): the same every time
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto length = random() % 300; length > 0; --length) {
      text += round % 2 == 0 ? static_cast<char>(random() % 256) : "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[random() % 32];
    }
    EXPECT_TRUE(fromCode(text).error);
  }
  // However well its groups fit together, nothing is read beyond the longest code.
  EXPECT_TRUE(fromCode(example() + std::string(3'000, ' ')).error);
}

TEST(Compact, AnAddressOfEveryKindComesBackAsItWas) {
  const std::vector<std::pair<std::string, std::string>> addresses = {
      {"192.168.1.77", "192.168.1.77"},
      {"255.255.255.255", "255.255.255.255"},
      {"::1", "0000:0000:0000:0000:0000:0000:0000:0001"},
      {"2001:db8::", "2001:0db8:0000:0000:0000:0000:0000:0000"},
      {"2001:DB8:0:12:a::ffff", "2001:0db8:0000:0012:000a:0000:0000:ffff"},
      {"1:2:3:4:5:6:7:8", "0001:0002:0003:0004:0005:0006:0007:0008"},
      {"5b1f0b0c-8a4e-4d61-9a4e-0c2d5f7a9b3e.local", "5b1f0b0c-8a4e-4d61-9a4e-0c2d5f7a9b3e.local"},
  };
  for (const auto& [given, read] : addresses) {
    Code code = codeOf(vectors()["good"][0]);
    code.sdp += "a=candidate:9 1 udp 1 " + given + " 4711 typ host\r\n";
    const std::string sdp = fromCode(written(std::move(code))).value.sdp;
    EXPECT_NE(sdp.find(" " + read + " 4711 typ host\r\n"), std::string::npos) << given << '\n' << sdp;
  }
}

TEST(Compact, WhatIsOfNoUseIsLeftOut) {
  const std::string without = written(codeOf(vectors()["good"][0]));
  for (const char* line : {
           "candidate:9 1 tcp 1 10.0.0.1 9 typ host tcptype active",
           "candidate:9 2 udp 1 10.0.0.1 9 typ host",
           "candidate:9 1 udp 1 10.0.0.256 9 typ host",
           "candidate:9 1 udp 1 10.0.0 9 typ host",
           "candidate:9 1 udp 1 10.0.0.1 65536 typ host",
           "candidate:9 1 udp 1 10.0.0.1 9 typ prflx",
           "candidate:9 1 udp 1 example.com 9 typ host",
           "candidate:9 1 udp 1 example.local 9 typ host",
           "candidate:9 1 udp 1 1:2:3:4:5:6:7 9 typ host",
           "candidate:9 1 udp 1 1::2::3 9 typ host",
           "candidate:9 1 udp 1 :1 9 typ host",
           "candidate:9 1 udp 1 12345::1 9 typ host",
           "candidate:9 1 udp 1 1:2:3:4:5:6:7:8:9 9 typ host",
           "candidate:",
           "rtcp-mux",
       }) {
    Code code = codeOf(vectors()["good"][0]);
    code.sdp += std::string("a=") + line + "\r\n";
    EXPECT_EQ(written(std::move(code)), without) << line;
  }
  Code many = codeOf(vectors()["good"][0]);
  for (int i = 0; i < 100; ++i) many.sdp += "a=candidate:9 1 udp 1 10.0.0." + std::to_string(i) + " 9 typ host\r\n";
  const std::string sdp = fromCode(written(std::move(many))).value.sdp;
  std::size_t count = 0;
  for (std::size_t at = sdp.find("a=candidate:"); at != std::string::npos; at = sdp.find("a=candidate:", at + 1))
    ++count;
  EXPECT_EQ(count, kMaxCodeCandidates);
}

}  // namespace
}  // namespace peerbridge
