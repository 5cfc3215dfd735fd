#include "base/timer_heap.hpp"

namespace peerbridge {

void TimerHeap::place(std::size_t at, Timer timer) {
  heap_[at] = timer;
  places_[timer.id] = static_cast<std::uint32_t>(at + 1);
}

/// Puts `timer` where it belongs, beginning at the hole `at`.
void TimerHeap::sift(std::size_t at, Timer timer) {
  while (at > 0 && timer.at < heap_[(at - 1) / 2].at) {
    place(at, heap_[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1].at < heap_[child].at) ++child;
    if (timer.at <= heap_[child].at) break;
    place(at, heap_[child]);
    at = child;
  }
  place(at, timer);
}

void TimerHeap::set(std::uint32_t id, Millis at) {
  if (id >= places_.size()) places_.resize(id + 1);
  const std::size_t known = places_[id];
  if (at != kNever) {
    if (known != 0 && heap_[known - 1].at == at) return;
    if (known == 0) heap_.push_back({at, id});
    sift(known == 0 ? heap_.size() - 1 : known - 1, {at, id});
    return;
  }
  if (known == 0) return;
  places_[id] = 0;
  const Timer last = heap_.back();
  heap_.pop_back();
  if (known - 1 < heap_.size()) sift(known - 1, last);
}

}  // namespace peerbridge
