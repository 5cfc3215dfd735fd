// The bytes of a frame: docs/protocol.md, "Frames".
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "framing/framing.hpp"
#include "framing/rule.hpp"

namespace peerbridge {

enum class FrameType : std::uint8_t {
  Hello = 0x01,
  Data = 0x02,
  Ack = 0x03,
  Ping = 0x04,
  Pong = 0x05,
  Close = 0x06,
  Closed = 0x07,
  Signal = 0x08,
  Bulk = 0x09,
  Stripes = 0x0a,
};

inline constexpr std::uint64_t kProtocolVersion = 1;
/// Nobody may accept less than this in one frame.
inline constexpr std::size_t kSmallestFrameLimit = 1'200;
/// What everybody accepts before HELLO told.
inline constexpr std::size_t kFrameLimitBeforeHello = 16'384;
/// What everybody has room for before HELLO told, and after.
inline constexpr std::uint64_t kGrantBeforeHello = 262'144;
inline constexpr std::size_t kMaxReason = 256;
/// Frames of one stream that may wait for their acknowledgement, so that small ones cannot fill the other side's
/// memory.
inline constexpr std::size_t kMaxUnacknowledgedFrames = 4'096;
/// Type, seq and received of a DATA or BULK frame.
inline constexpr std::size_t kMaxDataHeader = 1 + 2 * kMaxVarintBytes;

/// A frame that this version does not know and has to ignore.
[[nodiscard]] constexpr bool isReservedFrame(std::uint8_t type) { return type >= 0x40 && type <= 0x7f; }

/// Live frames are DATA and travel through one channel; Bulk frames are BULK and may travel through several.
enum class Stream : std::uint8_t { Live, Bulk };
inline constexpr std::size_t kStreamCount = 2;
[[nodiscard]] constexpr Stream streamOf(Lane lane) { return lane <= Lane::Normal ? Stream::Live : Stream::Bulk; }

struct Segment {
  Lane lane = Lane::Normal;
  Format format = 0;  ///< only when first
  bool first = false;
  bool last = false;
  std::uint64_t total = 0;  ///< only when first
  std::size_t offset = 0;   ///< where its bytes begin, in what the reader reads
  std::size_t length = 0;
};

/// Reads one segment, bytes included. What a segment alone can violate is checked here, the rest in Reassembly.
[[nodiscard]] Wrong readSegment(ByteReader& reader, Segment& segment);

/// Length of the head of a piece of `length` bytes; `total` is 0 when it carries none.
[[nodiscard]] std::size_t segmentHeadLength(std::uint64_t total, std::uint64_t length);
/// Writes everything but the bytes.
void writeSegmentHead(ByteWriter& writer, const Segment& segment);

/// What one lane of the other side is in the middle of. Nothing is stored but counts.
struct Reassembly {
  bool open = false;
  Format format = 0;
  std::uint64_t total = 0;
  std::uint64_t received = 0;

  /// Takes the next segment of this lane, and completes `format` and `total` of it.
  [[nodiscard]] Wrong take(Segment& segment, std::uint64_t maxMessageBytes);
};

}  // namespace peerbridge
