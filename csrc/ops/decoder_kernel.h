// Rows of P in the decoder: the low grid, interpolated, plus the skip.
#pragma once

#include "ops/decoder.h"
#include "ops/grid_stage_kernel.h"

namespace {

using lightm::DecoderInputs;
using lightm::DecoderShape;

// In floats: a stage's, and a row for the low grid's blend.
int64_t decoder_scratch(const DecoderShape &s) { return stage_scratch(s.grid) + row_floats(s.grid); }

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

// A row of dense tokens to one of whole vectors.
void copy_row(const GridShape &s, const float *from, float *row) {
  const int64_t count = vectors(s.channels);
  for (int64_t x = 0; x < s.width; ++x)
    for (int64_t v = 0; v < count; ++v)
      store(row + (x * count + v) * kWidth, load_part(from + x * s.channels + v * kWidth, lanes_at(s.channels, v)));
}

// Row (z, y) of P into `row`; `blend` is one of the low grid.
void add_skip_row(const DecoderShape &shape, const DecoderInputs &in, int64_t b, int64_t z, int64_t y, float *blend,
                  float *row) {
  const GridShape &s = shape.grid;
  const int64_t count = vectors(s.channels), c = count * kWidth, f = shape.factor;
  const float *skip = in.skip + (((b * s.depth + z) * s.height + y) * s.width) * s.channels;
  if (!in.low) return copy_row(s, skip, row);
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
  for (int64_t x = 0; x < s.width; ++x) {
    const Pair xs = pair_at(x, s.width, f);
    for (int64_t v = 0; v < count; ++v) {
      const int lanes = lanes_at(s.channels, v);
      const vf first = load(blend + xs.first * c + v * kWidth);
      const vf second = load(blend + xs.second * c + v * kWidth);
      store(row + x * c + v * kWidth,
            first + xs.share * (second - first) + load_part(skip + x * s.channels + v * kWidth, lanes));
    }
  }
}

void decoder_item(const DecoderShape &s, const DecoderInputs &in, const StageWeights &w, const StageItem &item,
                  float *out, float *scratch) {
  float *blend = scratch + stage_scratch(s.grid);
  stage_item(
      s.grid, w, item, [&](int64_t z, int64_t y, float *row) { add_skip_row(s, in, item.batch, z, y, blend, row); },
      out, scratch);
}

}  // namespace
