// The backward pass of a stage that ends with the mixture of channels, decoder.h without `last`:
//
//     P = upsample(low) + skip
//     Q = pointwise(F) + pointwise_bias + scale * P,    F = depthwise(P) + depthwise_bias
//
// Only low and skip are kept from the forward pass. With G, the gradient of Q, one pass over the grid has
// P, F and the gradient of F again, a few rows at a time:
//
//     gradient of F = pointwise^T G               of P = scale * G + depthwise^T (gradient of F)
//
// and sums the gradients of the weights over its rows. The gradient of the skip is that of P; a second pass
// gathers that of low.
#pragma once

#include "ops/decoder.h"

namespace lightm {

// nullptr for what is not wanted; all of one group are nullptr, or those that the stage has are there.
struct MixGradients {
  float *low, *skip;  // as low and skip; low with factor 2 only, since otherwise it has the skip's
  float *depthwise, *depthwise_bias, *pointwise, *pointwise_bias, *scale;  // as the weights
};

// What the items of the pass read, packed and padded.
struct MixWeights {
  float *depthwise, *depthwise_bias;
  float *flipped;    // depthwise with its taps in the opposite order
  float *pointwise;  // transposed
  float *scale;      // zeros where there is none
  float *no_bias;    // zeros
};

// grad: of the stage's result, (batch, length, out_channels), dense.
void mix_stage_backward(const DecoderShape &shape, const DecoderInputs &inputs, const float *grad,
                        const MixGradients &gradients, int threads);

}  // namespace lightm
