#include "world.hpp"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace peerbridge::sim {

namespace {

using nlohmann::json;

std::string stateName(ConnectionState state) {
  switch (state) {
    case ConnectionState::Connecting:
      return "connecting";
    case ConnectionState::Open:
      return "open";
    case ConnectionState::Recovering:
      return "recovering";
    case ConnectionState::Closed:
      return "closed";
  }
  return "";
}

std::string peerStateName(PeerState state) {
  switch (state) {
    case PeerState::Idle:
      return "idle";
    case PeerState::Connecting:
      return "connecting";
    case PeerState::Open:
      return "open";
    case PeerState::Reconnecting:
      return "reconnecting";
    case PeerState::Closed:
      return "closed";
  }
  return "";
}

/// "key=value" lines of the model's SDP.
std::optional<std::string> field(const std::string& sdp, const std::string& key) {
  const std::size_t at = sdp.find(key);
  if (at == std::string::npos) return std::nullopt;
  const std::size_t begin = at + key.size();
  return sdp.substr(begin, sdp.find('\r', begin) - begin);
}

}  // namespace

// -- Node ----------------------------------------------------------------------------------------------

Node::Node(World& world, std::string nodeName, const Config& config, const FramingConfig& framing)
    : name(std::move(nodeName)),
      endpoint(std::make_unique<Endpoint>(config, framing)),
      world_(world),
      token_("token-" + name) {}

void Node::start() { feed(input::Start{name, token_}); }

ConnectionHandle Node::connect(const std::string& peer, ConnectionKind kind, const std::string& metadata) {
  const ConnectionHandle handle = nextConnection_;
  nextConnection_ += 2;
  input::Connect wish;
  wish.connection = handle;
  wish.peer = peer;
  wish.connectionId = "dc_" + name + std::to_string(handle);
  wish.kind = kind;
  wish.label = "chat";
  if (!metadata.empty()) wish.metadata = metadata;
  wish.serialization = "binary";
  states[handle] = ConnectionState::Connecting;
  ids[handle] = wish.connectionId;
  peers[handle] = peer;
  feed(std::move(wish));
  return handle;
}

bool Node::send(ConnectionHandle connection, const std::string& text, Lane lane) {
  Framing* framing = endpoint->framing(connection);
  if (!alive || framing == nullptr) return false;
  bool accepted = false;
  if (text.size() <= world_.settings.framing.inlineBytes) {
    const std::span<std::byte> target = framing->put(lane, 1, text.size(), accepted);
    if (!accepted) return false;
    if (!text.empty()) std::memcpy(target.data(), text.data(), text.size());
  } else {
    const Ticket ticket = framing->queue(lane, 1, text.size());
    if (ticket == 0) return false;
    queued_[{connection, ticket}] = text;
  }
  sent[connection].push_back(text);
  pump(connection);
  drain();
  return true;
}

void Node::feed(Input input) {
  if (!alive || disposed) return;
  endpoint->handle(input, world_.now());
  drain();
}

void Node::changeMedia(ConnectionHandle connection) {
  for (const auto& [link, of] : linkConnections_) {
    if (of != connection) continue;
    const auto pc = links_.find(link);
    if (pc == links_.end()) continue;
    ++world_.pcs_[static_cast<std::size_t>(pc->second)]->media;
    world_.checkNeeded(pc->second);
  }
}

void Node::kill() {
  alive = false;
  for (auto& [id, client] : world_.clients_) {
    if (client.node == this) client.node = nullptr;
  }
  for (const auto& [link, pc] : links_) world_.pcs_[static_cast<std::size_t>(pc)]->closed = true;
}

std::size_t Node::count(const std::string& event) const {
  return static_cast<std::size_t>(
      std::count_if(events.begin(), events.end(), [&](const std::string& e) { return e.starts_with(event); }));
}

