// What the decoder's stages and the stem with norms share: P on a grid, made row by row, then
//
//     Q   = pointwise(depthwise(P) + depthwise_bias) + pointwise_bias + scale * P
//     out = last(leaky(Q)) + last_bias        or, without `last`, the activation of Q alone
//
// leaky(x) is x above zero and `slope` times x below; a slope of 1 leaves everything as it is.
#pragma once

#include <cstdint>

namespace lightm {

// The grid is (depth, height, width). A 2D image of (rows, columns) comes as depth = rows, height = 1
// and flat = true: then the depthwise filter is 3x3 over depth and width.
struct GridShape {
  int64_t batch, depth, height, width, channels, out_channels;
  bool flat;
};

// What follows P, as the caller has it; nullptr stands for zeros, or no last product.
struct StageInputs {
  const float *depthwise;       // (channels, 27 or 9)
  const float *depthwise_bias;  // (channels,)
  const float *pointwise;       // (channels or, without last, out_channels; channels)
  const float *pointwise_bias;  // as many
  const float *scale;           // (channels,); only where pointwise has as many outputs
  const float *last;            // (out_channels, channels)
  const float *last_bias;       // (out_channels,)
  float slope;                  // of Q
};

// The same padded and packed. Without a last product, `last` is the pointwise one.
struct StageWeights {
  float *depthwise, *depthwise_bias, *pointwise, *pointwise_bias, *scale, *last, *last_bias;
  float slope, last_slope;
};

// Rows [first_row, last_row) of planes [first_plane, last_plane) of one batch entry.
struct StageItem {
  int64_t batch, first_plane, last_plane, first_row, last_row;
};

// Blocks of this many rows keep a ring of three planes in the second-level cache at 32 channels and
// 128 tokens a row.
constexpr int64_t kBlockRows = 16;

}  // namespace lightm
