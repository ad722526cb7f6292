#include "images/prepare.h"

#include <algorithm>

#include "runtime/thread_pool.h"

namespace lightm {
namespace {

// Rows of the channel that a height of the new grid is made of, one row weighted from them, and that row resized.
struct RowScratch {
  float *ring, *weighted, *resized;

  static int64_t floats(const GridRecord &record, const ResizedAxes &axes) {
    return (axes.height.most() + 1) * record.canonical.width + record.seen.width;
  }
  RowScratch(float *memory, const GridRecord &record, const ResizedAxes &axes)
      : ring(memory),
        weighted(ring + axes.height.most() * record.canonical.width),
        resized(weighted + record.canonical.width) {}
};

struct Channel {
  const float *values;
  const GridRecord &record;
  const ResizedAxes &axes;
  const IntensityScale &scale;

  void read_row(int64_t depth, int64_t height, float *row) const {
    const int64_t step = record.stride[2], width = record.canonical.width;
    const float *from = values + record.offset + depth * record.stride[0] + height * record.stride[1];
    if (step == 1)
      std::copy(from, from + width, row);
    else
      for (int64_t i = 0; i < width; ++i) row[i] = from[i * step];
    normalise(scale, row, width);
  }

  // Part of the new grid: depths [depth, depth_end), heights [height, height_end). Every row of the channel that it
  // needs is read once.
  void prepare(int64_t depth, int64_t depth_end, int64_t height, int64_t height_end, const RowScratch &scratch,
               float *out) const {
    const Grid &seen = record.seen;
    const int64_t width = record.canonical.width, kept = axes.height.most();
    int64_t lowest = depth;  // whose slices of the channel are not all behind
    for (int64_t z = axes.depth.first(depth); z < axes.depth.end(depth_end - 1); ++z) {
      while (axes.depth.end(lowest) <= z) ++lowest;
      int64_t next = axes.height.first(height);  // row to be read
      for (int64_t h = height; h < height_end; ++h) {
        float *direct = axes.depth.same() ? out + (z * seen.height + h) * seen.width : nullptr;
        const float *row = make_row(z, h, &next, kept, width, direct, scratch);
        for (int64_t d = lowest; direct == nullptr && d < depth_end && axes.depth.first(d) <= z; ++d) {
          float *to = out + (d * seen.height + h) * seen.width;
          const int64_t tap = z - axes.depth.first(d);
          (tap == 0 ? set_scaled : add_scaled)(row, axes.depth.weights(d)[tap], seen.width, to);
        }
      }
    }
  }

 private:
  // Slice z of the channel, resized along height and width: one row, at `direct` unless that is nullptr.
  const float *make_row(int64_t z, int64_t h, int64_t *next, int64_t kept, int64_t width, float *direct,
                        const RowScratch &scratch) const {
    const bool at_once = axes.height.same() && axes.width.same() && direct != nullptr;
    for (; *next < axes.height.end(h); ++*next)
      read_row(z, *next, at_once ? direct : scratch.ring + *next % kept * width);
    if (at_once) return direct;
    const int64_t first = axes.height.first(h);
    const float *row = scratch.ring + first % kept * width;
    if (!axes.height.same()) {
      const float *weights = axes.height.weights(h);
      float *weighted = axes.width.same() && direct != nullptr ? direct : scratch.weighted;
      set_scaled(row, weights[0], width, weighted);
      for (int64_t i = 1; i < axes.height.count(h); ++i)
        add_scaled(scratch.ring + (first + i) % kept * width, weights[i], width, weighted);
      row = weighted;
    }
    if (axes.width.same()) return row;
    float *resized = direct != nullptr ? direct : scratch.resized;
    axes.width.resize_row(row, resized);
    return resized;
  }
};

}  // namespace

int64_t prepare_scratch(const GridRecord &record, const ResizedAxes &axes, int threads) {
  return threads * RowScratch::floats(record, axes);
}

void prepare_channel(const float *channel, const GridRecord &record, const ResizedAxes &axes,
                     const IntensityScale &scale, float *out, float *scratch, int threads) {
  const Channel source{channel, record, axes, scale};
  const Grid &seen = record.seen;
  const bool by_depth = seen.depth > 1;
  const int64_t length = by_depth ? seen.depth : seen.height;
  const int64_t parts = std::min<int64_t>(threads, length);
  const auto prepare = [&](int64_t part) {
    const RowScratch own(scratch + part * RowScratch::floats(record, axes), record, axes);
    const int64_t from = length * part / parts, to = length * (part + 1) / parts;
    if (by_depth)
      source.prepare(from, to, 0, seen.height, own, out);
    else
      source.prepare(0, 1, from, to, own, out);
  };
  parallel_for(parts, threads, prepare);
}

}  // namespace lightm
