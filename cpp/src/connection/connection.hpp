// One DataConnection or MediaConnection: its phase, its RTCPeerConnection, its frames.
//
// Who calls: Endpoint, which finds the connection an input belongs to and afterwards calls settle(). What leaves goes
// to the Outbox; signaling messages go to the endpoint through Host, which knows the ways to the other peer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/outbox.hpp"
#include "connection/negotiation.hpp"
#include "connection/phase.hpp"
#include "framing/framing.hpp"
#include "peerbridge/config.hpp"
#include "signaling/message.hpp"

namespace peerbridge {

class Connection final : private Negotiation::Sink {
 public:
  struct Host {
    /// Hands `message` to whichever way leads to its dst; queues it while there is none. It may be moved from.
    virtual void sendSignal(const Connection& from, SignalMessage& message, Millis now) = 0;
    /// A signaling message came through this connection.
    virtual void signalArrived(const Connection& through, std::string&& text) = 0;
    /// The connection uses this channel from now on, or no longer (`mine` false).
    virtual void channelOwned(ChannelHandle channel, ConnectionHandle connection, bool mine) = 0;

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
    std::string serialization;
    bool reliable = false;

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
  void close(Millis now);
  /// The endpoint goes away. `farewell`: the goodbye frame may still be sent; otherwise everything ends now.
  void destroy(bool farewell, Millis now);

  // -- signaling -------------------------------------------------------------------------------------
  /// What `message` holds may be moved from, as with the inputs below.
  void remoteMessage(SignalMessage& message, Millis now);
  /// The server says that the other peer is not there.
  void peerUnavailable(Millis now);
  /// A message of this connection waited too long for the server.
  void signalExpired(Millis now);
  /// The server is back: a recovery that waited for it goes on.
  void signalingOpened(Millis now);

  // -- the browser -----------------------------------------------------------------------------------
  void opDone(Input& in, Millis now);
  void opFailed(Op op, const std::string& why, Millis now);
  void localCandidate(CandidateInit& candidate, Millis now);
  void gatheringComplete(Millis now);
  void negotiationNeeded(Millis now);
  void linkStateChanged(LinkState state, Millis now);
  void channelArrived(ChannelHandle channel, Millis now);
  void channelOpened(ChannelHandle channel, std::size_t maxMessageSize, Millis now);
  void channelClosed(ChannelHandle channel, Millis now);
  void networkChanged(NetworkChange change, Millis now);

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
  [[nodiscard]] LinkHandle link() const { return link_; }
  /// The browser is at work on this command for us.
  [[nodiscard]] bool expects(Op op) const;
  [[nodiscard]] ChannelHandle channel() const { return channel_; }
  /// The native protocol runs, on a channel that is up: other connections' signals can ride along.
  [[nodiscard]] bool canCarrySignals() const;
  /// Null while the protocol is unknown or not ours.
  [[nodiscard]] Framing* framing() { return framing_.get(); }
  [[nodiscard]] const Framing* framing() const { return framing_.get(); }
  /// An OFFER went out and nothing came back yet.
  [[nodiscard]] bool awaitsAnswer() const { return identity_.outgoing && !answered_ && phase_ == Phase::Negotiating; }

 private:
  // Negotiation::Sink
  Op setLocalDescription() override;
  Op setRemoteDescription(const Description& description) override;
  Op readLocalDescription() override;
  void addCandidate(const CandidateInit& candidate) override;
  void sendDescription(const Description& description, std::uint32_t negotiation, std::uint32_t seen) override;
  void sendCandidates(std::vector<CandidateInit>&& candidates) override;
  void negotiated() override;
  void failed(ErrorCode code, const char* text, const std::string& why) override;
  void warn(ErrorCode code, const char* text) override;

  /// Reasons are literals: the first of them is kept until the end.
  bool enter(Trigger trigger, const char* reason);
  /// An error event. A '%' in `text` stands for the other peer's id, `detail` is put behind it.
  void complain(ErrorCode code, const char* text, const std::string* detail = nullptr);
  /// complain(), and it is over.
  void fail(ErrorCode code, const char* text, const char* reason, Millis now, const std::string* detail = nullptr);
  /// Tells the framing layer that no channel will come any more.
  void abortFraming(const char* reason, Millis now);
  void finish(const char* reason);
  void tellClosed(const char* reason);
  /// A command for the link that ends in a promise; carries a new op.
  Output& command(OutputType type);
  void retireOp(Op op);
  void createLink();
  void dropLink();
  /// The first description of the other side came. False when its protocol is not what was asked for: it is over then.
  void offered(SignalMessage& offer, Millis now);
  [[nodiscard]] bool peerAnswered(const std::optional<NativeTag>& tag, Millis now);
  void openChannel(Millis now);
  void forward(OutputType type, FramingEvent& event);
  void pathDown(const char* reason, Millis now);
  void pathUp(const char* reason);
  void tryRestart(Millis now);
  void sayBye(const char* why, Millis now);
  void peerClosed(bool rejected, Millis now);
  void address(SignalMessage& message, MessageType type) const;

  Identity identity_;
  const Config& config_;
  FramingConfig framingConfig_;
  Outbox& outbox_;
  Host& host_;

  Phase phase_;
  Negotiation negotiation_;
  std::unique_ptr<Framing> framing_;
  std::optional<Protocol> protocol_;

  LinkHandle link_ = 0;
  ChannelHandle channel_ = 0;
  bool channelOpen_ = false;
  std::size_t maxMessageSize_ = 65'536;
  bool answered_ = false;       ///< the other side's first description is known
  bool everConnected_ = false;  ///< the link was connected once
  bool closedTold_ = false;     ///< ConnectionClosed went out
  const char* closeReason_ = nullptr;
  std::vector<Op> ops_;           ///< under way in the browser
  std::vector<Op> candidateOps_;  ///< those of them whose failure is only a warning

  std::unique_ptr<SignalMessage> ringing_;  ///< the OFFER of a call that was not answered yet
  std::unique_ptr<SignalMessage> early_;    ///< an OFFER that overtook the ANSWER it builds upon
  std::vector<CandidateInit> ringingCandidates_;

  Millis negotiationDeadline_ = kNever;
  Millis restartAt_ = kNever;
  Millis budgetUntil_ = kNever;
  Millis lingerUntil_ = kNever;
  Millis restartPause_ = 0;
  Millis now_ = 0;  ///< of the call under way, for the Sink methods
};

}  // namespace peerbridge
