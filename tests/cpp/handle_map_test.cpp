#include "base/handle_map.hpp"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace peerbridge {
namespace {

TEST(HandleMap, AgreesWithTheStandardMapThroughAMillionRandomChanges) {
  HandleMap map;
  std::unordered_map<std::uint32_t, std::uint32_t> model;
  std::mt19937 random(7);
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint32_t key = static_cast<std::uint32_t>(1 + random() % 500);
    if (random() % 2 == 0) {
      map.set(key, key + 1);
      model[key] = key + 1;
    } else {
      map.erase(key);
      model.erase(key);
    }
    const std::uint32_t probe = static_cast<std::uint32_t>(1 + random() % 500);
    ASSERT_EQ(map.get(probe), model.contains(probe) ? model[probe] : 0U);
    ASSERT_EQ(map.size(), model.size());
  }
}

}  // namespace
}  // namespace peerbridge
