// Reading and writing bytes within bounds. Nothing here allocates; nothing reads or writes outside what it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace peerbridge {

/// Every number on the wire is an unsigned LEB128 of at most 8 bytes, below 2^53 so that JavaScript can hold it too.
inline constexpr std::uint64_t kMaxVarint = (std::uint64_t{1} << 53) - 1;
inline constexpr std::size_t kMaxVarintBytes = 8;

[[nodiscard]] constexpr std::size_t varintLength(std::uint64_t value) {
  std::size_t length = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++length;
  }
  return length;
}

/// Reads from the front of a span. A read that fails changes neither the reader nor its argument.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  /// How many bytes were read.
  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] std::size_t remaining() const { return bytes_.size() - offset_; }

  bool byte(std::uint8_t& value) {
    if (remaining() == 0) return false;
    value = static_cast<std::uint8_t>(bytes_[offset_++]);
    return true;
  }

  /// False when it is cut off, longer than 8 bytes, not the shortest form, or above kMaxVarint.
  bool varint(std::uint64_t& value) {
    std::uint64_t result = 0;
    const std::size_t most = remaining() < kMaxVarintBytes ? remaining() : kMaxVarintBytes;
    for (std::size_t i = 0; i < most; ++i) {
      const auto part = static_cast<std::uint64_t>(bytes_[offset_ + i]);
      result |= (part & 0x7f) << (7 * i);
      if (part & 0x80) continue;
      if ((part == 0 && i > 0) || result > kMaxVarint) return false;
      offset_ += i + 1;
      value = result;
      return true;
    }
    return false;
  }

  bool bytes(std::uint64_t length, std::span<const std::byte>& value) {
    if (length > remaining()) return false;
    value = bytes_.subspan(offset_, static_cast<std::size_t>(length));
    offset_ += static_cast<std::size_t>(length);
    return true;
  }

  bool text(std::uint64_t length, std::string_view& value) {
    std::span<const std::byte> raw;
    if (!bytes(length, raw)) return false;
    value = {reinterpret_cast<const char*>(raw.data()), raw.size()};
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
};

/// Writes to the front of a span. A write that does not fit is left out and makes ok() false for good.
class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::byte> space) : space_(space) {}

  [[nodiscard]] std::size_t length() const { return length_; }
  [[nodiscard]] bool ok() const { return ok_; }

  void byte(std::uint8_t value) {
    if (fits(1)) space_[length_++] = static_cast<std::byte>(value);
  }

  /// Before: value <= kMaxVarint.
  void varint(std::uint64_t value) {
    if (!fits(varintLength(value))) return;
    while (value >= 0x80) {
      space_[length_++] = static_cast<std::byte>((value & 0x7f) | 0x80);
      value >>= 7;
    }
    space_[length_++] = static_cast<std::byte>(value);
  }

  void bytes(const void* data, std::size_t length) {
    if (length == 0 || !fits(length)) return;
    std::memcpy(space_.data() + length_, data, length);
    length_ += length;
  }

  /// A length and as many bytes.
  void text(std::string_view value) {
    varint(value.size());
    bytes(value.data(), value.size());
  }

 private:
  bool fits(std::size_t length) {
    ok_ = ok_ && length <= space_.size() - length_;
    return ok_;
  }

  std::span<std::byte> space_;
  std::size_t length_ = 0;
  bool ok_ = true;
};

/// The longest beginning of `text` that has at most `most` bytes and does not cut a UTF-8 sequence.
[[nodiscard]] inline std::string_view clipUtf8(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace peerbridge
