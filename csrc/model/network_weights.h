// The weights of a LightM-UNet as the layers of ops/ take them, from a file of the names that
// networks/lightm_unet.py gives them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/description.h"
#include "model/safetensors.h"
#include "ops/grid_stage.h"
#include "ops/rvm_layer.h"
#include "runtime/aligned_memory.h"

namespace lightm {

constexpr float kNormEpsilon = 1e-5f;  // of all norms, torch's default

// A norm of each channel over the image at hand; nullptr: there is none, or it is part of other weights.
struct InstanceNorm {
  const float *weight = nullptr, *bias = nullptr;
};

struct RvmPart {
  RvmShape shape;  // but for the grid
  RvmWeights weights;
};

// Q = pointwise(depthwise(P)) + scale * P; a norm; a leaky ReLU of `slope`; `last`. See ops/grid_stage.h.
struct StagePart {
  int64_t channels, out_channels;
  StageInputs inputs;
  InstanceNorm norm;
};

// A filter of each channel and a mixture (dwconv), or a full convolution (the others), with a norm and a DWConv behind
// it (conv_norm).
struct StemPart {
  const float *depthwise = nullptr, *pointwise = nullptr;
  const float *weight = nullptr, *bias = nullptr;
  InstanceNorm norm;
  StagePart stage;
};

struct NetworkWeights {
  StemPart stem;
  std::vector<std::vector<RvmPart>> encoder;  // by blocks
  std::vector<RvmPart> bottleneck;
  std::vector<StagePart> decoder;  // the coarsest first
  StagePart head;
  AlignedMemory memory;  // of all the numbers

  // Refuses a file that does not hold exactly the network's tensors.
  static Status read(const NetworkOptions &options, const Safetensors &file, NetworkWeights *weights);
};

}  // namespace lightm
