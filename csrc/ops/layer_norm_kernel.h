// Mean and variance of a row, and LayerNorm, for the instruction set that this file is compiled for.
#pragma once

#include "simd/lanes.h"

namespace {

struct RowMoments {
  float mean, factor;  // factor: 1 / sqrt(variance + epsilon)
};

// get(v) is the row's v-th vector, zero beyond the last channel.
template <class Get>
LIGHTM_INLINE RowMoments row_moments(int64_t channels, float epsilon, const Get &get) {
  const int64_t count = vectors(channels);
  vf sum{};
  for (int64_t v = 0; v < count; ++v) sum += get(v);
  const float mean = lane_sum(sum) / static_cast<float>(channels);
  vf squares{};
  for (int64_t v = 0; v < count; ++v) {
    const vf centred = get(v) - mean;
    squares += centred * centred;
  }
  const float beside = static_cast<float>(count * kWidth - channels) * mean * mean;
  const float variance = (lane_sum(squares) - beside) / static_cast<float>(channels);
  return {mean, 1.0f / __builtin_sqrtf((variance > 0 ? variance : 0) + epsilon)};
}

// (x - mean) / sqrt(variance + epsilon) * weight + bias over each of `rows` rows; get(t, v) is row t's
// v-th vector as above, put(t, v, y) takes the result. weight and bias are padded to whole vectors.
//
// A vector's width of rows goes together, so that their sums share the shuffles and one square root
// serves all of them: a row of two vectors would spend most of its time on those.
template <class Get, class Put>
LIGHTM_INLINE void layer_norm(int rows, int64_t channels, const float *weight, const float *bias, float epsilon,
                              const Get &get, const Put &put) {
  const int64_t count = vectors(channels);
  const float share = 1.0f / static_cast<float>(channels);
  const float beside = static_cast<float>(count * kWidth - channels);
  int t0 = 0;
  for (; t0 + kWidth <= rows; t0 += kWidth) {
    vf sums[kWidth];
    for (int r = 0; r < kWidth; ++r) {
      sums[r] = get(t0 + r, 0);
      for (int64_t v = 1; v < count; ++v) sums[r] += get(t0 + r, v);
    }
    const vf mean = sums_across_lanes(sums) * share;
    float means[kWidth], factors[kWidth];
    store(means, mean);
    for (int r = 0; r < kWidth; ++r) {
      sums[r] = vf{};
      for (int64_t v = 0; v < count; ++v) {
        const vf centred = get(t0 + r, v) - means[r];
        sums[r] += centred * centred;
      }
    }
    const vf variance = (sums_across_lanes(sums) - beside * mean * mean) * share;
    store(factors, 1.0f / vsqrt(vmax(variance, vf{}) + epsilon));
    for (int64_t v = 0; v < count; ++v) {
      const vf w = load(weight + v * kWidth), b = load(bias + v * kWidth);
      for (int r = 0; r < kWidth; ++r) put(t0 + r, v, (get(t0 + r, v) - means[r]) * factors[r] * w + b);
    }
  }
  for (; t0 < rows; ++t0) {
    const RowMoments row = row_moments(channels, epsilon, [&](int64_t v) { return get(t0, v); });
    for (int64_t v = 0; v < count; ++v)
      put(t0, v, (get(t0, v) - row.mean) * row.factor * load(weight + v * kWidth) + load(bias + v * kWidth));
  }
}

}  // namespace
