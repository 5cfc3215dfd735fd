#include "framing/transfer.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace peerbridge {

namespace {

/// Control messages that wait for their turn; written in this order.
enum Want : unsigned {
  kWantOffer = 1u << 0,
  kWantAccept = 1u << 1,
  kWantPause = 1u << 2,
  kWantResume = 1u << 3,
  kWantWindow = 1u << 4,
  kWantEnd = 1u << 5,
  kWantDone = 1u << 6,
  kWantStop = 1u << 7,
};

/// Reads under way at once, so that the source's latency costs nothing.
constexpr std::uint64_t kReads = 4;
/// Bytes that one read of each transfer of a connection asks for together, roughly, and the least one read is for.
constexpr std::uint64_t kReadAhead = 524'288;
constexpr std::uint64_t kSmallestRead = 16'384;
/// What was consumed is told this often at least.
constexpr Millis kProgressTime = 100;
/// A piece of a file is cut where a frame ends, but not into crumbs.
constexpr std::size_t kSmallestPiece = 512;

/// Handles are 32 bits wide, and one of them carries the direction.
constexpr std::uint64_t kMaxId = 0x7fffffff;

constexpr std::string_view kTooMany = "more bytes than declared";
constexpr std::string_view kTooFew = "fewer bytes than declared";
constexpr std::string_view kOtherBytes = "the bytes that came are not those that were sent";

constexpr std::size_t kDigestHex = 2 * kDigestBytes;

/// Of a lower-case hexadecimal digit.
unsigned valueOf(char digit) {
  const auto value = static_cast<unsigned char>(digit);
  return (value <= '9' ? value - '0' : value - 'a' + 10) & 15;
}

std::string hexOf(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back("0123456789abcdef"[byte >> 4]);
    hex.push_back("0123456789abcdef"[byte & 15]);
  }
  return hex;
}

/// What a STOP says of why a transfer is over, and what its receiver makes of that.
struct Stop {
  StopCode code;
  TransferState state;
  ErrorCode error;
};
constexpr Stop kStops[] = {
    {StopCode::Cancelled, TransferState::Cancelled, ErrorCode::Cancelled},
    {StopCode::Failed, TransferState::Failed, ErrorCode::Corrupted},
    {StopCode::Rejected, TransferState::Rejected, ErrorCode::Rejected},
    {StopCode::Closed, TransferState::Cancelled, ErrorCode::ConnectionClosed},
};

StopCode stopCodeOf(ErrorCode error) {
  for (const Stop& stop : kStops) {
    if (stop.error == error) return stop.code;
  }
  return StopCode::Failed;
}

bool isFinal(TransferState state) { return state >= TransferState::Done; }

}  // namespace

struct Transfers::Transfer {
  struct Put {
    Ticket ticket = 0;
    std::uint64_t length = 0;
    std::uint64_t sent = 0;
  };

  TransferHandle handle = 0;
  std::uint64_t id = 0;
  bool mine = false;
  TransferState state = TransferState::Offered;
  bool pausedHere = false;
  bool pausedThere = false;
  bool ended = false;        ///< mine: end() was called; otherwise: END came
  bool askedForEnd = false;  ///< mine: the read of length 0 was made
  bool counted = false;      ///< among openOffers_ or openIncoming_
  // Events that wait.
  bool tellOffered = false;
  bool tellState = false;
  bool tellProgress = false;
  bool tellEnded = false;
  unsigned wants = 0;
  std::optional<std::uint64_t> size;
  std::uint64_t requested = 0;  ///< mine: asked of the source
  std::uint64_t supplied = 0;   ///< mine: put by the source
  std::uint64_t from = 0;       ///< the receiver had so many before it accepted; they count in all that follows
  std::uint64_t moved = 0;      ///< bytes that were framed (mine) or came
  std::uint64_t consumed = 0;   ///< of these, in the receiver's hands
  std::uint64_t limit = 0;      ///< moved may not exceed this
  Millis toldAt = 0;            ///< not mine: when the sender was last to be told of consumed
  Ring<Put> puts;
  std::string name;
  std::string mime;
  std::string key;
  std::string digest;  ///< what END carries, in hexadecimal
  std::string reason;
  ErrorCode error = ErrorCode::Cancelled;  ///< why it is over, when it is and not Done
};

