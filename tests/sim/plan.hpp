// What happens in one world, decided before it begins: a seed becomes a list of things to do, each at its time. A list
// that breaks a promise can be made shorter, and still be played.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "world.hpp"

namespace peerbridge::sim {

enum class Do : std::uint8_t {
  // applications
  Connect,
  Call,
  Send,
  Mark,
  OfferFile,
  CancelFile,
  Stripes,
  AddTrack,
  ChangeTrack,
  Glare,
  Close,
  Disconnect,
  Reconnect,
  Destroy,
  Hide,
  // faults, each ended by the one behind it
  Kill,
  ServerDown,
  ServerUp,
  ServerSlow,
  ServerFast,
  ServerLoses,
  ServerKeeps,
  HalfOpen,
  Cut,
  CutOneWay,
  Join,
  Offline,
  Online,
  ChangeNetwork,
  Rebind,
  Freeze,
  Thaw,
  FalseAlarm,
  BreakStripe,
};
inline constexpr int kDoCount = static_cast<int>(Do::BreakStripe) + 1;

struct Action {
  Millis at = 0;  ///< from the beginning
  Do what = Do::Send;
  int node = 0;
  int other = 0;            ///< another node, never the same
  std::uint64_t which = 0;  ///< of that node's connections, as far as they go
  std::uint64_t much = 0;   ///< bytes, percents, milliseconds
  bool flag = false;
};

struct NodePlan {
  Browser browser;
  Trickle trickle = Trickle::Full;
  Millis startAt = 0;
};

struct Plan {
  std::uint64_t seed = 0;
  Settings settings;
  std::vector<NodePlan> nodes;
  std::vector<Action> actions;
  Millis chaos = 0;  ///< how long it lasts; then all heals
  bool calm = false;
};

/// `without`: kinds of actions that are left out, by their names.
[[nodiscard]] Plan planOf(std::uint64_t seed, const std::vector<std::string>& without = {});
[[nodiscard]] const char* nameOf(Do what);
/// "peer0 connects to peer1", for people.
[[nodiscard]] std::string describe(const Action& action);

}  // namespace peerbridge::sim
