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
  }
  if (in.scale) {
    w.scale = memory, memory += c;
    pad_to_vectors(in.scale, s.channels, w.scale);
  }
  w.last = memory, memory += packed_size(s.out_channels, s.channels);
  w.last_bias = memory;
  pack(in.last ? in.last : in.pointwise, s.out_channels, s.channels, w.last);
  pad_to_vectors(in.last ? in.last_bias : in.pointwise_bias, s.out_channels, w.last_bias);
  w.slope = in.slope, w.last_slope = in.last ? 1.0f : in.slope;
  return w;
}

// Whether the products of three taps are added to two sums one by one, which are 3 instructions instead of 4:
// a product, two multiply-adds and a sum. NEON's registers have room for the second sum.
#if defined(LIGHTM_NEON)
constexpr bool kTwoSums = true;
#else
constexpr bool kTwoSums = false;
#endif

// kX neighbouring tokens of one vector of channels: the depthwise filter over `taps` rows of P. put(token,
// sum) takes the results.
template <int kX, class Put>
LIGHTM_INLINE void filter_tokens(const float *const *rows, int taps, int64_t c, int64_t x, const float *weight, vf bias,
                                 const Put &put) {
  vf sum[kX], middle[kX];
  for (int i = 0; i < kX; ++i) sum[i] = bias, middle[i] = vf{};
  for (int tap = 0; tap < taps; ++tap) {
    const float *p = rows[tap] + x * c;  // token x - 1, counting the zero token
    const vf w0 = load(weight + (3 * tap) * kWidth), w1 = load(weight + (3 * tap + 1) * kWidth),
             w2 = load(weight + (3 * tap + 2) * kWidth);
    vf before = load(p), here = load(p + c);
#pragma GCC unroll 8
    for (int i = 0; i < kX; ++i) {
      const vf after = load(p + (i + 2) * c);
      if constexpr (kTwoSums) {
        sum[i] += before * w0;
        middle[i] += here * w1;
        sum[i] += after * w2;
      } else {
        sum[i] += before * w0, sum[i] += here * w1, sum[i] += after * w2;  // three fused, not four operations
      }
      before = here, here = after;
    }
  }
  for (int i = 0; i < kX; ++i) put(x + i, kTwoSums ? sum[i] + middle[i] : sum[i]);
}

// Rows of something on the grid, as far as an item needs them: a ring of three planes of the item's rows
// and of `halo` more on both sides. What is outside the grid is a row of zeros.
struct PlaneRing {
  const GridShape &shape;
  const StageItem &item;
  int64_t halo;
  float *memory;
  const float *zero;

  static int64_t floats(const GridShape &s, int64_t block_rows) {
    return 3 * (s.flat ? 1 : block_rows + 2) * row_floats(s);
  }
  int64_t rows() const { return item.last_row - item.first_row + 2 * halo; }
  bool holds(int64_t z, int64_t y) const { return z >= 0 && z < shape.depth && y >= 0 && y < shape.height; }
  float *place(int64_t z, int64_t y) const {
    return memory + (z % 3 * rows() + y - item.first_row + halo) * row_floats(shape);
  }
  const float *row(int64_t z, int64_t y) const { return holds(z, y) ? place(z, y) : zero; }

  // make_row(z, y, row) writes row (z, y) behind the zero token with which `row` starts.
  template <class MakeRow>
  LIGHTM_INLINE void make_plane(int64_t z, const MakeRow &make_row) const {
    const int64_t c = padded(shape.channels);
    for (int64_t y = item.first_row - halo; y < item.last_row + halo; ++y) {
      if (!holds(z, y)) continue;
      float *here = place(z, y);
      for (int64_t v = 0; v < c; ++v) here[v] = here[(shape.width + 1) * c + v] = 0.0f;
      make_row(z, y, here + c);
    }
  }
  // The rows under the filter's taps at row (z, y); returns how many there are.
  int around(int64_t z, int64_t y, const float **rows_around) const {
    const int taps = shape.flat ? 3 : 9;
    for (int tap = 0; tap < taps; ++tap)
      rows_around[tap] = shape.flat ? row(z + tap - 1, y) : row(z + tap / 3 - 1, y + tap % 3 - 1);
    return taps;
  }
};

