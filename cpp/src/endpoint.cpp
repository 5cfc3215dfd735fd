// Routes inputs to the parts; the only file that knows them all.

#include "peerbridge/endpoint.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/handle_map.hpp"
#include "base/outbox.hpp"
#include "base/planted.hpp"
#include "base/timer_heap.hpp"
#include "connection/connection.hpp"
#include "signaling/message.hpp"
#include "signaling/queue.hpp"
#include "signaling/session.hpp"

namespace peerbridge {

namespace {

// Candidates that overtook their OFFER: enough for some calls at once, and no more than a liar may cost us.
constexpr std::size_t kMaxOrphans = 64;
// Offers that come late, or twice, for a connection that is over must not begin it anew.
constexpr std::size_t kMaxBuried = 64;

/// FNV-1a. 0 is no key of a HandleMap.
std::uint32_t hashOf(const std::string& text) {
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16'777'619U;
  return hash == 0 ? 1 : hash;
}

/// Links, channels and ops share one map.
std::uint32_t keyOf(HandleKind kind, std::uint32_t handle) { return handle * 4 + static_cast<std::uint32_t>(kind) + 1; }

}  // namespace

struct Endpoint::State final : Connection::Host {
  /// A place for a connection; places are used again, handles are not.
  struct Entry {
    std::unique_ptr<Connection> connection;  ///< null: free
    std::uint32_t nextOfPeer = 0;            ///< place of another one with the same peer, or of one with its hash
  };
  struct Orphan {
    SignalMessage message;
    Millis expires;
  };

  State(const Config& givenConfig, const FramingConfig& givenFraming)
      : config(givenConfig), framingConfig(givenFraming), session(config, outbox) {}

  const Config config;
  const FramingConfig framingConfig;
  Outbox outbox;
  Session session;
  SignalQueue queue;

  std::vector<Entry> entries;
  std::vector<std::uint32_t> freeEntries;
  HandleMap connections;  ///< to their places: the index of the entry, plus one
  HandleMap owners;       ///< of links, channels and ops, to connections
  HandleMap peers;        ///< hashes of ids, to the place of the newest connection with such a peer
  TimerHeap timers;       ///< of places
  int recoveringCount = 0;
  std::vector<Orphan> orphans;
  std::vector<std::string> buried;                                ///< the names of what ended last
  std::vector<std::pair<ConnectionHandle, std::string>> arrived;  ///< signals that came in-band, not dispatched yet
  ConnectionHandle deliveringFrom = 0;                            ///< whose frame's pieces are being taken
  Millis deliveringAt = 0;
  bool destroying = false;
  bool disposed = false;

  static std::string nameOf(const std::string& peer, const std::string& connectionId) {
    return peer + '\n' + connectionId;
  }

  // -- finding ---------------------------------------------------------------------------------------

  Connection* find(ConnectionHandle handle) {
    const std::uint32_t place = connections.get(handle);
    return place == 0 ? nullptr : entries[place - 1].connection.get();
  }
  Connection* byIdentity(const std::string& peer, const std::string& connectionId) {
    for (const ConnectionHandle handle : with(peer)) {
      Connection* connection = find(handle);
      if (connection->identity().id == connectionId) return connection;
    }
    return nullptr;
  }
  /// Those with one peer, the newest first. Handles, because what is done with them may end some.
  std::vector<ConnectionHandle> with(const std::string& peer) {
    std::vector<ConnectionHandle> found;
    for (std::uint32_t place = peers.get(hashOf(peer)); place != 0; place = entries[place - 1].nextOfPeer) {
      const Connection::Identity& identity = entries[place - 1].connection->identity();
      if (identity.peer == peer) found.push_back(identity.handle);
    }
    return found;
  }
  template <class Call>
  void forEach(Call call) {
    for (const Entry& entry : entries) {
      if (Connection* connection = entry.connection.get()) {
        touched.push_back(connection->identity().handle);
        call(*connection);
      }
    }
  }

  // -- Connection::Host ------------------------------------------------------------------------------

