#include "signaling/message.hpp"

#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "vectors.hpp"

namespace peerbridge {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

/// "good" or "bad" of signaling.json.
const json& vectors(const char* group) {
  static const json all = readVectors("signaling.json");
  EXPECT_GT(all[group].size(), 30U);
  return all[group];
}

std::string text(const json& object, const char* name) { return object.value(name, std::string()); }

std::optional<std::string> optionalText(const json& object, const char* name) {
  if (!object.contains(name)) return std::nullopt;
  return object[name].get<std::string>();
}

SdpType sdpType(const std::string& name) {
  if (name == "offer") return SdpType::Offer;
  if (name == "answer") return SdpType::Answer;
  return name == "pranswer" ? SdpType::Pranswer : SdpType::Rollback;
}

MessageType messageType(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(MessageType::Heartbeat); ++i) {
    if (messageTypeName(static_cast<MessageType>(i)) == name) return static_cast<MessageType>(i);
  }
  ADD_FAILURE() << "no message type " << name;
  return MessageType::Heartbeat;
}

SignalMessage messageOf(const json& object) {
  SignalMessage message;
  message.type = messageType(text(object, "type"));
  message.src = text(object, "src");
  message.dst = text(object, "dst");
  message.connectionId = text(object, "connectionId");
  message.kind = text(object, "kind") == "media" ? ConnectionKind::Media : ConnectionKind::Data;
  if (object.contains("description")) {
    const json& description = object["description"];
    message.description = Description{sdpType(text(description, "type")), text(description, "sdp")};
  }
  const json list = object.value("candidates", json::array());
  for (const json& candidate : list) {
    CandidateInit init;
    init.candidate = text(candidate, "candidate");
    init.hasMid = candidate.contains("sdpMid");
    init.sdpMid = text(candidate, "sdpMid");
    init.hasLineIndex = candidate.contains("sdpMLineIndex");
    init.sdpMLineIndex = candidate.value("sdpMLineIndex", std::uint16_t{0});
    init.hasUfrag = candidate.contains("usernameFragment");
    init.usernameFragment = text(candidate, "usernameFragment");
    message.candidates.push_back(std::move(init));
  }
  message.metadata = optionalText(object, "metadata");
  message.label = optionalText(object, "label");
  message.serialization = optionalText(object, "serialization");
  if (object.contains("reliable")) message.reliable = object["reliable"].get<bool>();
  if (object.contains("native")) {
    const json& native = object["native"];
    message.native = NativeTag{native["version"].get<std::uint32_t>(), native["link"].get<std::uint32_t>(),
                               native["negotiation"].get<std::uint32_t>(), optionalText(native, "bye")};
    message.native->stripe = native.value("stripe", std::uint32_t{0});
  }
  message.legacyBrowserTag = object.value("legacyBrowserTag", false);
  message.text = text(object, "text");
  return message;
}

/// The error of `input`, or one that no test expects.
Error errorOf(std::string_view input) {
  const auto result = parseSignal(input);
  if (result) return {ErrorCode::Cancelled, "was accepted"};
  return result.error();
}

SignalMessage offer() {
  SignalMessage message;
  message.type = MessageType::Offer;
  message.dst = "B";
  message.connectionId = "c";
  message.description = Description{SdpType::Offer, "v=0"};
  return message;
}

std::string offerWithMetadata(const std::string& metadata) {
  return R"({"type":"OFFER","payload":{"sdp":{"sdp":"v=0","type":"offer"},"type":"data","connectionId":"c","metadata":)" +
         metadata + "}}";
}

std::string candidates(std::size_t count) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list += i == 0 ? R"({"candidate":""})" : R"(,{"candidate":""})";
  return R"({"type":"CANDIDATE","payload":{"type":"data","connectionId":"c","candidates":[)" + list + "]}}";
}

std::string repeat(std::string_view piece, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += piece;
  return result;
}

