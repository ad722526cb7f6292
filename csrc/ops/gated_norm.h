// LayerNorm of the scan's output times SiLU of the gate (equation 3), forward and backward.
//
//     n = (x - mean) / sqrt(variance + epsilon),   out = (weight n + bias) silu(gate)
//
// Mean and variance are over the channels of a row. Layout as in selective_scan.h. The backward pass
// computes all of it again from x and gate, so that nothing else is kept for it.
#pragma once

#include "ops/selective_scan.h"

namespace lightm {

struct GatedNormShape {
  int64_t batch, length, channels;
};

struct GatedNormInputs {
  Rows x, gate;
  const float *weight, *bias;  // (channels,)
  float epsilon;
};

// out: (batch, length, channels), dense.
void gated_norm_forward(const GatedNormShape &shape, const GatedNormInputs &inputs, float *out, int threads);

// All dense; x and gate as out, weight and bias as in the inputs.
struct GatedNormGradients {
  float *x, *gate, *weight, *bias;
};

void gated_norm_backward(const GatedNormShape &shape, const GatedNormInputs &inputs, Rows grad_out,
                         const GatedNormGradients &gradients, int threads);

}  // namespace lightm
