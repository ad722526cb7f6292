#include "images/grid_record.h"

#include <algorithm>
#include <cmath>

namespace lightm {

FileGrid match_grid(const FileGrid &grid, int dims) {
  if (dims == 2) return as_slice(grid);
  return grid.picture ? grid : as_volume(grid);
}

GridRecord record_grid(const FileGrid &grid, const Preprocessing &preprocessing) {
  const int dims = grid.dims;
  const bool stored = dims == 2 && preprocessing.flat_axes == FlatAxes::stored;
  const CanonicalAxes canonical = stored ? CanonicalAxes{} : canonical_axes(grid);
  int64_t stride[3];  // of the array's axes
  for (int axis = dims - 1, step = 0; axis >= 0; --axis, ++step)
    stride[axis] = step == 0 ? 1 : stride[axis + 1] * grid.shape[axis + 1];
  GridRecord record;
  record.dims = dims;
  for (int i = 0; i < dims; ++i) {
    const int to = i + 3 - dims, axis = canonical.axes[i];
    const int64_t length = grid.shape[axis];
    record.canonical[to] = length;
    record.spacing_mm[to] = grid.spacing_mm(axis);
    record.stride[to] = canonical.flips[i] ? -stride[axis] : stride[axis];
    if (canonical.flips[i]) record.offset += (length - 1) * stride[axis];
    if (!preprocessing.size.empty()) {
      record.seen[to] = preprocessing.size[i];
    } else if (preprocessing.spacing_mm.empty()) {
      record.seen[to] = length;
    } else {
      // Halves to the even number, as Python rounds.
      const double wanted =
          std::rint(static_cast<double>(length) * record.spacing_mm[to] / preprocessing.spacing_mm[i]);
      record.seen[to] = static_cast<int64_t>(std::min(std::max(wanted, 1.0), static_cast<double>(kMostSeen)));
    }
  }
  return record;
}

}  // namespace lightm
