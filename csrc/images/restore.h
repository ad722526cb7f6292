// The network's logits back to labels and probabilities on the image's own grid: preprocessing/restore.py.
#pragma once

#include <cstdint>

#include "images/grid_record.h"
#include "images/resizing.h"

namespace lightm {

// Planes of logits on the grid that the network sees, from one depth on.
struct LogitPlanes {
  const float *values;  // of the first plane's first row, label 0
  int64_t label_stride, plane_stride, row_stride;
  int64_t first = 0;  // depth of the first plane

  const float *row(int64_t label, int64_t depth, int64_t height) const {
    return values + label * label_stride + (depth - first) * plane_stride + height * row_stride;
  }
};

// Writes the image's slices one after the other, as soon as the planes are there that they are made of.
class Restorer {
 public:
  // labels: (file's shape). probabilities: (label_count, file's shape), or nullptr.
  Restorer(const GridRecord &record, int64_t label_count, uint8_t *labels, float *probabilities);

  // Floats of scratch for all threads.
  static int64_t scratch(const GridRecord &record, int64_t label_count, bool probabilities, int threads);

  // Writes all slices that need no plane from `ready` on. planes: from `needed()` on, up to `ready` at least.
  void advance(const LogitPlanes &planes, int64_t ready, float *scratch, int threads);

  // The first plane that is still needed.
  int64_t needed() const;

 private:
  struct Row;
  void write_row(const LogitPlanes &planes, int64_t depth, int64_t height, const Row &row) const;
  const float *resized_row(const LogitPlanes &planes, int64_t label, int64_t depth, int64_t height, float *weighted,
                           float *resized) const;

  const GridRecord &record_;
  ResizedAxes axes_;  // from `seen` to `canonical`
  int64_t label_count_;
  uint8_t *labels_;
  float *probabilities_;
  int64_t next_ = 0;  // slice to be written
};

}  // namespace lightm
