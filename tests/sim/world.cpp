#include "world.hpp"

#include <algorithm>
#include <cstring>

namespace peerbridge::sim {

namespace {

/// More timeouts a virtual second than this are a loop: the shortest timers are acknowledgements, 50 a second for each
/// connection.
constexpr int kTimeoutsPerSecond = 1'500;
/// So many in one millisecond, and time stands still.
constexpr int kTimeoutsStuck = 20'000;
/// What one input leads to is a handful.
constexpr int kOutputsStuck = 100'000;

std::uint64_t mix(std::uint64_t sum, const char* bytes, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i) sum = sum * 31 + static_cast<unsigned char>(bytes[i]);
  return sum;
}

}  // namespace

const char* nameOf(ConnectionState state) {
  constexpr std::array<const char*, 4> kNames{"connecting", "open", "recovering", "closed"};
  return kNames[static_cast<std::size_t>(state)];
}

const char* nameOf(PeerState state) {
  constexpr std::array<const char*, 5> kNames{"idle", "connecting", "open", "reconnecting", "closed"};
  return kNames[static_cast<std::size_t>(state)];
}

const char* nameOf(LinkState state) {
  constexpr std::array<const char*, 6> kNames{"new", "connecting", "connected", "disconnected", "failed", "closed"};
  return kNames[static_cast<std::size_t>(state)];
}

// -- Node: the application -----------------------------------------------------------------------------

Node::Node(World& world, std::string nodeName, const Config& config, const FramingConfig& framing)
    : name(std::move(nodeName)),
      endpoint(std::make_unique<Endpoint>(config, framing)),
      world_(world),
      token_("token-" + name) {}

void Node::start() { feed(input::Start{name, token_}); }

ConnectionHandle Node::connect(const std::string& peer, ConnectionKind kind, const std::string& metadata) {
  const ConnectionHandle handle = nextConnection_;
  nextConnection_ += 2;
  input::Connect wish;
  wish.connection = handle;
  wish.peer = peer;
  wish.connectionId = "dc_" + name + std::to_string(handle);
  wish.kind = kind;
  wish.label = "chat";
  if (!metadata.empty()) wish.metadata = metadata;
  wish.serialization = "binary";
  Talk& talk = talks[handle];
  talk.id = wish.connectionId;
  talk.peer = peer;
  talk.kind = kind;
  talk.outgoing = true;
  talk.since = talk.begun = world_.now();
  talk.tracks = kind == ConnectionKind::Media ? 1 : 0;
  feed(std::move(wish));
  return handle;
}

bool Node::send(ConnectionHandle connection, const std::string& text, Lane lane) {
  Framing* framing = endpoint->framing(connection);
  if (!alive || disposed || frozen || framing == nullptr) return false;
  bool accepted = false;
  if (text.size() <= world_.settings.framing.inlineBytes) {
    const std::span<std::byte> target = framing->put(lane, 1, text.size(), accepted);
    if (!accepted) return false;
    if (!text.empty()) std::memcpy(target.data(), text.data(), text.size());
  } else {
    const Ticket ticket = framing->queue(lane, 1, text.size());
    if (ticket == 0) return false;
    queued_[{connection, ticket}] = text;
  }
  ++talks[connection].sent[static_cast<std::size_t>(lane)];
  if (keepEvents) sent[connection].push_back(text);
  pump(connection);
  drain();
  return true;
}

void Node::mark(ConnectionHandle connection) {
  Framing* framing = endpoint->framing(connection);
  if (!alive || disposed || frozen || framing == nullptr) return;
  Talk& talk = talks[connection];
  talk.marks.emplace_back(framing->mark(), talk.sent);
  pump(connection);
  drain();
}

void Node::setStripes(ConnectionHandle connection, std::uint32_t count) {
  if (!alive || disposed || frozen || talks[connection].kind != ConnectionKind::Data) return;
  talks[connection].stripes = count;
  Input in = input::make(InputType::Stripes);
  in.connection = connection;
  in.length = count;
  feed(std::move(in));
}

