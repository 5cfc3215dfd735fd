// What the bytes of fuzz_endpoint mean: a header of three bytes, then steps, each with its arguments behind it.
// The seeds of the corpus (make_corpus.cpp) are written with the same words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace peerbridge::fuzz {

/// The low six bits of a step's byte; the highest one says whose step it is. Arguments are bytes, little-endian.
enum class Step : std::uint8_t {
  // Time. A clock that everybody shares, and that only Back turns back, for one input.
  Wait,   ///< u8: so many milliseconds pass, and no timer fires
  Due,    ///< it is the side's deadline, and its timer fires
  Leap,   ///< u8: two to the power of so many milliseconds pass, and no timer fires
  Back,   ///< u8: the next input is told a time so many tenths of a second ago
  Idle,   ///< u8: so many seconds pass in which timers fire and nothing else moves
  Alarm,  ///< a Timeout that nobody asked for
  // What should happen.
  Settle,       ///< u8: so many rounds in which browsers, server and network do what they should
  Complete,     ///< u8: one operation of the browser succeeds
  Fail,         ///< u8: one fails
  Deliver,      ///< u8: one signaling message arrives
  DropMail,     ///< u8: one is lost
  CopyMail,     ///< u8: one is there twice
  SpoilMail,    ///< u8, then three times u8 u8: one of them has other bytes
  Frame,        ///< u8: the next frame of a channel arrives
  DropFrames,   ///< u8: those under way are lost
  SpoilFrame,   ///< u8, u8 u8: a byte of the next frame is another one
  RepeatFrame,  ///< u8: the next frame comes twice
  ServerDown,   ///< every transport closes, and none opens
  ServerUp,
  PathDown,  ///< frames are lost, links are not connected
  PathUp,
  // The application.
  Start,       ///< u8
  Connect,     ///< u8, u8
  Answer,      ///< u8
  Close,       ///< u8
  Disconnect,  ///< u8: a multiple of 16 only
  Reconnect,
  Destroy,   ///< u8: a multiple of 16 only
  PageHide,  ///< u8: a multiple of 16 only
  Network,   ///< u8
  Put,       ///< u8, u8, u16
  Queue,     ///< u8, u8, u16
  Border,    ///< u8, u8, u8: other calls of the data border
  Transfer,  ///< u8, u8, u8, u16
  // Lies. Handles may be any.
  Signal,          ///< fields of a message; see World::hostileSignal
  SignalText,      ///< u8, u8 bytes
  SignalInBand,    ///< u8, fields of a message
  HostileFrame,    ///< u8, u16 bytes
  OpDone,          ///< u8, u8
  OpFailed,        ///< u8
  Transport,       ///< u8, u8
  Id,              ///< u8, u8
  LinkState,       ///< u8, u8
  PathChanged,     ///< u8
  LocalCandidate,  ///< u8, u8
  Gathered,        ///< u8
  Needed,          ///< u8
  ChannelArrived,  ///< u8, u8
  ChannelOpened,   ///< u8, u8
  ChannelClosed,   ///< u8
  Stripes,         ///< u8, u8
  Count,
};

/// Bytes as fuzz_endpoint reads them.
class Script {
 public:
  /// `shape`: bit 0 two endpoints, bits 1-2 protocol, 3-4 trickle, 5 no reconnect, 6 tight bounds, 7 ids given by the
  /// server. `seed` and `limits` as in fuzz_endpoint.
  explicit Script(std::uint8_t shape = 1, std::uint8_t seed = 0, std::uint8_t limits = 0)
      : bytes_{shape, seed, limits} {}

  Script& ada(Step step, std::initializer_list<int> arguments = {}) { return add(step, 0, arguments); }
  Script& bob(Step step, std::initializer_list<int> arguments = {}) { return add(step, 0x80, arguments); }
  Script& text(std::string_view words) {
    for (const char c : words) bytes_.push_back(static_cast<std::uint8_t>(c));
    return *this;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  Script& add(Step step, int side, std::initializer_list<int> arguments) {
    bytes_.push_back(static_cast<std::uint8_t>(static_cast<int>(step) | side));
    for (const int argument : arguments) bytes_.push_back(static_cast<std::uint8_t>(argument));
    return *this;
  }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace peerbridge::fuzz
