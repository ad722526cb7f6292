// numpy's percentiles of float32 numbers, without sorting or copying them.
#pragma once

#include <cstdint>

namespace lightm {

// Numbers in a row, all of them finite, each divided by the same number.
struct Numbers {
  const float *values;
  int64_t count;
  float divisor = 1;
};

// found[i] = entry ranks[i] of the numbers in ascending order; at most kMostRanks of them. Three passes.
// scratch: as many floats as rank_scratch() says, at a multiple of 8 bytes.
constexpr int kMostRanks = 16;
int64_t rank_scratch(int count);
void select_ranks(const Numbers &numbers, const int64_t *ranks, int count, float *found, float *scratch);

// Where a percentile lies among `count` numbers in ascending order: between ranks `before` and `after`.
struct PercentilePlace {
  int64_t before, after;
  double part;

  static PercentilePlace of(double percent, int64_t count);
  // As numpy does for an array of percents, in float64, and for a single one, in float32.
  double between(float a, float b) const;
  float between_float32(float a, float b) const;
};

// percentiles[i] = numpy.percentile(numbers, percents)[i]; at most kMostRanks / 2 of them. scratch: that of twice as
// many ranks.
void find_percentiles(const Numbers &numbers, const double *percents, int count, double *percentiles, float *scratch);

}  // namespace lightm
