// How a file's array axes become canonical ones: imaging/geometry.py, which has the table.
#pragma once

#include <cstdint>

namespace lightm {

// Where the voxels of an array lie.
struct FileGrid {
  int dims = 2;
  int64_t shape[3] = {1, 1, 1};
  double steps[3][3] = {};  // steps[world][axis]: mm to the right, to the front and upwards for one voxel
  bool picture = false;     // nothing is known about its directions

  double spacing_mm(int axis) const;
};

// For each canonical axis the array axis that it is, and whether it runs the other way in the file.
struct CanonicalAxes {
  int axes[3] = {0, 1, 2};
  bool flips[3] = {false, false, false};
};

CanonicalAxes canonical_axes(const FileGrid &grid);

// A volume of one slice as a flat image; anything else as it is. Of several axes with one voxel the one closest to
// upwards is left out, else to the front.
FileGrid as_slice(const FileGrid &grid);

// A flat image as a volume whose third axis has length 1; a volume as it is.
FileGrid as_volume(const FileGrid &grid);

}  // namespace lightm
