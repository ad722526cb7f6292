// One work item of a decoder stage: a block of rows of the grid's height, and a slab of its depth.
//
// Planes of P, as far as the block needs them, lie in a ring of three; when plane z + 1 has been
// made, plane z of the output can be. Rows have one zero token before and after them.
#pragma once

#include "ops/channel_blocks.h"
#include "ops/matmul_kernel.h"

namespace {

using lightm::DecoderInputs;
using lightm::DecoderItem;
using lightm::DecoderShape;
using lightm::DecoderWeights;

inline int64_t row_floats(const DecoderShape &s) { return (s.width + 2) * padded(s.channels); }

// The ring, a row that is zero, and rows for the low grid's blend and the two intermediate results.
int64_t decoder_scratch(const DecoderShape &s, int64_t block_rows) {
  const int64_t rows = s.flat ? 1 : block_rows + 2;
  return (3 * rows + 4) * row_floats(s) / kWidth;
}

int64_t decoder_weights_size(const DecoderShape &s) {
  const int64_t c = padded(s.channels);
  return c * 27 + 2 * c + packed_size(s.channels, s.channels) + packed_size(s.out_channels, s.channels) +
         padded(s.out_channels);
}

DecoderWeights decoder_prepare(const DecoderShape &s, const DecoderInputs &in, float *memory) {
  const int64_t c = padded(s.channels);
  DecoderWeights w;
  w.depthwise = memory, memory += c * 27;
  w.depthwise_bias = memory, memory += c;
  w.scale = memory, memory += c;
  w.pointwise = memory, memory += packed_size(s.channels, s.channels);
  w.last = memory, memory += packed_size(s.out_channels, s.channels);
  w.last_bias = memory;
  pack(in.depthwise, s.channels, s.flat ? 9 : 27, w.depthwise);
  pad_to_vectors(in.depthwise_bias, s.channels, w.depthwise_bias);
  pad_to_vectors(in.scale, s.channels, w.scale);
  if (in.halve) pack(in.pointwise, s.channels, s.channels, w.pointwise);
  pack(in.halve ? in.halve : in.pointwise, s.out_channels, s.channels, w.last);
  pad_to_vectors(in.pointwise_bias, s.out_channels, w.last_bias);
  return w;
}

// The two source places of linear upsampling by 2 along one axis, and the weight of the second.
struct Pair {
  int64_t first, second;
  float share;
};
inline Pair pair_at(int64_t place, int64_t size, int64_t factor) {
  if (factor == 1) return {place, place, 0.0f};
  const int64_t low_size = size / 2, i = place / 2;
  if (place % 2) return {i, i + 1 < low_size ? i + 1 : i, 0.25f};
  return {i > 0 ? i - 1 : 0, i, 0.75f};
}

// Row (z, y) of P into `row`, which starts with its zero token.
void make_row(const DecoderShape &s, const DecoderInputs &in, int64_t b, int64_t z, int64_t y, float *blend,
              float *row) {
  const int64_t count = vectors(s.channels), c = count * kWidth, f = s.factor;
  const int64_t low_height = s.flat ? 1 : s.height / f, low_width = s.width / f;
  const Pair zs = pair_at(z, s.depth, f);
  const Pair ys = s.flat ? Pair{0, 0, 0.0f} : pair_at(y, s.height, f);
  const float *low = in.low + b * (s.depth / f) * low_height * low_width * s.channels;
  const auto low_row = [&](int64_t zz, int64_t yy) { return low + (zz * low_height + yy) * low_width * s.channels; };
  const float *rows[4] = {low_row(zs.first, ys.first), low_row(zs.first, ys.second), low_row(zs.second, ys.first),
                          low_row(zs.second, ys.second)};
  const float shares[4] = {(1 - zs.share) * (1 - ys.share), (1 - zs.share) * ys.share, zs.share * (1 - ys.share),
                           zs.share * ys.share};
  for (int64_t x = 0; x < low_width; ++x) {
    for (int64_t v = 0; v < count; ++v) {
      const int64_t at = x * s.channels + v * kWidth;
      const int lanes = lanes_at(s.channels, v);
      vf sum{};
      for (int i = 0; i < 4; ++i)
        if (shares[i] != 0.0f) sum += shares[i] * load_part(rows[i] + at, lanes);
      store(blend + x * c + v * kWidth, sum);
    }
  }
  const float *skip = in.skip + (((b * s.depth + z) * s.height + y) * s.width) * s.channels;
  for (int64_t v = 0; v < count; ++v) store(row + v * kWidth, vf{}), store(row + (s.width + 1) * c + v * kWidth, vf{});
  for (int64_t x = 0; x < s.width; ++x) {
    const Pair xs = pair_at(x, s.width, f);
    for (int64_t v = 0; v < count; ++v) {
      const int lanes = lanes_at(s.channels, v);
      const vf first = load(blend + xs.first * c + v * kWidth);
      const vf second = load(blend + xs.second * c + v * kWidth);
      store(row + (x + 1) * c + v * kWidth,
            first + xs.share * (second - first) + load_part(skip + x * s.channels + v * kWidth, lanes));
    }
  }
}

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

void decoder_item(const DecoderShape &s, const DecoderInputs &in, const DecoderWeights &w, const DecoderItem &item,
                  float *out, float *scratch) {
  const int64_t count = vectors(s.channels), c = count * kWidth, row = row_floats(s);
  const int64_t halo = s.flat ? 0 : 1, rows = item.last_row - item.first_row + 2 * halo;
  float *ring = scratch, *zero = ring + 3 * rows * row, *blend = zero + row, *filtered = blend + row,
        *activated = filtered + row;
  for (int64_t i = 0; i < row; ++i) zero[i] = 0.0f;
  const int taps = s.flat ? 3 : 9;
  const auto ring_row = [&](int64_t z, int64_t y) -> float * {
    if (z < 0 || z >= s.depth || y < 0 || y >= s.height) return zero;
    return ring + (z % 3 * rows + y - item.first_row + halo) * row;
  };
  const auto make_plane = [&](int64_t z) {
    if (z < 0 || z >= s.depth) return;
    for (int64_t y = item.first_row - halo; y < item.last_row + halo; ++y)
      if (y >= 0 && y < s.height) make_row(s, in, item.batch, z, y, blend, ring_row(z, y));
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
      if (in.halve) {
        const float *centre = ring_row(z, y) + c;
        multiply(filtered, c, static_cast<int>(s.width), s.channels, w.pointwise, s.channels,
                 [&](int64_t x, int64_t v, vf value) {
                   const vf sum = value + load(w.scale + v * kWidth) * load(centre + x * c + v * kWidth);
                   store(activated + x * c + v * kWidth, vmax(vf{}, sum));
                 });
        last_input = activated;
      }
      float *out_row = out + (((item.batch * s.depth + z) * s.height + y) * s.width) * s.out_channels;
      multiply(last_input, c, static_cast<int>(s.width), s.channels, w.last, s.out_channels,
               [&](int64_t x, int64_t v, vf value) {
                 store_part(out_row + x * s.out_channels + v * kWidth, value + load(w.last_bias + v * kWidth),
                            lanes_at(s.out_channels, v));
               });
    }
  }
}

}  // namespace
