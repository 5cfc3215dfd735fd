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
constexpr std::size_t kLongestControl = 1 + 5 * kMaxVarintBytes + kMaxReason + 8;

/// So many times longer may an acknowledgement wait in the middle of a message.
constexpr int kMidwayPatience = 4;
/// FramingConfig::interactiveFrameBytes, and something.
constexpr std::size_t kWatchedFrame = 20'480;

constexpr Wrong kNotSent = Rule::AcknowledgementOfWhatWasNotSent;

FramingConfig sane(FramingConfig config) {
  // What is accepted never falls below kFrameLimitBeforeHello; what is sent may.
  config.maxFrameBytes = std::clamp<std::size_t>(config.maxFrameBytes, kSmallestFrameLimit, 0x7fffffff);
  config.frameBytes = std::clamp(config.frameBytes, kSmallestFrameLimit, config.maxFrameBytes);
  config.interactiveFrameBytes = std::max(config.interactiveFrameBytes, kSmallestFrameLimit);
  config.highWaterBytes = std::max<std::uint64_t>(config.highWaterBytes, 2);
  config.interactiveWaterBytes = std::clamp<std::uint64_t>(config.interactiveWaterBytes, 2, config.highWaterBytes);
  config.maxHighWaterBytes = std::max(config.maxHighWaterBytes, config.highWaterBytes);
  config.inlineBytes = std::min<std::uint64_t>(config.inlineBytes, 0x7fffffff);
  config.maxMessageBytes = std::min(config.maxMessageBytes, kMaxVarint);
  config.grantBytes = std::clamp(config.grantBytes, kGrantBeforeHello, kMaxVarint);
  return config;
}

}  // namespace

struct Framing::State {
  explicit State(const FramingConfig& given)
      : config(sane(given)), transfers(config), sender(config, transfers, stats), receiver(config.maxMessageBytes) {}

  enum class Sent : std::uint8_t { Nothing, Hello, Data, Ack, Ping, Pong, Close, Closed, Signal, Stripes };

  struct Channel {
    bool attached = false;
    std::uint64_t highWater = 0;   ///< no more than this is kept in its buffer,
    std::uint64_t leastWater = 0;  ///< and no less, whatever the rate
    bool blocked = false;          ///< the last next() had data that the buffer's fill kept back
  };

  const FramingConfig config;
  FramingStats stats;
  Transfers transfers;
  Sender sender;
  Receiver receiver;

  // -- channels
  std::array<Channel, kMaxSlots> channels;
  bool firstChannel = false;  ///< this is the first one: nothing can have been lost, so nobody waits for HELLO
  bool everAttached = false;
  bool helloSent = false;
  bool helloSeen = false;
  std::size_t channelLimit = 0;
  std::size_t frameLimit = 0;

  Millis lastHeard = kNever;

  // -- control frames that wait
  bool wantPong = false;
  bool wantPing = false;
  bool wantClosed = false;
  bool wantAck = false;
  bool wantStripes = false;
  std::uint32_t stripes = 0;  ///< what is asked for; 0: nothing ever was
  std::uint64_t pongToken = 0;
  std::uint64_t pingToken = 0;
  OwningRing<std::string> signals;  ///< complete frames

  // -- acknowledgements
  bool held = false;
  Seqs told{};       ///< the peer knows that this was received,
  Seqs toldBytes{};  ///< and so many bytes
  std::uint64_t untoldBytes = 0;
  Millis ackAt = kNever;
  Slot ackVia = 0;  ///< where frames came from last: that way is open

  // -- the last Send, for unsend()
  Sent lastSent = Sent::Nothing;
  std::size_t lastLength = 0;
  Lane lastLane = Lane::Normal;
  bool lastWasReplay = false;
  Seqs lastTold{};
  Seqs lastToldBytes{};
  std::array<std::byte, kLongestControl> scratch{};

