// A queue in a ring that grows and never shrinks: no allocation once it has reached its working size.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace peerbridge {

namespace detail {

/// Twice the room, the items in order from the beginning. Shared by all rings of plain items: one copy of it in the
/// wasm.
[[nodiscard]] inline void* growRing(void* slots, std::size_t itemSize, std::size_t capacity, std::size_t head) {
  auto* const larger = static_cast<unsigned char*>(::operator new((capacity == 0 ? 8 : capacity * 2) * itemSize));
  if (capacity > 0) {
    const auto* const old = static_cast<const unsigned char*>(slots);
    const std::size_t tail = (capacity - head) * itemSize;
    std::memcpy(larger, old + head * itemSize, tail);
    std::memcpy(larger + tail, old, head * itemSize);
    ::operator delete(slots);
  }
  return larger;
}

}  // namespace detail

/// Of plain items (trivially copyable).
template <class T>
class Ring {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  Ring() = default;
  ~Ring() { clear(); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Before: index < size(). 0 is the oldest.
  [[nodiscard]] T& operator[](std::size_t index) { return slots_[(head_ + index) & (capacity_ - 1)]; }
  [[nodiscard]] const T& operator[](std::size_t index) const { return slots_[(head_ + index) & (capacity_ - 1)]; }
  [[nodiscard]] T& front() { return slots_[head_]; }
  [[nodiscard]] const T& front() const { return slots_[head_]; }

  void push(const T& value) {
    const T copy = value;  // it may be one of ours, which growing moves
    if (size_ == capacity_) {
      // NOLINTNEXTLINE(bugprone-sizeof-expression): T may be a pointer.
      slots_ = static_cast<T*>(detail::growRing(slots_, sizeof(T), capacity_, head_));
      capacity_ = capacity_ == 0 ? 8 : capacity_ * 2;
      head_ = 0;
    }
    ::new (static_cast<void*>(&slots_[(head_ + size_) & (capacity_ - 1)])) T(copy);
    ++size_;
  }

  /// Before: not empty.
  void pop() {
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
  }

  void clear() {
    ::operator delete(slots_);
    slots_ = nullptr;
    capacity_ = head_ = size_ = 0;
  }

 private:
  T* slots_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two, or none
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

/// Of items that own something. Each has an allocation of its own, so this is for what is rare.
template <class T>
class OwningRing {
 public:
  OwningRing() = default;
  ~OwningRing() { clear(); }
  OwningRing(const OwningRing&) = delete;
  OwningRing& operator=(const OwningRing&) = delete;

  [[nodiscard]] bool empty() const { return items_.empty(); }
  /// Before: not empty.
  [[nodiscard]] T& front() { return *items_.front(); }
  [[nodiscard]] const T& front() const { return *items_.front(); }
  void push(T value) { items_.push(new T(std::move(value))); }
  void pop() {
    delete items_.front();
    items_.pop();
  }
  void clear() {
    while (!items_.empty()) pop();
  }

 private:
  Ring<T*> items_;
};

}  // namespace peerbridge
