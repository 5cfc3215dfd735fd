// The data border of one connection to a PeerJS peer: its messages in, its frames out, and back. Bytes:
// docs/protocol.md, "Toward PeerJS".
//
// Who calls: Connection and Endpoint, for every data connection whose peer is not one of ours.
//
//  sending      queue() takes messages of a named serialization (kFormatBytes, kFormatText); next() cuts them where
//               PeerJS does and writes the envelopes. High goes first, the others leave as they came
//  receiving    receive() takes one frame; delivery() yields it, whole, or as a piece of a larger message
//  the rest     poll() yields events; deadline()/timeout() drive the end, and forget what never ends
//
// What holds: PeerJS acknowledges nothing. What was handed to the channel and left its buffer is as delivered as it can
// be known; nothing is sent twice, and a lost channel is the end. No payload is kept here, but for the one frame that
// is being filled, and of what comes in pieces only which pieces came. Hostile frames lead to one Violation event,
// after which the object is inert.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ring.hpp"
#include "framing/rule.hpp"
#include "framing/wire.hpp"

namespace peerbridge {

/// What the peers agreed to make bytes of values with; that decides how these are cut and what says goodbye.
enum class Serialization : std::uint8_t {
  Binary,   ///< BinaryPack: pieces of 16 300 bytes in envelopes
  Json,     ///< below 16 300 bytes, in one frame
  MsgPack,  ///< a stream of bytes, in frames of up to 32 768
  Raw,      ///< and whatever an application made itself: one message is one frame
};

/// By its name on the wire.
[[nodiscard]] Serialization serializationOf(std::string_view name);

class PeerJsWire final : public Wire {
 public:
  /// `legacy`: the other side is PeerJS before 1.5, which reads JSON from text frames only, and knows no close frame.
  /// `config` has to outlive this.
  PeerJsWire(const FramingConfig& config, Serialization serialization, bool legacy)
      : config_(config), serialization_(serialization), legacy_(legacy) {}
  ~PeerJsWire();
  PeerJsWire(const PeerJsWire&) = delete;
  PeerJsWire& operator=(const PeerJsWire&) = delete;

  void attach(std::size_t maxMessageSize, Millis now) override;
  void detach() override { attached_ = false; }
  [[nodiscard]] bool attached() const override { return attached_; }

  [[nodiscard]] Ticket queue(Lane lane, Format format, std::uint64_t length) override;
  bool withdraw(Ticket ticket) override;
  [[nodiscard]] bool hasRoom() const override { return !full_; }
  /// Its Delivered follows when all that was queued has left the channel's buffer.
  [[nodiscard]] std::uint32_t mark() override;
  /// Messages that left the channel's buffer, or were withdrawn.
  [[nodiscard]] std::uint64_t acknowledged(Lane lane) const override { return left_[static_cast<std::size_t>(lane)]; }

  [[nodiscard]] Action next(std::uint64_t bufferedAmount, Millis now, Slot slot = 0) override;
  void unsend() override;
  [[nodiscard]] bool wantsTransmit() const override;

  /// `frame` may be the beginning only of what came; that has `length` bytes.
  void receive(std::span<const std::byte> frame, std::size_t length, bool text, Millis now);
  [[nodiscard]] std::optional<Delivery> delivery() override;

  /// What is queued still goes, then the close frame where the serialization has one and the peer knows it. Drained,
  /// when the channel's buffer is empty or did not shrink for closeTimeout, says that the channel shall be closed, not
  /// in its first second where it has no goodbye and nothing came through it; Closed comes after another closeTimeout,
  /// and after 5 × closeTimeout altogether.
  void close(std::string_view reason, Millis now) override;
  [[nodiscard]] bool closing() const override { return closing_ || over_; }
  void abort(std::string_view reason, ErrorCode error) override;

  [[nodiscard]] std::optional<FramingEvent> poll() override;
  [[nodiscard]] Millis deadline() const override;
  void timeout(Millis now) override;
  [[nodiscard]] Millis lastHeard() const override { return lastHeard_; }
  [[nodiscard]] FramingStats stats() const override;

 private:
  /// High, and the others.
  static constexpr std::size_t kQueues = 2;
  /// In place of a lane: not a message, but a mark, whose marker is its ticket.
  static constexpr std::uint8_t kMark = 3;

