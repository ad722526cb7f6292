// A stage of the decoder in one pass over the grid: grid_stage.h of
//
//     P = upsample(low) + skip        or, without `low`, the skip alone
//
// In inference, a decoder block has a scale, and `last` halves the channels; the head has neither, or, with a norm,
// `last` alone. A BatchNorm of Q is part of pointwise, pointwise_bias and scale. In training, Q comes out
// (mix_stage.h), and norm_stage.h does the rest.
//
// Upsampling is by 2, linear, corners not aligned (or by 1: low has the grid's own size). It is folded
// into the reading of P, of which only a few rows exist at any time.
#pragma once

#include "ops/grid_stage.h"

namespace lightm {

struct DecoderShape {
  GridShape grid;
  int64_t factor;
};

struct DecoderInputs {
  const float *low;   // (batch, length / factor^dims, channels), dense; or nullptr
  const float *skip;  // (batch, length, channels), dense
  StageInputs stage;
};

// out: (batch, length, out_channels), dense. memory: decoder_memory(shape, threads) bytes to work in, or nullptr for
// the kept Workspace.
void decoder_stage(const DecoderShape &shape, const DecoderInputs &inputs, float *out, int threads,
                   void *memory = nullptr);
int64_t decoder_memory(const DecoderShape &shape, int threads);

}  // namespace lightm
