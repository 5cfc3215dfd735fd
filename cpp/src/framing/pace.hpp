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

/// How much of what is large may be on its way in one stream, from the first frame on. SCTP alone sends more and more
/// until a part of it is lost: at first twice as much in each round trip. Where a buffer at the other end overflows so,
/// Chromium's SCTP needs seconds to send it again, one packet at a time.
class Pace {
 public:
  /// Frame `seq` leaves.
  void sent(std::uint64_t seq, Millis now) {
    if (quietSince_ == kNever) quietSince_ = now;
    if (sample_ != 0) return;
    sample_ = seq;
    sampleAt_ = now;
  }

  /// All up to `seq` arrived, `bytes` more than before; and whether `more` is on its way.
  void acknowledged(std::uint64_t seq, std::uint64_t bytes, bool more, Millis now) {
    if (sample_ != 0 && seq >= sample_) {
      const Millis rtt = now - sampleAt_;
      sample_ = 0;
      // The shortest is the way without a queue; it is forgotten slowly, because ways change.
      shortest_ = shortest_ == kNever || rtt < shortest_ ? rtt : shortest_ + (rtt - shortest_) / 32;
    }
    rate_.arrived(bytes, now);
    if (shortest_ == kNever) return;
    // Weighted by itself: what counts is how much of the time passes in long ones.
    const Millis quiet = std::clamp<Millis>(now - quietSince_, 0, kMemory);
    quiet_ += (quiet * kMemory - quiet_) * quiet / kMemory;
    quietSince_ = more ? now : kNever;
    // What the path has not carried yet is tried step by step: in sixteen times the shortest or more, twice as much;
    // and always a quarter more than it carried.
    const Millis step = std::clamp(shortest_, kGrowth / 16, kGrowth);
    allowed_ = std::min(allowed_ + bytes * static_cast<std::uint64_t>(step) / kGrowth,
                        std::max(kStart, carries(shortest_ + std::max(kLate, 2 * quiet_ / kMemory)) / 4 * 5));
  }

  /// Whether somebody talks: then what keeps the path busy, and not much more.
  void talk(bool talking) {
    talking_ = talking;
    if (talking && shortest_ != kNever) allowed_ = std::max(kLeast, carries(shortest_ + kQueue));
  }

  /// Another path. How much the last one carried is the best guess at what it carries; how long it is, is not known.
  void restart() {
    sample_ = 0;
    shortest_ = quietSince_ = kNever;
    quiet_ = 0;
    allowed_ = kStart;
  }

  /// Bytes.
  [[nodiscard]] std::uint64_t allowed() const { return allowed_; }
  [[nodiscard]] bool talking() const { return talking_; }

 private:
  [[nodiscard]] std::uint64_t carries(Millis time) const {
    return rate_.perMillisecond() * static_cast<std::uint64_t>(time);
  }

  /// What may wait on the way while somebody talks, in time;
  static constexpr Millis kQueue = 3;
  /// and what while nobody does: so late are acknowledgements of a busy page.
  static constexpr Millis kLate = 16;
  /// Some are later. So much time is remembered.
  static constexpr Millis kMemory = 256;
  /// On longer paths it doubles in a round trip, as SCTP does.
  static constexpr Millis kGrowth = 80;
  static constexpr std::uint64_t kLeast = 81'920;
  static constexpr std::uint64_t kStart = 131'072;

  std::uint64_t sample_ = 0;
  Millis sampleAt_ = 0;
  Millis shortest_ = kNever;
  Millis quietSince_ = kNever;  ///< something is on its way and nothing was acknowledged
  Millis quiet_ = 0;            ///< how long that lasts, times kMemory
  Rate rate_;
  std::uint64_t allowed_ = kStart;
  bool talking_ = false;
};

}  // namespace peerbridge
