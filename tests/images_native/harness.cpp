// The steps of csrc/images one by one, for the tests to call through ctypes.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "images/canonical_axes.h"
#include "images/grid_record.h"
#include "images/intensities.h"
#include "images/likeness.h"
#include "images/percentiles.h"
#include "images/prepare.h"
#include "images/restore.h"
#include "images/windows.h"

using namespace lightm;

namespace {

// As images_native/conftest.py declares it.
struct Settings {
  int32_t dims, stored_axes, ct, clip;
  int64_t size[3];       // 0: none
  double spacing_mm[3];  // 0: none
  double low, high, mean, std;
};

Preprocessing preprocessing_of(const Settings &s) {
  Preprocessing p;
  p.dims = s.dims;
  for (int i = 0; i < s.dims; ++i) {
    if (s.size[i] > 0) p.size.push_back(s.size[i]);
    if (s.spacing_mm[i] > 0) p.spacing_mm.push_back(s.spacing_mm[i]);
  }
  p.normalization = s.ct ? Normalization::ct : Normalization::zscore;
  p.outliers = s.clip ? Outliers::clip : Outliers::compress;
  p.flat_axes = s.stored_axes ? FlatAxes::stored : FlatAxes::anatomical;
  p.intensity_low = s.low, p.intensity_high = s.high, p.intensity_mean = s.mean, p.intensity_std = s.std;
  return p;
}

// affine: nullptr for a picture.
GridRecord record_of(const Settings &s, int32_t dims, const int64_t *shape, const double *affine) {
  FileGrid grid;
  grid.dims = dims;
  grid.picture = affine == nullptr;
  for (int axis = 0; axis < dims; ++axis) grid.shape[axis] = shape[axis];
  for (int row = 0; row < 3; ++row)
    for (int axis = 0; axis < 3; ++axis)
      grid.steps[row][axis] = affine == nullptr ? row == axis : affine[4 * row + axis];
  return record_grid(match_grid(grid, s.dims), preprocessing_of(s));
}

// Scratch with NaN behind it and in it: what is read before it is written shows.
std::vector<float> scratch(int64_t floats) { return std::vector<float>(floats, __builtin_nanf("")); }

IntensityScale scale_of(const float *channel, int64_t count, const Settings &s) {
  std::vector<float> memory = scratch(intensity_scratch());
  return intensity_scale(channel, count, preprocessing_of(s), memory.data());
}

}  // namespace

extern "C" {

void harness_percentiles(const float *values, int64_t count, float divisor, const double *percents, int32_t wanted,
                         double *found) {
  std::vector<float> memory = scratch(rank_scratch(2 * wanted));
  find_percentiles({values, count, divisor}, percents, wanted, found, memory.data());
}

// sizes: the grids before and behind resizing; extent: the file's spacing in canonical order.
void harness_record(const Settings *s, int32_t dims, const int64_t *shape, const double *affine, int64_t *canonical,
                    int64_t *seen, double *spacing_mm) {
  const GridRecord record = record_of(*s, dims, shape, affine);
  for (int axis = 0; axis < 3; ++axis) {
    canonical[axis] = record.canonical[axis], seen[axis] = record.seen[axis];
    spacing_mm[axis] = record.spacing_mm[axis];
  }
}

void harness_prepare(const Settings *s, int32_t dims, const int64_t *shape, const double *affine, const float *channel,
                     int32_t threads, float *out) {
  const GridRecord record = record_of(*s, dims, shape, affine);
  const IntensityScale scale = scale_of(channel, record.canonical.voxels(), *s);
  const ResizedAxes axes(record.canonical, record.seen);
  std::vector<float> memory = scratch(prepare_scratch(record, axes, threads));
  prepare_channel(channel, record, axes, scale, out, memory.data(), threads);
}

void harness_normalise(const Settings *s, const float *channel, int64_t count, float *out) {
  std::copy(channel, channel + count, out);
  normalise(scale_of(channel, count, *s), out, count);
}

float harness_padding(const Settings *s) { return padding_value(preprocessing_of(*s)); }

int64_t harness_not_finite(const float *values, int64_t count) { return count_not_finite(values, count); }

void harness_resize(const float *values, int64_t before, int64_t after, float *out) {
  const ResizedAxis axis(before, after);
  if (axis.same())
    std::copy(values, values + before, out);
  else
    axis.resize_row(values, out);
}

// In steps of `step` planes, each time with just the planes that are needed.
void harness_restore(const Settings *s, int32_t dims, const int64_t *shape, const double *affine, const float *logits,
                     int32_t labels, int64_t step, int32_t threads, uint8_t *out, float *probabilities) {
  const GridRecord record = record_of(*s, dims, shape, affine);
  const int64_t plane = record.seen.height * record.seen.width, voxels = record.seen.voxels();
  std::vector<float> memory = scratch(Restorer::scratch(record, labels, probabilities != nullptr, threads));
  Restorer restorer(record, labels, out, probabilities);
  for (int64_t ready = 0; ready < record.seen.depth;) {
    ready = std::min(ready + step, record.seen.depth);
    const int64_t first = restorer.needed(), held = ready > first ? ready - first : 0;
    std::vector<float> planes(labels * held * plane);
    for (int64_t label = 0; label < labels; ++label)
      std::copy(logits + label * voxels + first * plane, logits + label * voxels + (first + held) * plane,
                planes.begin() + label * held * plane);
    restorer.advance({planes.data(), held * plane, plane, record.seen.width, first}, ready, memory.data(), threads);
  }
}

// starts: room for `room` windows of three numbers each. Returns how many there are.
int64_t harness_windows(const int64_t *grid, const int64_t *roi, double overlap, int64_t room, int64_t *starts) {
  const Windows windows({grid[0], grid[1], grid[2]}, {roi[0], roi[1], roi[2]}, overlap);
  int64_t count = 0;
  for (int64_t z : windows.starts[0])
    for (int64_t y : windows.starts[1])
      for (int64_t x : windows.starts[2]) {
        if (count < room) starts[3 * count] = z, starts[3 * count + 1] = y, starts[3 * count + 2] = x;
        ++count;
      }
  return count;
}

void harness_cut(const float *channel, const int64_t *grid, const int64_t *roi, const int64_t *start, float padding,
                 float *window) {
  const Windows windows({grid[0], grid[1], grid[2]}, {roi[0], roi[1], roi[2]}, 0.5);
  windows.cut(channel, {start[0], start[1], start[2]}, padding, window);
}

void harness_weights(const int64_t *roi, float *weights) {
  const WindowWeights window({roi[0], roi[1], roi[2]});
  for (int64_t d = 0; d < roi[0]; ++d)
    for (int64_t h = 0; h < roi[1]; ++h, weights += roi[2]) window.row(d, h, weights);
}

// features: room for 32 + 2 * labels; layout: for 512. Returns how many features there are.
int64_t harness_measure(const float *image, int32_t dims, int64_t channels, const int64_t *grid, const float *logits,
                        int32_t labels, double *features, float *layout) {
  const Grid size{grid[0], grid[1], grid[2]};
  std::vector<float> memory = scratch(measure_scratch(dims, channels, size));
  const MeasuredImage measured = measure_image(image, dims, channels, size, memory.data());
  MeasuredLabels found(labels);
  found.add({logits, size.voxels(), size.height * size.width, size.width}, size, 0, size.depth);
  std::copy(measured.layout.begin(), measured.layout.end(), layout);
  int64_t count = 0;
  for (double feature : measured.features) features[count++] = feature;
  for (double feature : found.features()) features[count++] = feature;
  return count;
}

}  // extern "C"
