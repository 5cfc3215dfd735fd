#include "framing/peerjs.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <utility>

namespace peerbridge {

namespace {

// PeerJS's util.chunkedMTU: what is longer is cut into pieces of it.
constexpr std::size_t kPiece = 16'300;
// MsgPack's frames: StreamConnection.CHUNK_SIZE.
constexpr std::size_t kStreamFrame = 32'768;
// The envelope is at most 46 bytes.
constexpr std::size_t kEnvelope = 64;
// A message that waits, and a piece that came, cost more than their bytes.
constexpr std::uint64_t kMessageCost = 48;
constexpr std::uint64_t kPieceCost = 1'024;
// Messages that are in the channel's buffer and counted: beyond that the next ones wait, however short they are.
constexpr std::size_t kMaxEnds = 4'096;
// A channel is left open so long where nothing shows that PeerJS has it. A page that is told of a channel when that is
// closed already gets nothing of what came through it (Chromium 156, one connection in some hundred on a busy machine).
constexpr Millis kNoticed = 1'000;
// What a frame buffer that is kept may be long.
constexpr std::size_t kKeptBuffer = 65'536;

constexpr std::string_view kKeys[] = {"__peerData", "n", "data", "total"};

// {__peerData:{type:"close"}}, as each serialization writes it.
constexpr std::string_view kCloseBinary =
    "\x81\xba__peerData\x81\xb4type\xb5"
    "close";
constexpr std::string_view kCloseMsgPack =
    "\x81\xaa__peerData\x81\xa4type\xa5"
    "close";
constexpr std::string_view kCloseJson = R"({"__peerData":{"type":"close"}})";

std::string_view closeFrame(Serialization serialization) {
  switch (serialization) {
    case Serialization::Binary:
      return kCloseBinary;
    case Serialization::Json:
      return kCloseJson;
    case Serialization::MsgPack:
      return kCloseMsgPack;
    case Serialization::Raw:
      break;  // it would arrive as a string
  }
  return {};
}

/// Reads what BinaryPack's encoder writes in an envelope; everything else makes it false.
class PackReader {
 public:
  explicit PackReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t offset() const { return offset_; }

  bool bigEndian(int width, std::uint32_t& value) {
    if (bytes_.size() - offset_ < static_cast<std::size_t>(width)) return false;
    value = 0;
    for (; width > 0; --width) value = value << 8 | static_cast<std::uint32_t>(bytes_[offset_++]);
    return true;
  }

  bool number(std::uint32_t& value) {
    if (!bigEndian(1, value)) return false;
    if (value < 0x80) return true;
    return value >= 0xcc && value <= 0xce && bigEndian(1 << (value - 0xcc), value);
  }

  /// A length of one of three forms: in the low nibble of `fix`, or in the 2 or 4 bytes behind `wide`.
  bool length(std::uint32_t fix, std::uint32_t wide, std::size_t& value) {
    std::uint32_t head = 0;
    if (!bigEndian(1, head)) return false;
    if ((head & 0xf0) == fix) {
      value = head & 0x0f;
    } else {
      if (head != wide && head != wide + 1) return false;
      if (!bigEndian(head == wide ? 2 : 4, head)) return false;
      value = head;
    }
    return value <= bytes_.size() - offset_;
  }

  void skip(std::size_t length) { offset_ += length; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
};

/// Writes the same.
class PackWriter {
 public:
  explicit PackWriter(std::byte* to) : begin_(to), at_(to) {}

  [[nodiscard]] std::size_t length() const { return static_cast<std::size_t>(at_ - begin_); }

  void byte(std::uint32_t value) { *at_++ = static_cast<std::byte>(value); }

  void bigEndian(int width, std::uint32_t value) {
    while (width-- > 0) byte(value >> (8 * width));
  }

  void number(std::uint32_t value) {
    if (value < 0x80) return byte(value);
    const int form = value <= 0xff ? 0 : value <= 0xffff ? 1 : 2;
    byte(0xcc + static_cast<std::uint32_t>(form));
    bigEndian(1 << form, value);
  }

  void key(std::string_view name) {
    byte(0xb0 + static_cast<std::uint32_t>(name.size()));
    text(name);
  }