Transfers::Transfers(const FramingConfig& config)
    : window_(std::clamp<std::uint64_t>(config.transferWindowBytes, 1, kMaxVarint / 2)),
      readBytes_(std::max<std::uint64_t>(config.transferReadBytes, 1)) {}

Transfers::~Transfers() = default;

Transfers::Transfer* Transfers::find(TransferHandle handle) const {
  for (const Slot& slot : transfers_) {
    if (slot->handle == handle) return slot.get();
  }
  return nullptr;
}

Transfers::Transfer* Transfers::findRunning(TransferHandle handle) const {
  Transfer* const transfer = find(handle);
  const bool running =
      transfer != nullptr && (transfer->state == TransferState::Active || transfer->state == TransferState::Paused);
  return running ? transfer : nullptr;
}

// -- state ---------------------------------------------------------------------------------------------

void Transfers::want(Transfer& transfer, unsigned control) {
  transfer.wants |= control;
  maybeControl_ = true;
}

void Transfers::setState(Transfer& transfer, TransferState state, std::string_view reason) {
  if (transfer.state == state || isFinal(transfer.state)) return;
  transfer.state = state;
  transfer.reason = reason;
  transfer.tellState = true;
  maybeEvents_ = true;
  maybeData_ = true;
}

/// The one door into a final state: whatever was under way is dropped.
void Transfers::finish(Transfer& transfer, TransferState state, ErrorCode error, std::string_view reason) {
  while (!transfer.puts.empty()) {
    queuedBytes_ -= transfer.puts.front().length - transfer.puts.front().sent;
    transfer.puts.pop();
  }
  transfer.wants = 0;
  transfer.tellEnded = false;
  if (!isFinal(transfer.state)) transfer.error = error;
  setState(transfer, state, clipUtf8(reason, kMaxReason));
}

/// Ends a transfer on this side's initiative, and tells the other side if it knows of it.
void Transfers::stop(Transfer& transfer, TransferState state, ErrorCode error, std::string_view reason) {
  const bool known = transfer.counted && (transfer.wants & kWantOffer) == 0;
  finish(transfer, state, error, reason);
  if (known) {
    want(transfer, kWantStop);
  } else {
    freeOffer(transfer);
  }
}

void Transfers::updatePaused(Transfer& transfer) {
  setState(transfer, transfer.pausedHere || transfer.pausedThere ? TransferState::Paused : TransferState::Active, {});
}

/// Both sides know that it is over: another offer may take its place.
void Transfers::freeOffer(Transfer& transfer) {
  if (!std::exchange(transfer.counted, false)) return;
  if (!transfer.mine) {
    --openIncoming_;
    return;
  }
  --openOffers_;
  promote();
}

void Transfers::promote() {
  while (openOffers_ < kMaxOffers && !waiting_.empty()) {
    Transfer* const transfer = find(waiting_.front());
    waiting_.erase(waiting_.begin());
    if (transfer == nullptr || isFinal(transfer->state)) continue;
    transfer->counted = true;
    ++openOffers_;
    want(*transfer, kWantOffer);
  }
}

// -- the application -----------------------------------------------------------------------------------

bool Transfers::offer(TransferHandle handle, std::string name, std::string mime, std::optional<std::uint64_t> size,
                      std::string key) {
  if (handle % 2 == 0 || handle <= lastOwn_ || handle / 2 >= kMaxId || (size && *size >= kMaxVarint)) return false;
  lastOwn_ = handle;
  auto transfer = std::make_unique<Transfer>();
  transfer->handle = handle;
  transfer->id = handle / 2 + 1;
  transfer->mine = true;
  transfer->size = size;
  transfer->name = std::move(name);
  transfer->mime = std::move(mime);
  transfer->key = std::move(key);
  transfers_.push_back(std::move(transfer));
  waiting_.push_back(handle);
  promote();
  return true;
}

