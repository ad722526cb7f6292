// The usual features of a model's training images; models/likeness.py defines them, model.json holds them.
#pragma once

#include <string>
#include <vector>

namespace lightm {

struct Profile {
  std::vector<std::string> features;        // the last is "layout"
  std::vector<double> mean, std;            // one for each feature
  std::vector<double> inverse_correlation;  // (features, features), row after row
  std::vector<double> layout;               // the mean training image, averaged to a few voxels
  std::vector<double> longest_mm;           // of volumes: one for each axis; else empty
  double limit = 0;
};

}  // namespace lightm
