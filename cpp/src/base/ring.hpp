// A queue in a ring that grows and never shrinks: no allocation once it has reached its working size.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace peerbridge {

template <class T>
class Ring {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Before: index < size(). 0 is the oldest.
  [[nodiscard]] T& operator[](std::size_t index) { return slots_[(head_ + index) & (capacity_ - 1)]; }
  [[nodiscard]] const T& operator[](std::size_t index) const { return slots_[(head_ + index) & (capacity_ - 1)]; }
  [[nodiscard]] T& front() { return (*this)[0]; }
  [[nodiscard]] const T& front() const { return (*this)[0]; }

  void push(T value) {
    if (size_ == capacity_) grow();
    (*this)[size_] = std::move(value);
    ++size_;
  }

  /// Before: not empty. The value stays in its slot until another takes it, so T should own little.
  void pop() {
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
  }

  void clear() {
    slots_.reset();
    capacity_ = head_ = size_ = 0;
  }

 private:
  void grow() {
    const std::size_t capacity = capacity_ == 0 ? 8 : capacity_ * 2;
    std::unique_ptr<T[]> larger(new T[capacity]);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    capacity_ = capacity;
    head_ = 0;
  }

  std::unique_ptr<T[]> slots_;
  std::size_t capacity_ = 0;  // a power of two, or none
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace peerbridge
