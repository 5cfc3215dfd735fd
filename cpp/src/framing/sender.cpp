#include "framing/sender.hpp"

#include <algorithm>
#include <bit>

#include "base/planted.hpp"

namespace peerbridge {

namespace {

/// What a waiting put() message costs beside its bytes, so that a flood of empty ones is bounded too.
constexpr std::uint64_t kMessageCost = 48;
/// The longest segment head: one byte, total, length. Rounded up.
constexpr std::size_t kSegmentHead = 20;
/// Nothing is cut into pieces smaller than this, but for the limits of the frame itself.
constexpr std::size_t kSmallestPiece = 512;
/// A Normal message up to here is something that people wait for; above, it is bulk in the wrong lane.
constexpr std::uint64_t kInteractiveMessage = 16'384;
constexpr Millis kInteractiveTime = 1'000;
/// Several are on their way, so that acknowledgements of the first come before the last has left.
constexpr std::uint64_t kFramesOnTheWay = 4;
/// Room for any transfer control message.
constexpr std::size_t kControlEstimate = 2'048;
/// A byte of Normal counts once, one of Bulk or File four times.
constexpr std::array<std::uint64_t, kLaneCount> kStride = {0, 1, 4, 4};
constexpr std::array<Lane, 3> kWeighted = {Lane::Normal, Lane::Bulk, Lane::File};

bool isMessage(Lane lane, Format format) {
  return lane <= Lane::Bulk && format <= 15 && format != kFormatTransferControl && format != kFormatTransferData;
}

}  // namespace

// -- Replay --------------------------------------------------------------------------------------------

void Replay::close(Frame frame) {
  arena_.commit(frame.length);
  bytes_ += frame.length;
  frames_.push(frame);
}

std::size_t Replay::nextIndex() const {
  if (lost_ == 0) return cursor_;
  std::size_t i = 0;
  while (frames_[i].via != kNoSlot) ++i;
  return i;
}

const Replay::Frame* Replay::pending() const {
  const std::size_t next = nextIndex();
  return next < frames_.size() ? &frames_[next] : nullptr;
}

bool Replay::send(Slot slot) {
  last_ = nextIndex();
  if (last_ < cursor_) {
    --lost_;
  } else {
    ++cursor_;
  }
  Frame& frame = frames_[last_];
  frame.via = slot;
  sent_ = std::max(sent_, acknowledged_ + last_ + 1);
  return std::exchange(frame.wasSent, true);
}

void Replay::unsend(bool wasSent) {
  if (last_ >= cursor_) return;
  Frame& frame = frames_[last_];
  frame.wasSent = wasSent;
  frame.via = kNoSlot;
  if (last_ + 1 == cursor_) {
    --cursor_;
  } else {
    ++lost_;
  }
}

void Replay::lose(Slot slot) {
  for (std::size_t i = 0; i < cursor_; ++i) {
    if (frames_[i].via != slot) continue;
    frames_[i].via = kNoSlot;
    ++lost_;
  }
}

Replay::Frame Replay::pop() {
  const Frame frame = frames_.front();
  if (cursor_ > 0) {
    --cursor_;
    // It was to be sent again, and had arrived.
    if (frame.via == kNoSlot) --lost_;
  }
  frames_.pop();
  arena_.release();
  bytes_ -= frame.length;
  ++acknowledged_;
  return frame;
}

// -- messages ------------------------------------------------------------------------------------------

std::span<std::byte> Sender::put(Lane lane, Format format, std::size_t length, bool& accepted) {
  const std::uint64_t cost = length + kMessageCost;
  accepted =
      isMessage(lane, format) && length <= config_.inlineBytes && inlineBytes_ + cost <= config_.maxInlineQueueBytes;
  if (!accepted) return {};
  Message message;
  message.format = format;
  message.length = length;
  if (length > 0) {
    Arena& bytes = queueOf(lane).bytes;
    message.data = bytes.reserve(length);
    bytes.commit(length);
  }
  inlineBytes_ += cost;
  add(lane, message);
  return {message.data, length};
}

Ticket Sender::queue(Lane lane, Format format, std::uint64_t length) {
  if (!isMessage(lane, format)) return 0;
  if (length > config_.maxMessageBytes || length > kMaxVarint) return kTooBig;
  Message message;
  message.format = format;
  message.length = length;
  message.ticket = newTicket();
  add(lane, message);
  return message.ticket;
}

Ticket Sender::newTicket() {
  if (++lastTicket_ == 0) ++lastTicket_;
  return lastTicket_;
}

void Sender::add(Lane lane, Message message) {
  LaneQueue& queue = queueOf(lane);
  queue.messages.push(message);
  queue.pendingBytes += message.length;
  ++queue.pendingMessages;
  ++queue.added;
  queuedBytes_ += message.length;
  full_ = full_ || queuedBytes_ > config_.queueBytes;
}

bool Sender::withdraw(Ticket ticket) {
  if (ticket == 0) return false;
  for (LaneQueue& queue : lanes_) {
    for (std::size_t i = 0; i < queue.messages.size(); ++i) {
      Message& message = queue.messages[i];
      if (message.ticket != ticket) continue;
      if (message.sent > 0 || message.withdrawn) return false;
      message.withdrawn = true;
      --queue.pendingMessages;
      leaveQueue(queue, message.length);
      dropWithdrawn(queue);
      noteAcknowledged(static_cast<Lane>(&queue - lanes_.data()));
      settleMarkers();
      return true;
    }
  }
  return false;
}

void Sender::leaveQueue(LaneQueue& queue, std::uint64_t bytes) {
  queue.pendingBytes -= bytes;
  queuedBytes_ -= bytes;
  if (full_ && queuedBytes_ <= config_.queueBytes / 2) {
    full_ = false;
    roomEvent_ = true;
  }
}

bool Sender::takeRoom() { return std::exchange(roomEvent_, false) && !full_; }

void Sender::popMessage(LaneQueue& queue) {
  const Message& message = queue.messages.front();
  if (message.data != nullptr) queue.bytes.release();
  if (message.ticket == 0) inlineBytes_ -= message.length + kMessageCost;
  queue.messages.pop();
  ++queue.framed;
}

void Sender::dropWithdrawn(LaneQueue& queue) {
  while (!queue.messages.empty() && queue.messages.front().withdrawn) popMessage(queue);
}

// -- markers -------------------------------------------------------------------------------------------

std::uint32_t Sender::mark() {
  Marker marker;
  if (++lastMarker_ == 0) ++lastMarker_;
  marker.id = lastMarker_;
  for (std::size_t i = 0; i < lanes_.size(); ++i) marker.targets[i] = lanes_[i].added;
  markers_.push(marker);
  settleMarkers();
  return marker.id;
}

void Sender::settleMarkers() {
  for (; settled_ < markers_.size(); ++settled_) {
    Marker& marker = markers_[settled_];
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if (lanes_[i].framed < marker.targets[i]) return;
    }
    for (std::size_t i = 0; i < replays_.size(); ++i) {
      const bool open = openHasBytes() && index(streamOf(open_.lane)) == i;
      marker.seqs[i] = replays_[i].nextSeq() - (open ? 0 : 1);
    }
  }
}

