// A whole Residual Vision Mamba layer, in one pass over the sequence, and one backward.
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
  int64_t cell() const { return !pool ? 1 : flat ? 4 : 8; }  // tokens that become one
  int64_t out_length() const { return length / cell(); }
};

// What the threads pass on from tile to tile, in the order of the tiles.
struct RvmTurns {
  explicit RvmTurns(int64_t vectors) : scanned(vectors) {}
  std::atomic<int64_t> next_tile{0};
  Sequencer halo, pooled;
  std::vector<Sequencer> scanned;  // one for each vector of inner channels
};

// The same backward, where tiles are counted from the last.
struct RvmBackwardTurns {
  explicit RvmBackwardTurns(int64_t vectors) : scanned(vectors) {}
  std::atomic<int64_t> next_tile{0};
  Sequencer convolved;
  std::vector<Sequencer> scanned;
};

// x: (batch, length, channels); out: (batch, out_length, out_channels); both dense. Without pooling, and with as many
// channels out as in, out may be x: each tile reads its rows before it writes them.
// kept: rvm_kept_floats(shape) floats for the backward pass, or nullptr.
// memory: rvm_layer_memory(shape, threads) bytes to work in, or nullptr for the kept Workspace.
void rvm_layer(const RvmShape &shape, const RvmWeights &weights, const float *x, float *out, float *kept, int threads,
               void *memory = nullptr);
int64_t rvm_layer_memory(const RvmShape &shape, int threads);
int64_t rvm_kept_floats(const RvmShape &shape);

// Gradients, dense, named and shaped as the weights.
struct RvmGradients {
#define LIGHTM_POINTER(name, ...) float *name;
  LIGHTM_RVM_WEIGHTS(LIGHTM_POINTER)
#undef LIGHTM_POINTER
};

// grad_out: as out; grad_x: as x. `kept` is as the forward pass of the same x and weights left it. All is
// summed in an order that does not depend on the number of threads.
void rvm_backward(const RvmShape &shape, const RvmWeights &weights, const float *x, const float *kept,
                  const float *grad_out, float *grad_x, const RvmGradients &gradients, int threads);

}  // namespace lightm
