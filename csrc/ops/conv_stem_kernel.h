// Rows of the stem that is one full convolution, for the instruction set that this file is compiled for.
#pragma once

#include "ops/outer_product_kernel.h"
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

// Zeros beside every padded row.
void conv_stem_clear(const StemShape &s, float *copies) {
  for (int64_t i = 0; i < rows_under_filter(s) * padded_row(s); ++i) copies[i] = 0.0f;
}

void conv_stem_pack(const StemShape &s, const float *weight, const float *bias, float *packed) {
  const int64_t taps = 3 * rows_under_filter(s);
  pack(weight, s.out_channels, taps, packed);
  pack(bias, s.out_channels, 1, packed + packed_size(s.out_channels, taps));
}

void conv_stem_prepare(const StemShape &s, const ConvStemInputs &in, void *scratch) {
  float *copies = static_cast<float *>(scratch);
  conv_stem_clear(s, copies);
  conv_stem_pack(s, in.weight, in.bias, copies + rows_under_filter(s) * padded_row(s));
}

// Tokens [x, width) of a row in groups of kX, kC vectors of channels: bias + sum over rows and their 3
// taps goes to store_result(token, vector, sum). `left` is the first row at the left neighbour of token 0.
// Returns the first token that no whole group was left for.
template <int kX, int kC, class Store>
LIGHTM_INLINE int64_t convolve_tokens(int64_t x, const StemShape &s, const float *left, const float *panel,
                                      const float *bias, int64_t vector, const Store &store_result) {
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
      for (int c = 0; c < kC; ++c) store_result(x + i, vector + c, sum[i][c]);
  }
  return x;
}

// The rows of the image under the filter at row (z, y), of all channels, into their padded copies.
inline void copy_rows_under_filter(const StemShape &s, const float *image, int64_t b, int64_t z, int64_t y,
                                   float *copies) {
  const int64_t stride = padded_row(s);
  for (int64_t i = 0; i < rows_under_filter(s); ++i) {
    const int64_t c = s.flat ? i / 3 : i / 9, yy = y + i % 3 - 1, zz = s.flat ? z : z + i / 3 % 3 - 1;
    float *copy = copies + i * stride + kWidth;
    if (zz < 0 || zz >= s.depth || yy < 0 || yy >= s.height) {
      std::memset(copy, 0, s.width * sizeof(float));
    } else {
      std::memcpy(copy, image + (((b * s.channels + c) * s.depth + zz) * s.height + yy) * s.width,
                  s.width * sizeof(float));
    }
  }
}

// One row of tokens of `columns` floats, through a leaky ReLU. `copies` and `packed` as prepared above.
LIGHTM_ONCE void convolve_row(const StemShape &s, const float *image, int64_t b, int64_t z, int64_t y, float *copies,
                              const float *packed, float slope, float *tokens, int64_t columns) {
  const auto store_result = [&](int64_t x, int64_t v, vf sum) {
    store_part(tokens + x * columns + v * kWidth, leaky(sum, slope), lanes_at(columns, v));
  };
  const int64_t rows = rows_under_filter(s), count = vectors(s.out_channels);
  const float *packed_bias = packed + packed_size(s.out_channels, 3 * rows), *left = copies + kWidth - 1;
  copy_rows_under_filter(s, image, b, z, y, copies);
  for (int64_t v = 0; v < count; v += kColumns) {
    const float *panel = packed + v * 3 * rows * kWidth, *bias = packed_bias + v * kWidth;
    if (v + kColumns <= count) {
      const int64_t x = convolve_tokens<kRows, kColumns>(0, s, left, panel, bias, v, store_result);
      convolve_tokens<1, kColumns>(x, s, left, panel, bias, v, store_result);
    } else {
      const int64_t x = convolve_tokens<kRows, 1>(0, s, left, panel, bias, v, store_result);
      convolve_tokens<1, 1>(x, s, left, panel, bias, v, store_result);
    }
  }
}

// Rows [first, last) of all batch entries, counted through.
void conv_stem_rows(const StemShape &s, const ConvStemInputs &in, int64_t first, int64_t last, float *out,
                    void *scratch) {
  float *copies = static_cast<float *>(scratch);
  const float *packed = copies + rows_under_filter(s) * padded_row(s);
  for (int64_t r = first; r < last; ++r) {
    float *tokens = out + r * s.width * s.out_channels;
    convolve_row(s, in.image, r / s.height / s.depth, r / s.height % s.depth, r % s.height, copies, packed, 1, tokens,
                 s.out_channels);
  }
}

