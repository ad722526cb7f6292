// How the items of a stage on a grid are shared out. Not for kernels: it uses the standard library.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "ops/grid_stage.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace lightm {

// Blocks of rows first; then slabs of depth, until every thread has a few items, or on a small grid at
// least one.
inline std::vector<StageItem> stage_items(const GridShape &s, int threads) {
  const int64_t blocks = (s.height + kBlockRows - 1) / kBlockRows;
  const auto slabs_for = [&](int64_t count) { return (count + s.batch * blocks - 1) / (s.batch * blocks); };
  const int64_t slabs =
      std::max<int64_t>({1, std::min(slabs_for(4 * threads), s.depth / 8), std::min(slabs_for(threads), s.depth / 2)});
  std::vector<StageItem> items;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t slab = 0; slab < slabs; ++slab)
      for (int64_t block = 0; block < blocks; ++block)
        items.push_back({b, s.depth * slab / slabs, s.depth * (slab + 1) / slabs, block * kBlockRows,
                         std::min((block + 1) * kBlockRows, s.height)});
  return items;
}

// prepare(memory) once, on `weights_floats` floats; then item(what, item, scratch) for every item, `what`
// being what prepare gave, and scratch `scratch_floats` floats that one thread's items share.
template <class Prepare, class Item>
void run_stage(const GridShape &shape, int64_t weights_floats, int64_t scratch_floats, int threads,
               const Prepare &prepare, const Item &item) {
  const auto rounded = [](int64_t floats) { return (floats + 15) / 16 * 16; };
  const std::vector<StageItem> items = stage_items(shape, threads);
  const int64_t count = static_cast<int64_t>(items.size());
  const int64_t members = std::min<int64_t>(threads, count);
  const int64_t shared = rounded(weights_floats), each = rounded(scratch_floats);
  Workspace workspace(static_cast<size_t>(shared + members * each) * sizeof(float));
  const auto prepared = prepare(workspace.data());
  std::atomic<int64_t> next{0};
  parallel_for(members, static_cast<int>(members), [&](int64_t member) {
    float *scratch = workspace.data() + shared + member * each;
    for (int64_t i; (i = next.fetch_add(1)) < count;) item(prepared, items[i], scratch);
  });
}

}  // namespace lightm
