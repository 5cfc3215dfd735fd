#include "signaling/queue.hpp"

#include <algorithm>
#include <utility>

#include "base/planted.hpp"

namespace peerbridge {
namespace {

/// About what a message takes in memory.
std::size_t weigh(const SignalQueue::Entry& entry) { return sizeof(SignalQueue::Entry) + entry.text.size(); }

}  // namespace

bool SignalQueue::push(ConnectionHandle connection, std::string&& text, Millis expiresAt) {
  if (planted(Bug::QueueDropsMessages) && size() % 4 == 3) return true;
  Entry entry{connection, std::move(text), expiresAt};
  const std::size_t bytes = weigh(entry);
  if (size() >= maxMessages_ || bytes > maxBytes_ - bytes_) return false;
  bytes_ += bytes;
  entries_.push_back(std::move(entry));
  return true;
}

std::optional<SignalQueue::Entry> SignalQueue::take() {
  if (empty()) return std::nullopt;
  std::optional<Entry> entry(std::move(entries_[front_]));
  ++front_;
  bytes_ -= weigh(*entry);
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
    bytes_ -= weigh(entry);
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
