#include "signaling/queue.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace peerbridge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> takeAll(SignalQueue& queue) {
  std::vector<std::string> result;
  while (auto entry = queue.take()) result.push_back(entry->text);
  return result;
}

TEST(SignalQueue, HandsMessagesOutInOrderEachOnce) {
  SignalQueue queue;
  EXPECT_TRUE(queue.push(1, "a", 100));
  EXPECT_TRUE(queue.push(3, "b", 100));
  EXPECT_TRUE(queue.push(1, "c", 100));
  EXPECT_EQ(queue.size(), 3U);
  const auto first = queue.take();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->text, "a");
  EXPECT_EQ(first->connection, 1U);
  EXPECT_EQ(first->expiresAt, 100);
  EXPECT_TRUE(queue.push(1, "d", 100));
  EXPECT_THAT(takeAll(queue), ElementsAre("b", "c", "d"));
  EXPECT_FALSE(queue.take());
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(SignalQueue, RefusesOneMessageTooManyAndChangesNothing) {
  SignalQueue queue(2);
  EXPECT_TRUE(queue.push(1, "a", 100));
  EXPECT_TRUE(queue.push(1, "b", 100));
  const std::size_t bytes = queue.bytes();
  EXPECT_FALSE(queue.push(1, "c", 50));
  EXPECT_EQ(queue.bytes(), bytes);
  EXPECT_EQ(queue.deadline(), 100);
  EXPECT_THAT(takeAll(queue), ElementsAre("a", "b"));
}

TEST(SignalQueue, RefusesWhatIsTooLargeForTheRestOfItsRoom) {
  SignalQueue queue(100, 4'096);
  const auto large = [] { return std::string(3'000, 'x'); };
  EXPECT_TRUE(queue.push(1, large(), 100));
  EXPECT_FALSE(queue.push(1, large(), 100));
  EXPECT_TRUE(queue.push(1, "small", 100));
  EXPECT_THAT(takeAll(queue), ElementsAre(large(), "small"));
  EXPECT_TRUE(queue.push(1, large(), 100)) << "there is room again";
}

TEST(SignalQueue, ExpiredMessagesLeaveAndNameTheirConnectionsOnce) {
  SignalQueue queue;
  EXPECT_TRUE(queue.push(5, "a", 100));
  EXPECT_TRUE(queue.push(3, "b", 100));
  EXPECT_TRUE(queue.push(5, "c", 100));
  EXPECT_TRUE(queue.push(5, "d", 101));
  EXPECT_THAT(queue.expire(99), IsEmpty());
  EXPECT_EQ(queue.size(), 4U);
  EXPECT_THAT(queue.expire(100), ElementsAre(5U, 3U));
  EXPECT_THAT(takeAll(queue), ElementsAre("d"));
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(SignalQueue, TheDeadlineIsTheEarliestExpiry) {
  SignalQueue queue;
  EXPECT_EQ(queue.deadline(), kNever);
  EXPECT_TRUE(queue.push(1, "a", 300));
  EXPECT_TRUE(queue.push(1, "b", 100));
  EXPECT_TRUE(queue.push(1, "c", 200));
  EXPECT_EQ(queue.deadline(), 100);
  (void)queue.expire(100);
  EXPECT_EQ(queue.deadline(), 200);
  (void)queue.take();
  (void)queue.take();
  EXPECT_EQ(queue.deadline(), kNever);
}

TEST(SignalQueue, DropForgetsOneConnectionAndKeepsTheOrderOfTheOthers) {
  SignalQueue queue;
  for (const char* id : {"gone", "a", "x", "b", "x", "c"}) {
    EXPECT_TRUE(queue.push(*id == 'x' ? 7 : 1, id, 100));
  }
  (void)queue.take();
  queue.drop(7);
  queue.drop(9);
  EXPECT_THAT(takeAll(queue), ElementsAre("a", "b", "c"));
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(SignalQueue, ClearLeavesNothing) {
  SignalQueue queue;
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(queue.push(1, "a", 100));
  (void)queue.take();
  queue.clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
  EXPECT_EQ(queue.deadline(), kNever);
  EXPECT_TRUE(queue.push(1, "b", 100));
  EXPECT_THAT(takeAll(queue), ElementsAre("b"));
}

TEST(SignalQueue, PushAndTakeInTurnDoesNotGrowWithoutBound) {
  SignalQueue queue(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.push(1, std::to_string(i), 100));
  for (int i = 3; i < 1'000; ++i) {
    EXPECT_EQ(queue.take()->text, std::to_string(i - 3));
    EXPECT_TRUE(queue.push(1, std::to_string(i), 100));
    EXPECT_EQ(queue.size(), 3U);
  }
}

}  // namespace
}  // namespace peerbridge
