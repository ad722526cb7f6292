#include "ops/norm_stage.h"

#include <algorithm>
#include <vector>

#include "ops/instruction_set.h"
#include "ops/sum_items.h"
#include "runtime/workspace.h"

namespace lightm {
namespace {

// Tokens whose moments are found together, twice read: they should stay in the second-level cache.
std::vector<RowRange> moment_ranges(const NormShape &s) {
  const int64_t tokens = std::clamp<int64_t>(32768 / s.channels, 64, 2048);
  return split_rows(1, s.tokens, (s.tokens + tokens - 1) / tokens);
}

// Enough of them for many threads, and long enough that sums over them cost little.
std::vector<RowRange> token_ranges(const NormShape &s) { return fixed_ranges(s.tokens, 256, 64); }

// A row of a number for each channel, in whole vectors.
int64_t channel_row(const NormShape &s) {
  const int64_t width = kernels().width;
  return (s.channels + width - 1) / width * width;
}

int64_t statistics_memory(const NormShape &s) {
  return static_cast<int64_t>(moment_ranges(s).size()) * 3 * channel_row(s) * int64_t{sizeof(float)};
}

ItemSums items_of(const NormShape &s, int threads) {
  return ItemSums(static_cast<int64_t>(token_ranges(s).size()), kernels().norm_scratch(s), 0, threads);
}

int64_t weights_floats_of(const NormShape &s) { return (kernels().norm_weights_size(s) + 15) / 16 * 16; }

int64_t tokens_memory(const NormShape &s, int threads) {
  return (weights_floats_of(s) + items_of(s, threads).memory_floats()) * int64_t{sizeof(float)};
}

void find_statistics(const NormShape &s, const float *x, const NormStatistics &statistics, int threads, void *memory) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = moment_ranges(s);
  const int64_t count = static_cast<int64_t>(ranges.size()), row = channel_row(s);
  const Workspace workspace(static_cast<size_t>(statistics_memory(s)), memory);
  const auto moments = [&](int64_t i) { return workspace.data() + 3 * i * row; };
  parallel_for(count, threads, [&](int64_t i) {
    float *at = moments(i);
    table.norm_moments(s, x, ranges[i].first, ranges[i].last, at, at + row, at + 2 * row);
  });
  // Chan's rule: two parts' moments become those of both.
  for (int64_t c = 0; c < s.channels; ++c) {
    double tokens = 0, mean = 0, squares = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double more = static_cast<double>(ranges[i].last - ranges[i].first), all = tokens + more;
      const double rest = moments(i)[row + c] / more, apart = moments(i)[c] + rest - mean;
      squares += moments(i)[2 * row + c] - rest * rest * more + apart * apart * (tokens / all * more);
      mean += apart * (more / all);
      tokens = all;
    }
    statistics.mean[c] = static_cast<float>(mean);
    statistics.variance[c] = static_cast<float>(std::max(squares, 0.0) / tokens);
  }
}

}  // namespace

int64_t norm_stage_memory(const NormShape &shape, int threads) {
  return std::max(statistics_memory(shape), tokens_memory(shape, threads));
}

void norm_stage(const NormShape &shape, const NormInputs &inputs, const NormStatistics &statistics, float *out,
                int threads, void *memory) {
  const KernelTable &table = kernels();
  if (inputs.weight) find_statistics(shape, inputs.x, statistics, threads, memory);
  const std::vector<RowRange> ranges = token_ranges(shape);
  const Workspace workspace(static_cast<size_t>(tokens_memory(shape, threads)), memory);
  const NormWeights weights = table.norm_prepare(shape, inputs, statistics, workspace.data());
  items_of(shape, threads).run(workspace.data() + weights_floats_of(shape), [&](int64_t i, float *, float *scratch) {
    table.norm_tokens_forward(shape, inputs, weights, ranges[i].first, ranges[i].last, out, scratch);
  });
}

void norm_stage_backward(const NormShape &shape, const NormInputs &inputs, const NormStatistics &statistics,
                         const float *grad, const NormGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = token_ranges(shape);
  const int64_t count = static_cast<int64_t>(ranges.size());
  const int64_t weights_floats = weights_floats_of(shape);
  const ItemSums sums(count, table.norm_scratch(shape), table.norm_sums_size(shape), threads);
  const Workspace workspace(static_cast<size_t>(weights_floats + sums.memory_floats()) * sizeof(float));
  const NormWeights weights = table.norm_prepare(shape, inputs, statistics, workspace.data());
  const float *total = sums.run(workspace.data() + weights_floats, [&](int64_t i, float *own, float *scratch) {
    table.norm_tokens_backward(shape, inputs, weights, grad, ranges[i].first, ranges[i].last, gradients, own, scratch);
  });
  table.norm_unpack(shape, total, gradients);
  if (inputs.weight && gradients.x)
    parallel_for(count, threads, [&](int64_t i) {
      table.norm_tokens_centre(shape, inputs, weights, total, ranges[i].first, ranges[i].last, gradients.x);
    });
}

}  // namespace lightm
