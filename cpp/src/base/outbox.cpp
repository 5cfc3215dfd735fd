#include "base/outbox.hpp"

#include <utility>

namespace peerbridge {

Output& Outbox::add(OutputType type) { return add(type, 0); }

Output& Outbox::add(OutputType type, ConnectionHandle connection) {
  Output& output = outputs_.emplace_back();
  output.type = type;
  output.connection = connection;
  return output;
}

void Outbox::error(OutputType type, ConnectionHandle connection, const Error& error) {
  Output& output = add(type, connection);
  output.error = error.code;
  output.text = error.message;
}

void Outbox::warn(ErrorCode code, std::string_view message) {
  Output& output = add(OutputType::Warning);
  output.error = code;
  output.text = message;
}

std::optional<Output> Outbox::pop() {
  if (front_ == outputs_.size()) {
    // Drained: that happens after every input, so the queue never grows beyond what one input causes.
    outputs_.clear();
    front_ = 0;
    return std::nullopt;
  }
  return std::move(outputs_[front_++]);
}

}  // namespace peerbridge
