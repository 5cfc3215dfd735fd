// How many inputs a second one endpoint takes, and what one input costs while it holds many connections.
//
// There is one endpoint and no other side: browser, server and peer are what this file says, so that nothing but the
// endpoint is measured. An input is a call of handle() or receive(), with everything that the driver does after it:
// poll() until it answers nothing, the pump when it asks for it, deadline(). Making the input is counted too.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "framing/frame.hpp"
#include "peerbridge/endpoint.hpp"
#include "signaling/session.hpp"

namespace peerbridge {
namespace {

/// What Chromium says about one data channel, in length and shape.
std::string sdp(const std::string& ufrag, bool offer) {
  return "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
         "a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
         "c=IN IP4 0.0.0.0\r\na=ice-ufrag:" +
         ufrag +
         "\r\na=ice-pwd:8Hq0rMhRb3bN0W4mZ3Jq1cXy\r\na=ice-options:trickle\r\n"
         "a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:"
         "2C:19:08\r\na=setup:" +
         (offer ? "actpass" : "active") + "\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";
}

/// The same inside of JSON.
std::string escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find("\r\n", at)) != std::string::npos; at += 4) text.replace(at, 2, "\\r\\n");
  return text;
}

std::string address(int index) {
  return "candidate:842163049 1 udp 1677729535 203.0.113.7 " + std::to_string(40'000 + index) +
         " typ srflx raddr 192.168.1.10 rport 50000 generation 0 ufrag them network-cost 999";
}

/// A connection from outside, as far as it is ours to know.
struct Remote {
  std::string peer;
  std::string id;
  ConnectionHandle connection = 0;
  LinkHandle link = 0;
  ChannelHandle channel = 0;
  std::uint64_t sent = 0;  ///< DATA frames of the other side
  std::uint64_t received = 0;
};

/// The endpoint, and a driver that does what it is asked for and nothing else.
class Bench {
 public:
  explicit Bench(std::uint32_t connections, bool quiet = false) : endpoint_(config(connections, quiet), {}) {
    Input start = make(InputType::Start);
    start.hasText = true;
    start.text = "ada";
    start.label = "token";
    tell(start);
    Input opened = make(InputType::SignalingOpened);
    opened.transport = transport_;
    tell(opened);
    hear(R"({"type":"OPEN"})");
  }

  /// An offer that comes, is answered, and becomes an open channel: all its inputs, in the order of a browser.
  Remote open(int number) {
    Remote remote;
    remote.peer = "peer-" + std::to_string(number);
    remote.id = "dc_" + std::to_string(number);
    hear(
        R"({"src":")" + remote.peer + R"(","type":"OFFER","payload":{"sdp":{"type":"offer","sdp":")" + offer_ +
        R"("},"type":"data","connectionId":")" + remote.id +
        R"(","label":"l","reliable":true,"serialization":"binary","peerbridge":{"v":1,"link":1,"neg":1}},"dst":"ada"})");
    remote.connection = connection_;
    remote.link = link_;
    done();
    ++now_;
    done(&answer_, SdpType::Answer);
    for (int i = 0; i < 3; ++i) {
      Input candidate = make(InputType::LocalCandidate);
      candidate.link = link_;
      fill(candidate.candidate, i);
      tell(candidate);
    }
    hear(candidatesOf(remote));
    for (int i = 0; i < 3; ++i) done();
    Input gathered = make(InputType::GatheringComplete);
    gathered.link = remote.link;
    tell(gathered);
    state(remote, LinkState::Connecting);
    state(remote, LinkState::Connected);
    Input arrived = make(InputType::ChannelArrived);
    arrived.link = remote.link;
    arrived.channel = remote.channel = nextChannel_;
    nextChannel_ += 2;
    tell(arrived);
    Input opened = make(InputType::ChannelOpened);
    opened.channel = remote.channel;
    opened.length = 262'144;
    tell(opened);
    frame(remote, FrameType::Hello, {kProtocolVersion, 262'144, 0, 0, 16'777'216});
    now_ += 2;
    return remote;
  }

  /// The other side says goodbye.
  void close(Remote& remote) {
    frame(remote, FrameType::Close, {remote.sent, 0, 0});
    Input closed = make(InputType::ChannelClosed);
    closed.channel = remote.channel;
    tell(closed);
  }

  /// The same from here: nothing but the offer leaves, and the application changes its mind.
  void connectAndClose(int number) {
    Input connect = make(InputType::Connect);
    connect.connection = nextConnection_;
    connect.text = "callee";
    connect.connectionId = "out_" + std::to_string(number);
    connect.label = "label";
    connect.serialization = "binary";
    tell(connect);
    done(&offerOfOurs_, SdpType::Offer);
    Input close = make(InputType::Close);
    close.connection = nextConnection_;
    nextConnection_ += 2;
    tell(close);
  }

  /// A message of 64 bytes comes.
  void message(Remote& remote) {
    ByteWriter writer(scratch_);
    writer.byte(static_cast<std::uint8_t>(FrameType::Data));
    writer.varint(++remote.sent);
    writer.varint(remote.received);
    writer.byte(static_cast<std::uint8_t>(static_cast<int>(Lane::Normal) | 4 | 8));  // first and last
    writer.varint(64);
    const std::size_t length = writer.length() + 64;
    receive(remote, length);
  }

  /// A message of 64 bytes leaves and is acknowledged.
  void answer(Remote& remote) {
    bool accepted = false;
    const std::span<std::byte> space = endpoint_.framing(remote.connection)->put(Lane::Normal, 0, 64, accepted);
    std::memset(space.data(), 7, space.size());
    pump(remote.connection);
    drain();
    frame(remote, FrameType::Ack, {++remote.received, 0});
  }

  /// Candidates that came before: found by their peer and id, and known for what they are.
  void candidates(const Remote& remote) { hear(candidatesOf(remote)); }

  void state(const Remote& remote, LinkState state) {
    Input input = make(InputType::LinkState);
    input.link = remote.link;
    input.linkState = state;
    tell(input);
  }

  /// The clock reaches the deadline.
  void due() {
    now_ = std::max(now_, endpoint_.deadline());
    Input timeout = make(InputType::Timeout);
    tell(timeout);
    // A server relays to everybody, the sender included: that is how it is asked for a sign of life.
    if (!probe_.empty()) hear(R"({"src":"ada",)" + std::exchange(probe_, {}).substr(1));
  }

  void pass(Millis duration) { now_ += duration; }
  [[nodiscard]] Millis deadline() const { return endpoint_.deadline(); }
  [[nodiscard]] std::size_t connections() const { return endpoint_.connectionCount(); }
  [[nodiscard]] std::int64_t inputs() const { return inputs_; }
  [[nodiscard]] bool sound() const { return errors_ == 0; }

 private:
  static Config config(std::uint32_t connections, bool quiet) {
    Config config;
    config.maxConnections = connections + 10;
    if (quiet) {
      // The clock of the benchmark does not run with the one on the wall: nobody shall find the other side silent.
      config.pulseInterval = config.heartbeatInterval = config.probeInterval = Millis{1} << 40;
    }
    return config;
  }

  static Input make(InputType type) {
    Input input;
    input.type = type;
    return input;
  }

  static void fill(CandidateInit& candidate, int index) {
    static const std::array<std::string, 3> addresses = {address(0), address(1), address(2)};
    candidate.candidate = addresses[static_cast<std::size_t>(index)];
    candidate.hasMid = true;
    candidate.sdpMid = "0";
    candidate.hasLineIndex = true;
    candidate.hasUfrag = true;
    candidate.usernameFragment = "ours";
  }

  static std::string candidatesOf(const Remote& remote) {
    static const std::string list = [] {
      std::string text;
      for (int i = 0; i < 3; ++i) {
        text += (i == 0 ? "{" : ",{");
        text += R"("candidate":")" + address(i) + R"(","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"them"})";
        if (i == 0) text += R"(,"candidates":[)" + text;
      }
      return text + "]";
    }();
    return R"({"src":")" + remote.peer + R"(","type":"CANDIDATE","payload":{"candidate":)" + list +
           R"(,"type":"data","connectionId":")" + remote.id +
           R"(","peerbridge":{"v":1,"link":1,"neg":1}},"dst":"ada"})";
  }

  void hear(std::string text) {
    Input input = make(InputType::SignalingMessage);
    input.transport = transport_;
    input.text = std::move(text);
    tell(input);
  }

  /// The oldest operation of the browser is done.
  void done(const std::string* description = nullptr, SdpType type = SdpType::Offer) {
    if (firstOp_ == ops_.size()) return void(++errors_);
    Input input = make(InputType::OpDone);
    input.op = ops_[firstOp_++];
    if (firstOp_ == ops_.size()) {
      ops_.clear();
      firstOp_ = 0;
    }
    if (description != nullptr) {
      input.hasText = true;
      input.text = *description;
      input.sdpType = type;
    }
    tell(input);
  }

  void frame(Remote& remote, FrameType type, std::initializer_list<std::uint64_t> fields) {
    ByteWriter writer(scratch_);
    writer.byte(static_cast<std::uint8_t>(type));
    for (const std::uint64_t field : fields) writer.varint(field);
    receive(remote, writer.length());
  }

  void receive(const Remote& remote, std::size_t length) {
    ++inputs_;
    endpoint_.receive(remote.channel, std::span(scratch_).first(length), now_);
    while (std::optional<ConnectionDelivery> piece = endpoint_.delivery()) benchmark::DoNotOptimize(*piece);
    drain();
  }

  void tell(Input& input) {
    ++inputs_;
    endpoint_.handle(input, now_);
    drain();
  }

  void drain() {
    while (std::optional<Output> output = endpoint_.poll()) {
      switch (output->type) {
        case OutputType::SignalingConnect:
          transport_ = output->transport;
          break;
        case OutputType::ConnectionIncoming:
          connection_ = output->connection;
          break;
        case OutputType::LinkCreate:
          link_ = output->link;
          break;
        case OutputType::SetLocalDescription:
        case OutputType::SetRemoteDescription:
        case OutputType::AddCandidate:
          ops_.push_back(output->op);
          break;
        case OutputType::SignalingSend:
          if (output->text.find(kProbeId) != std::string::npos) probe_ = std::move(output->text);
          break;
        case OutputType::ChannelBind:
          carriers_.insert_or_assign(output->connection, output->channel);
          break;
        case OutputType::Transmit:
          pump(output->connection);
          break;
        case OutputType::ConnectionError:
        case OutputType::PeerError:
        case OutputType::Warning:
          ++errors_;
          break;
        default:
          break;
      }
      benchmark::DoNotOptimize(*output);
    }
    benchmark::DoNotOptimize(endpoint_.deadline());
  }

  void pump(ConnectionHandle connection) {
    for (;;) {
      const Action action = endpoint_.pump(connection, carriers_[connection], 0, now_);
      if (action.kind == ActionKind::Wait) return;
      benchmark::DoNotOptimize(action.frame);
    }
  }

  Endpoint endpoint_;
  Millis now_ = 1'000'000;
  std::int64_t inputs_ = 0;
  int errors_ = 0;
  std::uint32_t transport_ = 0;
  ConnectionHandle connection_ = 0;
  ConnectionHandle nextConnection_ = 1;
  LinkHandle link_ = 0;
  ChannelHandle nextChannel_ = 1;
  std::unordered_map<ConnectionHandle, ChannelHandle> carriers_;
  std::string probe_;
  std::vector<Op> ops_;
  std::size_t firstOp_ = 0;
  const std::string offer_ = escaped(sdp("them", true));
  const std::string answer_ = sdp("ours", false);
  const std::string offerOfOurs_ = sdp("ours", true);
  std::array<std::byte, 256> scratch_{};
};

