// The two borders of the core as JavaScript sees them: registrations and plain exports, no decisions.
//
// Control border: embind registers the functions, over numbers; the members of inputs and outputs travel in one record,
// see record.hpp. As objects, each member cost two crossings and its name a string. Data border: exports over integers
// and two fixed blocks of memory, because embind costs 75 ns a call without dynamic execution and a plain export 4 ns.

#include <emscripten/bind.h>
#include <emscripten/emscripten.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "peerbridge/endpoint.hpp"
#include "record.hpp"
#include "sdp/compact.hpp"

namespace {

using peerbridge::Action;
using peerbridge::ActionKind;
using peerbridge::ConnectionDelivery;
using peerbridge::Endpoint;
using peerbridge::Framing;
using peerbridge::FramingConfig;
using peerbridge::Input;
using peerbridge::InputType;
using peerbridge::Lane;
using peerbridge::Millis;
using peerbridge::Output;
using peerbridge::Wire;
using peerbridge::bindings::Record;

// Handles, not pointers, cross the border: a stale one is a no-op and not a crash. 0 is none.
std::vector<std::unique_ptr<Endpoint>>& endpoints() {
  static std::vector<std::unique_ptr<Endpoint>> all(1);
  return all;
}

Endpoint* find(std::uint32_t handle) { return handle < endpoints().size() ? endpoints()[handle].get() : nullptr; }

Wire* wire(std::uint32_t handle, std::uint32_t connection) {
  Endpoint* endpoint = find(handle);
  return endpoint == nullptr ? nullptr : endpoint->wire(connection);
}

/// The same where it is the native protocol: PeerJS has neither small messages that share frames, nor acknowledgements
/// that could be held back, nor files.
Framing* framing(std::uint32_t handle, std::uint32_t connection) {
  Endpoint* endpoint = find(handle);
  return endpoint == nullptr ? nullptr : endpoint->framing(connection);
}

Millis millis(double now) { return static_cast<Millis>(now); }

// -- control border ------------------------------------------------------------------------------------

Record record;

std::uint32_t address(const void* at) { return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(at)); }

/// What JavaScript writes at length: the texts of an input, a configuration.
std::vector<double>& scratch() {
  static std::vector<double> places;
  return places;
}

/// The texts of the output that poll() answered last.
std::optional<Output>& shown() {
  static std::optional<Output> output;
  return output;
}

/// Room for so many bytes, until the next call.
std::uint32_t room(std::uint32_t bytes) {
  constexpr std::size_t kKept = 2'048;
  std::vector<double>& places = scratch();
  const std::size_t wanted = bytes / sizeof(double) + 1;
  // What a message of unusual size needed is given back.
  if (wanted > places.size() || places.size() > kKept) std::vector<double>(std::max(wanted, kKept)).swap(places);
  return address(places.data());
}

/// The configuration stands in the scratch.
std::uint32_t create() {
  peerbridge::Config config;
  FramingConfig framing;
  peerbridge::bindings::toConfig(scratch().data(), config, framing);
  auto endpoint = std::make_unique<Endpoint>(config, framing);
  std::uint32_t handle = 1;
  while (find(handle) != nullptr) ++handle;
  if (handle == endpoints().size()) endpoints().emplace_back();
  endpoints()[handle] = std::move(endpoint);
  return handle;
}

/// How things stand after a call: what JavaScript would have to ask after each otherwise.
struct Standing {
  double deadline = 0;  ///< infinity when there is none
  double outputs = 0;   ///< 1: poll() answers something
  double room = 0;      ///< 1: the connection of the last put or queue takes more
};
Standing standing;

void stand(const Endpoint* endpoint) {
  const Millis at = endpoint == nullptr ? peerbridge::kNever : endpoint->deadline();
  standing.deadline = at == peerbridge::kNever ? std::numeric_limits<double>::infinity() : static_cast<double>(at);
  standing.outputs = endpoint != nullptr && endpoint->hasOutput() ? 1 : 0;
}

/// The rest of the input stands in the record. False: the type is unknown.
bool handle(std::uint32_t handle, std::uint32_t type, double now) {
  if (type > static_cast<std::uint32_t>(InputType::Timeout)) return false;
  if (Endpoint* endpoint = find(handle)) {
    Input input;
    peerbridge::bindings::toInput(record, static_cast<InputType>(type), input);
    endpoint->handle(input, millis(now));
    stand(endpoint);
  }
  return true;
}

/// The record holds the next output now: one more than the number of its type. 0: there is none.
std::uint32_t poll(std::uint32_t handle) {
  Endpoint* endpoint = find(handle);
  std::optional<Output>& output = shown();
  output.reset();
  if (endpoint != nullptr) output = endpoint->poll();
  stand(endpoint);
  if (!output) return 0;
  peerbridge::bindings::toRecord(*output, record);
  return static_cast<std::uint32_t>(output->type) + 1;
}

void dispose(std::uint32_t handle) {
  if (handle < endpoints().size()) endpoints()[handle].reset();
}

