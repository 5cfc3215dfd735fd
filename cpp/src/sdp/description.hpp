// The few facts that the core reads in an SDP. It never writes one: descriptions travel as the browser made them, so
// that attributes we do not know (a=sctp-init, say) are neither lost nor echoed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace peerbridge {

/// The distinct values of `a=ice-ufrag:` (RFC 8839 §5.4), in order of appearance; at most 16.
[[nodiscard]] std::vector<std::string> iceUfrags(std::string_view sdp);

}  // namespace peerbridge
