#include "ops/limits.h"

#include <vector>

#include "ops/instruction_set.h"
#include "runtime/thread_pool.h"
#include "runtime/work_split.h"

namespace lightm {
namespace {

constexpr int64_t kItemsPerThread = 8;

}  // namespace

int64_t multiply_adds(int64_t rounds, int threads) {
  const KernelTable &table = kernels();
  const int64_t items = kItemsPerThread * threads;
  parallel_for(items, threads, [&](int64_t) { table.multiply_add_rounds(rounds, 0.5f, 0.5f); });
  return items * rounds * kLimitChains * table.width;
}

int64_t exponentials(int64_t rounds, int threads) {
  const KernelTable &table = kernels();
  const int64_t items = kItemsPerThread * threads;
  parallel_for(items, threads, [&](int64_t) { table.exponential_rounds(rounds, -1.0f); });
  return items * rounds * kLimitChains * table.width;
}

void double_stream(const float *from, int64_t count, float *to, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = split_rows(1, count, kItemsPerThread * threads);
  parallel_for(static_cast<int64_t>(ranges.size()), threads, [&](int64_t i) {
    const RowRange &range = ranges[i];
    table.scale_stream(from + range.first, range.last - range.first, 2.0f, to + range.first);
  });
}

}  // namespace lightm
