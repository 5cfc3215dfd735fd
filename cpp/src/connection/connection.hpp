// One DataConnection or MediaConnection: its phase, its RTCPeerConnections, its frames.
//
// Who calls: Endpoint, which finds the connection an input belongs to and afterwards calls settle(). What leaves goes
// to the Outbox; signaling messages go to the endpoint through Host, which knows the ways to the other peer.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/outbox.hpp"
#include "connection/link.hpp"
#include "connection/phase.hpp"
#include "framing/framing.hpp"
#include "framing/peerjs.hpp"
#include "peerbridge/config.hpp"
#include "signaling/message.hpp"

namespace peerbridge {

/// What a number in an input stands for.
enum class HandleKind : std::uint8_t { Link, Channel, Op };

class Connection final : private Negotiation::Sink {
 public:
  struct Host {
    /// Hands `message` to whichever way leads to its dst; queues it while there is none. It may be moved from.
    virtual void sendSignal(const Connection& from, SignalMessage& message, Millis now) = 0;
    /// A signaling message came through this connection.
    virtual void signalArrived(const Connection& through, std::string&& text) = 0;
    /// Inputs about this handle are for `connection` from now on; 0: for nobody any more.
    virtual void own(HandleKind kind, std::uint32_t handle, ConnectionHandle connection) = 0;
    /// Messages leave now: the server is there, or another connection leads to the peer.
    [[nodiscard]] virtual bool reachable(const std::string& peer) = 0;
    /// Another connection leads to the peer.
    [[nodiscard]] virtual bool carried(const std::string& peer) = 0;
    /// One connection more (1) or less (-1) is recovering.
    virtual void recovering(int change, Millis now) = 0;
    /// The browser found a path to a peer that was lost: then the way to the server is likely back, too.
    virtual void networkBack(Millis now) = 0;

   protected:
    ~Host() = default;
  };

  struct Identity {
    ConnectionHandle handle = 0;
    std::string localPeer;
    std::string peer;
    std::string id;  ///< connectionId on the wire
    ConnectionKind kind = ConnectionKind::Data;
    bool outgoing = true;
    std::string label;
    std::optional<std::string> metadata;
    std::string serialization;  ///< empty: the application named none
    bool reliable = false;
    bool wait = true;  ///< the server may hold what is said until the other peer is there

    // Defined once, as everywhere where a struct holds several strings.
    Identity();
    Identity(Identity&&) noexcept;
    ~Identity();
  };

  Connection(Identity&& identity, const Config& config, const FramingConfig& framing, Outbox& outbox, Host& host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // -- the application -------------------------------------------------------------------------------
  void start(Millis now);  ///< outgoing: make the offer
  void answer(Millis now);
  /// What was sent goes first, while the path is down through the next one.
  void close(Millis now);
  /// Bulk shall be spread over so many RTCPeerConnections.
  void setStripes(std::uint64_t count, Millis now);
  /// close() by a page that is about to end: what has not left by then never will.
  void leave(Millis now);
  /// The endpoint goes away. `farewell`: the goodbye frame may still be sent; otherwise everything ends now.
  void destroy(bool farewell, Millis now);
  /// A side channel of the application's own. It is made on whichever link carries the connection, until closeSide().
  void openSide(Input& wish, Millis now);
  void closeSide(std::uint32_t number);
  /// Something came through one: the path is up.
  void sideHeard(Millis now) { besideHeardAt_ = now; }

  // -- signaling -------------------------------------------------------------------------------------
  /// What `message` holds may be moved from, as with the inputs below.
  void remoteMessage(SignalMessage& message, Millis now);
  /// The server says that the other peer is not there. `certain` false: it may only be late, like we were.
  void peerUnavailable(bool certain, Millis now);
  /// Too lately for the other side to be gone.
  [[nodiscard]] bool heardLately(Millis now) const;
  /// A message of this connection waited too long for the server.
  void signalExpired(Millis now);
  /// The server is back: a recovery that waited for it goes on.
  void signalingOpened(Millis now);

  // -- the browser -----------------------------------------------------------------------------------
  void opDone(Input& in, Millis now);
  void opFailed(Op op, const std::string& why, Millis now);
  void localCandidate(LinkHandle handle, CandidateInit& candidate, Millis now);
  void gatheringComplete(LinkHandle handle, Millis now);
  void negotiationNeeded(LinkHandle handle, Millis now);
  void linkStateChanged(LinkHandle handle, LinkState state, Millis now);
  void pathChanged(LinkHandle handle, Millis now);
  void channelArrived(LinkHandle handle, ChannelHandle channel, const std::string& subprotocol, Millis now);
  void channelOpened(ChannelHandle channel, std::size_t maxMessageSize, Millis now);
  void channelClosed(ChannelHandle channel, Millis now);
  void networkChanged(NetworkChange change, Millis now);
  /// A frame came through `channel`; it is dropped when it comes too late or too early. `frame` may be only the
  /// beginning of it, which has `length` bytes.
  void receive(ChannelHandle channel, std::span<const std::byte> frame, std::size_t length, bool text, Millis now);

  // -- the clock -------------------------------------------------------------------------------------
  [[nodiscard]] Millis deadline() const;
  void timeout(Millis now);
  /// After every call: report(), and a Transmit when frames want to leave.
  void settle(Millis now);
  /// Turns what the framing layer has to say into outputs; all that is needed after the pump, which transmits itself.
  void report(Millis now);

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] bool finished() const { return phase_ == Phase::Closed; }
  /// It was open once and is not closing.
  [[nodiscard]] bool isUp() const { return phase_ == Phase::Open || phase_ == Phase::Recovering; }
  [[nodiscard]] const Identity& identity() const { return identity_; }
  /// The channel that carries the connection; 0 while none is open.
  [[nodiscard]] ChannelHandle channel() const { return current_ && current_->channelOpen ? current_->channel : 0; }
  /// What an open channel of this connection is to the framing layer; nothing when it is not one.
  [[nodiscard]] std::optional<Slot> slotOf(ChannelHandle channel) const;
  /// The native protocol runs, on a channel that is up: other connections' signals can ride along.
  [[nodiscard]] bool canCarrySignals() const;
  /// And its own may, too: the other side has no doubt that the path works.
  [[nodiscard]] bool carriesItsOwn() const { return canCarrySignals() && now_ >= doubtedUntil_; }
  /// Null while the protocol is unknown or not ours.
  [[nodiscard]] Framing* framing() { return framing_.get(); }
  [[nodiscard]] const Framing* framing() const { return framing_.get(); }
  /// What carries the messages, whatever the protocol; null while that is unknown.
  [[nodiscard]] Wire* wire() const { return framing_ ? static_cast<Wire*>(framing_.get()) : peerJs_.get(); }
  /// The other side speaks PeerJS's protocol.
  [[nodiscard]] bool isForeign() const { return protocol_ == Protocol::PeerJs; }
  /// An OFFER went out and nothing came back yet.
  [[nodiscard]] bool awaitsAnswer() const { return identity_.outgoing && !answered_ && phase_ == Phase::Negotiating; }

