// Products of a few rows with a small matrix that is packed for vectors, with the step that follows
// them fused in.
#pragma once

#include "ops/layer_norm_kernel.h"

namespace {

// Rows and vectors of columns whose sums are in registers at once.
constexpr int kRows = kRegisters == 32 ? 8 : 4;
constexpr int kColumns = 2;
// Inputs of a row that are loaded at once. NEON's multiply-add takes a factor out of any lane of a register;
// elsewhere a number is spread over a register as it is loaded.
#if defined(LIGHTM_NEON)
constexpr int kInputsAtOnce = kWidth;
// Rows of the blocks that follow the last whole one, before single rows, whose two sums alone wait for each other.
constexpr int kFewerRows = 4;
#else
constexpr int kInputsAtOnce = 1;
constexpr int kFewerRows = 1;
#endif
static_assert(kColumns <= 2, "multiply() leaves one vector of columns over at most");

// Number of floats that pack() writes.
inline int64_t packed_size(int64_t outputs, int64_t inputs) { return vectors(outputs) * inputs * kWidth; }

// (outputs, inputs), as a Linear layer stores it, to one panel of (inputs, kWidth) for each vector of
// outputs; what is beyond the last output is zero.
LIGHTM_ONCE void pack(const float *matrix, int64_t outputs, int64_t inputs, float *packed) {
  for (int64_t v = 0; v < vectors(outputs); ++v) {
    for (int lane = 0; lane < kWidth; ++lane) {
      const int64_t row = v * kWidth + lane;
      float *column = packed + v * inputs * kWidth + lane;
      for (int64_t k = 0; k < inputs; ++k) column[k * kWidth] = row < outputs ? matrix[row * inputs + k] : 0.0f;
    }
  }
}

// The same of the transposed matrix: for products that lead from gradients of outputs to those of inputs.
void pack_transposed(const float *matrix, int64_t outputs, int64_t inputs, float *packed) {
  for (int64_t v = 0; v < vectors(inputs); ++v) {
    for (int64_t k = 0; k < outputs; ++k) {
      float *column = packed + (v * outputs + k) * kWidth;
      for (int lane = 0; lane < kWidth; ++lane) {
        const int64_t i = v * kWidth + lane;
        column[lane] = i < inputs ? matrix[k * inputs + i] : 0.0f;
      }
    }
  }
}

template <int kR, int kC, class Store>
LIGHTM_INLINE void multiply_block(const float *a, int64_t stride, int64_t inputs, const float *panel, int row,
                                  int64_t vector, const Store &store_result) {
  vf sum[kR][kC];
  for (int r = 0; r < kR; ++r)
    for (int c = 0; c < kC; ++c) sum[r][c] = vf{};
  int64_t k = 0;
  if constexpr (kInputsAtOnce > 1) {
    for (; k + kInputsAtOnce <= inputs; k += kInputsAtOnce) {
      vf values[kR];
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) values[r] = load(a + r * stride + k);
#pragma GCC unroll 4
      for (int i = 0; i < kInputsAtOnce; ++i) {
        vf w[kC];
#pragma GCC unroll 2
        for (int c = 0; c < kC; ++c) w[c] = load(panel + (c * inputs + k + i) * kWidth);
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r)
#pragma GCC unroll 2
          for (int c = 0; c < kC; ++c) sum[r][c] += splat(values[r][i]) * w[c];
      }
    }
  }
  for (; k < inputs; ++k) {
    vf w[kC];
#pragma GCC unroll 2
    for (int c = 0; c < kC; ++c) w[c] = load(panel + (c * inputs + k) * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) {
      const vf value = splat(a[r * stride + k]);
#pragma GCC unroll 2
      for (int c = 0; c < kC; ++c) sum[r][c] += value * w[c];
    }
  }
  for (int r = 0; r < kR; ++r)
    for (int c = 0; c < kC; ++c) store_result(row + r, vector + c, sum[r][c]);
}

// store_result(row, vector, sums) for every row of a and every vector of outputs.
template <class Store>
LIGHTM_INLINE void multiply(const float *a, int64_t stride, int rows, int64_t inputs, const float *packed,
                            int64_t outputs, const Store &store_result) {
  const int64_t count = vectors(outputs);
  for (int64_t v = 0; v < count; v += kColumns) {
    const float *panel = packed + v * inputs * kWidth;
    int r = 0;
    if (v + kColumns <= count) {
      for (; r + kRows <= rows; r += kRows)
        multiply_block<kRows, kColumns>(a + r * stride, stride, inputs, panel, r, v, store_result);
      if constexpr (kFewerRows > 1)
        for (; r + kFewerRows <= rows; r += kFewerRows)
          multiply_block<kFewerRows, kColumns>(a + r * stride, stride, inputs, panel, r, v, store_result);
      for (; r < rows; ++r) multiply_block<1, kColumns>(a + r * stride, stride, inputs, panel, r, v, store_result);
    } else {
      for (; r + kRows <= rows; r += kRows)
        multiply_block<kRows, 1>(a + r * stride, stride, inputs, panel, r, v, store_result);
      if constexpr (kFewerRows > 1)
        for (; r + kFewerRows <= rows; r += kFewerRows)
          multiply_block<kFewerRows, 1>(a + r * stride, stride, inputs, panel, r, v, store_result);
      for (; r < rows; ++r) multiply_block<1, 1>(a + r * stride, stride, inputs, panel, r, v, store_result);
    }
  }
}

// The products as rows of whole vectors, `out_stride` floats apart.
LIGHTM_ONCE void multiply_into(const float *a, int64_t stride, int rows, int64_t inputs, const float *packed,
                               int64_t outputs, float *out, int64_t out_stride) {
  multiply(a, stride, rows, inputs, packed, outputs,
           [&](int r, int64_t v, vf value) { store(out + r * out_stride + v * kWidth, value); });
}

// The products plus a bias, which is padded to whole vectors, as rows of `columns` floats, `columns` apart.
LIGHTM_ONCE void multiply_with_bias(const float *a, int64_t stride, int rows, int64_t inputs, const float *packed,
                                    int64_t outputs, const float *bias, float *out, int64_t columns) {
  multiply(a, stride, rows, inputs, packed, outputs, [&](int r, int64_t v, vf value) {
    store_part(out + r * columns + v * kWidth, value + load(bias + v * kWidth), lanes_at(columns, v));
  });
}

}  // namespace