  void own(HandleKind kind, std::uint32_t handle, ConnectionHandle connection) override {
    if (handle == 0) return;
    if (connection != 0) {
      owners.set(keyOf(kind, handle), connection);
    } else {
      owners.erase(keyOf(kind, handle));
    }
  }

  bool reachable(const std::string& peer) override { return session.isOpen() || carried(peer); }

  bool carried(const std::string& peer) override { return carrierTo(peer) != nullptr; }

  void recovering(int change, Millis now) override {
    recoveringCount += change;
    session.urgent(recoveringCount > 0, now);
  }

  void networkBack(Millis now) override { session.retryNow(now); }

  /// An open connection that leads to the same peer without the server.
  Connection* carrierTo(const std::string& peer) {
    for (const ConnectionHandle handle : with(peer)) {
      if (Connection* connection = find(handle); connection->canCarrySignals()) return connection;
    }
    return nullptr;
  }

  void sendSignal(const Connection& from, SignalMessage& message, Millis now) override {
    // A goodbye outlives its connection.
    const bool bye = message.native && message.native->bye;
    // Candidates and stripes of a connection that is open are no business of the server's any more.
    const bool inside = message.type == MessageType::Candidate || (message.native && message.native->stripe > 0);
    if (inside && !bye && from.carriesItsOwn()) {
      Connection& through = *find(from.identity().handle);
      if (through.framing()->signal(serializeSignal(message))) {
        touched.push_back(from.identity().handle);
        return;
      }
    }
    route(bye ? 0 : from.identity().handle, message, now);
  }

  void route(ConnectionHandle from, const SignalMessage& message, Millis now) {
    std::string text = serializeSignal(message);
    const auto inside = [this, &message, &text] {
      Connection* carrier = carrierTo(message.dst);
      if (carrier == nullptr || !carrier->framing()->signal(text)) return false;
      touched.push_back(carrier->identity().handle);
      return true;
    };
    if (config.byHand && inside()) return;
    if (session.isOpen()) {
      sendNow(std::move(text), from);
      return;
    }
    // Without the server, any open connection to the same peer leads there.
    if (inside()) return;
    if (session.isOver()) return;
    // After disconnect() too: the application may come back, and if not, the connection is told.
    if (!queue.push(from, std::move(text), now + config.signalExpiry)) {
      outbox.warn(ErrorCode::SignalTooLarge, "too many signaling messages wait for the server; one was dropped");
    }
  }
  void signalArrived(const Connection& through, std::string&& text) override {
    arrived.emplace_back(through.identity().handle, std::move(text));
  }

  void sendNow(std::string&& text, ConnectionHandle from) {
    if (text.size() > kMaxSignalBytes) {
      outbox.error(OutputType::ConnectionError, from, ErrorCode::SignalTooLarge,
                   "a signaling message above 256 KiB was not sent: put less into the metadata", {});
      return;
    }
    session.send(std::move(text));
  }

  // -- after every change ----------------------------------------------------------------------------

  std::vector<ConnectionHandle> touched;

  /// Settles a connection that was told something, and forgets it when it is over.
  void settle(ConnectionHandle handle, Millis now) {
    Connection* connection = find(handle);
    if (connection == nullptr) return;
    connection->settle(now);
    if (connection->finished()) {
      forget(handle);
      return;
    }
    arm(handle, *connection);
  }

  void forget(ConnectionHandle handle) {
    const Connection* connection = find(handle);
    if (connection == nullptr) return;
    if (buried.size() >= kMaxBuried) buried.erase(buried.begin());
    buried.push_back(nameOf(connection->identity().peer, connection->identity().id));
    queue.drop(handle);
    const std::uint32_t place = connections.get(handle);
    const std::uint32_t hash = hashOf(connection->identity().peer);
    std::uint32_t before = peers.get(hash);
    if (before == place) {
      if (const std::uint32_t next = entries[place - 1].nextOfPeer) {
        peers.set(hash, next);
      } else {
        peers.erase(hash);
      }
    } else {
      while (entries[before - 1].nextOfPeer != place) before = entries[before - 1].nextOfPeer;
      entries[before - 1].nextOfPeer = entries[place - 1].nextOfPeer;
    }
    connections.erase(handle);
    timers.set(place - 1, kNever);
    entries[place - 1] = {};
    freeEntries.push_back(place);
  }

