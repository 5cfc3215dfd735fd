// Writes JSON text (RFC 8259), compact, with the spelling of JavaScript's JSON.stringify.
//
// The writer places commas and colons; the caller keeps beginnings and ends balanced and gives every
// member of an object its key first. Reading is nlohmann's part, in signaling/message.cpp alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace peerbridge {

/// Appends `text` as a JSON string, quotes included. Invalid UTF-8 becomes U+FFFD, one for every
/// maximal subpart (Unicode §3.9, what TextDecoder does too), so the result is always valid UTF-8.
void appendJsonString(std::string& out, std::string_view text);

[[nodiscard]] bool isUtf8(std::string_view text);

/// Before: `code` is a Unicode scalar value.
void appendUtf8(std::string& out, unsigned code);

class JsonWriter {
 public:
  void beginObject() { begin('{'); }
  void endObject() { end('}'); }
  void beginArray() { begin('['); }
  void endArray() { end(']'); }
  void key(std::string_view name);

  void string(std::string_view text);
  void unsignedNumber(std::uint64_t number);
  void signedNumber(std::int64_t number);
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void null() { raw("null"); }
  /// One value that is JSON text already.
  void raw(std::string_view json);

  // A member in one call.
  void stringMember(std::string_view name, std::string_view text);
  void numberMember(std::string_view name, std::uint64_t number);
  void booleanMember(std::string_view name, bool value);
  void rawMember(std::string_view name, std::string_view json);

  /// The text so far; the writer is empty afterwards and can be used again.
  [[nodiscard]] std::string take();

 private:
  void begin(char bracket);
  void end(char bracket);
  void separate();

  std::string out_;
  bool comma_ = false;  ///< a value ended just before: whatever comes next in this container needs a comma
};

}  // namespace peerbridge
