// Signaling messages that wait for the server, in order, each handed out once.
//
// Who calls: Endpoint. It pushes while the server is away, takes everything once it is back, asks expire() when
// deadline() is due, and drops what belongs to a connection that closed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "peerbridge/types.hpp"

namespace peerbridge {

class SignalQueue {
 public:
  /// The bounds: room for an OFFER and a few batches of candidates of every connection that a page can have.
  static constexpr std::size_t kMaxMessages = 2'048;
  static constexpr std::size_t kMaxBytes = std::size_t{8} * 1024 * 1024;

  struct Entry {
    ConnectionHandle connection = 0;
    std::string text;
    Millis expiresAt = 0;
  };

  explicit SignalQueue(std::size_t maxMessages = kMaxMessages, std::size_t maxBytes = kMaxBytes)
      : maxMessages_(maxMessages), maxBytes_(maxBytes) {}

  /// False when full; then nothing changed and the message is lost to the caller: tell its connection.
  [[nodiscard]] bool push(ConnectionHandle connection, std::string&& text, Millis expiresAt);
  /// The oldest message leaves the queue.
  [[nodiscard]] std::optional<Entry> take();
  /// Messages whose time is over (expiresAt ≤ now) leave; the connections they belonged to, each once, oldest first.
  /// What else those connections have queued stays: drop() it if they give up.
  [[nodiscard]] std::vector<ConnectionHandle> expire(Millis now);
  /// The connection closed: its messages leave.
  void drop(ConnectionHandle connection);
  void clear();

  /// When the next message expires; kNever when there is none.
  [[nodiscard]] Millis deadline() const;
  [[nodiscard]] bool empty() const { return front_ == entries_.size(); }
  [[nodiscard]] std::size_t size() const { return entries_.size() - front_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  template <class Predicate>
  void removeIf(Predicate predicate);

  std::size_t maxMessages_;
  std::size_t maxBytes_;
  std::size_t bytes_ = 0;
  std::vector<Entry> entries_;  ///< those before front_ have left already
  std::size_t front_ = 0;
};

}  // namespace peerbridge
