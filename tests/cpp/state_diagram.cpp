#include "state_diagram.hpp"

#include <string_view>

#include "connection/phase.hpp"

namespace peerbridge {

namespace {

constexpr Phase kPhases[] = {Phase::Ringing,    Phase::Negotiating, Phase::Open,
                             Phase::Recovering, Phase::Closing,     Phase::Closed};
constexpr Trigger kTriggers[] = {Trigger::Answer,     Trigger::Up,        Trigger::PathDown, Trigger::PathUp,
                                 Trigger::LocalClose, Trigger::PeerClose, Trigger::Fail,     Trigger::Done};

// Switches without a default: a phase or a trigger that is added to the table and not described here does not compile.

std::string_view meaning(Phase phase) {
  switch (phase) {
    case Phase::Ringing:
      return "An incoming call whose OFFER is there and that the application has not answered. There is no "
             "RTCPeerConnection yet.";
    case Phase::Negotiating:
      return "OFFER and ANSWER are under way, or ICE and the channel are. Outgoing connections and incoming data "
             "connections begin here.";
    case Phase::Open:
      return "Data: frames go through the channel. Media: the ANSWER is in place.";
    case Phase::Recovering:
      return "The path is down. What is sent waits; ICE restarts, and a fresh RTCPeerConnection may race the old one.";
    case Phase::Closing:
      return "What was sent before the close still leaves, then CLOSE and CLOSED are exchanged.";
    case Phase::Closed:
      return "Over: every handle is given back and no input changes anything.";
  }
  return "";
}

std::string_view meaning(Trigger trigger) {
  switch (trigger) {
    case Trigger::Answer:
      return "The application takes the call (input `answer`).";
    case Trigger::Up:
      return "Data: the browser opened the channel (input `channel-opened`). Media: the ANSWER is in place, on the "
             "answering side once it is sent, on the offering side once the browser has taken it (input `op-done`).";
    case Trigger::PathDown:
      return "The core: nothing came from the other side for `silenceLimit` (`urgentSilenceLimit` after the network "
             "changed), through a side channel (`side-heard`) or a stripe neither. Or the browser: `link-state` "
             "disconnected or failed, or the channel closed without a CLOSE before it (native protocol).";
    case Trigger::PathUp:
      return "The other side: it answered a PING through the old link, or a frame came through a fresh one. Where no "
             "frames are "
             "exchanged (PeerJS, a call whose channel is not there): the browser, by `link-state` connected or "
             "`path-changed`.";
    case Trigger::LocalClose:
      return "The application (inputs `close` and `destroy`), or the page that goes away (`page-hide`). A `close` "
             "while "
             "recovering waits for the path, where something that was sent has not arrived: for as long as CLOSED is "
             "waited for.";
    case Trigger::PeerClose:
      return "The other side: its CLOSE frame and everything it sent before came; or a goodbye through signaling; or, "
             "with PeerJS, its channel closed.";
    case Trigger::Fail:
      return "The core, after an error event with the reason: `negotiationTimeout`, `ringTimeout` or `recoveryBudget` "
             "is over, the server says that the peer is not there, a message waited longer than `signalExpiry`, the "
             "browser refused a description or found no path, the other side broke the protocol or speaks another one.";
    case Trigger::Done:
      return "The core: CLOSED came, or `closeTimeout` is over, or the browser reports that channel or link are gone, "
             "or there was nobody to shake hands with in the first place.";
  }
  return "";
}

std::string_view spelled(ConnectionState state) {
  switch (state) {
    case ConnectionState::Connecting:
      return "connecting";
    case ConnectionState::Open:
      return "open";
    case ConnectionState::Recovering:
      return "recovering";
    case ConnectionState::Closed:
      return "closed";
  }
  return "";
}

/// Appends all of them: what `+=` in a row would do.
template <class... Parts>
void write(std::string& text, const Parts&... parts) {
  ((text += parts), ...);
}

}  // namespace

std::string stateDiagram() {
  std::string text;
  write(text,
        "# The life of a connection\n\n"
        "<!-- Made from cpp/src/connection/phase.hpp by `npm run docs:states`; a test fails when it is not current. "
        "-->\n\n"
        "Every change of a connection's phase goes through one table; a step that is not in it changes nothing. Open "
        "and\nrecovering connections pass through closing, so that what was sent before `close()` still arrives.\n\n"
        "```mermaid\nstateDiagram-v2\n"
        "    [*] --> ringing: incoming call\n"
        "    [*] --> negotiating: connect(), call(), incoming data\n");
  for (const Transition& row : kTransitions) {
    write(text, "    ", phaseName(row.from), " --> ", phaseName(row.to), ": ", triggerName(row.trigger), "\n");
  }
  for (const Phase phase : kPhases) {
    bool leaves = false;
    for (const Trigger trigger : kTriggers) leaves = leaves || transition(phase, trigger).has_value();
    if (!leaves) write(text, "    ", phaseName(phase), " --> [*]\n");
  }
  write(text, "```\n\n## Phases\n\n| phase | `conn.state` | what it means |\n|---|---|---|\n");
  for (const Phase phase : kPhases) {
    write(text, "| ", phaseName(phase), " | ", spelled(publicState(phase)), " | ", meaning(phase), " |\n");
  }
  write(text,
        "\n## Triggers\n\nWords in `code` are inputs (`js/core/types.ts`) and options "
        "(`cpp/include/peerbridge/config.hpp`).\n\n| trigger | who fires it, and when |\n|---|---|\n");
  for (const Trigger trigger : kTriggers) write(text, "| ", triggerName(trigger), " | ", meaning(trigger), " |\n");
  write(text, "\n## The table\n\nAn empty cell: nothing changes.\n\n| phase |");
  for (const Trigger trigger : kTriggers) write(text, " ", triggerName(trigger), " |");
  write(text, "\n|---|");
  for ([[maybe_unused]] const Trigger trigger : kTriggers) write(text, "---|");
  write(text, "\n");
  for (const Phase phase : kPhases) {
    write(text, "| ", phaseName(phase), " |");
    for (const Trigger trigger : kTriggers) {
      const std::optional<Phase> next = transition(phase, trigger);
      write(text, " ");
      if (next) write(text, phaseName(*next), " ");
      write(text, "|");
    }
    write(text, "\n");
  }
  return text;
}

}  // namespace peerbridge
