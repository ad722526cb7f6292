#include "selective_scan.h"

#include "sharing.h"
#include "thread_pool.h"
#include "workspace.h"

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

  // The gradients of B and C are sums over channels. The first share of a batch entry writes its own
  // where they belong, the others beside each other in working memory.
  const int64_t row = shape.length * shape.state, rates = shape.channels * shape.state;
  std::vector<float> A(shape.batch * rates), D(shape.batch * shape.channels), bias(D.size());
  Workspace others(2 * shape.batch * (parts - 1) * row * sizeof(float));
  const auto sums_of = [&](int64_t b, int64_t part) {
    float *beside = others.data() + 2 * (b * (parts - 1) + part - 1) * row;
    return ShareSums{A.data() + b * rates, D.data() + b * shape.channels, bias.data() + b * shape.channels,
                     part == 0 ? gradients.B + b * row : beside, part == 0 ? gradients.C + b * row : beside + row};
  };
  parallel_for(count, threads, [&](int64_t i) {
    const int64_t b = shares[i].batch;
    table.backward(shape, inputs, shares[i], states, grad_out, gradients, sums_of(b, i - b * parts), scratch.of(i));
  });
  const int64_t slices = parts > 1 ? threads : 0;
  parallel_for(shape.batch * slices, threads, [&](int64_t i) {
    const int64_t b = i / slices, first = i % slices * row / slices, last = (i % slices + 1) * row / slices;
    const ShareSums sum = sums_of(b, 0);
    for (int64_t part = 1; part < parts; ++part) {
      const ShareSums other = sums_of(b, part);
      for (int64_t k = first; k < last; ++k) sum.B[k] += other.B[k], sum.C[k] += other.C[k];
    }
  });
  sum_parts(A.data(), shape.batch, rates, gradients.A);
  if (gradients.D) sum_parts(D.data(), shape.batch, shape.channels, gradients.D);
  if (gradients.delta_bias) sum_parts(bias.data(), shape.batch, shape.channels, gradients.delta_bias);
}

}  // namespace lightm