  void arm(ConnectionHandle handle, const Connection& connection) {
    timers.set(connections.get(handle) - 1, connection.deadline());
  }

  /// Everything that follows from what was just handled, until nothing more follows.
  void drain(Millis now) {
    while (!touched.empty() || !arrived.empty()) {
      while (!touched.empty()) {
        const ConnectionHandle handle = touched.back();
        touched.pop_back();
        settle(handle, now);
      }
      std::vector<std::pair<ConnectionHandle, std::string>> signals = std::exchange(arrived, {});
      for (auto& [through, text] : signals) {
        const Connection* carrier = find(through);
        if (carrier != nullptr) relayed(text, carrier->identity().peer, now);
      }
    }
    disposeIfDone();
  }

  void disposeIfDone() {
    if (destroying && !disposed && connections.size() == 0) {
      disposed = true;
      outbox.add(OutputType::Dispose);
    }
  }

  // -- signaling -------------------------------------------------------------------------------------

  void apply(Session::Effect effect, Millis now) {
    switch (effect) {
      case Session::Effect::None:
        return;
      case Session::Effect::Opened:
        while (std::optional<SignalQueue::Entry> next = queue.take()) sendNow(std::move(next->text), next->connection);
        forEach([now](Connection& connection) { connection.signalingOpened(now); });
        return;
      case Session::Effect::Dead:
        destroy(true, now);
        return;
    }
  }

  void serverSaid(const std::string& text, Millis now) {
    Result<SignalMessage> parsed = parseSignal(text);
    if (!parsed) {
      outbox.error(OutputType::Warning, 0, parsed.error());
      return;
    }
    SignalMessage& message = parsed.value();
    session.alive(now);
    switch (message.type) {
      case MessageType::Open:
      case MessageType::Error:
      case MessageType::IdTaken:
      case MessageType::InvalidKey:
        apply(session.message(message, now), now);
        return;
      case MessageType::Heartbeat:
        return;
      case MessageType::Offer:
      case MessageType::Answer:
      case MessageType::Candidate:
      case MessageType::Leave:
      case MessageType::Expire:
        apply(session.heard(now), now);
        dispatch(message, now);
        return;
    }
  }

  /// A signal that came through a connection to `peer`: nobody else can have written it, whatever its src says.
  void relayed(const std::string& text, const std::string& peer, Millis now) {
    Result<SignalMessage> parsed = parseSignal(text);
    if (!parsed) {
      outbox.error(OutputType::Warning, 0, parsed.error());
      return;
    }
    SignalMessage& message = parsed.value();
    const bool aboutConnections = message.type == MessageType::Offer || message.type == MessageType::Answer ||
                                  message.type == MessageType::Candidate;
    if (!aboutConnections) return;
    message.src = peer;
    dispatch(message, now);
  }

  void dispatch(SignalMessage& message, Millis now) {
    if (destroying) return;
    switch (message.type) {
      case MessageType::Offer:
      case MessageType::Answer:
      case MessageType::Candidate:
        break;
      case MessageType::Expire:
        expire(message.src, now);
        return;
      case MessageType::Leave:
        leave(message.src, now);
        return;
      default:
        return;
    }
    if (message.src.empty()) {
      outbox.warn(ErrorCode::BadSignal, "a signaling message without src was dropped");
      return;
    }
    if (message.connectionId == kProbeId && message.src == session.id()) return;  // the server's sign of life
    if (Connection* known = byIdentity(message.src, message.connectionId)) {
      touched.push_back(known->identity().handle);
      known->remoteMessage(message, now);
      return;
    }
    if (message.type == MessageType::Offer) {
      // A later offer is about a connection that this side has no more; and so may be a first one that comes late.
      const bool late =
          (message.native &&
           (message.native->negotiation > 1 || message.native->link > 1 || message.native->seen > 0)) ||
          std::find(buried.begin(), buried.end(), nameOf(message.src, message.connectionId)) != buried.end();
      if (!late) {
        incoming(message, now);
      } else {
        refuse(message, now);
      }
      return;
    }
    // An answer to a connection that was given up while nothing could be said.
    if (message.type == MessageType::Answer) return refuse(message, now);
    // Polling and clusters reorder: it may be early. Or it belongs to a connection that is over: then it expires.
    while (!orphans.empty() && (orphans.front().expires <= now || orphans.size() >= kMaxOrphans))
      orphans.erase(orphans.begin());
    orphans.push_back({std::move(message), now + config.orphanExpiry});
  }

