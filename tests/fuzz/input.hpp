// What the targets that read frames out of their input have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace peerbridge::fuzz {

/// What has to hold, whatever the input: libFuzzer keeps the input that breaks it.
inline void check(bool holds) {
  if (!holds) std::abort();
}

/// Pieces of the input; zeros after its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  /// Little-endian.
  std::uint32_t take(std::size_t bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes && left_ > 0; ++i, ++data_, --left_) value |= std::uint32_t{*data_} << (8 * i);
    return value;
  }
  /// The next `length` bytes, or as many as there are.
  std::span<const std::uint8_t> bytes(std::size_t length) {
    const std::span<const std::uint8_t> piece{data_, std::min(length, left_)};
    data_ += piece.size();
    left_ -= piece.size();
    return piece;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace peerbridge::fuzz
