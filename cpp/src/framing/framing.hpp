// The data border of one connection: messages in, frames out, and back. Bytes: docs/protocol.md, "Frames".
//
// Who calls: Endpoint, for every connection whose peer speaks the native protocol.
//
//  sending      put()/queue() take messages; next() tells the caller what to do until it says Wait
//  receiving    receive() takes one frame; then delivery() until it is empty yields the pieces of messages in it
//               (transfer control messages are handled on the way); then poll()
//  the rest     poll() yields events; deadline()/timeout() drive acknowledgements and the close handshake
//
// What holds: frames with messages are numbered and kept until the other side acknowledges them, so a new channel
// (attach() again) replays exactly what is missing. High and Normal are one stream of frames, Bulk and File another,
// which may share several channels (attachStripe()) and is put back in order. Memory is bounded by FramingConfig.
// Hostile frames lead to one Violation event, after which the object is inert; they never abort and never allocate more
// than the frame itself is long, apart from fixed bookkeeping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
inline constexpr Format kFormatTransferControl = 8;
inline constexpr Format kFormatTransferData = 9;
inline constexpr Format kFormatRequest = 10;
inline constexpr Format kFormatResponse = 11;

struct FramingConfig {
  /// Largest frame that is sent (the channel and the peer may lower that) and accepted (never below 16 KiB).
  std::size_t maxFrameBytes = 65'536;
  /// Frame size of Bulk and File while High, or Normal messages up to 16 KiB, were used within the last second.
  std::size_t interactiveFrameBytes = 16'384;
  /// next() says Wait while the channel's bufferedAmount is at or above this (High and control frames: twice this).
  std::uint64_t highWaterBytes = 262'144;
  /// highWaterBytes doubles up to here when the channel ran dry between two calls of next().
  std::uint64_t maxHighWaterBytes = 1'048'576;
  /// In place of both for the time that High, or Normal messages up to 16 KiB, are in use: what is in the channel is
  /// what they wait behind.
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
  /// An ACK leaves at the latest after this many received frame bytes, four times as many in the middle of a message or
  /// of a file,
  std::uint64_t ackBytes = 131'072;
  /// or after this many milliseconds, four times as many there.
  Millis ackDelay = 20;
  /// How long close() waits for the other side.
  Millis closeTimeout = 2'000;
  /// File bytes that may be on their way beyond what the receiver consumed, for each transfer.
  std::uint64_t transferWindowBytes = 1'048'576;
  /// Length of one TransferRead; four are under way (of less bytes when many transfers run at once).
  std::uint64_t transferReadBytes = 131'072;
};

/// Identifies one queued message or transfer piece towards the caller. 0 is none.
using Ticket = std::uint32_t;

enum class ActionKind : std::uint8_t {
  Wait,      ///< nothing to do until put(), queue(), receive(), a lower bufferedAmount or the deadline
  Fill,      ///< copy `length` bytes of the message `ticket`, from `offset`, to `data`; then call next() again
  Send,      ///< hand `frame` to RTCDataChannel.send(); then call next() again, or unsend() if it threw
  FillSend,  ///< both, one after the other
};

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
  /// Wait: the bufferedAmountLowThreshold that suits; 0: as it is.
  std::uint64_t low = 0;
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

class Framing {
 public:
  explicit Framing(const FramingConfig& config);
  ~Framing();
  Framing(Framing&&) noexcept;
  Framing& operator=(Framing&&) noexcept;

  // -- channel -------------------------------------------------------------------------------------
  /// An open channel carries this connection from now on. HELLO goes first, then, once the peer's HELLO
  /// told what arrived, the replay of what did not (at once on the very first channel).
  void attach(std::size_t maxMessageSize, Millis now);
  /// The channel is gone. What is unacknowledged is kept; next() says Wait until attach().
  void detach();
  [[nodiscard]] bool attached() const;
  /// Another channel of the same two sides carries Bulk and File, too. `slot` is 1 to 7. Nothing happens when its
  /// messages may not be as long as those of the first.
  void attachStripe(Slot slot, std::size_t maxMessageSize);
  /// Nothing goes there any more, and what went there is sent again. What still comes from there is welcome.
  void detachStripe(Slot slot);
  /// Asks the other side, which makes the channels, to spread bulk over so many; asked again on every new channel.
  void askStripes(std::uint32_t count);
  /// Both sides said HELLO on this channel.
  [[nodiscard]] bool greeted() const;

  // -- messages ------------------------------------------------------------------------------------
  /// A message of at most inlineBytes; the caller fills the span at once. Empty when refused (too long, too much
  /// waiting, closing). A zero-length message succeeds with an empty span too: `accepted` tells.
  [[nodiscard]] std::span<std::byte> put(Lane lane, Format format, std::size_t length, bool& accepted);
  /// A message of any length whose bytes stay with the caller and are fetched piece by piece by Fill (never for length
  /// 0). 0 when refused (closing, above maxMessageBytes, or not a lane and format for messages).
  [[nodiscard]] Ticket queue(Lane lane, Format format, std::uint64_t length);
  /// The caller cannot supply the bytes of `ticket` any more. Before its first piece left: the message is dropped,
  /// true. Afterwards it cannot be taken back: false.
  bool withdraw(Ticket ticket);
  [[nodiscard]] bool hasRoom() const;
  /// Marks everything put or queued so far; a Delivered event with the returned marker follows when it is acknowledged
  /// (at once if nothing is pending).
  [[nodiscard]] std::uint32_t mark();