std::optional<ConnectionState> Node::state(ConnectionHandle connection) const {
  const auto it = states.find(connection);
  return it == states.end() ? std::nullopt : std::optional(it->second);
}

void Node::drain() {
  while (!disposed) {
    std::optional<Output> output = endpoint->poll();
    if (!output) break;
    perform(*output);
  }
  if (!disposed) arm();
}

void Node::arm() {
  const Millis next = endpoint->deadline();
  if (next == armed_) return;
  armed_ = next;
  const std::uint64_t generation = ++timerGeneration_;
  if (next == kNever) return;
  world_.at(std::max(next, world_.now()), [this, generation] {
    if (generation != timerGeneration_ || !alive) return;
    armed_ = kNever;
    feed(input::Timeout{});
  });
}

void Node::perform(Output& output) {
  const auto tell = [this](std::string event) {
    world_.note(name + " " + event);
    events.push_back(std::move(event));
  };
  const auto pcOf = [this](LinkHandle link) {
    const auto it = links_.find(link);
    return it == links_.end() ? -1 : it->second;
  };
  Output& o = output;
  const std::string self = std::to_string(o.connection);
  switch (o.type) {
    case OutputType::RequestId:
      world_.at(world_.now() + 10, [this, op = o.op] { feed(input::IdAssigned{op, name}); });
      return;
    case OutputType::SignalingConnect:
      transport_ = o.transport;
      world_.clientConnects(*this, o.text, o.label, o.transport);
      return;
    case OutputType::SignalingSend:
      if (o.text.find("HEARTBEAT") == std::string::npos) ++signalingFrames;
      world_.clientSays(*this, o.transport, o.text);
      return;
    case OutputType::SignalingClose:
      world_.clientLeaves(*this, o.transport);
      return;
    case OutputType::LinkCreate: {
      auto pc = std::make_unique<World::Pc>();
      pc->node = this;
      pc->link = o.link;
      links_[o.link] = static_cast<int>(world_.pcs_.size());
      linkConnections_[o.link] = o.connection;
      world_.pcs_.push_back(std::move(pc));
      return;
    }
    case OutputType::LinkClose:
      if (pcOf(o.link) < 0) return world_.violation(name + " closes a link that it does not have");
      world_.closePc(pcOf(o.link));
      links_.erase(o.link);
      return;
    case OutputType::SetLocalDescription:
      world_.setLocal(pcOf(o.link), o.op);
      return;
    case OutputType::SetRemoteDescription:
      world_.setRemote(pcOf(o.link), o.op, {o.sdpType, o.text});
      return;
    case OutputType::ReadLocalDescription:
      world_.readLocal(pcOf(o.link), o.op);
      return;
    case OutputType::AddCandidate:
      world_.addCandidate(pcOf(o.link), o.op, o.candidate);
      return;
    case OutputType::RestartIce: {
      const int pc = pcOf(o.link);
      if (pc < 0) return world_.violation(name + " restarts a link that it does not have");
      world_.pcs_[static_cast<std::size_t>(pc)]->restartWanted = true;
      world_.checkNeeded(pc);
      return;
    }
    case OutputType::Rollback:
      return world_.violation(name + " rolls back by hand where the browser does it by itself");
    case OutputType::ChannelCreate: {
      auto end = std::make_unique<World::ChannelEnd>();
      end->pc = pcOf(o.link);
      end->handle = o.channel;
      end->label = o.label;
      const int index = static_cast<int>(world_.ends_.size());
      channels_[o.channel] = index;
      if (end->pc >= 0) world_.pcs_[static_cast<std::size_t>(end->pc)]->channels.push_back(index);
      world_.ends_.push_back(std::move(end));
      return;
    }
    case OutputType::ChannelClose: {
      const auto it = channels_.find(o.channel);
      if (it != channels_.end()) world_.closeChannel(it->second, false);
      return;
    }
    case OutputType::Transmit:
      pump(o.connection);
      return;
    case OutputType::Dispose:
      disposed = true;
      if (endpoint->connectionCount() != 0) world_.violation(name + " disposes with connections left");
      return;
    case OutputType::PeerState:
      tell("state:" + peerStateName(static_cast<PeerState>(o.state)));
      return;
    case OutputType::PeerOpened:
      tell("open:" + o.text);
      return;
    case OutputType::PeerDisconnected:
      tell("disconnected");
      return;
    case OutputType::PeerClosed:
      tell("close");
      return;
    case OutputType::PeerError:
      tell("error:" + std::string(errorName(o.error)));
      return;
    case OutputType::ConnectionIncoming:
      incoming_.push_back(o.connection);
      states[o.connection] = ConnectionState::Connecting;
      ids[o.connection] = o.connectionId;
      peers[o.connection] = o.text;
      tell("connection:" + o.text);
      if (o.kind == ConnectionKind::Media && answerCalls) {
        world_.at(world_.now() + 1, [this, c = o.connection] { feed(input::Answer{c}); });
      }
      return;
    case OutputType::ConnectionState: {
      const auto it = states.find(o.connection);
      if (it != states.end() && it->second == ConnectionState::Closed) {
        world_.violation(name + " revives a closed connection");
      }
      states[o.connection] = static_cast<ConnectionState>(o.state);
      tell("connection-state:" + self + ":" + stateName(states[o.connection]));
      return;
    }
    case OutputType::ConnectionOpened:
      tell("connection-open:" + self);
      return;
    case OutputType::ConnectionError:
      tell("connection-error:" + self + ":" + std::string(errorName(o.error)));
      return;
    case OutputType::ConnectionClosed:
      states[o.connection] = ConnectionState::Closed;
      tell("connection-closed:" + self + ":" + o.text);
      return;
    case OutputType::Delivered:
      tell("delivered:" + self + ":" + std::to_string(o.marker));
      return;
    case OutputType::Warning:
      tell("warning:" + std::string(errorName(o.error)));
      return;
    case OutputType::ChannelBind:
    case OutputType::TransferRead:
    case OutputType::Room:
    case OutputType::TransferOffered:
    case OutputType::TransferState:
    case OutputType::TransferProgress:
    case OutputType::TransferEnded:
      return;
  }
}

