// Whether an image looks like those that a model was trained on: models/likeness.py.
#pragma once

#include <cstdint>
#include <vector>

#include "images/grid.h"
#include "images/profile.h"
#include "images/restore.h"

namespace lightm {

// What is measured of the network's input: percentiles, detail at several scales, left-right symmetry.
struct MeasuredImage {
  std::vector<double> features;
  std::vector<float> layout;  // the image averaged to a few voxels
};

// image: (channels, grid), as the network sees it. scratch: as many floats as measure_scratch() says.
int64_t measure_scratch(int dims, int64_t channels, const Grid &grid);
MeasuredImage measure_image(const float *image, int dims, int64_t channels, const Grid &grid, float *scratch);

// What is measured of the network's output: how much of each label was found, with which certainty.
class MeasuredLabels {
 public:
  // At most 256 labels.
  explicit MeasuredLabels(int64_t label_count) : voxels_(label_count), certainty_(label_count) {}
  // Depths [from, to) of a grid, each once.
  void add(const LogitPlanes &planes, const Grid &grid, int64_t from, int64_t to);
  std::vector<double> features() const;

 private:
  void add_row(const LogitPlanes &planes, int64_t depth, int64_t height, int64_t width);

  std::vector<int64_t> voxels_;     // of each label but the background
  std::vector<double> certainty_;   // sum of its probability there
  int64_t unsure_ = 0, total_ = 0;  // voxels
};

struct Likeness {
  double score;          // Mahalanobis distance divided by the root of the number of features: 1 is usual
  int64_t most_unusual;  // the feature that is farthest from its mean
};

// Whether these features are those of the profile. A grid too small for some scale of detail has fewer.
bool comparable(const Profile &profile, const MeasuredImage &image, const MeasuredLabels &labels);

// Expects features that are comparable.
Likeness compare(const Profile &profile, const MeasuredImage &image, const MeasuredLabels &labels);

}  // namespace lightm
