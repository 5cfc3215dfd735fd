// Two ends of a connection and a lossless, ordered channel between them that can be cut, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framing/frame.hpp"
#include "framing/framing.hpp"
#include "vectors.hpp"

namespace peerbridge::testing {

using Bytes = std::vector<std::byte>;
using Kind = FramingEvent::Kind;

inline Bytes bytesOf(std::string_view text) {
  Bytes bytes(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = static_cast<std::byte>(text[i]);
  return bytes;
}

inline std::string textOf(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Bytes that differ from those of any other seed, and along the way.
inline Bytes patternOf(std::uint64_t seed, std::size_t length) {
  Bytes bytes(length);
  std::uint64_t x = seed * 0x9E3779B97F4A7C15u + 1;
  // Eight at a time: worlds of random traffic make more of it than of anything else.
  for (std::size_t at = 0; at < length; at += sizeof x) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t mixed = x ^ x >> 32;
    std::memcpy(bytes.data() + at, &mixed, std::min(sizeof mixed, length - at));
  }
  return bytes;
}

/// One side: an application that keeps what it sends and collects what it gets.
class End {
 public:
  explicit End(const FramingConfig& config) : framing(config) {}

  struct Message {
    Format format = 0;
    Bytes bytes;
    friend bool operator==(const Message&, const Message&) = default;
  };
  struct Source {
    Bytes bytes;
    std::uint64_t putSoFar = 0;
    bool ended = false;
    std::string digest = {};
  };
  struct Sink {
    std::string name;
    std::string mime;
    std::optional<std::uint64_t> size;
    Bytes bytes;
    std::string key = {};
    std::string digest = {};  ///< what the sender told
    std::string own = {};     ///< what transferComplete() is given
    std::uint64_t consumed = 0;
    bool ended = false;
    bool completed = false;
  };

  Framing framing;
  std::map<Ticket, Bytes> tickets;
  std::array<std::vector<Message>, kLaneCount> sent;
  std::array<std::vector<Message>, kLaneCount> got;
  std::array<std::optional<Message>, kLaneCount> partial;
  std::vector<FramingEvent> events;
  std::map<TransferHandle, Source> sources;
  std::map<TransferHandle, Sink> sinks;
  std::map<TransferHandle, std::vector<TransferState>> states;
  std::map<TransferHandle, std::string> reasons;
  std::map<TransferHandle, ErrorCode> errors;
  std::map<TransferHandle, std::uint64_t> progress;
  std::vector<std::string> order;  ///< "lane:first bytes" of every message in the order of their ends
  bool acceptAll = true;
  Millis clock = 0;  ///< when it last received something
  bool consumeAll = true;
  bool completeAll = true;
  bool supplyAll = true;

  // -- sending -----------------------------------------------------------------------------------------

  bool put(Lane lane, Format format, const Bytes& bytes) {
    bool accepted = false;
    const std::span<std::byte> space = framing.put(lane, format, bytes.size(), accepted);
    if (!accepted) return false;
    EXPECT_EQ(space.size(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), space.begin());
    sent[static_cast<std::size_t>(lane)].push_back({format, bytes});
    return true;
  }
  bool put(Lane lane, std::string_view text) { return put(lane, 0, bytesOf(text)); }

  Ticket queue(Lane lane, Format format, const Bytes& bytes) {
    const Ticket ticket = framing.queue(lane, format, bytes.size());
    if (ticket == 0) return 0;
    tickets[ticket] = bytes;
    sent[static_cast<std::size_t>(lane)].push_back({format, bytes});
    return ticket;
  }

  bool offer(TransferHandle handle, Bytes bytes, std::optional<std::uint64_t> size, std::string name = "f") {
    if (!framing.offer(handle, std::move(name), "text/plain", size)) return false;
    sources[handle] = {std::move(bytes)};
    return true;
  }

  /// Performs actions until Wait; every frame goes to `wire`. Returns how many calls of next() there were.
  std::size_t pump(std::deque<Bytes>& wire, std::uint64_t& buffered, Millis now, std::size_t most = 1'000'000,
                   Slot slot = 0) {
    bool last = false;
    for (std::size_t calls = 1; calls <= most; ++calls) {
      const Action action = framing.next(buffered, now, slot);
      if (action.kind == ActionKind::Wait) return calls;
      EXPECT_FALSE(last) << "something left behind the last frame";
      last = action.last;
      if (action.kind != ActionKind::Send && !fill(action)) return calls;
      if (action.kind == ActionKind::Fill) continue;
      wire.emplace_back(action.frame, action.frame + action.frameLength);
      buffered += action.frameLength;
    }
    return most;
  }

  bool fill(const Action& action) {
    const auto found = tickets.find(action.ticket);
    EXPECT_NE(found, tickets.end());
    if (found == tickets.end()) return false;
    EXPECT_LE(action.offset + action.length, found->second.size());
    std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(action.offset), action.length, action.data);
    return true;
  }

  // -- receiving ---------------------------------------------------------------------------------------

  void receive(const Bytes& frame, Millis now, Slot slot = 0) {
    clock = now;
    // Exactly as long as the frame, so that sanitizers see every byte that is read beyond it.
    const Bytes copy(frame.begin(), frame.end());
    framing.receive(copy, now, slot);
    while (const std::optional<Delivery> delivery = framing.delivery()) take(*delivery, copy);
    poll();
  }

  void take(const Delivery& d, const Bytes& frame) {
    if (d.data == nullptr) {
      ASSERT_LE(d.frameOffset + d.length, frame.size());
    }
    const std::byte* const begin = d.data != nullptr ? d.data : frame.data() + d.frameOffset;
    const std::byte* const end = begin + d.length;
    if (d.transfer != 0) {
      Sink& sink = sinks[d.transfer];
      sink.bytes.insert(sink.bytes.end(), begin, end);
      return;
    }
    const auto lane = static_cast<std::size_t>(d.lane);
    ASSERT_EQ(d.first, !partial[lane].has_value());
    if (d.first) partial[lane] = Message{d.format, {}};
    ASSERT_EQ(partial[lane]->format, d.format);
    partial[lane]->bytes.insert(partial[lane]->bytes.end(), begin, end);
    if (!d.last) return;
    ASSERT_EQ(partial[lane]->bytes.size(), d.total);
    order.push_back(std::to_string(lane) + ":" + textOf(partial[lane]->bytes).substr(0, 16));
    got[lane].push_back(std::move(*partial[lane]));
    partial[lane].reset();
  }

  void poll() {
    if (consumeAll) consume();
    while (std::optional<FramingEvent> event = framing.poll()) {
      on(*event);
      events.push_back(std::move(*event));
      if (consumeAll) consume();
    }
  }

  void on(const FramingEvent& event) {
    switch (event.kind) {
      case Kind::TransferOffered:
        sinks[event.transfer] = {event.name, event.mime, event.size, {}, event.key};
        if (acceptAll) {
          EXPECT_TRUE(framing.accept(event.transfer) || framing.closing());
        }
        break;
      case Kind::TransferRead:
        if (supplyAll) supply(event.transfer, event.offset, event.length);
        break;
      case Kind::TransferState:
        states[event.transfer].push_back(event.state);
        reasons[event.transfer] = event.text;
        errors[event.transfer] = event.error;
        break;
      case Kind::TransferProgress:
        EXPECT_GT(*event.size, progress[event.transfer]);
        progress[event.transfer] = *event.size;
        break;
      case Kind::TransferEnded:
        sinks[event.transfer].ended = true;
        sinks[event.transfer].digest = event.text;
        break;
      default:
        break;
    }
  }

  void consume() {
    for (auto& [handle, sink] : sinks) {
      if (sink.consumed < sink.bytes.size() &&
          framing.transferConsumed(handle, sink.bytes.size() - sink.consumed, clock)) {
        sink.consumed = sink.bytes.size();
      }
      if (sink.ended && completeAll && !sink.completed) sink.completed = framing.transferComplete(handle, sink.own);
    }
  }

  Ticket putPiece(TransferHandle handle, Bytes bytes) {
    const Ticket ticket = framing.transferPut(handle, bytes.size());
    if (ticket != 0) tickets[ticket] = std::move(bytes);
    return ticket;
  }

  void supply(TransferHandle handle, std::uint64_t offset, std::uint64_t length) {
    Source& source = sources[handle];
    const std::uint64_t from = std::min<std::uint64_t>(offset, source.bytes.size());
    const std::uint64_t to = std::min<std::uint64_t>(offset + length, source.bytes.size());
    if (to > from) {
      const auto begin = source.bytes.begin();
      putPiece(handle, Bytes(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to)));
      source.putSoFar = to;
    }
    if (to - from < length || length == 0) source.ended = framing.transferEnd(handle, source.digest) || source.ended;
  }

