#include "framing/framing.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/planted.hpp"
#include "base/ring.hpp"
#include "framing/frame.hpp"
#include "framing/receiver.hpp"
#include "framing/sender.hpp"
#include "framing/transfer.hpp"

namespace peerbridge {

namespace {

/// Frames that are written when they leave and never kept: HELLO, ACK, PING, PONG, CLOSE, CLOSED.
constexpr std::size_t kLongestControl = 1 + 2 * kMaxVarintBytes + kMaxReason + 8;

constexpr Wrong kNotSent = Rule::AcknowledgementOfWhatWasNotSent;

FramingConfig sane(FramingConfig config) {
  // What is accepted never falls below kFrameLimitBeforeHello; what is sent may.
  config.maxFrameBytes = std::clamp<std::size_t>(config.maxFrameBytes, kSmallestFrameLimit, 0x7fffffff);
  config.highWaterBytes = std::max<std::uint64_t>(config.highWaterBytes, 1);
  config.maxHighWaterBytes = std::max(config.maxHighWaterBytes, config.highWaterBytes);
  config.inlineBytes = std::min<std::uint64_t>(config.inlineBytes, 0x7fffffff);
  config.maxMessageBytes = std::min(config.maxMessageBytes, kMaxVarint);
  return config;
}

}  // namespace

struct Framing::State {
  explicit State(const FramingConfig& given)
      : config(sane(given)),
        transfers(config),
        sender(config, transfers, stats),
        receiver(config.maxMessageBytes),
        highWater(config.highWaterBytes) {}

  enum class Sent : std::uint8_t { Nothing, Hello, Data, Ack, Ping, Pong, Close, Closed, Signal };

  const FramingConfig config;
  FramingStats stats;
  Transfers transfers;
  Sender sender;
  Receiver receiver;

  // -- channel
  bool attached = false;
  bool firstChannel = false;  ///< this is the first one: nothing can have been lost, so nobody waits for HELLO
  bool everAttached = false;
  bool helloSent = false;
  bool helloSeen = false;
  std::size_t channelLimit = 0;
  std::size_t frameLimit = 0;
  std::uint64_t highWater;
  bool blocked = false;  ///< the last next() had data that the buffer's fill kept back

  Millis lastHeard = kNever;

  // -- control frames that wait
  bool wantPong = false;
  bool wantPing = false;
  bool wantClosed = false;
  bool wantAck = false;
  std::uint64_t pongToken = 0;
  std::uint64_t pingToken = 0;
  OwningRing<std::string> signals;  ///< complete frames

  // -- acknowledgements
  bool held = false;
  std::uint64_t told = 0;  ///< the peer knows that this was received
  std::uint64_t untoldBytes = 0;
  Millis ackAt = kNever;

  // -- the last Send, for unsend()
  Sent lastSent = Sent::Nothing;
  std::size_t lastLength = 0;
  bool lastWasReplay = false;
  std::uint64_t lastTold = 0;
  std::array<std::byte, kLongestControl> scratch{};

  // -- the end
  bool closing = false;
  bool closeSent = false;
  bool closedSeen = false;
  bool over = false;  ///< closed, violated or aborted: inert
  std::string closeReason;
  Millis closeAt = kNever;  ///< at the latest
  std::optional<std::uint64_t> peerClose;
  std::string peerReason;
  bool peerClosingTold = false;

  OwningRing<FramingEvent> events;

  // ---------------------------------------------------------------------------------------------------

  void tell(FramingEvent::Kind kind, std::string_view text = {}, std::uint32_t marker = 0) {
    FramingEvent event;
    event.kind = kind;
    event.text = text;
    event.marker = marker;
    events.push(std::move(event));
  }

  void violation(Wrong wrong) {
    if (over) return;
    tell(FramingEvent::Kind::Violation, {}, wrong.code());
    end();
  }

  void end() {
    over = true;
    receiver.drop();
    ackAt = kNever;
    closeAt = kNever;
  }

  void closed() {
    if (over) return;
    tell(FramingEvent::Kind::Closed);
    end();
  }

