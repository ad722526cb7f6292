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

// What a stage works in, in floats: its weights, and scratch space that one thread's items share.
struct StageMemory {
  int64_t weights, scratch;

  int64_t bytes(int64_t members) const {
    return (rounded(weights) + members * rounded(scratch)) * int64_t{sizeof(float)};
  }
  static int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }
};

// As run_stage needs it.
inline int64_t stage_bytes(const GridShape &shape, const StageMemory &sizes, int threads) {
  return sizes.bytes(std::min<int64_t>(threads, static_cast<int64_t>(stage_items(shape, threads).size())));
}

// prepare(weights) once; then item(what, item, scratch) for every item, `what` being what prepare gave. memory:
// stage_bytes, or nullptr for the kept Workspace.
template <class Prepare, class Item>
void run_stage(const GridShape &shape, const StageMemory &sizes, void *memory, int threads, const Prepare &prepare,
               const Item &item) {
  const std::vector<StageItem> items = stage_items(shape, threads);
  const int64_t count = static_cast<int64_t>(items.size());
  const int64_t members = std::min<int64_t>(threads, count);
  Workspace workspace(static_cast<size_t>(sizes.bytes(members)), memory);
  const auto prepared = prepare(workspace.data());
  std::atomic<int64_t> next{0};
  parallel_for(members, static_cast<int>(members), [&](int64_t member) {
    float *scratch = workspace.data() + sizes.rounded(sizes.weights) + member * sizes.rounded(sizes.scratch);
    for (int64_t i; (i = next.fetch_add(1)) < count;) item(prepared, items[i], scratch);
  });
}

}  // namespace lightm
