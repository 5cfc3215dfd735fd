// One Peer: the whole core behind four calls and a data border.
//
//   (A) handle(input, now)         the world or the application did something
//   (B) poll()                     what shall be done or told; call until it answers nothing
//   (C) deadline()                 when to call handle() a Timeout at the latest, if nothing else happens before
//   (D) put … delivery             payload bytes; after each of them call (B) and (C) too
//
// Rule: one call of A or D, then drain B, then arm one timer for C. The endpoint has no clock, no randomness and no
// callbacks; nothing it is told can make it abort. It is not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "framing/framing.hpp"
#include "peerbridge/config.hpp"
#include "peerbridge/events.hpp"

namespace peerbridge {

/// A Delivery of one of the endpoint's connections.
struct ConnectionDelivery {
  ConnectionHandle connection = 0;
  Delivery delivery;
};

class Endpoint {
 public:
  Endpoint(const Config& config, const FramingConfig& framing);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  Endpoint(Endpoint&&) = delete;
  Endpoint& operator=(Endpoint&&) = delete;

  /// What `input` holds may be moved from.
  void handle(Input& input, Millis now);
  [[nodiscard]] std::optional<Output> poll();
  /// poll() would answer something.
  [[nodiscard]] bool hasOutput() const;
  /// kNever when there is none.
  [[nodiscard]] Millis deadline() const;

  /// What carries the messages of a connection, for queue(), hasRoom(), mark(); null when there is none (unknown
  /// handle, not negotiated yet, closed).
  [[nodiscard]] Wire* wire(ConnectionHandle connection);
  /// The same where it is the native protocol, for put(), hold() and transferPut(); null with PeerJS.
  [[nodiscard]] Framing* framing(ConnectionHandle connection);

  /// See Framing::next(). `channel` is one that was bound to the connection (ChannelBind, StripeBind).
  [[nodiscard]] Action pump(ConnectionHandle connection, ChannelHandle channel, std::uint64_t bufferedAmount,
                            Millis now);

  /// One message of a channel. Frames of unknown channels are ignored.
  void receive(ChannelHandle channel, std::span<const std::byte> frame, Millis now) {
    receive(channel, frame, frame.size(), false, now);
  }
  /// The same: `frame` may be only the beginning of it, which has `length` bytes; `text` says that it came as text.
  void receive(ChannelHandle channel, std::span<const std::byte> frame, std::size_t length, bool text, Millis now);
  /// Whether that will look at nothing behind the first kHeadBytes of `frame`, whatever they are.
  [[nodiscard]] bool needsOnlyTheHead(ChannelHandle channel, std::span<const std::byte> frame) const;
  /// The pieces of messages in the frame given last.
  [[nodiscard]] std::optional<ConnectionDelivery> delivery();

  /// Connections that are not closed; for tests and leak checks.
  [[nodiscard]] std::size_t connectionCount() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace peerbridge