void Node::offerFile(ConnectionHandle connection, std::uint64_t size) {
  if (!alive || disposed || frozen) return;
  Input offer = input::make(InputType::TransferOffer);
  offer.connection = connection;
  offer.transfer = nextFile_;
  nextFile_ += 2;
  offer.text = name + "/" + std::to_string(offer.transfer);
  offer.label = "application/octet-stream";
  offer.hasLength = size % 3 != 0;  // and some of no known size
  offer.length = size;
  File& file = talks[connection].files.emplace_back();
  file.handle = offer.transfer;
  file.mine = true;
  file.size = size;
  file.name = offer.text;
  feed(std::move(offer));
}

void Node::cancelFile(ConnectionHandle connection) {
  for (File& file : talks[connection].files) {
    if (file.state > TransferState::Paused || file.stopped) continue;
    file.stopped = true;
    Input cancel = input::make(InputType::TransferCancel);
    cancel.connection = connection;
    cancel.transfer = file.handle;
    cancel.text = "enough";
    feed(std::move(cancel));
    return;
  }
}

void Node::answer(ConnectionHandle connection) {
  const auto it = talks.find(connection);
  if (!alive || disposed || it == talks.end() || !it->second.rings) return;
  it->second.rings = false;
  feed(input::Answer{connection});
}

void Node::close(ConnectionHandle connection) {
  const auto it = talks.find(connection);
  if (it != talks.end()) it->second.wantsClose = true;
  feed(input::Close{connection});
}

void Node::destroy() {
  destroyed = true;
  for (auto& [handle, talk] : talks) talk.wantsClose = true;
  feed(input::Destroy{});
}

void Node::hide() {
  if (!alive || disposed) return;
  for (auto& [handle, talk] : talks) talk.wantsClose = true;
  feed(input::PageHide{});
  // What was handed to the network by then still leaves.
  world_.at(world_.now() + 100, [this] { kill(); });
}

void Node::changeMedia(ConnectionHandle connection, bool more) {
  if (!alive || disposed) return;
  if (more) ++talks[connection].tracks;
  for (const Link& link : links_) {
    if (link.connection == connection) world_.changeMedia(link.pc, more);
  }
}

void Node::kill(bool noticed) {
  if (!alive) return;
  alive = false;
  inbox_.clear();
  world_.clientDies(*this, noticed);
  world_.killPcs(*this);
}

void Node::freeze() { frozen = true; }

void Node::thaw() {
  if (!frozen) return;
  frozen = false;
  movedAt = world_.now();
  drain();
}

std::size_t Node::count(const std::string& event) const {
  return static_cast<std::size_t>(
      std::count_if(events.begin(), events.end(), [&](const std::string& e) { return e.starts_with(event); }));
}

std::optional<ConnectionState> Node::state(ConnectionHandle connection) const {
  const auto it = talks.find(connection);
  return it == talks.end() ? std::nullopt : std::optional(it->second.state);
}

const Talk* Node::talk(ConnectionHandle connection) const {
  const auto it = talks.find(connection);
  return it == talks.end() ? nullptr : &it->second;
}

ConnectionHandle Node::find(const std::string& peer, const std::string& id) const {
  for (const auto& [handle, talk] : talks) {
    if (talk.id == id && talk.peer == peer && !talk.outgoing) return handle;
  }
  for (const auto& [handle, talk] : talks) {
    if (talk.id == id && talk.peer == peer) return handle;
  }
  return 0;
}

std::size_t Node::liveLinks() const { return links_.size(); }

std::size_t Node::liveChannels() const {
  return static_cast<std::size_t>(std::count_if(channels_.begin(), channels_.end(), [this](const auto& entry) {
    const World::ChannelEnd& end = world_.end(entry.second);
    return !end.closed && !world_.pc(end.pc).closed;
  }));
}

std::size_t Node::liveSides(ConnectionHandle connection) const {
  const auto of = sides.find(connection);
  if (of == sides.end()) return 0;
  return static_cast<std::size_t>(std::count_if(channels_.begin(), channels_.end(), [&](const auto& entry) {
    const World::ChannelEnd& end = world_.end(entry.second);
    return end.open && !end.closed && !world_.pc(end.pc).closed &&
           std::find(of->second.begin(), of->second.end(), entry.first) != of->second.end();
  }));
}

// -- Node: the driver ----------------------------------------------------------------------------------

void Node::feed(Input input) {
  if (!alive || disposed) return;
  Pending pending;
  pending.input = std::move(input);
  take(std::move(pending));
}