// In floats: the padded rows, and a row of gradients of whole vectors.
int64_t conv_stem_backward_scratch(const StemShape &s) {
  return rows_under_filter(s) * padded_row(s) + s.width * padded(s.out_channels);
}

// In floats: gradients of weight and bias, packed as these are.
int64_t conv_stem_sums_size(const StemShape &s) { return packed_size(s.out_channels, 3 * rows_under_filter(s) + 1); }

// sums += the image's values under 3 rows of taps times kC vectors of gradients, over a row. `left`: of the
// first of the 3 rows, as above. sums: one vector for each tap; `panel` floats from one vector of channels
// to the next.
template <int kC>
LIGHTM_INLINE void add_image_taps(const float *left, int64_t stride, const float *grad, int64_t o, int64_t width,
                                  float *sums, int64_t panel) {
  vf sum[9][kC];
  for (int tap = 0; tap < 9; ++tap)
    for (int c = 0; c < kC; ++c) sum[tap][c] = load(sums + c * panel + tap * kWidth);
  for (int64_t x = 0; x < width; ++x) {
    vf g[kC];
    for (int c = 0; c < kC; ++c) g[c] = load(grad + x * o + c * kWidth);
#pragma GCC unroll 9
    for (int tap = 0; tap < 9; ++tap) {
      const vf value = splat(left[tap / 3 * stride + tap % 3 + x]);
#pragma GCC unroll 2
      for (int c = 0; c < kC; ++c) sum[tap][c] += value * g[c];
    }
  }
  for (int tap = 0; tap < 9; ++tap)
    for (int c = 0; c < kC; ++c) store(sums + c * panel + tap * kWidth, sum[tap][c]);
}

// Adds the part of rows [first, last) to the sums.
void conv_stem_backward_rows(const StemShape &s, const float *image, const float *grad_all, int64_t first, int64_t last,
                             float *sums, float *scratch) {
  const int64_t rows = rows_under_filter(s), taps = 3 * rows, stride = padded_row(s), panel = taps * kWidth;
  const int64_t count = vectors(s.out_channels), o = count * kWidth;
  float *copies = scratch, *bias_sums = sums + packed_size(s.out_channels, taps);
  float *whole = scratch + rows * stride;
  constexpr int kPair = kRegisters == 32 ? 2 : 1;  // 9 sums each in registers
  conv_stem_clear(s, copies);
  for (int64_t r = first; r < last; ++r) {
    copy_rows_under_filter(s, image, r / s.height / s.depth, r / s.height % s.depth, r % s.height, copies);
    const float *grad = grad_all + r * s.width * s.out_channels;
    if (o != s.out_channels) {
      for (int64_t x = 0; x < s.width; ++x)
        for (int64_t v = 0; v < count; ++v)
          store(whole + x * o + v * kWidth,
                load_part(grad + x * s.out_channels + v * kWidth, lanes_at(s.out_channels, v)));
      grad = whole;
    }
    for (int64_t row = 0; row < rows; row += 3) {
      const float *left = copies + row * stride + kWidth - 1;
      int64_t v = 0;
      for (; v + kPair <= count; v += kPair)
        add_image_taps<kPair>(left, stride, grad + v * kWidth, o, s.width, sums + v * panel + 3 * row * kWidth, panel);
      for (; v < count; ++v)
        add_image_taps<1>(left, stride, grad + v * kWidth, o, s.width, sums + v * panel + 3 * row * kWidth, panel);
    }
    add_rows(grad, o, s.out_channels, static_cast<int>(s.width), bias_sums);
  }
}

void conv_stem_unpack(const StemShape &s, const float *sums, float *grad_weight, float *grad_bias) {
  const int64_t taps = 3 * rows_under_filter(s);
  for (int64_t i = 0; i < s.out_channels; ++i)
    for (int64_t tap = 0; tap < taps; ++tap)
      grad_weight[i * taps + tap] = sums[(i / kWidth * taps + tap) * kWidth + i % kWidth];
  std::memcpy(grad_bias, sums + packed_size(s.out_channels, taps), s.out_channels * sizeof(float));
}

}  // namespace