void finish(benchmark::State& state, const Bench& bench, std::int64_t inputs) {
  if (inputs > 0) state.SetItemsProcessed(inputs);
  if (!bench.sound()) state.SkipWithError("the endpoint complained");
}

// -- how many inputs a second ------------------------------------------------------------------------------------

/// Data connections, one after the other: set-up, so many messages each way, farewell.
void life(benchmark::State& state) {
  Bench bench(64);
  const std::int64_t before = bench.inputs();
  int number = 0;
  for ([[maybe_unused]] auto _ : state) {
    Remote remote = bench.open(number++);
    for (int i = 0; i < state.range(0); ++i) {
      bench.message(remote);
      bench.answer(remote);
      if (i % 16 == 15) bench.due();  // an acknowledgement, a heartbeat, a sign of life: whatever comes first
    }
    bench.close(remote);
  }
  if (bench.connections() != 0) state.SkipWithError("a connection stayed");
  finish(state, bench, bench.inputs() - before);
}
BENCHMARK(life)->ArgName("messages")->Arg(0)->Arg(10)->Arg(100)->Arg(1'000);

// -- what one input costs among many connections -----------------------------------------------------------------

/// So many open connections, each to another peer; the benchmark looks at one, or at all in a random order.
struct Many {
  explicit Many(const benchmark::State& state) : bench(static_cast<std::uint32_t>(state.range(0)), true) {
    const std::size_t before = mallinfo2().uordblks;
    for (int i = 0; i < state.range(0); ++i) all.push_back(bench.open(i));
    bytes = mallinfo2().uordblks - before;
    // What the set-up left to do.
    for (int i = 0; i < state.range(0) + 10; ++i) {
      if (bench.deadline() < 2'000'000'000) bench.due();
    }
    std::mt19937 random(5);
    for (std::size_t i = 0; i < 4'096; ++i) order.push_back(random() % all.size());
  }
  Remote& one() { return all[all.size() / 2]; }
  Remote& any() { return all[order[++turn % order.size()]]; }

  Bench bench;
  std::vector<Remote> all;
  std::vector<std::size_t> order;
  std::size_t turn = 0;
  std::size_t bytes = 0;
};

template <class Call>
void among(benchmark::State& state, Call call) {
  Many many(state);
  const std::int64_t before = many.bench.inputs();
  for ([[maybe_unused]] auto _ : state) call(many);
  state.counters["bytes_each"] =
      benchmark::Counter(static_cast<double>(many.bytes) / static_cast<double>(many.all.size()));
  finish(state, many.bench, many.bench.inputs() - before);
}

void frameIn(benchmark::State& state) {
  among(state, [](Many& many) { many.bench.message(many.one()); });
}
void frameInAny(benchmark::State& state) {
  among(state, [](Many& many) { many.bench.message(many.any()); });
}
void messageOut(benchmark::State& state) {
  among(state, [](Many& many) { many.bench.answer(many.one()); });
}
void linkState(benchmark::State& state) {
  among(state, [](Many& many) { many.bench.state(many.one(), LinkState::Connected); });
}
void signal(benchmark::State& state) {
  among(state, [](Many& many) { many.bench.candidates(many.one()); });
}
/// A frame arms the timer of an acknowledgement, among all the others; then that timer fires.
void timer(benchmark::State& state) {
  among(state, [](Many& many) {
    many.bench.message(many.one());
    many.bench.due();
  });
}
void deadline(benchmark::State& state) {
  among(state, [](Many& many) { benchmark::DoNotOptimize(many.bench.deadline()); });
}
void connectAndClose(benchmark::State& state) {
  among(state, [number = 0](Many& many) mutable { many.bench.connectAndClose(number++); });
}
/// A connection from outside comes, opens and goes.
void wholeLife(benchmark::State& state) {
  among(state, [number = 100'000](Many& many) mutable {
    Remote remote = many.bench.open(number++);
    many.bench.close(remote);
  });
}

#define AMONG(name) BENCHMARK(name)->ArgName("connections")->RangeMultiplier(10)->Range(1, 10'000)
AMONG(frameIn);
AMONG(frameInAny);
AMONG(messageOut);
AMONG(linkState);
AMONG(signal);
AMONG(timer);
AMONG(deadline);
AMONG(connectAndClose);
AMONG(wholeLife);

}  // namespace
}  // namespace peerbridge