void Node::pump(ConnectionHandle connection) {
  while (alive && !disposed) {
    ChannelHandle channel = 0;
    // The model's channel takes what it is given; the browser's buffer is modelled by what waits in it.
    std::uint64_t buffered = 0;
    if (const auto it = channels_.find(channel); it != channels_.end()) {
      buffered = world_.ends_[static_cast<std::size_t>(it->second)]->buffered;
    }
    const Action action = endpoint->pump(connection, buffered, world_.now(), channel);
    if (action.kind == ActionKind::Wait) return;
    if (action.kind == ActionKind::Fill) {
      const auto it = queued_.find({connection, action.ticket});
      if (it == queued_.end() || action.offset + action.length > it->second.size()) {
        world_.violation(name + " is asked for bytes that it does not have");
        return;
      }
      std::memcpy(action.data, it->second.data() + action.offset, action.length);
      continue;
    }
    const auto it = channels_.find(channel);
    if (it == channels_.end()) return world_.violation(name + " sends on a channel that it does not have");
    const World::ChannelEnd& end = *world_.ends_[static_cast<std::size_t>(it->second)];
    if (!end.open || end.closed) {
      endpoint->framing(connection)->unsend();
      return;
    }
    world_.sendFrame(it->second, std::vector<std::byte>(action.data, action.data + action.length));
  }
}

void Node::frameArrived(ChannelHandle channel, const std::vector<std::byte>& frame) {
  if (!alive || disposed) return;
  endpoint->receive(channel, frame, world_.now());
  while (const std::optional<ConnectionDelivery> piece = endpoint->delivery()) {
    const Delivery& d = piece->delivery;
    std::string& text = partial_[piece->connection];
    if (d.first) text.clear();
    text.append(reinterpret_cast<const char*>(frame.data()) + d.frameOffset, d.length);
    if (d.last) received[piece->connection].push_back(text);
  }
  drain();
}

