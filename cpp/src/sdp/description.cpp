#include "sdp/description.hpp"

#include <algorithm>

namespace peerbridge {

std::vector<std::string> iceUfrags(std::string_view sdp) {
  constexpr std::string_view kAttribute = "a=ice-ufrag:";
  constexpr std::size_t kMost = 16;
  std::vector<std::string> found;
  std::size_t at = 0;
  while (at < sdp.size() && found.size() < kMost) {
    std::size_t end = sdp.find('\n', at);
    if (end == std::string_view::npos) end = sdp.size();
    std::string_view line = sdp.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.starts_with(kAttribute)) {
      const std::string_view ufrag = line.substr(kAttribute.size());
      if (std::find(found.begin(), found.end(), ufrag) == found.end()) found.emplace_back(ufrag);
    }
    at = end + 1;
  }
  return found;
}

}  // namespace peerbridge