// The depthwise filter along one row: put(token, vector, sum).
template <class Put>
LIGHTM_INLINE void filter_row(const GridShape &s, const float *const *around, int taps, const float *weights,
                              const float *biases, const Put &put) {
  const int64_t count = vectors(s.channels), c = count * kWidth;
  for (int64_t v = 0; v < count; ++v) {
    const float *shifted[9];
    for (int tap = 0; tap < taps; ++tap) shifted[tap] = around[tap] + v * kWidth;
    const float *weight = weights + v * taps * 3 * kWidth;
    const vf bias = load(biases + v * kWidth);
    const auto put_here = [&](int64_t x, vf sum) { put(x, v, sum); };
    int64_t x = 0;
    for (; x + 8 <= s.width; x += 8) filter_tokens<8>(shifted, taps, c, x, weight, bias, put_here);
    for (; x < s.width; ++x) filter_tokens<1>(shifted, taps, c, x, weight, bias, put_here);
  }
}

// A row that is zero, rows for the two intermediate results, and the ring, in floats.
int64_t stage_scratch(const GridShape &s) { return 3 * row_floats(s) + PlaneRing::floats(s, lightm::kBlockRows); }

// What follows P, for row (z, y): filter, products and activations. filtered, activated: a row each.
LIGHTM_ONCE void stage_row(const GridShape &s, const StageWeights &w, const PlaneRing &ring, int64_t z, int64_t y,
                           float *filtered, float *activated, float *out_row) {
  const int64_t c = padded(s.channels);
  const float *last_scale = w.pointwise ? nullptr : w.scale;
  const float *around[9], *centre = ring.place(z, y) + c;
  const int taps = ring.around(z, y, around);
  filter_row(s, around, taps, w.depthwise, w.depthwise_bias,
             [&](int64_t x, int64_t v, vf sum) { store(filtered + x * c + v * kWidth, sum); });
  const float *last_input = filtered;
  if (w.pointwise) {
    multiply(filtered, c, static_cast<int>(s.width), s.channels, w.pointwise, s.channels,
             [&](int64_t x, int64_t v, vf value) {
               vf sum = value + load(w.pointwise_bias + v * kWidth);
               if (w.scale) sum += load(w.scale + v * kWidth) * load(centre + x * c + v * kWidth);
               store(activated + x * c + v * kWidth, leaky(sum, w.slope));
             });
    last_input = activated;
  }
  multiply(last_input, c, static_cast<int>(s.width), s.channels, w.last, s.out_channels,
           [&](int64_t x, int64_t v, vf value) {
             vf sum = value + load(w.last_bias + v * kWidth);
             if (last_scale) sum += load(last_scale + v * kWidth) * load(centre + x * c + v * kWidth);
             store_part(out_row + x * s.out_channels + v * kWidth, leaky(sum, w.last_slope),
                        lanes_at(s.out_channels, v));
           });
}

// make_row(z, y, row) writes row (z, y) of P behind the zero token with which `row` starts.
template <class MakeRow>
LIGHTM_INLINE void stage_item(const GridShape &s, const StageWeights &w, const StageItem &item, const MakeRow &make_row,
                              float *out, float *scratch) {
  const int64_t row = row_floats(s);
  float *zero = scratch, *filtered = zero + row, *activated = filtered + row;
  for (int64_t i = 0; i < row; ++i) zero[i] = 0.0f;
  const PlaneRing ring = {s, item, s.flat ? 0 : 1, activated + row, zero};
  for (int64_t made = item.first_plane - 1; made <= item.last_plane; ++made) {
    ring.make_plane(made, make_row);
    const int64_t z = made - 1;  // has its neighbours now
    for (int64_t y = item.first_row; z >= item.first_plane && y < item.last_row; ++y)
      stage_row(s, w, ring, z, y, filtered, activated,
                out + (((item.batch * s.depth + z) * s.height + y) * s.width) * s.out_channels);
  }
}

}  // namespace
