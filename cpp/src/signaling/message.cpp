#include "signaling/message.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>  // the only file that includes it: it is large
#include <utility>

#include "base/json.hpp"

// -- nlohmann/json, without what it would never be asked for ------------------------------------------

namespace peerbridge {
namespace {

/// A basic_json of our own, so that the specialisation below touches nobody else's. Its DOM is never instantiated, nor
/// its parser, which brings exceptions, and with them the RTTI of the C++ library, and a std::vector<bool>: a twelfth
/// of the wasm. What is left is the hard part, the lexer; the grammar over it is Reader::read().
using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, float>;
using JsonInput =
    decltype(nlohmann::detail::input_adapter(static_cast<const char*>(nullptr), static_cast<const char*>(nullptr)));
using JsonLexer = nlohmann::detail::lexer<Json, JsonInput>;
using Token = JsonLexer::token_type;

}  // namespace
}  // namespace peerbridge

// The characters of a token are kept once, in token_buffer; lines are not counted.
template <>
inline void peerbridge::JsonLexer::reset() noexcept {
  token_buffer.clear();
}
template <>
inline peerbridge::JsonLexer::char_int_type peerbridge::JsonLexer::get() {
  ++position.chars_read_total;
  if (!std::exchange(next_unget, false)) current = ia.get_character();
  return current;
}
template <>
inline void peerbridge::JsonLexer::unget() {
  next_unget = true;
  --position.chars_read_total;
}

// RFC 8259 §6. Of the values only whole numbers are looked at, and none above 2^32: metadata keeps its text. strtof and
// strtoull would be a tenth of the wasm.
template <>
inline peerbridge::JsonLexer::token_type peerbridge::JsonLexer::scan_number() {
  const auto take = [this] {
    add(current);
    get();
  };
  const auto digits = [this, &take] {
    if (current < '0' || current > '9') return false;
    while (current >= '0' && current <= '9') {
      if (value_unsigned <= 0xFFFF'FFFF) value_unsigned = value_unsigned * 10 + static_cast<unsigned>(current - '0');
      take();
    }
    return true;
  };
  token_type type = token_type::value_unsigned;
  reset();
  value_unsigned = 0;
  if (current == '-') {
    type = token_type::value_integer;
    take();
  }
  if (current == '0') {
    take();
  } else if (!digits()) {
    return token_type::parse_error;
  }
  if (current == '.') {
    type = token_type::value_float;
    take();
    if (!digits()) return token_type::parse_error;
  }
  if (current == 'e' || current == 'E') {
    type = token_type::value_float;
    take();
    if (current == '+' || current == '-') take();
    if (!digits()) return token_type::parse_error;
  }
  unget();
  return type;
}

// As nlohmann's, but for two things: without its sentences about what may be wrong, two kilobytes of them; and half of
// a surrogate pair becomes U+FFFD. JSON.stringify spells an emoji that was cut in two as \uD83D, JSON.parse takes it
// back, and such a name in the metadata must not cost the whole connection. Before: the text is valid UTF-8.
template <>
inline peerbridge::JsonLexer::token_type peerbridge::JsonLexer::scan_string() {
  constexpr std::string_view kLetters = R"("\/bfnrt)";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const auto isHigh = [](int unit) { return (unit & 0xFC00) == 0xD800; };
  const auto isLow = [](int unit) { return (unit & 0xFC00) == 0xDC00; };
  int high = 0;  // the half of a pair that waits for the other
  reset();
  while (true) {
    int c = get();
    if (c < 0x20) return token_type::parse_error;  // the end too
    int unit = -1;
    if (c == '\\') {
      c = get();
      if (c == 'u') {
        unit = get_codepoint();
        if (unit < 0) return token_type::parse_error;
        if (high != 0 && isLow(unit)) {
          const int code = 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
          peerbridge::appendUtf8(token_buffer, static_cast<unsigned>(code));
          high = 0;
          continue;
        }
      } else {
        const std::size_t letter = kLetters.find(static_cast<char>(c));
        if (letter == std::string_view::npos) return token_type::parse_error;
        c = static_cast<unsigned char>(kMeanings[letter]);
      }
    } else if (c == '"') {
      c = -1;
    }
    if (high != 0) peerbridge::appendUtf8(token_buffer, 0xFFFD);
    high = isHigh(unit) && unit >= 0 ? unit : 0;
    if (high != 0) continue;
    if (unit >= 0) {
      peerbridge::appendUtf8(token_buffer, isLow(unit) ? 0xFFFD : static_cast<unsigned>(unit));
    } else if (c < 0) {
      return token_type::value_string;
    } else {
      add(c);
    }
  }
}