  [[nodiscard]] std::size_t count(Kind kind) const {
    std::size_t n = 0;
    for (const FramingEvent& event : events) n += event.kind == kind ? 1 : 0;
    return n;
  }
  [[nodiscard]] const FramingEvent* find(Kind kind) const {
    for (const FramingEvent& event : events) {
      if (event.kind == kind) return &event;
    }
    return nullptr;
  }
  [[nodiscard]] std::optional<TransferState> state(TransferHandle handle) const {
    const auto found = states.find(handle);
    return found == states.end() || found->second.empty() ? std::nullopt : std::optional(found->second.back());
  }
  [[nodiscard]] std::string violation() const {
    const FramingEvent* event = find(Kind::Violation);
    if (event == nullptr) return "";
    static const nlohmann::json rules = readVectors("rules.json");
    return rules[event->marker - 1].get<std::string>();
  }
};

/// Both sides and the wire.
class Pair {
 public:
  explicit Pair(const FramingConfig& config = {}) : Pair(config, config) {}
  Pair(const FramingConfig& forA, const FramingConfig& forB) : a(forA), b(forB) {}

  End a;
  End b;
  std::deque<Bytes> toB;
  std::deque<Bytes> toA;
  std::uint64_t bufferedA = 0;
  std::uint64_t bufferedB = 0;
  Millis now = 1'000;

