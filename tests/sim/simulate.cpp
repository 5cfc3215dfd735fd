// Plays broken networks by the thousand and checks that nothing gets stuck, lost, doubled or leaked.
//
//   simulate --worlds N [--first S]   plays seeds S … S+N-1; exits 1 at the first that breaks a promise
//   simulate --seed S                 replays one, with its trace
//
// A world: two to five peers; for a virtual minute their applications connect, call, change tracks, send and close at
// random, while the server loses and delays messages, dies and returns, and the network between the peers comes and
// goes. Then everything heals, and after a settling time the promises are checked.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "world.hpp"

namespace peerbridge::sim {
namespace {

constexpr Millis kChaos = 60'000;
/// The longest that anything may take to be decided once all is well: the recovery budget, and the time-outs behind it.
constexpr Millis kSettle = 130'000;

class Play {
 public:
  explicit Play(std::uint64_t seed, bool trace) : random_(seed), world_(settings(seed)) {
    world_.tracing = trace;
    const int count = 2 + static_cast<int>(pick(4));
    for (int i = 0; i < count; ++i) nodes_.push_back(&world_.add("peer" + std::to_string(i)));
  }

  /// The promises that were broken; empty when all is well.
  std::vector<std::string> run() {
    for (Node* node : nodes_) node->start();
    world_.runFor(200);
    const Millis end = world_.now() + kChaos;
    while (world_.now() < end) {
      step();
      world_.runFor(static_cast<Millis>(pick(1'500)));
    }
    world_.serverFilter = nullptr;
    world_.serverUp();
    world_.pathUp();
    world_.runFor(kSettle);
    check();
    for (Node* node : nodes_) node->feed(input::Destroy{});
    world_.runFor(30'000);
    for (Node* node : nodes_) {
      if (!node->disposed)
        broken(node->name + " was destroyed and still holds " + std::to_string(node->endpoint->connectionCount()) +
               " connections");
    }
    for (const std::string& violation : world_.violations()) broken("illegal: " + violation);
    return broken_;
  }

  void printTrace() {
    for (const std::string& line : world_.trace()) std::printf("%s\n", line.c_str());
  }

 private:
  std::uint64_t pick(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
  }
  bool chance(std::uint64_t percent) { return pick(100) < percent; }
  Node& anyNode() { return *nodes_[pick(nodes_.size())]; }

  Settings settings(std::uint64_t seed) {
    Settings settings;
    settings.seed = seed;
    settings.signalLatency = 1 + static_cast<Millis>(pick(80));
    // A WebSocket keeps the order of what it carries; polling and clusters do not.
    settings.signalJitter = chance(30) ? static_cast<Millis>(pick(300)) : 0;
    settings.linkLatency = 1 + static_cast<Millis>(pick(60));
    settings.operation = static_cast<Millis>(pick(8));
    return settings;
  }

  void broken(const std::string& what) { broken_.push_back(what); }

  std::optional<ConnectionHandle> anyConnection(const Node& node) {
    if (node.states.empty()) return std::nullopt;
    auto it = node.states.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(pick(node.states.size())));
    return it->first;
  }

  void step() {
    Node& node = anyNode();
    switch (pick(14)) {
      case 0:
      case 1:
      case 2: {
        Node& other = anyNode();
        if (&other == &node || node.states.size() > 12) return;
        world_.note(node.name + " connects to " + other.name);
        node.connect(other.name, chance(40) ? ConnectionKind::Media : ConnectionKind::Data);
        return;
      }
      case 3:
      case 4:
      case 5:
      case 6:
        if (const auto connection = anyConnection(node)) {
          const std::uint64_t size = chance(10) ? 1 + pick(200'000) : pick(200);
          std::string text = std::to_string(counter_++) + ":";
          text.resize(std::max<std::size_t>(text.size(), size), 'x');
          node.send(*connection, text);
        }
        return;
      case 7:
      case 8:
        if (const auto connection = anyConnection(node)) {
          if (node.state(*connection) != ConnectionState::Closed) {
            world_.note(node.name + " changes its tracks");
            node.changeMedia(*connection);
            // Both sides at once, every other time: glare.
            if (chance(50)) {
              for (Node* other : nodes_) {
                for (const auto& [handle, id] : other->ids) {
                  if (other != &node && id == node.ids[*connection]) other->changeMedia(handle);
                }
              }
            }
          }
        }
        return;
      case 9:
        if (const auto connection = anyConnection(node); connection && chance(40)) {
          world_.note(node.name + " closes " + std::to_string(*connection));
          node.close(*connection);
        }
        return;
      case 10:
        if (chance(50)) {
          world_.note("server down");
          world_.serverDown();
        } else {
          world_.note("server up");
          world_.serverUp();
        }
        return;
      case 11:
        world_.note("path changes");
        if (chance(60)) {
          world_.pathUp();
        } else {
          world_.pathDown();
        }
        return;
      case 12:
        if (chance(30)) {
          const std::uint64_t percent = pick(30);
          world_.serverFilter = [this, percent](const std::string&, const std::string&) { return !chance(percent); };
        } else {
          world_.serverFilter = nullptr;
        }
        return;
      case 13:
        if (chance(20)) {
          node.feed(input::Network{chance(50) ? NetworkChange::Online : NetworkChange::Changed});
        }
        return;
      default:
        return;
    }
  }

  void check() {
    for (Node* node : nodes_) {
      for (const auto& [handle, state] : node->states) {
        const std::string self = node->name + " " + std::to_string(handle);
        if (state == ConnectionState::Connecting || state == ConnectionState::Recovering) {
          broken(self + " is neither open nor closed");
          continue;
        }
        // Its other end, if it ever learned of it.
        Node* other = nullptr;
        ConnectionHandle there = 0;
        for (Node* candidate : nodes_) {
          if (candidate->name != node->peers[handle]) continue;
          for (const auto& [theirs, id] : candidate->ids) {
            if (id == node->ids[handle]) {
              other = candidate;
              there = theirs;
            }
          }
        }
        if (other == nullptr) {
          if (state == ConnectionState::Open) broken(self + " is open, and nobody is at its other end");
          continue;
        }
        if (other->states[there] != state) broken(self + " and its other end do not agree");
        const std::vector<std::string>& sent = node->sent[handle];
        const std::vector<std::string>& received = other->received[there];
        if (received.size() > sent.size() || !std::equal(received.begin(), received.end(), sent.begin())) {
          broken(self + ": messages arrived out of order, twice, or changed");
        } else if (state == ConnectionState::Open && received.size() != sent.size()) {
          broken(self + ": " + std::to_string(sent.size() - received.size()) +
                 " messages were lost on an open connection");
        }
      }
    }
  }

  std::mt19937_64 random_;
  World world_;
  std::vector<Node*> nodes_;
  std::vector<std::string> broken_;
  std::uint64_t counter_ = 0;
};

int simulate(int argc, char** argv) {
  std::uint64_t first = 1;
  std::uint64_t worlds = 1'000;
  bool replay = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--worlds") == 0) worlds = value;
    if (std::strcmp(argv[i], "--first") == 0) first = value;
    if (std::strcmp(argv[i], "--seed") == 0) {
      first = value;
      worlds = 1;
      replay = true;
    }
  }
  std::uint64_t failed = 0;
  for (std::uint64_t seed = first; seed < first + worlds; ++seed) {
    Play play(seed, replay);
    const std::vector<std::string> broken = play.run();
    if (replay) play.printTrace();
    if (broken.empty()) continue;
    ++failed;
    std::printf("world %llu: %s (and %zu more)\n", static_cast<unsigned long long>(seed), broken[0].c_str(),
                broken.size() - 1);
    if (replay) {
      for (const std::string& what : broken) std::printf("BROKEN %s\n", what.c_str());
    }
  }
  std::printf("%llu worlds, %llu broken\n", static_cast<unsigned long long>(worlds),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace peerbridge::sim

int main(int argc, char** argv) { return peerbridge::sim::simulate(argc, argv); }
