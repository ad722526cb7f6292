// A forward pass as a list of steps, for a grid and a number of threads: which layer reads and writes what, and where
// that lies in one block of memory.
#pragma once

#include <cstdint>
#include <vector>

#include "images/grid.h"
#include "model/description.h"
#include "model/memory_plan.h"
#include "model/network_weights.h"
#include "ops/decoder.h"
#include "ops/norm_stage.h"
#include "ops/rvm_layer.h"
#include "ops/stem.h"

namespace lightm {

// The grid that the layers work on: each size a multiple of 2 to the number of encoder blocks; with a norm, two voxels
// on the coarsest grid at least.
Grid padded_grid(const NetworkOptions &options, const Grid &grid);

struct Step {
  enum class Kind {
    pad,        // the image to the padded grid, by repeating its last rows
    stem,       // image to tokens
    conv_stem,  // the same by one full convolution
    norm_stem,  // the same with BatchNorms
    rvm,        // an RVM layer
    stage,      // a stage on the grid
    norm,       // an instance norm, what follows it in its stage included
    logits      // tokens to planes of the image's own size
  };
  // Buffers are numbers of the plan's; this one is the caller's input, or none.
  static constexpr int kNone = -1;

  Kind kind;
  Grid grid;  // of what it reads; a stage's of its skip
  const RvmPart *rvm = nullptr;
  const StagePart *stage = nullptr;
  const InstanceNorm *norm = nullptr;
  bool pools = false;  // an RVM layer
  int64_t factor = 1;  // a stage's: from low's grid to its own
  int64_t channels = 0, out_channels = 0;
  int from = kNone, low = kNone, to = kNone, scratch = kNone;
  double work = 0;  // multiply-adds, about
};

class NetworkPlan {
 public:
  NetworkPlan(const NetworkOptions &options, const NetworkWeights &weights, const Grid &grid, int threads);

  const std::vector<Step> &steps() const { return steps_; }
  const Grid &grid() const { return grid_; }      // of the image
  const Grid &padded() const { return padded_; }  // of the tokens behind the stem
  int64_t offset(int buffer) const { return memory_.offset(buffer); }
  int64_t bytes() const { return memory_.bytes(); }

  // Shapes as the ops take them.
  StemShape stem_shape(const Step &step) const;
  RvmShape rvm_shape(const Step &step) const;
  DecoderShape stage_shape(const Step &step) const;
  NormShape norm_shape(const Step &step) const { return {step.grid.voxels(), step.channels, step.out_channels}; }
  // Of the mean and the variance of each channel, with which a norm's scratch space begins.
  static int64_t statistics_bytes(const Step &step) {
    return 2 * (step.channels + 15) / 16 * 16 * int64_t{sizeof(float)};
  }

 private:
  int add(Step step);
  int add_stem();
  int add_layers(const std::vector<RvmPart> &layers, int tokens, const Grid &grid, bool pools);
  int add_stage(const StagePart &part, int low, int skip, const Grid &grid, int64_t factor);
  int64_t scratch_bytes(const Step &step) const;
  double work(const Step &step) const;

  const NetworkOptions &options_;
  const NetworkWeights &weights_;
  Grid grid_, padded_;
  int threads_;
  std::vector<Step> steps_;
  MemoryPlan memory_;
};

}  // namespace lightm
