#include "framing/peerjs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "framing/rule.hpp"
#include "vectors.hpp"

namespace peerbridge {
namespace {

using Kind = FramingEvent::Kind;

std::string fromHex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// Bytes that differ wherever pieces could be mistaken for each other.
std::string pattern(std::size_t length) {
  std::string bytes(length, '\0');
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  return bytes;
}

struct Frame {
  std::string bytes;
  bool text = false;
};

/// One side, its channel, and the application's memory behind it.
class Side {
 public:
  explicit Side(Serialization serialization, const FramingConfig& given = {}, bool legacy = false)
      : config(given), wire(config, serialization, legacy) {
    wire.attach(262'144, now);
  }

  Ticket send(const std::string& bytes, Lane lane = Lane::Normal, Format format = kFormatBytes) {
    const Ticket ticket = wire.queue(lane, format, bytes.size());
    if (ticket != 0 && ticket != kTooBig) payloads.emplace_back(ticket, bytes);
    return ticket;
  }

  /// Until it waits; what leaves stays in the channel's buffer, unless the channel is `fast`.
  Action pump(bool fast = true) {
    for (;;) {
      const Action action = wire.next(buffered, now);
      if (action.kind == ActionKind::Wait) return action;
      if (action.kind == ActionKind::FillSend) {
        const auto found = std::find_if(payloads.begin(), payloads.end(),
                                        [&](const auto& payload) { return payload.first == action.ticket; });
        EXPECT_NE(found, payloads.end());
        std::memcpy(action.data, found->second.data() + action.offset, action.length);
      }
      sent.push_back({std::string(reinterpret_cast<const char*>(action.frame), action.frameLength), action.text});
      if (!fast) buffered += action.frameLength;
    }
  }

  void receive(const std::string& frame, bool text = false) {
    wire.receive(std::as_bytes(std::span(frame)), frame.size(), text, now);
    while (const std::optional<Delivery> piece = wire.delivery()) {
      Got& one = got.emplace_back();
      one.delivery = *piece;
      one.bytes = frame.substr(piece->frameOffset, piece->length);
    }
  }

  std::vector<Kind> events() {
    std::vector<Kind> kinds;
    while (const std::optional<FramingEvent> event = wire.poll()) {
      kinds.push_back(event->kind);
      marker = event->marker;
    }
    return kinds;
  }

  /// The rule that was broken by now; 0: none.
  std::uint32_t broken() {
    const std::vector<Kind> all = events();
    return all == std::vector{Kind::Violation} ? marker : 0;
  }

  struct Got {
    Delivery delivery;
    std::string bytes;
  };

  FramingConfig config;
  PeerJsWire wire;
  std::vector<std::pair<Ticket, std::string>> payloads;
  std::vector<Frame> sent;
  std::vector<Got> got;
  std::uint64_t buffered = 0;
  std::uint32_t marker = 0;
  Millis now = 1'000;
};

std::string number(std::uint32_t value) {
  const auto byte = [value](int shift) { return static_cast<char>(value >> shift); };
  if (value < 0x80) return {byte(0)};
  return {'\xce', byte(24), byte(16), byte(8), byte(0)};
}

std::string piece(std::uint32_t id, std::uint32_t n, std::uint32_t total, const std::string& data) {
  const auto size = static_cast<std::uint32_t>(data.size());
  return "\x84\xba__peerData" + number(id) + "\xb1n" + number(n) + "\xb4" + "data\xdb" +
         std::string{static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                     static_cast<char>(size)} +
         data + "\xb5total" + number(total);
}

std::uint32_t code(Rule rule) { return static_cast<std::uint32_t>(rule); }

// -- the envelope ----------------------------------------------------------------------------------------

TEST(PeerJs, MessagesAreCutWherePeerJsCutsThem) {
  const nlohmann::json vectors = readVectors("peerjs.json");
  for (const auto& vector : vectors["cut"]) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    Side side(Serialization::Binary);
    for (int i = 0; i < vector["before"].get<int>(); ++i) side.send(pattern(16'301));
    side.pump();
    side.sent.clear();
    const std::string value = pattern(vector["length"].get<std::size_t>());
    side.send(value);
    side.pump();
    ASSERT_EQ(side.sent.size(), vector["frames"].size());
    for (std::size_t i = 0; i < side.sent.size(); ++i) {
      const auto& frame = vector["frames"][i];
      const auto from = frame["from"].get<std::size_t>();
      EXPECT_EQ(side.sent[i].bytes, fromHex(frame["head"]) + value.substr(from, frame["to"].get<std::size_t>() - from) +
                                        fromHex(frame["tail"]));
      EXPECT_FALSE(side.sent[i].text);
    }
  }
}

TEST(PeerJs, APieceIsReadWhateverItsOrder) {
  const nlohmann::json vectors = readVectors("peerjs.json");
  for (const auto& vector : vectors["pieces"]) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    Side side(Serialization::Binary);
    side.receive(fromHex(vector["bytes"]));
    ASSERT_EQ(side.got.size(), 1U);
    EXPECT_NE(side.got[0].delivery.message, 0U);
    EXPECT_EQ(side.got[0].delivery.piece, vector["n"].get<std::uint32_t>());
    EXPECT_EQ(side.got[0].delivery.total, vector["total"].get<std::uint32_t>());
    EXPECT_EQ(side.got[0].bytes, fromHex(vector["data"]));
    // Of the same message, so its id was read.
    side.receive(piece(vector["id"], 0, 2, "x"));
    ASSERT_EQ(side.got.size(), 2U);
    EXPECT_EQ(side.got[1].delivery.message, side.got[0].delivery.message);
    EXPECT_TRUE(side.got[1].delivery.last);
  }
}

TEST(PeerJs, WhatOnlyLooksLikeAPieceIsAMessage) {
  const nlohmann::json vectors = readVectors("peerjs.json");
  for (const auto& vector : vectors["messages"]) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    Side side(Serialization::Binary);
    const std::string frame = fromHex(vector["bytes"]);
    side.receive(frame);
    ASSERT_EQ(side.got.size(), 1U);
    EXPECT_EQ(side.got[0].delivery.message, 0U);
    EXPECT_EQ(side.got[0].bytes, frame);
    EXPECT_EQ(side.events(), std::vector<Kind>{});
  }
}

TEST(PeerJs, OnlyBinaryHasEnvelopes) {
  for (const Serialization serialization : {Serialization::Json, Serialization::MsgPack, Serialization::Raw}) {
    Side side(serialization);
    side.receive(piece(1, 0, 2, "x"));
    ASSERT_EQ(side.got.size(), 1U);
    EXPECT_EQ(side.got[0].delivery.message, 0U);
  }
  Side side(Serialization::Binary);
  side.receive(piece(1, 0, 2, "x"), true);
  EXPECT_EQ(side.got[0].delivery.message, 0U);
  EXPECT_EQ(side.got[0].delivery.format, kFormatText);
}

// -- what comes in pieces --------------------------------------------------------------------------------

TEST(PeerJs, PiecesComeInAnyOrderAndMixedWithThoseOfOtherMessages) {
  Side side(Serialization::Binary);
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> order = {{7, 2}, {9, 1}, {7, 0}, {9, 0}, {7, 1}};
  for (const auto& [id, n] : order)
    side.receive(piece(id, n, id == 7 ? 3 : 2, std::to_string(id) + "/" + std::to_string(n)));
  ASSERT_EQ(side.got.size(), 5U);
  EXPECT_EQ(side.got[0].delivery.message, side.got[2].delivery.message);
  EXPECT_NE(side.got[0].delivery.message, side.got[1].delivery.message);
  EXPECT_TRUE(side.got[0].delivery.first);
  EXPECT_FALSE(side.got[2].delivery.last);
  EXPECT_TRUE(side.got[3].delivery.last);
  EXPECT_TRUE(side.got[4].delivery.last);
  EXPECT_EQ(side.got[4].bytes, "7/1");
  EXPECT_EQ(side.wire.stats().messagesReceived, 2U);
}

TEST(PeerJs, APieceThatComesTwiceIsDropped) {
  Side side(Serialization::Binary);
  side.receive(piece(1, 1, 3, "b"));
  side.receive(piece(1, 1, 3, "other bytes"));
  side.receive(piece(1, 0, 3, "a"));
  EXPECT_EQ(side.got.size(), 2U);
  side.receive(piece(1, 2, 3, "c"));
  EXPECT_TRUE(side.got.back().delivery.last);
  EXPECT_EQ(side.wire.stats().duplicatesDropped, 1U);
  EXPECT_EQ(side.events(), std::vector<Kind>{});
}

TEST(PeerJs, ALieEndsTheConnection) {
  const auto after = [](std::initializer_list<std::string> frames, const FramingConfig& config = {}) {
    Side side(Serialization::Binary, config);
    for (const std::string& frame : frames) side.receive(frame);
    const std::size_t came = side.got.size();
    const std::uint32_t rule = side.broken();
    // It is inert from now on.
    side.receive("\x01");
    EXPECT_EQ(side.got.size(), came);
    EXPECT_EQ(side.send("x"), 0U);
    return rule;
  };
  EXPECT_EQ(after({piece(1, 0, 0, "x")}), code(Rule::PieceOfTooMany));
  EXPECT_EQ(after({piece(1, 0, 0xffff'ffff, "x")}), code(Rule::PieceOfTooMany));
  EXPECT_EQ(after({piece(1, 2, 2, "x")}), code(Rule::PieceBeyondTheLast));
  EXPECT_EQ(after({piece(1, 0, 2, "x"), piece(1, 1, 3, "x")}), code(Rule::PieceOfAnotherTotal));
  FramingConfig few;
  few.maxUnfinishedMessages = 2;
  EXPECT_EQ(after({piece(1, 0, 2, "x"), piece(2, 0, 2, "x"), piece(3, 0, 2, "x")}, few),
            code(Rule::TooManyUnfinishedMessages));
  FramingConfig small;
  small.maxMessageBytes = 40'000;
  EXPECT_EQ(after({piece(1, 0, 3, pattern(30'000)), piece(1, 1, 3, pattern(10'001))}, small),
            code(Rule::MessageAboveTheLimit));
  EXPECT_EQ(after({pattern(40'001)}, small), code(Rule::MessageAboveTheLimit));
  FramingConfig narrow;
  narrow.maxUnfinishedBytes = 4'096;
  EXPECT_EQ(
      after({piece(1, 0, 9, "1"), piece(1, 1, 9, "2"), piece(1, 2, 9, "3"), piece(1, 3, 9, "4"), piece(1, 4, 9, "5")},
            narrow),
      code(Rule::TooManyUnfinishedBytes))
      << "small pieces cost more than their bytes";
}

TEST(PeerJs, BytesOfFinishedMessagesCountNoMore) {
  FramingConfig narrow;
  narrow.maxUnfinishedBytes = 40'000;
  narrow.maxUnfinishedMessages = 1;
  Side side(Serialization::Binary, narrow);
  for (std::uint32_t id = 1; id <= 100; ++id) {
    side.receive(piece(id, 1, 2, pattern(16'300)));
    side.receive(piece(id, 0, 2, pattern(16'300)));
  }
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  EXPECT_EQ(side.wire.stats().messagesReceived, 100U);
}

TEST(PeerJs, AMessageWhoseRestDoesNotComeIsGivenUpAndTheOthersGoOn) {
  Side side(Serialization::Binary);
  side.receive(piece(1, 0, 2, "a"));
  side.now += 30'000;
  side.receive(piece(2, 0, 3, "b"));
  EXPECT_EQ(side.wire.deadline(), 61'000);
  side.now = 61'000;
  side.wire.timeout(side.now);
  EXPECT_EQ(side.events(), std::vector{Kind::Dropped});
  EXPECT_EQ(side.marker, side.got[0].delivery.message);
  EXPECT_EQ(side.wire.deadline(), 91'000);
  // Each piece gives the next one its time.
  side.now = 90'000;
  side.receive(piece(2, 2, 3, "b"));
  side.now = 91'000;
  side.wire.timeout(side.now);
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  side.receive(piece(2, 1, 3, "b"));
  EXPECT_TRUE(side.got.back().delivery.last);
}

TEST(PeerJs, AFrameIsDeliveredWholeWhenOnlyItsBeginningWasShown) {
  Side side(Serialization::Raw);
  const std::string head = pattern(100);
  side.wire.receive(std::as_bytes(std::span(head)), 200'000, false, side.now);
  const std::optional<Delivery> whole = side.wire.delivery();
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->length, 200'000U);
  EXPECT_TRUE(whole->first && whole->last);
}

// -- other serializations --------------------------------------------------------------------------------

TEST(PeerJs, JsonBeyondOnePieceIsRefused) {
  Side side(Serialization::Json);
  EXPECT_EQ(side.send(pattern(16'300)), kTooBig);
  EXPECT_NE(side.send(pattern(16'299)), kTooBig);
  side.pump();
  ASSERT_EQ(side.sent.size(), 1U);
  EXPECT_EQ(side.sent[0].bytes, pattern(16'299));
  EXPECT_FALSE(side.sent[0].text);
}

TEST(PeerJs, JsonIsTextForPeerJsBefore1Point5) {
  Side side(Serialization::Json, {}, true);
  side.send("{}");
  side.pump();
  ASSERT_EQ(side.sent.size(), 1U);
  EXPECT_TRUE(side.sent[0].text);
}

TEST(PeerJs, RawSendsTextAndBytesAsTheyAreAsFarAsTheChannelCan) {
  Side side(Serialization::Raw);
  side.send("text", Lane::Normal, kFormatText);
  side.send("", Lane::Normal, kFormatText);
  side.send(pattern(262'144));
  EXPECT_EQ(side.send(pattern(262'145)), kTooBig);
  side.pump();
  ASSERT_EQ(side.sent.size(), 3U);
  EXPECT_TRUE(side.sent[0].text);
  EXPECT_EQ(side.sent[1].bytes, "");
  EXPECT_TRUE(side.sent[1].text);
  EXPECT_EQ(side.sent[2].bytes, pattern(262'144));
  EXPECT_FALSE(side.sent[2].text);
}

TEST(PeerJs, MsgPackIsAStreamThatNothingInterrupts) {
  Side side(Serialization::MsgPack);
  side.send(pattern(70'000));
  Action action = side.wire.next(0, side.now);
  EXPECT_EQ(action.frameLength, 32'768U);
  side.send("urgent", Lane::High);
  side.pump();
  ASSERT_EQ(side.sent.size(), 3U);
  EXPECT_EQ(side.sent[0].bytes.size(), 32'768U);
  EXPECT_EQ(side.sent[1].bytes.size(), 70'000U - 2 * 32'768U);
  EXPECT_EQ(side.sent[2].bytes, "urgent");
}

// -- the queue -------------------------------------------------------------------------------------------

TEST(PeerJs, HighGoesFirstEvenBetweenThePiecesOfAnother) {
  Side side(Serialization::Binary);
  side.send(pattern(40'000), Lane::Bulk);
  (void)side.wire.next(0, side.now);
  side.send("high", Lane::High);
  side.send("normal");
  side.pump();
  ASSERT_EQ(side.sent.size(), 4U);
  EXPECT_EQ(side.sent[0].bytes, "high");
  EXPECT_EQ(side.sent[3].bytes, "normal");
}

TEST(PeerJs, NothingLeavesWhileTheChannelIsFullAndRoomIsToldOnce) {
  Side side(Serialization::Binary);
  for (int i = 0; i < 200; ++i) side.send(pattern(16'000));
  EXPECT_FALSE(side.wire.hasRoom());
  const Action wait = side.pump(false);
  EXPECT_GE(side.buffered, side.config.highWaterBytes);
  EXPECT_LT(side.buffered, side.config.highWaterBytes + 16'384);
  EXPECT_EQ(wait.low, side.config.highWaterBytes / 2);
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  while (side.sent.size() < 200) {
    side.buffered = 0;
    side.pump(false);
  }
  EXPECT_TRUE(side.wire.hasRoom());
  EXPECT_EQ(side.events(), std::vector{Kind::Room});
}

TEST(PeerJs, TinyMessagesFillTheQueueToo) {
  Side side(Serialization::Binary);
  std::size_t count = 0;
  for (; side.wire.hasRoom(); ++count) side.send("x");
  EXPECT_LE(count, side.config.queueBytes / 49 + 1);
}

TEST(PeerJs, HalfAMillionMessagesDrainWithoutRecursionAndInOrder) {
  Side side(Serialization::Raw);
  constexpr std::uint32_t kCount = 500'000;
  for (std::uint32_t i = 0; i < kCount; ++i) ASSERT_NE(side.wire.queue(Lane::Normal, kFormatBytes, 4), 0U);
  Ticket last = 0;
  std::uint32_t count = 0;
  for (;;) {
    const Action action = side.wire.next(0, side.now);
    if (action.kind == ActionKind::Wait) break;
    ASSERT_EQ(action.kind, ActionKind::FillSend);
    ASSERT_EQ(action.ticket, last + 1);
    last = action.ticket;
    ++count;
  }
  EXPECT_EQ(count, kCount);
  EXPECT_EQ(side.wire.acknowledged(Lane::Normal), kCount);
}

TEST(PeerJs, AFrameThatTheChannelDidNotTakeComesAgain) {
  Side side(Serialization::Binary);
  side.send("one");
  side.send("two");
  side.pump(false);
  side.sent.clear();
  side.wire.unsend();
  side.pump(false);
  ASSERT_EQ(side.sent.size(), 1U);
  EXPECT_EQ(side.sent[0].bytes, "two");
  EXPECT_EQ(side.wire.stats().framesSent, 2U);
  EXPECT_EQ(side.wire.stats().bytesSent, 6U);
}

TEST(PeerJs, WhatHasNotBegunToLeaveCanBeTakenBack) {
  Side side(Serialization::Binary);
  const Ticket begun = side.send(pattern(40'000));
  const Ticket waits = side.send("back");
  side.send("stays");
  (void)side.wire.next(0, side.now);
  EXPECT_FALSE(side.wire.withdraw(begun));
  EXPECT_TRUE(side.wire.withdraw(waits));
  EXPECT_FALSE(side.wire.withdraw(waits));
  EXPECT_FALSE(side.wire.withdraw(77));
  side.pump();
  EXPECT_EQ(side.sent.back().bytes, "stays");
  EXPECT_EQ(side.sent.size(), 3U);
  EXPECT_EQ(side.wire.acknowledged(Lane::Normal), 3U);
  EXPECT_EQ(side.wire.stats().queuedBytes, 0U);
}

TEST(PeerJs, AMarkIsReachedWhenEverythingBeforeItLeftTheBuffer) {
  Side side(Serialization::Binary);
  side.send("normal");
  side.send("high", Lane::High);
  const std::uint32_t marker = side.wire.mark();
  side.send("later");
  Action wait = side.pump(false);
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  EXPECT_EQ(wait.low, 0U) << "it wants to know when the buffer is empty";
  side.buffered = 6;
  (void)side.pump(false);
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  side.buffered = 5;
  (void)side.pump(false);
  EXPECT_EQ(side.events(), std::vector{Kind::Delivered});
  EXPECT_EQ(side.marker, marker);
  EXPECT_EQ(side.wire.acknowledged(Lane::High), 1U);
  EXPECT_EQ(side.wire.acknowledged(Lane::Normal), 1U);
}

TEST(PeerJs, RequestsFilesAndOtherFormatsAreNotForPeerJs) {
  Side side(Serialization::Binary);
  for (const Format format : {Format{0}, Format{3}, kFormatRequest, kFormatResponse, kFormatTransferData})
    EXPECT_EQ(side.wire.queue(Lane::Normal, format, 1), 0U);
  EXPECT_EQ(side.wire.queue(Lane::File, kFormatBytes, 1), 0U);
}

// -- the end ---------------------------------------------------------------------------------------------

TEST(PeerJs, CloseSendsWhatWaitsThenSaysGoodbyeThenClosesTheChannel) {
  const nlohmann::json vectors = readVectors("peerjs.json");
  const std::vector<std::pair<Serialization, const char*>> all = {
      {Serialization::Binary, "binary"}, {Serialization::MsgPack, "MsgPack"}, {Serialization::Json, "json"}};
  for (const auto& [serialization, name] : all) {
    SCOPED_TRACE(name);
    Side side(serialization);
    side.send("last words");
    side.wire.close({}, side.now);
    EXPECT_EQ(side.send("too late"), 0U);
    EXPECT_TRUE(side.wire.wantsTransmit());
    side.pump();
    ASSERT_EQ(side.sent.size(), 2U);
    EXPECT_EQ(side.sent[1].bytes, fromHex(vectors["close"][name]));
    EXPECT_EQ(side.events(), std::vector{Kind::Drained});
    EXPECT_FALSE(side.wire.wantsTransmit());
    side.now += 2'000;
    side.wire.timeout(side.now);
    EXPECT_EQ(side.events(), std::vector{Kind::Closed});
  }
}

TEST(PeerJs, RawHasNoGoodbyeThatWouldArriveAsAMessage) {
  Side side(Serialization::Raw);
  side.receive("hello");
  side.send("last");
  side.wire.close({}, side.now);
  side.pump();
  EXPECT_EQ(side.sent.size(), 1U);
  EXPECT_EQ(side.events(), std::vector{Kind::Drained});
}

TEST(PeerJs, AChannelWithoutAGoodbyeThatPeerJsNeedNotHaveNoticedStaysOpenForASecond) {
  for (const bool legacy : {false, true}) {
    SCOPED_TRACE(legacy);
    Side side(legacy ? Serialization::Binary : Serialization::Raw, {}, legacy);
    const Millis began = side.now;
    side.now += 100;
    side.send("first and last");
    side.wire.close({}, side.now);
    side.pump();
    EXPECT_EQ(side.sent.size(), 1U);
    EXPECT_EQ(side.events(), std::vector<Kind>{});
    EXPECT_EQ(side.wire.deadline(), began + 1'000);
    side.now = began + 1'000;
    side.wire.timeout(side.now);
    EXPECT_TRUE(side.wire.wantsTransmit());
    side.pump();
    EXPECT_EQ(side.sent.size(), 1U);
    EXPECT_EQ(side.events(), std::vector{Kind::Drained});
  }
}

TEST(PeerJs, TheChannelIsNotClosedWhileItsBufferHoldsAnything) {
  Side side(Serialization::Binary);
  side.send("last words");
  side.wire.close({}, side.now);
  EXPECT_EQ(side.pump(false).low, 0U);
  EXPECT_EQ(side.sent.size(), 2U) << "the goodbye, too";
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  side.buffered = 1;
  side.pump(false);
  EXPECT_EQ(side.events(), std::vector<Kind>{});
  side.buffered = 0;
  side.pump(false);
  EXPECT_EQ(side.events(), std::vector{Kind::Drained});
}

TEST(PeerJs, TheChannelIsClosedOnceItsBufferDoesNotShrinkAnyMore) {
  Side side(Serialization::Binary);
  const auto passes = [&side](Millis time) {
    side.now += time;
    side.wire.timeout(side.now);
    side.pump(false);
    return side.events();
  };
  side.send(pattern(200'000));
  side.wire.close({}, side.now);
  side.pump(false);
  ASSERT_EQ(side.wire.deadline(), side.now + 2'000);
  side.buffered = 100'000;
  EXPECT_EQ(passes(2'000), std::vector<Kind>{}) << "a slow path is one";
  ASSERT_EQ(side.wire.deadline(), side.now + 2'000);
  EXPECT_EQ(passes(2'000), std::vector{Kind::Drained});
}

TEST(PeerJs, BeforeOneFiveNoWordsAreKnownSoTheChannelClosesWithoutThem) {
  for (const Serialization serialization : {Serialization::Binary, Serialization::Json}) {
    Side side(serialization, {}, true);
    side.now += 1'000;
    side.wire.close({}, side.now);
    side.pump(false);
    EXPECT_TRUE(side.sent.empty());
    EXPECT_EQ(side.events(), std::vector{Kind::Drained});
  }
}

TEST(PeerJs, AQueueThatDoesNotMoveEndsAllTheSame) {
  Side side(Serialization::Binary);
  side.buffered = 10'000'000;
  side.send("stuck");
  side.wire.close({}, side.now);
  side.pump();
  EXPECT_EQ(side.wire.deadline(), side.now + 10'000);
  side.now += 10'000;
  side.wire.timeout(side.now);
  EXPECT_EQ(side.events(), std::vector{Kind::Closed});
}

TEST(PeerJs, TheOtherSidesGoodbyeIsHeardAlsoInAPiece) {
  const nlohmann::json vectors = readVectors("peerjs.json");
  const std::string goodbye = fromHex(vectors["close"]["binary"]);
  for (const std::string& frame : {goodbye, piece(1, 0, 1, goodbye)}) {
    Side side(Serialization::Binary);
    side.send("what waits still goes");
    side.receive(frame);
    EXPECT_TRUE(side.got.empty());
    EXPECT_TRUE(side.wire.closing());
    EXPECT_EQ(side.events(), std::vector{Kind::PeerClosing});
    side.receive("\x01");
    EXPECT_TRUE(side.got.empty()) << "nothing comes behind it";
    side.pump();
    EXPECT_EQ(side.sent.size(), 1U) << "no goodbye is answered";
    EXPECT_EQ(side.events(), std::vector{Kind::Drained});
  }
  Side raw(Serialization::Raw);
  raw.receive(goodbye);
  EXPECT_EQ(raw.got.size(), 1U);
}

TEST(PeerJs, WhenBothCloseEachWaitsForItsOwnRest) {
  const nlohmann::json vectors = readVectors("peerjs.json");
  Side side(Serialization::Binary);
  side.send(pattern(40'000));
  side.wire.close({}, side.now);
  side.receive(fromHex(vectors["close"]["binary"]));
  side.pump();
  EXPECT_EQ(side.sent.size(), 3U);
  EXPECT_EQ(side.events(), std::vector{Kind::Drained});
}

TEST(PeerJs, NamesOfSerializations) {
  for (const char* name : {"", "binary", "binary-utf8", "default"})
    EXPECT_EQ(serializationOf(name), Serialization::Binary);
  EXPECT_EQ(serializationOf("json"), Serialization::Json);
  EXPECT_EQ(serializationOf("MsgPack"), Serialization::MsgPack);
  for (const char* name : {"raw", "msgpack", "of my own"}) EXPECT_EQ(serializationOf(name), Serialization::Raw);
}

}  // namespace
}  // namespace peerbridge
