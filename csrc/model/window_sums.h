// The logits of overlapping windows, averaged with Gaussian weights, slab by slab along the first axis.
#pragma once

#include <cstdint>
#include <vector>

#include "images/grid_record.h"
#include "images/restore.h"
#include "images/windows.h"

namespace lightm {

// Holds the planes from the first one that restoring still needs to the end of the windows at hand: as many as a
// window is deep, and a few. Windows come in the order of Windows::starts; depths are those of the padded image.
class WindowSums {
 public:
  // Depth of what is held at a time, at most.
  static int64_t depth(const Windows &windows, const GridRecord &record);

  // The planes that are held, for every label and for the weights: so many floats of memory.
  static int64_t floats(const Windows &windows, int64_t depth, int64_t label_count);
  WindowSums(const Windows &windows, int64_t depth, int64_t label_count, float *memory);

  // logits: (labels, roi), dense, of the window at `start`.
  void add(const float *logits, const Grid &start);

  // Sums to averages, in the planes before `ready`: no further window reaches them. Their part within the image.
  LogitPlanes finish(int64_t ready);

  // The planes before `needed` are needed no more.
  void drop(int64_t needed);

 private:
  float *plane_row(int64_t label, const Grid &at) const;

  const Windows &windows_;
  WindowWeights window_weights_;
  std::vector<float> weight_row_;
  Grid held_;
  int64_t label_count_, base_ = 0, finished_ = 0;
  float *sums_;  // (labels and then weights, held)
};

}  // namespace lightm