/// One at a time, as in the driver: what comes while another is handled waits.
void Node::take(Pending&& pending) {
  if (!alive || disposed) return;
  if (busy_ || frozen || !inbox_.empty()) {
    inbox_.push_back(std::move(pending));
    drain();
    return;
  }
  busy_ = true;
  handle(pending);
  busy_ = false;
  drain();
}

void Node::handle(Pending& pending) {
  if (!pending.isFrame) {
    if (pending.input.type == InputType::ChannelClosed) {
      std::erase_if(channels_, [&](const auto& entry) { return entry.first == pending.input.channel; });
    }
    return endpoint->handle(pending.input, world_.now());
  }
  if (!pending.frame.empty()) return receive(pending.channel, pending.frame);
  for (const auto& [connection, channel] : carriers_) {
    if (channel == pending.channel) return pump(connection, channel);
  }
  for (const auto& [channel, connection] : stripes_) {
    if (channel == pending.channel) return pump(connection, channel);
  }
}

void Node::drain() {
  if (busy_ || frozen) return;
  busy_ = true;
  for (int steps = 0; !disposed && alive;) {
    if (std::optional<Output> output = endpoint->poll()) {
      if (++steps > kOutputsStuck) {
        world_.breaks(kQuiet, name + " does not stop to answer");
        alive = false;
        break;
      }
      perform(*output);
      continue;
    }
    if (inbox_.empty()) break;
    Pending next = std::move(inbox_.front());
    inbox_.pop_front();
    handle(next);
  }
  busy_ = false;
  if (!disposed && alive) arm();
  if (!changed_.empty()) checkLinks();
}

void Node::checkLinks() {
  for (const ConnectionHandle connection : std::exchange(changed_, {})) {
    const Talk& talk = talks[connection];
    const auto count = std::count_if(links_.begin(), links_.end(), [connection](const Link& link) {
      return link.connection == connection && !link.stripe;
    });
    if (alive && talk.outgoing && talk.state == ConnectionState::Open && count != 1) {
      world_.breaks(kOneLink, name + " has " + std::to_string(count) + " for " + std::to_string(connection));
    }
  }
}

void Node::arm() {
  const Millis next = endpoint->deadline();
  // A timer that comes too early looks again: most deadlines only move on.
  if (next == kNever || armed_ <= std::max(next, world_.now())) return;
  const Millis when = std::max(next, world_.now());
  armed_ = when;
  world_.at(when, [this, when] {
    if (armed_ != when) return;
    armed_ = kNever;
    if (!alive || disposed || frozen) return;
    const Millis now = world_.now();
    if (endpoint->deadline() > now) {
      arm();
      return;
    }
    if (now - timeoutsAt_ >= 1'000) {
      if (timeouts_ > kTimeoutsPerSecond) {
        world_.breaks(kQuiet, name + " had " + std::to_string(timeouts_) + " timeouts in a second");
      }
      timeoutsAt_ = now;
      timeouts_ = 0;
    }
    if (++timeouts_ > kTimeoutsStuck) {
      world_.breaks(kQuiet, name + "'s deadline stays in the past");
      alive = false;
      return;
    }
    feed(input::Timeout{});
  });
}

void Node::tell(std::string event) {
  if (world_.tracing) world_.note(name, event);
  if (keepEvents) events.push_back(std::move(event));
}

int Node::pcOf(LinkHandle link) const {
  for (const Link& one : links_) {
    if (one.handle == link) return one.pc;
  }
  return -1;
}

void Node::changeState(ConnectionHandle connection, ConnectionState state) {
  Talk& talk = talks[connection];
  if (talk.state == ConnectionState::Closed && state != ConnectionState::Closed) {
    world_.breaks(kStory, name + " revives connection " + std::to_string(connection));
  }
  if (talk.state == ConnectionState::Recovering && state == ConnectionState::Closed) {
    talk.lasted = world_.now() - talk.since;
  }
  if (talk.state != state) talk.since = world_.now();
  if (state == ConnectionState::Recovering && talk.state != state) ++talk.recovered;
  talk.state = state;
  changed_.push_back(connection);
  if (state == ConnectionState::Open) talk.opened = true;
}

