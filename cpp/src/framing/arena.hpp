// Bytes that are taken in order and given back in the same order, in blocks that are used again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/ring.hpp"

namespace peerbridge {

/// Memory of frames until they are acknowledged, and of small messages until they are framed. A steady flow allocates
/// nothing: whenever all was given back, as many blocks stay as were in use since it last was, or one less than stayed
/// then.
class Arena {
 public:
  Arena() = default;
  ~Arena() {
    while (!blocks_.empty()) freeFront(blocks_);
    while (!spares_.empty()) freeFront(spares_);
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `length` bytes in one piece that stay where they are until release(). One reservation at a time: commit() ends it.
  [[nodiscard]] std::byte* reserve(std::size_t length) {
    if (blocks_.empty() || back().size - back().used < length) addBlock(length);
    ++back().live;
    return back().bytes + back().used;
  }
  /// Of the last reservation, `length` bytes are used. 0 is possible and still wants a release().
  void commit(std::size_t length) { back().used += length; }

  /// Gives back the oldest reservation.
  void release() {
    Block& block = blocks_.front();
    if (--block.live > 0) return;
    if (blocks_.size() > 1) {
      recycle();
      return;
    }
    block.used = 0;
    kept_ = std::max(most_, kept_ - 1);
    while (spares_.size() + 1 > kept_) freeFront(spares_);
    most_ = 1;
  }

 private:
  static constexpr std::size_t kSmallestBlock = 16'384;
  static constexpr std::size_t kLargestBlock = 262'144;

  struct Block {
    std::byte* bytes = nullptr;
    std::size_t size = 0;
    std::size_t used = 0;
    std::size_t live = 0;
  };

  [[nodiscard]] Block& back() { return blocks_[blocks_.size() - 1]; }

  void addBlock(std::size_t length) {
    // The last block may be too small for this reservation and still be empty: then it is replaced.
    if (blocks_.size() == 1 && blocks_.front().live == 0) {
      recycle();
    }
    if (!spares_.empty() && spares_.front().size >= length) {
      spares_.front().used = 0;
      blocks_.push(spares_.front());
      spares_.pop();
      most_ = std::max(most_, blocks_.size());
      return;
    }
    // Few connections ever carry bulk: start small, double on the way.
    std::size_t size = nextSize_;
    if (nextSize_ < kLargestBlock) nextSize_ *= 2;
    if (size < length) size = length;
    Block block;
    block.bytes = new std::byte[size];
    block.size = size;
    blocks_.push(block);
    most_ = std::max(most_, blocks_.size());
  }

  /// The oldest block is empty. Small ones are left over from the beginning and are not worth keeping.
  void recycle() {
    if (blocks_.front().size < kLargestBlock) return freeFront(blocks_);
    spares_.push(blocks_.front());
    blocks_.pop();
  }

  static void freeFront(Ring<Block>& blocks) {
    delete[] blocks.front().bytes;
    blocks.pop();
  }

  Ring<Block> blocks_;
  Ring<Block> spares_;
  std::size_t kept_ = 1;
  std::size_t most_ = 1;  ///< blocks in use at a time since all was given back
  std::size_t nextSize_ = kSmallestBlock;
};

}  // namespace peerbridge
