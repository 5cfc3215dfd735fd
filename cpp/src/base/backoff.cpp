#include "base/backoff.hpp"

#include <algorithm>

namespace peerbridge {
namespace {

constexpr Millis kLongest = Millis{1} << 30;  // twelve days; the product below stays within 64 bits

/// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = state += 0x9E37'79B9'7F4A'7C15;
  z = (z ^ (z >> 30U)) * 0xBF58'476D'1CE4'E5B9;
  z = (z ^ (z >> 27U)) * 0x94D0'49BB'1331'11EB;
  return z ^ (z >> 31U);
}

}  // namespace

// What is doubled stays at two thirds of `max`, so that +50 % is `max`: clipping the pauses instead would
// have half of all clients wait exactly `max`, together.
Backoff::Backoff(Millis first, Millis max, std::uint64_t seed)
    : ceiling_(std::clamp<Millis>(max, 0, kLongest) * 2 / 3),
      first_(std::clamp<Millis>(first, 0, ceiling_)),
      base_(first_),
      random_(seed) {}

Millis Backoff::next() {
  const std::uint64_t fraction = splitmix64(random_) >> 32U;  // of 2³²
  const Millis pause = base_ / 2 + static_cast<Millis>((static_cast<std::uint64_t>(base_) * fraction) >> 32U);
  base_ = std::min(base_ * 2, ceiling_);
  return pause;
}

}  // namespace peerbridge