  void attach(std::size_t maxMessageSize = 262'144) {
    a.framing.attach(maxMessageSize, now);
    b.framing.attach(maxMessageSize, now);
  }
  /// Everything on its way is lost.
  void cut() {
    a.framing.detach();
    b.framing.detach();
    dropWire();
  }
  void dropWire() {
    toA.clear();
    toB.clear();
    bufferedA = bufferedB = 0;
  }

  void pumpA(std::size_t most = 1'000'000) { a.pump(toB, bufferedA, now, most); }
  void pumpB(std::size_t most = 1'000'000) { b.pump(toA, bufferedB, now, most); }
  bool deliverToB() { return deliver(toB, bufferedA, b); }
  bool deliverToA() { return deliver(toA, bufferedB, a); }

  void poll() {
    a.poll();
    b.poll();
  }
  void advance(Millis by) {
    now += by;
    a.framing.timeout(now);
    b.framing.timeout(now);
    poll();
  }

  /// Runs until nothing moves any more and no acknowledgement waits.
  void settle() {
    for (int round = 0; round < 100'000; ++round) {
      poll();
      pumpA();
      pumpB();
      const bool moved = deliverToB() | deliverToA();
      if (moved) continue;
      const Millis next = nextDeadline();
      if (next > now + 100) break;
      advance(next > now ? next - now : 0);
    }
    poll();
  }
  [[nodiscard]] Millis nextDeadline() const { return std::min(a.framing.deadline(), b.framing.deadline()); }

 private:
  bool deliver(std::deque<Bytes>& wire, std::uint64_t& buffered, End& to) {
    if (wire.empty()) return false;
    const Bytes frame = std::move(wire.front());
    wire.pop_front();
    buffered -= frame.size();
    to.receive(frame, now);
    return true;
  }
};

/// Writes frames by hand.
class FrameText {
 public:
  explicit FrameText(FrameType type) { byte(static_cast<unsigned>(type)); }
  explicit FrameText(unsigned type) { byte(type); }
  FrameText& byte(unsigned value) {
    bytes.push_back(static_cast<std::byte>(value));
    return *this;
  }
  FrameText& varint(std::uint64_t value) {
    while (value >= 0x80) {
      byte(static_cast<unsigned>(value & 0x7f) | 0x80);
      value >>= 7;
    }
    return byte(static_cast<unsigned>(value));
  }
  FrameText& text(std::string_view value) {
    for (const char c : value) byte(static_cast<unsigned char>(c));
    return *this;
  }
  FrameText& segment(Lane lane, bool first, bool last, Format format, std::optional<std::uint64_t> total,
                     std::string_view value) {
    byte(static_cast<unsigned>(lane) | (first ? 4u : 0u) | (last ? 8u : 0u) | (unsigned{format} << 4));
    if (total) varint(*total);
    return varint(value.size()).text(value);
  }
  operator Bytes() const { return bytes; }  // NOLINT(google-explicit-constructor)
  Bytes bytes;
};

inline Bytes helloFrame(std::uint64_t received = 0, std::uint64_t receivedBulk = 0, std::uint64_t window = 16'777'216) {
  return FrameText(FrameType::Hello).varint(1).varint(65'536).varint(received).varint(receivedBulk).varint(window);
}

}  // namespace peerbridge::testing