// -- World: clock --------------------------------------------------------------------------------------

World::World(Settings given) : settings(std::move(given)), random_(settings.seed) {}

Node& World::add(const std::string& name) { return add(name, settings.config); }

Node& World::add(const std::string& name, const Config& config) {
  Config own = config;
  own.seed = random_();
  nodes_.push_back(std::make_unique<Node>(*this, name, own, settings.framing));
  return *nodes_.back();
}

void World::at(Millis when, std::function<void()> run) { events_.emplace(std::pair(when, ++order_), std::move(run)); }

void World::run(Millis until) {
  while (!events_.empty() && events_.begin()->first.first <= until) {
    auto node = events_.extract(events_.begin());
    now_ = std::max(now_, node.key().first);
    node.mapped()();
  }
  now_ = std::max(now_, until);
}

bool World::runUntil(const std::function<bool()>& done, Millis limit) {
  const Millis until = now_ + limit;
  while (!done()) {
    if (events_.empty() || events_.begin()->first.first > until) return done();
    auto node = events_.extract(events_.begin());
    now_ = std::max(now_, node.key().first);
    node.mapped()();
  }
  return true;
}

void World::violation(const std::string& what) {
  note("VIOLATION " + what);
  violations_.push_back(what);
}

void World::note(const std::string& line) {
  if (tracing) trace_.push_back(std::to_string(now_) + " " + line);
}

// -- World: the server ---------------------------------------------------------------------------------

void World::clientConnects(Node& node, const std::string& id, const std::string& token, std::uint32_t transport) {
  at(now_ + settings.signalLatency, [this, &node, id, token, transport] {
    if (!serverUp_) {
      node.feed(input::SignalingClosed{transport, "connection refused"});
      return;
    }
    if (node.transport_ != transport) return;
    node.feed(input::SignalingOpened{transport});
    const auto known = clients_.find(id);
    if (known != clients_.end() && known->second.token != token) {
      node.feed(input::SignalingMessage{transport, R"({"type":"ID-TAKEN","payload":{"msg":"ID is taken"}})"});
      return;
    }
    // PeerServer swaps the socket of a known id and token without saying OPEN.
    const bool silent = known != clients_.end();
    clients_[id] = Client{&node, token, transport};
    if (silent) return;
    serverSends(id, R"({"type":"OPEN"})");
    for (Held& held : held_[id]) serverSends(id, held.text);
    held_.erase(id);
  });
}

void World::clientLeaves(Node& node, std::uint32_t transport) {
  std::erase_if(clients_,
                [&](const auto& entry) { return entry.second.node == &node && entry.second.transport == transport; });
}

void World::clientSays(Node& node, std::uint32_t transport, const std::string& text) {
  std::uniform_int_distribution<Millis> jitter(0, std::max<Millis>(settings.signalJitter, 0));
  const std::string from = node.name;
  note(from + " says " + text.substr(0, 60));
  at(now_ + settings.signalLatency + jitter(random_), [this, from, transport, text] {
    if (!serverUp_) return;
    const auto client = clients_.find(from);
    if (client == clients_.end() || client->second.transport != transport) return;
    if (serverFilter && !serverFilter(from, text)) return;
    json message = json::parse(text);
    if (message["type"] == "HEARTBEAT") return;
    message["src"] = from;
    const std::string dst = message.value("dst", "");
    const std::string relayed = message.dump();
    const auto there = clients_.find(dst);
    if (there != clients_.end() && there->second.node != nullptr) {
      serverSends(dst, relayed);
      return;
    }
    if (message["type"] == "LEAVE" || message["type"] == "EXPIRE") return;
    std::deque<Held>& queue = held_[dst];
    queue.push_back({relayed, from, now_ + settings.expireTimeout});
    at(now_ + settings.expireTimeout, [this, dst, from] {
      const auto it = held_.find(dst);
      if (it == held_.end()) return;
      const std::size_t before = it->second.size();
      std::erase_if(it->second, [&](const Held& held) { return held.from == from && held.expires <= now_; });
      if (it->second.size() != before) serverSends(from, json{{"type", "EXPIRE"}, {"src", dst}, {"dst", from}}.dump());
    });
  });
}

