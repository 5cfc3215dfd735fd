#include "play.hpp"

#include <algorithm>

namespace peerbridge::sim {

namespace {

/// Within this time after the healing everything is decided: the negotiation time-out of 30 s, for what was just begun
/// again, is the longest wait that is left. The recovery budget is longer, but nothing needs it once all is well.
constexpr Millis kDecided = 75'000;
/// What is decided stays so; looked at for this long.
constexpr Millis kStays = 2'600;
constexpr Millis kPace = 100;
/// A probe that was lost before the healing is waited for so long.
constexpr Millis kProbed = 5'500;
/// From destroy() to the end.
constexpr Millis kDestroyed = 15'000;

/// Beyond what latencies add: a connection opens where nothing is in its way,
constexpr Millis kOpens = 1'500;
/// recovers as soon as path and signaling are well again,
constexpr Millis kRecovers = 10'000;
/// and notices that nothing comes any more.
constexpr Millis kNotices = 3'500;

/// Who was not at the server for longer than this may have missed what there was to say.
constexpr Millis kAway = 15'000;

constexpr const char* kPrompt = "a connection opens promptly where the network works";
constexpr const char* kBudget = "no connection recovers beyond its budget";
constexpr const char* kSwift = "a connection recovers soon after its path and the server are back";
constexpr const char* kNoticed = "a path that is silent is noticed within three and a half seconds";
constexpr const char* kDecides = "every connection ends open, or closed with a reason, on both sides";
constexpr const char* kSame = "what one side changes is negotiated, and both sides agree on it";
constexpr const char* kTrue = "the reason of a close is true";
constexpr const char* kClean = "as many RTCPeerConnections and channels as open connections, and none after destroy()";
constexpr const char* kCalm = "where the network works, everything opens and stays open";
constexpr const char* kAlive = "after the healing, new connections open and carry messages";

class Play {
 public:
  Play(const Plan& plan, bool trace) : plan_(plan), world_(plan.settings) {
    world_.tracing = trace;
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
      Config config = plan.settings.config;
      config.trickle = plan.nodes[i].trickle;
      trickles_ = trickles_ && config.trickle == Trickle::Full;
      Node& node = world_.add("peer" + std::to_string(i), config);
      node.browser = plan.nodes[i].browser;
      node.keepEvents = false;
      node.onCall = [this, &node](ConnectionHandle call) { ring(node, call); };
      nodes_.push_back(&node);
    }
  }

