#include "base/json.hpp"

#include <array>
#include <cstddef>

namespace peerbridge {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Sequence {
  std::size_t length;
  bool valid;
};

/// The well-formed UTF-8 sequence at the front of `text`, or how many bytes of an ill-formed one to replace
/// (Unicode, table 3-7). Before: `text` is not empty.
Sequence utf8Sequence(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return {1, true};
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;   // overlong
    if (lead == 0xED) high = 0x9F;  // surrogates
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;   // overlong
    if (lead == 0xF4) high = 0x8F;  // above U+10FFFF
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= text.size() || at(i) < low || at(i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

/// How many bytes at the front of `text` are ASCII, and with `plain` such that JSON spells them as they are: almost all
/// of a session description, so they are not looked at one by one any further.
std::size_t asciiRun(std::string_view text, bool plain) {
  std::size_t length = 0;
  for (const char c : text) {
    if (static_cast<signed char>(c) < (plain ? 0x20 : 0) || (plain && (c == '"' || c == '\\'))) break;
    ++length;
  }
  return length;
}

/// The letter of a two-character escape, or 0.
char shortEscape(char c) {
  switch (c) {
    case '"':
    case '\\':
      return c;
    case '\b':
      return 'b';
    case '\t':
      return 't';
    case '\n':
      return 'n';
    case '\f':
      return 'f';
    case '\r':
      return 'r';
    default:
      return 0;
  }
}

}  // namespace

void appendJsonString(std::string& out, std::string_view text) {
  out.reserve(out.size() + text.size() + 2);
  out += '"';
  for (;;) {
    const std::size_t run = asciiRun(text, true);
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) break;
    const char c = text.front();
    if (const char letter = shortEscape(c); letter != 0) {
      out += '\\';
      out += letter;
      text.remove_prefix(1);
      continue;
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out += "\\u00";
      out += kHex[static_cast<std::size_t>(c) >> 4U];
      out += kHex[static_cast<std::size_t>(c) & 15U];
      text.remove_prefix(1);
      continue;
    }
    const Sequence sequence = utf8Sequence(text);
    out += sequence.valid ? text.substr(0, sequence.length) : kReplacement;
    text.remove_prefix(sequence.length);
  }
  out += '"';
}

bool isUtf8(std::string_view text) {
  for (;;) {
    text.remove_prefix(asciiRun(text, false));
    if (text.empty()) return true;
    const Sequence sequence = utf8Sequence(text);
    if (!sequence.valid) return false;
    text.remove_prefix(sequence.length);
  }
}

void appendUtf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int rest = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes of six bits behind the first
  constexpr std::array<unsigned, 4> kLead = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLead[static_cast<std::size_t>(rest)] | (code >> (6 * rest)));
  for (int i = rest - 1; i >= 0; --i) out += static_cast<char>(0x80U | ((code >> (6 * i)) & 0x3FU));
}

void JsonWriter::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}

void JsonWriter::begin(char bracket) {
  separate();
  out_ += bracket;
  comma_ = false;
}

void JsonWriter::end(char bracket) {
  out_ += bracket;
  comma_ = true;
}

void JsonWriter::key(std::string_view name) {
  separate();
  appendJsonString(out_, name);
  out_ += ':';
  comma_ = false;
}

void JsonWriter::string(std::string_view text) {
  separate();
  appendJsonString(out_, text);
}

void JsonWriter::unsignedNumber(std::uint64_t number) {
  std::array<char, 20> digits{};
  std::size_t begin = digits.size();
  do {
    digits[--begin] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  raw(std::string_view(digits.data() + begin, digits.size() - begin));
}

void JsonWriter::signedNumber(std::int64_t number) {
  if (number >= 0) return unsignedNumber(static_cast<std::uint64_t>(number));
  separate();
  out_ += '-';
  comma_ = false;
  unsignedNumber(0 - static_cast<std::uint64_t>(number));  // also right for the smallest one
}

void JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
}

void JsonWriter::stringMember(std::string_view name, std::string_view text) {
  key(name);
  string(text);
}

void JsonWriter::numberMember(std::string_view name, std::uint64_t number) {
  key(name);
  unsignedNumber(number);
}

void JsonWriter::booleanMember(std::string_view name, bool value) {
  key(name);
  boolean(value);
}

void JsonWriter::rawMember(std::string_view name, std::string_view json) {
  key(name);
  raw(json);
}

std::string JsonWriter::take() {
  comma_ = false;
  return std::exchange(out_, {});
}

}  // namespace peerbridge
