#include "base/outbox.hpp"

#include <gtest/gtest.h>

namespace peerbridge {
namespace {

TEST(Outbox, AnswersInOrder) {
  Outbox outbox;
  outbox.add(OutputType::LinkCreate, 1);
  outbox.add(OutputType::LinkClose, 2);
  ASSERT_FALSE(outbox.empty());
  EXPECT_EQ(outbox.pop()->type, OutputType::LinkCreate);
  outbox.add(OutputType::Warning, 3);
  EXPECT_EQ(outbox.pop()->type, OutputType::LinkClose);
  EXPECT_EQ(outbox.pop()->connection, 3U);
  EXPECT_TRUE(outbox.empty());
  EXPECT_FALSE(outbox.pop());
}

// The shim knows that nothing is left, and does not ask once more.
TEST(Outbox, TheFirstOutputAfterTheLastWasReadTakesThePlaceOfTheFirst) {
  Outbox outbox;
  const Output* const first = &outbox.add(OutputType::Warning);
  (void)outbox.pop();
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(&outbox.add(OutputType::Warning), first);
    (void)outbox.pop();
  }
}

}  // namespace
}  // namespace peerbridge
