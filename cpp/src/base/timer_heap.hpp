// The deadlines of many, the earliest first: a binary heap in which each knows its place, so that moving a deadline
// costs the logarithm of their number and looking at the earliest costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "peerbridge/types.hpp"

namespace peerbridge {

class TimerHeap {
 public:
  /// Gives `id` (small numbers, used again: places of a table) this deadline; kNever takes it out.
  void set(std::uint32_t id, Millis at);
  /// The earliest deadline; kNever when there is none.
  [[nodiscard]] Millis next() const { return heap_.empty() ? kNever : heap_.front().at; }
  /// Whose deadline next() is. Before: there is one.
  [[nodiscard]] std::uint32_t first() const { return heap_.front().id; }

 private:
  struct Timer {
    Millis at;
    std::uint32_t id;
  };
  void place(std::size_t at, Timer timer);
  void sift(std::size_t at, Timer timer);

  std::vector<Timer> heap_;
  std::vector<std::uint32_t> places_;  ///< by id: its place in the heap plus one, 0 for none
};

}  // namespace peerbridge
