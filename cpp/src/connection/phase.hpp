// The life of one connection as a table. The table is the documentation: docs/state-machine.md is drawn from it, and
// Connection changes its phase through it alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "peerbridge/events.hpp"

namespace peerbridge {

enum class Phase : std::uint8_t {
  Ringing,      ///< an incoming call that the application has not answered
  Negotiating,  ///< OFFER and ANSWER are under way, or ICE is
  Open,
  Recovering,  ///< the path is down; what is sent waits
  Closing,     ///< the close handshake is under way; the application sees a closed connection or is about to
  Closed,
};

enum class Trigger : std::uint8_t {
  Answer,      ///< the application takes the call
  Up,          ///< data: the channel opened. media: the ANSWER is in place
  PathDown,    ///< silence, or the browser reports disconnected, failed or a closed channel
  PathUp,      ///< a frame came; without frames: the browser reports connected again
  LocalClose,  ///< the application closes
  PeerClose,   ///< the other side closed
  Fail,        ///< it cannot go on; an error event precedes
  Done,        ///< the close handshake is over
};

struct Transition {
  Phase from;
  Trigger trigger;
  Phase to;
};

inline constexpr std::array kTransitions{
    Transition{Phase::Ringing, Trigger::Answer, Phase::Negotiating},
    Transition{Phase::Ringing, Trigger::LocalClose, Phase::Closed},
    Transition{Phase::Ringing, Trigger::PeerClose, Phase::Closed},
    Transition{Phase::Ringing, Trigger::Fail, Phase::Closed},

    Transition{Phase::Negotiating, Trigger::Up, Phase::Open},
    Transition{Phase::Negotiating, Trigger::LocalClose, Phase::Closed},
    Transition{Phase::Negotiating, Trigger::PeerClose, Phase::Closed},
    Transition{Phase::Negotiating, Trigger::Fail, Phase::Closed},

    Transition{Phase::Open, Trigger::PathDown, Phase::Recovering},
    Transition{Phase::Open, Trigger::LocalClose, Phase::Closing},
    Transition{Phase::Open, Trigger::PeerClose, Phase::Closing},
    Transition{Phase::Open, Trigger::Fail, Phase::Closed},

    Transition{Phase::Recovering, Trigger::PathUp, Phase::Open},
    Transition{Phase::Recovering, Trigger::LocalClose, Phase::Closing},
    Transition{Phase::Recovering, Trigger::PeerClose, Phase::Closing},
    Transition{Phase::Recovering, Trigger::Fail, Phase::Closed},

    Transition{Phase::Closing, Trigger::Done, Phase::Closed},
    Transition{Phase::Closing, Trigger::Fail, Phase::Closed},
};

/// The phase that `trigger` leads to, or nothing when the table has no such row: then nothing changes.
[[nodiscard]] constexpr std::optional<Phase> transition(Phase from, Trigger trigger) {
  for (const Transition& row : kTransitions) {
    if (row.from == from && row.trigger == trigger) return row.to;
  }
  return std::nullopt;
}

namespace detail {
constexpr bool isAbsorbing(Phase phase) {
  for (const Transition& row : kTransitions) {
    if (row.from == phase) return false;
  }
  return true;
}
constexpr bool isDeterministic() {
  for (std::size_t i = 0; i < kTransitions.size(); ++i) {
    for (std::size_t j = i + 1; j < kTransitions.size(); ++j) {
      if (kTransitions[i].from == kTransitions[j].from && kTransitions[i].trigger == kTransitions[j].trigger)
        return false;
    }
  }
  return true;
}
constexpr bool alwaysCanFail() {
  for (const Phase phase : {Phase::Ringing, Phase::Negotiating, Phase::Open, Phase::Recovering, Phase::Closing}) {
    if (transition(phase, Trigger::Fail) != Phase::Closed) return false;
  }
  return true;
}
}  // namespace detail

static_assert(detail::isAbsorbing(Phase::Closed), "Closed is absorbing");
static_assert(detail::isDeterministic(), "one phase and one trigger lead to one phase");
static_assert(detail::alwaysCanFail(), "every living phase can fail");

[[nodiscard]] std::string_view phaseName(Phase phase);
[[nodiscard]] std::string_view triggerName(Trigger trigger);

/// What the application sees of a phase.
[[nodiscard]] ConnectionState publicState(Phase phase);

}  // namespace peerbridge
