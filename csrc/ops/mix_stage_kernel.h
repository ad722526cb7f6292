// One work item of a mixing stage's backward pass, and the gathering of low's gradient.
#pragma once

#include "ops/decoder_kernel.h"
#include "ops/mix_stage.h"
#include "ops/outer_product_kernel.h"

namespace {

using lightm::MixGradients;
using lightm::MixWeights;

inline int64_t taps_of(const GridShape &s) { return s.flat ? 9 : 27; }

int64_t mix_weights_size(const GridShape &s) {
  const int64_t c = padded(s.channels);
  return 2 * c * taps_of(s) + 3 * c + packed_size(s.channels, s.out_channels);
}

MixWeights mix_prepare(const GridShape &s, const StageInputs &in, float *memory) {
  const int64_t c = padded(s.channels), taps = taps_of(s);
  MixWeights w;
  w.depthwise = memory, memory += c * taps;
  w.flipped = memory, memory += c * taps;
  w.depthwise_bias = memory, memory += c;
  w.scale = memory, memory += c;
  w.no_bias = memory, memory += c;
  w.pointwise = memory;
  pack(in.depthwise, s.channels, taps, w.depthwise);
  for (int64_t v = 0; v < vectors(s.channels); ++v)
    for (int64_t tap = 0; tap < taps; ++tap)
      store(w.flipped + (v * taps + tap) * kWidth, load(w.depthwise + (v * taps + taps - 1 - tap) * kWidth));
  pad_to_vectors(in.depthwise_bias, s.channels, w.depthwise_bias);
  pad_to_vectors(in.scale, s.channels, w.scale);
  pad_to_vectors(nullptr, s.channels, w.no_bias);
  pack_transposed(in.pointwise, s.out_channels, s.channels, w.pointwise);
  return w;
}

// Two rings, rows for F and for the low grid's blend, and a row of zeros, in floats.
int64_t mix_scratch(const GridShape &s, int64_t block_rows) {
  return 2 * PlaneRing::floats(s, block_rows) + 3 * row_floats(s);
}

// Where the sums of the weights' gradients lie, in floats.
struct MixSums {
  int64_t pointwise, depthwise, depthwise_bias, pointwise_bias, scale, size;
};
inline MixSums mix_sums(const GridShape &s) {
  const int64_t c = padded(s.channels);
  MixSums at;
  at.pointwise = 0;
  at.depthwise = at.pointwise + s.out_channels * c;
  at.depthwise_bias = at.depthwise + c * taps_of(s);
  at.scale = at.depthwise_bias + c;
  at.pointwise_bias = at.scale + c;
  at.size = at.pointwise_bias + padded(s.out_channels);
  return at;
}
int64_t mix_sums_size(const GridShape &s) { return mix_sums(s).size; }

// sums += g times each of the 9 tokens under three rows of taps, over a row; the window slides along in
// registers.
LIGHTM_INLINE void add_taps(const float *const *rows, const float *g, int64_t c, int64_t width, float *sums) {
  vf sum[9], before[3], here[3];
  for (int k = 0; k < 9; ++k) sum[k] = load(sums + k * kWidth);
  for (int k = 0; k < 3; ++k) before[k] = load(rows[k]), here[k] = load(rows[k] + c);
#pragma GCC unroll 3
  for (int64_t x = 0; x < width; ++x) {
    const vf value = load(g + x * c);
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) {
      const vf after = load(rows[k] + (x + 2) * c);
      sum[3 * k] += value * before[k];
      sum[3 * k + 1] += value * here[k];
      sum[3 * k + 2] += value * after;
      before[k] = here[k], here[k] = after;
    }
  }
  for (int k = 0; k < 9; ++k) store(sums + k * kWidth, sum[k]);
}

