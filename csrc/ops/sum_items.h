// Work items that add to sums over all of them, such as the gradients of weights. Not for kernels: it uses
// the standard library.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "runtime/ordered_sums.h"
#include "runtime/thread_pool.h"
#include "runtime/work_split.h"

namespace lightm {

// Each thread has scratch space, and sums that begin with zeros for each item; when the item is done they
// are added to those of the items before, in the order of the items. So all threads go at once whatever
// the number of items, and the bits of the result do not depend on how many they are.
class ItemSums {
 public:
  ItemSums(int64_t items, int64_t scratch_floats, int64_t sums_floats, int threads)
      : items_(items),
        scratch_(rounded(scratch_floats)),
        sums_(sums_floats),
        members_(std::min<int64_t>(threads, items)) {}

  int64_t memory_floats() const {
    return members_ * (scratch_ + rounded(sums_)) + OrderedSums::memory_floats(items_, sums_);
  }

  // item(number, sums, scratch) for every item; returns the sums over all of them, which lie in `memory`.
  template <class Item>
  const float *run(float *memory, const Item &item) const {
    const int64_t each = scratch_ + rounded(sums_);
    const int threads = static_cast<int>(members_);
    OrderedSums ordered(items_, sums_, memory + members_ * each);
    std::atomic<int64_t> next{0};
    parallel_for(members_, threads, [&](int64_t member) {
      float *scratch = memory + member * each, *own = scratch + scratch_;
      for (int64_t i; (i = next.fetch_add(1)) < items_;) {
        std::memset(own, 0, static_cast<size_t>(sums_) * sizeof(float));
        item(i, own, scratch);
        float *sums = ordered.begin(i);
        for (int64_t k = 0; k < sums_; ++k) sums[k] += own[k];
        ordered.end(i);
      }
    });
    return ordered.total(threads);
  }

 private:
  static int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }

  int64_t items_, scratch_, sums_, members_;
};

// Ranges of `total` rows, `wanted` of them where each has `least` rows. They do not depend on the number of
// threads.
inline std::vector<RowRange> fixed_ranges(int64_t total, int64_t least, int64_t wanted) {
  return split_rows(1, total, std::clamp<int64_t>(total / least, 1, wanted));
}

}  // namespace lightm