void World::serverSends(const std::string& id, const std::string& text) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || it->second.node == nullptr) return;
  Node* node = it->second.node;
  const std::uint32_t transport = it->second.transport;
  at(now_ + settings.signalLatency, [this, node, transport, text] {
    if (serverUp_) node->feed(input::SignalingMessage{transport, text});
  });
}

void World::serverDown() {
  serverUp_ = false;
  held_.clear();
  const auto gone = std::exchange(clients_, {});
  for (const auto& [id, client] : gone) {
    if (client.node == nullptr) continue;
    at(now_, [node = client.node, transport = client.transport] {
      node->feed(input::SignalingClosed{transport, "the server went away"});
    });
  }
}

// -- World: the browsers -------------------------------------------------------------------------------

std::string World::sdpOf(int index, SdpType type) const {
  const Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  std::string sdp = "v=0\r\ns=" + std::to_string(index) + "\r\na=ice-ufrag:u" + std::to_string(index) + "g" +
                    std::to_string(pc.generation) + "\r\ng=" + std::to_string(pc.generation) + "\r\n";
  if (type == SdpType::Answer) sdp += "re=" + std::to_string(pc.remotePc) + "\r\n";
  for (const std::string& candidate : pc.localCandidates) sdp += "a=" + candidate + "\r\n";
  return sdp;
}

void World::chain(int index, std::function<void()> operation) {
  Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  pc.chain.push_back(std::move(operation));
  runChain(index);
}

void World::runChain(int index) {
  Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  if (pc.chainBusy || pc.chain.empty()) return;
  pc.chainBusy = true;
  at(now_ + settings.operation, [this, index] {
    Pc& then = *pcs_[static_cast<std::size_t>(index)];
    if (then.closed) return;  // promises of a closed RTCPeerConnection never settle
    std::function<void()> operation = std::move(then.chain.front());
    then.chain.pop_front();
    operation();
    finishOperation(index);
  });
}

void World::finishOperation(int index) {
  Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  if (pc.closed) return;
  pc.chainBusy = false;
  runChain(index);
  if (!pc.chainBusy && pc.needed) at(now_, [this, index] { checkNeeded(index); });
}

void World::setLocal(int index, Op op) {
  if (index < 0) return violation("setLocalDescription on a link that is not there");
  chain(index, [this, index, op] {
    Pc& pc = *pcs_[static_cast<std::size_t>(index)];
    const bool answer = pc.signaling == Signaling::HaveRemoteOffer;
    if (pc.signaling == Signaling::HaveLocalOffer) violation("setLocalDescription in have-local-offer");
    if (pc.restartWanted || pc.generation == 0) {
      ++pc.generation;
      pc.restartWanted = false;
      pc.localCandidates.clear();
    }
    if (answer && pc.remoteGeneration > 1 && pc.agreedGeneration == pc.generation) {
      // An ICE restart of the other side renews both ends' credentials.
      ++pc.generation;
      pc.localCandidates.clear();
    }
    pc.mediaOffered = pc.media;
    pc.signaling = answer ? Signaling::Stable : Signaling::HaveLocalOffer;
    pc.local =
        Description{answer ? SdpType::Answer : SdpType::Offer, sdpOf(index, answer ? SdpType::Answer : SdpType::Offer)};
    if (answer) {
      pc.agreedGeneration = pc.generation;
      pc.mediaAgreed = pc.media;
    }
    note(pc.node->name + " local " + (answer ? "answer" : "offer") + " of pc " + std::to_string(index));
    pc.node->feed(input::OpDone{op, pc.local});
    if (pc.localCandidates.empty()) gather(index);
    if (answer) checkPath(index);
  });
}

