// Special members that are defined once instead of inlined everywhere; see events.hpp.

#include "peerbridge/types.hpp"

#include "peerbridge/events.hpp"

namespace peerbridge {

CandidateInit::CandidateInit() = default;
CandidateInit::CandidateInit(const CandidateInit&) = default;
CandidateInit::CandidateInit(CandidateInit&&) noexcept = default;
CandidateInit& CandidateInit::operator=(const CandidateInit&) = default;
CandidateInit& CandidateInit::operator=(CandidateInit&&) noexcept = default;
CandidateInit::~CandidateInit() = default;

bool operator==(const CandidateInit& a, const CandidateInit& b) {
  return a.candidate == b.candidate && a.hasMid == b.hasMid && a.sdpMid == b.sdpMid &&
         a.hasLineIndex == b.hasLineIndex && a.sdpMLineIndex == b.sdpMLineIndex && a.hasUfrag == b.hasUfrag &&
         a.usernameFragment == b.usernameFragment;
}

Input::Input() = default;
Input::Input(Input&&) noexcept = default;
Input& Input::operator=(Input&&) noexcept = default;
Input::~Input() = default;

Output::Output() = default;
Output::Output(Output&&) noexcept = default;
Output& Output::operator=(Output&&) noexcept = default;
Output::~Output() = default;

}  // namespace peerbridge
