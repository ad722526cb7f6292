// Mean and variance of rows, LayerNorm and its gradients, for the instruction set that this file is
// compiled for.
//
// A vector's width of rows goes together, so that their sums share the shuffles and one square root serves
// all of them: a row of two vectors would spend most of its time on those.
#pragma once

#include "simd/lanes.h"

namespace {

// Each of kR vectors' sum over its lanes; kR is 1 or kWidth.
template <int kR>
LIGHTM_INLINE void sums_of_rows(const vf *v, float *sums) {
  if constexpr (kR == kWidth) {
    store(sums, sums_across_lanes(v));
  } else {
    static_assert(kR == 1);
    sums[0] = lane_sum(v[0]);
  }
}

// factor: 1 / sqrt(variance + epsilon).
template <int kR>
struct Moments {
  float mean[kR], factor[kR];
};

// Of rows t0 ... t0 + kR - 1; get(t, v) is row t's v-th vector, zero beyond the last channel.
template <int kR, class Get>
LIGHTM_INLINE Moments<kR> moments_of_rows(int t0, int64_t channels, float epsilon, const Get &get) {
  const int64_t count = vectors(channels);
  const float share = 1.0f / static_cast<float>(channels);
  const float beside = static_cast<float>(count * kWidth - channels);
  Moments<kR> of;
  vf sums[kR];
  for (int r = 0; r < kR; ++r) {
    sums[r] = get(t0 + r, 0);
    for (int64_t v = 1; v < count; ++v) sums[r] += get(t0 + r, v);
  }
  sums_of_rows<kR>(sums, of.mean);
  for (int r = 0; r < kR; ++r) of.mean[r] *= share;
  for (int r = 0; r < kR; ++r) {
    sums[r] = vf{};
    for (int64_t v = 0; v < count; ++v) {
      const vf centred = get(t0 + r, v) - of.mean[r];
      sums[r] += centred * centred;
    }
  }
  float squares[kR];
  sums_of_rows<kR>(sums, squares);
  if constexpr (kR == kWidth) {
    const vf mean = load(of.mean), variance = (load(squares) - beside * mean * mean) * share;
    store(of.factor, 1.0f / vsqrt(vmax(variance, vf{}) + epsilon));
  } else {
    const float variance = (squares[0] - beside * of.mean[0] * of.mean[0]) * share;
    of.factor[0] = 1.0f / __builtin_sqrtf((variance > 0 ? variance : 0) + epsilon);
  }
  return of;
}

template <int kR, class Get, class Put>
LIGHTM_INLINE void layer_norm_rows(int t0, int64_t channels, const float *weight, const float *bias, float epsilon,
                                   const Get &get, const Put &put) {
  const Moments<kR> of = moments_of_rows<kR>(t0, channels, epsilon, get);
  for (int64_t v = 0; v < vectors(channels); ++v) {
    const vf w = load(weight + v * kWidth), b = load(bias + v * kWidth);
    for (int r = 0; r < kR; ++r) put(t0 + r, v, (get(t0 + r, v) - of.mean[r]) * of.factor[r] * w + b);
  }
}

// (x - mean) / sqrt(variance + epsilon) * weight + bias over each of `rows` rows; get(t, v) is row t's
// v-th vector as above, put(t, v, y) takes the result. weight and bias are padded to whole vectors.
template <class Get, class Put>
LIGHTM_INLINE void layer_norm(int rows, int64_t channels, const float *weight, const float *bias, float epsilon,
                              const Get &get, const Put &put) {
  int t = 0;
  for (; t + kWidth <= rows; t += kWidth) layer_norm_rows<kWidth>(t, channels, weight, bias, epsilon, get, put);
  for (; t < rows; ++t) layer_norm_rows<1>(t, channels, weight, bias, epsilon, get, put);
}

// The same from rows of `channels` floats, `stride` apart, to rows of whole vectors, `to_stride` apart; in place too.
LIGHTM_ONCE void layer_norm_into(int rows, int64_t channels, const float *weight, const float *bias, float epsilon,
                                 const float *from, int64_t stride, float *to, int64_t to_stride) {
  layer_norm(
      rows, channels, weight, bias, epsilon,
      [&](int t, int64_t v) { return load_part(from + t * stride + v * kWidth, lanes_at(channels, v)); },
      [&](int t, int64_t v, vf value) { store(to + t * to_stride + v * kWidth, value); });
}

template <int kR, class Get, class Grad, class Put>
LIGHTM_INLINE void layer_norm_backward_rows(int t0, int64_t channels, const float *weight, float epsilon,
                                            const Get &get, const Grad &grad, float *k, int64_t stride,
                                            float *weight_sums, float *bias_sums, const Put &put) {
  const int64_t count = vectors(channels);
  const float share = 1.0f / static_cast<float>(channels);
  const Moments<kR> of = moments_of_rows<kR>(t0, channels, epsilon, get);
  const auto normed = [&](int r, int64_t v) { return (get(t0 + r, v) - of.mean[r]) * of.factor[r]; };
  vf sums[kR], sums_n[kR];
  for (int r = 0; r < kR; ++r) sums[r] = sums_n[r] = vf{};
  for (int64_t v = 0; v < count; ++v) {
    const vf w = load(weight + v * kWidth);
    vf weight_sum = load(weight_sums + v * kWidth), bias_sum = load(bias_sums + v * kWidth);
    for (int r = 0; r < kR; ++r) {
      const vf n = normed(r, v), g = grad(t0 + r, v, n), into_normed = g * w;
      weight_sum += g * n;
      bias_sum += g;
      sums[r] += into_normed;
      sums_n[r] += into_normed * n;
      store(k + (t0 + r) * stride + v * kWidth, into_normed);
    }
    store(weight_sums + v * kWidth, weight_sum);
    store(bias_sums + v * kWidth, bias_sum);
  }
  float mean[kR], mean_n[kR];
  sums_of_rows<kR>(sums, mean);
  sums_of_rows<kR>(sums_n, mean_n);
  for (int r = 0; r < kR; ++r) {
    const float m = mean[r] * share, m_n = mean_n[r] * share;
    for (int64_t v = 0; v < count; ++v)
      put(t0 + r, v, of.factor[r] * (load(k + (t0 + r) * stride + v * kWidth) - m - normed(r, v) * m_n));
  }
}

// With g the gradient of a LayerNorm's result, n the normed row and k = weight g, the gradient of the
// row is factor * (k - mean(k) - n mean(k n)); g n and g are added to the sums of weight and bias.
//
// grad(t, v, n) gives g, once for each t and v; it is zero beyond the last channel. put(t, v, gradient)
// takes the result, which is undefined there. k: rows of `stride` floats, of this function alone while it
// runs, but for what grad(t, v, n) reads at the same place.
template <class Get, class Grad, class Put>
LIGHTM_INLINE void layer_norm_backward(int rows, int64_t channels, const float *weight, float epsilon, const Get &get,
                                       const Grad &grad, float *k, int64_t stride, float *weight_sums, float *bias_sums,
                                       const Put &put) {
  int t = 0;
  for (; t + kWidth <= rows; t += kWidth)
    layer_norm_backward_rows<kWidth>(t, channels, weight, epsilon, get, grad, k, stride, weight_sums, bias_sums, put);
  for (; t < rows; ++t)
    layer_norm_backward_rows<1>(t, channels, weight, epsilon, get, grad, k, stride, weight_sums, bias_sums, put);
}

}  // namespace