void Node::perform(Output& output) {
  Output& o = output;
  const std::string self = std::to_string(o.connection);
  switch (o.type) {
    case OutputType::RequestId:
      world_.at(world_.now() + 10, [this, op = o.op] { feed(input::IdAssigned{op, name}); });
      return;
    case OutputType::SignalingConnect:
      transport_ = o.transport;
      ++attempts_;
      if (world_.tracing) world_.note(name, "  connects to the server, transport " + std::to_string(o.transport));
      world_.clientConnects(*this, o.text, o.label, o.transport);
      return;
    case OutputType::SignalingSend:
      world_.clientSays(*this, o.transport, std::move(o.text));
      return;
    case OutputType::SignalingClose:
      if (world_.tracing) world_.note(name, "  gives transport " + std::to_string(o.transport) + " up");
      world_.clientLeaves(*this, o.transport);
      return;
    case OutputType::LinkCreate: {
      if (pcOf(o.link) >= 0) return world_.illegal(*this, "link " + std::to_string(o.link) + " is made twice");
      const auto talk = talks.find(o.connection);
      if (talk == talks.end()) return world_.illegal(*this, "a link of no connection");
      const int pc = world_.createPc(*this, o.link, talk->second.tracks);
      links_.push_back({o.link, o.connection, pc, o.marker > 0});
      changed_.push_back(o.connection);
      if (world_.tracing) {
        world_.note(name, "  link " + std::to_string(o.link) + " of " + self + " is pc " + std::to_string(pc));
      }
      return;
    }
    case OutputType::LinkClose: {
      const int pc = pcOf(o.link);
      if (pc < 0) return world_.illegal(*this, "closes a link that it does not have");
      if (world_.tracing) world_.note(name, "  closes pc " + std::to_string(pc));
      std::erase_if(links_, [&](const Link& link) { return link.handle == o.link; });
      world_.closePc(pc);
      return;
    }
    case OutputType::SetLocalDescription:
    case OutputType::SetRemoteDescription:
    case OutputType::ReadLocalDescription:
    case OutputType::AddCandidate:
    case OutputType::RestartIce:
    case OutputType::Rollback:
    case OutputType::ChannelCreate:
      return operate(o);
    case OutputType::ChannelBind: {
      const auto it =
          std::find_if(channels_.begin(), channels_.end(), [&](const auto& c) { return c.first == o.channel; });
      if (it == channels_.end()) return world_.illegal(*this, "binds a channel that it does not have");
      carriers_[o.connection] = o.channel;
      talks[o.connection].bound = true;
      world_.end(it->second).low = o.length;
      if (world_.tracing) {
        world_.note(name, "  " + self + " is carried by pc " + std::to_string(world_.end(it->second).pc));
      }
      return;
    }
    case OutputType::StripeBind: {
      const auto it =
          std::find_if(channels_.begin(), channels_.end(), [&](const auto& c) { return c.first == o.channel; });
      if (it == channels_.end()) return world_.illegal(*this, "binds a stripe that it does not have");
      if (talks.contains(o.connection) && talks[o.connection].closedTold) {
        return world_.illegal(*this, "binds a stripe of a connection that is over");
      }
      stripes_.emplace_back(o.channel, o.connection);
      world_.end(it->second).low = o.length;
      return;
    }
    case OutputType::SideBind:
      sides[o.connection].push_back(o.channel);
      return;
    case OutputType::ChannelClose: {
      const auto it =
          std::find_if(channels_.begin(), channels_.end(), [&](const auto& c) { return c.first == o.channel; });
      if (it == channels_.end()) return;
      const int end = it->second;
      channels_.erase(it);
      world_.closeChannel(end);
      return;
    }
    case OutputType::Transmit:
      return pump(o.connection);
    case OutputType::Dispose:
      disposed = true;
      if (endpoint->connectionCount() != 0) world_.breaks(kStory, name + " disposes with connections left");
      return;
    case OutputType::PeerState:
      if (session != PeerState::Open) away += world_.now() - std::exchange(awaySince, world_.now());
      awaySince = world_.now();
      session = static_cast<PeerState>(o.state);
      opened = opened || session == PeerState::Open;
      return tell(std::string("state:") + nameOf(session));
    case OutputType::PeerOpened:
      return tell("open:" + o.text);
    case OutputType::PeerDisconnected:
      return tell("disconnected");
    case OutputType::PeerClosed:
      return tell("close");
    case OutputType::PeerError:
      return tell("error:" + std::string(errorName(o.error)));
    case OutputType::ConnectionIncoming: {
      if (talks.contains(o.connection)) world_.breaks(kStory, name + " uses handle " + self + " twice");
      if (const ConnectionHandle twin = find(o.text, o.connectionId); twin != 0 && o.text != name) {
        world_.breaks(kStory, name + " is offered " + o.connectionId + " of " + o.text + " twice");
      }
      incoming_.push_back(o.connection);
      Talk& talk = talks[o.connection];
      talk.id = o.connectionId;
      talk.peer = o.text;
      talk.kind = o.kind;
      talk.since = talk.begun = world_.now();
      talk.tracks = o.kind == ConnectionKind::Media ? 1 : 0;
      talk.rings = o.kind == ConnectionKind::Media;
      tell("connection:" + o.text);
      if (world_.tracing) world_.note(name, "  calls " + talk.id + " " + self);
      if (talk.rings && onCall) {
        onCall(o.connection);
      } else if (talk.rings && answerCalls)
        world_.at(world_.now() + 1, [this, c = o.connection] { answer(c); });
      return;
    }
    case OutputType::ConnectionState:
      if (talks.contains(o.connection) && talks[o.connection].closedTold) {
        world_.breaks(kStory, name + " speaks of connection " + self + " after its end");
      }
      changeState(o.connection, static_cast<ConnectionState>(o.state));
      return tell("connection-state:" + self + ":" + nameOf(static_cast<ConnectionState>(o.state)) +
                  (world_.tracing ? " (" + o.text + ")" : ""));
    case OutputType::ConnectionOpened:
      return tell("connection-open:" + self);
    case OutputType::ConnectionError:
      talks[o.connection].error = errorName(o.error);
      if (world_.tracing) world_.note(name, "  " + o.text);
      return tell("connection-error:" + self + ":" + std::string(errorName(o.error)));
    case OutputType::ConnectionClosed: {
      Talk& talk = talks[o.connection];
      if (std::exchange(talk.closedTold, true)) world_.breaks(kStory, name + " closes connection " + self + " twice");
      if (o.text.empty()) world_.breaks(kStory, name + " closes connection " + self + " without a reason");
      talk.reason = o.text;
      talk.rings = false;
      changeState(o.connection, ConnectionState::Closed);
      return tell("connection-closed:" + self + ":" + o.text);
    }
    case OutputType::Delivered: {
      const Talk& talk = talks[o.connection];
      const Node* other = world_.node(talk.peer);
      const Talk* there = other == nullptr ? nullptr : other->talk(other->find(name, talk.id));
      for (const auto& [marker, sent] : talk.marks) {
        if (marker != o.marker || there == nullptr) continue;
        for (std::size_t lane = 0; lane < sent.size(); ++lane) {
          if (there->received[lane] < sent[lane]) {
            world_.breaks(kMarker, name + " is told that connection " + self + " delivered what has not arrived");
          }
        }
      }
      return tell("delivered:" + self + ":" + std::to_string(o.marker));
    }
    case OutputType::ConnectionForeign:
    case OutputType::MessageDropped:
    case OutputType::Warning:
      if (world_.tracing) world_.note(name, "  " + o.text);
      return tell("warning:" + std::string(errorName(o.error)));
    case OutputType::TransferOffered: {
      File& file = talks[o.connection].files.emplace_back();
      file.handle = o.transfer;
      file.name = o.text;
      file.stopped = o.transfer % 16 == 0;
      Input reply = input::make(file.stopped ? InputType::TransferReject : InputType::TransferAccept);
      reply.connection = o.connection;
      reply.transfer = o.transfer;
      return feed(std::move(reply));
    }
    case OutputType::TransferRead:
      return supply(o.connection, o);
    case OutputType::TransferState:
      return fileState(talks[o.connection], o.connection, o);
    case OutputType::TransferEnded: {
      Input done = input::make(InputType::TransferComplete);
      done.connection = o.connection;
      done.transfer = o.transfer;
      return feed(std::move(done));
    }
    case OutputType::Room:
    case OutputType::TransferProgress:
      return;
  }
}