 private:
  /// An RTCDataChannel beside the one that carries the connection; what goes through it is not our business.
  struct Side {
    std::uint32_t number = 0;   ///< of ours; 0: the other side made it
    ChannelHandle channel = 0;  ///< 0: there is none now
    LinkHandle link = 0;        ///< the one that `channel` belongs to
    std::string label;
    bool ordered = false;
    bool hasRetransmits = false;
    bool hasLifeTime = false;
    std::uint16_t retransmits = 0;
    std::uint16_t lifeTime = 0;
  };

  // Negotiation::Sink
  Op setLocalDescription(Negotiation& from) override;
  Op setRemoteDescription(Negotiation& from, const Description& description) override;
  Op readLocalDescription(Negotiation& from) override;
  Op rollback(Negotiation& from) override;
  void addCandidate(Negotiation& from, const CandidateInit& candidate) override;
  void sendDescription(Negotiation& from, const Description& description, std::uint32_t negotiation,
                       std::uint32_t seen) override;
  void sendCandidates(Negotiation& from, std::vector<CandidateInit>&& candidates) override;
  [[nodiscard]] bool reachable() const override;
  void negotiated(Negotiation& from) override;
  void failed(Negotiation& from, ErrorCode code, const char* text, const std::string& why) override;
  void warn(ErrorCode code, const char* text) override;

  /// Reasons are literals: the first of them is kept until the end.
  bool enter(Trigger trigger, const char* reason);
  /// An error event. A '%' in `text` stands for the other peer's id, `detail` is put behind it.
  void complain(ErrorCode code, const char* text, const std::string* detail = nullptr);
  /// complain(), and it is over.
  void fail(ErrorCode code, const char* text, const char* reason, Millis now, const std::string* detail = nullptr);
  /// Tells the framing layer that no channel will come any more.
  void abortFraming(const char* reason, ErrorCode error, Millis now);
  void finish(const char* reason);
  void tellClosed(const char* reason);

  // -- links
  [[nodiscard]] bool isNative() const { return protocol_ == Protocol::Native; }
  /// A new RTCPeerConnection; `offering`: with a channel, and an offer is made.
  [[nodiscard]] std::unique_ptr<Link> makeLink(std::uint32_t number, bool offering, Millis now, Slot slot = 0);
  /// Closes a link and empties the pointer; null is harmless.
  void retire(std::unique_ptr<Link>& link);
  [[nodiscard]] Link* withHandle(LinkHandle handle);
  [[nodiscard]] Link* withNumber(std::uint32_t number);
  [[nodiscard]] Link* withOp(Op op);
  [[nodiscard]] Link* withChannel(ChannelHandle channel);
  /// The one that `holds`, current, fresh or stripe, or null.
  template <class Holds>
  [[nodiscard]] Link* linkThat(Holds holds);
  template <class Call>
  void forEachLink(Call call);
  /// A command for a link that ends in a promise; carries a new op.
  Output& command(OutputType type, Negotiation& link);
  /// The channel of the current link is open: frames go there from now on.
  void bindChannel(Millis now);
  void makeSide(Side& side);
  [[nodiscard]] std::size_t countSides(bool ours) const;
  /// The channels of this link are gone, or one channel when that is not 0.
  void loseSides(LinkHandle link, ChannelHandle channel);
  void race(Millis now);
  void racerLost(Millis now);
  /// The racer takes over.
  void adopt(Millis now);

