#include "framing/frame.hpp"

namespace peerbridge {

namespace {
constexpr std::uint8_t kFirst = 0x04;
constexpr std::uint8_t kLast = 0x08;
}  // namespace

Wrong readSegment(ByteReader& reader, Segment& segment) {
  std::uint8_t head = 0;
  std::uint64_t total = 0;
  std::uint64_t length = 0;
  if (!reader.byte(head)) return "a segment without a head";
  segment.lane = static_cast<Lane>(head & 0x03);
  segment.first = (head & kFirst) != 0;
  segment.last = (head & kLast) != 0;
  segment.format = static_cast<Format>(head >> 4);
  if (!segment.first && segment.format != 0) return "a format in the middle of a message";
  const bool partial = segment.first && !segment.last;
  if (partial && !reader.varint(total)) return "a segment whose total is no number";
  if (!reader.varint(length)) return "a segment whose length is no number";
  if (length > reader.remaining()) return "a segment that is longer than its frame";
  const bool whole = segment.first && segment.last;
  if (length == 0 && !whole) return "an empty piece of a message";
  // The last piece has at least one byte too.
  if (partial && total <= length) return "a total that leaves nothing to come";
  // Transfers are consumed by the core, which wants each of their messages in one piece.
  const bool transfer = segment.format == kFormatTransferControl || segment.format == kFormatTransferData;
  if ((segment.lane == Lane::File) != transfer) return "a format that its lane does not carry";
  if (transfer && !whole) return "a transfer message in pieces";
  segment.total = whole ? length : total;
  segment.offset = reader.offset();
  segment.length = static_cast<std::size_t>(length);
  std::span<const std::byte> skipped;
  (void)reader.bytes(length, skipped);
  return nullptr;
}

std::size_t segmentHeadLength(std::uint64_t total, std::uint64_t length) {
  return 1 + (total > 0 ? varintLength(total) : 0) + varintLength(length);
}

void writeSegmentHead(ByteWriter& writer, const Segment& segment) {
  const unsigned head = static_cast<unsigned>(segment.lane) | (segment.first ? kFirst : 0u) |
                        (segment.last ? kLast : 0u) | (segment.first ? unsigned{segment.format} << 4 : 0u);
  writer.byte(static_cast<std::uint8_t>(head));
  if (segment.first && !segment.last) writer.varint(segment.total);
  writer.varint(segment.length);
}

Wrong Reassembly::take(Segment& segment, std::uint64_t maxMessageBytes) {
  if (segment.first == open) return open ? "a message that begins before the last one ended" : "a piece of no message";
  if (segment.first) {
    if (segment.total > maxMessageBytes) return "a message above the limit";
    if (segment.last) return nullptr;
    open = true;
    format = segment.format;
    total = segment.total;
    received = segment.length;
    return nullptr;
  }
  const std::uint64_t left = total - received;
  if (segment.length > left) return "a message longer than its total";
  if (segment.last != (segment.length == left)) return "a message that does not end at its total";
  segment.format = format;
  segment.total = total;
  received += segment.length;
  open = !segment.last;
  return nullptr;
}

}  // namespace peerbridge