  Outcome run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      world_.at(world_.now() + plan_.nodes[i].startAt, [node = nodes_[i]] { node->start(); });
    }
    const Millis begin = world_.now() + 450;
    for (const Action& action : plan_.actions) {
      if (action.at > plan_.chaos) break;
      runTo(begin + action.at);
      act(action);
    }
    runTo(begin + plan_.chaos);
    heal();
    Outcome outcome;
    const Millis healed = world_.now();
    settle();
    outcome.decidedAfter = decidedAt_ - healed;
    if (world_.broken().empty()) checkReasons();
    if (world_.broken().empty()) live();
    destroy();
    outcome.virtualTime = world_.now() - begin;
    outcome.broken = world_.broken();
    outcome.recoveries = std::move(recoveries_);
    outcome.trace = std::move(world_.trace());
    return outcome;
  }

 private:
  void broken(const char* promise, const std::string& detail) { world_.breaks(promise, detail); }

  static std::string labelOf(const Node& node, ConnectionHandle handle, const Talk& talk) {
    return node.name + " " + std::to_string(handle) + " (" + talk.id + ", " + nameOf(talk.state) +
           (talk.reason.empty() ? "" : ": " + talk.reason) + ")";
  }

  struct Far {
    Node* node = nullptr;
    ConnectionHandle handle = 0;
    Talk* talk = nullptr;
  };
  /// The other end, if it ever learned of this connection.
  [[nodiscard]] Far farOf(const Node& node, const Talk& talk) const {
    Far far;
    far.node = world_.node(talk.peer);
    far.handle = far.node == nullptr ? 0 : far.node->find(node.name, talk.id);
    if (far.handle != 0) far.talk = &far.node->talks.at(far.handle);
    return far;
  }

  static bool works(const Node& node) { return node.alive && !node.disposed; }

  // -- while it goes on ------------------------------------------------------------------------------

  void runTo(Millis until) {
    while (world_.now() < until) {
      world_.run(std::min(until, (world_.now() / kPace + 1) * kPace));
      watch();
    }
  }

  /// What has to be so within a time, as soon as nothing is in its way.
  void watch() {
    const Millis now = world_.now();
    const std::size_t count = nodes_.size();
    well_.resize(count * count, kNever);
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b < count; ++b) {
        const bool well = world_.pathWell(*nodes_[a], *nodes_[b]) && world_.signalingWell(*nodes_[a]) &&
                          world_.signalingWell(*nodes_[b]);
        Millis& since = well_[a * count + b];
        if (!well) {
          since = kNever;
        } else {
          since = std::max({since == kNever ? now : since, nodes_[a]->movedAt, nodes_[b]->movedAt});
        }
      }
    }
    for (std::size_t a = 0; a < count; ++a) {
      if (!works(*nodes_[a])) continue;
      for (auto& [handle, talk] : nodes_[a]->talks) watch(*nodes_[a], handle, talk);
    }
  }

  void watch(Node& node, ConnectionHandle handle, Talk& talk) {
    if (talk.state == ConnectionState::Closed) return;
    const Node* far = world_.node(talk.peer);
    const Millis now = world_.now();
    const Millis well =
        well_[static_cast<std::size_t>(node.index) * nodes_.size() + static_cast<std::size_t>(far->index)];
    if (talk.state == ConnectionState::Recovering) {
      talk.recoverBegan = well == kNever ? kNever : std::max(well, talk.since);
      // Where the other application closed while nothing could be said, it takes a time-out to find out.
      const Talk* there = far->talk(far->find(node.name, talk.id));
      const bool both = there != nullptr && there->state != ConnectionState::Closed;
      if (both && trickles_ && well != kNever && now - talk.recoverBegan > kRecovers + slack()) {
        broken(kSwift, labelOf(node, handle, talk));
      }
    } else if (talk.state == ConnectionState::Open && talk.recoverBegan != 0) {
      if (talk.recoverBegan != kNever) recoveries_.push_back(talk.since - talk.recoverBegan);
      talk.recoverBegan = 0;
    }
    // Candidates inside an offer that crosses another one are lost with it until they are sent again.
    const bool smooth = well <= talk.begun || (!pathTrouble_ && !slowTrouble_ && node.movedAt == 0 &&
                                               far->movedAt == 0 && well != kNever && !world_.lostSignals(node, *far));
    if (trickles_ && talk.state == ConnectionState::Connecting && talk.outgoing && talk.kind == ConnectionKind::Data &&
        smooth && now - std::max(well, talk.begun) > kOpens + slack()) {
      broken(kPrompt, labelOf(node, handle, talk));
    }
    if (talk.state == ConnectionState::Recovering && !node.frozen &&
        now - std::max(talk.since, node.movedAt) > plan_.settings.config.recoveryBudget + 1'000) {
      broken(kBudget, labelOf(node, handle, talk));
    }
    if (talk.state != ConnectionState::Open || node.frozen || !talk.bound || world_.hears(node, handle)) {
      talk.deafSince = kNever;
    } else if (talk.deafSince == kNever) {
      talk.deafSince = now;
    } else if (now - std::max(talk.deafSince, node.movedAt) > kNotices) {
      broken(kNoticed, labelOf(node, handle, talk));
    }
  }

  /// What the latencies of this world add to every bound.
  [[nodiscard]] Millis slack() const {
    const Settings& s = plan_.settings;
    return 12 * s.signalLatency + 8 * s.signalJitter + 16 * s.linkLatency + 30 * s.operation + 12 * s.gathering;
  }

  // -- the applications ------------------------------------------------------------------------------

  void ring(Node& node, ConnectionHandle call) {
    const std::uint64_t mood = world_.random.pick(10);
    if (mood == 9 && !healed_) return;  // until all is healed
    const Millis pause = healed_    ? world_.random.millis(1, 500)
                         : mood < 6 ? world_.random.millis(1, 1'500)
                                    : world_.random.millis(1'000, 15'000);
    world_.at(world_.now() + pause, [&node, call, takes = mood != 8] {
      if (takes) {
        node.answer(call);
      } else {
        node.close(call);
      }
    });
  }

  ConnectionHandle choose(const Node& node, std::uint64_t which, bool open) const {
    std::vector<ConnectionHandle> some;
    for (const auto& [handle, talk] : node.talks) {
      if (talk.state == ConnectionState::Closed || (open && !talk.opened)) continue;
      some.push_back(handle);
    }
    return some.empty() ? 0 : some[which % some.size()];
  }

  bool send(Node& node, ConnectionHandle connection, std::size_t size) {
    const Talk& talk = node.talks.at(connection);
    const auto lane = static_cast<std::size_t>(size % 7 == 0 ? 0 : size % 5 == 0 ? 2 : 1);
    const std::uint32_t number = talk.sent[lane];
    std::string text = std::to_string(lane) + ":" + std::to_string(number) + ":";
    text.resize(std::max(text.size(), size), static_cast<char>('a' + number % 26));
    return node.send(connection, text, static_cast<Lane>(lane));
  }

  void act(const Action& action) {
    Node& node = *nodes_[static_cast<std::size_t>(action.node)];
    Node& other = *nodes_[static_cast<std::size_t>(action.other)];
    // A page that sleeps does nothing.
    if (!works(node) || (node.frozen && action.what < Do::Kill)) return;
    if (world_.tracing) world_.note("", describe(action));
    switch (action.what) {
      case Do::Connect:
      case Do::Call:
        if (node.left) return;
        node.connect(other.name, action.what == Do::Call ? ConnectionKind::Media : ConnectionKind::Data);
        return;
      case Do::Send:
        if (const ConnectionHandle c = choose(node, action.which, true); c != 0) send(node, c, action.much);
        return;
      case Do::Mark:
        if (const ConnectionHandle c = choose(node, action.which, true); c != 0) node.mark(c);
        return;
      case Do::OfferFile:
        if (const ConnectionHandle c = choose(node, action.which, true); c != 0) node.offerFile(c, action.much);
        return;
      case Do::CancelFile:
        if (const ConnectionHandle c = choose(node, action.which, true); c != 0) node.cancelFile(c);
        return;
      case Do::Stripes:
        if (const ConnectionHandle c = choose(node, action.which, true); c != 0) {
          node.setStripes(c, static_cast<std::uint32_t>(1 + action.much % 5));
        }
        return;
      case Do::AddTrack:
      case Do::ChangeTrack:
      case Do::Glare:
        if (const ConnectionHandle c = choose(node, action.which, false); c != 0) {
          node.changeMedia(c, action.what == Do::AddTrack);
          if (action.what != Do::Glare) return;
          const Far far = farOf(node, node.talks.at(c));
          if (far.talk == nullptr) return;
          world_.at(world_.now() + static_cast<Millis>(action.much % 40),
                    [node = far.node, c = far.handle, more = action.flag] { node->changeMedia(c, more); });
        }
        return;
      case Do::Close:
        if (const ConnectionHandle c = choose(node, action.which, false); c != 0) node.close(c);
        return;
      case Do::Disconnect:
        node.left = true;
        return node.feed(input::Disconnect{});
      case Do::Reconnect:
        if (node.left) node.feed(input::Reconnect{});
        node.left = false;
        return;
      case Do::Destroy:
        return node.destroy();
      case Do::Hide:
        return node.hide();
      case Do::Kill:
        return node.kill(action.flag);
      case Do::ServerDown:
        return world_.serverDown(action.flag);
      case Do::ServerUp:
        return world_.serverUp();
      case Do::ServerSlow:
        slowTrouble_ = true;
        return world_.serverSlow(static_cast<Millis>(action.much));
      case Do::ServerFast:
        return world_.serverSlow(0);
      case Do::ServerLoses:
        return world_.serverLoses(action.much);
      case Do::ServerKeeps:
        return world_.serverLoses(0);
      case Do::HalfOpen:
        return world_.halfOpen(node);
      case Do::Cut:
        pathTrouble_ = true;
        world_.setReach(node, other, false);
        world_.setReach(other, node, false);
        return;
      case Do::CutOneWay:
        pathTrouble_ = true;
        return world_.setReach(node, other, false);
      case Do::Join:
        world_.setReach(node, other, true);
        world_.setReach(other, node, true);
        return;
      case Do::Offline:
        pathTrouble_ = true;
        world_.setOnline(node, false, action.flag);
        if (action.which % 3 != 0) node.feed(input::Network{NetworkChange::Offline});
        return;
      case Do::Online:
        if (node.online) return;
        world_.setOnline(node, true, true);
        if (action.which % 3 != 0) node.feed(input::Network{NetworkChange::Online});
        return;
      case Do::ChangeNetwork:
        world_.changeNetwork(node, action.flag);
        return node.feed(input::Network{action.which % 2 == 0 ? NetworkChange::Changed : NetworkChange::Online});
      case Do::Rebind:
        return world_.changeNetwork(node, action.flag);
      case Do::Freeze:
        return node.freeze();
      case Do::Thaw:
        if (!node.frozen) return;
        // The page is told that it was away; whether before or after what waited is up to the browser.
        if (action.flag) node.feed(input::Network{NetworkChange::Resumed});
        node.thaw();
        if (!action.flag) node.feed(input::Network{NetworkChange::Resumed});
        return;
      case Do::BreakStripe:
        if (const ConnectionHandle c = choose(node, action.which, true); c != 0) world_.breakStripe(node, c);
        return;
      case Do::FalseAlarm: {
        constexpr std::array<NetworkChange, 4> kChanges{NetworkChange::Online, NetworkChange::Changed,
                                                        NetworkChange::Resumed, NetworkChange::Offline};
        return node.feed(input::Network{kChanges[action.much % kChanges.size()]});
      }
    }
  }

  // -- the healing -----------------------------------------------------------------------------------

  void heal() {
    if (world_.tracing) world_.note("", "-- everything heals --");
    healed_ = true;
    world_.serverUp();
    world_.serverSlow(0);
    world_.serverLoses(0);
    for (Node* node : nodes_) {
      if (!node->alive) continue;
      world_.setOnline(*node, true, true);
      node->thaw();
    }
    world_.pathUp();
    for (Node* node : nodes_) {
      if (!works(*node)) continue;
      if (std::exchange(node->left, false)) node->feed(input::Reconnect{});
      // Whoever let it ring takes it now.
      for (const auto& [handle, talk] : node->talks) {
        if (!talk.rings) continue;
        world_.at(world_.now() + 500, [node, call = handle] { node->answer(call); });
      }
    }
  }

  /// What is still open to question, or nothing.
  [[nodiscard]] std::string undecided() const {
    for (Node* node : nodes_) {
      if (!works(*node)) continue;
      std::size_t open = 0;
      std::size_t links = 0;
      for (const auto& [handle, talk] : node->talks) {
        const auto self = [&, handle = handle, &talk = talk] { return labelOf(*node, handle, talk); };
        if (talk.state == ConnectionState::Closed) {
          if (!talk.closedTold) return self() + " is closed, and the last word is missing";
          for (const File& file : talk.files) {
            if (file.state <= TransferState::Paused)
              return self() + " is closed, and file " + file.name + " has no end";
          }
          continue;
        }
        if (talk.state != ConnectionState::Open) return self() + " is neither open nor closed";
        ++open;
        const Far far = farOf(*node, talk);
        if (far.talk == nullptr) return self() + " is open, and nobody is at its other end";
        links += std::max(talk.stripes, far.talk->stripes);
        if (!works(*far.node)) return self() + " is open, and its other end is gone";
        if (far.talk->state != ConnectionState::Open) {
          return self() + " and its other end do not agree: " + labelOf(*far.node, far.handle, *far.talk);
        }
        if (far.talk->received != talk.sent) return self() + " is open, and messages are missing at its other end";
        for (const File& file : talk.files) {
          if (file.state <= TransferState::Paused) return self() + " is open, and file " + file.name + " has no end";
        }
      }
      const std::size_t held = node->endpoint->connectionCount();
      const std::string counts = ": " + std::to_string(open) + " connections open, " + std::to_string(held) +
                                 " kept, " + std::to_string(node->liveLinks()) + " RTCPeerConnections, " +
                                 std::to_string(node->liveChannels()) + " channels";
      if (held != open || node->liveLinks() != links || node->liveChannels() != links) {
        return node->name + counts + ", " + std::to_string(links) + " expected of both";
      }
      if (world_.openSockets(*node) > 1) return node->name + " has more than one socket to the server";
      if (node->session != PeerState::Open) return node->name + " is not registered with the server";
      if (std::string open_ = world_.unsettled(*node); !open_.empty()) return open_;
      if (world_.socketDead(*node)) return node->name + " has not noticed that its socket is dead";
    }
    return {};
  }

  void settle() {
    const Millis until = world_.now() + kDecided;
    Millis since = kNever;
    std::string why;
    while (world_.now() < until && world_.broken().empty()) {
      why = undecided();
      if (!why.empty()) {
        since = kNever;
      } else if (since == kNever) {
        since = decidedAt_ = world_.now();
      } else if (world_.now() - since >= kStays && world_.now() + kDecided - until >= kProbed) {
        return checkMessages();
      }
      runTo(world_.now() + kPace);
    }
    decidedAt_ = world_.now();
    if (!world_.broken().empty()) return;
    if (why.empty()) why = "now and then";
    const bool negotiates = why.find("'s pc ") != std::string::npos;
    const bool leaks = why.find("RTCPeerConnections") != std::string::npos || why.find("socket") != std::string::npos;
    const bool lost = why.find("messages are missing") != std::string::npos || why.find(" file ") != std::string::npos;
    broken(negotiates ? kSame : leaks ? kClean : lost ? kOnce : kDecides, why);
  }

  // -- the promises ----------------------------------------------------------------------------------

  void checkMessages() {
    for (Node* node : nodes_) {
      for (const auto& [handle, messages] : node->received) {
        const Talk& talk = node->talks.at(handle);
        const Far far = farOf(*node, talk);
        std::array<std::uint32_t, kMessageLanes> next{};
        for (const std::string& text : messages) {
          const auto lane = static_cast<std::size_t>(text[0] - '0');
          const std::string head = std::to_string(lane) + ":" + std::to_string(next[lane]) + ":";
          const char filling = static_cast<char>('a' + next[lane] % 26);
          if (!text.starts_with(head) || text.find_first_not_of(filling, head.size()) != std::string::npos) {
            broken(kOnce,
                   labelOf(*node, handle, talk) + " got \"" + text.substr(0, 20) + "\" where \"" + head + "\" was due");
            return;
          }
          ++next[lane];
        }
        for (std::size_t lane = 0; lane < next.size(); ++lane) {
          if (far.talk != nullptr && next[lane] > far.talk->sent[lane]) {
            broken(kOnce, labelOf(*node, handle, talk) + " got more than was sent");
          }
        }
      }
    }
  }

  void checkReasons() {
    for (Node* node : nodes_) {
      for (const auto& [handle, talk] : node->talks) {
        if (talk.closedTold) checkReason(*node, handle, talk);
        if (plan_.calm && talk.recovered > 0) broken(kCalm, labelOf(*node, handle, talk) + " recovered from nothing");
      }
    }
  }

  void checkReason(const Node& node, ConnectionHandle handle, const Talk& talk) {
    const std::string self = labelOf(node, handle, talk);
    const Far far = farOf(node, talk);
    const bool farGone = far.node != nullptr && !works(*far.node);
    const bool farWants = far.talk != nullptr && far.talk->wantsClose;
    const std::string& reason = talk.reason;
    if (reason == "closed by this side") {
      if (!talk.wantsClose) broken(kTrue, self + ": nobody asked for it");
    } else if (reason == "closed by the other side") {
      const bool cause = talk.wantsClose || farWants || farGone || far.talk == nullptr ||
                         (far.talk->closedTold && !far.talk->reason.starts_with("closed by"));
      if (!cause) broken(kTrue, self + ": the other side did not: " + labelOf(*far.node, far.handle, *far.talk));
    } else if (reason == "disconnected") {
      if (!node.destroyed) broken(kTrue, self + ": the peer was not destroyed");
    } else if (reason == "rejected") {
      if (!farWants && !farGone) broken(kTrue, self + ": nobody rejected it");
    } else if (reason == "peer-unavailable") {
      const auto& told = node.toldGone;
      if (std::find(told.begin(), told.end(), talk.peer) == told.end())
        broken(kTrue, self + ": the server never said so");
    } else if (reason == "connection-lost") {
      if (talk.lasted < plan_.settings.config.recoveryBudget - 10) {
        broken(kTrue, self + ": it recovered for " + std::to_string(talk.lasted) + " ms only");
      }
    } else if (reason == "timeout" || reason == "signal-expired" || reason == "negotiation-failed") {
      if (talk.opened && talk.kind == ConnectionKind::Data) broken(kTrue, self + ": it was open");
      checkExcuse(node, talk, self);
    } else {
      broken(kTrue, self + ": such a thing does not happen here");
    }
    if (plan_.calm && !reason.starts_with("closed by") && reason != "rejected" && !farGone && !node.destroyed) {
      broken(kCalm, self);
    }
  }

  /// A connection that never opened: was anything in its way?
  void checkExcuse(const Node& node, const Talk& talk, const std::string& self) {
    const Node& far = *world_.node(talk.peer);
    const auto troubled = [this](const Node& one) {
      return !works(one) || one.movedAt > 0 || one.away > kAway || one.destroyed;
    };
    const bool excused =
        troubled(node) || troubled(far) || world_.lostSignals(node, far) || pathTrouble_ || slowTrouble_;
    // Nobody has to take a call.
    if (!excused && !(talk.kind == ConnectionKind::Media && talk.reason == "timeout")) {
      broken(kTrue, self + ": nothing was in its way");
    }
  }

  /// Is the endpoint of any use after all that?
  void live() {
    std::vector<Node*> left;
    for (Node* node : nodes_) {
      if (works(*node)) left.push_back(node);
    }
    if (world_.tracing) world_.note("", "-- everybody speaks once more --");
    for (Node* node : left) {
      for (const auto& [handle, talk] : node->talks) {
        if (talk.state == ConnectionState::Open && !send(*node, handle, 20)) {
          broken(kAlive, labelOf(*node, handle, talk) + " takes no message");
        }
      }
    }
    ConnectionHandle made = 0;
    if (left.size() >= 2) {
      std::rotate(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(plan_.seed % left.size()), left.end());
      made = left[0]->connect(left[1]->name);
    }
    const Millis until = world_.now() + 8'000;
    bool greeted = false;
    std::string why = "nothing";
    while (world_.now() < until && !why.empty()) {
      runTo(world_.now() + kPace);
      if (made != 0 && !greeted && left[0]->state(made) == ConnectionState::Open) greeted = send(*left[0], made, 30);
      why = undecided();
      if (made != 0 && !greeted && why.empty()) why = "a new connection did not open";
    }
    if (!why.empty()) broken(kAlive, why);
    checkMessages();
  }

  void destroy() {
    for (Node* node : nodes_) {
      if (works(*node)) node->destroy();
    }
    const Millis until = world_.now() + kDestroyed;
    const auto over = [this] {
      return std::all_of(nodes_.begin(), nodes_.end(), [](const Node* node) { return !works(*node); });
    };
    while (!over() && world_.now() < until) runTo(world_.now() + kPace);
    for (Node* node : nodes_) {
      if (works(*node)) {
        broken(kClean, node->name + " was destroyed and still holds " +
                           std::to_string(node->endpoint->connectionCount()) + " connections");
        continue;
      }
      if (!node->alive) continue;
      const std::size_t sockets = world_.openSockets(*node);
      if (node->liveLinks() + node->liveChannels() + sockets > 0) {
        broken(kClean, node->name + " is disposed of and leaves " + std::to_string(node->liveLinks()) +
                           " RTCPeerConnections, " + std::to_string(node->liveChannels()) + " channels and " +
                           std::to_string(sockets) + " sockets");
      }
    }
  }

  const Plan& plan_;
  World world_;
  std::vector<Node*> nodes_;
  std::vector<Millis> well_;  ///< since when path and signaling of two nodes are well
  std::vector<Millis> recoveries_;
  bool trickles_ = true;  ///< everybody does
  bool healed_ = false;
  bool pathTrouble_ = false;
  bool slowTrouble_ = false;
  Millis decidedAt_ = 0;
};