  /// `message` is about a connection that this side has no more.
  void refuse(const SignalMessage& message, Millis now) {
    if (!message.native) return;
    SignalMessage bye;
    sayGoodbye(bye, message.src, message.connectionId, message.kind, "closed");
    route(0, bye, now);
  }

  void incoming(SignalMessage& offer, Millis now) {
    if (connections.size() >= config.maxConnections || with(offer.src).size() >= config.maxConnectionsPerPeer) {
      outbox.error(OutputType::Warning, 0, ErrorCode::BadSignal,
                   "peer \"%\" asked for more connections than are allowed", offer.src);
      return;
    }
    // A caller may hang up before its OFFER was delivered.
    for (const Orphan& orphan : orphans) {
      if (orphan.expires > now && orphan.message.src == offer.src &&
          orphan.message.connectionId == offer.connectionId && orphan.message.native && orphan.message.native->bye) {
        return;
      }
    }
    Connection::Identity identity;
    identity.handle = outbox.nextConnection();
    identity.localPeer = session.id();
    identity.peer = offer.src;
    identity.id = offer.connectionId;
    identity.kind = offer.kind;
    identity.outgoing = false;
    identity.label = offer.label.value_or(offer.connectionId);
    identity.metadata = offer.metadata;
    const bool native = offer.native.has_value() && config.protocol != ProtocolChoice::PeerJs;
    if (!native || offer.native->named != 0) identity.serialization = offer.serialization.value_or("binary");
    identity.reliable = offer.reliable.value_or(false);
    Output& out = outbox.add(OutputType::ConnectionIncoming, identity.handle);
    out.text = identity.peer;
    out.connectionId = identity.id;
    out.kind = identity.kind;
    out.label = identity.label;
    out.hasMetadata = identity.metadata.has_value();
    if (identity.metadata) out.metadata = *identity.metadata;
    out.serialization = identity.serialization;
    out.reliable = identity.reliable;
    out.protocol = native ? Protocol::Native : Protocol::PeerJs;
    Connection& connection = add(std::move(identity));
    const std::string src = offer.src;
    const std::string connectionId = offer.connectionId;
    connection.remoteMessage(offer, now);
    for (auto it = orphans.begin(); it != orphans.end();) {
      if (it->message.src == src && it->message.connectionId == connectionId) {
        if (it->expires > now) connection.remoteMessage(it->message, now);
        it = orphans.erase(it);
      } else {
        ++it;
      }
    }
  }

  Connection& add(Connection::Identity&& identity) {
    const ConnectionHandle handle = identity.handle;
    if (freeEntries.empty()) {
      entries.emplace_back();
      freeEntries.push_back(static_cast<std::uint32_t>(entries.size()));
    }
    const std::uint32_t place = freeEntries.back();
    freeEntries.pop_back();
    connections.set(handle, place);
    touched.push_back(handle);
    const std::uint32_t hash = hashOf(identity.peer);
    entries[place - 1].nextOfPeer = peers.get(hash);
    peers.set(hash, place);
    std::unique_ptr<Connection>& connection = entries[place - 1].connection;
    connection = std::make_unique<Connection>(std::move(identity), config, framingConfig, outbox, *this);
    return *connection;
  }

