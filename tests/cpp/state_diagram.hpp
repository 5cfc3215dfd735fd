// docs/state-machine.md, made from the table of phases.
#pragma once

#include <string>

namespace peerbridge {

/// The whole file.
[[nodiscard]] std::string stateDiagram();

}  // namespace peerbridge
