#include "signaling/queue.hpp"

#include <algorithm>
#include <utility>

namespace peerbridge {
namespace {

/// About what a message takes in memory and on the wire.
std::size_t weigh(const SignalMessage& message) {
  std::size_t bytes = 128 + message.dst.size() + message.connectionId.size() + message.text.size();
  if (message.description) bytes += message.description->sdp.size();
  if (message.metadata) bytes += message.metadata->size();
  if (message.label) bytes += message.label->size();
  for (const CandidateInit& init : message.candidates) {
    bytes += 64 + init.candidate.size() + init.sdpMid.size() + init.usernameFragment.size();
  }
  return bytes;
}

}  // namespace

bool SignalQueue::push(ConnectionHandle connection, SignalMessage message, Millis expiresAt) {
  const std::size_t bytes = weigh(message);
  if (size() >= maxMessages_ || bytes > maxBytes_ - bytes_) return false;
  bytes_ += bytes;
  entries_.push_back({connection, std::move(message), expiresAt, bytes});
  return true;
}

std::optional<SignalQueue::Entry> SignalQueue::take() {
  if (empty()) return std::nullopt;
  std::optional<Entry> entry(std::move(entries_[front_]));
  ++front_;
  bytes_ -= entry->bytes;
  // Moving the rest forward one by one would make a flush quadratic.
  if (front_ * 2 >= entries_.size()) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
  return entry;
}

template <class Predicate>
void SignalQueue::removeIf(Predicate predicate) {
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(front_);
  const auto kept = std::remove_if(begin, entries_.end(), [&](Entry& entry) {
    if (!predicate(entry)) return false;
    bytes_ -= entry.bytes;
    return true;
  });
  entries_.erase(kept, entries_.end());
}

std::vector<ConnectionHandle> SignalQueue::expire(Millis now) {
  std::vector<ConnectionHandle> connections;
  removeIf([&](const Entry& entry) {
    if (entry.expiresAt > now) return false;
    if (std::find(connections.begin(), connections.end(), entry.connection) == connections.end()) {
      connections.push_back(entry.connection);
    }
    return true;
  });
  return connections;
}

void SignalQueue::drop(ConnectionHandle connection) {
  removeIf([connection](const Entry& entry) { return entry.connection == connection; });
}

void SignalQueue::clear() {
  entries_.clear();
  front_ = 0;
  bytes_ = 0;
}

Millis SignalQueue::deadline() const {
  Millis earliest = kNever;
  for (std::size_t i = front_; i < entries_.size(); ++i) earliest = std::min(earliest, entries_[i].expiresAt);
  return earliest;
}

}  // namespace peerbridge