namespace peerbridge {
namespace {

// -- names ----------------------------------------------------------------------------------------

// In the order of MessageType.
constexpr std::array<const char*, 10> kTypeNames = {
    "OPEN", "ERROR", "ID-TAKEN", "INVALID-KEY", "OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE", "HEARTBEAT",
};
constexpr std::array<const char*, 2> kKindNames = {"data", "media"};  // in the order of ConnectionKind
constexpr std::array<const char*, 4> kSdpTypeNames = {"offer", "answer", "pranswer", "rollback"};

// -- what is read ---------------------------------------------------------------------------------

/// An object or array of a message whose members matter.
enum class Where : std::uint8_t { Outside, Root, Payload, Sdp, Native, Candidate, Candidates };

enum class Kind : std::uint8_t { Absent, Null, Boolean, Unsigned, OtherNumber, String, Object, Array };

// In the order of kFields.
enum class Field : std::uint8_t {
  Type,
  Src,
  Dst,
  Payload,
  Sdp,
  ConnectionKind,
  ConnectionId,
  Metadata,
  Label,
  Reliable,
  Serialization,
  Native,
  Browser,
  Message,
  Candidate,
  Candidates,
  SdpType,
  SdpText,
  NativeVersion,
  NativeLink,
  NativeNegotiation,
  NativeBye,
  NativeSeen,
  NativeStripe,
  NativeNamed,
  CandidateText,
  CandidateMid,
  CandidateLineIndex,
  CandidateUfrag,
};
constexpr std::size_t kFieldCount = static_cast<std::size_t>(Field::CandidateUfrag) + 1;

constexpr std::uint32_t kMaxNumber = 0xFFFF'FFFF;
constexpr std::uint32_t kMaxText = kMaxSignalBytes;
constexpr std::uint32_t kMaxLabelBytes = 65'535;  // webrtc-pc §6.1, createDataChannel: longer is a TypeError
constexpr std::uint32_t kMaxCandidateBytes = 4'096;
constexpr std::uint32_t kMaxWordBytes = 256;  // mid; ufrag (RFC 8839 §5.4); serialization

struct FieldRule {
  Where where;
  Kind kind;            ///< Absent: anything goes
  std::uint32_t limit;  ///< bytes of a string, greatest value of a number
  const char* key;
  const char* path;
};

constexpr std::array<FieldRule, kFieldCount> kFields = {{
    {Where::Root, Kind::String, kMaxWordBytes, "type", "type"},
    {Where::Root, Kind::String, kMaxIdBytes, "src", "src"},
    {Where::Root, Kind::String, kMaxIdBytes, "dst", "dst"},
    {Where::Root, Kind::Object, 0, "payload", "payload"},
    {Where::Payload, Kind::Object, 0, "sdp", "payload.sdp"},
    {Where::Payload, Kind::String, kMaxWordBytes, "type", "payload.type"},
    {Where::Payload, Kind::String, kMaxIdBytes, "connectionId", "payload.connectionId"},
    {Where::Payload, Kind::Absent, 0, "metadata", "payload.metadata"},
    {Where::Payload, Kind::String, kMaxLabelBytes, "label", "payload.label"},
    {Where::Payload, Kind::Boolean, 1, "reliable", "payload.reliable"},
    {Where::Payload, Kind::String, kMaxWordBytes, "serialization", "payload.serialization"},
    {Where::Payload, Kind::Object, 0, "peerbridge", "payload.peerbridge"},
    {Where::Payload, Kind::Absent, 0, "browser", "payload.browser"},
    {Where::Payload, Kind::String, kMaxText, "msg", "payload.msg"},
    {Where::Payload, Kind::Object, 0, "candidate", "payload.candidate"},
    {Where::Payload, Kind::Array, 0, "candidates", "payload.candidates"},
    {Where::Sdp, Kind::String, kMaxWordBytes, "type", "payload.sdp.type"},
    {Where::Sdp, Kind::String, kMaxText, "sdp", "payload.sdp.sdp"},
    {Where::Native, Kind::Unsigned, kMaxNumber, "v", "payload.peerbridge.v"},
    {Where::Native, Kind::Unsigned, kMaxNumber, "link", "payload.peerbridge.link"},
    {Where::Native, Kind::Unsigned, kMaxNumber, "neg", "payload.peerbridge.neg"},
    {Where::Native, Kind::String, kMaxWordBytes, "bye", "payload.peerbridge.bye"},
    {Where::Native, Kind::Unsigned, kMaxNumber, "seen", "payload.peerbridge.seen"},
    {Where::Native, Kind::Unsigned, kMaxNumber, "stripe", "payload.peerbridge.stripe"},
    {Where::Native, Kind::Unsigned, kMaxNumber, "named", "payload.peerbridge.named"},
    {Where::Candidate, Kind::String, kMaxCandidateBytes, "candidate", "payload.candidate.candidate"},
    {Where::Candidate, Kind::String, kMaxWordBytes, "sdpMid", "payload.candidate.sdpMid"},
    {Where::Candidate, Kind::Unsigned, 0xFFFF, "sdpMLineIndex", "payload.candidate.sdpMLineIndex"},
    {Where::Candidate, Kind::String, kMaxWordBytes, "usernameFragment", "payload.candidate.usernameFragment"},
}};

struct Value {
  Kind kind = Kind::Absent;
  bool tooLarge = false;
  std::uint64_t number = 0;
  std::string text;
};

Error bad(std::string_view path, std::string_view what) {
  std::string message("signaling message dropped: ");
  message += path;
  message += ' ';
  message += what;
  return {ErrorCode::BadSignal, std::move(message)};
}

// -- reading --------------------------------------------------------------------------------------

/// JSON text into the values of kFields. Values are judged at the end, when the type of the message is known and, of
/// members that came twice, only the last is left (as with JSON.parse).
class Reader {
 public:
  /// Reads the whole text; false when error_ says why not.
  bool read(JsonLexer& lexer);
  /// After the parse.
  Result<SignalMessage> finish();

