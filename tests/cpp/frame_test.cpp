#include "framing/frame.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "base/ring.hpp"
#include "framing/arena.hpp"
#include "framing/transfer.hpp"
#include "framing_pair.hpp"
#include "vectors.hpp"

namespace peerbridge::testing {
namespace {

using nlohmann::json;

Bytes fromHex(const std::string& hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::strtoul(hex.substr(i, 2).c_str(), nullptr, 16)));
  }
  return bytes;
}

std::string toHex(std::span<const std::byte> bytes) {
  std::string hex;
  for (const std::byte byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned>(byte) >> 4];
    hex += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return hex;
}

json number(std::uint64_t value) { return json(value); }

/// What a transfer message says, in the words of the vectors.
json transferMeaning(const Segment& segment, std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  std::uint8_t op = 0;
  std::uint64_t n = 0;
  std::uint64_t m = 0;
  std::string_view text;
  json meaning;
  if (segment.format == kFormatTransferData) {
    EXPECT_TRUE(reader.varint(n));
    return {{"op", "data"}, {"id", n}, {"hex", toHex(bytes.subspan(reader.offset()))}};
  }
  EXPECT_TRUE(reader.byte(op) && reader.varint(n));
  meaning["id"] = n;
  const auto takeText = [&] {
    EXPECT_TRUE(reader.varint(n) && reader.text(n, text));
    return std::string(text);
  };
  switch (static_cast<TransferOp>(op)) {
    case TransferOp::Offer:
      EXPECT_TRUE(reader.varint(n));
      meaning["op"] = "offer";
      meaning["size"] = n == 0 ? json() : json(n - 1);
      meaning["name"] = takeText();
      meaning["mime"] = takeText();
      if (reader.remaining() > 0) meaning["key"] = takeText();
      return meaning;
    case TransferOp::End:
      EXPECT_TRUE(reader.varint(n));
      meaning["op"] = "end";
      meaning["total"] = n;
      if (reader.remaining() > 0) {
        const std::string digest = takeText();
        meaning["digest"] = toHex(std::as_bytes(std::span(digest)));
      }
      return meaning;
    case TransferOp::Stop:
    case TransferOp::ReceiverStop: {
      meaning["op"] = static_cast<TransferOp>(op) == TransferOp::Stop ? "stop" : "receiver-stop";
      constexpr const char* kCodes[] = {"cancelled", "failed", "rejected", "closed"};
      std::uint8_t code = 0;
      EXPECT_TRUE(reader.byte(code) && code < 4);
      meaning["code"] = kCodes[code % 4];
      meaning["reason"] = takeText();
      return meaning;
    }
    case TransferOp::Accept:
      EXPECT_TRUE(reader.varint(n));
      meaning["op"] = "accept";
      meaning["limit"] = n;
      if (reader.remaining() > 0) {
        EXPECT_TRUE(reader.varint(m));
        meaning["from"] = m;
      }
      return meaning;
    case TransferOp::Window:
      EXPECT_TRUE(reader.varint(n) && reader.varint(m));
      meaning["op"] = "window";
      meaning["consumed"] = n;
      meaning["limit"] = m;
      return meaning;
    case TransferOp::Pause:
      meaning["op"] = "pause";
      return meaning;
    case TransferOp::Resume:
      meaning["op"] = "resume";
      return meaning;
    case TransferOp::ReceiverPause:
      meaning["op"] = "receiver-pause";
      return meaning;
    case TransferOp::ReceiverResume:
      meaning["op"] = "receiver-resume";
      return meaning;
    case TransferOp::Done:
      meaning["op"] = "done";
      return meaning;
  }
  return meaning;
}

json meaningOf(const Bytes& frame) {
  ByteReader reader(frame);
  std::uint8_t type = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
  std::uint64_t e = 0;
  std::string_view text;
  EXPECT_TRUE(reader.byte(type));
  if (isReservedFrame(type)) return {{"type", "ignored"}};
  switch (static_cast<FrameType>(type)) {
    case FrameType::Hello:
      EXPECT_TRUE(reader.varint(a) && reader.varint(b) && reader.varint(c) && reader.varint(d) && reader.varint(e));
      return {{"type", "hello"}, {"version", a}, {"limit", b}, {"received", json::array({c, d})}, {"window", e}};
    case FrameType::Ack:
      EXPECT_TRUE(reader.varint(a) && reader.varint(b));
      return {{"type", "ack"}, {"received", json::array({a, b})}};
    case FrameType::Ping:
      EXPECT_TRUE(reader.varint(a));
      return {{"type", "ping"}, {"token", a}};
    case FrameType::Pong:
      EXPECT_TRUE(reader.varint(a));
      return {{"type", "pong"}, {"token", a}};
    case FrameType::Close:
      EXPECT_TRUE(reader.varint(a) && reader.varint(b) && reader.varint(c) && reader.text(c, text));
      return {{"type", "close"}, {"last", json::array({a, b})}, {"reason", std::string(text)}};
    case FrameType::Closed:
      EXPECT_TRUE(reader.varint(a) && reader.varint(b));
      return {{"type", "closed"}, {"received", json::array({a, b})}};
    case FrameType::Stripes:
      EXPECT_TRUE(reader.varint(a));
      return {{"type", "stripes"}, {"count", a}};
    case FrameType::Signal:
      EXPECT_TRUE(reader.text(reader.remaining(), text));
      return {{"type", "signal"}, {"text", std::string(text)}};
    case FrameType::Data:
    case FrameType::Bulk:
      break;
  }
  EXPECT_TRUE(reader.varint(a) && reader.varint(b));
  json meaning = {{"type", type == static_cast<std::uint8_t>(FrameType::Data) ? "data" : "bulk"},
                  {"seq", number(a)},
                  {"received", number(b)}};
  std::array<Reassembly, kLaneCount> lanes;
  while (reader.remaining() > 0) {
    Segment segment;
    EXPECT_EQ(readSegment(reader, segment), nullptr);
    EXPECT_EQ(lanes[static_cast<std::size_t>(segment.lane)].take(segment, kMaxVarint), nullptr);
    const auto bytes = std::span(frame).subspan(segment.offset, segment.length);
    if (segment.lane == Lane::File) {
      meaning["transfer"] = transferMeaning(segment, bytes);
      continue;
    }
    constexpr const char* kNames[] = {"high", "normal", "bulk"};
    meaning["segments"].push_back({{"lane", kNames[static_cast<std::size_t>(segment.lane)]},
                                   {"first", segment.first},
                                   {"last", segment.last},
                                   {"format", segment.format},
                                   {"total", number(segment.total)},
                                   {"hex", toHex(bytes)}});
  }
  return meaning;
}