  [[nodiscard]] std::size_t acceptLimit() const { return std::max(config.maxFrameBytes, kFrameLimitBeforeHello); }
  /// DATA may go: at once on the first channel; on later ones when the peer told what it has.
  [[nodiscard]] bool mayReplay() const { return helloSent && (helloSeen || firstChannel); }
  [[nodiscard]] std::uint64_t acknowledgeable() const {
    if (planted(Bug::AckOffByOne)) return receiver.received() + 1;
    return held ? told : receiver.received();
  }
  [[nodiscard]] bool closeDue() const { return closing && !closeSent && mayReplay() && sender.drained(); }
  [[nodiscard]] std::uint64_t waterMark(Millis now) const {
    return sender.interactive(now) ? std::min(highWater, config.highWaterBytes) : highWater;
  }

  // -- sending ------------------------------------------------------------------------------------------

  Action send(Sent kind, std::byte* data, std::size_t length) {
    lastSent = kind;
    lastLength = length;
    ++stats.framesSent;
    stats.bytesSent += length;
    return {ActionKind::Send, data, length, 0, 0};
  }

  Action sendControl(Sent kind, FrameType type, std::initializer_list<std::uint64_t> fields,
                     const std::string* text = nullptr) {
    ByteWriter writer(scratch);
    writer.byte(static_cast<std::uint8_t>(type));
    for (const std::uint64_t field : fields) writer.varint(field);
    if (text != nullptr) writer.text(*text);
    return send(kind, scratch.data(), writer.length());
  }

  void setTold(std::uint64_t received) {
    lastTold = std::exchange(told, std::max(told, received));
    if (told < receiver.received()) return;
    untoldBytes = 0;
    ackAt = kNever;
    wantAck = false;
  }

  [[nodiscard]] std::optional<Action> nextControl() {
    if (!helloSent) {
      helloSent = true;
      setTold(receiver.received());
      return sendControl(Sent::Hello, FrameType::Hello, {kProtocolVersion, acceptLimit(), told});
    }
    if (std::exchange(wantClosed, false)) {
      setTold(receiver.received());
      return sendControl(Sent::Closed, FrameType::Closed, {told});
    }
    if (std::exchange(wantPong, false)) return sendControl(Sent::Pong, FrameType::Pong, {pongToken});
    if (std::exchange(wantPing, false)) return sendControl(Sent::Ping, FrameType::Ping, {pingToken});
    if (!signals.empty()) {
      // It leaves the queue with the next call: until then unsend() may want it back.
      std::string& signal = signals.front();
      return send(Sent::Signal, reinterpret_cast<std::byte*>(signal.data()), signal.size());
    }
    return std::nullopt;
  }

  [[nodiscard]] Action nextData(bool highOnly, Millis now) {
    const Replay::Frame* frame = nullptr;
    const Action action = sender.step({frameLimit, acknowledgeable(), highOnly, now}, frame);
    if (action.kind != ActionKind::Send) return action;
    if (frame->length > frameLimit) {
      violation(Rule::NewChannelIsTooNarrowForWhatHasToBeSentAgain);
      return {};
    }
    lastTold = told;
    if (frame->received > told) setTold(frame->received);
    const Action sent = send(Sent::Data, action.data, action.length);
    lastWasReplay = sender.send();
    stats.framesReplayed += lastWasReplay ? 1 : 0;
    return sent;
  }

  void settleSignal() {
    if (lastSent != Sent::Signal) return;
    signals.pop();
  }