// Adds a row's part to the sums. around: rows of P under the filter; filtered: F's row, of whole vectors;
// grad: of Q, dense; grad_filtered: of F.
LIGHTM_INLINE void add_weight_gradients(const GridShape &s, const float *const *around, int taps, const float *centre,
                                        const float *filtered, const float *grad, const float *grad_filtered,
                                        bool has_scale, float *sums) {
  const MixSums at = mix_sums(s);
  const int64_t count = vectors(s.channels), c = count * kWidth, o = s.out_channels;
  const int rows = static_cast<int>(s.width);
  add_outer(grad, o, o, filtered, c, c, rows, sums + at.pointwise, c);
  add_rows(grad_filtered, c, c, rows, sums + at.depthwise_bias);
  for (int64_t v = 0; v < count; ++v) {
    for (int tap = 0; tap < taps; tap += 3) {
      const float *shifted[3];
      for (int k = 0; k < 3; ++k) shifted[k] = around[tap + k] + v * kWidth;
      add_taps(shifted, grad_filtered + v * kWidth, c, s.width, sums + at.depthwise + (v * taps + tap) * 3 * kWidth);
    }
  }
  for (int64_t v = 0; v < vectors(o); ++v) {
    const int lanes = lanes_at(o, v);
    vf bias = load(sums + at.pointwise_bias + v * kWidth);
    if (has_scale) {  // then there are as many channels in as out
      vf scale = load(sums + at.scale + v * kWidth);
      for (int64_t x = 0; x < s.width; ++x) {
        const vf g = load_part(grad + x * o + v * kWidth, lanes);
        bias += g, scale += g * load(centre + x * c + v * kWidth);
      }
      store(sums + at.scale + v * kWidth, scale);
    } else {
      for (int64_t x = 0; x < s.width; ++x) bias += load_part(grad + x * o + v * kWidth, lanes);
    }
    store(sums + at.pointwise_bias + v * kWidth, bias);
  }
}

// wanted: of its groups, which are not nullptr. sums: of this item, added to.
void mix_item(const DecoderShape &shape, const DecoderInputs &in, const MixWeights &w, const StageItem &item,
              const float *grad_all, const MixGradients &wanted, float *sums, float *scratch) {
  const GridShape &s = shape.grid;
  const int64_t c = padded(s.channels), row = row_floats(s), o = s.out_channels, halo = s.flat ? 0 : 1;
  const int width = static_cast<int>(s.width);
  float *zero = scratch, *filtered = zero + row, *blend = filtered + row, *rings = blend + row;
  for (int64_t i = 0; i < row; ++i) zero[i] = 0.0f;
  const PlaneRing inputs = {s, item, halo, rings, zero};
  const PlaneRing gradients = {s, item, halo, rings + 3 * inputs.rows() * row, zero};
  const auto row_of = [&](int64_t z, int64_t y) { return ((item.batch * s.depth + z) * s.height + y) * s.width; };
  const auto make_planes = [&](int64_t z) {
    if (wanted.pointwise)
      inputs.make_plane(
          z, [&](int64_t zz, int64_t y, float *to) { add_skip_row(shape, in, item.batch, zz, y, blend, to); });
    gradients.make_plane(z, [&](int64_t zz, int64_t y, float *to) {
      multiply(grad_all + row_of(zz, y) * o, o, width, o, w.pointwise, s.channels,
               [&](int64_t x, int64_t v, vf value) { store(to + x * c + v * kWidth, value); });
    });
  };
  make_planes(item.first_plane - 1);
  make_planes(item.first_plane);
  for (int64_t z = item.first_plane; z < item.last_plane; ++z) {
    make_planes(z + 1);
    for (int64_t y = item.first_row; y < item.last_row; ++y) {
      const float *around[9], *grad = grad_all + row_of(z, y) * o;
      if (wanted.pointwise) {
        const int taps = inputs.around(z, y, around);
        filter_row(s, around, taps, w.depthwise, w.depthwise_bias,
                   [&](int64_t x, int64_t v, vf sum) { store(filtered + x * c + v * kWidth, sum); });
        add_weight_gradients(s, around, taps, inputs.place(z, y) + c, filtered, grad, gradients.place(z, y) + c,
                             in.stage.scale != nullptr, sums);
      }
      if (wanted.skip) {
        const int taps = gradients.around(z, y, around);
        float *out = wanted.skip + row_of(z, y) * s.channels;
        const bool has_scale = in.stage.scale != nullptr;
        filter_row(s, around, taps, w.flipped, w.no_bias, [&](int64_t x, int64_t v, vf sum) {
          const int64_t at = x * s.channels + v * kWidth;
          const int lanes = lanes_at(s.channels, v);
          if (has_scale) sum += load(w.scale + v * kWidth) * load_part(grad + at, lanes);
          store_part(out + at, sum, lanes);
        });
      }
    }
  }
}

