// The second half of a stage in training, token by token:
//
//     Y   = (X - mean) / sqrt(variance + epsilon) * weight + bias       or, without a norm, X
//     out = last(leaky(Y)) + last_bias                                  or, without `last`, leaky(Y)
//
// mean and variance are those of the batch at hand, of each channel over all tokens (BatchNorm). Only X and
// they are kept for the backward pass. leaky(y) is y above zero and `slope` times y below.
#pragma once

#include <cstdint>

namespace lightm {

struct NormShape {
  int64_t tokens, channels, out_channels;  // without `last`, as many channels out
};

struct NormInputs {
  const float *x;          // (tokens, channels), dense
  const float *weight;     // (channels,); nullptr: no norm
  const float *bias;       // (channels,)
  const float *last;       // (out_channels, channels) or nullptr
  const float *last_bias;  // (out_channels,) or nullptr
  float epsilon, slope;    // 0 <= slope <= 1
};

// (channels,) each; the variance is the mean square deviation, as the norm uses it.
struct NormStatistics {
  float *mean, *variance;
};

// nullptr for what is not wanted or not there.
struct NormGradients {
  float *x, *weight, *bias, *last, *last_bias;
};

// What the kernels read, packed and padded. y = (x - mean) * factor + bias.
struct NormWeights {
  float *mean, *factor, *bias;
  float *reciprocal;  // 1 / sqrt(variance + epsilon)
  float *last, *last_bias, *last_transposed;
};

// out: (tokens, out_channels), dense; without `last` it may be x. With a norm, fills the statistics. memory:
// norm_stage_memory(shape, threads) bytes to work in, or nullptr for the kept Workspace.
void norm_stage(const NormShape &shape, const NormInputs &inputs, const NormStatistics &statistics, float *out,
                int threads, void *memory = nullptr);
int64_t norm_stage_memory(const NormShape &shape, int threads);

// grad: of out. statistics: of the forward pass.
void norm_stage_backward(const NormShape &shape, const NormInputs &inputs, const NormStatistics &statistics,
                         const float *grad, const NormGradients &gradients, int threads);

}  // namespace lightm