  struct Message {
    Ticket ticket = 0;
    Format format = 0;
    std::uint8_t lane = kMark;
    bool withdrawn = false;
    std::uint32_t id = 0;     ///< on the wire, once its first piece left; only what is cut has one
    std::uint32_t piece = 0;  ///< the next one
    std::uint64_t length = 0;
    std::uint64_t offset = 0;  ///< of what was not sent yet
  };
  /// A message of `lane` has left when the channel's buffer is behind `position`.
  struct End {
    std::uint64_t position = 0;
    std::uint32_t marker = 0;
    std::uint8_t lane = 0;
  };
  struct Frame {
    std::size_t length = 0;
    bool text = false;
  };
  /// A message of which pieces came.
  struct Unfinished {
    std::uint32_t id = 0;
    std::uint32_t handle = 0;
    std::uint32_t total = 0;
    std::uint32_t count = 0;
    std::uint64_t bytes = 0;
    std::uint64_t cost = 0;
    Millis touched = 0;
    std::string there;  ///< a bit for each piece, up to the last one that came
  };
  struct Event {
    FramingEvent::Kind kind = FramingEvent::Kind::Room;
    std::uint32_t marker = 0;
  };
  /// One envelope. Offsets are in the frame.
  struct Piece {
    std::uint32_t id = 0;
    std::uint32_t n = 0;
    std::uint32_t total = 0;
    std::size_t offset = 0;
    std::size_t length = 0;
  };

  [[nodiscard]] static bool readPiece(std::span<const std::byte> frame, Piece& piece);

  void tell(FramingEvent::Kind kind, std::uint32_t marker = 0) { events_.push({kind, marker}); }
  void violation(Rule rule);
  void end();
  /// The buffer of the channel holds so much: what was before has left.
  void leave(std::uint64_t bufferedAmount);
  void unqueue(std::uint64_t bytes);
  [[nodiscard]] bool drained() const;
  /// The queue whose first message goes on, or null when nothing waits.
  [[nodiscard]] Ring<Message>* nextQueue();
  [[nodiscard]] Action cut(Ring<Message>& queue);
  [[nodiscard]] Action send(Frame frame);
  [[nodiscard]] std::byte* buffer(std::size_t length);
  /// The close frame; empty where there is none.
  [[nodiscard]] std::string_view goodbye() const;
  [[nodiscard]] bool isCloseFrame(std::span<const std::byte> bytes) const;
  void peerCloses(Millis now);
  /// It is whole or given up.
  void forget(std::size_t index);
  void take(const Piece& piece, std::span<const std::byte> bytes, Millis now);

  const FramingConfig& config_;
  const Serialization serialization_;
  const bool legacy_;

  bool attached_ = false;
  std::size_t maxMessageSize_ = 65'536;
  Millis lastHeard_ = kNever;
  FramingStats stats_;
  Ring<Event> events_;

  // -- sending
  std::array<Ring<Message>, kQueues> queues_;
  std::array<std::uint64_t, kLaneCount> left_{};  ///< by lane
  Ring<End> ends_;
  std::uint32_t lastMarker_ = 0;
  Ticket lastTicket_ = 0;
  std::uint32_t lastId_ = 0;
  Ring<Message>* midway_ = nullptr;  ///< in the middle of the first message of this queue
  std::uint64_t queuedBytes_ = 0;
  bool full_ = false;
  std::uint64_t sent_ = 0;  ///< bytes that were handed to the channel
  std::uint64_t highWater_ = 0;
  bool blocked_ = false;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t bufferSize_ = 0;
  Frame last_;          ///< stands in buffer_
  bool again_ = false;  ///< the channel did not take it

  // -- receiving
  std::optional<Delivery> delivery_;
  std::vector<Unfinished*> unfinished_;  ///< owned
  std::uint64_t unfinishedCost_ = 0;
  std::uint32_t lastHandle_ = 0;
  Millis expireAt_ = kNever;  ///< no unfinished message is too old before

  // -- the end
  bool closing_ = false;
  bool closeSent_ = false;
  bool peerClosing_ = false;
  bool drainedTold_ = false;
  bool over_ = false;
  std::uint64_t lastBuffered_ = ~std::uint64_t{0};  ///< once all was handed to the channel
  Millis noticedAt_ = kNever;                       ///< PeerJS is sure to have the channel
  Millis drainBy_ = kNever;                         ///< the channel is closed then, unless its buffer shrinks
  Millis closeAt_ = kNever;
};

}  // namespace peerbridge
