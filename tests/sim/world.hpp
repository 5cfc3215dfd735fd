// A world in virtual time: endpoints, a signaling server by PeerServer's rules, networks that come and go, and a model
// of RTCPeerConnection that follows webrtc-pc and JSEP and notes every call that a browser would throw at.
//
// Everything happens at a Millis of the world's own clock, in an order that a seed decides; nothing else is random.
// What the model takes from standards and what from measurements: docs/simulation.md.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clock.hpp"
#include "inputs.hpp"
#include "peerbridge/endpoint.hpp"

namespace peerbridge::sim {

/// What differs between browsers.
struct Browser {
  /// setRemoteDescription(offer) in have-local-offer rolls back by itself (webrtc-pc §4.4.1.5); where it does not, it
  /// fails with InvalidStateError.
  bool rollsBack = true;
  /// Data channels close together with `failed`.
  bool closesChannels = false;
  /// Gathering ends with an empty candidate.
  bool endsCandidates = false;
  Millis disconnectedAfter = 5'000;  ///< without consent (RFC 7675)
  Millis failedAfter = 15'000;
  Millis checksFor = 20'000;               ///< how long ICE tries candidates before `failed`
  std::uint64_t bufferBytes = 16'777'216;  ///< send() throws beyond

  static Browser chromium() { return {}; }
  static Browser firefox() {
    Browser browser;
    browser.closesChannels = browser.endsCandidates = true;
    browser.failedAfter = browser.checksFor = 30'000;
    return browser;
  }
};

struct Settings {
  std::uint64_t seed = 1;
  Millis signalLatency = 5;  ///< client to server, and server to client
  Millis signalJitter = 0;   ///< on top; above 0 messages overtake each other, as with polling
  Millis linkLatency = 2;    ///< one way, between browsers
  Millis operation = 1;      ///< what setLocalDescription and its like take
  Millis gathering = 2;      ///< the longest pause between two local candidates; host candidates come at once
  Millis expireTimeout = 5'000;
  Millis aliveTimeout = 60'000;           ///< the server forgets a client that is silent for so long
  bool swapsSilently = true;              ///< PeerServer's: a known id with its token gets no OPEN
  std::uint64_t duplicatePercent = 0;     ///< of the messages that the server relays
  std::uint64_t bytesPerMilli = 100'000;  ///< of a channel
  /// Of three candidates, the one that leads to a path; -1 is any.
  int usefulCandidate = -1;
  bool bothUseful = false;  ///< each side needs the other's
  Config config;
  FramingConfig framing;
};

inline constexpr int kMessageLanes = 3;  ///< High, Normal, Bulk

/// What was promised, and how it was broken.
struct Broken {
  std::string promise;
  std::string detail;
};

/// A file on its way, as one side's application sees it.
struct File {
  TransferHandle handle = 0;
  bool mine = false;
  std::uint64_t size = 0;
  std::uint64_t bytes = 0;  ///< put, or received
  std::uint64_t sum = 0;    ///< of what was put, or received
  TransferState state = TransferState::Offered;
  bool stopped = false;  ///< somebody cancelled or rejected it
  std::string name;
};

/// One connection, as its application sees it.
struct Talk {
  std::string id;
  std::string peer;
  ConnectionKind kind = ConnectionKind::Data;
  bool outgoing = false;
  bool rings = false;  ///< a call that was not answered yet
  ConnectionState state = ConnectionState::Connecting;
  Millis since = 0;   ///< of state
  Millis lasted = 0;  ///< how long it recovered before it was closed
  Millis begun = 0;
  bool opened = false;      ///< was open once
  int recovered = 0;        ///< how often it began to recover
  bool wantsClose = false;  ///< this application asked for the end, in whatever way
  bool closedTold = false;
  std::string reason;
  std::string error;
  bool bound = false;         ///< a channel carries it, or did
  Millis recoverBegan = 0;    ///< for Play: since when nothing was in the way of its recovery; 0: it does not recover
  Millis deafSince = kNever;  ///< for Play: since when no frame could come
  int tracks = 0;             ///< of this side, for every new link
  std::uint32_t stripes = 1;  ///< that this side wished for
  std::array<std::uint32_t, kMessageLanes> sent{};
  std::array<std::uint32_t, kMessageLanes> received{};
  /// What mark() covered.
  std::vector<std::pair<std::uint32_t, std::array<std::uint32_t, kMessageLanes>>> marks;
  std::vector<File> files;
};

class World;

/// What an application sees and does on one endpoint, and the driver below it.
class Node {
 public:
  Node(World& world, std::string name, const Config& config, const FramingConfig& framing);

