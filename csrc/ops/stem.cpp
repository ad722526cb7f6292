#include "ops/stem.h"

#include <algorithm>

#include "ops/instruction_set.h"
#include "ops/run_stage.h"
#include "ops/sum_items.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace lightm {

// Rows of one item: enough work for a turn, few enough to share out.
constexpr int64_t kStemRows = 16;

namespace {

int64_t items_of(const StemShape &shape) { return (shape.rows() + kStemRows - 1) / kStemRows; }

// scratch_size: of one thread, in vectors.
int64_t rows_memory(const StemShape &shape, int64_t scratch_size, int threads) {
  constexpr int64_t kAligned = 16;  // floats
  const int64_t floats = (scratch_size * kernels().width + kAligned - 1) / kAligned * kAligned;
  return std::min<int64_t>(threads, items_of(shape)) * floats * int64_t{sizeof(float)};
}

// prepare(scratch) by each thread, then rows(first, last, scratch) until all are done.
template <class Prepare, class Rows>
void share_rows(const StemShape &shape, int64_t scratch_size, void *memory, int threads, const Prepare &prepare,
                const Rows &rows) {
  const int64_t items = items_of(shape), members = std::min<int64_t>(threads, items);
  const Workspace workspace(static_cast<size_t>(rows_memory(shape, scratch_size, threads)), memory);
  const int64_t each = rows_memory(shape, scratch_size, 1) / int64_t{sizeof(float)};
  std::atomic<int64_t> next{0};
  parallel_for(members, static_cast<int>(members), [&](int64_t member) {
    void *scratch = workspace.data() + member * each;
    prepare(scratch);
    for (int64_t i; (i = next.fetch_add(1)) < items;)
      rows(i * kStemRows, std::min((i + 1) * kStemRows, shape.rows()), scratch);
  });
}

// A 2D image's rows are the stage's depth.
NormStemShape norm_stem_shape(const StemShape &image) {
  return {image,
          {image.batch, image.flat ? image.height : image.depth, image.flat ? 1 : image.height, image.width,
           image.out_channels, image.out_channels, image.flat}};
}

StageMemory sizes_of(const NormStemShape &shape) {
  return {kernels().norm_stem_weights_size(shape), kernels().norm_stem_scratch(shape)};
}

}  // namespace

int64_t stem_memory(const StemShape &shape, int threads) {
  return rows_memory(shape, kernels().stem_scratch(shape), threads);
}

int64_t conv_stem_memory(const StemShape &shape, int threads) {
  return rows_memory(shape, kernels().conv_stem_scratch(shape), threads);
}

int64_t norm_stem_memory(const StemShape &image, int threads) {
  const NormStemShape shape = norm_stem_shape(image);
  return stage_bytes(shape.grid, sizes_of(shape), threads);
}

void stem(const StemShape &shape, const StemInputs &inputs, float *out, int threads, void *memory) {
  const KernelTable &table = kernels();
  share_rows(
      shape, table.stem_scratch(shape), memory, threads,
      [&](void *scratch) { table.stem_prepare(shape, inputs, scratch); },
      [&](int64_t first, int64_t last, void *scratch) { table.stem_rows(shape, inputs, first, last, out, scratch); });
}

void conv_stem(const StemShape &shape, const ConvStemInputs &inputs, float *out, int threads, void *memory) {
  const KernelTable &table = kernels();
  share_rows(
      shape, table.conv_stem_scratch(shape), memory, threads,
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

void norm_stem(const StemShape &image, const NormStemInputs &inputs, float *out, int threads, void *memory) {
  const KernelTable &table = kernels();
  const NormStemShape shape = norm_stem_shape(image);
  run_stage(
      shape.grid, sizes_of(shape), memory, threads,
      [&](float *memory) { return table.norm_stem_prepare(shape, inputs, memory); },
      [&](const NormStemWeights &weights, const StageItem &item, float *scratch) {
        table.norm_stem_item(shape, inputs, weights, item, out, scratch);
      });
}

}  // namespace lightm