bool Transfers::accept(TransferHandle handle, std::uint64_t from) {
  Transfer* const transfer = find(handle);
  if (transfer == nullptr || transfer->mine || transfer->state != TransferState::Offered) return false;
  if (from > transfer->size.value_or(kMaxVarint - window_)) return false;
  transfer->from = transfer->moved = transfer->consumed = from;
  transfer->limit = std::min(from + window_, kMaxVarint);
  setState(*transfer, TransferState::Active, {});
  want(*transfer, kWantAccept);
  return true;
}

bool Transfers::reject(TransferHandle handle, std::string_view reason) {
  Transfer* const transfer = find(handle);
  if (transfer == nullptr || transfer->mine || transfer->state != TransferState::Offered) return false;
  stop(*transfer, TransferState::Rejected, ErrorCode::Rejected, reason);
  return true;
}

bool Transfers::pause(TransferHandle handle) {
  Transfer* const transfer = findRunning(handle);
  if (transfer == nullptr) return false;
  if (!std::exchange(transfer->pausedHere, true)) {
    transfer->wants &= ~unsigned{kWantResume};
    want(*transfer, kWantPause);
  }
  updatePaused(*transfer);
  return true;
}

bool Transfers::resume(TransferHandle handle) {
  Transfer* const transfer = findRunning(handle);
  if (transfer == nullptr || !transfer->pausedHere) return false;
  transfer->pausedHere = false;
  // A PAUSE that has not left need not be taken back, but one RESUME too many does no harm.
  transfer->wants &= ~unsigned{kWantPause};
  want(*transfer, kWantResume);
  updatePaused(*transfer);
  return true;
}

bool Transfers::cancel(TransferHandle handle, std::string_view reason) {
  Transfer* const transfer = find(handle);
  if (transfer == nullptr || isFinal(transfer->state)) return false;
  stop(*transfer, TransferState::Cancelled, ErrorCode::Cancelled, reason);
  return true;
}

bool Transfers::put(TransferHandle handle, std::uint64_t length, Ticket ticket) {
  Transfer* const transfer = findRunning(handle);
  if (transfer == nullptr || !transfer->mine || transfer->ended || length == 0) return false;
  if (length > transfer->size.value_or(kMaxVarint) - transfer->supplied) {
    stop(*transfer, TransferState::Failed, ErrorCode::Corrupted, kTooMany);
    return false;
  }
  transfer->puts.push({ticket, length, 0});
  transfer->supplied += length;
  // A stream may hand out more than it was asked for.
  transfer->requested = std::max(transfer->requested, transfer->supplied);
  queuedBytes_ += length;
  maybeData_ = true;
  maybeEvents_ = true;
  return true;
}

bool Transfers::end(TransferHandle handle, std::string_view digest) {
  Transfer* const transfer = findRunning(handle);
  if (transfer == nullptr || !transfer->mine) return false;
  if (std::exchange(transfer->ended, true)) return true;
  if (digest.size() == kDigestHex) transfer->digest = digest;
  if (transfer->size && transfer->supplied != *transfer->size) {
    stop(*transfer, TransferState::Failed, ErrorCode::Corrupted, kTooFew);
  } else if (transfer->moved == transfer->supplied) {
    want(*transfer, kWantEnd);
  }
  return true;
}

