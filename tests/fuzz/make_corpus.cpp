// Writes the seeds of corpus/endpoint, one file for each story: make_corpus <folder>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "endpoint_script.hpp"

namespace {

using peerbridge::fuzz::Script;
using peerbridge::fuzz::Step;

// Arguments that are said often.
constexpr int kNewest = 0;
constexpr int kData = 0;
constexpr int kMedia = 1;
constexpr int kOther = 0;  ///< peer: the other side
constexpr int kAll = 255;

/// Two endpoints that are registered.
Script registered(int shape = 1) {
  Script script(static_cast<std::uint8_t>(shape));
  script.ada(Step::Start, {0}).bob(Step::Start, {0}).ada(Step::Settle, {10});
  return script;
}

/// And a connection between them that is open.
Script connected(int kind = kData, int shape = 1) {
  Script script = registered(shape);
  script.ada(Step::Connect, {kind, kOther}).ada(Step::Settle, {kind == kMedia ? 20 : 60});
  if (kind == kMedia) script.bob(Step::Answer, {kNewest}).ada(Step::Settle, {60});
  return script;
}

std::vector<std::pair<std::string, Script>> stories() {
  std::vector<std::pair<std::string, Script>> all;
  const auto tell = [&all](const char* name, const Script& script) { all.emplace_back(name, script); };

  tell("register", registered());
  tell("register-id-from-server", registered(1 | 128));
  tell("handshake", connected());
  tell("handshake-half-trickle", connected(kData, 1 | 1 << 3));
  tell("handshake-no-trickle", connected(kData, 1 | 2 << 3).ada(Step::Idle, {4}).ada(Step::Settle, {60}));
  tell("handshake-native-only", connected(kData, 1 | 1 << 1));
  tell("peerjs-is-refused", connected(kData, 1 | 2 << 1));
  tell("tight-bounds", connected(kData, 1 | 64).ada(Step::Connect, {kData, kOther}).ada(Step::Settle, {80}));
  tell("call", connected(kMedia));
  tell("call-peerjs", connected(kMedia, 1 | 2 << 1).bob(Step::Close, {kNewest}).ada(Step::Settle, {20}));
  tell("call-rejected", registered()
                            .ada(Step::Connect, {kMedia, kOther})
                            .ada(Step::Settle, {20})
                            .bob(Step::Close, {kNewest})
                            .ada(Step::Settle, {20}));
  tell("call-hung-up-while-it-rings", registered()
                                          .ada(Step::Connect, {kMedia, kOther})
                                          .ada(Step::Settle, {20})
                                          .ada(Step::Close, {kNewest})
                                          .ada(Step::Settle, {20}));
  tell("messages", connected()
                       .ada(Step::Put, {kNewest, 1, 100, 0})
                       .bob(Step::Put, {kNewest, 0, 5, 0})
                       .ada(Step::Queue, {kNewest, 1, 0, 64})
                       .ada(Step::Border, {kNewest, 3, 0})
                       .ada(Step::Settle, {60}));
  tell("file", connected()
                   .ada(Step::Transfer, {0, kNewest, kNewest, 0x10, 0})
                   .ada(Step::Settle, {20})
                   .bob(Step::Transfer, {1, kNewest, kNewest, 0, 0})
                   .ada(Step::Settle, {20})
                   .ada(Step::Border, {kNewest, 5, 200, kNewest})
                   .ada(Step::Transfer, {6, kNewest, kNewest, 0, 0})
                   .ada(Step::Settle, {20})
                   .bob(Step::Transfer, {7, kNewest, kNewest, 200, 0})
                   .bob(Step::Transfer, {8, kNewest, kNewest, 0, 0})
                   .ada(Step::Settle, {20}));
  tell("close", connected().ada(Step::Put, {kNewest, 1, 9, 0}).ada(Step::Close, {kNewest}).ada(Step::Settle, {60}));
  tell("close-from-both-sides",
       connected().ada(Step::Close, {kNewest}).bob(Step::Close, {kNewest}).ada(Step::Settle, {60}));
  tell("glare", connected(kMedia)
                    .ada(Step::Needed, {kNewest})
                    .bob(Step::Needed, {kNewest})
                    .ada(Step::Settle, {100})
                    .bob(Step::Needed, {kNewest})
                    .ada(Step::Complete, {0})
                    .ada(Step::Needed, {kNewest})
                    .ada(Step::Settle, {100}));
  tell("short-outage", connected()
                           .ada(Step::PathDown)
                           .ada(Step::Put, {kNewest, 1, 50, 0})
                           .ada(Step::Idle, {3})
                           .ada(Step::PathUp)
                           .ada(Step::Settle, {200}));
  tell("race", connected()
                   .ada(Step::PathDown)
                   .ada(Step::Put, {kNewest, 1, 50, 0})
                   .ada(Step::Idle, {12})
                   .ada(Step::Settle, {40})
                   .ada(Step::PathUp)
                   .ada(Step::Settle, {250})
                   .ada(Step::Settle, {250}));
  tell("race-after-the-channel-closed",
       connected().ada(Step::ChannelClosed, {kNewest}).bob(Step::ChannelClosed, {kNewest}).ada(Step::Settle, {250}));
  tell("outage-without-end", connected().ada(Step::PathDown).ada(Step::Idle, {80}));
  tell("server-restarts", connected()
                              .ada(Step::ServerDown)
                              .ada(Step::Connect, {kMedia, kOther})
                              .ada(Step::Idle, {2})
                              .ada(Step::Settle, {60})
                              .ada(Step::ServerUp)
                              .ada(Step::Idle, {5})
                              .ada(Step::Settle, {100}));
  tell("everything-down-and-back", connected()
                                       .ada(Step::ServerDown)
                                       .ada(Step::PathDown)
                                       .ada(Step::Idle, {20})
                                       .ada(Step::ServerUp)
                                       .ada(Step::PathUp)
                                       .ada(Step::Network, {0})
                                       .bob(Step::Network, {3})
                                       .ada(Step::Settle, {250})
                                       .ada(Step::Settle, {250}));
  tell("peer-is-not-there",
       registered().ada(Step::Connect, {kData, 2}).ada(Step::Settle, {10}).ada(Step::Signal, {8, 2, 0, 0, 0}));
  tell("lost-and-doubled", registered()
                               .ada(Step::Connect, {kData, kOther})
                               .ada(Step::Complete, {0})
                               .bob(Step::CopyMail, {0})
                               .ada(Step::Settle, {10})
                               .ada(Step::DropMail, {0})
                               .ada(Step::Idle, {9})
                               .ada(Step::Settle, {100}));
  tell("refused-by-the-browser", registered()
                                     .ada(Step::Connect, {kData, kOther})
                                     .ada(Step::Settle, {3})
                                     .bob(Step::Fail, {0})
                                     .ada(Step::Fail, {0})
                                     .ada(Step::Settle, {40}));
  tell("page-hides", connected().ada(Step::PageHide, {0}).ada(Step::Settle, {40}));
  tell("destroy", connected().ada(Step::Destroy, {0}).ada(Step::Settle, {60}));
  tell("disconnect-and-reconnect", connected()
                                       .ada(Step::Disconnect, {0})
                                       .ada(Step::Connect, {kMedia, kOther})
                                       .ada(Step::Reconnect)
                                       .ada(Step::Settle, {60}));
  tell("clock-leaps-and-turns-back", connected()
                                         .ada(Step::Leap, {40})
                                         .ada(Step::Alarm)
                                         .ada(Step::Back, {kAll})
                                         .ada(Step::Alarm)
                                         .ada(Step::Back, {20})
                                         .bob(Step::Settle, {60}));
  // One endpoint, and nothing but lies: offers, answers, candidates, goodbyes and frames of nobody.
  Script alone(0);
  alone.ada(Step::Start, {0}).ada(Step::Settle, {5});
  tell("alone-offer", Script(alone)
                          .ada(Step::Signal, {4, kOther, 130, 2, 1, 0, 0})
                          .ada(Step::Settle, {30})
                          .ada(Step::ChannelArrived, {kNewest, 0})
                          .ada(Step::ChannelOpened, {kNewest, 18})
                          .ada(Step::HostileFrame, {kNewest, 6, 0})
                          .text({"\x01\x01\x80\x80\x04\x00", 6})  // HELLO
                          .ada(Step::Settle, {30}));
  tell("alone-answer", Script(alone)
                           .ada(Step::Connect, {kData, kOther})
                           .ada(Step::Settle, {5})
                           .ada(Step::Signal, {5, kOther, 0, 2, 1, 0, 0})
                           .ada(Step::Signal, {6, kOther, 0, 2, 1, 2, 11, 1, 11, 2, 11, 3, 0})
                           .ada(Step::Settle, {30})
                           .ada(Step::Signal, {6, kOther, 0, 34, 1, 0, 0, 0}));
  tell("alone-text", Script(alone).ada(Step::SignalText, {41}).text(R"({"type":"EXPIRE","src":"bob","dst":"ada"})"));
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("make_corpus <folder>\n", stderr);
    return 2;
  }
  for (const auto& [name, script] : stories()) {
    const std::string path = std::string(argv[1]) + "/" + name;
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) {
      std::perror(path.c_str());
      return 1;
    }
    const bool whole = std::fwrite(script.bytes().data(), 1, script.bytes().size(), file) == script.bytes().size();
    if (std::fclose(file) != 0 || !whole) {
      std::perror(path.c_str());
      return 1;
    }
  }
  return 0;
}