std::uint32_t Sender::takeDelivered() {
  if (settled_ == 0) return 0;
  for (std::size_t i = 0; i < replays_.size(); ++i) {
    if (markers_.front().seqs[i] > replays_[i].acknowledgedSeq()) return 0;
  }
  const std::uint32_t id = markers_.front().id;
  markers_.pop();
  --settled_;
  return id;
}

// -- scheduling ----------------------------------------------------------------------------------------

bool Sender::used(Lane lane, Millis now) const {
  const auto& last = lastUsed_[index(lane)];
  return last && now - *last < kInteractiveTime;
}

bool Sender::hasWork(Lane lane) const {
  if (lane == Lane::File) return transfers_.hasControl() || transfers_.hasData();
  return queueOf(lane).pendingMessages > 0;
}

/// What comes next of this lane is nothing that somebody waits for at the other side.
bool Sender::isLarge(Lane lane) const {
  if (lane == Lane::Bulk || lane == Lane::File) return true;
  return lane == Lane::Normal && hasWork(lane) && queueOf(lane).messages.front().ticket != 0;
}

/// Stripes are for paths that lose much, where what one of them lost keeps back what the others carried.
bool Sender::isPaced(Lane lane) const {
  return channels_ == 1 || streamOf(lane) == Stream::Live || paces_[index(streamOf(lane))].talking();
}

