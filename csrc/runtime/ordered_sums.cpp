#include "runtime/ordered_sums.h"

#include <algorithm>
#include <cstring>

#include "runtime/thread_pool.h"

namespace lightm {
namespace {

// More slots let more threads go at once, and take more memory, which must be cleared and added.
int64_t slots(int64_t items) { return std::clamp<int64_t>(items / 8, 1, 16); }

int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }

}  // namespace

OrderedSums::OrderedSums(int64_t items, int64_t floats, float *memory)
    : floats_(rounded(floats)), memory_(memory), turns_(static_cast<size_t>(slots(items))) {}

int64_t OrderedSums::memory_floats(int64_t items, int64_t floats) { return slots(items) * rounded(floats); }

float *OrderedSums::begin(int64_t item) {
  const int64_t count = static_cast<int64_t>(turns_.size()), slot = item % count;
  turns_[slot].wait_for(item / count);
  float *sums = memory_ + slot * floats_;
  if (item < count) std::memset(sums, 0, static_cast<size_t>(floats_) * sizeof(float));
  return sums;
}

void OrderedSums::end(int64_t item) { turns_[item % static_cast<int64_t>(turns_.size())].advance(); }

const float *OrderedSums::total(int threads) {
  constexpr int64_t kChunk = 16384;
  parallel_for((floats_ + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
    const int64_t first = chunk * kChunk, last = std::min(floats_, first + kChunk);
    for (size_t slot = 1; slot < turns_.size(); ++slot) {
      const float *other = memory_ + static_cast<int64_t>(slot) * floats_;
      for (int64_t i = first; i < last; ++i) memory_[i] += other[i];
    }
  });
  return memory_;
}

}  // namespace lightm
