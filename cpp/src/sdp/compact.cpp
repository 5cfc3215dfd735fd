#include "sdp/compact.hpp"

#include <algorithm>
#include <utility>

namespace peerbridge {

namespace {

constexpr char kDigits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
// RFC 8839 §5.4: ice-char, those of hexadecimal first.
constexpr char kIceChars[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/";

constexpr std::uint8_t kVersion = 1;
// A group is so many digits and one more that checks them.
constexpr std::size_t kGroup = 15;
constexpr unsigned kMarkBits = 20;
constexpr std::size_t kMarkDigits = kMarkBits / 5;
// What browsers say, and what is meant where they say nothing (RFC 8841 §6.1).
constexpr const char* kMessageSizes[] = {"65536", "262144", "1073741823"};
// RFC 8839 §5.4, and what four and five bits count from there.
constexpr std::size_t kMinUfrag = 4;
constexpr std::size_t kMaxUfrag = 19;
constexpr std::size_t kMinPassword = 22;
constexpr std::size_t kMaxPassword = 53;

constexpr const char* kTypes[] = {" host", " srflx", " relay"};
// RFC 8445 §5.1.2.2.
constexpr std::uint32_t kPreferences[] = {126, 100, 0};
enum : std::uint8_t { kV4, kV6, kName };

struct Candidate {
  std::uint8_t type = 0;
  std::uint8_t kind = kV4;
  std::uint8_t address[16] = {};
  std::uint8_t port[2] = {};
};

/// What a code says, as it is written.
struct Facts {
  std::uint8_t version = kVersion;
  std::uint8_t answer = 0;
  std::uint8_t passive = 0;
  std::uint8_t mark[kMarkDigits] = {};
  std::uint8_t messageSize = 0;
  std::uint8_t fingerprint[32] = {};
  std::uint8_t hex = 0;  ///< the credentials are made of kHex, else of kIceChars
  std::uint8_t ufragLength = 0;
  std::uint8_t passwordLength = 0;
  std::uint8_t credentials[kMaxUfrag + kMaxPassword] = {};
  std::uint8_t count = 0;
  Candidate candidates[kMaxCodeCandidates];
};

/// Writes numbers as bits, or reads them: the most significant bits first, in digits of five.
class Bits {
 public:
  Bits(std::string& digits, bool writes) : digits_(digits), writes_(writes) {}

  void run(std::uint8_t* numbers, std::size_t count, unsigned width) {
    for (std::size_t i = 0; i < count; ++i) {
      for (unsigned bit = width; bit-- > 0; ++at_) {
        const std::size_t digit = at_ / 5;
        const auto shift = static_cast<unsigned>(4 - at_ % 5);
        if (writes_ && digit == digits_.size()) digits_.push_back(0);
        if (digit >= digits_.size()) continue;
        if (writes_) {
          digits_[digit] =
              static_cast<char>(static_cast<unsigned>(digits_[digit]) | ((numbers[i] >> bit) & 1U) << shift);
        } else {
          numbers[i] =
              static_cast<std::uint8_t>(numbers[i] | ((static_cast<unsigned>(digits_[digit]) >> shift) & 1U) << bit);
        }
      }
    }
  }
  /// Everything was read, and not more than there is.
  [[nodiscard]] bool done() const { return (at_ + 4) / 5 == digits_.size(); }

 private:
  std::string& digits_;
  bool writes_;
  std::size_t at_ = 0;
};

/// False: nobody writes that.
bool run(Bits& bits, Facts& facts) {
  bits.run(&facts.version, 1, 3);
  bits.run(&facts.answer, 1, 1);
  if (facts.answer != 0) {
    bits.run(&facts.passive, 1, 1);
    bits.run(facts.mark, kMarkDigits, 5);
  }
  bits.run(&facts.messageSize, 1, 2);
  bits.run(facts.fingerprint, 32, 8);
  bits.run(&facts.hex, 1, 1);
  bits.run(&facts.ufragLength, 1, 4);
  bits.run(&facts.passwordLength, 1, 5);
  bits.run(facts.credentials, kMinUfrag + kMinPassword + facts.ufragLength + facts.passwordLength,
           facts.hex != 0 ? 4 : 6);
  bits.run(&facts.count, 1, 4);
  for (std::size_t i = 0; i < facts.count; ++i) {
    Candidate& candidate = facts.candidates[i];
    bits.run(&candidate.type, 1, 2);
    bits.run(&candidate.kind, 1, 2);
    bits.run(candidate.address, candidate.kind == kV4 ? 4 : 16, 8);
    bits.run(candidate.port, 2, 8);
    if (candidate.type > 2 || candidate.kind > kName) return false;
  }
  return facts.messageSize <= 2;
}

// -- descriptions --------------------------------------------------------------------------------------

// Pointers instead of std::string_view: what its members do is written out wherever they are called.
struct Text {
  const char* at;
  const char* end;
};

/// What stands behind the first `what`; null where there is none.
const char* find(Text in, const char* what) {
  for (; in.at < in.end; ++in.at) {
    const char* at = in.at;
    const char* wanted = what;
    while (at < in.end && *wanted != 0 && *at == *wanted) ++at, ++wanted;
    if (*wanted == 0) return at;
  }
  return nullptr;
}

/// From there up to the end of the line, or to `stop`.
Text upTo(char stop, const char* at, const char* end) {
  Text line{at, at};
  while (line.end < end && *line.end != stop && *line.end != '\r' && *line.end != '\n') ++line.end;
  return line;
}

Text attribute(Text sdp, const char* name) {
  const char* at = find(sdp, name);
  return at == nullptr ? Text{sdp.end, sdp.end} : upTo(0, at, sdp.end);
}

unsigned hexOf(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const unsigned letter = static_cast<unsigned>(c | 0x20) - 'a';
  return letter < 6 ? letter + 10 : 16;
}

/// Digits of hexadecimal, whatever stands between them. How many there were.
std::size_t readHex(Text text, std::uint8_t* to, std::size_t most) {
  std::size_t count = 0;
  for (; text.at < text.end; ++text.at) {
    const unsigned digit = hexOf(*text.at);
    if (digit > 15) continue;
    if (count < most) to[count / 2] = static_cast<std::uint8_t>(to[count / 2] * 16 + digit);
    ++count;
  }
  return count;
}

/// Above 65 535 when it is no number up to that.
std::uint32_t readNumber(Text text, unsigned base) {
  std::uint32_t number = text.at == text.end || text.end - text.at > 5 ? 65'536 : 0;
  for (; text.at < text.end && number < 65'536; ++text.at) {
    const unsigned digit = hexOf(*text.at);
    number = digit < base ? number * base + digit : 65'536;
  }
  return number;
}

/// An IPv4 address, an IPv6 address (RFC 4291 §2.2, forms 1 and 2), or the name that browsers make up for mDNS: a UUID
/// (draft-ietf-mmusic-mdns-ice-candidates §3.1.1).
bool readAddress(Text text, Candidate& to) {
  if (find(text, ".local") == text.end) {
    to.kind = kName;
    text.end -= 6;
    return text.end - text.at == 36 && readHex(text, to.address, 32) == 32;
  }
  const bool v6 = find(text, ":") != nullptr;
  to.kind = v6 ? kV6 : kV4;
  const std::size_t size = v6 ? 16 : 4;
  std::size_t at = 0;
  std::size_t gap = size;  // where "::" stands
  for (bool first = true; text.at < text.end; first = false) {
    const Text group = upTo(v6 ? ':' : '.', text.at, text.end);
    text.at = group.end + 1;
    if (v6 && group.at == group.end) {
      // At the beginning there are two colons, elsewhere the one that is left.
      if (first && (text.at >= text.end || *text.at++ != ':')) return false;
      if (gap < size) return false;
      gap = at;
      continue;
    }
    const std::uint32_t number = readNumber(group, v6 ? 16 : 10);
    if (at == size || number > (v6 ? 65'535U : 255U)) return false;
    if (v6) to.address[at++] = static_cast<std::uint8_t>(number >> 8U);
    to.address[at++] = static_cast<std::uint8_t>(number);
  }
  if (gap == size) return at == size;
  // What came behind the gap belongs to the end.
  for (std::size_t i = 1; i <= at - gap; ++i) std::swap(to.address[at - i], to.address[size - i]);
  return at < size;
}

bool readCandidate(Text line, Candidate& to) {
  // Another component, or TCP, is of no use here.
  const char* at = find(line, " 1 udp ");
  if (at == nullptr) at = find(line, " 1 UDP ");
  if (at == nullptr) return false;
  const Text priority = upTo(' ', at, line.end);
  const Text address = upTo(' ', std::min(priority.end + 1, line.end), line.end);
  const Text port = upTo(' ', std::min(address.end + 1, line.end), line.end);
  const std::uint32_t number = readNumber(port, 10);
  to.port[0] = static_cast<std::uint8_t>(number >> 8U);
  to.port[1] = static_cast<std::uint8_t>(number);
  while (to.type < 3 && find({port.end, line.end}, kTypes[to.type]) == nullptr) ++to.type;
  return to.type < 3 && number <= 65'535 && readAddress(address, to);
}

/// False: no code can be made of it.
bool readDescription(Text sdp, Facts& facts) {
  const char* section = find(sdp, "\nm=");
  if (section == nullptr || find({section, sdp.end}, "\nm=") != nullptr || find(sdp, "\nm=application ") == nullptr)
    return false;
  if (find(sdp, "\na=mid:0\r") == nullptr || find(sdp, "\na=sctp-port:5000\r") == nullptr) return false;
  if (readHex(attribute(sdp, "\na=fingerprint:sha-256 "), facts.fingerprint, 64) != 64) return false;
  facts.passive = find(sdp, "\na=setup:passive\r") != nullptr ? 1 : 0;
  // Of an unknown size the smallest is true, too.
  const Text messageSize = attribute(sdp, "\na=max-message-size:");
  for (std::uint8_t i = 1; i < 3; ++i) {
    if (find(messageSize, kMessageSizes[i]) == messageSize.end && messageSize.at < messageSize.end)
      facts.messageSize = i;
  }
  const Text ufrag = attribute(sdp, "\na=ice-ufrag:");
  const Text password = attribute(sdp, "\na=ice-pwd:");
  const auto ufragSize = static_cast<std::size_t>(ufrag.end - ufrag.at);
  const auto passwordSize = static_cast<std::size_t>(password.end - password.at);
  if (ufragSize < kMinUfrag || ufragSize > kMaxUfrag || passwordSize < kMinPassword || passwordSize > kMaxPassword)
    return false;
  facts.ufragLength = static_cast<std::uint8_t>(ufragSize - kMinUfrag);
  facts.passwordLength = static_cast<std::uint8_t>(passwordSize - kMinPassword);
  facts.hex = 1;
  for (std::size_t i = 0; i < ufragSize + passwordSize; ++i) {
    const char c = i < ufragSize ? ufrag.at[i] : password.at[i - ufragSize];
    std::uint8_t found = 0;
    while (kIceChars[found] != c) {
      if (++found == 64) return false;
    }
    if (found > 15) facts.hex = 0;
    facts.credentials[i] = found;
  }
  for (Text rest = sdp; facts.count < kMaxCodeCandidates && (rest.at = find(rest, "\na=candidate:")) != nullptr;) {
    Candidate& candidate = facts.candidates[facts.count];
    candidate = {};
    if (readCandidate(upTo(0, rest.at, rest.end), candidate)) ++facts.count;
  }
  return true;
}

/// `digits`: kDigits for capital letters, which RFC 8122 §5 wants in fingerprints and Firefox insists on, or kIceChars.
void appendHex(std::string& out, std::uint8_t byte, const char* digits) {
  out += digits[byte >> 4U];
  out += digits[byte & 15U];
}

void appendNumber(std::string& out, std::uint32_t number) { out += std::to_string(number); }

void appendAddress(std::string& out, const Candidate& candidate) {
  for (unsigned i = 0; i < (candidate.kind == kV4 ? 4U : 16U); ++i) {
    if (candidate.kind == kV4 && i > 0) out += '.';
    if (candidate.kind == kV6 && i > 0 && i % 2 == 0) out += ':';
    if (candidate.kind == kName && i >= 4 && i <= 10 && i % 2 == 0) out += '-';
    if (candidate.kind == kV4) {
      appendNumber(out, candidate.address[i]);
    } else {
      appendHex(out, candidate.address[i], kIceChars);
    }
  }
  if (candidate.kind == kName) out += ".local";
}

/// `pattern`, where some characters below the space stand for what differs. Candidates: the one with that number.
void append(std::string& out, const char* pattern, const Facts& facts, unsigned number) {
  const Candidate& candidate = facts.candidates[number];
  std::size_t credential = 0;
  for (; *pattern != 0; ++pattern) {
    switch (*pattern) {
      case 1:
        for (std::size_t i = kMinUfrag + facts.ufragLength; i > 0; --i)
          out += kIceChars[facts.credentials[credential++]];
        break;
      case 2:
        for (std::size_t i = kMinPassword + facts.passwordLength; i > 0; --i)
          out += kIceChars[facts.credentials[credential++]];
        break;
      case 3:
        for (std::size_t i = 0; i < 32; ++i) {
          if (i > 0) out += ':';
          appendHex(out, facts.fingerprint[i], kDigits);
        }
        break;
      case 4:
        out += facts.answer == 0 ? "actpass" : facts.passive != 0 ? "passive" : "active";
        break;
      case 5:
        out += kMessageSizes[facts.messageSize];
        break;
      case 6:
        appendNumber(out, number + 1);
        break;
      case 7:
        // RFC 8445 §5.1.2.1, with the order for the local preference.
        appendNumber(out, (kPreferences[candidate.type] << 24U) + ((65'535 - number) << 8U) + 255);
        break;
      case 8:
        appendAddress(out, candidate);
        break;
      case 11:
        appendNumber(out, candidate.port[0] * 256U + candidate.port[1]);
        break;
      case 12:
        out += kTypes[candidate.type];
        // Which address it stands for is nobody's business.
        if (candidate.type > 0) out += " raddr 0.0.0.0 rport 0";
        break;
      default:
        out += *pattern;
    }
  }
}

void writeDescription(const Facts& facts, std::string& out) {
  append(out,
         "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
         "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-options:trickle\r\n"
         "a=ice-ufrag:\1\r\na=ice-pwd:\2\r\na=fingerprint:sha-256 \3\r\na=setup:\4\r\na=sctp-port:5000\r\n"
         "a=max-message-size:\5\r\n",
         facts, 0);
  for (unsigned i = 0; i < facts.count; ++i) append(out, "a=candidate:\6 1 udp \7 \x8 \v typ\f\r\n", facts, i);
}

// -- digits --------------------------------------------------------------------------------------------

/// What checks the digits of a group: any one that is wrong, two that changed places, and a group that stands where
/// another belongs are noticed. A sum in the field of 32 elements (x^5 + x^2 + 1).
class Check {
 public:
  void begin(std::size_t group) { sum_ = (group + 1) & 31U; }
  void add(char digit) { sum_ = twice() ^ static_cast<unsigned>(digit); }
  [[nodiscard]] unsigned twice() const { return (sum_ << 1U) ^ ((sum_ & 16U) != 0 ? 37U : 0U); }

 private:
  unsigned sum_ = 0;
};

/// FNV-1a, folded.
std::uint32_t markOf(const std::string& digits) {
  std::uint32_t hash = 2'166'136'261U;
  for (const char digit : digits) hash = (hash ^ static_cast<std::uint8_t>(digit)) * 16'777'619U;
  return (hash ^ (hash >> kMarkBits)) & ((1U << kMarkBits) - 1);
}

}  // namespace

std::optional<ErrorCode> toCode(SdpType type, std::string& text, std::uint32_t& mark) {
  Facts facts;
  facts.answer = type == SdpType::Answer ? 1 : 0;
  for (unsigned i = 0; i < kMarkDigits; ++i) facts.mark[i] = (mark >> (kMarkBits - 5 - 5 * i)) & 31U;
  if (!readDescription({text.data(), text.data() + text.size()}, facts)) {
    text = "only the description of a data connection, as browsers make it, fits into a code";
    return ErrorCode::InvalidArgument;
  }
  std::string digits;
  Bits bits(digits, true);
  (void)run(bits, facts);
  const std::uint32_t own = markOf(digits);
  if (facts.answer == 0) mark = own;
  for (unsigned i = 0; i < kMarkDigits; ++i)
    digits.push_back(static_cast<char>((own >> (kMarkBits - 5 - 5 * i)) & 31U));
  text.clear();
  Check check;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i % kGroup == 0) check.begin(i / kGroup);
    check.add(digits[i]);
    text += kDigits[static_cast<unsigned char>(digits[i])];
    if (i % kGroup == kGroup - 1 || i + 1 == digits.size()) text += kDigits[check.twice()];
  }
  return std::nullopt;
}

std::optional<ErrorCode> fromCode(std::string& text, SdpType& type, std::uint32_t& mark) {
  std::string digits;
  Check check;
  char last = 0;          // which checks the group, if nothing follows in it
  bool foreign = false;   // something in the group is no digit
  std::size_t count = 0;  // characters
  std::size_t size = std::min(text.size(), kMaxCodeBytes + 1);
  for (std::size_t i = 0; i <= size; ++i) {
    char c = i < size ? text[i] : '\0';
    if (c == '-' || c == ' ' || (c >= '\t' && c <= '\r')) continue;
    const std::size_t place = count % (kGroup + 1);
    if (count > 0 && (place == 0 || i == size)) {
      // A group is complete.
      if (foreign || check.twice() != static_cast<unsigned>(last) || place == 1) {
        text = "characters ";
        appendNumber(text, static_cast<std::uint32_t>((count - 1) / (kGroup + 1) * (kGroup + 1) + 1));
        text += " to ";
        appendNumber(text, static_cast<std::uint32_t>(count));
        text += " of the code are wrong, or too few or too many: compare them with the original";
        return ErrorCode::BadSignal;
      }
    }
    if (i == size) break;
    if (place == 0) {
      check.begin(count / (kGroup + 1));
    } else {
      check.add(last);
      digits.push_back(last);
    }
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 0x20);
    if (c == 'O') c = '0';
    if (c == 'I' || c == 'L') c = '1';
    std::size_t digit = 0;
    while (digit < 32 && kDigits[digit] != c) ++digit;
    foreign = foreign || digit == 32;
    last = static_cast<char>(digit & 31U);
    ++count;
  }
  Facts facts;
  facts.version = 0;
  std::uint8_t own[kMarkDigits] = {};
  for (std::size_t i = kMarkDigits; i-- > 0 && !digits.empty(); digits.pop_back())
    own[i] = static_cast<std::uint8_t>(digits.back());
  const auto number = [](const std::uint8_t* from) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < kMarkDigits; ++i) value = value * 32 + from[i];
    return value;
  };
  Bits bits(digits, false);
  const bool whole = run(bits, facts) && bits.done();
  mark = markOf(digits);
  if (text.size() > kMaxCodeBytes || mark != number(own) || (facts.version == kVersion && !whole)) {
    text = "the code is not complete, or wrong in more than one place: compare all of it with the original";
    return ErrorCode::BadSignal;
  }
  if (facts.version != kVersion) {
    text = "the code was made by another version of peerbridge: load both pages anew";
    return ErrorCode::IncompatiblePeer;
  }
  type = facts.answer != 0 ? SdpType::Answer : SdpType::Offer;
  if (facts.answer != 0) mark = number(facts.mark);
  text.clear();
  writeDescription(facts, text);
  return std::nullopt;
}

}  // namespace peerbridge