bool Transfers::consumed(TransferHandle handle, std::uint64_t length, Millis now) {
  Transfer* const transfer = findRunning(handle);
  if (transfer == nullptr || transfer->mine || length > transfer->moved - transfer->consumed) return false;
  transfer->consumed += length;
  // Rarely enough to cost nothing, often enough that the sender never runs dry, and that a progress bar moves where
  // the path is slow.
  const std::uint64_t limit = std::min(transfer->consumed + window_, kMaxVarint);
  const std::uint64_t step = limit - transfer->limit;
  if (step >= std::max<std::uint64_t>(window_ / 8, 1) || (step > 0 && now >= transfer->toldAt + kProgressTime)) {
    transfer->toldAt = now;
    want(*transfer, kWantWindow);
  }
  return true;
}

bool Transfers::complete(TransferHandle handle, std::string_view digest) {
  Transfer* const transfer = findRunning(handle);
  if (transfer == nullptr || transfer->mine || !transfer->ended || transfer->tellEnded) return false;
  if (digest.size() == kDigestHex && !transfer->digest.empty() && digest != transfer->digest) {
    stop(*transfer, TransferState::Failed, ErrorCode::Corrupted, kOtherBytes);
    return true;
  }
  finish(*transfer, TransferState::Done, {}, {});
  want(*transfer, kWantDone);
  return true;
}

void Transfers::cancelAll(std::string_view reason) {
  for (const Slot& slot : transfers_) {
    if (!isFinal(slot->state)) stop(*slot, TransferState::Cancelled, ErrorCode::ConnectionClosed, reason);
  }
}

void Transfers::abort(std::string_view reason, ErrorCode error) {
  waiting_.clear();
  for (const Slot& slot : transfers_) {
    finish(*slot, TransferState::Failed, error, reason);
    slot->counted = false;
  }
  maybeControl_ = maybeData_ = false;
  maybeEvents_ = true;
}

// -- events --------------------------------------------------------------------------------------------

std::optional<FramingEvent> Transfers::poll() {
  if (!maybeEvents_) return std::nullopt;
  std::uint64_t active = 0;
  for (const Slot& slot : transfers_) active += slot->mine && slot->state == TransferState::Active ? 1 : 0;
  const std::uint64_t share = kReadAhead / std::max<std::uint64_t>(active, 1);
  const std::uint64_t readLength = std::min(readBytes_, std::max(share, kSmallestRead));
  for (std::size_t i = 0; i < transfers_.size();) {
    Transfer& transfer = *transfers_[i];
    if (std::optional<FramingEvent> event = eventOf(transfer, readLength)) return event;
    if (isFinal(transfer.state) && transfer.wants == 0) {
      transfers_.erase(transfers_.begin() + static_cast<std::ptrdiff_t>(i));
      if (roundRobin_ > i) --roundRobin_;
    } else {
      ++i;
    }
  }
  maybeEvents_ = false;
  return std::nullopt;
}

std::optional<FramingEvent> Transfers::eventOf(Transfer& transfer, std::uint64_t readLength) {
  using Kind = FramingEvent::Kind;
  FramingEvent event;
  event.transfer = transfer.handle;
  if (std::exchange(transfer.tellOffered, false)) {
    event.kind = Kind::TransferOffered;
    event.name = std::move(transfer.name);
    event.mime = std::move(transfer.mime);
    event.key = std::move(transfer.key);
    event.size = transfer.size;
    return event;
  }
  // What was there before must not count in the rate: it comes before the state that begins to measure.
  if (std::exchange(transfer.tellProgress, false)) {
    event.kind = Kind::TransferProgress;
    event.size = transfer.consumed;
    return event;
  }
  if (transfer.tellState && !isFinal(transfer.state)) {
    transfer.tellState = false;
    event.kind = Kind::TransferState;
    event.state = transfer.state;
    return event;
  }
  if (std::exchange(transfer.tellEnded, false)) {
    event.kind = Kind::TransferEnded;
    event.text = transfer.digest;
    return event;
  }
  if (std::exchange(transfer.tellState, false)) {
    event.kind = Kind::TransferState;
    event.state = transfer.state;
    event.error = transfer.error;
    event.text = transfer.reason;
    return event;
  }
  if (!transfer.mine || transfer.state != TransferState::Active || transfer.ended || transfer.askedForEnd) {
    return std::nullopt;
  }
  event.kind = Kind::TransferRead;
  event.offset = transfer.requested;
  const std::uint64_t left = transfer.size.value_or(kMaxVarint) - transfer.requested;
  event.length = std::min(readLength, left);
  if (left == 0) {
    // Only when all was put, so that a source with several reads open cannot end too early.
    if (transfer.supplied < transfer.requested) return std::nullopt;
    transfer.askedForEnd = true;
  } else if (transfer.requested - transfer.moved > (kReads - 1) * readLength) {
    return std::nullopt;
  }
  transfer.requested += event.length;
  return event;
}

