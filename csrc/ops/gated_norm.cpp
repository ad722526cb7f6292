#include "ops/gated_norm.h"

#include <vector>

#include "ops/instruction_set.h"
#include "runtime/scratch.h"
#include "runtime/thread_pool.h"
#include "runtime/work_split.h"

namespace lightm {

void gated_norm_forward(const GatedNormShape &shape, const GatedNormInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = split_rows(shape.batch, shape.length, threads);
  parallel_for(static_cast<int64_t>(ranges.size()), threads,
               [&](int64_t i) { table.gated_norm_forward(shape, inputs, ranges[i], out); });
}

void gated_norm_backward(const GatedNormShape &shape, const GatedNormInputs &inputs, Rows grad_out,
                         const GatedNormGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const std::vector<RowRange> ranges = split_rows(shape.batch, shape.length, threads);
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
