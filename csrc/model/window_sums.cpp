#include "model/window_sums.h"

#include <algorithm>
#include <cstring>

namespace lightm {

int64_t WindowSums::depth(const Windows &windows, const GridRecord &record) {
  const ResizedAxis back(record.seen.depth, record.canonical.depth);
  const std::vector<int64_t> &starts = windows.starts[0];
  int64_t most = 0, base = 0, slice = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    most = std::max(most, starts[i] + windows.roi.depth - base);
    if (i + 1 == starts.size()) break;
    // As Restorer::advance and needed().
    const int64_t ready = starts[i + 1] - windows.before.depth;
    while (slice < record.canonical.depth && back.end(slice) <= ready) ++slice;
    const int64_t needed = slice < record.canonical.depth ? back.first(slice) : record.seen.depth;
    base = std::max(base, std::min(needed + windows.before.depth, starts[i + 1]));
  }
  return most;
}

int64_t WindowSums::floats(const Windows &windows, int64_t depth, int64_t label_count) {
  return (label_count + 1) * depth * windows.padded.height * windows.padded.width;
}

WindowSums::WindowSums(const Windows &windows, int64_t depth, int64_t label_count, float *memory)
    : windows_(windows),
      window_weights_(windows.roi),
      weight_row_(windows.roi.width),
      held_{depth, windows.padded.height, windows.padded.width},
      label_count_(label_count),
      sums_(memory) {
  std::fill(sums_, sums_ + floats(windows, depth, label_count), 0.0f);
}

float *WindowSums::plane_row(int64_t label, const Grid &at) const {
  return sums_ + label * held_.voxels() + ((at.depth - base_) * held_.height + at.height) * held_.width + at.width;
}

void WindowSums::add(const float *logits, const Grid &start) {
  const Grid &roi = windows_.roi;
  for (int64_t d = 0; d < roi.depth; ++d)
    for (int64_t h = 0; h < roi.height; ++h) {
      const Grid at{start.depth + d, start.height + h, start.width};
      const float *weights = weight_row_.data();
      window_weights_.row(d, h, weight_row_.data());
      add_scaled(weights, 1, roi.width, plane_row(label_count_, at));
      for (int64_t label = 0; label < label_count_; ++label) {
        const float *row = logits + ((label * roi.depth + d) * roi.height + h) * roi.width;
        float *sums = plane_row(label, at);
        for (int64_t w = 0; w < roi.width; ++w) sums[w] += row[w] * weights[w];
      }
    }
}

LogitPlanes WindowSums::finish(int64_t ready) {
  const int64_t count = (ready - finished_) * held_.height * held_.width;
  const float *weights = plane_row(label_count_, {finished_, 0, 0});
  for (int64_t label = 0; label < label_count_; ++label) {
    float *sums = plane_row(label, {finished_, 0, 0});
    for (int64_t i = 0; i < count; ++i) sums[i] /= weights[i];
  }
  finished_ = ready;
  const Grid &before = windows_.before;
  return {plane_row(0, {base_, before.height, before.width}), held_.voxels(), held_.height * held_.width, held_.width,
          base_ - before.depth};
}

void WindowSums::drop(int64_t needed) {
  const int64_t base = std::max(base_, std::min(needed, finished_));
  const int64_t gone = (base - base_) * held_.height * held_.width, kept = held_.voxels() - gone;
  for (int64_t label = 0; label <= label_count_; ++label) {
    float *sums = plane_row(label, {base_, 0, 0});
    std::memmove(sums, sums + gone, sizeof(float) * kept);
    std::fill(sums + kept, sums + held_.voxels(), 0.0f);
  }
  base_ = base;
}

}  // namespace lightm