  Action next(std::uint64_t buffered, Millis now) {
    settleSignal();
    lastSent = Sent::Nothing;
    if (!attached || over) return {};
    if (std::exchange(blocked, false) && buffered == 0 && !sender.interactive(now)) {
      // There was data and the channel ran dry: keep more of it there.
      highWater = std::min(highWater * 2, config.maxHighWaterBytes);
    }
    // What was begun is completed, whatever the buffer says: it is one frame.
    if (sender.filling() && mayReplay()) {
      const Action action = nextData(false, now);
      if (action.kind != ActionKind::Wait || over) return action;
    }
    const std::uint64_t mark = waterMark(now);
    const bool full = buffered >= mark;
    if (buffered / 2 >= mark) {
      blocked = wants();
      return {};
    }
    if (const std::optional<Action> action = nextControl()) return *action;
    if (mayReplay()) {
      const Action action = nextData(full, now);
      if (action.kind != ActionKind::Wait || over) return action;
    }
    if (closeDue()) {
      closeSent = true;
      // The other side has this long to answer; the first time counts.
      closeAt = std::min(closeAt, now + config.closeTimeout);
      return sendControl(Sent::Close, FrameType::Close, {sender.replay().nextSeq() - 1}, &closeReason);
    }
    if (now >= ackAt) wantAck = true;
    if (wantAck && !held) {
      setTold(receiver.received());
      wantAck = false;
      return sendControl(Sent::Ack, FrameType::Ack, {told});
    }
    blocked = full && wants();
    return {};
  }

  void unsend() {
    const Sent sent = std::exchange(lastSent, Sent::Nothing);
    if (sent == Sent::Nothing) return;
    --stats.framesSent;
    stats.bytesSent -= lastLength;
    switch (sent) {
      case Sent::Hello:
        helloSent = false;
        break;
      case Sent::Data:
        sender.unsend(lastWasReplay);
        stats.framesReplayed -= lastWasReplay ? 1 : 0;
        untell();
        break;
      case Sent::Ack:
        untell();
        wantAck = true;
        break;
      case Sent::Closed:
        wantClosed = true;
        break;
      case Sent::Pong:
        wantPong = true;
        break;
      case Sent::Ping:
        wantPing = true;
        break;
      case Sent::Close:
        closeSent = false;
        break;
      default:
        break;
    }
  }

  void untell() {
    if (told == lastTold) return;
    told = lastTold;
    wantAck = true;
  }

  [[nodiscard]] bool wants() const {
    if (!attached || over) return false;
    if (!helloSent || wantClosed || wantPong || wantPing || !signals.empty() || (wantAck && !held)) return true;
    return mayReplay() && (sender.wants(frameLimit, false) || closeDue());
  }

  // -- receiving ----------------------------------------------------------------------------------------

  void receive(std::span<const std::byte> frame, Millis now) {
    if (!attached || over) return;
    settleSignal();
    lastSent = Sent::Nothing;
    receiver.drop();
    ByteReader reader(frame);
    std::uint8_t type = 0;
    if (frame.size() > acceptLimit()) return violation(Rule::FrameAboveTheLimit);
    if (!reader.byte(type)) return violation(Rule::EmptyFrame);
    if (!helloSeen && type != static_cast<std::uint8_t>(FrameType::Hello)) return violation(Rule::FrameBeforeHello);
    lastHeard = now;
    ++stats.framesReceived;
    stats.bytesReceived += frame.size();
    if (isReservedFrame(type)) return;
    const Wrong wrong = handle(static_cast<FrameType>(type), reader, frame, now);
    if (wrong) violation(wrong);
  }

  [[nodiscard]] Wrong handle(FrameType type, ByteReader& reader, std::span<const std::byte> frame, Millis now) {
    std::uint64_t number = 0;
    switch (type) {
      case FrameType::Hello:
        return hello(reader);
      case FrameType::Data:
        return data(reader, frame, now);
      case FrameType::Ack:
        if (!reader.varint(number)) return Rule::AckThatCannotBeRead;
        return acknowledged(number);
      case FrameType::Ping:
        if (!reader.varint(pongToken)) return Rule::PingThatCannotBeRead;
        wantPong = true;
        return nullptr;
      case FrameType::Pong:
        if (!reader.varint(number)) return Rule::PongThatCannotBeRead;
        if (number > 0xffffffff) return Rule::AnswerToNoPing;
        tell(FramingEvent::Kind::Pong, {}, static_cast<std::uint32_t>(number));
        return nullptr;
      case FrameType::Close:
        return close(reader);
      case FrameType::Closed:
        if (!reader.varint(number)) return Rule::ClosedThatCannotBeRead;
        if (!closeSent || number != sender.replay().nextSeq() - 1) return Rule::ClosedToNoClose;
        if (const Wrong wrong = acknowledged(number)) return wrong;
        closedSeen = true;
        return nullptr;
      case FrameType::Signal: {
        std::string_view text;
        (void)reader.text(reader.remaining(), text);
        tell(FramingEvent::Kind::Signal, text);
        return nullptr;
      }
    }
    return Rule::FrameOfNoKnownType;
  }