std::size_t Sender::largeFrame(std::size_t frameLimit) const {
  return rate_.frame(shortFrame(frameLimit), frameLimit, channels_);
}

std::size_t Sender::shortFrame(std::size_t frameLimit) const {
  return std::min(frameLimit, config_.interactiveFrameBytes);
}

/// How long the next frame of this lane may be, where none is longer than `frameLimit`.
std::size_t Sender::capacityFor(Lane lane, std::size_t frameLimit) const {
  if (!isLarge(lane)) return std::min(frameLimit, config_.frameBytes);
  const std::size_t least = shortFrame(frameLimit);
  const Pace& pace = paces_[index(streamOf(lane))];
  if (pace.talking()) return least;
  const std::size_t most = largeFrame(frameLimit);
  if (!isPaced(lane)) return most;
  return static_cast<std::size_t>(
      std::clamp<std::uint64_t>(std::bit_floor(pace.allowed() / kFramesOnTheWay), least, most));
}

/// At least what the next frame of this lane will take, at most a frame.
std::size_t Sender::estimate(Lane lane, std::size_t frameLimit) const {
  const std::size_t capacity = capacityFor(lane, frameLimit);
  if (lane == Lane::File) return transfers_.hasData() ? capacity : std::min(capacity, kControlEstimate);
  const LaneQueue& queue = queueOf(lane);
  const std::uint64_t all = kMaxDataHeader + queue.pendingBytes + queue.pendingMessages * kSegmentHead;
  return static_cast<std::size_t>(std::min<std::uint64_t>(all, capacity));
}

/// Is there room for it in the window of its stream?
bool Sender::fits(Lane lane, std::size_t frameLimit) const {
  const bool live = streamOf(lane) == Stream::Live;
  const Replay& replay = replays_[index(streamOf(lane))];
  // A window smaller than a frame still lets one frame through.
  if (replay.bytes() == 0) return true;
  if (replay.count() >= kMaxUnacknowledgedFrames) return false;
  std::uint64_t window = std::min(config_.windowBytes * (live ? 1 : channels_), granted_);
  if (isLarge(lane) && isPaced(lane)) window = std::min(window, paces_[index(streamOf(lane))].allowed());
  // The end of the window is High's, so that a ping passes while Normal waits for acknowledgements.
  if (lane == Lane::Normal) window -= std::min<std::uint64_t>(config_.frameBytes, window / 4);
  return replay.bytes() + estimate(lane, frameLimit) <= window;
}

/// The lane of the next new frame. High first, the others by weight.
std::optional<Lane> Sender::choose(Slot slot, std::size_t frameLimit) const {
  std::optional<Lane> best;
  std::uint64_t bestPass = 0;
  for (const Lane lane : kWeighted) {
    if ((slot > 0 && lane == Lane::Normal) || !hasWork(lane) || !fits(lane, frameLimit)) continue;
    // A lane that was idle has no claim to what it did not use.
    const std::uint64_t pass = busy_[index(lane)] ? pass_[index(lane)] : std::max(pass_[index(lane)], clock_);
    if (best && pass >= bestPass) continue;
    best = lane;
    bestPass = pass;
  }
  return best;
}

bool Sender::wants(Slot slot, std::size_t frameLimit, bool highOnly) const {
  if (openHasBytes()) return true;
  if (slot == 0) {
    if (const Replay::Frame* next = replay(Stream::Live).pending()) return !highOnly || next->lane == Lane::High;
    if (hasWork(Lane::High) && fits(Lane::High, frameLimit)) return true;
  }
  return !highOnly && (replay(Stream::Bulk).pending() != nullptr || choose(slot, frameLimit).has_value());
}

