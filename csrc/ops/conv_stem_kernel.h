// Rows of the stem that is one full convolution, for the instruction set that this file is compiled for.
#pragma once

#include "ops/stem_kernel.h"

namespace {

using lightm::ConvStemInputs;

// Rows of the image under the filter, of all channels.
inline int64_t rows_under_filter(const StemShape &s) { return s.channels * (s.flat ? 3 : 9); }

// In vectors: the padded rows, the weights by vectors of outputs, the bias.
int64_t conv_stem_scratch(const StemShape &s) {
  const int64_t rows = rows_under_filter(s);
  return (rows * padded_row(s) + packed_size(s.out_channels, 3 * rows + 1)) / kWidth;
}

void conv_stem_prepare(const StemShape &s, const ConvStemInputs &in, void *scratch) {
  float *row = static_cast<float *>(scratch);
  const int64_t rows = rows_under_filter(s), padded = rows * padded_row(s);
  for (int64_t i = 0; i < padded; ++i) row[i] = 0.0f;
  pack(in.weight, s.out_channels, 3 * rows, row + padded);
  pack(in.bias, s.out_channels, 1, row + padded + packed_size(s.out_channels, 3 * rows));
}

// Tokens [x, width) of a row in groups of kX, kC vectors of channels: bias + sum over rows and their 3
// taps. `left` is the first row at the left neighbour of token 0, `lanes` those of the last vector.
// Returns the first token that no whole group was left for.
template <int kX, int kC>
LIGHTM_INLINE int64_t convolve_tokens(int64_t x, const StemShape &s, const float *left, const float *panel,
                                      const float *bias, float *tokens, int lanes) {
  const int64_t taps = 3 * rows_under_filter(s), stride = padded_row(s);
  for (; x + kX <= s.width; x += kX) {
    vf sum[kX][kC];
    for (int i = 0; i < kX; ++i)
      for (int c = 0; c < kC; ++c) sum[i][c] = load(bias + c * kWidth);
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float *value = left + tap / 3 * stride + tap % 3 + x;
      vf w[kC];
#pragma GCC unroll 2
      for (int c = 0; c < kC; ++c) w[c] = load(panel + (c * taps + tap) * kWidth);
#pragma GCC unroll 8
      for (int i = 0; i < kX; ++i)
#pragma GCC unroll 2
        for (int c = 0; c < kC; ++c) sum[i][c] += splat(value[i]) * w[c];
    }
    for (int i = 0; i < kX; ++i)
      for (int c = 0; c < kC; ++c)
        store_part(tokens + (x + i) * s.out_channels + c * kWidth, sum[i][c], c + 1 < kC ? kWidth : lanes);
  }
  return x;
}

// Rows [first, last) of all batch entries, counted through.
void conv_stem_rows(const StemShape &s, const ConvStemInputs &in, int64_t first, int64_t last, float *out,
                    void *scratch) {
  const int64_t rows = rows_under_filter(s), stride = padded_row(s), count = vectors(s.out_channels);
  float *copies = static_cast<float *>(scratch);
  const float *packed = copies + rows * stride, *packed_bias = packed + packed_size(s.out_channels, 3 * rows);
  const float *left = copies + kWidth - 1;
  for (int64_t r = first; r < last; ++r) {
    const int64_t y = r % s.height, z = r / s.height % s.depth, b = r / s.height / s.depth;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t c = s.flat ? i / 3 : i / 9, yy = y + i % 3 - 1, zz = s.flat ? z : z + i / 3 % 3 - 1;
      float *copy = copies + i * stride + kWidth;
      if (zz < 0 || zz >= s.depth || yy < 0 || yy >= s.height) {
        std::memset(copy, 0, s.width * sizeof(float));
      } else {
        std::memcpy(copy, in.image + (((b * s.channels + c) * s.depth + zz) * s.height + yy) * s.width,
                    s.width * sizeof(float));
      }
    }
    for (int64_t v = 0; v < count; v += kColumns) {
      const float *panel = packed + v * 3 * rows * kWidth, *bias = packed_bias + v * kWidth;
      float *tokens = out + r * s.width * s.out_channels + v * kWidth;
      const bool whole = v + kColumns <= count;
      const int lanes = lanes_at(s.out_channels, whole ? v + kColumns - 1 : v);
      if (whole) {
        const int64_t x = convolve_tokens<kRows, kColumns>(0, s, left, panel, bias, tokens, lanes);
        convolve_tokens<1, kColumns>(x, s, left, panel, bias, tokens, lanes);
      } else {
        const int64_t x = convolve_tokens<kRows, 1>(0, s, left, panel, bias, tokens, lanes);
        convolve_tokens<1, 1>(x, s, left, panel, bias, tokens, lanes);
      }
    }
  }
}

}  // namespace
