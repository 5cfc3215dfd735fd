// Plays broken networks by the thousand and checks that nothing gets stuck, lost, doubled or leaked.
//
//   simulate --worlds N [--first S]   plays seeds S … S+N-1; exits 1 when one breaks a promise
//   simulate --seed S                 replays one, with its trace
//   simulate --seed S --shrink        makes it as short as possible first
//   --without NAME                    leaves a kind of action out, with any of these; may come more than once
//   --stop                            ends at the first world that breaks a promise
//   --list-bugs, --bug NAME           in a build with PEERBRIDGE_PLANTED_BUGS: plays with one of them put in

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/planted.hpp"
#include "play.hpp"

namespace peerbridge::sim {
namespace {

struct Options {
  std::uint64_t first = 1;
  std::uint64_t worlds = 1'000;
  bool replay = false;
  bool shrinks = false;
  bool stop = false;
  bool listBugs = false;
  std::string bug;
  std::vector<std::string> without;
};

bool read(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--shrink") {
      options.shrinks = true;
    } else if (name == "--stop") {
      options.stop = true;
    } else if (name == "--list-bugs") {
      options.listBugs = true;
    } else if (i + 1 >= argc) {
      std::fprintf(stderr, "%s: not an option, or its value is missing\n", name.c_str());
      return false;
    } else if (name == "--without") {
      options.without.emplace_back(argv[++i]);
    } else if (name == "--bug") {
      options.bug = argv[++i];
    } else if (name == "--worlds") {
      options.worlds = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--first") {
      options.first = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--seed") {
      options.first = std::strtoull(argv[++i], nullptr, 10);
      options.worlds = 1;
      options.replay = true;
    } else {
      std::fprintf(stderr, "%s is no option\n", name.c_str());
      return false;
    }
  }
  return true;
}

#ifdef PEERBRIDGE_PLANTED_BUGS
bool plant(const std::string& name) {
  for (const PlantedBug& one : kPlantedBugs) {
    if (one.name != name) continue;
    plantedBug = one.bug;
    return true;
  }
  return name.empty();
}
void listBugs() {
  for (const PlantedBug& one : kPlantedBugs) {
    std::printf("%.*s\t%.*s\n", static_cast<int>(one.name.size()), one.name.data(), static_cast<int>(one.what.size()),
                one.what.data());
  }
}
#else
bool plant(const std::string& name) { return name.empty(); }
void listBugs() { std::printf("none in this build: use `cmake --preset planted`\n"); }
#endif

void printPlan(const Plan& plan) {
  const Settings& s = plan.settings;
  std::printf(
      "%zu peers, signaling %lld ms (+%lld), links %lld ms, operations %lld ms, gathering %lld ms, %llu %% twice\n",
      plan.nodes.size(), static_cast<long long>(s.signalLatency), static_cast<long long>(s.signalJitter),
      static_cast<long long>(s.linkLatency), static_cast<long long>(s.operation), static_cast<long long>(s.gathering),
      static_cast<unsigned long long>(s.duplicatePercent));
  std::printf("useful candidate %d%s, %s server, %llu bytes/ms, window %llu\n", s.usefulCandidate,
              s.bothUseful ? " of both" : "", s.swapsSilently ? "PeerServer's" : "our",
              static_cast<unsigned long long>(s.bytesPerMilli), static_cast<unsigned long long>(s.framing.windowBytes));
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const NodePlan& node = plan.nodes[i];
    std::printf("peer%zu: %s%s%s, starts at %lld\n", i, node.browser.closesChannels ? "Firefox" : "Chromium",
                node.browser.rollsBack ? "" : " without implicit rollback",
                node.trickle == Trickle::Full   ? ""
                : node.trickle == Trickle::Half ? ", half trickle"
                                                : ", no trickle",
                static_cast<long long>(node.startAt));
  }
  std::printf("chaos for %lld ms\n", static_cast<long long>(plan.chaos));
  for (const Action& action : plan.actions) {
    if (action.at > plan.chaos) break;
    std::printf("%9.3f  %s\n", static_cast<double>(action.at + 1'450) / 1'000, describe(action).c_str());
  }
}

void replay(Plan plan, bool shrinks) {
  if (shrinks) {
    const Outcome first = play(plan, false);
    if (first.broken.empty()) {
      std::printf("world %llu breaks no promise\n", static_cast<unsigned long long>(plan.seed));
      return;
    }
    plan = shrink(plan, first.broken.front().promise);
  }
  printPlan(plan);
  std::printf("\n");
  const Outcome outcome = play(plan, true);
  for (const std::string& line : outcome.trace) std::printf("%s\n", line.c_str());
  std::printf("\ndecided %lld ms after the healing\n", static_cast<long long>(outcome.decidedAfter));
  for (const Broken& one : outcome.broken) {
    std::printf("BROKEN %s\n       %s\n", one.promise.c_str(), one.detail.c_str());
  }
}

int simulate(int argc, char** argv) {
  Options options;
  if (!read(argc, argv, options)) return 2;
  if (options.listBugs) {
    listBugs();
    return 0;
  }
  if (!plant(options.bug)) {
    std::fprintf(stderr, "there is no planted bug %s in this build\n", options.bug.c_str());
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t failed = 0;
  std::uint64_t played = 0;
  Millis longest = 0;
  Millis together = 0;
  std::uint64_t slowest = 0;
  std::vector<Millis> recoveries;
  for (std::uint64_t seed = options.first; seed < options.first + options.worlds; ++seed) {
    const Plan plan = planOf(seed, options.without);
    const Outcome outcome = play(plan, false);
    ++played;
    together += outcome.virtualTime;
    recoveries.insert(recoveries.end(), outcome.recoveries.begin(), outcome.recoveries.end());
    if (outcome.decidedAfter > longest) {
      longest = outcome.decidedAfter;
      slowest = seed;
    }
    if (!outcome.broken.empty()) {
      ++failed;
      const Broken& one = outcome.broken.front();
      std::printf("world %llu BROKE \"%s\"\n    %s\n    npm run sim -- --seed %llu --shrink\n",
                  static_cast<unsigned long long>(seed), one.promise.c_str(), one.detail.c_str(),
                  static_cast<unsigned long long>(seed));
      std::fflush(stdout);
      if (options.stop) break;
    }
    if (options.replay) replay(plan, options.shrinks);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "%llu worlds, %llu broken; %.0f virtual hours in %.1f s; decided %lld ms after the healing at the latest "
      "(world %llu)\n",
      static_cast<unsigned long long>(played), static_cast<unsigned long long>(failed),
      static_cast<double>(together) / 3'600'000, seconds, static_cast<long long>(longest),
      static_cast<unsigned long long>(slowest));
  if (!recoveries.empty()) {
    std::sort(recoveries.begin(), recoveries.end());
    const auto at = [&](std::size_t percent) {
      return static_cast<long long>(recoveries[std::min(recoveries.size() - 1, recoveries.size() * percent / 100)]);
    };
    std::printf(
        "%zu recoveries: open again %lld ms after path and server were back (median), %lld (p95), %lld (most)\n",
        recoveries.size(), at(50), at(95), at(100));
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace peerbridge::sim

int main(int argc, char** argv) { return peerbridge::sim::simulate(argc, argv); }
