// How a network's images are prepared; preprocessing/preprocessing.py defines it, model.json holds it.
#pragma once

#include <cstdint>
#include <vector>

namespace lightm {

enum class Normalization { zscore, ct };
enum class Outliers { compress, clip };
enum class FlatAxes { anatomical, stored };

// Either `size` or `roi_size` is there, with as many entries as dims, in the canonical order of axes.
struct Preprocessing {
  int dims = 2;
  int64_t channels = 1;
  std::vector<int64_t> size;       // whole-image mode: the grid that every image is resized to
  std::vector<double> spacing_mm;  // patch mode: the voxel size, or empty for each image's own
  std::vector<int64_t> roi_size;   // patch mode: the sliding window
  Normalization normalization = Normalization::zscore;
  Outliers outliers = Outliers::clip;
  FlatAxes flat_axes = FlatAxes::stored;
  // For ct: all there; and otherwise unused.
  double intensity_low = 0, intensity_high = 0, intensity_mean = 0, intensity_std = 1;
};

}  // namespace lightm
