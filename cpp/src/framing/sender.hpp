// Outgoing DATA frames: which message goes next, what shares a frame, and what is kept until it is acknowledged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ring.hpp"
#include "framing/arena.hpp"
#include "framing/frame.hpp"
#include "framing/framing.hpp"
#include "framing/pace.hpp"
#include "framing/transfer.hpp"

namespace peerbridge {

inline constexpr Slot kNoSlot = 0xff;

/// What the two streams of a connection have acknowledged, or what was received on them.
using Seqs = std::array<std::uint64_t, kStreamCount>;

/// Complete frames of one stream that the other side has not acknowledged, and the one that is being written.
class Replay {
 public:
  struct Frame {
    std::byte* data = nullptr;
    std::uint32_t length = 0;
    Lane lane = Lane::Normal;
    Slot via = kNoSlot;  ///< the channel it was handed to; none: it has to be sent
    bool wasSent = false;
    std::uint64_t framed = 0;         ///< messages of `lane` up to its end, since the beginning
    std::uint64_t received = 0;       ///< what it acknowledges,
    std::uint64_t receivedBytes = 0;  ///< and how many bytes that were, since the beginning
  };

  /// Room for the next frame. Then close().
  [[nodiscard]] std::byte* open(std::size_t capacity) { return arena_.reserve(capacity); }
  void close(Frame frame);

  /// The seq that the next open() is for.
  [[nodiscard]] std::uint64_t nextSeq() const { return acknowledged_ + frames_.size() + 1; }
  [[nodiscard]] std::uint64_t acknowledgedSeq() const { return acknowledged_; }
  /// The highest seq that was ever handed to a channel.
  [[nodiscard]] std::uint64_t sentSeq() const { return sent_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t count() const { return frames_.size(); }

  /// The next frame for a channel, or null: what was lost with another channel first.
  [[nodiscard]] const Frame* pending() const;
  /// pending() is handed to a channel. True when it had been before.
  bool send(Slot slot);
  /// The frame that was handed over last comes again; `wasSent` is what send() said.
  void unsend(bool wasSent);
  /// The channel is gone: what was handed to it has to be sent again.
  void lose(Slot slot);
  /// The oldest frame is acknowledged. Before: there is one.
  Frame pop();

 private:
  [[nodiscard]] std::size_t nextIndex() const;

  Ring<Frame> frames_;
  Arena arena_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t bytes_ = 0;
  std::size_t cursor_ = 0;  ///< the first that was never sent
  std::size_t lost_ = 0;    ///< before it, those to be sent again
  std::size_t last_ = 0;    ///< the one that was sent last
};

class Sender {
 public:
  Sender(const FramingConfig& config, Transfers& transfers, FramingStats& stats)
      : config_(config), transfers_(transfers), stats_(stats) {}

  // -- messages: as in Framing -----------------------------------------------------------------------
  [[nodiscard]] std::span<std::byte> put(Lane lane, Format format, std::size_t length, bool& accepted);
  [[nodiscard]] Ticket queue(Lane lane, Format format, std::uint64_t length);
  bool withdraw(Ticket ticket);
  [[nodiscard]] Ticket newTicket();
  [[nodiscard]] std::uint64_t queuedBytes() const { return queuedBytes_; }
  [[nodiscard]] bool hasRoom() const { return !full_; }
  /// True once after hasRoom() became true.
  [[nodiscard]] bool takeRoom();
  [[nodiscard]] std::uint32_t mark();
  /// The next marker that was acknowledged, or 0.
  [[nodiscard]] std::uint32_t takeDelivered();
  [[nodiscard]] std::uint64_t acknowledged(Lane lane) const {
    return lanes_[static_cast<std::size_t>(lane) % lanes_.size()].acknowledged;
  }

  // -- pump ------------------------------------------------------------------------------------------
  struct Pass {
    Slot slot = 0;
    std::size_t frameLimit = 0;  ///< no frame is longer
    Seqs received{};             ///< what frames acknowledge on the way
    Seqs receivedBytes{};
    bool highOnly = false;  ///< the channel's buffer is full enough
    bool talk = false;      ///< interactive()
    Millis now = 0;
  };
  /// The next Fill, Send or FillSend of a DATA or BULK frame; Wait when there is none. `sent` is the frame of a Send,
  /// which comes again until send().
  [[nodiscard]] Action step(const Pass& pass, const Replay::Frame*& sent);
  /// A frame is being written: step() completes it first.
  [[nodiscard]] bool filling() const { return open_.data != nullptr; }
  /// step() would not say Wait.
  [[nodiscard]] bool wants(Slot slot, std::size_t frameLimit, bool highOnly) const;
  /// Nothing waits and everything was handed to the channel.
  [[nodiscard]] bool drained() const;
  /// What the browser's buffer needs to hold: see Rate.
  [[nodiscard]] std::uint64_t reserve() const { return rate_.reserve(); }
  /// How long frames of what is large may be while nobody talks, where none is longer than `frameLimit`.
  [[nodiscard]] std::size_t largeFrame(std::size_t frameLimit) const;
  /// High or Normal were used within the last second.
  [[nodiscard]] bool interactive(Millis now) const { return used(Lane::High, now) || used(Lane::Normal, now); }