void World::setRemote(int index, Op op, const Description& description) {
  if (index < 0) return violation("setRemoteDescription on a link that is not there");
  chain(index, [this, index, op, description] {
    Pc& pc = *pcs_[static_cast<std::size_t>(index)];
    if (description.type == SdpType::Answer && pc.signaling != Signaling::HaveLocalOffer) {
      violation("setRemoteDescription(answer) outside have-local-offer");
      pc.node->feed(input::OpFailed{op, "InvalidStateError", "wrong state"});
      return;
    }
    if (description.type == SdpType::Offer && pc.signaling == Signaling::HaveLocalOffer) {
      pc.signaling = Signaling::Stable;  // implicit rollback
      pc.needed = true;
      if (pc.generation > std::max(pc.agreedGeneration, 0) && pc.agreedGeneration > 0) {
        pc.restartWanted = true;
        pc.generation = pc.agreedGeneration;
      }
    }
    pc.remote = description.sdp;
    pc.remotePc = std::stoi(field(description.sdp, "s=").value_or("-1"));
    pc.remoteGeneration = std::stoi(field(description.sdp, "g=").value_or("-1"));
    pc.remoteCandidate = description.sdp.find("a=candidate") != std::string::npos;
    if (description.type == SdpType::Offer) {
      pc.signaling = Signaling::HaveRemoteOffer;
    } else {
      if (field(description.sdp, "re=") != std::to_string(index))
        violation("an answer to somebody else's offer was applied");
      pc.signaling = Signaling::Stable;
      pc.agreedGeneration = pc.generation;
      pc.mediaAgreed = pc.mediaOffered;
    }
    note(pc.node->name + " remote " + (description.type == SdpType::Offer ? "offer" : "answer") + " at pc " +
         std::to_string(index));
    pc.node->feed(input::OpDone{op, std::nullopt});
    if (pc.signaling == Signaling::Stable) {
      checkPath(index);
      at(now_, [this, index] { checkNeeded(index); });
    }
  });
}

void World::readLocal(int index, Op op) {
  if (index < 0) return violation("localDescription of a link that is not there");
  at(now_, [this, index, op] {
    Pc& pc = *pcs_[static_cast<std::size_t>(index)];
    if (pc.closed || !pc.local) return;
    pc.local->sdp = sdpOf(index, pc.local->type);
    pc.node->feed(input::OpDone{op, pc.local});
  });
}

void World::addCandidate(int index, Op op, const CandidateInit& candidate) {
  if (index < 0) return violation("addIceCandidate on a link that is not there");
  chain(index, [this, index, op, candidate] {
    Pc& pc = *pcs_[static_cast<std::size_t>(index)];
    if (!pc.remote) {
      violation("addIceCandidate without a remote description");
      pc.node->feed(input::OpFailed{op, "InvalidStateError", "no remote description"});
      return;
    }
    if (candidate.hasUfrag &&
        pc.remote->find("a=ice-ufrag:" + candidate.usernameFragment + "\r") == std::string::npos) {
      violation("addIceCandidate with an unknown ufrag");
      pc.node->feed(input::OpFailed{op, "OperationError", "unknown ufrag"});
      return;
    }
    if (!candidate.candidate.empty()) pc.remoteCandidate = true;
    pc.node->feed(input::OpDone{op, std::nullopt});
    checkPath(index);
  });
}

