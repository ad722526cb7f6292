// What becomes of one image's grid on the way to the network, and the way back: preprocessing/apply.py.
#pragma once

#include <cstdint>

#include "images/canonical_axes.h"
#include "images/grid.h"
#include "images/preprocessing.h"

namespace lightm {

// Canonical axis `a` of a 2D model is axis a + 1 of its grids, whose depth is 1.
struct GridRecord {
  int dims = 2;         // of the model
  Grid canonical;       // the file's grid in canonical order, before resizing
  Grid seen;            // the grid that the network sees
  double spacing_mm[3]  // voxel size along each axis of `canonical`; not used for the depth of a 2D model
      = {1, 1, 1};
  // Voxel (d, h, w) of `canonical` is number offset + d * stride[0] + h * stride[1] + w * stride[2] of the file's
  // array.
  int64_t offset = 0;
  int64_t stride[3] = {0, 0, 0};
};

// A grid as a model of so many dimensions takes it; it fits the model if its dims are the model's.
FileGrid match_grid(const FileGrid &grid, int dims);

// grid: matched. Sizes of `seen` that no memory holds are cut to kMostSeen.
GridRecord record_grid(const FileGrid &grid, const Preprocessing &preprocessing);
constexpr int64_t kMostSeen = int64_t{1} << 31;

}  // namespace lightm