  // -- stripes
  /// Makes those that are missing, and ends those that are too many. Only the side that made the connection does.
  void ensureStripes(Millis now);
  void bindStripe(Link& link);
  /// It is gone: what it carried goes through the others, and the side that made it makes another one.
  void stripeLost(Link& link, Millis now);
  void dropStripes(std::uint32_t from);

  /// The first description of the other side came. False when its protocol is not what was asked for: it is over then.
  [[nodiscard]] bool peerAnswered(const std::optional<NativeTag>& tag, Millis now);
  void offered(Link& link, SignalMessage& offer, Millis now);
  void setProtocol(Protocol protocol);
  void forward(OutputType type, FramingEvent& event);
  /// close(), whatever waits for another path.
  void closeNow(Millis now);
  void pathDown(const char* reason, Millis now);
  void pathUp(const char* reason, Millis now);
  void tryRestart(Millis now);
  void checkPulse(Millis now);
  void sayBye(const char* why, Millis now);
  /// Only people could carry its signals now.
  [[nodiscard]] bool needsPeople() const;
  /// They do, and nobody knows how long they take.
  [[nodiscard]] bool waitsForPeople() const;
  void peerClosed(bool rejected, Millis now);
  void address(SignalMessage& message, MessageType type, const Link& link) const;

  Identity identity_;
  const Config& config_;
  FramingConfig framingConfig_;
  Outbox& outbox_;
  Host& host_;

  Phase phase_;
  std::unique_ptr<Framing> framing_;    ///< of the native protocol, or
  std::unique_ptr<PeerJsWire> peerJs_;  ///< of PeerJS's, once its channel is open
  std::optional<Protocol> protocol_;
  bool legacy_ = false;  ///< the other side said that it is PeerJS before 1.5

  std::unique_ptr<Link> current_;               ///< carries the frames, or is meant to
  std::unique_ptr<Link> fresh_;                 ///< races it while the path is down
  std::vector<std::unique_ptr<Link>> stripes_;  ///< carry bulk beside it
  std::vector<Side> sides_;
  std::vector<std::unique_ptr<Link>> retired_;  ///< closed, and perhaps still on the stack; gone with settle()
  std::uint32_t newest_ = 0;                    ///< number of the newest link

  std::uint32_t stripesWanted_ = 1;              ///< by this side
  std::uint32_t stripesAsked_ = 1;               ///< by the other
  std::array<std::uint32_t, kMaxSlots> seen_{};  ///< number of the newest stripe that was offered for each slot
  Millis stripeAt_ = kNever;                     ///< when to make what is missing
  Millis stripePause_ = 0;

  bool answered_ = false;    ///< the other side's first description is known
  bool offerLeft_ = false;   ///< our newest OFFER, if there is one, did not wait: it may be lost with its socket
  bool closedTold_ = false;  ///< ConnectionClosed went out
  const char* closeReason_ = nullptr;

  std::unique_ptr<SignalMessage> ringing_;  ///< the OFFER of a call that was not answered yet
  std::unique_ptr<SignalMessage> early_;    ///< an OFFER that overtook the ANSWER it builds upon
  /// Candidates of links that are not there yet, by number.
  std::vector<std::pair<std::uint32_t, CandidateInit>> strays_;

  Millis negotiationDeadline_ = kNever;
  Millis restartAt_ = kNever;
  Millis budgetUntil_ = kNever;
  Millis lingerUntil_ = kNever;
  Millis restartPause_ = 0;
  Millis raceAt_ = kNever;
  Millis pulseAt_ = kNever;   ///< when to look whether the other side was heard
  Millis awakeSince_ = 0;     ///< the page slept until then: silence before says nothing
  Millis besideHeardAt_ = 0;  ///< something came through a side channel or a stripe
  Millis doubtedUntil_ = 0;   ///< an OFFER came lately: the other side may have lost the path that looks well from here
  Millis suspectedAt_ = 0;    ///< the path was asked because the network changed; 0: it was not
  bool reattached_ = false;   ///< frames go through another channel since the path was lost
  bool asked_ = false;        ///< the old path spoke again, and was asked for an answer
  Millis now_ = 0;            ///< of the call under way, for the Sink methods
};

}  // namespace peerbridge