  void expire(const std::string& peer, Millis now) {
    bool waited = false;
    for (const ConnectionHandle handle : with(peer)) {
      Connection& connection = *find(handle);
      const Phase before = connection.phase();
      connection.peerUnavailable(session.isSettled(now) && !connection.heardLately(now), now);
      waited = waited || connection.phase() != before;
      touched.push_back(handle);
    }
    if (waited) {
      outbox.error(OutputType::PeerError, 0, ErrorCode::PeerUnavailable, "Could not connect to peer %", peer);
    }
  }

  void leave(const std::string& peer, Millis now) {
    for (const ConnectionHandle handle : with(peer)) {
      find(handle)->peerUnavailable(true, now);
      touched.push_back(handle);
    }
  }

  // -- inputs ----------------------------------------------------------------------------------------

  void connect(Input& wish, Millis now) {
    if (wish.connection % 2 == 0 || connections.get(wish.connection) != 0) return;
    Connection::Identity identity;
    identity.handle = wish.connection;
    identity.localPeer = session.id();
    identity.peer = std::move(wish.text);
    identity.id = std::move(wish.connectionId);
    identity.kind = wish.kind;
    identity.label = std::move(wish.label);
    if (wish.hasMetadata) identity.metadata = std::move(wish.metadata);
    identity.serialization = std::move(wish.serialization);
    identity.reliable = wish.reliable;
    identity.wait = !wish.hasLength;

    const auto refuse = [this, &identity](ErrorCode code, const char* text) {
      outbox.error(OutputType::ConnectionError, identity.handle, code, text, identity.peer);
      Output& state = outbox.add(OutputType::ConnectionState, identity.handle);
      state.state = static_cast<std::uint8_t>(ConnectionState::Closed);
      state.text = errorName(code);
      outbox.add(OutputType::ConnectionClosed, identity.handle).text = errorName(code);
    };
    if (destroying) {
      refuse(ErrorCode::Disconnected, "the peer is destroyed: make a new one");
    } else if (!isValidId(identity.peer)) {
      refuse(ErrorCode::InvalidId, "\"%\" is not the id of a peer");
    } else if (identity.peer == session.id()) {
      refuse(ErrorCode::InvalidArgument, "\"%\" is this peer itself");
    } else if (identity.id.empty() || identity.id.size() > kMaxIdBytes) {
      refuse(ErrorCode::InvalidArgument, "a connectionId has 1 to 256 bytes");
    } else if (byIdentity(identity.peer, identity.id) != nullptr) {
      refuse(ErrorCode::InvalidArgument, "a connection with this connectionId exists already");
    } else if (identity.metadata && identity.metadata->size() > kMaxSignalBytes / 2) {
      refuse(ErrorCode::SignalTooLarge, "metadata above 128 KiB does not fit into signaling: send it as a message");
    } else {
      add(std::move(identity)).start(now);
    }
  }

  void destroy(bool farewell, Millis now) {
    if (destroying) return;
    destroying = true;
    forEach([farewell, now](Connection& connection) { connection.destroy(farewell, now); });
    session.destroy();
    queue.clear();  // nobody takes goodbyes any more
    outbox.add(OutputType::PeerClosed);
  }

  void timeout(Millis now) {
    apply(session.timeout(now), now);
    for (const ConnectionHandle handle : queue.expire(now)) {
      if (Connection* connection = find(handle)) {
        connection->signalExpired(now);
        touched.push_back(handle);
      }
    }
    while (timers.next() <= now) {
      Connection& connection = *entries[timers.first()].connection;
      const ConnectionHandle handle = connection.identity().handle;
      timers.set(timers.first(), kNever);  // settle() arms it again
      connection.timeout(now);
      if (!planted(Bug::TimerNotRearmed)) touched.push_back(handle);
    }
  }

  /// The connection that an input is about, or null.
  Connection* target(const Input& in) {
    if (in.connection != 0) return find(in.connection);
    if (in.link != 0) return find(owners.get(keyOf(HandleKind::Link, in.link)));
    if (in.channel != 0) return find(owners.get(keyOf(HandleKind::Channel, in.channel)));
    const std::uint32_t key = keyOf(HandleKind::Op, in.op);
    const ConnectionHandle owner = owners.get(key);
    owners.erase(key);
    return find(owner);
  }

