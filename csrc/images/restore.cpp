#include "images/restore.h"

#include <algorithm>
#include <cstring>

#include "runtime/thread_pool.h"
#include "simd/simd.h"

namespace lightm {

// One thread's scratch.
struct Restorer::Row {
  float *weighted;  // (seen width): a label's rows, weighted
  float *scores;    // (width) of one label, or (labels, width) where probabilities are wanted
  float *best;      // (width): the largest score
  int32_t *winner;  // (width): the label that has it
  float *total;     // (width): of the probabilities

  static int64_t floats(const GridRecord &record, int64_t label_count, bool probabilities) {
    const int64_t width = record.canonical.width;
    return record.seen.width + (probabilities ? label_count + 3 : 3) * width;
  }
  Row(float *memory, const GridRecord &record, int64_t label_count, bool probabilities) {
    const int64_t width = record.canonical.width;
    weighted = memory;
    scores = weighted + record.seen.width;
    best = scores + (probabilities ? label_count : 1) * width;
    winner = reinterpret_cast<int32_t *>(best + width);
    total = best + (probabilities ? 2 : 1) * width;
  }
};

Restorer::Restorer(const GridRecord &record, int64_t label_count, uint8_t *labels, float *probabilities)
    : record_(record),
      axes_(record.seen, record.canonical),
      label_count_(label_count),
      labels_(labels),
      probabilities_(probabilities) {}

int64_t Restorer::scratch(const GridRecord &record, int64_t label_count, bool probabilities, int threads) {
  return threads * Row::floats(record, label_count, probabilities);
}

int64_t Restorer::needed() const {
  return next_ < record_.canonical.depth ? axes_.depth.first(next_) : record_.seen.depth;
}

void Restorer::advance(const LogitPlanes &planes, int64_t ready, float *scratch, int threads) {
  const int64_t first = next_;
  while (next_ < record_.canonical.depth && axes_.depth.end(next_) <= ready) ++next_;
  const int64_t height = record_.canonical.height, rows = (next_ - first) * height;
  const int64_t parts = std::min<int64_t>(threads, rows);
  const int64_t own = Row::floats(record_, label_count_, probabilities_ != nullptr);
  parallel_for(parts, threads, [&](int64_t part) {
    const Row row(scratch + part * own, record_, label_count_, probabilities_ != nullptr);
    for (int64_t i = rows * part / parts; i < rows * (part + 1) / parts; ++i)
      write_row(planes, first + i / height, i % height, row);
  });
}

const float *Restorer::resized_row(const LogitPlanes &planes, int64_t label, int64_t depth, int64_t height,
                                   float *weighted, float *resized) const {
  const int64_t width = record_.seen.width;
  const int64_t z = axes_.depth.first(depth), y = axes_.height.first(height);
  const float *row = planes.row(label, z, y);
  if (!axes_.depth.same() || !axes_.height.same()) {
    bool begun = false;
    for (int64_t i = 0; i < axes_.depth.count(depth); ++i)
      for (int64_t j = 0; j < axes_.height.count(height); ++j) {
        const float weight = axes_.depth.weights(depth)[i] * axes_.height.weights(height)[j];
        if (weight == 0) continue;
        (begun ? add_scaled : set_scaled)(planes.row(label, z + i, y + j), weight, width, weighted);
        begun = true;
      }
    row = weighted;
  }
  if (axes_.width.same()) return row;
  axes_.width.resize_row(row, resized);
  return resized;
}

namespace {

// The largest score and its label so far; of equal ones the smaller label.
void keep_larger(const float *scores, int32_t label, int64_t width, float *best, int32_t *winner) {
  if (label == 0) {
    std::copy(scores, scores + width, best);
    std::fill(winner, winner + width, 0);
    return;
  }
  int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) {
    const vf score = load(scores + i), old = load(best + i);
    const vi larger = score > old;
    vi label_of;
    std::memcpy(&label_of, winner + i, sizeof label_of);
    label_of = larger ? vi{} + label : label_of;
    std::memcpy(winner + i, &label_of, sizeof label_of);
    store(best + i, larger ? score : old);
  }
  for (; i < width; ++i)
    if (scores[i] > best[i]) best[i] = scores[i], winner[i] = label;
}

// values = exp(values - best), which are not above it.
void exponentials(const float *best, int64_t width, float *values) {
  for (int64_t i = 0; i < width; i += kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(kWidth, width - i));
    store_part(values + i, exp_minus_abs(load_part(values + i, lanes) - load_part(best + i, lanes)), lanes);
  }
}

float next_below(float positive) {
  uint32_t bits;
  std::memcpy(&bits, &positive, sizeof bits);
  --bits;
  std::memcpy(&positive, &bits, sizeof bits);
  return positive;
}

}  // namespace

void Restorer::write_row(const LogitPlanes &planes, int64_t depth, int64_t height, const Row &row) const {
  const int64_t width = record_.canonical.width, step = record_.stride[2];
  const int64_t to = record_.offset + depth * record_.stride[0] + height * record_.stride[1];
  for (int64_t label = 0; label < label_count_; ++label) {
    float *own = row.scores + (probabilities_ != nullptr ? label * width : 0);
    const float *scores = resized_row(planes, label, depth, height, row.weighted, own);
    if (probabilities_ != nullptr && scores != own) std::copy(scores, scores + width, own);
    keep_larger(scores, static_cast<int32_t>(label), width, row.best, row.winner);
  }
  for (int64_t i = 0; i < width; ++i) labels_[to + i * step] = static_cast<uint8_t>(row.winner[i]);
  if (probabilities_ == nullptr) return;
  std::fill(row.total, row.total + width, 0.0f);
  for (int64_t label = 0; label < label_count_; ++label) {
    exponentials(row.best, width, row.scores + label * width);
    add_scaled(row.scores + label * width, 1, width, row.total);
  }
  const int64_t voxels = record_.canonical.voxels();
  for (int64_t label = 0; label < label_count_; ++label) {
    float *out = probabilities_ + label * voxels + to;
    const float *scores = row.scores + label * width;
    for (int64_t i = 0; i < width; ++i) {
      const float largest = 1 / row.total[i], probability = scores[i] / row.total[i];
      out[i * step] = row.winner[i] == label ? largest : std::min(probability, next_below(largest));
    }
  }
}

}  // namespace lightm
