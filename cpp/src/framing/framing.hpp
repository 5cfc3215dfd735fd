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

#include "framing/wire.hpp"
#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

class Framing final : public Wire {
 public:
  explicit Framing(const FramingConfig& config);
  ~Framing();
  Framing(Framing&&) noexcept;
  Framing& operator=(Framing&&) noexcept;

  // -- channel -------------------------------------------------------------------------------------
  /// An open channel carries this connection from now on. HELLO goes first, then, once the peer's HELLO
  /// told what arrived, the replay of what did not (at once on the very first channel).
  void attach(std::size_t maxMessageSize, Millis now) override;
  /// The channel is gone. What is unacknowledged is kept; next() says Wait until attach().
  void detach() override;
  [[nodiscard]] bool attached() const override;
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
  /// 0). 0 when refused (closing, or not a lane and format for messages), kTooBig above maxMessageBytes.
  [[nodiscard]] Ticket queue(Lane lane, Format format, std::uint64_t length) override;
  /// The caller cannot supply the bytes of `ticket` any more. Before its first piece left: the message is dropped,
  /// true. Afterwards it cannot be taken back: false.
  bool withdraw(Ticket ticket) override;
  [[nodiscard]] bool hasRoom() const override;
  /// Marks everything put or queued so far; a Delivered event with the returned marker follows when it is acknowledged
  /// (at once if nothing is pending).
  [[nodiscard]] std::uint32_t mark() override;

  /// Messages of this lane (not File) that the other side acknowledged or that were withdrawn, since the beginning.
  /// Messages of a lane are acknowledged in the order of put() and queue(), so after the final close this says which
  /// were not.
  [[nodiscard]] std::uint64_t acknowledged(Lane lane) const override;
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
  /// Receiver: so many more bytes are safe in the sink. Opens the window.
  bool transferConsumed(TransferHandle transfer, std::uint64_t length, Millis now);
  /// Receiver, after TransferEnded: the sink is closed; tells the sender Done. When `digest`, that of what came, and
  /// the sender's are both known and differ, the transfer is Failed on both sides instead.
  bool transferComplete(TransferHandle transfer, std::string_view digest = {});

  // -- pump ----------------------------------------------------------------------------------------
  /// What to do for the channel of `slot`, whose bufferedAmount is given; every channel has its turn. A Fill is
  /// completed before another slot is asked for.
  [[nodiscard]] Action next(std::uint64_t bufferedAmount, Millis now, Slot slot = 0) override;
  /// The frame of the last Send action was not taken by the channel; it comes again.
  void unsend() override;
  /// True when next() would not say Wait for one of the channels if its buffer were empty: the endpoint turns this into
  /// a `transmit` output.
  [[nodiscard]] bool wantsTransmit() const override;

  // -- receiving -----------------------------------------------------------------------------------
  /// One frame of a channel; it has to stay where it is until delivery() is empty. Ignored when detached.
  void receive(std::span<const std::byte> frame, Millis now, Slot slot = 0);
  /// Whether receive() will look at nothing behind the first kHeadBytes of this frame: it is the next one and holds one
  /// piece. Then whoever hands it over need not copy the rest.
  [[nodiscard]] bool needsOnlyTheHead(std::span<const std::byte> frame) const;
  [[nodiscard]] std::optional<Delivery> delivery() override;

  // -- control -------------------------------------------------------------------------------------
  /// Sends a signaling message in-band, at the front. False when not attached, closing, or longer than a frame may be.
  /// Not replayed: what has not left when the channel goes is dropped.
  bool signal(std::string_view json);
  /// No more messages; what is queued still goes, then the close handshake; Closed follows in closeTimeout at the
  /// latest after the queue is empty, and in at most 5 × closeTimeout altogether. Unfinished transfers are cancelled.
  /// Closed comes at once when nothing was ever attached and nothing waits.
  void close(std::string_view reason, Millis now) override;
  /// close() while the path is down: the other side has 5 × closeTimeout to answer, whatever the channel took.
  void closeThroughTheNextPath(std::string_view reason, Millis now);
  [[nodiscard]] bool closing() const override;
  /// Something was sent and not acknowledged yet.
  [[nodiscard]] bool waits() const;
  /// The connection is over and there will be no other channel: unfinished transfers become Failed with this reason and
  /// error, and the object is inert from now on (poll() and acknowledged() still answer).
  void abort(std::string_view reason, ErrorCode error = ErrorCode::ConnectionLost) override;
  /// Asks the other side for a sign of life; a Pong event with `marker` == token follows. Not replayed. False when not
  /// attached.
  bool ping(std::uint32_t token);

  [[nodiscard]] std::optional<FramingEvent> poll() override;
  /// kNever when there is none.
  [[nodiscard]] Millis deadline() const override;
  void timeout(Millis now) override;

  /// When the last frame of the peer came; kNever before the first.
  [[nodiscard]] Millis lastHeard() const override;
  [[nodiscard]] FramingStats stats() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace peerbridge
