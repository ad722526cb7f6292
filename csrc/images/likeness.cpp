#include "images/likeness.h"

#include <algorithm>
#include <cmath>

#include "images/percentiles.h"
#include "simd/simd.h"

namespace lightm {
namespace {

constexpr int kPercentCount = 7;
constexpr double kPercents[kPercentCount] = {2, 10, 25, 50, 75, 90, 98};
constexpr int kScales = 6;
constexpr float kCertain = 0.9f;
constexpr double kSmallestShare = 1e-4, kSmallestVariance = 1e-6, kLikest = 0.999;
constexpr int kMostLabels = 256;  // a label is a byte
constexpr int kLanes = 8;         // sums in so many parts, which the compiler keeps in vectors

int64_t layout_length(int dims) { return dims == 2 ? 16 : 8; }

// Pearson's; 0 where one of them is constant.
template <class A, class B>
double correlation(const A &a, const B &b) {
  const size_t count = a.size();
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < count; ++i) mean_a += a[i], mean_b += b[i];
  mean_a /= static_cast<double>(count), mean_b /= static_cast<double>(count);
  for (size_t i = 0; i < count; ++i) {
    const double x = a[i] - mean_a, y = b[i] - mean_b;
    aa += x * x, bb += y * y, ab += x * y;
  }
  const double norms = std::sqrt(aa) * std::sqrt(bb);
  return norms != 0 ? ab / norms : 0;
}

// Half of each axis, rounded down; a picture's depth stays.
Grid halved(int dims, const Grid &grid) { return {dims == 2 ? 1 : grid.depth / 2, grid.height / 2, grid.width / 2}; }

bool can_be_halved(int dims, const Grid &grid) {
  return std::min(grid.height, grid.width) >= 2 && (dims == 2 || grid.depth >= 2);
}

// The place of `coarse` that torch's interpolation "nearest" takes for a place of `fine`.
int64_t nearest(int64_t place, int64_t fine, int64_t coarse) {
  const float scale = static_cast<float>(coarse) / static_cast<float>(fine);
  return std::min(static_cast<int64_t>(static_cast<float>(place) * scale), coarse - 1);
}

// Averages of 2 x 2 or 2 x 2 x 2 voxels. sums: as many floats as a row of `image`.
void average_pairs(const float *image, int dims, const Grid &grid, float *sums, float *out) {
  const Grid to = halved(dims, grid);
  const int64_t slices = dims == 2 ? 1 : 2;
  const float part = dims == 2 ? 0.25f : 0.125f;
  for (int64_t d = 0; d < to.depth; ++d)
    for (int64_t h = 0; h < to.height; ++h, out += to.width) {
      const float *row = image + (slices * d * grid.height + 2 * h) * grid.width;
      set_scaled(row, 1, grid.width, sums);
      add_scaled(row + grid.width, 1, grid.width, sums);
      if (slices == 2) {
        add_scaled(row + grid.height * grid.width, 1, grid.width, sums);
        add_scaled(row + (grid.height + 1) * grid.width, 1, grid.width, sums);
      }
      for (int64_t w = 0; w < to.width; ++w) out[w] = (sums[2 * w] + sums[2 * w + 1]) * part;
    }
}

// Sum and sum of squares.
struct Sums {
  double sum = 0, squares = 0;
};

// What is lost when an image is averaged: it less the averages. columns: for each place of a row the column of
// `averages` that stands for it; row: as many floats as a row of `image`.
void add_lost(const float *image, const float *averages, int dims, const Grid &grid,
              const std::vector<int64_t> &columns, float *row, Sums *sums) {
  const Grid coarse = halved(dims, grid);
  const int64_t whole = grid.width / kLanes * kLanes;
  double sum[kLanes] = {}, squares[kLanes] = {};
  int64_t expanded = -1;  // row of `averages` that is in `row`
  for (int64_t d = 0; d < grid.depth; ++d)
    for (int64_t h = 0; h < grid.height; ++h, image += grid.width) {
      const int64_t from =
          nearest(d, grid.depth, coarse.depth) * coarse.height + nearest(h, grid.height, coarse.height);
      if (from != expanded)
        for (int64_t w = 0; w < grid.width; ++w) row[w] = averages[from * coarse.width + columns[w]];
      expanded = from;
      for (int64_t w = 0; w < whole; w += kLanes)
        for (int lane = 0; lane < kLanes; ++lane) {
          const double lost = image[w + lane] - row[w + lane];
          sum[lane] += lost, squares[lane] += lost * lost;
        }
      for (int64_t w = whole; w < grid.width; ++w) {
        const double lost = image[w] - row[w];
        sum[0] += lost, squares[0] += lost * lost;
      }
    }
  for (double part : sum) sums->sum += part;
  for (double part : squares) sums->squares += part;
}

// Log variance of what is lost when voxels are averaged in pairs, at each scale.
void measure_details(const float *image, int dims, int64_t channels, Grid grid, float *scratch,
                     std::vector<double> *features) {
  const int64_t row_width = grid.width;
  float *row = scratch, *coarser = scratch + row_width, *coarsest = coarser + channels * halved(dims, grid).voxels();
  for (int scale = 0; scale < kScales && can_be_halved(dims, grid); ++scale) {
    const Grid next = halved(dims, grid);
    std::vector<int64_t> columns(grid.width);
    for (int64_t w = 0; w < grid.width; ++w) columns[w] = nearest(w, grid.width, next.width);
    Sums sums;
    for (int64_t channel = 0; channel < channels; ++channel) {
      const float *own = image + channel * grid.voxels();
      float *averages = coarser + channel * next.voxels();
      average_pairs(own, dims, grid, row, averages);
      add_lost(own, averages, dims, grid, columns, row, &sums);
    }
    const double count = static_cast<double>(channels * grid.voxels());
    const double variance = (sums.squares - sums.sum * sums.sum / count) / (count - 1);
    features->push_back(std::log10(variance + kSmallestVariance));
    image = coarser;
    std::swap(coarser, coarsest);
    grid = next;
  }
}

// The channels' mean, averaged to a few voxels along each axis.
std::vector<float> coarse_layout(const float *image, int dims, int64_t channels, const Grid &grid) {
  const int64_t length = layout_length(dims);
  const Grid cells = {dims == 2 ? 1 : length, length, length};
  const auto first = [&](int axis, int64_t cell) { return cell * grid[axis] / cells[axis]; };
  const auto end = [&](int axis, int64_t cell) { return ((cell + 1) * grid[axis] + cells[axis] - 1) / cells[axis]; };
  std::vector<float> layout;
  for (int64_t i = 0; i < cells.depth; ++i)
    for (int64_t j = 0; j < cells.height; ++j)
      for (int64_t k = 0; k < cells.width; ++k) {
        double sum = 0;
        int64_t count = 0;
        const int64_t from = first(2, k), to = end(2, k);
        for (int64_t channel = 0; channel < channels; ++channel)
          for (int64_t d = first(0, i); d < end(0, i); ++d)
            for (int64_t h = first(1, j); h < end(1, j); ++h, count += to - from) {
              const float *row = image + ((channel * grid.depth + d) * grid.height + h) * grid.width;
              for (int64_t w = from; w < to; ++w) sum += row[w];
            }
        layout.push_back(static_cast<float>(sum / static_cast<double>(count)));
      }
  return layout;
}

// Left and right lie along a volume's first axis and a picture's last.
double symmetry(const std::vector<float> &layout, int dims) {
  const int64_t length = layout_length(dims), count = static_cast<int64_t>(layout.size());
  std::vector<float> mirrored(layout.size());
  const int64_t step = dims == 2 ? 1 : length * length;  // of that axis
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = i / step % length;
    mirrored[i] = layout[i + (length - 1 - 2 * place) * step];
  }
  return correlation(layout, mirrored);
}

}  // namespace

