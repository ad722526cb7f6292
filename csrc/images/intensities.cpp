#include "images/intensities.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "images/percentiles.h"

namespace lightm {
namespace {

constexpr double kPercents[2] = {0.5, 99.5};  // beyond these, intensities are outliers
constexpr int kRanks = 4;                     // around the two percentiles
constexpr double kWidest = 20;                // most standard deviations between the limits
constexpr double kAir = -1000;                // Hounsfield units
constexpr int kLanes = 8;                     // sums in so many parts, which the compiler keeps in vectors

struct Limits {
  double low, high;
};

// Limits of the numbers other than `usual`, which is what almost all of them are; {usual, usual} where all are.
Limits limits_of_others(const Numbers &numbers, double usual, float *scratch) {
  int64_t below = 0, equal = 0;
  for (int64_t i = 0; i < numbers.count; ++i) {
    const double value = numbers.values[i] / numbers.divisor;
    below += value < usual;
    equal += value == usual;
  }
  const int64_t others = numbers.count - equal;
  if (others == 0) return {usual, usual};
  const PercentilePlace low = PercentilePlace::of(kPercents[0], others);
  const PercentilePlace high = PercentilePlace::of(kPercents[1], others);
  int64_t ranks[kRanks] = {low.before, low.after, high.before, high.after};
  for (int64_t &rank : ranks) rank += rank < below ? 0 : equal;
  float found[kRanks];
  select_ranks(numbers, ranks, kRanks, found, scratch);
  return {std::min(usual, static_cast<double>(low.between_float32(found[0], found[1]))),
          std::max(usual, static_cast<double>(high.between_float32(found[2], found[3])))};
}

// Mean and standard deviation of the numbers clipped to the limits, in float64: a float32 sum over a whole scan loses
// the digits that matter.
struct Moments {
  double mean, std;
};

Moments moments(const Numbers &numbers, float low, float high) {
  const auto clipped = [&](int64_t i) { return std::min(std::max(numbers.values[i] / numbers.divisor, low), high); };
  const int64_t whole = numbers.count / kLanes * kLanes;
  double sums[kLanes] = {}, sum = 0;
  for (int64_t i = 0; i < whole; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += clipped(i + lane);
  for (int64_t i = whole; i < numbers.count; ++i) sum += clipped(i);
  for (double part : sums) sum += part;
  const double mean = sum / static_cast<double>(numbers.count);
  const float centre = static_cast<float>(mean);
  const auto square = [&](int64_t i) {
    const float off = clipped(i) - centre;
    return off * off;
  };
  double squares[kLanes] = {}, total = 0;
  for (int64_t i = 0; i < whole; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) squares[lane] += square(i + lane);
  for (int64_t i = whole; i < numbers.count; ++i) total += square(i);
  for (double part : squares) total += part;
  return {mean, std::sqrt(total / static_cast<double>(numbers.count))};
}

float largest_absolute(const float *values, int64_t count) {
  int32_t largest = 0;  // without their sign, numbers are ordered as their bits are
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float value;
  std::memcpy(&value, &largest, sizeof value);
  return value;
}

IntensityScale compressing_scale(const float *channel, int64_t count, float *scratch) {
  IntensityScale scale;
  const float peak = largest_absolute(channel, count);
  // Squares of other numbers leave float32's range.
  if (!(1e-15f < peak && peak < 1e15f) && peak != 0) scale.divisor = peak;
  const Numbers numbers{channel, count, scale.divisor};
  double limits[2];
  find_percentiles(numbers, kPercents, 2, limits, scratch);
  scale.low = limits[0], scale.high = limits[1];
  if (scale.low == scale.high) {
    const Limits others = limits_of_others(numbers, scale.low, scratch);
    scale.low = others.low, scale.high = others.high;
  }
  if (scale.low == scale.high) {
    scale.constant = true;
    return scale;
  }
  const Moments found = moments(numbers, static_cast<float>(scale.low), static_cast<float>(scale.high));
  scale.mean = static_cast<float>(found.mean);
  scale.std = static_cast<float>(std::max(found.std, (scale.high - scale.low) / kWidest));
  return scale;
}

// The rule of older models.
IntensityScale clipping_scale(const float *channel, int64_t count, float *scratch) {
  IntensityScale scale;
  scale.outliers = Outliers::clip;
  const Numbers numbers{channel, count};
  double limits[2];
  find_percentiles(numbers, kPercents, 2, limits, scratch);
  scale.low = limits[0], scale.high = limits[1];
  const Moments found = moments(numbers, static_cast<float>(scale.low), static_cast<float>(scale.high));
  scale.mean = static_cast<float>(found.mean);
  if (found.std > 0) scale.std = static_cast<float>(found.std);
  return scale;
}

IntensityScale ct_scale(const Preprocessing &preprocessing) {
  IntensityScale scale;
  scale.outliers = preprocessing.outliers;
  scale.low = preprocessing.intensity_low, scale.high = preprocessing.intensity_high;
  scale.mean = static_cast<float>(preprocessing.intensity_mean);
  scale.std = static_cast<float>(preprocessing.intensity_std);
  return scale;
}

}  // namespace

int64_t count_not_finite(const float *values, int64_t count) {
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    found += (bits & 0x7f800000u) == 0x7f800000u;
  }
  return found;
}

int64_t intensity_scratch() { return rank_scratch(kRanks); }

IntensityScale intensity_scale(const float *channel, int64_t count, const Preprocessing &preprocessing,
                               float *scratch) {
  if (preprocessing.normalization == Normalization::ct) return ct_scale(preprocessing);
  return (preprocessing.outliers == Outliers::clip ? clipping_scale : compressing_scale)(channel, count, scratch);
}

void normalise(const IntensityScale &scale, float *values, int64_t count) {
  if (scale.constant) {
    std::fill(values, values + count, 0.0f);
    return;
  }
  if (scale.divisor != 1)
    for (int64_t i = 0; i < count; ++i) values[i] /= scale.divisor;
  const float low = static_cast<float>(scale.low), high = static_cast<float>(scale.high);
  if (scale.outliers == Outliers::clip) {
    for (int64_t i = 0; i < count; ++i) values[i] = std::min(std::max(values[i], low), high);
  } else {
    const double width = scale.high - scale.low;
    for (int64_t i = 0; i < count; ++i) {
      const float value = values[i];
      if (value > high)
        values[i] = static_cast<float>(high + width * std::log1p((value - scale.high) / width));
      else if (value < low)
        values[i] = static_cast<float>(low - width * std::log1p((scale.low - value) / width));
    }
  }
  for (int64_t i = 0; i < count; ++i) values[i] = (values[i] - scale.mean) / scale.std;
}

float padding_value(const Preprocessing &preprocessing) {
  if (preprocessing.normalization != Normalization::ct) return 0;
  float air = static_cast<float>(std::min(kAir, preprocessing.intensity_low));
  normalise(ct_scale(preprocessing), &air, 1);
  return air;
}

}  // namespace lightm
