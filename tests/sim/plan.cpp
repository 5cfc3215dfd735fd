#include "plan.hpp"

#include <algorithm>

namespace peerbridge::sim {

namespace {

constexpr std::array<const char*, kDoCount> kNames{
    "connect",        "call",         "send",        "mark",        "offer-file",  "cancel-file", "stripes",
    "add-track",      "change-track", "glare",       "close",       "disconnect",  "reconnect",   "destroy",
    "hide",           "kill",         "server-down", "server-up",   "server-slow", "server-fast", "server-loses",
    "server-keeps",   "half-open",    "cut",         "cut-one-way", "join",        "offline",     "online",
    "change-network", "rebind",       "freeze",      "thaw",        "false-alarm", "break-stripe"};

/// Short, long, and beyond what browsers bear.
Millis outage(Random& random) {
  switch (random.pick(4)) {
    case 0:
      return random.millis(50, 2'000);
    case 1:
      return random.millis(1'500, 8'000);
    case 2:
      return random.millis(6'000, 20'000);
    default:
      return random.millis(10'000, 35'000);
  }
}

class Planner {
 public:
  Planner(std::uint64_t seed, const std::vector<std::string>& without) : random_(seed) {
    plan_.seed = seed;
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      allowed_[i] = std::find(without.begin(), without.end(), kNames[i]) == without.end();
    }
  }

  Plan make() {
    setting();
    applications();
    if (!plan_.calm) faults();
    std::stable_sort(plan_.actions.begin(), plan_.actions.end(),
                     [](const Action& a, const Action& b) { return a.at < b.at; });
    return std::move(plan_);
  }

 private:
  void setting() {
    Settings& s = plan_.settings;
    s.seed = random_.next();
    s.signalLatency = random_.millis(1, 80);
    // A WebSocket keeps the order of what it carries; polling and clusters do not.
    s.signalJitter = random_.chance(25) ? random_.millis(1, 300) : 0;
    s.duplicatePercent = random_.chance(25) ? random_.pick(50) : 0;
    s.linkLatency = random_.millis(1, 60);
    s.operation = random_.millis(0, 8);
    s.gathering = random_.chance(20) ? random_.millis(30, 300) : random_.millis(1, 30);
    s.swapsSilently = random_.chance(50);
    s.usefulCandidate = random_.chance(50) ? static_cast<int>(random_.pick(3)) : -1;
    s.bothUseful = random_.chance(40);
    s.bytesPerMilli = random_.chance(30) ? 200 + random_.pick(2'000) : 100'000;
    if (random_.chance(20)) {
      s.framing.maxFrameBytes = 16'384;
      s.framing.windowBytes = 65'536 + random_.pick(65'536);
      s.framing.ackBytes = 16'384;
    }
    // Long enough for those who answer late, short enough for a world to wait for its end.
    s.config.ringTimeout = 60'000;
    if (random_.chance(15)) s.config.recoveryBudget = random_.millis(8'000, 20'000);
    plan_.calm = random_.chance(10);
    plan_.chaos = plan_.calm ? random_.millis(5'000, 10'000) : random_.millis(12'000, 35'000);
    const std::uint64_t many = random_.pick(10);
    const int count = many < 5 ? 2 : many < 8 ? 3 : static_cast<int>(random_.millis(4, 8));
    const bool mixed = random_.chance(60);
    for (int i = 0; i < count; ++i) {
      NodePlan node;
      if (mixed && random_.chance(40)) node.browser = Browser::firefox();
      if (mixed && random_.chance(25)) node.browser.rollsBack = false;
      if (random_.chance(15)) node.browser.bufferBytes = 100'000 + random_.pick(200'000);
      if (random_.chance(15)) node.trickle = random_.chance(60) ? Trickle::Half : Trickle::None;
      node.startAt = random_.chance(80) ? random_.millis(0, 20) : random_.millis(0, 400);
      plan_.nodes.push_back(node);
    }
  }

  int anyNode() { return static_cast<int>(random_.pick(plan_.nodes.size())); }
  int otherThan(int node) {
    const int other = static_cast<int>(random_.pick(plan_.nodes.size() - 1));
    return other < node ? other : other + 1;
  }