  void start();
  ConnectionHandle connect(const std::string& peer, ConnectionKind kind = ConnectionKind::Data,
                           const std::string& metadata = "");
  /// A text message; false when refused.
  bool send(ConnectionHandle connection, const std::string& text, Lane lane = Lane::Normal);
  /// Asks to be told when everything sent until now has arrived.
  void mark(ConnectionHandle connection);
  void setStripes(ConnectionHandle connection, std::uint32_t count);
  void offerFile(ConnectionHandle connection, std::uint64_t size);
  void cancelFile(ConnectionHandle connection);
  void answer(ConnectionHandle connection);
  void close(ConnectionHandle connection);
  void destroy();
  /// The page goes away in the ordinary way: it says goodbye, and then it is gone.
  void hide();
  void feed(Input input);
  /// A local track comes (`more`) or goes or changes: the browser will want to negotiate.
  void changeMedia(ConnectionHandle connection, bool more = false);
  /// The browser is killed: nothing more leaves, nothing is said. `noticed`: the server sees its socket close.
  void kill(bool noticed = true);
  /// No timers, no events, while the browser below goes on.
  void freeze();
  void thaw();

  [[nodiscard]] std::size_t count(const std::string& event) const;
  [[nodiscard]] bool has(const std::string& event) const { return count(event) > 0; }
  /// So many attempts to reach the server were made.
  [[nodiscard]] std::uint32_t attempts() const { return attempts_; }
  /// The handle that this side gave to the connection that the other side calls by `connectionId`.
  [[nodiscard]] ConnectionHandle incoming(std::size_t index = 0) const { return incoming_.at(index); }
  [[nodiscard]] std::size_t incomingCount() const { return incoming_.size(); }
  [[nodiscard]] std::optional<ConnectionState> state(ConnectionHandle connection) const;
  [[nodiscard]] const Talk* talk(ConnectionHandle connection) const;
  /// Its end of the connection that another node calls `id`, or 0.
  [[nodiscard]] ConnectionHandle find(const std::string& peer, const std::string& id) const;
  /// RTCPeerConnections and RTCDataChannels that are not closed.
  [[nodiscard]] std::size_t liveLinks() const;
  [[nodiscard]] std::size_t liveChannels() const;
  /// Side channels of a connection that are open.
  [[nodiscard]] std::size_t liveSides(ConnectionHandle connection) const;

  std::string name;
  Browser browser;
  std::vector<std::string> events;                                ///< "open:ada", "connection-closed:1:…"
  std::map<ConnectionHandle, std::vector<ChannelHandle>> sides;   ///< side channels that were ever bound
  std::map<ConnectionHandle, std::vector<std::string>> received;  ///< whole messages
  std::map<ConnectionHandle, std::vector<std::string>> sent;      ///< what send() took, while keepEvents
  std::map<ConnectionHandle, Talk> talks;
  std::vector<std::string> toldGone;  ///< whom the server called gone, towards us
  bool answerCalls = true;
  std::function<void(ConnectionHandle)> onCall;  ///< somebody calls; instead of answerCalls
  bool keepEvents = true;                        ///< events and sent; worlds by the thousand do without
  std::size_t signalingFrames = 0;               ///< sent to the server, heartbeats aside
  std::unique_ptr<Endpoint> endpoint;
  bool alive = true;
  bool disposed = false;
  bool frozen = false;
  bool online = true;
  bool opened = false;     ///< was registered once
  bool destroyed = false;  ///< destroy() was called
  bool left = false;       ///< the application said disconnect
  int index = 0;           ///< among the world's nodes
  int address = 0;         ///< changes with the network: paths and candidates of the old one lead nowhere
  Millis movedAt = 0;      ///< when address changed, or the page slept, last
  Millis away = 0;         ///< how long it was not registered, all in all
  Millis awaySince = 0;
  PeerState session = PeerState::Idle;

