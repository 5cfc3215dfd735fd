// How fast bulk arrives at the other side, and how much of it has to be on its way for that. While somebody talks, no
// more than that is sent: what is beyond it only waits, in buffers of the browser and of the network, and talk waits
// behind it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "peerbridge/types.hpp"

namespace peerbridge {

class Pace {
 public:
  /// Frame `seq` leaves.
  void sent(std::uint64_t seq, Millis now) {
    if (sample_ != 0) return;
    sample_ = seq;
    sampleAt_ = now;
  }

  /// All up to `seq` arrived, `bytes` more than before.
  void acknowledged(std::uint64_t seq, std::uint64_t bytes, Millis now) {
    if (sample_ != 0 && seq >= sample_) {
      const Millis rtt = now - sampleAt_;
      sample_ = 0;
      // The shortest is the way without a queue; it is forgotten slowly, because ways change.
      shortest_ = shortest_ == kNever || rtt < shortest_ ? rtt : shortest_ + (rtt - shortest_) / 32;
    }
    bytes_ += bytes;
    const Millis passed = now - since_;
    if (passed < kMeasured) return;
    // A pause is no slowness.
    if (passed < 4 * kMeasured) {
      const std::uint64_t rate = bytes_ / static_cast<std::uint64_t>(passed);
      rate_ = std::max(rate, rate_ - rate_ / 8);
    }
    bytes_ = 0;
    since_ = now;
  }

  /// So many bytes on their way keep the path busy, and not much more.
  [[nodiscard]] std::uint64_t window() const {
    if (rate_ == 0 || shortest_ == kNever) return kUnknown;
    return std::max(kLeast, rate_ * static_cast<std::uint64_t>(shortest_ + kQueue));
  }

  /// How long a frame may be: what takes one of so many channels some milliseconds. `usual`, which is at most `most`,
  /// doubled as long as it still is.
  [[nodiscard]] std::size_t frame(std::size_t usual, std::size_t most, std::size_t channels) const {
    const std::uint64_t some = rate_ / channels * static_cast<std::uint64_t>(kFrame);
    std::size_t bytes = usual;
    while (bytes * 2 <= most && bytes * 2 <= some) bytes *= 2;
    return bytes;
  }

  /// So many bytes leave while a sender is late for its turn. More in the browser's buffer only makes the first word of
  /// somebody who begins to talk wait longer.
  [[nodiscard]] std::uint64_t reserve() const {
    return rate_ == 0 ? kNoLimit : rate_ * static_cast<std::uint64_t>(kLate);
  }

 private:
  /// Time over which a rate is measured.
  static constexpr Millis kMeasured = 50;
  /// What may wait on the way, in time.
  static constexpr Millis kQueue = 3;
  /// How late the turns of a busy page come.
  static constexpr Millis kLate = 25;
  /// What one frame may take. Each costs both pages as much as many kilobytes in it.
  static constexpr Millis kFrame = 24;
  static constexpr std::uint64_t kLeast = 81'920;
  static constexpr std::uint64_t kUnknown = 458'752;
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

  std::uint64_t sample_ = 0;
  Millis sampleAt_ = 0;
  Millis shortest_ = kNever;
  Millis since_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t rate_ = 0;  ///< bytes a millisecond
};

}  // namespace peerbridge
