// A world in virtual time: endpoints, a signaling server by PeerServer's rules, and a model of RTCPeerConnection that
// follows JSEP's signaling states and notes every call that a browser would throw at.
//
// Everything happens at a Millis of the world's own clock, in an order that a seed decides; nothing else is random.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "inputs.hpp"
#include "peerbridge/endpoint.hpp"

namespace peerbridge::sim {

struct Settings {
  std::uint64_t seed = 1;
  Millis signalLatency = 5;  ///< client to server to client, each way
  Millis signalJitter = 0;
  Millis linkLatency = 2;  ///< one way, between browsers
  Millis operation = 1;    ///< what setLocalDescription and its like take
  Millis expireTimeout = 5'000;
  Config config;
  FramingConfig framing;
};

class World;

/// What an application sees and does on one endpoint.
class Node {
 public:
  Node(World& world, std::string name, const Config& config, const FramingConfig& framing);

  void start();
  ConnectionHandle connect(const std::string& peer, ConnectionKind kind = ConnectionKind::Data,
                           const std::string& metadata = "");
  /// A text message; false when refused.
  bool send(ConnectionHandle connection, const std::string& text, Lane lane = Lane::Normal);
  void close(ConnectionHandle connection) { feed(input::Close{connection}); }
  void feed(Input input);
  /// A local track comes or goes: the browser will want to negotiate.
  void changeMedia(ConnectionHandle connection);
  /// The browser is killed: nothing more leaves, nothing is said.
  void kill();

  [[nodiscard]] std::size_t count(const std::string& event) const;
  [[nodiscard]] bool has(const std::string& event) const { return count(event) > 0; }
  /// The handle that this side gave to the connection that the other side calls by `connectionId`.
  [[nodiscard]] ConnectionHandle incoming(std::size_t index = 0) const { return incoming_.at(index); }
  [[nodiscard]] std::size_t incomingCount() const { return incoming_.size(); }
  [[nodiscard]] std::optional<ConnectionState> state(ConnectionHandle connection) const;

  std::string name;
  std::vector<std::string> events;                                ///< "open:ada", "connection-closed:1:…"
  std::map<ConnectionHandle, std::vector<std::string>> received;  ///< whole messages
  std::map<ConnectionHandle, ConnectionState> states;
  std::map<ConnectionHandle, std::string> ids;  ///< connectionId
  std::map<ConnectionHandle, std::string> peers;
  std::map<ConnectionHandle, std::vector<std::string>> sent;  ///< what send() took
  bool answerCalls = true;
  std::size_t signalingFrames = 0;  ///< sent to the server, heartbeats aside
  std::unique_ptr<Endpoint> endpoint;
  bool alive = true;
  bool disposed = false;

 private:
  friend class World;
  void drain();
  void perform(Output& output);
  void pump(ConnectionHandle connection);
  void frameArrived(ChannelHandle channel, const std::vector<std::byte>& frame);
  void arm();

  World& world_;
  ConnectionHandle nextConnection_ = 1;
  ChannelHandle nextArrived_ = 1;
  std::vector<ConnectionHandle> incoming_;
  std::map<LinkHandle, int> links_;  ///< to the world's RTCPeerConnections
  std::map<LinkHandle, ConnectionHandle> linkConnections_;
  std::map<ChannelHandle, int> channels_;  ///< to the world's channel ends
  std::map<ConnectionHandle, std::string> partial_;
  std::map<std::pair<ConnectionHandle, Ticket>, std::string> queued_;
  std::uint32_t transport_ = 0;
  std::string token_;
  Millis armed_ = kNever;
  std::uint64_t timerGeneration_ = 0;
};

class World {
 public:
  explicit World(Settings settings = {});

  Node& add(const std::string& name);
  Node& add(const std::string& name, const Config& config);
  /// Runs until nothing is left to do or the clock reaches `until`.
  void run(Millis until);
  void runFor(Millis duration) { run(now_ + duration); }
  /// Runs until `done` holds; false when it does not by `limit` from now.
  bool runUntil(const std::function<bool()>& done, Millis limit = 60'000);

  void serverDown();
  void serverUp() { serverUp_ = true; }
  /// The network between all browsers.
  void pathDown() { setPath(false); }
  void pathUp() { setPath(true); }

  [[nodiscard]] Millis now() const { return now_; }
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] std::vector<std::string>& trace() { return trace_; }
  bool tracing = false;
  void note(const std::string& line);

