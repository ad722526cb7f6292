// Gradients of a matrix: sums of outer products over rows.
#pragma once

#include "ops/matmul_kernel.h"

namespace {

template <int kO, int kC>
LIGHTM_INLINE void add_outer_block(const float *g, int64_t g_stride, const float *a, int64_t a_stride, int rows,
                                   float *sums, int64_t sums_stride) {
  vf sum[kO][kC];
  for (int o = 0; o < kO; ++o)
    for (int c = 0; c < kC; ++c) sum[o][c] = load(sums + o * sums_stride + c * kWidth);
  for (int r = 0; r < rows; ++r) {
    vf value[kC];
#pragma GCC unroll 2
    for (int c = 0; c < kC; ++c) value[c] = load(a + r * a_stride + c * kWidth);
#pragma GCC unroll 8
    for (int o = 0; o < kO; ++o) {
      const vf weight = splat(g[r * g_stride + o]);
#pragma GCC unroll 2
      for (int c = 0; c < kC; ++c) sum[o][c] += weight * value[c];
    }
  }
  for (int o = 0; o < kO; ++o)
    for (int c = 0; c < kC; ++c) store(sums + o * sums_stride + c * kWidth, sum[o][c]);
}

template <int kC>
LIGHTM_INLINE void add_outer_columns(const float *g, int64_t g_stride, int64_t outputs, const float *a,
                                     int64_t a_stride, int rows, float *sums, int64_t sums_stride) {
  int64_t o = 0;
  for (; o + kRows <= outputs; o += kRows)
    add_outer_block<kRows, kC>(g + o, g_stride, a, a_stride, rows, sums + o * sums_stride, sums_stride);
  for (; o + 2 <= outputs; o += 2)
    add_outer_block<2, kC>(g + o, g_stride, a, a_stride, rows, sums + o * sums_stride, sums_stride);
  for (; o < outputs; ++o)
    add_outer_block<1, kC>(g + o, g_stride, a, a_stride, rows, sums + o * sums_stride, sums_stride);
}

// sums[o][i] += g[r][o] * a[r][i] over the rows r. Rows of a and of the sums are whole vectors for
// `inputs` numbers. The numbers that lie in vectors should be the more numerous ones: the caller may as
// well sum the transposed matrix.
inline void add_outer(const float *g, int64_t g_stride, int64_t outputs, const float *a, int64_t a_stride,
                      int64_t inputs, int rows, float *sums, int64_t sums_stride) {
  const int64_t count = vectors(inputs);
  int64_t v = 0;
  for (; v + kColumns <= count; v += kColumns)
    add_outer_columns<kColumns>(g, g_stride, outputs, a + v * kWidth, a_stride, rows, sums + v * kWidth, sums_stride);
  for (; v < count; ++v)
    add_outer_columns<1>(g, g_stride, outputs, a + v * kWidth, a_stride, rows, sums + v * kWidth, sums_stride);
}

// sums[i] += x[r][i] over the rows r; rows are whole vectors.
inline void add_rows(const float *x, int64_t stride, int64_t channels, int rows, float *sums) {
  for (int64_t v = 0; v < vectors(channels); ++v) {
    vf sum = load(sums + v * kWidth);
    for (int r = 0; r < rows; ++r) sum += load(x + r * stride + v * kWidth);
    store(sums + v * kWidth, sum);
  }
}

}  // namespace
