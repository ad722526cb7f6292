// The size of an image in canonical axes.
#pragma once

#include <cstdint>

namespace lightm {

// Voxels along an axis; no image and no window is as long as this.
constexpr int64_t kLongestAxis = 100000;

// Spatial sizes; a picture's depth is 1.
struct Grid {
  int64_t depth = 1, height = 1, width = 1;
  int64_t voxels() const { return depth * height * width; }
  // The same by axis: 0 depth, 1 height, 2 width.
  int64_t &operator[](int axis) { return axis == 0 ? depth : axis == 1 ? height : width; }
  int64_t operator[](int axis) const { return axis == 0 ? depth : axis == 1 ? height : width; }
  bool operator==(const Grid &o) const { return depth == o.depth && height == o.height && width == o.width; }
};

}  // namespace lightm