 private:
  enum class Mode : std::uint8_t {
    Read,
    Skip,     ///< the value at hand does not matter, up to its end
    Capture,  ///< the value at hand is metadata, up to its end
  };

  bool read(JsonLexer& lexer, Token token);
  bool malformed(const JsonLexer& lexer);
  void key(const std::string& name);
  bool value(Kind kind, std::uint64_t number = 0, std::string* text = nullptr);
  bool begin(Kind kind);
  bool end();
  void enter(Kind kind);
  void valueEnded();
  void hold(Mode mode) {
    mode_ = mode;
    heldDepth_ = depth_;
  }
  void clear(Field field);
  void closeCandidate();
  void readPayload(SignalMessage& message);

  Value& at(Field field) { return values_[static_cast<std::size_t>(field)]; }
  static const FieldRule& rule(Field field) { return kFields[static_cast<std::size_t>(field)]; }
  static Where inside(Field field);

  void fail(Field field, std::string_view what) {
    if (!error_) error_ = bad(rule(field).path, what);
  }
  // Is the value there and good? A value that is bad, or missing though it must not be, sets error_.
  enum class Need : std::uint8_t { Optional, Required };
  bool check(Field field, Need need);
  std::optional<std::string> text(Field field, Need need);
  std::uint32_t number(Field field, Need need = Need::Required) {
    return check(field, need) ? static_cast<std::uint32_t>(at(field).number) : 0;
  }
  template <class Enum, std::size_t Count>
  Enum word(Field field, const std::array<const char*, Count>& names);