  // -- the end
  bool closing = false;
  bool closeSent = false;     ///< on this channel
  bool closeTold = false;     ///< on this one or on an earlier one, which the other side may answer late
  bool closePatient = false;  ///< the path is down: what was handed to the channel may leave through the next one
  bool closedSeen = false;
  bool over = false;  ///< closed, violated or aborted: inert
  std::string closeReason;
  Millis closeAt = kNever;  ///< at the latest
  std::optional<Seqs> peerClose;
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
    receiver.clear();
    ackAt = kNever;
    closeAt = kNever;
  }

  void closed() {
    if (over) return;
    tell(FramingEvent::Kind::Closed);
    end();
  }

  [[nodiscard]] static constexpr std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }
  [[nodiscard]] bool attached() const { return channels[0].attached; }
  [[nodiscard]] std::size_t acceptLimit() const { return std::max(config.maxFrameBytes, kFrameLimitBeforeHello); }
  /// DATA may go: at once on the first channel; on later ones when the peer told what it has.
  [[nodiscard]] bool mayReplay() const { return helloSent && (helloSeen || firstChannel); }
  [[nodiscard]] Seqs received() const { return {receiver.received(Stream::Live), receiver.received(Stream::Bulk)}; }
  [[nodiscard]] Seqs receivedBytes() const { return {receiver.bytes(Stream::Live), receiver.bytes(Stream::Bulk)}; }
  [[nodiscard]] Seqs acknowledgeable() const {
    Seqs seqs = held ? told : received();
    if (planted(Bug::AckOffByOne)) ++seqs[0];
    return seqs;
  }
  [[nodiscard]] Seqs acknowledgeableBytes() const { return held ? toldBytes : receivedBytes(); }
  [[nodiscard]] bool closeDue() const { return closing && !closeSent && mayReplay() && sender.drained(); }
  [[nodiscard]] std::uint64_t waterMark(const Channel& channel, bool talk) const {
    if (talk) return config.interactiveWaterBytes;
    const std::uint64_t most = std::min(channel.highWater, std::max(channel.leastWater, sender.reserve()));
    return most - std::min<std::uint64_t>(most / 2, sender.largeFrame(frameLimit));
  }

  void attach(Slot slot) {
    channels[slot].attached = true;
    channels[slot].highWater = config.highWaterBytes;
    channels[slot].leastWater = config.interactiveWaterBytes;
    widen();
  }

  void detach(Slot slot) {
    if (!std::exchange(channels[slot].attached, false)) return;
    channels[slot].blocked = false;
    if (slot == 0 || !planted(Bug::ForgetStripe)) sender.detach(slot);
    if (ackVia == slot) ackVia = 0;
    widen();
  }

  void widen() {
    std::size_t count = 0;
    for (const Channel& channel : channels) count += channel.attached ? 1 : 0;
    sender.widen(std::max<std::size_t>(count, 1));
  }

  // -- sending ------------------------------------------------------------------------------------------

  void sending(Sent kind, std::size_t length) {
    lastSent = kind;
    lastLength = length;
    ++stats.framesSent;
    stats.bytesSent += length;
  }

  Action send(Sent kind, std::byte* data, std::size_t length) {
    sending(kind, length);
    Action action;
    action.kind = ActionKind::Send;
    action.frame = data;
    action.frameLength = length;
    return action;
  }

  Action sendControl(Sent kind, FrameType type, std::initializer_list<std::uint64_t> fields,
                     const std::string* text = nullptr) {
    ByteWriter writer(scratch);
    writer.byte(static_cast<std::uint8_t>(type));
    for (const std::uint64_t field : fields) writer.varint(field);
    if (text != nullptr) writer.text(*text);
    return send(kind, scratch.data(), writer.length());
  }

  void noteTold() {
    lastTold = told;
    lastToldBytes = toldBytes;
  }

  void setTold(std::size_t stream, std::uint64_t seq, std::uint64_t bytes) {
    told[stream] = std::max(told[stream], seq);
    toldBytes[stream] = std::max(toldBytes[stream], bytes);
    if (told != received()) return;
    untoldBytes = 0;
    ackAt = kNever;
    wantAck = false;
  }

  /// The frame that is about to leave says all that can be acknowledged.
  void tellAll() {
    noteTold();
    const Seqs seqs = acknowledgeable();
    const Seqs bytes = acknowledgeableBytes();
    for (std::size_t i = 0; i < kStreamCount; ++i) setTold(i, seqs[i], bytes[i]);
  }

  [[nodiscard]] std::optional<Action> nextControl() {
    if (!helloSent) {
      helloSent = true;
      tellAll();
      return sendControl(Sent::Hello, FrameType::Hello,
                         {kProtocolVersion, acceptLimit(), told[0], told[1], config.grantBytes});
    }
    if (std::exchange(wantClosed, false)) {
      tellAll();
      return sendControl(Sent::Closed, FrameType::Closed, {told[0], told[1]});
    }
    if (std::exchange(wantPong, false)) return sendControl(Sent::Pong, FrameType::Pong, {pongToken});
    if (std::exchange(wantPing, false)) return sendControl(Sent::Ping, FrameType::Ping, {pingToken});
    if (std::exchange(wantStripes, false)) return sendControl(Sent::Stripes, FrameType::Stripes, {stripes});
    if (!signals.empty()) {
      // It leaves the queue with the next call: until then unsend() may want it back.
      std::string& signal = signals.front();
      return send(Sent::Signal, reinterpret_cast<std::byte*>(signal.data()), signal.size());
    }
    return std::nullopt;
  }

  [[nodiscard]] Action nextData(Slot slot, bool highOnly, bool talk, Millis now) {
    const Replay::Frame* frame = nullptr;
    Action action =
        sender.step({slot, frameLimit, acknowledgeable(), acknowledgeableBytes(), highOnly, talk, now}, frame);
    if (frame == nullptr) return action;
    if (frame->length > frameLimit) {
      violation(Rule::NewChannelIsTooNarrowForWhatHasToBeSentAgain);
      return {};
    }
    noteTold();
    setTold(index(streamOf(frame->lane)), frame->received, frame->receivedBytes);
    sending(Sent::Data, action.frameLength);
    lastLane = frame->lane;
    lastWasReplay = sender.send(lastLane, slot, now);
    stats.framesReplayed += lastWasReplay ? 1 : 0;
    // Where something waits for room, next() has more to say.
    action.last = now < ackAt && sender.drained() && !wants(slot);
    return action;
  }

  void settleSignal() {
    if (lastSent != Sent::Signal) return;
    signals.pop();
  }

  [[nodiscard]] bool acksVia(Slot slot) const { return slot == (channels[ackVia].attached ? ackVia : 0); }

  Action next(Slot slot, std::uint64_t buffered, Millis now) {
    settleSignal();
    lastSent = Sent::Nothing;
    Channel& channel = channels[slot];
    if (!attached() || !channel.attached || over || (slot > 0 && !mayReplay())) return {};
    const bool talk = sender.interactive(now);
    if (std::exchange(channel.blocked, false) && !talk) {
      if (buffered == 0) {
        // There was data and the channel ran dry: keep more of it there.
        channel.highWater = std::min(channel.highWater * 2, config.maxHighWaterBytes);
        channel.leastWater = std::min(channel.leastWater * 2, config.highWaterBytes);
      } else {
        channel.leastWater = std::max(config.interactiveWaterBytes, channel.leastWater / 256 * 255);
      }
    }
    // What was begun is completed, whatever the buffer says: it is one frame.
    if (sender.filling() && mayReplay()) {
      const Action action = nextData(slot, false, talk, now);
      if (action.kind != ActionKind::Wait || over) return action;
    }
    const std::uint64_t mark = waterMark(channel, talk);
    const bool full = buffered >= mark;
    // High and control frames may go beyond the mark, but not for ever.
    if (buffered / 2 >= config.highWaterBytes && full) {
      channel.blocked = wants(slot);
      return wait(mark, talk);
    }
    if (slot == 0) {
      if (const std::optional<Action> action = nextControl()) return *action;
    }
    if (mayReplay() && (slot == 0 || !full)) {
      const Action action = nextData(slot, full, talk, now);
      if (action.kind != ActionKind::Wait || over) return action;
    }
    if (slot == 0 && closeDue()) {
      closeSent = closeTold = true;
      // The other side has this long to answer; the first time counts.
      if (!closePatient) closeAt = std::min(closeAt, now + config.closeTimeout);
      return sendControl(Sent::Close, FrameType::Close, {lastSeq(Stream::Live), lastSeq(Stream::Bulk)}, &closeReason);
    }
    // Through another channel it stays the timer's: nobody would ask that one.
    if ((wantAck || now >= ackAt) && !held && acksVia(slot)) {
      tellAll();
      wantAck = false;
      return sendControl(Sent::Ack, FrameType::Ack, {told[0], told[1]});
    }
    channel.blocked = full && wants(slot);
    return wait(mark, talk);
  }

  /// The next call comes when there is room for a frame; for short ones, for several.
  static Action wait(std::uint64_t mark, bool talk) {
    Action action;
    action.low = talk ? mark / 2 : mark - 1;
    return action;
  }

  [[nodiscard]] std::uint64_t lastSeq(Stream stream) const { return sender.replay(stream).nextSeq() - 1; }

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
        sender.unsend(lastLane, lastWasReplay);
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
      case Sent::Stripes:
        wantStripes = true;
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
    toldBytes = lastToldBytes;
    wantAck = true;
  }

  [[nodiscard]] bool wants(Slot slot) const {
    if (!attached() || !channels[slot].attached || over) return false;
    if (wantAck && !held && acksVia(slot)) return true;
    if (slot == 0) {
      if (!helloSent || wantClosed || wantPong || wantPing || wantStripes || !signals.empty()) return true;
      if (closeDue()) return true;
    }
    return mayReplay() && sender.wants(slot, frameLimit, false);
  }

  [[nodiscard]] bool wants() const {
    for (Slot slot = 0; slot < kMaxSlots; ++slot) {
      if (wants(slot)) return true;
    }
    return false;
  }

  // -- receiving ----------------------------------------------------------------------------------------

  void receive(std::span<const std::byte> frame, Millis now, Slot slot) {
    if (!attached() || over) return;
    settleSignal();
    lastSent = Sent::Nothing;
    receiver.drop();
    ByteReader reader(frame);
    std::uint8_t type = 0;
    if (frame.size() > acceptLimit()) return violation(Rule::FrameAboveTheLimit);
    if (!reader.byte(type)) return violation(Rule::EmptyFrame);
    if (slot == 0 && !helloSeen && type != static_cast<std::uint8_t>(FrameType::Hello)) {
      return violation(Rule::FrameBeforeHello);
    }
    // Stripes say that the other side is there, and nothing about the way that the connection itself takes.
    if (slot == 0) lastHeard = now;
    ++stats.framesReceived;
    stats.bytesReceived += frame.size();
    if (isReservedFrame(type)) return;
    const Wrong wrong = handle(static_cast<FrameType>(type), reader, frame, now, slot);
    if (wrong) violation(wrong);
  }

  [[nodiscard]] Wrong handle(FrameType type, ByteReader& reader, std::span<const std::byte> frame, Millis now,
                             Slot slot) {
    std::uint64_t number = 0;
    if (slot > 0 && type != FrameType::Bulk && type != FrameType::Ack) return Rule::StripeFrameOfAnotherKind;
    switch (type) {
      case FrameType::Hello:
        return hello(reader, now);
      case FrameType::Data:
        return data(Stream::Live, reader, frame, now, slot);
      case FrameType::Bulk:
        return data(Stream::Bulk, reader, frame, now, slot);
      case FrameType::Ack: {
        Seqs seqs{};
        if (!readSeqs(reader, seqs)) return Rule::AckThatCannotBeRead;
        return acknowledged(seqs, now);
      }
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
      case FrameType::Closed: {
        Seqs seqs{};
        if (!readSeqs(reader, seqs)) return Rule::ClosedThatCannotBeRead;
        if (!closeTold || seqs != Seqs{lastSeq(Stream::Live), lastSeq(Stream::Bulk)}) return Rule::ClosedToNoClose;
        if (const Wrong wrong = acknowledged(seqs, now)) return wrong;
        closedSeen = true;
        return nullptr;
      }
      case FrameType::Signal: {
        std::string_view text;
        (void)reader.text(reader.remaining(), text);
        tell(FramingEvent::Kind::Signal, text);
        return nullptr;
      }
      case FrameType::Stripes:
        if (!reader.varint(number)) return Rule::StripesThatCannotBeRead;
        tell(FramingEvent::Kind::Stripes, {}, static_cast<std::uint32_t>(std::min<std::uint64_t>(number, kMaxSlots)));
        return nullptr;
    }
    return Rule::FrameOfNoKnownType;
  }

  [[nodiscard]] static bool readSeqs(ByteReader& reader, Seqs& seqs) {
    return reader.varint(seqs[0]) && reader.varint(seqs[1]);
  }

  [[nodiscard]] Wrong hello(ByteReader& reader, Millis now) {
    std::uint64_t version = 0;
    std::uint64_t limit = 0;
    std::uint64_t window = 0;
    Seqs seqs{};
    if (!reader.varint(version) || !reader.varint(limit) || !readSeqs(reader, seqs) || !reader.varint(window))
      return Rule::HelloThatCannotBeRead;
    if (helloSeen) return Rule::SecondHello;
    if (version == 0 || limit < kFrameLimitBeforeHello || window < kGrantBeforeHello)
      return Rule::HelloThatMakesNoSense;
    // Less than it acknowledged before, and it has forgotten what we cannot send again.
    for (std::size_t i = 0; i < kStreamCount; ++i) {
      if (seqs[i] < sender.replay(static_cast<Stream>(i)).acknowledgedSeq()) return Rule::HelloThatForgotFrames;
    }
    if (const Wrong wrong = acknowledged(seqs, now)) return wrong;
    helloSeen = true;
    sender.grant(window);
    frameLimit = static_cast<std::size_t>(std::min<std::uint64_t>({limit, config.maxFrameBytes, channelLimit}));
    tell(FramingEvent::Kind::PeerHello);
    return nullptr;
  }

  [[nodiscard]] Wrong acknowledged(const Seqs& seqs, Millis now) {
    const bool sent = sender.acknowledge(Stream::Live, seqs[0], now) && sender.acknowledge(Stream::Bulk, seqs[1], now);
    return sent ? nullptr : kNotSent;
  }

  [[nodiscard]] Wrong data(Stream stream, ByteReader& reader, std::span<const std::byte> frame, Millis now, Slot slot) {
    std::uint64_t seq = 0;
    std::uint64_t received = 0;
    if (!reader.varint(seq) || !reader.varint(received) || seq == 0) return Rule::DataFrameThatCannotBeRead;
    if (received > sender.replay(stream).sentSeq()) return kNotSent;
    const std::uint64_t before = receiver.received(stream);
    if (seq <= before) {
      ++stats.duplicatesDropped;
    } else {
      if (peerClose && seq > (*peerClose)[index(stream)]) return Rule::DataFrameAfterTheLastOne;
      // What this side has to keep until the application has read it, and until what is missing comes.
      const std::uint64_t kept =
          receiver.bytes(stream) - toldBytes[index(stream)] + (stream == Stream::Bulk ? receiver.heldBytes() : 0);
      if (kept + frame.size() > config.grantBytes + acceptLimit()) return Rule::MoreBytesThanTheWindowAllows;
      if (seq == before + 1) {
        if (const Wrong wrong = receiver.take(stream, seq, frame, reader.offset())) return wrong;
      } else if (stream == Stream::Live) {
        return Rule::GapInTheDataFrames;
      } else if (seq - before > kMaxUnacknowledgedFrames) {
        return Rule::FrameTooFarAhead;
      } else if (!receiver.hold(seq, frame, reader.offset())) {
        ++stats.duplicatesDropped;
      }
    }
    (void)sender.acknowledge(stream, received, now);
    untoldBytes += frame.size();
    ackVia = slot;
    if (!held) {
      // Nobody waits for what is in the middle of a message, or of a file, but the sender's pace; and an ACK costs as
      // much as a message. The sender makes its frames so long that one for each is enough. Small ones say that
      // somebody talks there, and that the sender watches how soon they arrive. With stripes there is no pace.
      const bool midway = receiver.midway();
      const bool patient = midway && frame.size() > kWatchedFrame;
      std::uint64_t most = config.ackBytes;
      if (patient && stream == Stream::Bulk && sender.channels() > 1) {
        most = std::max(most, config.windowBytes / 4);
      } else if (midway) {
        most = std::max<std::uint64_t>(most / 4, frame.size());
      }
      if (untoldBytes >= most) wantAck = true;
      ackAt = std::min(ackAt, now + config.ackDelay * (patient ? kMidwayPatience : 1));
    }
    answerClose();
    return nullptr;
  }

  [[nodiscard]] Wrong close(ByteReader& reader) {
    Seqs last{};
    std::uint64_t length = 0;
    std::string_view reason;
    if (!readSeqs(reader, last) || !reader.varint(length) || length > kMaxReason || !reader.text(length, reason)) {
      return Rule::CloseThatCannotBeRead;
    }
    if (last[0] < receiver.received(Stream::Live) || last[1] < receiver.received(Stream::Bulk) ||
        (peerClose && *peerClose != last)) {
      return Rule::CloseBeforeTheLastFrame;
    }
    peerClose = last;
    peerReason = reason;
    answerClose();
    return nullptr;
  }

  /// Everything that the other side sent is in the application's hands.
  [[nodiscard]] bool peerDone() const { return peerClose && *peerClose == received() && !held; }

  void answerClose() {
    if (peerDone()) wantClosed = true;
  }

  [[nodiscard]] std::optional<Delivery> delivery() {
    Segment segment;
    while (!over) {
      if (!receiver.next(segment)) {
        // The gap may be closed now, and what waits behind it has its turn.
        Wrong wrong = nullptr;
        if (!receiver.takeHeld(wrong)) break;
        if (wrong) violation(wrong);
        answerClose();
        continue;
      }
      Delivery delivery;
      delivery.lane = segment.lane;
      delivery.format = segment.format;
      delivery.first = segment.first;
      delivery.last = segment.last;
      delivery.total = segment.total;
      delivery.frameOffset = segment.offset;
      delivery.length = segment.length;
      const std::span<const std::byte> bytes = receiver.bytesOf(segment);
      const auto place = [&] {
        if (receiver.isHeld()) delivery.data = bytes.data() + (delivery.frameOffset - segment.offset);
      };
      if (segment.lane != Lane::File) {
        stats.messagesReceived += segment.last ? 1 : 0;
        place();
        return delivery;
      }
      std::size_t offset = 0;
      const Wrong wrong = segment.format == kFormatTransferControl ? transfers.control(bytes)
                                                                   : transfers.data(bytes, delivery.transfer, offset);
      if (wrong) violation(wrong);
      if (delivery.transfer == 0) continue;
      delivery.frameOffset += offset;
      delivery.length -= offset;
      place();
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
      transfers.abort("the connection was closed", ErrorCode::ConnectionClosed);
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
  s.attach(0);
  s.firstChannel = !std::exchange(s.everAttached, true);
  s.channelLimit = std::max(maxMessageSize, kSmallestFrameLimit);
  s.frameLimit = std::min({s.channelLimit, s.config.maxFrameBytes, kFrameLimitBeforeHello});
  s.wantStripes = s.stripes > 0;
  // Until HELLO tells, what every receiver has room for.
  s.sender.grant(kGrantBeforeHello);
}

void Framing::detach() {
  State& s = *state_;
  if (!s.attached()) return;
  s.helloSent = s.helloSeen = s.closeSent = false;
  s.wantPong = s.wantPing = s.wantClosed = s.wantAck = false;
  s.ackAt = kNever;
  s.signals.clear();
  s.lastSent = State::Sent::Nothing;
  s.receiver.drop();
  s.detach(0);
}

bool Framing::attached() const { return state_->attached(); }
bool Framing::greeted() const { return state_->attached() && state_->helloSent && state_->helloSeen; }

void Framing::attachStripe(Slot slot, std::size_t maxMessageSize) {
  State& s = *state_;
  if (s.over || slot == 0 || slot >= kMaxSlots || maxMessageSize < s.channelLimit) return;
  s.attach(slot);
}

void Framing::detachStripe(Slot slot) {
  if (slot > 0 && slot < kMaxSlots) state_->detach(slot);
}

void Framing::askStripes(std::uint32_t count) {
  state_->stripes = count;
  state_->wantStripes = true;
}

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
  if (held || !s.attached()) return;
  s.answerClose();
  if (s.told == s.received()) return;
  if (s.untoldBytes >= s.config.ackBytes) s.wantAck = true;
  s.ackAt = now + s.config.ackDelay;
}

