#include "ops/selective_scan.h"

#include <algorithm>
#include <cmath>

#include "ops/instruction_set.h"
#include "runtime/scratch.h"
#include "runtime/thread_pool.h"
#include "runtime/work_split.h"
#include "runtime/workspace.h"

namespace lightm {

// Segments of the length are at least so many intervals long, to be worth a thread.
constexpr int64_t kSegmentIntervals = 8;

namespace {

// More threads than blocks of channels: the length is cut too. Every segment starts from zero, then the
// states between segments are found in order, and added to what the segments have written.
void scan_forward_in_segments(const ScanShape &shape, const ScanInputs &inputs, const std::vector<Share> &shares,
                              int64_t wanted, float *out, float *states, int threads) {
  const KernelTable &table = kernels();
  const int64_t count = static_cast<int64_t>(shares.size()), state_size = shape.state * shape.channels;
  const int64_t intervals = (shape.intervals() + wanted - 1) / wanted;  // of one segment
  const int64_t segments = (shape.intervals() + intervals - 1) / intervals;
  std::vector<float> ends(shape.batch * segments * state_size), before(ends.size());
  std::vector<float> step_sums(shape.batch * segments * shape.channels);
  const auto segment_of = [&](int64_t b, int64_t p) {
    return Segment{p * intervals * kStateInterval, std::min((p + 1) * intervals * kStateInterval, shape.length),
                   ends.data() + (b * segments + p) * state_size,
                   step_sums.data() + (b * segments + p) * shape.channels};
  };
  Scratch scratch(count * segments, table.forward_scratch(shape, widest(shares)), table.width);
  parallel_for(count * segments, threads, [&](int64_t i) {
    const Share &share = shares[i / segments];
    table.forward(shape, inputs, share, segment_of(share.batch, i % segments), out, states, scratch.of(i));
  });
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t p = 1; p < segments; ++p) {
      const Segment last = segment_of(b, p - 1);
      const float *start = before.data() + (b * segments + p - 1) * state_size;
      float *next = before.data() + (b * segments + p) * state_size;
      for (int64_t n = 0; n < shape.state; ++n)
        for (int64_t c = 0; c < shape.channels; ++c)
          next[n * shape.channels + c] =
              std::exp(inputs.A[c * shape.state + n] * last.step_sums[c]) * start[n * shape.channels + c] +
              last.end[n * shape.channels + c];
    }
  }
  parallel_for(count * (segments - 1), threads, [&](int64_t i) {
    const Share &share = shares[i / (segments - 1)];
    const int64_t p = i % (segments - 1) + 1;
    table.forward_correct(shape, inputs, share, segment_of(share.batch, p),
                          before.data() + (share.batch * segments + p) * state_size, out, states, scratch.of(i));
  });
}

}  // namespace

void scan_forward(const ScanShape &shape, const ScanInputs &inputs, float *out, float *states, int threads) {
  const KernelTable &table = kernels();
  const std::vector<Share> shares = split_channels(shape.batch, shape.channels, table.width, threads);
  const int64_t count = static_cast<int64_t>(shares.size());
  // Two segments would at worst be twice the work for half the time.
  const int64_t segments = std::min<int64_t>(threads / count, shape.intervals() / kSegmentIntervals);
  if (segments > 1) return scan_forward_in_segments(shape, inputs, shares, segments, out, states, threads);
  Scratch scratch(count, table.forward_scratch(shape, widest(shares)), table.width);
  parallel_for(count, threads, [&](int64_t i) {
    table.forward(shape, inputs, shares[i], {0, shape.length}, out, states, scratch.of(i));
  });
}

void scan_backward(const ScanShape &shape, const ScanInputs &inputs, const float *states, Rows grad_out,
                   const ScanGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const std::vector<Share> shares = split_channels(shape.batch, shape.channels, table.width, threads);
  const int64_t count = static_cast<int64_t>(shares.size());
  const int64_t parts = shape.batch > 0 ? count / shape.batch : 0;  // per batch entry
  Scratch scratch(count, table.backward_scratch(shape, widest(shares)), table.width);

  // The gradients of B and C are sums over channels. The first share of a batch entry writes its own
  // where they belong, the others beside each other in working memory.
  const int64_t row = shape.length * shape.state, rates = shape.channels * shape.state;
  std::vector<float> A(shape.batch * rates), D(shape.batch * shape.channels), bias(D.size());
  Workspace others(2 * shape.batch * (parts - 1) * row * sizeof(float));
  const auto sums_of = [&](int64_t b, int64_t part) {
    ShareSums sums = {A.data() + b * rates, D.data() + b * shape.channels, bias.data() + b * shape.channels,
                      gradients.B + b * row, gradients.C + b * row};
    if (part > 0) {
      sums.B = others.data() + 2 * (b * (parts - 1) + part - 1) * row;
      sums.C = sums.B + row;
    }
    return sums;
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