  // -- channel ---------------------------------------------------------------------------------------
  [[nodiscard]] const Replay& replay(Stream stream) const { return replays_[index(stream)]; }
  [[nodiscard]] std::uint64_t unackedBytes() const { return replays_[0].bytes() + replays_[1].bytes(); }
  /// The frame of a Send is handed over. True when it had been before.
  bool send(Lane lane, Slot slot, Millis now);
  void unsend(Lane lane, bool wasSent) { replayOf(lane).unsend(wasSent); }
  /// The channel is gone: completes the frame that is being written, and sends what it carried again.
  void detach(Slot slot);
  /// False when there was nothing with that seq to acknowledge. Lower than before is harmless.
  [[nodiscard]] bool acknowledge(Stream stream, std::uint64_t seq, Millis now);
  /// How many bytes of a stream may be unacknowledged; the other side grants it.
  void grant(std::uint64_t bytes) { granted_ = bytes; }
  /// So many channels share Bulk and File.
  void widen(std::size_t channels) { channels_ = channels; }
  [[nodiscard]] std::size_t channels() const { return channels_; }

 private:
  struct Message {
    std::uint64_t length = 0;
    std::uint64_t sent = 0;
    std::byte* data = nullptr;  ///< inline messages
    Ticket ticket = 0;          ///< the others
    Format format = 0;
    bool withdrawn = false;  ///< only its place is left
  };
  struct LaneQueue {
    Ring<Message> messages;
    Arena bytes;
    std::uint64_t pendingBytes = 0;
    std::size_t pendingMessages = 0;  ///< without withdrawn ones
    std::uint64_t added = 0;
    std::uint64_t framed = 0;  ///< completely in frames, or withdrawn
    std::uint64_t acknowledged = 0;
    std::size_t frames = 0;  ///< complete and unacknowledged
  };
  struct OpenFrame {
    std::byte* data = nullptr;
    std::size_t capacity = 0;
    std::size_t used = 0;
    std::size_t header = 0;
    std::uint64_t received = 0;
    std::uint64_t receivedBytes = 0;
    Lane lane = Lane::Normal;
  };
  struct Marker {
    std::uint32_t id = 0;
    std::array<std::uint64_t, kLaneCount> targets{};
    Seqs seqs{};  ///< of the frames that complete it; known for the first settled_ markers
  };

  [[nodiscard]] static std::size_t index(Lane lane) { return static_cast<std::size_t>(lane); }
  [[nodiscard]] static std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }
  [[nodiscard]] Replay& replayOf(Lane lane) { return replays_[index(streamOf(lane))]; }
  [[nodiscard]] LaneQueue& queueOf(Lane lane) { return lanes_[index(lane)]; }
  [[nodiscard]] const LaneQueue& queueOf(Lane lane) const { return lanes_[index(lane)]; }
  [[nodiscard]] bool used(Lane lane, Millis now) const;
  [[nodiscard]] bool hasWork(Lane lane) const;
  [[nodiscard]] std::size_t estimate(Lane lane, std::size_t frameLimit) const;
  [[nodiscard]] bool isLarge(Lane lane) const;
  [[nodiscard]] bool isPaced(Lane lane) const;
  [[nodiscard]] bool fits(Lane lane, std::size_t frameLimit) const;
  [[nodiscard]] std::optional<Lane> choose(Slot slot, std::size_t frameLimit) const;
  [[nodiscard]] bool openIsFull() const;
  [[nodiscard]] std::size_t shortFrame(std::size_t frameLimit) const;
  [[nodiscard]] std::size_t capacityFor(Lane lane, std::size_t frameLimit) const;
  void begin(Lane lane, const Pass& pass);
  bool addMessage(Action& action, Millis now);
  bool addTransfer(Action& action);
  void closeFrame();
  void add(Lane lane, Message message);
  void popMessage(LaneQueue& queue);
  void dropWithdrawn(LaneQueue& queue);
  void leaveQueue(LaneQueue& queue, std::uint64_t bytes);
  void noteAcknowledged(Lane lane);
  void settleMarkers();
  [[nodiscard]] bool openHasBytes() const { return filling() && open_.used > open_.header; }

  const FramingConfig& config_;
  Transfers& transfers_;
  FramingStats& stats_;
  std::array<LaneQueue, kLaneCount> lanes_;
  std::array<Replay, kStreamCount> replays_;
  OpenFrame open_;
  Ring<Marker> markers_;
  std::size_t settled_ = 0;
  std::uint32_t lastMarker_ = 0;
  Ticket lastTicket_ = 0;
  std::uint64_t granted_ = 0;
  std::array<Pace, kStreamCount> paces_;
  Rate rate_;  ///< of both
  std::size_t channels_ = 1;
  std::uint64_t queuedBytes_ = 0;
  std::uint64_t inlineBytes_ = 0;
  bool full_ = false;
  bool roomEvent_ = false;
  // Stride scheduling among Normal, Bulk and File: the lane with the lowest pass is next.
  std::array<std::uint64_t, kLaneCount> pass_{};
  std::array<bool, kLaneCount> busy_{};
  std::uint64_t clock_ = 0;
  std::array<std::optional<Millis>, kLaneCount> lastUsed_{};
};

}  // namespace peerbridge