TEST(Frame, GoodVectorsMeanWhatTheySay) {
  const json vectors = readVectors("frames.json");
  ASSERT_GT(vectors["good"].size(), 25u);
  for (const json& vector : vectors["good"]) {
    EXPECT_EQ(meaningOf(fromHex(vector["hex"])).dump(), vector["meaning"].dump()) << vector["name"].dump();
  }
}

TEST(Frame, BadVectorsAreViolations) {
  const json vectors = readVectors("frames.json");
  ASSERT_GT(vectors["bad"].size(), 40u);
  for (const json& vector : vectors["bad"]) {
    End end({});
    end.acceptAll = false;
    std::deque<Bytes> wire;
    std::uint64_t buffered = 0;
    end.framing.attach(262'144, 0);
    end.pump(wire, buffered, 0);
    end.receive(helloFrame(), 0);
    if (vector.contains("after")) {
      for (const json& before : vector["after"]) end.receive(fromHex(before), 0);
    }
    EXPECT_EQ(end.violation(), "") << vector["name"].dump();
    end.receive(fromHex(vector["hex"]), 0);
    EXPECT_EQ(end.violation(), vector["violation"].get<std::string>()) << vector["name"].dump();
  }
}

TEST(Frame, WhatIsWrittenIsWhatTheVectorsSay) {
  Pair pair;
  pair.attach();
  pair.a.put(Lane::Normal, 2, bytesOf("hello"));
  pair.pumpA();
  ASSERT_EQ(pair.toB.size(), 2u);
  EXPECT_EQ(toHex(pair.toB[0]),
            "0101808010"
            "000080808008");
  EXPECT_EQ(toHex(pair.toB[1]), "0201002d0568656c6c6f");
  pair.dropWire();
  pair.a.offer(1, bytesOf("x"), 1000, "a.txt");
  pair.pumpA();
  EXPECT_EQ(toHex(pair.toB[0]),
            "0901008f"
            "160101e90705612e7478740a746578742f706c61696e00");
}

// -- bytes ---------------------------------------------------------------------------------------------

TEST(Varint, EveryLengthIsReadBack) {
  for (std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, std::uint64_t{128},
                              std::uint64_t{16'383}, std::uint64_t{16'384}, std::uint64_t{1} << 32, kMaxVarint}) {
    std::byte space[kMaxVarintBytes];
    ByteWriter writer(space);
    writer.varint(value);
    ASSERT_TRUE(writer.ok());
    EXPECT_EQ(writer.length(), varintLength(value));
    std::uint64_t read = 1;
    ByteReader reader(std::span<const std::byte>(space, writer.length()));
    EXPECT_TRUE(reader.varint(read));
    EXPECT_EQ(read, value);
    EXPECT_EQ(reader.remaining(), 0u);
    if (value > 127) {
      ByteReader cut(std::span<const std::byte>(space, writer.length() - 1));
      EXPECT_FALSE(cut.varint(read));
      EXPECT_EQ(cut.offset(), 0u);
    }
  }
}

TEST(ByteWriter, WhatDoesNotFitIsLeftOut) {
  std::byte space[3];
  ByteWriter writer(space);
  writer.bytes("ab", 2);
  writer.bytes("cd", 2);
  writer.byte(1);
  EXPECT_FALSE(writer.ok());
  EXPECT_EQ(writer.length(), 2u);
}

TEST(ClipUtf8, NeverCutsACharacter) {
  EXPECT_EQ(clipUtf8("abc", 3), "abc");
  EXPECT_EQ(clipUtf8("abcd", 3), "abc");
  EXPECT_EQ(clipUtf8("a€", 3), "a");
  EXPECT_EQ(clipUtf8("\x80\x80\x80", 2), "");
}

TEST(Arena, GivesBackInOrderAndUsesItsBlocksAgain) {
  Arena arena;
  std::byte* const first = arena.reserve(100);
  arena.commit(100);
  arena.release();
  EXPECT_EQ(arena.reserve(100), first);
  arena.commit(0);
  std::byte* const large = arena.reserve(1'000'000);
  std::fill_n(large, 1'000'000, std::byte{1});
  arena.commit(1'000'000);
  arena.release();
  arena.release();
  std::byte* const again = arena.reserve(1'000'000);
  EXPECT_EQ(again, large);
  arena.commit(1);
}

TEST(Ring, KeepsOrderWhileItGrows) {
  Ring<int> ring;
  int in = 0;
  int out = 0;
  for (int i = 0; i < 1'000; ++i) {
    ring.push(in++);
    ring.push(in++);
    EXPECT_EQ(ring.front(), out++);
    ring.pop();
  }
  EXPECT_EQ(ring.size(), 1'000u);
  while (!ring.empty()) {
    EXPECT_EQ(ring.front(), out++);
    ring.pop();
  }
}

}  // namespace
}  // namespace peerbridge::testing