/// Fills the first places of the record, in the order of `counters` in js/core/record.ts; false: there is nothing to
/// count.
bool stats(std::uint32_t handle, std::uint32_t connection) {
  const Wire* frames = wire(handle, connection);
  if (frames == nullptr) return false;
  const peerbridge::FramingStats s = frames->stats();
  double* place = record.data();
  for (const std::uint64_t value :
       {s.framesSent, s.framesReceived, s.bytesSent, s.bytesReceived, s.messagesSent, s.messagesReceived,
        s.framesReplayed, s.duplicatesDropped, s.queuedBytes, s.unackedBytes}) {
    *place++ = static_cast<double>(value);
  }
  return true;
}

// -- data border ---------------------------------------------------------------------------------------

/// Where results that are more than one number stand; JavaScript reads them as doubles.
struct Slots {
  double kind = 0;
  double pointer = 0;
  double length = 0;
  double ticket = 0;
  double offset = 0;
  double frame = 0;
  double frameLength = 0;
  double text = 0;
  double last = 0;
};
Slots slots;

struct DeliverySlots {
  double connection = 0;
  double head = 0;  ///< lane, 4 × format, 64 × first, 128 × last
  double total = 0;
  double offset = 0;   ///< in the frame, or
  double pointer = 0;  ///< not 0: where it stands instead
  double length = 0;
  double transfer = 0;
  double message = 0;
  double piece = 0;
};
/// So many pieces come with one call: most frames hold fewer.
constexpr std::size_t kDeliveries = 64;
std::array<DeliverySlots, kDeliveries> deliverySlots;

/// The next pieces, and 256 when there may be more.
std::uint32_t deliveries(Endpoint& endpoint) {
  std::uint32_t count = 0;
  bool kept = false;
  while (count < kDeliveries && !kept) {
    const std::optional<ConnectionDelivery> next = endpoint.delivery();
    if (!next) {
      stand(&endpoint);
      return count;
    }
    const peerbridge::Delivery& piece = next->delivery;
    DeliverySlots& to = deliverySlots[count++];
    to.connection = next->connection;
    to.head = static_cast<double>(static_cast<unsigned>(piece.lane) | unsigned{piece.format} << 2 |
                                  (piece.first ? 64U : 0U) | (piece.last ? 128U : 0U));
    to.total = static_cast<double>(piece.total);
    to.offset = static_cast<double>(piece.frameOffset);
    to.pointer = address(piece.data);
    to.length = static_cast<double>(piece.length);
    to.transfer = piece.transfer;
    to.message = piece.message;
    to.piece = piece.piece;
    // Such a piece is gone with the next call for one.
    kept = piece.data != nullptr;
  }
  return count | 256U;
}

/// One incoming frame. One byte longer than HELLO promises to accept: the driver copies no more than fits, and that
/// last byte is how the core sees that the frame was too long.
std::vector<std::byte>& arena() {
  static std::vector<std::byte> bytes(FramingConfig{}.maxFrameBytes + 1);
  return bytes;
}

/// pb_receive() wants the rest of the frame, too.
constexpr std::uint32_t kWhole = 512;

bool isLane(std::uint32_t lane) { return lane < static_cast<std::uint32_t>(peerbridge::kLaneCount); }

}  // namespace

extern "C" {

/// What stands in the scratch, in UTF-8: the description of an offer (`what` 0) or an answer (1, to the offer of that
/// mark), of which a code is made; or a code (2). The record holds text, type and mark then. 0: it holds what is wrong.
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_code(std::uint32_t what, std::uint32_t mark, std::uint32_t length) {
  Output& out = shown().emplace();
  out.text.assign(reinterpret_cast<const char*>(scratch().data()), length);
  out.sdpType = what == 1 ? peerbridge::SdpType::Answer : peerbridge::SdpType::Offer;
  out.marker = mark;
  const std::optional<peerbridge::ErrorCode> error = what > 1 ? peerbridge::fromCode(out.text, out.sdpType, out.marker)
                                                              : peerbridge::toCode(out.sdpType, out.text, out.marker);
  out.error = error.value_or(out.error);
  peerbridge::bindings::toRecord(out, record);
  return error ? 0 : 1;
}

EMSCRIPTEN_KEEPALIVE double* pb_record() { return record.data(); }
EMSCRIPTEN_KEEPALIVE double* pb_slots() { return &slots.kind; }
EMSCRIPTEN_KEEPALIVE double* pb_delivery_slots() { return &deliverySlots[0].connection; }
EMSCRIPTEN_KEEPALIVE double* pb_standing() { return &standing.deadline; }
EMSCRIPTEN_KEEPALIVE std::byte* pb_arena() { return arena().data(); }
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_arena_size() { return static_cast<std::uint32_t>(arena().size()); }
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_head_size() { return peerbridge::kHeadBytes; }
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_inline_limit() { return static_cast<std::uint32_t>(FramingConfig{}.inlineBytes); }

/// Where to write `length` bytes at once. 0: refused. 1: accepted, nothing to write.
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_put(std::uint32_t endpoint, std::uint32_t connection, std::uint32_t lane,
                                          std::uint32_t format, std::uint32_t length) {
  Framing* frames = framing(endpoint, connection);
  if (frames == nullptr || !isLane(lane) || format > 15) return 0;
  bool accepted = false;
  const std::span<std::byte> target =
      frames->put(static_cast<Lane>(lane), static_cast<peerbridge::Format>(format), length, accepted);
  standing.room = frames->hasRoom() ? 1 : 0;
  if (!accepted) return 0;
  return target.empty() ? 1 : static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(target.data()));
}

