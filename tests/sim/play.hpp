// Plays a plan, lets everything heal, and checks the promises: docs/simulation.md lists them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan.hpp"
#include "world.hpp"

namespace peerbridge::sim {

struct Outcome {
  std::vector<Broken> broken;
  std::vector<std::string> trace;
  Millis decidedAfter = 0;  ///< from the healing until nothing was open to question
  /// How long connections went on to recover once their path and the server were well.
  std::vector<Millis> recoveries;
  Millis virtualTime = 0;
};

[[nodiscard]] Outcome play(const Plan& plan, bool trace);

/// A plan as short and as plain as possible that breaks the same promise.
[[nodiscard]] Plan shrink(const Plan& plan, const std::string& promise);

}  // namespace peerbridge::sim
