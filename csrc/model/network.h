// A LightM-UNet's forward pass, in 2D and 3D, for one image of any size: networks/lightm_unet.py in evaluation
// mode.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "images/grid.h"
#include "model/description.h"
#include "model/safetensors.h"
#include "model/status.h"

namespace lightm {

struct NetworkWeights;

// How a pass is run.
struct Run {
  int threads = 1;
  // Called before the first layer and after each, with the part of the work that is done, 0 to 1. Not 0: stop.
  int (*progress)(void *user, double done) = nullptr;
  void *user = nullptr;

  // Whether to go on.
  bool report(double done) const { return progress == nullptr || progress(user, done) == 0; }
};

// Weights are read once, when it is made, and BatchNorms become part of them. It never changes afterwards, so that
// several threads may use it, each with memory of its own.
class Network {
 public:
  Network();
  ~Network();

  // Refuses weights that are not exactly the network's. Keeps copies.
  static Status make(const NetworkOptions &options, const Safetensors &weights, std::unique_ptr<Network> *network);

  const NetworkOptions &options() const { return options_; }

  // Refuses sizes below 1, a picture's depth other than 1, and grids beyond all bounds (Code::too_large). The
  // functions below expect a grid that passes.
  Status check(const Grid &grid) const;

  // What `run` needs at `memory`. It takes nothing else, but for a few kilobytes of lists.
  int64_t memory_bytes(const Grid &grid, int threads) const;

  // input: (in_channels, depth, height, width), dense. logits: (classes, depth, height, width).
  // memory: aligned to 64 bytes; its content does not matter.
  // Bits of the logits do not depend on the number of threads. The code is ok or cancelled.
  Status run(const float *input, const Grid &grid, float *logits, void *memory, const Run &run) const;

 private:
  NetworkOptions options_;
  std::unique_ptr<NetworkWeights> weights_;
};

}  // namespace lightm