bool breaksStill(const Plan& plan, const std::string& promise) {
  const Outcome outcome = play(plan, false);
  return !outcome.broken.empty() && outcome.broken.front().promise == promise;
}

/// Zeller's ddmin: leaves out as much as possible, in ever smaller pieces.
void fewerActions(Plan& plan, const std::string& promise) {
  for (std::size_t piece = std::max<std::size_t>(plan.actions.size() / 2, 1);; piece = piece / 2) {
    for (std::size_t at = 0; at < plan.actions.size();) {
      Plan less = plan;
      const auto begin = less.actions.begin() + static_cast<std::ptrdiff_t>(at);
      less.actions.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(piece, less.actions.size() - at)));
      if (breaksStill(less, promise)) {
        plan = std::move(less);
      } else {
        at += piece;
      }
    }
    if (piece <= 1) return;
  }
}

void fewerNodes(Plan& plan, const std::string& promise) {
  for (int node = static_cast<int>(plan.nodes.size()) - 1; node >= 0 && plan.nodes.size() > 2; --node) {
    Plan less = plan;
    less.nodes.erase(less.nodes.begin() + node);
    std::erase_if(less.actions, [node](const Action& action) { return action.node == node || action.other == node; });
    for (Action& action : less.actions) {
      if (action.node > node) --action.node;
      if (action.other > node) --action.other;
    }
    if (breaksStill(less, promise)) plan = std::move(less);
  }
}

