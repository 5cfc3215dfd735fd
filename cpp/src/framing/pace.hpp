// How fast it arrives at the other side, and how much of what is large has to be on its way for that. While somebody
// talks, no more than that is sent: what is beyond it only waits, in buffers of the browser and of the network, and
// talk waits behind it. For the same reason little more than a page needs that is late for its turn waits in the
// browser's buffer while nobody talks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "peerbridge/types.hpp"

namespace peerbridge {

/// How much arrives in a millisecond.
class Rate {
 public:
  /// `bytes` more arrived.
  void arrived(std::uint64_t bytes, Millis now) {
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

  /// Bytes.
  [[nodiscard]] std::uint64_t perMillisecond() const { return rate_; }

  /// How long a frame may be: what takes one of so many channels some milliseconds, from `least` to `most`, in powers
  /// of two of `least`.
  [[nodiscard]] std::size_t frame(std::size_t least, std::size_t most, std::size_t channels) const {
    const std::uint64_t some = rate_ / channels * static_cast<std::uint64_t>(kFrame);
    std::size_t bytes = least;
    while (bytes * 2 <= some) bytes *= 2;
    return std::min(bytes, most);
  }

  /// So many bytes leave while a sender is late for its turn. More in the browser's buffer only makes the first word of
  /// somebody who begins to talk wait longer.
  [[nodiscard]] std::uint64_t reserve() const { return rate_ * static_cast<std::uint64_t>(kLate); }

 private:
  /// Time over which it is measured.
  static constexpr Millis kMeasured = 50;
  /// How late the turns of a busy page come.
  static constexpr Millis kLate = 20;
  /// What one frame may take. Each costs both pages as much as many kilobytes in it.
  static constexpr Millis kFrame = 12;

  Millis since_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t rate_ = 10'000;  ///< before it is known: such as a fast home has
};

/// How much of one stream may be on its way.
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
    if (allowed_ != kNoLimit) allowed_ = now - narrowedAt_ < kCautious ? allowed_ + bytes / 16 : kNoLimit;
    rate_.arrived(bytes, now);
  }

  /// Somebody talks: what keeps the path busy, and not much more.
  void narrow(Millis now) {
    narrowedAt_ = now;
    allowed_ = shortest_ == kNever
                   ? kUnknown
                   : std::max(kLeast, rate_.perMillisecond() * static_cast<std::uint64_t>(shortest_ + kQueue));
  }

  /// Bytes. When nobody talks any more it grows by a part of what arrives: the path has carried little for a while, and
  /// of all that is sent at once a part would be lost. Who speaks again just then waits until that was sent again. Not
  /// for long: where much of many short frames is lost, Chromium's SCTP takes seconds to send it again.
  [[nodiscard]] std::uint64_t allowed() const { return allowed_; }
  /// So little that frames have to be short, which are acknowledged soon.
  [[nodiscard]] bool narrowed() const { return allowed_ != kNoLimit; }

 private:
  /// What may wait on the way, in time.
  static constexpr Millis kQueue = 3;
  /// How long a path that carried little is not trusted.
  static constexpr Millis kCautious = 250;
  static constexpr std::uint64_t kLeast = 81'920;
  static constexpr std::uint64_t kUnknown = 458'752;
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

  std::uint64_t sample_ = 0;
  Millis sampleAt_ = 0;
  Millis shortest_ = kNever;
  Rate rate_;
  std::uint64_t allowed_ = kNoLimit;
  Millis narrowedAt_ = 0;
};

}  // namespace peerbridge
