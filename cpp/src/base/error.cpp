#include "peerbridge/error.hpp"

#include <array>
#include <cstddef>

namespace peerbridge {
namespace {

// In the order of ErrorCode.
constexpr std::array<const char*, kErrorCodeCount> kNames = {
    "browser-incompatible",
    "disconnected",
    "invalid-id",
    "invalid-key",
    "network",
    "peer-unavailable",
    "ssl-unavailable",
    "server-error",
    "socket-error",
    "socket-closed",
    "unavailable-id",
    "webrtc",
    "negotiation-failed",
    "connection-closed",
    "not-open-yet",
    "message-too-big",
    "core-unavailable",
    "bad-signal",
    "signal-too-large",
    "signal-expired",
    "protocol-violation",
    "incompatible-peer",
    "timeout",
    "connection-lost",
    "invalid-argument",
    "invalid-state",
    "rejected",
    "cancelled",
    "corrupted",
    "not-authorized",
};
static_assert(kNames.back() != nullptr, "a code without a name");

}  // namespace

const char* errorName(ErrorCode code) { return kNames[static_cast<std::size_t>(code)]; }

}  // namespace peerbridge
