// What carries the messages of one connection: the border between a protocol and everything else, and its vocabulary.
//
// Two kinds of peers, two wires: Framing speaks the native protocol, PeerJsWire what PeerJS speaks. Who calls:
// Connection and, for the data border, Endpoint and bindings/border.cpp, which need not know which one it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

/// Scheduling classes; they share one channel and their frames interleave. Order holds within a lane.
/// High is always served first; Normal, Bulk and File share what is left by weight.
enum class Lane : std::uint8_t { High, Normal, Bulk, File };
inline constexpr int kLaneCount = 4;

/// Which of a connection's channels: 0 carries the connection, 1 to 7 are stripes, which carry Bulk and File only.
using Slot = std::uint8_t;
inline constexpr Slot kMaxSlots = 8;

/// What the bytes of a message are, 0 to 15, chosen by the sender and handed to the receiver unseen.
/// 0 to 7 belong to the value codec of the JavaScript side; kFormatTransferControl and
/// kFormatTransferData are consumed by the core; the others are reserved.
using Format = std::uint8_t;
inline constexpr Format kFormatBytes = 4;  ///< of a named serialization
inline constexpr Format kFormatText = 5;   ///< the same, where it is text
inline constexpr Format kFormatTransferControl = 8;
inline constexpr Format kFormatTransferData = 9;
inline constexpr Format kFormatRequest = 10;
inline constexpr Format kFormatResponse = 11;

/// Type, numbers and the head of a piece of a frame, and what a file's piece begins with.
inline constexpr std::size_t kHeadBytes = 96;

struct FramingConfig {
  /// Largest frame that is sent (the channel and the peer may lower that) and accepted (never below 16 KiB).
  std::size_t maxFrameBytes = 262'144;
  /// Frames of small messages are no longer. Those of what is large are as long as the path takes some milliseconds
  /// for, or a quarter of what may be on its way, if that is less; between interactiveFrameBytes and maxFrameBytes (see
  /// Rate and Pace).
  std::size_t frameBytes = 65'536;
  /// Frame size of what is large while High, or Normal messages up to 16 KiB, were used within the last second.
  std::size_t interactiveFrameBytes = 16'384;
  /// next() says Wait while the channel's bufferedAmount with one more frame would be above this (High and control
  /// frames: twice this). Where the path is known to be slow it is what leaves in 20 ms.
  std::uint64_t highWaterBytes = 262'144;
  /// highWaterBytes doubles up to here when the channel ran dry between two calls of next().
  std::uint64_t maxHighWaterBytes = 1'048'576;
  /// In place of both for the time that High, or Normal messages up to 16 KiB, are in use: what is in the channel is
  /// what they wait behind. No less is kept in it where the path is slow either; where it runs dry all the same, more.
  std::uint64_t interactiveWaterBytes = 65'536;
  /// Unacknowledged frame bytes kept for replay, of High and Normal together, and of Bulk and File for each channel
  /// that they share; next() says Wait at the limit. The last frame's worth is kept for High.
  std::uint64_t windowBytes = 4'194'304;
  /// What the other side is granted: unacknowledged frame bytes of either stream. This bounds what an application that
  /// does not read, or a stripe that lags, can make this side keep. At least 256 KiB.
  std::uint64_t grantBytes = 16'777'216;
  /// Above this, hasRoom() is false until the queue is half empty again.
  std::uint64_t queueBytes = 1'048'576;
  /// Largest message that put() takes.
  std::uint64_t inlineBytes = 4'096;
  /// Bytes of put() messages that may wait, 48 added for each; put() refuses beyond.
  std::uint64_t maxInlineQueueBytes = 16'777'216;
  /// Largest message that is accepted from the peer, and that queue() takes.
  std::uint64_t maxMessageBytes = 1'073'741'824;
  /// An ACK leaves at the latest after this many received frame bytes; in the middle of a message or of a file after a
  /// quarter of them, or a frame, if that is more (with stripes, after a quarter of windowBytes),
  std::uint64_t ackBytes = 131'072;
  /// or after this many milliseconds, four times as many there where frames are long.
  Millis ackDelay = 20;
  /// How long close() waits for the other side.
  Millis closeTimeout = 2'000;
  /// PeerJS cuts what is large, and its pieces may come in any order: so many messages may be unfinished at a time,
  std::uint32_t maxUnfinishedMessages = 256;
  /// with so many bytes together (of which a piece counts as 1024 at least), and for so long after their last piece
  /// came.
  std::uint64_t maxUnfinishedBytes = 1'073'741'824;
  Millis unfinishedTimeout = 60'000;
  /// File bytes that may be on their way beyond what the receiver consumed, for each transfer. The sender hears of each
  /// eighth that was consumed, which acknowledges too: sooner than an ACK would have to.
  std::uint64_t transferWindowBytes = 6'291'456;
  /// Length of one TransferRead; four are under way (of less bytes when many transfers run at once). A little less than
  /// the longest frame, or the halves and quarters of it: then each frame holds one piece, which nobody has to move,
  /// and of the longest just what is hashed at once.
  std::uint64_t transferReadBytes = 261'888;
};