  /// Called for every client message before the server sees it; false drops it.
  std::function<bool(const std::string& from, const std::string& text)> serverFilter;

  const Settings settings;

 private:
  friend class Node;

  struct Event {
    Millis at;
    std::uint64_t order;
    std::function<void()> run;
  };

  enum class Signaling { Stable, HaveLocalOffer, HaveRemoteOffer };

  struct ChannelEnd {
    int pc = -1;
    ChannelHandle handle = 0;
    std::string label;
    bool open = false;
    bool closed = false;
    int other = -1;
    std::uint64_t buffered = 0;
    std::deque<std::vector<std::byte>> stuck;  ///< sent while the path is down
  };

  /// One RTCPeerConnection.
  struct Pc {
    Node* node = nullptr;
    LinkHandle link = 0;
    bool closed = false;
    Signaling signaling = Signaling::Stable;
    int generation = 0;  ///< of the local ICE credentials
    bool restartWanted = false;
    bool needed = false;  ///< [[NegotiationNeeded]]
    int media = 0;        ///< grows with every local change
    int mediaOffered = 0;
    int mediaAgreed = 0;
    std::optional<std::string> remote;  ///< current remote SDP
    int remotePc = -1;
    int remoteGeneration = -1;
    bool remoteCandidate = false;
    std::vector<std::string> localCandidates;
    std::optional<Description> local;
    int agreedGeneration = -1;                ///< local generation that the last answered exchange used
    std::deque<std::function<void()>> chain;  ///< the operations chain
    bool chainBusy = false;
    LinkState state = LinkState::New;
    std::vector<int> channels;
    bool announced = false;  ///< channels were announced to the other side
  };

  void at(Millis when, std::function<void()> run);
  void violation(const std::string& what);

  // the server
  void clientConnects(Node& node, const std::string& id, const std::string& token, std::uint32_t transport);
  void clientSays(Node& node, std::uint32_t transport, const std::string& text);
  void clientLeaves(Node& node, std::uint32_t transport);
  void serverSends(const std::string& id, const std::string& text);

  // the browsers
  void chain(int pc, std::function<void()> operation);
  void runChain(int pc);
  void finishOperation(int pc);
  void setLocal(int pc, Op op);
  void setRemote(int pc, Op op, const Description& description);
  void readLocal(int pc, Op op);
  void addCandidate(int pc, Op op, const CandidateInit& candidate);
  void gather(int pc);
  void checkNeeded(int pc);
  void checkPath(int pc);
  void setPath(bool up);
  void setState(int pc, LinkState state);
  void closePc(int pc);
  void openChannels(int offerer, int answerer);
  void sendFrame(int channel, std::vector<std::byte> frame);
  void closeChannel(int channel, bool tellSelf);
  [[nodiscard]] std::string sdpOf(int pc, SdpType type) const;
  [[nodiscard]] bool matched(int a, int b) const;

  Millis now_ = 1'000;
  std::uint64_t order_ = 0;
  std::map<std::pair<Millis, std::uint64_t>, std::function<void()>> events_;
  std::mt19937_64 random_;
  std::deque<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Pc>> pcs_;
  std::vector<std::unique_ptr<ChannelEnd>> ends_;
  std::vector<std::string> violations_;
  std::vector<std::string> trace_;

  bool serverUp_ = true;
  bool pathUp_ = true;
  std::uint64_t pathGeneration_ = 0;
  struct Client {
    Node* node = nullptr;
    std::string token;
    std::uint32_t transport = 0;
  };
  std::map<std::string, Client> clients_;
  struct Held {
    std::string text;
    std::string from;
    Millis expires;
  };
  std::map<std::string, std::deque<Held>> held_;
};

}  // namespace peerbridge::sim
