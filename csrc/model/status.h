// How a call ended: a code, and for all but success a sentence for people.
//
// Nothing in model/ throws, so that it compiles where there are no exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace lightm {

// The numbers are those of `enum lightm_status` in capi.h.
enum class Code {
  ok,
  bad_argument,       // a call that no model could do: a missing pointer, a size of 0
  bad_model,          // damaged files, or files that do not belong together
  unsupported_model,  // a sound model that this engine cannot run
  bad_image,          // not an image for this model
  too_large,          // it would need more memory than the caller allows, or than can be addressed
  no_memory,          // the system had not as much
  cancelled,          // as the caller's progress function asked
  internal,           // a fault of this library
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  // sentence: what was found, what was expected, what to do; without a full stop.
  Status(Code code, std::string sentence) : code_(code), sentence_(std::move(sentence)) {}

  bool ok() const { return code_ == Code::ok; }
  Code code() const { return code_; }
  const std::string &sentence() const { return sentence_; }

 private:
  Code code_ = Code::ok;
  std::string sentence_;
};

// Text out of a file, short enough for a sentence, in quotation marks and without control characters.
std::string quoted(std::string_view text);

// Sizes as people write them: "2 x 30 x 41".
std::string sizes_text(const int64_t *sizes, int64_t count);

// "41.5 MB" of so many bytes.
std::string megabytes_text(uint64_t bytes);

}  // namespace lightm