/// A ticket; 0: refused; the largest number: too long for this connection.
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_queue(std::uint32_t endpoint, std::uint32_t connection, std::uint32_t lane,
                                            std::uint32_t format, double length) {
  Wire* frames = wire(endpoint, connection);
  if (frames == nullptr || !isLane(lane) || format > 15 || !(length >= 0)) return 0;
  const peerbridge::Ticket ticket = frames->queue(static_cast<Lane>(lane), static_cast<peerbridge::Format>(format),
                                                  static_cast<std::uint64_t>(length));
  standing.room = frames->hasRoom() ? 1 : 0;
  return ticket;
}

EMSCRIPTEN_KEEPALIVE std::uint32_t pb_withdraw(std::uint32_t endpoint, std::uint32_t connection, std::uint32_t ticket) {
  Wire* frames = wire(endpoint, connection);
  return frames != nullptr && frames->withdraw(ticket) ? 1 : 0;
}

EMSCRIPTEN_KEEPALIVE std::uint32_t pb_mark(std::uint32_t endpoint, std::uint32_t connection) {
  Wire* frames = wire(endpoint, connection);
  return frames == nullptr ? 0 : frames->mark();
}

EMSCRIPTEN_KEEPALIVE void pb_hold(std::uint32_t endpoint, std::uint32_t connection, std::uint32_t held, double now) {
  if (Framing* frames = framing(endpoint, connection)) frames->hold(held != 0, millis(now));
}

EMSCRIPTEN_KEEPALIVE std::uint32_t pb_transfer_put(std::uint32_t endpoint, std::uint32_t connection,
                                                   std::uint32_t transfer, double length) {
  Framing* frames = framing(endpoint, connection);
  return frames == nullptr || !(length >= 0) ? 0 : frames->transferPut(transfer, static_cast<std::uint64_t>(length));
}

/// Fills the slots; 0 wait, 1 fill, 2 send, 3 both. A bulk chunk costs this one call.
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_pump(std::uint32_t endpoint, std::uint32_t connection, std::uint32_t channel,
                                           double bufferedAmount, double now) {
  Endpoint* found = find(endpoint);
  if (found == nullptr) return 0;
  const Action action = found->pump(connection, channel, static_cast<std::uint64_t>(bufferedAmount), millis(now));
  slots.length = action.low == peerbridge::kLowAsItIs ? -1 : static_cast<double>(action.low);
  if (action.kind == ActionKind::Wait || action.last) stand(found);
  if (action.kind == ActionKind::Wait) return 0;
  slots.pointer = address(action.data);
  slots.length = static_cast<double>(action.length);
  slots.ticket = action.ticket;
  slots.offset = static_cast<double>(action.offset);
  slots.frame = address(action.frame);
  slots.frameLength = static_cast<double>(action.frameLength);
  slots.text = action.text ? 1 : 0;
  slots.last = action.last ? 1 : 0;
  return static_cast<std::uint32_t>(action.kind);
}

EMSCRIPTEN_KEEPALIVE void pb_unsend(std::uint32_t endpoint, std::uint32_t connection) {
  if (Wire* frames = wire(endpoint, connection)) frames->unsend();
}

/// The frame stands in the arena, of a longer one what fits; at first only its head, with `whole` 0. kWhole: all of it
/// is wanted. The first pieces of messages in it are in the delivery slots: see deliveries().
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_receive(std::uint32_t endpoint, std::uint32_t channel, std::uint32_t length,
                                              std::uint32_t whole, std::uint32_t text, double now) {
  Endpoint* found = find(endpoint);
  if (found == nullptr) return 0;
  const std::span<const std::byte> seen(arena().data(), std::min<std::size_t>(length, arena().size()));
  if (whole == 0 && (seen.size() < length || !found->needsOnlyTheHead(channel, seen))) return kWhole;
  found->receive(channel, seen, length, text != 0, millis(now));
  return deliveries(*found);
}

/// The pieces behind those, while the last call said that there are.
EMSCRIPTEN_KEEPALIVE std::uint32_t pb_deliveries(std::uint32_t endpoint) {
  Endpoint* found = find(endpoint);
  return found == nullptr ? 0 : deliveries(*found);
}

}  // extern "C"

EMSCRIPTEN_BINDINGS(peerbridge) {
  emscripten::function("room", &room);
  emscripten::function("create", &create);
  emscripten::function("handle", &handle);
  emscripten::function("poll", &poll);
  emscripten::function("dispose", &dispose);
  emscripten::function("stats", &stats);
}
