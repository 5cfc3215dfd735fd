// Hostile frames into one side of a connection, and every call of the API in any order on both sides.
// The first byte chooses. Besides what the sanitizers find, a hostile frame may cost no more than its bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <span>
#include <vector>

#include "framing/framing.hpp"
#include "input.hpp"

namespace {

using namespace peerbridge;
using fuzz::check;
using fuzz::Input;
using Frame = std::vector<std::byte>;

Frame frameOf(std::span<const std::uint8_t> bytes) {
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

struct Side {
  explicit Side(const FramingConfig& given) : config(given), framing(given) {}

  FramingConfig config;
  Framing framing;
  std::deque<Frame> wire;
  TransferHandle nextHandle = 1;
  std::vector<TransferHandle> handles;
  std::vector<Ticket> tickets;
  std::uint64_t checksum = 0;
  bool violated = false;
  bool open[kLaneCount] = {};

  void pump(unsigned most, std::uint64_t buffered, Millis now) {
    bool last = false;
    while (most-- > 0) {
      const Action action = framing.next(buffered, now);
      if (action.kind == ActionKind::Wait) return;
      check(!last);
      last = action.last;
      if (action.kind != ActionKind::Send) {
        check(action.length > 0);
        std::memset(action.data, static_cast<int>(action.ticket & 0xff), action.length);
      }
      if (action.kind != ActionKind::Fill) {
        check(action.frameLength > 0 && action.frameLength <= std::max<std::size_t>(config.maxFrameBytes, 16'384));
        wire.emplace_back(action.frame, action.frame + action.frameLength);
      }
    }
  }

  void receive(const Frame& given, Millis now) {
    const Frame frame(given.begin(), given.end());
    framing.receive(frame, now);
    std::size_t end = 0;
    while (const std::optional<Delivery> d = framing.delivery()) {
      check(!violated);
      // Pieces lie in the frame one behind the other; nothing is delivered twice. Those of frames that came too early
      // have memory of their own.
      if (d->data == nullptr) {
        check(d->frameOffset >= end && d->frameOffset + d->length <= frame.size());
        end = d->frameOffset + d->length;
      }
      if (d->transfer == 0) {
        bool& isOpen = open[static_cast<std::size_t>(d->lane)];
        check(d->first != isOpen && d->total <= config.maxMessageBytes);
        isOpen = !d->last;
      } else {
        check(d->lane == Lane::File);
      }
      const std::byte* const bytes = d->data != nullptr ? d->data : frame.data() + d->frameOffset;
      for (std::size_t i = 0; i < d->length; ++i) checksum += static_cast<std::uint64_t>(bytes[i]);
    }
    events();
  }

  void events() {
    std::size_t count = 0;
    while (const std::optional<FramingEvent> event = framing.poll()) {
      check(++count < 100'000);
      if (event->kind == FramingEvent::Kind::Violation) {
        check(!violated);
        violated = true;
      }
      if (event->kind == FramingEvent::Kind::TransferOffered) handles.push_back(event->transfer);
    }
    const FramingStats stats = framing.stats();
    // Two streams, each with a window.
    check(stats.unackedBytes <= 2 * std::max<std::uint64_t>(config.windowBytes, config.maxFrameBytes));
  }

  TransferHandle handle(std::uint32_t choice) const {
    return handles.empty() ? choice : handles[choice % handles.size()];
  }

  /// None, or one of two.
  static std::string digest(std::uint32_t choice) {
    return choice % 4 == 0 ? std::string() : std::string(64, choice % 4 == 1 ? '1' : '2');
  }

  /// Any call with any arguments.
  void act(Input& input, Millis now) {
    const std::uint32_t op = input.take(1);
    const std::uint32_t argument = input.take(2);
    const auto lane = static_cast<Lane>(argument & 3);
    const auto format = static_cast<Format>((argument >> 2) & 31);
    const TransferHandle target = handle(argument);
    switch (op % 24) {
      case 0: {
        bool accepted = false;
        const std::span<std::byte> space = framing.put(lane, format, argument >> 3, accepted);
        check(accepted || space.empty());
        std::fill(space.begin(), space.end(), std::byte{7});
        break;
      }
      case 1:
        tickets.push_back(framing.queue(lane, format, std::uint64_t{argument} * 7));
        break;
      case 2:
        (void)framing.withdraw(tickets.empty() ? argument : tickets[argument % tickets.size()]);
        break;
      case 3:
        (void)framing.mark();
        break;
      case 4:
        framing.attach(argument * 4, now);
        break;
      case 5:
        framing.detach();
        break;
      case 6:
        if (framing.offer(nextHandle, "name", "type",
                          argument & 1 ? std::optional<std::uint64_t>(argument) : std::nullopt, "key")) {
          handles.push_back(nextHandle);
        }
        nextHandle += 2;
        break;
      case 7:
        (void)framing.accept(target, argument % 4 == 3 ? argument : 0);
        break;
      case 8:
        (void)framing.reject(target, "no");
        break;
      case 9:
        (void)framing.pause(target);
        break;
      case 10:
        (void)framing.resume(target);
        break;
      case 11:
        (void)framing.cancel(target, "enough");
        break;
      case 12:
        (void)framing.transferPut(target, input.take(2));
        break;
      case 13:
        (void)framing.transferEnd(target, digest(argument));
        break;
      case 14:
        (void)framing.transferConsumed(target, input.take(2), now);
        break;
      case 15:
        (void)framing.transferComplete(target, digest(argument));
        break;
      case 16:
        framing.unsend();
        break;
      case 17:
        (void)framing.signal("{}");
        break;
      case 18:
        (void)framing.ping(argument);
        break;
      case 19:
        framing.hold((argument & 1) != 0, now);
        break;
      case 20:
        if (argument % 16 == 0) framing.close("bye", now);
        break;
      case 21:
        if (argument % 64 == 0) framing.abort("lost");
        break;
      case 22:
        framing.timeout(now + argument);
        break;
      default:
        pump(argument & 31, argument, now);
        break;
    }
    events();
  }
};

void hostile(Input& input) {
  Side side({});
  side.framing.attach(262'144, 0);
  Millis now = 0;
  (void)side.framing.offer(1, "mine", "text/plain", 1'000);
  bool accepted = false;
  (void)side.framing.put(Lane::Normal, 0, 3, accepted);
  side.handles.push_back(1);
  side.pump(20, 0, now);
  while (!input.empty() && !side.violated) {
    side.receive(frameOf(input.bytes(input.take(2))), ++now);
    for (const TransferHandle handle : side.handles) {
      (void)side.framing.accept(handle, handle % 8 == 4 ? 1 : 0);
      (void)side.framing.transferPut(handle, 500);
      (void)side.framing.transferEnd(handle);
      (void)side.framing.transferConsumed(handle, 3, now);
      (void)side.framing.transferComplete(handle);
    }
    side.events();
    side.pump(20, 0, now);
    side.wire.clear();
  }
}

/// Two honest sides, used in any way: nothing that one does may look like a violation to the other.
void pair(Input& input) {
  FramingConfig config;
  const std::uint32_t shape = input.take(1);
  if (shape & 1) config.maxFrameBytes = 1'200;
  if (shape & 2) config.windowBytes = 3'000;
  if (shape & 4) config.transferWindowBytes = 700;
  if (shape & 8) config.maxInlineQueueBytes = 5'000;
  Side sides[2] = {Side(config), Side(config)};
  Millis now = 0;
  // Every channel is a new one for both sides; what was on its way is lost.
  const auto attach = [&] {
    for (Side& side : sides) {
      side.framing.detach();
      side.wire.clear();
      side.framing.attach(262'144, now);
    }
  };
  attach();
  while (!input.empty()) {
    const std::uint32_t op = input.take(1);
    Side& side = sides[op & 1];
    Side& other = sides[1 - (op & 1)];
    now += (op >> 1) & 3;
    switch ((op >> 3) & 7) {
      case 0:
        attach();
        break;
      case 1:
      case 2:
        side.pump(8, 0, now);
        break;
      case 3:
      case 4:
        for (int i = 0; i < 4 && !side.wire.empty(); ++i) {
          const Frame frame = std::move(side.wire.front());
          side.wire.pop_front();
          other.receive(frame, now);
        }
        break;
      default: {
        Input copy = input;
        const std::uint32_t what = copy.take(1) % 24;
        // The channel belongs to this loop: a frame that is refused or a channel of one side only is tested elsewhere.
        if (what == 4 || what == 5 || what == 16 || what == 23) {
          (void)input.take(1);
          side.pump(1 + input.take(1) % 64, 0, now);
        } else {
          side.act(input, now);
        }
        break;
      }
    }
    check(!sides[0].violated && !sides[1].violated);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  switch (input.take(1) % 3) {
    case 0:
      hostile(input);
      break;
    case 1:
      pair(input);
      break;
    default: {
      Side side({});
      while (!input.empty()) side.act(input, 0);
      break;
    }
  }
  return 0;
}