bool Sender::drained() const {
  return replay(Stream::Live).pending() == nullptr && replay(Stream::Bulk).pending() == nullptr && !openHasBytes() &&
         std::none_of(lanes_.begin(), lanes_.end(), [](const LaneQueue& queue) { return queue.pendingMessages > 0; }) &&
         !transfers_.hasControl() && !transfers_.hasData();
}

// -- writing a frame -----------------------------------------------------------------------------------

void Sender::begin(Lane lane, const Pass& pass) {
  if (lane != Lane::High) {
    for (const Lane other : kWeighted) {
      const std::size_t i = index(other);
      const bool busy = hasWork(other);
      if (busy && !busy_[i]) pass_[i] = std::max(pass_[i], clock_);
      busy_[i] = busy;
    }
    clock_ = pass_[index(lane)];
  }
  const std::size_t stream = index(streamOf(lane));
  Replay& replay = replays_[stream];
  open_ = {};
  open_.lane = lane;
  open_.capacity = estimate(lane, pass.frameLimit);
  open_.data = replay.open(open_.capacity);
  open_.received = pass.received[stream];
  open_.receivedBytes = pass.receivedBytes[stream];
  ByteWriter writer({open_.data, open_.capacity});
  writer.byte(static_cast<std::uint8_t>(stream == 0 ? FrameType::Data : FrameType::Bulk));
  writer.varint(replay.nextSeq());
  writer.varint(open_.received);
  open_.header = open_.used = writer.length();
}

bool Sender::addMessage(Action& action, Millis now) {
  LaneQueue& queue = queueOf(open_.lane);
  if (queue.pendingMessages == 0) return false;
  Message& message = queue.messages.front();
  const std::size_t space = open_.capacity - open_.used;
  const std::uint64_t rest = message.length - message.sent;
  Segment segment;
  segment.lane = open_.lane;
  segment.format = message.format;
  segment.first = message.sent == 0;
  segment.total = message.length;
  const std::uint64_t whole = segmentHeadLength(0, rest) + rest;
  if (whole <= space) {
    segment.last = true;
    segment.length = static_cast<std::size_t>(rest);
  } else {
    // What fits a frame of its own is not cut: in one piece it is cheaper for the receiver. But large
    // messages do not leave half a frame empty for that.
    const bool fitsAlone = open_.header + whole <= open_.capacity;
    if (openHasBytes() && fitsAlone && (message.ticket == 0 || open_.used >= open_.capacity / 2)) return false;
    const std::size_t head = segmentHeadLength(segment.first ? message.length : 0, space);
    if (space < head + 1 || (openHasBytes() && space < head + kSmallestPiece)) return false;
    segment.length = space - head;
  }
  ByteWriter writer({open_.data + open_.used, space});
  writeSegmentHead(writer, segment);
  std::byte* const target = open_.data + open_.used + writer.length();
  open_.used += writer.length() + segment.length;
  if (message.data != nullptr) {
    std::memcpy(target, message.data + message.sent, segment.length);
  } else if (segment.length > 0) {
    action = {ActionKind::Fill, message.ticket, target, segment.length, message.sent};
  }
  if (message.length <= kInteractiveMessage || open_.lane == Lane::High) lastUsed_[index(open_.lane)] = now;
  message.sent += segment.length;
  leaveQueue(queue, segment.length);
  if (segment.last) {
    --queue.pendingMessages;
    popMessage(queue);
    dropWithdrawn(queue);
    ++stats_.messagesSent;
  }
  return true;
}

bool Sender::addTransfer(Action& action) {
  Transfers::Piece piece;
  std::byte* const begin = open_.data + open_.used;
  if (!transfers_.emit({begin, open_.capacity - open_.used}, piece)) return false;
  open_.used += piece.head + piece.fill;
  if (piece.fill > 0) action = {ActionKind::Fill, piece.ticket, begin + piece.head, piece.fill, piece.offset};
  return true;
}

/// Nothing more comes into it: then it can leave with its last piece.
bool Sender::openIsFull() const {
  if (open_.capacity - open_.used < kSmallestPiece || !hasWork(open_.lane)) return true;
  return open_.lane != Lane::High && hasWork(Lane::High);
}

