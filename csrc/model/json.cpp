#include "model/json.h"

#include <algorithm>

#include "model/order.h"

namespace lightm {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// digits * 10^exponent. The standard's readers of numbers follow the host's locale, or are missing from some
// libraries. Powers of ten up to 22 are exact, and with them most numbers; the others are right to about one bit.
double scaled(uint64_t digits, int64_t exponent) {
  static constexpr double kTens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  double value = static_cast<double>(digits);
  if (digits == 0) return 0;
  exponent = std::clamp<int64_t>(exponent, -400, 400);
  for (; exponent > 0; exponent -= 22) value *= kTens[std::min<int64_t>(exponent, 22)];
  for (; exponent < 0; exponent += 22) value /= kTens[std::min<int64_t>(-exponent, 22)];
  return value;
}

// Bytes of the UTF-8 letter that text starts with; 0 where it is none. Overlong forms and halves of pairs are none.
size_t letter_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first < 0xf0) {
    const bool fits = first == 0xe0 ? second >= 0xa0 : first == 0xed ? second < 0xa0 : true;
    return fits && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first < 0xf5) {
    const bool fits = first == 0xf0 ? second >= 0x90 : first == 0xf4 ? second < 0x90 : true;
    return fits && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(uint32_t letter, std::string *out) {
  const auto put = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (letter < 0x80) return put(letter);
  if (letter < 0x800) {
    put(0xc0 | letter >> 6);
  } else {
    if (letter < 0x10000) {
      put(0xe0 | letter >> 12);
    } else {
      put(0xf0 | letter >> 18), put(0x80 | (letter >> 12 & 0x3f));
    }
    put(0x80 | (letter >> 6 & 0x3f));
  }
  put(0x80 | (letter & 0x3f));
}

}  // namespace