int64_t measure_scratch(int dims, int64_t channels, const Grid &grid) {
  const Grid half = halved(dims, grid);
  const int64_t details = grid.width + channels * (half.voxels() + halved(dims, half).voxels());
  return std::max(details, rank_scratch(2 * kPercentCount));
}

MeasuredImage measure_image(const float *image, int dims, int64_t channels, const Grid &grid, float *scratch) {
  MeasuredImage measured;
  measured.features.resize(kPercentCount);
  find_percentiles({image, channels * grid.voxels()}, kPercents, kPercentCount, measured.features.data(), scratch);
  measure_details(image, dims, channels, grid, scratch, &measured.features);
  measured.layout = coarse_layout(image, dims, channels, grid);
  measured.features.push_back(symmetry(measured.layout, dims));
  return measured;
}

void MeasuredLabels::add(const LogitPlanes &planes, const Grid &grid, int64_t from, int64_t to) {
  for (int64_t d = from; d < to; ++d)
    for (int64_t h = 0; h < grid.height; ++h) add_row(planes, d, h, grid.width);
  total_ += (to - from) * grid.height * grid.width;
}

void MeasuredLabels::add_row(const LogitPlanes &planes, int64_t depth, int64_t height, int64_t width) {
  const int count = static_cast<int>(voxels_.size());
  // Of this row, by label: float32 and int32 hold that.
  vf certainty[kMostLabels];
  vi voxels[kMostLabels], unsure{};
  for (int label = 1; label < count; ++label) certainty[label] = vf{}, voxels[label] = vi{};
  for (int64_t w = 0; w < width; w += kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(kWidth, width - w));
    const auto score = [&](int label) { return load_part(planes.row(label, depth, height) + w, lanes); };
    // Beyond the row all scores are 0: label 0, which is not counted.
    vf best = score(0);
    vi winner{};
    for (int label = 1; label < count; ++label) {
      const vi larger = score(label) > best;
      best = larger ? score(label) : best;
      winner = larger ? vi{} + label : winner;
    }
    vf total{};
    for (int label = 0; label < count; ++label) total += exp_minus_abs(score(label) - best);
    const vf largest = 1.0f / total;  // probability
    for (int label = 1; label < count; ++label) {
      const vi here = winner == label;
      voxels[label] -= here;
      certainty[label] += here ? largest : vf{};
    }
    const vi below = largest < kCertain;
    for (int lane = 0; lane < lanes; ++lane) unsure[lane] -= below[lane];
  }
  for (int label = 1; label < count; ++label) {
    certainty_[label] += lane_sum(certainty[label]);
    for (int lane = 0; lane < kWidth; ++lane) voxels_[label] += voxels[label][lane];
  }
  for (int lane = 0; lane < kWidth; ++lane) unsure_ += unsure[lane];
}

