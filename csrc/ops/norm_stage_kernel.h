// Ranges of tokens of a norm, its activation and the product behind them, forward and backward.
#pragma once

#include "ops/grid_stage_kernel.h"
#include "ops/norm_stage.h"
#include "ops/outer_product_kernel.h"

namespace {

using lightm::NormGradients;
using lightm::NormInputs;
using lightm::NormShape;
using lightm::NormStatistics;
using lightm::NormWeights;

// Tokens that go through all steps together, in the first-level cache.
constexpr int kNormTile = 32;

// sum(token) over `count` tokens; four chains of additions, for their latency and their rounding.
template <class Get>
LIGHTM_INLINE vf sum_tokens(int64_t count, const Get &get) {
  vf sum[4] = {};
  int64_t t = 0;
  for (; t + 4 <= count; t += 4)
    for (int k = 0; k < 4; ++k) sum[k] += get(t + k);
  for (; t < count; ++t) sum[0] += get(t);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Of tokens [first, last), for each channel: a mean, and the sums of the deviations from it and of their
// squares; padded(channels) of each. In two passes over tokens that should lie in cache: squares alone would
// cancel where the mean is far from zero. The sum of the deviations is what the mean's rounding leaves.
void norm_moments(const NormShape &s, const float *x, int64_t first, int64_t last, float *means, float *deviations,
                  float *squares) {
  const int64_t count = last - first;
  const float share = 1.0f / static_cast<float>(count);
  for (int64_t v = 0; v < vectors(s.channels); ++v) {
    const int lanes = lanes_at(s.channels, v);
    const float *from = x + first * s.channels + v * kWidth;
    const auto at = [&](int64_t t) { return load_part(from + t * s.channels, lanes); };
    const vf mean = sum_tokens(count, at) * share;
    // In parts, so that what is small is not lost against a large sum.
    vf deviation{}, square{};
    for (int64_t t0 = 0; t0 < count; t0 += kNormTile) {
      const int64_t part = count - t0 < kNormTile ? count - t0 : kNormTile;
      vf part_square{};
      deviation += sum_tokens(part, [&](int64_t t) {
        const vf centred = at(t0 + t) - mean;
        part_square += centred * centred;
        return centred;
      });
      square += part_square;
    }
    store(means + v * kWidth, mean);
    store(deviations + v * kWidth, deviation);
    store(squares + v * kWidth, square);
  }
}

int64_t norm_weights_size(const NormShape &s) {
  const int64_t c = padded(s.channels);
  return 4 * c + packed_size(s.out_channels, s.channels) + padded(s.out_channels) +
         packed_size(s.channels, s.out_channels);
}

NormWeights norm_prepare(const NormShape &s, const NormInputs &in, const NormStatistics &statistics, float *memory) {
  const int64_t c = padded(s.channels);
  NormWeights w = {};
  if (in.weight) {
    w.mean = memory, memory += c;
    w.factor = memory, memory += c;
    w.reciprocal = memory, memory += c;
    w.bias = memory, memory += c;
    pad_to_vectors(statistics.mean, s.channels, w.mean);
    pad_to_vectors(in.bias, s.channels, w.bias);
    for (int64_t i = 0; i < c; ++i) {
      const bool there = i < s.channels;
      w.reciprocal[i] = there ? 1.0f / __builtin_sqrtf(statistics.variance[i] + in.epsilon) : 0.0f;
      w.factor[i] = there ? w.reciprocal[i] * in.weight[i] : 0.0f;
    }
  }
  if (in.last) {
    w.last = memory, memory += packed_size(s.out_channels, s.channels);
    w.last_transposed = memory, memory += packed_size(s.channels, s.out_channels);
    w.last_bias = memory;
    pack(in.last, s.out_channels, s.channels, w.last);
    pack_transposed(in.last, s.out_channels, s.channels, w.last_transposed);
    pad_to_vectors(in.last_bias, s.out_channels, w.last_bias);
  }
  return w;
}

// Floats: a tile's activations and their gradients.
int64_t norm_scratch(const NormShape &s) { return 2 * kNormTile * padded(s.channels); }

// put(token, y) for a vector of channels of tokens [0, count).
template <class Put>
LIGHTM_INLINE void norm_tokens(const NormShape &s, const NormWeights &w, const float *x, int64_t v, int count,
                               const Put &put) {
  const int lanes = lanes_at(s.channels, v);
  const float *from = x + v * kWidth;
  if (!w.factor) {
    for (int t = 0; t < count; ++t) put(t, load_part(from + t * s.channels, lanes));
    return;
  }
  const vf mean = load(w.mean + v * kWidth), factor = load(w.factor + v * kWidth), bias = load(w.bias + v * kWidth);
  for (int t = 0; t < count; ++t) put(t, (load_part(from + t * s.channels, lanes) - mean) * factor + bias);
}

// Tokens [first, last).
void norm_tokens_forward(const NormShape &s, const NormInputs &in, const NormWeights &w, int64_t first, int64_t last,
                         float *out, float *scratch) {
  const int64_t c = padded(s.channels), o = s.out_channels;
  for (int64_t t0 = first; t0 < last; t0 += kNormTile) {
    const int count = static_cast<int>(last - t0 < kNormTile ? last - t0 : kNormTile);
    float *to = in.last ? scratch : out + t0 * o;
    const int64_t stride = in.last ? c : o;
    for (int64_t v = 0; v < vectors(s.channels); ++v) {
      const int lanes = lanes_at(s.channels, v);
      norm_tokens(s, w, in.x + t0 * s.channels, v, count,
                  [&](int t, vf y) { store_part(to + t * stride + v * kWidth, leaky(y, in.slope), lanes); });
    }
    if (in.last) multiply_with_bias(scratch, c, count, s.channels, w.last, o, w.last_bias, out + t0 * o, o);
  }
}

// Where the sums over tokens lie, in floats: of the norm's bias and weight, of the last product and its bias.
struct NormSums {
  int64_t bias, weight, last, last_bias, size;
};
inline NormSums norm_sums(const NormShape &s) {
  const int64_t c = padded(s.channels);
  NormSums at;
  at.bias = 0;
  at.weight = at.bias + c;
  at.last = at.weight + c;
  at.last_bias = at.last + s.out_channels * c;
  at.size = at.last_bias + padded(s.out_channels);
  return at;
}
int64_t norm_sums_size(const NormShape &s) { return norm_sums(s).size; }

// Tokens [first, last): the gradient of Y, which without a norm is that of x, into grad_x where it is not
// nullptr; and adds to the sums. wanted: as the caller has it.
void norm_tokens_backward(const NormShape &s, const NormInputs &in, const NormWeights &w, const float *grad_out,
                          int64_t first, int64_t last, const NormGradients &wanted, float *sums, float *scratch) {
  const NormSums at = norm_sums(s);
  const int64_t c = padded(s.channels), o = s.out_channels;
  float *activated = scratch, *into_activated = scratch + kNormTile * c;
  for (int64_t t0 = first; t0 < last; t0 += kNormTile) {
    const int count = static_cast<int>(last - t0 < kNormTile ? last - t0 : kNormTile);
    const float *x = in.x + t0 * s.channels, *grad = grad_out + t0 * o;
    if (in.last) multiply_into(grad, o, count, o, w.last_transposed, s.channels, into_activated, c);
    for (int64_t v = 0; v < vectors(s.channels); ++v) {
      const int lanes = lanes_at(s.channels, v);
      vf bias{}, weight{};
      const vf mean = w.factor ? load(w.mean + v * kWidth) : vf{};
      norm_tokens(s, w, x, v, count, [&](int t, vf y) {
        const vf g = in.last ? load(into_activated + t * c + v * kWidth) : load_part(grad + t * o + v * kWidth, lanes);
        const vf into_y = y <= 0.0f ? in.slope * g : g;  // where y is NaN, g, as torch's ReLU does
        if (in.last) store(activated + t * c + v * kWidth, leaky(y, in.slope));
        if (wanted.x) store_part(wanted.x + (t0 + t) * s.channels + v * kWidth, into_y, lanes);
        if (w.factor) bias += into_y, weight += into_y * (load_part(x + t * s.channels + v * kWidth, lanes) - mean);
      });
      if (w.factor) {
        float *sum = sums + v * kWidth;
        store(sum + at.bias, load(sum + at.bias) + bias);
        store(sum + at.weight, load(sum + at.weight) + weight * load(w.reciprocal + v * kWidth));
      }
    }
    if (wanted.last) add_outer(grad, o, o, activated, c, c, count, sums + at.last, c);
    if (wanted.last_bias)
      for (int64_t v = 0; v < vectors(o); ++v) {
        vf sum = load(sums + at.last_bias + v * kWidth);
        for (int t = 0; t < count; ++t) sum += load_part(grad + t * o + v * kWidth, lanes_at(o, v));
        store(sums + at.last_bias + v * kWidth, sum);
      }
  }
}

// Tokens [first, last): from the gradient of Y to that of x, in place, given the sums over all tokens.
void norm_tokens_centre(const NormShape &s, const NormInputs &in, const NormWeights &w, const float *sums,
                        int64_t first, int64_t last, float *grad) {
  const NormSums at = norm_sums(s);
  const float share = 1.0f / static_cast<float>(s.tokens);
  for (int64_t t0 = first; t0 < last; t0 += kNormTile) {
    const int64_t end = last - t0 < kNormTile ? last : t0 + kNormTile;
    for (int64_t v = 0; v < vectors(s.channels); ++v) {
      const int lanes = lanes_at(s.channels, v);
      const vf mean = load(w.mean + v * kWidth), factor = load(w.factor + v * kWidth);
      const vf mean_grad = load(sums + at.bias + v * kWidth) * share;
      const vf slope = load(sums + at.weight + v * kWidth) * share * load(w.reciprocal + v * kWidth);
      for (int64_t t = t0; t < end; ++t) {
        const int64_t place = t * s.channels + v * kWidth;
        const vf centred = load_part(in.x + place, lanes) - mean;
        store_part(grad + place, (load_part(grad + place, lanes) - mean_grad - centred * slope) * factor, lanes);
      }
    }
  }
}

// The sums to the gradients' own layouts.
void norm_unpack(const NormShape &s, const float *sums, const NormGradients &to) {
  const NormSums at = norm_sums(s);
  const size_t row = s.channels * sizeof(float);
  if (to.weight) std::memcpy(to.weight, sums + at.weight, row);
  if (to.bias) std::memcpy(to.bias, sums + at.bias, row);
  if (to.last)
    for (int64_t k = 0; k < s.out_channels; ++k)
      std::memcpy(to.last + k * s.channels, sums + at.last + k * padded(s.channels), row);
  if (to.last_bias) std::memcpy(to.last_bias, sums + at.last_bias, s.out_channels * sizeof(float));
}

}  // namespace
