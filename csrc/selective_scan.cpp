#include "selective_scan.h"

#include "sharing.h"
#include "thread_pool.h"

namespace lightm {

void scan_forward(const ScanShape &shape, const ScanInputs &inputs, float *out, float *states, int threads) {
  const KernelTable &table = kernels();
  const std::vector<Share> shares = share_out(shape.batch, shape.channels, table.width, threads);
  const int64_t count = static_cast<int64_t>(shares.size());
  Scratch scratch(count, table.forward_scratch(shape, widest(shares)), table.width);
  parallel_for(count, threads,
               [&](int64_t i) { table.forward(shape, inputs, shares[i], out, states, scratch.of(i)); });
}

void scan_backward(const ScanShape &shape, const ScanInputs &inputs, const float *states, Rows grad_out,
                   const ScanGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const std::vector<Share> shares = share_out(shape.batch, shape.channels, table.width, threads);
  const int64_t count = static_cast<int64_t>(shares.size());
  const int64_t parts = shape.batch > 0 ? count / shape.batch : 0;  // per batch entry
  Scratch scratch(count, table.backward_scratch(shape, widest(shares)), table.width);

  const int64_t row = shape.length * shape.state, rates = shape.channels * shape.state;
  std::vector<float> A(shape.batch * rates), D(shape.batch * shape.channels), bias(D.size());
  std::vector<float> B(count * row), C(count * row);
  parallel_for(count, threads, [&](int64_t i) {
    const int64_t b = shares[i].batch;
    const ShareSums sums = {A.data() + b * rates, D.data() + b * shape.channels,
                            bias.data() + b * shape.channels, B.data() + i * row, C.data() + i * row};
    table.backward(shape, inputs, shares[i], states, grad_out, gradients, sums, scratch.of(i));
  });
  parallel_for(shape.batch, threads, [&](int64_t b) {
    sum_parts(B.data() + b * parts * row, parts, row, gradients.B + b * row);
    sum_parts(C.data() + b * parts * row, parts, row, gradients.C + b * row);
  });
  sum_parts(A.data(), shape.batch, rates, gradients.A);
  if (gradients.D) sum_parts(D.data(), shape.batch, shape.channels, gradients.D);
  if (gradients.delta_bias) sum_parts(bias.data(), shape.batch, shape.channels, gradients.delta_bias);
}

}  // namespace lightm
