// Mean and variance of a row, and LayerNorm, for the instruction set that this file is compiled for.
#pragma once

#include "simd.h"

namespace {

inline int64_t vectors(int64_t n) { return (n + kWidth - 1) / kWidth; }

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

// (x - mean) / sqrt(variance + epsilon) * weight + bias over one row; put(v, y) takes the result.
// weight and bias are padded to whole vectors.
template <class Get, class Put>
LIGHTM_INLINE void layer_norm(int64_t channels, const float *weight, const float *bias, float epsilon,
                              const Get &get, const Put &put) {
  const RowMoments row = row_moments(channels, epsilon, get);
  for (int64_t v = 0; v < vectors(channels); ++v)
    put(v, (get(v) - row.mean) * row.factor * load(weight + v * kWidth) + load(bias + v * kWidth));
}

}  // namespace
