// Every step on images of any size, in memory of exactly the size it needs, for AddressSanitizer and
// UndefinedBehaviorSanitizer; and nothing that should be written is left out. Built and run by test_sanitizers.py.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "harness.cpp"

namespace {

std::mt19937 g_source(20261128);

int64_t below(int64_t count) { return static_cast<int64_t>(g_source() % static_cast<uint64_t>(count)); }
double between(double low, double high) { return std::uniform_real_distribution<double>(low, high)(g_source); }
int64_t length() { return below(3) == 0 ? 1 + below(3) : 1 + below(24); }

std::vector<float> numbers(int64_t count) {
  static constexpr double kScales[] = {1, 0, 1e-44, 1e-20, 1e20, 1e37};
  const double scale = kScales[below(6)];
  std::vector<float> values(count);
  for (float &value : values) value = static_cast<float>(scale * between(-3, 3));
  if (below(4) == 0) std::fill(values.begin() + below(count), values.end(), values[0]);
  return values;
}

void expect(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

bool all_finite(const std::vector<float> &values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

void one_image() {
  Settings s = {};
  s.dims = static_cast<int32_t>(2 + below(2));
  s.stored_axes = static_cast<int32_t>(below(2));
  s.ct = below(4) == 0;
  s.low = -100, s.high = 200, s.mean = 50, s.std = 25;
  const int64_t grid_kind = below(3);
  for (int axis = 0; axis < s.dims; ++axis) {
    if (grid_kind == 0) s.size[axis] = length();
    if (grid_kind == 1) s.spacing_mm[axis] = between(0.5, 3);
  }
  int64_t shape[3] = {length(), length(), length()};
  int32_t dims = s.dims;
  double affine[16] = {};
  for (int row = 0; row < 3; ++row)
    for (int axis = 0; axis < 3; ++axis)
      affine[4 * row + axis] = between(-1, 1) + (below(3) == 0 ? 2 : 0) * (row == axis);
  if (s.dims == 2 && below(2) == 0) shape[below(3)] = 1, dims = 3;
  if (s.dims == 3 && below(4) == 0) dims = 2;
  const double *place = s.dims == 2 && dims == 2 && below(2) == 0 ? nullptr : affine;
  int64_t canonical[3], seen[3];
  double spacing_mm[3];
  harness_record(&s, dims, shape, place, canonical, seen, spacing_mm);
  const int64_t voxels = canonical[0] * canonical[1] * canonical[2], grid = seen[0] * seen[1] * seen[2];
  if (grid > 100'000) return;
  const int32_t threads = static_cast<int32_t>(1 + below(3)), labels = static_cast<int32_t>(1 + below(4));

  const std::vector<float> channel = numbers(voxels);
  std::vector<float> prepared = scratch(grid);
  harness_prepare(&s, dims, shape, place, channel.data(), threads, prepared.data());
  expect(all_finite(prepared), "a voxel of the prepared image was left out");

  std::vector<float> logits(labels * grid), features_of(512);
  for (float &value : logits) value = static_cast<float>(between(-9, 9));
  std::vector<uint8_t> restored(voxels, 255);
  std::vector<float> probabilities = scratch(labels * voxels);
  harness_restore(&s, dims, shape, place, logits.data(), labels, 1 + below(9), threads, restored.data(),
                  below(2) == 0 ? probabilities.data() : nullptr);
  expect(*std::max_element(restored.begin(), restored.end()) < labels, "a voxel of the labels was left out");

  double features[40];
  harness_measure(prepared.data(), s.dims, 1, seen, logits.data(), labels, features, features_of.data());

  int64_t roi[3] = {s.dims == 2 ? 1 : length(), length(), length()}, starts[30];
  const int64_t count = harness_windows(seen, roi, below(4) * 0.25, 10, starts);
  for (int64_t i = 0; i < std::min<int64_t>(count, 10); ++i) {
    std::vector<float> window = scratch(roi[0] * roi[1] * roi[2]);
    harness_cut(prepared.data(), seen, roi, starts + 3 * i, 0, window.data());
    expect(all_finite(window), "a voxel of a window was left out");
  }
}

}  // namespace

int main() {
  for (int i = 0; i < 1000; ++i) one_image();
  std::puts("done");
}
