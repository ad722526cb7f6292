#include "stem.h"

#include <algorithm>

#include "sharing.h"
#include "thread_pool.h"

namespace lightm {

// Rows of one item: enough work for a turn, few enough to share out.
constexpr int64_t kStemRows = 16;

void stem(const StemShape &shape, const StemInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  const int64_t items = (shape.rows() + kStemRows - 1) / kStemRows;
  const int64_t members = std::min<int64_t>(threads, items);
  Scratch scratch(members, table.stem_scratch(shape), table.width);
  std::atomic<int64_t> next{0};
  parallel_for(members, static_cast<int>(members), [&](int64_t member) {
    table.stem_prepare(shape, inputs, scratch.of(member));
    for (int64_t i; (i = next.fetch_add(1)) < items;)
      table.stem_rows(shape, inputs, i * kStemRows, std::min((i + 1) * kStemRows, shape.rows()), out,
                      scratch.of(member));
  });
}

}  // namespace lightm
