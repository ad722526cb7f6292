#include "ops/mix_stage.h"

#include <algorithm>
#include <vector>

#include "ops/instruction_set.h"
#include "ops/sum_items.h"
#include "runtime/workspace.h"

namespace lightm {
namespace {

// Two rings of three planes of a block's rows should stay in the second-level cache.
constexpr int64_t kRingFloats = 144 * 1024;

int64_t block_rows(const GridShape &s) {
  const int64_t row = (s.width + 2) * ((s.channels + 15) / 16 * 16);
  const int64_t rows = std::clamp<int64_t>(kRingFloats / (6 * row) - 2, 4, 32);
  const int64_t blocks = (s.height + rows - 1) / rows;
  return (s.height + blocks - 1) / blocks;
}

// Blocks of rows, and slabs of depth until there is work for some threads: always the same, since the sums
// depend on them. A slab computes one plane more on both sides, so thin ones are for small grids only.
std::vector<StageItem> mix_items(const GridShape &s) {
  constexpr int64_t kWanted = 32;
  const int64_t rows = block_rows(s), blocks = (s.height + rows - 1) / rows;
  const int64_t most = std::max(s.depth / 8, std::min<int64_t>(4, s.depth / 4));
  const int64_t slabs = std::clamp<int64_t>(kWanted / (s.batch * blocks), 1, std::max<int64_t>(1, most));
  std::vector<StageItem> items;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t slab = 0; slab < slabs; ++slab)
      for (int64_t block = 0; block < blocks; ++block)
        items.push_back({b, s.depth * slab / slabs, s.depth * (slab + 1) / slabs, block * rows,
                         std::min((block + 1) * rows, s.height)});
  return items;
}

}  // namespace

void mix_stage_backward(const DecoderShape &shape, const DecoderInputs &inputs, const float *grad,
                        const MixGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const GridShape &grid = shape.grid;
  const std::vector<StageItem> items = mix_items(grid);
  const int64_t weights_floats = (table.mix_weights_size(grid) + 15) / 16 * 16;
  const ItemSums sums(static_cast<int64_t>(items.size()), table.mix_scratch(grid, block_rows(grid)),
                      gradients.pointwise ? table.mix_sums_size(grid) : 0, threads);
  const int64_t low_rows = grid.batch * (grid.depth / 2) * (grid.flat ? 1 : grid.height / 2);
  const std::vector<RowRange> ranges = fixed_ranges(low_rows, 1, 64);
  const ItemSums gather(static_cast<int64_t>(ranges.size()), table.mix_low_scratch(grid), 0, threads);
  Workspace workspace(static_cast<size_t>(std::max(weights_floats + sums.memory_floats(), gather.memory_floats())) *
                      sizeof(float));
  const MixWeights weights = table.mix_prepare(grid, inputs.stage, workspace.data());
  const float *total = sums.run(workspace.data() + weights_floats, [&](int64_t i, float *own, float *scratch) {
    table.mix_item(shape, inputs, weights, items[i], grad, gradients, own, scratch);
  });
  if (gradients.pointwise) table.mix_unpack(grid, total, gradients);
  if (gradients.low)
    gather.run(workspace.data(), [&](int64_t i, float *, float *scratch) {
      table.mix_low_rows(grid, gradients.skip, ranges[i].first, ranges[i].last, gradients.low, scratch);
    });
}

}  // namespace lightm