void plainer(Plan& plan, const std::string& promise) {
  const auto attempt = [&](auto change) {
    Plan less = plan;
    change(less);
    if (breaksStill(less, promise)) plan = std::move(less);
  };
  attempt([](Plan& p) { p.settings.signalJitter = 0; });
  attempt([](Plan& p) { p.settings.duplicatePercent = 0; });
  attempt([](Plan& p) { p.settings.signalLatency = 10; });
  attempt([](Plan& p) { p.settings.linkLatency = 10; });
  attempt([](Plan& p) { p.settings.operation = 1; });
  attempt([](Plan& p) { p.settings.gathering = 1; });
  attempt([](Plan& p) { p.settings.usefulCandidate = -1; });
  attempt([](Plan& p) { p.settings.bothUseful = false; });
  attempt([](Plan& p) { p.settings.swapsSilently = false; });
  attempt([](Plan& p) { p.settings.bytesPerMilli = 100'000; });
  attempt([](Plan& p) { p.settings.framing = FramingConfig{}; });
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    attempt([i](Plan& p) { p.nodes[i] = NodePlan{}; });
    attempt([i](Plan& p) { p.nodes[i].startAt = 0; });
    attempt([i](Plan& p) { p.nodes[i].browser.bufferBytes = Browser{}.bufferBytes; });
  }
  for (Millis chaos = 1'000; chaos < plan.chaos; chaos *= 2) {
    attempt([chaos](Plan& p) { p.chaos = std::min(chaos, p.chaos); });
  }
  for (std::size_t i = 0; i < plan.actions.size(); ++i) {
    attempt([i](Plan& p) { p.actions[i].much = std::min<std::uint64_t>(p.actions[i].much, 10); });
  }
}

}  // namespace

Outcome play(const Plan& plan, bool trace) { return Play(plan, trace).run(); }

Plan shrink(const Plan& plan, const std::string& promise) {
  Plan best = plan;
  for (int round = 0; round < 3; ++round) {
    const std::size_t before = best.actions.size();
    fewerActions(best, promise);
    fewerNodes(best, promise);
    plainer(best, promise);
    if (best.actions.size() == before) break;
  }
  return best;
}

}  // namespace peerbridge::sim
