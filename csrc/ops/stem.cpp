#include "ops/stem.h"

#include <algorithm>

#include "ops/instruction_set.h"
#include "ops/run_stage.h"
#include "ops/sum_items.h"
#include "runtime/scratch.h"
#include "runtime/thread_pool.h"

namespace lightm {

// Rows of one item: enough work for a turn, few enough to share out.
constexpr int64_t kStemRows = 16;

namespace {

// prepare(scratch) by each thread, then rows(first, last, scratch) until all are done.
template <class Prepare, class Rows>
void share_rows(const StemShape &shape, int64_t scratch_size, int threads, const Prepare &prepare, const Rows &rows) {
  const int64_t items = (shape.rows() + kStemRows - 1) / kStemRows;
  const int64_t members = std::min<int64_t>(threads, items);
  Scratch scratch(members, scratch_size, kernels().width);
  std::atomic<int64_t> next{0};
  parallel_for(members, static_cast<int>(members), [&](int64_t member) {
    prepare(scratch.of(member));
    for (int64_t i; (i = next.fetch_add(1)) < items;)
      rows(i * kStemRows, std::min((i + 1) * kStemRows, shape.rows()), scratch.of(member));
  });
}

}  // namespace

void stem(const StemShape &shape, const StemInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  share_rows(
      shape, table.stem_scratch(shape), threads, [&](void *scratch) { table.stem_prepare(shape, inputs, scratch); },
      [&](int64_t first, int64_t last, void *scratch) { table.stem_rows(shape, inputs, first, last, out, scratch); });
}

void conv_stem(const StemShape &shape, const ConvStemInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  share_rows(
      shape, table.conv_stem_scratch(shape), threads,
      [&](void *scratch) { table.conv_stem_prepare(shape, inputs, scratch); },
      [&](int64_t first, int64_t last, void *scratch) {
        table.conv_stem_rows(shape, inputs, first, last, out, scratch);
      });
}

void conv_stem_backward(const StemShape &shape, const float *image, const float *grad, float *grad_weight,
                        float *grad_bias, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = fixed_ranges(shape.rows(), std::max<int64_t>(1, 512 / shape.width), 64);
  const ItemSums sums(static_cast<int64_t>(ranges.size()), table.conv_stem_backward_scratch(shape),
                      table.conv_stem_sums_size(shape), threads);
  const Workspace workspace(static_cast<size_t>(sums.memory_floats()) * sizeof(float));
  const float *total = sums.run(workspace.data(), [&](int64_t i, float *own, float *scratch) {
    table.conv_stem_backward_rows(shape, image, grad, ranges[i].first, ranges[i].last, own, scratch);
  });
  table.conv_stem_unpack(shape, total, grad_weight, grad_bias);
}

void norm_stem(const StemShape &image, const NormStemInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  // A 2D image's rows are the stage's depth.
  const NormStemShape shape = {image,
                               {image.batch, image.flat ? image.height : image.depth, image.flat ? 1 : image.height,
                                image.width, image.out_channels, image.out_channels, image.flat}};
  run_stage(
      shape.grid, table.norm_stem_weights_size(shape), table.norm_stem_scratch(shape), threads,
      [&](float *memory) { return table.norm_stem_prepare(shape, inputs, memory); },
      [&](const NormStemWeights &weights, const StageItem &item, float *scratch) {
        table.norm_stem_item(shape, inputs, weights, item, out, scratch);
      });
}

}  // namespace lightm