  void text(std::string_view bytes) {
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

  void rawHead(std::uint32_t length) {
    if (length < 16) return byte(0xa0 + length);
    byte(0xda);
    bigEndian(2, length);
  }

  void skip(std::size_t length) { at_ += length; }

 private:
  std::byte* begin_;
  std::byte* at_;
};

}  // namespace

Serialization serializationOf(std::string_view name) {
  if (name == "json") return Serialization::Json;
  if (name == "MsgPack") return Serialization::MsgPack;
  // Left out, and PeerJS's two other names for it.
  if (name.empty() || name == "default" || name.starts_with("binary")) return Serialization::Binary;
  return Serialization::Raw;
}

PeerJsWire::~PeerJsWire() { end(); }

void PeerJsWire::attach(std::size_t maxMessageSize, Millis now) {
  attached_ = true;
  noticedAt_ = now + kNoticed;
  maxMessageSize_ = maxMessageSize;
  highWater_ = std::max<std::uint64_t>(config_.highWaterBytes, 2);
}

std::optional<FramingEvent> PeerJsWire::poll() {
  if (events_.empty()) return std::nullopt;
  std::optional<FramingEvent> event;
  event.emplace();
  event->kind = events_.front().kind;
  event->marker = events_.front().marker;
  events_.pop();
  return event;
}

void PeerJsWire::violation(Rule rule) {
  tell(FramingEvent::Kind::Violation, static_cast<std::uint32_t>(rule));
  end();
}

void PeerJsWire::end() {
  over_ = true;
  closeAt_ = expireAt_ = kNever;
  delivery_.reset();
  while (!unfinished_.empty()) forget(0);
}

void PeerJsWire::forget(std::size_t index) {
  unfinishedCost_ -= unfinished_[index]->cost;
  delete unfinished_[index];
  unfinished_.erase(unfinished_.begin() + static_cast<std::ptrdiff_t>(index));
}

// -- sending -------------------------------------------------------------------------------------------

Ticket PeerJsWire::queue(Lane lane, Format format, std::uint64_t length) {
  if (closing() || lane > Lane::Bulk || (format != kFormatBytes && format != kFormatText)) return 0;
  if (length > config_.maxMessageBytes || (serialization_ == Serialization::Json && length >= kPiece) ||
      (serialization_ == Serialization::Raw && length > maxMessageSize_)) {
    return kTooBig;
  }
  if (++lastTicket_ == kTooBig) lastTicket_ = 1;
  Message message;
  message.ticket = lastTicket_;
  message.format = format;
  message.lane = static_cast<std::uint8_t>(lane);
  message.length = length;
  queues_[lane == Lane::High ? 0 : 1].push(message);
  queuedBytes_ += length + kMessageCost;
  full_ = full_ || queuedBytes_ > config_.queueBytes;
  return message.ticket;
}

bool PeerJsWire::withdraw(Ticket ticket) {
  for (Ring<Message>& queue : queues_) {
    for (std::size_t i = 0; i < queue.size(); ++i) {
      Message& message = queue[i];
      if (message.lane == kMark || message.ticket != ticket) continue;
      if (message.offset > 0 || std::exchange(message.withdrawn, true)) return false;
      unqueue(message.length);
      return true;
    }
  }
  return false;
}

std::uint32_t PeerJsWire::mark() {
  if (++lastMarker_ == 0) ++lastMarker_;
  Message mark;
  mark.ticket = lastMarker_;
  // What is High and was sent before leaves before it, too.
  queues_[1].push(mark);
  return lastMarker_;
}

void PeerJsWire::unqueue(std::uint64_t bytes) {
  queuedBytes_ -= bytes;
  if (!full_ || queuedBytes_ > config_.queueBytes / 2) return;
  full_ = false;
  tell(FramingEvent::Kind::Room);
}

bool PeerJsWire::drained() const { return !again_ && queues_[0].empty() && queues_[1].empty(); }

bool PeerJsWire::wantsTransmit() const { return attached_ && !over_ && (!drained() || (closing_ && !drainedTold_)); }

void PeerJsWire::leave(std::uint64_t bufferedAmount) {
  const std::uint64_t position = sent_ - std::min(sent_, bufferedAmount);
  for (; !ends_.empty() && ends_.front().position <= position; ends_.pop()) {
    const End& end = ends_.front();
    ++left_[end.lane];
    if (end.lane == kMark) tell(FramingEvent::Kind::Delivered, end.marker);
  }
}

Ring<PeerJsWire::Message>* PeerJsWire::nextQueue() {
  // The pieces of a stream have no names, so they cannot make way for others.
  if (midway_ != nullptr && serialization_ == Serialization::MsgPack) return midway_;
  for (Ring<Message>& queue : queues_) {
    for (; !queue.empty(); queue.pop()) {
      const Message& message = queue.front();
      if (message.lane != kMark) {
        if (!message.withdrawn) return &queue;
        unqueue(kMessageCost);
      }
      ends_.push({sent_, message.ticket, message.lane});
    }
  }
  return nullptr;
}

std::byte* PeerJsWire::buffer(std::size_t length) {
  if (length > bufferSize_ || bufferSize_ > kKeptBuffer) {
    bufferSize_ = std::max(length, std::min(kPiece + kEnvelope, kKeptBuffer));
    buffer_ = std::make_unique<std::byte[]>(bufferSize_);
  }
  return buffer_.get();
}

/// The next frame of this queue. Before: a message of it waits.
Action PeerJsWire::cut(Ring<Message>& queue) {
  Message& message = queue.front();
  std::uint64_t most = message.length;
  if (serialization_ == Serialization::Binary) most = kPiece;
  if (serialization_ == Serialization::MsgPack) most = kStreamFrame;
  const auto length = static_cast<std::size_t>(std::min(most, message.length - message.offset));
  std::byte* const to = buffer(length + kEnvelope);
  std::size_t head = 0;
  Frame frame{length, message.format == kFormatText || (legacy_ && serialization_ == Serialization::Json)};
  if (serialization_ == Serialization::Binary && message.length > kPiece) {
    if (message.id == 0) message.id = ++lastId_;
    PackWriter writer(to);
    writer.byte(0x84);
    writer.key(kKeys[0]);
    writer.number(message.id);
    writer.key(kKeys[1]);
    writer.number(message.piece++);
    writer.key(kKeys[2]);
    writer.rawHead(static_cast<std::uint32_t>(length));
    head = writer.length();
    writer.skip(length);
    writer.key(kKeys[3]);
    writer.number(static_cast<std::uint32_t>((message.length + kPiece - 1) / kPiece));
    frame.length = writer.length();
  }
  Action action = send(frame);
  if (length > 0) {
    action.kind = ActionKind::FillSend;
    action.ticket = message.ticket;
    action.data = to + head;
    action.length = length;
    action.offset = message.offset;
  }
  message.offset += length;
  midway_ = &queue;
  if (message.offset == message.length) {
    ++stats_.messagesSent;
    ends_.push({sent_, 0, message.lane});
    queue.pop();
    midway_ = nullptr;
    unqueue(kMessageCost);
  }
  unqueue(length);
  return action;
}

/// The frame stands in the buffer, or will.
Action PeerJsWire::send(Frame frame) {
  last_ = frame;
  sent_ += frame.length;
  stats_.bytesSent += frame.length;
  ++stats_.framesSent;
  Action action;
  action.kind = ActionKind::Send;
  action.frame = buffer_.get();
  action.frameLength = frame.length;
  action.text = frame.text;
  return action;
}

void PeerJsWire::unsend() {
  if (again_ || stats_.framesSent == 0) return;
  again_ = true;
  sent_ -= last_.length;
  stats_.bytesSent -= last_.length;
  --stats_.framesSent;
}

/// PeerJS before 1.5 knows no such words.
std::string_view PeerJsWire::goodbye() const { return legacy_ ? std::string_view() : closeFrame(serialization_); }

Action PeerJsWire::next(std::uint64_t bufferedAmount, Millis now, Slot slot) {
  Action wait;
  if (slot != 0 || !attached_ || over_) return wait;
  leave(bufferedAmount);
  // There was more to send and the channel ran dry: keep more of it there.
  if (std::exchange(blocked_, false) && bufferedAmount == 0) {
    highWater_ = std::min(highWater_ * 2, std::max(config_.maxHighWaterBytes, highWater_));
  }
  if (bufferedAmount >= highWater_) {
    blocked_ = !drained();
    wait.low = highWater_ / 2;
    return wait;
  }
  if (std::exchange(again_, false)) return send(last_);
  if (ends_.size() >= kMaxEnds) {
    wait.low = bufferedAmount / 2;
    return wait;
  }
  if (Ring<Message>* queue = nextQueue()) return cut(*queue);
  leave(bufferedAmount);
  if (closing_ && !drainedTold_) {
    const std::string_view goodbye = this->goodbye();
    if (!std::exchange(closeSent_, true) && !peerClosing_ && !goodbye.empty()) {
      std::memcpy(buffer(goodbye.size()), goodbye.data(), goodbye.size());
      return send({goodbye.size(), false});
    }
    // Chromium resets the stream at once and throws away what has not left the buffer, whatever RFC 8831, section 6.7,
    // says. What left is sent again until it arrives, and the reset takes effect behind it (RFC 6525, section 5.2.2).
    wait.low = 0;
    if (bufferedAmount < lastBuffered_) {
      lastBuffered_ = bufferedAmount;
      // A goodbye is answered by the end of the channel, and who was heard has it: neither need be given time.
      const bool noticed = lastHeard_ != kNever || !goodbye.empty();
      drainBy_ = bufferedAmount > 0 ? now + config_.closeTimeout : noticed ? now : noticedAt_;
    }
    if (now < drainBy_) return wait;
    drainedTold_ = true;
    closeAt_ = std::min(closeAt_, now + config_.closeTimeout);
    tell(FramingEvent::Kind::Drained);
  }
  // Who waits for a mark, or counts what left, wants to know when the buffer is empty.
  wait.low = 0;
  return wait;
}

// -- receiving -----------------------------------------------------------------------------------------

/// {__peerData: id, n, data, total}, in any order. Something else that an application sent is not one.
bool PeerJsWire::readPiece(std::span<const std::byte> frame, Piece& piece) {
  PackReader reader(frame);
  std::uint32_t head = 0;
  if (!reader.bigEndian(1, head) || head != 0x84) return false;
  unsigned seen = 0;
  for (int i = 0; i < 4; ++i) {
    std::size_t length = 0;
    if (!reader.length(0xb0, 0xd8, length)) return false;
    const std::string_view key(reinterpret_cast<const char*>(frame.data()) + reader.offset(), length);
    reader.skip(length);
    const auto* const found = std::find(std::begin(kKeys), std::end(kKeys), key);
    if (found == std::end(kKeys)) return false;
    const auto which = static_cast<unsigned>(found - std::begin(kKeys));
    seen |= 1U << which;
    if (which == 2) {
      if (!reader.length(0xa0, 0xda, piece.length)) return false;
      piece.offset = reader.offset();
      reader.skip(piece.length);
    } else if (!reader.number(which == 0 ? piece.id : which == 1 ? piece.n : piece.total)) {
      return false;
    }
  }
  // An id of 0 is none: PeerJS asks whether it is true.
  return seen == 15 && piece.id != 0;
}

bool PeerJsWire::isCloseFrame(std::span<const std::byte> bytes) const {
  const std::string_view goodbye = closeFrame(serialization_);
  return !goodbye.empty() && bytes.size() == goodbye.size() &&
         std::memcmp(bytes.data(), goodbye.data(), goodbye.size()) == 0;
}

void PeerJsWire::receive(std::span<const std::byte> frame, std::size_t length, bool text, Millis now) {
  delivery_.reset();
  // What an unordered channel brings behind the goodbye is lost with PeerJS, too.
  if (over_ || !attached_ || peerClosing_) return;
  lastHeard_ = now;
  ++stats_.framesReceived;
  stats_.bytesReceived += length;
  if (isCloseFrame(frame)) return peerCloses(now);
  if (length > config_.maxMessageBytes) return violation(Rule::MessageAboveTheLimit);
  if (Piece piece; serialization_ == Serialization::Binary && !text && readPiece(frame, piece)) {
    return take(piece, frame.subspan(piece.offset, piece.length), now);
  }
  ++stats_.messagesReceived;
  Delivery& whole = delivery_.emplace();
  whole.format = text ? kFormatText : kFormatBytes;
  whole.first = whole.last = true;
  whole.total = length;
  whole.length = length;
}

void PeerJsWire::take(const Piece& piece, std::span<const std::byte> bytes, Millis now) {
  if (piece.total == 0 || piece.total - 1 > config_.maxMessageBytes / kPiece) return violation(Rule::PieceOfTooMany);
  if (piece.n >= piece.total) return violation(Rule::PieceBeyondTheLast);
  // The newest is the likeliest.
  std::size_t at = unfinished_.size();
  while (at > 0 && unfinished_[at - 1]->id != piece.id) --at;
  const bool first = at == 0;
  if (first) {
    if (piece.total == 1 && isCloseFrame(bytes)) return peerCloses(now);
    if (unfinished_.size() >= config_.maxUnfinishedMessages) return violation(Rule::TooManyUnfinishedMessages);
    auto* const fresh = new Unfinished;
    unfinished_.push_back(fresh);
    at = unfinished_.size();
    fresh->id = piece.id;
    fresh->total = piece.total;
    if (++lastHandle_ == 0) ++lastHandle_;
    fresh->handle = lastHandle_;
    expireAt_ = std::min(expireAt_, now + config_.unfinishedTimeout);
  }
  Unfinished& message = *unfinished_[at - 1];
  if (message.total != piece.total) return violation(Rule::PieceOfAnotherTotal);
  const std::size_t byte = piece.n / 8;
  const int bit = 1 << (piece.n % 8);
  if (byte >= message.there.size()) message.there.resize(byte + 1);
  if ((message.there[byte] & bit) != 0) {
    ++stats_.duplicatesDropped;
    return;
  }
  message.there[byte] = static_cast<char>(message.there[byte] | bit);
  ++message.count;
  message.touched = now;
  message.bytes += bytes.size();
  const std::uint64_t cost = std::max<std::uint64_t>(bytes.size(), kPieceCost);
  message.cost += cost;
  unfinishedCost_ += cost;
  if (message.bytes > config_.maxMessageBytes) return violation(Rule::MessageAboveTheLimit);
  if (unfinishedCost_ > config_.maxUnfinishedBytes) return violation(Rule::TooManyUnfinishedBytes);
  Delivery& part = delivery_.emplace();
  part.format = kFormatBytes;
  part.first = first;
  part.last = message.count == message.total;
  part.total = message.total;
  part.frameOffset = piece.offset;
  part.length = piece.length;
  part.message = message.handle;
  part.piece = piece.n;
  if (!part.last) return;
  ++stats_.messagesReceived;
  forget(at - 1);
}

std::optional<Delivery> PeerJsWire::delivery() { return std::exchange(delivery_, std::nullopt); }

// -- the end -------------------------------------------------------------------------------------------

/// Where both close, each waits for its own rest to leave.
void PeerJsWire::peerCloses(Millis now) {
  peerClosing_ = true;
  if (closing_) return;
  close({}, now);
  tell(FramingEvent::Kind::PeerClosing);
}

void PeerJsWire::close(std::string_view, Millis now) {
  if (closing()) return;
  closing_ = true;
  closeAt_ = now + 5 * config_.closeTimeout;
}

void PeerJsWire::abort(std::string_view, ErrorCode) {
  detach();
  end();
}

Millis PeerJsWire::deadline() const { return std::min({closeAt_, expireAt_, drainedTold_ ? kNever : drainBy_}); }

void PeerJsWire::timeout(Millis now) {
  if (over_) return;
  if (now >= closeAt_) {
    tell(FramingEvent::Kind::Closed);
    return end();
  }
  if (now < expireAt_) return;
  expireAt_ = kNever;
  for (std::size_t i = unfinished_.size(); i-- > 0;) {
    const Millis until = unfinished_[i]->touched + config_.unfinishedTimeout;
    if (now < until) {
      expireAt_ = std::min(expireAt_, until);
    } else {
      tell(FramingEvent::Kind::Dropped, unfinished_[i]->handle);
      forget(i);
    }
  }
}

FramingStats PeerJsWire::stats() const {
  FramingStats stats = stats_;
  stats.queuedBytes = queuedBytes_;
  return stats;
}

}  // namespace peerbridge
