// A whole Residual Vision Mamba layer, for inference, in one pass over the sequence.
//
//     M'  = VSSM(LayerNorm(M)) + s * M
//     out = Projection(LayerNorm(M'))
//
// with one raster-order scan and the causal convolution, as src/lightm_unet/networks/rvm.py composes
// it. The scan is causal, so the layer can stream: a tile of tokens goes through all steps while it
// is in cache, the input is read once and the output written once.
#pragma once

#include <vector>

#include "ops/rvm_weights.h"
#include "ops/selective_scan.h"
#include "runtime/sequencer.h"

namespace lightm {

// With pool, the output is the maximum over 2x2x2 tokens (2x2 if depth is 1 and flat is true) of the
// grid (depth, height, width), whose sizes are then even.
struct RvmShape {
  int64_t batch, length, channels, inner, state, rank, conv_width, out_channels;
  bool pool = false, flat = false;
  int64_t depth = 1, height = 1, width = 1;

  int64_t tiles(int64_t rows) const { return (length + rows - 1) / rows; }
};

// What the threads pass on from tile to tile, in the order of the tiles.
struct RvmTurns {
  explicit RvmTurns(int64_t vectors) : scanned(vectors) {}
  std::atomic<int64_t> next_tile{0};
  Sequencer halo, pooled;
  std::vector<Sequencer> scanned;  // one for each vector of inner channels
};

// x: (batch, length, channels); out: (batch, length, out_channels), or with pool (batch, length / 8 or
// 4, out_channels); both dense.
void rvm_layer(const RvmShape &shape, const RvmWeights &weights, const float *x, float *out, int threads);

}  // namespace lightm
