// Plain JavaScript objects to inputs, and outputs to plain objects, spelled as in js/core/types.ts.
#pragma once

#include <emscripten/val.h>

#include "framing/framing.hpp"
#include "peerbridge/config.hpp"
#include "peerbridge/endpoint.hpp"
#include "peerbridge/events.hpp"

namespace peerbridge::bindings {

/// Tells the endpoint what `object` says. False when its `type` is not one of CoreInput's: the shim and the core are of
/// different versions.
[[nodiscard]] bool handle(Endpoint& endpoint, const emscripten::val& object, Millis now);
[[nodiscard]] emscripten::val toObject(const Output& output);
[[nodiscard]] Config toConfig(const emscripten::val& object);
/// The limits of the data border that a CoreConfig may set; the others keep their defaults.
[[nodiscard]] FramingConfig toFramingConfig(const emscripten::val& object);

}  // namespace peerbridge::bindings
