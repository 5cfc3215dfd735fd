#include "base/backoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

namespace peerbridge {
namespace {

std::vector<Millis> pauses(Backoff& backoff, int count) {
  std::vector<Millis> result;
  for (int i = 0; i < count; ++i) result.push_back(backoff.next());
  return result;
}

TEST(Backoff, EveryPauseIsAroundTwiceTheOneBefore) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Backoff backoff(1'000, 1'000'000, seed);
    for (Millis around = 1'000; around <= 512'000; around *= 2) {
      const Millis pause = backoff.next();
      EXPECT_GE(pause, around / 2);
      EXPECT_LE(pause, around + around / 2);
    }
  }
}

TEST(Backoff, NoPauseIsLongerThanTheLongest) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Backoff backoff(500, 10'000, seed);
    for (const Millis pause : pauses(backoff, 100)) EXPECT_LE(pause, 10'000);
  }
}

TEST(Backoff, AtTheLongestTheJitterStillSpreads) {
  Backoff backoff(500, 10'000, 7);
  (void)pauses(backoff, 10);
  const std::vector<Millis> late = pauses(backoff, 1'000);
  EXPECT_LT(*std::min_element(late.begin(), late.end()), 3'500);
  EXPECT_GT(*std::max_element(late.begin(), late.end()), 9'800);
  EXPECT_GT(std::set<Millis>(late.begin(), late.end()).size(), 800U);
}

TEST(Backoff, ResetBeginsAgainWithOtherJitter) {
  Backoff backoff(1'000'000, 1'000'000'000, 3);
  const Millis before = backoff.next();
  (void)pauses(backoff, 5);
  backoff.reset();
  const Millis after = backoff.next();
  EXPECT_LE(after, 1'500'000);
  EXPECT_NE(after, before);
}

TEST(Backoff, TheSameSeedGivesTheSamePausesAndAnotherSeedOthers) {
  Backoff one(1'000, 60'000, 42);
  Backoff same(1'000, 60'000, 42);
  Backoff other(1'000, 60'000, 43);
  const std::vector<Millis> expected = pauses(one, 20);
  EXPECT_EQ(pauses(same, 20), expected);
  EXPECT_NE(pauses(other, 20), expected);
}

TEST(Backoff, AFirstPauseAboveTheLongestIsCutDown) {
  Backoff backoff(60'000, 1'000, 1);
  for (const Millis pause : pauses(backoff, 50)) EXPECT_LE(pause, 1'000);
}

TEST(Backoff, SenselessNumbersGivePausesThatAreNeitherNegativeNorOverflow) {
  constexpr Millis kHuge = std::numeric_limits<Millis>::max();
  for (Backoff backoff : {Backoff(0, 0, 1), Backoff(-5, -9, 1), Backoff(kHuge, kHuge, 1), Backoff(-5, kHuge, 1)}) {
    for (const Millis pause : pauses(backoff, 100)) {
      EXPECT_GE(pause, 0);
      EXPECT_LE(pause, Millis{1} << 30);
    }
  }
}

}  // namespace
}  // namespace peerbridge
