// Incoming DATA and BULK frames: numbered, checked as a whole before anything changes, handed on without a copy; those
// that came too early (through a faster stripe) are kept until it is their turn.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "framing/frame.hpp"

namespace peerbridge {

class Receiver {
 public:
  explicit Receiver(std::uint64_t maxMessageBytes) : maxMessageBytes_(maxMessageBytes) {}

  /// The highest seq of a stream up to which everything was taken, and how many bytes of frames that were.
  [[nodiscard]] std::uint64_t received(Stream stream) const { return counts_[index(stream)].received; }
  [[nodiscard]] std::uint64_t bytes(Stream stream) const { return counts_[index(stream)].bytes; }
  /// Bytes of frames that wait for earlier ones.
  [[nodiscard]] std::uint64_t heldBytes() const { return heldBytes_; }

  /// Takes the frame `seq`, whose segments begin at `offset`. Null, and nothing else, changes anything.
  /// Before: seq == received() + 1; next() is exhausted (what is left of the last frame is lost otherwise).
  [[nodiscard]] Wrong take(Stream stream, std::uint64_t seq, std::span<const std::byte> frame, std::size_t offset);
  /// Keeps a copy of a BULK frame that came too early. False: it is there already.
  bool hold(std::uint64_t seq, std::span<const std::byte> frame, std::size_t offset);
  /// Takes the frame that was kept for now, if there is one: true. It may be wrong.
  /// Before: next() is exhausted.
  bool takeHeld(Wrong& wrong);

  /// The next segment of the frame that was taken, with its offset in it. False when there is none.
  [[nodiscard]] bool next(Segment& segment);
  [[nodiscard]] std::span<const std::byte> bytesOf(const Segment& segment) const {
    return frame_.subspan(segment.offset, segment.length);
  }
  /// The frame that was taken last ends in the middle of a message, or with bytes of a file: more follows.
  [[nodiscard]] bool midway() const { return midway_; }
  /// The frame is one that was kept: it is not where the last one came in.
  [[nodiscard]] bool isHeld() const { return current_ != nullptr; }
  /// Lets go of the frame.
  void drop() { frame_ = {}, cursor_ = 0, current_.reset(); }
  /// Lets go of everything.
  void clear();

 private:
  using Lanes = std::array<Reassembly, kLaneCount>;
  using Memory = std::unique_ptr<std::byte[]>;
  struct Count {
    std::uint64_t received = 0;
    std::uint64_t bytes = 0;
  };
  struct Held {
    std::uint64_t seq = 0;
    Memory bytes;
    std::size_t length = 0;
    std::size_t offset = 0;
  };

  [[nodiscard]] static std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }

  std::uint64_t maxMessageBytes_;
  std::array<Count, kStreamCount> counts_;
  std::vector<Held> held_;  ///< the last seq first
  std::uint64_t heldBytes_ = 0;
  Memory current_;  ///< of the frame, when it was kept
  Lanes lanes_;     ///< up to cursor_
  std::span<const std::byte> frame_;
  std::size_t cursor_ = 0;
  bool midway_ = false;
};

}  // namespace peerbridge