  void handle(Input& in, Millis now) {
    switch (in.type) {
      case InputType::Start:
        return apply(session.start(in.hasText, in.text, std::move(in.label), now), now);
      case InputType::Connect:
        return connect(in, now);
      case InputType::Disconnect:
        return session.disconnect();
      case InputType::Reconnect:
        return session.reconnect(now);
      case InputType::Destroy:
        return destroy(true, now);
      case InputType::IdAssigned:
        return apply(session.idAssigned(in.op, in.text, now), now);
      case InputType::IdFailed:
        return apply(session.idFailed(in.op, in.label), now);
      case InputType::SignalingOpened:
        return apply(session.transportOpened(in.transport, now), now);
      case InputType::SignalingMessage:
        if (session.owns(in.transport)) serverSaid(in.text, now);
        return;
      case InputType::SignalingClosed:
        return apply(session.transportClosed(in.transport, in.label, now), now);
      case InputType::Network:
        apply(session.network(in.change, now), now);
        forEach([&in, now](Connection& connection) { connection.networkChanged(in.change, now); });
        return;
      case InputType::PageHide:
        forEach([now](Connection& connection) { connection.leave(now); });
        return;
      case InputType::Timeout:
        return timeout(now);
      default:
        break;
    }
    Connection* connection = target(in);
    if (connection == nullptr) return;
    touched.push_back(connection->identity().handle);
    switch (in.type) {
      case InputType::Answer:
        return connection->answer(now);
      case InputType::Close:
        return connection->close(now);
      case InputType::Stripes:
        return connection->setStripes(in.length, now);
      case InputType::OpDone:
        return connection->opDone(in, now);
      case InputType::OpFailed:
        if (!in.text.empty()) in.text += ": ";
        in.text += in.label;
        return connection->opFailed(in.op, in.text, now);
      case InputType::LocalCandidate:
        return connection->localCandidate(in.link, in.candidate, now);
      case InputType::GatheringComplete:
        return connection->gatheringComplete(in.link, now);
      case InputType::NegotiationNeeded:
        return connection->negotiationNeeded(in.link, now);
      case InputType::LinkState:
        return connection->linkStateChanged(in.link, in.linkState, now);
      case InputType::PathChanged:
        return connection->pathChanged(in.link, now);
      case InputType::ChannelArrived:
        return connection->channelArrived(in.link, in.channel, in.text, now);
      case InputType::ChannelOpened:
        return connection->channelOpened(in.channel, static_cast<std::size_t>(in.length), now);
      case InputType::ChannelClosed:
        return connection->channelClosed(in.channel, now);
      case InputType::SideOpen:
        return connection->openSide(in, now);
      case InputType::SideClose:
        return connection->closeSide(in.transfer);
      case InputType::SideHeard:
        return connection->sideHeard(now);
      default:
        return transfer(in, *connection, now);
    }
  }