void World::gather(int index) {
  const int generation = pcs_[static_cast<std::size_t>(index)]->generation;
  std::uniform_int_distribution<Millis> pause(1, 30);
  Millis when = now_;
  for (int i = 0; i < 3; ++i) {
    when += pause(random_);
    at(when, [this, index, generation, i] {
      Pc& pc = *pcs_[static_cast<std::size_t>(index)];
      if (pc.closed || pc.generation != generation) return;
      const std::string line =
          "candidate:" + std::to_string(i) + " 1 udp 1 10.0.0." + std::to_string(index) + " 9 typ host";
      pc.localCandidates.push_back(line);
      CandidateInit candidate;
      candidate.candidate = line;
      candidate.hasMid = true;
      candidate.sdpMid = "0";
      candidate.hasLineIndex = true;
      candidate.hasUfrag = true;
      candidate.usernameFragment = "u" + std::to_string(index) + "g" + std::to_string(generation);
      pc.node->feed(input::LocalCandidate{pc.link, candidate});
      if (i == 2) pc.node->feed(input::GatheringComplete{pc.link});
    });
  }
}

void World::checkNeeded(int index) {
  Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  if (pc.closed) return;
  const bool wanted = pc.restartWanted || pc.media != pc.mediaAgreed;
  if (!wanted) {
    pc.needed = false;
    return;
  }
  pc.needed = true;
  // webrtc-pc §4.7.3: not while the chain is busy, not outside stable; then it is looked at again.
  if (pc.chainBusy || !pc.chain.empty() || pc.signaling != Signaling::Stable) return;
  at(now_, [this, index] {
    Pc& then = *pcs_[static_cast<std::size_t>(index)];
    if (then.closed || then.chainBusy || !then.chain.empty() || then.signaling != Signaling::Stable || !then.needed)
      return;
    then.needed = false;
    then.node->feed(input::NegotiationNeeded{then.link});
  });
}

bool World::matched(int a, int b) const {
  if (a < 0 || b < 0) return false;
  const Pc& left = *pcs_[static_cast<std::size_t>(a)];
  const Pc& right = *pcs_[static_cast<std::size_t>(b)];
  return !left.closed && !right.closed && left.remotePc == b && right.remotePc == a &&
         left.remoteGeneration == right.generation && right.remoteGeneration == left.generation &&
         (left.remoteCandidate || right.remoteCandidate);
}

void World::checkPath(int index) {
  const int other = pcs_[static_cast<std::size_t>(index)]->remotePc;
  if (!pathUp_ || !matched(index, other)) return;
  at(now_ + 2 * settings.linkLatency, [this, index, other] {
    if (!pathUp_ || !matched(index, other)) return;
    Pc& pc = *pcs_[static_cast<std::size_t>(index)];
    Pc& remote = *pcs_[static_cast<std::size_t>(other)];
    const bool first = !pc.announced;
    setState(index, LinkState::Connected);
    setState(other, LinkState::Connected);
    if (first) {
      pc.announced = remote.announced = true;
      openChannels(index, other);
      openChannels(other, index);
    }
    for (const int side : {index, other}) {
      for (const int channel : std::vector<int>(pcs_[static_cast<std::size_t>(side)]->channels)) {
        std::deque<std::vector<std::byte>> stuck = std::exchange(ends_[static_cast<std::size_t>(channel)]->stuck, {});
        for (std::vector<std::byte>& frame : stuck) sendFrame(channel, std::move(frame));
      }
    }
  });
}

