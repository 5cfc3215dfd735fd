// A value or an Error. The wasm build has no exceptions, so errors travel as values everywhere.
#pragma once

#include <utility>

#include "peerbridge/error.hpp"

namespace peerbridge {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T&& value) : value_(std::move(value)), good_(true) {}  // NOLINT(google-explicit-constructor)
  Result(Error&& error) : error_(std::move(error)) {}           // NOLINT(google-explicit-constructor)

  [[nodiscard]] explicit operator bool() const { return good_; }
  /// Before: the result holds a value.
  [[nodiscard]] T& value() { return value_; }
  [[nodiscard]] const T& value() const { return value_; }
  /// Before: the result holds an error.
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  // Side by side: a std::variant of the two would be several times the code.
  T value_;
  Error error_;
  bool good_ = false;
};

}  // namespace peerbridge
