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
inline Pair pair_at(int64_t place, int64_t size) {
  const int64_t low_size = size / 2, i = place / 2;
  if (place % 2) return {i, i + 1 < low_size ? i + 1 : i, 0.25f};
  return {i > 0 ? i - 1 : 0, i, 0.75f};
}

// put(token, vector, lanes, place): for every vector of a row of `width` dense tokens, vector by vector;
// `place` is where it lies in the row.
template <class Put>
LIGHTM_INLINE void for_dense_row(const GridShape &s, int64_t width, const Put &put) {
  for (int64_t v = 0; v < vectors(s.channels); ++v) {
    const int lanes = lanes_at(s.channels, v);
    for (int64_t x = 0; x < width; ++x) put(x, v, lanes, x * s.channels + v * kWidth);
  }
}

// The sum of kRows rows of `width` dense tokens, each by its share: put(token, vector, sum).
template <int kRows, class Put>
LIGHTM_INLINE void sum_rows(const GridShape &s, int64_t width, const float *const *rows, const float *shares,
                            const Put &put) {
  // Copies: what is stored might lie in the arrays themselves, as far as the compiler knows.
  const float *row[kRows];
  vf share[kRows];
  for (int i = 0; i < kRows; ++i) row[i] = rows[i], share[i] = splat(shares[i]);
  for_dense_row(s, width, [&](int64_t x, int64_t v, int lanes, int64_t place) {
    vf sum = share[0] * load_part(row[0] + place, lanes);
    for (int i = 1; i < kRows; ++i) sum += share[i] * load_part(row[i] + place, lanes);
    put(x, v, sum);
  });
}

// Row (z, y) of P into `row`; `blend` is one of the low grid.
void add_skip_row(const DecoderShape &shape, const DecoderInputs &in, int64_t b, int64_t z, int64_t y, float *blend,
                  float *row) {
  const GridShape &s = shape.grid;
  const int64_t c = padded(s.channels), f = shape.factor;
  const int64_t low_height = s.flat ? 1 : s.height / f, low_width = s.width / f;
  const float *skip = in.skip + (((b * s.depth + z) * s.height + y) * s.width) * s.channels;
  const auto low_row = [&](int64_t zz, int64_t yy) {
    return in.low + ((b * (s.depth / f) + zz) * low_height + yy) * low_width * s.channels;
  };
  if (!in.low || f == 1) {
    const float *low = in.low ? low_row(z, y) : nullptr;
    for_dense_row(s, s.width, [&](int64_t x, int64_t v, int lanes, int64_t place) {
      vf sum = load_part(skip + place, lanes);
      if (low) sum += load_part(low + place, lanes);
      store(row + x * c + v * kWidth, sum);
    });
    return;
  }
  const Pair zs = pair_at(z, s.depth);
  const Pair ys = s.flat ? Pair{0, 0, 0.0f} : pair_at(y, s.height);
  const auto put_blend = [&](int64_t x, int64_t v, vf sum) { store(blend + x * c + v * kWidth, sum); };
  if (s.flat) {
    const float *rows[2] = {low_row(zs.first, 0), low_row(zs.second, 0)};
    const float shares[2] = {1 - zs.share, zs.share};
    sum_rows<2>(s, low_width, rows, shares, put_blend);
  } else {
    const float *rows[4] = {low_row(zs.first, ys.first), low_row(zs.first, ys.second), low_row(zs.second, ys.first),
                            low_row(zs.second, ys.second)};
    const float shares[4] = {(1 - zs.share) * (1 - ys.share), (1 - zs.share) * ys.share, zs.share * (1 - ys.share),
                             zs.share * ys.share};
    sum_rows<4>(s, low_width, rows, shares, put_blend);
  }
  // Along the row, two tokens at a time: 1/4 of the low one before and 3/4 of that here, and the reverse.
  for (int64_t v = 0; v < vectors(s.channels); ++v) {
    const int lanes = lanes_at(s.channels, v);
    const float *lows = blend + v * kWidth, *skips = skip + v * kWidth;
    float *to = row + v * kWidth;
    vf before = load(lows), here = before;
    for (int64_t x = 0; x < low_width; ++x) {
      const vf after = x + 1 < low_width ? load(lows + (x + 1) * c) : here;
      const vf three = 0.75f * here;
      store(to + 2 * x * c, 0.25f * before + three + load_part(skips + 2 * x * s.channels, lanes));
      store(to + (2 * x + 1) * c, 0.25f * after + three + load_part(skips + (2 * x + 1) * s.channels, lanes));
      before = here, here = after;
    }
  }
}

void decoder_item(const DecoderShape &s, const DecoderInputs &in, const StageWeights &w, const StageItem &item,
                  float *out, float *scratch) {
  float *blend = scratch + stage_scratch(s.grid);
  stage_item(
      s.grid, w, item, [&](int64_t z, int64_t y, float *to) { add_skip_row(s, in, item.batch, z, y, blend, to); }, out,
      scratch);
}

}  // namespace
