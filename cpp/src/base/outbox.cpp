#include "base/outbox.hpp"

#include <string_view>
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

void Outbox::error(OutputType type, ConnectionHandle connection, ErrorCode code, const char* text,
                   const std::string& subject, const std::string* detail) {
  Output& output = add(type, connection);
  output.error = code;
  const std::string_view words = text;
  const std::size_t place = words.find('%');
  output.text = words.substr(0, place);
  if (place != std::string_view::npos) {
    output.text += subject;
    output.text += words.substr(place + 1);
  }
  if (detail != nullptr) output.text += *detail;
}

void Outbox::warn(ErrorCode code, const char* text) {
  Output& output = add(OutputType::Warning);
  output.error = code;
  output.text = text;
}

std::optional<Output> Outbox::pop() {
  if (empty()) return std::nullopt;
  std::optional<Output> output = std::move(outputs_[front_++]);
  if (empty()) {
    // With the last one and not with the next call: who knows that nothing is left does not call. That happens after
    // every input, so the queue never grows beyond what one input causes.
    outputs_.clear();
    front_ = 0;
  }
  return output;
}

}  // namespace peerbridge