  Action& add(Do what, Millis at, int node) {
    Action action;
    action.what = what;
    action.at = at;
    action.node = node;
    action.other = otherThan(node);
    action.which = random_.next();
    action.flag = random_.chance(50);
    if (allowed_[static_cast<std::size_t>(what)]) {
      plan_.actions.push_back(action);
      return plan_.actions.back();
    }
    return refused_ = action;
  }
  Millis anyTime() { return random_.millis(0, plan_.chaos); }

  void applications() {
    const auto connects = static_cast<int>(random_.millis(1, 3 + static_cast<Millis>(plan_.nodes.size()) / 2));
    for (int i = 0; i < connects; ++i) {
      // Most at the beginning, so that what follows has something to be about.
      const Millis when = random_.chance(70) ? random_.millis(0, 2'000) : anyTime();
      add(random_.chance(35) ? Do::Call : Do::Connect, when, anyNode());
    }
    const std::uint64_t sends = random_.pick(30);
    for (std::uint64_t i = 0; i < sends; ++i) {
      Action& send = add(Do::Send, anyTime(), anyNode());
      send.much = random_.chance(8) ? 1 + random_.pick(150'000) : 10 + random_.pick(200);
    }
    const auto some = [this](Do what, std::uint64_t percent, std::uint64_t most) {
      if (!random_.chance(percent)) return;
      const std::uint64_t count = 1 + random_.pick(most);
      for (std::uint64_t i = 0; i < count; ++i) {
        Action& action = add(what, anyTime(), anyNode());
        action.much = random_.next();
      }
    };
    some(Do::Mark, 60, 5);
    some(Do::AddTrack, 25, 3);
    some(Do::ChangeTrack, 40, 6);
    some(Do::Glare, 40, 6);
    some(Do::Close, 50, 3);
    if (random_.chance(20)) {
      Action& file = add(Do::OfferFile, anyTime(), anyNode());
      file.much = random_.pick(300'000);
      if (random_.chance(25)) add(Do::CancelFile, file.at + random_.millis(0, 1'000), file.node).which = file.which;
    }
    some(Do::Stripes, 15, 3);
    if (random_.chance(20)) {
      // Something for the stripes to carry, and something that happens to them meanwhile.
      const Action stripes = add(Do::Stripes, anyTime(), anyNode());
      for (std::uint64_t files = 1 + random_.pick(4); files > 0; --files) {
        Action& file = add(Do::OfferFile, stripes.at + random_.millis(300, 4'000), stripes.node);
        file.which = stripes.which;
        file.much = 50'000 + random_.pick(400'000);
        const Do what = random_.chance(50) ? Do::Stripes : Do::BreakStripe;
        if (random_.chance(50)) add(what, file.at + random_.millis(1, 400), stripes.node).which = stripes.which;
      }
    }
    some(Do::Destroy, 6, 1);
    some(Do::Hide, 6, 1);
    if (!plan_.calm && random_.chance(10)) {
      const int node = anyNode();
      const Millis when = anyTime();
      add(Do::Disconnect, when, node);
      if (random_.chance(70)) add(Do::Reconnect, when + outage(random_), node);
    }
  }

  /// A few kinds in each world: faults that hide each other find less.
  void faults() {
    while (plan_.actions.size() < 200) {
      fault();
      if (random_.chance(30)) return;
    }
  }

  void fault() {
    const auto times = static_cast<int>(1 + random_.pick(3));
    const std::uint64_t kind = random_.pick(12);
    for (int i = 0; i < times; ++i) {
      const int node = anyNode();
      const Millis when = anyTime();
      const Millis until = when + outage(random_);
      switch (kind) {
        case 0:
          add(Do::ServerDown, when, node);
          add(Do::ServerUp, until, node);
          // What is begun meanwhile waits.
          for (std::uint64_t waiting = random_.pick(4); waiting > 0; --waiting) {
            add(random_.chance(20) ? Do::Call : Do::Connect, random_.millis(when, std::min(until, when + 5'000)), node);
          }
          break;
        case 1:
        case 2: {
          const Do what = random_.chance(80) ? Do::Cut : Do::CutOneWay;
          const int other = add(what, when, node).other;
          Action& join = add(Do::Join, until, node);
          join.other = other;
          break;
        }
        case 3: {
          // All at once, as when a site loses its uplink.
          for (int a = 0; a < static_cast<int>(plan_.nodes.size()); ++a) {
            for (int b = 0; b < a; ++b) {
              add(Do::Cut, when, a).other = b;
              add(Do::Join, until, a).other = b;
            }
          }
          break;
        }
        case 4:
          add(Do::Offline, when, node);
          add(Do::Online, until, node);
          break;
        case 5:
          add(random_.chance(60) ? Do::ChangeNetwork : Do::Rebind, when, node);
          break;
        case 6:
          add(Do::Freeze, when, node);
          add(Do::Thaw, when + random_.millis(500, 12'000), node);
          break;
        case 7:
          add(Do::HalfOpen, when, node);
          break;
        case 8:
          add(Do::ServerSlow, when, node).much = 50 + random_.pick(3'000);
          add(Do::ServerFast, until, node);
          break;
        case 9:
          add(Do::ServerLoses, when, node).much = 1 + random_.pick(40);
          add(Do::ServerKeeps, until, node);
          break;
        case 10:
          if (random_.chance(40)) add(Do::Kill, when, node);
          break;
        default:
          add(Do::FalseAlarm, when, node).much = random_.pick(4);
          break;
      }
    }
  }

  Random random_;
  Plan plan_;
  Action refused_;
  std::array<bool, kDoCount> allowed_{};
};

}  // namespace

Plan planOf(std::uint64_t seed, const std::vector<std::string>& without) { return Planner(seed, without).make(); }

const char* nameOf(Do what) { return kNames[static_cast<std::size_t>(what)]; }

std::string describe(const Action& action) {
  const std::string self = "peer" + std::to_string(action.node);
  const std::string other = "peer" + std::to_string(action.other);
  switch (action.what) {
    case Do::Connect:
      return self + " connects to " + other;
    case Do::Call:
      return self + " calls " + other;
    case Do::Send:
      return self + " sends " + std::to_string(action.much) + " bytes";
    case Do::Mark:
      return self + " asks what was delivered";
    case Do::OfferFile:
      return self + " offers a file of " + std::to_string(action.much) + " bytes";
    case Do::CancelFile:
      return self + " cancels a file";
    case Do::Stripes:
      return self + " wants " + std::to_string(1 + action.much % 5) + " stripes";
    case Do::AddTrack:
      return self + " adds a track";
    case Do::ChangeTrack:
      return self + " changes a track";
    case Do::Glare:
      return self + " and its other side change tracks at once";
    case Do::Close:
      return self + " closes a connection";
    case Do::Disconnect:
      return self + " leaves the server";
    case Do::Reconnect:
      return self + " goes back to the server";
    case Do::Destroy:
      return self + " is destroyed";
    case Do::Hide:
      return self + "'s page is closed";
    case Do::Kill:
      return self + "'s browser is killed";
    case Do::ServerDown:
      return "the server crashes";
    case Do::ServerUp:
      return "the server is back";
    case Do::ServerSlow:
      return "the server takes " + std::to_string(action.much) + " ms longer";
    case Do::ServerFast:
      return "the server is quick again";
    case Do::ServerLoses:
      return "the server loses " + std::to_string(action.much) + " % of the messages";
    case Do::ServerKeeps:
      return "the server loses nothing any more";
    case Do::HalfOpen:
      return self + "'s socket dies, and nobody is told";
    case Do::Cut:
      return "no packets between " + self + " and " + other;
    case Do::CutOneWay:
      return "no packets from " + self + " to " + other;
    case Do::Join:
      return "packets again between " + self + " and " + other;
    case Do::Offline:
      return self + " loses its network";
    case Do::Online:
      return self + " has its network back";
    case Do::ChangeNetwork:
      return self + " changes its network";
    case Do::Rebind:
      return self + "'s address changes, and nobody is told";
    case Do::Freeze:
      return self + "'s page falls asleep";
    case Do::Thaw:
      return self + "'s page wakes up";
    case Do::FalseAlarm:
      return self + " hears of a change of network that is none";
    case Do::BreakStripe:
      return "one stripe of " + self + " fails";
  }
  return "";
}

}  // namespace peerbridge::sim