// -- outgoing ------------------------------------------------------------------------------------------

bool Transfers::sendable(const Transfer& transfer) const {
  return transfer.mine && transfer.state == TransferState::Active && !transfer.puts.empty() &&
         transfer.moved < transfer.limit;
}

bool Transfers::anyControl() const {
  return std::any_of(transfers_.begin(), transfers_.end(), [](const Slot& slot) { return slot->wants != 0; });
}

bool Transfers::anyData() const {
  return std::any_of(transfers_.begin(), transfers_.end(), [this](const Slot& slot) { return sendable(*slot); });
}

bool Transfers::emit(std::span<std::byte> space, Piece& piece) {
  piece = {};
  if (maybeControl_) {
    for (const Slot& slot : transfers_) {
      if (slot->wants != 0) return emitControl(*slot, space, piece);
    }
    maybeControl_ = false;
  }
  if (!maybeData_) return false;
  const std::size_t count = transfers_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = (roundRobin_ + i) % count;  // transfers come and go, so it may point anywhere
    if (!sendable(*transfers_[index])) continue;
    if (!emitData(*transfers_[index], space, piece)) return false;
    roundRobin_ = index + 1;
    return true;
  }
  maybeData_ = false;
  return false;
}

/// Writes the first message that `transfer` wants to send, and forgets the wish.
void Transfers::writeControl(Transfer& transfer, ByteWriter& writer) {
  const unsigned wish = transfer.wants & (~transfer.wants + 1);
  transfer.wants &= ~wish;
  const auto begin = [&](TransferOp op) {
    writer.byte(static_cast<std::uint8_t>(op));
    writer.varint(transfer.id);
  };
  switch (wish) {
    case kWantOffer:
      begin(TransferOp::Offer);
      writer.varint(transfer.size ? *transfer.size + 1 : 0);
      writer.text(clipUtf8(transfer.name, kMaxTransferName));
      writer.text(clipUtf8(transfer.mime, kMaxTransferMime));
      writer.text(clipUtf8(transfer.key, kMaxTransferKey));
      break;
    case kWantAccept:
      begin(TransferOp::Accept);
      writer.varint(transfer.limit);
      writer.varint(transfer.from);
      break;
    case kWantPause:
      begin(transfer.mine ? TransferOp::Pause : TransferOp::ReceiverPause);
      break;
    case kWantResume:
      begin(transfer.mine ? TransferOp::Resume : TransferOp::ReceiverResume);
      break;
    case kWantWindow:
      transfer.limit = std::min(transfer.consumed + window_, kMaxVarint);
      begin(TransferOp::Window);
      writer.varint(transfer.consumed);
      writer.varint(transfer.limit);
      break;
    case kWantEnd:
      begin(TransferOp::End);
      writer.varint(transfer.moved);
      writer.varint(transfer.digest.size() / 2);
      for (std::size_t i = 0; i < transfer.digest.size(); i += 2) {
        writer.byte(static_cast<std::uint8_t>(valueOf(transfer.digest[i]) << 4 | valueOf(transfer.digest[i + 1])));
      }
      break;
    case kWantDone:
      begin(TransferOp::Done);
      break;
    default:
      begin(transfer.mine ? TransferOp::Stop : TransferOp::ReceiverStop);
      writer.byte(static_cast<std::uint8_t>(stopCodeOf(transfer.error)));
      writer.text(transfer.reason);
      break;
  }
  if (wish == kWantDone || wish == kWantStop) {
    freeOffer(transfer);
    maybeEvents_ = true;  // poll() may forget it now
  }
}

