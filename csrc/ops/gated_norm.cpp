#include "ops/gated_norm.h"

#include <algorithm>
#include <vector>

#include "ops/sharing.h"
#include "runtime/thread_pool.h"

namespace lightm {
namespace {

// Every batch entry's steps in about `wanted` equal ranges.
std::vector<RowRange> ranges_of(const GatedNormShape &s, int64_t wanted) {
  const int64_t parts = std::max<int64_t>(1, std::min(s.length, (wanted + s.batch - 1) / s.batch));
  std::vector<RowRange> ranges;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t p = 0; p < parts; ++p) ranges.push_back({b, s.length * p / parts, s.length * (p + 1) / parts});
  return ranges;
}

}  // namespace

void gated_norm_forward(const GatedNormShape &shape, const GatedNormInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = ranges_of(shape, threads);
  parallel_for(static_cast<int64_t>(ranges.size()), threads,
               [&](int64_t i) { table.gated_norm_forward(shape, inputs, ranges[i], out); });
}

void gated_norm_backward(const GatedNormShape &shape, const GatedNormInputs &inputs, Rows grad_out,
                         const GatedNormGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = ranges_of(shape, threads);
  const int64_t count = static_cast<int64_t>(ranges.size()), c = shape.channels;
  std::vector<float> weight(count * c), bias(count * c);
  Scratch scratch(count, table.gated_norm_scratch(shape), table.width);
  parallel_for(count, threads, [&](int64_t i) {
    const GatedNormGradients own = {gradients.x, gradients.gate, weight.data() + i * c, bias.data() + i * c};
    table.gated_norm_backward(shape, inputs, ranges[i], grad_out, own, scratch.of(i));
  });
  sum_parts(weight.data(), count, c, gradients.weight);
  sum_parts(bias.data(), count, c, gradients.bias);
}

}  // namespace lightm