std::vector<double> MeasuredLabels::features() const {
  const auto share = [this](int64_t voxels) {
    return std::log10(static_cast<double>(voxels) / static_cast<double>(total_) + kSmallestShare);
  };
  std::vector<double> features;
  for (size_t label = 1; label < voxels_.size(); ++label) {
    const int64_t voxels = voxels_[label];
    features.push_back(share(voxels));
    features.push_back(voxels > 0 ? certainty_[label] / static_cast<double>(voxels) : 0);
  }
  features.push_back(share(unsure_));
  return features;
}

bool comparable(const Profile &profile, const MeasuredImage &image, const MeasuredLabels &labels) {
  return image.features.size() + labels.features().size() + 1 == profile.mean.size() &&
         image.layout.size() == profile.layout.size();
}

Likeness compare(const Profile &profile, const MeasuredImage &image, const MeasuredLabels &labels) {
  std::vector<double> deviations = image.features;
  for (double feature : labels.features()) deviations.push_back(feature);
  const double likeness = correlation(image.layout, profile.layout);
  deviations.push_back(std::atanh(std::min(std::max(likeness, -kLikest), kLikest)));
  const size_t count = deviations.size();
  size_t most = 0;
  for (size_t i = 0; i < count; ++i) {
    deviations[i] = (deviations[i] - profile.mean[i]) / profile.std[i];
    if (std::fabs(deviations[i]) > std::fabs(deviations[most])) most = i;
  }
  double squared = 0;
  for (size_t i = 0; i < count; ++i) {
    double row = 0;
    for (size_t j = 0; j < count; ++j) row += profile.inverse_correlation[i * count + j] * deviations[j];
    squared += deviations[i] * row;
  }
  return {std::sqrt(squared / static_cast<double>(count)), static_cast<int64_t>(most)};
}

}  // namespace lightm
