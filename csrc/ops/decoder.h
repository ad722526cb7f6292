// A stage of the decoder, for inference, in one pass over the grid:
//
//     P   = upsample(low) + skip
//     Q   = pointwise(depthwise(P))
//     out = halve(ReLU(Q + s' * P))        a decoder block, or
//     out = Q                              the head
//
// Upsampling is by 2, linear, corners not aligned (or by 1: low has the grid's own size). It is folded
// into the reading of P, of which only a few rows exist at any time.
#pragma once

#include <cstdint>

namespace lightm {

// The grid is (depth, height, width). A 2D image of (rows, columns) comes as depth = rows, height = 1
// and flat = true: then the depthwise filter is 3x3 over depth and width.
struct DecoderShape {
  int64_t batch, depth, height, width, channels, out_channels, factor;
  bool flat;
};

struct DecoderInputs {
  const float *low;             // (batch, length / factor^dims, channels), dense
  const float *skip;            // (batch, length, channels), dense
  const float *depthwise;       // (channels, 27 or 9)
  const float *depthwise_bias;  // (channels,) or nullptr
  const float *pointwise;       // (channels or, in the head, out_channels; channels)
  const float *pointwise_bias;  // nullptr in a block
  const float *scale;           // (channels,); nullptr in the head
  const float *halve;           // (out_channels, channels); nullptr in the head
};

// out: (batch, length, out_channels), dense.
void decoder_stage(const DecoderShape &shape, const DecoderInputs &inputs, float *out, int threads);

}  // namespace lightm
