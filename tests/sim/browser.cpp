// RTCPeerConnection and RTCDataChannel, as a model: see world.hpp and docs/simulation.md.

#include <algorithm>
#include <cstdlib>

#include "world.hpp"

namespace peerbridge::sim {

namespace {

constexpr int kCandidates = 3;
constexpr int kAllCandidates = (1 << kCandidates) - 1;

/// SCTP's retransmission timer after an outage, as measured in both browsers.
constexpr Millis kFirstRetransmission = 400;
constexpr Millis kLongestRetransmission = 3'000;

std::string ufragOf(int pc, int generation) { return "u" + std::to_string(pc) + "g" + std::to_string(generation); }

}  // namespace

// -- descriptions --------------------------------------------------------------------------------------

std::string World::textOf(int index, const Sdp& sdp) const {
  const Pc& self = pc(index);
  const int candidates = sdp.generation == self.generation ? self.gathered : kAllCandidates;
  std::string text = "v=0\r\no=";
  for (const int value :
       {sdp.pc, sdp.version, sdp.generation, sdp.lines, sdp.app ? 1 : 0, sdp.answers, sdp.answersVersion, candidates}) {
    text += std::to_string(value);
    text += ' ';
  }
  text += "\r\na=ice-ufrag:" + ufragOf(sdp.pc, sdp.generation) + "\r\n";
  return text;
}

std::optional<World::Sdp> World::parse(SdpType type, const std::string& text) {
  const std::size_t begin = text.find("o=");
  if (begin == std::string::npos) return std::nullopt;
  const char* at = text.c_str() + begin + 2;
  std::array<int, 8> values{};
  for (int& value : values) {
    char* behind = nullptr;
    value = static_cast<int>(std::strtol(at, &behind, 10));
    if (behind == at) return std::nullopt;
    at = behind;
  }
  return Sdp{type, values[0], values[1], values[2], values[3], values[4] != 0, values[5], values[6], values[7]};
}

// -- the operations chain ------------------------------------------------------------------------------

int World::createPc(Node& node, LinkHandle link, int tracks) {
  const int index = static_cast<int>(pcs_.size());
  auto made = std::make_unique<Pc>();
  made->node = &node;
  made->link = link;
  made->unplaced = tracks;
  pcs_.push_back(std::move(made));
  if (tracks > 0) lookWhetherNeeded(index);
  return index;
}

void World::chain(int index, Task operation) {
  pc(index).chain.push_back(std::move(operation));
  runChain(index);
}

void World::runChain(int index) {
  Pc& self = pc(index);
  if (self.chainBusy) return;
  if (self.chain.empty()) {
    if (std::exchange(self.lookAgain, false)) lookWhetherNeeded(index);
    return;
  }
  self.chainBusy = true;
  at(now() + settings.operation, [this, index] {
    Pc& then = pc(index);
    if (then.closed) return;  // promises of a closed RTCPeerConnection never settle
    Task operation = std::move(then.chain.front());
    then.chain.pop_front();
    operation();
    if (then.closed) return;
    then.chainBusy = false;
    runChain(index);
  });
}

void World::succeed(int index, Op op) { pc(index).node->feed(input::OpDone{op, std::nullopt}); }

void World::fail(int index, Op op, const char* name) {
  if (tracing) note(pc(index).node->name, "  pc " + std::to_string(index) + " rejects: " + name);
  pc(index).node->feed(input::OpFailed{op, name, "as a browser would"});
}

void World::setLocal(int index, Op op) {
  chain(index, [this, index, op] {
    Pc& self = pc(index);
    if (self.signaling == Signaling::HaveLocalOffer) {
      illegal(*self.node, "setLocalDescription() in have-local-offer");
      return fail(index, op, "InvalidStateError");
    }
    const bool answer = self.signaling == Signaling::HaveRemoteOffer;
    // webrtc-pc §4.4.1.6: an offer renews the credentials that restartIce() named; an answer those of a restart of the
    // other side (RFC 8839 §4.4.1.1.1).
    bool renews = self.generation == 0;
    if (answer) {
      renews = renews || (self.agreedRemote != 0 && self.pendingRemote->generation != self.agreedRemote);
    } else {
      renews = renews || self.generation <= self.restart;
    }
    if (renews) {
      self.generation = ++self.generations;
      self.generationAddress = self.node->address;
      self.gathered = 0;
    }
    Sdp sdp;
    sdp.pc = index;
    sdp.generation = self.generation;
    if (answer) {
      const Sdp& remote = *self.pendingRemote;
      sdp.type = SdpType::Answer;
      sdp.version = self.versions;
      sdp.lines = remote.lines;
      sdp.app = remote.app;
      sdp.answers = remote.pc;
      sdp.answersVersion = remote.version;
      self.unplaced -= std::min(self.unplaced, remote.lines - self.lines);
      self.lines = remote.lines;
      self.app = remote.app;
      self.mediaAgreed = self.media;
      self.currentLocal = sdp;
      self.currentRemote = std::exchange(self.pendingRemote, std::nullopt);
      self.signaling = Signaling::Stable;
    } else {
      sdp.version = ++self.versions;
      sdp.lines = self.lines + self.unplaced;
      sdp.app = self.app || self.wantsApp;
      self.unplacedOffered = self.unplaced;
      self.mediaOffered = self.media;
      self.pendingLocal = sdp;
      self.signaling = Signaling::HaveLocalOffer;
    }
    if (tracing) {
      note(self.node->name, "  pc " + std::to_string(index) + (answer ? " answers" : " offers") + " with generation " +
                                std::to_string(self.generation) + (answer ? ": stable" : ": have-local-offer"));
    }
    self.node->feed(input::OpDone{op, Description{sdp.type, textOf(index, sdp)}});
    if (self.closed) return;
    if (renews) gather(index);
    if (answer) becameStable(index);
  });
}

void World::setRemote(int index, Op op, SdpType type, const std::string& text) {
  const std::optional<Sdp> remote = parse(type, text);
  if (!remote) return illegal(*pc(index).node, "setRemoteDescription() of what is none");
  chain(index, [this, index, op, sdp = *remote] {
    if (sdp.type == SdpType::Offer) {
      applyOffer(index, op, sdp);
    } else {
      applyAnswer(index, op, sdp);
    }
  });
}

void World::applyOffer(int index, Op op, const Sdp& remote) {
  Pc& self = pc(index);
  if (self.signaling == Signaling::HaveLocalOffer) {
    if (!self.node->browser.rollsBack) return fail(index, op, "InvalidStateError");
    doRollback(index);
  }
  if (self.remotePc >= 0 && self.remotePc != remote.pc) {
    illegal(*self.node, "an offer of another RTCPeerConnection was applied");
    return fail(index, op, "InvalidAccessError");
  }
  if (remote.lines < self.lines || (self.app && !remote.app)) {
    illegal(*self.node, "an offer with fewer m-lines than were agreed");
    return fail(index, op, "InvalidAccessError");
  }
  self.remotePc = remote.pc;
  self.pendingRemote = remote;
  self.signaling = Signaling::HaveRemoteOffer;
  learn(index, remote.generation, remote.candidates);
  if (tracing) note(self.node->name, "  pc " + std::to_string(index) + " took an offer: have-remote-offer");
  succeed(index, op);
}

void World::applyAnswer(int index, Op op, const Sdp& remote) {
  Pc& self = pc(index);
  if (self.signaling != Signaling::HaveLocalOffer) {
    illegal(*self.node, "setRemoteDescription(answer) outside have-local-offer");
    return fail(index, op, "InvalidStateError");
  }
  const Sdp& offer = *self.pendingLocal;
  if (remote.answers != index || remote.answersVersion != offer.version || remote.lines != offer.lines ||
      remote.app != offer.app || (self.remotePc >= 0 && self.remotePc != remote.pc)) {
    illegal(*self.node, "an answer to another offer was applied");
    return fail(index, op, "InvalidAccessError");
  }
  self.remotePc = remote.pc;
  self.lines = offer.lines;
  self.app = offer.app;
  self.unplaced -= self.unplacedOffered;
  self.mediaAgreed = self.mediaOffered;
  self.currentLocal = std::exchange(self.pendingLocal, std::nullopt);
  self.currentRemote = remote;
  self.signaling = Signaling::Stable;
  learn(index, remote.generation, remote.candidates);
  if (tracing) note(self.node->name, "  pc " + std::to_string(index) + " took an answer: stable");
  succeed(index, op);
  if (!self.closed) becameStable(index);
}

void World::rollback(int index, Op op) {
  chain(index, [this, index, op] {
    Pc& self = pc(index);
    if (self.signaling != Signaling::HaveLocalOffer) {
      illegal(*self.node, "a rollback of nothing");
      return fail(index, op, "InvalidStateError");
    }
    if (self.node->browser.rollsBack) illegal(*self.node, "a rollback by hand where the browser does it by itself");
    doRollback(index);
    succeed(index, op);
    if (!self.closed) lookWhetherNeeded(index);
  });
}

void World::doRollback(int index) {
  Pc& self = pc(index);
  if (tracing) note(self.node->name, "  pc " + std::to_string(index) + " rolls back");
  self.pendingLocal.reset();
  self.signaling = Signaling::Stable;
  self.needed = false;
  if (self.generation != self.agreedLocal) {
    self.generation = self.agreedLocal;
    self.generationAddress = self.agreedAddress;
    self.gathered = kAllCandidates;
  }
}

void World::readLocal(int index, Op op) {
  at(now(), [this, index, op] {
    Pc& self = pc(index);
    if (self.closed) return;
    const std::optional<Sdp>& sdp = self.pendingLocal ? self.pendingLocal : self.currentLocal;
    if (!sdp) return succeed(index, op);
    self.node->feed(input::OpDone{op, Description{sdp->type, textOf(index, *sdp)}});
  });
}

void World::addCandidate(int index, Op op, const CandidateInit& candidate) {
  // "candidate:2 1 udp …", of "u4g1"
  const int which =
      candidate.candidate.empty() ? -1 : static_cast<int>(std::strtol(candidate.candidate.c_str() + 10, nullptr, 10));
  int from = -1;
  int generation = -1;
  if (candidate.hasUfrag && !candidate.usernameFragment.empty()) {
    char* behind = nullptr;
    from = static_cast<int>(std::strtol(candidate.usernameFragment.c_str() + 1, &behind, 10));
    if (*behind == 'g') generation = static_cast<int>(std::strtol(behind + 1, nullptr, 10));
  }
  chain(index, [this, index, op, which, from, generation] {
    Pc& self = pc(index);
    if (!self.currentRemote && !self.pendingRemote) {
      illegal(*self.node, "addIceCandidate() without a remote description");
      return fail(index, op, "InvalidStateError");
    }
    const auto fits = [&](const std::optional<Sdp>& sdp) {
      return sdp && sdp->pc == from && sdp->generation == generation;
    };
    if (!fits(self.currentRemote) && !fits(self.pendingRemote)) {
      illegal(*self.node, "addIceCandidate() with an unknown ufrag");
      return fail(index, op, "OperationError");
    }
    if (which >= 0) learn(index, generation, 1 << which);
    succeed(index, op);
    if (!self.closed) tryConnect(index);
  });
}

void World::learn(int index, int generation, int candidates) {
  Pc& self = pc(index);
  for (auto& [of, bits] : self.known) {
    if (of != generation) continue;
    bits |= candidates;
    return;
  }
  self.known.emplace_back(generation, candidates);
}

void World::restartIce(int index) {
  Pc& self = pc(index);
  if (self.restart != 0 || self.generation == 0) return;
  self.restart = self.generation;
  lookWhetherNeeded(index);
}

void World::changeMedia(int index, bool more) {
  Pc& self = pc(index);
  if (self.closed) return;
  if (more) {
    ++self.unplaced;
  } else {
    ++self.media;
  }
  lookWhetherNeeded(index);
}

/// webrtc-pc §4.7.3, "update the negotiation-needed flag".
void World::lookWhetherNeeded(int index) {
  Pc& self = pc(index);
  if (self.closed) return;
  if (self.chainBusy || !self.chain.empty()) {
    self.lookAgain = true;
    return;
  }
  at(now(), [this, index] {
    Pc& then = pc(index);
    if (then.closed) return;
    if (then.chainBusy || !then.chain.empty()) {
      then.lookAgain = true;
      return;
    }
    if (then.signaling != Signaling::Stable) return;
    const bool wanted =
        then.restart != 0 || then.unplaced > 0 || (then.wantsApp && !then.app) || then.media != then.mediaAgreed;
    if (!wanted) {
      then.needed = false;
      return;
    }
    if (std::exchange(then.needed, true)) return;
    then.node->feed(input::NegotiationNeeded{then.link});
  });
}

void World::becameStable(int index) {
  Pc& self = pc(index);
  self.agreedLocal = self.currentLocal->generation;
  self.agreedRemote = self.currentRemote->generation;
  self.agreedAddress = self.generationAddress;
  if (self.agreedLocal > self.restart) self.restart = 0;
  self.needed = false;
  lookWhetherNeeded(index);
  agreed(index);
}

// -- ICE -----------------------------------------------------------------------------------------------

void World::gather(int index) {
  const int generation = pc(index).generation;
  Millis when = now();
  for (int i = 0; i < kCandidates; ++i) {
    when += random.millis(1, settings.gathering);
    at(when, [this, index, generation, i] { gathered(index, generation, i); });
  }
}

void World::gathered(int index, int generation, int which) {
  Pc& self = pc(index);
  if (self.closed || self.generation != generation) return;
  self.gathered |= 1 << which;
  CandidateInit candidate;
  candidate.candidate =
      "candidate:" + std::to_string(which) + " 1 udp 1 10.0.0." + std::to_string(self.node->index) + " 9 typ host";
  candidate.hasMid = true;
  candidate.sdpMid = "0";
  candidate.hasLineIndex = true;
  candidate.hasUfrag = true;
  candidate.usernameFragment = ufragOf(index, generation);
  self.node->feed(input::LocalCandidate{self.link, candidate});
  if (which + 1 < kCandidates || self.closed) return;
  if (self.node->browser.endsCandidates) {
    candidate.candidate.clear();
    self.node->feed(input::LocalCandidate{self.link, candidate});
  }
  if (!self.closed) self.node->feed(input::GatheringComplete{self.link});
}

/// An exchange is complete on this side.
void World::agreed(int index) {
  Pc& self = pc(index);
  if (self.checkedLocal == self.agreedLocal && self.checkedRemote == self.agreedRemote) return;
  self.checkedLocal = self.agreedLocal;
  self.checkedRemote = self.agreedRemote;
  const std::uint32_t checks = ++self.checks;
  at(now() + self.node->browser.checksFor, [this, index, checks] {
    const Pc& then = pc(index);
    if (then.closed || then.checks != checks || then.consent) return;
    setState(index, LinkState::Failed);
  });
  if (self.state == LinkState::New || self.state == LinkState::Failed) setState(index, LinkState::Connecting);
  if (!self.closed) tryConnect(index);
}

bool World::reaches(const Node& from, const Node& to) const {
  if (!pathUp_ || !from.online || !to.online || !from.alive || !to.alive) return false;
  return cut_.empty() || std::find(cut_.begin(), cut_.end(), std::pair(from.index, to.index)) == cut_.end();
}

/// Do packets of this side arrive?
bool World::carries(int from) const {
  const Pc& self = pc(from);
  if (self.with < 0 || self.closed) return false;
  const Pc& other = pc(self.with);
  return !other.closed && other.with == from && self.withLocal == other.withRemote &&
         self.withRemote == other.withLocal && self.addressHere == self.node->address &&
         self.addressThere == other.node->address && reaches(*self.node, *other.node);
}

bool World::consents(int index) const { return carries(index) && carries(pc(index).with); }

bool World::canConnect(int a, int b) const {
  if (a < 0 || b < 0) return false;
  const Pc& left = pc(a);
  const Pc& right = pc(b);
  if (left.closed || right.closed || left.remotePc != b || right.remotePc != a) return false;
  if (left.agreedLocal == 0 || left.agreedLocal != right.agreedRemote || left.agreedRemote != right.agreedLocal) {
    return false;
  }
  if (left.with == b && left.withLocal == left.agreedLocal && left.withRemote == left.agreedRemote) return false;
  if (left.state == LinkState::Failed || right.state == LinkState::Failed) return false;
  if (left.agreedAddress != left.node->address || right.agreedAddress != right.node->address) return false;
  if (!reaches(*left.node, *right.node) || !reaches(*right.node, *left.node)) return false;
  const auto useful = [this](const Pc& self) {
    for (const auto& [generation, bits] : self.known) {
      if (generation != self.agreedRemote) continue;
      return settings.usefulCandidate < 0 ? bits != 0 : (bits >> settings.usefulCandidate & 1) != 0;
    }
    return false;
  };
  return settings.bothUseful ? useful(left) && useful(right) : useful(left) || useful(right);
}

void World::tryConnect(int index) {
  const int other = pc(index).remotePc;
  if (!canConnect(index, other)) return;
  at(now() + 2 * settings.linkLatency, [this, index, other] {
    if (canConnect(index, other)) connected(index, other);
  });
}

void World::connected(int a, int b) {
  for (const auto& [here, there] : {std::pair(a, b), std::pair(b, a)}) {
    Pc& self = pc(here);
    self.with = there;
    self.withLocal = self.agreedLocal;
    self.withRemote = self.agreedRemote;
    self.addressHere = self.node->address;
    self.addressThere = pc(there).node->address;
    self.consent = true;
    ++self.watch;
    ++self.checks;
    if (tracing) note(self.node->name, "  pc " + std::to_string(here) + " has a path to pc " + std::to_string(there));
  }
  const bool secured = pc(a).secured;
  for (const int here : {a, b}) {
    if (!pc(here).closed) pc(here).node->feed(input::PathChanged{pc(here).link});
    if (secured) setState(here, LinkState::Connected);
  }
  if (!secured) at(now() + 2 * settings.linkLatency, [this, a, b] { secure(a, b); });
}

/// DTLS and SCTP.
void World::secure(int a, int b) {
  if (pc(a).secured || pc(a).closed || pc(b).closed || pc(a).with != b || pc(b).with != a) return;
  if (!consents(a)) {
    at(now() + kFirstRetransmission, [this, a, b] { secure(a, b); });
    return;
  }
  pc(a).secured = pc(b).secured = true;
  for (const int here : {a, b}) {
    setState(here, LinkState::Connected);
    for (const int channel : pc(here).channels) {
      if (end(channel).open || end(channel).closed) continue;
      at(now() + settings.linkLatency, [this, channel] { openChannel(channel); });
    }
  }
}

/// Did consent come or go?
void World::review(int index) {
  if (index < 0) return;
  Pc& self = pc(index);
  if (self.closed) return;
  const bool consent = consents(index);
  if (consent == self.consent || (self.with < 0 && consent)) return;
  self.consent = consent;
  const std::uint32_t watch = ++self.watch;
  const auto still = [this, index, watch] { return !pc(index).closed && pc(index).watch == watch; };
  if (consent) {
    if (self.state != LinkState::Disconnected) return;
    at(now() + 2 * settings.linkLatency + random.millis(0, 400), [this, index, still] {
      if (still()) setState(index, LinkState::Connected);
    });
    return;
  }
  const Browser& browser = self.node->browser;
  at(now() + browser.disconnectedAfter, [this, index, still] {
    if (still() && pc(index).state == LinkState::Connected) setState(index, LinkState::Disconnected);
  });
  at(now() + browser.failedAfter, [this, index, still] {
    // A restart that is under way has its own time.
    if (still() && pc(index).state != LinkState::Connecting) setState(index, LinkState::Failed);
  });
}

void World::reviewNode(const Node& node) {
  for (std::size_t i = 0; i < pcs_.size(); ++i) {
    const int index = static_cast<int>(i);
    const Pc& self = *pcs_[i];
    if (self.closed || self.remotePc < 0) continue;
    if (self.node != &node && pc(self.remotePc).node != &node) continue;
    review(index);
    if (!self.closed) tryConnect(index);
  }
}

void World::setState(int index, LinkState state) {
  Pc& self = pc(index);
  if (self.closed || self.state == state) return;
  self.state = state;
  if (tracing) note(self.node->name, "  pc " + std::to_string(index) + " is " + nameOf(state));
  if (state == LinkState::Failed) {
    // What was selected is given up; nothing but a restart helps.
    self.with = -1;
    self.consent = false;
    ++self.watch;
    review(self.remotePc);
  }
  if (self.closed) return;
  self.node->feed(input::LinkStateChanged{self.link, state});
  if (state != LinkState::Failed || !self.node->browser.closesChannels || !self.secured) return;
  for (const int channel : std::vector<int>(self.channels)) {
    if (!self.closed) channelEnded(channel);
  }
}

void World::breakStripe(const Node& node, ConnectionHandle connection) {
  for (const Node::Link& link : node.links_) {
    if (link.connection != connection || !link.stripe || link.pc < 0) continue;
    const int far = pc(link.pc).remotePc;
    setState(link.pc, LinkState::Failed);
    if (far >= 0) setState(far, LinkState::Failed);
    return;
  }
}

void World::jamCarrier(const Node& node, ConnectionHandle connection, Millis length) {
  const ChannelHandle carrier = node.carriers_.at(connection);
  for (const auto& [handle, index] : node.channels_) {
    if (handle == carrier) retransmitAfter(index, now(), length);
  }
}

void World::setPath(bool up) {
  if (pathUp_ == up && cut_.empty()) return;
  pathUp_ = up;
  if (up) cut_.clear();
  for (const std::unique_ptr<Node>& node : nodes_) reviewNode(*node);
}

void World::setReach(const Node& from, const Node& to, bool up) {
  const std::pair pair(from.index, to.index);
  const bool cut = std::find(cut_.begin(), cut_.end(), pair) != cut_.end();
  if (cut != up) return;
  if (up) {
    std::erase(cut_, pair);
  } else {
    cut_.push_back(pair);
  }
  reviewNode(from);
}

bool World::hears(const Node& node, ConnectionHandle connection) const {
  const auto carrier = node.carriers_.find(connection);
  if (carrier == node.carriers_.end()) return false;
  for (const auto& [handle, index] : node.channels_) {
    if (handle != carrier->second) continue;
    const Pc& self = pc(end(index).pc);
    return !self.closed && self.with >= 0 && carries(self.with);
  }
  return false;
}

std::string World::unsettled(const Node& node) const {
  for (const Node::Link& link : node.links_) {
    const Pc& self = pc(link.pc);
    const std::string name = node.name + "'s pc " + std::to_string(link.pc) + " of " + std::to_string(link.connection);
    if (self.signaling != Signaling::Stable) return name + " is not stable";
    if (self.restart != 0 || self.unplaced > 0 || self.media != self.mediaAgreed) return name + " has to negotiate";
    if (self.remotePc < 0) return name + " is connected to nothing";
    const Pc& other = pc(self.remotePc);
    const auto same = [](const std::optional<Sdp>& a, const std::optional<Sdp>& b) {
      return a && b && a->type == b->type && a->pc == b->pc && a->version == b->version &&
             a->generation == b->generation && a->answersVersion == b->answersVersion;
    };
    if (!other.closed &&
        !(same(self.currentLocal, other.currentRemote) && same(other.currentLocal, self.currentRemote))) {
      return name + " and its other side did not agree on the same";
    }
  }
  return {};
}

// -- the end of a connection ---------------------------------------------------------------------------

void World::closePc(int index) {
  Pc& self = pc(index);
  // The other side hears of it by DTLS's close_notify, if that arrives.
  const bool heard = carries(index);
  self.closed = true;
  self.state = LinkState::Closed;
  self.chain.clear();
  for (const int channel : self.channels) {
    ChannelEnd& own = end(channel);
    std::erase_if(self.node->channels_, [channel](const auto& entry) { return entry.second == channel; });
    if (std::exchange(own.closed, true)) continue;
    own.flight.clear();
    const int other = own.other;
    if (other < 0 || !heard) continue;
    at(now() + settings.linkLatency, [this, other, index] {
      const Pc& there = pc(end(other).pc);
      if (reaches(*pc(index).node, *there.node)) channelEnded(other);
    });
  }
  review(self.remotePc);
}

void World::killPcs(Node& node) {
  for (const Node::Link& link : node.links_) {
    Pc& self = pc(link.pc);
    self.closed = true;
    self.chain.clear();
    for (const int channel : self.channels) {
      end(channel).closed = true;
      end(channel).flight.clear();
    }
  }
  for (const Node::Link& link : node.links_) review(pc(link.pc).remotePc);
  node.links_.clear();
  node.channels_.clear();
}

// -- RTCDataChannel ------------------------------------------------------------------------------------

void World::createChannel(int index, ChannelHandle handle, std::uint64_t low, const std::string& subprotocol) {
  Pc& self = pc(index);
  auto made = std::make_unique<ChannelEnd>();
  made->pc = index;
  made->handle = handle;
  made->low = low;
  made->subprotocol = subprotocol;
  const int channel = static_cast<int>(ends_.size());
  ends_.push_back(std::move(made));
  self.node->channels_.emplace_back(handle, channel);
  self.channels.push_back(channel);
  self.wantsApp = true;
  lookWhetherNeeded(index);
  if (self.secured) at(now(), [this, channel] { openChannel(channel); });
}

void World::openChannel(int index) {
  ChannelEnd& own = end(index);
  if (own.closed || own.open || pc(own.pc).closed) return;
  own.open = true;
  give(index, Flight::What::Open, {});
  pc(own.pc).node->feed(input::ChannelOpened{own.handle, 262'144});
}

void World::give(int index, Flight::What what, std::string&& frame) {
  ChannelEnd& own = end(index);
  Flight flight;
  flight.what = what;
  own.given += frame.size();
  flight.before = own.given;
  own.wireFree = std::max(own.wireFree, now()) + static_cast<Millis>(frame.size() / settings.bytesPerMilli);
  flight.leaves = own.wireFree;
  flight.arrives = own.wireFree + settings.linkLatency;
  flight.frame = std::move(frame);
  own.flight.push_back(std::move(flight));
  await(index);
  watchBuffer(index);
}

std::uint64_t World::buffered(const ChannelEnd& own) const {
  if (own.flight.empty()) return 0;
  if (own.stuck) return own.given - (own.flight.front().before - own.flight.front().frame.size());
  if (own.wireFree <= now()) return 0;
  const auto waiting = std::partition_point(own.flight.begin(), own.flight.end(),
                                            [this](const Flight& flight) { return flight.leaves <= now(); });
  return waiting == own.flight.end() ? 0 : own.given - (waiting->before - waiting->frame.size());
}

/// Fires bufferedamountlow when its time comes.
void World::watchBuffer(int index) {
  ChannelEnd& own = end(index);
  if (own.draining || own.stuck || own.closed || buffered(own) <= own.low) return;
  const auto last = std::find_if(own.flight.begin(), own.flight.end(),
                                 [&](const Flight& flight) { return own.given - flight.before <= own.low; });
  own.draining = true;
  at(last->leaves, [this, index] {
    ChannelEnd& then = end(index);
    then.draining = false;
    if (then.closed || pc(then.pc).closed) return;
    if (buffered(then) <= then.low) {
      pc(then.pc).node->channelHasRoom(then.handle);
    } else {
      watchBuffer(index);
    }
  });
}

void World::await(int index) {
  ChannelEnd& own = end(index);
  if (own.awaited || own.stuck || own.flight.empty()) return;
  own.awaited = true;
  at(own.flight.front().arrives, [this, index] { arrive(index); });
}

void World::arrive(int index) {
  end(index).awaited = false;
  for (;;) {
    ChannelEnd& own = end(index);
    if (own.closed || pc(own.pc).closed || own.stuck || own.flight.empty()) return;
    if (own.flight.front().arrives > now()) break;
    if (!carries(own.pc)) {
      return retransmitAfter(index, own.flight.front().leaves, kFirstRetransmission);
    }
    Flight flight = std::move(own.flight.front());
    own.flight.pop_front();
    land(index, flight);
  }
  await(index);
}

/// SCTP's timer runs since `since`; nothing leaves before it ends.
void World::retransmitAfter(int index, Millis since, Millis pause) {
  ChannelEnd& own = end(index);
  own.stuck = true;
  own.pause = pause;
  const std::uint32_t timer = ++own.timer;
  at(since + pause, [this, index, timer] {
    if (end(index).timer == timer) retransmit(index);
  });
}

void World::retransmit(int index) {
  ChannelEnd& own = end(index);
  if (own.closed || !own.stuck || pc(own.pc).closed) return;
  if (!carries(own.pc)) {
    return retransmitAfter(index, now(), std::min(2 * own.pause, kLongestRetransmission));
  }
  own.stuck = false;
  own.wireFree = now();
  for (Flight& flight : own.flight) {
    own.wireFree += static_cast<Millis>(flight.frame.size() / settings.bytesPerMilli);
    flight.leaves = own.wireFree;
    flight.arrives = own.wireFree + settings.linkLatency;
  }
  await(index);
  watchBuffer(index);
  // All of it may have left already.
  if (!own.draining) {
    at(now(), [this, index] {
      const ChannelEnd& then = end(index);
      if (!then.closed && !pc(then.pc).closed) pc(then.pc).node->channelHasRoom(then.handle);
    });
  }
}

/// Something reached the other side.
void World::land(int index, Flight& flight) {
  ChannelEnd& own = end(index);
  Pc& there = pc(pc(own.pc).with);
  switch (flight.what) {
    case Flight::What::Open: {
      auto made = std::make_unique<ChannelEnd>();
      made->pc = pc(own.pc).with;
      made->handle = there.node->nextArrived_;
      there.node->nextArrived_ += 2;
      made->other = index;
      made->open = true;
      const int arrived = own.other = static_cast<int>(ends_.size());
      const ChannelHandle handle = made->handle;
      ends_.push_back(std::move(made));
      there.channels.push_back(arrived);
      there.node->channels_.emplace_back(handle, arrived);
      there.node->feed(input::ChannelArrived{there.link, handle, own.subprotocol});
      if (!there.closed && !end(arrived).closed) there.node->feed(input::ChannelOpened{handle, 262'144});
      return;
    }
    case Flight::What::Frame:
      if (own.other < 0 || end(own.other).closed) return;
      return there.node->frameArrived(end(own.other).handle, std::move(flight.frame));
  }
}

/// close() of this end: the other one closes too; what is on its way is lost.
void World::closeChannel(int index) {
  ChannelEnd& own = end(index);
  if (own.closed) return;
  own.flight.clear();
  own.awaited = false;
  own.stuck = false;
  const int other = own.other;
  own.closed = true;
  if (other < 0) return;
  const int from = own.pc;
  const auto tell = [this, other, from](const auto& again) -> void {
    if (pc(from).closed || end(other).closed) return;
    if (carries(from)) return channelEnded(other);
    at(now() + kFirstRetransmission, [again] { again(again); });
  };
  at(now() + settings.linkLatency, [tell] { tell(tell); });
}

/// The browser says that this end is closed.
void World::channelEnded(int index) {
  ChannelEnd& own = end(index);
  Pc& self = pc(own.pc);
  if (own.closed || self.closed) return;
  own.closed = true;
  own.flight.clear();
  if (tracing) note(self.node->name, "  the channel of pc " + std::to_string(own.pc) + " closes");
  self.node->feed(input::ChannelClosed{own.handle});
}

}  // namespace peerbridge::sim