  /// Messages of this lane (not File) that the other side acknowledged or that were withdrawn, since the beginning.
  /// Messages of a lane are acknowledged in the order of put() and queue(), so after the final close this says which
  /// were not.
  [[nodiscard]] std::uint64_t acknowledged(Lane lane) const;
  /// The application does not read: while held, nothing is acknowledged, so the other side stops after windowBytes.
  void hold(bool held, Millis now);

  // -- transfers (files) ---------------------------------------------------------------------------
  // Every call is false (or 0) and changes nothing when the transfer is unknown, finished, or not in a state for it.
  /// Offers a file; `size` absent when unknown. `transfer` is odd and above every earlier one. False when closing or
  /// not so. Of name, mime and key at most 768, 256 and 128 bytes travel. At most 256 offers are open at the peer;
  /// later ones wait here.
  bool offer(TransferHandle transfer, std::string name, std::string mime, std::optional<std::uint64_t> size,
             std::string key = {});
  /// Receiver. The first `from` bytes are there already: the sender begins behind them, and they count as consumed.
  /// False when the file is not that long.
  bool accept(TransferHandle transfer, std::uint64_t from = 0);
  bool reject(TransferHandle transfer, std::string_view reason);  ///< receiver
  bool pause(TransferHandle transfer);                            ///< either side
  bool resume(TransferHandle transfer);                           ///< the side that paused
  bool cancel(TransferHandle transfer, std::string_view reason);  ///< either side, any time before Done
  /// Sender: `length` bytes (not 0), the answer to a TransferRead, are ready and will be fetched by Fill under the
  /// returned ticket. 0: refused, the bytes are not needed (finished), or the declared size is exceeded (then the
  /// transfer has failed).
  [[nodiscard]] Ticket transferPut(TransferHandle transfer, std::uint64_t length);
  /// Sender: the source has no more bytes; fewer than declared: Failed. `digest` is the SHA-256 of the whole file
  /// (docs/protocol.md) in hexadecimal, or nothing.
  bool transferEnd(TransferHandle transfer, std::string_view digest = {});
  bool transferConsumed(TransferHandle transfer,
                        std::uint64_t length);  ///< receiver: so many more bytes are safe in the sink; opens the window
  /// Receiver, after TransferEnded: the sink is closed; tells the sender Done. When `digest`, that of what came, and
  /// the sender's are both known and differ, the transfer is Failed on both sides instead.
  bool transferComplete(TransferHandle transfer, std::string_view digest = {});

  // -- pump ----------------------------------------------------------------------------------------
  /// What to do for the channel of `slot`, whose bufferedAmount is given; every channel has its turn. A Fill is
  /// completed before another slot is asked for.
  [[nodiscard]] Action next(std::uint64_t bufferedAmount, Millis now, Slot slot = 0);
  /// The frame of the last Send action was not taken by the channel; it comes again.
  void unsend();
  /// True when next() would not say Wait for one of the channels if its buffer were empty: the endpoint turns this into
  /// a `transmit` output.
  [[nodiscard]] bool wantsTransmit() const;

  // -- receiving -----------------------------------------------------------------------------------
  /// One frame of a channel; it has to stay where it is until delivery() is empty. Ignored when detached.
  void receive(std::span<const std::byte> frame, Millis now, Slot slot = 0);
  [[nodiscard]] std::optional<Delivery> delivery();

  // -- control -------------------------------------------------------------------------------------
  /// Sends a signaling message in-band, at the front. False when not attached, closing, or longer than a frame may be.
  /// Not replayed: what has not left when the channel goes is dropped.
  bool signal(std::string_view json);
  /// No more messages; what is queued still goes, then the close handshake; Closed follows in closeTimeout at the
  /// latest after the queue is empty, and in at most 5 × closeTimeout altogether. Unfinished transfers are cancelled.
  /// Closed comes at once when nothing was ever attached and nothing waits.
  void close(std::string_view reason, Millis now);
  [[nodiscard]] bool closing() const;
  /// The connection is over and there will be no other channel: unfinished transfers become Failed with this reason and
  /// error, and the object is inert from now on (poll() and acknowledged() still answer).
  void abort(std::string_view reason, ErrorCode error = ErrorCode::ConnectionLost);
  /// Asks the other side for a sign of life; a Pong event with `marker` == token follows. Not replayed. False when not
  /// attached.
  bool ping(std::uint32_t token);

  [[nodiscard]] std::optional<FramingEvent> poll();
  /// kNever when there is none.
  [[nodiscard]] Millis deadline() const;
  void timeout(Millis now);

  /// When the last frame of the peer came; kNever before the first.
  [[nodiscard]] Millis lastHeard() const;
  [[nodiscard]] FramingStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace peerbridge