  [[nodiscard]] Wrong hello(ByteReader& reader) {
    std::uint64_t version = 0;
    std::uint64_t limit = 0;
    std::uint64_t received = 0;
    if (!reader.varint(version) || !reader.varint(limit) || !reader.varint(received))
      return Rule::HelloThatCannotBeRead;
    if (helloSeen) return Rule::SecondHello;
    if (version == 0 || limit < kFrameLimitBeforeHello) return Rule::HelloThatMakesNoSense;
    // Less than it acknowledged before, and it has forgotten what we cannot send again.
    if (received < sender.replay().acknowledgedSeq()) return Rule::HelloThatForgotFrames;
    if (const Wrong wrong = acknowledged(received)) return wrong;
    helloSeen = true;
    frameLimit = static_cast<std::size_t>(std::min<std::uint64_t>({limit, config.maxFrameBytes, channelLimit}));
    tell(FramingEvent::Kind::PeerHello);
    return nullptr;
  }

  [[nodiscard]] Wrong acknowledged(std::uint64_t seq) { return sender.acknowledge(seq) ? nullptr : kNotSent; }

  [[nodiscard]] Wrong data(ByteReader& reader, std::span<const std::byte> frame, Millis now) {
    std::uint64_t seq = 0;
    std::uint64_t received = 0;
    if (!reader.varint(seq) || !reader.varint(received)) return Rule::DataFrameThatCannotBeRead;
    if (seq == 0 || seq > receiver.received() + 1) return Rule::GapInTheDataFrames;
    if (received > sender.replay().sentSeq()) return kNotSent;
    if (seq <= receiver.received()) {
      ++stats.duplicatesDropped;
    } else {
      if (peerClose && seq > *peerClose) return Rule::DataFrameAfterTheLastOne;
      if (const Wrong wrong = receiver.take(seq, frame, reader.offset())) return wrong;
    }
    (void)sender.acknowledge(received);
    untoldBytes += frame.size();
    if (!held) {
      if (untoldBytes >= config.ackBytes) wantAck = true;
      if (ackAt == kNever) ackAt = now + config.ackDelay;
    }
    answerClose();
    return nullptr;
  }

  [[nodiscard]] Wrong close(ByteReader& reader) {
    std::uint64_t last = 0;
    std::uint64_t length = 0;
    std::string_view reason;
    if (!reader.varint(last) || !reader.varint(length) || length > kMaxReason || !reader.text(length, reason)) {
      return Rule::CloseThatCannotBeRead;
    }
    if (last < receiver.received() || (peerClose && *peerClose != last)) return Rule::CloseBeforeTheLastFrame;
    peerClose = last;
    peerReason = reason;
    answerClose();
    return nullptr;
  }

  void answerClose() {
    if (peerClose && *peerClose == receiver.received()) wantClosed = true;
  }

  [[nodiscard]] std::optional<Delivery> delivery() {
    Segment segment;
    while (!over && receiver.next(segment)) {
      Delivery delivery;
      delivery.lane = segment.lane;
      delivery.format = segment.format;
      delivery.first = segment.first;
      delivery.last = segment.last;
      delivery.total = segment.total;
      delivery.frameOffset = segment.offset;
      delivery.length = segment.length;
      if (segment.lane != Lane::File) {
        stats.messagesReceived += segment.last ? 1 : 0;
        return delivery;
      }
      const std::span<const std::byte> bytes = receiver.bytes(segment);
      std::size_t offset = 0;
      const Wrong wrong = segment.format == kFormatTransferControl ? transfers.control(bytes)
                                                                   : transfers.data(bytes, delivery.transfer, offset);
      if (wrong) violation(wrong);
      if (delivery.transfer == 0) continue;
      delivery.frameOffset += offset;
      delivery.length -= offset;
      return delivery;
    }
    return std::nullopt;
  }

