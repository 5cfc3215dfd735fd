#include "connection/phase.hpp"

namespace peerbridge {

std::string_view phaseName(Phase phase) {
  switch (phase) {
    case Phase::Ringing:
      return "ringing";
    case Phase::Negotiating:
      return "negotiating";
    case Phase::Open:
      return "open";
    case Phase::Recovering:
      return "recovering";
    case Phase::Closing:
      return "closing";
    case Phase::Closed:
      return "closed";
  }
  return "";
}

std::string_view triggerName(Trigger trigger) {
  switch (trigger) {
    case Trigger::Answer:
      return "answer";
    case Trigger::Up:
      return "up";
    case Trigger::PathDown:
      return "path-down";
    case Trigger::PathUp:
      return "path-up";
    case Trigger::LocalClose:
      return "local-close";
    case Trigger::PeerClose:
      return "peer-close";
    case Trigger::Fail:
      return "fail";
    case Trigger::Done:
      return "done";
  }
  return "";
}

ConnectionState publicState(Phase phase) {
  switch (phase) {
    case Phase::Ringing:
    case Phase::Negotiating:
      return ConnectionState::Connecting;
    case Phase::Open:
      return ConnectionState::Open;
    case Phase::Recovering:
      return ConnectionState::Recovering;
    case Phase::Closing:
    case Phase::Closed:
      return ConnectionState::Closed;
  }
  return ConnectionState::Closed;
}

}  // namespace peerbridge