// Reads one value after the other; the first fault ends it.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  Status read(Json *result) {
    if (text_.size() > Json::kMostBytes) {
      fail("more than 16 MiB of JSON");
    } else if (value(result, 0)) {
      skip_space();
      if (at_ < text_.size()) fail("something behind the end of the JSON value");
    }
    if (fault_ == nullptr) return {};
    return {Code::bad_model, std::string(fault_) + " at byte " + std::to_string(at_)};
  }

 private:
  bool fail(const char *fault) {
    fault_ = fault;
    return false;
  }
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() && (next() == ' ' || next() == '\n' || next() == '\r' || next() == '\t')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (next() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return fail("no JSON value");
    at_ += word.size();
    return true;
  }

  bool value(Json *out, int level) {
    skip_space();
    if (at_ == text_.size()) return fail("an early end");
    switch (next()) {
      case '{':
        out->kind_ = Json::Kind::object;
        return object(out, level + 1);
      case '[':
        out->kind_ = Json::Kind::list;
        return list(out, level + 1);
      case '"':
        out->kind_ = Json::Kind::text;
        return text(&out->text_);
      case 't':
        out->kind_ = Json::Kind::boolean, out->number_ = 1;
        return take_word("true");
      case 'f':
        out->kind_ = Json::Kind::boolean;
        return take_word("false");
      case 'n':
        return take_word("null");
      default:
        out->kind_ = Json::Kind::number;
        return number(out);
    }
  }

  bool object(Json *out, int level) {
    if (level > Json::kMostLevels) return fail("too many levels");
    ++at_;
    if (!take('}')) {
      do {
        skip_space();
        if (next() != '"') return fail("no name in quotation marks");
        out->object_.emplace_back();
        if (!text(&out->object_.back().first)) return false;
        if (!take(':')) return fail("no colon behind a name");
        if (!value(&out->object_.back().second, level)) return false;
      } while (take(','));
      if (!take('}')) return fail("no comma or closing brace");
    }
    return has_each_name_once(*out);
  }

  bool has_each_name_once(const Json &object) {
    const std::vector<Json::Entry> &entries = object.object_;
    const std::vector<size_t> by_name = ordered(entries.size(), [&](size_t a, size_t b) {
      const int order = entries[a].first.compare(entries[b].first);
      return order != 0 ? order < 0 : a < b;
    });
    for (size_t i = 1; i < by_name.size(); ++i)
      if (entries[by_name[i]].first == entries[by_name[i - 1]].first) return fail("an object with a name twice");
    return true;
  }

  bool list(Json *out, int level) {
    if (level > Json::kMostLevels) return fail("too many levels");
    ++at_;
    if (take(']')) return true;
    do {
      out->list_.emplace_back();
      if (!value(&out->list_.back(), level)) return false;
    } while (take(','));
    return take(']') || fail("no comma or closing bracket");
  }

  bool hex4(uint32_t *letter) {
    *letter = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = next();
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return fail("no four hexadecimal digits behind \\u");
      *letter = *letter << 4 | static_cast<uint32_t>(digit);
    }
    return true;
  }

  bool escape(std::string *out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const char c = next();
    ++at_;
    if (const size_t place = kNames.find(c); place != std::string_view::npos) {
      out->push_back(kMeanings[place]);
      return true;
    }
    if (c != 'u') return fail("an unknown escape");
    uint32_t letter, second;
    if (!hex4(&letter)) return false;
    if (letter >= 0xd800 && letter < 0xe000) {
      const bool first_half = letter < 0xdc00 && text_.substr(at_, 2) == "\\u";
      if (!first_half) return fail("half of a surrogate pair");
      at_ += 2;
      if (!hex4(&second)) return false;
      if (second < 0xdc00 || second >= 0xe000) return fail("half of a surrogate pair");
      letter = 0x10000 + ((letter - 0xd800) << 10) + (second - 0xdc00);
    }
    append_utf8(letter, out);
    return true;
  }

  bool text(std::string *out) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = next();
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return fail("a control character in a text");
      if (c == '\\') {
        ++at_;
        if (!escape(out)) return false;
        continue;
      }
      const size_t bytes = letter_bytes(text_.substr(at_, 4));
      if (bytes == 0) return fail("bytes that are not UTF-8");
      out->append(text_.substr(at_, bytes));
      at_ += bytes;
    }
    return fail("a text without an end");
  }

  // Digits into a number as far as they matter; returns how many there were, and counts those left out.
  int64_t digits(uint64_t *number, int64_t *left_out) {
    int64_t count = 0;
    for (; is_digit(next()); ++at_, ++count) {
      if (*number < uint64_t{100000000000000000}) {
        *number = *number * 10 + static_cast<uint64_t>(next() - '0');
      } else {
        ++*left_out;
      }
    }
    return count;
  }

  bool number(Json *out) {
    const bool negative = next() == '-';
    if (negative) ++at_;
    uint64_t value = 0;
    int64_t exponent = 0;
    const bool starts_with_0 = next() == '0';
    const int64_t before_point = digits(&value, &exponent);
    if (before_point == 0) return fail("no JSON value");
    if (starts_with_0 && before_point > 1) return fail("a number with a 0 in front");
    bool whole = exponent == 0 && value <= uint64_t{1} << 53;
    if (next() == '.') {
      ++at_, whole = false;
      int64_t left_out = 0;
      const int64_t behind = digits(&value, &left_out);
      if (behind == 0) return fail("no digit behind a point");
      exponent -= behind - left_out;
    }
    if (next() == 'e' || next() == 'E') {
      ++at_, whole = false;
      const bool down = next() == '-';
      if (down || next() == '+') ++at_;
      uint64_t size = 0;
      int64_t left_out = 0;
      if (digits(&size, &left_out) == 0) return fail("no digit in an exponent");
      const int64_t by = static_cast<int64_t>(std::min<uint64_t>(size, 1000000000));
      exponent += down ? -by : by;
    }
    const double magnitude = scaled(value, exponent);
    if (magnitude > 1.7e308) return fail("a number too large");
    out->number_ = negative ? -magnitude : magnitude;
    out->is_whole_ = whole;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  const char *fault_ = nullptr;
};

Status Json::read(std::string_view text, Json *result) {
  *result = Json();
  return JsonReader(text).read(result);
}

const Json *Json::find(std::string_view name) const {
  for (const Entry &entry : object_)
    if (entry.first == name) return &entry.second;
  return nullptr;
}

std::string Json::in_words() const {
  switch (kind_) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return boolean() ? "true" : "false";
    case Kind::number:
      return is_whole_ ? "the number " + std::to_string(whole()) : "a number with a fraction";
    case Kind::text:
      return "the text " + quoted(text_);
    case Kind::list:
      return "a list of " + std::to_string(list_.size());
    default:
      return "an object";
  }
}

}  // namespace lightm
