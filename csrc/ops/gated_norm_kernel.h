// LayerNorm times SiLU of a gate, for the instruction set that this file is compiled for.
#pragma once

#include "ops/channel_blocks.h"
#include "ops/gated_norm.h"
#include "ops/layer_norm_kernel.h"

namespace {

using lightm::GatedNormGradients;
using lightm::GatedNormInputs;
using lightm::GatedNormShape;
using lightm::RowRange;

void gated_norm_forward_rows(const GatedNormShape &s, const GatedNormInputs &in, const RowRange &range,
                             float *out_all) {
  for (int64_t t = range.first; t < range.last; ++t) {
    const float *x = in.x.at(range.batch, t), *gates = in.gate.at(range.batch, t);
    float *out = out_all + (range.batch * s.length + t) * s.channels;
    const auto get = [&](int, int64_t v) { return load_part(x + v * kWidth, lanes_at(s.channels, v)); };
    const Moments<1> row = moments_of_rows<1>(0, s.channels, in.epsilon, get);
    for (int64_t v = 0; v < vectors(s.channels); ++v) {
      const int lanes = lanes_at(s.channels, v);
      const vf gate = load_part(gates + v * kWidth, lanes);
      const vf normed = (get(0, v) - row.mean[0]) * row.factor[0] * load_part(in.weight + v * kWidth, lanes) +
                        load_part(in.bias + v * kWidth, lanes);
      store_part(out + v * kWidth, normed * gate * sigmoid(gate), lanes);
    }
  }
}

// Vectors for the sums over rows, and for the gradient of n in one row.
int64_t gated_norm_scratch(const GatedNormShape &s) { return 3 * vectors(s.channels); }

// With k the gradient of n, that of x is factor * (k - mean(k) - n mean(k n)).
void gated_norm_backward_rows(const GatedNormShape &s, const GatedNormInputs &in, const RowRange &range,
                              const Rows &grad_out, const GatedNormGradients &grads, void *scratch) {
  const int64_t count = vectors(s.channels);
  vf *weight_sums = static_cast<vf *>(scratch), *bias_sums = weight_sums + count, *k = bias_sums + count;
  for (int64_t v = 0; v < count; ++v) weight_sums[v] = bias_sums[v] = vf{};
  for (int64_t t = range.first; t < range.last; ++t) {
    const float *x = in.x.at(range.batch, t), *gates = in.gate.at(range.batch, t);
    const float *grad = grad_out.at(range.batch, t);
    const int64_t place = (range.batch * s.length + t) * s.channels;
    const auto get = [&](int, int64_t v) { return load_part(x + v * kWidth, lanes_at(s.channels, v)); };
    const Moments<1> row = moments_of_rows<1>(0, s.channels, in.epsilon, get);
    vf sum{}, sum_n{};
    for (int64_t v = 0; v < count; ++v) {
      const int lanes = lanes_at(s.channels, v);
      const vf gate = load_part(gates + v * kWidth, lanes), open = sigmoid(gate);
      const vf n = (get(0, v) - row.mean[0]) * row.factor[0], weight = load_part(in.weight + v * kWidth, lanes);
      const vf into_out = load_part(grad + v * kWidth, lanes);
      const vf into_normed = into_out * gate * open;
      const vf normed = n * weight + load_part(in.bias + v * kWidth, lanes);
      store_part(grads.gate + place + v * kWidth, into_out * normed * open * (1.0f + gate * (1.0f - open)), lanes);
      weight_sums[v] += into_normed * n;
      bias_sums[v] += into_normed;
      k[v] = into_normed * weight;
      sum += k[v];
      sum_n += k[v] * n;
    }
    const float mean_k = lane_sum(sum) / static_cast<float>(s.channels);
    const float mean_kn = lane_sum(sum_n) / static_cast<float>(s.channels);
    for (int64_t v = 0; v < count; ++v) {
      const vf n = (get(0, v) - row.mean[0]) * row.factor[0];
      store_part(grads.x + place + v * kWidth, row.factor[0] * (k[v] - mean_k - n * mean_kn), lanes_at(s.channels, v));
    }
  }
  for (int64_t v = 0; v < count; ++v) {
    store_part(grads.weight + v * kWidth, weight_sums[v], lanes_at(s.channels, v));
    store_part(grads.bias + v * kWidth, bias_sums[v], lanes_at(s.channels, v));
  }
}

}  // namespace
