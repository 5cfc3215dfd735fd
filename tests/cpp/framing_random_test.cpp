// Thousands of random worlds: whatever is cut and whenever, everything arrives exactly once, in order, byte for byte,
// and memory stays within its bounds. A failure prints its seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "framing_pair.hpp"

namespace peerbridge::testing {
namespace {

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), pair_(config()) {}

  void run() {
    const int steps = below(400) + 20;
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      checkBounds();
    }
    // The end: a channel that stays.
    if (!pair_.a.framing.attached() || !pair_.b.framing.attached()) reattach();
    for (End* end : {&pair_.a, &pair_.b}) {
      end->framing.hold(false, pair_.now);
      for (const TransferHandle handle : pausedOf(*end)) (void)end->framing.resume(handle);
      end->consumeAll = end->completeAll = true;
      end->consume();
    }
    pair_.settle();
    checkEnd();
    finish();
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
  bool chance(int percent) { return below(100) < percent; }
  End& any() { return chance(50) ? pair_.a : pair_.b; }

  FramingConfig config() {
    FramingConfig config;
    if (chance(50)) config.maxFrameBytes = static_cast<std::size_t>(1'200 + below(20'000));
    if (chance(50)) config.interactiveFrameBytes = static_cast<std::size_t>(below(30'000));
    if (chance(50)) config.windowBytes = static_cast<std::uint64_t>(below(200'000));
    if (chance(50)) config.highWaterBytes = static_cast<std::uint64_t>(1 + below(100'000));
    if (chance(50)) config.queueBytes = static_cast<std::uint64_t>(below(100'000));
    if (chance(50)) config.inlineBytes = static_cast<std::uint64_t>(below(20'000));
    if (chance(30)) config.maxInlineQueueBytes = static_cast<std::uint64_t>(below(100'000));
    if (chance(50)) config.ackBytes = static_cast<std::uint64_t>(below(50'000));
    if (chance(50)) config.transferWindowBytes = static_cast<std::uint64_t>(1 + below(100'000));
    if (chance(50)) config.transferReadBytes = static_cast<std::uint64_t>(1 + below(50'000));
    config_ = config;
    channelLimit_ = chance(50) ? 262'144 : static_cast<std::size_t>(1'200 + below(60'000));
    return config;
  }

  Bytes message(std::size_t length) { return patternOf(++counter_, length); }
  std::size_t length() {
    switch (below(6)) {
      case 0:
        return static_cast<std::size_t>(below(3));
      case 1:
      case 2:
        return static_cast<std::size_t>(below(200));
      case 3:
      case 4:
        return static_cast<std::size_t>(below(5'000));
      default:
        return static_cast<std::size_t>(below(150'000));
    }
  }

  void reattach() {
    pair_.cut();
    pair_.attach(channelLimit_);
  }

  void step() {
    End& end = any();
    const auto lane = static_cast<Lane>(below(3));
    switch (below(16)) {
      case 0:
      case 1: {
        const std::size_t size = length();
        (void)end.put(lane, static_cast<Format>(below(8)), message(std::min<std::size_t>(size, config_.inlineBytes)));
        break;
      }
      case 2:
        (void)end.queue(lane, static_cast<Format>(below(8)), message(length()));
        break;
      case 3: {
        const Ticket ticket = end.queue(lane, 0, message(length()));
        if (chance(50) && end.framing.withdraw(ticket)) end.sent[static_cast<std::size_t>(lane)].pop_back();
        break;
      }
      case 4:
        // The channel is lost, for one side earlier than for the other.
        end.framing.detach();
        if (chance(50)) pair_.deliverToA();
        if (chance(50)) pair_.deliverToB();
        break;
      case 5:
        reattach();
        break;
      case 6:
        marks_[&end].push_back(end.framing.mark());
        break;
      case 7:
        pair_.advance(below(60));
        break;
      case 8:
        if (handles_.size() < 40) {
          const TransferHandle handle = nextHandle_;
          nextHandle_ += 2 * static_cast<TransferHandle>(1 + below(3));
          const Bytes file = message(length() * static_cast<std::size_t>(1 + below(4)));
          const bool known = chance(50);
          if (end.offer(handle, file, known ? std::optional(file.size()) : std::nullopt))
            handles_[&end].push_back(handle);
        }
        break;
      case 9:
        act(end);
        break;
      case 10:
        end.framing.hold(chance(30), pair_.now);
        end.consumeAll = chance(70);
        end.completeAll = chance(70);
        break;
      case 11: {
        const Action action = end.framing.next(0, pair_.now);
        if (action.kind == ActionKind::Send) {
          end.framing.unsend();
        } else if (action.kind != ActionKind::Wait) {
          (void)end.fill(action);
          if (action.kind == ActionKind::FillSend) end.framing.unsend();
        }
        break;
      }
      default:
        for (int i = below(12); i > 0; --i) {
          if (chance(60)) pair_.pumpA(static_cast<std::size_t>(1 + below(8)));
          if (chance(60)) pair_.pumpB(static_cast<std::size_t>(1 + below(8)));
          if (chance(60)) pair_.deliverToA();
          if (chance(60)) pair_.deliverToB();
        }
    }
    pair_.poll();
  }

  std::vector<TransferHandle> pausedOf(const End& end) {
    std::vector<TransferHandle> all;
    for (const auto& [handle, states] : end.states) all.push_back(handle);
    return all;
  }

  /// Something that a user does to a transfer, allowed or not.
  void act(End& end) {
    std::vector<TransferHandle> all = pausedOf(end);
    if (all.empty()) return;
    const TransferHandle handle = all[static_cast<std::size_t>(below(static_cast<int>(all.size())))];
    switch (below(4)) {
      case 0:
        (void)end.framing.pause(handle);
        break;
      case 1:
        (void)end.framing.resume(handle);
        break;
      case 2:
        if (chance(20)) (void)end.framing.cancel(handle, "random");
        break;
      default:
        end.consume();
    }
  }

  void checkBounds() {
    for (End* end : {&pair_.a, &pair_.b}) {
      const FramingStats stats = end->framing.stats();
      EXPECT_LE(stats.unackedBytes, 2 * std::max<std::uint64_t>(config_.windowBytes, config_.maxFrameBytes));
      for (const auto& [handle, sink] : end->sinks) {
        EXPECT_LE(sink.bytes.size(), sink.consumed + config_.transferWindowBytes);
      }
    }
  }

  void checkEnd() {
    EXPECT_EQ(pair_.a.violation() + pair_.b.violation(), "");
    EXPECT_TRUE(pair_.b.got == pair_.a.sent);
    EXPECT_TRUE(pair_.a.got == pair_.b.sent);
    for (End* end : {&pair_.a, &pair_.b}) {
      End& other = end == &pair_.a ? pair_.b : pair_.a;
      EXPECT_EQ(end->framing.stats().queuedBytes, 0u);
      EXPECT_EQ(end->framing.stats().unackedBytes, 0u);
      EXPECT_FALSE(end->framing.wantsTransmit());
      EXPECT_EQ(end->count(Kind::Delivered), marks_[end].size());
      EXPECT_TRUE(end->framing.hasRoom());
      for (const TransferHandle handle : handles_[end]) {
        ASSERT_TRUE(end->state(handle).has_value()) << handle;
        const TransferState state = *end->state(handle);
        if (other.sinks.count(handle + 1) == 0) {
          EXPECT_EQ(state, TransferState::Cancelled);
          continue;
        }
        const Bytes& sent = end->sources[handle].bytes;
        const Bytes& got = other.sinks[handle + 1].bytes;
        ASSERT_LE(got.size(), sent.size());
        EXPECT_TRUE(std::equal(got.begin(), got.end(), sent.begin()));
        const TransferState theirs = *other.state(handle + 1);
        // A cancel() may cross the completion of the other side on the way; nothing else may differ.
        EXPECT_TRUE(state == theirs || (state == TransferState::Cancelled && theirs == TransferState::Done)) << handle;
        EXPECT_TRUE(state == TransferState::Cancelled || state == TransferState::Done) << handle;
        EXPECT_TRUE(theirs == TransferState::Cancelled || got.size() == sent.size()) << handle;
      }
    }
  }

  void finish() {
    pair_.a.put(Lane::Bulk, {});
    if (chance(50)) pair_.a.framing.close("a", pair_.now);
    pair_.b.framing.close("b", pair_.now);
    pair_.settle();
    EXPECT_EQ(pair_.b.count(Kind::Closed), 1u);
    EXPECT_EQ(pair_.a.count(Kind::PeerClosing), 1u);
  }

  std::mt19937_64 random_;
  FramingConfig config_;
  std::size_t channelLimit_ = 0;
  Pair pair_;
  std::uint64_t counter_ = 0;
  TransferHandle nextHandle_ = 1;
  std::map<End*, std::vector<std::uint32_t>> marks_;
  std::map<End*, std::vector<TransferHandle>> handles_;
};

class FramingRandom : public ::testing::TestWithParam<int> {};

TEST_P(FramingRandom, EverythingArrivesExactlyOnceWhateverIsCut) {
#ifdef __SANITIZE_ADDRESS__
  constexpr int kWorlds = 100;
#else
  constexpr int kWorlds = 250;
#endif
  for (int i = 0; i < kWorlds; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 100'000 + i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    World(seed).run();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, FramingRandom, ::testing::Range(0, 10));

}  // namespace
}  // namespace peerbridge::testing