TEST(Message, GoodVectorsAreReadFieldByField) {
  for (const json& vector : vectors("good")) {
    SCOPED_TRACE(text(vector, "name"));
    const auto result = parseSignal(text(vector, "text"));
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    if (!result) continue;
    const SignalMessage expected = messageOf(vector["message"]);
    EXPECT_EQ(result.value().type, expected.type);
    EXPECT_EQ(result.value().src, expected.src);
    EXPECT_EQ(result.value().dst, expected.dst);
    EXPECT_EQ(result.value().connectionId, expected.connectionId);
    EXPECT_EQ(result.value().kind, expected.kind);
    EXPECT_TRUE(result.value().description == expected.description);
    EXPECT_TRUE(result.value().candidates == expected.candidates) << result.value().candidates.size() << " candidates";
    EXPECT_EQ(result.value().metadata, expected.metadata);
    EXPECT_EQ(result.value().label, expected.label);
    EXPECT_EQ(result.value().serialization, expected.serialization);
    EXPECT_EQ(result.value().reliable, expected.reliable);
    EXPECT_TRUE(result.value().native == expected.native);
    EXPECT_EQ(result.value().legacyBrowserTag, expected.legacyBrowserTag);
    EXPECT_EQ(result.value().text, expected.text);
    EXPECT_TRUE(result.value() == expected) << "a field that this test does not list";
  }
}

TEST(Message, GoodVectorsAreWrittenInThePeerJsOrder) {
  for (const json& vector : vectors("good")) {
    if (!vector.contains("written")) continue;
    SCOPED_TRACE(text(vector, "name"));
    EXPECT_EQ(serializeSignal(messageOf(vector["message"])), text(vector, "written"));
  }
}

TEST(Message, BadVectorsAreRefusedWithTheNameOfTheField) {
  for (const json& vector : vectors("bad")) {
    SCOPED_TRACE(text(vector, "name"));
    const Error error = errorOf(text(vector, "text"));
    EXPECT_EQ(errorName(error.code), text(vector, "error"));
    EXPECT_THAT(error.message, HasSubstr(": " + text(vector, "field") + " "));
  }
}

TEST(Message, EveryTruncationOfAGoodVectorIsRefused) {
  for (const json& vector : vectors("good")) {
    SCOPED_TRACE(text(vector, "name"));
    const std::string whole = text(vector, "text");
    const std::size_t end = whole.find_last_of('}');
    for (std::size_t length = 0; length <= end; ++length) {
      EXPECT_EQ(errorOf(std::string_view(whole).substr(0, length)).code, ErrorCode::BadSignal) << length << " bytes";
    }
  }
}

TEST(Message, AMessageOfExactlyTheLimitIsRead) {
  const std::string frame = offerWithMetadata(R"("")");
  const std::string message = offerWithMetadata('"' + std::string(kMaxSignalBytes - frame.size(), 'x') + '"');
  ASSERT_EQ(message.size(), kMaxSignalBytes);
  const auto result = parseSignal(message);
  ASSERT_TRUE(result);
  EXPECT_EQ(result.value().metadata->size(), kMaxSignalBytes - frame.size() + 2);
  EXPECT_EQ(serializeSignal(result.value()), message);
}

TEST(Message, AMessageAboveTheLimitIsRefusedUnread) {
  EXPECT_EQ(errorOf(std::string(kMaxSignalBytes + 1, ' ')).code, ErrorCode::SignalTooLarge);
}

TEST(Message, NestingIsReadUpToTheLimitAndNotBeyond) {
  const auto nested = [](std::size_t levels) {
    // Two levels are those of the message and its payload.
    return offerWithMetadata(repeat("[", levels - 2) + repeat("]", levels - 2));
  };
  EXPECT_TRUE(parseSignal(nested(kMaxSignalDepth)));
  const Error error = errorOf(nested(kMaxSignalDepth + 1));
  EXPECT_EQ(error.code, ErrorCode::BadSignal);
  EXPECT_THAT(error.message, HasSubstr("nested"));
}