  Mode mode_ = Mode::Read;
  Where where_ = Where::Outside;
  Field current_ = Field::Type;  ///< whose value comes next; set by key()
  bool rootSeen_ = false;
  bool inList_ = false;  ///< the candidate at hand is one of payload.candidates
  int depth_ = 0;
  int heldDepth_ = 0;
  std::array<Value, kFieldCount> values_;
  JsonWriter metadata_;
  std::optional<Error> error_;
  // Candidates are judged one by one, but they matter only if the message turns out to be a CANDIDATE.
  std::vector<CandidateInit> single_;
  std::vector<CandidateInit> list_;
  std::optional<Error> singleError_;
  std::optional<Error> listError_;
};

Where Reader::inside(Field field) {
  switch (field) {
    case Field::Payload:
      return Where::Payload;
    case Field::Sdp:
      return Where::Sdp;
    case Field::Native:
      return Where::Native;
    case Field::Candidate:
      return Where::Candidate;
    case Field::Candidates:
      return Where::Candidates;
    default:
      return Where::Outside;
  }
}

void Reader::clear(Field field) {
  at(field) = Value();
  if (field == Field::Candidate) {
    single_.clear();
    singleError_.reset();
  }
  if (field == Field::Candidates) {
    list_.clear();
    listError_.reset();
  }
  const Where members = inside(field);
  if (members == Where::Outside) return;
  for (std::size_t i = 0; i < kFieldCount; ++i) {
    if (kFields[i].where == members) clear(static_cast<Field>(i));
  }
}

bool Reader::malformed(const JsonLexer& lexer) {
  JsonWriter digits;
  digits.unsignedNumber(lexer.get_position().chars_read_total);
  error_ = bad("text", "is not JSON from byte " + digits.take());
  return false;
}

bool Reader::read(JsonLexer& lexer) {
  if (!read(lexer, lexer.scan())) return false;
  return lexer.scan() == Token::end_of_input || malformed(lexer);
}

/// The value that begins with `token`. Calls itself for what is inside, never deeper than kMaxSignalDepth.
bool Reader::read(JsonLexer& lexer, Token token) {
  const bool capture = mode_ == Mode::Capture;
  switch (token) {
    case Token::literal_null:
      if (capture) metadata_.null();
      return value(Kind::Null);
    case Token::literal_true:
    case Token::literal_false:
      if (capture) metadata_.boolean(token == Token::literal_true);
      return value(Kind::Boolean, token == Token::literal_true ? 1 : 0);
    case Token::value_unsigned:
    case Token::value_integer:
    case Token::value_float:
      if (capture) metadata_.raw(lexer.get_string());
      return token == Token::value_unsigned ? value(Kind::Unsigned, lexer.get_number_unsigned())
                                            : value(Kind::OtherNumber);
    case Token::value_string:
      if (capture) metadata_.string(lexer.get_string());
      return value(Kind::String, 0, &lexer.get_string());
    case Token::begin_object:
      if (capture) metadata_.beginObject();
      if (!begin(Kind::Object)) return false;
      token = lexer.scan();
      while (token != Token::end_object) {
        if (token != Token::value_string) return malformed(lexer);
        key(lexer.get_string());
        if (lexer.scan() != Token::name_separator) return malformed(lexer);
        if (!read(lexer, lexer.scan())) return false;
        token = lexer.scan();
        if (token == Token::end_object) break;
        if (token != Token::value_separator) return malformed(lexer);
        token = lexer.scan();
        if (token == Token::end_object) return malformed(lexer);
      }
      if (capture) metadata_.endObject();
      return end();
    case Token::begin_array:
      if (capture) metadata_.beginArray();
      if (!begin(Kind::Array)) return false;
      token = lexer.scan();
      while (token != Token::end_array) {
        if (!read(lexer, token)) return false;
        token = lexer.scan();
        if (token == Token::end_array) break;
        if (token != Token::value_separator) return malformed(lexer);
        token = lexer.scan();
        if (token == Token::end_array) return malformed(lexer);
      }
      if (capture) metadata_.endArray();
      return end();
    default:
      return malformed(lexer);
  }
}

void Reader::key(const std::string& name) {
  if (mode_ == Mode::Capture) metadata_.key(name);
  if (mode_ != Mode::Read) return;
  const auto* found = std::find_if(kFields.begin(), kFields.end(),
                                   [&](const FieldRule& rule) { return rule.where == where_ && rule.key == name; });
  if (found == kFields.end()) {
    hold(Mode::Skip);
    return;
  }
  current_ = static_cast<Field>(found - kFields.begin());
  clear(current_);
  if (current_ == Field::Metadata) hold(Mode::Capture);
}

bool Reader::value(Kind kind, std::uint64_t number, std::string* text) {
  if (mode_ == Mode::Read && where_ == Where::Candidates) {
    if (!listError_) listError_ = bad("payload.candidates[]", "is not an object");
  } else if (mode_ == Mode::Read && where_ != Where::Outside) {
    Value& value = at(current_);
    value.kind = kind;
    value.number = number;
    value.tooLarge = (text != nullptr ? text->size() : number) > rule(current_).limit;
    if (text != nullptr && !value.tooLarge) value.text = std::move(*text);
  }
  valueEnded();
  return true;
}

bool Reader::begin(Kind kind) {
  if (depth_ == kMaxSignalDepth) {
    error_ = bad("text", "is nested too deeply");
    return false;
  }
  if (mode_ == Mode::Read) enter(kind);
  ++depth_;
  return true;
}

void Reader::enter(Kind kind) {
  if (where_ == Where::Outside) {
    rootSeen_ = kind == Kind::Object;
    if (rootSeen_) {
      where_ = Where::Root;
    } else {
      hold(Mode::Skip);
    }
    return;
  }
  if (where_ == Where::Candidates) {
    inList_ = kind == Kind::Object && list_.size() < kMaxSignalCandidates;
    if (inList_) {
      where_ = Where::Candidate;
      for (Field field : {Field::CandidateText, Field::CandidateMid, Field::CandidateLineIndex, Field::CandidateUfrag})
        clear(field);
      return;
    }
    if (!listError_) {
      listError_ = kind == Kind::Object ? bad("payload.candidates", "has too many elements")
                                        : bad("payload.candidates[]", "is not an object");
    }
    hold(Mode::Skip);
    return;
  }
  at(current_).kind = kind;
  if (kind == rule(current_).kind) {
    where_ = inside(current_);
  } else {
    hold(Mode::Skip);
  }
}

bool Reader::end() {
  --depth_;
  if (mode_ == Mode::Read) {
    switch (where_) {
      case Where::Candidate:
        closeCandidate();
        where_ = inList_ ? Where::Candidates : Where::Payload;
        inList_ = false;
        break;
      case Where::Sdp:
      case Where::Native:
      case Where::Candidates:
        where_ = Where::Payload;
        break;
      case Where::Payload:
        where_ = Where::Root;
        break;
      default:
        where_ = Where::Outside;
        break;
    }
  }
  valueEnded();
  return true;
}

void Reader::valueEnded() {
  if (mode_ == Mode::Read || depth_ != heldDepth_) return;
  if (mode_ == Mode::Capture) {
    at(Field::Metadata).kind = Kind::Object;
    at(Field::Metadata).text = metadata_.take();
  }
  mode_ = Mode::Read;
}

void Reader::closeCandidate() {
  CandidateInit init;
  const auto take = [this](Field field, bool& has, std::string& out) {
    if (auto found = text(field, Need::Optional)) {
      has = true;
      out = std::move(*found);
    }
  };
  if (auto found = text(Field::CandidateText, Need::Required)) init.candidate = std::move(*found);
  take(Field::CandidateMid, init.hasMid, init.sdpMid);
  if (check(Field::CandidateLineIndex, Need::Optional)) {
    init.hasLineIndex = true;
    init.sdpMLineIndex = static_cast<std::uint16_t>(at(Field::CandidateLineIndex).number);
  }
  take(Field::CandidateUfrag, init.hasUfrag, init.usernameFragment);

  auto& error = inList_ ? listError_ : singleError_;
  if (error_ && !error) error = std::move(error_);
  if (!error) (inList_ ? list_ : single_).push_back(std::move(init));
  error_.reset();
}

// -- judging --------------------------------------------------------------------------------------

bool Reader::check(Field field, Need need) {
  const Value& value = at(field);
  const FieldRule& rule = Reader::rule(field);
  if (value.kind == Kind::Absent || (value.kind == Kind::Null && rule.kind != Kind::Absent)) {
    if (need == Need::Required) fail(field, "is missing");
    return false;
  }
  if (rule.kind == Kind::Absent) return true;
  if (value.kind != rule.kind) {
    fail(field, rule.kind == Kind::String     ? "is not a string"
                : rule.kind == Kind::Object   ? "is not an object"
                : rule.kind == Kind::Array    ? "is not an array"
                : rule.kind == Kind::Unsigned ? "is not a whole number"
                                              : "is not true or false");
    return false;
  }
  if (value.tooLarge) {
    fail(field, rule.kind == Kind::String ? "is too long" : "is too large");
    return false;
  }
  return true;
}

std::optional<std::string> Reader::text(Field field, Need need) {
  if (!check(field, need)) return std::nullopt;
  return std::move(at(field).text);
}

template <class Enum, std::size_t Count>
Enum Reader::word(Field field, const std::array<const char*, Count>& names) {
  if (!check(field, Need::Required)) return Enum{};
  const auto* found = std::find(names.begin(), names.end(), at(field).text);
  if (found == names.end()) {
    fail(field, "is unknown: " + at(field).text);
    return Enum{};
  }
  return static_cast<Enum>(found - names.begin());
}

Result<SignalMessage> Reader::finish() {
  if (error_) return std::move(*error_);
  if (!rootSeen_) return bad("text", "is not a JSON object");
  SignalMessage message;
  message.type = word<MessageType>(Field::Type, kTypeNames);
  message.src = text(Field::Src, Need::Optional).value_or("");
  message.dst = text(Field::Dst, Need::Optional).value_or("");
  switch (message.type) {
    case MessageType::Offer:
    case MessageType::Answer:
    case MessageType::Candidate:
      if (check(Field::Payload, Need::Required)) readPayload(message);
      break;
    case MessageType::Error:
    case MessageType::IdTaken:
    case MessageType::InvalidKey:
      if (check(Field::Payload, Need::Optional)) {
        message.text = text(Field::Message, Need::Optional).value_or("");
        message.reason = text(Field::ConnectionKind, Need::Optional).value_or("");
      }
      break;
    default:
      break;  // what a payload would hold is nobody's business
  }
  if (error_) return std::move(*error_);
  return message;
}

void Reader::readPayload(SignalMessage& message) {
  message.connectionId = text(Field::ConnectionId, Need::Required).value_or("");
  if (message.connectionId.empty()) fail(Field::ConnectionId, "is empty");
  message.kind = word<ConnectionKind>(Field::ConnectionKind, kKindNames);
  if (check(Field::Native, Need::Optional)) {
    message.native = NativeTag{number(Field::NativeVersion),
                               number(Field::NativeLink),
                               number(Field::NativeNegotiation),
                               text(Field::NativeBye, Need::Optional),
                               number(Field::NativeSeen, Need::Optional),
                               number(Field::NativeStripe, Need::Optional),
                               number(Field::NativeNamed, Need::Optional)};
  }
  if (message.type == MessageType::Candidate) {
    if (check(Field::Candidate, Need::Optional)) message.candidates = std::move(single_);
    if (check(Field::Candidates, Need::Optional))
      std::move(list_.begin(), list_.end(), std::back_inserter(message.candidates));
    if (!error_) error_ = singleError_ ? std::move(singleError_) : std::move(listError_);
    if (message.candidates.empty()) fail(Field::Candidate, "is missing");
    return;
  }

  if (check(Field::Sdp, Need::Required)) {
    Description description;
    description.type = word<SdpType>(Field::SdpType, kSdpTypeNames);
    description.sdp = text(Field::SdpText, Need::Required).value_or("");
    const bool isOffer = description.type == SdpType::Offer;
    if (isOffer != (message.type == MessageType::Offer) || description.type == SdpType::Rollback) {
      fail(Field::SdpType, "does not suit the type of the message");
    }
    message.description = std::move(description);
  }
  message.legacyBrowserTag = check(Field::Browser, Need::Optional);
  if (message.type != MessageType::Offer) return;
  message.metadata = text(Field::Metadata, Need::Optional);
  if (message.kind != ConnectionKind::Data) return;
  message.label = text(Field::Label, Need::Optional);
  message.serialization = text(Field::Serialization, Need::Optional);
  if (check(Field::Reliable, Need::Optional)) message.reliable = at(Field::Reliable).number != 0;
}

// -- writing --------------------------------------------------------------------------------------

void writeCandidate(JsonWriter& writer, const CandidateInit& init) {
  writer.beginObject();
  writer.stringMember("candidate", init.candidate);
  if (init.hasMid) writer.stringMember("sdpMid", init.sdpMid);
  if (init.hasLineIndex) writer.numberMember("sdpMLineIndex", init.sdpMLineIndex);
  if (init.hasUfrag) writer.stringMember("usernameFragment", init.usernameFragment);
  writer.endObject();
}

void writePayload(JsonWriter& writer, const SignalMessage& message) {
  writer.key("payload");
  writer.beginObject();
  if (message.description) {
    writer.key("sdp");
    writer.beginObject();
    writer.stringMember("sdp", message.description->sdp);
    writer.stringMember("type", kSdpTypeNames[static_cast<std::size_t>(message.description->type)]);
    writer.endObject();
  }
  if (!message.candidates.empty()) {
    writer.key("candidate");
    writeCandidate(writer, message.candidates.front());
  }
  writer.stringMember("type", kKindNames[static_cast<std::size_t>(message.kind)]);
  writer.stringMember("connectionId", message.connectionId);
  if (message.metadata) writer.rawMember("metadata", *message.metadata);
  if (message.label) writer.stringMember("label", *message.label);
  if (message.reliable) writer.booleanMember("reliable", *message.reliable);
  if (message.serialization) writer.stringMember("serialization", *message.serialization);
  if (message.candidates.size() > 1) {
    writer.key("candidates");
    writer.beginArray();
    for (std::size_t i = 1; i < message.candidates.size(); ++i) writeCandidate(writer, message.candidates[i]);
    writer.endArray();
  }
  if (message.native) {
    writer.key("peerbridge");
    writer.beginObject();
    writer.numberMember("v", message.native->version);
    writer.numberMember("link", message.native->link);
    writer.numberMember("neg", message.native->negotiation);
    if (message.native->seen != 0) writer.numberMember("seen", message.native->seen);
    if (message.native->stripe != 0) writer.numberMember("stripe", message.native->stripe);
    if (message.native->named != 0) writer.numberMember("named", message.native->named);
    if (message.native->bye) writer.stringMember("bye", *message.native->bye);
    writer.endObject();
  }
  writer.endObject();
}

}  // namespace

std::string_view messageTypeName(MessageType type) { return kTypeNames[static_cast<std::size_t>(type)]; }

Result<SignalMessage> parseSignal(std::string_view text) {
  if (text.size() > kMaxSignalBytes) {
    return Error{ErrorCode::SignalTooLarge, "signaling message dropped: it is larger than 256 KiB"};
  }
  // nlohmann takes a NUL for the end and never looks behind it.
  if (text.find('\0') != std::string_view::npos) return bad("text", "is not JSON: it contains a NUL byte");
  if (!isUtf8(text)) return bad("text", "is not JSON: it is not UTF-8");
  JsonLexer lexer(nlohmann::detail::input_adapter(text.data(), text.data() + text.size()));
  Reader reader;
  (void)reader.read(lexer);
  return reader.finish();
}

std::string serializeSignal(const SignalMessage& message) {
  JsonWriter writer;
  writer.beginObject();
  writer.stringMember("type", messageTypeName(message.type));
  if (!message.wait) writer.booleanMember("wait", false);
  switch (message.type) {
    case MessageType::Offer:
    case MessageType::Answer:
    case MessageType::Candidate:
      writePayload(writer, message);
      break;
    default:
      if (message.text.empty()) break;
      writer.key("payload");
      writer.beginObject();
      writer.stringMember("msg", message.text);
      writer.endObject();
      break;
  }
  if (!message.dst.empty()) writer.stringMember("dst", message.dst);
  writer.endObject();
  return writer.take();
}

void sayGoodbye(SignalMessage& message, const std::string& peer, const std::string& connectionId, ConnectionKind kind,
                const char* why) {
  message.type = MessageType::Candidate;
  message.dst = peer;
  message.connectionId = connectionId;
  message.kind = kind;
  message.native.emplace();
  message.native->bye = why;
  CandidateInit& end = message.candidates.emplace_back();
  end.hasMid = true;
  end.sdpMid = "0";
  end.hasLineIndex = true;
}

}  // namespace peerbridge
