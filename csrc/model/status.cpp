#include "model/status.h"

namespace lightm {

std::string quoted(std::string_view text) {
  constexpr size_t kMost = 60;
  std::string out = "\"";
  size_t end = text.size() < kMost ? text.size() : kMost;
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;  // whole letters
  for (const char c : text.substr(0, end)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return out + (end < text.size() ? "...\"" : "\"");
}

std::string sizes_text(const int64_t *sizes, int64_t count) {
  std::string out;
  for (int64_t i = 0; i < count; ++i) out += (i ? " x " : "") + std::to_string(sizes[i]);
  return count ? out : "a single number";
}

std::string megabytes_text(uint64_t bytes) {
  const uint64_t tenths = bytes / 100000 + (bytes % 100000 ? 1 : 0);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

}  // namespace lightm
