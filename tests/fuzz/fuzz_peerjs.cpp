// Hostile frames to one connection of PeerJS's protocol, and every call of its data border in any order, with its own
// frames going to a second one, in any order too. The first byte chooses. Besides what the sanitizers find: what one
// honest side sends is no violation to the other and arrives as it was, each piece once; a hostile frame costs no more
// than its bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "framing/peerjs.hpp"
#include "input.hpp"

namespace {

using namespace peerbridge;
using fuzz::check;
using fuzz::Input;

std::string textOf(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

FramingConfig tight() {
  FramingConfig config;
  config.maxMessageBytes = 1'000'000;
  config.maxUnfinishedMessages = 8;
  config.maxUnfinishedBytes = 2'000'000;
  config.queueBytes = 100'000;
  return config;
}

struct Side {
  Side(Serialization serialization, bool legacy) : wire(config, serialization, legacy) { wire.attach(262'144, 0); }

  struct Frame {
    std::string bytes;
    bool text = false;
  };
  /// Of a message that came in pieces.
  struct Pieces {
    std::map<std::uint32_t, std::string> there;
    std::uint64_t total = 0;
  };

  /// A message whose bytes are told by its length and number.
  static std::string contents(Ticket ticket, std::uint64_t length) {
    std::string bytes(length, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(ticket * 31 + i * 7 + i / 256);
    // Never the beginning of a map: an application's own message must not look like an envelope here.
    if (!bytes.empty()) bytes[0] = static_cast<char>(0xda);
    return bytes;
  }

  void pump(unsigned most, std::uint64_t buffered) {
    while (most-- > 0) {
      const Action action = wire.next(buffered, now);
      if (action.kind == ActionKind::Wait) return;
      check(action.kind != ActionKind::Fill && action.frame != nullptr);
      if (action.kind == ActionKind::FillSend) {
        const std::string& bytes = payloads.at(action.ticket);
        check(action.length > 0 && action.offset + action.length <= bytes.size());
        check(action.data >= action.frame && action.data + action.length <= action.frame + action.frameLength);
        std::memcpy(action.data, bytes.data() + action.offset, action.length);
      }
      frames.push_back({std::string(reinterpret_cast<const char*>(action.frame), action.frameLength), action.text});
    }
  }

  void receive(const std::string& frame, bool text, std::size_t hidden = 0) {
    // Of its own length, so that the sanitizers see what is read behind it.
    const std::vector<char> exact(frame.begin(), frame.end());
    wire.receive(std::as_bytes(std::span(exact)), frame.size() + hidden, text, now);
    while (const std::optional<Delivery> piece = wire.delivery()) {
      check(!violated && !closedByPeer);
      check(piece->frameOffset + piece->length <= frame.size() + hidden);
      if (piece->message == 0) {
        check(piece->first && piece->last && piece->length == frame.size() + hidden);
        whole.push_back(frame);
        continue;
      }
      Pieces& pieces = unfinished[piece->message];
      check(piece->first == pieces.there.empty() && piece->piece < piece->total);
      check(pieces.there.empty() || pieces.total == piece->total);
      pieces.total = piece->total;
      check(pieces.there.emplace(piece->piece, frame.substr(piece->frameOffset, piece->length)).second);
      check(piece->last == (pieces.there.size() == pieces.total));
      if (!piece->last) continue;
      std::string all;
      for (const auto& [n, bytes] : pieces.there) all += bytes;
      check(all.size() <= config.maxMessageBytes);
      whole.push_back(std::move(all));
      unfinished.erase(piece->message);
    }
    check(unfinished.size() <= config.maxUnfinishedMessages);
    events();
  }

  void events() {
    while (const std::optional<FramingEvent> event = wire.poll()) {
      using Kind = FramingEvent::Kind;
      switch (event->kind) {
        case Kind::Violation:
          check(!std::exchange(violated, true));
          unfinished.clear();
          break;
        case Kind::Dropped:
          check(unfinished.erase(event->marker) == 1);
          dropped = true;
          break;
        case Kind::Delivered:
          check(event->marker > delivered && event->marker <= marked);
          delivered = event->marker;
          break;
        case Kind::PeerClosing:
          closedByPeer = true;
          break;
        case Kind::Room:
        case Kind::Drained:
        case Kind::Closed:
          break;
        default:
          check(false);
      }
    }
  }

  const FramingConfig config = tight();
  PeerJsWire wire;
  Millis now = 0;
  std::map<Ticket, std::string> payloads;
  std::vector<Frame> frames;
  std::vector<std::string> whole;
  std::map<std::uint32_t, Pieces> unfinished;
  std::uint32_t marked = 0;
  std::uint32_t delivered = 0;
  bool violated = false;
  bool dropped = false;
  bool closedByPeer = false;
};

std::string number(std::uint32_t value) {
  if (value < 0x80) return {static_cast<char>(value)};
  return {'\xcd', static_cast<char>(value >> 8), static_cast<char>(value)};
}

/// A frame that is nearly right more often than bytes by chance would be.
std::string envelope(Input& in) {
  const std::string id = number(in.take(1));
  const std::string n = number(in.take(1) % 6);
  const std::string total = number(in.take(1) % 6);
  const std::string data = textOf(in.bytes(in.take(1) % 16));
  return "\x84\xba__peerData" + id + "\xb1n" + n + "\xb4" + "data" + static_cast<char>(0xa0 + data.size()) + data +
         "\xb5total" + total;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::uint32_t how = in.take(1);
  const auto serialization = static_cast<Serialization>(how & 3);
  const bool hostile = (how & 4) != 0;
  Side a(serialization, (how & 8) != 0);
  Side b(serialization, false);
  std::vector<std::string> sent;
  bool asIs = true;  ///< nothing was taken back, and all is still to come in order
  while (!in.empty()) {
    switch (in.take(1) % 12) {
      case 0:
      case 1: {
        const std::uint64_t length = in.take(2) * ((how & 16) != 0 ? 3 : 1);
        const auto lane = static_cast<Lane>(in.take(1) % 3);
        const Format format = serialization == Serialization::Raw && length % 2 == 1 ? kFormatText : kFormatBytes;
        const Ticket ticket = a.wire.queue(lane, format, length);
        if (ticket == 0 || ticket == kTooBig) break;
        a.payloads[ticket] = Side::contents(ticket, length);
        sent.push_back(a.payloads[ticket]);
        asIs = asIs && lane == Lane::Normal;
        break;
      }
      case 2:
        a.pump(in.take(1), in.take(3));
        break;
      case 3: {
        // Any of what is on its way: an unordered channel.
        if (a.frames.empty()) break;
        const std::size_t which = in.take(1) % a.frames.size();
        const Side::Frame frame = a.frames[which];
        a.frames.erase(a.frames.begin() + static_cast<std::ptrdiff_t>(which));
        asIs = asIs && which == 0;
        b.receive(frame.bytes, frame.text);
        break;
      }
      case 4:
        a.marked = a.wire.mark();
        break;
      case 5:
        if (a.wire.withdraw(in.take(1))) asIs = false;
        break;
      case 6:
        if (in.take(1) < 4) a.wire.abort({}, ErrorCode::ConnectionLost);
        break;
      case 7:
        a.now += in.take(2);
        b.now = a.now;
        a.wire.timeout(a.now);
        b.wire.timeout(b.now);
        b.events();
        break;
      case 8:
        if (in.take(1) < 16) a.wire.close({}, a.now);
        break;
      case 9:
        if (hostile) b.receive(textOf(in.bytes(in.take(1))), in.take(1) % 2 == 1, in.take(2));
        break;
      case 10:
        if (hostile) b.receive(envelope(in), false);
        break;
      case 11: {
        const std::size_t before = a.frames.size();
        a.pump(1, 0);
        if (a.frames.size() == before) break;
        a.wire.unsend();
        const Side::Frame untaken = a.frames.back();
        a.frames.pop_back();
        a.pump(1, 0);
        check(a.frames.back().bytes == untaken.bytes && a.frames.back().text == untaken.text);
        break;
      }
    }
    a.events();
    check(a.wire.deadline() == kNever || a.wire.deadline() >= 0);
    asIs = asIs && !b.dropped;
    if (!hostile && asIs) check(!b.violated);
  }
  if (hostile) return 0;
  // The rest goes as it should, and all of it is there.
  a.pump(1'000'000, 0);
  a.events();
  for (const Side::Frame& frame : a.frames) b.receive(frame.bytes, frame.text);
  if (!asIs || b.closedByPeer || a.wire.closing()) return 0;
  check(!b.violated && a.delivered == a.marked);
  if (serialization == Serialization::MsgPack) {
    std::string all;
    std::string got;
    for (const std::string& one : sent) all += one;
    for (const std::string& one : b.whole) got += one;
    check(all == got);
  } else {
    check(b.whole == sent);
  }
  return 0;
}
