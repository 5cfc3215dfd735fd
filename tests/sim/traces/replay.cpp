// The simulation's model of RTCPeerConnection against what a real browser did.
//
// scenarios.json says what two sides do; chromium.json, written by tests/e2e/wpt-traces.spec.ts, says what Chromium
// made of it: changes of signalingState, negotiationneeded events and how each operation ended, step by step and side
// by side. The model has to do the same, but where a scenario says in `differs` why not, and that this is harmless.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../world.hpp"

namespace peerbridge::sim {

using Json = nlohmann::json;

/// Two bare RTCPeerConnections of the model, without the core above them.
class Replay {
 public:
  Replay() : a_(world_.add("a")), b_(world_.add("b")) {
    for (Side* side : {&a_, &b_}) {
      // What the browser tells the core stays in the inbox, where it is read.
      side->node.frozen = true;
      side->pc = world_.createPc(side->node, 2, 0);
    }
  }

  /// Does all of it in one turn, then waits until nothing moves; answers what was seen, as chromium.json has it.
  Json act(const Json& step) {
    for (const auto& [name, operations] : step.items()) {
      for (const Json& operation : operations) perform(of(name), operation.get<std::string>());
    }
    rest();
    Json seen = Json::object();
    for (const auto& [name, operations] : step.items()) seen[name] = std::move(of(name).seen);
    for (Side* side : {&a_, &b_}) side->seen = nothing();
    return seen;
  }

 private:
  using Signaling = World::Signaling;

  struct Side {
    explicit Side(Node& made) : node(made) {}
    Node& node;
    int pc = -1;
    Signaling signaling = Signaling::Stable;
    Json seen = nothing();
    std::vector<Description> made;
    std::vector<CandidateInit> candidates;  ///< the oldest first
    std::map<Op, std::string> running;
  };

  static Json nothing() { return {{"states", Json::array()}, {"needed", 0}, {"results", Json::array()}}; }

  static const char* nameOf(Signaling signaling) {
    switch (signaling) {
      case Signaling::Stable:
        return "stable";
      case Signaling::HaveLocalOffer:
        return "have-local-offer";
      case Signaling::HaveRemoteOffer:
        return "have-remote-offer";
    }
    return "";
  }

  Side& of(const std::string& name) { return name == "a" ? a_ : b_; }

  void perform(Side& side, const std::string& text) {
    Side& other = &side == &a_ ? b_ : a_;
    const std::string name = text.substr(0, text.find(' '));
    const std::string what = name == text ? "" : text.substr(name.size() + 1);
    const auto op = [&] {
      side.running[++lastOp_] = name;
      return lastOp_;
    };
    if (name == "channel") {
      world_.createChannel(side.pc, ++lastChannel_, 0, "");
    } else if (name == "track" || name == "untrack") {
      world_.changeMedia(side.pc, name == "track");
    } else if (name == "restart") {
      world_.restartIce(side.pc);
    } else if (name == "close") {
      world_.closePc(side.pc);
    } else if (name == "local") {
      world_.setLocal(side.pc, op());
    } else if (name == "rollback") {
      world_.rollback(side.pc, op());
    } else if (name == "remote") {
      const Description& description = other.made.at(static_cast<std::size_t>(std::atoi(what.c_str() + 1)));
      world_.setRemote(side.pc, op(), description.type, description.sdp);
    } else if (name == "candidate") {
      CandidateInit candidate = what.starts_with("old") ? other.candidates.front() : other.candidates.back();
      if (what == "nobody") candidate.usernameFragment = "nobody";
      world_.addCandidate(side.pc, op(), candidate);
    } else {
      ADD_FAILURE() << "no operation " << name;
    }
  }

  /// Long enough for every operation and for the gathering of candidates.
  void rest() {
    const Millis until = world_.now() + 500;
    while (world_.clock_.step(until)) {
      for (Side* side : {&a_, &b_}) look(*side);
    }
    world_.run(until);
  }

  void look(Side& side) {
    const Signaling now = world_.pc(side.pc).signaling;
    if (now != side.signaling) {
      Json& states = side.seen["states"];
      // An implicit rollback passes through stable within one task of the model.
      const bool rolledBack = side.signaling == Signaling::HaveLocalOffer && now == Signaling::HaveRemoteOffer;
      if (rolledBack) states.push_back(nameOf(Signaling::Stable));
      states.push_back(nameOf(side.signaling = now));
    }
    for (Node::Pending& pending : std::exchange(side.node.inbox_, {})) {
      Input& in = pending.input;
      switch (in.type) {
        case InputType::OpDone:
          side.seen["results"].push_back(side.running[in.op] + " ok");
          if (side.running[in.op] == "local") side.made.push_back({in.sdpType, in.text});
          break;
        case InputType::OpFailed:
          side.seen["results"].push_back(side.running[in.op] + " " + in.text);
          break;
        case InputType::NegotiationNeeded:
          side.seen["needed"] = side.seen["needed"].get<int>() + 1;
          break;
        case InputType::LocalCandidate:
          if (!in.candidate.candidate.empty()) side.candidates.push_back(in.candidate);
          break;
        default:
          break;
      }
    }
  }

  World world_;
  Side a_;
  Side b_;
  Op lastOp_ = 0;
  ChannelHandle lastChannel_ = 0;
};

namespace {

Json read(const std::string& name) {
  std::ifstream file(std::string(PEERBRIDGE_TRACES) + "/" + name);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return Json::parse(text, nullptr, false);
}

TEST(Traces, TheModelDoesWhatChromiumDid) {
  const Json scenarios = read("scenarios.json");
  const Json traces = read("chromium.json").at("traces");
  ASSERT_GT(scenarios.size(), 0U);
  EXPECT_EQ(scenarios.size(), traces.size());
  for (const Json& scenario : scenarios) {
    const std::string name = scenario["name"];
    const Json& expected = traces.at(name);
    Replay replay;
    std::string found;
    for (std::size_t i = 0; i < scenario["steps"].size(); ++i) {
      const Json seen = replay.act(scenario["steps"][i]);
      if (seen == expected[i]) continue;
      found = "step " + std::to_string(i) + ", " + scenario["steps"][i].dump() + "\n  Chromium " + expected[i].dump() +
              "\n  the model " + seen.dump();
      break;
    }
    if (scenario.contains("differs")) {
      EXPECT_NE(found, "") << name << ": does not differ any more";
    } else {
      EXPECT_EQ(found, "") << name;
    }
  }
}

}  // namespace
}  // namespace peerbridge::sim
