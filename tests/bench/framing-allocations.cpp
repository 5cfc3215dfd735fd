// How often framing allocates once it is warm: two ends whose frames are handed over directly, every operator new
// counted. Natively, because the allocator of the wasm tells nobody; the code is the same. Prints one line of JSON:
// allocations a 64 KiB chunk of a large message, and a message of 100 bytes, sender and receiver together.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <vector>

#include "framing/framing.hpp"

namespace {
std::uint64_t allocations = 0;

void* counted(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace peerbridge;

constexpr std::size_t kChunk = 65'536;
constexpr std::size_t kMessage = 4'194'304;

struct Ends {
  Framing a{FramingConfig{}};
  Framing b{FramingConfig{}};
  std::vector<std::byte> payload = std::vector<std::byte>(kMessage);
  /// A frame on its way; as large as frames get, so that it does not count.
  std::vector<std::byte> wire = std::vector<std::byte>(1'048'576);
  std::uint64_t arrived = 0;
  Millis now = 1'000;

  Ends() {
    a.attach(262'144, now);
    b.attach(262'144, now);
    exchange();
  }

  void deliver(Framing& from, Framing& to) {
    for (;;) {
      const Action action = from.next(0, now);
      if (action.kind == ActionKind::Wait) break;
      if (action.kind != ActionKind::Send) std::memcpy(action.data, payload.data() + action.offset, action.length);
      if (action.kind == ActionKind::Fill) continue;
      std::memcpy(wire.data(), action.frame, action.frameLength);
      to.receive(std::span(wire.data(), action.frameLength), now);
      while (const auto piece = to.delivery()) {
        if (piece->last) ++arrived;
      }
      while (to.poll()) {
      }
    }
    while (from.poll()) {
    }
  }

  void exchange() {
    ++now;
    deliver(a, b);
    deliver(b, a);
    for (Framing* end : {&a, &b}) {
      if (end->deadline() <= now) end->timeout(now);
    }
  }

  void large() {
    const std::uint64_t before = arrived;
    if (a.queue(Lane::Bulk, 3, kMessage) == 0) std::abort();
    while (arrived == before) exchange();
  }

  void small(int count) {
    for (int sent = 0; sent < count;) {
      for (int i = 0; i < 1'000 && sent < count && a.hasRoom(); ++i, ++sent) {
        bool accepted = false;
        const std::span<std::byte> target = a.put(Lane::Normal, 3, 100, accepted);
        if (!accepted) std::abort();
        std::memset(target.data(), 1, target.size());
      }
      exchange();
    }
  }
};

}  // namespace

int main() {
  Ends ends;
  const auto each = [](std::uint64_t units, auto&& run) {
    for (int i = 0; i < 4; ++i) run();
    allocations = 0;
    run();
    return static_cast<double>(allocations) / static_cast<double>(units);
  };
  const double chunk = each(16 * kMessage / kChunk, [&] {
    for (int i = 0; i < 16; ++i) ends.large();
  });
  const double message = each(200'000, [&] { ends.small(200'000); });
  std::printf("{\"chunk\":%g,\"message\":%g}\n", chunk, message);
  return 0;
}