/// What concerns one RTCPeerConnection.
void Node::operate(const Output& o) {
  const int pc = pcOf(o.link);
  if (pc < 0) return world_.illegal(*this, "uses link " + std::to_string(o.link) + ", which is closed or never was");
  switch (o.type) {
    case OutputType::SetLocalDescription:
      return world_.setLocal(pc, o.op);
    case OutputType::SetRemoteDescription:
      return world_.setRemote(pc, o.op, o.sdpType, o.text);
    case OutputType::ReadLocalDescription:
      return world_.readLocal(pc, o.op);
    case OutputType::AddCandidate:
      return world_.addCandidate(pc, o.op, o.candidate);
    case OutputType::RestartIce:
      return world_.restartIce(pc);
    case OutputType::Rollback:
      return world_.rollback(pc, o.op);
    default:
      return world_.createChannel(pc, o.channel, o.length, o.text);
  }
}

void Node::supply(ConnectionHandle connection, const Output& output) {
  for (File& file : talks[connection].files) {
    if (!file.mine || file.handle != output.transfer) continue;
    Framing* framing = endpoint->framing(connection);
    const std::uint64_t length = file.bytes >= file.size ? 0 : std::min(output.length, file.size - file.bytes);
    if (framing != nullptr && length > 0) {
      const Ticket ticket = framing->transferPut(file.handle, length);
      if (ticket != 0) {
        std::string bytes(length, static_cast<char>('a' + file.bytes % 26));
        file.sum = mix(file.sum, bytes.data(), bytes.size());
        file.bytes += length;
        queued_[{connection, ticket}] = std::move(bytes);
      }
    }
    if (length < output.length || length == 0) {
      Input ended = input::make(InputType::TransferEnd);
      ended.connection = connection;
      ended.transfer = file.handle;
      feed(std::move(ended));
    }
    return pump(connection);
  }
}

