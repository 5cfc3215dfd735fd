// The rules of the protocol that a peer can break, by number: docs/protocol.md, "Violations", lists them. In words they
// would be half a kilobyte of every page that loads the core.
#pragma once

#include <cstddef>
#include <cstdint>

namespace peerbridge {

enum class Rule : std::uint8_t {
  SegmentWithoutAHead = 1,
  FormatInTheMiddleOfAMessage,
  SegmentWhoseTotalIsNoNumber,
  SegmentWhoseLengthIsNoNumber,
  SegmentThatIsLongerThanItsFrame,
  EmptyPieceOfAMessage,
  TotalThatLeavesNothingToCome,
  FormatThatItsLaneDoesNotCarry,
  TransferMessageInPieces,
  MessageAboveTheLimit,
  MessageLongerThanItsTotal,
  MessageThatDoesNotEndAtItsTotal,
  DataFrameWithoutASegment,
  AcknowledgementOfWhatWasNotSent,
  NewChannelIsTooNarrowForWhatHasToBeSentAgain,
  FrameAboveTheLimit,
  EmptyFrame,
  FrameBeforeHello,
  AckThatCannotBeRead,
  PingThatCannotBeRead,
  PongThatCannotBeRead,
  AnswerToNoPing,
  ClosedThatCannotBeRead,
  ClosedToNoClose,
  FrameOfNoKnownType,
  HelloThatCannotBeRead,
  SecondHello,
  HelloThatMakesNoSense,
  HelloThatForgotFrames,
  DataFrameThatCannotBeRead,
  GapInTheDataFrames,
  DataFrameAfterTheLastOne,
  CloseThatCannotBeRead,
  CloseBeforeTheLastFrame,
  EmptyTransferMessage,
  UnknownTransferMessage,
  TransferMessageWithoutAnId,
  MessageOfNoTransfer,
  AnswerToNoOffer,
  OfferWhoseIdWasUsedBefore,
  TransferOfferThatCannotBeRead,
  TooManyTransferOffersAtOnce,
  TransferEndThatCannotBeRead,
  RejectionOfNoOffer,
  TransferEndOfNoKnownKind,
  EndOfATransferThatWasNotAccepted,
  TransferThatEndsWhereItShouldNot,
  PauseOfATransferThatWasNotAccepted,
  AcceptanceThatCannotBeRead,
  AcceptanceOfNoOffer,
  TransferMessageBeforeTheAcceptance,
  TransferWindowThatCannotBeRead,
  TransferWindowThatShrinks,
  TransferThatConsumedWhatWasNotSent,
  TransferThatIsDoneBeforeItsEnd,
  BytesOfNoTransfer,
  BytesOfATransferAfterItsEnd,
  MoreBytesOfATransferThanItsWindowAllows,
  MessageThatBeginsBeforeTheLastOneEnded,
  PieceOfNoMessage,
  LaneInTheWrongKindOfFrame,
  MoreBytesThanTheWindowAllows,
  FrameTooFarAhead,
  StripeFrameOfAnotherKind,
  StripesThatCannotBeRead,
  AcceptanceBeyondTheEnd,
  // Toward PeerJS.
  PieceOfTooMany,
  PieceBeyondTheLast,
  PieceOfAnotherTotal,
  TooManyUnfinishedMessages,
  TooManyUnfinishedBytes,
};

/// A broken rule, or none.
class Wrong {
 public:
  constexpr Wrong(std::nullptr_t) {}                                      // NOLINT(google-explicit-constructor)
  constexpr Wrong(Rule rule) : code_(static_cast<std::uint8_t>(rule)) {}  // NOLINT(google-explicit-constructor)
  constexpr explicit operator bool() const { return code_ != 0; }
  friend constexpr bool operator==(Wrong a, Wrong b) = default;
  /// The number of the rule; 0 is none.
  [[nodiscard]] constexpr std::uint32_t code() const { return code_; }

 private:
  std::uint8_t code_ = 0;
};

}  // namespace peerbridge
