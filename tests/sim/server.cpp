// The signaling server, by PeerServer's rules: see world.hpp.

#include <algorithm>
#include <string_view>

#include "world.hpp"

namespace peerbridge::sim {

namespace {

/// The text value of `"key":"…"`; names and types need no escapes here.
std::string_view valueOf(std::string_view text, std::string_view key) {
  const std::size_t at = text.rfind(key);
  if (at == std::string_view::npos) return {};
  const std::size_t begin = at + key.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

std::string_view typeOf(std::string_view text) {
  constexpr std::string_view kBegin = R"({"type":")";
  if (!text.starts_with(kBegin)) return {};
  return text.substr(kBegin.size(), text.find('"', kBegin.size()) - kBegin.size());
}

}  // namespace

int World::socketOf(const Node& node, std::uint32_t transport) const {
  for (std::size_t i = sockets_.size(); i > 0; --i) {
    const Socket& one = *sockets_[i - 1];
    if (one.node == &node && one.transport == transport) return static_cast<int>(i) - 1;
  }
  return -1;
}

World::Client* World::client(const std::string& id) {
  for (Client& one : clients_) {
    if (one.id == id) return &one;
  }
  return nullptr;
}

std::size_t World::openSockets(const Node& node) const {
  return static_cast<std::size_t>(std::count_if(sockets_.begin(), sockets_.end(),
                                                [&](const auto& one) { return one->node == &node && !one->closed; }));
}

bool World::socketDead(const Node& node) const {
  return std::any_of(sockets_.begin(), sockets_.end(),
                     [&](const auto& one) { return one->node == &node && !one->closed && one->dead; });
}

bool World::signalingWell(const Node& node) const {
  if (!node.alive || node.disposed || node.frozen || !node.online || node.session != PeerState::Open) return false;
  if (!serverUp_ || slow_ > 0 || now() < slowUntil_ || lossPercent_ > 0) return false;
  const int index = socketOf(node, node.transport_);
  return index >= 0 && sockets_[static_cast<std::size_t>(index)]->open &&
         !sockets_[static_cast<std::size_t>(index)]->closed && !sockets_[static_cast<std::size_t>(index)]->dead;
}

bool World::lostSignals(const Node& a, const Node& b) const {
  return std::any_of(lost_.begin(), lost_.end(), [&](const auto& pair) {
    return pair == std::pair(a.index, b.index) || pair == std::pair(b.index, a.index);
  });
}

/// Remembers who did not hear from whom.
void World::vanishes(const std::string& from, std::string_view text) {
  const Node* sender = node(from);
  const Node* receiver = node(std::string(valueOf(text, R"("dst":")")));
  if (sender == nullptr || receiver == nullptr || sender == receiver) return;
  const std::pair pair(sender->index, receiver->index);
  if (std::find(lost_.begin(), lost_.end(), pair) == lost_.end()) lost_.push_back(pair);
}

void World::clientConnects(Node& node, const std::string& id, const std::string& token, std::uint32_t transport) {
  const int index = static_cast<int>(sockets_.size());
  auto made = std::make_unique<Socket>();
  made->node = &node;
  made->transport = transport;
  made->id = id;
  made->token = token;
  sockets_.push_back(std::move(made));
  at(now() + settings.signalLatency + slow_, [this, index] {
    Socket& s = socket(index);
    if (s.closed || s.dead || !s.node->alive) return;
    if (!s.node->online) {  // SYN is lost, nobody answers
      s.dead = true;
      return;
    }
    if (!serverUp_) return closeAtClient(index, "connection refused");
    s.open = true;
    s.heard = now();
    s.lastDown = now() + settings.signalLatency;
    at(s.lastDown, [this, index] {
      Socket& then = socket(index);
      if (!then.open || then.dead || then.closed) return;
      then.openedAt = now();
      then.node->feed(input::SignalingOpened{then.transport});
    });
    Client* known = client(s.id);
    if (known != nullptr && known->token != s.token) {
      return serverSends(index, R"({"type":"ID-TAKEN","payload":{"msg":"ID is taken"}})");
    }
    const bool swapped = known != nullptr;
    if (swapped) {
      known->socket = index;
    } else {
      clients_.push_back({s.id, s.token, index});
    }
    watchAlive(index);
    s.silent = swapped && settings.swapsSilently;
    if (s.silent) return;
    serverSends(index, R"({"type":"OPEN"})");
    flushHeld(index);
  });
}

void World::flushHeld(int index) {
  const auto it =
      std::find_if(held_.begin(), held_.end(), [&](const Held& one) { return one.dst == socket(index).id; });
  if (it == held_.end()) return;
  Held waiting = std::move(*it);
  held_.erase(it);
  for (auto& [from, text] : waiting.messages) serverSends(index, std::move(text));
}

/// Silence for too long is the end; a client that is dead is not told.
void World::watchAlive(int index) {
  at(socket(index).heard + settings.aliveTimeout, [this, index] {
    Socket& s = socket(index);
    if (!s.open) return;
    if (s.heard + settings.aliveTimeout > now()) return watchAlive(index);
    unregister(index);
    if (!s.dead) closeAtClient(index, "the server heard nothing");
  });
}

void World::unregister(int index) {
  socket(index).open = false;
  std::erase_if(clients_, [index](const Client& one) { return one.socket == index; });
}

void World::closeAtClient(int index, const std::string& why) {
  at(now() + settings.signalLatency, [this, index, why] {
    Socket& s = socket(index);
    if (s.closed || s.dead) return;
    s.closed = true;
    s.node->feed(input::SignalingClosed{s.transport, why});
  });
}

void World::clientLeaves(Node& node, std::uint32_t transport) {
  const int index = socketOf(node, transport);
  if (index < 0) return;
  const Socket& s = socket(index);
  // Silence after a swap counts as OPEN.
  if (s.silent && node.opened && node.movedAt < s.openedAt && s.open && !s.dead &&
      s.openedAt <= now() - settings.config.openTimeout && !node.left && !node.destroyed &&
      node.session != PeerState::Open) {
    breaks(kRegisters, node.name + " gives up, and the server knows it");
  }
  socket(index).givenUp = true;
  if (std::exchange(socket(index).closed, true)) return;
  // Behind what was said before.
  at(std::max(now() + settings.signalLatency, socket(index).lastUp), [this, index] {
    if (!socket(index).dead && socket(index).node->online) unregister(index);
  });
}

void World::clientDies(Node& node, bool noticed) {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    Socket& s = *sockets_[i];
    if (s.node != &node || !s.open) continue;
    s.closed = true;
    if (noticed && !s.dead) {
      at(std::max(now(), s.lastUp), [this, index = static_cast<int>(i)] { unregister(index); });
    } else {
      s.dead = true;
    }
  }
}

void World::clientSays(Node& node, std::uint32_t transport, std::string&& text) {
  const bool heartbeat = typeOf(text) == "HEARTBEAT";
  if (!heartbeat) ++node.signalingFrames;
  if (tracing && !heartbeat) node.world_.note(node.name, "  says " + text.substr(0, 400));
  const int index = socketOf(node, transport);
  if (index < 0 || socket(index).givenUp) return illegal(node, "sends through a transport that it closed");
  Socket& s = socket(index);
  if (s.closed) return vanishes(s.id, text);  // a WebSocket that is closed drops what is sent; its event is on the way
  Millis when = now() + settings.signalLatency + slow_;
  if (settings.signalJitter > 0) {
    when += random.millis(0, settings.signalJitter);
  } else {
    when = std::max(s.lastUp, when);
  }
  s.lastUp = std::max(s.lastUp, when);
  at(when, [this, index, said = std::move(text)]() mutable { serverGets(index, std::move(said)); });
}

void World::serverGets(int index, std::string&& text) {
  Socket& s = socket(index);
  if (!s.open || s.dead) return vanishes(s.id, text);
  if (!s.node->online && s.node->alive) {
    s.heldUp.push_back(std::move(text));
    return;
  }
  const std::string from = s.id;
  if (serverFilter && !serverFilter(from, text)) return;
  const std::string_view type = typeOf(text);
  if (type == "HEARTBEAT") {
    s.heard = now();
    return;
  }
  if (random.chance(lossPercent_)) {
    if (tracing) note("server", "loses a message of " + from);
    return vanishes(from, text);
  }
  const std::string dst(valueOf(text, R"("dst":")"));
  const bool waits = type != "LEAVE" && type != "EXPIRE";
  if (type == "LEAVE" && dst.empty()) return unregister(index);
  text.insert(1, R"("src":")" + from + "\",");
  const Client* there = client(dst);
  if (there != nullptr) {
    if (random.chance(settings.duplicatePercent)) serverSends(there->socket, text);
    serverSends(there->socket, std::move(text));
    return;
  }
  if (waits) hold(dst, from, std::move(text));
}

/// PeerServer drops all that waits for somebody at once, and tells every sender.
void World::hold(const std::string& dst, const std::string& from, std::string&& text) {
  auto it = std::find_if(held_.begin(), held_.end(), [&](const Held& one) { return one.dst == dst; });
  if (it != held_.end()) {
    it->messages.emplace_back(from, std::move(text));
    return;
  }
  Held& made = held_.emplace_back();
  made.dst = dst;
  made.number = ++heldNumber_;
  made.messages.emplace_back(from, std::move(text));
  at(now() + settings.expireTimeout, [this, number = made.number] {
    const auto due = std::find_if(held_.begin(), held_.end(), [&](const Held& one) { return one.number == number; });
    if (due == held_.end()) return;
    const Held gone = std::move(*due);
    held_.erase(due);
    std::vector<std::string> told;
    for (const auto& [sender, text] : gone.messages) {
      vanishes(sender, text);
      if (std::find(told.begin(), told.end(), sender) != told.end()) continue;
      told.push_back(sender);
      const Client* back = client(sender);
      if (back == nullptr) continue;
      socket(back->socket).node->toldGone.push_back(gone.dst);
      if (tracing) note("server", "tells " + sender + " that " + gone.dst + " is not there");
      serverSends(back->socket, R"({"type":"EXPIRE","src":")" + gone.dst + R"(","dst":")" + sender + "\"}");
    }
  });
}

void World::serverSends(int index, std::string text) {
  Socket& s = socket(index);
  Millis when = now() + settings.signalLatency;
  if (settings.signalJitter > 0 && typeOf(text) != "OPEN") {
    when += random.millis(0, settings.signalJitter);
    when = std::max(when, s.lastDown);  // not before the socket opened
  } else {
    when = s.lastDown = std::max(s.lastDown, when);
  }
  at(when, [this, index, said = std::move(text)]() mutable {
    Socket& then = socket(index);
    if (!then.open || then.closed || then.dead) return vanishes(std::string(valueOf(said, R"("src":")")), said);
    if (!then.node->online) {
      then.heldDown.push_back(std::move(said));
      return;
    }
    then.node->feed(input::SignalingMessage{then.transport, std::move(said)});
  });
}

void World::serverSlow(Millis by) {
  // What was said meanwhile is still on its way, and what follows stays behind it.
  slowUntil_ = now() + slow_ + settings.signalLatency;
  slow_ = by;
}

void World::serverDown(bool told) {
  serverUp_ = false;
  for (const Held& one : held_) {
    for (const auto& [from, text] : one.messages) vanishes(from, text);
  }
  held_.clear();
  clients_.clear();
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    Socket& s = *sockets_[i];
    if (!s.open) continue;
    s.open = false;
    if (s.closed || s.dead) continue;
    if (told && s.node->online) {
      closeAtClient(static_cast<int>(i), "the server went away");
    } else {
      s.dead = true;
    }
  }
}

void World::halfOpen(Node& node) {
  for (const std::unique_ptr<Socket>& s : sockets_) {
    if (s->node == &node && s->open && !s->closed) s->dead = true;
  }
}

void World::setOnline(Node& node, bool online, bool kept) {
  if (node.online == online) return;
  node.online = online;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    Socket& s = *sockets_[i];
    if (s.node != &node || !s.open || s.dead) continue;
    if (!online) {
      if (!kept) s.dead = true;
      continue;
    }
    // TCP sends again what was not acknowledged.
    for (std::string& text : std::exchange(s.heldUp, {})) {
      s.lastUp = std::max(s.lastUp, now() + settings.signalLatency);
      at(s.lastUp, [this, i, said = std::move(text)]() mutable { serverGets(static_cast<int>(i), std::move(said)); });
    }
    for (std::string& text : std::exchange(s.heldDown, {})) serverSends(static_cast<int>(i), std::move(text));
    if (s.closed) unregister(static_cast<int>(i));
  }
  reviewNode(node);
}

void World::changeNetwork(Node& node, bool noticed) {
  ++node.address;
  node.movedAt = now();
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    Socket& s = *sockets_[i];
    if (s.node != &node || s.closed) continue;
    if (noticed) closeAtClient(static_cast<int>(i), "the network changed");
    // The server is not told in any case.
    if (noticed) {
      at(now() + settings.signalLatency, [this, i] { socket(static_cast<int>(i)).dead = true; });
    } else {
      s.dead = true;
    }
  }
  reviewNode(node);
}

}  // namespace peerbridge::sim
