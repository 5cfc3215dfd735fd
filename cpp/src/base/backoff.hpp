// How long to wait before the next attempt: exponential, with jitter so that many clients spread out.
#pragma once

#include <cstdint>

#include "peerbridge/types.hpp"

namespace peerbridge {

class Backoff {
 public:
  /// Pauses start around `first`, double with every attempt, and are never longer than `max`.
  /// `seed` is the only randomness there is; the same seed gives the same pauses.
  Backoff(Millis first, Millis max, std::uint64_t seed);

  /// The pause before the next attempt: within ±50 % of first · 2ⁿ.
  [[nodiscard]] Millis next();
  /// The attempt succeeded: the next pause is around `first` again. The jitter does not repeat.
  void reset() { base_ = first_; }

 private:
  Millis ceiling_;
  Millis first_;
  Millis base_;
  std::uint64_t random_;
};

}  // namespace peerbridge