TEST(Message, NestingInWhatIsIgnoredIsBoundedToo) {
  EXPECT_EQ(errorOf(R"({"x":)" + repeat(R"({"a":)", 100'000 / 5)).code, ErrorCode::BadSignal);
  EXPECT_EQ(errorOf(repeat("[", kMaxSignalBytes)).code, ErrorCode::BadSignal);
}

TEST(Message, CandidatesAreReadUpToTheLimitAndNotBeyond) {
  const auto result = parseSignal(candidates(kMaxSignalCandidates));
  ASSERT_TRUE(result);
  EXPECT_EQ(result.value().candidates.size(), kMaxSignalCandidates);
  const Error error = errorOf(candidates(kMaxSignalCandidates + 1));
  EXPECT_EQ(error.code, ErrorCode::BadSignal);
  EXPECT_THAT(error.message, HasSubstr("payload.candidates"));
}

TEST(Message, IdsOfExactlyTheLimitAreRead) {
  const std::string id(kMaxIdBytes, 'i');
  const auto result = parseSignal(R"({"type":"LEAVE","src":")" + id + R"("})");
  ASSERT_TRUE(result);
  EXPECT_EQ(result.value().src, id);
}

TEST(Message, InvalidUtf8IsRefused) {
  for (const char* bytes : {"\xFF", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    EXPECT_EQ(errorOf(R"({"type":"LEAVE","src":")" + std::string(bytes) + R"("})").code, ErrorCode::BadSignal);
  }
}

TEST(Message, ANulByteInsideAStringSurvives) {
  const auto result = parseSignal(R"({"type":"LEAVE","src":"a\u0000b"})");
  ASSERT_TRUE(result);
  EXPECT_EQ(result.value().src, std::string("a\0b", 3));
}

TEST(Message, ANulByteOutsideAStringIsRefused) {
  EXPECT_EQ(errorOf(std::string("{\"type\":\"OPEN\"}\0{", 17)).code, ErrorCode::BadSignal);
}

TEST(Message, AnErrorSaysWhatWasWrongWithWhat) {
  EXPECT_EQ(errorOf(R"({"type":"OFFER","payload":{"sdp":7,"type":"data","connectionId":"c"}})").message,
            "signaling message dropped: payload.sdp is not an object");
  EXPECT_EQ(errorOf(R"({"type":"NONSENSE"})").message, "signaling message dropped: type is unknown: NONSENSE");
  EXPECT_THAT(errorOf(R"({"type":"OPEN")").message,
              StartsWith("signaling message dropped: text is not JSON from byte"));
}

TEST(Message, SrcIsNeverWritten) {
  SignalMessage message;
  message.type = MessageType::Leave;
  message.src = "me";
  message.dst = "you";
  EXPECT_EQ(serializeSignal(message), R"({"type":"LEAVE","dst":"you"})");
}

TEST(Message, ThatTheServerShallNotHoldItIsWrittenBesideTheType) {
  SignalMessage message = offer();
  message.wait = false;
  EXPECT_TRUE(serializeSignal(message).starts_with(R"({"type":"OFFER","wait":false,"payload":{)"));
  message.wait = true;
  EXPECT_EQ(serializeSignal(message).find("wait"), std::string::npos);
}

TEST(Message, AnErrorOfOurServerSaysForProgramsWhatItIs) {
  const auto result = parseSignal(R"({"type":"ERROR","payload":{"msg":"Not authorized","type":"not-authorized"}})");
  ASSERT_TRUE(result);
  EXPECT_EQ(result.value().text, "Not authorized");
  EXPECT_EQ(result.value().reason, "not-authorized");
}

TEST(Message, InvalidUtf8IsWrittenAsReplacementCharacters) {
  SignalMessage message = offer();
  message.label = "a\xFF\xE2\x82z";
  EXPECT_EQ(serializeSignal(message),
            "{\"type\":\"OFFER\",\"payload\":{\"sdp\":{\"sdp\":\"v=0\",\"type\":\"offer\"},\"type\":\"data\","
            "\"connectionId\":\"c\",\"label\":\"a\xEF\xBF\xBD\xEF\xBF\xBDz\"},\"dst\":\"B\"}");
}

TEST(Message, WhatIsWrittenIsReadBackEqual) {
  SignalMessage message = offer();
  message.description->sdp = "v=0\r\na=\"quoted\" \\ \x01 \xF0\x9F\xA5\xA6\r\n";
  message.metadata = R"({"a":[1.0,"\n"]})";
  message.label = "";
  message.serialization = "MsgPack";
  message.reliable = false;
  message.native = NativeTag{1, 4'294'967'295, 0, std::nullopt};
  const auto result = parseSignal(serializeSignal(message));
  ASSERT_TRUE(result);
  EXPECT_TRUE(result.value() == message);
}

TEST(Message, TypeNamesAreThoseOfPeerServer) {
  EXPECT_EQ(messageTypeName(MessageType::Open), "OPEN");
  EXPECT_EQ(messageTypeName(MessageType::IdTaken), "ID-TAKEN");
  EXPECT_EQ(messageTypeName(MessageType::InvalidKey), "INVALID-KEY");
  EXPECT_EQ(messageTypeName(MessageType::Heartbeat), "HEARTBEAT");
}

}  // namespace
}  // namespace peerbridge
