// Plain JavaScript objects to Input, and Output to plain objects, spelled as in js/core/types.ts.
#pragma once

#include <emscripten/val.h>

#include <optional>

#include "framing/framing.hpp"
#include "peerbridge/config.hpp"
#include "peerbridge/events.hpp"

namespace peerbridge::bindings {

/// Nothing when `object.type` is not one of CoreInput's: the shim and the core are of different versions.
[[nodiscard]] std::optional<Input> toInput(const emscripten::val& object);
[[nodiscard]] emscripten::val toObject(Output output);
[[nodiscard]] Config toConfig(const emscripten::val& object);
/// The limits of the data border that a CoreConfig may set; the others keep their defaults.
[[nodiscard]] FramingConfig toFramingConfig(const emscripten::val& object);

}  // namespace peerbridge::bindings