// The sums of all items to the gradients' own layouts.
void mix_unpack(const GridShape &s, const float *sums, const MixGradients &to) {
  const MixSums at = mix_sums(s);
  const int64_t c = padded(s.channels), taps = taps_of(s);
  for (int64_t k = 0; k < s.out_channels; ++k)
    std::memcpy(to.pointwise + k * s.channels, sums + at.pointwise + k * c, s.channels * sizeof(float));
  for (int64_t i = 0; i < s.channels; ++i)
    for (int64_t tap = 0; tap < taps; ++tap)
      to.depthwise[i * taps + tap] = sums[at.depthwise + (i / kWidth * taps + tap) * kWidth + i % kWidth];
  if (to.depthwise_bias) std::memcpy(to.depthwise_bias, sums + at.depthwise_bias, s.channels * sizeof(float));
  if (to.pointwise_bias) std::memcpy(to.pointwise_bias, sums + at.pointwise_bias, s.out_channels * sizeof(float));
  if (to.scale) std::memcpy(to.scale, sums + at.scale, s.channels * sizeof(float));
}

// The four places along one axis that read a place of the low grid in linear upsampling by 2, by a quarter,
// three quarters twice, and a quarter: pair_at transposed. At the ends the outer one is its neighbour.
struct Readers {
  int64_t places[4];
};
inline Readers readers_of(int64_t low, int64_t low_size) {
  return {{low > 0 ? 2 * low - 1 : 0, 2 * low, 2 * low + 1, low + 1 < low_size ? 2 * low + 2 : 2 * low + 1}};
}
constexpr float kReaderShares[4] = {0.25f, 0.75f, 0.75f, 0.25f};

// In floats: a row of P's gradient.
int64_t mix_low_scratch(const GridShape &s) { return row_floats(s); }

// Rows [first, last) of low's gradient, counted through all batch entries, from that of P.
void mix_low_rows(const GridShape &s, const float *grad, int64_t first, int64_t last, float *grad_low, float *scratch) {
  const int64_t count = vectors(s.channels), c = count * kWidth;
  const int64_t height = s.flat ? 1 : s.height / 2, depth = s.depth / 2, width = s.width / 2;
  const auto row_at = [&](int64_t b, int64_t z, int64_t y) {
    return grad + ((b * s.depth + z) * s.height + y) * s.width * s.channels;
  };
  for (int64_t r = first; r < last; ++r) {
    const int64_t y = r % height, z = r / height % depth, b = r / height / depth;
    const Readers zs = readers_of(z, depth);
    const auto put = [&](int64_t x, int64_t v, vf sum) { store(scratch + x * c + v * kWidth, sum); };
    const auto add = [&](int64_t x, int64_t v, vf sum) { put(x, v, sum + load(scratch + x * c + v * kWidth)); };
    const float *rows[4];
    if (s.flat) {
      for (int i = 0; i < 4; ++i) rows[i] = row_at(b, zs.places[i], 0);
      sum_rows<4>(s, s.width, rows, kReaderShares, put);
    } else {
      // A plane at a time: all 16 rows may have the same places in a first-level cache.
      const Readers ys = readers_of(y, height);
      for (int k = 0; k < 4; ++k) {
        float shares[4];
        for (int i = 0; i < 4; ++i)
          rows[i] = row_at(b, zs.places[k], ys.places[i]), shares[i] = kReaderShares[k] * kReaderShares[i];
        if (k == 0) {
          sum_rows<4>(s, s.width, rows, shares, put);
        } else {
          sum_rows<4>(s, s.width, rows, shares, add);
        }
      }
    }
    for (int64_t v = 0; v < count; ++v) {
      const int lanes = lanes_at(s.channels, v);
      const auto at = [&](int64_t x) { return load(scratch + x * c + v * kWidth); };
      vf before = at(0);
      for (int64_t x = 0; x < width; ++x) {
        const vf first_here = at(2 * x), second_here = at(2 * x + 1);
        const vf after = at(x + 1 < width ? 2 * x + 2 : 2 * x + 1);
        store_part(grad_low + (r * width + x) * s.channels + v * kWidth,
                   0.25f * (before + after) + 0.75f * (first_here + second_here), lanes);
        before = second_here;
      }
    }
  }
}

}  // namespace