bool Transfers::emitControl(Transfer& transfer, std::span<std::byte> space, Piece& piece) {
  // Any control message and its segment head fit this, and any frame: the longest OFFER takes 1'175 bytes.
  constexpr std::size_t kLongest = 1'180;
  if (space.size() < kLongest) {
    // Most are far shorter than that: a window update shares a frame with data.
    const std::size_t estimate =
        80 + ((transfer.wants & kWantOffer) ? transfer.name.size() + transfer.mime.size() + transfer.key.size() : 0) +
        transfer.reason.size();
    if (space.size() < estimate) return false;
  }
  std::byte message[kLongest];
  ByteWriter body(message);
  writeControl(transfer, body);
  Segment segment;
  segment.lane = Lane::File;
  segment.format = kFormatTransferControl;
  segment.first = segment.last = true;
  segment.length = body.length();
  ByteWriter writer(space);
  writeSegmentHead(writer, segment);
  writer.bytes(message, body.length());
  piece.head = writer.length();
  return true;
}

bool Transfers::emitData(Transfer& transfer, std::span<std::byte> space, Piece& piece) {
  Transfer::Put& put = transfer.puts.front();
  const std::size_t idLength = varintLength(transfer.id);
  const std::uint64_t wanted = std::min(put.length - put.sent, transfer.limit - transfer.moved);
  std::uint64_t length = wanted;
  if (segmentHeadLength(0, idLength + wanted) + idLength + wanted > space.size()) {
    const std::size_t head = segmentHeadLength(0, space.size()) + idLength;
    if (space.size() < head + kSmallestPiece) return false;
    length = space.size() - head;
  }
  Segment segment;
  segment.lane = Lane::File;
  segment.format = kFormatTransferData;
  segment.first = segment.last = true;
  segment.length = idLength + static_cast<std::size_t>(length);
  ByteWriter writer(space);
  writeSegmentHead(writer, segment);
  writer.varint(transfer.id);
  piece = {writer.length(), static_cast<std::size_t>(length), put.ticket, put.sent};
  put.sent += length;
  transfer.moved += length;
  queuedBytes_ -= length;
  maybeEvents_ = true;  // there may be room for another read
  if (put.sent == put.length) transfer.puts.pop();
  if (transfer.ended && transfer.moved == transfer.supplied) want(transfer, kWantEnd);
  return true;
}

// -- incoming ------------------------------------------------------------------------------------------

Wrong Transfers::control(std::span<const std::byte> message) {
  ByteReader reader(message);
  std::uint8_t code = 0;
  std::uint64_t id = 0;
  if (!reader.byte(code)) return Rule::EmptyTransferMessage;
  if (code >= 0x20 && code <= 0x3f) return nullptr;
  const bool sender =
      code >= static_cast<unsigned>(TransferOp::Offer) && code <= static_cast<unsigned>(TransferOp::Resume);
  const bool receiver =
      code >= static_cast<unsigned>(TransferOp::Accept) && code <= static_cast<unsigned>(TransferOp::Done);
  if (!sender && !receiver) return Rule::UnknownTransferMessage;
  const auto op = static_cast<TransferOp>(code);
  if (!reader.varint(id) || id == 0 || id > kMaxId) return Rule::TransferMessageWithoutAnId;
  if (op == TransferOp::Offer) return offered(reader, id);
  const TransferHandle handle = static_cast<TransferHandle>(sender ? id * 2 : id * 2 - 1);
  if (handle > (sender ? lastIncoming_ : lastOwn_)) return Rule::MessageOfNoTransfer;
  Transfer* const transfer = find(handle);
  // Ours may be over while the other side's last words are on their way.
  if (transfer == nullptr || isFinal(transfer->state)) return nullptr;
  if (transfer->mine && (!transfer->counted || (transfer->wants & kWantOffer))) return Rule::AnswerToNoOffer;
  if (op == TransferOp::Stop || op == TransferOp::ReceiverStop) return stopped(*transfer, reader);
  return sender ? fromSender(*transfer, op, reader) : fromReceiver(*transfer, op, reader);
}

