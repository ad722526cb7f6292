// The causal depthwise convolution in front of the scan, with its SiLU, forward and backward.
//
//     p_t = bias + sum_k weight_k x_{t - width + 1 + k},   out_t = silu(p_t) or p_t
//
// with zeros before the first step. Layout as in selective_scan.h. The backward pass computes p
// again from x, so that nothing but x is kept for it.
#pragma once

#include "ops/selective_scan.h"

namespace lightm {

struct ConvShape {
  int64_t batch, length, channels, width;
};

struct ConvInputs {
  Rows x;
  const float *weight;  // (channels, width), dense
  const float *bias;    // (channels,)
  bool silu;
};

// out: (batch, length, channels), dense.
void conv_forward(const ConvShape &shape, const ConvInputs &inputs, float *out, int threads);

// grad_x as out; grad_weight and grad_bias as weight and bias.
void conv_backward(const ConvShape &shape, const ConvInputs &inputs, Rows grad_out, float *grad_x, float *grad_weight,
                   float *grad_bias, int threads);

}  // namespace lightm
