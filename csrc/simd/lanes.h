// Channels, or any other numbers, in whole vectors, the last of which may be partly filled.
#pragma once

#include "simd/simd.h"

namespace {

// Vectors that n numbers fill.
LIGHTM_INLINE int64_t vectors(int64_t n) { return (n + kWidth - 1) / kWidth; }

// Numbers that those vectors have room for.
LIGHTM_INLINE int64_t padded(int64_t n) { return vectors(n) * kWidth; }

// Lanes in use of a vector that begins where `left` numbers are left.
LIGHTM_INLINE int lanes_of(int64_t left) { return static_cast<int>(left < kWidth ? left : kWidth); }

// Lanes in use of the v-th vector of n numbers.
LIGHTM_INLINE int lanes_at(int64_t n, int64_t v) { return lanes_of(n - v * kWidth); }

// The numbers at `from`, then zeros up to a whole vector; zeros only where `from` is nullptr.
LIGHTM_ONCE void pad_to_vectors(const float *from, int64_t count, float *to) {
  for (int64_t v = 0; v < vectors(count); ++v)
    store(to + v * kWidth, from ? load_part(from + v * kWidth, lanes_at(count, v)) : vf{});
}

}  // namespace
