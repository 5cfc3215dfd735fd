// A whole endpoint, or two that talk to each other, among browsers, networks, servers and applications that do what
// they should or anything else. What the bytes mean: endpoint_script.hpp.
//
// Besides what the sanitizers find, this is checked after every input:
//   - poll() ends, and what it answers names only what is there: links, transports, connections that are not closed
//   - every LinkCreate has its LinkClose, every connection ends once and never comes back
//   - one description at a time is with the browser of each link
//   - timers that fired move on: no deadline stays in the past, and none comes again and again for nothing
//   - Destroy leads to Dispose within a bounded time, whoever is silent, and after it there is nothing left
#include <sanitizer/allocator_interface.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "endpoint_script.hpp"
#include "peerbridge/endpoint.hpp"
#include "signaling/message.hpp"

namespace peerbridge::fuzz {
namespace {

// No input causes more: 64 early messages of 256 candidates each, all of them dropped with a warning.
constexpr std::size_t kMostOutputs = 20'000;
// What two endpoints and everything under way between them may take, whatever happens.
constexpr std::size_t kMostBytes = std::size_t{96} * 1024 * 1024;
// Five times closeTimeout: the longest farewell (Framing::close).
constexpr Millis kLongestFarewell = 10'000;
// Times are whole milliseconds of a browser's clock.
constexpr Millis kEndOfTime = Millis{1} << 52;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// With PEERBRIDGE_TRACE set, every input and output is told: a find has to be understood.
bool tracing() {
  static const bool wanted = std::getenv("PEERBRIDGE_TRACE") != nullptr;
  return wanted;
}

using Bytes = std::vector<std::byte>;

/// The input; zeros after its end.
class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::uint32_t word() {
    const std::uint32_t low = byte();
    return low | std::uint32_t{byte()} << 8;
  }
  std::string text(std::size_t length) {
    length = std::min(length, left_);
    std::string text(reinterpret_cast<const char*>(data_), length);
    data_ += length;
    left_ -= length;
    return text;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

/// One RTCPeerConnection, as far as it matters here.
struct Link {
  LinkHandle handle = 0;
  ConnectionHandle connection = 0;
  bool live = true;
  enum class Signaling : std::uint8_t { Stable, HaveLocalOffer, HaveRemoteOffer } signaling = Signaling::Stable;
  int generation = 0;
  bool restart = false;
  bool needed = false;
  bool toGather = false;
  bool exchanged = false;
  bool connected = false;
  bool offered = false;  ///< it made the first offer, and the channel
  ChannelHandle channel = 0;
  std::string local;
  std::string remote;
  SdpType localType = SdpType::Offer;
  Op busy = 0;  ///< the description that the browser is at work on
};

struct Channel {
  ChannelHandle handle = 0;
  LinkHandle link = 0;
  bool open = false;
  ChannelHandle other = 0;          ///< of the other side
  ConnectionHandle connection = 0;  ///< that it is bound to
  std::deque<Bytes> underway;       ///< to this side
};

struct Pending {
  OutputType type = OutputType::SetLocalDescription;
  LinkHandle link = 0;
  Op op = 0;
  Description description;
};

struct Application {
  bool made = false;  ///< the endpoint spoke of it
  bool opened = false;
  bool closed = false;
  ConnectionState state = ConnectionState::Connecting;
};

struct Side {
  Side(const Config& config, const FramingConfig& framing) : endpoint(config, framing) {}

  Endpoint endpoint;
  int index = 0;
  std::string name;
  std::map<ConnectionHandle, Application> connections;
  std::vector<ConnectionHandle> connectionHandles;
  std::map<LinkHandle, Link> links;
  std::vector<LinkHandle> linkHandles;
  std::map<ChannelHandle, Channel> channels;
  std::vector<ChannelHandle> channelHandles;
  std::vector<TransferHandle> transfers;
  std::vector<Ticket> tickets;
  std::deque<Pending> pending;
  std::deque<std::string> mail;  ///< to this side
  std::uint32_t transport = 0;   ///< the one that was asked for last and is not closed
  bool transportOpen = false;
  bool welcomed = false;
  Op idOp = 0;
  Op lastOp = 0;
  LinkHandle lastLink = 0;
  ChannelHandle lastChannel = 0;
  ConnectionHandle nextConnection = 1;
  ChannelHandle nextArrived = 1;
  TransferHandle nextTransfer = 1;
  bool destroying = false;
  bool disposed = false;
  bool channelThrows = false;
  std::uint64_t buffered = 0;
  std::size_t outputs = 0;  ///< of the input under way
};

class World {
 public:
  explicit World(Reader& reader) : in_(reader) {
    const std::uint8_t shape = in_.byte();
    const std::uint8_t seed = in_.byte();
    const std::uint8_t limits = in_.byte();
    Config config;
    FramingConfig framing;
    config.seed = seed;
    config.protocol = static_cast<ProtocolChoice>((shape >> 1 & 3) % 3);
    config.trickle = static_cast<Trickle>((shape >> 3 & 3) % 3);
    config.autoReconnect = (shape & 32) == 0;
    asksForIds_ = (shape & 128) != 0;
    config.maxConnections = 8;
    config.maxConnectionsPerPeer = 4;
    if ((shape & 64) != 0) {
      config.maxConnections = 2;
      config.maxConnectionsPerPeer = 1;
      config.reconnectRetries = limits & 3;
      config.negotiationTimeout = 1'000;
      config.recoveryBudget = 4'000;
      framing.maxFrameBytes = 1'200;
      framing.windowBytes = 3'000;
      framing.transferWindowBytes = 700;
      framing.maxInlineQueueBytes = 5'000;
    }
    now_ = Millis{limits} * 1'000;
    const int count = (shape & 1) != 0 ? 2 : 1;
    for (int i = 0; i < count; ++i) {
      auto side = std::make_unique<Side>(config, framing);
      side->index = i;
      side->name = i == 0 ? "ada" : "bob";
      sides_.push_back(std::move(side));
    }
  }

  void run() {
    const std::size_t before = __sanitizer_get_current_allocated_bytes();
    for (int steps = 0; !in_.empty() && steps < 4'000; ++steps) {
      const std::uint8_t byte = in_.byte();
      Side& side = *sides_[(byte & 0x80) != 0 ? sides_.size() - 1 : 0];
      step(static_cast<Step>((byte & 63) % static_cast<int>(Step::Count)), side);
    }
    check(__sanitizer_get_current_allocated_bytes() < before + kMostBytes, "memory is bounded");
    for (const auto& side : sides_) end(*side);
  }

 private:
  // -- what the endpoint is told, and what it answers --------------------------------------------------

  void tell(Side& side, Input& input) {
    const Millis now = now_ - std::exchange(behind_, 0);
    side.outputs = 0;
    if (tracing()) {
      std::fprintf(stderr, "%s %lld < input %d, connection %u, link %u, channel %u, op %u, %.100s\n", side.name.c_str(),
                   static_cast<long long>(now), static_cast<int>(input.type), input.connection, input.link,
                   input.channel, input.op, input.text.c_str());
    }
    side.endpoint.handle(input, now);
    drain(side, now);
  }

  void tell(Side& side, InputType type, std::uint32_t Input::*member = nullptr, std::uint32_t handle = 0) {
    Input input;
    input.type = type;
    if (member != nullptr) input.*member = handle;
    tell(side, input);
  }

  void drain(Side& side, Millis now) {
    while (std::optional<Output> output = side.endpoint.poll()) {
      check(++side.outputs <= kMostOutputs, "poll() ends");
      if (tracing()) {
        std::fprintf(stderr, "%s %lld > output %d, connection %u, link %u, channel %u, op %u, state %d, %.100s\n",
                     side.name.c_str(), static_cast<long long>(now), static_cast<int>(output->type), output->connection,
                     output->link, output->channel, output->op, output->state, output->text.c_str());
      }
      perform(side, *output, now);
    }
    check(side.endpoint.connectionCount() <= side.connections.size(), "a connection is known to its application");
    if (side.disposed) {
      check(side.endpoint.connectionCount() == 0, "nothing is left after Dispose");
      check(side.endpoint.deadline() == kNever, "nothing is due after Dispose");
    }
  }

  Link& linkOf(Side& side, LinkHandle handle) {
    const auto found = side.links.find(handle);
    check(found != side.links.end() && found->second.live, "a link that is named is there");
    return found->second;
  }

  void expect(Side& side, Link& link, const Output& output) {
    check(output.op > side.lastOp, "every operation has a number of its own");
    side.lastOp = output.op;
    Pending pending;
    pending.type = output.type;
    pending.link = output.link;
    pending.op = output.op;
    pending.description = {output.sdpType, output.text};
    if (output.type != OutputType::AddCandidate) {
      check(link.busy == 0, "one description at a time is with the browser");
      link.busy = output.op;
    }
    side.pending.push_back(std::move(pending));
  }

  void perform(Side& side, Output& output, Millis now) {
    check(!side.disposed || output.type == OutputType::ConnectionError || output.type == OutputType::ConnectionState ||
              output.type == OutputType::ConnectionClosed,
          "Dispose is the last word, apart from refusals");
    if (output.type == OutputType::ConnectionIncoming) {
      check(!side.connections.contains(output.connection) && output.connection % 2 == 0,
            "an incoming connection has a new, even handle");
      side.connections[output.connection] = {};
      side.connectionHandles.push_back(output.connection);
      note(output.connectionId);
      return;
    }
    Application* connection = nullptr;
    if (output.connection != 0) {
      const auto found = side.connections.find(output.connection);
      check(found != side.connections.end(), "a connection that is named exists");
      connection = &found->second;
      connection->made = true;
      // The farewell goes on: what was sent before may still be acknowledged, and transfers end.
      const bool farewell = output.type == OutputType::Transmit || output.type == OutputType::TransferRead ||
                            (output.type >= OutputType::Room && output.type <= OutputType::TransferEnded);
      check(!connection->closed || farewell, "a connection that is closed stays so");
    }
    switch (output.type) {
      case OutputType::RequestId:
        check(output.op > side.lastOp, "every operation has a number of its own");
        side.lastOp = side.idOp = output.op;
        return;
      case OutputType::SignalingConnect:
        check(side.transport == 0, "one transport at a time");
        side.transport = output.transport;
        side.transportOpen = side.welcomed = false;
        return;
      case OutputType::SignalingSend:
        check(side.transport != 0 && output.transport == side.transport,
              "what is sent goes to a transport that is there");
        post(side, output.text);
        return;
      case OutputType::SignalingClose:
        check(side.transport != 0 && output.transport == side.transport, "a transport is closed once");
        side.transport = 0;
        return;
      case OutputType::LinkCreate: {
        check(output.link > side.lastLink, "every link has a number of its own");
        side.lastLink = output.link;
        Link link;
        link.handle = output.link;
        link.connection = output.connection;
        side.links[output.link] = link;
        side.linkHandles.push_back(output.link);
        check(liveLinks(side, output.connection) <= 9, "a connection has two links and seven stripes at the most");
        return;
      }
      case OutputType::LinkClose: {
        Link& link = linkOf(side, output.link);
        link.live = false;
        std::erase_if(side.pending, [&](const Pending& pending) { return pending.link == output.link; });
        return;
      }
      case OutputType::SetLocalDescription:
      case OutputType::SetRemoteDescription:
      case OutputType::ReadLocalDescription:
      case OutputType::AddCandidate:
      case OutputType::Rollback:
        expect(side, linkOf(side, output.link), output);
        return;
      case OutputType::RestartIce: {
        Link& link = linkOf(side, output.link);
        link.restart = link.needed = true;
        return;
      }
      case OutputType::ChannelCreate: {
        Link& link = linkOf(side, output.link);
        check(output.channel % 2 == 0 && output.channel > side.lastChannel, "a channel of ours is new and even");
        side.lastChannel = output.channel;
        if (!output.text.empty()) {  // a side channel
          addChannel(side, output.channel, output.link);
          return;
        }
        link.channel = output.channel;
        link.offered = true;
        addChannel(side, output.channel, output.link);
        return;
      }
      case OutputType::ChannelBind:
      case OutputType::StripeBind: {
        const auto channel = side.channels.find(output.channel);
        if (channel != side.channels.end()) channel->second.connection = output.connection;
        return;
      }
      case OutputType::SideBind:
        check(output.channel != 0 && output.connection != 0, "a side channel belongs to a connection");
        return;
      case OutputType::ChannelClose:
        check(output.channel != 0, "a closed channel has a handle");
        return;
      case OutputType::Transmit:
        pump(side, output.connection, now);
        return;
      case OutputType::TransferOffered:
        side.transfers.push_back(output.transfer);
        return;
      case OutputType::Dispose:
        check(side.destroying && !side.disposed, "Dispose follows Destroy, once");
        side.disposed = true;
        check(liveLinks(side, 0) == 0, "every link is closed before Dispose");
        check(side.transport == 0, "the transport is closed before Dispose");
        return;
      case OutputType::PeerClosed:
        side.destroying = true;  // also when the session died
        return;
      case OutputType::ConnectionState: {
        const auto state = static_cast<ConnectionState>(output.state);
        check(state != connection->state, "a state that is told is another one");
        check(state != ConnectionState::Connecting, "nothing goes back to connecting");
        check(connection->state != ConnectionState::Closed, "closed is the last state");
        connection->state = state;
        return;
      }
      case OutputType::ConnectionOpened:
        check(!std::exchange(connection->opened, true), "a connection opens once");
        check(connection->state == ConnectionState::Open, "a connection that opens is open");
        return;
      case OutputType::ConnectionClosed:
        check(connection->state == ConnectionState::Closed, "a connection that closed is closed");
        connection->closed = true;
        return;
      default:
        return;
    }
  }

  static int liveLinks(const Side& side, ConnectionHandle connection) {
    int count = 0;
    for (const auto& [handle, link] : side.links) {
      count += link.live && (connection == 0 || link.connection == connection) ? 1 : 0;
    }
    return count;
  }

  /// The data border's pump, as the driver has it.
  void pump(Side& side, ConnectionHandle connection, Millis now) {
    std::vector<ChannelHandle> bound;
    for (const auto& [handle, channel] : side.channels) {
      if (channel.connection == connection) bound.push_back(handle);
    }
    for (const ChannelHandle channel : bound) pump(side, connection, channel, now);
  }

  void pump(Side& side, ConnectionHandle connection, ChannelHandle channel, Millis now) {
    for (int i = 0; i < 200; ++i) {
      const Action action = side.endpoint.pump(connection, channel, side.buffered, now);
      if (action.kind == ActionKind::Wait) return;
      if (action.kind != ActionKind::Send) {
        check(action.length > 0, "what is to be filled has a length");
        std::memset(action.data, static_cast<int>(action.ticket & 0xff), action.length);
      }
      if (action.kind == ActionKind::Fill) continue;
      check(action.frameLength > 0, "what is to be sent has a length");
      if (std::exchange(side.channelThrows, false)) {
        if (Framing* framing = side.endpoint.framing(connection)) framing->unsend();
        return;
      }
      const Bytes frame(action.frame, action.frame + action.frameLength);
      const auto from = side.channels.find(channel);
      check(from != side.channels.end(), "frames go to a channel that is known");
      if (sides_.size() < 2 || from->second.other == 0 || !pathUp_) continue;
      Side& other = *sides_[static_cast<std::size_t>(1 - side.index)];
      Channel& to = other.channels[from->second.other];
      if (to.underway.size() < 256) to.underway.push_back(frame);
      if (action.last) return;
    }
  }

  void receive(Side& side, ChannelHandle channel, const Bytes& frame) {
    const Millis now = now_ - std::exchange(behind_, 0);
    side.outputs = 0;
    side.endpoint.receive(channel, frame, now);
    std::size_t end = 0;
    while (const std::optional<ConnectionDelivery> piece = side.endpoint.delivery()) {
      check(side.connections.contains(piece->connection), "what is delivered belongs to a connection");
      const Delivery& delivery = piece->delivery;
      if (delivery.data != nullptr) {
        // Of an earlier frame that waited for this one: AddressSanitizer looks whether its bytes are there.
        for (std::size_t i = 0; i < delivery.length; ++i) digest_ += std::to_integer<unsigned>(delivery.data[i]);
        continue;
      }
      check(delivery.frameOffset >= end && delivery.frameOffset + delivery.length <= frame.size(),
            "pieces lie in the frame, one behind the other");
      end = delivery.frameOffset + delivery.length;
    }
    drain(side, now);
  }

  // -- time ---------------------------------------------------------------------------------------------

  void pass(Millis duration) { now_ = std::min(now_ + duration, kEndOfTime); }

  /// The clock reaches the side's deadline. However long that is late: the timer may fire a few times, and moves on.
  void due(Side& side) {
    const Millis at = side.endpoint.deadline();
    if (at == kNever) return;
    now_ = std::max(now_, at);
    behind_ = 0;
    for (int i = 0; i < 4; ++i) {
      tell(side, InputType::Timeout);
      if (side.endpoint.deadline() > now_) return;
    }
    check(false, "a deadline that was due moves on");
  }

  void idle(Millis duration) {
    const Millis until = std::min(now_ + duration, kEndOfTime);
    std::size_t most = 0;
    // Heartbeats, probes, signs of life, restarts, racers and what is sent again: a few a second for each.
    for (const auto& side : sides_) {
      most += 50 + (side->endpoint.connectionCount() + 1) * (20 + static_cast<std::size_t>(duration) / 100);
    }
    for (std::size_t fired = 0;; ++fired) {
      check(fired <= most, "timers do not fire for nothing");
      Side* next = nullptr;
      for (const auto& side : sides_) {
        if (next == nullptr || side->endpoint.deadline() < next->endpoint.deadline()) next = side.get();
      }
      if (next->endpoint.deadline() > until) break;
      due(*next);
    }
    now_ = std::max(now_, until);
  }

  // -- what should happen ---------------------------------------------------------------------------------

  void addChannel(Side& side, ChannelHandle handle, LinkHandle link) {
    if (!side.channels.contains(handle)) side.channelHandles.push_back(handle);
    Channel& channel = side.channels[handle];
    channel.handle = handle;
    channel.link = link;
  }

  /// Ids of connections are remembered, so that lies can be about them.
  void note(const std::string& connectionId) {
    if (ids_.size() < 32 && std::find(ids_.begin(), ids_.end(), connectionId) == ids_.end())
      ids_.push_back(connectionId);
  }

  /// The server's part: `text` goes where its dst says, with its src.
  void post(Side& from, const std::string& text) {
    Result<SignalMessage> parsed = parseSignal(text);
    check(static_cast<bool>(parsed), "what is sent can be read");
    if (parsed.value().type == MessageType::Heartbeat) return;
    for (const auto& to : sides_) {
      if (to->name == parsed.value().dst && to->mail.size() < 256) to->mail.push_back(withSource(text, from.name));
    }
  }

  static std::string withSource(const std::string& text, const std::string& src) {
    return "{\"src\":\"" + src + "\"," + text.substr(1);
  }

  void deliver(Side& side, std::size_t index) {
    if (side.mail.empty() || !side.transportOpen || side.transport == 0) return;
    const auto it = side.mail.begin() + static_cast<std::ptrdiff_t>(index % side.mail.size());
    Input input;
    input.type = InputType::SignalingMessage;
    input.transport = side.transport;
    input.text = std::move(*it);
    side.mail.erase(it);
    tell(side, input);
  }

  void openTransport(Side& side) {
    if (side.transport == 0 || !serverUp_) return;
    if (!std::exchange(side.transportOpen, true)) {
      tell(side, InputType::SignalingOpened, &Input::transport, side.transport);
    } else if (!std::exchange(side.welcomed, true)) {
      Input input;
      input.type = InputType::SignalingMessage;
      input.transport = side.transport;
      input.text = R"({"type":"OPEN"})";
      tell(side, input);
    }
  }

  void closeTransport(Side& side) {
    if (side.transport == 0) return;
    Input input;
    input.type = InputType::SignalingClosed;
    input.transport = std::exchange(side.transport, 0);
    input.label = "gone";
    tell(side, input);
  }

  void complete(Side& side, std::size_t index) {
    if (side.pending.empty()) return;
    const auto it = side.pending.begin() + static_cast<std::ptrdiff_t>(index % side.pending.size());
    Pending pending = std::move(*it);
    side.pending.erase(it);
    Link& link = side.links[pending.link];
    Input input;
    input.type = InputType::OpDone;
    input.op = pending.op;
    using Signaling = Link::Signaling;
    bool legal = true;
    switch (pending.type) {
      case OutputType::SetLocalDescription: {
        const bool answer = link.signaling == Signaling::HaveRemoteOffer;
        if (std::exchange(link.restart, false)) ++link.generation;
        link.signaling = answer ? Signaling::Stable : Signaling::HaveLocalOffer;
        link.exchanged = link.exchanged || answer;
        link.needed = false;
        link.toGather = true;
        link.localType = answer ? SdpType::Answer : SdpType::Offer;
        link.local = "v=0\r\na=ice-ufrag:" + ufrag(side, link) + "\r\n";
        break;
      }
      case OutputType::SetRemoteDescription:
        if (pending.description.type == SdpType::Offer) {
          legal = link.signaling != Signaling::HaveRemoteOffer;
          if (legal) link.signaling = Signaling::HaveRemoteOffer;
        } else {
          legal = link.signaling == Signaling::HaveLocalOffer;
          if (legal) link.signaling = Signaling::Stable;
          link.exchanged = link.exchanged || legal;
        }
        if (legal) link.remote = pending.description.sdp;
        break;
      case OutputType::Rollback:
        link.signaling = Signaling::Stable;
        break;
      default:
        break;
    }
    if (pending.op == link.busy) link.busy = 0;
    if (!legal) {
      input.type = InputType::OpFailed;
      input.text = "InvalidStateError";
    } else if (pending.type == OutputType::SetLocalDescription || pending.type == OutputType::ReadLocalDescription) {
      input.hasText = true;
      input.text = link.local;
      input.sdpType = link.localType;
    }
    tell(side, input);
  }

  static std::string ufrag(const Side& side, const Link& link) {
    return side.name + std::to_string(link.handle) + 'g' + std::to_string(link.generation);
  }

  /// The link at the other side that the remote description speaks of, if it is there.
  Link* across(const Side& side, const Link& link) {
    const std::string before = "a=ice-ufrag:" + (side.index == 0 ? std::string("bob") : std::string("ada"));
    const std::size_t at = link.remote.find(before);
    if (sides_.size() < 2 || at == std::string::npos) return nullptr;
    Side& other = *sides_[static_cast<std::size_t>(1 - side.index)];
    const auto found =
        other.links.find(static_cast<LinkHandle>(std::strtoul(link.remote.c_str() + at + before.size(), nullptr, 10)));
    return found == other.links.end() || !found->second.live ? nullptr : &found->second;
  }

  /// One thing that the browser has to say about a link. False when there is none.
  bool browse(Side& side, Link& link) {
    if (!link.live) return false;
    if (std::exchange(link.toGather, false)) {
      Input input;
      input.type = InputType::LocalCandidate;
      input.link = link.handle;
      input.candidate.candidate = "candidate:1 1 udp 1 192.0.2.1 1 typ host";
      input.candidate.hasMid = true;
      input.candidate.sdpMid = "0";
      input.candidate.hasUfrag = true;
      input.candidate.usernameFragment = ufrag(side, link);
      tell(side, input);
      tell(side, InputType::GatheringComplete, &Input::link, link.handle);
      return true;
    }
    if (link.needed && link.signaling == Link::Signaling::Stable && link.busy == 0) {
      link.needed = false;
      tell(side, InputType::NegotiationNeeded, &Input::link, link.handle);
      return true;
    }
    if (!link.exchanged || !pathUp_) return false;
    if (!std::exchange(link.connected, true)) {
      Input input;
      input.type = InputType::LinkState;
      input.link = link.handle;
      input.linkState = LinkState::Connected;
      tell(side, input);
      return true;
    }
    if (!link.offered || link.channel == 0) return false;
    Channel& mine = side.channels[link.channel];
    if (mine.open) return false;
    if (Link* const remote = across(side, link)) {
      Side& other = *sides_[static_cast<std::size_t>(1 - side.index)];
      if (remote->channel == 0) {
        const ChannelHandle arrived = std::exchange(other.nextArrived, other.nextArrived + 2);
        remote->channel = arrived;
        addChannel(other, arrived, remote->handle);
        other.channels[arrived].other = link.channel;
        mine.other = arrived;
        Input input;
        input.type = InputType::ChannelArrived;
        input.link = remote->handle;
        input.channel = arrived;
        tell(other, input);
        openChannel(other, arrived);
      }
    } else if (sides_.size() == 2) {
      return false;
    }
    openChannel(side, link.channel);
    return true;
  }

  void openChannel(Side& side, ChannelHandle channel) {
    side.channels[channel].open = true;
    Input input;
    input.type = InputType::ChannelOpened;
    input.channel = channel;
    input.length = 262'144;
    tell(side, input);
  }

  bool frame(Side& side, ChannelHandle channel) {
    Channel& at = side.channels[channel];
    if (at.underway.empty()) return false;
    const Bytes next = std::move(at.underway.front());
    at.underway.pop_front();
    receive(side, channel, next);
    return true;
  }

  void settle(int rounds) {
    while (rounds-- > 0) {
      bool moved = false;
      for (const auto& each : sides_) {
        Side& side = *each;
        if (side.transport != 0 && serverUp_ && !(side.transportOpen && side.welcomed)) {
          openTransport(side);
          moved = true;
        }
        if (side.idOp != 0) {
          Input input;
          input.type = InputType::IdAssigned;
          input.op = std::exchange(side.idOp, 0);
          input.text = side.name;
          tell(side, input);
          moved = true;
        }
        moved = moved || !side.pending.empty() || !side.mail.empty();
        complete(side, 0);
        deliver(side, 0);
        const std::vector<LinkHandle> links = side.linkHandles;
        for (const LinkHandle handle : links) moved = browse(side, side.links[handle]) || moved;
        const std::vector<ChannelHandle> channels = side.channelHandles;
        for (const ChannelHandle handle : channels) moved = frame(side, handle) || moved;
        if (side.endpoint.deadline() <= now_) due(side);
      }
      pass(1);
      if (moved) continue;
      // Nothing is under way: what comes next is a timer, if one is near.
      Millis next = kNever;
      for (const auto& side : sides_) next = std::min(next, side->endpoint.deadline());
      if (next - now_ > 100) return;
      now_ = std::max(now_, next);
    }
  }

  // -- choices ----------------------------------------------------------------------------------------------

  /// One of them, the newest first; or none, or one that never was.
  template <class Handle>
  Handle pick(const std::vector<Handle>& from) {
    const std::uint8_t choice = in_.byte();
    if (choice == 254) return 0;
    if (choice == 255) return static_cast<Handle>(in_.word() * 65'537U);
    return from.empty() ? static_cast<Handle>(choice) : from[from.size() - 1 - choice % from.size()];
  }
  ConnectionHandle connection(const Side& side) { return pick(side.connectionHandles); }
  LinkHandle link(const Side& side) { return pick(side.linkHandles); }
  ChannelHandle channel(const Side& side) { return pick(side.channelHandles); }

  std::string peer(const Side& side) {
    switch (in_.byte() % 8) {
      case 1:
        return side.name;
      case 2:
        return "carol";
      case 3:
        return "";
      case 4:
        return "not an id!";
      case 5:
        return in_.text(in_.byte());
      default:
        return side.name == "ada" ? "bob" : "ada";
    }
  }

  std::string connectionId() {
    const std::uint8_t choice = in_.byte();
    if (choice >= 250) return in_.text(in_.byte());
    if (choice >= 240) return " probe";
    if (choice >= 128 || ids_.empty()) return "x" + std::to_string(choice % 8);
    return ids_[ids_.size() - 1 - choice % ids_.size()];
  }

  std::string sdp(const Side& side) {
    const std::uint8_t choice = in_.byte();
    switch (choice % 6) {
      case 0:
        return "v=0\r\na=ice-ufrag:" + std::string(side.index == 0 ? "bob" : "ada") + std::to_string(choice / 6 % 8) +
               "g0\r\n";
      case 1:
        return "";
      case 2:
        return in_.text(in_.byte());
      case 3: {
        std::string many = "v=0\r\n";
        for (int i = 0; i < 40; ++i) many += "a=ice-ufrag:" + std::to_string(i) + "\r\n";
        return many;
      }
      case 4:
        return "a=ice-ufrag:";
      default:
        return std::string(static_cast<std::size_t>(choice) * 300, 'x');
    }
  }

  CandidateInit candidate(const Side& side) {
    const std::uint8_t choice = in_.byte();
    CandidateInit candidate;
    if ((choice & 1) != 0) candidate.candidate = "candidate:" + std::to_string(in_.byte());
    candidate.hasMid = (choice & 2) != 0;
    if (candidate.hasMid) candidate.sdpMid = "0";
    candidate.hasLineIndex = (choice & 4) != 0;
    candidate.hasUfrag = (choice & 8) != 0;
    if (candidate.hasUfrag) {
      candidate.usernameFragment =
          (choice & 16) != 0 ? std::to_string(choice)
                             : std::string(side.index == 0 ? "bob" : "ada") + std::to_string(choice >> 5) + "g0";
    }
    return candidate;
  }

  /// Any message that the format allows, about anything.
  std::string hostileSignal(const Side& side) {
    SignalMessage message;
    message.type = static_cast<MessageType>(in_.byte() % 10);
    const std::string src = peer(side);
    message.dst = side.name;
    message.connectionId = connectionId();
    const std::uint8_t flags = in_.byte();
    message.kind = (flags & 1) != 0 ? ConnectionKind::Media : ConnectionKind::Data;
    if ((flags & 2) != 0) {
      NativeTag tag;
      const auto number = [this] {
        const std::uint32_t value = in_.byte();
        return value == 255 ? 0xffffffffU : value;
      };
      tag.version = (flags & 4) != 0 ? number() : 1;
      tag.link = (flags & 8) != 0 ? number() : 1;
      tag.negotiation = number();
      tag.seen = (flags & 16) != 0 ? number() : 0;
      if ((flags & 32) != 0) tag.bye = (flags & 64) != 0 ? "rejected" : "closed";
      message.native = tag;
    }
    if (message.type == MessageType::Offer || message.type == MessageType::Answer) {
      message.description =
          Description{message.type == MessageType::Offer ? SdpType::Offer : SdpType::Answer, sdp(side)};
    }
    if (message.type == MessageType::Candidate) {
      std::size_t count = in_.byte();
      count = count == 255 ? kMaxSignalCandidates : count % 4 + 1;
      for (std::size_t i = 0; i < count; ++i) message.candidates.push_back(candidate(side));
    }
    if ((flags & 128) != 0) message.metadata = R"({"a":[1,"b"]})";
    std::string text =
        withSource(serializeSignal(message), src.find_first_of("\"\\\n\r") == std::string::npos ? src : "q");
    spoil(text, in_.byte() % 16 == 15 ? 3 : 0);
    return text;
  }

  template <class Text>
  void spoil(Text& text, int times) {
    for (; times > 0 && !text.empty(); --times) {
      const std::size_t at = in_.byte() * text.size() / 256;
      text[at] = static_cast<typename Text::value_type>(in_.byte());
    }
  }

  // -- steps --------------------------------------------------------------------------------------------------

  void step(Step step, Side& side) {
    Input input;
    switch (step) {
      case Step::Wait:
        return pass(in_.byte());
      case Step::Due:
        return due(side);
      case Step::Leap:
        return pass(Millis{1} << in_.byte() % 46);
      case Step::Back:
        behind_ = Millis{in_.byte()} * 100;
        return;
      case Step::Idle:
        return idle(Millis{in_.byte()} % 90 * 1'000);
      case Step::Alarm:
        return tell(side, InputType::Timeout);
      case Step::Settle:
        return settle(in_.byte());
      case Step::Complete:
        return complete(side, in_.byte());
      case Step::Fail: {
        const std::size_t index = in_.byte();
        if (side.pending.empty()) return;
        const auto it = side.pending.begin() + static_cast<std::ptrdiff_t>(index % side.pending.size());
        input.type = InputType::OpFailed;
        input.op = it->op;
        input.text = "OperationError";
        Link& link = side.links[it->link];
        if (link.busy == it->op) link.busy = 0;
        side.pending.erase(it);
        return tell(side, input);
      }
      case Step::Deliver:
        return deliver(side, in_.byte());
      case Step::DropMail:
      case Step::CopyMail:
      case Step::SpoilMail: {
        const std::size_t index = in_.byte();
        if (side.mail.empty()) return;
        const auto it = side.mail.begin() + static_cast<std::ptrdiff_t>(index % side.mail.size());
        if (step == Step::DropMail)
          side.mail.erase(it);
        else if (step == Step::CopyMail)
          side.mail.push_back(std::string(*it));
        else
          spoil(*it, 3);
        return;
      }
      case Step::Frame:
        frame(side, channel(side));
        return;
      case Step::DropFrames:
        side.channels[channel(side)].underway.clear();
        return;
      case Step::SpoilFrame:
      case Step::RepeatFrame: {
        const auto it = side.channels.find(channel(side));
        if (it == side.channels.end() || it->second.underway.empty()) return;
        Bytes& next = it->second.underway.front();
        if (step == Step::SpoilFrame)
          spoil(next, 1);
        else
          it->second.underway.push_front(Bytes(next));
        return;
      }
      case Step::ServerDown:
        serverUp_ = false;
        for (const auto& each : sides_) closeTransport(*each);
        return;
      case Step::ServerUp:
        serverUp_ = true;
        return;
      case Step::PathDown:
        pathUp_ = false;
        for (const auto& each : sides_) {
          for (auto& [handle, channel] : each->channels) channel.underway.clear();
          for (auto& [handle, link] : each->links) link.connected = false;
        }
        return;
      case Step::PathUp:
        pathUp_ = true;
        return;
      case Step::Start: {
        const std::uint8_t how = in_.byte();
        input.type = InputType::Start;
        input.hasText = !asksForIds_;
        input.text = how < 240 ? side.name : in_.text(how & 15);
        input.label = "token";
        return tell(side, input);
      }
      case Step::Connect: {
        const std::uint8_t how = in_.byte();
        input.type = InputType::Connect;
        input.connection = side.nextConnection;
        if ((how & 0xc0) == 0xc0) input.connection = connection(side);
        input.text = peer(side);
        input.kind = (how & 1) != 0 ? ConnectionKind::Media : ConnectionKind::Data;
        input.connectionId = (how & 2) != 0 ? connectionId() : side.name + std::to_string(input.connection);
        input.label = "label";
        input.hasMetadata = (how & 4) != 0;
        if (input.hasMetadata) input.metadata = (how & 8) != 0 ? '"' + std::string(140'000, 'm') + '"' : "{}";
        input.serialization = "binary";
        input.reliable = (how & 16) != 0;
        if (input.connection == side.nextConnection) side.nextConnection += 2;
        // JavaScript hands over nothing but UTF-8.
        for (char& c : input.connectionId) c = static_cast<char>(c & 0x7f);
        note(input.connectionId);
        // An application that uses a handle twice gets a new connection under it, once the old one is over.
        if (input.connection % 2 == 1) {
          Application& application = side.connections[input.connection];
          if (application.closed && !isCounted(side, input.connection)) application = {};
          side.connectionHandles.push_back(input.connection);
        }
        return tell(side, input);
      }
      case Step::Answer:
        return tell(side, InputType::Answer, &Input::connection, connection(side));
      case Step::Close:
        return tell(side, InputType::Close, &Input::connection, connection(side));
      case Step::Stripes: {
        Input input;
        input.type = InputType::Stripes;
        input.connection = connection(side);
        input.length = in_.byte() % 10;
        return tell(side, input);
      }
      case Step::Disconnect:
        if (in_.byte() % 16 == 0) tell(side, InputType::Disconnect);
        return;
      case Step::Reconnect:
        return tell(side, InputType::Reconnect);
      case Step::Destroy:
        if (in_.byte() % 16 == 0) tell(side, InputType::Destroy);
        return;
      case Step::PageHide:
        if (in_.byte() % 16 == 0) tell(side, InputType::PageHide);
        return;
      case Step::Network:
        input.type = InputType::Network;
        input.change = static_cast<NetworkChange>(in_.byte() % 4);
        return tell(side, input);
      case Step::Put:
      case Step::Queue:
      case Step::Border:
        return border(step, side);
      case Step::Transfer: {
        input.type = static_cast<InputType>(static_cast<int>(InputType::TransferOffer) + in_.byte() % 9);
        input.connection = connection(side);
        input.transfer = pick(side.transfers);
        input.length = in_.word();
        if (input.type == InputType::TransferOffer) {
          input.hasLength = (input.length & 1) != 0;
          if (input.length % 8 != 7) input.transfer = std::exchange(side.nextTransfer, side.nextTransfer + 2);
          side.transfers.push_back(input.transfer);
        }
        input.text = "name";
        input.label = "type";
        input.connectionId = "key";
        return tell(side, input);
      }
      case Step::Signal:
      case Step::SignalText:
        input.type = InputType::SignalingMessage;
        input.transport = side.transport;
        input.text = step == Step::Signal ? hostileSignal(side) : in_.text(in_.byte());
        return tell(side, input);
      case Step::SignalInBand: {
        const ChannelHandle through = channel(side);
        const std::string text = '\x08' + hostileSignal(side);
        Bytes bytes(text.size());
        std::memcpy(bytes.data(), text.data(), text.size());
        return receive(side, through, bytes);
      }
      case Step::HostileFrame: {
        const ChannelHandle through = channel(side);
        const std::string text = in_.text(in_.word());
        Bytes bytes(text.size());
        if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
        return receive(side, through, bytes);
      }
      case Step::OpDone: {
        const std::uint8_t which = in_.byte();
        input.type = InputType::OpDone;
        input.op = choose(side, which);
        const std::uint8_t how = in_.byte();
        input.hasText = (how & 1) != 0;
        input.sdpType =
            (how & 2) != 0 ? SdpType::Offer : SdpType::Answer;  // no browser describes itself as rolled back
        if (input.hasText) input.text = sdp(side);
        return tell(side, input);
      }
      case Step::OpFailed:
        input.type = InputType::OpFailed;
        input.op = choose(side, in_.byte());
        return tell(side, input);
      case Step::Transport: {
        const std::uint8_t how = in_.byte();
        const std::uint32_t transport = side.transport + in_.byte() % 3 - 1;
        if (how % 2 == 0) {
          side.transportOpen = side.transportOpen || transport == side.transport;
          return tell(side, InputType::SignalingOpened, &Input::transport, transport);
        }
        input.type = InputType::SignalingClosed;
        input.transport = transport;
        if (transport == side.transport) side.transport = 0;
        return tell(side, input);
      }
      case Step::Id: {
        const std::uint8_t how = in_.byte();
        input.type = how % 2 == 0 ? InputType::IdAssigned : InputType::IdFailed;
        input.op = how < 128 ? side.idOp : how;
        input.text = peer(side);
        return tell(side, input);
      }
      case Step::LinkState:
        input.type = InputType::LinkState;
        input.link = link(side);
        input.linkState = static_cast<LinkState>(in_.byte() % 6);
        return tell(side, input);
      case Step::PathChanged:
        return tell(side, InputType::PathChanged, &Input::link, link(side));
      case Step::LocalCandidate:
        input.type = InputType::LocalCandidate;
        input.link = link(side);
        input.candidate = candidate(side);
        return tell(side, input);
      case Step::Gathered:
        return tell(side, InputType::GatheringComplete, &Input::link, link(side));
      case Step::Needed:
        return tell(side, InputType::NegotiationNeeded, &Input::link, link(side));
      case Step::ChannelArrived:
        input.type = InputType::ChannelArrived;
        input.link = link(side);
        input.channel = side.nextArrived;
        if (const std::uint8_t how = in_.byte(); how < 192)
          side.nextArrived += 2;
        else
          input.channel = how;
        if (input.channel == 0) return;
        addChannel(side, input.channel, input.link);
        return tell(side, input);
      case Step::ChannelOpened:
        input.type = InputType::ChannelOpened;
        input.channel = channel(side);
        input.length = (std::uint64_t{1} << in_.byte() % 54) - 1;
        return tell(side, input);
      case Step::ChannelClosed:
        return tell(side, InputType::ChannelClosed, &Input::channel, channel(side));
      case Step::Count:
        return;
    }
  }

  /// An operation: one that is under way, or any. Once it is answered, nobody answers it again by chance.
  Op choose(Side& side, std::uint8_t which) {
    const Op op = which < 128 && !side.pending.empty() ? side.pending[which % side.pending.size()].op : which;
    for (auto& [handle, link] : side.links) {
      if (link.busy == op) link.busy = 0;
    }
    std::erase_if(side.pending, [op](const Pending& pending) { return pending.op == op; });
    return op;
  }

  /// Does the endpoint still have this connection? A farewell goes on after the application was told.
  static bool isCounted(const Side& side, ConnectionHandle connection) { return liveLinks(side, connection) > 0; }

  void border(Step step, Side& side) {
    const ConnectionHandle handle = connection(side);
    const std::uint8_t how = in_.byte();
    Framing* const framing = side.endpoint.framing(handle);
    const Millis now = now_ - std::exchange(behind_, 0);
    const auto lane = static_cast<Lane>(how & 3);
    const auto format = static_cast<Format>(how >> 2 & 31);
    side.outputs = 0;
    if (step == Step::Border) {
      const std::uint8_t argument = in_.byte();
      switch (how % 6) {
        case 0:
          side.channelThrows = true;
          return;
        case 1:
          side.buffered = std::uint64_t{argument} * 16'384;
          return;
        case 2:
          if (framing != nullptr) framing->hold((argument & 1) != 0, now);
          break;
        case 3:
          if (framing != nullptr) (void)framing->mark();
          break;
        case 4:
          if (framing != nullptr && !side.tickets.empty()) {
            (void)framing->withdraw(side.tickets[argument % side.tickets.size()]);
          }
          break;
        default:
          if (framing == nullptr) return;
          if (const Ticket ticket = framing->transferPut(pick(side.transfers), argument))
            side.tickets.push_back(ticket);
          break;
      }
    } else {
      const std::uint32_t length = in_.word();
      if (framing == nullptr) return;
      if (step == Step::Put) {
        bool accepted = false;
        const std::span<std::byte> space = framing->put(lane, format, length, accepted);
        check(accepted || space.empty(), "there is no room for what is refused");
        std::fill(space.begin(), space.end(), std::byte{7});
      } else if (const Ticket ticket = framing->queue(lane, format, std::uint64_t{length} * 7)) {
        side.tickets.push_back(ticket);
      }
    }
    pump(side, handle, now);
    drain(side, now);
  }

  // -- the end ------------------------------------------------------------------------------------------------

  /// Destroy, and nobody helps.
  void end(Side& side) {
    behind_ = 0;
    if (!side.destroying) tell(side, InputType::Destroy);
    check(side.destroying, "Destroy says that the peer is closed");
    const Millis limit = now_ + kLongestFarewell;
    for (int i = 0; !side.disposed; ++i) {
      check(i < 1'000 && side.endpoint.deadline() <= limit, "Dispose comes in time");
      due(side);
    }
    for (const InputType type : {InputType::Timeout, InputType::Reconnect, InputType::Start, InputType::Destroy,
                                 InputType::PageHide, InputType::Network, InputType::Disconnect}) {
      tell(side, type);
      check(side.outputs == 0, "Dispose is the last word");
    }
    for (const auto& [handle, connection] : side.connections) {
      check(connection.closed || !connection.made, "every connection has ended");
    }
  }

  Reader& in_;
  std::vector<std::unique_ptr<Side>> sides_;
  Millis now_ = 0;
  Millis behind_ = 0;
  unsigned digest_ = 0;
  bool serverUp_ = true;
  bool pathUp_ = true;
  bool asksForIds_ = false;
  std::vector<std::string> ids_;
};

}  // namespace
}  // namespace peerbridge::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  peerbridge::fuzz::Reader reader(data, size);
  peerbridge::fuzz::World(reader).run();
  return 0;
}