  /// What the application wishes for a transfer.
  void transfer(Input& in, Connection& connection, Millis now) {
    Framing* framing = connection.framing();
    if (in.type == InputType::TransferOffer) {
      const std::optional<std::uint64_t> size = in.hasLength ? std::optional(in.length) : std::nullopt;
      if (framing != nullptr &&
          framing->offer(in.transfer, std::move(in.text), std::move(in.label), size, std::move(in.connectionId))) {
        return;
      }
      Output& out = outbox.add(OutputType::TransferState, in.connection);
      out.transfer = in.transfer;
      out.state = static_cast<std::uint8_t>(TransferState::Failed);
      out.error = connection.isForeign() ? ErrorCode::IncompatiblePeer : ErrorCode::ConnectionLost;
      out.text = connection.isForeign() ? "PeerJS knows no files: send() its bytes" : "the connection is not open";
      return;
    }
    if (framing == nullptr) return;
    switch (in.type) {
      case InputType::TransferAccept:
        framing->accept(in.transfer, in.length);
        return;
      case InputType::TransferReject:
        framing->reject(in.transfer, in.text);
        return;
      case InputType::TransferPause:
        framing->pause(in.transfer);
        return;
      case InputType::TransferResume:
        framing->resume(in.transfer);
        return;
      case InputType::TransferCancel:
        framing->cancel(in.transfer, in.text);
        return;
      case InputType::TransferEnd:
        framing->transferEnd(in.transfer, in.text);
        return;
      case InputType::TransferConsumed:
        framing->transferConsumed(in.transfer, in.length, now);
        return;
      case InputType::TransferComplete:
        framing->transferComplete(in.transfer, in.text);
        return;
      default:
        return;
    }
  }
};

Endpoint::Endpoint(const Config& config, const FramingConfig& framing)
    : state_(std::make_unique<State>(config, framing)) {}
Endpoint::~Endpoint() = default;

void Endpoint::handle(Input& input, Millis now) {
  state_->handle(input, now);
  state_->drain(now);
}

std::optional<Output> Endpoint::poll() { return state_->outbox.pop(); }

bool Endpoint::hasOutput() const { return !state_->outbox.empty(); }

Millis Endpoint::deadline() const {
  return std::min({state_->session.deadline(), state_->queue.deadline(), state_->timers.next()});
}

Wire* Endpoint::wire(ConnectionHandle connection) {
  const Connection* found = state_->find(connection);
  return found == nullptr || found->finished() ? nullptr : found->wire();
}

Framing* Endpoint::framing(ConnectionHandle connection) {
  Connection* found = state_->find(connection);
  return found == nullptr || found->finished() ? nullptr : found->framing();
}

Action Endpoint::pump(ConnectionHandle connection, ChannelHandle channel, std::uint64_t bufferedAmount, Millis now) {
  Connection* found = state_->find(connection);
  Wire* wire = found == nullptr ? nullptr : found->wire();
  if (wire == nullptr) return {};
  const std::optional<Slot> slot = found->slotOf(channel);
  if (!slot) return {};
  const Action action = wire->next(bufferedAmount, now, *slot);
  if (action.kind == ActionKind::Wait || action.last) {
    // Room that came up, messages that were acknowledged meanwhile.
    found->report(now);
    if (found->finished()) {
      // What the action points to lives until the next input.
      state_->touched.push_back(connection);
    } else {
      state_->arm(connection, *found);
    }
  }
  return action;
}

void Endpoint::receive(ChannelHandle channel, std::span<const std::byte> frame, std::size_t length, bool text,
                       Millis now) {
  Connection* connection = state_->find(state_->owners.get(keyOf(HandleKind::Channel, channel)));
  if (connection == nullptr) return;
  const ConnectionHandle handle = connection->identity().handle;
  // What the frame means beyond its messages comes to light once its pieces are taken: see delivery().
  state_->deliveringFrom = handle;
  state_->deliveringAt = now;
  connection->receive(channel, frame, length, text, now);
}

bool Endpoint::needsOnlyTheHead(ChannelHandle channel, std::span<const std::byte> frame) const {
  const Connection* connection = state_->find(state_->owners.get(keyOf(HandleKind::Channel, channel)));
  const Framing* framing = connection == nullptr ? nullptr : connection->framing();
  return framing != nullptr && framing->needsOnlyTheHead(frame);
}

std::optional<ConnectionDelivery> Endpoint::delivery() {
  const ConnectionHandle handle = state_->deliveringFrom;
  Connection* connection = handle == 0 ? nullptr : state_->find(handle);
  if (connection == nullptr) return std::nullopt;
  Wire* wire = connection->wire();
  if (std::optional<Delivery> piece = wire == nullptr ? std::nullopt : wire->delivery())
    return ConnectionDelivery{handle, *piece};
  state_->deliveringFrom = 0;
  state_->touched.push_back(handle);
  state_->drain(state_->deliveringAt);
  return std::nullopt;
}

std::size_t Endpoint::connectionCount() const { return state_->connections.size(); }

}  // namespace peerbridge