 private:
  friend class World;
  friend class Replay;  // traces/replay.cpp
  struct Pending {
    bool isFrame = false;
    Input input;
    ChannelHandle channel = 0;  ///< of the frame; 0 with isFrame: its channel has room again
    std::string frame;
  };
  struct Link {
    LinkHandle handle = 0;
    ConnectionHandle connection = 0;
    int pc = -1;
    bool stripe = false;
  };

  void take(Pending&& pending);
  void handle(Pending& pending);
  void drain();
  void perform(Output& output);
  void operate(const Output& output);
  void changeState(ConnectionHandle connection, ConnectionState state);
  void pump(ConnectionHandle connection);
  void pump(ConnectionHandle connection, ChannelHandle channel);
  void frameArrived(ChannelHandle channel, std::string&& frame);
  void channelHasRoom(ChannelHandle channel);
  void receive(ChannelHandle channel, const std::string& frame);
  void fileState(Talk& talk, ConnectionHandle connection, const Output& output);
  void supply(ConnectionHandle connection, const Output& output);
  void arm();
  void checkLinks();
  void tell(std::string event);
  [[nodiscard]] int pcOf(LinkHandle link) const;

  World& world_;
  ConnectionHandle nextConnection_ = 1;
  ChannelHandle nextArrived_ = 1;
  TransferHandle nextFile_ = 1;
  std::vector<ConnectionHandle> incoming_;
  std::vector<Link> links_;                                          ///< live ones
  std::vector<std::pair<ChannelHandle, int>> channels_;              ///< to the world's channel ends, live ones
  std::map<ConnectionHandle, ChannelHandle> carriers_;               ///< by channel-bind
  std::vector<std::pair<ChannelHandle, ConnectionHandle>> stripes_;  ///< by stripe-bind
  std::map<std::pair<ConnectionHandle, int>, std::string> partial_;
  std::map<std::pair<ConnectionHandle, Ticket>, std::string> queued_;
  std::vector<ConnectionHandle> changed_;  ///< what to look at after this turn
  std::deque<Pending> inbox_;
  bool busy_ = false;
  std::uint32_t transport_ = 0;
  std::uint32_t attempts_ = 0;
  std::string token_;
  Millis armed_ = kNever;  ///< when the next timer event comes
  Millis timeoutsAt_ = 0;
  int timeouts_ = 0;  ///< in the second that began at timeoutsAt_
};

class World {
 public:
  explicit World(Settings settings = {});

