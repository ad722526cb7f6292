// Sums over many items, such as the gradient of a weight over all tiles, whose bits do not depend on the
// number of threads.
//
// Floats add up to other bits in another order. So a fixed number of slots, which the items alone decide,
// sum every so many-th item in its order, and the slots are added in theirs. Threads seldom wait: an
// item's turn in its slot comes when the item that many places before is done.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/sequencer.h"
#include "runtime/thread_pool.h"

namespace lightm {

class OrderedSums {
 public:
  // More slots let more threads go at once, and take more memory, which must be cleared and added.
  static int64_t slots(int64_t items) { return std::clamp<int64_t>(items / 8, 1, 16); }
  static int64_t memory_floats(int64_t items, int64_t floats) { return slots(items) * rounded(floats); }

  // memory: as many floats as memory_floats says, aligned for vectors.
  OrderedSums(int64_t items, int64_t floats, float *memory)
      : floats_(rounded(floats)), memory_(memory), turns_(slots(items)) {}

  // Waits for an item's turn; gives the sums that it adds to. Items are begun in their order.
  float *begin(int64_t item) {
    const int64_t count = static_cast<int64_t>(turns_.size()), slot = item % count;
    turns_[slot].wait_for(item / count);
    float *sums = memory_ + slot * floats_;
    if (item < count) std::memset(sums, 0, floats_ * sizeof(float));
    return sums;
  }
  void end(int64_t item) { turns_[item % static_cast<int64_t>(turns_.size())].advance(); }

  // After all items: the sums over all of them.
  const float *total(int threads) {
    constexpr int64_t kChunk = 16384;
    parallel_for((floats_ + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
      const int64_t last = std::min(floats_, (chunk + 1) * kChunk);
      for (size_t slot = 1; slot < turns_.size(); ++slot)
        for (int64_t i = chunk * kChunk; i < last; ++i) memory_[i] += memory_[slot * floats_ + i];
    });
    return memory_;
  }

 private:
  static int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }

  int64_t floats_;
  float *memory_;
  std::vector<Sequencer> turns_;
};

}  // namespace lightm
