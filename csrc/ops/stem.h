// The stem: from an image to tokens in one pass.
#pragma once

#include "ops/grid_stage.h"

namespace lightm {

// A 2D image has depth 1 and flat = true: then the filter is 3x3 over height and width.
struct StemShape {
  int64_t batch, channels, depth, height, width, out_channels;
  bool flat;
  int64_t rows() const { return batch * depth * height; }
};

// A depthwise 3x3(x3) filter of each image channel, then a mixture of them. No biases.
struct StemInputs {
  const float *image;      // (batch, channels, depth, height, width), dense
  const float *depthwise;  // (channels, 27 or 9)
  const float *pointwise;  // (out_channels, channels)
};

// A full 3x3(x3) convolution.
struct ConvStemInputs {
  const float *image;   // as above
  const float *weight;  // (out_channels, channels * 27 or 9)
  const float *bias;    // (out_channels)
};

// The same with a leaky ReLU behind it, then a stage on the grid (grid_stage.h) without `last`. Their
// BatchNorms are part of weights and biases.
struct NormStemInputs {
  ConvStemInputs conv;
  StageInputs stage;  // out_channels in and out; its slope is that of both activations
};
struct NormStemWeights {
  StageWeights stage;
  float *conv;
};
struct NormStemShape {
  StemShape image;
  GridShape grid;  // of the stage
};

// out: (batch, depth * height * width, out_channels), dense. memory: as many bytes to work in as the function of that
// name says, or nullptr for the kept Workspace.
void stem(const StemShape &shape, const StemInputs &inputs, float *out, int threads, void *memory = nullptr);
void conv_stem(const StemShape &shape, const ConvStemInputs &inputs, float *out, int threads, void *memory = nullptr);
void norm_stem(const StemShape &image, const NormStemInputs &inputs, float *out, int threads, void *memory = nullptr);
int64_t stem_memory(const StemShape &shape, int threads);
int64_t conv_stem_memory(const StemShape &shape, int threads);
int64_t norm_stem_memory(const StemShape &image, int threads);

// The gradients of conv_stem's weight and bias, from that of its result.
void conv_stem_backward(const StemShape &shape, const float *image, const float *grad, float *grad_weight,
                        float *grad_bias, int threads);

}  // namespace lightm