  Node& add(const std::string& name);
  Node& add(const std::string& name, const Config& config);
  /// Runs until nothing is left to do or the clock reaches `until`.
  void run(Millis until) { clock_.run(until); }
  void runFor(Millis duration) { run(now() + duration); }
  /// Runs until `done` holds; false when it does not by `limit` from now.
  bool runUntil(const std::function<bool()>& done, Millis limit = 60'000);
  void at(Millis when, Task task) { clock_.at(when, std::move(task)); }

  // -- the server
  /// It crashes: registrations and held messages are lost. `told`: the clients see their sockets close.
  void serverDown(bool told = true);
  void serverUp() { serverUp_ = true; }
  /// Every message takes so much longer.
  void serverSlow(Millis by);
  void serverLoses(std::uint64_t percent) { lossPercent_ = percent; }
  /// What goes through the socket of `node` vanishes, both ways, and nobody is told.
  void halfOpen(Node& node);

  // -- the networks
  /// The network between all browsers.
  void pathDown() { setPath(false); }
  void pathUp() { setPath(true); }
  void setPath(bool up);
  /// Packets from `from` to `to`.
  void setReach(const Node& from, const Node& to, bool up);
  /// The network of one node, its way to the server included. `kept`: TCP connections live through it.
  void setOnline(Node& node, bool online, bool kept);
  /// Another network: its old address is gone, and its TCP connections with it. `noticed`: its sockets close at once.
  void changeNetwork(Node& node, bool noticed);
  /// One stripe of this connection fails, at both ends; the path stays as it is.
  void breakStripe(const Node& node, ConnectionHandle connection);
  /// What `node` sends through the channel that carries this connection is lost, and SCTP needs so long to repeat it.
  void jamCarrier(const Node& node, ConnectionHandle connection, Millis length);

  [[nodiscard]] Millis now() const { return clock_.now(); }
  /// What must not happen at any time.
  [[nodiscard]] std::vector<std::string> violations() const;
  [[nodiscard]] const std::vector<Broken>& broken() const { return broken_; }
  void breaks(const std::string& promise, const std::string& detail);
  [[nodiscard]] std::vector<std::string>& trace() { return trace_; }
  bool tracing = false;
  void note(const std::string& who, const std::string& what);

  [[nodiscard]] Node* node(const std::string& name) const;
  [[nodiscard]] const std::deque<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  /// Sockets that the clients have not given up.
  [[nodiscard]] std::size_t openSockets(const Node& node) const;
  /// Do packets arrive, both ways?
  [[nodiscard]] bool pathWell(const Node& a, const Node& b) const { return reaches(a, b) && reaches(b, a); }
  /// Does what `node` says through the server arrive, and what is said to it?
  [[nodiscard]] bool signalingWell(const Node& node) const;
  /// Would a frame of the other side arrive now?
  [[nodiscard]] bool hears(const Node& node, ConnectionHandle connection) const;
  /// What is still to be negotiated, or that the two sides do not describe the same; or nothing.
  [[nodiscard]] std::string unsettled(const Node& node) const;
  /// Signaling messages between the two that were lost on their way.
  [[nodiscard]] bool lostSignals(const Node& a, const Node& b) const;
  /// Does `node` believe in a socket that leads nowhere?
  [[nodiscard]] bool socketDead(const Node& node) const;

  /// Called for every client message before the server sees it; false drops it.
  std::function<bool(const std::string& from, const std::string& text)> serverFilter;

  const Settings settings;
  Random random;

 private:
  friend class Node;
  friend class Replay;

  enum class Signaling : std::uint8_t { Stable, HaveLocalOffer, HaveRemoteOffer };

  /// What the model's SDP says.
  struct Sdp {
    SdpType type = SdpType::Offer;
    int pc = -1;         ///< whose
    int version = 0;     ///< of its offers
    int generation = 0;  ///< of its ICE credentials
    int lines = 0;       ///< m-lines of media
    bool app = false;    ///< an m-line for data channels
    int answers = -1;    ///< whose offer, and
    int answersVersion = 0;
    int candidates = 0;  ///< bits
  };

  struct Flight {
    enum class What : std::uint8_t { Frame, Open };
    What what = What::Frame;
    std::uint64_t before = 0;  ///< bytes given to the channel until behind this one
    Millis leaves = 0;
    Millis arrives = 0;
    std::string frame;
  };

  /// One end of an RTCDataChannel.
  struct ChannelEnd {
    int pc = -1;
    ChannelHandle handle = 0;
    bool open = false;
    bool closed = false;
    int other = -1;
    std::deque<Flight> flight;  ///< sent, and not at the other side yet
    std::uint64_t given = 0;    ///< bytes, since the beginning
    std::uint64_t low = 0;      ///< bufferedAmountLowThreshold
    Millis wireFree = 0;
    bool awaited = false;   ///< an arrival is scheduled
    bool draining = false;  ///< bufferedamountlow is
    std::string subprotocol;
    bool stuck = false;  ///< SCTP waits for its retransmission timer
    Millis pause = 0;    ///< that timer
    std::uint32_t timer = 0;
  };

  /// One RTCPeerConnection.
  struct Pc {
    Node* node = nullptr;
    LinkHandle link = 0;
    bool closed = false;
    std::vector<int> channels;

    // JSEP
    Signaling signaling = Signaling::Stable;
    std::deque<Task> chain;  ///< the operations chain
    bool chainBusy = false;
    bool needed = false;     ///< [[NegotiationNeeded]]
    bool lookAgain = false;  ///< [[UpdateNegotiationNeededFlagOnEmptyChain]]
    int versions = 0;
    std::optional<Sdp> pendingLocal, currentLocal, pendingRemote, currentRemote;
    int lines = 0;     ///< agreed m-lines of media
    bool app = false;  ///< an agreed m-line for data
    bool wantsApp = false;
    int unplaced = 0;  ///< transceivers that have no m-line yet
    int media = 0;     ///< grows with every local change
    int mediaOffered = 0, unplacedOffered = 0;
    int mediaAgreed = 0;

    // ICE
    int generations = 0;  ///< given out
    int generation = 0;   ///< in the local description; 0 is none
    int generationAddress = 0;
    int gathered = 0;   ///< bits, of this generation
    int restart = 0;    ///< [[LocalIceCredentialsToReplace]]: this generation and those before; 0 is none
    int remotePc = -1;  ///< whose descriptions are applied
    int agreedLocal = 0, agreedRemote = 0;  ///< generations of the last exchange
    int agreedAddress = 0;
    int checkedLocal = 0, checkedRemote = 0;  ///< generations that ICE checked last
    std::vector<std::pair<int, int>> known;   ///< remote candidates by generation
    int with = -1;                            ///< the pc at the other end of the selected pair
    int withLocal = 0, withRemote = 0;        ///< the credentials of that pair
    int addressHere = 0, addressThere = 0;
    bool consent = false;
    std::uint32_t watch = 0;   ///< of consent timers
    std::uint32_t checks = 0;  ///< of the check timer
    bool secured = false;      ///< DTLS and SCTP were set up
    LinkState state = LinkState::New;
  };

  struct Socket {
    Node* node = nullptr;
    std::uint32_t transport = 0;
    std::string id, token;
    bool open = false;         ///< as the server sees it
    bool closed = false;       ///< as the client sees it
    bool givenUp = false;      ///< by the client
    bool dead = false;         ///< half-open
    Millis heard = 0;          ///< the last heartbeat
    bool silent = false;       ///< it was swapped in, without OPEN
    Millis openedAt = kNever;  ///< at the client
    Millis lastUp = 0, lastDown = 0;
    std::vector<std::string> heldUp, heldDown;  ///< while the client is offline
  };
  struct Client {
    std::string id, token;
    int socket = -1;
  };
  struct Held {
    std::string dst;
    std::uint64_t number = 0;
    std::vector<std::pair<std::string, std::string>> messages;  ///< from, text
  };

  Pc& pc(int index) { return *pcs_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Pc& pc(int index) const { return *pcs_[static_cast<std::size_t>(index)]; }
  ChannelEnd& end(int index) { return *ends_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const ChannelEnd& end(int index) const { return *ends_[static_cast<std::size_t>(index)]; }
  Socket& socket(int index) { return *sockets_[static_cast<std::size_t>(index)]; }
  /// A call that a browser would throw at.
  void illegal(const Node& node, const std::string& what);

  // the server: server.cpp
  void clientConnects(Node& node, const std::string& id, const std::string& token, std::uint32_t transport);
  void clientSays(Node& node, std::uint32_t transport, std::string&& text);
  void clientLeaves(Node& node, std::uint32_t transport);
  void clientDies(Node& node, bool noticed);
  int socketOf(const Node& node, std::uint32_t transport) const;
  void serverGets(int socket, std::string&& text);
  void serverSends(int socket, std::string text);
  void hold(const std::string& dst, const std::string& from, std::string&& text);
  void unregister(int socket);
  void closeAtClient(int socket, const std::string& why);
  void watchAlive(int socket);
  void vanishes(const std::string& from, std::string_view text);
  void flushHeld(int socket);
  [[nodiscard]] Client* client(const std::string& id);

  // the browsers: browser.cpp
  int createPc(Node& node, LinkHandle link, int tracks);
  void chain(int index, Task operation);
  void runChain(int index);
  void setLocal(int index, Op op);
  void rollback(int index, Op op);
  void doRollback(int index);
  void setRemote(int index, Op op, SdpType type, const std::string& text);
  void applyOffer(int index, Op op, const Sdp& remote);
  void applyAnswer(int index, Op op, const Sdp& remote);
  void succeed(int index, Op op);
  void fail(int index, Op op, const char* name);
  void learn(int index, int generation, int candidates);
  void readLocal(int index, Op op);
  void addCandidate(int index, Op op, const CandidateInit& candidate);
  void restartIce(int index);
  void changeMedia(int index, bool more);
  void gather(int index);
  void gathered(int index, int generation, int candidate);
  void lookWhetherNeeded(int index);
  void becameStable(int index);
  void agreed(int index);
  [[nodiscard]] std::string textOf(int index, const Sdp& sdp) const;
  static std::optional<Sdp> parse(SdpType type, const std::string& text);
  [[nodiscard]] bool reaches(const Node& from, const Node& to) const;
  [[nodiscard]] bool carries(int from) const;
  [[nodiscard]] bool consents(int index) const;
  [[nodiscard]] bool canConnect(int a, int b) const;
  void tryConnect(int index);
  void connected(int a, int b);
  void secure(int a, int b);
  void review(int index);
  void reviewNode(const Node& node);
  void setState(int index, LinkState state);
  void closePc(int index);
  void killPcs(Node& node);
  void createChannel(int pcIndex, ChannelHandle handle, std::uint64_t low, const std::string& subprotocol);
  void openChannel(int index);
  void give(int index, Flight::What what, std::string&& frame);
  [[nodiscard]] std::uint64_t buffered(const ChannelEnd& end) const;
  void await(int index);
  void arrive(int index);
  void land(int index, Flight& flight);
  void retransmitAfter(int index, Millis since, Millis pause);
  void retransmit(int index);
  void watchBuffer(int index);
  void closeChannel(int index);
  void channelEnded(int index);

  Clock clock_;
  std::deque<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Pc>> pcs_;
  std::vector<std::unique_ptr<ChannelEnd>> ends_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::vector<Client> clients_;
  std::vector<Held> held_;
  std::vector<Broken> broken_;
  std::vector<std::string> trace_;
  std::vector<std::pair<int, int>> cut_;   ///< from, to: packets that do not arrive
  std::vector<std::pair<int, int>> lost_;  ///< from, to: signaling messages that did not arrive
  bool pathUp_ = true;
  bool serverUp_ = true;
  Millis slow_ = 0;
  Millis slowUntil_ = 0;
  std::uint64_t lossPercent_ = 0;
  std::uint64_t heldNumber_ = 0;
};

/// What kind of promise an illegal call breaks.
inline constexpr const char* kLegal = "no call is asked for that a browser would throw at";
inline constexpr const char* kOnce = "every message arrives once and in order";
inline constexpr const char* kMarker = "a delivered marker tells the truth";
inline constexpr const char* kStory = "a connection tells one story, from connecting to closed";
inline constexpr const char* kRegisters = "a server that took the registration is believed within two seconds";
inline constexpr const char* kOneLink = "who made a connection has one RTCPeerConnection for it while it is open";
inline constexpr const char* kQuiet = "no timer runs without a rest";

[[nodiscard]] const char* nameOf(ConnectionState state);
[[nodiscard]] const char* nameOf(PeerState state);
[[nodiscard]] const char* nameOf(LinkState state);

}  // namespace peerbridge::sim
