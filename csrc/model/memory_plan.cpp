#include "model/memory_plan.h"

#include <algorithm>

#include "model/order.h"
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
  const std::vector<size_t> by_size = ordered(buffers_.size(), [this](size_t a, size_t b) {
    return buffers_[a].bytes != buffers_[b].bytes ? buffers_[a].bytes > buffers_[b].bytes : a < b;
  });
  std::vector<const Buffer *> placed;  // by offset
  for (const size_t number : by_size) {
    Buffer *buffer = &buffers_[number];
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
