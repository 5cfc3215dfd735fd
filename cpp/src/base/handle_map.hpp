// Numbers to numbers, in constant time: which connection owns a link, a channel, an op.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace peerbridge {

/// Open addressing with linear probing. 0 is neither a key nor a value.
class HandleMap {
 public:
  void set(std::uint32_t key, std::uint32_t value);
  /// 0 when there is none.
  [[nodiscard]] std::uint32_t get(std::uint32_t key) const;
  void erase(std::uint32_t key);
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  struct Slot {
    std::uint32_t key = 0;
    std::uint32_t value = 0;
  };

  [[nodiscard]] std::size_t find(std::uint32_t key) const;
  void grow();

  std::vector<Slot> slots_ = std::vector<Slot>(8);  ///< a power of two, at most three quarters full
  std::size_t count_ = 0;
};

}  // namespace peerbridge