bool Framing::offer(TransferHandle transfer, std::string name, std::string mime, std::optional<std::uint64_t> size,
                    std::string key) {
  return !closing() && state_->transfers.offer(transfer, std::move(name), std::move(mime), size, std::move(key));
}
bool Framing::accept(TransferHandle transfer, std::uint64_t from) {
  return !closing() && state_->transfers.accept(transfer, from);
}
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
bool Framing::transferEnd(TransferHandle transfer, std::string_view digest) {
  return !closing() && state_->transfers.end(transfer, digest);
}
bool Framing::transferConsumed(TransferHandle transfer, std::uint64_t length, Millis now) {
  return !closing() && state_->transfers.consumed(transfer, length, now);
}
bool Framing::transferComplete(TransferHandle transfer, std::string_view digest) {
  return !closing() && state_->transfers.complete(transfer, digest);
}

Action Framing::next(std::uint64_t bufferedAmount, Millis now, Slot slot) {
  return slot < kMaxSlots ? state_->next(slot, bufferedAmount, now) : Action{};
}
void Framing::unsend() { state_->unsend(); }
bool Framing::wantsTransmit() const { return state_->wants(); }

void Framing::receive(std::span<const std::byte> frame, Millis now, Slot slot) { state_->receive(frame, now, slot); }
bool Framing::needsOnlyTheHead(std::span<const std::byte> frame) const {
  ByteReader reader(frame);
  std::uint8_t type = 0;
  std::uint64_t seq = 0;
  std::uint64_t received = 0;
  if (!reader.byte(type) || !reader.varint(seq) || !reader.varint(received)) return false;
  const bool bulk = type == static_cast<std::uint8_t>(FrameType::Bulk);
  if (!bulk && type != static_cast<std::uint8_t>(FrameType::Data)) return false;
  // One that comes early is kept.
  if (seq != state_->receiver.received(bulk ? Stream::Bulk : Stream::Live) + 1) return false;
  Segment segment;
  return !readSegment(reader, segment) && reader.remaining() == 0;
}

std::optional<Delivery> Framing::delivery() { return state_->delivery(); }

bool Framing::signal(std::string_view json) {
  State& s = *state_;
  if (!s.attached() || closing() || json.size() + 1 > s.frameLimit) return false;
  std::string frame;
  frame.reserve(json.size() + 1);
  frame.push_back(static_cast<char>(FrameType::Signal));
  frame.append(json);
  s.signals.push(std::move(frame));
  return true;
}

bool Framing::ping(std::uint32_t token) {
  State& s = *state_;
  if (!s.attached() || s.over) return false;
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
  s.closeAt = now + (s.attached() || waits() ? 5 : 1) * s.config.closeTimeout;
}

void Framing::closeThroughTheNextPath(std::string_view reason, Millis now) {
  state_->closePatient = true;
  close(reason, now);
}

bool Framing::waits() const { return !state_->sender.drained() || state_->sender.unackedBytes() > 0; }

bool Framing::closing() const { return state_->closing || state_->over; }

void Framing::abort(std::string_view reason, ErrorCode error) {
  State& s = *state_;
  detach();
  s.end();
  s.transfers.abort(reason, error);
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
  stats.unackedBytes = state_->sender.unackedBytes();
  return stats;
}

}  // namespace peerbridge
