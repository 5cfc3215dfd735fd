// Signaling text from anywhere: reading never aborts, and what was read is written as something that reads equal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "signaling/message.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peerbridge;  // NOLINT(google-build-using-namespace)
  auto first = parseSignal(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!first) {
    require(first.error().code == ErrorCode::BadSignal || first.error().code == ErrorCode::SignalTooLarge);
    require(!first.error().message.empty());
    return 0;
  }
  SignalMessage& message = first.value();
  message.src.clear();               // never written
  message.reason.clear();            // never written
  message.legacyBrowserTag = false;  // never written
  const std::string text = serializeSignal(message);
  const auto second = parseSignal(text);
  require(static_cast<bool>(second));
  require(second.value() == message);
  require(serializeSignal(second.value()) == text);
  return 0;
}
