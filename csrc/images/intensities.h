// Intensities to mean 0 and standard deviation 1, outliers compressed or clipped: preprocessing/normalization.py,
// which has the formula.
#pragma once

#include <cstdint>

#include "images/preprocessing.h"

namespace lightm {

// The numbers among these that are NaN or infinite.
int64_t count_not_finite(const float *values, int64_t count);

// What is done to each intensity of a channel.
struct IntensityScale {
  float divisor = 1;      // before all else
  bool constant = false;  // everything becomes 0
  Outliers outliers = Outliers::compress;
  double low = 0, high = 0;  // limits
  float mean = 0, std = 1;   // subtracted, then divided by
};

// channel: all finite. scratch: as many floats as intensity_scratch() says, at a multiple of 8 bytes.
int64_t intensity_scratch();
IntensityScale intensity_scale(const float *channel, int64_t count, const Preprocessing &preprocessing, float *scratch);

void normalise(const IntensityScale &scale, float *values, int64_t count);

// The value around an image smaller than the window: air for "ct", the mean otherwise.
float padding_value(const Preprocessing &preprocessing);

}  // namespace lightm
