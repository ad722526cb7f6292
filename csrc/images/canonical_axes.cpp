#include "images/canonical_axes.h"

#include <cmath>

namespace lightm {
namespace {

void turn(double row[3], int p, int q, double c, double s) {
  const double x = row[p], y = row[q];
  row[p] = c * x - s * y;
  row[q] = s * x + c * y;
}

// The orthonormal columns closest to `columns` of `axes` columns of length 1 that are linearly independent: U V of
// the singular value decomposition U S V, by rotating pairs of columns until all are at right angles.
void closest_right_angles(const double columns[3][3], int axes, double result[3][3]) {
  double a[3][3], v[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  for (int row = 0; row < 3; ++row)
    for (int axis = 0; axis < axes; ++axis) a[row][axis] = columns[row][axis];
  const auto dot = [&a](int p, int q) { return a[0][p] * a[0][q] + a[1][p] * a[1][q] + a[2][p] * a[2][q]; };
  for (int sweep = 0; sweep < 30; ++sweep) {
    bool turned = false;
    for (int p = 0; p < axes; ++p)
      for (int q = p + 1; q < axes; ++q) {
        const double pp = dot(p, p), qq = dot(q, q), pq = dot(p, q);
        if (std::fabs(pq) <= 1e-15 * std::sqrt(pp * qq)) continue;
        turned = true;
        const double zeta = (qq - pp) / (2 * pq);
        const double t = (zeta < 0 ? -1 : 1) / (std::fabs(zeta) + std::sqrt(1 + zeta * zeta));
        const double c = 1 / std::sqrt(1 + t * t), s = c * t;
        for (int row = 0; row < 3; ++row) turn(a[row], p, q, c, s), turn(v[row], p, q, c, s);
      }
    if (!turned) break;
  }
  double lengths[3];
  for (int axis = 0; axis < axes; ++axis) lengths[axis] = std::sqrt(dot(axis, axis));
  for (int row = 0; row < 3; ++row)
    for (int axis = 0; axis < axes; ++axis) {
      result[row][axis] = 0;
      for (int k = 0; k < axes; ++k) result[row][axis] += a[row][k] / lengths[k] * v[axis][k];
    }
}

// What makes one assignment of world axes better than another: compared from the first entry on.
struct Rank {
  double entries[10] = {};

  bool above(const Rank &other) const {
    for (int i = 0; i < 10; ++i)
      if (entries[i] != other.entries[i]) return entries[i] > other.entries[i];
    return false;
  }
};

// The sum of the cosines, then the directions in world order, row by row, each axis along its world axis. Rounded, so
// that what differs by rounding only counts as equal.
Rank rank_of(const double directions[3][3], const int world[3], int axes) {
  Rank rank;
  double sum = 0;
  for (int axis = 0; axis < axes; ++axis) sum += std::fabs(directions[world[axis]][axis]);
  rank.entries[0] = std::rint(sum * 1e6);
  int entry = 1;
  for (int row = 0; row < 3; ++row)
    for (int wanted = 0; wanted < 3; ++wanted)
      for (int axis = 0; axis < axes; ++axis) {
        if (world[axis] != wanted) continue;
        const double sign = directions[wanted][axis] < 0 ? -1 : 1;
        rank.entries[entry++] = std::rint(sign * directions[row][axis] * 1e5);
      }
  return rank;
}

// The world axis that each array axis is closest to, each taken once.
void world_axes(const FileGrid &grid, int world[3]) {
  static constexpr int kOrders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  double unit[3][3], directions[3][3];
  for (int axis = 0; axis < grid.dims; ++axis)
    for (int row = 0; row < 3; ++row) unit[row][axis] = grid.steps[row][axis] / grid.spacing_mm(axis);
  closest_right_angles(unit, grid.dims, directions);
  const int *best = kOrders[0];
  Rank best_rank = rank_of(directions, best, grid.dims);
  for (const auto &order : kOrders) {
    const Rank rank = rank_of(directions, order, grid.dims);
    if (rank.above(best_rank)) best = order, best_rank = rank;
  }
  for (int axis = 0; axis < 3; ++axis) world[axis] = best[axis];
}

}  // namespace

double FileGrid::spacing_mm(int axis) const {
  return std::sqrt(steps[0][axis] * steps[0][axis] + steps[1][axis] * steps[1][axis] + steps[2][axis] * steps[2][axis]);
}

CanonicalAxes canonical_axes(const FileGrid &grid) {
  CanonicalAxes result;
  if (grid.picture) return result;
  int world[3];
  world_axes(grid, world);
  // Of a slice the higher world axis comes first, and both run against their world axes.
  const bool flat = grid.dims == 2;
  int count = 0;
  for (int i = 0; i < 3; ++i)
    for (int axis = 0; axis < grid.dims; ++axis)
      if (world[axis] == (flat ? 2 - i : i)) result.axes[count++] = axis;
  for (int i = 0; i < grid.dims; ++i) {
    const int axis = result.axes[i];
    const bool along = grid.steps[world[axis]][axis] >= 0;
    result.flips[i] = along == flat;
  }
  return result;
}

FileGrid as_slice(const FileGrid &grid) {
  if (grid.dims != 3) return grid;
  int world[3], left_out = -1;
  world_axes(grid, world);
  for (int axis = 0; axis < 3; ++axis)
    if (grid.shape[axis] == 1 && (left_out < 0 || world[axis] > world[left_out])) left_out = axis;
  if (left_out < 0) return grid;
  FileGrid slice;
  int kept = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const int to = axis == left_out ? 2 : kept++;
    slice.shape[to] = grid.shape[axis];
    for (int row = 0; row < 3; ++row) slice.steps[row][to] = grid.steps[row][axis];
  }
  return slice;
}

FileGrid as_volume(const FileGrid &grid) {
  FileGrid volume = grid;
  volume.dims = 3;  // the third length is 1 already
  return volume;
}

}  // namespace lightm