  // -- events -------------------------------------------------------------------------------------------

  [[nodiscard]] std::optional<FramingEvent> poll() {
    FramingEvent event;
    if (!events.empty() && events.front().kind != FramingEvent::Kind::Closed) return popEvent();
    if (std::optional<FramingEvent> transfer = transfers.poll()) return transfer;
    if (const std::uint32_t marker = sender.takeDelivered()) {
      event.kind = FramingEvent::Kind::Delivered;
      event.marker = marker;
      return event;
    }
    if (sender.takeRoom()) return event;
    if (peerDone() && !peerClosingTold) {
      // The other side ended the transfers that it knew of; an offer that had not reached it is left.
      transfers.abort("the connection was closed");
      if (std::optional<FramingEvent> transfer = transfers.poll()) return transfer;
      peerClosingTold = true;
      event.kind = FramingEvent::Kind::PeerClosing;
      event.text = peerReason;
      return event;
    }
    // Our own CLOSED has to be on its way before the link may go.
    if (closedSeen && !wantClosed) closed();
    if (!events.empty()) return popEvent();
    return std::nullopt;
  }

  [[nodiscard]] bool peerDone() const { return peerClose && *peerClose == receiver.received(); }

  [[nodiscard]] FramingEvent popEvent() {
    FramingEvent event = std::move(events.front());
    events.pop();
    return event;
  }
};

// -- the facade ------------------------------------------------------------------------------------------

Framing::Framing(const FramingConfig& config) : state_(std::make_unique<State>(config)) {}
Framing::~Framing() = default;
Framing::Framing(Framing&&) noexcept = default;
Framing& Framing::operator=(Framing&&) noexcept = default;

void Framing::attach(std::size_t maxMessageSize, Millis) {
  State& s = *state_;
  if (s.over) return;
  detach();
  s.attached = true;
  s.firstChannel = !std::exchange(s.everAttached, true);
  s.channelLimit = std::max(maxMessageSize, kSmallestFrameLimit);
  s.frameLimit = std::min({s.channelLimit, s.config.maxFrameBytes, kFrameLimitBeforeHello});
  s.highWater = s.config.highWaterBytes;
}

void Framing::detach() {
  State& s = *state_;
  if (!s.attached) return;
  s.attached = s.helloSent = s.helloSeen = s.closeSent = s.blocked = false;
  s.wantPong = s.wantPing = s.wantClosed = s.wantAck = false;
  s.ackAt = kNever;
  s.signals.clear();
  s.lastSent = State::Sent::Nothing;
  s.receiver.drop();
  s.sender.detach();
}

bool Framing::attached() const { return state_->attached; }

std::span<std::byte> Framing::put(Lane lane, Format format, std::size_t length, bool& accepted) {
  accepted = false;
  if (closing()) return {};
  return state_->sender.put(lane, format, length, accepted);
}

Ticket Framing::queue(Lane lane, Format format, std::uint64_t length) {
  return closing() ? 0 : state_->sender.queue(lane, format, length);
}

bool Framing::withdraw(Ticket ticket) { return state_->sender.withdraw(ticket); }
bool Framing::hasRoom() const { return state_->sender.hasRoom(); }
std::uint32_t Framing::mark() { return state_->sender.mark(); }
std::uint64_t Framing::acknowledged(Lane lane) const { return state_->sender.acknowledged(lane); }

void Framing::hold(bool held, Millis now) {
  State& s = *state_;
  s.held = held;
  if (held || s.told == s.receiver.received() || !s.attached) return;
  if (s.untoldBytes >= s.config.ackBytes) s.wantAck = true;
  s.ackAt = now + s.config.ackDelay;
}

bool Framing::offer(TransferHandle transfer, std::string name, std::string mime, std::optional<std::uint64_t> size) {
  return !closing() && state_->transfers.offer(transfer, std::move(name), std::move(mime), size);
}
bool Framing::accept(TransferHandle transfer) { return !closing() && state_->transfers.accept(transfer); }
bool Framing::reject(TransferHandle transfer, std::string_view reason) {
  return !closing() && state_->transfers.reject(transfer, reason);
}
bool Framing::pause(TransferHandle transfer) { return !closing() && state_->transfers.pause(transfer); }
bool Framing::resume(TransferHandle transfer) { return !closing() && state_->transfers.resume(transfer); }
bool Framing::cancel(TransferHandle transfer, std::string_view reason) {
  return !closing() && state_->transfers.cancel(transfer, reason);
}
Ticket Framing::transferPut(TransferHandle transfer, std::uint64_t length) {
  if (closing()) return 0;
  const Ticket ticket = state_->sender.newTicket();
  return state_->transfers.put(transfer, length, ticket) ? ticket : 0;
}
bool Framing::transferEnd(TransferHandle transfer) { return !closing() && state_->transfers.end(transfer); }
bool Framing::transferConsumed(TransferHandle transfer, std::uint64_t length) {
  return !closing() && state_->transfers.consumed(transfer, length);
}
bool Framing::transferComplete(TransferHandle transfer) { return !closing() && state_->transfers.complete(transfer); }

Action Framing::next(std::uint64_t bufferedAmount, Millis now) { return state_->next(bufferedAmount, now); }
void Framing::unsend() { state_->unsend(); }
bool Framing::wantsTransmit() const { return state_->wants(); }

void Framing::receive(std::span<const std::byte> frame, Millis now) { state_->receive(frame, now); }
std::optional<Delivery> Framing::delivery() { return state_->delivery(); }

bool Framing::signal(std::string_view json) {
  State& s = *state_;
  if (!s.attached || closing() || json.size() + 1 > s.frameLimit) return false;
  std::string frame;
  frame.reserve(json.size() + 1);
  frame.push_back(static_cast<char>(FrameType::Signal));
  frame.append(json);
  s.signals.push(std::move(frame));
  return true;
}

bool Framing::ping(std::uint32_t token) {
  State& s = *state_;
  if (!s.attached || s.over) return false;
  s.wantPing = true;
  s.pingToken = token;
  return true;
}

void Framing::close(std::string_view reason, Millis now) {
  State& s = *state_;
  if (closing()) return;
  s.closing = true;
  s.closeReason = clipUtf8(reason, kMaxReason);
  s.transfers.cancelAll("the connection was closed");
  if (!s.everAttached && s.sender.drained()) return s.closed();
  // Without a channel, only what waits for another one is worth the longer patience.
  const bool nothingLeft = !s.attached && s.sender.drained() && s.sender.replay().bytes() == 0;
  s.closeAt = now + (nothingLeft ? 1 : 5) * s.config.closeTimeout;
}

bool Framing::closing() const { return state_->closing || state_->over; }

void Framing::abort(std::string_view reason) {
  State& s = *state_;
  detach();
  s.end();
  s.transfers.abort(reason);
}

std::optional<FramingEvent> Framing::poll() { return state_->poll(); }

Millis Framing::deadline() const {
  const State& s = *state_;
  if (s.over) return kNever;
  return s.wantAck ? s.closeAt : std::min(s.closeAt, s.ackAt);
}

void Framing::timeout(Millis now) {
  State& s = *state_;
  if (s.over) return;
  if (now >= s.ackAt) s.wantAck = true;
  if (now >= s.closeAt) s.closed();
}

Millis Framing::lastHeard() const { return state_->lastHeard; }

FramingStats Framing::stats() const {
  FramingStats stats = state_->stats;
  stats.queuedBytes = state_->sender.queuedBytes() + state_->transfers.queuedBytes();
  stats.unackedBytes = state_->sender.replay().bytes();
  return stats;
}

}  // namespace peerbridge
