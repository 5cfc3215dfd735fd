// Files, both ways: docs/protocol.md, "Transfers". Decides what the File lane carries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ring.hpp"
#include "framing/frame.hpp"
#include "framing/framing.hpp"
#include "peerbridge/error.hpp"

namespace peerbridge {

/// First byte of a transfer control message. Ops of the file's sender and of its receiver have each their own ids.
enum class TransferOp : std::uint8_t {
  Offer = 0x01,
  End = 0x02,
  Stop = 0x03,
  Pause = 0x04,
  Resume = 0x05,
  Accept = 0x11,
  Window = 0x12,
  ReceiverStop = 0x13,
  ReceiverPause = 0x14,
  ReceiverResume = 0x15,
  Done = 0x16,
};

enum class StopCode : std::uint8_t { Cancelled = 0, Failed = 1, Rejected = 2, Closed = 3 };

/// How many transfers of one direction may be offered and unfinished at once.
inline constexpr std::size_t kMaxOffers = 256;
inline constexpr std::size_t kMaxTransferName = 768;
inline constexpr std::size_t kMaxTransferMime = 256;
inline constexpr std::size_t kMaxTransferKey = 128;
/// SHA-256.
inline constexpr std::size_t kDigestBytes = 32;

class Transfers {
 public:
  explicit Transfers(const FramingConfig& config);
  ~Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  // -- the application: as in Framing ----------------------------------------------------------------
  bool offer(TransferHandle handle, std::string name, std::string mime, std::optional<std::uint64_t> size,
             std::string key);
  bool accept(TransferHandle handle, std::uint64_t from);
  bool reject(TransferHandle handle, std::string_view reason);
  bool pause(TransferHandle handle);
  bool resume(TransferHandle handle);
  bool cancel(TransferHandle handle, std::string_view reason);
  bool put(TransferHandle handle, std::uint64_t length, Ticket ticket);
  bool end(TransferHandle handle, std::string_view digest);
  bool consumed(TransferHandle handle, std::uint64_t length, Millis now);
  bool complete(TransferHandle handle, std::string_view digest);
  /// Cancels all that is unfinished, and tells the other side.
  void cancelAll(std::string_view reason);
  /// Everything unfinished is Failed, because of `error`; nothing is sent any more.
  void abort(std::string_view reason, ErrorCode error);

  [[nodiscard]] std::optional<FramingEvent> poll();

  // -- outgoing --------------------------------------------------------------------------------------
  [[nodiscard]] bool hasControl() const { return maybeControl_ && anyControl(); }
  [[nodiscard]] bool hasData() const { return maybeData_ && anyData(); }
  /// Bytes that were put and are not in a frame yet.
  [[nodiscard]] std::uint64_t queuedBytes() const { return queuedBytes_; }

  struct Piece {
    std::size_t head = 0;  ///< bytes written
    std::size_t fill = 0;  ///< bytes that the source of `ticket` copies behind them, from `offset`
    Ticket ticket = 0;
    std::uint64_t offset = 0;
  };
  /// Writes the next message of the File lane, or the head of it. False when nothing (more) fits or waits.
  bool emit(std::span<std::byte> space, Piece& piece);

  // -- incoming --------------------------------------------------------------------------------------
  [[nodiscard]] Wrong control(std::span<const std::byte> message);
  /// Takes a data message. `handle` is 0 when its bytes are to be dropped; otherwise they begin at `offset`.
  [[nodiscard]] Wrong data(std::span<const std::byte> message, TransferHandle& handle, std::size_t& offset);

 private:
  struct Transfer;
  using Slot = std::unique_ptr<Transfer>;

  [[nodiscard]] Transfer* find(TransferHandle handle) const;
  [[nodiscard]] Transfer* findRunning(TransferHandle handle) const;
  void setState(Transfer& transfer, TransferState state, std::string_view reason);
  void stop(Transfer& transfer, TransferState state, ErrorCode error, std::string_view reason);
  void finish(Transfer& transfer, TransferState state, ErrorCode error, std::string_view reason);
  void updatePaused(Transfer& transfer);
  void want(Transfer& transfer, unsigned control);
  void freeOffer(Transfer& transfer);
  void promote();
  [[nodiscard]] bool sendable(const Transfer& transfer) const;
  [[nodiscard]] bool anyControl() const;
  [[nodiscard]] bool anyData() const;
  void writeControl(Transfer& transfer, ByteWriter& writer);
  bool emitControl(Transfer& transfer, std::span<std::byte> space, Piece& piece);
  bool emitData(Transfer& transfer, std::span<std::byte> space, Piece& piece);
  [[nodiscard]] std::optional<FramingEvent> eventOf(Transfer& transfer, std::uint64_t readLength);
  [[nodiscard]] Wrong offered(ByteReader& reader, std::uint64_t id);
  [[nodiscard]] Wrong fromSender(Transfer& transfer, TransferOp op, ByteReader& reader);
  [[nodiscard]] Wrong fromReceiver(Transfer& transfer, TransferOp op, ByteReader& reader);
  [[nodiscard]] Wrong stopped(Transfer& transfer, ByteReader& reader);

  std::uint64_t window_;
  std::uint64_t readBytes_;
  std::vector<Slot> transfers_;          // in the order of their offers, per direction
  std::vector<TransferHandle> waiting_;  // own offers beyond kMaxOffers, oldest first
  std::size_t openOffers_ = 0;           // own, on the wire, as the peer counts them at most
  std::size_t openIncoming_ = 0;
  TransferHandle lastOwn_ = 0;
  TransferHandle lastIncoming_ = 0;
  std::size_t roundRobin_ = 0;
  std::uint64_t queuedBytes_ = 0;
  // False means that a search would find nothing; true that it may.
  bool maybeControl_ = false;
  bool maybeData_ = false;
  bool maybeEvents_ = false;
};

}  // namespace peerbridge
