// Where outputs wait for poll(), and where handles come from. One per endpoint, shared by everything in it.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "peerbridge/events.hpp"

namespace peerbridge {

class Outbox {
 public:
  void push(Output output) { outputs_.push_back(std::move(output)); }

  [[nodiscard]] std::optional<Output> pop() {
    if (outputs_.empty()) return std::nullopt;
    Output output = std::move(outputs_.front());
    outputs_.pop_front();
    return output;
  }

  /// Ops, links and transports count up; connection, channel and transfer handles of the core are even.
  [[nodiscard]] Op nextOp() { return ++op_; }
  [[nodiscard]] LinkHandle nextLink() { return ++link_; }
  [[nodiscard]] std::uint32_t nextTransport() { return ++transport_; }
  [[nodiscard]] ChannelHandle nextChannel() { return channel_ += 2; }
  [[nodiscard]] ConnectionHandle nextConnection() { return connection_ += 2; }

 private:
  std::deque<Output> outputs_;
  Op op_ = 0;
  LinkHandle link_ = 0;
  std::uint32_t transport_ = 0;
  ChannelHandle channel_ = 0;
  ConnectionHandle connection_ = 0;
};

}  // namespace peerbridge
