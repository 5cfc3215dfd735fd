#include "base/timer_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace peerbridge {
namespace {

TEST(TimerHeap, WithoutDeadlinesThereIsNoNextOne) {
  TimerHeap heap;
  EXPECT_EQ(heap.next(), kNever);
  heap.set(3, kNever);
  EXPECT_EQ(heap.next(), kNever);
  heap.set(3, 10);
  heap.set(3, kNever);
  heap.set(3, kNever);
  EXPECT_EQ(heap.next(), kNever);
}

TEST(TimerHeap, ADeadlineThatIsSetAgainReplacesTheOldOne) {
  TimerHeap heap;
  heap.set(0, 10);
  heap.set(1, 20);
  heap.set(0, 30);
  EXPECT_EQ(heap.next(), 20);
  EXPECT_EQ(heap.first(), 1U);
  heap.set(0, 5);
  EXPECT_EQ(heap.next(), 5);
  EXPECT_EQ(heap.first(), 0U);
}

TEST(TimerHeap, DeadlinesComeInTheirOrder) {
  TimerHeap heap;
  std::vector<Millis> given;
  std::mt19937 random(3);
  for (std::uint32_t id = 0; id < 1'000; ++id) {
    given.push_back(static_cast<Millis>(random() % 500) - 250);
    heap.set(id, given.back());
  }
  std::sort(given.begin(), given.end());
  for (const Millis at : given) {
    ASSERT_EQ(heap.next(), at);
    heap.set(heap.first(), kNever);
  }
  EXPECT_EQ(heap.next(), kNever);
}

TEST(TimerHeap, AgreesWithASortedListThroughAMillionRandomChanges) {
  TimerHeap heap;
  std::map<std::uint32_t, Millis> model;
  std::multimap<Millis, std::uint32_t> sorted;
  std::mt19937 random(11);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto id = static_cast<std::uint32_t>(random() % 300);
    const bool remove = random() % 4 == 0;
    const Millis at = remove ? kNever : static_cast<Millis>(random() % 100);  // many are equal
    heap.set(id, at);
    if (const auto known = model.find(id); known != model.end()) {
      const auto [begin, end] = sorted.equal_range(known->second);
      sorted.erase(std::find_if(begin, end, [id](const auto& entry) { return entry.second == id; }));
      model.erase(known);
    }
    if (!remove) {
      model.emplace(id, at);
      sorted.emplace(at, id);
    }
    ASSERT_EQ(heap.next(), sorted.empty() ? kNever : sorted.begin()->first);
    if (!sorted.empty()) {
      ASSERT_TRUE(model.contains(heap.first()));
      ASSERT_EQ(model[heap.first()], heap.next());
    }
  }
}

}  // namespace
}  // namespace peerbridge
