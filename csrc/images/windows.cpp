#include "images/windows.h"

#include <algorithm>
#include <cmath>

namespace lightm {
namespace {

constexpr double kSigma = 0.125;  // standard deviation, as part of the window's length
constexpr double kLeast = 0.001;

std::vector<int64_t> starts_along(int64_t length, int64_t roi, double overlap) {
  if (length == roi) return {0};
  const int64_t step = std::max(static_cast<int64_t>(static_cast<double>(roi) * (1 - overlap)), int64_t{1});
  std::vector<int64_t> starts;
  for (int64_t start = 0;; start += step) {
    starts.push_back(std::min(start, length - roi));
    if (start + roi >= length) return starts;
  }
}

}  // namespace

Windows::Windows(const Grid &image, const Grid &window, double overlap) : grid(image), roi(window) {
  for (int axis = 0; axis < 3; ++axis) {
    padded[axis] = std::max(grid[axis], roi[axis]);
    before[axis] = (padded[axis] - grid[axis]) / 2;
    starts[axis] = starts_along(padded[axis], roi[axis], overlap);
  }
}

int64_t Windows::count() const { return static_cast<int64_t>(starts[0].size() * starts[1].size() * starts[2].size()); }

void Windows::cut(const float *channel, const Grid &start, float padding, float *window) const {
  const auto image_row = [&](int64_t d, int64_t h) -> const float * {
    const int64_t z = start.depth + d - before.depth, y = start.height + h - before.height;
    if (z < 0 || z >= grid.depth || y < 0 || y >= grid.height) return nullptr;
    return channel + (z * grid.height + y) * grid.width;
  };
  // The image's columns [from, to) lie in the window from its column `left` on.
  const int64_t shift = start.width - before.width;
  const int64_t left = std::max(-shift, int64_t{0}), from = std::max(shift, int64_t{0});
  const int64_t to = std::min(shift + roi.width, grid.width);
  for (int64_t d = 0; d < roi.depth; ++d)
    for (int64_t h = 0; h < roi.height; ++h, window += roi.width) {
      const float *row = image_row(d, h);
      if (row == nullptr || to - from < roi.width) std::fill(window, window + roi.width, padding);
      if (row != nullptr) std::copy(row + from, row + to, window + left);
    }
}

WindowWeights::WindowWeights(const Grid &roi) {
  float least = 1;
  for (int axis = 0; axis < 3; ++axis) {
    // A picture has no depth to weigh: along a length of 1 the only weight is 1.
    const double sigma = kSigma * static_cast<double>(roi[axis]);
    const float factor = static_cast<float>(-2 * sigma * sigma);
    for (int64_t i = 0; i < roi[axis]; ++i) {
      const float off = static_cast<float>(static_cast<double>(i) - static_cast<double>(roi[axis] - 1) / 2);
      along_[axis].push_back(std::exp(off * off / factor));
    }
    least *= along_[axis].front();  // the corners weigh least
  }
  least_ = std::max(least, static_cast<float>(kLeast));
}

void WindowWeights::row(int64_t depth, int64_t height, float *weights) const {
  const float outer = along_[0][depth] * along_[1][height];
  const std::vector<float> &inner = along_[2];
  for (size_t i = 0; i < inner.size(); ++i) weights[i] = std::max(outer * inner[i], least_);
}

}  // namespace lightm
