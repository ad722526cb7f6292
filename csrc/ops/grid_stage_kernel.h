// One work item of a stage on a grid: a block of rows of the grid's height, and a slab of its depth.
//
// Planes of P, as far as the block needs them, lie in a ring of three; when plane z + 1 has been
// made, plane z of the output can be. Rows have one zero token before and after them.
#pragma once

#include "ops/channel_blocks.h"
#include "ops/grid_stage.h"
#include "ops/matmul_kernel.h"

namespace {

using lightm::GridShape;
using lightm::StageInputs;
using lightm::StageItem;
using lightm::StageWeights;

inline int64_t row_floats(const GridShape &s) { return (s.width + 2) * padded(s.channels); }

// The ring, a row that is zero, and rows for the two intermediate results, in floats.
int64_t stage_scratch(const GridShape &s) {
  const int64_t rows = s.flat ? 1 : lightm::kBlockRows + 2;
  return (3 * rows + 3) * row_floats(s);
}

int64_t stage_weights_size(const GridShape &s) {
  const int64_t c = padded(s.channels);
  return c * 27 + 3 * c + packed_size(s.channels, s.channels) + packed_size(s.out_channels, s.channels) +
         padded(s.out_channels);
}

StageWeights stage_prepare(const GridShape &s, const StageInputs &in, float *memory) {
  const int64_t c = padded(s.channels);
  StageWeights w = {};
  w.depthwise = memory, memory += c * 27;
  w.depthwise_bias = memory, memory += c;
  pack(in.depthwise, s.channels, s.flat ? 9 : 27, w.depthwise);
  pad_to_vectors(in.depthwise_bias, s.channels, w.depthwise_bias);
  if (in.last) {
    w.pointwise_bias = memory, memory += c;
    w.pointwise = memory, memory += packed_size(s.channels, s.channels);
    pack(in.pointwise, s.channels, s.channels, w.pointwise);
    pad_to_vectors(in.pointwise_bias, s.channels, w.pointwise_bias);
    if (in.scale) {
      w.scale = memory, memory += c;
      pad_to_vectors(in.scale, s.channels, w.scale);
    }
  }
  w.last = memory, memory += packed_size(s.out_channels, s.channels);
  w.last_bias = memory;
  pack(in.last ? in.last : in.pointwise, s.out_channels, s.channels, w.last);
  pad_to_vectors(in.last ? in.last_bias : in.pointwise_bias, s.out_channels, w.last_bias);
  w.slope = in.slope, w.last_slope = in.last ? 1.0f : in.slope;
  return w;
}

// NaN stays NaN: vmax gives its second where one is.
LIGHTM_INLINE vf leaky(vf x, float slope) { return vmax(slope == 0.0f ? vf{} : slope * x, x); }

// kX neighbouring tokens of one vector of channels: the depthwise filter over `taps` rows of P.
template <int kX>
LIGHTM_INLINE void filter_tokens(const float *const *rows, int taps, int64_t c, int64_t x, const float *weight, vf bias,
                                 float *out) {
  vf sum[kX];
  for (int i = 0; i < kX; ++i) sum[i] = bias;
  for (int tap = 0; tap < taps; ++tap) {
    const float *p = rows[tap] + x * c;  // token x - 1, counting the zero token
    const vf w0 = load(weight + (3 * tap) * kWidth), w1 = load(weight + (3 * tap + 1) * kWidth),
             w2 = load(weight + (3 * tap + 2) * kWidth);
    vf before = load(p), here = load(p + c);
#pragma GCC unroll 8
    for (int i = 0; i < kX; ++i) {
      const vf after = load(p + (i + 2) * c);
      sum[i] += before * w0 + here * w1 + after * w2;
      before = here, here = after;
    }
  }
  for (int i = 0; i < kX; ++i) store(out + (x + i) * c, sum[i]);
}

// make_row(z, y, row) writes row (z, y) of P behind the zero token with which `row` starts.
template <class MakeRow>
LIGHTM_INLINE void stage_item(const GridShape &s, const StageWeights &w, const StageItem &item, const MakeRow &make_row,
                              float *out, float *scratch) {
  const int64_t count = vectors(s.channels), c = count * kWidth, row = row_floats(s);
  const int64_t halo = s.flat ? 0 : 1, rows = item.last_row - item.first_row + 2 * halo;
  float *ring = scratch, *zero = ring + 3 * rows * row, *filtered = zero + row, *activated = filtered + row;
  for (int64_t i = 0; i < row; ++i) zero[i] = 0.0f;
  const int taps = s.flat ? 3 : 9;
  const auto ring_row = [&](int64_t z, int64_t y) -> float * {
    if (z < 0 || z >= s.depth || y < 0 || y >= s.height) return zero;
    return ring + (z % 3 * rows + y - item.first_row + halo) * row;
  };
  const auto make_plane = [&](int64_t z) {
    if (z < 0 || z >= s.depth) return;
    for (int64_t y = item.first_row - halo; y < item.last_row + halo; ++y) {
      if (y < 0 || y >= s.height) continue;
      float *here = ring_row(z, y);
      for (int64_t v = 0; v < c; ++v) here[v] = here[(s.width + 1) * c + v] = 0.0f;
      make_row(z, y, here + c);
    }
  };
  make_plane(item.first_plane - 1);
  make_plane(item.first_plane);
  for (int64_t z = item.first_plane; z < item.last_plane; ++z) {
    make_plane(z + 1);
    for (int64_t y = item.first_row; y < item.last_row; ++y) {
      const float *around[9];
      for (int tap = 0; tap < taps; ++tap)
        around[tap] = s.flat ? ring_row(z + tap - 1, y) : ring_row(z + tap / 3 - 1, y + tap % 3 - 1);
      for (int64_t v = 0; v < count; ++v) {
        const float *shifted[9];
        for (int tap = 0; tap < taps; ++tap) shifted[tap] = around[tap] + v * kWidth;
        const float *weight = w.depthwise + v * taps * 3 * kWidth;
        const vf bias = load(w.depthwise_bias + v * kWidth);
        int64_t x = 0;
        for (; x + 8 <= s.width; x += 8) filter_tokens<8>(shifted, taps, c, x, weight, bias, filtered + v * kWidth);
        for (; x < s.width; ++x) filter_tokens<1>(shifted, taps, c, x, weight, bias, filtered + v * kWidth);
      }
      const float *last_input = filtered;
      if (w.pointwise) {
        const float *centre = ring_row(z, y) + c;
        multiply(filtered, c, static_cast<int>(s.width), s.channels, w.pointwise, s.channels,
                 [&](int64_t x, int64_t v, vf value) {
                   vf sum = value + load(w.pointwise_bias + v * kWidth);
                   if (w.scale) sum += load(w.scale + v * kWidth) * load(centre + x * c + v * kWidth);
                   store(activated + x * c + v * kWidth, leaky(sum, w.slope));
                 });
        last_input = activated;
      }
      float *out_row = out + (((item.batch * s.depth + z) * s.height + y) * s.width) * s.out_channels;
      multiply(last_input, c, static_cast<int>(s.width), s.channels, w.last, s.out_channels,
               [&](int64_t x, int64_t v, vf value) {
                 store_part(out_row + x * s.out_channels + v * kWidth,
                            leaky(value + load(w.last_bias + v * kWidth), w.last_slope), lanes_at(s.out_channels, v));
               });
    }
  }
}

}  // namespace
