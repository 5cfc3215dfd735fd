// Inputs, outputs and configurations as they cross the control border: numbers at fixed places, which js/core/record.ts
// names. So a call costs one crossing, and neither side spells names to the other.
#pragma once

#include <array>
#include <cstddef>

#include "framing/framing.hpp"
#include "peerbridge/config.hpp"
#include "peerbridge/events.hpp"

namespace peerbridge::bindings {

/// In the order of `numbers` and `texts` in js/core/record.ts; a test compares them.
enum class Place : std::size_t {
  // Numbers, booleans and enumerations.
  Connection,
  Link,
  Channel,
  Transfer,
  Transport,
  Op,
  Marker,
  Length,
  Offset,
  Size,
  Kind,
  Protocol,
  SdpType,
  State,
  Error,
  Reliable,
  SdpMLineIndex,
  // Texts, UTF-8. Each takes two places: where it stands, and how many bytes it has.
  Text,
  Label,
  ConnectionId,
  Serialization,
  Metadata,
  Candidate,
  SdpMid,
  UsernameFragment,
};

inline constexpr std::size_t kNumberCount = static_cast<std::size_t>(Place::Text);
inline constexpr std::size_t kTextCount = static_cast<std::size_t>(Place::UsernameFragment) + 1 - kNumberCount;

/// What is absent is NaN.
using Record = std::array<double, kNumberCount + 2 * kTextCount>;

/// Takes over what `record` holds. Numbers that are none of an enumeration leave the member alone.
void toInput(const Record& record, InputType type, Input& input);
/// The texts stay in `output`.
void toRecord(const Output& output, Record& record);

/// `given`: in the order of `settings` in js/core/record.ts, NaN where the default holds.
void toConfig(const double* given, Config& config, FramingConfig& framing);

}  // namespace peerbridge::bindings
