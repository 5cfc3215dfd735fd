// Plain JavaScript objects to inputs, and outputs to plain objects, spelled as in js/core/types.ts.
#pragma once

#include <emscripten/val.h>

#include "framing/framing.hpp"
#include "peerbridge/config.hpp"
#include "peerbridge/events.hpp"

namespace peerbridge::bindings {

/// False when the `type` of `object` is not one of CoreInput's: the shim and the core are of different versions.
[[nodiscard]] bool toInput(const emscripten::val& object, Input& input);
[[nodiscard]] emscripten::val toObject(const Output& output);
[[nodiscard]] Config toConfig(const emscripten::val& object);
/// The limits of the data border that a CoreConfig may set; the others keep their defaults.
[[nodiscard]] FramingConfig toFramingConfig(const emscripten::val& object);

}  // namespace peerbridge::bindings
