#include "base/json.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace peerbridge {
namespace {

std::string jsonString(std::string_view text) {
  std::string out;
  appendJsonString(out, text);
  return out;
}

std::string number(std::uint64_t value) {
  JsonWriter writer;
  writer.unsignedNumber(value);
  return writer.take();
}

std::string number(std::int64_t value) {
  JsonWriter writer;
  writer.signedNumber(value);
  return writer.take();
}

TEST(JsonString, EscapesAsJsonStringifyDoes) {
  EXPECT_EQ(jsonString(""), R"("")");
  EXPECT_EQ(jsonString("\" \\ / \b \f \n \r \t"), R"("\" \\ / \b \f \n \r \t")");
  EXPECT_EQ(jsonString(std::string_view("\0\x01\x0b\x1f\x7f", 5)), "\"\\u0000\\u0001\\u000b\\u001f\x7f\"");
}

TEST(JsonString, ValidUtf8StaysAsItIs) {
  const std::string text = "é 中 \xF0\x9F\xA5\xA6 \xED\x9F\xBF \xEE\x80\x80 \xF4\x8F\xBF\xBF \xE2\x80\xA8";
  EXPECT_EQ(jsonString(text), '"' + text + '"');
}

TEST(JsonString, EveryMaximalSubpartOfInvalidUtf8BecomesOneReplacementCharacter) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(jsonString("\x80"), '"' + r + '"');
  EXPECT_EQ(jsonString("\xFF\xFE"), '"' + r + r + '"');
  EXPECT_EQ(jsonString("\xC0\xAF"), '"' + r + r + '"') << "overlong";
  EXPECT_EQ(jsonString("\xE0\x80\x80"), '"' + r + r + r + '"') << "overlong";
  EXPECT_EQ(jsonString("\xED\xA0\x80"), '"' + r + r + r + '"') << "a surrogate";
  EXPECT_EQ(jsonString("\xF4\x90\x80\x80"), '"' + r + r + r + r + '"') << "above U+10FFFF";
  EXPECT_EQ(jsonString("\xE2\x82"), '"' + r + '"') << "cut off";
  EXPECT_EQ(jsonString("\xF0\x9F\xA5"), '"' + r + '"') << "cut off";
  EXPECT_EQ(jsonString("\xF0\x9F\xA5z"), '"' + r + "z\"") << "cut off by a letter";
  EXPECT_EQ(jsonString("\xE2\"\xC3"), '"' + r + "\\\"" + r + '"') << "a quote does not hide behind a lead byte";
}

TEST(JsonWriter, PlacesCommasAndColons) {
  JsonWriter writer;
  writer.beginObject();
  writer.key("empty");
  writer.beginObject();
  writer.endObject();
  writer.key("list");
  writer.beginArray();
  writer.signedNumber(-1);
  writer.signedNumber(-2);
  writer.null();
  writer.beginArray();
  writer.endArray();
  writer.boolean(true);
  writer.endArray();
  writer.stringMember("text", "x");
  writer.numberMember("number", 7);
  writer.booleanMember("flag", false);
  writer.rawMember("raw", "[1]");
  writer.endObject();
  EXPECT_EQ(writer.take(), R"({"empty":{},"list":[-1,-2,null,[],true],"text":"x","number":7,"flag":false,"raw":[1]})");
}

TEST(JsonWriter, WritesEveryIntegerExactly) {
  EXPECT_EQ(number(std::uint64_t{0}), "0");
  EXPECT_EQ(number(std::uint64_t{10}), "10");
  EXPECT_EQ(number(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(number(std::int64_t{-1}), "-1");
  EXPECT_EQ(number(std::numeric_limits<std::int64_t>::max()), "9223372036854775807");
  EXPECT_EQ(number(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
}

TEST(JsonWriter, IsEmptyAfterItsTextWasTaken) {
  JsonWriter writer;
  writer.string("first");
  EXPECT_EQ(writer.take(), R"("first")");
  writer.string("second");
  EXPECT_EQ(writer.take(), R"("second")");
  EXPECT_EQ(writer.take(), "");
}

}  // namespace
}  // namespace peerbridge
