// Rows of the stem, for the instruction set that this file is compiled for.
#pragma once

#include "ops/matmul_kernel.h"
#include "ops/stem.h"

namespace {

using lightm::StemInputs;
using lightm::StemShape;

// Where a row of the image begins in its padded copy, one vector after the copy's start: what is on
// both sides of it is zero.
inline int64_t padded_row(const StemShape &s) { return (vectors(s.width) + 2) * kWidth; }

// In vectors: a padded row, the filtered rows of all channels, and the mixture's weights.
int64_t stem_scratch(const StemShape &s) {
  return (padded_row(s) + packed_size(s.out_channels, s.channels)) / kWidth + s.channels * vectors(s.width);
}

void stem_prepare(const StemShape &s, const StemInputs &in, void *scratch) {
  float *row = static_cast<float *>(scratch);
  for (int64_t i = 0; i < padded_row(s); ++i) row[i] = 0.0f;
  pack(in.pointwise, s.out_channels, s.channels, row + padded_row(s));
}

// filtered += the 3 taps `weight` along a row.
void add_filtered_row(const StemShape &s, const float *row, const float *weight, float *copy, float *filtered) {
  std::memcpy(copy + kWidth, row, s.width * sizeof(float));
  for (int64_t x = 0; x < s.width; x += kWidth) {
    const float *here = copy + kWidth + x;
    store(filtered + x,
          load(filtered + x) + weight[0] * load(here - 1) + weight[1] * load(here) + weight[2] * load(here + 1));
  }
}

// Rows [first, last) of all batch entries, counted through.
void stem_rows(const StemShape &s, const StemInputs &in, int64_t first, int64_t last, float *out, void *scratch) {
  float *copy = static_cast<float *>(scratch), *packed = copy + padded_row(s);
  float *filtered = packed + packed_size(s.out_channels, s.channels);
  const int64_t stride = padded(s.width);
  for (int64_t r = first; r < last; ++r) {
    const int64_t y = r % s.height, z = r / s.height % s.depth, b = r / s.height / s.depth;
    for (int64_t c = 0; c < s.channels; ++c) {
      float *here = filtered + c * stride;
      for (int64_t x = 0; x < stride; ++x) here[x] = 0.0f;
      const float *plane = in.image + (b * s.channels + c) * s.depth * s.height * s.width;
      for (int dz = s.flat ? 0 : -1; dz <= (s.flat ? 0 : 1); ++dz) {
        for (int dy = -1; dy <= 1; ++dy) {
          if (z + dz < 0 || z + dz >= s.depth || y + dy < 0 || y + dy >= s.height) continue;
          const float *weight = in.depthwise + (s.flat ? c * 9 : c * 27 + (dz + 1) * 9) + (dy + 1) * 3;
          add_filtered_row(s, plane + ((z + dz) * s.height + y + dy) * s.width, weight, copy, here);
        }
      }
    }
    float *tokens = out + r * s.width * s.out_channels;
    for (int64_t x = 0; x < s.width; ++x) {
      for (int64_t v = 0; v < vectors(s.out_channels); ++v) {
        vf sum{};
        for (int64_t c = 0; c < s.channels; ++c)
          sum += filtered[c * stride + x] * load(packed + (v * s.channels + c) * kWidth);
        store_part(tokens + x * s.out_channels + v * kWidth, sum, lanes_at(s.out_channels, v));
      }
    }
  }
}

}  // namespace