Wrong Transfers::offered(ByteReader& reader, std::uint64_t id) {
  std::uint64_t size = 0;
  std::uint64_t length = 0;
  std::string_view name;
  std::string_view mime;
  std::string_view key;
  if (id * 2 <= lastIncoming_) return Rule::OfferWhoseIdWasUsedBefore;
  if (!reader.varint(size) || !reader.varint(length) || length > kMaxTransferName || !reader.text(length, name) ||
      !reader.varint(length) || length > kMaxTransferMime || !reader.text(length, mime)) {
    return Rule::TransferOfferThatCannotBeRead;
  }
  if (reader.remaining() > 0 && (!reader.varint(length) || length > kMaxTransferKey || !reader.text(length, key))) {
    return Rule::TransferOfferThatCannotBeRead;
  }
  if (openIncoming_ >= kMaxOffers) return Rule::TooManyTransferOffersAtOnce;
  auto transfer = std::make_unique<Transfer>();
  transfer->id = id;
  transfer->handle = lastIncoming_ = static_cast<TransferHandle>(id * 2);
  if (size > 0) transfer->size = size - 1;
  transfer->name = name;
  transfer->mime = mime;
  transfer->key = key;
  transfer->counted = true;
  transfer->tellOffered = true;
  ++openIncoming_;
  transfers_.push_back(std::move(transfer));
  maybeEvents_ = true;
  return nullptr;
}

Wrong Transfers::stopped(Transfer& transfer, ByteReader& reader) {
  std::uint8_t code = 0;
  std::uint64_t length = 0;
  std::string_view reason;
  if (!reader.byte(code) || !reader.varint(length) || length > kMaxReason || !reader.text(length, reason)) {
    return Rule::TransferEndThatCannotBeRead;
  }
  if (code >= std::size(kStops)) return Rule::TransferEndOfNoKnownKind;
  const Stop& stop = kStops[code];
  if (stop.code == StopCode::Rejected && (!transfer.mine || transfer.state != TransferState::Offered)) {
    return Rule::RejectionOfNoOffer;
  }
  finish(transfer, stop.state, stop.error, reason);
  freeOffer(transfer);
  // Nobody was told of it, so nobody misses it; and offers that come and go within a frame leave nothing behind.
  if (transfer.tellOffered) {
    std::erase_if(transfers_, [&](const Slot& slot) { return slot.get() == &transfer; });
  }
  return nullptr;
}

Wrong Transfers::fromSender(Transfer& transfer, TransferOp op, ByteReader& reader) {
  if (op == TransferOp::End) {
    std::uint64_t total = 0;
    std::uint64_t length = 0;
    std::string_view digest;
    if (!reader.varint(total)) return Rule::TransferEndThatCannotBeRead;
    if (reader.remaining() > 0 &&
        (!reader.varint(length) || (length != 0 && length != kDigestBytes) || !reader.text(length, digest))) {
      return Rule::TransferEndThatCannotBeRead;
    }
    if (transfer.state == TransferState::Offered) return Rule::EndOfATransferThatWasNotAccepted;
    if (transfer.ended || total != transfer.moved) return Rule::TransferThatEndsWhereItShouldNot;
    if (transfer.size && total != *transfer.size) {
      stop(transfer, TransferState::Failed, ErrorCode::Corrupted, kTooFew);
      return nullptr;
    }
    transfer.ended = true;
    transfer.tellEnded = true;
    transfer.digest = hexOf(digest);
    maybeEvents_ = true;
    return nullptr;
  }
  if (transfer.state == TransferState::Offered) return Rule::PauseOfATransferThatWasNotAccepted;
  transfer.pausedThere = op == TransferOp::Pause;
  updatePaused(transfer);
  return nullptr;
}

