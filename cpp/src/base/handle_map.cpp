#include "base/handle_map.hpp"

#include <utility>

namespace peerbridge {

namespace {

// Fibonacci hashing: handles count up in steps of one or two, and this spreads them.
std::size_t home(std::uint32_t key, std::size_t slots) {
  return static_cast<std::size_t>((key * 2'654'435'769U) >> 7) & (slots - 1);
}

}  // namespace

/// Where `key` is, or the free slot where it would be.
std::size_t HandleMap::find(std::uint32_t key) const {
  std::size_t at = home(key, slots_.size());
  while (slots_[at].key != 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
  return at;
}

std::uint32_t HandleMap::get(std::uint32_t key) const {
  const Slot& slot = slots_[find(key)];
  return slot.key == 0 ? 0 : slot.value;
}

void HandleMap::set(std::uint32_t key, std::uint32_t value) {
  if ((count_ + 1) * 4 > slots_.size() * 3) grow();
  Slot& slot = slots_[find(key)];
  if (slot.key == 0) ++count_;
  slot = {key, value};
}

void HandleMap::erase(std::uint32_t key) {
  std::size_t hole = find(key);
  if (slots_[hole].key == 0) return;
  --count_;
  slots_[hole] = {};
  // Close the gap, so that no search stops before what it looks for.
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = (hole + 1) & mask; slots_[at].key != 0; at = (at + 1) & mask) {
    const std::size_t wanted = home(slots_[at].key, slots_.size());
    if (((at - wanted) & mask) >= ((at - hole) & mask)) {
      slots_[hole] = std::exchange(slots_[at], {});
      hole = at;
    }
  }
}

void HandleMap::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.key != 0) slots_[find(slot.key)] = slot;
  }
}

}  // namespace peerbridge
