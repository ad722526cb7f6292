#include "ops/causal_conv.h"

#include "ops/instruction_set.h"
#include "runtime/scratch.h"
#include "runtime/thread_pool.h"
#include "runtime/work_split.h"

namespace lightm {

void conv_forward(const ConvShape &shape, const ConvInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  const std::vector<Share> shares = split_channels(shape.batch, shape.channels, table.width, threads);
  const int64_t count = static_cast<int64_t>(shares.size());
  Scratch scratch(count, table.conv_forward_scratch(shape, widest(shares)), table.width);
  parallel_for(count, threads, [&](int64_t i) { table.conv_forward(shape, inputs, shares[i], out, scratch.of(i)); });
}

void conv_backward(const ConvShape &shape, const ConvInputs &inputs, Rows grad_out, float *grad_x, float *grad_weight,
                   float *grad_bias, int threads) {
  const KernelTable &table = kernels();
  const std::vector<Share> shares = split_channels(shape.batch, shape.channels, table.width, threads);
  const int64_t count = static_cast<int64_t>(shares.size());
  Scratch scratch(count, table.conv_backward_scratch(shape, widest(shares)), table.width);
  const int64_t weights = shape.channels * shape.width;
  std::vector<float> weight(shape.batch * weights), bias(shape.batch * shape.channels);
  parallel_for(count, threads, [&](int64_t i) {
    const int64_t b = shares[i].batch;
    const ConvSums sums = {weight.data() + b * weights, bias.data() + b * shape.channels};
    table.conv_backward(shape, inputs, shares[i], grad_out, grad_x, sums, scratch.of(i));
  });
  sum_parts(weight.data(), shape.batch, weights, grad_weight);
  sum_parts(bias.data(), shape.batch, shape.channels, grad_bias);
}

}  // namespace lightm
