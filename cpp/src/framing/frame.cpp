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
  if (!reader.byte(head)) return Rule::SegmentWithoutAHead;
  segment.lane = static_cast<Lane>(head & 0x03);
  segment.first = (head & kFirst) != 0;
  segment.last = (head & kLast) != 0;
  segment.format = static_cast<Format>(head >> 4);
  if (!segment.first && segment.format != 0) return Rule::FormatInTheMiddleOfAMessage;
  const bool partial = segment.first && !segment.last;
  if (partial && !reader.varint(total)) return Rule::SegmentWhoseTotalIsNoNumber;
  if (!reader.varint(length)) return Rule::SegmentWhoseLengthIsNoNumber;
  if (length > reader.remaining()) return Rule::SegmentThatIsLongerThanItsFrame;
  const bool whole = segment.first && segment.last;
  if (length == 0 && !whole) return Rule::EmptyPieceOfAMessage;
  // The last piece has at least one byte too.
  if (partial && total <= length) return Rule::TotalThatLeavesNothingToCome;
  // Transfers are consumed by the core, which wants each of their messages in one piece.
  const bool transfer = segment.format == kFormatTransferControl || segment.format == kFormatTransferData;
  if ((segment.lane == Lane::File) != transfer) return Rule::FormatThatItsLaneDoesNotCarry;
  if (transfer && !whole) return Rule::TransferMessageInPieces;
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
  if (segment.first == open) return open ? Rule::MessageThatBeginsBeforeTheLastOneEnded : Rule::PieceOfNoMessage;
  if (segment.first) {
    if (segment.total > maxMessageBytes) return Rule::MessageAboveTheLimit;
    if (segment.last) return nullptr;
    open = true;
    format = segment.format;
    total = segment.total;
    received = segment.length;
    return nullptr;
  }
  const std::uint64_t left = total - received;
  if (segment.length > left) return Rule::MessageLongerThanItsTotal;
  if (segment.last != (segment.length == left)) return Rule::MessageThatDoesNotEndAtItsTotal;
  segment.format = format;
  segment.total = total;
  received += segment.length;
  open = !segment.last;
  return nullptr;
}

}  // namespace peerbridge
