// The registration of this peer with its signaling server: get an id, register it, keep it alive, come back.
//
// Who calls: Endpoint, with everything that concerns the server and not one connection. Outputs go to the Outbox.
// Event orders are PeerJS's (error, disconnected, close), so that its applications read the same story; the one thing
// added is that the peer comes back by itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/backoff.hpp"
#include "base/outbox.hpp"
#include "peerbridge/config.hpp"
#include "signaling/message.hpp"

namespace peerbridge {

class Session {
 public:
  Session(const Config& config, Outbox& outbox);

  /// What a call means for the endpoint around the session.
  enum class Effect : std::uint8_t {
    None,
    Opened,  ///< the server takes messages now: flush the queue
    Dead,    ///< the peer never opened and cannot: destroy everything
  };

  /// `hasId` false: the server is asked for one, and `id` is not looked at.
  Effect start(bool hasId, const std::string& id, std::string token, Millis now);
  Effect idAssigned(Op op, const std::string& id, Millis now);
  Effect idFailed(Op op, const std::string& message);
  Effect transportOpened(std::uint32_t transport, Millis now);
  Effect transportClosed(std::uint32_t transport, const std::string& message, Millis now);
  /// OPEN, ERROR, ID-TAKEN, INVALID-KEY.
  Effect message(const SignalMessage& message, Millis now);
  /// Something was relayed to us: the server knows us, whatever became of its OPEN.
  Effect heard(Millis now);
  /// Any message came from the server.
  void alive(Millis now);
  /// A connection recovers: then the server may be lost too, and coming back to it is what everything waits for.
  void urgent(bool urgent, Millis now);
  /// The network is back: an attempt that began before would wait for TCP's next retransmission.
  void retryNow(Millis now);
  void disconnect();
  void reconnect(Millis now);
  void destroy();
  Effect network(NetworkChange change, Millis now);
  Effect timeout(Millis now);

  [[nodiscard]] Millis deadline() const { return deadline_; }
  [[nodiscard]] bool isOpen() const { return state_ == State::Open; }
  /// It is open for so long that every other client that lives has come back, too.
  [[nodiscard]] bool isSettled(Millis now) const { return isOpen() && now - openedAt_ >= config_.returnGrace; }
  /// Destroyed: messages need not wait.
  [[nodiscard]] bool isOver() const { return state_ == State::Ended; }
  [[nodiscard]] bool owns(std::uint32_t transport) const { return transport != 0 && transport == transport_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  /// Before: isOpen().
  void send(std::string&& text);

 private:
  enum class State : std::uint8_t {
    Idle,
    AskingId,     ///< request-id is under way
    Connecting,   ///< the transport is being opened
    Registering,  ///< the transport is open, OPEN has not come
    Open,
    Waiting,  ///< for the next attempt
    Left,     ///< disconnect() was called, or reconnecting was given up
    Ended,    ///< destroyed
  };

  void connect(Millis now);
  void probe(Millis timeout, Millis now);
  void armOpen();
  Effect open(Millis now);
  /// A '%' in `text` stands for our id, `detail` is put behind it.
  Effect lost(ErrorCode code, const char* text, Millis now, const std::string* detail = nullptr);
  /// A '%' in `text` stands for `subject`.
  Effect abort(ErrorCode code, const char* text, const std::string& subject, const std::string* detail = nullptr);
  void retry(Millis now);
  [[nodiscard]] Millis pause(Millis regular, Millis now) const;
  void dropTransport();
  void publish(PeerState state, const char* reason);

  const Config& config_;
  Outbox& outbox_;
  Backoff backoff_;
  State state_ = State::Idle;
  PeerState published_ = PeerState::Idle;
  std::string id_;
  std::string token_;
  Op idOp_ = 0;
  std::uint32_t transport_ = 0;
  std::int32_t attempts_ = 0;
  bool everOpened_ = false;
  bool announcedLoss_ = false;  ///< error and disconnected were emitted for this absence
  bool urgent_ = false;
  bool offline_ = false;  ///< by the browser's word
  Millis deadline_ = kNever;
  Millis openedAt_ = 0;
  Millis startedAt_ = 0;  ///< of the attempt to connect
  Millis heartbeatAt_ = kNever;
  Millis probeAt_ = kNever;   ///< when to ask the server for a sign of life
  Millis probedBy_ = kNever;  ///< it was asked, and is given up then
};

/// connectionId of the message to ourselves that asks the server for a sign of life. No connection is called that.
inline constexpr std::string_view kProbeId = " probe";

/// PeerJS's rule for ids: letters and digits, single spaces, hyphens or underscores between them.
[[nodiscard]] bool isValidId(std::string_view id);

}  // namespace peerbridge