void World::openChannels(int offerer, int answerer) {
  Pc& from = *pcs_[static_cast<std::size_t>(offerer)];
  Pc& to = *pcs_[static_cast<std::size_t>(answerer)];
  for (const int index : std::vector<int>(from.channels)) {
    ChannelEnd& end = *ends_[static_cast<std::size_t>(index)];
    if (end.other >= 0 || end.closed) continue;
    auto arrived = std::make_unique<ChannelEnd>();
    arrived->pc = answerer;
    arrived->handle = to.node->nextArrived_;
    to.node->nextArrived_ += 2;
    arrived->label = end.label;
    arrived->other = index;
    arrived->open = true;
    const int other = static_cast<int>(ends_.size());
    end.other = other;
    end.open = true;
    to.channels.push_back(other);
    to.node->channels_[arrived->handle] = other;
    const ChannelHandle handle = arrived->handle;
    ends_.push_back(std::move(arrived));
    from.node->feed(input::ChannelOpened{end.handle, 262'144});
    to.node->feed(input::ChannelArrived{to.link, handle});
    to.node->feed(input::ChannelOpened{handle, 262'144});
  }
}

void World::sendFrame(int index, std::vector<std::byte> frame) {
  ChannelEnd& end = *ends_[static_cast<std::size_t>(index)];
  if (!pathUp_ || !end.stuck.empty()) {
    end.stuck.push_back(std::move(frame));
    return;
  }
  at(now_ + settings.linkLatency, [this, other = end.other, frame = std::move(frame)] {
    if (other < 0) return;
    ChannelEnd& there = *ends_[static_cast<std::size_t>(other)];
    Pc& pc = *pcs_[static_cast<std::size_t>(there.pc)];
    if (there.closed || pc.closed) return;
    pc.node->frameArrived(there.handle, frame);
  });
}

void World::closeChannel(int index, bool tellSelf) {
  ChannelEnd& end = *ends_[static_cast<std::size_t>(index)];
  if (end.closed) return;
  end.closed = true;
  if (tellSelf) pcs_[static_cast<std::size_t>(end.pc)]->node->feed(input::ChannelClosed{end.handle});
  const int other = end.other;
  if (other < 0) return;
  at(now_ + settings.linkLatency, [this, other] {
    ChannelEnd& there = *ends_[static_cast<std::size_t>(other)];
    if (there.closed || pcs_[static_cast<std::size_t>(there.pc)]->closed || !pathUp_) return;
    there.closed = true;
    pcs_[static_cast<std::size_t>(there.pc)]->node->feed(input::ChannelClosed{there.handle});
  });
}

void World::closePc(int index) {
  Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  if (pc.closed) return violation("a link was closed twice");
  pc.closed = true;
  pc.chain.clear();
  for (const int channel : std::vector<int>(pc.channels)) closeChannel(channel, false);
  // Its other end hears no more consent (RFC 7675): disconnected after 5 s, failed after 15 s.
  const int other = pc.remotePc;
  if (other < 0) return;
  at(now_ + 5'000, [this, other] {
    if (pcs_[static_cast<std::size_t>(other)]->state == LinkState::Connected) setState(other, LinkState::Disconnected);
  });
  at(now_ + 15'000, [this, other] {
    if (pcs_[static_cast<std::size_t>(other)]->state == LinkState::Disconnected) setState(other, LinkState::Failed);
  });
}

void World::setState(int index, LinkState state) {
  Pc& pc = *pcs_[static_cast<std::size_t>(index)];
  if (pc.closed || pc.state == state) return;
  pc.state = state;
  pc.node->feed(input::LinkStateChanged{pc.link, state});
}

void World::setPath(bool up) {
  if (pathUp_ == up) return;
  pathUp_ = up;
  const std::uint64_t generation = ++pathGeneration_;
  for (std::size_t i = 0; i < pcs_.size(); ++i) {
    const int index = static_cast<int>(i);
    if (up) {
      checkPath(index);
      continue;
    }
    // As measured in Chromium: disconnected after 5 s of silence, failed after 15 s.
    at(now_ + 5'000, [this, index, generation] {
      if (generation == pathGeneration_ && pcs_[static_cast<std::size_t>(index)]->state == LinkState::Connected) {
        setState(index, LinkState::Disconnected);
      }
    });
    at(now_ + 15'000, [this, index, generation] {
      if (generation == pathGeneration_ && pcs_[static_cast<std::size_t>(index)]->state == LinkState::Disconnected) {
        setState(index, LinkState::Failed);
      }
    });
  }
}

}  // namespace peerbridge::sim