/// Identifies one queued message or transfer piece towards the caller. 0 is none.
using Ticket = std::uint32_t;
/// In place of a ticket: the message is longer than this connection can carry.
inline constexpr Ticket kTooBig = ~Ticket{0};

enum class ActionKind : std::uint8_t {
  Wait,      ///< nothing to do until put(), queue(), receive(), a lower bufferedAmount or the deadline
  Fill,      ///< copy `length` bytes of the message `ticket`, from `offset`, to `data`; then call next() again
  Send,      ///< hand `frame` to RTCDataChannel.send(); then next() again unless `last`, or unsend() if it threw
  FillSend,  ///< both, one after the other
};

/// Action::low: the threshold need not change.
inline constexpr std::uint64_t kLowAsItIs = ~std::uint64_t{0};

struct Action {
  ActionKind kind = ActionKind::Wait;
  // Fill. Pointers are valid until the next call of any kind.
  Ticket ticket = 0;
  std::byte* data = nullptr;
  std::size_t length = 0;
  std::uint64_t offset = 0;
  // Send.
  std::byte* frame = nullptr;
  std::size_t frameLength = 0;
  /// Send, FillSend: the frame is UTF-8 and travels as text.
  bool text = false;
  /// Send, FillSend: nothing else wants to leave through this channel, so that there is nothing to ask again for.
  bool last = false;
  /// Wait: the bufferedAmountLowThreshold that suits.
  std::uint64_t low = kLowAsItIs;
};

/// One piece of an incoming message. Pieces of one message come in order and are never interleaved with
/// pieces of another message of the same lane.
struct Delivery {
  Lane lane = Lane::Normal;
  Format format = 0;
  bool first = false;
  bool last = false;
  std::uint64_t total = 0;  ///< length of the whole message; known from the first piece on
  /// Where the piece begins in the frame given to receive().
  std::size_t frameOffset = 0;
  /// Not null: the piece is there instead, in a frame that came earlier; valid until the next call of any kind.
  const std::byte* data = nullptr;
  std::size_t length = 0;
  /// Not 0: these are bytes of that file (format kFormatTransferData), which come in order; first, last and total mean
  /// nothing then. The end is TransferEnded.
  TransferHandle transfer = 0;
  /// Not 0: these are the bytes of piece `piece`, from 0, of this message, which come in any order; `total` is how many
  /// pieces it has, and `last` says that all are there.
  std::uint32_t message = 0;
  std::uint32_t piece = 0;
};

enum class TransferState : std::uint8_t {
  Offered,  ///< waits for the receiver's accept or reject
  Active,
  Paused,
  Done,  ///< all bytes are in the receiving application's hands
  Rejected,
  Cancelled,
  Failed,
};