Wrong Transfers::fromReceiver(Transfer& transfer, TransferOp op, ByteReader& reader) {
  std::uint64_t consumed = 0;
  std::uint64_t limit = 0;
  if (op == TransferOp::Accept) {
    std::uint64_t from = 0;
    if (!reader.varint(limit)) return Rule::AcceptanceThatCannotBeRead;
    if (reader.remaining() > 0 && !reader.varint(from)) return Rule::AcceptanceThatCannotBeRead;
    if (transfer.state != TransferState::Offered) return Rule::AcceptanceOfNoOffer;
    if (from > limit || from > transfer.size.value_or(kMaxVarint)) return Rule::AcceptanceBeyondTheEnd;
    transfer.limit = limit;
    transfer.requested = transfer.supplied = transfer.moved = transfer.consumed = from;
    transfer.tellProgress = from > 0;
    setState(transfer, TransferState::Active, {});
    return nullptr;
  }
  if (transfer.state == TransferState::Offered) return Rule::TransferMessageBeforeTheAcceptance;
  switch (op) {
    case TransferOp::Window:
      if (!reader.varint(consumed) || !reader.varint(limit)) return Rule::TransferWindowThatCannotBeRead;
      if (limit < transfer.limit) return Rule::TransferWindowThatShrinks;
      if (consumed < transfer.consumed || consumed > transfer.moved) return Rule::TransferThatConsumedWhatWasNotSent;
      transfer.limit = limit;
      transfer.tellProgress = transfer.tellProgress || consumed > transfer.consumed;
      transfer.consumed = consumed;
      maybeData_ = maybeEvents_ = true;
      return nullptr;
    case TransferOp::Done:
      // All but the END itself was framed, and that too if nothing wants to be written.
      if (!transfer.ended || transfer.moved != transfer.supplied || transfer.wants & kWantEnd) {
        return Rule::TransferThatIsDoneBeforeItsEnd;
      }
      transfer.tellProgress = transfer.tellProgress || transfer.moved > transfer.consumed;
      transfer.consumed = transfer.moved;
      finish(transfer, TransferState::Done, {}, {});
      freeOffer(transfer);
      return nullptr;
    default:
      transfer.pausedThere = op == TransferOp::ReceiverPause;
      updatePaused(transfer);
      return nullptr;
  }
}

Wrong Transfers::data(std::span<const std::byte> message, TransferHandle& handle, std::size_t& offset) {
  handle = 0;
  ByteReader reader(message);
  std::uint64_t id = 0;
  if (!reader.varint(id) || id == 0 || id > kMaxId || id * 2 > lastIncoming_) return Rule::BytesOfNoTransfer;
  Transfer* const transfer = find(static_cast<TransferHandle>(id * 2));
  if (transfer == nullptr || isFinal(transfer->state)) return nullptr;
  const std::size_t length = reader.remaining();
  if (transfer->ended) return Rule::BytesOfATransferAfterItsEnd;
  if (length > transfer->limit - transfer->moved) return Rule::MoreBytesOfATransferThanItsWindowAllows;
  if (length == 0) return nullptr;
  if (length > transfer->size.value_or(kMaxVarint) - transfer->moved) {
    stop(*transfer, TransferState::Failed, ErrorCode::Corrupted, kTooMany);
    return nullptr;
  }
  transfer->moved += length;
  handle = transfer->handle;
  offset = reader.offset();
  return nullptr;
}

}  // namespace peerbridge
