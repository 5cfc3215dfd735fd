// Codes from anywhere, and descriptions from anywhere: reading and writing them never aborts, and what was read is
// written as something that reads equal. The first byte chooses: 0 a text, 1 the digits of a code to which what checks
// them is added here, because nothing finds its way through that by chance, else a description.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sdp/compact.hpp"

namespace {

using peerbridge::ErrorCode;
using peerbridge::SdpType;

void require(bool condition) {
  if (!condition) std::abort();
}

unsigned twice(unsigned digit) { return (digit << 1U) ^ ((digit & 16U) != 0 ? 37U : 0U); }

/// What docs/protocol.md, "Codes", puts around digits.
std::string checked(std::string digits) {
  constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::uint32_t mark = 2'166'136'261U;
  for (const char digit : digits) mark = (mark ^ static_cast<std::uint8_t>(digit)) * 16'777'619U;
  mark ^= mark >> 20U;
  for (const unsigned shift : {15U, 10U, 5U, 0U}) digits.push_back(static_cast<char>((mark >> shift) & 31U));
  std::string text;
  unsigned sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i % 15 == 0) sum = (i / 15 + 1) & 31U;
    const auto digit = static_cast<unsigned char>(digits[i]);
    sum = twice(sum) ^ digit;
    text += alphabet[digit];
    if (i % 15 == 14 || i + 1 == digits.size()) text += alphabet[twice(sum)];
  }
  return text;
}

void read(std::string text) {
  SdpType type = SdpType::Offer;
  std::uint32_t mark = 0;
  if (const std::optional<ErrorCode> error = peerbridge::fromCode(text, type, mark)) {
    require(*error == ErrorCode::BadSignal || *error == ErrorCode::IncompatiblePeer);
    require(!text.empty());
    return;
  }
  std::string again = text;
  std::uint32_t same = mark;
  require(!peerbridge::toCode(type, again, same));
  SdpType sameType = SdpType::Offer;
  require(!peerbridge::fromCode(again, sameType, same));
  require(sameType == type && again == text);
}

void write(SdpType type, std::string text) {
  std::uint32_t mark = 0xABCDE;
  if (const std::optional<ErrorCode> error = peerbridge::toCode(type, text, mark)) {
    require(*error == ErrorCode::InvalidArgument && !text.empty());
    return;
  }
  require(text.size() < peerbridge::kMaxCodeBytes);
  const std::string code = text;
  SdpType sameType = SdpType::Offer;
  std::uint32_t same = 0;
  require(!peerbridge::fromCode(text, sameType, same));
  require(sameType == type && same == mark);
  // What was made of a code is written as that code.
  require(!peerbridge::toCode(type, text, same));
  require(text == code);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0) {
    read(rest);
  } else if (data[0] == 1) {
    std::string digits = rest.substr(0, 1'600);
    for (char& digit : digits) digit = static_cast<char>(digit & 31);
    read(checked(std::move(digits)));
  } else {
    write(data[0] % 2 == 0 ? SdpType::Offer : SdpType::Answer, rest);
  }
  return 0;
}
