// Incoming DATA frames: numbered, checked as a whole before anything changes, handed on without a copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "framing/frame.hpp"

namespace peerbridge {

class Receiver {
 public:
  explicit Receiver(std::uint64_t maxMessageBytes) : maxMessageBytes_(maxMessageBytes) {}

  /// The highest seq up to which everything was taken.
  [[nodiscard]] std::uint64_t received() const { return received_; }

  /// Takes the frame `seq`, whose segments begin at `offset`. Null, and nothing else, changes anything.
  /// Before: seq == received() + 1; next() is exhausted (what is left of the last frame is lost otherwise).
  [[nodiscard]] Wrong take(std::uint64_t seq, std::span<const std::byte> frame, std::size_t offset);

  /// The next segment of the frame that was taken, with its offset in it. False when there is none.
  [[nodiscard]] bool next(Segment& segment);
  [[nodiscard]] std::span<const std::byte> bytes(const Segment& segment) const {
    return frame_.subspan(segment.offset, segment.length);
  }
  /// Lets go of the frame.
  void drop() { frame_ = {}, cursor_ = 0; }

 private:
  using Lanes = std::array<Reassembly, kLaneCount>;

  std::uint64_t maxMessageBytes_;
  std::uint64_t received_ = 0;
  Lanes lanes_;  ///< up to cursor_
  std::span<const std::byte> frame_;
  std::size_t cursor_ = 0;
};

}  // namespace peerbridge
