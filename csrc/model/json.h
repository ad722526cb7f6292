// JSON as RFC 8259 has it, and nothing more: no comments, no trailing commas, no NaN, no name twice in an object, valid
// UTF-8 and few levels.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/status.h"

namespace lightm {

class Json {
 public:
  enum class Kind { null, boolean, number, text, list, object };
  using Entry = std::pair<std::string, Json>;

  // At most so many bytes and levels of lists and objects.
  static constexpr size_t kMostBytes = size_t{16} << 20;
  static constexpr int kMostLevels = 32;

  // Leaves `result` undefined unless it succeeds. The sentence says what is wrong and where, and not in which file.
  static Status read(std::string_view text, Json *result);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool boolean() const { return number_ != 0; }
  // To the last bit or the one before.
  double number() const { return number_; }
  // Whether it is a whole number, written without a point and an exponent, from -2^53 to 2^53.
  bool is_whole() const { return is_whole_; }
  int64_t whole() const { return static_cast<int64_t>(number_); }
  const std::string &text() const { return text_; }
  const std::vector<Json> &list() const { return list_; }
  const std::vector<Entry> &object() const { return object_; }

  // An object's entry; nullptr where there is none, or this is no object.
  const Json *find(std::string_view name) const;
  // In a few words, for a sentence: "the text "cat"", "the number 3", "a list".
  std::string in_words() const;

 private:
  friend class JsonReader;

  Kind kind_ = Kind::null;
  bool is_whole_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> list_;
  std::vector<Entry> object_;
};

}  // namespace lightm
