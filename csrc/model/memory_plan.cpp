#include "model/memory_plan.h"

#include <algorithm>

#include "runtime/aligned_memory.h"

namespace lightm {

int MemoryPlan::add(int64_t bytes, int step) {
  constexpr int64_t kUnit = int64_t{kAlignment};
  buffers_.push_back({(bytes + kUnit - 1) / kUnit * kUnit, 0, step, step});
  return static_cast<int>(buffers_.size()) - 1;
}

void MemoryPlan::keep_until(int buffer, int step) {
  Buffer &kept = buffers_[static_cast<size_t>(buffer)];
  kept.last = std::max(kept.last, step);
}

// The largest first, each as low as those that live at the same time allow. A few dozen buffers: no need to be fast.
void MemoryPlan::place() {
  std::vector<Buffer *> by_size;
  for (Buffer &buffer : buffers_) by_size.push_back(&buffer);
  std::sort(by_size.begin(), by_size.end(),
            [](const Buffer *a, const Buffer *b) { return a->bytes != b->bytes ? a->bytes > b->bytes : a < b; });
  std::vector<const Buffer *> placed;  // by offset
  for (Buffer *buffer : by_size) {
    int64_t offset = 0;
    for (const Buffer *other : placed) {
      const bool together = buffer->first <= other->last && other->first <= buffer->last;
      if (!together) continue;
      if (offset + buffer->bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    buffer->offset = offset;
    bytes_ = std::max(bytes_, offset + buffer->bytes);
    const auto above = [&](const Buffer *other) { return other->offset > offset; };
    placed.insert(std::find_if(placed.begin(), placed.end(), above), buffer);
  }
}

}  // namespace lightm
