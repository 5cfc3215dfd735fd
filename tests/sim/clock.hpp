// Virtual time, and randomness that is the same everywhere: what a world is made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "peerbridge/types.hpp"

namespace peerbridge::sim {

/// splitmix64. The distributions of <random> differ between standard libraries; a seed names one world everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  /// 0 to `below` - 1.
  std::uint64_t pick(std::uint64_t below) { return below == 0 ? 0 : next() % below; }
  Millis millis(Millis from, Millis to) {
    return from + static_cast<Millis>(pick(static_cast<std::uint64_t>(to - from) + 1));
  }
  bool chance(std::uint64_t percent) { return pick(100) < percent; }

 private:
  std::uint64_t state_;
};

/// A callable that is called once at the most, kept in place: a world makes thousands of them.
class Task {
 public:
  static constexpr std::size_t kRoom = 80;

  Task() = default;
  template <class Call, class Kept = std::decay_t<Call>>
  requires(!std::is_same_v<Kept, Task>) Task(Call&& call)
      : kind_(&kKind<Kept>) {  // NOLINT(bugprone-forwarding-reference-overload)
    static_assert(sizeof(Kept) <= kRoom && alignof(Kept) <= alignof(std::max_align_t));
    ::new (static_cast<void*>(room_)) Kept(std::forward<Call>(call));
  }
  Task(Task&& other) noexcept { take(other); }
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      drop();
      take(other);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { drop(); }

  void operator()() { kind_->call(room_); }

 private:
  struct Kind {
    void (*call)(void*);
    void (*move)(void* from, void* to);
    void (*drop)(void*);
  };
  template <class Kept>
  static constexpr Kind kKind{
      [](void* at) { (*static_cast<Kept*>(at))(); },
      [](void* from, void* to) {
        ::new (to) Kept(std::move(*static_cast<Kept*>(from)));
        static_cast<Kept*>(from)->~Kept();
      },
      [](void* at) { static_cast<Kept*>(at)->~Kept(); },
  };

  void take(Task& other) {
    kind_ = std::exchange(other.kind_, nullptr);
    if (kind_ != nullptr) kind_->move(other.room_, room_);
  }
  void drop() {
    if (kind_ != nullptr) std::exchange(kind_, nullptr)->drop(room_);
  }

  const Kind* kind_ = nullptr;
  alignas(std::max_align_t) std::byte room_[kRoom];
};

/// What will happen, in the order of time, and of asking where times are equal.
class Clock {
 public:
  [[nodiscard]] Millis now() const { return now_; }

  void at(Millis when, Task task) {
    std::uint32_t place = 0;
    if (free_.empty()) {
      place = static_cast<std::uint32_t>(tasks_.size());
      tasks_.push_back(std::move(task));
    } else {
      place = free_.back();
      free_.pop_back();
      tasks_[place] = std::move(task);
    }
    heap_.push_back({std::max(when, now_), ++order_, place});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  /// Does the next thing, unless it is due after `until`; then false.
  bool step(Millis until) {
    if (heap_.empty() || heap_.front().at > until) return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Entry entry = heap_.back();
    heap_.pop_back();
    now_ = entry.at;
    Task task = std::move(tasks_[entry.place]);
    free_.push_back(entry.place);
    task();
    return true;
  }

  void run(Millis until) {
    while (step(until)) {
    }
    now_ = std::max(now_, until);
  }

 private:
  struct Entry {
    Millis at;
    std::uint64_t order;
    std::uint32_t place;
  };
  static bool later(const Entry& a, const Entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

  Millis now_ = 1'000;
  std::uint64_t order_ = 0;
  std::vector<Entry> heap_;
  std::vector<Task> tasks_;
  std::vector<std::uint32_t> free_;
};

}  // namespace peerbridge::sim
