// The offer or the answer of a data connection as a code: so short that it goes into a QR code, a chat, a telephone
// call, or on a napkin. docs/protocol.md, "Codes", has every bit.
//
// A code is hostile text: reading it is bounded and never aborts. Sizes of the wasm are why both directions share their
// code, and why texts are replaced in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "peerbridge/error.hpp"
#include "peerbridge/types.hpp"

namespace peerbridge {

/// So many candidates of a description are written; those behind them are left out.
inline constexpr std::size_t kMaxCodeCandidates = 15;

/// The longest text that is read as a code, separators included, in bytes.
inline constexpr std::size_t kMaxCodeBytes = 2'048;

/// `text` is the description of an offer or an answer, and its code afterwards: digits and upper-case letters. `mark`
/// is below 2^20 and tells offers apart: for an answer that of the offer it answers; set for an offer. The error is
/// InvalidArgument, for what is not the description of a data connection alone, as browsers make them; `text` says so.
[[nodiscard]] std::optional<ErrorCode> toCode(SdpType type, std::string& text, std::uint32_t& mark);

/// `text` is a code, and the description afterwards. Lower case, spaces, line ends and hyphens are welcome; O is read
/// as 0, I and L as 1. The error is BadSignal, or IncompatiblePeer for a code of another version; `text` says which
/// part is wrong, and what to do.
[[nodiscard]] std::optional<ErrorCode> fromCode(std::string& text, SdpType& type, std::uint32_t& mark);

}  // namespace peerbridge