struct FramingEvent {
  enum class Kind : std::uint8_t {
    Room,         ///< hasRoom() became true again
    Delivered,    ///< `marker` and everything before it was acknowledged
    Signal,       ///< `text` is a signaling message that came in-band
    PeerHello,    ///< the other side's first frame on this channel came
    PeerClosing,  ///< the other side sends nothing more; everything it sent has been delivered; `text` its reason
    Closed,       ///< the close handshake is over (also by time-out): the link can go
    Violation,    ///< `marker` is the number of the rule that was broken (docs/protocol.md, "Violations"); close the
                  ///< connection
    TransferOffered,  ///< `transfer`, `name`, `mime`, `key`, `size`
    /// The source shall supply bytes [offset, offset+length) by transferPut(), in one or several calls; several reads
    /// may be open, their bytes are put in order. Fewer than length, then transferEnd(), is the end. With a declared
    /// size no read goes beyond it, and a last one of length 0 asks for the transferEnd() (a source with more bytes
    /// puts them, which fails the transfer on both sides).
    TransferRead,
    TransferState,     ///< `transfer`, `state`, `text` a reason; `error` when it is over and not Done
    TransferProgress,  ///< sender: `size` bytes are in the receiver's hands
    TransferEnded,     ///< receiver: the last byte was delivered; call transferConsumed() for all, then
                       ///< transferComplete(). `text` is the sender's digest in hexadecimal, or nothing
    Pong,              ///< the answer to ping(`marker`) came
    Stripes,           ///< the other side wishes that bulk is spread over `marker` channels
    Drained,           ///< PeerJS: the last frame left; the channel can be closed
    Dropped,           ///< PeerJS: the rest of Delivery::message `marker` did not come; its pieces can be forgotten
  };
  Kind kind = Kind::Room;
  std::uint32_t marker = 0;
  TransferHandle transfer = 0;
  enum TransferState state = TransferState::Offered;
  ErrorCode error = ErrorCode::Cancelled;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::optional<std::uint64_t> size;
  std::string name;
  std::string mime;
  std::string key;
  std::string text;
};

struct FramingStats {
  std::uint64_t framesSent = 0, framesReceived = 0;
  std::uint64_t bytesSent = 0, bytesReceived = 0;  ///< frame bytes, replays included
  std::uint64_t messagesSent = 0, messagesReceived = 0;
  std::uint64_t framesReplayed = 0, duplicatesDropped = 0;
  std::uint64_t queuedBytes = 0, unackedBytes = 0;
};

/// Each call is documented where it is first implemented: see Framing, and PeerJsWire for what differs there.
class Wire {
 public:
  virtual void attach(std::size_t maxMessageSize, Millis now) = 0;
  virtual void detach() = 0;
  [[nodiscard]] virtual bool attached() const = 0;

  [[nodiscard]] virtual Ticket queue(Lane lane, Format format, std::uint64_t length) = 0;
  virtual bool withdraw(Ticket ticket) = 0;
  [[nodiscard]] virtual bool hasRoom() const = 0;
  [[nodiscard]] virtual std::uint32_t mark() = 0;
  [[nodiscard]] virtual std::uint64_t acknowledged(Lane lane) const = 0;

  [[nodiscard]] virtual Action next(std::uint64_t bufferedAmount, Millis now, Slot slot) = 0;
  virtual void unsend() = 0;
  [[nodiscard]] virtual bool wantsTransmit() const = 0;
  [[nodiscard]] virtual std::optional<Delivery> delivery() = 0;

  virtual void close(std::string_view reason, Millis now) = 0;
  [[nodiscard]] virtual bool closing() const = 0;
  virtual void abort(std::string_view reason, ErrorCode error) = 0;

  [[nodiscard]] virtual std::optional<FramingEvent> poll() = 0;
  [[nodiscard]] virtual Millis deadline() const = 0;
  virtual void timeout(Millis now) = 0;
  [[nodiscard]] virtual Millis lastHeard() const = 0;
  [[nodiscard]] virtual FramingStats stats() const = 0;

 protected:
  Wire() = default;
  Wire(const Wire&) = default;
  Wire(Wire&&) = default;
  Wire& operator=(const Wire&) = default;
  Wire& operator=(Wire&&) = default;
  // Nobody owns one by this type.
  ~Wire() = default;
};

}  // namespace peerbridge