void Node::fileState(Talk& talk, ConnectionHandle connection, const Output& output) {
  const auto state = static_cast<TransferState>(output.state);
  if (world_.tracing) {
    world_.note(name, "file " + std::to_string(output.transfer) + " of " + std::to_string(connection) + ": state " +
                          std::to_string(output.state) + " " + output.text);
  }
  for (File& file : talk.files) {
    if (file.handle != output.transfer) continue;
    file.state = state;
    if (state != TransferState::Done || !file.mine) return;
    const Node* other = world_.node(talk.peer);
    const Talk* there = other == nullptr ? nullptr : other->talk(other->find(name, talk.id));
    if (there == nullptr) return;
    for (const File& theirs : there->files) {
      if (theirs.mine || theirs.name != file.name) continue;
      if (theirs.bytes != file.size || theirs.sum != file.sum) {
        world_.breaks(kOnce, name + "'s file " + file.name + " is done, and other bytes arrived");
      }
    }
    return;
  }
}

void Node::pump(ConnectionHandle connection) {
  if (const auto carrier = carriers_.find(connection); carrier != carriers_.end()) pump(connection, carrier->second);
  for (const auto& [channel, owner] : stripes_) {
    if (owner == connection) pump(connection, channel);
  }
}

void Node::pump(ConnectionHandle connection, ChannelHandle channel) {
  const auto at =
      std::find_if(channels_.begin(), channels_.end(), [channel](const auto& c) { return c.first == channel; });
  if (at == channels_.end()) return;
  const int index = at->second;
  while (alive && !disposed) {
    if (!world_.end(index).open || world_.end(index).closed || world_.pc(world_.end(index).pc).closed) return;
    const Action action = endpoint->pump(connection, channel, world_.buffered(world_.end(index)), world_.now());
    if (action.kind == ActionKind::Wait) {
      if (action.low != kLowAsItIs) world_.end(index).low = action.low;
      return;
    }
    if (action.kind != ActionKind::Send) {
      const auto it = queued_.find({connection, action.ticket});
      if (it == queued_.end() || action.offset + action.length > it->second.size()) {
        return world_.illegal(*this, "is asked for bytes that it does not have");
      }
      std::memcpy(action.data, it->second.data() + action.offset, action.length);
      if (action.offset + action.length == it->second.size()) queued_.erase(it);
    }
    if (action.kind == ActionKind::Fill) continue;
    if (world_.buffered(world_.end(index)) + action.frameLength > browser.bufferBytes) {
      endpoint->framing(connection)->unsend();
      return;
    }
    world_.give(index, World::Flight::What::Frame,
                std::string(reinterpret_cast<const char*>(action.frame), action.frameLength));
    if (action.last) return;
  }
}

