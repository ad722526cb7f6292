// Sliding windows as MONAI's sliding_window_inference lays and weights them, in mode "gaussian": models/logits.py.
#pragma once

#include <cstdint>
#include <vector>

#include "images/grid.h"

namespace lightm {

struct Windows {
  Grid grid;                       // the image
  Grid roi;                        // of every window
  Grid padded;                     // the image, at least as large as a window along each axis
  Grid before;                     // how much is padded before the image
  std::vector<int64_t> starts[3];  // along each axis, in `padded`

  // overlap: of neighbouring windows, 0 to below 1.
  Windows(const Grid &grid, const Grid &roi, double overlap);

  int64_t count() const;

  // One channel of the window that starts at `start` of the padded image: (roi), dense.
  void cut(const float *channel, const Grid &start, float padding, float *window) const;
};

// What each voxel of a window weighs: a Gaussian along each axis, their product at least 0.001.
class WindowWeights {
 public:
  explicit WindowWeights(const Grid &roi);
  // The row at this depth and height of the window, `roi.width` weights.
  void row(int64_t depth, int64_t height, float *weights) const;

 private:
  std::vector<float> along_[3];
  float least_;
};

}  // namespace lightm