void Sender::closeFrame() {
  LaneQueue& queue = queueOf(open_.lane);
  Replay::Frame frame;
  frame.data = open_.data;
  frame.length = static_cast<std::uint32_t>(open_.used);
  frame.framed = queue.framed;
  frame.received = open_.received;
  frame.receivedBytes = open_.receivedBytes;
  frame.lane = open_.lane;
  ++queue.frames;
  pass_[index(open_.lane)] += open_.used * kStride[index(open_.lane)];
  replayOf(frame.lane).close(frame);
  open_ = {};
  settleMarkers();
}

Action Sender::step(const Pass& pass, const Replay::Frame*& sent) {
  for (Pace& pace : paces_) pace.talk(pass.talk);
  const bool carrier = pass.slot == 0;
  Stream stream = Stream::Bulk;
  if (filling()) {
    stream = streamOf(open_.lane);
    // Another channel's turn: it is completed there.
    if (!carrier && stream == Stream::Live) return {};
  } else {
    const Replay::Frame* next = carrier ? replay(Stream::Live).pending() : nullptr;
    if (next != nullptr) {
      if (pass.highOnly && next->lane != Lane::High) return {};
      stream = Stream::Live;
    } else if (carrier && hasWork(Lane::High) && fits(Lane::High, pass.frameLimit)) {
      begin(Lane::High, pass);
      stream = Stream::Live;
    } else if (pass.highOnly) {
      return {};
    } else if (replay(Stream::Bulk).pending() == nullptr) {
      const std::optional<Lane> lane = choose(pass.slot, pass.frameLimit);
      if (!lane) return {};
      begin(*lane, pass);
      stream = streamOf(*lane);
    }
  }
  Action action;
  if (filling()) {
    // High waits for nothing: what is being written leaves as it is.
    while (open_.lane == Lane::High || !openHasBytes() || !hasWork(Lane::High)) {
      if (!(open_.lane == Lane::File ? addTransfer(action) : addMessage(action, pass.now))) break;
      if (action.kind != ActionKind::Fill) continue;
      if (!openIsFull()) return action;
      break;
    }
    if (!openHasBytes()) return {};
    closeFrame();
  }
  sent = replay(stream).pending();
  action.kind = action.kind == ActionKind::Fill ? ActionKind::FillSend : ActionKind::Send;
  action.frame = sent->data;
  action.frameLength = sent->length;
  return action;
}

// -- channel -------------------------------------------------------------------------------------------

void Sender::detach(Slot slot) {
  if (openHasBytes()) closeFrame();
  if (planted(Bug::NoReplay)) return;
  for (Replay& replay : replays_) replay.lose(slot);
  if (slot > 0) return;
  for (Pace& pace : paces_) pace.restart();
}

bool Sender::send(Lane lane, Slot slot, Millis now) {
  Replay& replay = replayOf(lane);
  const bool before = replay.send(slot);
  paces_[index(streamOf(lane))].sent(replay.sentSeq(), now);
  return before;
}

bool Sender::acknowledge(Stream stream, std::uint64_t seq, Millis now) {
  Replay& replay = replays_[index(stream)];
  if (seq > replay.sentSeq()) return false;
  const std::uint64_t before = replay.bytes();
  while (replay.acknowledgedSeq() < seq) {
    const Replay::Frame frame = replay.pop();
    LaneQueue& queue = queueOf(frame.lane);
    --queue.frames;
    queue.acknowledged = frame.framed;
    noteAcknowledged(frame.lane);
  }
  if (replay.bytes() < before) {
    paces_[index(stream)].acknowledged(seq, before - replay.bytes(), replay.bytes() > 0, now);
    rate_.arrived(before - replay.bytes(), now);
  }
  return true;
}

/// Withdrawn messages at the end of a lane are in no frame whose acknowledgement could count them.
void Sender::noteAcknowledged(Lane lane) {
  LaneQueue& queue = queueOf(lane);
  if (queue.frames == 0 && !(openHasBytes() && open_.lane == lane)) queue.acknowledged = queue.framed;
}

}  // namespace peerbridge
