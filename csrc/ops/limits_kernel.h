// The limits' work, for the instruction set that this file is compiled for. What comes as an argument
// or is returned is so for the compiler alone, which must neither compute nor leave out anything.
#pragma once

#include "ops/limits.h"
#include "simd/lanes.h"

namespace {

using lightm::kLimitChains;

LIGHTM_INLINE float sum_of_chains(const vf *x) {
  vf sum{};
  for (int i = 0; i < kLimitChains; ++i) sum += x[i];
  return lane_sum(sum);
}

float multiply_add_rounds(int64_t rounds, float factor, float addend) {
  vf x[kLimitChains];
  for (int i = 0; i < kLimitChains; ++i) x[i] = splat(static_cast<float>(i));
  const vf a = splat(factor), b = splat(addend);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < kLimitChains; ++i) x[i] = a * x[i] + b;
  }
  return sum_of_chains(x);
}

float exponential_rounds(int64_t rounds, float factor) {
  vf x[kLimitChains];
  for (int i = 0; i < kLimitChains; ++i) x[i] = splat(static_cast<float>(i) / kLimitChains);
  const vf m = splat(factor);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < kLimitChains; ++i) x[i] = exp2_product(x[i], m);
  }
  return sum_of_chains(x);
}

// By a factor: a plain copy would become a call of the C library's, which may store otherwise.
void scale_stream(const float *from, int64_t count, float factor, float *to) {
  const vf scale = splat(factor);
  for (int64_t v = 0; v < vectors(count); ++v) {
    const int lanes = lanes_at(count, v);
    store_part(to + v * kWidth, scale * load_part(from + v * kWidth, lanes), lanes);
  }
}

}  // namespace
