// Where outputs wait for poll(), and where handles come from. One per endpoint, shared by everything in it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "peerbridge/events.hpp"

namespace peerbridge {

class Outbox {
 public:
  /// A fresh output at the end of the queue; the caller fills in what its type calls for, before the next add().
  Output& add(OutputType type);
  Output& add(OutputType type, ConnectionHandle connection);
  void error(OutputType type, ConnectionHandle connection, const Error& error);
  /// The same, with `subject` where `text` has a '%', and `detail` behind it. Sentences are put together here and
  /// nowhere else: each `+` between strings is a hundred bytes of wasm.
  void error(OutputType type, ConnectionHandle connection, ErrorCode code, const char* text, const std::string& subject,
             const std::string* detail = nullptr);
  void warn(ErrorCode code, const char* text);

  [[nodiscard]] std::optional<Output> pop();
  [[nodiscard]] bool empty() const { return front_ == outputs_.size(); }

  /// Ops, links and transports count up; connection and channel handles of the core are even.
  [[nodiscard]] Op nextOp() { return ++op_; }
  [[nodiscard]] LinkHandle nextLink() { return ++link_; }
  [[nodiscard]] std::uint32_t nextTransport() { return ++transport_; }
  [[nodiscard]] ChannelHandle nextChannel() { return channel_ += 2; }
  [[nodiscard]] ConnectionHandle nextConnection() { return connection_ += 2; }

 private:
  std::vector<Output> outputs_;
  std::size_t front_ = 0;  ///< those before it have left
  Op op_ = 0;
  LinkHandle link_ = 0;
  std::uint32_t transport_ = 0;
  ChannelHandle channel_ = 0;
  ConnectionHandle connection_ = 0;
};

}  // namespace peerbridge