void Node::frameArrived(ChannelHandle channel, std::string&& frame) {
  Pending pending;
  pending.isFrame = true;
  pending.channel = channel;
  pending.frame = std::move(frame);
  take(std::move(pending));
}

void Node::channelHasRoom(ChannelHandle channel) {
  Pending pending;
  pending.isFrame = true;
  pending.channel = channel;
  take(std::move(pending));
}

void Node::receive(ChannelHandle channel, const std::string& frame) {
  // A channel whose RTCPeerConnection closed while this waited has no listener any more.
  if (std::none_of(channels_.begin(), channels_.end(), [&](const auto& c) { return c.first == channel; })) return;
  endpoint->receive(channel, std::as_bytes(std::span(frame)), world_.now());
  struct Arrived {
    ConnectionHandle connection;
    std::uint64_t bytes;
    TransferHandle transfer;
  };
  std::vector<Arrived> consumed;
  while (const std::optional<ConnectionDelivery> piece = endpoint->delivery()) {
    const Delivery& d = piece->delivery;
    const char* bytes = d.data != nullptr ? reinterpret_cast<const char*>(d.data) : frame.data() + d.frameOffset;
    Talk& talk = talks[piece->connection];
    if (d.transfer != 0) {
      for (File& file : talk.files) {
        if (file.handle != d.transfer) continue;
        file.bytes += d.length;
        file.sum = mix(file.sum, bytes, d.length);
      }
      consumed.push_back({piece->connection, d.length, d.transfer});
      continue;
    }
    if (talk.state == ConnectionState::Closed && talk.closedTold && !talk.wantsClose) {
      world_.breaks(kStory,
                    name + " gets a message of connection " + std::to_string(piece->connection) + " after its end");
    }
    const auto lane = static_cast<std::size_t>(d.lane);
    if (d.first && d.last) {
      received[piece->connection].emplace_back(bytes, d.length);
      ++talk.received[lane];
      continue;
    }
    std::string& text = partial_[{piece->connection, static_cast<int>(lane)}];
    if (d.first) {
      text.clear();
      text.reserve(d.total);
    }
    text.append(bytes, d.length);
    if (d.last) {
      received[piece->connection].push_back(std::move(text));
      text.clear();
      ++talk.received[lane];
    }
  }
  for (const Arrived& one : consumed) {
    Input in = input::make(InputType::TransferConsumed);
    in.connection = one.connection;
    in.transfer = one.transfer;
    in.length = one.bytes;
    feed(std::move(in));
  }
}

// -- World ---------------------------------------------------------------------------------------------

World::World(Settings given) : settings(std::move(given)), random(settings.seed) {}

Node& World::add(const std::string& name) { return add(name, settings.config); }

Node& World::add(const std::string& name, const Config& config) {
  Config own = config;
  own.seed = random.next();
  nodes_.push_back(std::make_unique<Node>(*this, name, own, settings.framing));
  nodes_.back()->index = static_cast<int>(nodes_.size()) - 1;
  return *nodes_.back();
}

bool World::runUntil(const std::function<bool()>& done, Millis limit) {
  const Millis until = now() + limit;
  while (!done()) {
    if (!clock_.step(until)) return done();
  }
  return true;
}

Node* World::node(const std::string& name) const {
  for (const std::unique_ptr<Node>& one : nodes_) {
    if (one->name == name) return one.get();
  }
  return nullptr;
}

void World::breaks(const std::string& promise, const std::string& detail) {
  if (tracing) note("", "BROKEN " + promise + ": " + detail);
  broken_.push_back({promise, detail});
}

std::vector<std::string> World::violations() const {
  std::vector<std::string> lines;
  lines.reserve(broken_.size());
  for (const Broken& one : broken_) lines.push_back(one.promise + ": " + one.detail);
  return lines;
}

void World::illegal(const Node& node, const std::string& what) { breaks(kLegal, node.name + ": " + what); }

void World::note(const std::string& who, const std::string& what) {
  if (!tracing) return;
  std::string time = std::to_string(now() / 1'000) + "." + std::to_string(now() % 1'000 + 1'000).substr(1);
  time.insert(0, time.size() < 9 ? 9 - time.size() : 0, ' ');
  std::string name = who;
  name.resize(std::max<std::size_t>(name.size(), 6), ' ');
  trace_.push_back(time + "  " + name + " " + what);
}

}  // namespace peerbridge::sim
