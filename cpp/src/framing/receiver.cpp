#include "framing/receiver.hpp"

namespace peerbridge {

Wrong Receiver::take(std::uint64_t seq, std::span<const std::byte> frame, std::size_t offset) {
  Segment segment;
  while (next(segment)) {
  }
  Lanes lanes = lanes_;
  ByteReader reader(frame.subspan(offset));
  if (reader.remaining() == 0) return Rule::DataFrameWithoutASegment;
  while (reader.remaining() > 0) {
    if (const Wrong wrong = readSegment(reader, segment)) return wrong;
    if (const Wrong wrong = lanes[static_cast<std::size_t>(segment.lane)].take(segment, maxMessageBytes_)) return wrong;
  }
  received_ = seq;
  frame_ = frame;
  cursor_ = offset;
  return nullptr;
}

bool Receiver::next(Segment& segment) {
  if (cursor_ >= frame_.size()) return false;
  ByteReader reader(frame_.subspan(cursor_));
  // Both were checked by take().
  if (readSegment(reader, segment)) return false;
  if (lanes_[static_cast<std::size_t>(segment.lane)].take(segment, maxMessageBytes_)) return false;
  segment.offset += cursor_;
  cursor_ += reader.offset();
  return true;
}

}  // namespace peerbridge
