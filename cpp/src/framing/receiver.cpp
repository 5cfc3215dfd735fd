#include "framing/receiver.hpp"

#include <algorithm>
#include <utility>

namespace peerbridge {

Wrong Receiver::take(Stream stream, std::uint64_t seq, std::span<const std::byte> frame, std::size_t offset) {
  Segment segment;
  while (next(segment)) {
  }
  Lanes lanes = lanes_;
  ByteReader reader(frame.subspan(offset));
  if (reader.remaining() == 0) return Rule::DataFrameWithoutASegment;
  while (reader.remaining() > 0) {
    if (const Wrong wrong = readSegment(reader, segment)) return wrong;
    if (streamOf(segment.lane) != stream) return Rule::LaneInTheWrongKindOfFrame;
    if (const Wrong wrong = lanes[static_cast<std::size_t>(segment.lane)].take(segment, maxMessageBytes_)) return wrong;
  }
  counts_[index(stream)].received = seq;
  counts_[index(stream)].bytes += frame.size();
  midway_ = !segment.last || segment.format == kFormatTransferData;
  frame_ = frame;
  cursor_ = offset;
  current_.reset();
  return nullptr;
}

bool Receiver::hold(std::uint64_t seq, std::span<const std::byte> frame, std::size_t offset) {
  // Most come in order, behind all that wait.
  const auto at = std::find_if(held_.begin(), held_.end(), [seq](const Held& held) { return held.seq <= seq; });
  if (at != held_.end() && at->seq == seq) return false;
  Held held;
  held.seq = seq;
  held.bytes = Memory(new std::byte[frame.size()]);
  held.length = frame.size();
  held.offset = offset;
  std::copy(frame.begin(), frame.end(), held.bytes.get());
  heldBytes_ += frame.size();
  held_.insert(at, std::move(held));
  return true;
}

bool Receiver::takeHeld(Wrong& wrong) {
  if (held_.empty() || held_.back().seq != received(Stream::Bulk) + 1) return false;
  Held held = std::move(held_.back());
  held_.pop_back();
  heldBytes_ -= held.length;
  wrong = take(Stream::Bulk, held.seq, {held.bytes.get(), held.length}, held.offset);
  current_ = std::move(held.bytes);
  return true;
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

void Receiver::clear() {
  drop();
  held_.clear();
  heldBytes_ = 0;
}

}  // namespace peerbridge
